// The build Jobs in the cluster, whichever agent made them: of one that this agent knows nothing of
// the branch has moved unheard, and one of its own whose build has ended is stray.
#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/pipeline/steps.h"

#include <string.h>

#define STRAY_AGAIN_MS 10000 // until one that could not be ended is looked at again

void others_init(struct others *others)
{
    pthread_mutex_init(&others->lock, NULL);
    others->by_key = json_object();
    others->keys = json_object();
}

void others_finish(struct others *others)
{
    json_decref(others->by_key);
    json_decref(others->keys);
    pthread_mutex_destroy(&others->lock);
}

// The lock is held.
static void put(struct others *others, const char *key, const char *name, const json_t *job)
{
    const json_t *marks = json_at(job, "metadata", "annotations", NULL);
    json_t *jobs = json_object_get(others->by_key, key);
    if (!jobs) {
        jobs = json_object();
        json_object_set_new(others->by_key, key, jobs);
    }
    json_object_set_new(others->keys, name, json_text(key));
    if (!json_object_get(jobs, name))
        json_object_set_new(jobs, name,
                            json_pack("{s:s*, s:s*, s:s*, s:b}", "commit",
                                      json_text_at(marks, KANIKO_ANNOTATION_COMMIT, NULL), "recipe",
                                      json_text_at(marks, KANIKO_ANNOTATION_RECIPE, NULL), "agent",
                                      json_text_at(marks, KANIKO_ANNOTATION_AGENT, NULL), "heard",
                                      0));
    json_object_set_new(json_object_get(jobs, name), "live", json_boolean(kaniko_job_is_live(job)));
}

// The lock is held.
static void drop(struct others *others, const char *key, const char *name)
{
    json_t *jobs = json_object_get(others->by_key, key);
    json_object_del(jobs, name);
    if (json_object_size(jobs) == 0)
        json_object_del(others->by_key, key);
    json_object_del(others->keys, name);
}

bool others_note(struct others *others, const json_t *job, bool gone, char key[static KEY_SIZE])
{
    const json_t *marks = json_at(job, "metadata", "annotations", NULL);
    const char *repository = json_text_at(marks, KANIKO_ANNOTATION_REPO, NULL);
    const char *branch = json_text_at(marks, KANIKO_ANNOTATION_BRANCH, NULL);
    const char *name = json_text_at(job, "metadata", "name", NULL);
    if (!name)
        return false;
    pthread_mutex_lock(&others->lock);
    const char *known = json_string_value(json_object_get(others->keys, name));
    bool ours = true;
    if (repository && branch)
        key_write(repository, branch, key);
    else
        ours = known && text_copy(key, KEY_SIZE, known); // of one that is gone no more is told
    if (ours && gone)
        drop(others, key, name);
    else if (ours)
        put(others, key, name, job);
    pthread_mutex_unlock(&others->lock);
    return ours;
}

static bool is_of(const json_t *entry, const char *commit, const char *recipe)
{
    const char *its_commit = json_text_at(entry, "commit", NULL);
    const char *its_recipe = json_text_at(entry, "recipe", NULL);
    return its_commit && its_recipe && strcmp(its_recipe, recipe) == 0 &&
           strcmp(its_commit, commit) == 0;
}

int others_attempt(struct others *others, const char *key, const char *commit, const char *recipe)
{
    int newest = 0;
    const char *name;
    json_t *entry;
    pthread_mutex_lock(&others->lock);
    json_object_foreach(json_object_get(others->by_key, key), name, entry)
    {
        int attempt = is_of(entry, commit, recipe) ? build_name_attempt(name) : 0;
        if (attempt > newest)
            newest = attempt;
    }
    pthread_mutex_unlock(&others->lock);
    return newest;
}

