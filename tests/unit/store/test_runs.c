// The history of runs, states of services, and when agents watched.
#include "agent/base/buffer.h"
#include "agent/store/runs.h"
#include "tests/unit/store/fresh_store.h"

static struct run_record make(const char *service, int number)
{
    struct run_record record = {.exit_code = 0,
                                .max_attempts = 4,
                                .created = {1000 * number},
                                .started = {1000 * number},
                                .finished = {1000 * number + 100 * number}};
    snprintf(record.uid, sizeof record.uid, "%s-%d", service, number);
    snprintf(record.namespace, sizeof record.namespace, "reports");
    snprintf(record.service, sizeof record.service, "%s", service);
    snprintf(record.name, sizeof record.name, "run-%d", number);
    snprintf(record.kind, sizeof record.kind, number % 2 ? "scheduled" : "forced");
    snprintf(record.state, sizeof record.state, "succeeded");
    snprintf(record.log, sizeof record.log, "complete");
    return record;
}

static void put(const struct run_record *record)
{
    struct error err;
    if (!store_run_put(store, record, NULL, &err))
        fail_msg("%s", err.text);
}

struct names {
    char text[100000];
};

static bool add_run(void *user, const struct run_record *record)
{
    struct names *names = user;
    strcat(strcat(names->text, record->uid), " ");
    return true;
}

static bool add_mention(void *user, const struct run_mention *run)
{
    struct names *names = user;
    strcat(strcat(names->text, run->uid), run->over ? " " : "* ");
    return true;
}

static void assert_list(struct run_filter filter, const char *wanted)
{
    struct names names = {""};
    filter.namespace = "reports";
    filter.service = "a";
    assert_true(store_run_list(store, &filter, add_run, &names, NULL));
    assert_string_equal(names.text, wanted);
}

static bool ends(struct run_record *record, int64_t finished_ms)
{
    bool ended = true;
    record->finished.ms = finished_ms;
    assert_true(store_run_put(store, record, &ended, NULL));
    return ended;
}

static void an_end_is_told_once(void **state)
{
    (void)state;
    struct run_record record = make("a", 1);
    assert_false(ends(&record, 0));
    assert_true(ends(&record, 1000));
    assert_false(ends(&record, 2000));
    record = make("a", 2);
    assert_true(ends(&record, 1000)); // over when it is first heard of
    assert_false(ends(&record, 1000));
}

