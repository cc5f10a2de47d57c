// What Kubernetes tells about an object beside its status, in Events: why a Job has no pod, why a
// pod's container does not start.
#ifndef CRONWRIGHT_KUBE_EVENTS_H
#define CRONWRIGHT_KUBE_EVENTS_H

#include "deploy/kube/client.h"

// How old something must be before it is worth asking: most of what hinders passes by itself.
#define KUBE_EVENTS_AFTER_MS 3000

// The newest of an object's events that tells how it fares, out of an EventList's items: of two at
// the same time the one that is no warning, since events have whole seconds and trouble comes
// first. NULL: none. Borrowed.
const json_t *kube_newest_event(const json_t *events);

// Asks for it. *out is NULL when there is none; the caller owns it. Blocks.
bool kube_event_about(struct kube_client *client, const char *namespace_, const char *uid,
                      json_t **out, struct error *err) MUST_CHECK;

#endif
