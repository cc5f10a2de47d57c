// The grammar of schedules, with the library's leniences: "*-x" is "*", "+5" is 5, ",5," is 5.
#include "agent/base/printable.h"
#include "agent/base/text.h"
#include "deploy/schedule.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define FIELDS      SCHEDULE_FIELDS
#define WORD_SIZE   32 // of what is looked up, or shown, with NUL
#define STEP_FAR    64 // leads out of every field
#define NANOSECONDS INT64_C(1000000000)

struct field_rule {
    const char *name;
    int min, max;
    const char *const *words; // for min, min + 1, …
    const char *hint;
};

static const char *const month_words[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                          "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const weekday_words[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

static const struct field_rule rules[FIELDS] = {
    {"minute", 0, 59, NULL, ""},
    {"hour", 0, 23, NULL, "; midnight is 0"},
    {"day of month", 1, 31, NULL, ""},
    {"month", 1, 12, month_words, " or jan-dec"},
    {"day of week", 0, 6, weekday_words, "; Sunday is 0"},
};

// A piece of the expression.
struct piece {
    const char *at;
    size_t len;
};

struct reader {
    const char *expression;
    const struct field_rule *rule;
    struct piece item; // between commas
    struct schedule_fault *fault;
    struct error *err;
};

static const char *word_of(struct piece piece, char out[static WORD_SIZE])
{
    printable_copy(out, WORD_SIZE, piece.at, piece.len);
    return out;
}

static bool fail_at(const struct reader *reader, struct piece piece, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
static bool fail_at(const struct reader *reader, struct piece piece, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    CLEANUP(free_ptr) char *text = NULL;
    if (vasprintf(&text, fmt, args) < 0)
        abort();
    va_end(args);
    if (reader->fault)
        *reader->fault = (struct schedule_fault){.field = reader->rule ? reader->rule->name : "",
                                                 .offset = (size_t)(piece.at - reader->expression),
                                                 .len = piece.len};
    return error_set(reader->err, ERR_INVALID, "%s", text);
}

// --- one field ---

// What stands before the first `sign`; takes it and the sign off `rest`.
static struct piece split(struct piece *rest, char sign, bool *found)
{
    const char *at = rest->len > 0 ? memchr(rest->at, sign, rest->len) : NULL;
    struct piece first = {rest->at, at ? (size_t)(at - rest->at) : rest->len};
    size_t used = first.len + (at != NULL);
    *rest = (struct piece){rest->at + used, rest->len - used};
    *found = at != NULL;
    return first;
}

static bool is_text(struct piece piece, const char *text)
{
    return piece.len == strlen(text) && memcmp(piece.at, text, piece.len) == 0;
}

// The library makes letters small before it looks for names; the dotted capital I (U+0130) then is
// an i.
static bool find_word(const struct field_rule *rule, struct piece piece, int64_t *out)
{
    char small[WORD_SIZE] = "";
    size_t len = 0;
    for (size_t i = 0; i < piece.len && len + 1 < sizeof small; i++) {
        bool dotted = piece.len - i >= 2 && memcmp(piece.at + i, "\xc4\xb0", 2) == 0;
        small[len++] = dotted ? 'i' : piece.at[i];
        i += dotted;
    }
    for (int i = 0; rule->words && rule->words[i]; i++) {
        if (strcasecmp(small, rule->words[i]) == 0) {
            *out = rule->min + i;
            return true;
        }
    }
    return false;
}

// "monday" means "mon", "mnd" too.
static const char *near_word(const struct field_rule *rule, const char *word)
{
    for (size_t i = 0; rule->words && rule->words[i]; i++) {
        if (strncasecmp(word, rule->words[i], 3) == 0)
            return rule->words[i];
    }
    return rule->words ? text_nearest(word, rule->words) : NULL;
}

// "L", "15W", "5L", "fri#2".
static bool is_of_other_crons(const char *word)
{
    const char *letters = word + strspn(word, "0123456789");
    return strchr(word, '#') || (*letters && letters[strspn(letters, "LWlw")] == '\0');
}

static bool no_number(const struct reader *reader, struct piece piece)
{
    const struct field_rule *rule = reader->rule;
    char word[WORD_SIZE];
    word_of(piece, word);
    const char *near = near_word(rule, word);
    if (piece.len == 0)
        return fail_at(reader, reader->item, "%s: a number is missing in \"%.*s\"", rule->name,
                       (int)reader->item.len, reader->item.at);
    if (is_of_other_crons(word))
        return fail_at(reader, piece, "%s \"%s\": Kubernetes has no L, W and #", rule->name, word);
    if (near)
        return fail_at(reader, piece, "%s has no \"%s\"; did you mean \"%s\"?", rule->name, word,
                       near);
    return fail_at(reader, piece, "\"%s\" is no %s: that is %d-%d%s", word, rule->name, rule->min,
                   rule->max, rule->hint);
}

// Decimal digits after an optional plus sign, below 2^63.
static bool read_number(struct piece piece, int64_t *out)
{
    int64_t value = 0;
    size_t i = piece.len > 0 && *piece.at == '+';
    if (i == piece.len)
        return false;
    for (; i < piece.len; i++) {
        int digit = piece.at[i] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *out = value;
    return true;
}

static bool read_value(const struct reader *reader, struct piece piece, int64_t *out)
{
    return find_word(reader->rule, piece, out) || read_number(piece, out) ||
           no_number(reader, piece);
}

static bool check_range(const struct reader *reader, struct piece range, int64_t start, int64_t end)
{
    const struct field_rule *rule = reader->rule;
    if (start < rule->min || start > rule->max || end > rule->max)
        return fail_at(reader, range, "%s is %d-%d%s", rule->name, rule->min, rule->max,
                       rule->hint);
    if (start > end)
        return fail_at(reader, range,
                       "%s \"%.*s\" runs backwards; write \"%" PRId64 "-%d,%d-%" PRId64 "\"",
                       rule->name, (int)range.len, range.at, start, rule->max, rule->min, end);
    return true;
}

struct range {
    int64_t start, end, step;
    bool starred, tail_ignored;
};

// "*", "5", "5-10"; whatever follows "*-" is left aside, as the library does.
static bool read_ends(const struct reader *reader, struct piece piece, bool stepped,
                      struct range *out)
{
    struct piece rest = piece;
    bool two, three;
    struct piece first = split(&rest, '-', &two);
    if (is_text(first, "*") || is_text(first, "?")) {
        out->start = reader->rule->min;
        out->end = reader->rule->max;
        out->starred = true;
        out->tail_ignored = two;
        return true;
    }
    struct piece second = split(&rest, '-', &three);
    if (!read_value(reader, first, &out->start))
        return false;
    out->end = stepped && !two ? reader->rule->max : out->start;
    if (three)
        return fail_at(reader, piece, "%s \"%.*s\" has two hyphens; separate ranges by commas",
                       reader->rule->name, (int)piece.len, piece.at);
    if (two && !read_value(reader, second, &out->end))
        return false;
    return check_range(reader, piece, out->start, out->end);
}

static bool read_step(const struct reader *reader, struct piece piece, int64_t *out)
{
    char word[WORD_SIZE];
    if (!read_number(piece, out) || *out == 0)
        return fail_at(reader, piece.len > 0 ? piece : reader->item,
                       "%s: a step is a whole number of at least 1, not \"%s\"", reader->rule->name,
                       word_of(piece, word));
    return true;
}

static bool read_item(const struct reader *reader, struct range *out)
{
    struct piece rest = reader->item;
    bool stepped, again;
    struct piece ends = split(&rest, '/', &stepped);
    struct piece step = split(&rest, '/', &again);
    if (again)
        return fail_at(reader, reader->item, "%s \"%.*s\" has two steps", reader->rule->name,
                       (int)reader->item.len, reader->item.at);
    *out = (struct range){.step = 1};
    return read_ends(reader, ends, stepped, out) &&
           (!stepped || read_step(reader, step, &out->step));
}

struct field_value {
    uint64_t bits;
    bool starred, tail_ignored;
    uint8_t star_step;
};

static bool read_field(struct reader *reader, struct piece field, struct field_value *out)
{
    for (bool more = true; more;) {
        reader->item = split(&field, ',', &more);
        if (reader->item.len == 0)
            continue;
        struct range range = {0};
        if (!read_item(reader, &range))
            return false;
        uint8_t stride = range.step < STEP_FAR ? (uint8_t)range.step : STEP_FAR;
        for (int64_t value = range.start; value <= range.end; value += stride)
            out->bits |= UINT64_C(1) << value;
        out->starred = out->starred || (range.starred && stride == 1);
        if (range.starred && stride > 1)
            out->star_step = stride;
        out->tail_ignored = out->tail_ignored || range.tail_ignored;
    }
    return true;
}

// --- "@daily" and "@every 90m" ---

static const struct {
    const char *name, *fields;
} descriptors[] = {
    {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
    {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
    {"@hourly", "0 * * * *"},
};
#define DESCRIPTORS (sizeof(descriptors) / sizeof(descriptors[0]))

static const struct {
    const char *name;
    uint64_t nanoseconds;
} duration_units[] = {
    {"ns", 1},         {"us", 1000},       {"\u00b5s", 1000}, // the micro sign
    {"\u03bcs", 1000},                                        // the letter mu
    {"ms", 1000000},   {"s", NANOSECONDS}, {"m", 60 * NANOSECONDS}, {"h", 3600 * NANOSECONDS},
};
#define DURATION_UNITS (sizeof(duration_units) / sizeof(duration_units[0]))
#define DURATION_MOST  (UINT64_C(1) << 63)

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool read_unit(const char **at, uint64_t *out)
{
    size_t len = strcspn(*at, ".0123456789");
    for (size_t i = 0; i < DURATION_UNITS; i++) {
        if (is_text((struct piece){*at, len}, duration_units[i].name)) {
            *out = duration_units[i].nanoseconds;
            *at += len;
            return true;
        }
    }
    return false;
}

struct fraction {
    uint64_t value;
    double scale; // that it is to be divided by
};

// The digits after the point; those that do not fit any more are left aside.
static struct fraction read_fraction(const char **at)
{
    struct fraction fraction = {.scale = 1};
    bool full = false;
    for (; is_digit(**at); ++*at) {
        uint64_t next = fraction.value * 10 + (uint64_t)(**at - '0');
        full = full || fraction.value > (DURATION_MOST - 1) / 10 || next > DURATION_MOST;
        if (!full)
            fraction = (struct fraction){next, fraction.scale * 10};
    }
    return fraction;
}

// "90m", "1.5h"; adds to *sum. The library counts in unsigned 64 bits, and so does this.
static bool read_duration_part(const char **at, uint64_t *sum)
{
    uint64_t whole = 0;
    bool digits = is_digit(**at);
    for (; is_digit(**at); ++*at) {
        if (whole > DURATION_MOST / 10)
            return false;
        whole = whole * 10 + (uint64_t)(**at - '0');
    }
    struct fraction fraction = {.scale = 1};
    if (**at == '.') {
        ++*at;
        digits = digits || is_digit(**at);
        fraction = read_fraction(at);
    }
    uint64_t unit;
    if (!digits || !read_unit(at, &unit) || whole > DURATION_MOST / unit)
        return false;
    // As it rounds: the division comes first.
    uint64_t part =
        whole * unit + (uint64_t)((double)fraction.value * ((double)unit / fraction.scale));
    *sum += part;
    return part <= DURATION_MOST && *sum <= DURATION_MOST;
}

static bool read_duration(const char *text, int64_t *seconds)
{
    bool negative = *text == '-';
    const char *at = text + (*text == '-' || *text == '+');
    uint64_t sum = 0;
    if (strcmp(at, "0") != 0) {
        do {
            if (!read_duration_part(&at, &sum))
                return false;
        } while (*at);
    }
    if (!negative && sum == DURATION_MOST)
        return false;
    *seconds = negative || sum < NANOSECONDS ? 1 : (int64_t)(sum / NANOSECONDS);
    return true;
}

static bool parse_every(const struct reader *reader, size_t prefix, struct schedule *out)
{
    const char *text = reader->expression + prefix;
    *out = (struct schedule){0};
    if (read_duration(text, &out->every_seconds))
        return true;
    return fail_at(reader, (struct piece){text, strlen(text)},
                   "@every takes a duration such as 90m or 1h30m, with the units s, m and h");
}

// --- the whole ---

// What Unicode takes for a space, as Go does.
static bool is_space(int32_t character)
{
    return (character >= '\t' && character <= '\r') || character == ' ' || character == 0x85 ||
           character == 0xa0 || character == 0x1680 ||
           (character >= 0x2000 && character <= 0x200a) || character == 0x2028 ||
           character == 0x2029 || character == 0x202f || character == 0x205f || character == 0x3000;
}

// How many fields there are; those beyond FIELDS are only counted.
static size_t split_fields(const char *text, struct piece fields[static FIELDS])
{
    size_t count = 0;
    bool within = false;
    for (size_t used, left = strlen(text); left > 0; text += used, left -= used) {
        bool space = is_space(text_character(text, left, &used));
        if (!space && !within && count++ < FIELDS)
            fields[count - 1] = (struct piece){text, 0};
        if (!space && count <= FIELDS)
            fields[count - 1].len += used;
        within = !space;
    }
    return count;
}

static bool wrong_count(const struct reader *reader, size_t count)
{
    struct piece whole = {reader->expression, strlen(reader->expression)};
    if (count == 0)
        return fail_at(reader, whole, "the schedule is empty");
    if (count == 1 && strchr(reader->expression, '@'))
        return fail_at(reader, whole, "there must be no space before an \"@\"");
    if (count == FIELDS + 1)
        return fail_at(reader, whole,
                       "six fields, but there is none for seconds or years; five are wanted: "
                       "minute, hour, day of month, month, day of week");
    return fail_at(reader, whole,
                   "%zu field%s; five are wanted: minute, hour, day of month, month, day of week",
                   count, count == 1 ? "" : "s");
}

static bool parse_fields(struct reader *reader, struct schedule *out)
{
    struct piece fields[FIELDS];
    struct field_value values[FIELDS] = {0};
    size_t count = split_fields(reader->expression, fields);
    if (count != FIELDS)
        return wrong_count(reader, count);
    for (size_t i = 0; i < FIELDS; i++) {
        reader->rule = &rules[i];
        if (!read_field(reader, fields[i], &values[i]))
            return false;
    }
    *out = (struct schedule){.minute = values[0].bits,
                             .hour = values[1].bits,
                             .day = values[2].bits,
                             .month = values[3].bits,
                             .weekday = values[4].bits,
                             .day_starred = values[2].starred,
                             .weekday_starred = values[4].starred};
    for (size_t i = 0; i < FIELDS; i++) {
        out->star_step[i] = values[i].star_step;
        out->tail_ignored = out->tail_ignored || values[i].tail_ignored;
    }
    return true;
}

static bool parse_descriptor(struct reader *reader, struct schedule *out)
{
    const char *text = reader->expression;
    const char *names[DESCRIPTORS + 1] = {NULL};
    if (text_starts(text, "@every "))
        return parse_every(reader, strlen("@every "), out);
    for (size_t i = 0; i < DESCRIPTORS; i++) {
        names[i] = descriptors[i].name;
        if (strcmp(text, names[i]) == 0) {
            reader->expression = descriptors[i].fields;
            return parse_fields(reader, out);
        }
    }
    struct piece whole = {text, strlen(text)};
    char word[WORD_SIZE];
    word_of(whole, word);
    if (strcasecmp(text, "@reboot") == 0)
        return fail_at(reader, whole,
                       "Kubernetes has no @reboot: a cluster has no start to run at");
    const char *near = text_nearest(text, names);
    return fail_at(reader, whole, "there is no \"%s\"%s%s%s", word,
                   near ? "; did you mean \""
                        : ": there are @hourly, @daily, @weekly, @monthly, "
                          "@yearly and @every",
                   near ? near : "", near ? "\"?" : "");
}

bool schedule_parse(const char *expression, struct schedule *out, struct schedule_fault *fault,
                    struct error *err)
{
    struct reader reader = {.expression = expression, .fault = fault, .err = err};
    size_t len = strlen(expression);
    const char *zone = strstr(expression, "TZ");
    if (len > SCHEDULE_TEXT_MAX)
        return fail_at(&reader, (struct piece){expression, len}, "longer than %d bytes",
                       SCHEDULE_TEXT_MAX);
    if (!text_is_utf8(expression, len))
        return fail_at(&reader, (struct piece){expression, len}, "not UTF-8");
    if (zone)
        return fail_at(&reader, (struct piece){zone, strcspn(zone, " ")},
                       "the time zone does not go into the schedule: it is a setting of its own");
    return *expression == '@' ? parse_descriptor(&reader, out) : parse_fields(&reader, out);
}
