#include "agent/pipeline/tries.h"

#include "agent/base/buffer.h"

#include <pthread.h>
#include <string.h>

struct failing {
    char *source;
    struct tried tried;
};

struct tries {
    int64_t (*back_off_ms)(int tries);
    pthread_mutex_t lock; // guards what follows
    struct failing *items;
    size_t count, room;
};

struct tries *tries_create(int64_t (*back_off_ms)(int tries))
{
    struct tries *tries = xalloc(sizeof *tries);
    tries->back_off_ms = back_off_ms;
    pthread_mutex_init(&tries->lock, NULL);
    return tries;
}

void tries_destroy(struct tries *tries)
{
    if (!tries)
        return;
    for (size_t i = 0; i < tries->count; i++)
        free(tries->items[i].source);
    free(tries->items);
    pthread_mutex_destroy(&tries->lock);
    free(tries);
}

// The lock is held. NULL when it has not failed.
static struct failing *find(struct tries *tries, const char *source)
{
    for (size_t i = 0; i < tries->count; i++)
        if (strcmp(tries->items[i].source, source) == 0)
            return &tries->items[i];
    return NULL;
}

static void take_out(struct tries *tries, struct failing *item)
{
    free(item->source);
    *item = tries->items[--tries->count];
}

// The lock is held. Of those that no service has any more, say.
static void forget_old(struct tries *tries)
{
    int64_t now = mono_now().ms;
    for (size_t i = tries->count; i > 0; i--)
        if (now - tries->items[i - 1].tried.due.ms > TRIES_FORGET_MS)
            take_out(tries, &tries->items[i - 1]);
}

static struct failing *add(struct tries *tries, const char *source)
{
    forget_old(tries);
    if (tries->count == TRIES_MAX) {
        struct failing *first = tries->items;
        for (size_t i = 1; i < tries->count; i++)
            if (tries->items[i].tried.due.ms < first->tried.due.ms)
                first = &tries->items[i];
        take_out(tries, first);
    }
    if (tries->count == tries->room) {
        tries->room = tries->room ? 2 * tries->room : 16;
        tries->items = xrealloc(tries->items, tries->room * sizeof *tries->items);
    }
    struct failing *item = &tries->items[tries->count++];
    *item = (struct failing){.source = xstrdup(source)};
    return item;
}

struct tried tries_failed(struct tries *tries, const char *source)
{
    pthread_mutex_lock(&tries->lock);
    struct failing *item = find(tries, source);
    if (!item)
        item = add(tries, source);
    if (item->tried.count == 0 || mono_past(item->tried.due))
        item->tried.due = mono_after(tries->back_off_ms(item->tried.count++));
    struct tried tried = item->tried;
    pthread_mutex_unlock(&tries->lock);
    return tried;
}

int tries_count(struct tries *tries, const char *source)
{
    pthread_mutex_lock(&tries->lock);
    const struct failing *item = find(tries, source);
    int count = item ? item->tried.count : 0;
    pthread_mutex_unlock(&tries->lock);
    return count;
}

int tries_forget(struct tries *tries, const char *source)
{
    pthread_mutex_lock(&tries->lock);
    struct failing *item = find(tries, source);
    int count = item ? item->tried.count : 0;
    if (item)
        take_out(tries, item);
    pthread_mutex_unlock(&tries->lock);
    return count;
}

size_t tries_sources(struct tries *tries)
{
    pthread_mutex_lock(&tries->lock);
    forget_old(tries);
    size_t count = tries->count;
    pthread_mutex_unlock(&tries->lock);
    return count;
}
