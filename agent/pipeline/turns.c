// How many builds run at once, and whose turn it is: places.h with the store and the settings.
#include "agent/base/crashpoint.h"
#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/pipeline/steps.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PLACE_RECHECK_MS (PLACES_PATIENCE_MS / 3) // a build that waits for a place asks so often
#define QUEUED           "queued"                 // what it says meanwhile

struct under_way {
    char **repositories;
    size_t count;
};

static void add_repository(void *user, const char *repository)
{
    struct under_way *under_way = user;
    under_way->repositories =
        xrealloc(under_way->repositories, (under_way->count + 1) * sizeof(char *));
    under_way->repositories[under_way->count++] = xstrdup(repository);
}

static void under_way_finish(struct under_way *under_way)
{
    for (size_t i = 0; i < under_way->count; i++)
        free(under_way->repositories[i]);
    free(under_way->repositories);
}

static struct places_taken taken_by(const struct config *config, const struct under_way *under_way)
{
    return (struct places_taken){.repositories = (const char *const *)under_way->repositories,
                                 .count = under_way->count,
                                 .max = config->builds.max_concurrent,
                                 .max_per_repository =
                                     config->builds.max_concurrent_per_repository};
}

static struct place_request request_of(const struct build *build)
{
    return (struct place_request){build->recipe, build->repository, build->branch, build->id};
}

static bool explain_wait(struct work *work, struct build *build, const struct places_taken *taken,
                         const struct place_answer *answer)
{
    char detail[STORE_DETAIL_SIZE];
    char before[64] = "";
    if (answer->ahead > 0)
        snprintf(before, sizeof before, "; %zu came before it", answer->ahead);
    if (answer->repository_full)
        snprintf(detail, sizeof detail,
                 "not until fewer than %" PRId64 " builds of this repository are under way "
                 "(builds.maxConcurrentPerRepository)%s",
                 taken->max_per_repository, before);
    else
        snprintf(detail, sizeof detail,
                 "not until fewer than %" PRId64 " builds are under way (builds.maxConcurrent)%s",
                 taken->max, before);
    return build_explain(work, build, QUEUED, detail);
}

// Counting and taking are one under the lock: workers of other keys do the same.
enum step turn_take(struct work *work, struct build *build)
{
    struct pipeline *pipeline = work->pipeline;
    int64_t rest = job_rest_ms(work, build);
    if (rest > 0) {
        work_again(work, rest);
        return STEP_WAIT;
    }
    CLEANUP(under_way_finish) struct under_way under_way = {0};
    struct place_request request = request_of(build);
    struct place_answer answer;
    struct places_taken taken;
    bool stored;
    pthread_mutex_lock(&pipeline->places_lock);
    stored = store_builds_under_way(pipeline->parts.store, add_repository, &under_way, &work->err);
    if (stored) {
        taken = taken_by(work->config, &under_way);
        answer = places_ask(pipeline->places, &request, &taken, mono_now());
    }
    if (stored && answer.may_start) {
        build->state = BUILD_FETCHING;
        build->started = wall_now();
        if (strcmp(build->reason, QUEUED) == 0)
            build->reason[0] = build->detail[0] = '\0';
        CRASH_POINT("before-turn-taken");
        stored = store_build_put(pipeline->parts.store, build, &work->err);
        CRASH_POINT("after-turn-taken");
    }
    pthread_mutex_unlock(&pipeline->places_lock);
    if (!stored)
        return STEP_TRY;
    if (answer.may_start)
        return STEP_NEXT;
    work_again(work, PLACE_RECHECK_MS);
    return explain_wait(work, build, &taken, &answer) ? STEP_WAIT : STEP_TRY;
}

enum step turn_join(struct work *work, struct build *build)
{
    turn_drop(work->pipeline, build->recipe);
    build->state = BUILD_FETCHING;
    build->started = wall_now();
    build->reason[0] = build->detail[0] = '\0';
    return store_build_put(work->pipeline->parts.store, build, &work->err) ? STEP_NEXT : STEP_TRY;
}

void turn_drop(struct pipeline *pipeline, const char *recipe)
{
    pthread_mutex_lock(&pipeline->places_lock);
    places_leave(pipeline->places, recipe);
    pthread_mutex_unlock(&pipeline->places_lock);
}

static void wake_first(struct pipeline *pipeline, const char *except)
{
    CLEANUP(settings_drop_ptr)
    const struct config *config = settings_hold(pipeline->parts.settings);
    CLEANUP(under_way_finish) struct under_way under_way = {0};
    struct place_request next;
    struct error err;
    char key[KEY_SIZE] = "";
    pthread_mutex_lock(&pipeline->places_lock);
    bool known = store_builds_under_way(pipeline->parts.store, add_repository, &under_way, &err);
    struct places_taken taken = taken_by(config, &under_way);
    if (known && places_first(pipeline->places, &taken, mono_now(), &next))
        key_write(next.repository, next.branch, key);
    pthread_mutex_unlock(&pipeline->places_lock);
    if (*key && !(except && strcmp(key, except) == 0))
        work_queue_add(pipeline->queue, key);
    if (!known)
        log_line(LOG_WARNING, "whose turn it is cannot be told", "error", err.text, NULL);
}

void turn_wake(struct pipeline *pipeline)
{
    wake_first(pipeline, NULL);
}

// It is not noted as waiting: nobody is to wait for it, nor to wake it, before its time. Nor is its
// own branch to be woken: the others of that are looked at in the same pass.
void turn_give_back(struct work *work, struct build *build, bool asked)
{
    struct build waiting = *build;
    struct error err;
    waiting.state = BUILD_WAITING;
    if (!asked)
        waiting.started = (struct wall_time){0}; // it had no turn
    if (!store_build_put(work->pipeline->parts.store, &waiting, &err)) {
        log_line(LOG_WARNING, "a build keeps its place", "job", build->job, "error", err.text,
                 NULL);
        return;
    }
    *build = waiting;
    wake_first(work->pipeline, work->key);
}

static bool note_waiting(void *user, const struct build *build)
{
    struct pipeline *pipeline = user;
    struct place_request request = request_of(build);
    if (build->state == BUILD_WAITING)
        places_note(pipeline->places, &request, mono_now());
    return true;
}

void turn_restore(struct pipeline *pipeline)
{
    struct build_filter filter = {.unfinished = true, .limit = STORE_PAGE_MAX};
    struct error err;
    pthread_mutex_lock(&pipeline->places_lock);
    if (!store_build_list(pipeline->parts.store, &filter, note_waiting, pipeline, &err))
        log_line(LOG_WARNING, "whose turn it is cannot be told", "error", err.text, NULL);
    pthread_mutex_unlock(&pipeline->places_lock);
}
