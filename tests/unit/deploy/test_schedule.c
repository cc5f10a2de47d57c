// Words, warnings, errors, and a few times. That grammar and times are the library's is what
// tests/schedule compares.
#include "deploy/schedule_answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define FROM INT64_C(1774656000) // 2026-03-28T00:00:00Z

static struct schedule schedule_of(const char *expression)
{
    struct schedule schedule;
    struct error err;
    if (!schedule_parse(expression, &schedule, NULL, &err))
        fail_msg("%s: %s", expression, err.text);
    return schedule;
}

static void sentences(void **state)
{
    static const struct {
        const char *expression, *sentence;
    } cases[] = {
        {"30 2 * * *", "Every day at 02:30"},
        {"0 3 * * 1-5", "Monday to Friday at 03:00"},
        {"0 3 * * 1", "Every Monday at 03:00"},
        {"0 3 * * 6,0", "Saturday and Sunday at 03:00"},
        {"0 3 * * 1,3,5", "Monday, Wednesday and Friday at 03:00"},
        {"0 3,15 1 * *", "On day 1 of every month at 03:00 and 15:00"},
        {"0 0 1,15 1,7 *", "On days 1 and 15 of January and July at 00:00"},
        {"0 0 1 1 *", "On 1 January at 00:00"},
        {"0 0 13 * 5", "On day 13 of every month, and every Friday at 00:00"},
        {"0 0 1-31 * 5", "Every day at 00:00"},
        {"0 0 , * 5", "Every Friday at 00:00"},
        {"0 0 * 1 *", "Every day in January at 00:00"},
        {"* * * * *", "Every minute"},
        {"0 * * * *", "Every hour"},
        {"30 * * * *", "At minute 30 of every hour"},
        {"*/15 * * * *", "Every 15 minutes"},
        {"*/15 9-17 * * 1-5", "Every 15 minutes from 09:00 to 17:45, Monday to Friday"},
        {"*/15 9,17 * * *", "Every 15 minutes of hours 9 and 17"},
        {"5,10,20 * * * *", "At minutes 5, 10 and 20 of every hour"},
        {"* * * 1 *", "Every minute, in January"},
        {"0 */2 * * *", "Every 2 hours"},
        {"0 9-17 * * *", "Every hour from 09:00 to 17:00"},
        {"0 0 30 2 *", "Never"},
        {", * * * *", "Never"},
        {"@weekly", "Every Sunday at 00:00"},
        {"@every 1h", "Every hour"},
        {"@every 90m", "Every 1 hour 30 minutes"},
        {"@every 2h0m5s", "Every 2 hours 5 seconds"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct schedule schedule = schedule_of(cases[i].expression);
        CLEANUP(free_ptr) char *sentence = schedule_describe(&schedule);
        assert_string_equal(sentence, cases[i].sentence);
    }
}

static void errors(void **state)
{
    static const struct {
        const char *expression, *field, *detail;
        size_t offset, len;
    } cases[] = {
        {"0 3 * * 7", "day of week", "day of week is 0-6; Sunday is 0", 8, 1},
        {"0 24 * * *", "hour", "hour is 0-23; midnight is 0", 2, 2},
        {"0 3 * * 1,monday", "day of week", "day of week has no \"monday\"; did you mean \"mon\"?",
         10, 6},
        {"0 22-2 * * *", "hour", "hour \"22-2\" runs backwards; write \"22-23,0-2\"", 2, 4},
        {"*/0 * * * *", "minute", "minute: a step is a whole number of at least 1, not \"0\"", 2,
         1},
        {"*/ * * * *", "minute", "minute: a step is a whole number of at least 1, not \"\"", 0, 2},
        {"0 0 L * *", "day of month", "day of month \"L\": Kubernetes has no L, W and #", 4, 1},
        {"0 0 * * fri#2", "day of week", "day of week \"fri#2\": Kubernetes has no L, W and #", 8,
         5},
        {"0 0 5- * *", "day of month", "day of month: a number is missing in \"5-\"", 4, 2},
        {"1-2-3 * * * *", "minute", "minute \"1-2-3\" has two hyphens; separate ranges by commas",
         0, 5},
        {"*/2/3 * * * *", "minute", "minute \"*/2/3\" has two steps", 0, 5},
        {"x * * * *", "minute", "\"x\" is no minute: that is 0-59", 0, 1},
        {"0 0 * 13 *", "month", "month is 1-12 or jan-dec", 6, 2},
        {"", "", "the schedule is empty", 0, 0},
        {"0 3 * *", "", "4 fields; five are wanted: minute, hour, day of month, month, day of week",
         0, 7},
        {"@reboot", "", "Kubernetes has no @reboot: a cluster has no start to run at", 0, 7},
        {"@dayly", "", "there is no \"@dayly\"; did you mean \"@daily\"?", 0, 6},
        {"@every 5d", "", "@every takes a duration such as 90m or 1h30m, with the units s, m and h",
         7, 2},
        {"0 3 TZ=UTC * *", "",
         "the time zone does not go into the schedule: it is a setting of its own", 4, 6},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct schedule schedule;
        struct schedule_fault fault;
        struct error err;
        assert_false(schedule_parse(cases[i].expression, &schedule, &fault, &err));
        assert_int_equal(err.code, ERR_INVALID);
        assert_string_equal(err.text, cases[i].detail);
        assert_string_equal(fault.field, cases[i].field);
        assert_int_equal(fault.offset, cases[i].offset);
        assert_int_equal(fault.len, cases[i].len);
    }
}

static void length_is_bounded(void **state)
{
    (void)state;
    char text[SCHEDULE_TEXT_MAX + 2] = "0 3 * * *";
    struct schedule schedule;
    struct schedule_fault fault;
    memset(text + strlen(text), ' ', sizeof(text) - 1 - strlen(text));
    text[sizeof(text) - 1] = '\0';
    assert_false(schedule_parse(text, &schedule, &fault, NULL));
    assert_int_equal(fault.len, SCHEDULE_TEXT_MAX + 1);
    text[SCHEDULE_TEXT_MAX] = '\0';
    assert_true(schedule_parse(text, &schedule, NULL, NULL));
    assert_false(schedule_parse("0 3 * * \xff", &schedule, &fault, NULL));
}

static void warnings(void **state)
{
    static const struct {
        const char *expression, *zone, *warnings; // ended by '|' each
    } cases[] = {
        {"30 2 * * *", "Europe/Berlin",
         "Sun 2026-03-29: 02:30 does not exist, no run.  Sun 2026-10-25: 02:30 twice, two runs.|"},
        {"0 4 * * *", "Europe/Berlin", ""},
        {"15 * * * *", "Europe/Berlin", ""},
        {"*/20 2 * * *", "America/New_York",
         "Sun 2027-03-14: 02:00, 02:20 and 02:40 do not exist, no runs.|"},
        {"0,10,20,30,50 2 29 3 *", "Europe/Berlin",
         "Sun 2026-03-29: 5 times from 02:00 to 02:50 do not exist, no runs.|"},
        {"0 2 * * *", "Australia/Lord_Howe",
         "Sun 2026-04-05: 02:00 is passed over, no run.  "
         "Sun 2026-10-04: 02:00 does not exist, no run.|"},
        {"45 1 * * *", "Australia/Lord_Howe",
         "Sun 2026-04-05: 01:45 twice, two runs.  "
         "Sun 2026-10-04: 02:45 a run, though not in the schedule.|"},
        {"0 5 23 4 *", "Africa/Cairo", "Fri 2026-04-24: 05:00 a run, though not in the schedule.|"},
        {"0 3 13 * 5", "UTC",
         "Day of month and day of week are both given: it runs when either of them fits.|"},
        {"*/7 * * * *", "UTC",
         "*/7 begins anew with each hour: minute 56 is followed by minute 0.|"},
        {"*/61 * * * *", "UTC", "A step beyond the hour is minute 0 alone.|"},
        {"0 0 */2 * *", "UTC", "*/2 begins anew with each month: day 31 is followed by day 1.|"},
        {"0 0 31 * *", "UTC", "Months that have no day 31 are passed over.|"},
        {"0 0 31 2 *", "UTC", "It never fires: none of the months has such a day.|"},
        {"0 0 * , *", "UTC", "It never fires: a field has no value.|"},
        {"* * * * *", "UTC", "It runs every minute.|"},
        {"*-9 0 * * *", "UTC", "What follows \"*-\" is ignored: it is \"*\".|"},
        {"@every 5s", "UTC",
         "Counted from the run before, and at first from when the CronJob was made: not by the "
         "clock.|Kubernetes starts at most one run a minute.|"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct schedule schedule = schedule_of(cases[i].expression);
        CLEANUP(zone_ptr) struct zone *zone = NULL;
        assert_true(zone_open(cases[i].zone, &zone, NULL));
        CLEANUP(json_ptr)
        json_t *list = schedule_warnings(&schedule, zone, FROM);
        CLEANUP(buffer_finish) struct buffer text = {0};
        for (size_t j = 0; j < json_array_size(list); j++)
            assert_true(
                buffer_printf(&text, NULL, "%s|", json_string_value(json_array_get(list, j))));
        assert_string_equal(buffer_text(&text), cases[i].warnings);
    }
}

static void answers(void **state)
{
    (void)state;
    CLEANUP(zone_ptr) struct zone *zone = NULL;
    assert_true(zone_open("America/St_Johns", &zone, NULL));
    struct schedule_question question = {
        .expression = "0 3 * * *", .time_zone = "America/St_Johns", .from = FROM, .count = 1};
    CLEANUP(json_ptr) json_t *answer = NULL;
    assert_true(schedule_answer(&question, zone, NULL, &answer));
    CLEANUP(free_ptr) char *text = json_write(json_at(answer, "times", NULL));
    assert_string_equal(text, "[{\"local\":\"2026-03-28T03:00:00-02:30\",\"zone\":\"NDT\","
                              "\"utc\":\"2026-03-28T05:30:00Z\"}]");
}

static void answers_end_with_what_is_known(void **state)
{
    (void)state;
    CLEANUP(zone_ptr) struct zone *zone = NULL;
    assert_true(zone_open("", &zone, NULL));
    struct schedule_question question = {
        .expression = "0 0 29 2 *", .time_zone = "", .from = FROM, .count = 1000};
    CLEANUP(json_ptr) json_t *answer = NULL;
    assert_true(schedule_answer(&question, zone, NULL, &answer));
    assert_int_equal(json_array_size(json_at(answer, "times", NULL)), 3); // 2028, 2032, 2036
    assert_int_equal(json_array_size(json_at(answer, "warnings", NULL)), 3);
}

static void times_to_begin(void **state)
{
    static const char *const wrong[] = {"",
                                        "now",
                                        "2026-03-28",
                                        "1969-12-31T23:59:59Z",
                                        "2038-01-01T00:00:00Z",
                                        "9999-01-01T00:00:00Z"};
    (void)state;
    int64_t from;
    assert_true(schedule_read_from("1970-01-01T00:00:00Z", &from, NULL));
    assert_int_equal(from, 0);
    assert_true(schedule_read_from("2037-12-31T23:59:59.999Z", &from, NULL));
    assert_int_equal(from, ZONE_END - 1);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(schedule_read_from(wrong[i], &from, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentences),         cmocka_unit_test(errors),
        cmocka_unit_test(length_is_bounded), cmocka_unit_test(warnings),
        cmocka_unit_test(answers),           cmocka_unit_test(answers_end_with_what_is_known),
        cmocka_unit_test(times_to_begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
