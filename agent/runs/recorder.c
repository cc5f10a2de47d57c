#include "agent/runs/recorder.h"
#include "agent/base/crashpoint.h"
#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/metrics.h"
#include "agent/runs/logs.h"
#include "agent/runs/record.h"
#include "agent/runs/state.h"
#include "deploy/runs_json.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#define WORKERS          4
#define AGAIN_MS         500   // a run that is over, whose pods lag behind
#define FULL_AGAIN_MS    3000  // a log that found no place
#define PODS_LAG_MS      10000 // at most, behind the end of their Job
#define PODS_END_MS      45000 // at most, after their Job was deleted
#define UNTOLD_MS        300000
#define CREATED_GRAIN_MS 1000 // Kubernetes gives times of creation in whole seconds
#define SEEN_EVERY_MS    20000
#define SWEEP_EVERY_MS   600000
#define ADOPT_AFTER_MS   500 // of many new services, one list finds the Jobs
#define KEY_MAX          320

// Keys of the queue: one letter, then a name.
#define KEY_RUN   'r' // uid
#define KEY_STATE 's' // namespace/service
#define KEY_ADOPT 'a' // namespace: Jobs of services that were made before they were ones
#define KEY_OPEN  'o' // namespace, or nothing for all: runs left over from before
#define KEY_SEEN  'w'
#define KEY_SWEEP 'x'

static void add_key(struct recorder *recorder, char kind, const char *name, int64_t delay_ms)
{
    char key[KEY_MAX];
    snprintf(key, sizeof key, "%c%s", kind, name);
    if (delay_ms)
        work_queue_after(recorder->queue, key, delay_ms);
    else
        work_queue_add(recorder->queue, key);
}

static void add_service_key(struct recorder *recorder, char kind, const struct service *service)
{
    CLEANUP(free_ptr) char *name = xasprintf("%s/%s", service->namespace_, service->name);
    add_key(recorder, kind, name, 0);
}

static struct space *space_of(struct recorder *recorder, const char *namespace_)
{
    for (size_t i = 0; i < recorder->space_count; i++) {
        struct space *space = &recorder->spaces[i];
        if (!space->namespace_ || (namespace_ && strcmp(space->namespace_, namespace_) == 0))
            return space;
    }
    return NULL;
}

// --- what the watches tell ---

// The service that a Job is a run of, by its controller. The caller drops it.
static const struct service *service_of(struct recorder *recorder, const json_t *job)
{
    const char *uid = controller_uid(job);
    const char *namespace_ = json_text_at(job, "metadata", "namespace", NULL);
    const json_t *owners = json_at(job, "metadata", "ownerReferences", NULL);
    for (size_t i = 0; uid && namespace_ && i < json_array_size(owners); i++) {
        const json_t *owner = json_array_get(owners, i);
        const char *own = json_text_at(owner, "uid", NULL);
        const char *name = json_text_at(owner, "name", NULL);
        if (!own || !name || strcmp(own, uid) != 0)
            continue;
        CLEANUP(service_ptr)
        const struct service *service =
            service_cache_get(recorder->parts.services, namespace_, name);
        return service && strcmp(service->uid, uid) == 0 ? TAKE(service) : NULL;
    }
    return NULL;
}

static void job_item(void *user, enum kube_event event, const json_t *job)
{
    const struct space *space = user;
    struct recorder *recorder = space->recorder;
    CLEANUP(service_ptr)
    const struct service *service = event == KUBE_DELETED ? NULL : service_of(recorder, job);
    bool wanted = event == KUBE_DELETED ? jobs_drop(recorder->jobs, job)
                                        : jobs_put(recorder->jobs, job, service);
    if (wanted)
        add_key(recorder, KEY_RUN, json_text_at(job, "metadata", "uid", NULL), 0);
}

static void pod_item(void *user, enum kube_event event, const json_t *pod)
{
    const struct space *space = user;
    char uid[64];
    if (jobs_put_pod(space->recorder->jobs, pod, event == KUBE_DELETED, uid))
        add_key(space->recorder, KEY_RUN, uid, 0);
}

static void add_open(void *user, const char *uid)
{
    add_key(user, KEY_RUN, uid, 0);
}

