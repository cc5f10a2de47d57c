#include "agent/runs/jobs.h"
#include "agent/base/crypto.h"
#include "agent/base/text.h"
#include "deploy/cronjob_json.h"
#include "deploy/runs_json.h"

#include <pthread.h>
#include <string.h>

#define SLOTS_FIRST ((size_t)1024) // a power of two

// Kept as text, which takes a fifth of what a tree takes.
struct pod {
    char *uid;
    char *text;
    bool gone;
};

struct open_job {
    char *uid, *namespace_;
    char *text; // NULL: only pods are known, or it is
    char *old;  // the name of an old one, else NULL
    struct pod *pods;
    size_t pod_count;
    const struct service *service;
    bool gone;
    struct mono_time over_since; // 0: not known to be over
};

// There may be a great many of these. Two uids with one hash of 64 bits are not met with.
struct entry {
    struct entry *next;
    uint64_t hash;
    struct open_job *open; // NULL: foreign or settled
    bool settled;
};

struct jobs {
    pthread_mutex_t mutex; // guards all of it
    uint64_t seed;
    struct entry **slots;
    size_t slot_count;
    size_t count;
};

// --- the table ---

static struct entry **place_of(const struct jobs *jobs, const char *uid)
{
    uint64_t wanted = text_hash(jobs->seed, uid);
    struct entry **at = &jobs->slots[wanted & (jobs->slot_count - 1)];
    while (*at && (*at)->hash != wanted)
        at = &(*at)->next;
    return at;
}

static void grow(struct jobs *jobs)
{
    size_t before = jobs->slot_count;
    struct entry **old = jobs->slots;
    jobs->slot_count = before ? 2 * before : SLOTS_FIRST;
    jobs->slots = xalloc(jobs->slot_count * sizeof(struct entry *));
    for (size_t i = 0; i < before; i++)
        for (struct entry *entry = old[i], *next; entry; entry = next) {
            struct entry **at = &jobs->slots[entry->hash & (jobs->slot_count - 1)];
            next = entry->next;
            entry->next = *at;
            *at = entry;
        }
    free(old);
}

static struct entry *ensure(struct jobs *jobs, const char *uid)
{
    struct entry **at = place_of(jobs, uid);
    if (*at)
        return *at;
    if (jobs->count >= jobs->slot_count) {
        grow(jobs);
        at = place_of(jobs, uid);
    }
    jobs->count++;
    *at = xalloc(sizeof **at);
    (*at)->hash = text_hash(jobs->seed, uid);
    return *at;
}

static void close_job(struct entry *entry)
{
    struct open_job *open = TAKE(entry->open);
    if (!open)
        return;
    for (size_t i = 0; i < open->pod_count; i++) {
        free(open->pods[i].uid);
        free(open->pods[i].text);
    }
    free(open->pods);
    service_drop(open->service);
    free(open->uid);
    free(open->namespace_);
    free(open->text);
    free(open->old);
    free(open);
}

static void take_out(struct jobs *jobs, struct entry **at)
{
    struct entry *entry = *at;
    *at = entry->next;
    jobs->count--;
    close_job(entry);
    free(entry);
}

static struct open_job *open_job(struct entry *entry, const char *uid, const char *namespace_)
{
    if (!entry->open) {
        entry->open = xalloc(sizeof *entry->open);
        entry->open->uid = xstrdup(uid);
        entry->open->namespace_ = xstrdup(namespace_);
    }
    return entry->open;
}

// --- life ---

struct jobs *jobs_create(void)
{
    struct jobs *jobs = xalloc(sizeof *jobs);
    pthread_mutex_init(&jobs->mutex, NULL);
    random_bytes(&jobs->seed, sizeof jobs->seed);
    grow(jobs);
    return jobs;
}

void jobs_destroy(struct jobs *jobs)
{
    if (!jobs)
        return;
    for (size_t i = 0; i < jobs->slot_count; i++)
        while (jobs->slots[i])
            take_out(jobs, &jobs->slots[i]);
    free(jobs->slots);
    pthread_mutex_destroy(&jobs->mutex);
    free(jobs);
}

// --- what is told ---

static char *kept_text(const json_t *object)
{
    CLEANUP(json_ptr) json_t *kept = run_keep(object);
    return json_write(kept);
}

static const char *uid_of(const json_t *object)
{
    return json_text_at(object, "metadata", "uid", NULL);
}

static const char *namespace_of(const json_t *object)
{
    const char *namespace_ = json_text_at(object, "metadata", "namespace", NULL);
    return namespace_ ? namespace_ : "";
}

static bool is_old(const json_t *job)
{
    const json_t *end = json_condition(job, "Complete");
    if (!end)
        end = json_condition(job, "Failed");
    struct wall_time at = json_time(json_at(end, "lastTransitionTime", NULL));
    return end && wall_now().ms - at.ms > JOB_OLD_MS;
}

