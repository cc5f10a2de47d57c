// Within the recorder: the files of runs' logs.
#ifndef CRONWRIGHT_RUNS_LOGS_H
#define CRONWRIGHT_RUNS_LOGS_H

#include "agent/runs/recorder.h"

// How far the logs of a run are.
struct logs_progress {
    bool pending;  // one is being followed, or is to be
    bool refused;  // one cannot be followed now: too many are
    int64_t bytes; // by how much more are on disk
};

// Follows the run's logs that are not at their end, and compresses those that have come to it; how
// far they are is written into the run. False: an error of the disk, to be tried again.
bool logs_settle(struct recorder *recorder, struct run *run, struct logs_progress *out,
                 struct error *err) MUST_CHECK;

// All logs of a run are gone, and this is why.
void logs_give_up(struct run *run, const char *why);

char *logs_directory(const struct recorder_parts *parts, const char *namespace_, const char *uid)
    __attribute__((returns_nonnull));
// The uid of the run that a log's file belongs to; false: to none.
bool logs_uid_of(const struct recorder_parts *parts, const char *path, char out[static 64]);

#endif
