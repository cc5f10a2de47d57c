#include "agent/base/buffer.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_growth(void **state)
{
    (void)state;
    struct buffer buf = {0};
    struct error err;
    assert_string_equal(buffer_text(&buf), "");
    for (int i = 0; i < 10000; i++)
        assert_true(buffer_append(&buf, "0123456789", 10, &err));
    assert_int_equal(buf.len, 100000);
    assert_int_equal(strlen(buf.data), 100000);
    assert_memory_equal(buf.data + 99990, "0123456789", 10);
    assert_in_range(buf.room, 100001, 2 * 100001);
    buffer_clear(&buf);
    assert_string_equal(buffer_text(&buf), "");
    assert_true(buf.room > 0);
    assert_true(buffer_printf(&buf, &err, "%s-%d", "a", 5));
    assert_string_equal(buf.data, "a-5");
    assert_true(buffer_append(&buf, "x\0y", 3, &err));
    assert_int_equal(buf.len, 6);
    assert_true(buffer_append(&buf, NULL, 0, &err));
    buffer_finish(&buf);
    assert_null(buf.data);
}

static void test_cap(void **state)
{
    (void)state;
    struct buffer buf = {.cap = 10};
    struct error err;
    assert_true(buffer_append(&buf, "0123456789", 10, &err));
    assert_false(buffer_append(&buf, "x", 1, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
    assert_string_equal(buf.data, "0123456789"); // unchanged
    assert_false(buffer_printf(&buf, &err, "y"));
    assert_false(buffer_append(&buf, "x", SIZE_MAX, &err)); // no overflow
    buffer_wipe(&buf);
    assert_int_equal(buf.cap, 10);
    assert_false(buffer_append(&buf, "0123456789x", 11, &err));
    assert_null(buf.data);
    assert_true(buffer_append(&buf, "0123456789", 10, &err));
    buffer_finish(&buf);
}

static char *taken(void)
{
    CLEANUP(free_ptr) char *text = xstrdup("mine");
    return TAKE(text);
}

static void test_scopes(void **state)
{
    (void)state;
    CLEANUP(free_ptr) char *text = taken();
    assert_string_equal(text, "mine");
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    {
        CLEANUP(close_fd) int scoped = fd;
        assert_true(scoped >= 0);
    }
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    int none = -1;
    close_fd(&none);
    char *secret = xstrdup("s");
    secret_ptr(&secret);
    assert_null(secret);
    secret_free(NULL);
}

static void test_allocations(void **state)
{
    (void)state;
    CLEANUP(free_ptr) char *zeroed = xalloc(100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(zeroed[i], 0);
    CLEANUP(free_ptr) char *none = xalloc(0);
    assert_non_null(none);
    CLEANUP(free_ptr) char *part = xstrndup("abcdef", 3);
    assert_string_equal(part, "abc");
    CLEANUP(free_ptr) char *printed = xasprintf("%s=%d", "a", 1);
    assert_string_equal(printed, "a=1");
    printed = xrealloc(printed, 100);
    assert_string_equal(printed, "a=1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_cap),
        cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
