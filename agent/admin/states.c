// Starting, stopping and building a service.
#include "agent/admin/states.h"
#include "agent/admin/services.h"
#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/pipeline/pipeline.h"
#include "agent/runs/recorder.h"
#include "deploy/readiness.h"
#include "deploy/service_owner.h"
#include "webhooks/repository.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DELIVERY_ID_BYTES 8 // of chance, in the id of a delivery of ours

// --- what is missing ---

static void say_image(const struct service *service, const struct build *build, json_t *missing)
{
    CLEANUP(free_ptr)
    char *text = xasprintf("it has no image: build b-%" PRId64 " failed (%s: %s); cronwright logs "
                           "--build b-%" PRId64 " shows why, cronwright build %s/%s tries again",
                           build->id, build->reason, build->detail, build->id, service->namespace_,
                           service->name);
    json_array_append_new(missing, json_text(text));
}

// Without a build there soon will be one, since a draft's branch is looked at at once; unless that
// failed.
static void look_at_head(const struct admin *admin, const struct service *service, json_t *missing)
{
    if (!pipeline_head_untold(admin->pipeline, service))
        return;
    CLEANUP(free_ptr)
    char *text =
        xasprintf("it has no image: %s does not tell the head of branch \"%s\"; cronwright "
                  "build --follow %s/%s asks again and says why",
                  service->repository, service->branch, service->namespace_, service->name);
    json_array_append_new(missing, json_text(text));
}

static void look_at_image(const struct admin *admin, const struct service *service, json_t *missing)
{
    struct build build;
    struct error err;
    if (!service_not_built(service))
        return;
    if (!*service->repository)
        json_array_append_new(missing, json_text("it has no image and no repository to build one "
                                                 "from: give it one of them"));
    else if (pipeline_service_problem(admin->pipeline, service, &err))
        json_array_append_new(missing, json_text(err.text));
    else if (!pipeline_service_build(admin->pipeline, service, &build, &err))
        look_at_head(admin, service, missing);
    else if (build.state == BUILD_FAILED)
        say_image(service, &build, missing);
}

void admin_missing(const struct admin *admin, const json_t *cronjob, const struct service *service,
                   json_t *missing, json_t *not_checked)
{
    look_at_image(admin, service, missing);
    readiness_check(admin->kube, cronjob, service, mono_after(MISSING_WITHIN_MS), missing,
                    not_checked);
}

// --- start and stop ---

static const char *state_word(const struct service *service)
{
    return service->starting ? "starting" : service_state_word(service->state);
}

json_t *admin_change_warnings(const struct service_change *change)
{
    json_t *warnings = change->warnings ? json_incref(change->warnings) : json_array();
    CLEANUP(free_ptr) char *owner = service_owner_warning(change->after);
    if (owner)
        json_array_append_new(warnings, json_text(owner));
    return warnings;
}

void admin_add_list(json_t *answer, const char *key, json_t *list)
{
    if (json_array_size(list) > 0)
        json_object_set(answer, key, list);
}

json_t *admin_next(const struct service *service)
{
    struct wall_time next;
    return service_next(service, wall_now(), &next) ? admin_time(next) : json_null();
}

static void log_change(const struct admin *admin, struct server_request *req, const char *what,
                       const struct service_change *change)
{
    log_line(LOG_INFO, what, "service", change->after->name, "namespace", change->after->namespace_,
             "before", state_word(change->before), "by", admin_token(admin, req)->name, NULL);
}

static void refuse_unready(struct server_request *req, const struct service *service,
                           json_t *missing, json_t *not_checked)
{
    size_t count = json_array_size(missing);
    CLEANUP(free_ptr)
    char *detail = xasprintf("%s/%s cannot be started: %zu thing%s missing", service->namespace_,
                             service->name, count, count == 1 ? " is" : "s are");
    server_answer_problem(
        req, &(struct server_problem){.status = 409,
                                      .reason = "not-ready",
                                      .detail = detail,
                                      .members = json_pack("{s:O, s:O}", "missing", missing,
                                                           "notChecked", not_checked)});
}

// The first run that the start asked for; null when it did not, or another run is active: then it
// is made when that has ended.
static json_t *first_run(const struct admin *admin, const struct service *service)
{
    struct run_created created;
    struct error err;
    if (!*service->first_run_due)
        return json_null();
    if (!pipeline_first_run(admin->pipeline, service, &created, &err) && !*created.active)
        log_line(LOG_WARNING, "the first run will be tried again", "service", service->name,
                 "namespace", service->namespace_, "error", err.text, NULL);
    if (created.run)
        recorder_add(admin->recorder, created.run);
    json_t *json =
        created.run ? admin_run_json(admin, service, created.run, -1, true) : json_null();
    run_free(created.run);
    json_decref(created.warnings);
    return json;
}

static void answer_start(const struct admin *admin, struct server_request *req,
                         const struct service_change *change, json_t *not_checked)
{
    CLEANUP(json_ptr) json_t *warnings = admin_change_warnings(change);
    json_t *answer =
        json_pack("{s:s, s:s, s:s, s:o, s:o}", "state", state_word(change->after), "before",
                  state_word(change->before), "after", state_word(change->after), "next",
                  admin_next(change->after), "firstRun", first_run(admin, change->after));
    admin_add_list(answer, "warnings", warnings);
    admin_add_list(answer, "notChecked", not_checked);
    server_answer_json(req, 200, answer);
}

