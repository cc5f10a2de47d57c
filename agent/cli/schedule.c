// schedule: what a cron expression means and when it fires, or where it is wrong.

#include "deploy/schedule_answer.h"

#include "agent/base/file.h"
#include "agent/base/text.h"
#include "agent/cli/session.h"
#include "agent/cli/table.h"

#include <stdio.h>
#include <string.h>

#define FILE_MAX ((size_t)1 << 20)

struct source {
    struct schedule_question question; // but for the expression
    struct zone *zone;                 // NULL: zone_error says why
    struct error zone_error;
};

static bool open_source(const struct session *session, struct source *out, struct error *err)
{
    const struct call *call = session->call;
    bool given = call->operand_count > 0;
    if (given == call_has(call, OPTION_FILE))
        return error_set(err, ERR_INVALID, "give %s EXPRESSION or --file",
                         given ? "either an" : "an");
    const char *zone = call->text[OPTION_TIME_ZONE];
    size_t count =
        call_has(call, OPTION_TIMES) ? (size_t)call->number[OPTION_TIMES] : SCHEDULE_COUNT_DEFAULT;
    out->question = (struct schedule_question){
        .time_zone = zone ? zone : "", .from = session->now.ms / 1000, .count = count};
    if (call_has(call, OPTION_FROM) &&
        !schedule_read_from(call->text[OPTION_FROM], &out->question.from, err))
        return error_wrap(err, "--from");
    if (!zone_open(out->question.time_zone, &out->zone, &out->zone_error))
        out->zone = NULL;
    return true;
}

// --- answers ---

// Seconds are shown if any time has some, as those of "@every 45s".
static bool has_seconds(const json_t *times)
{
    for (size_t i = 0; i < json_array_size(times); i++) {
        if (field_time(json_array_get(times, i), "utc").ms % 60000 != 0)
            return true;
    }
    return false;
}

static void print_times(const struct session *session, const struct zone *zone, const json_t *times)
{
    static const char *const headers[] = {"LOCAL", "UTC"};
    static const char *const weekdays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    struct table table = {.screen = &session->screen, .headers = headers, .columns = 2};
    bool seconds = has_seconds(times);
    for (size_t i = 0; i < json_array_size(times); i++) {
        const json_t *time = json_array_get(times, i);
        struct zone_clock clock;
        char second[8] = "";
        zone_clock(zone, field_time(time, "utc").ms / 1000, &clock);
        if (seconds)
            (void)snprintf(second, sizeof(second), ":%02d", clock.second % 60);
        table_cell(&table, "%s %04d-%02d-%02d %02d:%02d%s %s", weekdays[clock.weekday], clock.year,
                   clock.month, clock.day, clock.hour, clock.minute, second, clock.abbreviation);
        table_cell(&table, "%s", field(time, "utc"));
    }
    table_print(&table, false, stdout);
    table_finish(&table);
}

static void print_answer(struct session *session, const struct zone *zone, const json_t *answer)
{
    const char *name = field(answer, "timeZone");
    (void)printf("%s, %s\n", field(answer, "sentence"), name[0] != '\0' ? name : "UTC");
    print_times(session, zone, json_at(answer, "times", NULL));
    const json_t *warnings = json_at(answer, "warnings", NULL);
    for (size_t i = 0; i < json_array_size(warnings); i++)
        screen_say(&session->screen, MARK_WARNING, "%s",
                   json_string_value(json_array_get(warnings, i)));
}

// What was asked, with the errors in place of an answer.
static json_t *wrong_json(const struct schedule_question *question, const json_t *errors)
{
    return json_pack("{s:o, s:o, s:O}", "expression", json_text(question->expression), "timeZone",
                     json_text_or_null(question->time_zone), "errors", json_unconst(errors));
}

// Under the detail, the expression and a caret for each column that is wrong.
static void print_error(struct session *session, const char *expression, const json_t *error)
{
    struct error shown;
    const char *detail = field(error, "detail");
    size_t offset = (size_t)field_int(error, "offset", 0);
    size_t len = (size_t)field_int(error, "length", 0);
    if (len == 0 || strlen(expression) > SCHEDULE_TEXT_MAX) {
        (void)error_set(&shown, ERR_INVALID, "schedule: %s", detail);
    } else {
        CLEANUP(free_ptr) char *all = text_clean(expression);
        CLEANUP(free_ptr) char *prefix = xstrndup(expression, offset);
        CLEANUP(free_ptr) char *before = text_clean(prefix);
        CLEANUP(free_ptr) char *wrong = xstrndup(expression + offset, len);
        CLEANUP(free_ptr) char *clean = text_clean(wrong);
        char carets[SCHEDULE_TEXT_MAX + 1] = "";
        memset(carets, '^', text_width(clean));
        (void)error_set(&shown, ERR_INVALID, "schedule: %s\n%s\n%*s%s", detail, all,
                        (int)text_width(before), "", carets);
    }
    screen_error(&session->screen, &shown);
}

