#include "agent/admin/runs.h"
#include "agent/admin/logs.h"
#include "agent/admin/missed.h"
#include "agent/base/log.h"
#include "agent/runs/record.h"
#include "agent/runs/recorder.h"
#include "deploy/services.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define RUNS_DEFAULT     20
#define RUNS_MAX         500
#define POD_WAIT_MS      20000 // a follower waits that long for the attempt's pod
#define POD_RECHECK_MS   300
#define ATTEMPTS_MAX     1000
#define SLOW_AT_LEAST_MS 5000 // more than usual

static json_t *duration(struct wall_time from, struct wall_time to)
{
    return from.ms && to.ms ? admin_seconds(to.ms - from.ms) : json_null();
}

static json_t *exit_code(int code)
{
    return code < 0 ? json_null() : json_integer(code);
}

static json_t *logs_json(const struct run_attempt *attempt)
{
    json_t *list = json_array();
    for (size_t i = 0; i < attempt->log_count; i++)
        admin_append(
            list,
            json_pack("{s:s, s:s, s:o, s:o}", "container", attempt->logs[i].container, "state",
                      podlog_state_word(attempt->logs[i].state), "why",
                      json_text_or_null(attempt->logs[i].why), "compressedBytes",
                      attempt->logs[i].bytes ? json_integer(attempt->logs[i].bytes) : json_null()));
    return list;
}

static json_t *attempt_json(const struct run_attempt *attempt, size_t number)
{
    return json_pack("{s:i, s:s, s:s, s:s, s:o, s:o, s:i, s:o, s:o, s:o, s:o}", "attempt",
                     (int)number, "pod", attempt->pod, "container", attempt->container, "state",
                     run_state_word(attempt->state), "reason", json_text_or_null(attempt->reason),
                     "exitCode", exit_code(attempt->exit_code), "restarts", attempt->restarts,
                     "created", admin_time(attempt->created), "started",
                     admin_time(attempt->started), "finished", admin_time(attempt->finished),
                     "logs", logs_json(attempt));
}

// It takes, or took, twice as long as usual. Kubernetes' times are whole seconds, so a few of them
// say nothing.
static bool is_slow(const struct run *run, int64_t usual_ms)
{
    struct wall_time until = run_state_is_over(run->state) ? run->finished : wall_now();
    int64_t took = until.ms - run->started.ms;
    return usual_ms >= 0 && run->started.ms && until.ms && took >= 2 * usual_ms &&
           took >= usual_ms + SLOW_AT_LEAST_MS;
}

json_t *admin_run_json(const struct admin *admin, const struct service *service,
                       const struct run *run, int64_t usual_ms, bool attempts)
{
    int code = run->attempt_count ? run->attempts[run->attempt_count - 1].exit_code : -1;
    bool archived = run_state_is_over(run->state) &&
                    recorder_job_is_gone(admin->recorder, run->namespace_, run->uid);
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:i, s:s,"
        " s:b, s:b, s:s}",
        "name", run->name, "namespace", run->namespace_, "service", run->service, "kind",
        run_kind_word(run->kind), "requestedBy", json_text_or_null(run->requested_by), "commit",
        json_text_or_null(run->commit), "image", run->image, "state", run_state_word(run->state),
        "reason", json_text_or_null(run->reason), "exitCode", exit_code(code), "created",
        admin_time(run->created), "scheduledFor", admin_time(run->scheduled_for), "started",
        admin_time(run->started), "finished", admin_time(run->finished), "durationSeconds",
        duration(run->started, run->finished), "maxAttempts", run->backoff_limit + 1, "concurrency",
        service->concurrency, "archived", archived, "slow", is_slow(run, usual_ms), "log",
        run_log_word(run));
    if (!attempts)
        return json;
    json_t *list = json_array();
    for (size_t i = 0; i < run->attempt_count; i++)
        admin_append(list, attempt_json(&run->attempts[i], i + 1));
    json_object_set_new(json, "attempts", list);
    return json;
}

// --- services that were ---

static bool note_any(void *user, const struct run_mention *run)
{
    (void)run;
    *(bool *)user = true;
    return false;
}

