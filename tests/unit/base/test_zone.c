// Zones and the calendar, beside what the C library knows of both.
#include "agent/base/buffer.h"
#include "agent/base/zone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define DAY 86400

static struct zone *open_zone(const char *name)
{
    struct zone *zone = NULL;
    struct error err;
    if (!zone_open(name, &zone, &err))
        fail_msg("%s: %s", name, err.text);
    return zone;
}

static void dates_are_the_libc_s(void **state)
{
    (void)state;
    for (int64_t days = -200000; days < 200000; days += 13) {
        time_t seconds = (time_t)(days * DAY);
        struct tm tm;
        assert_non_null(gmtime_r(&seconds, &tm));
        struct zone_date date = zone_date(days);
        assert_int_equal(date.year, tm.tm_year + 1900);
        assert_int_equal(date.month, tm.tm_mon + 1);
        assert_int_equal(date.day, tm.tm_mday);
        assert_int_equal(date.weekday, tm.tm_wday);
    }
}

static void months_have_their_days(void **state)
{
    (void)state;
    assert_int_equal(zone_month_days(2026, 12), 31);
    assert_int_equal(zone_month_days(2026, 2), 28);
    assert_int_equal(zone_month_days(2024, 2), 29);
    assert_int_equal(zone_month_days(2000, 2), 29);
    assert_int_equal(zone_month_days(1900, 2), 28);
}

// The C library reads TZ once for the process: this test alone sets it.
static void clocks_are_the_libc_s(void **state)
{
    static const char *const names[] = {"Europe/Berlin",       "America/New_York",
                                        "Australia/Lord_Howe", "Africa/Casablanca",
                                        "Asia/Kathmandu",      "Pacific/Apia"};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        CLEANUP(zone_ptr) struct zone *zone = open_zone(names[i]);
        assert_int_equal(setenv("TZ", names[i], 1), 0);
        tzset();
        for (int64_t at = ZONE_BEGIN; at < ZONE_END; at += 20011) {
            time_t seconds = (time_t)at;
            struct tm tm;
            struct zone_clock clock;
            assert_non_null(localtime_r(&seconds, &tm));
            zone_clock(zone, at, &clock);
            assert_int_equal(clock.year, tm.tm_year + 1900);
            assert_int_equal(clock.month, tm.tm_mon + 1);
            assert_int_equal(clock.day, tm.tm_mday);
            assert_int_equal(clock.hour, tm.tm_hour);
            assert_int_equal(clock.minute, tm.tm_min);
            assert_int_equal(clock.second, tm.tm_sec);
            assert_int_equal(clock.weekday, tm.tm_wday);
            assert_int_equal(clock.offset, tm.tm_gmtoff);
            assert_string_equal(clock.abbreviation, tm.tm_zone);
        }
    }
}

static void spans_end_where_clocks_change(void **state)
{
    (void)state;
    CLEANUP(zone_ptr) struct zone *zone = open_zone("Europe/Berlin");
    const struct zone_span *summer = zone_span_at(zone, 1774746000); // 2026-03-29T01:00:00Z
    assert_int_equal(summer->from, 1774746000);
    assert_int_equal(summer->until, 1792890000); // 2026-10-25T01:00:00Z
    assert_int_equal(summer->offset, 7200);
    assert_string_equal(zone_span_at(zone, summer->from - 1)->abbreviation, "CET");
    assert_ptr_equal(zone_span_at(zone, summer->until - 1), summer);
    CLEANUP(zone_ptr) struct zone *utc = open_zone("");
    assert_int_equal(zone_span_at(utc, 0)->until, INT64_MAX);
}

static void moments_carry_over(void **state)
{
    (void)state;
    CLEANUP(zone_ptr) struct zone *utc = open_zone("UTC");
    assert_int_equal(zone_moment(utc, 1970, 1, 1, 0, 0, 0), 0);
    assert_int_equal(zone_moment(utc, 1969, 13, 32, 24, 60, 60), 32 * DAY + 3660);
    assert_int_equal(zone_moment(utc, 1970, -11, 1, 0, 0, 0), -365 * DAY);
}

// As Go's time.Date() gave them.
static void moments_where_clocks_change(void **state)
{
    (void)state;
    CLEANUP(zone_ptr) struct zone *berlin = open_zone("Europe/Berlin");
    assert_int_equal(zone_moment(berlin, 2026, 3, 29, 2, 30, 0), 1774747800);  // 03:30 CEST
    assert_int_equal(zone_moment(berlin, 2026, 10, 25, 2, 30, 0), 1792891800); // CET, the second
    CLEANUP(zone_ptr) struct zone *york = open_zone("America/New_York");
    assert_int_equal(zone_moment(york, 2026, 3, 8, 2, 30, 0), 1772951400);  // 01:30 EST
    assert_int_equal(zone_moment(york, 2026, 11, 1, 1, 30, 0), 1793511000); // EDT, the first
}

static void refused(void **state)
{
    static const char *const names[] = {
        "Local",      "local",          "localtime",       "posixrules",    "posix/UTC",
        "right/UTC",  "/UTC",           "../UTC",          "Europe/../UTC", "Europe//Berlin",
        "Europe/",    "Europe",         "zone.tab",        "tzdata.zi",     "UTC ",
        "-UTC",       "Europe\\Berlin", "abcdefghijklmno", "Z\xc3\xbcrich", "\n",
        "/etc/passwd"};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct zone *zone;
        struct error err;
        if (zone_open(names[i], &zone, &err))
            fail_msg("%s was taken", names[i]);
        assert_int_equal(err.code, ERR_INVALID);
    }
    char longer[2000];
    struct zone *zone;
    struct error err;
    memset(longer, 'A', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    assert_false(zone_open(longer, &zone, &err));
}

static void nearest(void **state)
{
    static const struct {
        const char *name, *near;
    } cases[] = {{"Europe/Berlln", "\"Europe/Berlin\""},
                 {"europe/berlin", "\"Europe/Berlin\""},
                 {"Berlin", "\"Europe/Berlin\""},
                 {"US/Lisbon", "\"Europe/Lisbon\""},
                 {"utc", "\"Etc/UTC\""}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct zone *zone;
        struct error err;
        assert_false(zone_open(cases[i].name, &zone, &err));
        if (!strstr(err.text, cases[i].near))
            fail_msg("%s: %s", cases[i].name, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_are_the_libc_s),
        cmocka_unit_test(months_have_their_days),
        cmocka_unit_test(clocks_are_the_libc_s),
        cmocka_unit_test(spans_end_where_clocks_change),
        cmocka_unit_test(moments_carry_over),
        cmocka_unit_test(moments_where_clocks_change),
        cmocka_unit_test(refused),
        cmocka_unit_test(nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