static void pods_told(struct space *space)
{
    if (!atomic_exchange(&space->pods_known, true))
        jobs_each_open(space->recorder->jobs, space->namespace_, add_open, space->recorder);
}

static void pods_synced(void *user)
{
    pods_told(user);
    malloc_trim(0); // a list's JSON is large and gone
}

static void say_failed(const struct space *space, const char *what, const struct error *err,
                       int64_t retry_ms)
{
    char retry[32];
    snprintf(retry, sizeof retry, "%" PRId64 "ms", retry_ms);
    metric_count(METRIC_WATCH_FAILURES, "runs", NULL);
    log_line(LOG_WARNING, what, "namespace", space->namespace_, "error", err->text, "retry", retry,
             NULL);
}

static void pods_failed(void *user, const struct error *err, int64_t retry_ms)
{
    say_failed(user, "the watch of runs' pods failed", err, retry_ms);
    if (err->code == ERR_FORBIDDEN)
        pods_told(user); // runs can be recorded without
}

static void jobs_failed(void *user, const struct error *err, int64_t retry_ms)
{
    say_failed(user, "the watch of runs failed", err, retry_ms);
}

// Pods are asked for when all Jobs are known, so that those of others need not be kept.
static void jobs_synced(void *user)
{
    static const struct kube_watch_events events = {pod_item, pods_synced, pods_failed};
    struct space *space = user;
    struct recorder *recorder = space->recorder;
    malloc_trim(0);
    if (atomic_exchange(&space->jobs_known, true))
        return;
    space->pods =
        kube_watch_create(recorder->parts.kube, recorder->parts.loop,
                          &(struct kube_watch_options){.resource = &KUBE_PODS,
                                                       .namespace_ = space->namespace_,
                                                       .label_selector = KUBE_LABEL_CONTROLLER_UID},
                          &events, space);
    add_key(recorder, KEY_OPEN, space->namespace_ ? space->namespace_ : "", 0);
}

void recorder_watch(struct recorder *recorder, const char *namespace_)
{
    static const struct kube_watch_events events = {job_item, jobs_synced, jobs_failed};
    struct space *space = space_of(recorder, namespace_);
    if (!space || space->jobs)
        return;
    space->jobs = kube_watch_create(
        recorder->parts.kube, recorder->parts.loop,
        &(struct kube_watch_options){.resource = &KUBE_JOBS, .namespace_ = space->namespace_},
        &events, space);
}

void recorder_service_changed(struct recorder *recorder, const struct service *before,
                              const struct service *after)
{
    const struct service *service = after ? after : before;
    const struct space *space = space_of(recorder, service->namespace_);
    add_service_key(recorder, KEY_STATE, service);
    if (!before && space && space->jobs_known)
        add_key(recorder, KEY_ADOPT, service->namespace_, ADOPT_AFTER_MS);
}

// --- one run ---

static bool attempts_are_over(const struct run *run)
{
    for (size_t i = 0; i < run->attempt_count; i++)
        if (!run_state_is_over(run->attempts[i].state))
            return false;
    return true;
}

// Whether all that can be known of a run that is over is known: its pods' watch may lag behind its
// Job's.
static bool is_whole(struct recorder *recorder, const struct run *run, const struct job_view *view)
{
    const struct space *space = space_of(recorder, run->namespace_);
    json_int_t pods = json_int_or(json_at(view->job, "status", "succeeded", NULL), 0) +
                      json_int_or(json_at(view->job, "status", "failed", NULL), 0);
    if (!run_state_is_over(run->state) || !space || !space->pods_known)
        return false;
    if (attempts_are_over(run) && (json_int_t)run->attempt_count >= pods)
        return true;
    struct mono_time since = jobs_over(recorder->jobs, run->uid);
    return mono_now().ms - since.ms > (view->gone ? PODS_END_MS : PODS_LAG_MS);
}

