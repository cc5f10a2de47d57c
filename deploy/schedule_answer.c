#include "deploy/schedule_answer.h"

#include <stdio.h>

#define LOCAL_SIZE 64

// "2026-03-28T02:30:00+01:00"
static json_t *local_json(const struct zone_clock *clock)
{
    char text[LOCAL_SIZE];
    int east = abs(clock->offset) / 60;
    (void)snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d%c%02d:%02d", clock->year,
                   clock->month, clock->day, clock->hour, clock->minute, clock->second,
                   clock->offset < 0 ? '-' : '+', east / 60, east % 60);
    return json_string(text);
}

static json_t *time_json(const struct zone *zone, int64_t at)
{
    char utc[RFC3339_SIZE];
    struct zone_clock clock;
    zone_clock(zone, at, &clock);
    wall_format((struct wall_time){at * 1000}, false, utc);
    return json_pack("{s:o, s:s, s:s}", "local", local_json(&clock), "zone", clock.abbreviation,
                     "utc", utc);
}

// False: there are more, beyond what is known of clock changes.
static bool list_times(const struct schedule *schedule, const struct zone *zone,
                       const struct schedule_question *question, json_t *times)
{
    int64_t at = question->from;
    for (size_t i = 0; i < question->count && schedule_next(schedule, zone, at, &at); i++) {
        if (at >= ZONE_END)
            return false;
        json_array_append_new(times, time_json(zone, at));
    }
    return true;
}

static json_t *answer_json(const struct schedule_question *question, const struct zone *zone,
                           const struct schedule *schedule)
{
    CLEANUP(free_ptr) char *sentence = schedule_describe(schedule);
    json_t *times = json_array();
    json_t *warnings = schedule_warnings(schedule, zone, question->from);
    if (!list_times(schedule, zone, question, times))
        json_array_append_new(
            warnings, json_string("Times after 2037 are left out: how clocks will be changed then "
                                  "is not known."));
    if (*question->time_zone == '\0')
        json_array_append_new(warnings, json_string(SCHEDULE_NO_ZONE));
    return json_pack("{s:o, s:o, s:s, s:o, s:o}", "expression", json_text(question->expression),
                     "timeZone", json_text_or_null(question->time_zone), "sentence", sentence,
                     "times", times, "warnings", warnings);
}

bool schedule_answer(const struct schedule_question *question, const struct zone *zone,
                     const struct error *zone_error, json_t **out)
{
    struct schedule schedule;
    struct schedule_fault fault;
    struct error err;
    bool parsed = schedule_parse(question->expression, &schedule, &fault, &err);
    if (parsed && zone) {
        *out = answer_json(question, zone, &schedule);
        return true;
    }
    *out = json_array();
    if (!parsed)
        json_array_append_new(*out, json_pack("{s:s, s:o, s:s, s:I, s:I}", "pointer", "/expression",
                                              "detail", json_text(err.text), "field", fault.field,
                                              "offset", (json_int_t)fault.offset, "length",
                                              (json_int_t)fault.len));
    if (!zone)
        json_array_append_new(*out, json_pack("{s:s, s:o}", "pointer", "/timeZone", "detail",
                                              json_text(zone_error->text)));
    return false;
}

bool schedule_read_from(const char *text, int64_t *out, struct error *err)
{
    struct wall_time from;
    if (!wall_parse(text, &from))
        return error_set(err, ERR_INVALID,
                         "\"%s\" is no time in RFC 3339, such as 2026-03-28T00:00:00Z", text);
    int64_t seconds = from.ms / 1000 - (from.ms % 1000 < 0);
    if (seconds < ZONE_BEGIN || seconds >= ZONE_END)
        return error_set(err, ERR_INVALID, "\"%s\" is not in the years %d to %d", text,
                         ZONE_YEAR_MIN, ZONE_YEAR_MAX);
    *out = seconds;
    return true;
}