static void run_is_kept_and_replaced(void **state)
{
    (void)state;
    struct run_record record = make("a", 1);
    record.attempts = xstrdup("[{}]");
    snprintf(record.reason, sizeof record.reason, "exit 3");
    snprintf(record.commit, sizeof record.commit, "c81d5aa");
    snprintf(record.requested_by, sizeof record.requested_by, "ana");
    record.scheduled_for.ms = 5;
    record.log_bytes = 77;
    record.open = true;
    record.exit_code = 3;
    put(&record);
    put(&record);
    store_close(store);
    assert_true(store_open(directory, &store, NULL));
    struct run_record out;
    assert_true(store_run_get(store, "a-1", &out, NULL));
    assert_string_equal(out.attempts, "[{}]");
    run_record_finish(&record);
    record.attempts = out.attempts;
    record.id = out.id;
    assert_memory_equal(&out, &record, sizeof out);
    run_record_finish(&out);

    record.attempts = NULL;
    record.open = false;
    put(&record);
    assert_true(store_run_find(store, "reports", "a", "run-1", &out, NULL));
    assert_string_equal(out.attempts, "[]");
    assert_false(out.open);
    run_record_finish(&out);
    assert_true(store_run_delete(store, "a-1", NULL));
    struct error err;
    assert_false(store_run_get(store, "a-1", &out, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_false(store_run_find(store, "reports", "a", "run-1", &out, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void lists_are_filtered(void **state)
{
    (void)state;
    for (int i = 1; i <= 5; i++) {
        struct run_record record = make("a", i);
        record.open = i == 5;
        if (i == 5)
            record.finished.ms = 0;
        snprintf(record.state, sizeof record.state,
                 i == 5   ? "running"
                 : i == 3 ? "failed"
                          : "succeeded");
        put(&record);
    }
    struct run_record other = make("b", 9);
    put(&other);
    assert_list((struct run_filter){.limit = 10}, "a-5 a-4 a-3 a-2 a-1 ");
    assert_list((struct run_filter){.limit = 2}, "a-5 a-4 ");
    assert_list((struct run_filter){.limit = 2, .before = {4000}}, "a-3 a-2 ");
    assert_list((struct run_filter){.limit = 9, .kind = "forced"}, "a-4 a-2 ");
    assert_list((struct run_filter){.limit = 9, .state = "failed"}, "a-3 ");
    struct names names = {""};
    assert_true(store_runs_open(store, NULL, NULL, add_mention, &names, NULL));
    assert_string_equal(names.text, "a-5* ");
    assert_true(store_runs_open(store, "sales", NULL, add_mention, &names, NULL));
    assert_string_equal(names.text, "a-5* ");
}

static void assert_marks(int64_t since_ms, size_t limit, const char *wanted)
{
    struct run_mark marks[10];
    struct names names = {""};
    size_t count;
    if (since_ms < 0)
        assert_true(store_run_marks(store, "reports", "a", limit, marks, &count, NULL));
    else
        assert_true(store_run_marks_since(store, "reports", "a", (struct wall_time){since_ms},
                                          limit, marks, &count, NULL));
    for (size_t i = 0; i < count; i++)
        strcat(strcat(names.text, marks[i].name), " ");
    assert_string_equal(names.text, wanted);
}

static void marks_are_the_newest(void **state)
{
    (void)state;
    for (int i = 1; i <= 5; i++) {
        struct run_record record = make("a", i);
        record.scheduled_for.ms = 900 * i;
        record.open = i == 2;
        if (i == 2)
            record.finished.ms = 0;
        put(&record);
    }
    struct run_record other = make("b", 9);
    put(&other);
    assert_marks(-1, 10, "run-5 run-4 run-3 run-2 run-1 ");
    assert_marks(-1, 2, "run-5 run-4 ");
    assert_marks(0, 10, "run-5 run-4 run-3 run-2 run-1 ");
    assert_marks(4400, 10, "run-5 run-4 run-2 "); // the fourth ended just then, the second has not
    assert_marks(4401, 10, "run-5 run-2 ");
    assert_marks(4400, 1, "run-5 ");
    struct run_mark mark;
    size_t count;
    assert_true(store_run_marks(store, "reports", "a", 1, &mark, &count, NULL));
    assert_string_equal(mark.kind, "scheduled");
    assert_string_equal(mark.state, "succeeded");
    assert_int_equal(mark.created.ms, 5000);
    assert_int_equal(mark.scheduled_for.ms, 4500);
    assert_int_equal(mark.started.ms, 5000);
    assert_int_equal(mark.finished.ms, 5500);
}

static void usual_is_the_median(void **state)
{
    (void)state;
    struct run_record last;
    int64_t usual;
    struct error err;
    assert_false(store_run_last(store, "reports", "a", &last, &usual, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    static const int usuals[] = {100, 150, 200, 200};
    for (int i = 1; i <= 4; i++) {
        struct run_record record = make("a", i);
        if (i == 4)
            snprintf(record.state, sizeof record.state, "failed");
        put(&record);
        assert_true(store_run_last(store, "reports", "a", &last, &usual, NULL));
        assert_int_equal(last.created.ms, 1000 * i);
        assert_int_equal(usual, usuals[i - 1]);
    }
    for (int i = 101; i <= 100 + STORE_USUAL_OF; i++) { // the older ones count no more
        struct run_record record = make("a", i);
        record.finished.ms = record.started.ms + 7;
        put(&record);
    }
    assert_true(store_run_last(store, "reports", "a", &last, &usual, NULL));
    assert_int_equal(usual, 7);
}

static void bounds_leave_what_is_open(void **state)
{
    (void)state;
    for (int i = 1; i <= 6; i++) {
        struct run_record record = make("a", i);
        record.open = i == 2;
        record.log_bytes = 10 * i;
        put(&record);
    }
    struct run_record other = make("b", 1);
    put(&other);
    struct names names = {""};
    assert_true(store_runs_expired(store, "reports", "a", 3, (struct wall_time){0}, add_mention,
                                   &names, NULL));
    assert_string_equal(names.text, "a-1 a-3 ");
    names.text[0] = '\0';
    assert_true(store_runs_expired(store, NULL, NULL, 5, (struct wall_time){1150}, add_mention,
                                   &names, NULL));
    assert_true(strstr(names.text, "b-1 ") && strstr(names.text, "a-1 ") &&
                !strstr(names.text, "a-2"));
    int64_t bytes;
    assert_true(store_run_log_bytes(store, &bytes, NULL));
    assert_int_equal(bytes, 210);
    struct run_record oldest;
    assert_true(store_run_oldest_log(store, &oldest, NULL));
    assert_string_equal(oldest.uid, "a-1");
    run_record_finish(&oldest);
    names.text[0] = '\0';
    assert_true(store_runs_of(store, "reports", "b", add_mention, &names, NULL));
    assert_string_equal(names.text, "b-1 ");
}

static bool add_state(void *user, const struct service_state_record *record)
{
    struct names *names = user;
    char text[400];
    snprintf(text, sizeof text, "%d:%s:%s:%s ", (int)record->at.ms, record->state, record->schedule,
             record->time_zone);
    strcat(names->text, text);
    return true;
}

static void note_state(int at, const char *word, const char *schedule)
{
    struct service_state_record record = {.at = {at}};
    snprintf(record.namespace, sizeof record.namespace, "reports");
    snprintf(record.service, sizeof record.service, "a");
    snprintf(record.state, sizeof record.state, "%s", word);
    snprintf(record.schedule, sizeof record.schedule, "%s", schedule);
    snprintf(record.time_zone, sizeof record.time_zone, "UTC");
    assert_true(store_service_state_add(store, &record, NULL));
}

static void only_changes_of_state_are_kept(void **state)
{
    (void)state;
    struct names names = {""};
    note_state(10, "draft", "* * * * *");
    note_state(20, "started", "* * * * *");
    note_state(30, "started", "* * * * *");
    note_state(40, "started", "@hourly");
    note_state(40, "stopped", "@hourly");
    assert_true(store_service_state_list(store, "reports", "a", add_state, &names, NULL));
    assert_string_equal(names.text,
                        "10:draft:* * * * *:UTC 20:started:* * * * *:UTC 40:stopped:@hourly:UTC ");
    for (int i = 0; i < STORE_SERVICE_STATES + 5; i++)
        note_state(100 + i, i % 2 ? "started" : "draft", "@daily");
    CLEANUP(free_ptr) struct names *many = xalloc(sizeof *many);
    assert_true(store_service_state_list(store, "reports", "a", add_state, many, NULL));
    int count = 0;
    for (const char *at = many->text; (at = strchr(at, ' ')); at++)
        count++;
    assert_int_equal(count, STORE_SERVICE_STATES);
    assert_true(store_service_state_delete(store, "reports", "a", NULL));
    names.text[0] = '\0';
    assert_true(store_service_state_list(store, "reports", "a", add_state, &names, NULL));
    assert_string_equal(names.text, "");
}

static bool add_present(void *user, const char *namespace, const char *service)
{
    struct names *names = user;
    strcat(strcat(strcat(strcat(names->text, namespace), "/"), service), " ");
    return true;
}

static void service_that_went_is_forgotten_in_time(void **state)
{
    (void)state;
    struct names names = {""};
    note_state(5, "stopped", ""); // of one that was never known
    assert_true(store_service_state_list(store, "reports", "a", add_state, &names, NULL));
    assert_string_equal(names.text, "");
    note_state(10, "started", "@daily");
    assert_true(store_service_state_present(store, "reports", add_present, &names, NULL));
    assert_true(store_service_state_present(store, "other", add_present, &names, NULL));
    assert_true(store_service_state_present(store, NULL, add_present, &names, NULL));
    assert_string_equal(names.text, "reports/a reports/a ");
    assert_true(store_service_states_expire(store, (struct wall_time){1000}, NULL));
    names.text[0] = '\0';
    note_state(20, "stopped", "");
    assert_true(store_service_state_present(store, NULL, add_present, &names, NULL));
    assert_true(store_service_states_expire(store, (struct wall_time){20}, NULL));
    assert_true(store_service_state_list(store, "reports", "a", add_state, &names, NULL));
    assert_string_equal(names.text, "10:started:@daily:UTC 20:stopped::UTC ");
    names.text[0] = '\0';
    assert_true(store_service_states_expire(store, (struct wall_time){21}, NULL));
    assert_true(store_service_state_list(store, "reports", "a", add_state, &names, NULL));
    assert_string_equal(names.text, "");
}

static bool add_watch(void *user, struct wall_time started, struct wall_time seen)
{
    struct names *names = user;
    char text[80];
    snprintf(text, sizeof text, "%d-%d ", (int)started.ms, (int)seen.ms);
    strcat(names->text, text);
    return true;
}

static void watches_are_told(void **state)
{
    (void)state;
    struct names names = {""};
    assert_true(store_watch_seen(store, (struct wall_time){10}, (struct wall_time){20}, NULL));
    assert_true(store_watch_seen(store, (struct wall_time){10}, (struct wall_time){30}, NULL));
    assert_true(store_watch_seen(store, (struct wall_time){50}, (struct wall_time){60}, NULL));
    assert_true(store_watch_list(store, (struct wall_time){0}, add_watch, &names, NULL));
    assert_string_equal(names.text, "10-30 50-60 ");
    names.text[0] = '\0';
    assert_true(store_watch_list(store, (struct wall_time){31}, add_watch, &names, NULL));
    assert_string_equal(names.text, "50-60 ");
}

static void commit_of_a_patched_image(void **state)
{
    (void)state;
    struct build build = {.attempt = 1, .commit = "a41f09c", .recipe = "r", .repository = "g/a"};
    assert_true(store_build_put(store, &build, NULL));
    struct patch_record patch = {
        .build = build.id, .namespace = "reports", .name = "a", .new_image = "h/i@sha256:1"};
    assert_true(store_patch_add(store, &patch, NULL));
    char commit[STORE_COMMIT_SIZE];
    struct error err;
    assert_true(store_patch_commit(store, "reports", "a", "h/i@sha256:1", commit, &err));
    assert_string_equal(commit, "a41f09c");
    assert_false(store_patch_commit(store, "reports", "b", "h/i@sha256:1", commit, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(service_that_went_is_forgotten_in_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(run_is_kept_and_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_end_is_told_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lists_are_filtered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(marks_are_the_newest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(usual_is_the_median, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bounds_leave_what_is_open, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_changes_of_state_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(watches_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(commit_of_a_patched_image, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