// A pod that was deleted may not have said how its container ended.
static void end_attempts(struct run *run, const json_t *pods, bool all)
{
    bool deadline = strcmp(run->reason, "deadline exceeded") == 0;
    for (size_t i = 0; i < run->attempt_count; i++) {
        struct run_attempt *attempt = &run->attempts[i];
        bool deleted = false;
        for (size_t j = 0; j < json_array_size(pods) && !run_state_is_over(attempt->state); j++) {
            const json_t *pod = json_array_get(pods, j);
            const char *uid = json_text_at(pod, "metadata", "uid", NULL);
            deleted |= json_at(pod, "deleted", NULL) && uid && strcmp(uid, attempt->pod_uid) == 0;
        }
        if (run_state_is_over(attempt->state) || !(deleted || all))
            continue;
        attempt->state = deleted ? RUN_FAILED : RUN_UNKNOWN;
        text_field_set(&attempt->reason, deadline  ? run->reason
                                         : deleted ? "its pod was deleted"
                                                   : "how it ended was not seen");
    }
}

static void end_run(struct run *run, enum run_state state, const char *reason)
{
    run->state = state;
    run->finished = wall_now();
    text_field_set(&run->reason, reason);
}

// A Job that was deleted before it was over. Its pods may need a while yet.
static void cancel_run(struct run *run, const struct run *before)
{
    if (before && run_state_is_over(before->state)) {
        end_run(run, before->state, before->reason);
        run->finished = before->finished;
        return;
    }
    end_run(run, RUN_FAILED, RUN_REASON_CANCELLED);
}

static void find_commit(struct recorder *recorder, struct run *run)
{
    char commit[STORE_COMMIT_SIZE];
    if (!*run->commit && store_patch_commit(recorder->parts.store, run->namespace_, run->service,
                                            run->image, commit, NULL))
        text_field_set(&run->commit, commit);
}

static bool is_same(const struct run_record *a, const struct run_record *b)
{
    return strcmp(a->attempts, b->attempts) == 0 && strcmp(a->state, b->state) == 0 &&
           strcmp(a->reason, b->reason) == 0 && strcmp(a->commit, b->commit) == 0 &&
           strcmp(a->log, b->log) == 0 && a->open == b->open && a->started.ms == b->started.ms &&
           a->finished.ms == b->finished.ms;
}

// Those that were over when the agent came are nothing that happened now.
static void note_end(const struct recorder *recorder, const struct run *run)
{
    if (run->finished.ms < recorder->since.ms)
        return;
    metric_count(METRIC_RUNS, run_kind_word(run->kind), run_state_word(run->state));
    log_line(LOG_INFO, "run ended", "run", run->name, "namespace", run->namespace_, "service",
             run->service, "kind", run_kind_word(run->kind), "state", run_state_word(run->state),
             "reason", *run->reason ? run->reason : NULL, NULL);
}

static bool put_run(struct recorder *recorder, const struct run *run, bool open,
                    const struct run_record *before, struct error *err)
{
    struct run_record record;
    bool ended = false;
    run_to_record(run, open, &record);
    CRASH_POINT("before-run-recorded");
    bool ok = (before->attempts && is_same(&record, before)) ||
              store_run_put(recorder->parts.store, &record, &ended, err);
    CRASH_POINT("after-run-recorded");
    run_record_finish(&record);
    if (ok && ended)
        note_end(recorder, run);
    return ok;
}

static enum work_result fail(const char *what, const char *name, const struct error *err)
{
    log_line(LOG_WARNING, what, "run", name, "error", err->text, NULL);
    return WORK_FAILED;
}

// Writes down what is known, and sees to the logs. `whole`: the run itself will not change.
static enum work_result write_run(struct recorder *recorder, struct run *run, bool whole, bool gone,
                                  const struct run_record *before)
{
    struct logs_progress progress;
    struct error err = {.code = ERR_NONE};
    // First the row: logs without one would be forgotten.
    if (!before->attempts && !put_run(recorder, run, true, before, &err))
        return fail("a run cannot be recorded", run->name, &err);
    if (!logs_settle(recorder, run, &progress, &err))
        return fail("a run's log cannot be kept", run->name, &err);
    CRASH_POINT("after-logs-settled");
    if (!put_run(recorder, run, !whole || progress.pending, before, &err))
        return fail("a run cannot be recorded", run->name, &err);
    atomic_fetch_add(&recorder->log_bytes, progress.bytes);
    if (whole)
        jobs_settle(recorder->jobs, run->uid, gone);
    if (progress.refused)
        add_key(recorder, KEY_RUN, run->uid, FULL_AGAIN_MS);
    else if (!whole && run_state_is_over(run->state))
        add_key(recorder, KEY_RUN, run->uid, AGAIN_MS);
    if (whole && !progress.pending &&
        !(recorder_expire(recorder, run->namespace_, run->service, &err) &&
          recorder_evict(recorder, &err)))
        return fail("old runs cannot be forgotten", run->name, &err);
    return WORK_DONE;
}

