// Runs as JSON: shared by the lists of services and of runs.
#ifndef CRONWRIGHT_ADMIN_RUNS_H
#define CRONWRIGHT_ADMIN_RUNS_H

#include "agent/admin/admin.h"
#include "deploy/runs.h"

// `usual_ms`: how long the service's runs usually take; -1: not known. `attempts`: list them too.
json_t *admin_run_json(const struct admin *admin, const struct service *service,
                       const struct run *run, int64_t usual_ms, bool attempts);

// How long a service's runs usually take; -1: not known.
int64_t admin_usual_of(const struct admin *admin, const struct service *service);

// Adds to a service's JSON its last finished run, the names of those going on, what the newest of
// them waits for, and how long they usually take. `running` is NULL, or what admin_running() gave.
// What cannot be told is left out.
void admin_add_runs(const struct admin *admin, const struct service *service, const json_t *running,
                    json_t *json);
// The runs that are going on, of all services: "namespace/name" → {names, waiting}.
json_t *admin_running(const struct admin *admin);

// The service named in the path, if the token may do what needs `role` with it; else answers and
// gives NULL. The caller drops it.
const struct service *admin_named_service(const struct admin *admin, struct server_request *req,
                                          enum config_role role);

// --- force.c ---
void admin_create_run(struct server_request *req, void *user); // POST …/runs

#endif
