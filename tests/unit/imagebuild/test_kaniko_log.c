// Causes out of logs that Kaniko wrote in a real cluster (data/kaniko/*.log), and out of broken
// ones.
#include "agent/base/file.h"
#include "build/kaniko.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void recorded_logs_give_their_cause(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *cause; // NULL: none
    } cases[] = {
        {"ok", NULL},
        {"runfail", "RUN [\"/bin/busybox\",\"sh\",\"-c\",\"echo…: exit 7: ERROR: No matching "
                    "distribution found"},
        {"noshell", "RUN pip install -r requirements.txt…: exit 127: /bin/sh: pip: not found"},
        {"multi", "RUN set -e; echo a; exit 3: exit 3: a"},
        {"killed", "RUN [\"/bin/busybox\",\"sh\",\"-c\",\"kill -9 $$\"]: signal: killed"},
        {"nocmd",
         "RUN [\"/bin/nothing\", \"x\"]: starting command: fork/exec /bin/nothing: no such "
         "file or directory"},
        {"nofile1", "app.py: not in the build context"},
        {"addfail", "nothing.tar: not in the build context"},
        {"copyfrom", "/nothing: not in stage 0"},
        {"notag", "FROM registry.example:5000/busybox:3.99: not found"},
        {"baselogin", "FROM registry.example:5000/private/base:1: not found, or needs a login"},
        {"pushlogin", "push to registry.example:5000/acme/report: UNAUTHORIZED: authentication "
                      "required"},
        {"deadline", NULL},
        {"parse", "line 2: unknown instruction: RUNN (did you mean RUN?)"},
        {"target", "Error finding target stage: nope is not a valid target build stage"},
        {"user", "RUN [\"/bin/busybox\",\"true\"]: credentials: get uid/gid: user nobody is not a "
                 "uid and does not exist on the system"},
        {"pushrefused", "push to registry.example:1/acme/report: dial tcp registry.example:1: "
                        "connect: connection refused"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *path = xasprintf("%s/kaniko/%s.log", TEST_DATA, cases[i].name);
        struct buffer log = {0};
        struct error err;
        if (!file_read(path, 1 << 20, &log, &err))
            fail_msg("%s", err.text);
        char cause[512] = "";
        bool found = kaniko_log_reason(log.data, log.len, cause, sizeof cause);
        if (!cases[i].cause)
            assert_false(found);
        else if (strcmp(cause, cases[i].cause) != 0)
            fail_msg("%s: %s", cases[i].name, cause);
        buffer_finish(&log);
        free(path);
    }
}

static void assert_cause(const char *log, const char *expected)
{
    char cause[512] = "";
    assert_true(kaniko_log_reason(log, strlen(log), cause, sizeof cause));
    assert_string_equal(cause, expected);
}

static void causes_that_the_cluster_could_not_be_made_to_give(void **state)
{
    (void)state;
    assert_cause("error pushing image: failed to push to destination registry.example/a:t: PUT "
                 "https://registry.example/v2/a/manifests/t: UNAUTHORIZED: authentication required",
                 "push to registry.example/a: UNAUTHORIZED: authentication required");
    assert_cause("time=\"x\" level=info msg=\"Retrieving image manifest acme/base:1\"\n"
                 "error building image: GET https://index.docker.io/v2/acme/base/manifests/1: "
                 "UNAUTHORIZED: authentication required",
                 "FROM acme/base:1: not found, or needs a login");
    assert_cause("Error: error resolving dockerfile path: please provide a valid path to a "
                 "Dockerfile within the build context with --dockerfile",
                 "please provide a valid path to a Dockerfile within the build context with "
                 "--dockerfile");
    // A command that prints what looks like Kaniko's own words does so before the end.
    assert_cause("error building image: made up\n"
                 "time=\"x\" level=info msg=\"RUN make\"\n"
                 "error building image: error building stage: failed to execute command: waiting "
                 "for process to exit: exit status 2\n",
                 "RUN make: exit 2");
    assert_cause("level=info msg=RUN\nerror \x1b[31mred\xff\n", "error  [31mred?");
}

static void the_end_of_a_long_log_is_enough(void **state)
{
    (void)state;
    size_t size = 3 << 20;
    char *log = xalloc(size);
    memset(log, 'x', size);
    static const char end[] = "\ntime=\"x\" level=info msg=\"RUN make all\"\nnoise\nerror building "
                              "image: error building stage: failed to execute command: waiting for "
                              "process to exit: exit status 2";
    memcpy(log + size - strlen(end), end, strlen(end));
    char cause[64];
    assert_true(kaniko_log_reason(log, size, cause, sizeof cause));
    assert_string_equal(cause, "RUN make all: exit 2: noise");
    // Cut to fit, and still whole characters.
    assert_true(kaniko_log_reason(log, size, cause, 12));
    assert_string_equal(cause, "RUN make…");
    assert_false(kaniko_log_reason(log, size - strlen(end), cause, sizeof cause));
    assert_false(kaniko_log_reason("", 0, cause, sizeof cause));
    free(log);
}

