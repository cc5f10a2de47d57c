#include "agent/admin/turns.h"
#include "agent/base/clock.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define THREADS 8
#define ROUNDS  200

static void test_a_turn_is_for_one_service(void **state)
{
    (void)state;
    struct turn turn = {0}, other = {0}, second = {0};
    struct error err;
    assert_true(turn_begin(&turn, "reports/nightly", 0, &err));
    assert_true(turn_begin(&other, "reports/weekly", 0, &err));
    assert_false(turn_begin(&second, "reports/nightly", 20, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_string_equal(err.text, "another request is just at work on reports/nightly");
    turn_end(&second); // never taken
    turn_end(&turn);
    assert_true(turn_begin(&second, "reports/nightly", 0, &err));
    turn_end(&second);
    turn_end(&other);
}

static atomic_int inside, most;
static int count; // guarded by the turn

static void *take_turns(void *user)
{
    (void)user;
    for (int i = 0; i < ROUNDS; i++) {
        struct turn turn = {0};
        if (!turn_begin(&turn, "reports/nightly", 60000, NULL))
            break;
        if (++inside > 1)
            most = 2;
        count++;
        inside--;
        turn_end(&turn);
    }
    return NULL;
}

static void test_requests_come_one_after_the_other(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_turns, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(most, 0);
    assert_int_equal(count, THREADS * ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_turn_is_for_one_service),
        cmocka_unit_test(test_requests_come_one_after_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
