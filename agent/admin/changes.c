#include "agent/admin/changes.h"

#include "agent/base/buffer.h"
#include "agent/base/threads.h"

#include <inttypes.h>

struct changes {
    pthread_mutex_t lock; // guards what follows; no other lock is taken under it
    pthread_cond_t more;
    char *keys[CHANGES_REMEMBERED]; // the n-th change is at n modulo that
    uint64_t count;                 // of changes ever
    unsigned readers;
    unsigned idle; // of them, that wait for a change; others wait until they may take some
    bool ended;
};

struct changes *changes_create(void)
{
    struct changes *changes = xalloc(sizeof *changes);
    pthread_mutex_init(&changes->lock, NULL);
    condition_init(&changes->more);
    return changes;
}

void changes_destroy(struct changes *changes)
{
    if (!changes)
        return;
    for (size_t i = 0; i < CHANGES_REMEMBERED; i++)
        free(changes->keys[i]);
    pthread_cond_destroy(&changes->more);
    pthread_mutex_destroy(&changes->lock);
    free(changes);
}

void changes_end(struct changes *changes)
{
    pthread_mutex_lock(&changes->lock);
    changes->ended = true;
    pthread_cond_broadcast(&changes->more);
    pthread_mutex_unlock(&changes->lock);
}

// --- what changed ---

// Takes `key` over. Without a reader nothing needs to be remembered.
static void remember(struct changes *changes, char *key)
{
    pthread_mutex_lock(&changes->lock);
    if (changes->readers > 0) {
        char **at = &changes->keys[changes->count++ % CHANGES_REMEMBERED];
        free(*at);
        *at = TAKE(key);
        if (changes->idle > 0)
            pthread_cond_broadcast(&changes->more);
    }
    pthread_mutex_unlock(&changes->lock);
    free(key);
}

static void remember_id(struct changes *changes, enum changes_letter letter, int64_t id)
{
    remember(changes, xasprintf("%c:%" PRId64, (char)letter, id));
}

void changes_service(struct changes *changes, const char *namespace_, const char *name)
{
    remember(changes, xasprintf("%c:%s/%s", (char)CHANGES_SERVICE, namespace_, name));
}

void changes_all_services(struct changes *changes)
{
    remember_id(changes, CHANGES_ALL_SERVICES, 0);
}

void changes_build(struct changes *changes, int64_t id)
{
    remember_id(changes, CHANGES_BUILD, id);
}

void changes_delivery(struct changes *changes, int64_t seq)
{
    remember_id(changes, CHANGES_DELIVERY, seq);
}

void changes_run(struct changes *changes, int64_t id)
{
    remember_id(changes, CHANGES_RUN, id);
}

// --- readers ---

bool changes_enter(struct changes *changes, struct changes_reader *reader)
{
    pthread_mutex_lock(&changes->lock);
    bool room = changes->readers < CHANGES_READERS_MAX;
    if (room)
        changes->readers++;
    *reader = (struct changes_reader){.seen = changes->count};
    pthread_mutex_unlock(&changes->lock);
    return room;
}

void changes_leave(struct changes *changes)
{
    pthread_mutex_lock(&changes->lock);
    changes->readers--;
    pthread_mutex_unlock(&changes->lock);
}

// Under the lock. Until there are changes and it is time to take them, or until then.
static void await_more(struct changes *changes, const struct changes_reader *reader,
                       struct mono_time until)
{
    while (!changes->ended && !mono_past(until)) {
        bool any = changes->count != reader->seen;
        if (any && mono_past(reader->next))
            return;
        changes->idle += !any;
        condition_wait(&changes->more, &changes->lock,
                       any && reader->next.ms < until.ms ? reader->next : until);
        changes->idle -= !any;
    }
}

bool changes_take(struct changes *changes, struct changes_reader *reader, json_t *due,
                  struct mono_time until)
{
    pthread_mutex_lock(&changes->lock);
    await_more(changes, reader, until);
    bool goes_on = !changes->ended && changes->count - reader->seen <= CHANGES_REMEMBERED &&
                   json_object_size(due) <= CHANGES_DUE_MAX;
    if (goes_on && changes->count != reader->seen && mono_past(reader->next)) {
        for (; reader->seen < changes->count; reader->seen++)
            json_object_set_new(due, changes->keys[reader->seen % CHANGES_REMEMBERED], json_null());
        reader->next = mono_after(CHANGES_COALESCE_MS);
    }
    pthread_mutex_unlock(&changes->lock);
    return goes_on;
}
