#include "agent/cli/times.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static struct wall_time parse(const char *text)
{
    struct wall_time time;
    assert_true(wall_parse(text, &time));
    return time;
}

static void use_zone(const char *zone)
{
    (void)setenv("TZ", zone, 1);
    tzset();
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{-5, "0s"},
                 {999, "0s"},
                 {38 * SECOND, "38s"},
                 {60 * SECOND, "1m00s"},
                 {4 * MINUTE + 12 * SECOND, "4m12s"},
                 {2 * HOUR + 5 * MINUTE + 59 * SECOND, "2h05m"},
                 {DAY - 1, "23h59m"},
                 {3 * DAY + 4 * HOUR, "3d04h"},
                 {INT64_MAX, "106751991167d07h"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[TIME_TEXT_SIZE];
        duration_text(cases[i].ms, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void seconds(void **state)
{
    (void)state;
    static const struct {
        double seconds;
        const char *text;
    } cases[] = {{0, "0.0s"}, {0.44, "0.4s"}, {9.94, "9.9s"}, {9.96, "10s"}, {87.25, "87s"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[TIME_TEXT_SIZE];
        seconds_text(cases[i].seconds, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void how_long_ago(void **state)
{
    (void)state;
    static const struct {
        int64_t ago;
        const char *text;
    } cases[] = {{0, "now"},
                 {999, "now"},
                 {20 * SECOND, "20s ago"},
                 {59 * MINUTE, "59m ago"},
                 {7 * HOUR + 59 * MINUTE, "7h ago"},
                 {47 * HOUR, "47h ago"},
                 {50 * HOUR, "2d ago"},
                 {400 * DAY, "400d ago"},
                 {-17 * HOUR, "in 17h"}};
    struct wall_time now = parse("2026-11-24T09:12:00Z");
    char text[TIME_TEXT_SIZE];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ago_text((struct wall_time){now.ms - cases[i].ago}, now, text);
        assert_string_equal(text, cases[i].text);
    }
    ago_text((struct wall_time){0}, now, text);
    assert_string_equal(text, "-");
}

static void wall_time_in_the_zone(void **state)
{
    (void)state;
    static const struct {
        const char *zone;
        const char *then;
        const char *text;
        const char *short_text;
    } cases[] = {
        {"Europe/Berlin", "2026-11-24T02:00:00Z", "24 Nov 03:00", "03:00:00"},
        {"UTC", "2026-11-24T02:00:00Z", "24 Nov 02:00", "02:00:00"},
        {"America/New_York", "2026-11-24T02:00:00Z", "23 Nov 21:00", "23 Nov 21:00"},
        {"Europe/Berlin", "2026-07-01T02:00:00Z", "01 Jul 04:00", "01 Jul 04:00"},
        {"UTC", "2025-12-31T23:59:59Z", "31 Dec  2025", "31 Dec  2025"},
    };
    struct wall_time now = parse("2026-11-24T09:12:00Z");
    char text[TIME_TEXT_SIZE];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        use_zone(cases[i].zone);
        wall_text(parse(cases[i].then), now, text);
        assert_string_equal(text, cases[i].text);
        wall_short_text(parse(cases[i].then), now, text);
        assert_string_equal(text, cases[i].short_text);
    }
    wall_text((struct wall_time){0}, now, text);
    assert_string_equal(text, "-");
    wall_short_text((struct wall_time){0}, now, text);
    assert_string_equal(text, "-");
}

static void names_of_zones(void **state)
{
    (void)state;
    static const struct {
        const char *zone;
        const char *name;
    } cases[] = {
        {"Europe/Berlin", "Berlin"}, {"Europe/London", "London"}, {"UTC", "UTC"}, {"CET-1", "CET"}};
    char name[TIME_TEXT_SIZE];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        use_zone(cases[i].zone);
        zone_text(parse("2026-11-24T09:12:00Z"), name);
        assert_string_equal(name, cases[i].name);
    }
    use_zone("Europe/Nowhere"); // counts as UTC, so it must not be called Nowhere
    zone_text(parse("2026-11-24T09:12:00Z"), name);
    assert_string_not_equal(name, "Nowhere");
}

static void when_it_is_due_in_its_own_zone(void **state)
{
    (void)state;
    use_zone("America/New_York"); // that of this process is not asked
    struct wall_time now = parse("2026-11-24T09:12:00Z");
    static const struct {
        const char *then;
        const char *zone;
        const char *text;
        const char *in;
    } cases[] = {
        {"2026-11-25T02:00:00Z", "Europe/Berlin", "Wed 03:00 Europe/Berlin", "16h"},
        {"2026-11-24T23:30:00+00:00", "Asia/Tokyo", "Wed 08:30 Asia/Tokyo", "14h"},
        {"2026-11-24T09:15:00Z", "", "Tue 09:15 UTC", "3m"},
        {"2026-11-30T09:11:00Z", "UTC", "Mon 09:11 UTC", "5d"},
        {"2026-12-24T02:00:00Z", "Europe/Berlin", "24 Dec 03:00 Europe/Berlin", "29d"},
        {"2026-11-24T09:00:00Z", "UTC", "24 Nov 09:00 UTC", "-"},
        {"2026-11-25T02:00:00Z", "Europe/Nowhere", "Wed 02:00 UTC", "16h"},
    };
    char text[ZONED_TEXT_SIZE], in[TIME_TEXT_SIZE];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        zoned_text(parse(cases[i].then), now, cases[i].zone, text);
        until_text(parse(cases[i].then), now, in);
        assert_string_equal(text, cases[i].text);
        assert_string_equal(in, cases[i].in);
    }
    zoned_text((struct wall_time){0}, now, "UTC", text);
    until_text((struct wall_time){0}, now, in);
    assert_string_equal(text, "-");
    assert_string_equal(in, "-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations),      cmocka_unit_test(seconds),
        cmocka_unit_test(how_long_ago),   cmocka_unit_test(wall_time_in_the_zone),
        cmocka_unit_test(names_of_zones), cmocka_unit_test(when_it_is_due_in_its_own_zone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
