#include "agent/children.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAIT_MS 20000 // much longer than anything here takes

struct woken {
    int fd; // readable once somebody was woken
    int count;
    char last[64];
};

static void wake(void *user, const char *name)
{
    struct woken *woken = user;
    woken->count++;
    snprintf(woken->last, sizeof woken->last, "%s", name);
    uint64_t one = 1;
    assert_int_equal(write(woken->fd, &one, sizeof one), sizeof one);
}

static struct woken woken_init(void)
{
    return (struct woken){.fd = eventfd(0, EFD_CLOEXEC)};
}

static void script(char path[static 64], const char *text)
{
    snprintf(path, 64, "/tmp/test-children-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, 0700), 0);
    close(fd);
}

static struct child_request request(const char *program, const char *input, struct woken *woken)
{
    return (struct child_request){.program = program,
                                  .input = input,
                                  .input_len = strlen(input),
                                  .timeout_ms = WAIT_MS,
                                  .tag = 7,
                                  .wake = wake,
                                  .user = woken};
}

static void run_until_woken(struct children *children, struct woken *woken)
{
    assert_true(children_run(children, woken->fd, mono_after(WAIT_MS)));
    uint64_t count;
    assert_int_equal(read(woken->fd, &count, sizeof count), sizeof count);
}

static void test_gives_input_and_takes_output(void **state)
{
    (void)state;
    struct woken woken = woken_init();
    struct children *children = children_create((struct children_bounds){2, 2, 2});
    struct child_result result = {0};
    assert_int_equal(children_take(children, "a", &result), CHILD_UNKNOWN);
    struct child_request ask = request("/bin/cat", "what is asked", &woken);
    children_ask(children, "a", &ask);
    assert_int_equal(children_take(children, "a", &result), CHILD_BUSY);
    run_until_woken(children, &woken);
    assert_string_equal(woken.last, "a");
    assert_int_equal(children_take(children, "a", &result), CHILD_ENDED);
    assert_true(result.ran);
    assert_int_equal(result.exit_status, 0);
    assert_int_equal(result.tag, 7);
    assert_string_equal(buffer_text(&result.output), "what is asked");
    assert_int_equal(children_take(children, "a", &result), CHILD_UNKNOWN);
    child_result_finish(&result);
    children_destroy(children);
    close(woken.fd);
}

static void test_exit_status_and_errors_are_told(void **state)
{
    (void)state;
    char path[64];
    script(path, "#!/bin/sh\necho why >&2\nexit 3\n");
    struct woken woken = woken_init();
    struct children *children = children_create((struct children_bounds){1, 1, 1});
    struct child_request ask = request(path, "", &woken);
    children_ask(children, "a", &ask);
    run_until_woken(children, &woken);
    struct child_result result = {0};
    assert_int_equal(children_take(children, "a", &result), CHILD_ENDED);
    assert_true(result.ran);
    assert_int_equal(result.exit_status, 3);
    assert_non_null(strstr(result.error.text, "why"));
    child_result_finish(&result);
    children_destroy(children);
    unlink(path);
    close(woken.fd);
}

static void expect_failure(const char *text, int64_t timeout_ms, enum error_code code)
{
    char path[64];
    script(path, text);
    struct woken woken = woken_init();
    struct children *children = children_create((struct children_bounds){1, 1, 1});
    struct child_request ask = request(path, "", &woken);
    ask.timeout_ms = timeout_ms;
    children_ask(children, "a", &ask);
    run_until_woken(children, &woken);
    struct child_result result = {0};
    assert_int_equal(children_take(children, "a", &result), CHILD_ENDED);
    assert_false(result.ran);
    assert_int_equal(result.error.code, code);
    child_result_finish(&result);
    children_destroy(children);
    unlink(path);
    close(woken.fd);
}

static void test_a_silent_child_is_killed_at_its_deadline(void **state)
{
    (void)state;
    expect_failure("#!/bin/sh\nexec sleep 1000\n", 50, ERR_TIMEOUT);
}

static void test_a_child_that_says_too_much_is_killed(void **state)
{
    (void)state;
    expect_failure("#!/bin/sh\nexec yes\n", WAIT_MS, ERR_TOO_LARGE);
}

static void test_a_program_that_is_not_there(void **state)
{
    (void)state;
    struct woken woken = woken_init();
    struct children *children = children_create((struct children_bounds){1, 1, 1});
    struct child_request ask = request("/nonexistent/program", "", &woken);
    children_ask(children, "a", &ask);
    run_until_woken(children, &woken);
    struct child_result result = {0};
    assert_int_equal(children_take(children, "a", &result), CHILD_ENDED);
    assert_false(result.ran && result.exit_status == 0);
    child_result_finish(&result);
    children_destroy(children);
    close(woken.fd);
}

static void test_no_more_than_the_places_run_at_once(void **state)
{
    (void)state;
    // Each says whether it found another one running.
    char path[64], text[256], lock[80];
    snprintf(lock, sizeof lock, "/tmp/test-children-lock-%d", getpid());
    snprintf(text, sizeof text, "#!/bin/sh\nmkdir %s || echo two\nrmdir %s\n", lock, lock);
    script(path, text);
    struct woken woken = woken_init();
    struct children *children = children_create((struct children_bounds){1, 1, 1});
    const char *const names[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) {
        struct child_request ask = request(path, "", &woken);
        children_ask(children, names[i], &ask);
        children_ask(children, names[i], &ask); // a second time changes nothing
    }
    while (woken.count < 3)
        run_until_woken(children, &woken);
    for (size_t i = 0; i < 3; i++) {
        struct child_result result = {0};
        assert_int_equal(children_take(children, names[i], &result), CHILD_ENDED);
        assert_true(result.ran);
        assert_string_equal(buffer_text(&result.output), "");
        child_result_finish(&result);
    }
    children_destroy(children);
    unlink(path);
    close(woken.fd);
}

// What waits for a silent host, or a silent repository on it, lets the others past.
static void test_a_silent_host_holds_up_its_own_alone(void **state)
{
    (void)state;
    char path[64];
    script(path, "#!/bin/sh\nexec sleep 1000\n");
    struct woken woken = woken_init(), unwoken = woken_init();
    struct children *children = children_create((struct children_bounds){4, 2, 1});
    static const struct {
        const char *name, *host, *repository;
    } silent[] = {{"a", "one", "one/a"},
                  {"a again", "one", "one/a"}, // waits for its repository
                  {"b", "one", "one/b"},
                  {"c", "one", "one/c"}}; // waits for its host
    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++) {
        struct child_request ask = request(path, "", &unwoken);
        ask.host = silent[i].host;
        ask.repository = silent[i].repository;
        children_ask(children, silent[i].name, &ask);
    }
    static const char *const others[] = {"two", "three", NULL};
    for (size_t i = 0; i < 3; i++) {
        struct child_request ask = request("/bin/cat", "", &woken);
        ask.host = ask.repository = others[i];
        children_ask(children, others[i] ? others[i] : "nobody", &ask);
    }
    while (woken.count < 3)
        run_until_woken(children, &woken);
    size_t running, waiting;
    children_count(children, &running, &waiting);
    assert_int_equal(running, 2);
    assert_int_equal(waiting, 2);
    // The place of one that ends goes to the one that has waited for it.
    children_cancel(children, "a");
    assert_false(children_run(children, woken.fd, mono_after(1000)));
    children_count(children, &running, &waiting);
    assert_int_equal(running, 2);
    assert_int_equal(waiting, 1);
    assert_int_equal(unwoken.count, 0);
    children_destroy(children);
    unlink(path);
    close(woken.fd);
    close(unwoken.fd);
}

