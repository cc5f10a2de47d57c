#include "agent/admin/strip.h"
#include "agent/admin/missed.h"
#include "agent/base/log.h"
#include "agent/base/text.h"

#include <string.h>

// So far back missed times are looked for in a service without any run: a schedule of each minute
// has ten thousand of them in a week.
#define NO_RUN_DAYS 7
#define DAY_MS      ((int64_t)24 * 60 * 60 * 1000)

struct strip {
    const struct admin *admin;
    size_t limit;
    struct admin_watched watched;
    // Of the service at hand.
    struct service_state_record states[STORE_SERVICE_STATES];
    size_t state_count;
    struct run_mark marks[STRIP_MAX];
    size_t mark_count;
    struct past_run runs[STRIP_MAX];
    struct missed_run missed[STRIP_MAX];
};

struct strip *strip_create(const struct admin *admin, size_t limit)
{
    struct strip *strip = xalloc(sizeof *strip);
    struct error err;
    strip->admin = admin;
    strip->limit = limit < 1 ? 1 : limit > STRIP_MAX ? STRIP_MAX : limit;
    if (!admin_watched(admin, &strip->watched, &err))
        log_line(LOG_WARNING, "when agents watched cannot be told", "error", err.text, NULL);
    return strip;
}

void strip_destroy(struct strip *strip)
{
    free(strip);
}

// What is missed while a service is stopped is meant to be: the strip tells of runs, and passes
// over such times as over those of a draft.
static bool note_state(void *user, const struct service_state_record *record)
{
    struct strip *strip = user;
    struct service_state_record *state = &strip->states[strip->state_count++];
    *state = *record;
    if (strcmp(state->state, "started") != 0)
        text_copy(state->state, sizeof state->state, "draft");
    return strip->state_count < STORE_SERVICE_STATES;
}

static bool gather(struct strip *strip, const struct service *service, struct error *err)
{
    strip->state_count = 0;
    return store_run_marks(strip->admin->store, service->namespace_, service->name, strip->limit,
                           strip->marks, &strip->mark_count, err) &&
           store_service_state_list(strip->admin->store, service->namespace_, service->name,
                                    note_state, strip, err);
}

static size_t find_missed(struct strip *strip, const struct service *service)
{
    size_t runs = 0;
    for (size_t i = 0; i < strip->mark_count; i++) {
        const struct run_mark *mark = &strip->marks[i];
        if (strcmp(mark->kind, "scheduled") == 0)
            missed_past_run(mark->name, mark->scheduled_for, mark->created, mark->finished,
                            &strip->runs[runs++]);
    }
    struct wall_time now = wall_now();
    struct missed_history history = {
        .now = now,
        .from = strip->mark_count ? strip->marks[strip->mark_count - 1].created
                                  : (struct wall_time){now.ms - NO_RUN_DAYS * DAY_MS},
        .until = now,
        .runs = strip->runs,
        .run_count = runs,
        .states = strip->states,
        .state_count = strip->state_count,
        .watched = strip->watched.spans,
        .watched_count = strip->watched.count,
        .concurrency = service->concurrency,
        .starting_deadline = service->starting_deadline};
    return missed_runs(&history, strip->missed, strip->limit);
}

json_t *admin_mark_seconds(const struct run_mark *mark)
{
    bool took = mark->finished.ms > 0 && mark->started.ms > 0;
    return admin_seconds(took ? mark->finished.ms - mark->started.ms : -1);
}

json_t *admin_mark_time(const struct run_mark *mark)
{
    return admin_time(mark->started.ms ? mark->started : mark->created);
}

// One list for each of what a mark has: that is shorter than an object for each mark.
struct lists {
    json_t *results, *seconds, *names, *kinds, *times;
};

static void add_run(const struct lists *lists, const struct run_mark *mark)
{
    json_array_append_new(lists->results, json_text(mark->state));
    json_array_append_new(lists->seconds, admin_mark_seconds(mark));
    json_array_append_new(lists->names, json_text(mark->name));
    json_array_append_new(lists->kinds, json_text(mark->kind));
    json_array_append_new(lists->times, admin_mark_time(mark));
}

static void add_missed(const struct lists *lists, const struct missed_run *missed)
{
    json_array_append_new(lists->results, json_string("missed"));
    json_array_append_new(lists->seconds, json_null());
    json_array_append_new(lists->names, json_null());
    json_array_append_new(lists->kinds, json_string("scheduled"));
    json_array_append_new(lists->times, admin_time(missed->due));
}

// Both are newest first: the oldest of the newest is found before anything is added.
static void merge(const struct strip *strip, size_t missed_count, const struct lists *lists)
{
    const struct run_mark *marks = strip->marks;
    const struct missed_run *missed = strip->missed;
    size_t run = 0, miss = 0;
    while (run + miss < strip->limit && (run < strip->mark_count || miss < missed_count)) {
        if (miss < missed_count &&
            (run == strip->mark_count || missed[miss].due.ms > marks[run].created.ms))
            miss++;
        else
            run++;
    }
    while (run + miss > 0) {
        if (run == 0 || (miss > 0 && missed[miss - 1].due.ms <= marks[run - 1].created.ms))
            add_missed(lists, &missed[--miss]);
        else
            add_run(lists, &marks[--run]);
    }
}

void strip_add(struct strip *strip, const struct service *service, json_t *row)
{
    struct error err;
    if (!gather(strip, service, &err)) {
        log_line(LOG_WARNING, "a service's runs cannot be told", "namespace", service->namespace_,
                 "service", service->name, "error", err.text, NULL);
        return;
    }
    struct lists lists = {json_array(), json_array(), json_array(), json_array(), json_array()};
    merge(strip, find_missed(strip, service), &lists);
    json_object_set_new(row, "strip",
                        json_pack("{s:o, s:o, s:o, s:o, s:o}", "results", lists.results, "seconds",
                                  lists.seconds, "names", lists.names, "kinds", lists.kinds,
                                  "times", lists.times));
}
