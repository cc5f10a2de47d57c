// Bounds of the history: by count, by age, and by the bytes of logs.
#include "agent/base/crashpoint.h"
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/runs/logs.h"
#include "agent/runs/record.h"
#include "agent/runs/state.h"

#include <string.h>

#define DAY_MS     ((int64_t)24 * 60 * 60 * 1000)
#define ROUNDS_MAX 1000 // pages of one sweep

// Runs to forget: they can only be named while the store is being read.
struct doomed {
    struct {
        char namespace_[STORE_NAME_SIZE];
        char uid[STORE_UID_SIZE];
    } runs[STORE_PAGE_MAX];
    size_t count;
};

static bool doom(void *user, const struct run_mention *run)
{
    struct doomed *doomed = user;
    if (doomed->count == STORE_PAGE_MAX)
        return false;
    snprintf(doomed->runs[doomed->count].namespace_, STORE_NAME_SIZE, "%s", run->namespace);
    snprintf(doomed->runs[doomed->count].uid, STORE_UID_SIZE, "%s", run->uid);
    doomed->count++;
    return true;
}

// The files first: a row without its files is tried again, files without a row would stay for ever.
static bool forget(struct recorder *recorder, const char *namespace_, const char *uid,
                   struct error *err)
{
    CLEANUP(free_ptr) char *directory = logs_directory(&recorder->parts, namespace_, uid);
    struct run_record record = {0};
    int64_t bytes = store_run_get(recorder->parts.store, uid, &record, NULL) ? record.log_bytes : 0;
    run_record_finish(&record);
    CRASH_POINT("before-run-forgotten");
    if (!directory_remove(directory, err))
        return false;
    CRASH_POINT("after-run-logs-removed");
    if (!store_run_delete(recorder->parts.store, uid, err))
        return false;
    CRASH_POINT("after-run-forgotten");
    atomic_fetch_sub(&recorder->log_bytes, bytes);
    return true;
}

static bool forget_all(struct recorder *recorder, const struct doomed *doomed, struct error *err)
{
    for (size_t i = 0; i < doomed->count; i++)
        if (!forget(recorder, doomed->runs[i].namespace_, doomed->runs[i].uid, err))
            return false;
    return true;
}

static bool expire(struct recorder *recorder, const char *namespace_, const char *service,
                   struct error *err)
{
    CLEANUP(settings_drop_ptr)
    const struct config *config = settings_hold(recorder->parts.settings);
    struct wall_time before = {wall_now().ms - config->retention.run_days * DAY_MS};
    if (!service && !store_service_states_expire(recorder->parts.store, before, err))
        return false;
    CLEANUP(free_ptr) struct doomed *doomed = xalloc(sizeof *doomed);
    for (int round = 0; round < ROUNDS_MAX; round++) {
        doomed->count = 0;
        if (!store_runs_expired(recorder->parts.store, namespace_, service, config->retention.runs,
                                before, doom, doomed, err) ||
            !forget_all(recorder, doomed, err))
            return error_wrap(err, "forget old runs");
        if (doomed->count < STORE_PAGE_MAX)
            return true;
    }
    return true;
}

bool recorder_expire(struct recorder *recorder, const char *namespace_, const char *service,
                     struct error *err)
{
    pthread_mutex_lock(&recorder->retention);
    bool ok = expire(recorder, namespace_, service, err);
    pthread_mutex_unlock(&recorder->retention);
    return ok;
}

static bool evict(struct recorder *recorder, struct error *err)
{
    CLEANUP(settings_drop_ptr)
    const struct config *config = settings_hold(recorder->parts.settings);
    while (atomic_load(&recorder->log_bytes) > config->logs.max_total_bytes) {
        struct run_record record = {0}, changed = {0};
        struct error failure;
        if (!store_run_oldest_log(recorder->parts.store, &record, &failure))
            return failure.code == ERR_NOT_FOUND ||
                   error_set(err, failure.code, "%s", failure.text);
        CLEANUP(run_ptr) struct run *run = run_from_record(&record);
        CLEANUP(free_ptr)
        char *directory = logs_directory(&recorder->parts, record.namespace, record.uid);
        logs_give_up(run, "room was needed for newer logs (logs.maxTotalBytes)");
        run_to_record(run, false, &changed);
        CRASH_POINT("before-logs-evicted");
        bool ok = directory_remove(directory, err);
        CRASH_POINT("after-logs-evicted");
        ok = ok && store_run_put(recorder->parts.store, &changed, NULL, err);
        if (ok) {
            atomic_fetch_sub(&recorder->log_bytes, record.log_bytes);
            log_line(LOG_INFO, "a run's logs made room for newer ones", "namespace",
                     record.namespace, "run", record.name, NULL);
        }
        run_record_finish(&record);
        run_record_finish(&changed);
        if (!ok)
            return false;
    }
    return true;
}

bool recorder_evict(struct recorder *recorder, struct error *err)
{
    pthread_mutex_lock(&recorder->retention);
    bool ok = evict(recorder, err);
    pthread_mutex_unlock(&recorder->retention);
    return ok;
}

static bool forget_service(struct recorder *recorder, const char *namespace_, const char *service,
                           struct error *err)
{
    CLEANUP(free_ptr) struct doomed *doomed = xalloc(sizeof *doomed);
    jobs_settle_service(recorder->jobs, namespace_, service); // what they still tell is not wanted
    do {
        doomed->count = 0;
        if (!store_runs_of(recorder->parts.store, namespace_, service, doom, doomed, err) ||
            !forget_all(recorder, doomed, err))
            return error_wrap(err, "forget the runs of %s/%s", namespace_, service);
    } while (doomed->count > 0);
    return store_service_state_delete(recorder->parts.store, namespace_, service, err);
}

bool recorder_forget_service(struct recorder *recorder, const char *namespace_, const char *service,
                             struct error *err)
{
    pthread_rwlock_wrlock(&recorder->forgetting);
    pthread_mutex_lock(&recorder->retention);
    bool ok = forget_service(recorder, namespace_, service, err);
    pthread_mutex_unlock(&recorder->retention);
    pthread_rwlock_unlock(&recorder->forgetting);
    return ok;
}
