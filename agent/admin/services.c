#include "deploy/services.h"
#include "agent/admin/services.h"
#include "agent/admin/states.h"
#include "agent/admin/strip.h"
#include "agent/base/log.h"
#include "agent/intake.h"
#include "agent/pipeline/pipeline.h"
#include "deploy/schedule.h"

#include <string.h>

const struct service *admin_named_service(const struct admin *admin, struct server_request *req,
                                          enum config_role role)
{
    const char *namespace = server_param(req, "namespace");
    const char *name = server_param(req, "name");
    if (!admin_may(admin, req, role, namespace))
        return NULL;
    const struct service *service = service_cache_get(admin->services, namespace, name);
    if (service)
        return service;
    // It may be too new for the watch.
    struct error err;
    if (!kube_is_label(namespace) || !kube_is_name(name))
        server_refuse(req, 404, "not-found", "there is no service %s/%s", namespace, name);
    else if (cronjob_get(admin->kube, namespace, name, &service, &err))
        return service;
    else if (err.code == ERR_NOT_FOUND || err.code == ERR_INVALID)
        server_refuse(req, 404, "not-found",
                      "there is no service %s/%s (a CronJob with the label %s)", namespace, name,
                      SELECTOR_MANAGED);
    else
        server_answer_error(req, &err);
    return NULL;
}

static json_t *live_json(const struct admin *admin, const struct service *service)
{
    // An image that somebody else set is not of the commit that we wrote down.
    if (*service->commit == '\0' || pipeline_service_replaced(service))
        return json_null();
    struct build build = {0};
    char id[PIPELINE_BUILD_SIZE];
    pipeline_service_live_id(admin->pipeline, service, id);
    if (!admin_build_of(admin, service, id, service->commit, &build))
        build = (struct build){0};
    return json_pack("{s:s, s:o, s:o, s:o, s:o}", "commit", service->commit, "build",
                     json_text_or_null(id), "patched", admin_time(service->patched_at), "subject",
                     json_text_or_null(build.subject), "author", json_text_or_null(build.author));
}

static json_t *problem_json(const struct admin *admin, const struct service *service)
{
    struct error err;
    if (*service->problem)
        return json_text(service->problem);
    return pipeline_service_problem(admin->pipeline, service, &err) ? json_text(err.text)
                                                                    : json_null();
}

// When the schedule starts it next, and the schedule in words; null when it cannot be read.
static void add_schedule(const struct service *service, json_t *json)
{
    struct schedule schedule;
    json_t *sentence = json_null();
    if (schedule_parse(service->schedule, &schedule, NULL, NULL)) {
        CLEANUP(free_ptr) char *words = schedule_describe(&schedule);
        sentence = json_text(words);
    }
    json_object_set_new(json, "next", admin_next(service));
    json_object_set_new(json, "sentence", sentence);
}

static json_t *service_json(const struct admin *admin, const struct service *service)
{
    bool suspended = service->state != SERVICE_STARTED;
    json_t *json = json_pack(
        "{s:s, s:s, s:o, s:s, s:b, s:o, s:o, s:s, s:s, s:s, s:o, s:b, s:s, s:o, s:s, s:b, s:o, s:o,"
        " s:o, s:o}",
        "namespace", service->namespace_, "name", service->name, "project",
        json_text_or_null(service->project), "state", service_state_word(service->state),
        "starting", service->starting, "repository", json_text_or_null(service->repository),
        "branch", json_text_or_null(service->branch), "dockerfile", service->dockerfile, "context",
        service->context, "image", service->image, "live", live_json(admin, service), "pinned",
        pipeline_service_pinned(service), "schedule", service->schedule, "timeZone",
        json_text_or_null(service->time_zone), "concurrency", service->concurrency, "suspend",
        suspended, "lastScheduleTime", admin_time(service->last_schedule), "lastSuccessfulTime",
        admin_time(service->last_success), "owner", json_text_or_null(service->owner), "problem",
        problem_json(admin, service));
    if (json)
        add_schedule(service, json);
    return json;
}

// How many requests were refused, and the last one: a wrong secret is the commonest fault. Only for
// who sees all namespaces, since such a request belongs to none.
static json_t *refused_json(const struct admin *admin, const struct config_token *token)
{
    struct refused_request last;
    size_t count;
    uint64_t all = intake_refused_list(admin->intake, &last, 1, &count);
    if (!admin_sees(token, "*") || count == 0)
        return json_pack("{s:i, s:n}", "count", 0, "last");
    return json_pack("{s:I, s:{s:o, s:s, s:i, s:o}}", "count", (json_int_t)all, "last", "time",
                     admin_time(last.time), "peer", last.peer, "status", last.status, "reason",
                     json_text(last.reason));
}