// A service that was deleted, of which runs are remembered; NULL when none are.
static const struct service *past_service(const struct admin *admin, const char *namespace,
                                          const char *name)
{
    bool any = false;
    struct error err;
    const struct service *service = NULL;
    if (!store_runs_of(admin->store, namespace, name, note_any, &any, &err) || !any)
        return NULL;
    CLEANUP(json_ptr)
    json_t *cronjob = json_pack("{s:{s:s, s:s, s:s}, s:{s:{s:{s:{s:{s:[]}}}}}}", "metadata",
                                "namespace", namespace, "name", name, "uid", "", "spec",
                                "jobTemplate", "spec", "template", "spec", "containers");
    return service_from_json(cronjob, &service, &err) ? service : NULL;
}

// As admin_named_service() for a viewer, also of one that is gone.
static const struct service *named_or_past(const struct admin *admin, struct server_request *req)
{
    const char *namespace = server_param(req, "namespace");
    const char *name = server_param(req, "name");
    if (!admin_may(admin, req, ROLE_VIEWER, namespace))
        return NULL;
    CLEANUP(service_ptr)
    const struct service *past = kube_is_label(namespace) && kube_is_name(name)
                                     ? past_service(admin, namespace, name)
                                     : NULL;
    const struct service *now = service_cache_get(admin->services, namespace, name);
    struct error err;
    if (now || !past)
        return now ? now : admin_named_service(admin, req, ROLE_VIEWER);
    // It may be too new for the watch; of one that cannot be asked for, the past can be told.
    return cronjob_get(admin->kube, namespace, name, &now, &err) ? now : TAKE(past);
}

// --- lists ---

int64_t admin_usual_of(const struct admin *admin, const struct service *service)
{
    struct run_record last;
    struct error err;
    int64_t usual_ms;
    return store_run_last(admin->store, service->namespace_, service->name, &last, &usual_ms, &err)
               ? usual_ms
               : -1;
}

struct listing {
    const struct admin *admin;
    const struct service *service;
    int64_t usual_ms;
    json_t *rows;
};

static bool add_run(void *user, const struct run_record *record)
{
    struct listing *listing = user;
    CLEANUP(run_ptr) struct run *run = run_from_record(record);
    admin_append(listing->rows,
                 admin_run_json(listing->admin, listing->service, run, listing->usual_ms, true));
    return true;
}

static bool read_filter(struct server_request *req, struct run_filter *out, bool *missed)
{
    static const char *const yes_no[] = {"true", "false", NULL};
    static const char *const kinds[] = {"scheduled", "forced", "first", NULL};
    static const char *const states[] = {"pending", "running", "succeeded", "failed",
                                         "unknown", "missed",  NULL};
    int64_t limit;
    const char *before = server_query(req, "before");
    const char *with_missed;
    if (!admin_query_word(req, "missed", yes_no, &with_missed) ||
        !admin_query_int(req, "limit", 1, RUNS_MAX, RUNS_DEFAULT, &limit) ||
        !admin_query_word(req, "kind", kinds, &out->kind) ||
        !admin_query_word(req, "state", states, &out->state))
        return false;
    out->limit = (int)limit;
    *missed = !with_missed || strcmp(with_missed, "true") == 0;
    if (!before || wall_parse(before, &out->before))
        return true;
    server_refuse(req, 400, "invalid", "before must be a time, as a run's \"created\"");
    return false;
}

static void list_runs(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    struct run_filter filter = {0};
    bool missed;
    if (!read_filter(req, &filter, &missed))
        return;
    CLEANUP(service_ptr)
    const struct service *service = named_or_past(admin, req);
    if (!service)
        return;
    filter.namespace = service->namespace_;
    filter.service = service->name;
    CLEANUP(json_ptr) json_t *rows = json_array();
    struct listing listing = {admin, service, admin_usual_of(admin, service), rows};
    struct error err;
    if (!store_run_list(admin->store, &filter, add_run, &listing, &err)) {
        server_answer_error(req, &err);
        return;
    }
    if (missed)
        admin_add_missed(admin, service, &filter, rows);
    server_answer_json(
        req, 200,
        json_pack("{s:O, s:o}", "runs", rows, "usualSeconds", admin_seconds(listing.usual_ms)));
}

static bool add_running(void *user, const struct run_mention *run)
{
    if (run->over)
        return true;
    CLEANUP(free_ptr) char *name = xasprintf("%s/%s", run->namespace, run->service);
    json_t *of_service = json_object_get(user, name);
    if (!of_service) { // the newest first
        of_service = json_pack("{s:[], s:o}", "names", "waiting", json_text_or_null(run->waiting));
        json_object_set_new(user, name, of_service);
    }
    json_array_append_new(json_object_get(of_service, "names"), json_string(run->name));
    return true;
}

