// Time zones: wall time of a place. The zones are the machine's (package tzdata).
#ifndef CRONWRIGHT_BASE_ZONE_H
#define CRONWRIGHT_BASE_ZONE_H

#include "agent/base/clock.h"
#include "agent/base/error.h"

#define ZONE_NAME_MAX          63
#define ZONE_ABBREVIATION_SIZE 16

struct zone; // immutable, any number of threads

// By its IANA name, "Europe/Berlin", or "UTC"; "" is UTC. ERR_INVALID for what is none, or would
// lead out of the zones' directory; the text names the nearest one there is, if any.
bool zone_open(const char *name, struct zone **out, struct error *err) MUST_CHECK;
void zone_close(struct zone *zone); // NULL is fine
static inline void zone_ptr(struct zone **zone)
{
    zone_close(*zone);
}

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
// Kubernetes' controller uses: by the offset that holds before the change.
int64_t zone_moment(const struct zone *zone, int year, int month, int day, int hour, int minute,
                    int second);

#endif