void admin_keep_seen(struct service_list *services, const struct config_token *token,
                     const char *project)
{
    size_t kept = 0;
    for (size_t i = 0; i < services->count; i++) {
        const struct service *service = services->items[i];
        if (admin_sees(token, service->namespace_) &&
            (!project || strcmp(project, service->project) == 0))
            services->items[kept++] = service;
        else
            service_drop(service);
    }
    services->count = kept;
}

// A list on its way: its rows are made one by one as they are sent, since thousands of them as JSON
// take more room than all that the agent knows.
struct listing {
    const struct admin *admin;
    struct service_list services;
    size_t next;
    json_t *running;
    struct strip *strip; // NULL: not asked for
    char *text;          // being sent
    size_t sent;
    bool any;   // a row has been made
    bool ended; // what is being sent is the last
};

static void release_listing(void *user)
{
    struct listing *listing = user;
    service_list_finish(&listing->services);
    json_decref(listing->running);
    strip_destroy(listing->strip);
    free(listing->text);
    free(listing);
}

// The next text; "" for a row that could not be made.
static char *next_text(struct listing *listing)
{
    if (listing->next == listing->services.count) {
        listing->ended = true;
        return xstrdup("]}");
    }
    const struct service *service = listing->services.items[listing->next++];
    CLEANUP(json_ptr) json_t *json = service_json(listing->admin, service);
    if (!json) {
        log_line(LOG_ERROR, "a service could not be listed", "service", service->name, "namespace",
                 service->namespace_, NULL);
        return xstrdup("");
    }
    admin_add_runs(listing->admin, service, listing->running, json);
    if (listing->strip)
        strip_add(listing->strip, service, json);
    CLEANUP(free_ptr) char *row = json_write(json);
    const char *before = listing->any ? "," : "";
    listing->any = true;
    return xasprintf("%s%s", before, row);
}

static ssize_t read_listing(void *user, char *out, size_t room, int64_t wait_ms)
{
    (void)wait_ms; // there always is something
    struct listing *listing = user;
    size_t given = 0;
    while (given < room) {
        const char *rest = listing->text + listing->sent;
        size_t part = strnlen(rest, room - given);
        memcpy(out + given, rest, part);
        given += part;
        listing->sent += part;
        if (rest[part] != '\0')
            continue; // there is no more room
        if (listing->ended)
            break;
        free(listing->text);
        listing->text = next_text(listing);
        listing->sent = 0;
    }
    return given ? (ssize_t)given : SERVER_STREAM_END;
}

static void list_services(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    const struct config_token *token = admin_token(admin, req);
    int64_t marks;
    if (!admin_query_int(req, "strip", 0, STRIP_MAX, 0, &marks))
        return;
    struct listing *listing = xalloc(sizeof *listing);
    listing->admin = admin;
    listing->strip = marks ? strip_create(admin, (size_t)marks) : NULL;
    service_cache_list(admin->services, server_query(req, "namespace"), &listing->services);
    admin_keep_seen(&listing->services, token, server_query(req, "project"));
    listing->running = admin_running(admin);
    CLEANUP(json_ptr)
    json_t *head = json_pack("{s:o, s:{s:s}}", "refused", refused_json(admin, token), "webhooks",
                             "listen", admin->webhooks_address);
    CLEANUP(free_ptr) char *text = json_write(head);
    text[strlen(text) - 1] = '\0'; // the brace that closes it
    listing->text = xasprintf("%s,\"services\":[", text);
    server_answer_stream(req, "application/json", read_listing, listing, release_listing);
}

json_t *admin_service_row(const struct admin *admin, const struct service *service)
{
    CLEANUP(json_ptr) json_t *running = admin_running(admin);
    return admin_service_row_among(admin, service, running);
}

json_t *admin_service_row_among(const struct admin *admin, const struct service *service,
                                const json_t *running)
{
    json_t *json = service_json(admin, service);
    if (json)
        admin_add_runs(admin, service, running, json);
    return json;
}

const struct server_route admin_service_routes[] = {
    {"GET", "/v1/services", list_services, 0},
    {0},
};
