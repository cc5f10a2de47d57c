// The context listener: GET /contexts/{job} gives a build pod its context, whichever agent made the
// Job.
#ifndef CRONWRIGHT_CONTEXTS_CONTEXTS_H
#define CRONWRIGHT_CONTEXTS_CONTEXTS_H

#include "agent/contexts/keys.h"
#include "agent/pipeline/pipeline.h"
#include "agent/server.h"

// Everything is borrowed and outlives the listener.
struct contexts {
    struct settings *settings;
    const struct context_keys *keys;
    struct kube_client *kube;
    struct pipeline *pipeline;
};

// Starts its server. `contexts` is its handlers' user.
bool contexts_listen(struct contexts *contexts, struct server **out, struct error *err) MUST_CHECK;

#endif
