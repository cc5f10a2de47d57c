// The keyed work queue: merging, one worker per key, delays, back-off, shutdown.
#include "agent/base/clock.h"
#include "agent/queue.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

// What ran, in order, with times; and gates to hold runs up.
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct {
        char key[16];
        int tries;
        int64_t at;
    } runs[64];
    int count;
    sem_t started, gate;
    struct work_queue *queue;
    int failures_left;       // of run_failing()
    enum work_result result; // of its other runs
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void note(const char *key, int tries)
{
    pthread_mutex_lock(&seen.lock);
    assert_true(seen.count < 64);
    snprintf(seen.runs[seen.count].key, sizeof seen.runs[0].key, "%s", key);
    seen.runs[seen.count].tries = tries;
    seen.runs[seen.count++].at = mono_now().ms;
    pthread_cond_broadcast(&seen.changed);
    pthread_mutex_unlock(&seen.lock);
}

static void await_runs(int count)
{
    pthread_mutex_lock(&seen.lock);
    while (seen.count < count)
        pthread_cond_wait(&seen.changed, &seen.lock);
    pthread_mutex_unlock(&seen.lock);
}

static enum work_result run_plain(void *user, const char *key, int tries)
{
    (void)user;
    note(key, tries);
    return WORK_DONE;
}

// Keys that start with "held" wait at the gate.
static enum work_result run_held(void *user, const char *key, int tries)
{
    (void)user;
    note(key, tries);
    if (strncmp(key, "held", 4) == 0) {
        sem_post(&seen.started);
        sem_wait(&seen.gate);
    }
    return WORK_DONE;
}

static enum work_result run_failing(void *user, const char *key, int tries)
{
    (void)user;
    bool fails = seen.failures_left > 0;
    seen.failures_left -= fails;
    note(key, tries);
    return fails ? WORK_FAILED : seen.result;
}

static void begin(work_queue_run run, int workers)
{
    seen.count = 0;
    sem_init(&seen.started, 0, 0);
    sem_init(&seen.gate, 0, 0);
    seen.queue = work_queue_create(run, NULL);
    if (workers)
        work_queue_start(seen.queue, workers);
}

static void test_repeats_are_merged_in_order(void **state)
{
    (void)state;
    begin(run_plain, 0);
    const char *const keys[] = {"b", "a", "b", "c", "a", "b"};
    for (size_t i = 0; i < 6; i++)
        work_queue_add(seen.queue, keys[i]);
    struct work_queue_figures figures;
    work_queue_figures(seen.queue, &figures);
    assert_int_equal(figures.ready, 3);
    assert_int_equal(figures.running, 0);
    assert_true(figures.oldest_ms >= 0);
    work_queue_start(seen.queue, 1);
    await_runs(3);
    work_queue_destroy(seen.queue);
    assert_int_equal(seen.count, 3);
    assert_string_equal(seen.runs[0].key, "b");
    assert_string_equal(seen.runs[1].key, "a");
    assert_string_equal(seen.runs[2].key, "c");
}

static void test_woken_while_running_runs_once_more(void **state)
{
    (void)state;
    begin(run_held, 2);
    work_queue_add(seen.queue, "held");
    sem_wait(&seen.started);
    for (int i = 0; i < 5; i++)
        work_queue_add(seen.queue, "held");
    work_queue_add(seen.queue, "other"); // the second worker is free for it
    await_runs(2);
    work_queue_after(seen.queue, "later", 60000);
    struct work_queue_figures figures;
    work_queue_figures(seen.queue, &figures);
    assert_int_equal(figures.delayed, 1);
    assert_int_equal(figures.ready, 0); // "held" is not in line while it runs
    assert_true(figures.running >= 1);
    assert_string_equal(seen.runs[1].key, "other");
    sem_post(&seen.gate);
    sem_wait(&seen.started);
    sem_post(&seen.gate);
    work_queue_destroy(seen.queue);
    assert_int_equal(seen.count, 3);
    assert_string_equal(seen.runs[2].key, "held");
}

