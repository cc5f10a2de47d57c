// The reconciler of one service: what it wants beside its branch's image. A draft that is to start
// when it has its image is started; a first run that is due is made. Each is marked in the CronJob,
// and looked at again until the mark is gone.
#include "agent/base/crashpoint.h"
#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/pipeline/steps.h"
#include "deploy/service_state.h"

#include <string.h>

#define NEW_MS            60000 // of a CronJob that the watch tells of first
#define ACTIVE_RECHECK_MS 10000 // a first run waits that long for another one's end

static bool start_is_due(const struct service *service)
{
    return service->starting && !service_not_built(service);
}

static bool first_run_is_due(const struct service *service)
{
    return service->state == SERVICE_STARTED && *service->first_run_due;
}

// A name has no space in it, the key of a branch has: so they share one queue.
void service_wake(struct pipeline *pipeline, const struct service *service)
{
    if (!start_is_due(service) && !first_run_is_due(service))
        return;
    CLEANUP(free_ptr) char *key = xasprintf("%s/%s", service->namespace_, service->name);
    work_queue_add(pipeline->queue, key);
}

static char *first_run_key(const struct service *service)
{
    return xasprintf("first run: %.200s", service->first_run_due);
}

// The run that somebody else made while `service`, in which it was due, was on its way to us; if it
// can be had.
static void find_first_run(struct pipeline *pipeline, const struct service *service,
                           struct run_created *out)
{
    char name[RUN_NAME_SIZE];
    struct error err;
    CLEANUP(free_ptr) char *key = first_run_key(service);
    run_name(service->name, service->uid, key, name);
    out->existed = run_get(pipeline->parts.kube, service, name, &out->run, &err);
}

bool pipeline_first_run(struct pipeline *pipeline, const struct service *known,
                        struct run_created *out, struct error *err)
{
    CLEANUP(service_ptr) const struct service *service = NULL;
    const char *namespace_ = known->namespace_, *name = known->name;
    *out = (struct run_created){0};
    if (!cronjob_get(pipeline->parts.kube, namespace_, name, &service, err))
        return false;
    if (!first_run_is_due(service)) {
        find_first_run(pipeline, known, out);
        return true;
    }
    CLEANUP(free_ptr) char *key = first_run_key(service);
    struct run_request request = {
        .kind = RUN_FIRST,
        .if_active = strcmp(service->concurrency, "Allow") == 0 ? RUN_ALLOW : RUN_REFUSE,
        .idempotency_key = key};
    CRASH_POINT("before-first-run");
    if (!run_create(pipeline->parts.kube, namespace_, name, &request, out, err))
        return false;
    CRASH_POINT("after-first-run");
    if (!out->existed)
        log_line(LOG_INFO, "first run", "run", out->run->name, "namespace", namespace_, "service",
                 name, "for", service->first_run_due, NULL);
    struct error why;
    if (!service_first_run_made(pipeline->parts.kube, service, &why)) // the next look finds the run
        log_line(LOG_WARNING, "the mark of a first run stays", "namespace", namespace_, "service",
                 name, "error", why.text, NULL);
    CRASH_POINT("after-first-run-marked");
    return true;
}

static struct reconciled make_first_run(struct pipeline *pipeline, const struct service *service,
                                        struct error *err)
{
    struct run_created created;
    bool made = pipeline_first_run(pipeline, service, &created, err);
    run_free(created.run);
    json_decref(created.warnings);
    if (made)
        return (struct reconciled){WORK_DONE, 0};
    if (*created.active)
        return (struct reconciled){WORK_WAITING, ACTIVE_RECHECK_MS};
    return (struct reconciled){err->code == ERR_NOT_FOUND ? WORK_DONE : WORK_FAILED, 0};
}

static struct reconciled finish_start(struct pipeline *pipeline, const struct service *service,
                                      struct error *err)
{
    struct service_change change = {0};
    CRASH_POINT("before-draft-started");
    if (!service_start_if_built(pipeline->parts.kube, service->namespace_, service->name, &change,
                                err))
        return (struct reconciled){err->code == ERR_NOT_FOUND ? WORK_DONE : WORK_FAILED, 0};
    CRASH_POINT("after-draft-started");
    if (change.before->starting && change.after->state == SERVICE_STARTED)
        log_line(LOG_INFO, "started: its image is there", "service", service->name, "namespace",
                 service->namespace_, "image", service->image, NULL);
    service_change_finish(&change); // its change wakes this key for a first run
    return (struct reconciled){WORK_DONE, 0};
}