json_t *admin_running(const struct admin *admin)
{
    json_t *all = json_object();
    struct error err;
    if (store_runs_open(admin->store, NULL, NULL, add_running, all, &err))
        return all;
    log_line(LOG_WARNING, "runs cannot be listed", "error", err.text, NULL);
    json_decref(all);
    return NULL;
}

// From its columns alone: attempts are not read for a list of services.
static json_t *last_run_json(const struct admin *admin, const struct service *service,
                             const struct run *run, const struct run_record *record,
                             int64_t usual_ms)
{
    json_t *json = admin_run_json(admin, service, run, usual_ms, false);
    json_object_set_new(json, "exitCode", exit_code(record->exit_code));
    json_object_set_new(json, "log", json_string(record->log));
    return json;
}

// The last finished run and the names of those running now are two things.
void admin_add_runs(const struct admin *admin, const struct service *service, const json_t *running,
                    json_t *json)
{
    struct run_record last;
    struct error err;
    int64_t usual_ms = -1;
    bool any =
        store_run_last(admin->store, service->namespace_, service->name, &last, &usual_ms, &err);
    CLEANUP(free_ptr) char *name = xasprintf("%s/%s", service->namespace_, service->name);
    json_t *of_service = json_object_get(running, name);
    json_t *names = json_object_get(of_service, "names");
    json_t *waiting = json_object_get(of_service, "waiting");
    CLEANUP(run_ptr) struct run *run = any ? run_from_record(&last) : NULL;
    if (running) {
        json_object_set_new(json, "running", names ? json_incref(names) : json_array());
        json_object_set_new(json, "waiting", waiting ? json_incref(waiting) : json_null());
    }
    if (any || err.code == ERR_NOT_FOUND)
        json_object_set_new(json, "lastRun",
                            any ? last_run_json(admin, service, run, &last, usual_ms)
                                : json_null());
    json_object_set_new(json, "usualSeconds", admin_seconds(usual_ms));
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
    log_line(LOG_INFO, "run cancelled", "run", name, "namespace", service->namespace_, "service",
             service->name, "by", admin_token(admin, req)->name, NULL);
    server_answer_json(req, 202, json_pack("{s:s, s:s}", "run", name, "state", "cancelling"));
}

// --- one run, live or archived ---

// As the cluster has it, with what only the archive knows still; or from there alone.
static bool find_run(const struct admin *admin, const struct service *service, const char *name,
                     struct run **out, struct error *err)
{
    CLEANUP(run_record_finish) struct run_record record = {0};
    CLEANUP(run_ptr) struct run *live = NULL;
    struct error absent;
    if (!run_get(admin->kube, service, name, &live, err)) {
        struct error unreachable = *err;
        if (!store_run_find(admin->store, service->namespace_, service->name, name, &record,
                            &absent))
            return error_set(err, unreachable.code, "%s", unreachable.text);
        *out = run_from_record(&record);
        return true;
    }
    if (!run_explain_wait(admin->kube, live, &absent))
        log_line(LOG_DEBUG, "why a run waits cannot be told", "run", name, "error", absent.text,
                 NULL);
    if (store_run_get(admin->store, live->uid, &record, &absent)) {
        CLEANUP(run_ptr) struct run *known = run_from_record(&record);
        run_merge(live, known);
    }
    recorder_add(admin->recorder, live);
    *out = TAKE(live);
    return true;
}

static void get_run(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    CLEANUP(service_ptr)
    const struct service *service = named_or_past(admin, req);
    if (!service)
        return;
    CLEANUP(run_ptr) struct run *run = NULL;
    struct error err;
    if (!find_run(admin, service, server_param(req, "run"), &run, &err)) {
        server_answer_error(req, &err);
        return;
    }
    recorder_look_at_logs(admin->recorder, run);
    server_answer_json(req, 200,
                       admin_run_json(admin, service, run, admin_usual_of(admin, service), true));
}

// --- logs ---

// Which log of a run is asked for.
struct log_choice {
    bool follow;
    bool previous;
    int64_t attempt;       // 0: the newest
    const char *container; // NULL: the one that counts
};

