#include "agent/base/threads.h"

#include <signal.h>
#include <stdlib.h>

bool thread_try(pthread_t *out, const char *name, void *(*run)(void *), void *user)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(out, NULL, run, user) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started)
        pthread_setname_np(*out, name);
    return started;
}

void thread_start(pthread_t *out, const char *name, void *(*run)(void *), void *user)
{
    if (!thread_try(out, name, run, user))
        abort();
}

void condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

bool condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, struct mono_time deadline)
{
    if (deadline.ms == INT64_MAX)
        return pthread_cond_wait(condition, mutex) == 0;
    struct timespec until = {.tv_sec = deadline.ms / 1000, .tv_nsec = deadline.ms % 1000 * 1000000};
    return pthread_cond_timedwait(condition, mutex, &until) == 0;
}
