// Which services, builds and deliveries changed, for pages that are told of it: never how, so that
// whoever is slow gets the newest of each, and nothing waits in a queue.
#ifndef CRONWRIGHT_ADMIN_CHANGES_H
#define CRONWRIGHT_ADMIN_CHANGES_H

#include "agent/base/clock.h"
#include "agent/base/json.h"

#define CHANGES_READERS_MAX 32    // at once
#define CHANGES_REMEMBERED  8192  //
#define CHANGES_DUE_MAX     32768 // that one reader may still have to look at
#define CHANGES_COALESCE_MS 250   // from one time that a reader gets some to the next

struct changes; // any number of threads

struct changes *changes_create(void);
// When no reader is left. NULL is fine.
void changes_destroy(struct changes *changes);
// No reader gets any from now on.
void changes_end(struct changes *changes);

// These return at once.
void changes_service(struct changes *changes, const char *namespace_, const char *name);
void changes_all_services(struct changes *changes);
void changes_build(struct changes *changes, int64_t id);
void changes_delivery(struct changes *changes, int64_t seq);
void changes_run(struct changes *changes, int64_t id); // its service's row changes with it

// One thread at a time.
struct changes_reader {
    uint64_t seen;
    struct mono_time next; // not before then
};

// Begins to read what changes from now on; false when there are as many readers as may be.
bool changes_enter(struct changes *changes, struct changes_reader *reader) MUST_CHECK;
void changes_leave(struct changes *changes);

enum changes_letter {
    CHANGES_SERVICE = 's',
    CHANGES_ALL_SERVICES = 'a',
    CHANGES_BUILD = 'b',
    CHANGES_DELIVERY = 'd',
    CHANGES_RUN = 'r',
};

// Adds what changed since the last time as keys of `due`, each once: a letter of these, a colon,
// and "namespace/name" or a number. Waits for some until the deadline. False when the reader is to
// end: it has fallen behind by more than is remembered, has too much to look at, or all are to.
bool changes_take(struct changes *changes, struct changes_reader *reader, json_t *due,
                  struct mono_time until) MUST_CHECK;

#endif