static void assert_output(const char *log, const char *expected)
{
    CLEANUP(json_ptr) json_t *lines = kaniko_log_output(log, strlen(log));
    CLEANUP(free_ptr) char *text = json_write(lines);
    assert_string_equal(text, expected);
}

static void the_last_lines_of_the_last_command(void **state)
{
    (void)state;
    assert_output("", "[]");
    assert_output("noise before Kaniko\n", "[]");
    assert_output("level=info msg=\"RUN make\"\nlevel=info msg=\"Running: [make]\"\ncc a.c\n\n  \n"
                  "error made by a.c\r\nerror building image: error building stage: failed\n",
                  "[\"cc a.c\",\"error made by a.c \"]");
    assert_output("level=info msg=\"RUN make\"\nold\nlevel=info msg=\"Taking snapshot\"\n", "[]");
    struct buffer log = {0};
    assert_true(buffer_printf(&log, NULL, "level=info msg=\"RUN make\"\n"));
    for (int i = 1; i <= 25; i++)
        assert_true(buffer_printf(&log, NULL, "line %d\n", i));
    CLEANUP(json_ptr) json_t *lines = kaniko_log_output(log.data, log.len);
    assert_int_equal(json_array_size(lines), KANIKO_OUTPUT_LINES);
    assert_string_equal(json_string_value(json_array_get(lines, 0)), "line 16");
    assert_string_equal(json_string_value(json_array_get(lines, 9)), "line 25");
    buffer_finish(&log);
}

static void assert_doing(const char *log, const char *expected)
{
    char doing[512] = "";
    assert_int_equal(kaniko_log_doing(log, strlen(log), doing, sizeof doing), *expected != '\0');
    assert_string_equal(doing, expected);
}

static void what_it_was_at(void **state)
{
    (void)state;
    CLEANUP(buffer_finish) struct buffer log = {0};
    struct error err;
    assert_true(file_read(TEST_DATA "/kaniko/deadline.log", 1 << 20, &log, &err));
    assert_doing(buffer_text(&log), "RUN [\"/bin/sh\", \"-c\", \"echo began; sleep 600\"]");
    assert_output(buffer_text(&log), "[\"began\"]");
    assert_doing("", "");
    assert_doing("level=info msg=\"Retrieving image manifest a:1\"\n",
                 "Retrieving image manifest a:1");
    assert_doing("level=info msg=\"RUN sleep 99\"\nlevel=info msg=\"Taking snapshot of full "
                 "filesystem...\"\n",
                 "Taking snapshot of full filesystem...");
    assert_doing("level=info msg=\"RUN sleep 99\"\nlevel=info msg=\"Taking snapshot of full "
                 "filesystem...\"\nlevel=info msg=\"Running: [sleep 99]\"\nzzz\n",
                 "RUN sleep 99");
    assert_doing("level=info msg=\"CMD []\"\nlevel=info msg=\"Pushing image to r.example/a:1\"\n",
                 "Pushing image to r.example/a:1");
}

static void some_causes_pass(void **state)
{
    (void)state;
    assert_true(
        kaniko_cause_is_transient("push to r/x: dial tcp r:1: connect: connection refused"));
    assert_true(kaniko_cause_is_transient("push to r/x: TOOMANYREQUESTS: slow down"));
    assert_true(kaniko_cause_is_transient("push to r/x: unexpected status code 429 Too Many "
                                          "Requests: wait"));
    assert_true(kaniko_cause_is_transient("push to r/x: UNSUPPORTED: The operation is "
                                          "unsupported."));
    assert_false(kaniko_cause_is_transient("push to r/x: UNAUTHORIZED: authentication required"));
    assert_false(kaniko_cause_is_transient("FROM python:3.99: not found"));
    assert_false(kaniko_cause_is_transient("RUN curl http://x: connection refused: exit 7"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_logs_give_their_cause),
        cmocka_unit_test(causes_that_the_cluster_could_not_be_made_to_give),
        cmocka_unit_test(the_end_of_a_long_log_is_enough),
        cmocka_unit_test(the_last_lines_of_the_last_command),
        cmocka_unit_test(what_it_was_at),
        cmocka_unit_test(some_causes_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
