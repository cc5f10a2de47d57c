// What takes long and nobody waits for, on a thread of its own with little priority: walking
// directories and trimming tables must hold up neither children nor signals nor webhooks.
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/pipeline/steps.h"

#include <dirent.h>
#include <malloc.h>
#include <string.h>
#include <sys/resource.h>

#define NICE 10 // where the system allows it

// --- what is left over in the store ---

struct wake_list {
    char **keys;
    size_t count;
};

static bool collect_key(void *user, const char *repository, const char *branch)
{
    struct wake_list *list = user;
    list->keys = xrealloc(list->keys, (list->count + 1) * sizeof *list->keys);
    list->keys[list->count++] = xasprintf("%s %s", repository, branch);
    return true;
}

static bool collect_build(void *user, const struct build *build)
{
    return collect_key(user, build->repository, build->branch);
}

static bool is_followed(struct pipeline *pipeline, const char *repository, const char *branch)
{
    struct service_list list = {0};
    pipeline_following(pipeline, repository, branch, &list);
    bool followed = list.count > 0;
    service_list_finish(&list);
    return followed;
}

// Pending deliveries and unfinished builds.
static void wake_keys(struct pipeline *pipeline, bool followed_too)
{
    struct wake_list list = {0};
    struct build_filter filter = {.unfinished = true, .limit = STORE_PAGE_MAX};
    struct error err;
    if (!store_pending_keys(pipeline->parts.store, collect_key, &list, &err) ||
        !store_build_list(pipeline->parts.store, &filter, collect_build, &list, &err))
        log_line(LOG_WARNING, "the sweep cannot read the store", "error", err.text, NULL);
    for (size_t i = 0; i < list.count; i++) {
        char repository[STORE_REPOSITORY_SIZE];
        char branch[STORE_BRANCH_SIZE];
        if (key_read(list.keys[i], repository, branch) &&
            (followed_too || !is_followed(pipeline, repository, branch)))
            pipeline_wake(pipeline, repository, branch);
        free(list.keys[i]);
    }
    free(list.keys);
}

static void wake_unfinished(struct pipeline *pipeline)
{
    wake_keys(pipeline, true);
}

// The others have their turn in the sweep's round: remotes that are away are not all asked at once.
static void wake_unfollowed(struct pipeline *pipeline)
{
    wake_keys(pipeline, false);
}

static void trim_store(struct pipeline *pipeline)
{
    CLEANUP(settings_drop_ptr)
    const struct config *config = settings_hold(pipeline->parts.settings);
    struct error err;
    struct store_bounds bounds = {.deliveries = config->retention.deliveries,
                                  .builds = config->retention.builds,
                                  .branches = config->retention.branches};
    if (!store_trim(pipeline->parts.store, &bounds, &err))
        log_line(LOG_WARNING, "old rows cannot be trimmed", "error", err.text, NULL);
}

struct build_log {
    int64_t build;
    int64_t bytes; // 0: it may not go
};

struct build_logs {
    struct build_log *items;
    size_t count;
};

static void build_logs_finish(struct build_logs *logs)
{
    free(logs->items);
}

static int older_first(const void *a, const void *b)
{
    const struct build_log *one = a, *other = b;
    return (one->build > other->build) - (one->build < other->build);
}

static bool remove_log(struct pipeline *pipeline, int64_t build)
{
    CLEANUP(free_ptr) char *path = build_log_directory(pipeline, build);
    struct error err;
    bool removed = directory_remove(path, &err);
    if (!removed)
        log_line(LOG_WARNING, "an old log cannot be removed", "error", err.text, NULL);
    return removed;
}

// Those that the store has no row of any more go; `*total` is what the others take.
static void list_logs(struct pipeline *pipeline, struct build_logs *out, int64_t *total)
{
    DIR *directory = opendir(pipeline->log_directory);
    for (struct dirent *entry;
         directory && housekeeping_goes_on(pipeline) && (entry = readdir(directory));) {
        struct build build;
        struct error err;
        int64_t id;
        if (!text_starts(entry->d_name, "b-") || !text_to_int(entry->d_name + 2, 1, INT64_MAX, &id))
            continue;
        bool known = store_build_get(pipeline->parts.store, id, &build, &err);
        if (!known && err.code == ERR_NOT_FOUND && remove_log(pipeline, id))
            continue;
        CLEANUP(free_ptr) char *path = build_log_directory(pipeline, id);
        int64_t bytes = directory_bytes(path);
        *total += bytes;
        out->items = xrealloc(out->items, (out->count + 1) * sizeof *out->items);
        out->items[out->count++] =
            (struct build_log){id, known && build.state >= BUILD_DONE ? bytes : 0};
    }
    if (directory)
        closedir(directory);
    if (out->count)
        qsort(out->items, out->count, sizeof *out->items, older_first);
}

