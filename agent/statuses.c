#include "agent/statuses.h"

#include "agent/base/buffer.h"
#include "agent/base/crashpoint.h"
#include "agent/base/log.h"
#include "agent/base/printable.h"
#include "agent/base/text.h"
#include "agent/base/threads.h"
#include "agent/status_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BACK_OFF_MS     5000   // after the first failure, doubled with each
#define BACK_OFF_MAX_MS 900000 //
#define RETRY_AFTER_MAX 3600000
#define LOOK_MS         60000 // the store is looked at this often even when nobody speaks
#define FAULT_MS        5000  // and after it failed

struct statuses {
    struct settings *settings;
    struct store *store;
    pthread_t thread;

    pthread_mutex_t lock; // guards what follows
    pthread_cond_t spoken;
    bool news;
    bool stopping;
};

// --- what a status says ---

struct sought {
    const struct commit_status *status;
    bool found;
};

static bool is_patch_of(void *user, const struct patch_record *patch)
{
    struct sought *sought = user;
    sought->found = strcmp(patch->namespace, sought->status->namespace) == 0 &&
                    strcmp(patch->name, sought->status->name) == 0;
    return !sought->found;
}

// The sentence, cut to what forges take.
static void say(struct commit_status *status, enum status_state state, const char *what,
                const char *more)
{
    CLEANUP(free_ptr) char *text = xasprintf("%s%s%s", what, *what && *more ? ": " : "", more);
    status->state = state;
    printable_copy(status->detail, sizeof status->detail, text, strlen(text));
}

static bool describe_done(struct store *store, const struct build *build,
                          struct commit_status *status, struct error *err)
{
    struct sought sought = {.status = status};
    if (!store_patch_list(store, build->id, is_patch_of, &sought, err))
        return false;
    CLEANUP(free_ptr) char *service = xasprintf("%s/%s", status->namespace, status->name);
    // The build's own sentence names every service, which is not for all to read.
    bool failed = !sought.found && strcmp(build->reason, "patch-failed") == 0;
    bool pinned = strcmp(build->reason, "pinned") == 0;
    CLEANUP(free_ptr)
    char *what =
        xasprintf("%s %s", sought.found ? "deployed to" : "built, not deployed to", service);
    say(status, failed ? STATUS_FAILURE : STATUS_SUCCESS, what,
        failed                    ? "its CronJob cannot be patched"
        : pinned && !sought.found ? "it is pinned"
                                  : "");
    return true;
}

// State and sentence from the build's.
static bool describe(struct store *store, const struct build *build, struct commit_status *status,
                     struct error *err)
{
    switch (build->state) {
    case BUILD_DONE:
        return describe_done(store, build, status, err);
    case BUILD_FAILED:
        say(status, STATUS_FAILURE, build->reason, build->detail);
        break;
    case BUILD_SUPERSEDED:
        say(status, STATUS_WITHDRAWN, "superseded", build->detail);
        break;
    case BUILD_FILTERED:
        say(status, STATUS_SUCCESS, "unchanged", build->detail);
        break;
    default:
        say(status, STATUS_PENDING, "building", "");
        break;
    }
    return true;
}

static void poke(struct statuses *statuses)
{
    pthread_mutex_lock(&statuses->lock);
    statuses->news = true;
    pthread_cond_signal(&statuses->spoken);
    pthread_mutex_unlock(&statuses->lock);
}

void statuses_note(struct statuses *statuses, const struct build *build, const char *url,
                   const char *namespace_, const char *name)
{
    struct commit_status status = {.build = build->id};
    struct error err;
    bool changed = false;
    CLEANUP(settings_drop_ptr) const struct config *config = settings_hold(statuses->settings);
    if (!config_status(config, url))
        return;
    text_copy(status.repository, sizeof status.repository, build->repository);
    text_copy(status.commit, sizeof status.commit, build->commit);
    text_copy(status.namespace, sizeof status.namespace, namespace_);
    text_copy(status.name, sizeof status.name, name);
    text_copy(status.url, sizeof status.url, url);
    text_copy(status.branch, sizeof status.branch, build->branch);
    if (!describe(statuses->store, build, &status, &err) ||
        !store_status_put(statuses->store, &status, &changed, &err))
        log_line(LOG_WARNING, "a commit's status cannot be stored", "commit", build->commit,
                 "error", err.text, NULL);
    if (changed)
        poke(statuses);
}

// --- builds that ended when nobody noted it: superseded ones, or before a restart ---

struct stale {
    struct commit_status *items;
    size_t count;
};

static void keep_stale(void *user, const struct commit_status *status)
{
    struct stale *stale = user;
    stale->items = xrealloc(stale->items, (stale->count + 1) * sizeof *stale->items);
    stale->items[stale->count++] = *status;
}

static bool refresh(struct statuses *statuses, struct error *err)
{
    struct stale stale = {0};
    bool good = store_status_stale(statuses->store, keep_stale, &stale, err);
    for (size_t i = 0; good && i < stale.count; i++) {
        struct commit_status *status = &stale.items[i];
        struct build build;
        bool changed;
        good = store_build_get(statuses->store, status->build, &build, err) &&
               describe(statuses->store, &build, status, err) &&
               store_status_put(statuses->store, status, &changed, err);
    }
    free(stale.items);
    return good;
}

// --- telling ---

