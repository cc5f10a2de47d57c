// The one reconcile function of a repository and branch: compares, does the next step, and says
// when to look again.
#include "agent/base/crashpoint.h"
#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/metrics.h"
#include "agent/pipeline/steps.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define UNFINISHED_MAX     64   // builds of one branch looked at in one reconcile
#define UNKNOWN_RECHECK_MS 5000 // while the services are not known
#define MS_TO_US(ms)       ((ms)*1000)
#define MISSED_MS          60000 // how much later than its push a service may be seen

struct build_list {
    struct build items[UNFINISHED_MAX];
    size_t count;
};

static bool keep_build(void *user, const struct build *build)
{
    struct build_list *list = user;
    list->items[list->count++] = *build;
    return list->count < UNFINISHED_MAX;
}

static void count_build(const struct build *build)
{
    const char *result = build_state_word(build->state);
    metric_count(METRIC_BUILDS, result, build->reason);
    metric_observe(METRIC_BUILD_DURATION, result, MS_TO_US(build->finished.ms - build->created.ms));
    metric_observe(METRIC_BUILD_STEP, "fetch", MS_TO_US(build->fetch_ms));
    metric_observe(METRIC_BUILD_STEP, "context", MS_TO_US(build->context_ms));
    metric_observe(METRIC_BUILD_STEP, "kaniko", MS_TO_US(build->kaniko_ms));
    metric_observe(METRIC_BUILD_STEP, "patch", MS_TO_US(build->patch_ms));
}

bool build_end(struct work *work, struct build *build, enum build_state state, const char *reason,
               const char *detail, struct error *err)
{
    char id[BUILD_ID_SIZE];
    build_id(build->id, id);
    bool again = build->state >= BUILD_DONE; // it was put into one more service
    build->state = state;
    text_copy(build->reason, sizeof build->reason, reason);
    text_copy(build->detail, sizeof build->detail, detail);
    build->finished = wall_now();
    if (build->finished.ms < work->received.ms) // the clock was set back meanwhile
        build->finished = work->received;
    CRASH_POINT("before-build-ended");
    if (!store_build_put(work->pipeline->parts.store, build, err))
        return false;
    CRASH_POINT("after-build-ended");
    spool_forget(work->pipeline, build);
    if (!again)
        count_build(build);
    const struct group *group = work_group(work, build->recipe);
    if (state == BUILD_FAILED && group && !work->others_job)
        group_tell(work, group, TOLD_BUILD_FAILED, "Build %s of commit %.12s failed (%s): %s", id,
                   build->commit, reason, detail);
    log_line(state == BUILD_FAILED ? LOG_WARNING : LOG_INFO, "build ended", "build", id,
             "repository", build->repository, "commit", build->commit, "reason", reason, "detail",
             detail, NULL);
    return true;
}

bool build_explain(struct work *work, struct build *build, const char *reason, const char *detail)
{
    struct build told = *build;
    text_copy(told.reason, sizeof told.reason, reason);
    text_copy(told.detail, sizeof told.detail, detail);
    if (strcmp(told.reason, build->reason) == 0 && strcmp(told.detail, build->detail) == 0)
        return true;
    *build = told;
    return store_build_put(work->pipeline->parts.store, build, &work->err);
}

// --- deciding what to build ---

// Whether some service of the group lacks the head's image by its own annotations.
static bool group_lags(const struct work *work, const struct group *group)
{
    for (size_t i = 0; i < group->count; i++) {
        const struct service *service = group->services[i];
        if (*service->commit && !pipeline_service_pinned(service) &&
            (strcmp(service->commit, work->head.commit) != 0 ||
             work_recipe_changed(work, group, service)))
            return true;
    }
    return false;
}

// Nobody waits for a push to see a draft's first image; the other services do.
static bool is_wanted_first(const struct work *work, const struct group *group)
{
    return group_lags(work, group) || work_first_wanted(work, group).ms > 0;
}