static void sweep_logs(struct pipeline *pipeline)
{
    CLEANUP(settings_drop_ptr)
    const struct config *config = settings_hold(pipeline->parts.settings);
    CLEANUP(build_logs_finish) struct build_logs logs = {0};
    int64_t total = 0;
    list_logs(pipeline, &logs, &total);
    for (size_t i = 0; i < logs.count && total > config->logs.max_build_bytes; i++)
        if (logs.items[i].bytes > 0 && remove_log(pipeline, logs.items[i].build))
            total -= logs.items[i].bytes;
    pipeline->build_log_bytes = total;
}

// --- the thread ---

// What many requests at once took is the system's again.
static void give_memory_back(struct pipeline *pipeline)
{
    (void)pipeline;
    malloc_trim(0);
}

static const struct {
    enum chores chore;
    void (*run)(struct pipeline *pipeline);
} chores[] = {
    {CHORE_START, wake_unfinished}, // first: somebody may wait for that
    {CHORE_SWEEP, wake_unfollowed}, {CHORE_SWEEP, trim_store},    {CHORE_SWEEP, sweep_logs},
    {CHORE_SWEEP, spool_sweep},     {CHORE_SWEEP, mirrors_sweep}, {CHORE_SWEEP, give_memory_back},
    {CHORE_MIRRORS, mirrors_trim},
};

bool housekeeping_goes_on(struct pipeline *pipeline)
{
    return !atomic_load(&pipeline->housekeeping.stopping);
}

// What was asked since it was last called; CHORE_NONE when it is to end.
static unsigned take_asked(struct housekeeping *housekeeping)
{
    pthread_mutex_lock(&housekeeping->lock);
    while (!housekeeping->asked && !housekeeping->stopping)
        pthread_cond_wait(&housekeeping->news, &housekeeping->lock);
    unsigned asked = housekeeping->stopping ? CHORE_NONE : housekeeping->asked;
    housekeeping->asked = CHORE_NONE;
    pthread_mutex_unlock(&housekeeping->lock);
    return asked & CHORE_SWEEP ? asked & ~(unsigned)CHORE_MIRRORS
                               : asked; // it trims the mirrors too
}

static void *keep_house(void *user)
{
    struct pipeline *pipeline = user;
    (void)setpriority(PRIO_PROCESS, 0, NICE); // of this thread alone
    for (unsigned asked; (asked = take_asked(&pipeline->housekeeping));)
        for (size_t i = 0; i < sizeof chores / sizeof *chores; i++)
            if (asked & chores[i].chore && housekeeping_goes_on(pipeline))
                chores[i].run(pipeline);
    return NULL;
}

void housekeeping_init(struct housekeeping *housekeeping)
{
    pthread_mutex_init(&housekeeping->lock, NULL);
    pthread_cond_init(&housekeeping->news, NULL);
}

void housekeeping_start(struct pipeline *pipeline)
{
    thread_start(&pipeline->housekeeping.thread, "housekeeping", keep_house, pipeline);
    pipeline->housekeeping.runs = true;
}

void housekeeping_ask(struct pipeline *pipeline, enum chores chore)
{
    struct housekeeping *housekeeping = &pipeline->housekeeping;
    pthread_mutex_lock(&housekeeping->lock);
    housekeeping->asked |= chore;
    pthread_cond_signal(&housekeeping->news);
    pthread_mutex_unlock(&housekeeping->lock);
}

void housekeeping_stop(struct housekeeping *housekeeping)
{
    pthread_mutex_lock(&housekeeping->lock);
    housekeeping->stopping = true;
    pthread_cond_signal(&housekeeping->news);
    pthread_mutex_unlock(&housekeeping->lock);
    if (housekeeping->runs)
        pthread_join(housekeeping->thread, NULL);
}

void housekeeping_finish(struct housekeeping *housekeeping)
{
    pthread_cond_destroy(&housekeeping->news);
    pthread_mutex_destroy(&housekeeping->lock);
}
