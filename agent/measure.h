// Reads the agent's gauges from its parts, when somebody wants to see them.
#ifndef CRONWRIGHT_MEASURE_H
#define CRONWRIGHT_MEASURE_H

#include "agent/base/clock.h"
#include "agent/children.h"
#include "agent/pipeline/pipeline.h"
#include "agent/runs/recorder.h"
#include "agent/server.h"

#include <pthread.h>

#define MEASURED_SERVERS_MAX 4

// Everything is borrowed. Any thread.
struct measured {
    struct store *store;
    struct pipeline *pipeline;
    struct recorder *recorder;
    struct children *children;
    struct service_cache *services;
    struct wall_time started;

    pthread_mutex_t lock; // guards what follows; taken before the servers' own
    struct {
        const char *listener; // as the metric's label has it
        struct server *server;
    } servers[MEASURED_SERVERS_MAX];
    size_t server_count;
};

// Another server whose connections are counted. Any thread.
void measure_server(struct measured *measured, const char *listener, struct server *server);
// From now on none is: call it before the first of them goes, since another one may be answering
// who wants to see them all. Any thread.
void measure_no_servers(struct measured *measured);

// Sets all gauges but those of watches. Waits for the store's reader at the most.
void measure(struct measured *measured);

#endif
