#include "agent/base/threads.h"

#include <signal.h>
#include <stdlib.h>

void thread_start(pthread_t *out, const char *name, void *(*run)(void *), void *user)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(out, NULL, run, user) != 0)
        abort();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_setname_np(*out, name);
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
