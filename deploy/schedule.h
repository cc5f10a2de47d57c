// Schedules of CronJobs: exactly the grammar and the times of the CronJob controller, which uses
// robfig/cron v3's ParseStandard() and Next().
#ifndef CRONWRIGHT_DEPLOY_SCHEDULE_H
#define CRONWRIGHT_DEPLOY_SCHEDULE_H

#include "agent/base/json.h"
#include "agent/base/zone.h"

#define SCHEDULE_TEXT_MAX  256 // bytes of an expression
#define SCHEDULE_YEARS_MAX 5   // beyond that a schedule is said never to fire
#define SCHEDULE_COUNT_MAX 1000

struct schedule {
    // A bit for each value; starred: the field was "*" or "?" or began with it, unless stepped.
    uint64_t minute, hour, day, month, weekday;
    bool day_starred, weekday_starred;
    int64_t every_seconds; // of "@every 90m"; 0: the fields count
};

// Where in the expression an error is.
struct schedule_fault {
    const char *field; // "minute", "day of week"; "" when it is the whole
    size_t offset;     // bytes into the expression
    size_t len;
};

// ERR_INVALID: the text says what is wrong in which field and, where that is clear, what is meant
// ("day of week is 0-6; Sunday is 0"). `fault` may be NULL.
bool schedule_parse(const char *expression, struct schedule *out, struct schedule_fault *fault,
                    struct error *err) MUST_CHECK;

// The first time after `after` (Unix seconds). False: not within SCHEDULE_YEARS_MAX years.
bool schedule_next(const struct schedule *schedule, const struct zone *zone, int64_t after,
                   int64_t *out);

// A sentence in plain English: "Every day at 02:30". Without the zone, without a full stop. The
// caller frees.
char *schedule_describe(const struct schedule *schedule, const char *expression)
    __attribute__((returns_nonnull));

// What surprises people, as an array of sentences: both day fields, steps that do not divide,
// never firing, every minute, and the hours that a clock change within the year after `from` skips
// or doubles. Empty when there is nothing.
json_t *schedule_warnings(const struct schedule *schedule, const char *expression,
                          const struct zone *zone, int64_t from) __attribute__((returns_nonnull));

#endif
