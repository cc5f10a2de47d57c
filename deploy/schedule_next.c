// When a schedule fires next. The controller's library looks for it on foot: by months, then days,
// then hours, then minutes, and starts over whenever one of them ends. Where clocks change, that
// shows: a walk by hours that never saw the skipped midnight goes on into the next day. So this
// goes the same way, but in strides where the clocks do not change.
#include "deploy/schedule.h"

#define DAY    86400
#define HOUR   3600
#define MINUTE 60

#define FOUR_YEARS (4 * 365 + 1) // in days

struct walk {
    const struct schedule *schedule;
    const struct zone *zone;
    const struct zone_span *span; // the one that `at` is in
    int64_t at;
    int64_t days; // what the clocks show at `at`: of `date`, since 1970
    struct zone_date date;
    int seconds;  // since midnight
    bool stepped; // once, to begin a step, whatever is smaller than it goes back to its least
};

static void walk_to(struct walk *walk, int64_t at)
{
    if (at < walk->span->from || at >= walk->span->until)
        walk->span = zone_span_at(walk->zone, at);
    int64_t shown = at + walk->span->offset;
    int64_t days = shown / DAY - (shown % DAY < 0);
    if (days != walk->days)
        walk->date = zone_date(days);
    walk->at = at;
    walk->days = days;
    walk->seconds = (int)(shown - days * DAY);
}

// To a date and a time of day as the clocks show them.
static void walk_to_date(struct walk *walk, int month, int day, int seconds)
{
    walk_to(walk, zone_moment(walk->zone, walk->date.year, month, day, 0, 0, seconds));
}

// Each of these goes on until its part of the time fits. False: it came past the end of the next
// larger part, which is to be looked at again.

static bool seek_month(struct walk *walk)
{
    while (!schedule_has(walk->schedule->month, walk->date.month)) {
        if (!walk->stepped)
            walk_to_date(walk, walk->date.month, 1, 0);
        walk->stepped = true;
        walk_to_date(walk, walk->date.month + 1, walk->date.day, walk->seconds);
        if (walk->date.month == 1)
            return false;
    }
    return true;
}

static bool day_fits(const struct schedule *schedule, int day, int weekday)
{
    bool by_day = schedule_has(schedule->day, day);
    bool by_weekday = schedule_has(schedule->weekday, weekday);
    if (schedule->day_starred || schedule->weekday_starred)
        return by_day && by_weekday;
    return by_day || by_weekday;
}

// How many days it is to the next that fits, or to the first of the next month.
static int days_ahead(const struct walk *walk)
{
    int last = zone_month_days(walk->date.year, walk->date.month);
    int ahead = 1;
    while (walk->date.day + ahead <= last &&
           !day_fits(walk->schedule, walk->date.day + ahead, (walk->date.weekday + ahead) % 7))
        ahead++;
    return ahead;
}

static void next_day(struct walk *walk)
{
    int64_t before = walk->at;
    int64_t stride = (int64_t)days_ahead(walk) * DAY;
    // Shortly before a clock change, a midnight may be one of two.
    if (walk->seconds == 0 && walk->at + stride + DAY < walk->span->until) {
        walk_to(walk, walk->at + stride);
        return;
    }
    walk_to_date(walk, walk->date.month, walk->date.day + 1, walk->seconds);
    // Where midnight is skipped, the date began at another hour.
    int hour = walk->seconds / HOUR;
    if (hour > 12)
        walk_to(walk, walk->at + (24 - hour) * HOUR);
    else if (hour > 0)
        walk_to(walk, walk->at - hour * HOUR);
    // A whole day was skipped (Samoa, 2011), at which the controller's library would stay for ever.
    if (walk->at <= before)
        walk_to(walk, walk->span->until);
}

static bool seek_day(struct walk *walk)
{
    while (!day_fits(walk->schedule, walk->date.day, walk->date.weekday)) {
        if (!walk->stepped)
            walk_to_date(walk, walk->date.month, walk->date.day, 0);
        walk->stepped = true;
        next_day(walk);
        if (walk->date.day == 1)
            return false;
    }
    return true;
}

// To the next value of the set, or to the least one there is; not beyond a clock change at once.
static void next_value(struct walk *walk, uint64_t set, int value, int count, int unit)
{
    uint64_t larger = set >> value >> 1;
    int ahead = larger ? __builtin_ctzll(larger) + 1 : count - value;
    bool changes = walk->at + (int64_t)ahead * unit >= walk->span->until;
    walk_to(walk, walk->at + (changes ? unit : (int64_t)ahead * unit));
}

static bool seek_hour(struct walk *walk)
{
    while (!schedule_has(walk->schedule->hour, walk->seconds / HOUR)) {
        if (!walk->stepped)
            walk_to_date(walk, walk->date.month, walk->date.day,
                         walk->seconds - walk->seconds % HOUR);
        walk->stepped = true;
        next_value(walk, walk->schedule->hour, walk->seconds / HOUR, 24, HOUR);
        if (walk->seconds / HOUR == 0)
            return false;
    }
    return true;
}

static bool seek_minute(struct walk *walk)
{
    while (!schedule_has(walk->schedule->minute, walk->seconds / MINUTE % 60)) {
        if (!walk->stepped)
            walk_to(walk, walk->at - walk->at % MINUTE);
        walk->stepped = true;
        next_value(walk, walk->schedule->minute, walk->seconds / MINUTE % 60, 60, MINUTE);
        if (walk->seconds / MINUTE % 60 == 0)
            return false;
    }
    return true;
}

static bool seek_second(struct walk *walk)
{
    if (walk->seconds % MINUTE == 0)
        return true;
    walk->stepped = true;
    while (walk->seconds % MINUTE != 0)
        next_value(walk, 0, walk->seconds % MINUTE, MINUTE, 1);
    return false;
}

static bool has_values(const struct schedule *schedule)
{
    return schedule->minute && schedule->hour && schedule->month &&
           (schedule->day || schedule->weekday);
}

bool schedule_fits(const struct schedule *schedule, const struct zone_date *date, int hour,
                   int minute)
{
    return schedule_has(schedule->minute, minute) && schedule_has(schedule->hour, hour) &&
           schedule_has(schedule->month, date->month) &&
           day_fits(schedule, date->day, date->weekday);
}

bool schedule_fires(const struct schedule *schedule)
{
    if (schedule->every_seconds)
        return true;
    // Within these days there are all dates.
    for (int64_t day = 0; day < FOUR_YEARS && has_values(schedule); day++) {
        struct zone_date date = zone_date(day);
        if (schedule_has(schedule->month, date.month) && day_fits(schedule, date.day, date.weekday))
            return true;
    }
    return false;
}

bool schedule_next(const struct schedule *schedule, const struct zone *zone, int64_t after,
                   int64_t *out)
{
    if (schedule->every_seconds)
        return !__builtin_add_overflow(after, schedule->every_seconds, out);
    struct walk walk = {.schedule = schedule,
                        .zone = zone,
                        .span = zone_span_at(zone, after + 1),
                        .days = INT64_MIN};
    walk_to(&walk, after + 1);
    int last_year = walk.date.year + SCHEDULE_YEARS_MAX;
    while (has_values(schedule) && walk.date.year <= last_year) {
        if (seek_month(&walk) && seek_day(&walk) && seek_hour(&walk) && seek_minute(&walk) &&
            seek_second(&walk)) {
            *out = walk.at;
            return true;
        }
    }
    return false;
}