static void test_the_shortest_delay_holds(void **state)
{
    (void)state;
    begin(run_plain, 1);
    int64_t start = mono_now().ms;
    work_queue_after(seen.queue, "a", 60000);
    work_queue_after(seen.queue, "a", 800);
    work_queue_after(seen.queue, "a", 30000);
    work_queue_after(seen.queue, "b", 40);
    await_runs(2);
    assert_string_equal(seen.runs[0].key, "b");
    assert_string_equal(seen.runs[1].key, "a");
    assert_in_range(seen.runs[0].at - start, 40, 5000);
    assert_in_range(seen.runs[1].at - start, 800, 5000);
    work_queue_destroy(seen.queue);
    assert_int_equal(seen.count, 2);
}

// Whoever is interrupted while adding a key only knows between which two times that one is due.
static void test_delays_in_any_order(void **state)
{
    (void)state;
    begin(run_plain, 0);
    int64_t earliest[50], latest[50];
    for (int i = 0; i < 50; i++) {
        int number = i * 17 % 50; // a permutation: 17 and 50 have no common divisor
        char key[8];
        snprintf(key, sizeof key, "%02d", number);
        earliest[number] = mono_now().ms + 100 + 4 * number;
        work_queue_after(seen.queue, key, 100 + 4 * number);
        latest[number] = mono_now().ms + 100 + 4 * number;
    }
    work_queue_start(seen.queue, 1);
    await_runs(50);
    work_queue_destroy(seen.queue);
    bool ran[50] = {false};
    int64_t reached = 0;
    for (int i = 0; i < 50; i++) {
        int number = atoi(seen.runs[i].key);
        assert_false(ran[number]);
        ran[number] = true;
        assert_true(seen.runs[i].at >= earliest[number]);
        assert_true(latest[number] >= reached); // none that was due later went first
        reached = earliest[number] > reached ? earliest[number] : reached;
    }
}

static void test_a_busy_worker_does_not_keep_the_time_to_itself(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        begin(run_held, 2);
        work_queue_after(seen.queue, "due", 20);
        work_queue_add(seen.queue, "held"); // whichever worker takes it, the other wakes for "due"
        sem_wait(&seen.started);
        await_runs(2); // "held" stays until the gate opens
        sem_post(&seen.gate);
        work_queue_destroy(seen.queue);
    }
}

