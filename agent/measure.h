// Reads the agent's gauges from its parts, when somebody wants to see them.
#ifndef CRONWRIGHT_MEASURE_H
#define CRONWRIGHT_MEASURE_H

#include "agent/base/clock.h"
#include "agent/children.h"
#include "agent/pipeline/pipeline.h"
#include "agent/runs/recorder.h"
#include "agent/server.h"

#define MEASURED_SERVERS_MAX 4

// Everything is borrowed. Any thread.
struct measured {
    struct store *store;
    struct pipeline *pipeline;
    struct recorder *recorder;
    struct children *children;
    struct service_cache *services;
    struct {
        const char *listener; // as the metric's label has it
        _Atomic(struct server *) server;
    } servers[MEASURED_SERVERS_MAX]; // ended by NULL
    struct wall_time started;
};

// Another server whose connections are counted; one thread alone adds.
void measure_server(struct measured *measured, const char *listener, struct server *server);

// Sets all gauges but those of watches. Waits for the store's reader at the most.
void measure(const struct measured *measured);

#endif
