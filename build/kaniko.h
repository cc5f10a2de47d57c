// Kaniko as a Kubernetes Job: the manifests as JSON, and what a Job and its pod say about a build.
// Pure: nothing here talks to a cluster. Any thread.
//
// Kaniko writes its digest file before it pushes, and each pushed cache layer overwrites it: a
// digest counts only when the container exited 0. Flags are those that v1.24.0 and the active fork
// share.
#ifndef CRONWRIGHT_BUILD_KANIKO_H
#define CRONWRIGHT_BUILD_KANIKO_H

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "build/image.h"
#include "build/recipe.h"

#define KANIKO_CONTAINER       "kaniko"  // the container's name: for logs
#define KANIKO_FETCH_CONTAINER "context" // that of the one which fetches a large context

// Labels and annotations of Jobs, their pods and Secrets.
#define KANIKO_LABEL_BUILD        "cronwright.io/build" // the Job's name
#define KANIKO_LABEL_MANAGED_BY   "app.kubernetes.io/managed-by"
#define KANIKO_MANAGED_BY         "cronwright"
#define KANIKO_ANNOTATION_RECIPE  "cronwright.io/recipe"
#define KANIKO_ANNOTATION_COMMIT  "cronwright.io/commit"
#define KANIKO_ANNOTATION_REPO    "cronwright.io/repository"
#define KANIKO_ANNOTATION_BRANCH  "cronwright.io/branch"
#define KANIKO_ANNOTATION_IMAGE   "cronwright.io/image"
// Of a context that the pod fetches: its SHA-256, so that an agent which packs it again knows what
// it must become.
#define KANIKO_ANNOTATION_CONTEXT "cronwright.io/context-sha256"

// Which agent made it, for people and for what is told once.
#define KANIKO_ANNOTATION_AGENT     "cronwright.io/agent"
// Of a Job that was ended because its commit is not wanted any more: for what. It stays until its
// time to live is over, so that nobody makes the same attempt a second time.
#define KANIKO_ANNOTATION_CANCELLED "cronwright.io/cancelled"

// The API server takes Secrets of at most 1 MiB in all; the rest is room for names.
#define KANIKO_CONTEXT_SECRET_MAX ((size_t)900 * 1024)

// Bytes of all registries' CA files together: they travel in a Secret of their own.
#define KANIKO_AUTHORITIES_MAX ((size_t)512 * 1024)

// Whom to trust when a registry shows its certificate, beside the image's own authorities.
struct kaniko_authority {
    const char *registry; // "host[:port]"
    const char *pem;      // text
};

// The operator's choices; texts, lists and JSON are borrowed, NULL and "" are "not set".
struct kaniko_settings {
    const char *namespace;
    const char *agent;            // who makes it; not set: not told
    const char *image;            // Kaniko's own
    const char *service_account;  // not set: the namespace's default; its token is never mounted
    const json_t *node_selector;  // object
    const json_t *tolerations;    // array, as in a pod
    const json_t *affinity;       // object, as in a pod
    const char *priority_class;   //
    const json_t *labels;         // objects of texts, of the pods: ours go before these
    const json_t *annotations;    //
    const json_t *resources;      // object, as in a container; ephemeral-storage too
    int64_t deadline_seconds;     // of the whole Job
    int64_t ttl_seconds;          // how long a finished Job stays
    bool cache;                   // layer cache
    const char *cache_repository; // not set: "<destination>/cache"
    // Where base images of Docker Hub are looked for first: "host[:port][/path]".
    const char *const *registry_mirrors;
    size_t registry_mirrors_count;
    const json_t *registry_maps; // object: other registry → such a mirror
    // "host[:port]" of registries that are spoken to in plain HTTP.
    const char *const *plain_http_registries;
    size_t plain_http_count;
    const struct kaniko_authority *authorities; // then kaniko_authorities_secret() is needed too
    size_t authorities_count;
    const char *proxy;             // URL for registries; not set: none
    const char *no_proxy;          // as in NO_PROXY
    bool insecure;                 // every registry: plain HTTP allowed, certificates not checked
    const char *const *extra_args; // more of Kaniko's flags, after ours
    size_t extra_args_count;
};

