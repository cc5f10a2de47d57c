#include "agent/metrics_table.h"

#define MS(n)      ((int64_t)(n)*1000)
#define SECONDS(n) (MS(n) * 1000)
#define COUNT(a)   (sizeof(a) / sizeof *(a))

// --- values of labels ---

#define WORDS(name, ...) static const char *const name[] = {__VA_ARGS__, NULL}
#define OPEN(name)       static struct metric_words name = {.lock = PTHREAD_MUTEX_INITIALIZER}

WORDS(listeners, "webhooks", "admin", "context", "metrics", "other");
WORDS(queues, "pipeline", "recorder");
WORDS(key_states, "ready", "delayed", "running");
WORDS(open_states, "waiting", "under-way");
WORDS(build_ends, "done", "failed", "superseded", "filtered");
WORDS(steps, "fetch", "context", "kaniko", "patch");
WORDS(patch_results, "patched", "failed");
WORDS(run_kinds, "scheduled", "forced", "first");
WORDS(run_ends, "succeeded", "failed", "unknown");
WORDS(child_states, "running", "waiting");
WORDS(verbs, "get", "list", "watch", "create", "update", "patch", "delete", "other");
WORDS(watches, "services", "builds", "runs");
WORDS(event_results, "sent", "merged", "dropped", "failed");
WORDS(versions, CRONWRIGHT_VERSION);

OPEN(forges);
OPEN(delivery_reasons);
OPEN(final_reasons);
OPEN(refused_forges);
OPEN(refused_statuses);
OPEN(http_statuses);
OPEN(build_reasons);
OPEN(kube_codes);

#define CLOSED(label, list)                                                                        \
    {                                                                                              \
        .name = (label), .words = (list), .size = COUNT(list) - 1                                  \
    }
#define LEARNT(label, list)                                                                        \
    {                                                                                              \
        .name = (label), .open = &(list), .size = METRIC_WORDS_MAX                                 \
    }
#define CELLS(n) .cells = (atomic_uint_least64_t[n]){0}, .cell_count = (n)

#define KNOWN(name, ...)                                                                           \
    static const char *const name[][METRIC_LABELS_MAX] = {__VA_ARGS__, {NULL, NULL}}

KNOWN(known_deliveries, {"github", "accepted"}, {"github", "ignored"}, {"github", "no-match"},
      {"github", "repeated"}, {"gitlab", "accepted"}, {"gitlab", "ignored"}, {"gitlab", "no-match"},
      {"gitlab", "repeated"}, {"gitea", "accepted"}, {"gitea", "ignored"}, {"gitea", "no-match"},
      {"gitea", "repeated"}, {"bitbucket", "accepted"}, {"bitbucket", "ignored"},
      {"bitbucket", "no-match"}, {"bitbucket", "repeated"});
KNOWN(known_final, {"deployed", NULL}, {"unchanged", NULL}, {"build-failed", NULL},
      {"not-allowed", NULL}, {"misconfigured", NULL}, {"no-match", NULL});
KNOWN(known_refused, {"github", "401"}, {"github", "503"}, {"gitlab", "401"}, {"gitlab", "503"},
      {"gitea", "401"}, {"gitea", "503"}, {"bitbucket", "401"}, {"bitbucket", "503"});
KNOWN(known_http, {"webhooks", "202"}, {"webhooks", "401"}, {"webhooks", "503"}, {"admin", "200"},
      {"admin", "401"}, {"admin", "500"});
KNOWN(known_builds, {"done", "deployed"}, {"failed", "build-failed"}, {"failed", "out-of-memory"},
      {"failed", "deadline"});

// --- upper bounds ---

static const int64_t build_bounds[] = {SECONDS(5),
                                       SECONDS(10),
                                       SECONDS(20),
                                       SECONDS(30),
                                       SECONDS(60),
                                       SECONDS(120),
                                       SECONDS(300),
                                       SECONDS(600),
                                       SECONDS(1200),
                                       SECONDS(3600),
                                       0};
static const int64_t step_bounds[] = {
    MS(100),     MS(250),     MS(500),      SECONDS(1),   SECONDS(2),    SECONDS(5), SECONDS(10),
    SECONDS(30), SECONDS(60), SECONDS(120), SECONDS(300), SECONDS(1200), 0};
static const int64_t commit_bounds[] = {500,    MS(1),   MS(2),   MS(5),      MS(10),     MS(25),
                                        MS(50), MS(100), MS(250), SECONDS(1), SECONDS(5), 0};

// Beside the buckets one beyond and the sum; of the bounds' length, the 0 is one of the two.
#define WIDTH(bounds) (COUNT(bounds) + 1)

