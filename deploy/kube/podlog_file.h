// Within the library: what the follower of a log file and its readers share.
#ifndef CRONWRIGHT_KUBE_PODLOG_FILE_H
#define CRONWRIGHT_KUBE_PODLOG_FILE_H

#include "agent/base/threads.h"
#include "deploy/kube/podlog.h"

#include <stdatomic.h>

struct podlog_file {
    atomic_int references; // the follower's, and one for each reader
    pthread_mutex_t mutex; // guards what follows
    pthread_cond_t grown;  // broadcast at each change
    uint64_t size;         // bytes of whole lines in the file
    struct podlog_end end; // once it is not PODLOG_FOLLOWING the file stays as it is
    bool cancelled;        // the hub goes
};

// The file that is being followed at this path, with a reference, or NULL.
struct podlog_file *podlog_hub_find(struct podlog_hub *hub, const char *path);
void podlog_file_release(struct podlog_file *file); // NULL is fine

#endif
