// Takes webhooks in: request → verified → decoded → stored → answered after the commit.
//
// A branch push is stored as pending, and its key is woken once it is on disk. Everything else that
// is verified (pings, tags, deletions, other events) is stored as final, with a reason, and
// answered 202 too, since a forge gives up on a hook that refuses. Of an unverified request nothing
// is stored; the last ones are remembered in memory, because a wrong secret is the commonest fault.
#ifndef CRONWRIGHT_INTAKE_H
#define CRONWRIGHT_INTAKE_H

#include "agent/server.h"
#include "agent/settings.h"
#include "agent/store/store.h"

#define INTAKE_REFUSED_MAX      64 // kinds of requests remembered
#define INTAKE_PEER_SIZE        64 // of an address, with NUL
#define INTAKE_REFUSED_PER_PEER 16 // of them from one peer, so that it does not push out all others

// What begins the id of deliveries that the agent sends to itself, to see whether they arrive.
#define INTAKE_PROBE_ID "cronwright-doctor-"

struct intake;

struct intake_options {
    struct settings *settings; // the forges' secrets
    struct store *store;
    // Whether some service follows the branch. Otherwise the delivery ends at once as "no-match".
    // Say true when it is not known (yet). On the webhooks listener's thread: must not block.
    bool (*follows)(void *user, const char *repository, const char *branch);
    // A pending delivery of that key is on disk. On the store's writer thread: must neither block
    // nor call the store.
    void (*wake)(void *user, const char *repository, const char *branch);
    void *user;
};

struct intake *intake_create(const struct intake_options *options);
// Waits until the store has told about every delivery that it was given, so it goes after the
// server and before the store and whatever `wake` wakes. NULL is fine.
void intake_destroy(struct intake *intake);

// For the webhooks listener, whose `user` is the intake: POST /webhooks/{forge} and GET /healthz.
extern const struct server_route intake_routes[];
// Its `refused`.
void intake_refused(struct server_request *req, int status, const char *detail, void *user);

// A request that was turned down, and how often such a one was: from the same peer, for the same
// forge, with the same answer. Texts are printable; those that the sender claims are cut.
struct refused_request {
    struct wall_time time;  // of the newest, like the delivery's id
    struct wall_time since; // of the first
    uint64_t count;
    char peer[INTAKE_PEER_SIZE];
    char forge[16];                        // by its path, or else by its headers
    char delivery[STORE_DELIVERY_ID_SIZE]; // as claimed; "" when not
    int status;
    char reason[STORE_DETAIL_SIZE]; // one sentence
};
// Newest first, at most `room` of them into `out`, `count` of which were written; returns how many
// requests were refused since the start. Any thread.
uint64_t intake_refused_list(struct intake *intake, struct refused_request *out, size_t room,
                             size_t *count);

#endif
