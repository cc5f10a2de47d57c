#include "agent/pipeline/pipeline.h"
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/metrics.h"
#include "agent/pipeline/steps.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

// False: it is not built from a repository.
static bool service_key(const struct service *service, char key[static KEY_SIZE])
{
    char identity[REPOSITORY_MAX + 1];
    struct error err;
    if (*service->repository == '\0' || !repository_identify(service->repository, identity, &err))
        return false;
    key_write(identity, service->branch, key);
    return true;
}

static void wake_branch(struct pipeline *pipeline, const struct service *service)
{
    char key[KEY_SIZE];
    if (service_key(service, key))
        work_queue_add(pipeline->queue, key);
}

void pipeline_service_changed(struct pipeline *pipeline, const struct service *before,
                              const struct service *after)
{
    service_note_images(pipeline, before, after);
    service_note_problem(pipeline, before, after);
    if (before)
        wake_branch(pipeline, before);
    if (!after)
        live_forget(&pipeline->live, before);
    else if (pipeline->started) { // those that were there before are the first sweep's
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

void pipeline_settings_changed(struct pipeline *pipeline)
{
    atomic_store(&pipeline->settings_changed, wall_now().ms);
    struct service_list list = {0};
    service_cache_list(pipeline->parts.services, NULL, &list);
    for (size_t i = 0; i < list.count; i++)
        wake_branch(pipeline, list.items[i]);
    service_list_finish(&list);
}

static void sweep_services(struct pipeline *pipeline, int64_t interval_ms)
{
    CLEANUP(json_ptr) json_t *followed = json_object();
    struct service_list list = {0};
    service_cache_list(pipeline->parts.services, NULL, &list);
    for (size_t i = 0; i < list.count; i++) {
        char key[KEY_SIZE];
        service_wake(pipeline, list.items[i]);
        if (service_key(list.items[i], key))
            json_object_set_new(followed, key, json_true());
    }
    service_list_finish(&list);
    sweep_begin(pipeline->sweep, followed, interval_ms);
    const char *key;
    json_t *unused;
    json_object_foreach(followed, key, unused)
        work_queue_after(pipeline->queue, key, sweep_turn_ms(pipeline->sweep, key));
}

void pipeline_sweep(struct pipeline *pipeline)
{
    CLEANUP(settings_drop_ptr)
    const struct config *config = settings_hold(pipeline->parts.settings);
    pipeline->swept = mono_now().ms;
    metric_count(METRIC_SWEEPS, NULL, NULL);
    housekeeping_ask(pipeline, CHORE_SWEEP);
    sweep_services(pipeline, config->sweep.interval_ms);
}

// --- the cluster's side: Jobs and pods of builds wake their key ---

static void build_item(void *user, enum kube_event event, const json_t *object)
{
    struct pipeline *pipeline = user;
    char key[KEY_SIZE];
    if (others_note(&pipeline->others, object, event == KUBE_DELETED, key))
        work_queue_add(pipeline->queue, key);
}

static void pod_item(void *user, enum kube_event event, const json_t *object)
{
    (void)event;
    struct pipeline *pipeline = user;
    const json_t *marks = json_at(object, "metadata", "annotations", NULL);
    const char *repository = json_text_at(marks, KANIKO_ANNOTATION_REPO, NULL);
    const char *branch = json_text_at(marks, KANIKO_ANNOTATION_BRANCH, NULL);
    char key[KEY_SIZE];
    if (!repository || !branch)
        return;
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
static const struct kube_watch_events pod_events = {.item = pod_item, .failed = watch_failed};

// --- life ---

static enum work_result run_key(void *user, const char *key, int tries)
{
    (void)tries; // each source counts its own
    struct pipeline *pipeline = user;
    struct reconciled reconciled =
        strchr(key, ' ') ? reconcile(pipeline, key) : reconcile_service(pipeline, key);
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
    others_init(&pipeline->others);
    live_init(&pipeline->live);
    waits_init(&pipeline->waits);
    pipeline->tries = tries_create(work_queue_back_off_ms);
    // When the source is tried again, so is what failed in it as often.
    pipeline->limited = tries_create(work_queue_back_off_least_ms);
    housekeeping_init(&pipeline->housekeeping);
    pipeline->sweep = sweep_create();
    pipeline->probes = probes_create();
    CLEANUP(settings_drop_ptr) const struct config *config = settings_hold(parts->settings);
    pipeline->context_directory = make_empty_directory(config, "contexts", err);
    pipeline->mirror_directory = make_directory(config, "mirrors", err);
    pipeline->log_directory = make_directory(config, "logs/builds", err);
    pipeline->ssh_directory = make_empty_directory(config, "ssh", err);
    if (!pipeline->context_directory || !pipeline->mirror_directory || !pipeline->log_directory ||
        !pipeline->ssh_directory || !identity_read(pipeline, config->state_directory, err)) {
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
                                       &pod_events, pipeline);
    turn_restore(pipeline);
    housekeeping_start(pipeline);
    pipeline->started = true;
    work_queue_start(pipeline->queue, WORKERS);
    housekeeping_ask(pipeline, CHORE_START);
    pipeline_sweep(pipeline);
}

void pipeline_queue(struct pipeline *pipeline, struct work_queue_figures *out)
{
    work_queue_figures(pipeline->queue, out);
}

void pipeline_figures(struct pipeline *pipeline, struct pipeline_figures *out)
{
    *out = (struct pipeline_figures){.mirror_bytes = pipeline->mirror_bytes,
                                     .build_log_bytes = pipeline->build_log_bytes,
                                     .context_bytes = pipeline->context_bytes,
                                     .failing = tries_sources(pipeline->tries)};
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
    housekeeping_stop(&pipeline->housekeeping); // it wakes keys, and workers ask for its chores
    work_queue_destroy(pipeline->queue);
    housekeeping_finish(&pipeline->housekeeping);
    pthread_mutex_destroy(&pipeline->places_lock);
    places_destroy(pipeline->places);
    tries_destroy(pipeline->tries);
    tries_destroy(pipeline->limited);
    waits_finish(&pipeline->waits);
    sweep_destroy(pipeline->sweep);
    probes_destroy(pipeline->probes);
    spool_finish(pipeline);
    others_finish(&pipeline->others);
    live_finish(&pipeline->live);
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
