#include "agent/admin/attempts.h"

#include "agent/base/buffer.h"

#include <pthread.h>
#include <string.h>

#define LOG_MS 1000

struct debtor {
    uint8_t key[DOOR_KEY_SIZE];
    struct mono_time clear; // until then it owes for its wrong tokens
};

struct attempts {
    pthread_mutex_t lock; // guards what follows; no other lock is taken under it
    struct debtor debtors[ATTEMPTS_ADDRESSES];
    uint64_t not_logged;
    struct mono_time next_log;
};

struct attempts *attempts_create(void)
{
    struct attempts *attempts = xalloc(sizeof *attempts);
    pthread_mutex_init(&attempts->lock, NULL);
    return attempts;
}

void attempts_destroy(struct attempts *attempts)
{
    if (!attempts)
        return;
    pthread_mutex_destroy(&attempts->lock);
    free(attempts);
}

static struct debtor *find(struct attempts *attempts, const uint8_t key[static DOOR_KEY_SIZE])
{
    struct debtor *least = &attempts->debtors[0];
    for (size_t i = 0; i < ATTEMPTS_ADDRESSES; i++) {
        struct debtor *each = &attempts->debtors[i];
        if (memcmp(each->key, key, DOOR_KEY_SIZE) == 0)
            return each;
        if (each->clear.ms < least->clear.ms)
            least = each;
    }
    *least = (struct debtor){0};
    memcpy(least->key, key, DOOR_KEY_SIZE);
    return least;
}

int64_t attempts_wrong(struct attempts *attempts, const uint8_t key[static DOOR_KEY_SIZE],
                       struct mono_time now)
{
    static const int64_t most = ATTEMPTS_FREE * ATTEMPTS_COST_MS + ATTEMPTS_DELAY_MAX;
    pthread_mutex_lock(&attempts->lock);
    struct debtor *debtor = find(attempts, key);
    int64_t owed = debtor->clear.ms > now.ms ? debtor->clear.ms - now.ms : 0;
    owed += ATTEMPTS_COST_MS;
    if (owed > most)
        owed = most;
    debtor->clear.ms = now.ms + owed;
    attempts->not_logged++;
    pthread_mutex_unlock(&attempts->lock);
    int64_t delay = owed - ATTEMPTS_FREE * ATTEMPTS_COST_MS;
    return delay > 0 ? delay : 0;
}

uint64_t attempts_to_log(struct attempts *attempts, struct mono_time now)
{
    uint64_t count = 0;
    pthread_mutex_lock(&attempts->lock);
    if (now.ms >= attempts->next_log.ms) {
        count = attempts->not_logged;
        attempts->not_logged = 0;
        attempts->next_log.ms = now.ms + LOG_MS;
    }
    pthread_mutex_unlock(&attempts->lock);
    return count;
}
