// What the changes of a service have in common, and what it lacks before it can run, for whoever
// shows or starts it.
#ifndef CRONWRIGHT_ADMIN_STATES_H
#define CRONWRIGHT_ADMIN_STATES_H

#include "agent/admin/admin.h"
#include "deploy/service_state.h"

#define MISSING_WITHIN_MS 5000 // for all that is asked for it

// Appends sentences to the arrays `missing` and `not_checked`: those of readiness_check(), and what
// has become of its image. A build that is under way is not missing. `cronjob` is the service's, as
// the API gives it. Blocks, up to MISSING_WITHIN_MS.
void admin_missing(const struct admin *admin, const json_t *cronjob, const struct service *service,
                   json_t *missing, json_t *not_checked);

// --- a change that takes no body ---

typedef bool service_changer(struct kube_client *client, const char *namespace_, const char *name,
                             struct service_change *out, struct error *err);
// Makes it of the service named in the path, for an admin of its namespace. False: answered.
bool admin_change(const struct admin *admin, struct server_request *req, service_changer *change,
                  struct service_change *out);

// --- parts of answers ---

// The API server's warnings, and who will fight the change. A new array.
json_t *admin_change_warnings(const struct service_change *change);
// Leaves an empty list out.
void admin_add_list(json_t *answer, const char *key, json_t *list);
// When the schedule starts it next, from now; null when it does not.
json_t *admin_next(const struct service *service);

// Stores a delivery of our own ("admin") for the service's branch: its head is looked at now, and
// built if that failed before. `id` is the delivery's.
bool admin_ask_for_head(const struct admin *admin, const struct service *service, const char *event,
                        const char *by, char id[static STORE_DELIVERY_ID_SIZE],
                        struct error *err) MUST_CHECK;

#endif