// Whether a build that was filtered may not be any more, although its commit is the head still: for
// a service that has no image of the branch, or had one made in another way.
static bool is_unfiltered(const struct work *work, const struct group *group)
{
    for (size_t i = 0; i < group->count; i++)
        if (!pipeline_service_pinned(group->services[i]) &&
            work_recipe_changed(work, group, group->services[i]))
            return true;
    return group->asked || work_first_wanted(work, group).ms > 0;
}

// Whether a delivery waits, and the head was asked for since it came: another one may be of what
// the branch has become meanwhile.
static bool is_told(const struct work *work)
{
    return work->newest > 0 && work->newest <= work->head.seq;
}

// By a delivery that came after the build's end. When that is a time to come, the clock was set
// back: what comes now is later.
static bool is_asked_again(const struct work *work, const struct build *build)
{
    int64_t ended = build->finished.ms, asked = work->received.ms;
    return is_told(work) && (asked > ended || (ended > asked && ended > wall_now().ms));
}

// A build that failed is tried again when somebody asks again, by a delivery after its end, or by
// making its commit the head again, of which no webhook may have told. One that was superseded is
// wanted again when its commit is the head again, and one that was filtered in both cases, since
// other commits may be live by then.
static bool wanted_again(const struct work *work, const struct group *group,
                         const struct build *build, bool moved)
{
    bool asked_again = is_asked_again(work, build);
    switch (build->state) {
    case BUILD_SUPERSEDED:
        return true;
    case BUILD_FAILED:
        return asked_again || moved;
    case BUILD_FILTERED:
        return asked_again || moved || is_unfiltered(work, group);
    default:
        return false;
    }
}

// `only_live`: only if its image is there already.
static bool add_build(struct work *work, struct group *group, int attempt, bool only_live)
{
    int theirs = others_attempt(&work->pipeline->others, work->key, work->head.commit, group->hash);
    if (theirs > attempt) // another agent is that far
        attempt = theirs;
    struct build build = {.attempt = attempt - 1,
                          .created = wall_now(),
                          .fetch_ms = -1,
                          .context_ms = -1,
                          .kaniko_ms = -1,
                          .patch_ms = -1};
    text_copy(build.repository, sizeof build.repository, work->repository);
    text_copy(build.branch, sizeof build.branch, work->branch);
    text_copy(build.commit, sizeof build.commit, work->head.commit);
    text_copy(build.recipe, sizeof build.recipe, group->hash);
    text_copy(build.credential, sizeof build.credential, work->credential);
    bool taken;
    CRASH_POINT("before-build-wanted");
    if (!build_next_attempt(&build, &group->recipe, &work->err))
        return false;
    // When the registry cannot be asked the build is written down all the same: its own steps ask
    // again before anything is made, and say why they wait. The head is known by then.
    bool told = live_take(work, group, &build, &taken);
    if (only_live && !told)
        work_again(work, RECHECK_MS);
    if (only_live && !taken)
        return true;
    if (!taken && live_attempt(work, group) >= build.attempt) {
        build.attempt = live_attempt(work, group); // its image is lost, and that attempt was made
        if (!build_next_attempt(&build, &group->recipe, &work->err))
            return false;
    }
    if (!store_build_put(work->pipeline->parts.store, &build, &work->err))
        return false;
    CRASH_POINT("after-build-wanted");
    char id[BUILD_ID_SIZE];
    build_id(build.id, id);
    log_line(LOG_INFO, "build wanted", "delivery", *work->delivery ? work->delivery : NULL, "build",
             id, "repository", build.repository, "branch", build.branch, "commit", build.commit,
             NULL);
    return true;
}

// A service that has never been built may be newer than the push that was meant for it, and the
// push may have come before the service was seen: then it counts now.
static bool reopen_missed(struct work *work)
{
    struct wall_time since = {wall_now().ms - MISSED_MS};
    int count;
    if (!store_deliveries_reopen(work->pipeline->parts.store, work->repository, work->branch,
                                 "no-match", since, &count, &work->err))
        return false;
    if (count > 0)
        work_again(work, 1);
    return true;
}