static bool read_choice(struct server_request *req, struct log_choice *out)
{
    out->container = server_query(req, "container");
    if (!admin_query_bool(req, "follow", &out->follow) ||
        !admin_query_bool(req, "previous", &out->previous) ||
        !admin_query_int(req, "attempt", 1, ATTEMPTS_MAX, 0, &out->attempt))
        return false;
    if (!out->container || kube_is_label(out->container))
        return true;
    server_refuse(req, 400, "invalid", "\"%s\" is no container's name", out->container);
    return false;
}

// The run once the attempt has a pod; until then looks again while `follow`.
static struct run *run_with_attempt(struct server_request *req, const struct admin *admin,
                                    const struct service *service, const struct log_choice *choice)
{
    struct mono_time deadline = mono_after(choice->follow ? POD_WAIT_MS : 0);
    size_t wanted = choice->attempt ? (size_t)choice->attempt : 1;
    for (;;) {
        struct run *run = NULL;
        struct error err;
        if (!find_run(admin, service, server_param(req, "run"), &run, &err)) {
            server_answer_error(req, &err);
            return NULL;
        }
        if (run->attempt_count >= wanted)
            return run;
        bool over = run_state_is_over(run->state);
        run_free(run);
        if (over || mono_past(deadline)) {
            server_refuse(req, 404, "no-pod-yet", "attempt %zu has no pod%s", wanted,
                          over ? " and the run is over" : " yet");
            return NULL;
        }
        mono_sleep(POD_RECHECK_MS);
    }
}

static const struct run_log *log_of(const struct run_attempt *attempt, const char *container)
{
    for (size_t i = 0; i < attempt->log_count; i++)
        if (strcmp(attempt->logs[i].container, container) == 0)
            return &attempt->logs[i];
    return NULL;
}

static void refuse_log(struct server_request *req, const struct run_attempt *attempt,
                       const char *container, const struct run_log *log)
{
    CLEANUP(buffer_finish) struct buffer names = {0};
    for (size_t i = 0; i < attempt->log_count; i++)
        if (!buffer_printf(&names, NULL, "%s%s", i ? ", " : "", attempt->logs[i].container))
            break;
    if (log)
        server_refuse(req, 404, "no-log", "the log of container %s is lost: %s", container,
                      log->why);
    else
        server_refuse(req, 404, "no-log", "container %s has no log in this attempt; there are: %s",
                      container, names.len ? buffer_text(&names) : "none, it never started");
}

static bool sees_run(const struct admin *admin, const struct config_token *token, const void *of)
{
    (void)admin;
    return admin_sees(token, of);
}

static void answer_log(struct server_request *req, const struct admin *admin, const struct run *run,
                       const struct run_attempt *attempt, const char *container)
{
    const struct run_log *log = log_of(attempt, container);
    CLEANUP(free_ptr) char *path = recorder_log_path(admin->recorder, run, attempt->pod, container);
    bool growing = log ? log->state == PODLOG_FOLLOWING : !run_state_is_over(attempt->state);
    struct log_sight sight = {sees_run, run->namespace_, strlen(run->namespace_) + 1};
    struct podlog_end end;
    struct error err;
    if (growing && !recorder_follow(admin->recorder, run, attempt, container, &err))
        server_answer_error(req, &err);
    else if (!growing && (!log || !podlog_look(admin->logs, path, &end, &err)))
        refuse_log(req, attempt, container, log);
    else
        admin_answer_log(req, admin, path, &sight);
}

static void get_run_log(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    struct log_choice choice = {0};
    if (!read_choice(req, &choice))
        return;
    CLEANUP(service_ptr)
    const struct service *service = named_or_past(admin, req);
    if (!service)
        return;
    CLEANUP(run_ptr) struct run *run = run_with_attempt(req, admin, service, &choice);
    if (!run)
        return;
    size_t number = choice.attempt ? (size_t)choice.attempt : run->attempt_count;
    if (choice.previous && number == 1) {
        server_refuse(req, 404, "no-log",
                      "there is no attempt before the first; containers that are restarted within "
                      "a pod go on in one log");
        return;
    }
    const struct run_attempt *attempt = &run->attempts[number - (choice.previous ? 2 : 1)];
    answer_log(req, admin, run, attempt, choice.container ? choice.container : attempt->container);
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
