// Which runs were missed, and why.
#include "agent/base/buffer.h"
#include "agent/runs/missed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ROWS 10

static int64_t at(const char *time)
{
    char text[40];
    struct wall_time parsed;
    snprintf(text, sizeof text, "2026-11-24T%sZ", time);
    assert_true(wall_parse(text, &parsed));
    return parsed.ms;
}

static struct service_state_record state_at(const char *time, const char *word,
                                            const char *schedule)
{
    struct service_state_record record = {.at = {at(time)}};
    snprintf(record.state, sizeof record.state, "%s", word);
    snprintf(record.schedule, sizeof record.schedule, "%s", schedule);
    return record;
}

static struct past_run run_at(const char *due, const char *created, const char *finished)
{
    struct past_run run = {.due = {at(due)}, .created = {at(created)}};
    if (finished)
        run.finished.ms = at(finished);
    snprintf(run.name, sizeof run.name, "run-%.5s", due);
    return run;
}

// An agent is there all day, and it is noon.
static struct missed_history a_day(void)
{
    static struct watched_span all_day;
    all_day = (struct watched_span){{at("00:00:00")}, {at("12:00:00")}};
    return (struct missed_history){.now = {at("12:00:00")},
                                   .until = {at("12:00:00")},
                                   .watched = &all_day,
                                   .watched_count = 1,
                                   .concurrency = "Forbid",
                                   .starting_deadline = -1};
}

static void assert_missed(struct missed_history *history, size_t limit, const char *wanted)
{
    struct missed_run rows[ROWS];
    char text[1000] = "";
    size_t count = missed_runs(history, rows, limit);
    for (size_t i = 0; i < count; i++) {
        char due[RFC3339_SIZE], since[RFC3339_SIZE];
        wall_format(rows[i].due, false, due);
        wall_format(rows[i].since, false, since);
        snprintf(text + strlen(text), sizeof text - strlen(text), "%.5s %s%s%.5s\n", due + 11,
                 rows[i].reason, *since ? " " : "", *since ? since + 11 : "");
    }
    assert_string_equal(text, wanted);
}

static void nothing_is_said_without_a_known_state(void **state)
{
    (void)state;
    struct missed_history history = a_day();
    assert_missed(&history, ROWS, "");
}

static void stopped_service_names_when(void **state)
{
    (void)state;
    struct service_state_record states[] = {state_at("07:30:00", "draft", "0 * * * *"),
                                            state_at("08:30:00", "started", "0 * * * *"),
                                            state_at("09:10:00", "stopped", "0 * * * *"),
                                            state_at("10:10:00", "stopped", "30 * * * *")};
    struct past_run runs[] = {run_at("09:00:00", "09:00:01", "09:00:09")};
    struct missed_history history = a_day();
    history.states = states;
    history.state_count = 4;
    history.runs = runs;
    history.run_count = 1;
    assert_missed(&history, ROWS,
                  "11:30 stopped 09:10\n10:30 stopped 09:10\n10:00 stopped 09:10\n");
    assert_missed(&history, 2, "11:30 stopped 09:10\n10:30 stopped 09:10\n");
    history.from.ms = at("10:15:00");
    history.until.ms = at("11:00:00");
    assert_missed(&history, ROWS, "10:30 stopped 09:10\n");
}

static void why_a_started_service_did_not_run(void **state)
{
    (void)state;
    struct service_state_record states[] = {state_at("07:30:00", "started", "0 * * * *")};
    struct past_run runs[] = {run_at("08:00:00", "08:00:01", "09:30:00"),
                              run_at("11:00:00", "11:00:01", NULL)};
    struct watched_span watched[] = {{{at("07:00:00")}, {at("09:15:00")}},
                                     {{at("10:30:00")}, {at("11:00:00")}}};
    struct missed_history history = a_day();
    history.states = states;
    history.state_count = 1;
    history.runs = runs;
    history.run_count = 2;
    assert_missed(&history, ROWS, "10:00 unknown\n09:00 forbidden by run-08:00\n");
    history.starting_deadline = 100;
    assert_missed(&history, ROWS, "10:00 starting deadline missed\n09:00 forbidden by run-08:00\n");
    history.watched = watched;
    history.watched_count = 2;
    assert_missed(&history, ROWS, "10:00 agent or controller away\n09:00 forbidden by run-08:00\n");
    history.concurrency = "Allow";
    assert_missed(&history, ROWS,
                  "10:00 agent or controller away\n09:00 starting deadline missed\n");
}

static void what_may_yet_run_is_not_missed(void **state)
{
    (void)state;
    struct service_state_record states[] = {state_at("11:58:30", "started", "* * * * *")};
    struct missed_history history = a_day();
    history.states = states;
    history.state_count = 1;
    history.now.ms = history.until.ms = at("12:00:10");
    assert_missed(&history, ROWS, "11:59 unknown\n");
    history.now.ms = history.until.ms = at("12:00:20");
    assert_missed(&history, ROWS, "12:00 unknown\n11:59 unknown\n");
}

static void times_are_those_of_the_zone(void **state)
{
    (void)state;
    struct service_state_record states[] = {state_at("01:00:00", "stopped", "0 9 * * *")};
    snprintf(states[0].time_zone, sizeof states[0].time_zone, "Europe/Berlin");
    struct missed_history history = a_day();
    history.states = states;
    history.state_count = 1;
    assert_missed(&history, ROWS, "08:00 stopped 01:00\n");
}

static void what_cannot_be_foretold_is_left_out(void **state)
{
    (void)state;
    const char *const schedules[] = {"@every 1h", "never", "0 0 30 2 *"};
    for (size_t i = 0; i < 3; i++) {
        struct service_state_record states[] = {state_at("01:00:00", "stopped", schedules[i])};
        struct missed_history history = a_day();
        history.states = states;
        history.state_count = 1;
        assert_missed(&history, ROWS, "");
    }
}

static void minute_is_in_the_name(void **state)
{
    (void)state;
    assert_int_equal(missed_due_of("nightly-report-29924760").ms, INT64_C(29924760) * 60000);
    assert_int_equal(missed_due_of("nightly-report-f-3kq9").ms, 0);
    assert_int_equal(missed_due_of("nightly").ms, 0);
    assert_int_equal(missed_due_of("nightly-99999999999999999999").ms, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_said_without_a_known_state),
        cmocka_unit_test(stopped_service_names_when),
        cmocka_unit_test(why_a_started_service_did_not_run),
        cmocka_unit_test(what_may_yet_run_is_not_missed),
        cmocka_unit_test(times_are_those_of_the_zone),
        cmocka_unit_test(what_cannot_be_foretold_is_left_out),
        cmocka_unit_test(minute_is_in_the_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
