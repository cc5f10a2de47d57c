// Deleting a service, and its runs' logs with it if that is asked for.
#include "agent/admin/services.h"
#include "agent/admin/turns.h"
#include "agent/base/log.h"
#include "agent/runs/recorder.h"
#include "deploy/services.h"

#include <string.h>

struct removal {
    bool cancel; // active runs, rather than to refuse because of them
    bool logs;   // delete them, too
};

// A query parameter that is one of two words, the first being the default; answers 400.
static bool read_word(struct server_request *req, const char *name, const char *usual,
                      const char *other, bool *is_other)
{
    const char *text = server_query(req, name);
    *is_other = text && strcmp(text, other) == 0;
    if (!text || *is_other || strcmp(text, usual) == 0)
        return true;
    server_refuse(req, 400, "invalid", "%s must be %s or %s", name, usual, other);
    return false;
}

static bool is_over(const struct run *run)
{
    return run->state == RUN_SUCCEEDED || run->state == RUN_FAILED;
}

static void refuse_for_active(struct server_request *req, const struct run *run)
{
    CLEANUP(free_ptr)
    char *detail =
        xasprintf("run %s is active: cancel it first, or delete with ifActive=cancel", run->name);
    server_answer_problem(
        req, &(struct server_problem){.status = 409,
                                      .reason = "active-run",
                                      .detail = detail,
                                      .members = json_pack("{s:s}", "run", run->name)});
}

// --- the service ---

// The CronJob goes first, so that no further run is started. Its Jobs go with it; the active ones
// are not left to the garbage collector, which takes its time, unless they cannot be cancelled.
static bool remove_service(const struct admin *admin, const struct service *service,
                           const struct run_list *runs, struct error *err)
{
    if (!kube_delete(admin->kube, &KUBE_CRONJOBS, service->namespace_, service->name, service->uid,
                     KUBE_BACKGROUND, err))
        return error_wrap(err, "delete cronjob %s/%s", service->namespace_, service->name);
    for (size_t i = 0; i < runs->count; i++) {
        const struct run *run = runs->items[i];
        if (!is_over(run) && !run_cancel(admin->kube, service, run->name, KUBE_BACKGROUND, err) &&
            err->code != ERR_NOT_FOUND)
            log_line(LOG_WARNING, "a run cannot be cancelled; it goes with its service", "run",
                     run->name, "namespace", service->namespace_, "service", service->name, "error",
                     err->text, NULL);
    }
    return true;
}

static void remove_in_turn(const struct admin *admin, struct server_request *req,
                           const struct service *service, const struct removal *removal)
{
    CLEANUP(run_list_finish) struct run_list runs = {0};
    struct error err;
    if (!run_list(admin->kube, service, 0, &runs, &err)) {
        server_answer_error(req, &err);
        return;
    }
    for (size_t i = 0; i < runs.count && !removal->cancel; i++) {
        if (!is_over(runs.items[i])) {
            refuse_for_active(req, runs.items[i]);
            return;
        }
    }
    if (!remove_service(admin, service, &runs, &err)) {
        server_answer_error(req, &err);
        return;
    }
    // What cannot be removed is logged: the service is gone already.
    if (removal->logs &&
        !recorder_forget_service(admin->recorder, service->namespace_, service->name, &err))
        log_line(LOG_WARNING, "logs of runs cannot be removed", "service", service->name,
                 "namespace", service->namespace_, "error", err.text, NULL);
    const char *logs = removal->logs ? "deleted" : "kept";
    log_line(LOG_INFO, "service deleted", "namespace", service->namespace_, "service",
             service->name, "logs", logs, "by", admin_token(admin, req)->name, NULL);
    server_answer_json(req, 200,
                       json_pack("{s:s, s:s, s:b, s:s}", "namespace", service->namespace_, "name",
                                 service->name, "deleted", true, "logs", logs));
}

static void delete_service(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    CLEANUP(named_service_finish) struct named_service named = {0};
    struct removal removal;
    struct error err;
    if (!read_word(req, "ifActive", "refuse", "cancel", &removal.cancel) ||
        !read_word(req, "logs", "keep", "delete", &removal.logs) ||
        !admin_find_service(admin, req, ROLE_ADMIN, &named))
        return;
    CLEANUP(free_ptr)
    char *full_name = xasprintf("%s/%s", named.service->namespace_, named.service->name);
    CLEANUP(turn_end) struct turn turn = {0};
    if (turn_begin(&turn, full_name, TURN_WAIT_MS, &err))
        remove_in_turn(admin, req, named.service, &removal);
    else
        server_answer_error(req, &err);
}

const struct server_route admin_removal_routes[] = {
    {"DELETE", "/v1/services/{namespace}/{name}", delete_service, 0},
    {0},
};
