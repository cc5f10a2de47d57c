// Deleting a service, and its runs' logs with it if that is asked for.
#include "agent/admin/services.h"
#include "agent/admin/turns.h"
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/text.h"
#include "deploy/services.h"

#include <dirent.h>
#include <string.h>

#define SUFFIX_LEN 8 // of a forced run's name

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

// --- logs ---

// Whether a run of that name is one of the service's, by its name alone: "x-29924760" of the
// schedule, "x-f-3kq9abcd" forced. "a-f-29924760" may be of a service "a-f" as well.
static bool is_named_after(const struct admin *admin, const struct service *service,
                           const char *run)
{
    size_t len = strlen(service->name);
    if (strncmp(run, service->name, len) != 0 || run[len] != '-')
        return false;
    const char *rest = run + len + 1;
    size_t digits = strspn(rest, "0123456789");
    if (digits > 0 && rest[digits] == '\0')
        return true;
    if (!text_starts(rest, "f-") || strlen(rest + 2) != SUFFIX_LEN)
        return false;
    CLEANUP(free_ptr) char *other = xasprintf("%s-f", service->name);
    CLEANUP(service_ptr)
    const struct service *owner = service_cache_get(admin->services, service->namespace_, other);
    return !owner;
}

static bool was_listed(const struct run_list *runs, const char *name)
{
    for (size_t i = 0; i < runs->count; i++)
        if (strcmp(runs->items[i]->name, name) == 0)
            return true;
    return false;
}

// What cannot be removed is logged: the service is gone already.
static void remove_logs(const struct admin *admin, const struct service *service,
                        const struct run_list *runs)
{
    CLEANUP(free_ptr)
    char *directory =
        xasprintf("%s/logs/runs/%s", admin->config->state_directory, service->namespace_);
    DIR *dir = opendir(directory);
    if (!dir)
        return;
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        CLEANUP(free_ptr) char *path = xasprintf("%s/%s", directory, entry->d_name);
        struct error err;
        bool own = was_listed(runs, entry->d_name) || is_named_after(admin, service, entry->d_name);
        if (own && !directory_remove(path, &err))
            log_line(LOG_WARNING, "logs of a run cannot be removed", "run", entry->d_name,
                     "namespace", service->namespace_, "error", err.text, NULL);
    }
    closedir(dir);
}

// --- the service ---

// The CronJob goes first, so that no further run is started. Its Jobs go with it; the active ones
// are not left to the garbage collector, which takes its time.
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
            return false;
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
    if (removal->logs)
        remove_logs(admin, service, &runs);
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