// Whether another agent is at a build, or a further attempt, that this one knows nothing of.
static bool is_theirs(const struct work *work, const struct group *group, const struct build *known)
{
    int attempt =
        others_attempt(&work->pipeline->others, work->key, work->head.commit, group->hash);
    return attempt > 0 && (!known || (known->state > BUILD_DONE && attempt > known->attempt));
}

// Writes down the builds that the head wants. `moved`: it is not what it was.
static bool want_builds(struct work *work, bool moved)
{
    for (size_t i = 0; i < work->group_count; i++) {
        struct group *group = &work->groups[i];
        struct build build;
        bool known = store_build_find(work->pipeline->parts.store, work->head.commit, group->hash,
                                      &build, &work->err);
        if (!known && work->err.code != ERR_NOT_FOUND)
            return false;
        bool wanted = known ? wanted_again(work, group, &build, moved)
                            : moved || is_told(work) || is_wanted_first(work, group);
        bool theirs = is_theirs(work, group, known ? &build : NULL);
        if (!known && !wanted && !theirs && !reopen_missed(work))
            return false;
        // Another agent deployed what did not come to that here.
        bool missed = known && build.state > BUILD_DONE && live_attempt(work, group) > 0;
        if ((wanted || theirs || missed) &&
            !add_build(work, group, known ? build.attempt + 1 : 1, !wanted && !theirs))
            return false;
    }
    return true;
}

// What was told, if anything, counts for nothing: whatever made it be asked for does so again.
static enum step lose_head(struct work *work)
{
    others_not_told(work);
    return STEP_TRY;
}

// Step 1 and what follows from it. A head is stored after the builds it wants, so that nothing is
// forgotten between the two.
static enum step know_head(struct work *work)
{
    char before[STORE_COMMIT_SIZE];
    text_copy(before, sizeof before, work->head.commit);
    enum head_news news;
    enum step step = step_head(work, &news);
    if (step == STEP_TRY)
        return lose_head(work);
    if (step != STEP_NEXT || news == HEAD_PAUSED)
        return step;
    // A branch that is seen for the first time has not moved: a service that was just made waits
    // for a push.
    bool fresh = news == HEAD_FRESH;
    bool moved = fresh && *before && strcmp(before, work->head.commit) != 0;
    if (!want_builds(work, moved))
        return fresh ? lose_head(work) : STEP_TRY;
    CRASH_POINT("before-head-known");
    if (fresh && !store_branch_put(work->pipeline->parts.store, &work->head, &work->err))
        return lose_head(work);
    CRASH_POINT("after-head-known");
    // Somebody may have pushed while the remote was asked.
    return fresh && work->newest > work->head.seq ? know_head(work) : STEP_NEXT;
}

// --- advancing builds ---

// Another agent may have deployed it: it is not built again.
static enum step take_live(struct work *work, struct group *group, struct build *build)
{
    struct build before = *build;
    bool taken;
    if (strcmp(build->commit, work->head.commit) != 0)
        return STEP_NEXT;
    if (!live_take(work, group, build, &taken))
        return STEP_TRY;
    if (!taken)
        return STEP_NEXT;
    context_cancel(work, &before);
    turn_drop(work->pipeline, build->recipe);
    spool_forget(work->pipeline, &before);
    if (before.state == BUILD_RUNNING && strcmp(before.job, build->job) != 0 &&
        cancel_job(work, &before, "another attempt is deployed") == STEP_TRY)
        return STEP_TRY;
    return store_build_put(work->pipeline->parts.store, build, &work->err) ? STEP_NEXT : STEP_TRY;
}

// Whether its Job exists, whoever made it.
static bool is_there(const struct work *work, const struct build *build)
{
    return others_attempt(&work->pipeline->others, work->key, build->commit, build->recipe) >=
           build->attempt;
}

// Another agent is further: what there was before is not made again, though its Job may be gone.
static enum step skip_past(struct work *work, const struct group *group, struct build *build)
{
    int theirs = others_attempt(&work->pipeline->others, work->key, build->commit, build->recipe);
    if (theirs <= build->attempt)
        return STEP_NEXT;
    context_cancel(work, build); // it is written under the Job's name
    spool_forget(work->pipeline, build);
    build->attempt = theirs - 1;
    if (!build_next_attempt(build, &group->recipe, &work->err))
        return work_failed(work, "build-failed");
    return store_build_put(work->pipeline->parts.store, build, &work->err) ? STEP_NEXT : STEP_TRY;
}

