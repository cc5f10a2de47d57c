// Ending a build that nobody wants any more: at most once in a row, whichever agents do it. That is
// the one thing for which a record in the cluster is needed: a Lease for each image of a branch
// says which build was cancelled last. Nothing else ever reads or writes it. It belongs to that
// build's Job, which is kept for as long as the next build may take, and goes with it.
#include "agent/base/crashpoint.h"
#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/pipeline/steps.h"

#include <stdio.h>
#include <string.h>

#define LEASE_TRIES     5  // conflicts in a row
#define LEASE_NAME_SIZE 64 // a DNS label, with NUL

// In the Lease's annotations: the Job, and what the first of its services had live then.
#define ANNOTATION_CANCELLED "cronwright.io/cancelled"
#define ANNOTATION_LIVE      "cronwright.io/live"

static void lease_name(const char *recipe, char out[static LEASE_NAME_SIZE])
{
    snprintf(out, LEASE_NAME_SIZE, "cw-%.32s-cancelled", recipe);
}

// What the first of the group's services has now.
static bool read_live(struct work *work, const struct group *group, char *out, size_t room)
{
    const struct service *known = group->services[0];
    CLEANUP(service_ptr) const struct service *service = NULL;
    out[0] = '\0';
    if (cronjob_get(work->pipeline->parts.kube, known->namespace_, known->name, &service,
                    &work->err))
        text_copy(out, room, service->image);
    else if (work->err.code != ERR_NOT_FOUND && work->err.code != ERR_INVALID)
        return false;
    return true;
}

// --- the record ---

static bool ask(struct work *work, const char *method, const char *name, const json_t *body,
                struct kube_reply *reply)
{
    return kube_request(work->pipeline->parts.kube,
                        &(struct kube_request){.method = method,
                                               .resource = &KUBE_LEASES,
                                               .namespace_ = work->config->builds.namespace,
                                               .name = name,
                                               .body = body},
                        reply, &work->err);
}

static json_t *new_lease(const struct work *work, const char *name)
{
    return json_pack("{s:s, s:s, s:{s:s, s:{s:s}, s:{s:s, s:s}}, s:{}}", "apiVersion",
                     "coordination.k8s.io/v1", "kind", "Lease", "metadata", "name", name, "labels",
                     KANIKO_LABEL_MANAGED_BY, KANIKO_MANAGED_BY, "annotations",
                     KANIKO_ANNOTATION_REPO, work->repository, KANIKO_ANNOTATION_BRANCH,
                     work->branch, "spec");
}

// With the version that it was read with, if any: a write of somebody else's in between is a
// conflict.
static bool write_record(struct work *work, json_t *lease, const json_t *job, const char *live)
{
    const char *name = json_text_at(lease, "metadata", "name", NULL);
    json_t *metadata = json_object_get(lease, "metadata");
    json_t *marks = json_object_get(metadata, "annotations");
    if (!marks) {
        marks = json_object();
        json_object_set_new(metadata, "annotations", marks);
    }
    json_object_set_new(marks, ANNOTATION_CANCELLED,
                        json_text(json_text_at(job, "metadata", "name", NULL)));
    json_object_set_new(marks, ANNOTATION_LIVE, json_text(live));
    json_object_set_new(metadata, "ownerReferences", kaniko_owner(job));
    json_t *spec = json_object_get(lease, "spec");
    json_object_set_new(spec, "holderIdentity", json_text(work->pipeline->identity));
    bool known = json_text_at(lease, "metadata", "resourceVersion", NULL);
    struct kube_reply reply;
    CRASH_POINT("before-cancel-recorded");
    bool written = ask(work, known ? "PUT" : "POST", known ? name : NULL, lease, &reply);
    CRASH_POINT("after-cancel-recorded");
    kube_reply_finish(&reply);
    return written;
}

