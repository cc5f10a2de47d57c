// What there is to say about a schedule, as the JSON of `cronwright schedule` and GET /v1/schedule.
#ifndef CRONWRIGHT_DEPLOY_SCHEDULE_ANSWER_H
#define CRONWRIGHT_DEPLOY_SCHEDULE_ANSWER_H

#include "deploy/schedule.h"

#define SCHEDULE_COUNT_DEFAULT 5

struct schedule_question {
    const char *expression;
    const char *time_zone; // "": none is set
    int64_t from;          // Unix seconds, within ZONE_BEGIN … ZONE_END - 1
    size_t count;          // of times, 1 … SCHEDULE_COUNT_MAX
};

// *out is {expression, timeZone, sentence, times: [{local, zone, utc}], warnings}; there are fewer
// times where none come within SCHEDULE_YEARS_MAX years or before ZONE_END. False when it is no
// schedule or no zone: *out is a list of all errors, [{pointer, detail, field, offset, length}],
// the last three for the expression only. `zone` is the one of the question, and `zone_error` why
// it is NULL.
bool schedule_answer(const struct schedule_question *question, const struct zone *zone,
                     const struct error *zone_error, json_t **out) MUST_CHECK;

// The time from which to count, in RFC 3339. ERR_INVALID when it is none, or beyond the bounds.
bool schedule_read_from(const char *text, int64_t *out, struct error *err) MUST_CHECK;

#endif