// Runs a build's steps until one waits or fails.
static enum step advance(struct work *work, struct group *group, struct build *build)
{
    enum step step = build->state < BUILD_PUSHED ? take_live(work, group, build) : STEP_NEXT;
    if (step == STEP_NEXT && build->state < BUILD_RUNNING)
        step = skip_past(work, group, build);
    if (step == STEP_NEXT && build->state == BUILD_WAITING)
        step = is_there(work, build) ? turn_join(work, build) : turn_take(work, build);
    if (step == STEP_NEXT && build->state == BUILD_FETCHING) {
        step = step_context(work, group, build);
        if (step == STEP_TRY)
            turn_give_back(work, build, false);
        if (step == STEP_NEXT && build->state == BUILD_FETCHING)
            step = job_create(work, group, build);
    }
    if (step == STEP_NEXT && build->state == BUILD_RUNNING)
        step = step_job(work, group, build);
    if (step == STEP_NEXT && (build->state == BUILD_PUSHED || build->state == BUILD_DONE))
        step = step_patch(work, group, build);
    return step;
}

// --- superseding ---

// An unfinished build of a commit that is not the head any more, or of a recipe that nobody has.
// `going_on` is set when it is left to finish.
static enum step supersede(struct work *work, struct group *group, struct build *build,
                           bool *going_on)
{
    if (build->state == BUILD_PUSHED && group) {
        enum step step = step_patch(work, group, build);
        // What is live then decides whether the head differs from it.
        group->held = step != STEP_NEXT && *group->recipe.paths;
        return step;
    }
    bool running = build->state == BUILD_RUNNING;
    bool may = true;
    // Perhaps. (Of a recipe that nobody has here, another agent's Job is that one's matter.)
    bool made = build->started.ms > 0 || (group && is_there(work, build));
    if (!running && made && !job_was_made(work, build, &running))
        return work_failed(work, "kubernetes");
    bool fetching = build->state == BUILD_FETCHING && !head_is_missed(work);
    if (group && (running || fetching) && !cancel_may(work, group, build, running, &may))
        return STEP_TRY;
    if (!may) {
        *going_on = true;
        return advance(work, group, build);
    }
    context_cancel(work, build);
    if (!group) // else the newer one takes its turn over
        turn_drop(work->pipeline, build->recipe);
    char detail[STORE_DETAIL_SIZE];
    if (!group)
        text_copy(detail, sizeof detail, "no service wants it");
    else if (head_is_missed(work))
        text_copy(detail, sizeof detail, "the branch has moved, and its head cannot be told");
    else
        snprintf(detail, sizeof detail, "the branch moved on to %.12s", work->head.commit);
    CRASH_POINT("before-job-cancelled");
    enum step cancelled = running ? cancel_job(work, build, detail) : STEP_NEXT;
    CRASH_POINT("after-job-cancelled");
    if (cancelled == STEP_TRY)
        return STEP_TRY;
    if (cancelled == STEP_FAIL && group) {
        *going_on = true;
        return advance(work, group, build);
    }
    bool ended = running && cancelled == STEP_NEXT;
    return build_end(work, build, BUILD_SUPERSEDED, ended ? "cancelled" : "superseded", detail,
                     &work->err)
               ? STEP_NEXT
               : STEP_TRY;
}

// --- one pass ---

struct pass {
    bool waiting;  // something is under way
    bool failed;   // a build of the head failed
    int64_t build; // the one to name in the deliveries
    char reason[STORE_REASON_SIZE];
    char detail[STORE_DETAIL_SIZE];
};

