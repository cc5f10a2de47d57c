// Runs that were due and did not happen, as rows of a list of runs.
#ifndef CRONWRIGHT_ADMIN_MISSED_H
#define CRONWRIGHT_ADMIN_MISSED_H

#include "agent/admin/admin.h"
#include "agent/runs/missed.h"
#include "agent/store/runs.h"
#include "deploy/cronjob.h"

// When an agent was there, this one until now: the same for all services.
struct admin_watched {
    struct watched_span spans[STORE_WATCHES_MAX];
    size_t count;
};
bool admin_watched(const struct admin *admin, struct admin_watched *out,
                   struct error *err) MUST_CHECK;

// Adds them to `rows`, which are as `filter` says and stay sorted, newest first, and within its
// limit.
void admin_add_missed(const struct admin *admin, const struct service *service,
                      const struct run_filter *filter, json_t *rows);

#endif
