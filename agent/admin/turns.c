#include "agent/admin/turns.h"
#include "agent/base/clock.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; // guards the list
static pthread_cond_t ended = PTHREAD_COND_INITIALIZER;
static struct turn *taken;

static bool is_taken(const char *service)
{
    for (const struct turn *turn = taken; turn; turn = turn->next)
        if (strcmp(turn->service, service) == 0)
            return true;
    return false;
}

bool turn_begin(struct turn *turn, const char *service, int64_t wait_ms, struct error *err)
{
    struct mono_time deadline = mono_after(wait_ms);
    const struct timespec until = {.tv_sec = deadline.ms / 1000,
                                   .tv_nsec = deadline.ms % 1000 * 1000000};
    pthread_mutex_lock(&mutex);
    while (is_taken(service) && !mono_past(deadline))
        pthread_cond_clockwait(&ended, &mutex, CLOCK_MONOTONIC, &until);
    bool free = !is_taken(service);
    if (free) {
        *turn = (struct turn){.service = service, .next = taken};
        taken = turn;
    }
    pthread_mutex_unlock(&mutex);
    return free || error_set(err, ERR_CONFLICT, "another request is just at work on %s", service);
}

void turn_end(struct turn *turn)
{
    if (!turn->service)
        return;
    pthread_mutex_lock(&mutex);
    struct turn **at = &taken;
    while (*at != turn)
        at = &(*at)->next;
    *at = turn->next;
    pthread_cond_broadcast(&ended);
    pthread_mutex_unlock(&mutex);
    *turn = (struct turn){0};
}