// The Job is here, or was until just now.
static enum work_result record_open(struct recorder *recorder, const struct job_view *view,
                                    const struct run_record *before)
{
    CLEANUP(run_ptr) struct run *run = NULL;
    CLEANUP(run_ptr) struct run *known = before->attempts ? run_from_record(before) : NULL;
    struct error err;
    if (!run_from_json(view->job, view->pods, view->service, &run, &err))
        return WORK_DONE; // no Job that Kubernetes would take
    if (known)
        run_merge(run, known);
    if (view->gone && !run_state_is_over(run->state))
        cancel_run(run, known);
    else if (run_state_is_over(run->state) && run->finished.ms == 0)
        run->finished = wall_now();
    find_commit(recorder, run);
    end_attempts(run, view->pods, false);
    bool whole = is_whole(recorder, run, view);
    end_attempts(run, view->pods, whole);
    return write_run(recorder, run, whole, view->gone, before);
}

// A Job that the watch did not tell of in all that time went before it could. One of the second in
// which the agent started may be younger than the agent.
static bool is_left_over(const struct recorder *recorder, const struct space *space,
                         const struct run_record *before)
{
    if (!space || !space->jobs_known)
        return false;
    return before->created.ms + CREATED_GRAIN_MS <= recorder->since.ms ||
           (wall_now().ms - before->created.ms > UNTOLD_MS &&
            !kube_watch_failing(space->jobs, NULL));
}

// Of what is left over by its times, which our clock may be wrong about, Kubernetes has the word.
static bool is_there(struct recorder *recorder, const struct run_record *before, bool *there,
                     struct error *err)
{
    struct kube_request request = {
        .resource = &KUBE_JOBS, .namespace_ = before->namespace, .name = before->name};
    struct kube_reply reply;
    *there = false;
    if (!kube_request(recorder->parts.kube, &request, &reply, err))
        return err->code == ERR_NOT_FOUND;
    const char *uid = json_text_at(reply.body, "metadata", "uid", NULL);
    *there = uid && strcmp(uid, before->uid) == 0;
    kube_reply_finish(&reply);
    return true;
}

// The Job went while no agent was there, or is recorded but for its logs.
static enum work_result record_rest(struct recorder *recorder, enum job_standing standing,
                                    const struct run_record *before)
{
    CLEANUP(run_ptr) struct run *run = run_from_record(before);
    const struct space *space = space_of(recorder, before->namespace);
    bool over = run_state_is_over(run->state);
    if (!over && (standing != JOB_ABSENT || !is_left_over(recorder, space, before)))
        return WORK_DONE; // its Job will be told
    bool there = false;
    struct error err;
    if (!over && !is_there(recorder, before, &there, &err))
        return fail("a run cannot be looked at", before->name, &err);
    if (there)
        return WORK_DONE;
    end_attempts(run, NULL, true);
    if (!over)
        end_run(run, RUN_UNKNOWN, "its Job was deleted while the agent was away");
    return write_run(recorder, run, true, standing == JOB_ABSENT, before);
}

// The Job ended long ago; nothing of it is kept here, so the cluster is asked.
static enum work_result record_old(struct recorder *recorder, const struct job_view *view,
                                   const char *uid, const struct run_record *before)
{
    CLEANUP(run_ptr) struct run *run = NULL;
    CLEANUP(run_ptr) struct run *known = before->attempts ? run_from_record(before) : NULL;
    struct error err;
    if (!run_get(recorder->parts.kube, view->service, view->old, &run, &err))
        return err.code == ERR_NOT_FOUND ? WORK_DONE // its end will be told
                                         : fail("a run cannot be looked at", view->old, &err);
    if (strcmp(run->uid, uid) != 0)
        return WORK_DONE;
    if (known)
        run_merge(run, known);
    find_commit(recorder, run);
    end_attempts(run, NULL, true);
    return write_run(recorder, run, true, false, before);
}

