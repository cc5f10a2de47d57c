// What people do to a service as a whole: start, stop, adopt, roll back, follow again. Each is one
// JSON Patch of the CronJob behind `test`s that it still is what was read, and is read and decided
// again when it is not; everything else in the CronJob stays as it is. Any thread; each blocks.
#ifndef CRONWRIGHT_DEPLOY_SERVICE_STATE_H
#define CRONWRIGHT_DEPLOY_SERVICE_STATE_H

#include "deploy/cronjob.h"

// What became of it. Both are the same when there was nothing to change.
struct service_change {
    const struct service *before;
    const struct service *after;
    json_t *cronjob;  // of `after`
    json_t *warnings; // the API server's, an array of texts; or NULL
};
void service_change_finish(struct service_change *change);

// For all: ERR_NOT_FOUND, also for what is no service; ERR_CONFLICT when somebody else kept
// changing it. *out is set on success only.

// Lets the schedule run it. Without an image yet it is marked as starting instead, and started by
// service_start_if_built(). Unless the service wants missed runs, status.lastScheduleTime is set to
// now first: the controller would start the last time missed since then at once. A draft that wants
// a first run gets the mark of one that is due.
bool service_start(struct kube_client *client, const char *namespace_, const char *name,
                   struct service_change *out, struct error *err) MUST_CHECK;
// The same for one that is marked as starting and has its image now; any other stays as it is.
bool service_start_if_built(struct kube_client *client, const char *namespace_, const char *name,
                            struct service_change *out, struct error *err) MUST_CHECK;
// Suspends it; one that was only starting is a draft again. A first run that is due is forgotten.
bool service_stop(struct kube_client *client, const char *namespace_, const char *name,
                  struct service_change *out, struct error *err) MUST_CHECK;

// An image that the service had.
struct service_image {
    const char *image;
    const char *commit; // "" when not known
    const char *build;  // likewise
    const char *agent;  // whose number that is
};
// Writes that image, and `who` as the one who pinned it: pushes leave it alone from then on.
// ERR_INVALID when the container cannot be told.
bool service_roll_back(struct kube_client *client, const char *namespace_, const char *name,
                       const struct service_image *to, const char *who, struct service_change *out,
                       struct error *err) MUST_CHECK;
// Follows the branch again: the pin goes, and an image that was changed by hand counts as ours, so
// that the branch's replaces it.
bool service_follow(struct kube_client *client, const char *namespace_, const char *name,
                    struct service_change *out, struct error *err) MUST_CHECK;

// What makes a CronJob a service: pairs ended by a NULL key.
struct service_adoption {
    const struct annotation *labels;
    const struct annotation *annotations;
    // Whether what would come of it is good; refuses with a sentence. May be NULL.
    bool (*check)(void *user, const struct service *service, struct error *err);
    void *user;
};
// `before` is the CronJob as it was, a service or not.
bool service_adopt(struct kube_client *client, const char *namespace_, const char *name,
                   const struct service_adoption *adoption, struct service_change *out,
                   struct error *err) MUST_CHECK;

// Takes the mark of a due first run away, if it is still the one that `service` shows.
bool service_first_run_made(struct kube_client *client, const struct service *service,
                            struct error *err) MUST_CHECK;

// When the schedule starts it next after that moment. False when it does not: it is not started,
// the schedule never fires, or it cannot be read.
bool service_next(const struct service *service, struct wall_time after, struct wall_time *out);

#endif
