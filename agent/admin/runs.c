#include "agent/admin/runs.h"
#include "agent/admin/logs.h"
#include "agent/base/file.h"
#include "agent/base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define RUNS_DEFAULT   20
#define RUNS_MAX       500
#define POD_WAIT_MS    20000 // a follower waits that long for the attempt's pod
#define POD_RECHECK_MS 300

static json_t *duration(struct wall_time from, struct wall_time to)
{
    return from.ms && to.ms ? admin_seconds(to.ms - from.ms) : json_null();
}

static json_t *exit_code(int code)
{
    return code < 0 ? json_null() : json_integer(code);
}

static json_t *attempt_json(const struct run_attempt *attempt, size_t number)
{
    return json_pack("{s:i, s:s, s:s, s:s, s:o, s:o, s:i, s:o, s:o, s:o}", "attempt", (int)number,
                     "pod", attempt->pod, "container", attempt->container, "state",
                     run_state_word(attempt->state), "reason", json_text_or_null(attempt->reason),
                     "exitCode", exit_code(attempt->exit_code), "restarts", attempt->restarts,
                     "created", admin_time(attempt->created), "started",
                     admin_time(attempt->started), "finished", admin_time(attempt->finished));
}

json_t *admin_run_json(const struct service *service, const struct run *run, bool attempts)
{
    int code = run->attempt_count ? run->attempts[run->attempt_count - 1].exit_code : -1;
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:i, s:s}",
        "name", run->name, "namespace", run->namespace_, "service", run->service, "kind",
        run_kind_word(run->kind), "requestedBy", json_text_or_null(run->requested_by), "commit",
        json_text_or_null(run->commit), "image", run->image, "state", run_state_word(run->state),
        "reason", json_text_or_null(run->reason), "exitCode", exit_code(code), "created",
        admin_time(run->created), "scheduledFor", admin_time(run->scheduled_for), "started",
        admin_time(run->started), "finished", admin_time(run->finished), "durationSeconds",
        duration(run->started, run->finished), "maxAttempts", run->backoff_limit + 1, "concurrency",
        service->concurrency);
    if (!attempts)
        return json;
    json_t *list = json_array();
    for (size_t i = 0; i < run->attempt_count; i++)
        admin_append(list, attempt_json(&run->attempts[i], i + 1));
    json_object_set_new(json, "attempts", list);
    return json;
}

static void list_runs(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    int64_t limit;
    if (!admin_query_int(req, "limit", 1, RUNS_MAX, RUNS_DEFAULT, &limit))
        return;
    CLEANUP(service_ptr)
    const struct service *service = admin_named_service(admin, req, ROLE_VIEWER);
    if (!service)
        return;
    struct run_list runs = {0};
    struct error err;
    if (!run_list(admin->kube, service, (size_t)limit, &runs, &err)) {
        server_answer_error(req, &err);
        return;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < runs.count; i++)
        admin_append(list, admin_run_json(service, runs.items[i], true));
    run_list_finish(&runs);
    server_answer_json(req, 200, json_pack("{s:o}", "runs", list));
}

// --- one run ---

static void cancel_run(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    CLEANUP(service_ptr)
    const struct service *service = admin_named_service(admin, req, ROLE_RUNNER);
    if (!service)
        return;
    const char *name = server_param(req, "run");
    struct error err;
    if (!run_cancel(admin->kube, service, name, KUBE_FOREGROUND, &err)) {
        server_answer_error(req, &err);
        return;
    }
    log_line(LOG_INFO, "run cancelled", "run", name, "namespace", service->namespace_, "by",
             admin_token(admin, req)->name, NULL);
    server_answer_json(req, 202, json_pack("{s:s, s:s}", "run", name, "state", "cancelling"));
}

// --- logs ---

