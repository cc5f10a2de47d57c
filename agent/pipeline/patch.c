// Step 3: the image that was built, written into every service that wants it.
#include "agent/base/crashpoint.h"
#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/metrics.h"
#include "agent/pipeline/steps.h"

#include <stdio.h>
#include <string.h>

#define PATCH_TRIES 5 // conflicts in a row on one CronJob
#define AGAIN_MAX   3 // times one build is put back into one service: see may_patch_again()

enum verdict {
    VERDICT_PATCHED,
    VERDICT_ALREADY, // it has this image
    VERDICT_PINNED,  // a person changed its image: left alone
    VERDICT_NEWER,   // it has a newer commit's image
    VERDICT_GONE,    // it is no service any more, or follows something else
    VERDICT_UNSURE,  // what is live came after the head was asked for: ask again first
    VERDICT_ASKED,   // that is being done
    VERDICT_FOUGHT,  // somebody puts another image back each time: not again for a while
    VERDICT_FAILED,  // work.err
};

// Whether the service's live image is of a commit that this branch had after the build's. An older
// build that ends late never overwrites a newer one. `before`: see live_order().
static bool is_newer(struct work *work, const struct service *service, const struct build *build,
                     int64_t before)
{
    if (*service->commit == '\0' || strcmp(service->image, service->patched_image) != 0 ||
        strcmp(build->commit, work->head.commit) == 0)
        return false;
    if (strcmp(service->commit, work->head.commit) == 0)
        return true;
    struct build live;
    struct error err;
    return store_build_find(work->pipeline->parts.store, service->commit, build->recipe, &live,
                            &err)
               ? live.id > build->id
               : build->id <= before;
}

static bool same_source(const struct service *a, const struct service *b)
{
    return strcmp(a->repository, b->repository) == 0 && strcmp(a->branch, b->branch) == 0 &&
           strcmp(a->destination, b->destination) == 0 && *b->problem == '\0';
}

static bool store_record(struct work *work, const struct service *service,
                         const struct build *build, const char *old_image, const char *image,
                         struct wall_time at)
{
    struct patch_record record = {.build = build->id, .at = at};
    text_copy(record.namespace, sizeof record.namespace, service->namespace_);
    text_copy(record.name, sizeof record.name, service->name);
    text_copy(record.old_image, sizeof record.old_image, old_image);
    text_copy(record.new_image, sizeof record.new_image, image);
    return store_patch_add(work->pipeline->parts.store, &record, &work->err);
}

// It is told of when it is stored: after a failure both are made up for, and after a death between
// them nothing is told twice.
static bool record(struct work *work, const struct service *service, const struct build *build,
                   const char *old_image, const char *image)
{
    char id[BUILD_ID_SIZE];
    build_id(build->id, id);
    CRASH_POINT("before-patch-recorded");
    if (!store_record(work, service, build, old_image, image, wall_now()))
        return false;
    CRASH_POINT("after-patch-recorded");
    log_line(LOG_INFO, "image patched", "namespace", service->namespace_, "service", service->name,
             "build", id, "commit", build->commit, "image", image, "before",
             *old_image ? old_image : NULL, NULL);
    metric_count(METRIC_PATCHES, "patched", NULL);
    events_tell(work->pipeline->parts.events, service, TOLD_IMAGE_PATCHED,
                "Image changed from %s to %s (commit %.12s, build %s).",
                *old_image ? old_image : "an earlier one", image, build->commit, id);
    return true;
}

struct sought_patches {
    const struct service *service;
    struct wall_time since, until;
    int count;
};

static bool count_patch(void *user, const struct patch_record *patch)
{
    struct sought_patches *sought = user;
    sought->count += strcmp(patch->namespace, sought->service->namespace_) == 0 &&
                     strcmp(patch->name, sought->service->name) == 0 &&
                     patch->at.ms >= sought->since.ms && patch->at.ms <= sought->until.ms;
    return true;
}

// How often this build was put into the service in that time.
static bool count_patches(struct work *work, const struct service *service,
                          const struct build *build, struct wall_time since, struct wall_time until,
                          int *count)
{
    struct sought_patches sought = {.service = service, .since = since, .until = until};
    if (!store_patch_list(work->pipeline->parts.store, build->id, count_patch, &sought, &work->err))
        return false;
    *count = sought.count;
    return true;
}

// Earlier versions did not say who they were: their number of the build is as good as that.
static bool is_own_patch(const struct work *work, const struct service *service,
                         const struct build *build)
{
    char id[BUILD_ID_SIZE];
    build_id(build->id, id);
    return *service->patched_by ? identity_is_own(work->pipeline, service->patched_by)
                                : strcmp(service->build, id) == 0;
}

