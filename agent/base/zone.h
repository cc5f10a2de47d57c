// Time zones: wall time of a place. The zones are the machine's (package tzdata).
#ifndef CRONWRIGHT_BASE_ZONE_H
#define CRONWRIGHT_BASE_ZONE_H

#include "agent/base/clock.h"
#include "agent/base/error.h"

#define ZONE_NAME_MAX          63
#define ZONE_ABBREVIATION_SIZE 16

// Clock changes are known until the end of the year 2037. Whoever takes a time from outside asks
// for these bounds.
#define ZONE_YEAR_MIN 1970
#define ZONE_YEAR_MAX 2037
#define ZONE_BEGIN    INT64_C(0)          // Unix seconds: 1970-01-01T00:00:00Z
#define ZONE_END      INT64_C(2145916800) // 2038-01-01T00:00:00Z

struct zone; // immutable, any number of threads

// By its IANA name, "Europe/Berlin", or "UTC"; "" is UTC. ERR_INVALID for what is none for
// Kubernetes, or would lead out of the zones' directory; the text names the nearest one there is,
// if any. Reads files the first time; what was read stays until the program ends.
bool zone_open(const char *name, struct zone **out, struct error *err) MUST_CHECK;
void zone_close(struct zone *zone); // NULL is fine
static inline void zone_ptr(struct zone **zone)
{
    zone_close(*zone);
}

// A stretch of time within which the clocks there are not changed.
struct zone_span {
    int64_t from, until; // Unix seconds, `until` not included; INT64_MIN, INT64_MAX at the ends
    int offset;          // seconds east of UTC
    char abbreviation[ZONE_ABBREVIATION_SIZE]; // "CET", "CEST", "+03"
};
// The one that a moment is in; belongs to the zone.
const struct zone_span *zone_span_at(const struct zone *zone, int64_t unix_seconds)
    __attribute__((returns_nonnull));

// A day, and which one: of the Gregorian calendar, as the rest here.
struct zone_date {
    int year, month, day; // month and day from 1
    int weekday;          // 0: Sunday
};
// Of so many days after 1970-01-01.
struct zone_date zone_date(int64_t days);
int zone_month_days(int year, int month);

// What the clocks there show: of a moment, in whole seconds.
struct zone_clock {
    int year, month, day; // month and day from 1
    int hour, minute, second;
    int weekday;                               // 0: Sunday
    int offset;                                // seconds east of UTC
    char abbreviation[ZONE_ABBREVIATION_SIZE]; // "CET", "CEST", "+03"
};
void zone_clock(const struct zone *zone, int64_t unix_seconds, struct zone_clock *out);

// The moment at which the clocks there show that. Values beyond their range carry over (day 32).
// What is skipped or shown twice when clocks change is resolved as Go's time.Date() does, which
// Kubernetes' controller uses: the offset is the one at that time taken as UTC, then the one at the
// moment that this gives.
int64_t zone_moment(const struct zone *zone, int year, int month, int day, int hour, int minute,
                    int second);

#endif
