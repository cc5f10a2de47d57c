// Who wants to know hears of each row that was written, once it is on disk.
#include "agent/base/buffer.h"
#include "agent/store/runs.h"
#include "tests/unit/store/fresh_store.h"

#include <stdatomic.h>

static struct buffer told; // by the writer, before a change is over

static void note(void *user, enum store_table table, int64_t id)
{
    (void)user;
    static const char letters[] = {
        [STORE_DELIVERIES] = 'd', [STORE_BUILDS] = 'b', [STORE_RUNS] = 'r'};
    assert_true(buffer_printf(&told, NULL, "%c%d ", letters[table], (int)id));
}

static void assert_told(const char *wanted)
{
    assert_string_equal(buffer_text(&told), wanted);
    buffer_clear(&told);
}

static int set_up_told(void **state)
{
    assert_int_equal(set_up(state), 0);
    store_on_change(store, note, NULL);
    return 0;
}

static int tear_down_told(void **state)
{
    buffer_finish(&told);
    return tear_down(state);
}

static struct run_record run_of(const char *uid, const char *service)
{
    struct run_record run = {.state = "running", .log = "none"};
    snprintf(run.uid, sizeof run.uid, "%s", uid);
    snprintf(run.namespace, sizeof run.namespace, "reports");
    snprintf(run.service, sizeof run.service, "%s", service);
    return run;
}

static void test_rows_are_told_of(void **state)
{
    (void)state;
    struct run_record one = run_of("one", "sales"), two = run_of("two", "stock");
    assert_true(store_run_put(store, &one, NULL, NULL));
    assert_told("r1 ");
    assert_true(store_run_put(store, &two, NULL, NULL));
    assert_true(store_run_put(store, &one, NULL, NULL)); // as it was
    assert_told("r2 r1 ");
    struct build build = {.state = BUILD_WAITING, .attempt = 1};
    assert_true(store_build_put(store, &build, NULL));
    build.state = BUILD_FAILED;
    assert_true(store_build_put(store, &build, NULL));
    assert_told("b1 b1 ");
    struct delivery delivery = {.forge = "github", .id = "one", .reason = "accepted"};
    assert_true(store_delivery_put(store, &delivery, NULL));
    assert_told("d1 ");
}

static void test_other_tables_are_not(void **state)
{
    (void)state;
    struct service_state_record record = {.namespace = "reports",
                                          .service = "sales",
                                          .at = {1},
                                          .state = "started",
                                          .schedule = "@daily"};
    assert_true(store_service_state_add(store, &record, NULL));
    assert_true(store_watch_seen(store, (struct wall_time){1}, (struct wall_time){2}, NULL));
    assert_told("");
}

static void test_what_is_gone_is_not(void **state)
{
    (void)state;
    struct run_record one = run_of("one", "sales");
    assert_true(store_run_put(store, &one, NULL, NULL));
    assert_told("r1 ");
    assert_true(store_run_delete(store, "one", NULL));
    assert_told("");
}

static void test_whose_run_it_is(void **state)
{
    (void)state;
    struct run_record one = run_of("one", "sales");
    char namespace[STORE_NAME_SIZE], service[STORE_NAME_SIZE];
    struct error err;
    assert_true(store_run_put(store, &one, NULL, NULL));
    assert_true(store_run_service(store, 1, namespace, service, &err));
    assert_string_equal(namespace, "reports");
    assert_string_equal(service, "sales");
    assert_false(store_run_service(store, 2, namespace, service, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_told, tear_down_told)
    const struct CMUnitTest tests[] = {
        TEST(test_rows_are_told_of),
        TEST(test_other_tables_are_not),
        TEST(test_what_is_gone_is_not),
        TEST(test_whose_run_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