// --- the table ---

const struct metric_row metric_rows[METRIC_COUNT] = {
    [METRIC_DELIVERIES] = {"cronwright_deliveries_total",
                           METRIC_COUNTER,
                           "Verified webhook requests that are on disk, by what was answered",
                           {LEARNT("forge", forges), LEARNT("reason", delivery_reasons)},
                           .known = known_deliveries,
                           CELLS(METRIC_WORDS_MAX *METRIC_WORDS_MAX)},
    [METRIC_DELIVERIES_FINISHED] = {"cronwright_deliveries_finished_total",
                                    METRIC_COUNTER,
                                    "Accepted deliveries that came to an end, by its reason",
                                    {LEARNT("reason", final_reasons)},
                                    .known = known_final,
                                    CELLS(METRIC_WORDS_MAX)},
    [METRIC_DELIVERIES_PENDING] = {"cronwright_deliveries_pending", METRIC_GAUGE,
                                   "Accepted deliveries that have not come to an end", CELLS(1)},
    [METRIC_DELIVERIES_OLDEST] = {"cronwright_deliveries_pending_oldest_seconds", METRIC_GAUGE,
                                  "Age of the oldest delivery that has not come to an end",
                                  CELLS(1)},
    [METRIC_WEBHOOKS_REFUSED] = {"cronwright_webhooks_refused_total",
                                 METRIC_COUNTER,
                                 "Webhook requests that were refused, by the HTTP status",
                                 {LEARNT("forge", refused_forges),
                                  LEARNT("status", refused_statuses)},
                                 .known = known_refused,
                                 CELLS(METRIC_WORDS_MAX *METRIC_WORDS_MAX)},
    [METRIC_HTTP_REQUESTS] = {"cronwright_http_requests_total",
                              METRIC_COUNTER,
                              "HTTP requests that were answered",
                              {CLOSED("listener", listeners), LEARNT("status", http_statuses)},
                              .known = known_http,
                              CELLS((COUNT(listeners) - 1) * METRIC_WORDS_MAX)},
    [METRIC_HTTP_CONNECTIONS] = {"cronwright_http_connections",
                                 METRIC_GAUGE,
                                 "Open connections",
                                 {CLOSED("listener", listeners)},
                                 CELLS(COUNT(listeners) - 1)},
    [METRIC_QUEUE_DEPTH] = {"cronwright_queue_depth",
                            METRIC_GAUGE,
                            "Keys of the work queues: branches and services of the pipeline, runs "
                            "of the recorder",
                            {CLOSED("queue", queues), CLOSED("state", key_states)},
                            CELLS((COUNT(queues) - 1) * (COUNT(key_states) - 1))},
    [METRIC_QUEUE_OLDEST] = {"cronwright_queue_oldest_seconds",
                             METRIC_GAUGE,
                             "How long the first ready key has waited for a worker",
                             {CLOSED("queue", queues)},
                             CELLS(COUNT(queues) - 1)},
    [METRIC_SWEEP_AGE] = {"cronwright_sweep_age_seconds", METRIC_GAUGE,
                          "Time since all branches were last looked at", CELLS(1)},
    [METRIC_SWEEPS] = {"cronwright_sweeps_total", METRIC_COUNTER,
                       "Times that all branches were gone over for pushes that no webhook told",
                       CELLS(1)},
    [METRIC_OLDEST_CHECK] = {"cronwright_oldest_check_seconds", METRIC_GAUGE,
                             "Of all branches that are followed, the longest time since one was "
                             "asked for its head",
                             CELLS(1)},
    [METRIC_BUILDS] = {"cronwright_builds_total",
                       METRIC_COUNTER,
                       "Builds that came to an end",
                       {CLOSED("result", build_ends), LEARNT("reason", build_reasons)},
                       .known = known_builds,
                       CELLS((COUNT(build_ends) - 1) * METRIC_WORDS_MAX)},
    [METRIC_BUILDS_OPEN] = {"cronwright_builds",
                            METRIC_GAUGE,
                            "Builds that wait for a place, and that are fetched or run",
                            {CLOSED("state", open_states)},
                            CELLS(COUNT(open_states) - 1)},
    [METRIC_BUILD_DURATION] = {"cronwright_build_duration_seconds",
                               METRIC_HISTOGRAM,
                               "From the wish for a build to its end",
                               {CLOSED("result", build_ends)},
                               .buckets = build_bounds,
                               CELLS((COUNT(build_ends) - 1) * WIDTH(build_bounds))},
    [METRIC_BUILD_STEP] = {"cronwright_build_step_duration_seconds",
                           METRIC_HISTOGRAM,
                           "What the steps of a build took",
                           {CLOSED("step", steps)},
                           .buckets = step_bounds,
                           CELLS((COUNT(steps) - 1) * WIDTH(step_bounds))},
    [METRIC_PATCHES] = {"cronwright_patches_total",
                        METRIC_COUNTER,
                        "CronJobs that got a new image, or should have",
                        {CLOSED("result", patch_results)},
                        CELLS(COUNT(patch_results) - 1)},
    [METRIC_SERVICES] = {"cronwright_services", METRIC_GAUGE, "CronJobs that are served", CELLS(1)},
    [METRIC_RUNS] = {"cronwright_runs_total",
                     METRIC_COUNTER,
                     "Runs that came to an end while the agent was there",
                     {CLOSED("kind", run_kinds), CLOSED("result", run_ends)},
                     CELLS((COUNT(run_kinds) - 1) * (COUNT(run_ends) - 1))},
    [METRIC_RUN_LOG_BYTES] = {"cronwright_run_log_bytes", METRIC_GAUGE,
                              "Size on disk of the logs of runs that are over", CELLS(1)},
    [METRIC_CHILDREN] = {"cronwright_git_children",
                         METRIC_GAUGE,
                         "Git programs that run, and that wait for a place",
                         {CLOSED("state", child_states)},
                         CELLS(COUNT(child_states) - 1)},
    [METRIC_KUBE_REQUESTS] = {"cronwright_kubernetes_requests_total",
                              METRIC_COUNTER,
                              "Requests to the Kubernetes API by the HTTP status; \"none\": there "
                              "was no answer",
                              {CLOSED("verb", verbs), LEARNT("code", kube_codes)},
                              CELLS((COUNT(verbs) - 1) * METRIC_WORDS_MAX)},
    [METRIC_WATCH_FAILURES] = {"cronwright_kubernetes_watch_failures_total",
                               METRIC_COUNTER,
                               "Times that a watch failed and was begun anew",
                               {CLOSED("watch", watches)},
                               CELLS(COUNT(watches) - 1)},
    [METRIC_WATCHES_FAILING] = {"cronwright_kubernetes_watches_failing",
                                METRIC_GAUGE,
                                "Watches that do not work at present",
                                {CLOSED("watch", watches)},
                                CELLS(COUNT(watches) - 1)},
    [METRIC_KUBE_EVENTS] = {"cronwright_kubernetes_events_total",
                            METRIC_COUNTER,
                            "Events told on CronJobs: new ones, ones added to an earlier one, ones "
                            "that were too many, and ones that the API did not take",
                            {CLOSED("result", event_results)},
                            CELLS(COUNT(event_results) - 1)},
    [METRIC_STORE_COMMIT] = {"cronwright_store_commit_duration_seconds", METRIC_HISTOGRAM,
                             "What it took to write a group of changes to disk",
                             .buckets = commit_bounds, CELLS(WIDTH(commit_bounds))},
    [METRIC_STORE_CHANGES] = {"cronwright_store_changes_total", METRIC_COUNTER,
                              "Changes that were written to disk", CELLS(1)},
    [METRIC_STORE_QUEUE] = {"cronwright_store_queue_depth", METRIC_GAUGE,
                            "Changes that nobody waits for and that are not on disk yet", CELLS(1)},
    [METRIC_BUILD_INFO] = {"cronwright_build_info",
                           METRIC_GAUGE,
                           "The program's version",
                           {CLOSED("version", versions)},
                           CELLS(COUNT(versions) - 1)},
    [METRIC_PROCESS_CPU] = {"process_cpu_seconds_total", METRIC_TOTAL,
                            "Processor time of the agent without its children", CELLS(1)},
    [METRIC_PROCESS_RESIDENT] = {"process_resident_memory_bytes", METRIC_GAUGE, "Resident memory",
                                 CELLS(1)},
    [METRIC_HEAP] = {"cronwright_heap_bytes", METRIC_GAUGE,
                     "Memory in use by what was allocated; resident memory has free room beside it",
                     CELLS(1)},
    [METRIC_PROCESS_FDS] = {"process_open_fds", METRIC_GAUGE, "Open file descriptors", CELLS(1)},
    [METRIC_PROCESS_FDS_MAX] = {"process_max_fds", METRIC_GAUGE,
                                "File descriptors that may be open", CELLS(1)},
    [METRIC_PROCESS_START] = {"process_start_time_seconds", METRIC_GAUGE,
                              "When the agent started, in seconds since 1970", CELLS(1)},
};
