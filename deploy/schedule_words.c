// A schedule as a sentence.
#include "agent/base/buffer.h"
#include "deploy/schedule.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#define TIMES_NAMED  6 // so many times of a day are named one by one
#define HOURS_ALL    ((UINT64_C(1) << 24) - 1)
#define DAYS_ALL     ((UINT64_C(1) << 32) - 2)
#define MONTHS_ALL   ((UINT64_C(1) << 13) - 2)
#define WEEKDAYS_ALL ((UINT64_C(1) << 7) - 1)

static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};
// In the order in which people name them.
static const char *const weekdays[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                       "Friday", "Saturday", "Sunday"};

static int count(uint64_t set)
{
    return __builtin_popcountll(set);
}

static int least(uint64_t set)
{
    return set ? __builtin_ctzll(set) : 0;
}

static int most(uint64_t set)
{
    return set ? 63 - __builtin_clzll(set) : 0;
}

// Without gaps, and of several values.
static bool is_range(uint64_t set)
{
    return count(set) > 1 && most(set) - least(set) + 1 == count(set);
}

// The N of "*/N" that this is in a field of `size` values from 0, evenly; else 0.
static int even_step(uint64_t set, int size)
{
    int step = count(set) > 1 ? size / count(set) : size;
    uint64_t expected = 0;
    for (int value = 0; value < size; value += step)
        expected |= UINT64_C(1) << value;
    return set == expected && size % step == 0 ? step : 0;
}

static void put_value(FILE *out, int value, const char *const *words, int first)
{
    if (words)
        (void)fputs(words[value - first], out);
    else
        (void)fprintf(out, "%d", value);
}

// "1, 3 and 5 to 8", of numbers or, counted from `first`, of words.
static void put_set(FILE *out, uint64_t set, const char *const *words, int first)
{
    for (const char *between = ""; set; between = ", ") {
        int begin = least(set);
        int end = begin;
        while (schedule_has(set, end + 1))
            end++;
        if (end - begin < 2) // two are named one by one
            end = begin;
        set &= ~((UINT64_C(2) << end) - 1);
        (void)fputs(*between && !set ? " and " : between, out);
        put_value(out, begin, words, first);
        if (end > begin) {
            (void)fputs(" to ", out);
            put_value(out, end, words, first);
        }
    }
}

// --- days ---

static uint64_t from_monday(uint64_t weekday_set)
{
    return weekday_set >> 1 | (weekday_set & 1) << 6;
}

// Which of the two fields decide. Neither: every day.
struct day_rule {
    bool by_day, by_weekday;
};

static struct day_rule day_rule(const struct schedule *schedule)
{
    bool any_day = schedule->day == DAYS_ALL;
    bool any_weekday = schedule->weekday == WEEKDAYS_ALL;
    if (schedule->day_starred || schedule->weekday_starred)
        return (struct day_rule){!any_day, !any_weekday};
    if (any_day || any_weekday)
        return (struct day_rule){false, false};
    return (struct day_rule){schedule->day != 0, schedule->weekday != 0};
}

static void put_months(FILE *out, const struct schedule *schedule, const char *before,
                       const char *otherwise)
{
    if (schedule->month == MONTHS_ALL) {
        (void)fputs(otherwise, out);
        return;
    }
    (void)fputs(before, out);
    put_set(out, schedule->month, months, 1);
}

static void put_dates(FILE *out, const struct schedule *schedule)
{
    if (count(schedule->day) == 1 && count(schedule->month) == 1) {
        (void)fprintf(out, "on %d ", least(schedule->day));
        put_set(out, schedule->month, months, 1);
        return;
    }
    (void)fputs(count(schedule->day) == 1 ? "on day " : "on days ", out);
    put_set(out, schedule->day, NULL, 0);
    put_months(out, schedule, " of ", " of every month");
}

static void put_weekdays(FILE *out, const struct schedule *schedule)
{
    (void)fputs(count(schedule->weekday) == 1 ? "every " : "", out);
    put_set(out, from_monday(schedule->weekday), weekdays, 0);
    put_months(out, schedule, " in ", "");
}

