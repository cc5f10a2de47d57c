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

#define CONNECTIONS_LINGER_MAX 64   // beyond that, closed at once
#define CONNECTIONS_LINGER_MS  2000 //

struct connections;

// Embedded by its owner; the fields are the list's.
struct connection {
    int fd;
    bool busy; // with a request; else idle
    struct mono_time deadline;
    struct connection *next, *previous;
};

// Starts the thread. Aborts if it cannot.
struct connections *connections_create(void);
// When none is left but those that linger, which are closed. Frees. NULL is fine.
void connections_destroy(struct connections *connections);

// Any thread. `fd` must stay open until connection_closed(). A new connection is idle. Once
// connections_hurry() was called idle ones get its deadline instead of the one given.
void connection_opened(struct connections *connections, struct connection *connection, int fd,
                       struct mono_time deadline);
void connection_set(struct connections *connections, struct connection *connection, bool busy,
                    struct mono_time deadline);
void connection_closed(struct connections *connections, struct connection *connection, bool linger);

// Idle connections are shut down `idle_ms` from now or from when they become idle.
void connections_hurry(struct connections *connections, int64_t idle_ms);
size_t connections_count(struct connections *connections); // but for those that linger
// Waits until no connection is left; false at the deadline.
bool connections_await_none(struct connections *connections, struct mono_time deadline);

#endif
