#include "agent/queue.h"

#include "agent/base/buffer.h"
#include "agent/base/crypto.h"
#include "agent/base/threads.h"

#include <search.h>
#include <string.h>

#define NOT_DUE SIZE_MAX

// What is known of a key that is waiting, delayed, being run, or has failed.
struct key {
    char *name;
    struct key *next_ready;
    struct mono_time since; // in the list of ready keys
    bool ready;             // in the list of ready keys, or to be put there when its run ends
    bool running;           // some worker has it
    int tries;              // failures since the last run that was done
    struct mono_time due;
    size_t place; // in the heap of delayed keys; NOT_DUE: not delayed
};

struct work_queue {
    work_queue_run run;
    void *user;
    pthread_t *threads;
    int thread_count;

    pthread_mutex_t lock;   // guards what follows
    pthread_cond_t changed; // a key became ready or is due earlier, or `closing`
    void *keys;             // tsearch() tree of struct key, by name
    struct key *first_ready, **last_ready;
    struct key **delayed; // binary heap, the one that is due first on top
    size_t delayed_count, delayed_room;
    size_t ready_count, running_count;
    bool closing;
};

// --- keys ---

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct key *)a)->name, ((const struct key *)b)->name);
}

static void free_key(void *key)
{
    free(((struct key *)key)->name);
    free(key);
}

static struct key *find_or_make(struct work_queue *queue, const char *name)
{
    struct key *key = xalloc(sizeof *key);
    key->name = xstrdup(name);
    key->place = NOT_DUE;
    struct key **found = tsearch(key, &queue->keys, by_name);
    if (!found)
        abort();
    if (*found != key)
        free_key(key);
    return *found;
}

static void forget_if_idle(struct work_queue *queue, struct key *key)
{
    if (key->ready || key->running || key->tries || key->place != NOT_DUE)
        return;
    tdelete(key, &queue->keys, by_name);
    free_key(key);
}

// --- ready keys ---

static void put_in_line(struct work_queue *queue, struct key *key)
{
    key->next_ready = NULL;
    key->since = mono_now();
    queue->ready_count++;
    *queue->last_ready = key;
    queue->last_ready = &key->next_ready;
    pthread_cond_signal(&queue->changed);
}

static void make_ready(struct work_queue *queue, struct key *key)
{
    if (key->ready)
        return;
    key->ready = true;
    if (!key->running)
        put_in_line(queue, key);
}

static struct key *take_ready(struct work_queue *queue)
{
    struct key *key = queue->first_ready;
    if (!key)
        return NULL;
    queue->first_ready = key->next_ready;
    if (!queue->first_ready)
        queue->last_ready = &queue->first_ready;
    key->ready = false;
    key->running = true;
    queue->ready_count--;
    queue->running_count++;
    return key;
}

// --- delayed keys ---

static void put_at(struct work_queue *queue, size_t place, struct key *key)
{
    queue->delayed[place] = key;
    key->place = place;
}