static void pause_ms(int64_t ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

// The run once attempt `number` (0: any) has a pod; until then looks again while `follow`.
static struct run *run_with_attempt(struct server_request *req, const struct admin *admin,
                                    const struct service *service, int64_t number, bool follow)
{
    struct mono_time deadline = mono_after(follow ? POD_WAIT_MS : 0);
    size_t wanted = number ? (size_t)number : 1;
    for (;;) {
        struct run *run = NULL;
        struct error err;
        if (!run_get(admin->kube, service, server_param(req, "run"), &run, &err)) {
            server_answer_error(req, &err);
            return NULL;
        }
        if (run->attempt_count >= wanted)
            return run;
        bool over = run->state == RUN_SUCCEEDED || run->state == RUN_FAILED;
        run_free(run);
        if (over || mono_past(deadline)) {
            server_refuse(req, 404, "no-pod-yet", "attempt %zu has no pod%s", wanted,
                          over ? " and the run is over" : " yet");
            return NULL;
        }
        pause_ms(POD_RECHECK_MS);
    }
}

static char *run_log_directory(const struct admin *admin, const struct run *run)
{
    return xasprintf("%s/logs/runs/%s/%s", admin->config->state_directory, run->namespace_,
                     run->name);
}

static char *attempt_log_path(const struct admin *admin, const struct run *run,
                              const struct run_attempt *attempt)
{
    CLEANUP(free_ptr) char *directory = run_log_directory(admin, run);
    return xasprintf("%s/%s.log", directory, attempt->pod);
}

// Sees to it that the attempt's log is on its way into its file. The caller frees the path.
static char *follow_attempt(const struct admin *admin, const struct run *run,
                            const struct run_attempt *attempt, struct error *err)
{
    CLEANUP(free_ptr) char *directory = run_log_directory(admin, run);
    CLEANUP(free_ptr) char *path = attempt_log_path(admin, run, attempt);
    struct podlog_source source = {.namespace_ = run->namespace_,
                                   .pod = attempt->pod,
                                   .uid = attempt->pod_uid,
                                   .container = attempt->container,
                                   .path = path};
    return directory_make(directory, err) && podlog_follow(admin->logs, &source, err) ? TAKE(path)
                                                                                      : NULL;
}

// How far the last attempt's log is, as far as it was asked for: "complete", "following", …
static json_t *log_state(const struct admin *admin, const struct run *run)
{
    if (run->attempt_count == 0)
        return json_null();
    CLEANUP(free_ptr)
    char *path = attempt_log_path(admin, run, &run->attempts[run->attempt_count - 1]);
    struct podlog_end end;
    struct error err;
    return podlog_look(admin->logs, path, &end, &err) ? json_string(podlog_state_word(end.state))
                                                      : json_string("none");
}

static void get_run(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    CLEANUP(service_ptr)
    const struct service *service = admin_named_service(admin, req, ROLE_VIEWER);
    if (!service)
        return;
    CLEANUP(run_ptr) struct run *run = NULL;
    struct error err;
    if (!run_get(admin->kube, service, server_param(req, "run"), &run, &err)) {
        server_answer_error(req, &err);
        return;
    }
    json_t *json = admin_run_json(service, run, true);
    json_object_set_new(json, "log", log_state(admin, run));
    server_answer_json(req, 200, json);
}

static void get_run_log(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    bool follow;
    int64_t number;
    if (!admin_query_bool(req, "follow", &follow) ||
        !admin_query_int(req, "attempt", 1, 1000, 0, &number))
        return;
    CLEANUP(service_ptr)
    const struct service *service = admin_named_service(admin, req, ROLE_VIEWER);
    if (!service)
        return;
    CLEANUP(run_ptr) struct run *run = run_with_attempt(req, admin, service, number, follow);
    if (!run)
        return;
    const struct run_attempt *attempt =
        &run->attempts[number ? (size_t)number - 1 : run->attempt_count - 1];
    struct error err;
    CLEANUP(free_ptr) char *path = follow_attempt(admin, run, attempt, &err);
    if (path)
        admin_answer_log(req, admin, path);
    else
        server_answer_error(req, &err);
}

#define RUNS "/v1/services/{namespace}/{name}/runs"
const struct server_route admin_run_routes[] = {
    {"GET", RUNS, list_runs, 0},
    {"POST", RUNS, admin_create_run, 0},
    {"GET", RUNS "/{run}", get_run, 0},
    {"DELETE", RUNS "/{run}", cancel_run, 0},
    {"GET", RUNS "/{run}/logs", get_run_log, 0},
    {0},
};
