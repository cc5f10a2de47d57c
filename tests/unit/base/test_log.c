#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int pipe_fds[2];
static int real_stderr;

static int capture(void **state)
{
    (void)state;
    unsetenv("JOURNAL_STREAM");
    real_stderr = dup(STDERR_FILENO);
    return pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) == 0 &&
                   dup2(pipe_fds[1], STDERR_FILENO) == STDERR_FILENO
               ? 0
               : -1;
}

static int release(void **state)
{
    (void)state;
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return 0;
}

// What was written since the last time.
static const char *written(void)
{
    static char text[65536];
    ssize_t len = read(pipe_fds[0], text, sizeof text - 1);
    text[len > 0 ? len : 0] = '\0';
    return text;
}

// The line after its time and level: those are checked here.
static const char *line_after(const char *level)
{
    const char *line = written();
    char stamp[25] = "";
    struct wall_time time;
    memcpy(stamp, line, 24);
    if (!wall_parse(stamp, &time) || strncmp(line + 25, level, strlen(level)) != 0)
        fail_msg("%s", line);
    return line + 25 + strlen(level) + 1;
}

static void test_text(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_TEXT);
    log_line(LOG_INFO, "delivery stored", "delivery", "d-1", "left out", NULL, "empty", "", NULL);
    assert_string_equal(line_after("info"), "delivery stored delivery=d-1 empty=\"\"\n");
    log_line(LOG_ERROR, "x", "a", "two words", "b", "say \"hi\" \\", "c", "k=v", "d", "é", NULL);
    assert_string_equal(line_after("error"),
                        "x a=\"two words\" b=\"say \\\"hi\\\" \\\\\" c=\"k=v\" d=é\n");
    log_line(LOG_WARNING, "x", "a", "one\nlevel=info \x1b[31m \xc2\x9b \xff", NULL);
    assert_string_equal(line_after("warning"), "x a=\"one level=info  [31m   ?\"\n");
}

static void test_levels(void **state)
{
    (void)state;
    log_setup(LOG_WARNING, LOG_TEXT);
    log_line(LOG_INFO, "quiet", NULL);
    log_line(LOG_DEBUG, "quiet", NULL);
    assert_string_equal(written(), "");
    log_line(LOG_WARNING, "loud", NULL);
    assert_string_equal(line_after("warning"), "loud\n");
}

static void test_journal(void **state)
{
    (void)state;
    setenv("JOURNAL_STREAM", "8:12345", 1);
    log_setup(LOG_DEBUG, LOG_TEXT);
    log_line(LOG_ERROR, "x", "a", "1", NULL);
    assert_string_equal(written(), "<3>x a=1\n");
    log_line(LOG_DEBUG, "x", NULL);
    assert_string_equal(written(), "<7>x\n");
    unsetenv("JOURNAL_STREAM");
}

static json_t *json_line(void)
{
    const char *text = written();
    json_t *line = NULL;
    struct error err;
    assert_true(strlen(text) > 0 && strlen(text) <= LOG_LINE_MAX);
    assert_int_equal(text[strlen(text) - 1], '\n');
    if (!json_read(text, strlen(text), LOG_LINE_MAX, &line, &err))
        fail_msg("%s: %s", err.text, text);
    return line;
}

static void test_json(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_JSON);
    log_line(LOG_INFO, "stored", "id", "a \"b\"\n\xff", "none", NULL, NULL);
    CLEANUP(json_ptr) json_t *line = json_line();
    struct wall_time time;
    assert_true(wall_parse(json_text_at(line, "time", NULL), &time));
    assert_string_equal(json_text_at(line, "level", NULL), "info");
    assert_string_equal(json_text_at(line, "message", NULL), "stored");
    assert_string_equal(json_text_at(line, "id", NULL), "a \"b\" ?");
    assert_null(json_at(line, "none", NULL));
}

static void test_long_lines(void **state)
{
    (void)state;
    char text[5000];
    memset(text, '"', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_setup(LOG_INFO, LOG_TEXT);
    log_line(LOG_INFO, "x", "a", text, "b", text, NULL);
    const char *line = written();
    assert_int_equal(strlen(line), LOG_LINE_MAX - 1);
    assert_int_equal(line[LOG_LINE_MAX - 2], '\n');
    log_setup(LOG_INFO, LOG_JSON);
    log_line(LOG_INFO, "x", "a", text, "b", text, "c", text, "d", "short", NULL);
    CLEANUP(json_ptr) json_t *object = json_line();
    assert_true(strlen(json_text_at(object, "a", NULL)) > 100);
    assert_string_equal(json_text_at(object, "d", NULL), "short");
}

static void *log_often(void *user)
{
    for (int i = 0; i < 100; i++)
        log_line(LOG_INFO, "line", "of", user, NULL);
    return NULL;
}

static void test_lines_do_not_mix(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_TEXT);
    char names[4][2] = {"a", "b", "c", "d"};
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, log_often, names[i]);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    int lines = 0;
    char of;
    for (const char *at = written(); *at; at = strchr(at, '\n') + 1, lines++) {
        int used = 0;
        assert_int_equal(sscanf(at + 25, "info line of=%c%n", &of, &used), 1);
        assert_int_equal(at[25 + used], '\n');
    }
    assert_int_equal(lines, 400);
}

// Nobody reads: no line waits, and those that found no room are counted later.
static void test_full_pipe(void **state)
{
    (void)state;
    enum { MANY = 2000 };
    log_setup(LOG_INFO, LOG_TEXT);
    assert_int_equal(fcntl(pipe_fds[1], F_SETFL, 0), 0); // a write would block
    for (int i = 0; i < MANY; i++)
        log_line(LOG_INFO, "of many", "text", "as long as usual, so that few fit into the pipe",
                 NULL);
    int kept = 0;
    for (const char *text; *(text = written());)
        for (; (text = strstr(text, "of many")); text++)
            kept++;
    assert_in_range(kept, 100, MANY - 1);
    log_line(LOG_INFO, "read again", NULL);
    char lost[64];
    snprintf(lost, sizeof lost, "log lines were lost: nobody took them count=%d\n", MANY - kept);
    const char *text = written();
    assert_non_null(strstr(text, "read again\n"));
    assert_non_null(strstr(text, lost));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_text, capture, release),
        cmocka_unit_test_setup_teardown(test_levels, capture, release),
        cmocka_unit_test_setup_teardown(test_journal, capture, release),
        cmocka_unit_test_setup_teardown(test_json, capture, release),
        cmocka_unit_test_setup_teardown(test_long_lines, capture, release),
        cmocka_unit_test_setup_teardown(test_lines_do_not_mix, capture, release),
        cmocka_unit_test_setup_teardown(test_full_pipe, capture, release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
