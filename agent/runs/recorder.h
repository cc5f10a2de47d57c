// The history of runs: watches Jobs and pods, writes each run of a service to the store, follows
// the logs of its containers into files while they are there, compresses those, and forgets what is
// beyond the bounds in the settings.
//
// Level-triggered: one function per Job compares what the watches told with what is stored. It may
// be killed anywhere and run again; what happened while no agent was there is found as far as the
// cluster still has it.
#ifndef CRONWRIGHT_RUNS_RECORDER_H
#define CRONWRIGHT_RUNS_RECORDER_H

#include "agent/queue.h"
#include "agent/settings.h"
#include "agent/store/runs.h"
#include "deploy/runs.h"
#include "deploy/services.h"

struct recorder;

// Everything is borrowed and outlives the recorder.
struct recorder_parts {
    struct settings *settings;
    struct store *store;
    struct kube_client *kube;
    struct http_loop *loop;
    struct service_cache *services;
    struct podlog_hub *logs;
};

bool recorder_create(const struct recorder_parts *parts, struct recorder **out,
                     struct error *err) MUST_CHECK;
// Waits for what it is doing; what is unfinished goes on with the next start. After the watches of
// services, before the loop, the hub and the store. NULL is fine.
void recorder_destroy(struct recorder *recorder);

// All services of a namespace (NULL: of all) are known: from now on its runs are recorded. Calling
// it again changes nothing. On the loop's thread.
void recorder_watch(struct recorder *recorder, const char *namespace_);
// As for struct service_cache_options.
void recorder_service_changed(struct recorder *recorder, const struct service *before,
                              const struct service *after);
// To be called every few seconds: says that an agent is there, and forgets what is beyond the
// bounds. Any thread; returns at once.
void recorder_tick(struct recorder *recorder);

// A run that was just made, or looked at and found to be over, so that it is known before the watch
// tells of it. Any thread that may block.
void recorder_add(struct recorder *recorder, const struct run *run);
// Whether the cluster is known to have the Job no more. Any thread.
bool recorder_job_is_gone(struct recorder *recorder, const char *namespace_, const char *uid);
void recorder_queue(struct recorder *recorder, struct work_queue_figures *out);
size_t recorder_watches_failing(const struct recorder *recorder);
// On disk, of logs at their end.
int64_t recorder_log_bytes(const struct recorder *recorder);
// Since when this agent is there.
struct wall_time recorder_since(const struct recorder *recorder);

// The file of a container's log (see deploy/kube/podlog.h; it may be compressed); the caller frees.
char *recorder_log_path(const struct recorder *recorder, const struct run *run, const char *pod,
                        const char *container) __attribute__((returns_nonnull));
// Corrects what the run says of logs that are at their end by now: the record lags a little.
void recorder_look_at_logs(const struct recorder *recorder, struct run *run);
// Sees to it that this log is on its way into its file.
bool recorder_follow(struct recorder *recorder, const struct run *run,
                     const struct run_attempt *attempt, const char *container,
                     struct error *err) MUST_CHECK;

// Forgets all runs of a service, with their logs, and what it was when. Any thread that may block.
bool recorder_forget_service(struct recorder *recorder, const char *namespace_, const char *service,
                             struct error *err) MUST_CHECK;

#endif