// The service has this build's image. Another agent wrote it and has told of it; or else we died
// between the patch and its record, which is made now. What the image was before is not known.
static bool make_up_record(struct work *work, const struct service *service,
                           const struct build *build, const char *image)
{
    int count;
    if (build->state == BUILD_DONE || strcmp(service->image, image) != 0)
        return true;
    if (!count_patches(work, service, build, (struct wall_time){0}, (struct wall_time){INT64_MAX},
                       &count))
        return false;
    if (count > 0)
        return true;
    return is_own_patch(work, service, build)
               ? record(work, service, build, "", image)
               : store_record(work, service, build, "", image, service->patched_at);
}

// Its image is one that was built, and it is not the build's: the branch came back to that commit.
static bool follows(const struct service *service, const char *image)
{
    return *service->commit && !pipeline_service_replaced(service) &&
           strcmp(service->image, image) != 0;
}

// Another agent's remote may say another head, as replicas do that lag: neither gives in to the
// other, until its own remote says something else.
static enum verdict may_come_back(struct work *work, const struct service *service,
                                  const struct build *build)
{
    if (live_times_written(work, service, build) < AGAIN_MAX)
        return VERDICT_PATCHED;
    log_line(LOG_WARNING,
             "a service gets another commit each time: left alone until the head is "
             "another",
             "namespace", service->namespace_, "service", service->name, "commit", build->commit,
             "other", service->commit, NULL);
    return VERDICT_FOUGHT;
}

// A finished build is put back into a service that lost it: one that was made anew, say. Not
// without end, though: somebody else may put another image back each time. (What was done at a time
// to come was done before the clock was set back.)
static enum verdict may_patch_again(struct work *work, const struct service *service,
                                    const struct build *build, const char *image)
{
    struct wall_time now = wall_now();
    struct wall_time since = {now.ms - work->config->sweep.interval_ms};
    int count;
    if (build->state != BUILD_DONE)
        return VERDICT_PATCHED;
    if (follows(service, image))
        return may_come_back(work, service, build);
    if (!count_patches(work, service, build, since, now, &count))
        return VERDICT_FAILED;
    return count < AGAIN_MAX ? VERDICT_PATCHED : VERDICT_FOUGHT;
}

// A GitOps owner undid what we wrote: that is written once more, and not fought about.
static bool was_undone(const struct service *service)
{
    return pipeline_service_replaced(service) && service->image_by_owner;
}

static enum verdict decide(struct work *work, const struct service *service,
                           const struct build *build, const char *image)
{
    int64_t before;
    if (strcmp(service->image, image) == 0 && !service->lags)
        return VERDICT_ALREADY;
    if (pipeline_service_pinned(service))
        return VERDICT_PINNED;
    if (was_undone(service) && strcmp(service->put_back, image) == 0)
        return VERDICT_FOUGHT;
    if (live_is_build(service, build) && !service->lags)
        return VERDICT_ALREADY; // by another attempt
    enum live_order order = live_order(work, service, &before);
    if (is_newer(work, service, build, before))
        return VERDICT_NEWER;
    // Another agent may know of a newer head.
    bool unsure = *service->commit && strcmp(service->commit, build->commit) != 0;
    if (unsure && order == LIVE_UNKNOWN)
        return VERDICT_UNSURE;
    if (unsure && order == LIVE_ASKED)
        return VERDICT_ASKED;
    return may_patch_again(work, service, build, image);
}

// Its first run comes with each image; a draft's comes with its start.
static bool wants_first_run(const struct service *service)
{
    return service->first_run == FIRST_RUN_ON_IMAGE && service->state == SERVICE_STARTED;
}

// Patches one service; what was read before is used first, and read again after each conflict.
static enum verdict patch_service(struct work *work, const struct service *known,
                                  const struct build *build, const char *image)
{
    struct kube_client *kube = work->pipeline->parts.kube;
    char id[BUILD_ID_SIZE];
    build_id(build->id, id);
    CLEANUP(service_ptr) const struct service *service = service_hold(known);
    for (int i = 0; i < PATCH_TRIES; i++) {
        enum verdict verdict = decide(work, service, build, image);
        if (verdict == VERDICT_ALREADY && !make_up_record(work, service, build, image))
            return VERDICT_FAILED;
        if (verdict != VERDICT_PATCHED)
            return verdict;
        const struct annotation annotations[] = {{ANNOTATION_COMMIT, build->commit},
                                                 {ANNOTATION_BUILD, id},
                                                 {ANNOTATION_RECIPE, build->recipe},
                                                 {ANNOTATION_PATCHED_BY, work->pipeline->identity},
                                                 {was_undone(service) ? ANNOTATION_PUT_BACK
                                                  : wants_first_run(service)
                                                      ? ANNOTATION_FIRST_RUN_DUE
                                                      : NULL,
                                                  was_undone(service) ? image : build->digest},
                                                 {0}};
        CLEANUP(service_ptr) const struct service *updated = NULL;
        CRASH_POINT("before-image-patched");
        if (cronjob_patch_image(kube, service, image, annotations, &updated, &work->err)) {
            CRASH_POINT("after-image-patched");
            live_written(work, updated, build);
            return record(work, service, build, service->image, image) ? VERDICT_PATCHED
                                                                       : VERDICT_FAILED;
        }
        if (work->err.code != ERR_CONFLICT && work->err.code != ERR_NOT_FOUND)
            return VERDICT_FAILED;
        const struct service *fresh;
        if (!cronjob_get(kube, known->namespace_, known->name, &fresh, &work->err))
            return work->err.code == ERR_NOT_FOUND || work->err.code == ERR_INVALID
                       ? VERDICT_GONE
                       : VERDICT_FAILED;
        service_drop(service);
        service = fresh;
        if (!same_source(known, service))
            return VERDICT_GONE;
    }
    return VERDICT_FAILED;
}

