// Two clocks that cannot be mixed up: wall time for people and for Kubernetes, monotonic time for
// deadlines and durations.
#ifndef CRONWRIGHT_BASE_CLOCK_H
#define CRONWRIGHT_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wall_time {
    int64_t ms; // milliseconds since the Unix epoch; 0 means "not set"
};

struct mono_time {
    int64_t ms; // milliseconds of CLOCK_MONOTONIC; INT64_MAX means "never"
};

struct wall_time wall_now(void);
struct mono_time mono_now(void);
int64_t mono_us(void);                        // for durations below a millisecond
struct mono_time mono_after(int64_t ms);      // now + ms
int64_t mono_left(struct mono_time deadline); // ms until then, 0 when past
bool mono_past(struct mono_time deadline);
void mono_sleep(int64_t ms); // at least so long, whatever signals come

// RFC 3339 in UTC: "2026-11-24T08:01:10Z", with ".123" when `millis`. `out` holds RFC3339_SIZE
// bytes. An unset time gives "".
#define RFC3339_SIZE 32
void wall_format(struct wall_time time, bool millis, char out[static RFC3339_SIZE]);

// Parses RFC 3339 from the year 1900 on, with any offset and up to nine fractional digits (cut to
// ms), as Kubernetes writes it. False when it is not that.
bool wall_parse(const char *text, struct wall_time *out);

#endif