struct reconciled reconcile_service(struct pipeline *pipeline, const char *key)
{
    CLEANUP(free_ptr) char *namespace_ = xstrdup(key);
    char *name = strchr(namespace_, '/');
    *name++ = '\0';
    CLEANUP(service_ptr)
    const struct service *service = service_cache_get(pipeline->parts.services, namespace_, name);
    struct reconciled result = {WORK_DONE, 0};
    struct error err;
    if (service && start_is_due(service))
        result = finish_start(pipeline, service, &err);
    else if (service && first_run_is_due(service))
        result = make_first_run(pipeline, service, &err);
    if (result.result == WORK_FAILED)
        log_line(LOG_WARNING, "will be tried again", "namespace", namespace_, "service", name,
                 "error", err.text, NULL);
    return result;
}

// --- what is wrong with it ---

void service_tell_problem(struct pipeline *pipeline, const struct service *service,
                          const struct error *problem)
{
    enum told what = problem->code == ERR_FORBIDDEN ? TOLD_NOT_ALLOWED : TOLD_MISCONFIGURED;
    events_tell(pipeline->parts.events, service, what, "It is not built: %s", problem->text);
}

// What the watch tells first is not new, unless the CronJob is.
void service_note_problem(struct pipeline *pipeline, const struct service *before,
                          const struct service *after)
{
    struct error was = {0}, is = {0};
    if (!after || !pipeline_service_problem(pipeline, after, &is))
        return;
    bool is_new =
        before ? !pipeline_service_problem(pipeline, before, &was) || strcmp(was.text, is.text) != 0
               : wall_now().ms - after->created.ms < NEW_MS;
    if (is_new)
        service_tell_problem(pipeline, after, &is);
}

// --- history of images ---

void pipeline_service_image(const struct pipeline *pipeline, const struct service *service,
                            bool replaced, struct image_record *out)
{
    bool ours = *service->patched_image && strcmp(service->image, service->patched_image) == 0;
    *out = (struct image_record){0};
    text_copy(out->uid, sizeof out->uid, service->uid);
    text_copy(out->image, sizeof out->image, service->image);
    if (ours) {
        // An image of somebody's own that was accepted by a resume has no commit.
        out->kind = *service->pinned ? IMAGE_ROLLBACK : *service->commit ? IMAGE_BUILT : IMAGE_HAND;
        text_copy(out->commit, sizeof out->commit, service->commit);
        pipeline_service_live_id(pipeline, service, out->build);
        text_copy(out->by, sizeof out->by, service->pinned);
        out->at = service->patched_at;
    } else if (replaced || *service->patched_image) {
        out->kind = IMAGE_HAND;
        if (service->image_by_owner)
            text_copy(out->by, sizeof out->by, service->owner);
    } else {
        out->kind = IMAGE_GIVEN;
        out->at = service->created;
    }
}

static void image_stored(void *user, bool stored)
{
    (void)user;
    CRASH_POINT("after-image-noted");
    if (!stored)
        log_line(LOG_WARNING, "an image could not be added to a service's history", NULL);
}

static void note_image(struct pipeline *pipeline, const struct service *service, bool replaced)
{
    struct image_record image;
    if (service_not_built(service) || !*service->image)
        return;
    pipeline_service_image(pipeline, service, replaced, &image);
    if (replaced && image.at.ms == 0)
        image.at = wall_now();
    if (!pipeline_service_credential(pipeline, service, image.credential))
        image.credential[0] = '\0';
    CLEANUP(settings_drop_ptr)
    const struct config *config = settings_hold(pipeline->parts.settings);
    store_image_add(pipeline->parts.store, &image, config->retention.images, image_stored, NULL);
}

// The watch tells each change in order: none is written twice, and what happened while no agent
// looked is seen from `before`.
void service_note_images(struct pipeline *pipeline, const struct service *before,
                         const struct service *after)
{
    if (!before || !after || strcmp(before->uid, after->uid) != 0 ||
        strcmp(before->image, after->image) == 0)
        return;
    CRASH_POINT("before-image-noted");
    note_image(pipeline, before, false);
    note_image(pipeline, after, true);
}
