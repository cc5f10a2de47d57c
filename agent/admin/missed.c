#include "agent/admin/missed.h"
#include "agent/base/log.h"
#include "agent/runs/recorder.h"

#include <string.h>

struct gathered {
    struct past_run runs[STORE_PAGE_MAX];
    size_t run_count;
    struct service_state_record states[STORE_SERVICE_STATES];
    size_t state_count;
    struct admin_watched watched;
};

static bool gather_run(void *user, const struct run_record *record)
{
    struct gathered *gathered = user;
    if (gathered->run_count == STORE_PAGE_MAX)
        return false;
    missed_past_run(record->name, record->scheduled_for, record->created, record->finished,
                    &gathered->runs[gathered->run_count++]);
    return true;
}

static bool gather_state(void *user, const struct service_state_record *record)
{
    struct gathered *gathered = user;
    if (gathered->state_count < STORE_SERVICE_STATES)
        gathered->states[gathered->state_count++] = *record;
    return true;
}

static bool gather_watch(void *user, struct wall_time started, struct wall_time seen)
{
    struct admin_watched *watched = user;
    watched->spans[watched->count++] = (struct watched_span){started, seen};
    return watched->count < STORE_WATCHES_MAX - 1; // the present one is one more
}

bool admin_watched(const struct admin *admin, struct admin_watched *out, struct error *err)
{
    out->count = 0;
    bool told = store_watch_list(admin->store, (struct wall_time){0}, gather_watch, out, err);
    // The present one is there until now, whenever it last said so.
    struct wall_time since = recorder_since(admin->recorder);
    out->spans[out->count++] = (struct watched_span){since, wall_now()};
    return told;
}

static bool gather(const struct admin *admin, const struct service *service, struct wall_time until,
                   struct gathered *out, struct error *err)
{
    struct run_filter scheduled = {.namespace = service->namespace_,
                                   .service = service->name,
                                   .kind = "scheduled",
                                   .before = until,
                                   .limit = STORE_PAGE_MAX};
    return store_run_list(admin->store, &scheduled, gather_run, out, err) &&
           store_service_state_list(admin->store, service->namespace_, service->name, gather_state,
                                    out, err) &&
           admin_watched(admin, &out->watched, err);
}

static json_t *missed_json(const struct service *service, const struct missed_run *missed)
{
    return json_pack("{s:n, s:s, s:s, s:s, s:s, s:o, s:s, s:o}", "name", "namespace",
                     service->namespace_, "service", service->name, "kind", "scheduled", "state",
                     "missed", "scheduledFor", admin_time(missed->due), "reason", missed->reason,
                     "since", admin_time(missed->since));
}

static int64_t created_ms(const json_t *row)
{
    struct wall_time time;
    const char *text = json_text_at(row, "created", NULL);
    return text && wall_parse(text, &time) ? time.ms : 0;
}

// Both are newest first.
static void merge(json_t *rows, const struct service *service, const struct missed_run missed[],
                  size_t count, size_t limit)
{
    CLEANUP(json_ptr) json_t *all = json_array();
    for (size_t run = 0, at = 0; json_array_size(all) < limit;) {
        json_t *row = json_array_get(rows, run);
        if (at < count && (!row || missed[at].due.ms > created_ms(row)))
            admin_append(all, missed_json(service, &missed[at++]));
        else if (row)
            json_array_append(all, json_array_get(rows, run++));
        else
            break;
    }
    json_array_clear(rows);
    json_array_extend(rows, all);
}

void admin_add_missed(const struct admin *admin, const struct service *service,
                      const struct run_filter *filter, json_t *rows)
{
    size_t limit = (size_t)filter->limit;
    struct error err;
    if ((filter->kind && strcmp(filter->kind, "scheduled") != 0) ||
        (filter->state && strcmp(filter->state, "missed") != 0))
        return;
    struct wall_time now = wall_now();
    struct wall_time until = filter->before.ms ? filter->before : now;
    CLEANUP(free_ptr) struct gathered *gathered = xalloc(sizeof *gathered);
    if (!gather(admin, service, until, gathered, &err)) {
        log_line(LOG_WARNING, "missed runs cannot be told", "namespace", service->namespace_,
                 "service", service->name, "error", err.text, NULL);
        return;
    }
    struct missed_history history = {.now = now,
                                     .until = until,
                                     .runs = gathered->runs,
                                     .run_count = gathered->run_count,
                                     .states = gathered->states,
                                     .state_count = gathered->state_count,
                                     .watched = gathered->watched.spans,
                                     .watched_count = gathered->watched.count,
                                     .concurrency = service->concurrency,
                                     .starting_deadline = service->starting_deadline};
    // Older ones than are known, or are on this page, say nothing here.
    if (gathered->run_count == STORE_PAGE_MAX)
        history.from = gathered->runs[STORE_PAGE_MAX - 1].created;
    if (json_array_size(rows) == limit)
        history.from.ms = created_ms(json_array_get(rows, limit - 1));
    CLEANUP(free_ptr) struct missed_run *missed = xalloc(limit * sizeof *missed);
    size_t count = missed_runs(&history, missed, limit);
    merge(rows, service, missed, count, limit);
}
