// Making, changing and removing services in the cluster. Any thread; each call is one or two
// requests, of KUBE_TIMEOUT_MS_DEFAULT each.
#ifndef CRONWRIGHT_DEPLOY_SERVICE_WRITE_H
#define CRONWRIGHT_DEPLOY_SERVICE_WRITE_H

#include "deploy/cronjob.h"
#include "deploy/document.h"

// What Kubernetes says of a service: arrays, never NULL between init and finish.
struct service_verdict {
    json_t *faults;      // {"pointer", "detail"}: why it is refused; no request of ours failed
    json_t *warnings;    // texts of Warning headers, each once
    json_t *not_checked; // sentences: what could not be asked, and why
};
void service_verdict_init(struct service_verdict *verdict);
void service_verdict_finish(struct service_verdict *verdict);

// Asks for a new CronJob and for the first pod of it, by dry runs: nothing is made. Admission,
// quota and Pod security judge the pod. False: it could not be asked; ERR_CONFLICT when the name is
// taken.
bool service_try_create(struct kube_client *client, const json_t *cronjob,
                        struct service_verdict *verdict, struct error *err) MUST_CHECK;
// Makes it; *made is the CronJob as it is then. A refusal is an error here: ERR_CONFLICT when the
// name is taken.
bool service_create(struct kube_client *client, const json_t *cronjob, json_t **made,
                    struct service_verdict *verdict, struct error *err) MUST_CHECK;

// The pod alone, of a CronJob that is there.
bool service_try_pod(struct kube_client *client, const json_t *cronjob,
                     struct service_verdict *verdict, struct error *err) MUST_CHECK;

// The same for a change of a CronJob: what differs between `before`, which it is now, and `after`,
// is patched. ERR_CONFLICT: it is not as `before` any more, and nothing was changed.
bool service_try_change(struct kube_client *client, const json_t *before, const json_t *after,
                        struct service_verdict *verdict, struct error *err) MUST_CHECK;
bool service_change(struct kube_client *client, const json_t *before, const json_t *after,
                    json_t **changed, struct service_verdict *verdict,
                    struct error *err) MUST_CHECK;

// Sets status.lastScheduleTime to now, so that the controller finds no missed time; *cronjob is
// replaced by the CronJob as it is then. ERR_CONFLICT as above.
bool service_skip_missed(struct kube_client *client, json_t **cronjob,
                         struct error *err) MUST_CHECK;

// The CronJob whatever it is; ERR_NOT_FOUND. The caller owns *out.
bool service_fetch(struct kube_client *client, const char *namespace_, const char *name,
                   json_t **out, struct error *err) MUST_CHECK;

#endif
