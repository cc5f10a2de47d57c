// A service's last runs as a strip of marks, for lists of many services.
#ifndef CRONWRIGHT_ADMIN_STRIP_H
#define CRONWRIGHT_ADMIN_STRIP_H

#include "agent/admin/admin.h"
#include "agent/store/runs.h"

#define STRIP_MAX 100 // marks

struct strip;

// For the strips of one answer, of `limit` marks each (1 … STRIP_MAX). One thread at a time.
struct strip *strip_create(const struct admin *admin, size_t limit)
    __attribute__((returns_nonnull));
void strip_destroy(struct strip *strip); // NULL is fine

// Adds "strip" to a service's row: its newest runs, the newest last, among them the times that were
// missed while it was started. Without it when they cannot be told.
void strip_add(struct strip *strip, const struct service *service, json_t *row);

// How long it took, null while it goes on; and when it began.
json_t *admin_mark_seconds(const struct run_mark *mark);
json_t *admin_mark_time(const struct run_mark *mark);

#endif
