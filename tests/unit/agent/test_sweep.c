// When a branch is asked for its head though nobody pushed.
#include "agent/pipeline/steps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECONDS(n) ((int64_t)(n)*1000)

static struct wall_time ago(int64_t ms)
{
    return (struct wall_time){wall_now().ms - ms};
}

static json_t *keys(int count)
{
    json_t *followed = json_object();
    for (int i = 0; i < count; i++) {
        char key[64];
        snprintf(key, sizeof key, "git.example/acme/report-%d main", i);
        json_object_set_new(followed, key, json_true());
    }
    return followed;
}

// With nothing to spread, every turn is at once.
static void begin_at_once(struct sweep *sweep, int64_t interval_ms)
{
    CLEANUP(json_ptr) json_t *none = json_object();
    sweep_begin(sweep, none, interval_ms);
}

static void test_without_a_round_only_what_is_not_known_is_due(void **state)
{
    (void)state;
    struct sweep *sweep = sweep_create();
    assert_false(sweep_is_due(sweep, "a main", ago(SECONDS(3600))));
    assert_true(sweep_is_due(sweep, "a main", (struct wall_time){0}));
    assert_true(sweep_is_due(sweep, "a main", ago(-SECONDS(60)))); // the clock was put back
    assert_int_equal(sweep_wait_ms(sweep, "a main"), 0);
    sweep_destroy(sweep);
}

static void test_first_round_asks_for_all_that_was_asked_before_it(void **state)
{
    (void)state;
    struct sweep *sweep = sweep_create();
    begin_at_once(sweep, SECONDS(86400));
    for (int64_t begun = mono_now().ms; mono_now().ms == begun;)
        continue; // the two clocks tick apart
    assert_true(sweep_is_due(sweep, "a main", ago(SECONDS(2))));
    assert_false(sweep_is_due(sweep, "a main", ago(0)));
    sweep_destroy(sweep);
}

static void test_later_rounds_leave_out_what_was_just_asked(void **state)
{
    (void)state;
    struct sweep *sweep = sweep_create();
    begin_at_once(sweep, SECONDS(100));
    begin_at_once(sweep, SECONDS(100));
    assert_false(sweep_is_due(sweep, "a main", ago(SECONDS(5))));
    assert_true(sweep_is_due(sweep, "a main", ago(SECONDS(20))));
    sweep_destroy(sweep);
}

static void turns(struct sweep *sweep, int count, int64_t *least, int64_t *most)
{
    CLEANUP(json_ptr) json_t *followed = keys(count);
    *least = INT64_MAX;
    *most = 0;
    const char *key;
    json_t *unused;
    json_object_foreach(followed, key, unused)
    {
        int64_t turn = sweep_turn_ms(sweep, key);
        *least = turn < *least ? turn : *least;
        *most = turn > *most ? turn : *most;
    }
}

static int64_t longest_wait(struct sweep *sweep, int count)
{
    CLEANUP(json_ptr) json_t *followed = keys(count);
    int64_t longest = 0;
    const char *key;
    json_t *unused;
    json_object_foreach(followed, key, unused)
    {
        int64_t wait = sweep_wait_ms(sweep, key);
        longest = wait > longest ? wait : longest;
    }
    return longest;
}

static void test_turns_are_spread_and_stay(void **state)
{
    (void)state;
    struct sweep *sweep = sweep_create();
    CLEANUP(json_ptr) json_t *fleet = keys(1000);
    CLEANUP(json_ptr) json_t *few = keys(10);
    int64_t least, most, before;
    sweep_begin(sweep, fleet, SECONDS(300));
    turns(sweep, 1000, &least, &most);
    assert_in_range(most, SECONDS(25), SECONDS(30) - 1); // a tenth of the interval
    assert_in_range(least, 0, SECONDS(5));
    assert_in_range(longest_wait(sweep, 1000), 1, most);
    before = sweep_turn_ms(sweep, "git.example/acme/report-7 main");
    sweep_begin(sweep, fleet, SECONDS(300));
    assert_int_equal(sweep_turn_ms(sweep, "git.example/acme/report-7 main"), before);
    assert_false(sweep_is_due(sweep, "git.example/acme/report-7 main", ago(before > 0)));
    sweep_begin(sweep, few, SECONDS(300));
    turns(sweep, 10, &least, &most);
    assert_in_range(most, 0, 999); // few need not wait
    sweep_destroy(sweep);
}

static void test_oldest_check(void **state)
{
    (void)state;
    char key[PIPELINE_KEY_SIZE];
    struct sweep *sweep = sweep_create();
    struct pipeline pipeline = {.sweep = sweep};
    assert_int_equal(pipeline_oldest_check(&pipeline, key, sizeof key), 0);
    assert_string_equal(key, "");
    CLEANUP(json_ptr) json_t *followed = keys(2);
    sweep_begin(sweep, followed, SECONDS(300));
    sweep_note(sweep, "git.example/acme/report-1 main", ago(SECONDS(90)));
    assert_in_range(pipeline_oldest_check(&pipeline, key, sizeof key), SECONDS(90), SECONDS(600));
    assert_string_equal(key, "git.example/acme/report-1 main");
    sweep_note(sweep, "git.example/acme/report-1 main", (struct wall_time){0}); // nobody's any more
    assert_in_range(pipeline_oldest_check(&pipeline, key, sizeof key), 0, SECONDS(60));
    sweep_note(sweep, "git.example/acme/gone main", ago(SECONDS(900)));
    sweep_begin(sweep, followed, SECONDS(300)); // which forgets what is not followed
    assert_in_range(pipeline_oldest_check(&pipeline, key, sizeof key), 0, SECONDS(60));
    sweep_destroy(sweep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_round_only_what_is_not_known_is_due),
        cmocka_unit_test(test_first_round_asks_for_all_that_was_asked_before_it),
        cmocka_unit_test(test_later_rounds_leave_out_what_was_just_asked),
        cmocka_unit_test(test_turns_are_spread_and_stay),
        cmocka_unit_test(test_oldest_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
