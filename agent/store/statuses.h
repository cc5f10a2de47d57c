// Commit statuses: what a forge is to be told of a commit, for each service, and whether it has
// been. Rows go with their build.
#ifndef CRONWRIGHT_STORE_STATUSES_H
#define CRONWRIGHT_STORE_STATUSES_H

#include "agent/store/store.h"

#define STORE_STATUS_SIZE 141 // bytes of a sentence, with NUL: GitHub takes 140 characters

enum status_state { // stored by name
    STATUS_PENDING,
    STATUS_SUCCESS,
    STATUS_FAILURE,
    STATUS_WITHDRAWN, // neither: it was superseded
    STATUS_STATE_COUNT,
};
const char *status_state_word(enum status_state state); // "pending", "success", …

struct commit_status {
    char repository[STORE_REPOSITORY_SIZE];
    char commit[STORE_COMMIT_SIZE];
    char namespace[STORE_NAME_SIZE];
    char name[STORE_NAME_SIZE];
    char url[STORE_REPOSITORY_SIZE]; // clone URL
    char branch[STORE_BRANCH_SIZE];
    int64_t build;
    enum status_state state;
    char detail[STORE_STATUS_SIZE]; // one sentence
    bool told;                      // the forge knows it as it is
    int sent;                       // how often it was told something of this commit and service
    int tries;                      // that failed since it last changed
    struct wall_time due;           // when it is tried next
    char error[STORE_DETAIL_SIZE];  // of the last try; "" when it succeeded
};

// Makes the row, or writes state, sentence and build over those it has; then it is due at once.
// `*changed`: something is new in it. Nothing is written otherwise. Blocks until committed.
bool store_status_put(struct store *store, const struct commit_status *status, bool *changed,
                      struct error *err) MUST_CHECK;

// The one that is due first, whether it is yet or not, of those that failed less than `tries_max`
// times. ERR_NOT_FOUND.
bool store_status_next(struct store *store, int tries_max, struct commit_status *out,
                       struct error *err) MUST_CHECK;

// Stores how a try ended: told, sent, tries, due and error; unless the row has changed since it was
// read: then it counts as sent alone. Blocks until committed.
bool store_status_tried(struct store *store, const struct commit_status *status,
                        struct error *err) MUST_CHECK;

// Those that are pending although their build has ended, STORE_PAGE_MAX at most.
bool store_status_stale(struct store *store, void (*each)(void *user, const struct commit_status *),
                        void *user, struct error *err) MUST_CHECK;

// A build's, by namespace and name.
bool store_status_list(struct store *store, int64_t build,
                       void (*each)(void *user, const struct commit_status *), void *user,
                       struct error *err) MUST_CHECK;

#endif
