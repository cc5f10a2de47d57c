// What surprises people about a schedule. What a clock change does is not reasoned but tried out.
#include "deploy/schedule.h"

#include <stdio.h>

#define MINUTE      60
#define HOUR        ((int64_t)3600)
#define DAY         ((int64_t)86400)
#define YEAR        (365 * DAY)
#define LOOK_BEFORE (6 * HOUR)  // a clock change, at the times that clocks show
#define LOOK_AFTER  (26 * HOUR) // a run may go astray until the next day
#define CHANGE_MAX  (25 * HOUR) // by how much clocks are changed: Samoa left out a day
#define MINUTES_MAX ((LOOK_BEFORE + LOOK_AFTER + CHANGE_MAX) / MINUTE)
#define COMMON_YEAR 2026 // no leap year
#define NAMED_MAX   4    // times that are named one by one

// --- the fields ---

static void warn_of_steps(const struct schedule *schedule, json_t *list)
{
    static const struct {
        const char *name, *period;
        int first, size;
    } fields[SCHEDULE_FIELDS] = {{"minute", "hour", 0, 60},
                                 {"hour", "day", 0, 24},
                                 {"day", "month", 1, 31},
                                 {"month", "year", 1, 12},
                                 {"day of week", "week", 0, 7}};
    for (size_t i = 0; i < SCHEDULE_FIELDS; i++) {
        int step = schedule->star_step[i];
        int size = fields[i].size;
        if (step == 0 || size % step == 0)
            continue;
        if (step > size)
            json_array_append_new(list,
                                  json_sprintf("A step beyond the %s is %s %d alone.",
                                               fields[i].period, fields[i].name, fields[i].first));
        else
            json_array_append_new(
                list, json_sprintf("*/%d begins anew with each %s: %s %d is followed by %s %d.",
                                   step, fields[i].period, fields[i].name,
                                   fields[i].first + (size - 1) / step * step, fields[i].name,
                                   fields[i].first));
    }
}

// Whether one of its months, in a common year, ends before its first day.
static bool misses_months(const struct schedule *schedule)
{
    for (int month = 1; schedule->day && month <= 12; month++) {
        if (schedule_has(schedule->month, month) &&
            zone_month_days(COMMON_YEAR, month) < __builtin_ctzll(schedule->day))
            return true;
    }
    return false;
}

static void warn_of_days(const struct schedule *schedule, json_t *list)
{
    bool either = !schedule->day_starred && !schedule->weekday_starred;
    if (either && schedule->day && schedule->weekday)
        json_array_append_new(
            list,
            json_string(
                "Day of month and day of week are both given: it runs when either of them fits."));
    else if (misses_months(schedule))
        json_array_append_new(list, json_sprintf("Months that have no day %d are passed over.",
                                                 __builtin_ctzll(schedule->day)));
}

static void warn_of_fields(const struct schedule *schedule, json_t *list)
{
    if (!schedule_fires(schedule)) {
        json_array_append_new(list,
                              json_sprintf("It never fires: %s.",
                                           schedule->minute && schedule->hour && schedule->month &&
                                                   (schedule->day || schedule->weekday)
                                               ? "none of the months has such a day"
                                               : "a field has no value"));
        return;
    }
    if (__builtin_popcountll(schedule->minute) == 60 && __builtin_popcountll(schedule->hour) == 24)
        json_array_append_new(list, json_string("It runs every minute."));
    if (schedule->tail_ignored)
        json_array_append_new(list, json_string("What follows \"*-\" is ignored: it is \"*\"."));
    warn_of_steps(schedule, list);
    warn_of_days(schedule, list);
}

static void warn_of_every(const struct schedule *schedule, json_t *list)
{
    json_array_append_new(
        list,
        json_string(
            "Counted from the run before, and at first from when the CronJob was made: not by "
            "the clock."));
    if (schedule->every_seconds < MINUTE)
        json_array_append_new(list, json_string("Kubernetes starts at most one run a minute."));
}

// --- clock changes ---

// Times that clocks show about a change: as seconds since 1970 if they were UTC.
struct change {
    int64_t at; // Unix seconds
    int before, after;
    int64_t begin;              // of the minutes
    size_t count;               //
    uint8_t runs[MINUTES_MAX];  // started at each
    uint8_t shown[MINUTES_MAX]; // how often clocks show it
    bool wanted[MINUTES_MAX];   // by the fields
};

static void count_runs(const struct schedule *schedule, const struct zone *zone,
                       struct change *change)
{
    int64_t at = change->at - LOOK_BEFORE - DAY;
    while (schedule_next(schedule, zone, at, &at) && at < change->at + LOOK_AFTER + CHANGE_MAX) {
        int64_t minute = (at + zone_span_at(zone, at)->offset - change->begin) / MINUTE;
        if (minute >= 0 && minute < (int64_t)change->count)
            change->runs[minute]++;
    }
}