static void put_days(FILE *out, const struct schedule *schedule, const char *every_day)
{
    struct day_rule rule = day_rule(schedule);
    if (rule.by_day)
        put_dates(out, schedule);
    if (rule.by_day && rule.by_weekday)
        (void)fputs(", and ", out);
    if (rule.by_weekday)
        put_weekdays(out, schedule);
    if (!rule.by_day && !rule.by_weekday) {
        (void)fputs(every_day, out);
        put_months(out, schedule, *every_day ? " in " : "in ", "");
    }
}

static bool is_every_day(const struct schedule *schedule)
{
    struct day_rule rule = day_rule(schedule);
    return !rule.by_day && !rule.by_weekday && schedule->month == MONTHS_ALL;
}

// --- times of the day ---

static void put_times(FILE *out, const struct schedule *schedule)
{
    int left = count(schedule->hour) * count(schedule->minute);
    const char *between = " at ";
    for (int minute = 0; minute < 24 * 60; minute++) {
        if (!schedule_has(schedule->hour, minute / 60) ||
            !schedule_has(schedule->minute, minute % 60))
            continue;
        (void)fprintf(out, "%s%02d:%02d", between, minute / 60, minute % 60);
        between = --left == 1 ? " and " : ", ";
    }
}

static void put_minutes(FILE *out, const struct schedule *schedule)
{
    int step = even_step(schedule->minute, 60);
    if (step == 60)
        (void)fputs("every hour", out);
    else if (step > 1)
        (void)fprintf(out, "every %d minutes", step);
    else if (step == 1)
        (void)fputs("every minute", out);
    else
        (void)fputs(count(schedule->minute) == 1 ? "at minute " : "at minutes ", out);
    if (step == 0)
        put_set(out, schedule->minute, NULL, 0);
}

static void put_hours(FILE *out, const struct schedule *schedule)
{
    bool named = even_step(schedule->minute, 60) == 0;
    if (schedule->hour == HOURS_ALL) {
        (void)fputs(named ? " of every hour" : "", out);
    } else if (is_range(schedule->hour) && !named) {
        (void)fprintf(out, " from %02d:%02d to %02d:%02d", least(schedule->hour),
                      least(schedule->minute), most(schedule->hour), most(schedule->minute));
    } else {
        (void)fputs(count(schedule->hour) == 1 ? " of hour " : " of hours ", out);
        put_set(out, schedule->hour, NULL, 0);
    }
}

static void put_frequent(FILE *out, const struct schedule *schedule)
{
    int hours = even_step(schedule->hour, 24);
    if (schedule->minute == 1 && hours > 1) {
        (void)fprintf(out, "every %d hours", hours);
    } else {
        put_minutes(out, schedule);
        put_hours(out, schedule);
    }
    if (!is_every_day(schedule))
        (void)fputs(", ", out);
    put_days(out, schedule, "");
}

static void put_every(FILE *out, int64_t seconds)
{
    static const struct {
        int64_t seconds;
        const char *name;
    } units[] = {{3600, "hour"}, {60, "minute"}, {1, "second"}};
    int64_t left = seconds;
    (void)fputs("every", out);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        int64_t number = left / units[i].seconds;
        left %= units[i].seconds;
        if (seconds == units[i].seconds)
            (void)fprintf(out, " %s", units[i].name);
        else if (number > 0)
            (void)fprintf(out, " %" PRId64 " %s%s", number, units[i].name, number == 1 ? "" : "s");
    }
}

char *schedule_describe(const struct schedule *schedule)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        abort();
    if (schedule->every_seconds) {
        put_every(out, schedule->every_seconds);
    } else if (!schedule_fires(schedule)) {
        (void)fputs("never", out);
    } else if (count(schedule->hour) * count(schedule->minute) <= TIMES_NAMED) {
        put_days(out, schedule, "every day");
        put_times(out, schedule);
    } else {
        put_frequent(out, schedule);
    }
    if (fclose(out) != 0)
        abort();
    *text = (char)toupper((unsigned char)*text);
    return text;
}