// Sentence: why, how often it was tried, and when it is again. Counts once in a pass.
static void describe_trying(struct work *work, char detail[static STORE_DETAIL_SIZE])
{
    char again[RFC3339_SIZE], count[32] = "once";
    work->last_try =
        work->tried ? work->last_try : tries_failed(work->pipeline->tries, work->tries_key);
    work->tried = work->tried_any = true;
    if (work->last_try.due.ms < work->not_before.ms)
        work->last_try.due = work->not_before;
    work_again(work, mono_left(work->last_try.due) + 1);
    if (work->last_try.count > 1)
        snprintf(count, sizeof count, "%d times", work->last_try.count);
    wall_format((struct wall_time){wall_now().ms + mono_left(work->last_try.due)}, false, again);
    snprintf(detail, STORE_DETAIL_SIZE, "%.400s; tried %s, again at %s", work->err.text, count,
             again);
}

// While a build's step is tried again, the build says why.
static void explain_trying(struct work *work, struct build *build)
{
    struct error why = work->err;
    char detail[STORE_DETAIL_SIZE];
    if (build->id == 0 || build->state >= BUILD_DONE)
        return;
    describe_trying(work, detail);
    bool rests = strcmp(build->reason, BUILD_RESTS) == 0; // and goes on resting
    if (!build_explain(work, build, rests ? BUILD_RESTS : "", detail))
        log_line(LOG_WARNING, "a build's state cannot be stored", "job", build->job, "error",
                 work->err.text, NULL);
    work->err = why;
}

// Takes a step's end over into the pass. False: it must be tried again.
static bool conclude(struct work *work, struct build *build, enum step step, struct pass *pass)
{
    switch (step) {
    case STEP_NEXT:
        return true;
    case STEP_WAIT:
        pass->waiting = true;
        return true;
    case STEP_FAIL:
        if (strcmp(work->reason, "superseded") == 0) {
            // The branch was rewritten while it was fetched: the head is asked for again.
            pass->waiting = true;
            return head_again(work) && build_end(work, build, BUILD_SUPERSEDED, "superseded",
                                                 work->err.text, &work->err);
        }
        return build_end(work, build, BUILD_FAILED, work->reason, work->err.text, &work->err);
    case STEP_TRY:
        explain_trying(work, build);
        break;
    }
    return false;
}

// The older one's end wakes this key.
static enum step wait_for_older(struct work *work, struct build *build)
{
    return build_explain(work, build, "queued",
                         "not until the build of this branch before it has ended")
               ? STEP_WAIT
               : STEP_TRY;
}

// Advances what is under way. While the head is not `settled` (it is being asked for, or cannot be
// told) nothing new is started and nothing superseded, but what runs is brought to its end. Only
// what waits for a head of before goes when that has moved unseen. False: one of them must be tried
// again (work.err); the others went on all the same.
static bool advance_unfinished(struct work *work, bool settled, struct pass *pass)
{
    CLEANUP(free_ptr) struct build_list *list = xalloc(sizeof *list);
    struct build_filter filter = {.repository = work->repository,
                                  .branch = work->branch,
                                  .unfinished = true,
                                  .limit = UNFINISHED_MAX};
    if (!store_build_list(work->pipeline->parts.store, &filter, keep_build, list, &work->err))
        return false;
    bool going_on = false, good = true;
    for (size_t i = list->count; i > 0; i--) { // oldest first
        struct build *build = &list->items[i - 1];
        struct group *group = work_group(work, build->recipe);
        if (!group && work_is_elsewhere(work, build->recipe))
            continue;
        bool current = group && strcmp(build->commit, work->head.commit) == 0;
        bool missed = group && head_is_missed(work) && build->state < BUILD_RUNNING;
        if (!settled && !missed && (!group || build->state < BUILD_RUNNING))
            continue;
        enum step step;
        work->others_job = false;
        if (missed || (settled && !current))
            step = supersede(work, group, build, &going_on);
        else if ((going_on || (group && group->held)) && build->state == BUILD_WAITING)
            step = wait_for_older(work, build);
        else
            step = advance(work, group, build);
        good &= conclude(work, build, step, pass);
        if (build->state >= BUILD_DONE)
            turn_wake(work->pipeline);
    }
    return good;
}

