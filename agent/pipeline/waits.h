// Which workers wait for an answer from elsewhere: of one server only so many at once, and never
// all of them, so that one that is silent holds up what needs it and nothing else. Any thread.
#ifndef CRONWRIGHT_PIPELINE_WAITS_H
#define CRONWRIGHT_PIPELINE_WAITS_H

#include <pthread.h>
#include <stdbool.h>

#define WORKERS        8             // of the pipeline
#define WAITS_MAX      (WORKERS - 2) // of them
#define WAITS_SAME_MAX 2             // for one server

struct waits {
    pthread_mutex_t lock; // guards what follows
    char *servers[WAITS_MAX];
};

void waits_init(struct waits *waits);
void waits_finish(struct waits *waits);
// False: no worker may wait for it now. Else waits_end() follows.
bool waits_begin(struct waits *waits, const char *server);
void waits_end(struct waits *waits, const char *server);

#endif
