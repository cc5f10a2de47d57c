// GET /v1/timeline: what ran and what will, across services.
#include "agent/admin/runs.h"
#include "agent/admin/services.h"
#include "agent/admin/strip.h"
#include "agent/base/log.h"
#include "agent/store/runs.h"
#include "deploy/schedule.h"
#include "deploy/services.h"

#include <string.h>

#define HOURS_MAX      168
#define HOURS_DEFAULT  24
#define HOUR_MS        INT64_C(3600000)
#define OF_SERVICE_MAX 200  // runs, and times to come, of one service
#define OF_ALL_MAX     2000 // of both, of all services: fewer of each when these are many

struct timeline {
    const struct admin *admin;
    struct wall_time from, now, to;
    size_t limit; // of this service, each way
    struct run_mark marks[OF_SERVICE_MAX + 1];
};

// Times in seconds are enough for a picture. Of what goes on, the client has "now".
static json_t *run_json(const struct run_mark *mark)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:s}", "name", mark->name, "kind", mark->kind, "started",
                     admin_mark_time(mark), "seconds", admin_mark_seconds(mark), "result",
                     mark->state);
}

// The newest, oldest first.
static json_t *runs_json(struct timeline *timeline, const struct service *service, bool *more)
{
    json_t *list = json_array();
    size_t count;
    struct error err;
    if (!store_run_marks_since(timeline->admin->store, service->namespace_, service->name,
                               timeline->from, timeline->limit + 1, timeline->marks, &count,
                               &err)) {
        log_line(LOG_WARNING, "a service's runs cannot be told", "namespace", service->namespace_,
                 "service", service->name, "error", err.text, NULL);
        count = 0;
    }
    if (count > timeline->limit) {
        count = timeline->limit;
        *more = true;
    }
    while (count > 0)
        admin_append(list, run_json(&timeline->marks[--count]));
    return list;
}

static json_t *next_json(const struct timeline *timeline, const struct service *service, bool *more)
{
    json_t *list = json_array();
    struct schedule schedule;
    CLEANUP(zone_ptr) struct zone *zone = NULL;
    int64_t at = timeline->now.ms / 1000;
    if (service->state != SERVICE_STARTED ||
        !schedule_parse(service->schedule, &schedule, NULL, NULL) ||
        !zone_open(service->time_zone, &zone, NULL))
        return list;
    while (schedule_next(&schedule, zone, at, &at) && at * 1000 <= timeline->to.ms) {
        if (json_array_size(list) == timeline->limit) {
            *more = true;
            break;
        }
        admin_append(list, admin_time((struct wall_time){at * 1000}));
    }
    return list;
}

static json_t *row_json(struct timeline *timeline, const struct service *service)
{
    bool more = false;
    json_t *runs = runs_json(timeline, service, &more);
    json_t *next = next_json(timeline, service, &more);
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:b}", "namespace", service->namespace_,
                     "name", service->name, "state", service_state_word(service->state),
                     "usualSeconds", admin_seconds(admin_usual_of(timeline->admin, service)),
                     "deadlineSeconds",
                     service->run_deadline < 0 ? json_null() : json_integer(service->run_deadline),
                     "runs", runs, "next", next, "more", more);
}

// An equal part of what is left for each service that is left, so that a few busy ones do not take
// the place of all others; one of each kind in any case.
static size_t fair_limit(size_t left, size_t services)
{
    size_t each = left / (2 * services);
    return each < 1 ? 1 : each > OF_SERVICE_MAX ? OF_SERVICE_MAX : each;
}

static json_t *rows_json(struct timeline *timeline, const struct service_list *services)
{
    json_t *rows = json_array();
    size_t left = OF_ALL_MAX;
    for (size_t i = 0; i < services->count; i++) {
        timeline->limit = fair_limit(left, services->count - i);
        json_t *row = row_json(timeline, services->items[i]);
        size_t taken = json_array_size(json_at(row, "runs", NULL)) +
                       json_array_size(json_at(row, "next", NULL));
        left -= taken < left ? taken : left;
        admin_append(rows, row);
    }
    return rows;
}

static void get_timeline(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    int64_t hours;
    if (!admin_query_int(req, "hours", 1, HOURS_MAX, HOURS_DEFAULT, &hours))
        return;
    CLEANUP(service_list_finish) struct service_list services;
    service_cache_list(admin->services, server_query(req, "namespace"), &services);
    admin_keep_seen(&services, admin_token(admin, req), server_query(req, "project"));
    CLEANUP(free_ptr) struct timeline *timeline = xalloc(sizeof *timeline);
    timeline->admin = admin;
    timeline->now = wall_now();
    timeline->from.ms = timeline->now.ms - hours * HOUR_MS;
    timeline->to.ms = timeline->now.ms + hours * HOUR_MS;
    json_t *rows = rows_json(timeline, &services);
    server_answer_json(req, 200,
                       json_pack("{s:o, s:o, s:o, s:o}", "from", admin_time(timeline->from), "now",
                                 admin_time(timeline->now), "to", admin_time(timeline->to),
                                 "services", rows));
}

const struct server_route admin_timeline_routes[] = {
    {"GET", "/v1/timeline", get_timeline, 0},
    {0},
};
