#include "agent/pipeline/waits.h"

#include "agent/base/buffer.h"

#include <string.h>

void waits_init(struct waits *waits)
{
    *waits = (struct waits){0};
    pthread_mutex_init(&waits->lock, NULL);
}

void waits_finish(struct waits *waits)
{
    pthread_mutex_destroy(&waits->lock);
}

bool waits_begin(struct waits *waits, const char *server)
{
    char **place = NULL;
    int same = 0;
    pthread_mutex_lock(&waits->lock);
    for (size_t i = 0; i < WAITS_MAX; i++) {
        if (!waits->servers[i])
            place = &waits->servers[i];
        else
            same += strcmp(waits->servers[i], server) == 0;
    }
    bool may = place && same < WAITS_SAME_MAX;
    if (may)
        *place = xstrdup(server);
    pthread_mutex_unlock(&waits->lock);
    return may;
}

void waits_end(struct waits *waits, const char *server)
{
    pthread_mutex_lock(&waits->lock);
    size_t i = 0;
    while (!waits->servers[i] || strcmp(waits->servers[i], server) != 0)
        i++;
    free(waits->servers[i]);
    waits->servers[i] = NULL;
    pthread_mutex_unlock(&waits->lock);
}
