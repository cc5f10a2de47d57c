// Within the recorder: the Jobs that the watches told of. Of one that is recorded to its end only
// that it is there; of the others what their runs are made from.
#ifndef CRONWRIGHT_RUNS_JOBS_H
#define CRONWRIGHT_RUNS_JOBS_H

#include "deploy/runs.h"

struct jobs; // any number of threads

enum job_standing {
    JOB_ABSENT,  // nobody told of it
    JOB_FOREIGN, // it is no run of a service
    JOB_SETTLED, // recorded to its end
    JOB_OPEN,
};

// Of an open Job.
struct job_view {
    enum job_standing standing;
    json_t *job;  // NULL: only pods are known, or it is
    char *old;    // a Job that had ended long before it was told of: its name, else NULL
    json_t *pods; // also those that were deleted: these have "deleted": true
    const struct service *service;
    bool gone;
    struct mono_time over_since; // see jobs_over()
};
void job_view_finish(struct job_view *view);

struct jobs *jobs_create(void);
void jobs_destroy(struct jobs *jobs);

// A start finds many Jobs that ended long ago, and most are recorded already: of those no more than
// the name is kept, and nothing of their pods.
#define JOB_OLD_MS 60000

// What a watch told of a Job. `service` is the one that it is a run of, NULL when it is none; one
// that was a run stays one. True when it is to be recorded.
bool jobs_put(struct jobs *jobs, const json_t *job, const struct service *service);
bool jobs_drop(struct jobs *jobs, const json_t *job);
// As jobs_put(), from a list that may be older than what a watch has told: only if not open yet.
bool jobs_adopt(struct jobs *jobs, const json_t *job, const struct service *service);
// What a watch told of a pod. The uid of its Job, which is to be recorded, into `uid`; or false.
bool jobs_put_pod(struct jobs *jobs, const json_t *pod, bool gone, char uid[static 64]);
// The same from such a list: only if its Job is open, and the pod not known yet.
bool jobs_adopt_pod(struct jobs *jobs, const json_t *pod, char uid[static 64]);

void jobs_look(struct jobs *jobs, const char *uid, struct job_view *out);
// Since when a Job is known to be over: now, unless said before.
struct mono_time jobs_over(struct jobs *jobs, const char *uid);
// It is recorded to its end. `gone`: with its Job.
void jobs_settle(struct jobs *jobs, const char *uid, bool gone);
// All open ones of a service, without looking further.
void jobs_settle_service(struct jobs *jobs, const char *namespace_, const char *service);
// Calls for each open one of a namespace (NULL: all), with a lock held.
void jobs_each_open(struct jobs *jobs, const char *namespace_,
                    void (*each)(void *user, const char *uid), void *user);

#endif