// What became of the head: of all groups, the worst.
static bool sum_up(struct work *work, struct pass *pass)
{
    text_copy(pass->reason, sizeof pass->reason, "unchanged");
    for (size_t i = 0; i < work->group_count && !pass->failed; i++) {
        struct build build;
        if (!store_build_find(work->pipeline->parts.store, work->head.commit, work->groups[i].hash,
                              &build, &work->err)) {
            if (work->err.code != ERR_NOT_FOUND)
                return false;
            continue;
        }
        // What a group has nothing to do with says less than what became of another.
        if (build.state == BUILD_FILTERED && pass->build)
            continue;
        // A service that came later, or was made anew, wants the image that is there.
        if (build.state == BUILD_DONE) {
            enum step step = step_patch(work, &work->groups[i], &build);
            if (step == STEP_TRY)
                return false;
            pass->waiting |= step == STEP_WAIT;
        }
        pass->build = build.id;
        pass->failed = build.state == BUILD_FAILED || strcmp(build.reason, "patch-failed") == 0;
        bool told = build.finished.ms >= work->received.ms || pass->failed ||
                    strcmp(build.reason, "deployed") != 0;
        if (told) {
            text_copy(pass->reason, sizeof pass->reason, build.reason);
            text_copy(pass->detail, sizeof pass->detail, build.detail);
        } else {
            snprintf(pass->detail, sizeof pass->detail, "%.12s is live already", build.commit);
        }
    }
    return true;
}

static void log_ended(const struct work *work, const struct deliveries_ended *ended,
                      const struct pass *pass)
{
    char build[BUILD_ID_SIZE], further[32];
    build_id(pass->build, build);
    metric_add(METRIC_DELIVERIES_FINISHED, pass->reason, NULL, ended->count);
    for (size_t i = 0; i < ended->count && i < STORE_ENDED_MAX; i++)
        log_line(pass->failed ? LOG_WARNING : LOG_INFO, "delivery ended", "delivery", ended->ids[i],
                 "repository", work->repository, "branch", work->branch, "build",
                 pass->build ? build : NULL, "reason", pass->reason, "detail",
                 *pass->detail ? pass->detail : NULL, NULL);
    if (ended->count <= STORE_ENDED_MAX)
        return;
    snprintf(further, sizeof further, "%zu", ended->count - STORE_ENDED_MAX);
    log_line(LOG_INFO, "further deliveries ended", "count", further, "repository", work->repository,
             "branch", work->branch, "reason", pass->reason, NULL);
}

static bool end_deliveries(struct work *work, int64_t upto, const struct pass *pass)
{
    struct deliveries_ended ended;
    if (work->newest == 0)
        return true;
    CRASH_POINT("before-deliveries-ended");
    if (!store_deliveries_finish(work->pipeline->parts.store, work->repository, work->others,
                                 work->branch, upto, pass->reason, pass->detail, pass->failed,
                                 pass->build, &ended, &work->err))
        return false;
    CRASH_POINT("after-deliveries-ended");
    log_ended(work, &ended, pass);
    return true;
}

// Nobody to build for: ends what waits, with the reason.
static bool reconcile_nobody(struct work *work)
{
    const struct pipeline_parts *parts = &work->pipeline->parts;
    if (work->services.count == 0 && !parts->services_known(parts->user)) {
        work_again(work, UNKNOWN_RECHECK_MS);
        return true;
    }
    struct pass pass = {.failed = true}; // a redelivery may find a service
    if (work->services.count == 0) {
        text_copy(pass.reason, sizeof pass.reason, "no-match");
        snprintf(pass.detail, sizeof pass.detail, "no service follows %.255s %.200s",
                 work->repository, work->branch);
    } else {
        text_copy(pass.reason, sizeof pass.reason, work->refused_reason);
        text_copy(pass.detail, sizeof pass.detail, work->refused);
    }
    return advance_unfinished(work, true, &pass) && end_deliveries(work, work->newest, &pass);
}