// The sentence of the end: which services have it, which do not and why.
static void describe(char detail[static STORE_DETAIL_SIZE], const struct service *service,
                     enum verdict verdict)
{
    static const char *const marks[] = {
        [VERDICT_PATCHED] = "",
        [VERDICT_ALREADY] = "",
        [VERDICT_PINNED] = "pinned (rolled back, or its image was changed by hand): ",
        [VERDICT_NEWER] = "newer already: ",
        [VERDICT_GONE] = "gone: ",
        [VERDICT_FOUGHT] = "changed back by somebody each time: ",
        [VERDICT_FAILED] = "not patched: ",
    };
    size_t used = strlen(detail);
    snprintf(detail + used, STORE_DETAIL_SIZE - used, "%s%s%s/%s", used ? ", " : "", marks[verdict],
             service->namespace_, service->name);
}

struct tally {
    int live, patched, pinned, failed;
    bool again; // something may pass
    char detail[STORE_DETAIL_SIZE];
};

// One service that cannot be patched does not keep the others from it.
static void add_verdict(struct work *work, const struct service *service, enum verdict verdict,
                        struct tally *tally)
{
    tally->live += verdict == VERDICT_PATCHED || verdict == VERDICT_ALREADY;
    tally->patched += verdict == VERDICT_PATCHED;
    tally->pinned += verdict == VERDICT_PINNED;
    describe(tally->detail, service, verdict);
    if (verdict != VERDICT_FAILED)
        return;
    tally->failed++;
    metric_count(METRIC_PATCHES, "failed", NULL);
    tally->again |= work_failed(work, "patch-failed") == STEP_TRY;
    error_wrap(&work->err, "patch cronjob %s/%s", service->namespace_, service->name);
    log_line(LOG_WARNING, "a service cannot be patched", "namespace", service->namespace_,
             "service", service->name, "error", work->err.text, NULL);
    size_t used = strlen(tally->detail);
    text_copy(tally->detail + used, sizeof tally->detail - used, ": ");
    used = strlen(tally->detail);
    text_copy(tally->detail + used, sizeof tally->detail - used, work->err.text);
}

// `pinned`: of each service in the group, whether it is to be told.
static void tell_pinned(struct work *work, const struct group *group, const struct build *build,
                        const bool *pinned)
{
    char id[BUILD_ID_SIZE];
    build_id(build->id, id);
    for (size_t i = 0; i < group->count; i++)
        if (pinned[i])
            events_tell(work->pipeline->parts.events, group->services[i], TOLD_IMAGE_PINNED,
                        "Build %s of commit %.12s is there, but the image was rolled back or "
                        "changed by hand: it stays until cronwright resume.",
                        id, build->commit);
}

enum step step_patch(struct work *work, struct group *group, struct build *build)
{
    char image[STORE_IMAGE_SIZE + IMAGE_DIGEST_SIZE];
    snprintf(image, sizeof image, "%s@%s", build->image, build->digest);
    struct tally tally = {0};
    struct error first = {0};
    bool ends = build->state != BUILD_DONE;
    CLEANUP(free_ptr) bool *pinned = xalloc((group->count + 1) * sizeof *pinned);
    struct mono_time began = mono_now();
    for (size_t i = 0; i < group->count; i++) {
        enum verdict verdict = patch_service(work, group->services[i], build, image);
        if (verdict == VERDICT_UNSURE)
            return head_anew(work) ? STEP_WAIT : STEP_TRY;
        if (verdict == VERDICT_ASKED) {
            work_again(work, RECHECK_MS);
            return STEP_WAIT;
        }
        add_verdict(work, group->services[i], verdict, &tally);
        pinned[i] = verdict == VERDICT_PINNED && ends && !work->others_job;
        if (verdict == VERDICT_FAILED && tally.failed == 1)
            first = work->err;
    }
    if (tally.again) {
        work->err = first;
        return STEP_TRY;
    }
    if (!ends && tally.patched == 0)
        return STEP_NEXT;
    build->patched += ends ? tally.live : tally.patched;
    build->patch_ms = mono_now().ms - began.ms;
    const char *reason = tally.failed   ? "patch-failed"
                         : tally.live   ? "deployed"
                         : tally.pinned ? "pinned"
                                        : "superseded";
    work->progressed = true;
    if (!build_end(work, build, BUILD_DONE, reason, tally.detail, &work->err))
        return STEP_TRY;
    tell_pinned(work, group, build, pinned);
    return STEP_NEXT;
}
