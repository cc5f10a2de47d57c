// Making a run by hand.
#include "agent/admin/runs.h"
#include "agent/admin/states.h"
#include "agent/admin/turns.h"
#include "agent/base/crashpoint.h"
#include "agent/base/log.h"
#include "agent/events.h"
#include "agent/runs/recorder.h"
#include "deploy/document.h"

#include <string.h>

// --- what is asked for ---

static void read_if_active(const json_t *value, struct run_request *out, json_t *errors)
{
    const char *word = json_string_value(value);
    if (!word || !run_if_active_parse(word, &out->if_active))
        document_fault(errors, "/ifActive", "must be refuse, allow or replace");
}

// As Kubernetes takes them: printable ASCII without '='.
static bool is_variable(const char *name)
{
    const char *c = name;
    while (*c > ' ' && *c < 127 && *c != '=')
        c++;
    return c > name && *c == '\0';
}

static void read_env(const json_t *value, struct run_request *out, json_t *errors)
{
    const char *name;
    json_t *text;
    if (!json_is_object(value) || json_object_size(value) > RUN_ENV_MAX) {
        document_fault(errors, "/env", "must be at most %d texts by name", RUN_ENV_MAX);
        return;
    }
    json_object_foreach(json_unconst(value), name, text)
    {
        CLEANUP(free_ptr) char *pointer = patch_pointer(PATCH_AT("env", name));
        if (!is_variable(name))
            document_fault(errors, pointer, "\"%.60s\" cannot be the name of a variable", name);
        else if (!json_is_string(text))
            document_fault(errors, pointer, "must be a text");
    }
    out->env = json_object_size(value) > 0 ? value : NULL;
}

static void read_args(const json_t *value, struct run_request *out, json_t *errors)
{
    size_t i;
    json_t *text;
    if (!json_is_array(value) || json_array_size(value) > RUN_ARGS_MAX) {
        document_fault(errors, "/args", "must be a list of at most %d texts", RUN_ARGS_MAX);
        return;
    }
    json_array_foreach(json_unconst(value), i, text)
    {
        CLEANUP(free_ptr) char *pointer = xasprintf("/args/%zu", i);
        if (!json_is_string(text))
            document_fault(errors, pointer, "must be a text");
    }
    out->args = value;
}

// False: answered. What `out` points to is in the body.
static bool read_request(struct server_request *req, const json_t *body, struct run_request *out)
{
    static const struct {
        const char *key;
        void (*read)(const json_t *value, struct run_request *out, json_t *errors);
    } keys[] = {{"ifActive", read_if_active}, {"env", read_env}, {"args", read_args}};
    CLEANUP(json_ptr) json_t *errors = json_array();
    const char *key;
    json_t *value;
    json_object_foreach(json_unconst(body), key, value)
    {
        size_t k = 0;
        while (k < sizeof keys / sizeof *keys && strcmp(keys[k].key, key) != 0)
            k++;
        CLEANUP(free_ptr) char *pointer = patch_pointer(PATCH_AT(key));
        if (k < sizeof keys / sizeof *keys)
            keys[k].read(value, out, errors);
        else
            document_fault(errors, pointer, "unknown key; there are ifActive, env and args");
    }
    if (json_array_size(errors) == 0)
        return true;
    admin_refuse_errors(req, errors, "nothing run");
    return false;
}

static bool read_key(struct server_request *req, struct run_request *out)
{
    out->idempotency_key = server_header(req, "Idempotency-Key");
    if (server_header_count(req, "Idempotency-Key") <= 1 &&
        (!out->idempotency_key ||
         (*out->idempotency_key != '\0' && strlen(out->idempotency_key) <= RUN_KEY_MAX)))
        return true;
    server_refuse(req, 400, "invalid", "Idempotency-Key must be given once, with 1 to %d bytes",
                  RUN_KEY_MAX);
    return false;
}

// They run anything with the service's rights, so a runner needs the service's consent.
static bool may_override(const struct admin *admin, struct server_request *req,
                         const struct service *service, const struct run_request *request)
{
    const struct config_token *token = admin_token(admin, req);
    if ((!request->env && !request->args) || token->role >= ROLE_ADMIN || service->runners_override)
        return true;
    server_refuse(req, 403, "forbidden",
                  "token \"%s\" is a runner; variables and arguments of one run need an admin, or "
                  "overrides: runner in the service",
                  token->name);
    return false;
}

// --- making it ---

static void refuse_for_active(struct server_request *req, const struct run_created *created,
                              const struct error *err)
{
    server_answer_problem(
        req, &(struct server_problem){.status = 409,
                                      .reason = "active-run",
                                      .detail = err->text,
                                      .members = json_pack("{s:s}", "run", created->active)});
}

// In a turn, unless any number of runs may be active.
static bool create_in_turn(const struct admin *admin, const struct service *service,
                           const struct run_request *request, struct run_created *created,
                           struct error *err)
{
    CLEANUP(free_ptr) char *name = xasprintf("%s/%s", service->namespace_, service->name);
    struct turn turn = {0};
    bool ok = (request->if_active == RUN_ALLOW || turn_begin(&turn, name, TURN_WAIT_MS, err)) &&
              run_create(admin->kube, service->namespace_, service->name, request, created, err);
    turn_end(&turn);
    return ok;
}

static void answer(const struct admin *admin, struct server_request *req,
                   const struct service *service, const struct run_created *created)
{
    CLEANUP(free_ptr)
    char *location = xasprintf("/v1/services/%s/%s/runs/%s", service->namespace_, service->name,
                               created->run->name);
    server_add_header(req, "Location", location);
    json_t *json = admin_run_json(admin, service, created->run, -1, true);
    json_t *next = admin_next(service);
    // The controller does not count it.
    bool beside = !json_is_null(next) && strcmp(service->concurrency, "Allow") != 0;
    json_object_set_new(json, "nextScheduled", next);
    json_object_set_new(json, "besideSchedule", json_boolean(beside));
    if (created->warnings)
        json_object_set(json, "warnings", created->warnings);
    server_answer_json(req, created->existed ? 200 : 201, json);
}

void admin_create_run(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    CLEANUP(json_ptr) json_t *body = NULL;
    struct run_request request = {.kind = RUN_FORCED, .if_active = RUN_REFUSE};
    if (!admin_read_object(req, &body) || !read_request(req, body, &request) ||
        !read_key(req, &request))
        return;
    CLEANUP(service_ptr)
    const struct service *service = admin_named_service(admin, req, ROLE_RUNNER);
    if (!service || !may_override(admin, req, service, &request))
        return;
    request.requested_by = admin_token(admin, req)->name;
    struct run_created created = {0};
    struct error err;
    CRASH_POINT("before-forced-run");
    if (!create_in_turn(admin, service, &request, &created, &err)) {
        if (*created.active)
            refuse_for_active(req, &created, &err);
        else
            server_answer_error(req, &err);
        return;
    }
    CRASH_POINT("after-forced-run");
    log_line(LOG_INFO, created.existed ? "forced run asked for again" : "forced run", "run",
             created.run->name, "namespace", service->namespace_, "service", service->name, "by",
             request.requested_by, NULL);
    if (!created.existed)
        events_tell(admin->events, service, TOLD_RUN_FORCED, "Run %s was started by %s.",
                    created.run->name, request.requested_by);
    recorder_add(admin->recorder, created.run);
    CRASH_POINT("before-forced-run-answered");
    answer(admin, req, service, &created);
    run_free(created.run);
    json_decref(created.warnings);
}
