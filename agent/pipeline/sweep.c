// When each branch is asked for its head though nobody pushed, and when that was last done.
#include "agent/base/crypto.h"
#include "agent/base/text.h"
#include "agent/pipeline/steps.h"

#include <string.h>

#define PACE_MS      100 // a round asks no more than ten branches a second, unless it lasts too long
#define SPREAD_SHARE 10 // of the interval: so long at most, and so fresh is what is not asked again

struct sweep {
    uint64_t seed; // each agent goes round in an order of its own
    pthread_mutex_t lock;
    struct mono_time began; // the round; never: there was none
    int64_t spread_ms;      // over which its branches' turns are spread
    int64_t fresh_ms;       // what was asked so shortly before its turn is not asked again; -1: in
                            // the first round, what was asked since that began
    json_t *checks;         // key → when its head was last asked for, wall time in ms
};

struct sweep *sweep_create(void)
{
    struct sweep *sweep = xalloc(sizeof *sweep);
    random_bytes(&sweep->seed, sizeof sweep->seed);
    pthread_mutex_init(&sweep->lock, NULL);
    sweep->began.ms = INT64_MAX;
    sweep->checks = json_object();
    return sweep;
}

void sweep_destroy(struct sweep *sweep)
{
    if (!sweep)
        return;
    json_decref(sweep->checks);
    pthread_mutex_destroy(&sweep->lock);
    free(sweep);
}

// Under the lock. Those that nobody follows any more go; those that are new count from now on.
static void keep_followed(struct sweep *sweep, json_t *followed)
{
    json_t *kept = json_object();
    const char *key;
    json_t *unused;
    json_object_foreach(followed, key, unused)
    {
        json_t *checked = json_object_get(sweep->checks, key);
        json_object_set_new(kept, key,
                            checked ? json_incref(checked) : json_integer(wall_now().ms));
    }
    json_decref(sweep->checks);
    sweep->checks = kept;
}

void sweep_begin(struct sweep *sweep, json_t *followed, int64_t interval_ms)
{
    int64_t share = interval_ms / SPREAD_SHARE;
    int64_t paced = (int64_t)json_object_size(followed) * PACE_MS;
    pthread_mutex_lock(&sweep->lock);
    sweep->fresh_ms = sweep->began.ms == INT64_MAX ? -1 : share;
    sweep->began = mono_now();
    sweep->spread_ms = paced < share ? paced : share;
    keep_followed(sweep, followed);
    pthread_mutex_unlock(&sweep->lock);
}

// Under the lock.
static int64_t turn_ms(const struct sweep *sweep, const char *key)
{
    return sweep->spread_ms > 0
               ? (int64_t)(text_hash(sweep->seed, key) % (uint64_t)sweep->spread_ms)
               : 0;
}

int64_t sweep_turn_ms(struct sweep *sweep, const char *key)
{
    pthread_mutex_lock(&sweep->lock);
    int64_t turn = turn_ms(sweep, key);
    pthread_mutex_unlock(&sweep->lock);
    return turn;
}

int64_t sweep_wait_ms(struct sweep *sweep, const char *key)
{
    pthread_mutex_lock(&sweep->lock);
    bool none = sweep->began.ms == INT64_MAX;
    int64_t left = none ? 0 : sweep->began.ms + turn_ms(sweep, key) - mono_now().ms;
    pthread_mutex_unlock(&sweep->lock);
    return left > 0 ? left : 0;
}

bool sweep_is_due(struct sweep *sweep, const char *key, struct wall_time checked)
{
    int64_t age = wall_now().ms - checked.ms;
    if (checked.ms == 0 || age < 0) // the clock was put back: who knows how old it is
        return true;
    pthread_mutex_lock(&sweep->lock);
    int64_t turn = turn_ms(sweep, key), since = mono_now().ms - sweep->began.ms - turn;
    int64_t fresh = sweep->fresh_ms >= 0 ? sweep->fresh_ms : turn;
    bool due = sweep->began.ms != INT64_MAX && since >= 0 && age > since + fresh;
    pthread_mutex_unlock(&sweep->lock);
    return due;
}

void sweep_note(struct sweep *sweep, const char *key, struct wall_time checked)
{
    pthread_mutex_lock(&sweep->lock);
    if (checked.ms == 0)
        json_object_del(sweep->checks, key);
    else
        json_object_set_new(sweep->checks, key, json_integer(checked.ms));
    pthread_mutex_unlock(&sweep->lock);
}

int64_t pipeline_oldest_check(const struct pipeline *pipeline, char *key, size_t room)
{
    struct sweep *sweep = pipeline->sweep;
    int64_t now = wall_now().ms, oldest = now;
    const char *each, *found = "";
    json_t *checked;
    pthread_mutex_lock(&sweep->lock);
    json_object_foreach(sweep->checks, each, checked)
    {
        if (json_integer_value(checked) >= oldest)
            continue;
        oldest = json_integer_value(checked);
        found = each;
    }
    text_copy(key, room, found);
    pthread_mutex_unlock(&sweep->lock);
    return now - oldest;
}