static void mark_all(struct work *work, bool heard)
{
    struct others *others = &work->pipeline->others;
    const char *name;
    json_t *entry;
    pthread_mutex_lock(&others->lock);
    json_object_foreach(json_object_get(others->by_key, work->key), name, entry)
    {
        const char *recipe = json_text_at(entry, "recipe", NULL);
        if (recipe && work_group(work, recipe))
            json_object_set_new(entry, "heard", json_boolean(heard));
    }
    pthread_mutex_unlock(&others->lock);
}

void others_heard(struct work *work)
{
    mark_all(work, true);
}

void others_not_told(struct work *work)
{
    mark_all(work, false);
}

// The key's Jobs, by name, that are `wanted`; the caller owns it.
static json_t *list_jobs(struct work *work, bool (*wanted)(struct work *work, const json_t *entry))
{
    struct others *others = &work->pipeline->others;
    json_t *list = json_object();
    const char *name;
    json_t *entry;
    pthread_mutex_lock(&others->lock);
    json_object_foreach(json_object_get(others->by_key, work->key), name, entry)
    {
        if (wanted(work, entry))
            json_object_set_new(list, name, json_deep_copy(entry));
    }
    pthread_mutex_unlock(&others->lock);
    return list;
}

static bool is_unheard(struct work *work, const json_t *entry)
{
    const char *recipe = json_text_at(entry, "recipe", NULL);
    return !json_is_true(json_object_get(entry, "heard")) && recipe && work_group(work, recipe);
}

static void note_heard(struct others *others, const char *key, const char *name)
{
    pthread_mutex_lock(&others->lock);
    json_t *entry = json_object_get(json_object_get(others->by_key, key), name);
    if (entry)
        json_object_set_new(entry, "heard", json_true());
    pthread_mutex_unlock(&others->lock);
}

bool others_are_unheard(struct work *work)
{
    CLEANUP(json_ptr) json_t *list = list_jobs(work, is_unheard);
    bool unheard = false;
    const char *name;
    json_t *entry;
    json_object_foreach(list, name, entry)
    {
        struct build build;
        struct error err;
        const char *commit = json_text_at(entry, "commit", NULL);
        if (!commit || strcmp(commit, work->head.commit) == 0)
            continue;
        if (store_build_find(work->pipeline->parts.store, commit,
                             json_text_at(entry, "recipe", NULL), &build, &err))
            note_heard(&work->pipeline->others, work->key, name); // it is this agent's, too
        else
            unheard = true;
    }
    return unheard;
}

// --- strays ---

// One of this agent's that goes on, as far as it was told.
static bool is_own_and_live(struct work *work, const json_t *entry)
{
    const char *agent = json_text_at(entry, "agent", NULL);
    return json_is_true(json_object_get(entry, "live")) && agent &&
           identity_is_own(work->pipeline, agent);
}

// Whether its build was superseded, and knew of no Job then. One that failed may have done so by
// this Job's end, of which the Job itself tells later.
static bool is_stray(struct work *work, const char *name, struct build *build)
{
    return store_build_of_job(work->pipeline->parts.store, name, build, &work->err) &&
           build->state == BUILD_SUPERSEDED;
}

// STEP_WAIT: it has ended meanwhile.
static enum step end_stray(struct work *work, const struct build *build)
{
    CLEANUP(json_ptr) json_t *job = NULL;
    if (!job_find(work, build, &job))
        return STEP_TRY;
    return job && kaniko_job_is_live(job)
               ? cancel_job(work, build, "its build was superseded before it was there")
               : STEP_WAIT;
}

void others_end_strays(struct work *work)
{
    CLEANUP(json_ptr) json_t *list = list_jobs(work, is_own_and_live);
    const char *name;
    json_t *unused;
    json_object_foreach(list, name, unused)
    {
        struct build build;
        enum step step = is_stray(work, name, &build) ? end_stray(work, &build) : STEP_WAIT;
        if (step == STEP_TRY)
            work_again(work, STRAY_AGAIN_MS);
        else if (step == STEP_NEXT)
            log_line(LOG_WARNING, "a stray Job of a build is ended", "job", name, "repository",
                     work->repository, "commit", build.commit, NULL);
    }
}