// Whether a build may be cancelled after the one that the record names: not before another has come
// to its own end.
static bool may_follow(struct work *work, const struct build *build, const json_t *lease,
                       const char *live, bool *may)
{
    const char *job = json_text_at(lease, "metadata", "annotations", ANNOTATION_CANCELLED, NULL);
    const char *then = json_text_at(lease, "metadata", "annotations", ANNOTATION_LIVE, NULL);
    struct build last;
    *may = !job || strcmp(job, build->job) == 0;
    if (*may)
        return true;
    bool known = store_build_of_job(work->pipeline->parts.store, job, &last, &work->err);
    if (!known && work->err.code != ERR_NOT_FOUND)
        return false;
    // This agent saw that one's end, and that of a later one; or something was deployed since.
    bool seen = known && last.id < build->id && strcmp(last.reason, "cancelled") == 0;
    *may = seen || (then && strcmp(then, live) != 0);
    return true;
}

// STEP_NEXT: *may says it. STEP_WAIT: somebody was quicker, look again.
static enum step try_record(struct work *work, const struct build *build, const json_t *job,
                            const char *live, bool *may)
{
    char name[LEASE_NAME_SIZE];
    lease_name(build->recipe, name);
    CLEANUP(json_ptr) json_t *lease = NULL;
    struct kube_reply reply;
    if (ask(work, NULL, name, NULL, &reply)) {
        lease = json_incref(reply.body);
        kube_reply_finish(&reply);
    } else if (work->err.code == ERR_NOT_FOUND) {
        lease = new_lease(work, name);
    } else {
        return STEP_TRY;
    }
    if (!may_follow(work, build, lease, live, may))
        return STEP_TRY;
    if (!*may || write_record(work, lease, job, live))
        return STEP_NEXT;
    return work->err.code == ERR_CONFLICT || work->err.code == ERR_NOT_FOUND ? STEP_WAIT : STEP_TRY;
}

// Of those that had their turn no two in a row are taken back, so that a branch that never rests
// still deploys: neither while they are fetched, which may take longer than it rests, nor while
// they run.
static bool may_take_back(struct work *work, const struct build *build, bool *may)
{
    struct build before;
    *may = true;
    if (!store_build_turn_before(work->pipeline->parts.store, build, &before, &work->err))
        return work->err.code == ERR_NOT_FOUND;
    *may = before.state != BUILD_SUPERSEDED;
    return true;
}

bool cancel_may(struct work *work, const struct group *group, const struct build *build,
                bool running, bool *may)
{
    char live[STORE_IMAGE_SIZE + IMAGE_DIGEST_SIZE];
    CLEANUP(json_ptr) json_t *job = NULL;
    if (!may_take_back(work, build, may))
        return false;
    if (!*may || !running) // without a Job no other agent has to do with it
        return true;
    if (!job_find(work, build, &job))
        return false;
    if (!job) // it is gone
        return true;
    if (!read_live(work, group, live, sizeof live))
        return false;
    enum step step = STEP_WAIT;
    for (int i = 0; i < LEASE_TRIES && step == STEP_WAIT; i++)
        step = try_record(work, build, job, live, may);
    if (step == STEP_NEXT)
        return true;
    *may = false;
    if (work->err.code != ERR_FORBIDDEN)
        return false;
    log_line(LOG_WARNING, "a build is not cancelled: the agent may not say so in the cluster",
             "job", build->job, "error", work->err.text, NULL);
    return true;
}

// For as long as a build that comes after it may take: until then it says that it was cancelled.
static int64_t kept_seconds(const struct config *config)
{
    return (config->builds.timeout_ms + config->builds.ttl_ms) / 1000;
}

enum step cancel_job(struct work *work, const struct build *build, const char *why)
{
    CLEANUP(json_ptr) json_t *patch = kaniko_cancel_patch(why, kept_seconds(work->config));
    struct kube_reply reply;
    bool done = kube_request(work->pipeline->parts.kube,
                             &(struct kube_request){.method = "PATCH",
                                                    .resource = &KUBE_JOBS,
                                                    .namespace_ = work->config->builds.namespace,
                                                    .name = build->job,
                                                    .content_type = KUBE_MERGE_PATCH,
                                                    .body = patch},
                             &reply, &work->err);
    kube_reply_finish(&reply);
    if (done || work->err.code == ERR_NOT_FOUND)
        return STEP_NEXT;
    if (work->err.code != ERR_FORBIDDEN)
        return STEP_TRY;
    log_line(LOG_WARNING, "a build is not cancelled: the agent may not change its Job", "job",
             build->job, "error", work->err.text, NULL);
    return STEP_FAIL;
}
