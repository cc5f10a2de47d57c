#include "agent/pipeline/pipeline.h"
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/metrics.h"
#include "agent/pipeline/steps.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WORKERS         4
#define SWEEP_JITTER_MS 2000 // keys of one sweep are spread over that long

// --- finding services by a hint ---

static void fold(char *text)
{
    for (; *text; text++)
        *text = (char)tolower((unsigned char)*text);
}

bool pipeline_identify(const char *url, char *out, size_t room)
{
    char identity[REPOSITORY_MAX + 1];
    struct error err;
    if (!repository_identify(url, identity, &err))
        return false;
    fold(identity);
    return text_copy(out, room, identity);
}

void pipeline_following(struct pipeline *pipeline, const char *repository, const char *branch,
                        struct service_list *out)
{
    char folded[STORE_REPOSITORY_SIZE];
    text_copy(folded, sizeof folded, repository);
    fold(folded);
    service_cache_find(pipeline->parts.services, folded, branch, out);
}

// --- waking ---

static void wake_branch(struct pipeline *pipeline, const struct service *service)
{
    char identity[REPOSITORY_MAX + 1];
    char key[KEY_SIZE];
    struct error err;
    if (*service->repository == '\0' || !repository_identify(service->repository, identity, &err))
        return;
    key_write(identity, service->branch, key);
    work_queue_add(pipeline->queue, key);
}

void pipeline_service_changed(struct pipeline *pipeline, const struct service *before,
                              const struct service *after)
{
    service_note_images(pipeline, before, after);
    service_note_problem(pipeline, before, after);
    if (before)
        wake_branch(pipeline, before);
    if (after) {
        wake_branch(pipeline, after);
        service_wake(pipeline, after);
    }
}

void pipeline_wake(struct pipeline *pipeline, const char *repository, const char *branch)
{
    struct service_list list = {0};
    pipeline_following(pipeline, repository, branch, &list);
    for (size_t i = 0; i < list.count; i++)
        wake_branch(pipeline, list.items[i]);
    if (list.count == 0) { // the reconcile will say so
        char key[KEY_SIZE];
        key_write(repository, branch, key);
        work_queue_add(pipeline->queue, key);
    }
    service_list_finish(&list);
}

struct wake_list {
    struct pipeline *pipeline;
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

// Work left over in the store: pending deliveries and unfinished builds.
static void sweep_store(struct pipeline *pipeline)
{
    struct wake_list list = {.pipeline = pipeline};
    struct build_filter filter = {.unfinished = true, .limit = STORE_PAGE_MAX};
    struct error err;
    if (!store_pending_keys(pipeline->parts.store, collect_key, &list, &err) ||
        !store_build_list(pipeline->parts.store, &filter, collect_build, &list, &err))
        log_line(LOG_WARNING, "the sweep cannot read the store", "error", err.text, NULL);
    for (size_t i = 0; i < list.count; i++) {
        char repository[STORE_REPOSITORY_SIZE];
        char branch[STORE_BRANCH_SIZE];
        if (key_read(list.keys[i], repository, branch))
            pipeline_wake(pipeline, repository, branch);
        free(list.keys[i]);
    }
    free(list.keys);
}

// Logs of builds that the store has no row of any more.
static void sweep_logs(struct pipeline *pipeline)
{
    DIR *directory = opendir(pipeline->log_directory);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        struct build build;
        struct error err;
        int64_t id;
        if (!text_starts(entry->d_name, "b-") ||
            !text_to_int(entry->d_name + 2, 1, INT64_MAX, &id) ||
            store_build_get(pipeline->parts.store, id, &build, &err) || err.code != ERR_NOT_FOUND)
            continue;
        CLEANUP(free_ptr) char *path = build_log_directory(pipeline, id);
        if (!directory_remove(path, &err))
            log_line(LOG_WARNING, "an old log cannot be removed", "error", err.text, NULL);
    }
    if (directory)
        closedir(directory);
}

void pipeline_settings_changed(struct pipeline *pipeline)
{
    atomic_store(&pipeline->settings_changed, wall_now().ms);
    struct service_list list = {0};
    service_cache_list(pipeline->parts.services, NULL, &list);
    for (size_t i = 0; i < list.count; i++)
        wake_branch(pipeline, list.items[i]);
    service_list_finish(&list);
}

void pipeline_sweep(struct pipeline *pipeline)
{
    pipeline->swept = mono_now().ms;
    sweep_store(pipeline);
    struct service_list list = {0};
    service_cache_list(pipeline->parts.services, NULL, &list);
    for (size_t i = 0; i < list.count; i++) {
        char identity[REPOSITORY_MAX + 1];
        char key[KEY_SIZE];
        struct error err;
        service_wake(pipeline, list.items[i]);
        if (*list.items[i]->repository == '\0' ||
            !repository_identify(list.items[i]->repository, identity, &err))
            continue;
        key_write(identity, list.items[i]->branch, key);
        work_queue_after(pipeline->queue, key, (int64_t)(i * 37 % SWEEP_JITTER_MS));
    }
    service_list_finish(&list);
    CLEANUP(settings_drop_ptr)
    const struct config *config = settings_hold(pipeline->parts.settings);
    struct error err;
    if (!store_trim(pipeline->parts.store, config->retention.deliveries, config->retention.builds,
                    &err))
        log_line(LOG_WARNING, "old rows cannot be trimmed", "error", err.text, NULL);
    sweep_logs(pipeline);
    mirrors_sweep(pipeline);
    spool_sweep(pipeline);
}

