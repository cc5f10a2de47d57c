// Looks at everything that a user could have wrong, and says how to mend each thing.
//
// It asks the world as the agent does: rights by the API server's own word, remotes by the Git
// child, registries by HTTP, its own webhooks listener by signed requests. Nothing is changed, but
// for one delivery of each forge, which is marked and always the same.
#ifndef CRONWRIGHT_DOCTOR_DOCTOR_H
#define CRONWRIGHT_DOCTOR_DOCTOR_H

#include "agent/contexts/keys.h"
#include "agent/observe.h"
#include "agent/pipeline/pipeline.h"
#include "agent/runs/recorder.h"

#define DOCTOR_BUDGET_MS 25000 // all checks together; what has not answered by then is a problem

struct intake;

// Everything is borrowed.
struct doctor {
    struct settings *settings;
    struct store *store;
    struct kube_client *kube;
    struct service_cache *services;
    struct intake *intake;
    struct pipeline *pipeline;
    struct recorder *recorder;
    const struct context_keys *context_keys; // NULL: there is no context listener
    const char *webhooks_address;            // as listened on
    const struct observed *observed;
};

// {"groups": [{"group", "checks": [{"check", "state", "text", "fix"}]}], "problems", "warnings",
// "seconds", "version", "time"}. A state is "good", "warning", "problem" or "skipped"; `fix` is one
// line, or null. Blocks for DOCTOR_BUDGET_MS at most, with threads of its own. The caller owns it.
json_t *doctor_examine(const struct doctor *doctor) __attribute__((returns_nonnull));

#endif
