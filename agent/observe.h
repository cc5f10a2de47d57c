// What the agent shows of itself, to whoever watches over it: the metrics listener, which is read
// without a token and says nothing of namespaces, services or repositories.
#ifndef CRONWRIGHT_OBSERVE_H
#define CRONWRIGHT_OBSERVE_H

#include "agent/server.h"

// Asks nobody outside. Any thread; must not block.
struct observed {
    // Whether the threads that everything hangs on go round; otherwise which one does not.
    bool (*alive)(void *user, struct error *err);
    // Whether all that the agent needs is there; otherwise the first thing that is not.
    bool (*ready)(void *user, struct error *err);
    // Sets the metrics that are read only when somebody wants to see them.
    void (*measure)(void *user);
    void *user;
};

void observe_health(struct server_request *req, const struct observed *observed);
void observe_readiness(struct server_request *req, const struct observed *observed);

void observe_metrics(struct server_request *req, const struct observed *observed);

// For the metrics listener, whose `user` is the struct observed: GET /healthz, /readyz, /metrics.
extern const struct server_route observe_routes[];

#endif
