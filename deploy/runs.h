// Runs: the Jobs of a service. Making one by hand, listing, looking at and cancelling them.
#ifndef CRONWRIGHT_DEPLOY_RUNS_H
#define CRONWRIGHT_DEPLOY_RUNS_H

#include "deploy/cronjob.h"
#include "deploy/kube/podlog.h"

#define RUN_NAME_SIZE                  64    // a Job's name with NUL
#define RUN_KEY_MAX                    255   // bytes of an idempotency key
#define RUN_ENV_MAX                    100   // variables of one run alone
#define RUN_ARGS_MAX                   100   // arguments likewise
#define RUN_REQUESTER_MAX              255   // bytes of who asked
#define RUN_REPLACE_TIMEOUT_MS_DEFAULT 45000 // a pod may take 30 s to end

enum run_kind { RUN_SCHEDULED, RUN_FORCED, RUN_FIRST };
enum run_state {
    RUN_PENDING,
    RUN_RUNNING,
    RUN_SUCCEEDED,
    RUN_FAILED,
    RUN_UNKNOWN, // it is over, and nobody saw how it ended
};
const char *run_kind_word(enum run_kind kind);    // "scheduled", …
const char *run_state_word(enum run_state state); // "pending", …

static inline bool run_state_is_over(enum run_state state)
{
    return state >= RUN_SUCCEEDED;
}
bool run_state_parse(const char *word, enum run_state *out);
bool run_kind_parse(const char *word, enum run_kind *out);

// The log of one container of an attempt, once that has started.
struct run_log {
    const char *container;
    enum podlog_state state;
    const char *why; // "" when it is complete
    int64_t bytes;   // of its compressed file; 0: not compressed
};

// One pod of a run. Texts are never NULL.
struct run_attempt {
    const char *pod;
    const char *pod_uid;
    const char *container; // whose log and exit code count
    enum run_state state;
    int exit_code; // -1 while there is none
    int restarts;  // of the container within the pod (restartPolicy OnFailure)
    // In words: "out of memory (256Mi)", "exit 3", "deadline exceeded", "image cannot be pulled:
    // …", "unschedulable: …", "evicted: …"; while pending what it waits for; "" when all is well.
    const char *reason;
    struct wall_time created;
    struct wall_time started;  // of the container
    struct wall_time finished; //
    struct run_log *logs;      // init containers first
    size_t log_count;
};

struct run {
    const char *namespace_;
    const char *name; // of the Job
    const char *uid;
    const char *service; // name of the CronJob
    enum run_kind kind;
    const char *requested_by;
    enum run_state state;
    const char *reason;             // why pending or failed, as an attempt's
    const char *image;              // of the container
    const char *commit;             // "" when it cannot be told
    struct wall_time scheduled_for; // scheduled runs
    struct wall_time created;
    struct wall_time started;
    struct wall_time finished;
    int backoff_limit;            // retries after the first attempt
    struct run_attempt *attempts; // oldest first
    size_t attempt_count;
};

// The reason of a run whose Job was deleted before it was over.
#define RUN_REASON_CANCELLED "cancelled: its Job was deleted"

struct run_list {
    struct run **items; // newest first
    size_t count;
};
void run_free(struct run *run); // NULL is fine
void run_list_finish(struct run_list *list);
static inline void run_ptr(struct run **run)
{
    run_free(*run);
}

enum run_if_active {
    RUN_REFUSE,  // an unfinished run: ERR_CONFLICT naming it
    RUN_ALLOW,   // start beside it
    RUN_REPLACE, // delete it, wait until its pods are gone, then start
};
// "refuse", "allow", "replace".
bool run_if_active_parse(const char *word, enum run_if_active *out);

struct run_request {
    enum run_kind kind; // RUN_FORCED or RUN_FIRST
    enum run_if_active if_active;
    const char *idempotency_key; // NULL or "": none. Two requests with one key make one Job
    const char *requested_by;    // NULL or "": not said
    // For this run alone, in the service's container (or the first one): texts by name, which go
    // before those of the same names, and an array of texts instead of its arguments. NULL: none.
    const json_t *env;
    const json_t *args;
    int64_t replace_timeout_ms; // 0: RUN_REPLACE_TIMEOUT_MS_DEFAULT
};

struct run_created {
    struct run *run;
    bool existed;               // an earlier request with this key had made it
    json_t *warnings;           // the API server's, an array of texts; or NULL
    char active[RUN_NAME_SIZE]; // when it was refused for an active run: that one; else ""
};

// Exactly what `kubectl create job --from=cronjob/NAME` does, with our annotations added: the
// CronJob is read, never written. Errors: ERR_NOT_FOUND; ERR_CONFLICT (active run, not built yet,
// key used for something else); ERR_TIMEOUT (the replaced run would not go). `out` is set on
// failure too, empty but for `active`.
bool run_create(struct kube_client *client, const char *namespace_, const char *cronjob,
                const struct run_request *request, struct run_created *out,
                struct error *err) MUST_CHECK;

// The Job's name: `<cronjob>-f-<8>`, at most 63 bytes. The last eight come from the key and the
// CronJob's uid, or from chance when there is no key.
void run_name(const char *cronjob, const char *uid, const char *idempotency_key,
              char out[static RUN_NAME_SIZE]);

// The newest `limit` (0: all) Jobs whose controller is this CronJob, with their pods.
bool run_list(struct kube_client *client, const struct service *service, size_t limit,
              struct run_list *out, struct error *err) MUST_CHECK;

// One run with its pods; ERR_NOT_FOUND also when it belongs to something else.
bool run_get(struct kube_client *client, const struct service *service, const char *name,
             struct run **out, struct error *err) MUST_CHECK;

// Where a run has no pod, or its container does not start, for a while: the reason becomes what the
// cluster says of that beside the Job's and the pod's status (a quota, a volume). Blocks.
bool run_explain_wait(struct kube_client *client, struct run *run, struct error *err) MUST_CHECK;

// Deletes the run's Job and pods: KUBE_BACKGROUND returns at once, KUBE_FOREGROUND keeps the Job
// visible until its pods are gone.
bool run_cancel(struct kube_client *client, const struct service *service, const char *name,
                enum kube_propagation propagation, struct error *err) MUST_CHECK;

// --- runs that outlive their Jobs ---

// Of a Job or pod only what run_from_json() reads. The caller owns it.
json_t *run_keep(const json_t *object) __attribute__((returns_nonnull));

#define RUN_ATTEMPTS_KEPT 200 // the newest

// The attempts of a run, to be kept. The caller owns it.
json_t *run_attempts_json(const struct run *run) __attribute__((returns_nonnull));
// A run of copies of `fields` (its attempts aside) and of what run_attempts_json() gave; what is
// not as that writes it is left out.
struct run *run_restore(const struct run *fields, const json_t *attempts)
    __attribute__((returns_nonnull));
// Adds to a run as the cluster has it what was known of it before, and the cluster has no more:
// attempts whose pods are gone, how far logs are, its commit.
void run_merge(struct run *run, const struct run *before);

// From a Job and the array of its pods (other pods in it are left out).
bool run_from_json(const json_t *job, const json_t *pods, const struct service *service,
                   struct run **out, struct error *err) MUST_CHECK;

#endif