// There is one place.
static void test_what_is_deferred_lets_others_past(void **state)
{
    (void)state;
    struct woken woken = woken_init();
    struct children *children = children_create((struct children_bounds){1, 1, 1});
    static const struct {
        const char *name;
        int64_t defer_ms;
    } asked[] = {{"later", WAIT_MS}, {"hurried", WAIT_MS}, {"soon", 0}, {"after it", 0}};
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        struct child_request ask = request("/bin/cat", "", &woken);
        ask.defer_ms = asked[i].defer_ms;
        children_ask(children, asked[i].name, &ask);
    }
    children_hurry(children, "soon"); // has its turn already
    children_hurry(children, "hurried");
    children_hurry(children, "nobody");
    static const char *const order[] = {"soon", "after it", "hurried", "later"};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        run_until_woken(children, &woken);
        assert_string_equal(woken.last, order[i]);
    }
    children_destroy(children);
    close(woken.fd);
}

static void test_a_cancelled_child_wakes_nobody(void **state)
{
    (void)state;
    char path[64];
    script(path, "#!/bin/sh\nexec sleep 1000\n");
    struct woken woken = woken_init();
    struct children *children = children_create((struct children_bounds){1, 1, 1});
    struct child_request ask = request(path, "", &woken);
    children_ask(children, "a", &ask);
    assert_false(children_run(children, woken.fd, mono_after(50)));
    children_cancel(children, "a");
    struct child_result result = {0};
    assert_int_equal(children_take(children, "a", &result), CHILD_UNKNOWN);
    // Its place is free for the next one.
    struct child_request next = request("/bin/cat", "next", &woken);
    children_ask(children, "b", &next);
    run_until_woken(children, &woken);
    assert_string_equal(woken.last, "b");
    assert_int_equal(woken.count, 1);
    children_destroy(children);
    unlink(path);
    close(woken.fd);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gives_input_and_takes_output),
        cmocka_unit_test(test_exit_status_and_errors_are_told),
        cmocka_unit_test(test_a_silent_child_is_killed_at_its_deadline),
        cmocka_unit_test(test_a_child_that_says_too_much_is_killed),
        cmocka_unit_test(test_a_program_that_is_not_there),
        cmocka_unit_test(test_no_more_than_the_places_run_at_once),
        cmocka_unit_test(test_a_silent_host_holds_up_its_own_alone),
        cmocka_unit_test(test_what_is_deferred_lets_others_past),
        cmocka_unit_test(test_a_cancelled_child_wakes_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
