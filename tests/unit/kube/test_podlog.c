// Following a log against answers that a real kubelet cannot be made to give.
#include "deploy/kube/podlog.h"
#include "tests/unit/kube/scripted.h"

#include <signal.h>
#include <sys/resource.h>

#define POD(phase, state)                                                                          \
    OK "{\"metadata\":{\"uid\":\"u\"},\"spec\":{\"restartPolicy\":\"Never\"},\"status\":{"         \
       "\"phase\":\"" phase "\",\"containerStatuses\":[{\"name\":\"main\",\"state\":{\"" state     \
       "\":{}}}]}}"
#define RUNNING POD("Running", "running")
#define ENDED   POD("Succeeded", "terminated")
#define RESTARTED                                                                                  \
    OK "{\"metadata\":{\"uid\":\"u\"},\"spec\":{\"restartPolicy\":\"OnFailure\"},\"status\":{"     \
       "\"phase\":\"Succeeded\",\"containerStatuses\":[{\"name\":\"main\",\"restartCount\":1,"     \
       "\"state\":{\"terminated\":{\"exitCode\":0}}}]}}"
#define WAITING                                                                                    \
    ANSWER("400 Bad Request", "X-A: b")                                                            \
    "{\"reason\":\"BadRequest\",\"message\":\"container is waiting to start\",\"code\":400}"
#define LINE(second, text) "2026-11-24T08:01:" second ".000000001Z " text "\n"
#define UNREAD             "the pod was deleted before its log was read to the end"
#define GET_POD            "GET /api/v1/namespaces/n/pods/p HTTP"
#define GET_LOG            "GET /api/v1/namespaces/n/pods/p/log?container=main&timestamps=true&"
#define FOLLOW             GET_LOG "follow=true"
#define LAST               GET_LOG "follow=false"

static struct {
    struct kube_client *client;
    struct http_loop *loop;
    struct podlog_hub *hub;
    char path[128];
} stage;

static void begin(const char *file, const struct step *script, size_t count)
{
    struct error err;
    snprintf(stage.path, sizeof stage.path, "%s/log", scripted.directory);
    assert_true(file_write(stage.path, 0600, file, strlen(file), NULL));
    play(script, count);
    stage.client = scripted_client("{}");
    stage.loop = http_loop_create();
    stage.hub = podlog_hub_create(stage.client, stage.loop);
    struct podlog_source source = {
        .namespace_ = "n", .pod = "p", .uid = "u", .container = "main", .path = stage.path};
    if (!podlog_follow(stage.hub, &source, &err))
        fail_msg("%s", err.text);
}

#define BEGIN(file, script) begin(file, script, sizeof(script) / sizeof *(script))

// Reads all, checks text and end, and that the whole script was played.
static void expect(const char *text, enum podlog_state state, const char *why, size_t steps)
{
    struct podlog_reader *reader;
    struct podlog_end end = {.state = PODLOG_FOLLOWING};
    struct error err;
    char got[4096] = "";
    size_t len = 0, part = 1;
    if (!podlog_reader_open(stage.hub, stage.path, 0, false, &reader, &err))
        fail_msg("%s", err.text);
    while (part > 0) {
        if (!podlog_read(reader, mono_after(AWAIT_MS), got + len, sizeof got - 1 - len, &part, &end,
                         &err))
            fail_msg("%s after: %s", err.text, got);
        len += part;
        got[len] = '\0';
    }
    podlog_reader_close(reader);
    assert_string_equal(got, text);
    assert_int_equal(end.state, state);
    assert_string_equal(end.why, why);
    assert_int_equal(played(), steps);
    podlog_hub_destroy(stage.hub);
    http_loop_destroy(stage.loop);
    kube_client_destroy(stage.client);
}