// The deliveries end by one source's failure: the others that have not asked since the newest came
// ask by themselves, whatever they are being told.
static bool ask_without_delivery(struct work *work)
{
    for (size_t i = 0; i < work->source_count; i++) {
        struct source *source = &work->sources[i];
        if (source == work->source || source->head.seq >= work->newest)
            continue;
        head_cancel(work, source->credential);
        source->head.seq = work->newest;
        source->head.checked = (struct wall_time){0};
        text_copy(source->head.commit, sizeof source->head.commit, HEAD_MISSED);
        if (!store_branch_put(work->pipeline->parts.store, &source->head, &work->err))
            return false;
        work_again(work, 1);
    }
    return true;
}

// The head cannot be told: what waits for it ends with the reason, and a later push, or the sweep,
// asks again.
static bool head_failed(struct work *work)
{
    struct pass pass = {.failed = true};
    text_copy(pass.reason, sizeof pass.reason, work->reason);
    text_copy(pass.detail, sizeof pass.detail, work->err.text);
    log_line(LOG_WARNING, "the branch's head cannot be told", "delivery",
             *work->delivery ? work->delivery : NULL, "repository", work->repository, "branch",
             work->branch, "reason", pass.reason, "error", work->err.text, NULL);
    work->head.checked = wall_now();
    work->head.seq = work->newest;
    // What was pushed is built when the head can be told again, and so is a branch that is made.
    if (work->newest > 0 || strcmp(work->reason, "branch-missing") == 0)
        text_copy(work->head.commit, sizeof work->head.commit, HEAD_MISSED);
    // The deliveries last: while they wait, the head is asked for again after a restart.
    CRASH_POINT("before-head-missed");
    if (!ask_without_delivery(work) ||
        !store_branch_put(work->pipeline->parts.store, &work->head, &work->err))
        return false;
    CRASH_POINT("after-head-missed");
    return end_deliveries(work, work->newest, &pass);
}

// One source. `pass->waiting` stays set unless it came to its end.
static bool reconcile_source(struct work *work, struct pass *pass)
{
    enum step head = know_head(work);
    if (head == STEP_FAIL && !head_failed(work))
        return false;
    struct error why = work->err;
    if (!advance_unfinished(work, head == STEP_NEXT, pass))
        return false;
    if (head == STEP_TRY)
        work->err = why;
    pass->waiting |= head != STEP_NEXT;
    return pass->waiting ? head != STEP_TRY : sum_up(work, pass);
}

// Of all sources, the worst end; of good ones, that of a build.
static void add_pass(struct pass *all, const struct pass *pass)
{
    bool waiting = all->waiting | pass->waiting;
    if (!all->failed && (pass->failed || !all->build))
        *all = *pass;
    all->waiting = waiting;
}

// What the forge is told of the head, for each service that a build of it is for. Those that may
// not be built are told of nowhere: they have no say about the repository.
static void note_statuses(struct work *work)
{
    const struct pipeline_parts *parts = &work->pipeline->parts;
    for (size_t g = 0; g < work->group_count && work->config->statuses.count > 0; g++) {
        const struct group *group = &work->groups[g];
        struct build build;
        struct error err;
        if (!store_build_find(parts->store, work->head.commit, group->hash, &build, &err))
            continue; // nobody asked for one
        for (size_t i = 0; i < group->count; i++)
            statuses_note(parts->statuses, &build, group->services[i]->repository,
                          group->services[i]->namespace_, group->services[i]->name);
    }
}

// Takes back what was asked with credentials that no service has any more.
static void cancel_unwanted_heads(struct work *work)
{
    const struct config *config = work->config;
    for (size_t i = 0; i <= config->git.credentials.count; i++) {
        const char *credential =
            i < config->git.credentials.count ? config->git.credentials.items[i].name : "";
        size_t source = 0;
        while (source < work->source_count &&
               strcmp(work->sources[source].credential, credential) != 0)
            source++;
        if (source == work->source_count)
            head_cancel(work, credential);
    }
}

