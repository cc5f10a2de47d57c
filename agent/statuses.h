// Keeps forges told of what became of commits: compares what they were told with what is, and tells
// them what differs, from a thread of its own. Nothing ever waits for it.
//
// What a status says follows from its build alone, so that a restart, or a forge that is away,
// costs nothing but time; after STATUS_TRIES_MAX tries it is given up until it changes.
#ifndef CRONWRIGHT_STATUSES_H
#define CRONWRIGHT_STATUSES_H

#include "agent/settings.h"
#include "agent/store/statuses.h"

#define STATUS_TRIES_MAX 10  // some 40 minutes
#define STATUS_SENT_MAX  500 // of one commit and service; GitHub takes 1000

struct statuses;

// Both are borrowed.
struct statuses *statuses_create(struct settings *settings, struct store *store);
// Waits for the request that is under way. NULL is fine.
void statuses_destroy(struct statuses *statuses);

// That `build` is made for a service with this clone URL, or what has become of it. Does nothing
// where the settings have no entry for the URL. Any thread.
void statuses_note(struct statuses *statuses, const struct build *build, const char *url,
                   const char *namespace_, const char *name);

#endif
