// What a source's failures in a row count, and which workers may wait for a server.
#include "agent/pipeline/tries.h"
#include "agent/pipeline/waits.h"
#include "agent/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void test_each_source_counts_its_own(void **state)
{
    (void)state;
    struct tries *tries = tries_create(work_queue_back_off_ms);
    struct tried first = tries_failed(tries, "git.example/a main ");
    assert_int_equal(first.count, 1);
    int64_t wait = mono_left(first.due);
    assert_true(wait <= WORK_QUEUE_BACKOFF_MIN && wait >= WORK_QUEUE_BACKOFF_MIN / 2 - 100);
    // Woken by something else before it was due, it fails again: that is the same try.
    struct tried same = tries_failed(tries, "git.example/a main ");
    assert_int_equal(same.count, 1);
    assert_true(same.due.ms == first.due.ms);
    // Another credential's has not failed yet.
    assert_int_equal(tries_count(tries, "git.example/a main acme"), 0);
    assert_int_equal(tries_failed(tries, "git.example/a main acme").count, 1);
    assert_int_equal(tries_forget(tries, "git.example/a main acme"), 1);
    assert_int_equal(tries_forget(tries, "git.example/a main acme"), 0);
    assert_int_equal(tries_count(tries, "git.example/a main "), 1);
    mono_sleep(mono_left(first.due) + 1);
    struct tried second = tries_failed(tries, "git.example/a main ");
    assert_int_equal(second.count, 2);
    assert_true(mono_left(second.due) <= 2 * WORK_QUEUE_BACKOFF_MIN);
    tries_destroy(tries);
}

static void test_the_wait_grows_to_a_bound_and_differs(void **state)
{
    (void)state;
    bool differs = false;
    for (int i = 0; i < 100; i++) {
        int64_t wait = work_queue_back_off_ms(1000);
        assert_true(wait <= WORK_QUEUE_BACKOFF_MAX && wait >= WORK_QUEUE_BACKOFF_MAX / 2);
        differs |= wait != work_queue_back_off_ms(1000);
    }
    assert_true(differs);
}

static void test_no_more_than_the_bound_are_remembered(void **state)
{
    (void)state;
    struct tries *tries = tries_create(work_queue_back_off_ms);
    char source[32];
    int left = 0;
    for (int i = 0; i < TRIES_MAX + 10; i++) {
        snprintf(source, sizeof source, "git.example/%d main ", i);
        assert_int_equal(tries_failed(tries, source).count, 1);
    }
    for (int i = 0; i < TRIES_MAX + 10; i++) {
        snprintf(source, sizeof source, "git.example/%d main ", i);
        left += tries_count(tries, source);
    }
    assert_int_equal(left, TRIES_MAX);
    assert_int_equal(tries_count(tries, source), 1); // the newest is there
    tries_destroy(tries);
}

static void test_a_silent_server_leaves_workers(void **state)
{
    (void)state;
    struct waits waits;
    waits_init(&waits);
    for (int i = 0; i < WAITS_SAME_MAX; i++)
        assert_true(waits_begin(&waits, "silent.example"));
    assert_false(waits_begin(&waits, "silent.example"));
    char server[32];
    for (int i = WAITS_SAME_MAX; i < WAITS_MAX; i++) {
        snprintf(server, sizeof server, "%d.example", i);
        assert_true(waits_begin(&waits, server));
    }
    assert_false(waits_begin(&waits, "one-more.example")); // else no worker would be left
    waits_end(&waits, "silent.example");
    assert_true(waits_begin(&waits, "one-more.example"));
    waits_end(&waits, "one-more.example");
    waits_end(&waits, "silent.example");
    for (int i = WAITS_SAME_MAX; i < WAITS_MAX; i++) {
        snprintf(server, sizeof server, "%d.example", i);
        waits_end(&waits, server);
    }
    waits_finish(&waits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_source_counts_its_own),
        cmocka_unit_test(test_the_wait_grows_to_a_bound_and_differs),
        cmocka_unit_test(test_no_more_than_the_bound_are_remembered),
        cmocka_unit_test(test_a_silent_server_leaves_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