// What was refused under other settings may be allowed by these: looked at once after each change.
static bool reopen_refused(struct work *work)
{
    int count = 0;
    if (work->newest == 0 &&
        work->sources[0].head.checked.ms < atomic_load(&work->pipeline->settings_changed) &&
        !store_deliveries_reopen(work->pipeline->parts.store, work->repository, work->branch,
                                 "not-allowed", (struct wall_time){0}, &count, &work->err))
        return false;
    if (count > 0)
        work_again(work, 1);
    return true;
}

// So do the deliveries that wait for it; "" when it came further.
static void explain_deliveries(struct work *work, const char *detail)
{
    struct error err;
    if (work->newest > 0 &&
        !store_deliveries_explain(work->pipeline->parts.store, work->repository, work->others,
                                  work->branch, work->newest, detail, &err))
        log_line(LOG_WARNING, "a delivery's state cannot be stored", "error", err.text, NULL);
}

// What becomes of a source's failures in a row.
static void count_tries(struct work *work, bool good, const struct pass *pass)
{
    char detail[STORE_DETAIL_SIZE];
    if (!good) {
        describe_trying(work, detail);
        explain_deliveries(work, detail);
    } else if ((work->progressed || !pass->waiting) &&
               tries_forget(work->pipeline->tries, work->tries_key) > 0) {
        explain_deliveries(work, "");
    }
    work->further |= work->progressed;
}

// One source that cannot go on does not keep the others from it.
static bool reconcile_sources(struct work *work)
{
    struct pass all = {0};
    struct error first;
    bool good = true;
    int64_t upto = INT64_MAX; // what all of them know of
    for (size_t i = 0; i < work->source_count; i++) {
        struct pass pass = {0};
        work_select(work, i);
        bool went = reconcile_source(work, &pass);
        count_tries(work, went, &pass);
        if (!went && good) {
            first = work->err;
            good = false;
        }
        note_statuses(work);
        add_pass(&all, &pass);
        upto = work->head.seq < upto ? work->head.seq : upto;
    }
    work->waiting = all.waiting;
    if (!good)
        work->err = first;
    return good && reopen_refused(work) && (all.waiting || end_deliveries(work, upto, &all));
}

// How old what is known of the head is: of all sources, the oldest.
static void note_check(const struct work *work)
{
    struct wall_time oldest = {0};
    for (size_t i = 0; i < work->source_count; i++) {
        const struct source *source = &work->sources[i];
        struct wall_time checked =
            source == work->source ? work->head.checked : source->head.checked;
        if (i == 0 || checked.ms < oldest.ms)
            oldest = checked;
    }
    if (work->source_count == 0 || oldest.ms > 0)
        sweep_note(work->pipeline->sweep, work->key, oldest);
}

// The queue has one delay for a key, the shortest: a run before the turn took that one's place.
static void await_turn(struct work *work)
{
    int64_t wait_ms = sweep_wait_ms(work->pipeline->sweep, work->key);
    if (work->source_count > 0 && wait_ms > 0)
        work_again(work, wait_ms);
}

struct reconciled reconcile(struct pipeline *pipeline, const char *key)
{
    CLEANUP(free_ptr) struct work *work = xalloc(sizeof *work);
    work->pipeline = pipeline;
    work->key = key;
    bool good = work_load(work, &work->err);
    if (good) {
        cancel_unwanted_heads(work);
        good = work->source_count > 0 ? reconcile_sources(work) : reconcile_nobody(work);
        note_check(work);
        await_turn(work);
        if (good)
            others_end_strays(work);
        if (good && work->source_count == 0)
            tries_forget(pipeline->tries, work->tries_key);
    }
    if (!good)
        log_line(LOG_WARNING, "will be tried again", "delivery",
                 *work->delivery ? work->delivery : NULL, "repository", work->repository, "branch",
                 work->branch, "error", work->err.text, NULL);
    // A source that failed has its own time for the next try.
    bool timed = good || work->tried_any;
    work_finish(work);
    enum work_result result = !timed                            ? WORK_FAILED
                              : work->waiting && !work->further ? WORK_WAITING
                                                                : WORK_DONE;
    return (struct reconciled){.result = result, .again_ms = work->again_ms};
}
