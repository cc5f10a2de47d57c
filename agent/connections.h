// The open connections of a server and their deadlines: one thread shuts down those that are too
// late, whatever they drip meanwhile, and lets refused ones linger.
//
// A server that closes while the client still sends makes the client's kernel throw the answer away
// unread. A connection that lingers has its answer sent and its sending side shut; what still comes
// is read and forgotten for a short while.
#ifndef CRONWRIGHT_CONNECTIONS_H
#define CRONWRIGHT_CONNECTIONS_H

#include "agent/base/clock.h"
#include "agent/base/error.h"

#include <stdatomic.h>

#define CONNECTIONS_LINGER_MAX 64   // beyond that, closed at once
#define CONNECTIONS_LINGER_MS  2000 //

struct connections;

enum connection_state {
    CONNECTION_NEW,       // nothing was asked yet
    CONNECTION_IDLE,      // between requests
    CONNECTION_RECEIVING, // a request is arriving
    CONNECTION_ANSWERING, // it is whole
};

// Embedded by its owner; the fields are the list's.
struct connection {
    int fd;
    enum connection_state state;
    struct mono_time deadline;
    atomic_bool late; // it was shut down at its deadline; for any thread to read
    struct connection *next, *previous;
};

// Starts the thread. Aborts if it cannot. `late` is called on that thread just before a connection
// that is receiving, and is marked as late by then, is shut down: it may send a last word there,
// and must neither block nor call anything of this.
struct connections *connections_create(void (*late)(void *user, struct connection *connection),
                                       void *user);
// When none is left but those that linger, which are closed. Frees. NULL is fine.
void connections_destroy(struct connections *connections);

// Any thread. `fd` must stay open until connection_closed(). Once connections_hurry() was called
// its deadlines hold instead of a later one given here.
void connection_opened(struct connections *connections, struct connection *connection, int fd,
                       struct mono_time deadline);
void connection_set(struct connections *connections, struct connection *connection,
                    enum connection_state state, struct mono_time deadline);
void connection_closed(struct connections *connections, struct connection *connection, bool linger);

// Deadlines of connections that are to end.
struct connections_hurry {
    int64_t new_ms;             // from now, or from when they are opened
    int64_t idle_ms;            // from now, or from when they become idle
    struct mono_time receiving; // of requests that are arriving
};
void connections_hurry(struct connections *connections, const struct connections_hurry *hurry);
size_t connections_count(struct connections *connections); // but for those that linger
// Waits until no connection is left; false at the deadline.
bool connections_await_none(struct connections *connections, struct mono_time deadline);

#endif
