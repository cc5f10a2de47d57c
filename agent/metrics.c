#include "agent/metrics_table.h"

#include <assert.h>
#include <string.h>

#define OTHER_WORD   "other"
#define WORD_MAX     40
#define PRESENT      (UINT64_C(1) << 63) // in a counter's cell: shown although it is 0
#define STATUS_ROOM  4
#define US_PER_S     1e6
#define NOT_A_STATUS "none"

static const char *const type_words[] = {[METRIC_COUNTER] = "counter",
                                         [METRIC_TOTAL] = "counter",
                                         [METRIC_GAUGE] = "gauge",
                                         [METRIC_HISTOGRAM] = "histogram"};

// --- finding a cell ---

static bool is_word(const char *text)
{
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-_.");
    return len > 0 && len <= WORD_MAX && text[len] == '\0';
}

// The place of a word among those met, which it becomes one of; the last place is "other".
static size_t learn(struct metric_words *words, const char *text)
{
    size_t i = 0;
    for (const char *known; i < METRIC_WORDS_MAX - 1; i++) {
        known = atomic_load_explicit(&words->items[i], memory_order_acquire);
        if (!known)
            break;
        if (strcmp(known, text) == 0)
            return i;
    }
    if (i == METRIC_WORDS_MAX - 1 || !is_word(text))
        return METRIC_WORDS_MAX - 1;
    pthread_mutex_lock(&words->lock);
    const char *known;
    while (i < METRIC_WORDS_MAX - 1 && (known = words->items[i]) && strcmp(known, text) != 0)
        i++;
    if (i < METRIC_WORDS_MAX - 1 && !words->items[i])
        atomic_store_explicit(&words->items[i], xstrdup(text), memory_order_release);
    pthread_mutex_unlock(&words->lock);
    return i;
}

// A word that a closed label does not have is its last one.
static size_t value_index(const struct metric_label *label, const char *text)
{
    if (!label->name)
        return 0;
    assert(text);
    if (label->open)
        return learn(label->open, text);
    size_t i = 0;
    while (i < label->size - 1 && strcmp(label->words[i], text) != 0)
        i++;
    return i;
}

// NULL: no such word was met.
static const char *value_word(const struct metric_label *label, size_t i)
{
    if (!label->open)
        return label->words[i];
    return i == METRIC_WORDS_MAX - 1 ? OTHER_WORD : label->open->items[i];
}

static size_t label_size(const struct metric_label *label)
{
    return label->name ? label->size : 1;
}

static size_t bucket_count(const struct metric_row *row)
{
    size_t count = 0;
    while (row->buckets && row->buckets[count])
        count++;
    return count;
}

static size_t row_width(const struct metric_row *row)
{
    return row->type == METRIC_HISTOGRAM ? bucket_count(row) + 2 : 1;
}

static atomic_uint_least64_t *cell_at(const struct metric_row *row, size_t i, size_t j)
{
    size_t at = (i * label_size(&row->labels[1]) + j) * row_width(row);
    assert(at + row_width(row) <= row->cell_count);
    return &row->cells[at];
}

static atomic_uint_least64_t *find_cell(const struct metric_row *row, const char *one,
                                        const char *two)
{
    return cell_at(row, value_index(&row->labels[0], one), value_index(&row->labels[1], two));
}

// --- counting ---

static void add(atomic_uint_least64_t *cell, uint64_t more)
{
    atomic_fetch_add_explicit(cell, more, memory_order_relaxed);
}

void metric_add(enum metric metric, const char *one, const char *two, uint64_t more)
{
    assert(metric_rows[metric].type == METRIC_COUNTER);
    add(find_cell(&metric_rows[metric], one, two), more);
}

void metric_count(enum metric metric, const char *one, const char *two)
{
    metric_add(metric, one, two, 1);
}

void metric_count_status(enum metric metric, const char *one, int status)
{
    char text[STATUS_ROOM] = {(char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10),
                              (char)('0' + status % 10)};
    metric_count(metric, one, status > 0 ? text : NOT_A_STATUS);
}

void metric_observe(enum metric metric, const char *one, int64_t us)
{
    const struct metric_row *row = &metric_rows[metric];
    assert(row->type == METRIC_HISTOGRAM);
    if (us < 0)
        return;
    atomic_uint_least64_t *cells = find_cell(row, one, NULL);
    size_t count = bucket_count(row), i = 0;
    while (i < count && us > row->buckets[i])
        i++;
    add(&cells[i], 1);
    add(&cells[count + 1], (uint64_t)us);
}

void metric_set(enum metric metric, const char *one, const char *two, double value)
{
    const struct metric_row *row = &metric_rows[metric];
    assert(row->type == METRIC_GAUGE || row->type == METRIC_TOTAL);
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    atomic_store_explicit(find_cell(row, one, two), bits, memory_order_relaxed);
}

// --- writing ---

static bool is_open(const struct metric_row *row)
{
    return row->labels[0].open || row->labels[1].open;
}