static int64_t back_off(int tries, int64_t retry_after_ms)
{
    int64_t wait = BACK_OFF_MS;
    for (int i = 1; i < tries && wait < BACK_OFF_MAX_MS; i++)
        wait *= 2;
    if (wait > BACK_OFF_MAX_MS)
        wait = BACK_OFF_MAX_MS;
    if (retry_after_ms > RETRY_AFTER_MAX)
        retry_after_ms = RETRY_AFTER_MAX;
    return retry_after_ms > wait ? retry_after_ms : wait;
}

static void log_told(const struct commit_status *status, const struct error *err)
{
    CLEANUP(free_ptr) char *service = xasprintf("%s/%s", status->namespace, status->name);
    char build[32], tries[16];
    snprintf(build, sizeof build, "b-%" PRId64, status->build);
    snprintf(tries, sizeof tries, "%d", status->tries);
    const char *message = !err                                ? "commit status told"
                          : status->tries >= STATUS_TRIES_MAX ? "commit status given up"
                                                              : "commit status not told";
    log_line(err ? LOG_WARNING : LOG_INFO, message, "build", build, "service", service, "commit",
             status->commit, "state", status_state_word(status->state), "tries", err ? tries : NULL,
             "error", err ? err->text : NULL, NULL);
}

static bool send_one(struct statuses *statuses, const struct commit_status *status,
                     int64_t *retry_after_ms, bool *hopeless, struct error *err)
{
    CLEANUP(settings_drop_ptr) const struct config *config = settings_hold(statuses->settings);
    const struct config_status *entry = config_status(config, status->url);
    *retry_after_ms = -1;
    *hopeless = !entry || status->sent >= STATUS_SENT_MAX;
    if (!entry)
        return error_set(err, ERR_NOT_FOUND, "the settings have no entry for its repository");
    if (status->sent >= STATUS_SENT_MAX)
        return error_set(err, ERR_TOO_LARGE, "the forge was told of it %d times already",
                         STATUS_SENT_MAX);
    return status_report(config, entry, status, retry_after_ms, err);
}

static bool tell(struct statuses *statuses, struct commit_status *status, struct error *err)
{
    int64_t retry_after_ms;
    bool hopeless;
    struct error why;
    CRASH_POINT("before-status-told");
    status->told = send_one(statuses, status, &retry_after_ms, &hopeless, &why);
    CRASH_POINT("after-status-told");
    status->sent += !hopeless;
    if (status->told) {
        status->tries = 0;
        status->error[0] = '\0';
    } else {
        status->tries = hopeless ? STATUS_TRIES_MAX : status->tries + 1;
        status->due.ms = wall_now().ms + back_off(status->tries, retry_after_ms);
        text_copy(status->error, sizeof status->error, why.text);
    }
    log_told(status, status->told ? NULL : &why);
    return store_status_tried(statuses->store, status, err);
}

// Tells what is due; how long until the next is. False: the store failed.
static bool tell_due(struct statuses *statuses, int64_t *wait_ms, struct error *err)
{
    struct commit_status status;
    *wait_ms = LOOK_MS;
    if (!refresh(statuses, err))
        return false;
    if (!store_status_next(statuses->store, STATUS_TRIES_MAX, &status, err))
        return err->code == ERR_NOT_FOUND;
    int64_t left = status.due.ms - wall_now().ms;
    if (left > 0 && left <= RETRY_AFTER_MAX) { // longer only when the clock was set back
        *wait_ms = left < LOOK_MS ? left : LOOK_MS;
        return true;
    }
    *wait_ms = 0;
    return tell(statuses, &status, err);
}

static bool wait_for_news(struct statuses *statuses, int64_t wait_ms)
{
    struct mono_time deadline = mono_after(wait_ms);
    pthread_mutex_lock(&statuses->lock);
    while (!statuses->stopping && !statuses->news && !mono_past(deadline))
        condition_wait(&statuses->spoken, &statuses->lock, deadline);
    statuses->news = false;
    bool go_on = !statuses->stopping;
    pthread_mutex_unlock(&statuses->lock);
    return go_on;
}

static void *run(void *user)
{
    struct statuses *statuses = user;
    int64_t wait_ms = 0;
    while (wait_for_news(statuses, wait_ms)) {
        struct error err;
        if (tell_due(statuses, &wait_ms, &err))
            continue;
        wait_ms = FAULT_MS;
        log_line(LOG_WARNING, "commit statuses cannot be read or stored", "error", err.text, NULL);
    }
    return NULL;
}

struct statuses *statuses_create(struct settings *settings, struct store *store)
{
    struct statuses *statuses = xalloc(sizeof *statuses);
    statuses->settings = settings;
    statuses->store = store;
    pthread_mutex_init(&statuses->lock, NULL);
    condition_init(&statuses->spoken);
    thread_start(&statuses->thread, "statuses", run, statuses);
    return statuses;
}

void statuses_destroy(struct statuses *statuses)
{
    if (!statuses)
        return;
    pthread_mutex_lock(&statuses->lock);
    statuses->stopping = true;
    pthread_cond_signal(&statuses->spoken);
    pthread_mutex_unlock(&statuses->lock);
    pthread_join(statuses->thread, NULL);
    pthread_cond_destroy(&statuses->spoken);
    pthread_mutex_destroy(&statuses->lock);
    free(statuses);
}
