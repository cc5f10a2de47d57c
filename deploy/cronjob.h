// A service is a CronJob with the label cronwright.io/managed=true: what cronwright needs of it.
#ifndef CRONWRIGHT_DEPLOY_CRONJOB_H
#define CRONWRIGHT_DEPLOY_CRONJOB_H

#include "deploy/kube/client.h"
#include "deploy/kube/names.h"
#include "deploy/kube/patch.h"

#define SERVICE_PATHS_MAX 64  // patterns of `paths`
#define SERVICE_PATH_MAX  256 // bytes of one

enum service_state {
    SERVICE_DRAFT,   // never started, suspended; see also service.starting
    SERVICE_STARTED, //
    SERVICE_STOPPED, // suspended
};
const char *service_state_word(enum service_state state); // "draft", …

// When a service is run beside its schedule without being asked.
enum service_first_run { FIRST_RUN_NEVER, FIRST_RUN_ON_START, FIRST_RUN_ON_IMAGE };

// Immutable, shared by reference. Texts are never NULL: "" is "absent".
struct service {
    const char *namespace_;
    const char *name;
    const char *uid;
    const char *resource_version; // opaque
    const char *project;          // its label; "" when none
    struct wall_time created;
    bool managed; // it has the label that makes it a service

    // How to build it; `repository` is "" for a service that has a given image only.
    const char *repository; // as written in the annotation
    const char *branch;
    const char *dockerfile; // "Dockerfile" by default
    const char *context;    // "." by default
    const char *target;
    const char *build_args;  // JSON object of texts, compact, keys sorted; "" when none
    const char *paths;       // JSON array of patterns, compact and sorted; "" when none
    const char *destination; // image without tag and digest: the annotation, or from `image`

    // The container whose image is ours, the first of them when several are. When it cannot be told
    // `container` and `image` are "".
    const char *container;
    bool init_container;      // it is one of the init containers
    const char *image;        // as it stands in the pod template
    const char *places;       // all that are patched: see container_choice_json()
    const char *containers;   // their names, "a,b", where the pod has more containers than one
    bool lags;                // not all of them have the first one's image
    bool replaced;            // somebody changed the image of one of them since it was patched
    const char *pull_secrets; // names, joined by ','

    // As the last patch of ours wrote them; they hold while `image` equals `patched_image`.
    const char *commit;
    const char *build;      // that agent's number of it
    const char *recipe;     // hash of how it was built; "" when that is not known
    const char *patched_by; // which agent; "" when that is not known
    const char *patched_image;
    struct wall_time patched_at;
    const char *pinned;        // who rolled it back; "" when nobody did
    const char *first_run_due; // a first run is to be made: why, as its annotation says

    enum service_state state;
    bool starting; // a draft that is started as soon as it has an image
    enum service_first_run first_run;
    bool run_missed;       // what start, resume and a new schedule do about missed times
    bool runners_override; // one-off variables and arguments need no admin
    const char *schedule;
    const char *time_zone;
    const char *concurrency;   // "Allow", "Forbid", "Replace"
    int64_t starting_deadline; // seconds; -1: none
    int64_t run_deadline;      // seconds that a run may take; -1: any
    int active;                // unfinished scheduled runs
    struct wall_time last_schedule;
    struct wall_time last_success;

    bool image_by_owner;  // a GitOps owner wrote the image last, no person
    const char *put_back; // the image that was put back after that

    // Who may put the old image back: "Helm release x", "Argo CD …", "Flux …"; see service_owner.h
    const char *owner;
    const char *problem; // one sentence: why it cannot be built or patched; "" when it can

    bool has_annotations; // whether the CronJob has an annotations map: JSON Patch must know
};

// ERR_PROTOCOL when it is not a CronJob at all; what a user wrote wrong is a `problem`. *out has
// one reference.
bool service_from_json(const json_t *cronjob, const struct service **out,
                       struct error *err) MUST_CHECK;
const struct service *service_hold(const struct service *service); // one more reference
void service_drop(const struct service *service);                  // one less; NULL is fine
static inline void service_ptr(const struct service **service)
{
    service_drop(*service);
}

// The destination carries TAG_NOT_BUILT: there is nothing to run.
bool service_not_built(const struct service *service);

// Cuts tag and digest off an image reference. False when it does not fit or nothing is left.
bool image_repository(const char *image, char *out, size_t room);

// The pod template of its runs, of a CronJob as the API gives it. Borrowed; NULL when there is
// none.
const json_t *cronjob_pod_template(const json_t *cronjob);

// "main, side, and before them prepare", of a pod's spec; "none". The caller frees.
char *cronjob_container_names(const json_t *pod) __attribute__((returns_nonnull));

// A CronJob, managed or not. The caller owns *out. ERR_NOT_FOUND.
bool cronjob_read(struct kube_client *client, const char *namespace_, const char *name,
                  json_t **out, struct error *err) MUST_CHECK;

// Asks the cluster now. ERR_NOT_FOUND, also for a CronJob without the managed label.
bool cronjob_get(struct kube_client *client, const char *namespace_, const char *name,
                 const struct service **out, struct error *err) MUST_CHECK;

// Sets the image of the service's containers, `annotations` (ended by a NULL key), patched-at,
// patched-image and patched-containers, and nothing else: a JSON Patch that tests uid, names and
// old images as `service` has them, whose container is known. The caller frees.
json_t *cronjob_image_patch(const struct service *service, const char *image,
                            const struct annotation annotations[]) __attribute__((returns_nonnull));

// Sends that patch. When one is not so any more: ERR_CONFLICT (or ERR_NOT_FOUND), nothing changed:
// read again, decide again. `updated` (or NULL): the service as it is then.
bool cronjob_patch_image(struct kube_client *client, const struct service *service,
                         const char *image, const struct annotation annotations[],
                         const struct service **updated, struct error *err) MUST_CHECK;

#endif