static void torn_log_is_joined(void **state)
{
    (void)state;
    static const struct step script[] = {
        STEP(GET_POD, RUNNING),
        STEP(GET_LOG "follow=true HTTP",
             ANSWER("200 OK", "Transfer-Encoding: chunked") "1000\r\n" LINE("10", "one")
                 LINE("10", "two") LINE("11", "thr") "2026-11-24T08:01:12.0"),
        STEP(GET_POD, ENDED),
        STEP(GET_LOG "follow=false&sinceTime=2026-11-24T08%3A01%3A09Z HTTP",
             OK LINE("10", "one") LINE("10", "two") LINE("11", "thr") LINE("12", "four")
                 LINE("10", "five, late") "2026-11-24T08:01:13.5Z six"),
    };
    BEGIN("", script);
    expect("one\ntwo\nthr\nfour\nfive, late\nsix\n", PODLOG_COMPLETE, "", 4);
}

static void waiting_container_is_waited_for(void **state)
{
    (void)state;
    static const struct step script[] = {
        STEP(GET_POD, POD("Pending", "waiting")),
        STEP(GET_POD, RUNNING),
        STEP(GET_LOG "follow=true HTTP", WAITING),
        STEP(GET_POD, RUNNING),
        STEP(GET_LOG "follow=true HTTP", OK LINE("10", "one")),
        STEP(GET_POD, ENDED),
        STEP(GET_LOG "follow=false", OK LINE("10", "one")),
    };
    BEGIN("", script);
    expect("one\n", PODLOG_COMPLETE, "", 7);
}

static void word_of_the_kubelet_is_no_line(void **state)
{
    (void)state;
    static const struct step script[] = {
        STEP(GET_POD, ENDED),
        STEP(GET_LOG "follow=false", OK LINE("10", "one") "unable to retrieve container logs\n"),
        STEP(GET_POD, ENDED),
        STEP(GET_LOG "follow=false",
             OK "rest of a line from before\n" LINE("10", "one") LINE("11", "two")),
    };
    BEGIN("", script);
    expect("one\ntwo\n", PODLOG_COMPLETE, "", 4);
}

static void rotated_lines_are_told(void **state)
{
    (void)state;
    static const struct step script[] = {
        STEP(GET_POD, ENDED),
        STEP(GET_LOG "follow=false&sinceTime=2026-11-24T08%3A01%3A08Z", OK LINE("30", "later")),
    };
    BEGIN(LINE("10", "first"), script);
    expect("first\nlater\n", PODLOG_LOST, "some lines were rotated away before they could be read",
           2);
}

static void deleted_pod_ends_the_log(void **state)
{
    (void)state;
    static const struct step lost[] = {
        STEP(GET_POD, RUNNING),
        STEP(GET_LOG, ANSWER("200 OK", "Transfer-Encoding: chunked") "1000\r\n" LINE("10", "one")),
        STEP(GET_POD, ANSWER("404 Not Found", "X-A: b")),
    };
    static const struct step other[] = {
        STEP(GET_POD, OK "{\"metadata\":{\"uid\":\"another\"},\"spec\":{},\"status\":{}}"),
    };
    BEGIN("", lost);
    expect("one\n", PODLOG_LOST, UNREAD, 3);
    BEGIN("", other);
    expect("", PODLOG_LOST, UNREAD, 1);
}