static void test_back_off_and_forgetting(void **state)
{
    (void)state;
    begin(run_failing, 0);
    seen.failures_left = 2;
    work_queue_start(seen.queue, 2);
    work_queue_add(seen.queue, "a");
    await_runs(3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(seen.runs[i].tries, i);
    assert_in_range(seen.runs[1].at - seen.runs[0].at, WORK_QUEUE_BACKOFF_MIN / 2,
                    WORK_QUEUE_BACKOFF_MIN + 5000);
    assert_in_range(seen.runs[2].at - seen.runs[1].at, WORK_QUEUE_BACKOFF_MIN,
                    2 * WORK_QUEUE_BACKOFF_MIN + 5000);

    // It succeeded: the next failure is a first one again. And an add does not wait for the
    // back-off.
    seen.failures_left = 1;
    work_queue_add(seen.queue, "a");
    await_runs(4);
    work_queue_add(seen.queue, "a");
    await_runs(5);
    assert_int_equal(seen.runs[3].tries, 0);
    assert_int_equal(seen.runs[4].tries, 1);
    assert_in_range(seen.runs[4].at - seen.runs[3].at, 0, WORK_QUEUE_BACKOFF_MIN / 2 - 1);
    work_queue_destroy(seen.queue);
}

static void test_failures_are_not_forgotten_while_waiting(void **state)
{
    (void)state;
    begin(run_failing, 0);
    seen.failures_left = 1;
    seen.result = WORK_WAITING;
    work_queue_start(seen.queue, 1);
    work_queue_add(seen.queue, "a");
    await_runs(2);
    work_queue_add(seen.queue, "a");
    await_runs(3);
    assert_int_equal(seen.runs[0].tries, 0);
    assert_int_equal(seen.runs[1].tries, 1);
    assert_int_equal(seen.runs[2].tries, 1);
    work_queue_destroy(seen.queue);
    seen.result = WORK_DONE;
}

// When the queue takes no key any more, it is closing.
static void *open_gate(void *arg)
{
    (void)arg;
    struct work_queue_figures before, after;
    for (int i = 0;; i++) {
        char key[16];
        snprintf(key, sizeof key, "probe-%d", i);
        work_queue_figures(seen.queue, &before);
        work_queue_add(seen.queue, key);
        work_queue_figures(seen.queue, &after);
        if (after.ready == before.ready)
            break;
    }
    note("gate", 0);
    sem_post(&seen.gate);
    return NULL;
}

static void test_destroy_waits_and_forgets(void **state)
{
    (void)state;
    begin(run_held, 1);
    work_queue_add(seen.queue, "held");
    sem_wait(&seen.started);
    work_queue_add(seen.queue, "held");
    work_queue_add(seen.queue, "queued");
    work_queue_after(seen.queue, "delayed", 0);
    pthread_t opener;
    assert_int_equal(pthread_create(&opener, NULL, open_gate, NULL), 0);
    work_queue_destroy(seen.queue);
    note("destroyed", 0);
    pthread_join(opener, NULL);
    assert_int_equal(seen.count, 3);
    assert_string_equal(seen.runs[1].key, "gate");
    work_queue_destroy(NULL);
}

// --- races: for the thread sanitizer too ---

enum { KEYS = 5, PRODUCERS = 4, ADDS = 4000 };

static struct {
    struct work_queue *queue;
    atomic_int running[KEYS];
    atomic_int added[KEYS]; // counted before the add
    atomic_int seen[KEYS];  // what of `added` a run saw
    atomic_int runs;
    atomic_bool broken;
} race;

static enum work_result run_race(void *user, const char *key, int tries)
{
    (void)user;
    (void)tries;
    int i = key[0] - '0';
    if (atomic_fetch_add(&race.running[i], 1) != 0)
        race.broken = true;
    atomic_store(&race.seen[i], atomic_load(&race.added[i]));
    int run = atomic_fetch_add(&race.runs, 1);
    if (run % 7 == 0)
        work_queue_after(race.queue, key, 1);
    if (run % 11 == 0)
        work_queue_add(race.queue, key);
    atomic_fetch_sub(&race.running[i], 1);
    return WORK_DONE;
}

static void *produce(void *arg)
{
    for (int i = 0; i < ADDS; i++) {
        int key = (i * 3 + *(const int *)arg) % KEYS;
        char name[2] = {(char)('0' + key), '\0'};
        atomic_fetch_add(&race.added[key], 1);
        if (i % 50 == 0)
            work_queue_after(race.queue, name, i % 3);
        work_queue_add(race.queue, name);
    }
    return NULL;
}

static void test_races(void **state)
{
    (void)state;
    race.queue = work_queue_create(run_race, NULL);
    work_queue_start(race.queue, 4);
    pthread_t threads[PRODUCERS];
    int numbers[PRODUCERS];
    for (int i = 0; i < PRODUCERS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &numbers[i]), 0);
    }
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(threads[i], NULL);
    // Every add is followed by a run that begins after it.
    for (int i = 0; i < KEYS; i++)
        while (atomic_load(&race.seen[i]) < PRODUCERS * ADDS / KEYS)
            usleep(1000);
    work_queue_destroy(race.queue);
    assert_false(race.broken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_repeats_are_merged_in_order),
        cmocka_unit_test(test_woken_while_running_runs_once_more),
        cmocka_unit_test(test_the_shortest_delay_holds),
        cmocka_unit_test(test_delays_in_any_order),
        cmocka_unit_test(test_a_busy_worker_does_not_keep_the_time_to_itself),
        cmocka_unit_test(test_back_off_and_forgetting),
        cmocka_unit_test(test_failures_are_not_forgotten_while_waiting),
        cmocka_unit_test(test_destroy_waits_and_forgets),
        cmocka_unit_test(test_races),
    };
    return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