// A context too large for a Secret: the pod fetches it before Kaniko begins.
struct kaniko_fetch {
    const char *image;  // cronwright's own
    const char *sha256; // of the archive, in hex
    int64_t bytes;      //
};

// The exit status of its container when another pod may fare better; 1 when it would not.
#define KANIKO_FETCH_AGAIN 75

// One attempt at one build.
struct kaniko_build {
    const struct recipe *recipe; // checked
    const char *commit;
    int attempt;
    const char *source_url;  // for the image's label; a URL with a user or password is left out
    const char *push_secret; // kubernetes.io/dockerconfigjson in the same namespace; not set: none
    const struct kaniko_fetch *fetch; // NULL: the context travels in the Secret
};

// The Job. It refers to a Secret of its own name, which is created after it and owned by it, so
// that nothing leaks between the two: until then the pod waits. ERR_INVALID. The caller owns *out.
bool kaniko_job(const struct kaniko_settings *settings, const struct kaniko_build *build,
                json_t **out, struct error *err) MUST_CHECK;

// The Secret with the context, owned by the Job just made (`job` is the API server's answer: name,
// namespace and uid are taken from it). ERR_TOO_LARGE beyond KANIKO_CONTEXT_SECRET_MAX.
bool kaniko_context_secret(const json_t *job, const void *context, size_t len, json_t **out,
                           struct error *err) MUST_CHECK;

// The Secret with the CA files, likewise; needed when the settings have authorities. ERR_TOO_LARGE.
bool kaniko_authorities_secret(const json_t *job, const struct kaniko_settings *settings,
                               json_t **out, struct error *err) MUST_CHECK;

// --- parts ---

// An immutable Secret named "<job><suffix>" that the Job owns. Takes `data` over.
bool kaniko_owned_secret(const json_t *job, const char *suffix, json_t *data, json_t **out,
                         struct error *err) MUST_CHECK;
// Adds what the settings say of authorities and proxies to a Job's manifest.
void kaniko_reach(const struct kaniko_settings *settings, json_t *job);
// Where and by which right the pod fetches its context; the names of the keys in the Secret that
// says so are the member names.
struct kaniko_ticket {
    const char *address; // URL of the context
    const char *token;
    const char *sha256; // of the archive, in hex
    const char *bytes;  // of the archive, in decimal
    const char *ca;     // PEM: the only certificates to trust
};

// The Secret of a Job with a `fetch`, owned by it as the other kind is.
bool kaniko_ticket_secret(const json_t *job, const struct kaniko_ticket *ticket, json_t **out,
                          struct error *err) MUST_CHECK;

// What to do when a Job of that name exists already (AlreadyExists), decided from that Job.
enum kaniko_existing {
    KANIKO_EXISTING_LIVE,      // the same build is under way: watch it as if we had made it
    KANIKO_EXISTING_SUCCEEDED, // already built: take its result
    KANIKO_EXISTING_FAILED,    // that attempt failed: its verdict counts
    KANIKO_EXISTING_CANCELLED, // somebody ended that attempt: if it is still wanted, use the next
    KANIKO_EXISTING_VANISHING, // being deleted: use the next attempt
    KANIKO_EXISTING_FOREIGN,   // not this build's (someone else's name): use the next attempt, warn
};
enum kaniko_existing kaniko_existing(const json_t *job, const struct kaniko_build *build);

// Whether it has neither ended nor is being deleted or cancelled.
bool kaniko_job_is_live(const json_t *job);
// Whether somebody ended it because its commit is not wanted any more.
bool kaniko_job_is_cancelled(const json_t *job);
// A merge patch that ends a Job, whatever it is at: its pods go, it stays as a failed one for so
// many seconds. `why` is for people. The caller owns it.
json_t *kaniko_cancel_patch(const char *why, int64_t kept_seconds);
// metadata.ownerReferences of what is to go with a Job. The caller owns it.
json_t *kaniko_owner(const json_t *job);
// When it failed; ms is 0 when it has not.
struct wall_time kaniko_job_failed_at(const json_t *job);