static void sift_up(struct work_queue *queue, struct key *key)
{
    size_t place = key->place;
    while (place && queue->delayed[(place - 1) / 2]->due.ms > key->due.ms) {
        put_at(queue, place, queue->delayed[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    put_at(queue, place, key);
}

static void sift_down(struct work_queue *queue, struct key *key)
{
    size_t place = key->place;
    for (size_t child; (child = 2 * place + 1) < queue->delayed_count; place = child) {
        if (child + 1 < queue->delayed_count &&
            queue->delayed[child + 1]->due.ms < queue->delayed[child]->due.ms)
            child++;
        if (queue->delayed[child]->due.ms >= key->due.ms)
            break;
        put_at(queue, place, queue->delayed[child]);
    }
    put_at(queue, place, key);
}

static void delay_key(struct work_queue *queue, struct key *key, struct mono_time due)
{
    if (key->place == NOT_DUE) {
        if (queue->delayed_count == queue->delayed_room) {
            queue->delayed_room = queue->delayed_room ? 2 * queue->delayed_room : 64;
            queue->delayed = xrealloc(queue->delayed, queue->delayed_room * sizeof *queue->delayed);
        }
        put_at(queue, queue->delayed_count++, key);
    } else if (key->due.ms <= due.ms) {
        return;
    }
    key->due = due;
    sift_up(queue, key);
    if (key->place == 0)
        pthread_cond_signal(&queue->changed);
}

static void make_due_ready(struct work_queue *queue)
{
    while (queue->delayed_count && mono_past(queue->delayed[0]->due)) {
        struct key *key = queue->delayed[0];
        struct key *last = queue->delayed[--queue->delayed_count];
        if (last != key) {
            last->place = 0;
            sift_down(queue, last);
        }
        key->place = NOT_DUE;
        make_ready(queue, key);
    }
}

// --- workers ---

static void wait_for_change(struct work_queue *queue)
{
    struct mono_time never = {INT64_MAX};
    condition_wait(&queue->changed, &queue->lock,
                   queue->delayed_count ? queue->delayed[0]->due : never);
}

static struct key *take(struct work_queue *queue)
{
    while (!queue->closing) {
        make_due_ready(queue);
        struct key *key = take_ready(queue);
        if (key) {
            // This worker may have been the only one that knew when the next key is due.
            pthread_cond_signal(&queue->changed);
            return key;
        }
        wait_for_change(queue);
    }
    return NULL;
}

int64_t work_queue_back_off_least_ms(int tries)
{
    int64_t longest = WORK_QUEUE_BACKOFF_MIN;
    for (int i = 0; i < tries && longest < WORK_QUEUE_BACKOFF_MAX; i++)
        longest *= 2;
    if (longest > WORK_QUEUE_BACKOFF_MAX)
        longest = WORK_QUEUE_BACKOFF_MAX;
    return longest / 2;
}

int64_t work_queue_back_off_ms(int tries)
{
    int64_t least = work_queue_back_off_least_ms(tries);
    uint32_t random;
    random_bytes(&random, sizeof random);
    return least + (int64_t)random % (least + 1);
}

static void finish_run(struct work_queue *queue, struct key *key, enum work_result result)
{
    key->running = false;
    queue->running_count--;
    if (result == WORK_DONE)
        key->tries = 0;
    if (result == WORK_FAILED)
        delay_key(queue, key, mono_after(work_queue_back_off_ms(key->tries++)));
    if (key->ready)
        put_in_line(queue, key);
    forget_if_idle(queue, key);
}

static void *work(void *arg)
{
    struct work_queue *queue = arg;
    pthread_mutex_lock(&queue->lock);
    for (struct key *key; (key = take(queue));) {
        int tries = key->tries;
        pthread_mutex_unlock(&queue->lock);
        enum work_result result = queue->run(queue->user, key->name, tries);
        pthread_mutex_lock(&queue->lock);
        finish_run(queue, key, result);
    }
    pthread_mutex_unlock(&queue->lock);
    return NULL;
}

// --- the queue ---

struct work_queue *work_queue_create(work_queue_run run, void *user)
{
    struct work_queue *queue = xalloc(sizeof *queue);
    queue->run = run;
    queue->user = user;
    queue->last_ready = &queue->first_ready;
    pthread_mutex_init(&queue->lock, NULL);
    condition_init(&queue->changed);
    return queue;
}

void work_queue_start(struct work_queue *queue, int workers)
{
    queue->threads = xalloc((size_t)workers * sizeof *queue->threads);
    for (; queue->thread_count < workers; queue->thread_count++)
        thread_start(&queue->threads[queue->thread_count], "work-queue", work, queue);
}

void work_queue_destroy(struct work_queue *queue)
{
    if (!queue)
        return;
    pthread_mutex_lock(&queue->lock);
    queue->closing = true;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
    for (int i = 0; i < queue->thread_count; i++)
        pthread_join(queue->threads[i], NULL);
    tdestroy(queue->keys, free_key);
    free(queue->delayed);
    free(queue->threads);
    pthread_cond_destroy(&queue->changed);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

void work_queue_add(struct work_queue *queue, const char *key)
{
    pthread_mutex_lock(&queue->lock);
    if (!queue->closing)
        make_ready(queue, find_or_make(queue, key));
    pthread_mutex_unlock(&queue->lock);
}

void work_queue_figures(struct work_queue *queue, struct work_queue_figures *out)
{
    pthread_mutex_lock(&queue->lock);
    *out = (struct work_queue_figures){.ready = queue->ready_count,
                                       .delayed = queue->delayed_count,
                                       .running = queue->running_count};
    if (queue->first_ready)
        out->oldest_ms = mono_now().ms - queue->first_ready->since.ms;
    pthread_mutex_unlock(&queue->lock);
}

void work_queue_after(struct work_queue *queue, const char *key, int64_t delay_ms)
{
    pthread_mutex_lock(&queue->lock);
    if (!queue->closing)
        delay_key(queue, find_or_make(queue, key), mono_after(delay_ms));
    pthread_mutex_unlock(&queue->lock);
}