static bool write_labels(struct buffer *out, const struct metric_row *row, size_t i, size_t j,
                         const char *bound, struct error *err)
{
    const size_t at[] = {i, j};
    const char *between = "{";
    for (size_t k = 0; k < METRIC_LABELS_MAX && row->labels[k].name; k++, between = ",")
        if (!buffer_printf(out, err, "%s%s=\"%s\"", between, row->labels[k].name,
                           value_word(&row->labels[k], at[k])))
            return false;
    if (bound && !buffer_printf(out, err, "%sle=\"%s\"", between, bound))
        return false;
    return (!row->labels[0].name && !bound) || buffer_printf(out, err, "}");
}

static bool write_histogram(struct buffer *out, const struct metric_row *row, size_t i,
                            struct error *err)
{
    const atomic_uint_least64_t *cells = cell_at(row, i, 0);
    size_t count = bucket_count(row);
    uint64_t sum = 0;
    for (size_t k = 0; k <= count; k++) {
        char bound[32] = "+Inf";
        if (k < count)
            snprintf(bound, sizeof bound, "%g", (double)row->buckets[k] / US_PER_S);
        sum += cells[k];
        if (!buffer_printf(out, err, "%s_bucket", row->name) ||
            !write_labels(out, row, i, 0, bound, err) ||
            !buffer_printf(out, err, " %llu\n", (unsigned long long)sum))
            return false;
    }
    return buffer_printf(out, err, "%s_sum", row->name) &&
           write_labels(out, row, i, 0, NULL, err) &&
           buffer_printf(out, err, " %.15g\n%s_count", (double)cells[count + 1] / US_PER_S,
                         row->name) &&
           write_labels(out, row, i, 0, NULL, err) &&
           buffer_printf(out, err, " %llu\n", (unsigned long long)sum);
}

static bool write_value(struct buffer *out, const struct metric_row *row, size_t i, size_t j,
                        struct error *err)
{
    uint64_t bits = *cell_at(row, i, j);
    if (is_open(row) && bits == 0)
        return true;
    if (!buffer_printf(out, err, "%s", row->name) || !write_labels(out, row, i, j, NULL, err))
        return false;
    if (row->type == METRIC_COUNTER)
        return buffer_printf(out, err, " %llu\n", (unsigned long long)(bits & ~PRESENT));
    double value;
    memcpy(&value, &bits, sizeof value);
    return buffer_printf(out, err, " %.15g\n", value);
}

static bool write_row(struct buffer *out, const struct metric_row *row, struct error *err)
{
    if (!buffer_printf(out, err, "# HELP %s %s.\n# TYPE %s %s\n", row->name, row->help, row->name,
                       type_words[row->type]))
        return false;
    for (size_t i = 0; i < label_size(&row->labels[0]); i++)
        for (size_t j = 0; j < label_size(&row->labels[1]); j++)
            if (row->type == METRIC_HISTOGRAM ? !write_histogram(out, row, i, err)
                                              : !write_value(out, row, i, j, err))
                return false;
    return true;
}

static void show_known(void)
{
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        const struct metric_row *row = &metric_rows[i];
        for (size_t k = 0; row->known && row->known[k][0]; k++)
            atomic_fetch_or(find_cell(row, row->known[k][0], row->known[k][1]), PRESENT);
    }
}

bool metrics_write(struct buffer *out, struct error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, show_known);
    out->cap = METRICS_TEXT_MAX;
    for (size_t i = 0; i < METRIC_COUNT; i++)
        if (!write_row(out, &metric_rows[i], err))
            return error_wrap(err, "metrics");
    return true;
}

// --- the manual page ---

void metrics_doc_man(FILE *out)
{
    fprintf(out,
            ".TH CRONWRIGHT-METRICS 7 \"\" \"cronwright %s\" \"cronwright\"\n"
            ".SH NAME\ncronwright-metrics \\- what the agent tells Prometheus\n"
            ".SH DESCRIPTION\n"
            "The agent serves these under /metrics on the listener that\n.B metrics.listen\n"
            "names, without a token, and on the admin listener for tokens of all namespaces.\n"
            "None names a namespace, a service or a repository.\n"
            "The values of some labels are words such as out-of-memory; beyond %d different ones\n"
            "they are told as other.\n"
            ".SH METRICS\n",
            CRONWRIGHT_VERSION, METRIC_WORDS_MAX - 1);
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        const struct metric_row *row = &metric_rows[i];
        fprintf(out, ".TP\n.B %s\n", row->name);
        if (row->labels[0].name)
            fprintf(out, "{%s%s%s} ", row->labels[0].name, row->labels[1].name ? ", " : "",
                    row->labels[1].name ? row->labels[1].name : "");
        fprintf(out, "%s. (%s)\n", row->help, type_words[row->type]);
    }
    fputs(".SH SEE ALSO\n.BR cronwright (1),\n.BR cronwright.yaml (5)\n", out);
}
