// Within the recorder: what its files share.
#ifndef CRONWRIGHT_RUNS_STATE_H
#define CRONWRIGHT_RUNS_STATE_H

#include "agent/queue.h"
#include "agent/runs/jobs.h"
#include "agent/runs/recorder.h"
#include "deploy/kube/watch.h"

#include <pthread.h>
#include <stdatomic.h>

// The watches of one namespace, or of all.
struct space {
    struct recorder *recorder;
    char *namespace_;                  // NULL: all
    _Atomic(struct kube_watch *) jobs; // both made on the loop's thread
    _Atomic(struct kube_watch *) pods; // once all Jobs are known
    atomic_bool jobs_known;
    atomic_bool pods_known; // or cannot be had
};

struct recorder {
    struct recorder_parts parts;
    struct jobs *jobs;
    struct work_queue *queue;
    struct space *spaces; // one for each namespace in the settings, or one for all
    size_t space_count;
    struct wall_time since;
    atomic_int_least64_t log_bytes; // on disk, of logs at their end
    pthread_rwlock_t forgetting;    // held to write while a service's runs are forgotten, else to
                                    // read while one is recorded, so that none is put back
    pthread_mutex_t retention;      // held while runs and logs are removed; within `forgetting`
    pthread_mutex_t mutex;          // guards what follows
    struct mono_time next_seen;
    struct mono_time next_sweep;
};

// retention.c: forgets what is beyond the bounds; of one service, or (NULL) of all.
bool recorder_expire(struct recorder *recorder, const char *namespace_, const char *service,
                     struct error *err) MUST_CHECK;
// Makes room for the newer logs.
bool recorder_evict(struct recorder *recorder, struct error *err) MUST_CHECK;

#endif
