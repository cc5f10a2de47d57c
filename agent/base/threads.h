// Threads that leave signals to the main one, and conditions whose waits have deadlines.
#ifndef CRONWRIGHT_BASE_THREADS_H
#define CRONWRIGHT_BASE_THREADS_H

#include "agent/base/clock.h"
#include "agent/base/error.h"

#include <pthread.h>

// Runs `run(user)` with all signals blocked; the caller joins it. `name` is for ps and debuggers,
// of at most 15 bytes. Aborts when there can be no thread.
void thread_start(pthread_t *out, const char *name, void *(*run)(void *), void *user);
// Likewise, for what can do without: false when there can be no thread.
bool thread_try(pthread_t *out, const char *name, void *(*run)(void *), void *user) MUST_CHECK;

// A condition for condition_wait(); pthread_cond_destroy() ends it.
void condition_init(pthread_cond_t *condition);
// As pthread_cond_wait(), until the deadline at the most: false when that has passed. May return
// early, so the caller looks again at what it waits for.
bool condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, struct mono_time deadline);

#endif
