#include "agent/cli/times.h"

#include "agent/base/buffer.h"
#include "agent/base/text.h"
#include "agent/base/zone.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MINUTE 60
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define WEEK   (6 * DAY) // within which a weekday is enough

void duration_text(int64_t ms, char out[static TIME_TEXT_SIZE])
{
    int64_t s = ms > 0 ? ms / 1000 : 0;
    if (s < MINUTE)
        (void)snprintf(out, TIME_TEXT_SIZE, "%" PRId64 "s", s);
    else if (s < HOUR)
        (void)snprintf(out, TIME_TEXT_SIZE, "%" PRId64 "m%02" PRId64 "s", s / MINUTE, s % MINUTE);
    else if (s < DAY)
        (void)snprintf(out, TIME_TEXT_SIZE, "%" PRId64 "h%02" PRId64 "m", s / HOUR,
                       s % HOUR / MINUTE);
    else
        (void)snprintf(out, TIME_TEXT_SIZE, "%" PRId64 "d%02" PRId64 "h", s / DAY, s % DAY / HOUR);
}

void seconds_text(double seconds, char out[static TIME_TEXT_SIZE])
{
    // 9.95 would be written as 10.0.
    (void)snprintf(out, TIME_TEXT_SIZE, seconds < 9.95 ? "%.1fs" : "%.0fs", seconds);
}

void ago_text(struct wall_time then, struct wall_time now, char out[static TIME_TEXT_SIZE])
{
    static const struct {
        int64_t upto; // seconds
        int64_t unit;
        const char *letter;
    } units[] = {
        {MINUTE, 1, "s"}, {HOUR, MINUTE, "m"}, {2 * DAY, HOUR, "h"}, {INT64_MAX, DAY, "d"}};

    int64_t s = (now.ms - then.ms) / 1000;
    if (then.ms == 0) {
        (void)text_copy(out, TIME_TEXT_SIZE, "-");
        return;
    }
    if (s == 0) {
        (void)text_copy(out, TIME_TEXT_SIZE, "now");
        return;
    }
    int64_t distance = s < 0 ? -s : s;
    size_t unit = 0;
    while (distance >= units[unit].upto)
        unit++;
    (void)snprintf(out, TIME_TEXT_SIZE, "%s%" PRId64 "%s%s", s < 0 ? "in " : "",
                   distance / units[unit].unit, units[unit].letter, s < 0 ? "" : " ago");
}

static struct tm local_time(struct wall_time time)
{
    time_t seconds = (time_t)(time.ms / 1000);
    struct tm local = {0};
    (void)localtime_r(&seconds, &local);
    return local;
}

void wall_text(struct wall_time then, struct wall_time now, char out[static TIME_TEXT_SIZE])
{
    struct tm at = local_time(then);
    bool this_year = at.tm_year == local_time(now).tm_year;
    if (then.ms == 0)
        (void)text_copy(out, TIME_TEXT_SIZE, "-");
    else
        (void)strftime(out, TIME_TEXT_SIZE, this_year ? "%d %b %H:%M" : "%d %b  %Y", &at);
}

void wall_short_text(struct wall_time then, struct wall_time now, char out[static TIME_TEXT_SIZE])
{
    struct tm at = local_time(then);
    struct tm today = local_time(now);
    if (then.ms != 0 && at.tm_year == today.tm_year && at.tm_yday == today.tm_yday)
        (void)strftime(out, TIME_TEXT_SIZE, "%H:%M:%S", &at);
    else
        wall_text(then, now, out);
}

void zone_text(struct wall_time now, char out[static TIME_TEXT_SIZE])
{
    struct tm local = local_time(now);
    const char *zone = getenv("TZ");
    const char *city = zone ? strrchr(zone, '/') : NULL;
    // An unknown zone counts as UTC, whatever its name says.
    bool known = local.tm_gmtoff != 0 || strcmp(local.tm_zone, "UTC") == 0 ||
                 strcmp(local.tm_zone, "GMT") == 0;
    if (city != NULL && city[1] != '\0' && known && strlen(city + 1) < TIME_TEXT_SIZE)
        (void)text_copy(out, TIME_TEXT_SIZE, city + 1);
    else
        (void)text_copy(out, TIME_TEXT_SIZE, local.tm_zone);
}

void zoned_text(struct wall_time then, struct wall_time now, const char *zone,
                char out[static ZONED_TEXT_SIZE])
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    CLEANUP(zone_ptr) struct zone *place = NULL;
    struct zone_clock clock;
    if (then.ms == 0) {
        (void)text_copy(out, ZONED_TEXT_SIZE, "-");
        return;
    }
    if (zone[0] == '\0' || !zone_open(zone, &place, NULL)) {
        zone = "UTC";
        if (!zone_open(zone, &place, NULL)) { // it needs no files
            (void)text_copy(out, ZONED_TEXT_SIZE, "-");
            return;
        }
    }
    zone_clock(place, then.ms / 1000, &clock);
    int64_t away = (then.ms - now.ms) / 1000;
    if (away >= 0 && away < WEEK)
        (void)snprintf(out, ZONED_TEXT_SIZE, "%s %02d:%02d %s", days[clock.weekday], clock.hour,
                       clock.minute, zone);
    else
        (void)snprintf(out, ZONED_TEXT_SIZE, "%02d %s %02d:%02d %s", clock.day,
                       months[clock.month - 1], clock.hour, clock.minute, zone);
}

void until_text(struct wall_time then, struct wall_time now, char out[static TIME_TEXT_SIZE])
{
    char text[TIME_TEXT_SIZE];
    ago_text(then, now, text);
    (void)text_copy(out, TIME_TEXT_SIZE, text_starts(text, "in ") ? text + strlen("in ") : "-");
}