static enum work_result look_at_run(struct recorder *recorder, const char *uid)
{
    CLEANUP(job_view_finish) struct job_view view = {0};
    CLEANUP(run_record_finish) struct run_record before = {0};
    struct error err;
    jobs_look(recorder->jobs, uid, &view);
    bool stored = store_run_get(recorder->parts.store, uid, &before, &err);
    if (!stored && err.code != ERR_NOT_FOUND)
        return fail("a run cannot be looked up", uid, &err);
    if (stored && !before.open) {
        jobs_settle(recorder->jobs, uid, view.gone);
        return WORK_DONE;
    }
    if (view.old)
        return record_old(recorder, &view, uid, &before);
    if (view.job)
        return record_open(recorder, &view, &before);
    if (view.standing == JOB_OPEN) // of which only pods are told: it went, or will come
        view.standing = JOB_ABSENT;
    return stored ? record_rest(recorder, view.standing, &before) : WORK_DONE;
}

static enum work_result record_run(struct recorder *recorder, const char *uid)
{
    pthread_rwlock_rdlock(&recorder->forgetting);
    enum work_result result = look_at_run(recorder, uid);
    pthread_rwlock_unlock(&recorder->forgetting);
    return result;
}

// It was recorded to its end, and that is forgotten; or its service is gone, and with it all of its
// runs are.
static bool is_forgotten(struct recorder *recorder, const struct run *run)
{
    CLEANUP(service_ptr)
    const struct service *service =
        service_cache_get(recorder->parts.services, run->namespace_, run->service);
    if (!service)
        return true;
    CLEANUP(job_view_finish) struct job_view view = {0};
    jobs_look(recorder->jobs, run->uid, &view);
    return view.standing == JOB_SETTLED;
}

static void add_run(struct recorder *recorder, const struct run *run)
{
    struct run_record record = {0};
    struct error err = {.code = ERR_NONE};
    bool stored = store_run_get(recorder->parts.store, run->uid, &record, &err);
    bool news = stored ? record.finished.ms == 0 && run_state_is_over(run->state)
                       : err.code == ERR_NOT_FOUND && !is_forgotten(recorder, run);
    if (!stored && err.code != ERR_NOT_FOUND)
        log_line(LOG_WARNING, "a run cannot be looked up", "run", run->name, "error", err.text,
                 NULL);
    else if (news && !put_run(recorder, run, true, &record, &err))
        log_line(LOG_WARNING, "a run cannot be recorded", "run", run->name, "error", err.text,
                 NULL);
    else if (news)
        add_key(recorder, KEY_RUN, run->uid, 0); // a worker may have known more just now
    run_record_finish(&record);
}

void recorder_add(struct recorder *recorder, const struct run *run)
{
    pthread_rwlock_rdlock(&recorder->forgetting);
    add_run(recorder, run);
    pthread_rwlock_unlock(&recorder->forgetting);
}

// --- services ---

static bool split_name(const char *name, char namespace_[static STORE_NAME_SIZE],
                       const char **service)
{
    const char *slash = strchr(name, '/');
    if (!slash || slash - name >= STORE_NAME_SIZE)
        return false;
    snprintf(namespace_, STORE_NAME_SIZE, "%.*s", (int)(slash - name), name);
    *service = slash + 1;
    return true;
}

static enum work_result record_state(struct recorder *recorder, const char *name)
{
    struct service_state_record record = {.at = wall_now()};
    struct error err;
    const char *own;
    if (!split_name(name, record.namespace, &own))
        return WORK_DONE;
    CLEANUP(service_ptr)
    const struct service *service =
        service_cache_get(recorder->parts.services, record.namespace, own);
    text_copy(record.service, sizeof record.service, own);
    text_copy(record.state, sizeof record.state,
              service_state_word(service ? service->state : SERVICE_STOPPED));
    text_copy(record.schedule, sizeof record.schedule, service ? service->schedule : "");
    text_copy(record.time_zone, sizeof record.time_zone, service ? service->time_zone : "");
    CRASH_POINT("before-state-recorded");
    return store_service_state_add(recorder->parts.store, &record, &err)
               ? WORK_DONE
               : fail("a service's state cannot be recorded", name, &err);
}

