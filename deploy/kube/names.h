// The words cronwright writes into a cluster and finds there, and Kubernetes' own that it reads.
#ifndef CRONWRIGHT_KUBE_NAMES_H
#define CRONWRIGHT_KUBE_NAMES_H

#include "agent/base/error.h"

// --- labels and annotations of ours; every key starts with this ---
#define CRONWRIGHT_PREFIX "cronwright.io/"

#define LABEL_MANAGED         CRONWRIGHT_PREFIX "managed" // label of a service: "true"
#define SELECTOR_MANAGED      LABEL_MANAGED "=true"
#define LABEL_PROJECT         CRONWRIGHT_PREFIX "project" // label of a service: what it belongs to
#define ANNOTATION_REPOSITORY CRONWRIGHT_PREFIX "repository"
#define ANNOTATION_BRANCH     CRONWRIGHT_PREFIX "branch"
#define ANNOTATION_DOCKERFILE CRONWRIGHT_PREFIX "dockerfile" // default "Dockerfile"
#define ANNOTATION_CONTEXT    CRONWRIGHT_PREFIX "context"    // default "."
#define ANNOTATION_TARGET     CRONWRIGHT_PREFIX "target"     // stage to build; default the last
#define ANNOTATION_BUILD_ARGS CRONWRIGHT_PREFIX "build-args" // JSON object of texts
#define ANNOTATION_IMAGE      CRONWRIGHT_PREFIX "image"      // where to push: no tag, no digest
#define ANNOTATION_CONTAINER                                                                       \
    CRONWRIGHT_PREFIX "container"                    // whose image is ours: "a", "a,b" or JSON
#define ANNOTATION_PATHS  CRONWRIGHT_PREFIX "paths"  // JSON array of patterns
#define ANNOTATION_STATE  CRONWRIGHT_PREFIX "state"  // "draft", "starting", or absent
#define ANNOTATION_MISSED CRONWRIGHT_PREFIX "missed" // "skip" (default) or "run"
#define ANNOTATION_FIRST_RUN                                                                       \
    CRONWRIGHT_PREFIX "first-run" // "never" (default), "onStart", "onImage"
#define ANNOTATION_OVERRIDES CRONWRIGHT_PREFIX "overrides" // "runner": runners may override too
#define ANNOTATION_PINNED    CRONWRIGHT_PREFIX "pinned"    // who rolled back; absent: not pinned
#define ANNOTATION_FIRST_RUN_DUE                                                                   \
    CRONWRIGHT_PREFIX "first-run-due" // "start" or an image's digest, until that run is made

// Written with each patched image, on the CronJob.
#define ANNOTATION_COMMIT             CRONWRIGHT_PREFIX "commit"
#define ANNOTATION_BUILD              CRONWRIGHT_PREFIX "build"
#define ANNOTATION_PATCHED_AT         CRONWRIGHT_PREFIX "patched-at"
#define ANNOTATION_PATCHED_IMAGE      CRONWRIGHT_PREFIX "patched-image"
// Which containers got it, "a,b", where the pod has several.
#define ANNOTATION_PATCHED_CONTAINERS CRONWRIGHT_PREFIX "patched-containers"
// Hash of how it was built (build/recipe.h), and which agent wrote it: an agent's own number for a
// build means nothing to another.
#define ANNOTATION_RECIPE             CRONWRIGHT_PREFIX "recipe"
#define ANNOTATION_PATCHED_BY         CRONWRIGHT_PREFIX "patched-by"
// The image that was put back after a GitOps owner had undone it; not a second time.
#define ANNOTATION_PUT_BACK           CRONWRIGHT_PREFIX "put-back"

// Written on the Jobs of forced and first runs (ANNOTATION_COMMIT too).
#define ANNOTATION_RUN_KIND        CRONWRIGHT_PREFIX "run-kind" // "forced" or "first"
#define ANNOTATION_REQUESTED_BY    CRONWRIGHT_PREFIX "requested-by"
#define ANNOTATION_IDEMPOTENCY_KEY CRONWRIGHT_PREFIX "idempotency-key" // its hash, never itself
#define ANNOTATION_OVERRIDDEN      CRONWRIGHT_PREFIX "overridden" // "env A, B; args": no values

// A draft that was never built carries its destination with this tag: it cannot be pulled or run.
#define TAG_NOT_BUILT "cronwright-not-built"

// --- Kubernetes' own ---
#define KUBE_LABEL_JOB_NAME            "batch.kubernetes.io/job-name"
#define KUBE_LABEL_CONTROLLER_UID      "batch.kubernetes.io/controller-uid"
#define KUBE_ANNOTATION_INSTANTIATE    "cronjob.kubernetes.io/instantiate"
#define KUBE_ANNOTATION_SCHEDULED_TIME "batch.kubernetes.io/cronjob-scheduled-timestamp"

#define KUBE_LABEL_MAX        63  // bytes of a DNS label: namespaces, Jobs with pods
#define KUBE_NAME_MAX         253 // bytes of a DNS subdomain: most names
#define KUBE_CRONJOB_NAME_MAX 52

// RFC 1123 label: lower-case letters, digits and '-', both ends a letter or digit, 1 to 63 bytes.
bool kube_is_label(const char *text);
// RFC 1123 subdomain: such labels (each unbounded) joined by '.', 1 to 253 bytes. Neither "." nor
// ".." nor anything with '/' is one, so a checked name is safe in a URL's path.
bool kube_is_name(const char *text);

#endif
