// Rows of commit statuses.
#include "agent/store/statuses.h"
#include "tests/unit/store/fresh_store.h"

#define TRIES 3

static struct build build;

static int start(void **state)
{
    set_up(state);
    build = (struct build){.attempt = 1, .state = BUILD_RUNNING};
    snprintf(build.commit, sizeof build.commit, "c1");
    assert_true(store_build_put(store, &build, NULL));
    return 0;
}

static struct commit_status make(const char *name)
{
    struct commit_status status = {.build = build.id, .state = STATUS_PENDING};
    snprintf(status.repository, sizeof status.repository, "git.example/a/b");
    snprintf(status.commit, sizeof status.commit, "c1");
    snprintf(status.namespace, sizeof status.namespace, "reports");
    snprintf(status.name, sizeof status.name, "%s", name);
    snprintf(status.url, sizeof status.url, "https://git.example/a/b");
    snprintf(status.branch, sizeof status.branch, "main");
    snprintf(status.detail, sizeof status.detail, "building");
    return status;
}

static bool put(const struct commit_status *status)
{
    bool changed = false;
    assert_true(store_status_put(store, status, &changed, NULL));
    return changed;
}

static struct commit_status next(void)
{
    struct commit_status status;
    struct error err;
    if (!store_status_next(store, TRIES, &status, &err))
        fail_msg("%s", err.text);
    return status;
}

static bool nothing_is_due(void)
{
    struct commit_status status;
    struct error err;
    return !store_status_next(store, TRIES, &status, &err) && err.code == ERR_NOT_FOUND;
}

static void is_kept(void **state)
{
    (void)state;
    struct commit_status status = make("nightly");
    assert_true(put(&status));
    assert_false(put(&status));
    store_close(store);
    assert_true(store_open(directory, &store, NULL));
    struct commit_status out = next();
    assert_string_equal(out.repository, status.repository);
    assert_string_equal(out.commit, "c1");
    assert_string_equal(out.namespace, "reports");
    assert_string_equal(out.name, "nightly");
    assert_string_equal(out.url, status.url);
    assert_string_equal(out.branch, "main");
    assert_int_equal(out.build, build.id);
    assert_int_equal(out.state, STATUS_PENDING);
    assert_string_equal(out.detail, "building");
    assert_false(out.told);
    assert_true(out.due.ms > 0);
}

static void told_until_it_changes(void **state)
{
    (void)state;
    struct commit_status status = make("nightly");
    put(&status);
    struct commit_status read = next();
    read.told = true;
    read.sent = 1;
    assert_true(store_status_tried(store, &read, NULL));
    assert_true(nothing_is_due());
    assert_false(put(&status));
    status.state = STATUS_SUCCESS;
    assert_true(put(&status));
    read = next();
    assert_int_equal(read.state, STATUS_SUCCESS);
    assert_int_equal(read.sent, 1); // of all its states
}

static void given_up_until_it_changes(void **state)
{
    (void)state;
    struct commit_status status = make("nightly");
    put(&status);
    struct commit_status read = next();
    read.tries = TRIES;
    snprintf(read.error, sizeof read.error, "403");
    assert_true(store_status_tried(store, &read, NULL));
    assert_true(nothing_is_due());
    snprintf(status.detail, sizeof status.detail, "deployed");
    put(&status);
    read = next();
    assert_int_equal(read.tries, 0);
    assert_string_equal(read.error, "");
}

// It changed while the older state was being told.
static void a_late_answer_does_not_count_for_what_came_after(void **state)
{
    (void)state;
    struct commit_status status = make("nightly");
    put(&status);
    struct commit_status read = next();
    status.state = STATUS_FAILURE;
    put(&status);
    read.told = true;
    read.sent = 1;
    assert_true(store_status_tried(store, &read, NULL));
    read = next();
    assert_int_equal(read.state, STATUS_FAILURE);
    assert_int_equal(read.sent, 1);
}

static void the_one_due_first_comes_first(void **state)
{
    (void)state;
    struct commit_status one = make("one"), two = make("two");
    put(&one);
    struct commit_status read = next();
    read.tries = 1;
    read.due.ms += 1000000;
    assert_true(store_status_tried(store, &read, NULL));
    put(&two);
    assert_string_equal(next().name, "two");
}

static void count(void *user, const struct commit_status *status)
{
    (void)status;
    ++*(int *)user;
}

static int stale(void)
{
    int found = 0;
    assert_true(store_status_stale(store, count, &found, NULL));
    return found;
}

static void stale_when_the_build_has_ended(void **state)
{
    (void)state;
    struct commit_status status = make("nightly");
    put(&status);
    assert_int_equal(stale(), 0);
    build.state = BUILD_SUPERSEDED;
    assert_true(store_build_put(store, &build, NULL));
    assert_int_equal(stale(), 1);
    status.state = STATUS_WITHDRAWN;
    put(&status);
    assert_int_equal(stale(), 0);
}

static void goes_with_its_build(void **state)
{
    (void)state;
    struct commit_status status = make("nightly");
    put(&status);
    build.state = BUILD_DONE;
    assert_true(store_build_put(store, &build, NULL));
    struct build later = {.attempt = 2, .state = BUILD_DONE};
    assert_true(store_build_put(store, &later, NULL));
    assert_true(store_trim(store, &(struct store_bounds){1, 1, 100}, NULL));
    int left = 0;
    assert_true(store_status_list(store, build.id, count, &left, NULL));
    assert_int_equal(left, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, start, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(is_kept),
        TEST(told_until_it_changes),
        TEST(given_up_until_it_changes),
        TEST(a_late_answer_does_not_count_for_what_came_after),
        TEST(the_one_due_first_comes_first),
        TEST(stale_when_the_build_has_ended),
        TEST(goes_with_its_build),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