// A list of the Jobs of new services, then of their pods.

static bool adopt_job(void *user, const json_t *job)
{
    struct recorder *recorder = user;
    CLEANUP(service_ptr) const struct service *service = service_of(recorder, job);
    if (service && jobs_adopt(recorder->jobs, job, service))
        add_key(recorder, KEY_RUN, json_text_at(job, "metadata", "uid", NULL), 0);
    return true;
}

static bool adopt_pod(void *user, const json_t *pod)
{
    struct recorder *recorder = user;
    char uid[64];
    if (jobs_adopt_pod(recorder->jobs, pod, uid))
        add_key(recorder, KEY_RUN, uid, 0);
    return true;
}

static enum work_result adopt(struct recorder *recorder, const char *namespace_)
{
    static const struct kube_list_events jobs = {.item = adopt_job};
    static const struct kube_list_events pods = {.item = adopt_pod};
    struct error err;
    struct kube_request request = {.resource = &KUBE_JOBS, .namespace_ = namespace_};
    if (!kube_list(recorder->parts.kube, &request, &jobs, recorder, &err))
        return fail("runs cannot be listed", namespace_, &err);
    request = (struct kube_request){.resource = &KUBE_PODS,
                                    .namespace_ = namespace_,
                                    .query = {{"labelSelector", KUBE_LABEL_CONTROLLER_UID}}};
    return kube_list(recorder->parts.kube, &request, &pods, recorder, &err)
               ? WORK_DONE
               : fail("runs' pods cannot be listed", namespace_, &err);
}

// --- the rest of the work ---

static bool add_left_over(void *user, const struct run_mention *run)
{
    add_key(user, KEY_RUN, run->uid, 0);
    return true;
}

// A service that went while no agent was there.
static bool add_gone(void *user, const char *namespace_, const char *name)
{
    struct recorder *recorder = user;
    CLEANUP(service_ptr)
    const struct service *service = service_cache_get(recorder->parts.services, namespace_, name);
    CLEANUP(free_ptr) char *key = xasprintf("%s/%s", namespace_, name);
    if (!service)
        add_key(recorder, KEY_STATE, key, 0);
    return true;
}

static enum work_result find_left_over(struct recorder *recorder, const char *name)
{
    const char *namespace_ = *name ? name : NULL;
    struct store *store = recorder->parts.store;
    struct error err;
    return store_runs_open(store, namespace_, NULL, add_left_over, recorder, &err) &&
                   store_service_state_present(store, namespace_, add_gone, recorder, &err)
               ? WORK_DONE
               : fail("runs cannot be looked up", name, &err);
}

static enum work_result say_seen(struct recorder *recorder)
{
    struct error err;
    return store_watch_seen(recorder->parts.store, recorder->since, wall_now(), &err)
               ? WORK_DONE
               : fail("the store is not written", "", &err);
}

// Forgets, and looks again at what is open: logs whose end could not be written, say.
static enum work_result sweep(struct recorder *recorder)
{
    struct error err;
    for (size_t i = 0; i < recorder->space_count; i++) {
        const struct space *space = &recorder->spaces[i];
        if (space->jobs_known)
            add_key(recorder, KEY_OPEN, space->namespace_ ? space->namespace_ : "", 0);
    }
    return recorder_expire(recorder, NULL, NULL, &err) && recorder_evict(recorder, &err)
               ? WORK_DONE
               : fail("old runs cannot be forgotten", "", &err);
}

static enum work_result work(void *user, const char *key, int tries)
{
    (void)tries;
    struct recorder *recorder = user;
    const char *name = key + 1;
    switch (*key) {
    case KEY_RUN:
        return record_run(recorder, name);
    case KEY_STATE:
        return record_state(recorder, name);
    case KEY_ADOPT:
        return adopt(recorder, name);
    case KEY_OPEN:
        return find_left_over(recorder, name);
    case KEY_SEEN:
        return say_seen(recorder);
    default:
        return sweep(recorder);
    }
}

static bool is_due(struct mono_time *next, int64_t every_ms)
{
    if (!mono_past(*next))
        return false;
    *next = mono_after(every_ms);
    return true;
}