static void start_service(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    CLEANUP(named_service_finish) struct named_service named = {0};
    CLEANUP(json_ptr) json_t *missing = json_array();
    CLEANUP(json_ptr) json_t *not_checked = json_array();
    if (!admin_no_body(req) || !admin_find_service(admin, req, ROLE_ADMIN, &named))
        return;
    const struct service *service = named.service;
    if (service->state != SERVICE_STARTED)
        admin_missing(admin, named.cronjob, service, missing, not_checked);
    if (json_array_size(missing) > 0) {
        refuse_unready(req, service, missing, not_checked);
        return;
    }
    struct service_change change = {0};
    struct error err;
    if (!service_start(admin->kube, service->namespace_, service->name, &change, &err)) {
        server_answer_error(req, &err);
        return;
    }
    log_change(admin, req, change.after->starting ? "will be started" : "started", &change);
    answer_start(admin, req, &change, not_checked);
    service_change_finish(&change);
}

bool admin_change(const struct admin *admin, struct server_request *req, service_changer *change,
                  struct service_change *out)
{
    CLEANUP(service_ptr) const struct service *service = NULL;
    struct error err;
    if (!admin_no_body(req) || !(service = admin_named_service(admin, req, ROLE_ADMIN)))
        return false;
    if (change(admin->kube, service->namespace_, service->name, out, &err))
        return true;
    server_answer_error(req, &err);
    return false;
}

static void stop_service(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    struct service_change change = {0};
    if (!admin_change(admin, req, service_stop, &change))
        return;
    log_change(admin, req, "stopped", &change);
    CLEANUP(json_ptr) json_t *warnings = admin_change_warnings(&change);
    json_t *answer = json_pack("{s:s, s:s, s:s}", "state", state_word(change.after), "before",
                               state_word(change.before), "after", state_word(change.after));
    admin_add_list(answer, "warnings", warnings);
    server_answer_json(req, 200, answer);
    service_change_finish(&change);
}

// --- build ---

bool admin_ask_for_head(const struct admin *admin, const struct service *service, const char *event,
                        const char *by, char id[static STORE_DELIVERY_ID_SIZE], struct error *err)
{
    uint8_t chance[DELIVERY_ID_BYTES];
    char digits[2 * DELIVERY_ID_BYTES + 1];
    struct delivery delivery = {.received = wall_now(), .pending = true};
    random_bytes(chance, sizeof chance);
    hex_encode(chance, sizeof chance, digits);
    snprintf(delivery.id, sizeof delivery.id, "admin-%s", digits);
    text_copy(delivery.forge, sizeof delivery.forge, "admin");
    text_copy(delivery.event, sizeof delivery.event, event);
    text_copy(delivery.reason, sizeof delivery.reason, "accepted");
    text_copy(delivery.pusher, sizeof delivery.pusher, by);
    text_copy(delivery.branch, sizeof delivery.branch, service->branch);
    if (strcmp(event, "build") == 0) // a person's wish: no path filter stands against it
        snprintf(delivery.service, sizeof delivery.service, "%s/%s", service->namespace_,
                 service->name);
    snprintf(delivery.ref, sizeof delivery.ref, "refs/heads/%s", delivery.branch);
    if (!repository_identify(service->repository, delivery.repository, err) ||
        !store_delivery_put(admin->store, &delivery, err))
        return false;
    pipeline_wake(admin->pipeline, delivery.repository, delivery.branch);
    text_copy(id, STORE_DELIVERY_ID_SIZE, delivery.id);
    return true;
}

// The build that is under way, if one is: the one that is asked for may be decided only now.
static json_t *present_build(const struct admin *admin, const struct service *service)
{
    struct build build;
    struct error err;
    bool under_way =
        pipeline_service_build(admin->pipeline, service, &build, &err) && build.state < BUILD_DONE;
    return under_way ? admin_build_id(build.id) : json_null();
}

static void build_service(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    CLEANUP(named_service_finish) struct named_service named = {0};
    const char *by = admin_token(admin, req)->name;
    char id[STORE_DELIVERY_ID_SIZE];
    struct error err;
    if (!admin_no_body(req) || !admin_find_service(admin, req, ROLE_ADMIN, &named))
        return;
    const struct service *service = named.service; // also what was changed a moment ago
    if (!*service->repository) {
        server_refuse(req, 409, "no-source", "%s/%s has no repository: there is nothing to build",
                      service->namespace_, service->name);
        return;
    }
    if (pipeline_service_problem(admin->pipeline, service, &err)) {
        server_refuse(req, err.code == ERR_FORBIDDEN ? 403 : 409,
                      err.code == ERR_FORBIDDEN ? "not-allowed" : "misconfigured", "%s", err.text);
        return;
    }
    if (!admin_ask_for_head(admin, service, "build", by, id, &err)) {
        server_answer_error(req, &err);
        return;
    }
    log_line(LOG_INFO, "build asked for", "service", service->name, "namespace",
             service->namespace_, "delivery", id, "by", by, NULL);
    server_answer_json(
        req, 202, json_pack("{s:s, s:o}", "delivery", id, "build", present_build(admin, service)));
}

#define SERVICE "/v1/services/{namespace}/{name}"
const struct server_route admin_state_routes[] = {
    {"POST", SERVICE "/start", start_service, 0},
    {"POST", SERVICE "/stop", stop_service, 0},
    {"POST", SERVICE "/build", build_service, 0},
    {0},
};