static void look_at_minutes(const struct schedule *schedule, struct change *change)
{
    struct zone_date date = {0};
    for (size_t i = 0; i < change->count; i++) {
        int64_t shown = change->begin + (int64_t)i * MINUTE;
        int64_t minute = shown % DAY / MINUTE;
        if (i == 0 || minute == 0)
            date = zone_date(shown / DAY);
        change->wanted[i] = schedule_fits(schedule, &date, (int)minute / 60, (int)minute % 60);
        change->shown[i] = (uint8_t)((shown < change->at + change->before) +
                                     (shown >= change->at + change->after));
    }
}

// "02:30", "02:00, 02:20 and 02:40", "60 times from 02:00 to 02:59"
static void put_minutes(FILE *out, const struct change *change, const bool chosen[], size_t count)
{
    const char *between = "";
    size_t left = count;
    for (size_t i = 0; i < change->count; i++) {
        if (!chosen[i])
            continue;
        int minute = (int)((change->begin / MINUTE + (int64_t)i) % (24 * 60));
        left--;
        if (count <= NAMED_MAX)
            (void)fprintf(out, "%s%02d:%02d", between, minute / 60, minute % 60);
        else if (left == count - 1)
            (void)fprintf(out, "%zu times from %02d:%02d", count, minute / 60, minute % 60);
        else if (left == 0)
            (void)fprintf(out, " to %02d:%02d", minute / 60, minute % 60);
        between = left == 1 ? " and " : ", ";
    }
}

// What a minute is told of, and in which words for one and for several of them.
struct finding {
    bool wanted;
    int shown; // how often clocks show it
    int runs;
    const char *one, *several;
};
static const struct finding findings[] = {
    {true, 0, 0, "does not exist, no run", "do not exist, no runs"},
    {true, 2, 0, "twice, no run", "twice, no runs"},
    {true, 2, 1, "twice, one run", "twice, one run each"},
    {true, 2, 2, "twice, two runs", "twice, two runs each"},
    {true, 1, 0, "is passed over, no run", "are passed over, no runs"},
    {false, 1, 1, "a run, though not in the schedule", "runs, though not in the schedule"},
};

static bool put_finding(FILE *out, const struct change *change, const struct finding *finding,
                        const char *between)
{
    bool chosen[MINUTES_MAX] = {false};
    size_t count = 0;
    for (size_t i = 0; i < change->count; i++) {
        chosen[i] = change->wanted[i] == finding->wanted && change->shown[i] == finding->shown &&
                    change->runs[i] == finding->runs;
        count += chosen[i];
    }
    if (count == 0)
        return false;
    (void)fputs(between, out);
    put_minutes(out, change, chosen, count);
    (void)fprintf(out, " %s", count == 1 ? finding->one : finding->several);
    return true;
}

static void put_change(FILE *out, const struct change *change)
{
    static const char *const weekdays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    int64_t first = change->at + (change->before < change->after ? change->before : change->after);
    struct zone_date date = zone_date(first / DAY);
    CLEANUP(free_ptr)
    char *day = xasprintf("%s%s %04d-%02d-%02d: ", ftell(out) > 0 ? "  " : "",
                          weekdays[date.weekday], date.year, date.month, date.day);
    const char *between = day;
    for (size_t i = 0; i < sizeof(findings) / sizeof(findings[0]); i++) {
        if (put_finding(out, change, &findings[i], between))
            between = "; ";
    }
    if (between != day)
        (void)fputc('.', out);
}

static void try_change(const struct schedule *schedule, const struct zone *zone,
                       const struct zone_span *span, FILE *out)
{
    int before = zone_span_at(zone, span->from - 1)->offset;
    int by = span->offset - before;
    // What runs every hour runs every hour.
    bool every_hour = __builtin_popcountll(schedule->hour) == 24 && by % HOUR == 0;
    if (by == 0 || labs(by) > CHANGE_MAX || every_hour)
        return;
    struct change change = {.at = span->from, .before = before, .after = span->offset};
    int64_t least = span->from - LOOK_BEFORE + (by < 0 ? span->offset : before);
    int64_t most = span->from + LOOK_AFTER + (by < 0 ? before : span->offset);
    change.begin = least - least % MINUTE;
    change.count = (size_t)((most - change.begin) / MINUTE);
    if (change.count > MINUTES_MAX)
        change.count = MINUTES_MAX;
    look_at_minutes(schedule, &change);
    count_runs(schedule, zone, &change);
    put_change(out, &change);
}

static void warn_of_changes(const struct schedule *schedule, const struct zone *zone, int64_t from,
                            json_t *list)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        abort();
    const struct zone_span *span = zone_span_at(zone, from);
    while (span->until < from + YEAR) {
        span = zone_span_at(zone, span->until);
        try_change(schedule, zone, span, out);
    }
    if (fclose(out) != 0)
        abort();
    if (*text)
        json_array_append_new(list, json_string(text));
    free(text);
}

json_t *schedule_warnings(const struct schedule *schedule, const struct zone *zone, int64_t from)
{
    json_t *list = json_array();
    if (schedule->every_seconds) {
        warn_of_every(schedule, list);
        return list;
    }
    warn_of_fields(schedule, list);
    if (schedule_fires(schedule))
        warn_of_changes(schedule, zone, from, list);
    return list;
}