static int answer_one(struct session *session, struct source *source)
{
    CLEANUP(json_ptr) json_t *answer = NULL;
    source->question.expression = session->call->operands[0];
    bool right = schedule_answer(&source->question, source->zone, &source->zone_error, &answer);
    if (session_wants_json(session)) {
        CLEANUP(json_ptr)
        json_t *json = right ? json_incref(answer) : wrong_json(&source->question, answer);
        screen_json(json);
    } else if (right) {
        print_answer(session, source->zone, answer);
    }
    for (size_t i = 0; !right && i < json_array_size(answer); i++)
        print_error(session, source->question.expression, json_array_get(answer, i));
    return right ? STATUS_OK : STATUS_FAILED;
}

// --- many, of a file ---

struct batch {
    struct session *session;
    struct source *source;
    const char *name; // of the file
    json_t *list;     // NULL: for people
    size_t line, count, wrong;
};

static void answer_line(struct batch *batch, const char *expression)
{
    struct session *session = batch->session;
    struct source *source = batch->source;
    CLEANUP(json_ptr) json_t *answer = NULL;
    source->question.expression = expression;
    bool right = schedule_answer(&source->question, source->zone, &source->zone_error, &answer);
    batch->wrong += !right;
    if (batch->list) {
        json_t *json = right ? json_incref(answer) : wrong_json(&source->question, answer);
        json_object_set_new(json, "line", json_integer((json_int_t)batch->line));
        json_array_append_new(batch->list, json);
        return;
    }
    if (right) {
        CLEANUP(free_ptr) char *clean = text_clean(expression);
        (void)printf("%s%s\n", batch->count > 1 ? "\n" : "", clean);
        print_answer(session, source->zone, answer);
    }
    for (size_t i = 0; !right && i < json_array_size(answer); i++) {
        const json_t *error = json_array_get(answer, i);
        screen_say(&session->screen, MARK_FAILED, "%s:%zu:%d \"%s\": %s", batch->name, batch->line,
                   (int)field_int(error, "offset", 0) + 1, expression, field(error, "detail"));
    }
}

// Cuts the text into lines.
static void answer_lines(struct batch *batch, char *text)
{
    for (char *line; (line = strsep(&text, "\n")) != NULL;) {
        size_t len = strlen(line);
        batch->line++;
        if (len > 0 && line[len - 1] == '\r')
            line[len - 1] = '\0';
        const char *first = line + strspn(line, " \t");
        if (*first == '\0' || *first == '#')
            continue;
        batch->count++;
        answer_line(batch, line);
    }
}

static bool read_schedules(const char *path, struct buffer *out, struct error *err)
{
    if (!file_read(strcmp(path, "-") == 0 ? "/dev/stdin" : path, FILE_MAX, out, err))
        return false;
    if (memchr(buffer_text(out), '\0', out->len) != NULL)
        return error_set(err, ERR_IO, "%s: no text: there is a NUL byte in it", path);
    return true;
}

static int answer_file(struct session *session, struct source *source)
{
    const char *path = session->call->text[OPTION_FILE];
    CLEANUP(buffer_finish) struct buffer text = {0};
    struct error err;
    if (!read_schedules(path, &text, &err))
        return session_fail(session, &err);
    CLEANUP(json_ptr) json_t *list = session_wants_json(session) ? json_array() : NULL;
    struct batch batch = {.session = session,
                          .source = source,
                          .name = strcmp(path, "-") == 0 ? "(standard input)" : path,
                          .list = list};
    if (text.len > 0)
        answer_lines(&batch, text.data);
    if (list)
        screen_json(list);
    if (batch.wrong > 0)
        screen_say(&session->screen, MARK_FAILED, "%zu of %zu %s wrong", batch.wrong, batch.count,
                   batch.wrong == 1 ? "is" : "are");
    return batch.wrong > 0 ? STATUS_FAILED : STATUS_OK;
}

int command_schedule(struct session *session)
{
    struct source source = {0};
    struct error err;
    if (!open_source(session, &source, &err))
        return session_fail(session, &err);
    int status = session->call->operand_count > 0 ? answer_one(session, &source)
                                                  : answer_file(session, &source);
    zone_close(source.zone);
    return status;
}