// Of an old one that is new to us only its name.
static void keep_job(struct open_job *open, const json_t *job, char **text)
{
    const char *name = json_text_at(job, "metadata", "name", NULL);
    free(open->old);
    open->old = NULL;
    if (!open->text && name && is_old(job)) {
        open->old = xstrdup(name);
        return;
    }
    free(open->text);
    open->text = TAKE(*text);
}

static bool is_run(struct jobs *jobs, const char *uid)
{
    pthread_mutex_lock(&jobs->mutex);
    const struct entry *entry = *place_of(jobs, uid);
    bool run = entry && entry->open && entry->open->service;
    pthread_mutex_unlock(&jobs->mutex);
    return run;
}

static bool is_in(const struct open_job *open, const json_t *object)
{
    return strcmp(open->namespace_, namespace_of(object)) == 0;
}

static bool put_job(struct jobs *jobs, const json_t *job, const struct service *service,
                    bool only_new)
{
    const char *uid = uid_of(job);
    if (!uid)
        return false;
    // One whose service was deleted before it is a run all the same.
    CLEANUP(free_ptr) char *text = service || is_run(jobs, uid) ? kept_text(job) : NULL;
    pthread_mutex_lock(&jobs->mutex);
    struct entry *entry = ensure(jobs, uid);
    if (entry->open && !is_in(entry->open, job))
        close_job(entry); // pods elsewhere that only say that they are its
    bool run = service || (entry->open && entry->open->service);
    bool wanted = run && text && !entry->settled && !(only_new && entry->open && entry->open->text);
    if (wanted) {
        struct open_job *open = open_job(entry, uid, namespace_of(job));
        keep_job(open, job, &text);
        if (!open->service)
            open->service = service_hold(service);
    } else if (!run) {
        close_job(entry); // pods of it may have come first
    }
    pthread_mutex_unlock(&jobs->mutex);
    return wanted;
}

bool jobs_put(struct jobs *jobs, const json_t *job, const struct service *service)
{
    return put_job(jobs, job, service, false);
}

bool jobs_adopt(struct jobs *jobs, const json_t *job, const struct service *service)
{
    return put_job(jobs, job, service, true);
}

bool jobs_drop(struct jobs *jobs, const json_t *job)
{
    const char *uid = uid_of(job);
    if (!uid)
        return false;
    // After a lost connection nothing but its name is told.
    CLEANUP(free_ptr) char *text = json_at(job, "spec", NULL) ? kept_text(job) : NULL;
    pthread_mutex_lock(&jobs->mutex);
    struct entry **at = place_of(jobs, uid);
    bool old = *at && (*at)->open && (*at)->open->old;
    bool wanted = *at && (*at)->open && (*at)->open->text;
    if (wanted) {
        struct open_job *open = (*at)->open;
        open->gone = true;
        if (text) {
            free(open->text);
            open->text = TAKE(text);
        }
    } else if (*at) {
        take_out(jobs, at);
    }
    pthread_mutex_unlock(&jobs->mutex);
    return wanted || old;
}

static struct pod *find_pod(const struct open_job *open, const char *uid)
{
    for (size_t i = 0; i < open->pod_count; i++)
        if (strcmp(open->pods[i].uid, uid) == 0)
            return &open->pods[i];
    return NULL;
}

static struct pod *pod_of(struct open_job *open, const char *uid)
{
    struct pod *known = find_pod(open, uid);
    if (known)
        return known;
    open->pods = xrealloc(open->pods, (open->pod_count + 1) * sizeof *open->pods);
    open->pods[open->pod_count] = (struct pod){.uid = xstrdup(uid)};
    return &open->pods[open->pod_count++];
}

static bool all_gone(const struct open_job *open)
{
    for (size_t i = 0; i < open->pod_count; i++)
        if (!open->pods[i].gone)
            return false;
    return true;
}

// A pod says itself whose it is: it is believed within its namespace.
static bool wants_pod(const struct entry *entry, const json_t *pod, bool gone)
{
    const struct open_job *open = entry ? entry->open : NULL;
    return entry ? open && !open->old && is_in(open, pod) : !gone;
}

static bool wants_listed_pod(const struct entry *entry, const json_t *pod)
{
    return entry && wants_pod(entry, pod, false) && entry->open->text &&
           !find_pod(entry->open, uid_of(pod));
}