enum kaniko_state {
    KANIKO_PENDING,
    KANIKO_RUNNING,
    KANIKO_SUCCEEDED,
    KANIKO_FAILED,
};

#define KANIKO_REASON_SIZE 32
#define KANIKO_DETAIL_SIZE 512

struct kaniko_result {
    enum kaniko_state state;
    char digest[IMAGE_DIGEST_SIZE]; // when succeeded
    // Why pending or failed, as a word: "pulling-image", "unschedulable", "fetching-context",
    // "quota", "mount", … ; "build-failed", "out-of-memory", "image-pull", "deadline", "evicted",
    // "disrupted", "deleted", "no-digest", "context-failed", … While running "node-lost" or empty;
    // empty when succeeded.
    char reason[KANIKO_REASON_SIZE];
    char detail[KANIKO_DETAIL_SIZE]; // one sentence for people
    int exit_code;                   // of the container; -1 when it has not ended
    bool transient;            // failed through no fault of the build: another attempt may help
    struct wall_time started;  // of the container
    struct wall_time finished; // of the container, else of the Job
    char pod[254];             // the pod judged; "" without one
    bool ending; // that pod is being deleted: it does not say any more what it waited for
};

// Judges a Job by its own status and its newest pod's. `job` NULL: it is gone (failed, "deleted").
// `pod` NULL: none seen (yet). Both as the API server returns them.
void kaniko_result(const json_t *job, const json_t *pod, struct kaniko_result *out);

// Of a cancelled Job the verdict is that, whatever its pod came to.
void kaniko_judge_cancelled(struct kaniko_result *result);

// Adds what the log's end says to a failed build's verdict: pods often do not say why. Other
// verdicts stay as they are.
void kaniko_explain(const char *log, size_t len, struct kaniko_result *result);

// A build that met its deadline before it ran failed by what it was last seen to wait for, a
// pending verdict's reason and detail: its pod does not say any more, being deleted. "" is "not
// known".
void kaniko_explain_wait(const char *reason, const char *detail, struct kaniko_result *result);

// Whether the events about a pending build's pod, or about its Job when it has none, may say more.
bool kaniko_wants_events(const struct kaniko_result *result);
// Adds what the newest of those says.
void kaniko_hindered(const json_t *event, struct kaniko_result *result);

// The pod to judge by out of a PodList's items: the newest of this Job's. NULL when there is none.
const json_t *kaniko_newest_pod(const json_t *job, const json_t *pods);

// From the end of Kaniko's log the shortest useful cause: "RUN pip install foo: exit 1: ERROR: No
// matching distribution found for foo" (with the last line that the command wrote), "app.py: not in
// the build context", "FROM python:3.99: not found", "push to registry.example/x: dial tcp
// …: connection refused". False when nothing was recognised. `room` is the size of `out`; the text
// is valid UTF-8 without control characters. Looks at the last 64 KiB at most.
bool kaniko_log_reason(const char *log, size_t len, char *out, size_t room);

// What Kaniko was at when its log ended: "RUN make", "Pushing image to registry.example/x:1". False
// when it had not begun. As above.
bool kaniko_log_doing(const char *log, size_t len, char *out, size_t room);

#define KANIKO_OUTPUT_LINES 10
#define KANIKO_OUTPUT_MAX   512 // bytes of a line, with NUL

// The last lines that the last command of the Dockerfile wrote: an array of texts, oldest first,
// empty when there are none. The caller owns it.
json_t *kaniko_log_output(const char *log, size_t len) __attribute__((returns_nonnull));

// Does such a cause speak of the network or a registry's trouble, so that another attempt may help?
bool kaniko_cause_is_transient(const char *cause);

#endif
