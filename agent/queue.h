// A keyed work queue: one worker per key at a time, repeats merged, delays, back-off.
//
// A key that is added while a worker has it is run once more when that worker is done. The queue is
// bounded by the number of different keys alone. Any thread.
#ifndef CRONWRIGHT_QUEUE_H
#define CRONWRIGHT_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#define WORK_QUEUE_BACKOFF_MIN 1000  // ms, doubled with each failure, with jitter, up to:
#define WORK_QUEUE_BACKOFF_MAX 60000 //

struct work_queue;

// How long what failed so often before (0: for the first time) waits for its next try: of the
// doubled time the upper half at random, so that what failed together does not come back together.
int64_t work_queue_back_off_ms(int tries);
// The shortest that may be.
int64_t work_queue_back_off_least_ms(int tries);

// How a run of a key ended.
enum work_result {
    WORK_DONE,    // earlier failures are forgotten
    WORK_WAITING, // nothing came of it yet: earlier failures still count
    WORK_FAILED,  // again after a back-off; a work_queue_add() meanwhile does not wait for that
};

// `tries`: how many runs of this key failed since the last that was done.
typedef enum work_result (*work_queue_run)(void *user, const char *key, int tries);

// Keys may be added at once; workers run after work_queue_start().
struct work_queue *work_queue_create(work_queue_run run, void *user);
void work_queue_start(struct work_queue *queue, int workers);
// Waits for the keys that are being run, forgets the rest, frees. NULL is fine.
void work_queue_destroy(struct work_queue *queue);

void work_queue_add(struct work_queue *queue, const char *key);

struct work_queue_figures {
    size_t ready, delayed, running;
    int64_t oldest_ms; // how long the first ready key has waited for a worker; 0: none waits
};
void work_queue_figures(struct work_queue *queue, struct work_queue_figures *out);

// At the latest after that long: of several delays the shortest holds.
void work_queue_after(struct work_queue *queue, const char *key, int64_t delay_ms);

#endif
