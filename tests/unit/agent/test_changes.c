// What changed, as its readers get it.
#include "agent/admin/changes.h"
#include "agent/base/buffer.h"
#include "agent/base/threads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define PATIENCE_MS 10000

static struct changes *changes;
static struct changes_reader reader;
static json_t *due;

static int set_up(void **state)
{
    (void)state;
    changes = changes_create();
    due = json_object();
    assert_true(changes_enter(changes, &reader));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    changes_leave(changes);
    changes_destroy(changes);
    json_decref(due);
    return 0;
}

static void assert_due(const char *const keys[])
{
    size_t count = 0;
    for (; keys[count]; count++)
        assert_non_null(json_object_get(due, keys[count]));
    assert_int_equal(json_object_size(due), count);
    json_object_clear(due);
}

#define ASSERT_DUE(...) assert_due((const char *const[]){__VA_ARGS__, NULL})

static bool take(int64_t wait_ms)
{
    return changes_take(changes, &reader, due, mono_after(wait_ms));
}

static void test_each_is_told_once(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        changes_service(changes, "reports", "sales");
        changes_build(changes, 51);
    }
    changes_service(changes, "reports", "stock");
    changes_delivery(changes, 51);
    changes_run(changes, 7);
    assert_true(take(PATIENCE_MS));
    ASSERT_DUE("s:reports/sales", "s:reports/stock", "b:51", "d:51", "r:7");
    changes_all_services(changes);
    assert_true(take(PATIENCE_MS));
    ASSERT_DUE("a:0");
    assert_true(take(0));
    assert_int_equal(json_object_size(due), 0);
}

// What comes soon after something else is collected.
static void test_changes_are_collected(void **state)
{
    (void)state;
    changes_build(changes, 1);
    assert_true(take(PATIENCE_MS));
    ASSERT_DUE("b:1");
    struct mono_time next = reader.next;
    changes_build(changes, 2);
    changes_build(changes, 3);
    assert_true(take(PATIENCE_MS));
    ASSERT_DUE("b:2", "b:3");
    assert_true(mono_past(next));
}

// Who is slow looks at nothing twice, however often it changed.
static void test_slow_readers_have_no_queue(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < CHANGES_REMEMBERED; i++)
            changes_service(changes, "reports", i % 2 ? "sales" : "stock");
        assert_true(take(PATIENCE_MS));
    }
    ASSERT_DUE("s:reports/sales", "s:reports/stock");
}

static void test_readers_that_fall_behind_end(void **state)
{
    (void)state;
    for (int i = 0; i <= CHANGES_REMEMBERED; i++)
        changes_build(changes, 1);
    assert_false(take(0));
}

static void test_readers_with_too_much_to_look_at_end(void **state)
{
    (void)state;
    for (int id = 0; id <= CHANGES_DUE_MAX; id++) {
        changes_build(changes, id);
        assert_true((id + 1) % CHANGES_REMEMBERED || take(PATIENCE_MS));
    }
    assert_true(take(PATIENCE_MS));
    assert_int_equal(json_object_size(due), CHANGES_DUE_MAX + 1);
    assert_false(take(0));
}

static void test_there_is_a_most_of_readers(void **state)
{
    (void)state;
    struct changes_reader other;
    for (int i = 1; i < CHANGES_READERS_MAX; i++)
        assert_true(changes_enter(changes, &other));
    assert_false(changes_enter(changes, &other));
    changes_leave(changes);
    assert_true(changes_enter(changes, &other));
}

static void test_a_reader_hears_of_what_comes_after_it(void **state)
{
    (void)state;
    struct changes_reader later;
    changes_build(changes, 1);
    assert_true(changes_enter(changes, &later));
    changes_build(changes, 2);
    assert_true(changes_take(changes, &later, due, mono_after(PATIENCE_MS)));
    ASSERT_DUE("b:2");
    changes_leave(changes);
    assert_true(take(PATIENCE_MS));
    ASSERT_DUE("b:1", "b:2");
}

static void *change_one(void *arg)
{
    changes_build(arg, 51);
    return NULL;
}

static void *end_all(void *arg)
{
    changes_end(arg);
    return NULL;
}

// Waits without a deadline, but for that of the test.
static void test_a_waiting_reader_is_woken(void **state)
{
    (void)state;
    pthread_t thread;
    thread_start(&thread, "change", change_one, changes);
    assert_true(changes_take(changes, &reader, due, (struct mono_time){INT64_MAX}));
    pthread_join(thread, NULL);
    ASSERT_DUE("b:51");
    thread_start(&thread, "end", end_all, changes);
    assert_false(changes_take(changes, &reader, due, (struct mono_time){INT64_MAX}));
    pthread_join(thread, NULL);
    assert_false(take(0));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_each_is_told_once),
        TEST(test_changes_are_collected),
        TEST(test_slow_readers_have_no_queue),
        TEST(test_readers_that_fall_behind_end),
        TEST(test_readers_with_too_much_to_look_at_end),
        TEST(test_there_is_a_most_of_readers),
        TEST(test_a_reader_hears_of_what_comes_after_it),
        TEST(test_a_waiting_reader_is_woken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
