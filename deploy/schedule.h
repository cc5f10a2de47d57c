// Schedules of CronJobs: exactly the grammar and the times of the CronJob controller, which uses
// robfig/cron v3's ParseStandard() and Next(). Any thread.
#ifndef CRONWRIGHT_DEPLOY_SCHEDULE_H
#define CRONWRIGHT_DEPLOY_SCHEDULE_H

#include "agent/base/json.h"
#include "agent/base/zone.h"

#define SCHEDULE_TEXT_MAX  256 // bytes of an expression
#define SCHEDULE_YEARS_MAX 5   // beyond that a schedule is said never to fire
#define SCHEDULE_COUNT_MAX 1000
#define SCHEDULE_FIELDS    5

struct schedule {
    // A bit for each value. A field of commas alone has none, and never fits.
    uint64_t minute, hour, day, month, weekday;
    // The field has a "*" or "?" without a step, or with step 1. Then both day fields must fit,
    // else one of them is enough.
    bool day_starred, weekday_starred;
    int64_t every_seconds; // of "@every 90m"; 0: the fields count
    // For the warnings: the last N > 1 of a "*/N" in each field (64 also for more; 0: none), and
    // whether there is a "*-x", which is taken for "*".
    uint8_t star_step[SCHEDULE_FIELDS];
    bool tail_ignored;
};

// Whether a field's set has a value in 0 … 63.
static inline bool schedule_has(uint64_t set, int value)
{
    return (set >> value & 1) != 0;
}

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

// The first time after `after` (Unix seconds). False: not within SCHEDULE_YEARS_MAX years. "@every"
// counts from `after`. When clocks change it does what the controller does, odd as that may be;
// after ZONE_END no such changes are known.
bool schedule_next(const struct schedule *schedule, const struct zone *zone, int64_t after,
                   int64_t *out);

// Whether the fields fit what clocks show; not for "@every".
bool schedule_fits(const struct schedule *schedule, const struct zone_date *date, int hour,
                   int minute);

// Whether there is a date at all on which it fires.
bool schedule_fires(const struct schedule *schedule);

// A sentence in plain English: "Every day at 02:30". Without the zone, without a full stop. The
// caller frees.
char *schedule_describe(const struct schedule *schedule) __attribute__((returns_nonnull));

// What surprises people, as an array of sentences: both day fields, steps that do not divide,
// never firing, every minute, and the hours that a clock change within the year after `from` skips
// or doubles (all of these in one sentence, the last). Empty when there is nothing.
json_t *schedule_warnings(const struct schedule *schedule, const struct zone *zone, int64_t from)
    __attribute__((returns_nonnull));

#endif