// The log was followed to its end; then the pod goes during or before the look after that.
static void pod_that_goes_takes_no_log_that_was_read(void **state)
{
    (void)state;
    static const char unreadable[] = OK "unable to retrieve container logs for containerd://1";
    static const char gone[] = ANSWER("404 Not Found", "X-A: b");
    static const char more[] = ANSWER("200 OK", "Transfer-Encoding: chunked") "1000\r\n" LINE(
        "10", "one") "2026-11-24T08:01:11.5Z tw";
    static const char one[] = OK LINE("10", "one");
    static const struct {
        const char *log, *pod, *ask, *again; // of the log again, if it is asked for
        enum podlog_state state;
    } cases[] = {
        {one, ENDED, LAST, gone, PODLOG_COMPLETE},
        {one, ENDED, LAST, unreadable, PODLOG_COMPLETE},
        {one, ENDED, LAST, more, PODLOG_LOST},
        {one, RESTARTED, LAST, gone, PODLOG_LOST},
        {one, RUNNING, FOLLOW, gone, PODLOG_LOST},
        {OK LINE("10", "one") "2026-11-24T08:01:11.5Z tw", gone, NULL, NULL, PODLOG_LOST},
        {OK LINE("10", "one") "rpc error: code = NotFound desc = x", gone, NULL, NULL,
         PODLOG_COMPLETE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct step script[] = {STEP(GET_POD, RUNNING), STEP(FOLLOW, cases[i].log),
                                      STEP(GET_POD, cases[i].pod),
                                      STEP(cases[i].ask, cases[i].again), STEP(GET_POD, gone)};
        size_t steps = cases[i].again ? 5 : 3;
        begin("", script, steps);
        expect("one\n", cases[i].state, cases[i].state == PODLOG_LOST ? UNREAD : "", steps);
    }
}

static void log_that_cannot_be_read_is_not_whole(void **state)
{
    (void)state;
    static const struct step script[] = {
        STEP(GET_POD, ENDED),
        STEP(GET_LOG "follow=false", OK "unable to retrieve container logs for containerd://1"),
        STEP(GET_POD, ANSWER("404 Not Found", "X-A: b")),
    };
    BEGIN("", script);
    expect("", PODLOG_LOST, UNREAD, 3);
}

static void missing_right_is_told_at_once(void **state)
{
    (void)state;
    static const struct step script[] = {
        STEP(GET_POD, RUNNING),
        STEP(GET_LOG, ANSWER("403 Forbidden", "X-A: b") "{\"reason\":\"Forbidden\",\"message\":"
                                                        "\"cannot get pods/log\"}"),
    };
    BEGIN("", script);
    expect("", PODLOG_LOST, "403 Forbidden: cannot get pods/log", 2);
}

static void never_started_is_a_whole_log(void **state)
{
    (void)state;
    static const struct step script[] = {
        STEP(GET_POD, OK "{\"metadata\":{\"uid\":\"u\"},\"spec\":{},\"status\":{\"phase\":"
                         "\"Failed\",\"reason\":\"Evicted\"}}"),
    };
    BEGIN("", script);
    expect("", PODLOG_COMPLETE, "the container never started", 1);
}

static void ended_file_is_not_followed_again(void **state)
{
    (void)state;
    static const struct step none[] = {STEP("no request at all", OK)};
    BEGIN(LINE("10", "one") "= truncated too long\n", none);
    expect("one\n", PODLOG_TRUNCATED, "too long", 0);
    static const struct step again[] = {
        STEP(GET_POD, ENDED),
        STEP(GET_LOG "follow=false", OK LINE("10", "one") LINE("11", "two")),
    };
    BEGIN(LINE("10", "one") "= lost the agent was stopped\n", again);
    expect("one\ntwo\n", PODLOG_COMPLETE, "", 2);
}

static void count_end(void *user, const char *path)
{
    (void)path;
    ++*(int *)user;
}

// Its readers hear of it; who would have it followed again at once does not.
static void full_disk_is_told(void **state)
{
    int ends = 0;
    (void)state;
    static const struct step script[] = {
        STEP(GET_POD, POD("Pending", "waiting")), // time for the limit
        STEP(GET_POD, ENDED),
        STEP(GET_LOG "follow=false", OK LINE("10", "one") LINE("11", "two")),
    };
    struct rlimit before, tight;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = (struct rlimit){.rlim_cur = 40, .rlim_max = before.rlim_max}; // within the second line
    signal(SIGXFSZ, SIG_IGN);
    BEGIN("", script);
    podlog_hub_on_end(stage.hub, count_end, &ends);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    expect("", PODLOG_LOST, "write the log file: File too large", 3);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(ends, 0);
}

// --- readers of a file that nobody follows ---

static struct podlog_reader *open_static(const char *text, uint64_t offset, bool timestamps)
{
    struct podlog_reader *reader;
    struct error err;
    snprintf(stage.path, sizeof stage.path, "%s/static", scripted.directory);
    assert_true(file_write(stage.path, 0600, text, strlen(text), NULL));
    if (!podlog_reader_open(stage.hub, stage.path, offset, timestamps, &reader, &err))
        fail_msg("%s", err.text);
    return reader;
}

// Reads on from any offset, by any amount: it gives the same.
static void assert_reads(const char *text, bool timestamps, const char *wanted)
{
    struct podlog_end end;
    struct error err;
    for (size_t offset = 0; offset <= strlen(wanted); offset++)
        for (size_t room = 1; room < 6; room++) {
            char got[256] = "";
            size_t len = 0, part = 1;
            struct podlog_reader *reader = open_static(text, offset, timestamps);
            while (part > 0) {
                assert_true(podlog_read(reader, mono_now(), got + len, room, &part, &end, &err));
                len += part;
            }
            assert_string_equal(got, wanted + offset);
            assert_int_equal(end.state, PODLOG_COMPLETE);
            podlog_reader_close(reader);
        }
}

static void offsets_count_what_is_given(void **state)
{
    (void)state;
    static const char lines[] = LINE("10", "one") LINE("11", "") LINE("12", "= lost");
    static const char text[] = LINE("10", "one") LINE("11", "") LINE("12", "= lost") "= complete\n";
    static const char stripped[] = "one\n\n= lost\n";
    struct podlog_end end;
    struct error err;
    stage.hub = podlog_hub_create(NULL, NULL);
    assert_reads(text, false, stripped);
    assert_reads(text, true, lines);
    char byte;
    size_t len;
    struct podlog_reader *reader;
    podlog_reader_close(open_static(text, strlen(stripped), false));
    assert_false(
        podlog_reader_open(stage.hub, stage.path, strlen(stripped) + 1, false, &reader, &err));
    assert_int_equal(err.code, ERR_INVALID);
    reader = open_static(LINE("10", "one"), 4, false);
    assert_true(podlog_read(reader, mono_now(), &byte, 1, &len, &end, &err));
    assert_int_equal(len, 0);
    assert_int_equal(end.state, PODLOG_LOST);
    podlog_reader_close(reader);
    assert_false(podlog_reader_open(stage.hub, "/nonexistent/log", 0, false, &reader, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    podlog_hub_destroy(stage.hub);
}

static void end_is_told_without_reading(void **state)
{
    (void)state;
    struct podlog_end end;
    struct error err;
    stage.hub = podlog_hub_create(NULL, NULL);
    podlog_reader_close(open_static(LINE("10", "one") "= truncated too long\n", 0, false));
    assert_true(podlog_look(stage.hub, stage.path, &end, &err));
    assert_int_equal(end.state, PODLOG_TRUNCATED);
    assert_string_equal(end.why, "too long");
    podlog_reader_close(open_static(LINE("10", "one"), 0, false));
    assert_true(podlog_look(stage.hub, stage.path, &end, &err));
    assert_int_equal(end.state, PODLOG_LOST);
    assert_false(podlog_look(stage.hub, "/nonexistent/log", &end, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    podlog_hub_destroy(stage.hub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(torn_log_is_joined),
        cmocka_unit_test(waiting_container_is_waited_for),
        cmocka_unit_test(word_of_the_kubelet_is_no_line),
        cmocka_unit_test(rotated_lines_are_told),
        cmocka_unit_test(deleted_pod_ends_the_log),
        cmocka_unit_test(pod_that_goes_takes_no_log_that_was_read),
        cmocka_unit_test(log_that_cannot_be_read_is_not_whole),
        cmocka_unit_test(missing_right_is_told_at_once),
        cmocka_unit_test(never_started_is_a_whole_log),
        cmocka_unit_test(ended_file_is_not_followed_again),
        cmocka_unit_test(full_disk_is_told),
        cmocka_unit_test(offsets_count_what_is_given),
        cmocka_unit_test(end_is_told_without_reading),
    };
    return cmocka_run_group_tests(tests, scripted_setup, scripted_teardown);
}
