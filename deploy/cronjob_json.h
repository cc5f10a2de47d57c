// Within the library: CronJobs and Jobs as the API gives them.
#ifndef CRONWRIGHT_DEPLOY_CRONJOB_JSON_H
#define CRONWRIGHT_DEPLOY_CRONJOB_JSON_H

#include "deploy/cronjob.h"

// A managed CronJob as it is now, whole (unless `json` is NULL) and as a service. Errors as
// cronjob_get(), without its context.
bool cronjob_fetch(struct kube_client *client, const char *namespace_, const char *name,
                   json_t **json, const struct service **service, struct error *err) MUST_CHECK;

// The container that is the service's, as service.container is; NULL when it cannot be told.
// Borrowed.
const json_t *cronjob_container(const json_t *cronjob);

// A time as Kubernetes writes it; unset when it is absent or none.
struct wall_time json_time(const json_t *value);

#endif