static bool put_pod(struct jobs *jobs, const json_t *pod, bool gone, bool listed,
                    char uid[static 64])
{
    const char *own = uid_of(pod);
    const char *of = json_text_at(pod, "metadata", "labels", KUBE_LABEL_CONTROLLER_UID, NULL);
    if (!own || !of || !text_copy(uid, 64, of))
        return false;
    CLEANUP(free_ptr) char *text = kept_text(pod);
    pthread_mutex_lock(&jobs->mutex);
    const struct entry *known = *place_of(jobs, of);
    bool wanted = listed ? wants_listed_pod(known, pod) : wants_pod(known, pod, gone);
    if (wanted) {
        struct entry *entry = ensure(jobs, of);
        struct open_job *open = open_job(entry, of, namespace_of(pod));
        struct pod *place = pod_of(open, own);
        free(place->text);
        place->text = TAKE(text);
        place->gone = gone;
        // Its Job may have gone long ago, and never be told of.
        if (!open->text && all_gone(open)) {
            take_out(jobs, place_of(jobs, of));
            wanted = false;
        }
    }
    pthread_mutex_unlock(&jobs->mutex);
    return wanted;
}

bool jobs_put_pod(struct jobs *jobs, const json_t *pod, bool gone, char uid[static 64])
{
    return put_pod(jobs, pod, gone, false, uid);
}

bool jobs_adopt_pod(struct jobs *jobs, const json_t *pod, char uid[static 64])
{
    return put_pod(jobs, pod, false, true, uid);
}

// --- what is known ---

void job_view_finish(struct job_view *view)
{
    json_decref(view->job);
    free(view->old);
    json_decref(view->pods);
    service_drop(view->service);
    *view = (struct job_view){0};
}

static void read_text(const char *text, json_t **out)
{
    if (!kube_json_read(text, strlen(text), out, NULL))
        *out = NULL;
}

void jobs_look(struct jobs *jobs, const char *uid, struct job_view *out)
{
    *out = (struct job_view){.pods = json_array()};
    pthread_mutex_lock(&jobs->mutex);
    const struct entry *entry = *place_of(jobs, uid);
    const struct open_job *open = entry ? entry->open : NULL;
    out->standing = open             ? JOB_OPEN
                    : !entry         ? JOB_ABSENT
                    : entry->settled ? JOB_SETTLED
                                     : JOB_FOREIGN;
    if (open) {
        out->gone = open->gone;
        out->over_since = open->over_since;
        out->service = open->service ? service_hold(open->service) : NULL;
        if (open->old)
            out->old = xstrdup(open->old);
        if (open->text)
            read_text(open->text, &out->job);
        for (size_t i = 0; i < open->pod_count; i++) {
            json_t *pod;
            read_text(open->pods[i].text, &pod);
            if (pod && open->pods[i].gone)
                json_object_set_new(pod, "deleted", json_true());
            json_array_append_new(out->pods, pod);
        }
    }
    pthread_mutex_unlock(&jobs->mutex);
}

struct mono_time jobs_over(struct jobs *jobs, const char *uid)
{
    struct mono_time since = mono_now();
    pthread_mutex_lock(&jobs->mutex);
    const struct entry *entry = *place_of(jobs, uid);
    if (entry && entry->open) {
        if (entry->open->over_since.ms == 0)
            entry->open->over_since = since;
        since = entry->open->over_since;
    }
    pthread_mutex_unlock(&jobs->mutex);
    return since;
}

void jobs_settle(struct jobs *jobs, const char *uid, bool gone)
{
    pthread_mutex_lock(&jobs->mutex);
    struct entry **at = place_of(jobs, uid);
    const struct open_job *open = *at ? (*at)->open : NULL;
    // Of a Job that went, pods may still be told.
    if (*at && (gone || (open && (open->gone || (!open->text && !open->old))))) {
        take_out(jobs, at);
    } else if (*at) {
        close_job(*at);
        (*at)->settled = true;
    }
    pthread_mutex_unlock(&jobs->mutex);
}

void jobs_settle_service(struct jobs *jobs, const char *namespace_, const char *service)
{
    pthread_mutex_lock(&jobs->mutex);
    for (size_t i = 0; i < jobs->slot_count; i++)
        for (struct entry *entry = jobs->slots[i]; entry; entry = entry->next) {
            const struct open_job *open = entry->open;
            if (!open || !open->service || strcmp(open->namespace_, namespace_) != 0 ||
                strcmp(open->service->name, service) != 0)
                continue;
            close_job(entry);
            entry->settled = true;
        }
    pthread_mutex_unlock(&jobs->mutex);
}

void jobs_each_open(struct jobs *jobs, const char *namespace_,
                    void (*each)(void *user, const char *uid), void *user)
{
    pthread_mutex_lock(&jobs->mutex);
    for (size_t i = 0; i < jobs->slot_count; i++)
        for (const struct entry *entry = jobs->slots[i]; entry; entry = entry->next)
            if (entry->open && (!namespace_ || strcmp(entry->open->namespace_, namespace_) == 0))
                each(user, entry->open->uid);
    pthread_mutex_unlock(&jobs->mutex);
}
