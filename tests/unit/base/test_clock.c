#include "agent/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-24T08:01:10Z", 1795507270000},
        {"2026-11-24t08:01:10z", 1795507270000},
        {"2026-11-24T08:01:10.5Z", 1795507270500},
        {"2026-11-24T08:01:10.123456789Z", 1795507270123},
        {"2026-11-24T08:01:10.000001Z", 1795507270000},
        {"2026-11-24T09:01:10+01:00", 1795507270000},
        {"2026-11-24T02:31:10-05:30", 1795507270000},
        {"2026-11-24T08:01:10+00:00", 1795507270000},
        {"2026-11-24T08:01:10-00:00", 1795507270000},
        {"2026-11-25T07:01:10+23:00", 1795507270000},
        {"2024-02-29T00:00:00Z", 1709164800000},
        {"2000-02-29T00:00:00Z", 951782400000},
        {"2016-12-31T23:59:60Z", 1483228800000}, // a leap second
        {"9999-12-31T23:59:59Z", 253402300799000},
        {"1969-12-31T23:59:59Z", -1000},
        {"1900-01-01T00:00:00Z", -2208988800000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wall_time time = {1};
        if (!wall_parse(cases[i].text, &time) || time.ms != cases[i].ms)
            fail_msg("%s: %lld", cases[i].text, (long long)time.ms);
    }
}

static void test_parse_refuses(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "2026-11-24",
        "2026-11-24T08:01:10",
        "2026-11-24 08:01:10Z",
        "2026-11-24T08:01Z",
        "2026-11-24T08:01:10Z ",
        " 2026-11-24T08:01:10Z",
        "2026-11-24T08:01:10.Z",
        "2026-11-24T08:01:10.1234567890Z",
        "2026-11-24T08:01:10+1:00",
        "2026-11-24T08:01:10+0100",
        "2026-11-24T08:01:10+24:00",
        "2026-11-24T08:01:10+01:60",
        "2026-11-24T08:01:10+01:00x",
        "2026-11-24T08:01:10+-1:00",
        "2026-11-24T08:01:10+01:-1",
        "2026-11-24T08:01:10+01: 1",
        "2026-11-24T24:00:00Z",
        "2026-11-24T08:60:10Z",
        "2026-11-24T08:01:61Z",
        "2026-00-24T08:01:10Z",
        "2026-13-24T08:01:10Z",
        "2026-11-00T08:01:10Z",
        "2026-11-31T08:01:10Z",
        "2026-02-29T08:01:10Z",
        "2100-02-29T08:01:10Z",
        "1899-12-31T00:00:00Z",
        "26-11-24T08:01:10Z",
        "02026-11-24T08:01:10Z",
        "2026-1-24T08:01:010Z",
        "2026-+1-24T08:01:10Z",
        "2026--1-24T08:01:10Z",
        "2026-11-24T 8:01:10Z",
        "2026-11-24T08:01:-1Z",
        "2026-11-24T08:01:+1Z",
        "2026-11-24T08: 1:10Z",
        "now",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wall_time time = {7};
        if (wall_parse(cases[i], &time))
            fail_msg("%s", cases[i]);
        assert_int_equal(time.ms, 7);
    }
}

static void test_format(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        bool millis;
        const char *text;
    } cases[] = {
        {0, false, ""},
        {1795507270000, false, "2026-11-24T08:01:10Z"},
        {1795507270999, false, "2026-11-24T08:01:10Z"},
        {1795507270007, true, "2026-11-24T08:01:10.007Z"},
        {-1, true, "1969-12-31T23:59:59.999Z"},
        {1709164800000, false, "2024-02-29T00:00:00Z"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[RFC3339_SIZE];
        wall_format((struct wall_time){cases[i].ms}, cases[i].millis, text);
        assert_string_equal(text, cases[i].text);
        struct wall_time again;
        if (cases[i].millis) {
            assert_true(wall_parse(text, &again));
            assert_int_equal(again.ms, cases[i].ms);
        }
    }
    char text[RFC3339_SIZE]; // whatever comes in, it stays within bounds
    wall_format((struct wall_time){INT64_MAX}, true, text);
    wall_format((struct wall_time){INT64_MIN}, true, text);
    assert_true(memchr(text, '\0', sizeof text) != NULL);
}

static void test_deadlines(void **state)
{
    (void)state;
    struct mono_time never = {INT64_MAX};
    assert_false(mono_past(never));
    assert_true(mono_left(never) == INT64_MAX);
    assert_true(mono_past(mono_after(0)));
    assert_true(mono_past(mono_after(-5)));
    assert_int_equal(mono_left(mono_after(-5)), 0);
    assert_in_range(mono_left(mono_after(100000)), 90000, 100000);
    assert_true(wall_now().ms > 1700000000000);
    struct mono_time first = mono_now();
    assert_true(mono_now().ms >= first.ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_parse_refuses),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_deadlines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
