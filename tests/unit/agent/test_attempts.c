// Wrong tokens cost time, by address.
#include "agent/admin/attempts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t one[DOOR_KEY_SIZE] = {1}, other[DOOR_KEY_SIZE] = {2};

static struct mono_time at(int64_t ms)
{
    return (struct mono_time){1000000 + ms};
}

static void test_wrong_tokens_cost_time(void **state)
{
    (void)state;
    struct attempts *attempts = attempts_create();
    for (int i = 0; i < ATTEMPTS_FREE; i++)
        assert_int_equal(attempts_wrong(attempts, one, at(i)), 0);
    // What it owes becomes less by a millisecond in each.
    assert_int_equal(attempts_wrong(attempts, one, at(100)), ATTEMPTS_COST_MS - 100);
    assert_int_equal(attempts_wrong(attempts, one, at(100)), 2 * ATTEMPTS_COST_MS - 100);
    for (int i = 0; i < 10; i++)
        attempts_wrong(attempts, one, at(100));
    assert_int_equal(attempts_wrong(attempts, one, at(100)), ATTEMPTS_DELAY_MAX); // and no more
    assert_int_equal(attempts_wrong(attempts, other, at(100)), 0);
    // And it is forgiven.
    int64_t forgiven = 100 + ATTEMPTS_DELAY_MAX + ATTEMPTS_FREE * ATTEMPTS_COST_MS;
    for (int i = 0; i < ATTEMPTS_FREE; i++)
        assert_int_equal(attempts_wrong(attempts, one, at(forgiven)), 0);
    assert_int_equal(attempts_wrong(attempts, one, at(forgiven)), ATTEMPTS_COST_MS);
    attempts_destroy(attempts);
}

static void test_who_owes_most_is_remembered(void **state)
{
    (void)state;
    struct attempts *attempts = attempts_create();
    for (int i = 0; i < ATTEMPTS_FREE; i++)
        attempts_wrong(attempts, one, at(0));
    for (int i = 0; i < 4 * ATTEMPTS_ADDRESSES; i++) {
        uint8_t key[DOOR_KEY_SIZE] = {3, (uint8_t)i, (uint8_t)(i >> 8)};
        assert_int_equal(attempts_wrong(attempts, key, at(0)), 0);
    }
    assert_int_equal(attempts_wrong(attempts, one, at(0)), ATTEMPTS_COST_MS);
    attempts_destroy(attempts);
}

static void test_a_flood_is_a_line_each_second(void **state)
{
    (void)state;
    struct attempts *attempts = attempts_create();
    assert_int_equal(attempts_to_log(attempts, at(0)), 0);
    for (int i = 0; i < 5; i++)
        attempts_wrong(attempts, one, at(10));
    assert_int_equal(attempts_to_log(attempts, at(10)), 0);
    assert_int_equal(attempts_to_log(attempts, at(1000)), 5);
    assert_int_equal(attempts_to_log(attempts, at(2000)), 0);
    attempts_destroy(attempts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_tokens_cost_time),
        cmocka_unit_test(test_who_owes_most_is_remembered),
        cmocka_unit_test(test_a_flood_is_a_line_each_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
