// What keeps a service from running, before it is started.
#ifndef CRONWRIGHT_DEPLOY_READINESS_H
#define CRONWRIGHT_DEPLOY_READINESS_H

#include "deploy/cronjob.h"

#define READINESS_REFERENCES_MAX 64 // objects that are looked for

// Appends sentences, each with what to do: to `missing` what is not there (Secrets, ConfigMaps,
// claims, pull secrets and service account that the pod names, a schedule that fires, a pod that
// admission and quota admit); to `not_checked` what could not be looked at. Of a Secret only the
// metadata is asked for, never its contents. `cronjob` is as the API gives it; `service` the same.
// Blocks, up to the deadline.
void readiness_check(struct kube_client *client, const json_t *cronjob,
                     const struct service *service, struct mono_time deadline, json_t *missing,
                     json_t *not_checked);

// --- a part, for tests ---

// What the pod of this template needs: an array of {"kind": "Secret", "name": …}, each once; those
// that it marks as optional are left out. At most READINESS_REFERENCES_MAX.
json_t *readiness_references(const json_t *template) __attribute__((returns_nonnull));

#endif
