// Kubernetes Events on the CronJobs of services: what happened to them, where `kubectl describe`
// shows it.
//
// Telling never holds anything up and never fails: events wait in a bounded queue for a thread of
// their own. The same one again is added to the earlier one (its count), and a service has but so
// many in a while. What is left out is counted (METRIC_KUBE_EVENTS).
#ifndef CRONWRIGHT_EVENTS_H
#define CRONWRIGHT_EVENTS_H

#include "deploy/cronjob.h"

#define EVENTS_QUEUE_MAX    256   // waiting to be told; further ones are dropped
#define EVENTS_RECENT_MAX   256   // remembered, so that they can be added to
#define EVENTS_AT_ONCE      20    // of one service …
#define EVENTS_REFILL_MS    30000 // … and then one more each so often
#define EVENTS_QUIET_MS     10000 // the same again so soon is the same
#define EVENTS_MESSAGE_SIZE 1024  // what Kubernetes takes

enum told {
    TOLD_BUILD_STARTED,
    TOLD_BUILD_SUCCEEDED,
    TOLD_BUILD_FAILED,
    TOLD_IMAGE_PATCHED,
    TOLD_IMAGE_PINNED,
    TOLD_NOT_ALLOWED,
    TOLD_MISCONFIGURED,
    TOLD_RUN_FORCED,
    TOLD_COUNT,
};

struct events;

// Starts the thread. `kube` is borrowed.
struct events *events_create(struct kube_client *kube);
// Drops what waits; what is being told has its deadline. NULL is fine.
void events_destroy(struct events *events);

// One sentence on one service, with nothing secret in it. Any thread.
void events_tell(struct events *events, const struct service *service, enum told what,
                 const char *fmt, ...) PRINTF_LIKE(4, 5);

#endif
