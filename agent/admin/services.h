// A service as the API shows it.
#ifndef CRONWRIGHT_ADMIN_SERVICES_H
#define CRONWRIGHT_ADMIN_SERVICES_H

#include "agent/admin/runs.h"

// The row that the list of services has of it, with its last runs as far as they can be told in
// time; NULL when it could not be made.
json_t *admin_service_row(const struct admin *admin, const struct service *service);
// Likewise, for one of several: `running` is what admin_running() gave.
json_t *admin_service_row_among(const struct admin *admin, const struct service *service,
                                const json_t *running);

struct service_list;
// Leaves those that the token may see, of one project only if it is named.
void admin_keep_seen(struct service_list *services, const struct config_token *token,
                     const char *project);

// A service as it is in the cluster now: the CronJob, and what is read out of it.
struct named_service {
    json_t *cronjob;
    const struct service *service;
    json_t *document;
};
void named_service_finish(struct named_service *named);

// The service named in the path, if the token may do what needs `role` with it; else answers (403,
// or 404 when its namespace is not watched, or it is no service) and returns false.
bool admin_find_service(const struct admin *admin, struct server_request *req,
                        enum config_role role, struct named_service *out);

// Answers with the document and status of a service, given as the API has its CronJob, and further
// members (taken; an object). `verdict` (or NULL) has warnings to add.
struct service_verdict;
void admin_answer_service(const struct admin *admin, struct server_request *req, int status,
                          const json_t *cronjob, const struct service_verdict *verdict,
                          json_t *members);

// Whether this agent looks after services in a namespace; else answers 404.
bool admin_watches(const struct admin *admin, struct server_request *req, const char *namespace);

#endif
