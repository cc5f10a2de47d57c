// What the cluster would say of a service's pod: admission, quota and Pod Security answer a dry run
// of it, since they never look into a CronJob's template.
#ifndef CRONWRIGHT_DEPLOY_POD_CHECK_H
#define CRONWRIGHT_DEPLOY_POD_CHECK_H

#include "deploy/kube/client.h"

struct pod_check {
    char *refused;    // why the pod would be refused, in the server's words; NULL: it would not be
    json_t *warnings; // an array of texts from Warning headers; NULL when there were none
};
void pod_check_finish(struct pod_check *check);

// `template` is a pod template (metadata and spec); `name` begins the pod's name. False when the
// cluster could not be asked, or does not let us ask (ERR_FORBIDDEN): nothing is known then.
bool pod_check(struct kube_client *client, const char *namespace_, const char *name,
               const json_t *template, struct pod_check *out, struct error *err) MUST_CHECK;

#endif
