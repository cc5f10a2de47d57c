// Runs as JSON: shared by the lists of services and of runs.
#ifndef CRONWRIGHT_ADMIN_RUNS_H
#define CRONWRIGHT_ADMIN_RUNS_H

#include "agent/admin/admin.h"
#include "deploy/runs.h"

json_t *admin_run_json(const struct service *service, const struct run *run, bool attempts);

// The service named in the path, if the token may do what needs `role` with it; else answers and
// gives NULL. The caller drops it.
const struct service *admin_named_service(const struct admin *admin, struct server_request *req,
                                          enum config_role role);

// --- force.c ---
void admin_create_run(struct server_request *req, void *user); // POST …/runs

#endif