void recorder_tick(struct recorder *recorder)
{
    pthread_mutex_lock(&recorder->mutex);
    bool seen = is_due(&recorder->next_seen, SEEN_EVERY_MS);
    bool sweeping = is_due(&recorder->next_sweep, SWEEP_EVERY_MS);
    pthread_mutex_unlock(&recorder->mutex);
    if (seen)
        add_key(recorder, KEY_SEEN, "", 0);
    if (sweeping)
        add_key(recorder, KEY_SWEEP, "", 0);
}

// --- what others ask ---

bool recorder_job_is_gone(struct recorder *recorder, const char *namespace_, const char *uid)
{
    CLEANUP(job_view_finish) struct job_view view = {0};
    const struct space *space = space_of(recorder, namespace_);
    if (!space || !space->jobs_known)
        return false;
    jobs_look(recorder->jobs, uid, &view);
    return view.standing == JOB_ABSENT || view.gone;
}

struct wall_time recorder_since(const struct recorder *recorder)
{
    return recorder->since;
}

// --- life ---

static void log_ended(void *user, const char *path)
{
    struct recorder *recorder = user;
    char uid[64];
    if (logs_uid_of(&recorder->parts, path, uid))
        add_key(recorder, KEY_RUN, uid, 0);
}

bool recorder_create(const struct recorder_parts *parts, struct recorder **out, struct error *err)
{
    CLEANUP(settings_drop_ptr) const struct config *config = settings_hold(parts->settings);
    const struct config_texts *namespaces = &config->kubernetes.namespaces;
    int64_t bytes;
    if (!store_run_log_bytes(parts->store, &bytes, err))
        return error_wrap(err, "the history of runs");
    struct recorder *recorder = xalloc(sizeof *recorder);
    recorder->parts = *parts;
    recorder->since = wall_now();
    recorder->log_bytes = bytes;
    pthread_mutex_init(&recorder->mutex, NULL);
    pthread_mutex_init(&recorder->retention, NULL);
    // Else those who record, of whom there are always some, would keep out who forgets.
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&recorder->forgetting, &attributes);
    pthread_rwlockattr_destroy(&attributes);
    recorder->jobs = jobs_create();
    recorder->queue = work_queue_create(work, recorder);
    recorder->space_count = namespaces->count ? namespaces->count : 1;
    recorder->spaces = xalloc(recorder->space_count * sizeof *recorder->spaces);
    for (size_t i = 0; i < recorder->space_count; i++) {
        recorder->spaces[i].recorder = recorder;
        recorder->spaces[i].namespace_ = namespaces->count ? xstrdup(namespaces->items[i]) : NULL;
    }
    podlog_hub_on_end(parts->logs, log_ended, recorder);
    work_queue_start(recorder->queue, WORKERS);
    *out = recorder;
    return true;
}

void recorder_queue(struct recorder *recorder, struct work_queue_figures *out)
{
    work_queue_figures(recorder->queue, out);
}

size_t recorder_watches_failing(const struct recorder *recorder)
{
    size_t failing = 0;
    for (size_t i = 0; i < recorder->space_count; i++) {
        struct kube_watch *jobs = recorder->spaces[i].jobs, *pods = recorder->spaces[i].pods;
        failing += jobs && kube_watch_failing(jobs, NULL);
        failing += pods && kube_watch_failing(pods, NULL);
    }
    return failing;
}

int64_t recorder_log_bytes(const struct recorder *recorder)
{
    return recorder->log_bytes;
}

void recorder_destroy(struct recorder *recorder)
{
    if (!recorder)
        return;
    podlog_hub_on_end(recorder->parts.logs, NULL, NULL);
    for (size_t i = 0; i < recorder->space_count; i++) {
        kube_watch_destroy(recorder->spaces[i].jobs);
        kube_watch_destroy(recorder->spaces[i].pods);
    }
    work_queue_destroy(recorder->queue);
    say_seen(recorder);
    jobs_destroy(recorder->jobs);
    for (size_t i = 0; i < recorder->space_count; i++)
        free(recorder->spaces[i].namespace_);
    free(recorder->spaces);
    pthread_rwlock_destroy(&recorder->forgetting);
    pthread_mutex_destroy(&recorder->retention);
    pthread_mutex_destroy(&recorder->mutex);
    free(recorder);
}
