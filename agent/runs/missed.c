#include "agent/runs/missed.h"
#include "agent/base/text.h"
#include "deploy/schedule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MS        ((int64_t)24 * 60 * 60 * 1000)
// An agent says so often that it is there that it may be gone so long when it was last heard of.
#define SEEN_SLACK_MS 30000

struct wall_time missed_due_of(const char *run_name)
{
    const char *dash = strrchr(run_name, '-');
    int64_t minutes;
    if (!dash || !text_to_int(dash + 1, 1, INT64_MAX / 60000, &minutes))
        return (struct wall_time){0};
    return (struct wall_time){minutes * 60000};
}

void missed_past_run(const char *name, struct wall_time scheduled, struct wall_time created,
                     struct wall_time finished, struct past_run *out)
{
    text_copy(out->name, sizeof out->name, name);
    out->due = scheduled.ms ? scheduled : missed_due_of(name);
    out->created = created;
    out->finished = finished;
}

static int by_due(const void *a, const void *b)
{
    const struct past_run *one = a, *two = b;
    return one->due.ms < two->due.ms ? -1 : one->due.ms > two->due.ms;
}

static bool was_run(const struct missed_history *history, int64_t due_ms)
{
    struct past_run wanted = {.due = {due_ms}};
    return history->run_count > 0 &&
           bsearch(&wanted, history->runs, history->run_count, sizeof wanted, by_due) != NULL;
}

static bool was_watched(const struct missed_history *history, int64_t due_ms)
{
    for (size_t i = 0; i < history->watched_count; i++)
        if (history->watched[i].from.ms <= due_ms &&
            due_ms <= history->watched[i].until.ms + SEEN_SLACK_MS)
            return true;
    return false;
}

// The scheduled run that was going on then.
static const struct past_run *active_at(const struct missed_history *history, int64_t due_ms)
{
    for (size_t i = history->run_count; i-- > 0;) {
        const struct past_run *run = &history->runs[i];
        if (run->created.ms <= due_ms && run->due.ms < due_ms &&
            (run->finished.ms == 0 || run->finished.ms > due_ms))
            return run;
    }
    return NULL;
}

// When the service ceased to be started, of which state `at` is a later part.
static struct wall_time stopped_since(const struct missed_history *history, size_t at)
{
    while (at > 0 && strcmp(history->states[at - 1].state, "started") != 0)
        at--;
    return history->states[at].at;
}

// False: it may still be run.
static bool explain(const struct missed_history *history, size_t state, int64_t due_ms,
                    struct missed_run *out)
{
    const char *reason = "unknown";
    const struct past_run *active =
        strcmp(history->concurrency, "Forbid") == 0 ? active_at(history, due_ms) : NULL;
    int64_t late = history->now.ms - due_ms;
    *out = (struct missed_run){.due = {due_ms}};
    if (strcmp(history->states[state].state, "started") != 0) {
        reason = "stopped";
        out->since = stopped_since(history, state);
    } else if (late < MISSED_LATE_MS) {
        return false;
    } else if (!was_watched(history, due_ms)) {
        reason = "agent or controller away";
    } else if (active) {
        snprintf(out->reason, sizeof out->reason, "forbidden by %s", active->name);
        return true;
    } else if (history->starting_deadline >= 0 && late > history->starting_deadline * 1000) {
        reason = "starting deadline missed";
    }
    text_copy(out->reason, sizeof out->reason, reason);
    return true;
}

// The newest of one state's time come to stand behind the `count` that are there.
static size_t add_state(const struct missed_history *history, size_t state, int64_t from,
                        int64_t until, struct missed_run out[], size_t count, size_t limit)
{
    const struct service_state_record *was = &history->states[state];
    CLEANUP(zone_ptr) struct zone *zone = NULL;
    struct schedule schedule;
    struct error err;
    size_t room = limit - count, found = 0;
    if (strcmp(was->state, "draft") == 0 || room == 0 ||
        !schedule_parse(was->schedule, &schedule, NULL, &err) || schedule.every_seconds > 0 ||
        !zone_open(was->time_zone, &zone, &err))
        return count;
    CLEANUP(free_ptr) struct missed_run *ring = xalloc(room * sizeof *ring);
    int64_t due = from / 1000;
    while (schedule_next(&schedule, zone, due, &due) && due * 1000 < until) {
        struct missed_run missed;
        if (!was_run(history, due * 1000) && explain(history, state, due * 1000, &missed))
            ring[found++ % room] = missed;
    }
    for (size_t i = 0; i < found && i < room; i++)
        out[count++] = ring[(found - 1 - i) % room];
    return count;
}

size_t missed_runs(const struct missed_history *history, struct missed_run out[], size_t limit)
{
    int64_t begin = history->now.ms - MISSED_DAYS_MAX * DAY_MS;
    int64_t until = history->until.ms;
    size_t count = 0;
    if (history->from.ms > begin)
        begin = history->from.ms;
    if (history->run_count > 1)
        qsort(history->runs, history->run_count, sizeof *history->runs, by_due);
    for (size_t i = history->state_count; i-- > 0 && until > begin && count < limit;) {
        int64_t from = history->states[i].at.ms > begin ? history->states[i].at.ms : begin;
        if (from < until)
            count = add_state(history, i, from, until, out, count, limit);
        until = from < until ? from : until;
    }
    return count;
}