// --- the cluster's side: Jobs and pods of builds wake their key ---

static void build_item(void *user, enum kube_event event, const json_t *object)
{
    (void)event;
    struct pipeline *pipeline = user;
    const char *repository =
        json_text_at(object, "metadata", "annotations", KANIKO_ANNOTATION_REPO, NULL);
    const char *branch =
        json_text_at(object, "metadata", "annotations", KANIKO_ANNOTATION_BRANCH, NULL);
    if (!repository || !branch)
        return;
    char key[KEY_SIZE];
    key_write(repository, branch, key);
    work_queue_add(pipeline->queue, key);
}

static void watch_failed(void *user, const struct error *err, int64_t retry_ms)
{
    (void)user;
    char retry[32];
    snprintf(retry, sizeof retry, "%" PRId64 "ms", retry_ms);
    metric_count(METRIC_WATCH_FAILURES, "builds", NULL);
    log_line(LOG_WARNING, "the watch of builds failed", "error", err->text, "retry", retry, NULL);
}

static const struct kube_watch_events build_events = {.item = build_item, .failed = watch_failed};

// --- life ---

static enum work_result run_key(void *user, const char *key, int tries)
{
    struct pipeline *pipeline = user;
    struct reconciled reconciled =
        strchr(key, ' ') ? reconcile(pipeline, key, tries) : reconcile_service(pipeline, key);
    if (reconciled.result != WORK_FAILED && reconciled.again_ms > 0)
        work_queue_after(pipeline->queue, key, reconciled.again_ms);
    return reconciled.result;
}

static char *make_directory(const struct config *config, const char *name, struct error *err)
{
    CLEANUP(free_ptr) char *path = xasprintf("%s/%s", config->state_directory, name);
    return directory_make(path, err) ? TAKE(path) : NULL;
}

// Of what is made anew when it is wanted, such as archives whose maker or taker died.
static char *make_empty_directory(const struct config *config, const char *name, struct error *err)
{
    CLEANUP(free_ptr) char *path = xasprintf("%s/%s", config->state_directory, name);
    return directory_remove(path, err) ? make_directory(config, name, err) : NULL;
}

bool pipeline_create(const struct pipeline_parts *parts, struct pipeline **out, struct error *err)
{
    struct pipeline *pipeline = xalloc(sizeof *pipeline);
    pipeline->parts = *parts;
    pipeline->settings_changed = wall_now().ms;
    pthread_mutex_init(&pipeline->places_lock, NULL);
    pipeline->places = places_create();
    spool_init(pipeline);
    CLEANUP(settings_drop_ptr) const struct config *config = settings_hold(parts->settings);
    pipeline->context_directory = make_empty_directory(config, "contexts", err);
    pipeline->mirror_directory = make_directory(config, "mirrors", err);
    pipeline->log_directory = make_directory(config, "logs/builds", err);
    pipeline->ssh_directory = make_empty_directory(config, "ssh", err);
    if (!pipeline->context_directory || !pipeline->mirror_directory || !pipeline->log_directory ||
        !pipeline->ssh_directory) {
        pipeline_destroy(pipeline);
        return false;
    }
    pipeline->queue = work_queue_create(run_key, pipeline);
    *out = pipeline;
    return true;
}

void pipeline_start(struct pipeline *pipeline)
{
    CLEANUP(settings_drop_ptr)
    const struct config *config = settings_hold(pipeline->parts.settings);
    struct kube_watch_options options = {.resource = &KUBE_JOBS,
                                         .namespace_ = config->builds.namespace,
                                         .label_selector = KANIKO_LABEL_BUILD};
    pipeline->jobs = kube_watch_create(pipeline->parts.kube, pipeline->parts.loop, &options,
                                       &build_events, pipeline);
    options.resource = &KUBE_PODS;
    pipeline->pods = kube_watch_create(pipeline->parts.kube, pipeline->parts.loop, &options,
                                       &build_events, pipeline);
    turn_restore(pipeline);
    work_queue_start(pipeline->queue, WORKERS);
    pipeline_sweep(pipeline);
}

void pipeline_queue(struct pipeline *pipeline, struct work_queue_figures *out)
{
    work_queue_figures(pipeline->queue, out);
}

int64_t pipeline_sweep_age_ms(const struct pipeline *pipeline)
{
    int64_t swept = pipeline->swept;
    return swept ? mono_now().ms - swept : 0;
}

bool pipeline_watching(const struct pipeline *pipeline, struct error *err)
{
    return !kube_watch_failing(pipeline->jobs, err) && !kube_watch_failing(pipeline->pods, err);
}

void pipeline_destroy(struct pipeline *pipeline)
{
    if (!pipeline)
        return;
    kube_watch_destroy(pipeline->jobs);
    kube_watch_destroy(pipeline->pods);
    work_queue_destroy(pipeline->queue);
    pthread_mutex_destroy(&pipeline->places_lock);
    places_destroy(pipeline->places);
    spool_finish(pipeline);
    free(pipeline->context_directory);
    free(pipeline->mirror_directory);
    free(pipeline->log_directory);
    free(pipeline->ssh_directory);
    free(pipeline);
}

char *build_log_directory(const struct pipeline *pipeline, int64_t build)
{
    return xasprintf("%s/b-%" PRId64, pipeline->log_directory, build);
}

char *pipeline_build_log(const struct pipeline *pipeline, int64_t build)
{
    CLEANUP(free_ptr) char *directory = build_log_directory(pipeline, build);
    return file_newest(directory, ".log");
}
