// Times for people: how long, how long ago, and wall time in the zone of this process (TZ).
#ifndef CRONWRIGHT_CLI_TIMES_H
#define CRONWRIGHT_CLI_TIMES_H

#include "agent/base/clock.h"

#define TIME_TEXT_SIZE 32

// "20s", "4m12s", "2h05m", "3d04h".
void duration_text(int64_t ms, char out[static TIME_TEXT_SIZE]);
// "0.4s" below ten seconds, then "87s".
void seconds_text(double seconds, char out[static TIME_TEXT_SIZE]);
// "7h ago", "now", "in 17h"; "-" for an unset time.
void ago_text(struct wall_time then, struct wall_time now, char out[static TIME_TEXT_SIZE]);
// "24 Nov 10:12"; of another year "24 Nov  2025", as wide; "-" for an unset time.
void wall_text(struct wall_time then, struct wall_time now, char out[static TIME_TEXT_SIZE]);
// "10:12:09" today, else as wall_text().
void wall_short_text(struct wall_time then, struct wall_time now, char out[static TIME_TEXT_SIZE]);
// The zone those are in: "Berlin" for TZ=Europe/Berlin, else its abbreviation, "UTC".
void zone_text(struct wall_time now, char out[static TIME_TEXT_SIZE]);

// "Wed 03:00 Europe/Berlin", "24 Dec 03:00 UTC": when something is due, in the zone of a service;
// "" is UTC, and so is a zone that this machine does not know. "-" for an unset time.
#define ZONED_TEXT_SIZE 96
void zoned_text(struct wall_time then, struct wall_time now, const char *zone,
                char out[static ZONED_TEXT_SIZE]);
// "17h": how long until then; "-" for an unset time or one that is past.
void until_text(struct wall_time then, struct wall_time now, char out[static TIME_TEXT_SIZE]);

#endif
