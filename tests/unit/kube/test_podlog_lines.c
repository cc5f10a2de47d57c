#include "deploy/kube/podlog_lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define NS INT64_C(1000000000)

static void stamps(void **state)
{
    (void)state;
    int64_t ns;
    size_t prefix;
    static const char line[] = "2026-11-24T08:01:10.123456789Z text";
    assert_true(podlog_stamp(line, strlen(line), &ns, &prefix));
    assert_int_equal(ns, 1795507270 * NS + 123456789);
    assert_int_equal(prefix, 31);
    static const char east[] = "2026-11-24T10:01:10.5+02:00 ";
    assert_true(podlog_stamp(east, strlen(east), &ns, &prefix));
    assert_int_equal(ns, 1795507270 * NS + 500000000);
    assert_int_equal(prefix, strlen(east));
    static const char *const wrong[] = {"",
                                        "text",
                                        "2026-11-24T08:01:10Z",
                                        " x",
                                        "= complete",
                                        "2026-11-24 08:01:10Z x",
                                        "3370-11-24T08:01:10Z x",
                                        "1969-12-31T23:59:59Z x",
                                        "0000000000000000000000000000000000000000000000000000 x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(podlog_stamp(wrong[i], strlen(wrong[i]), &ns, &prefix));
}

// A file that is gone once it is closed.
static int file_with(const char *text, size_t len)
{
    char path[] = "/tmp/cronwright-podlog-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(write(fd, text, len), len);
    return fd;
}

static void assert_end(const char *text, uint64_t whole, enum podlog_state state, const char *why)
{
    struct podlog_end end;
    struct error err;
    uint64_t got;
    int fd = file_with(text, strlen(text));
    assert_true(podlog_file_end(fd, &got, &end, &err));
    assert_int_equal(got, whole);
    assert_int_equal(end.state, state);
    assert_string_equal(end.why, why);
    close(fd);
}

static void last_lines(void **state)
{
    (void)state;
    assert_end("", 0, PODLOG_FOLLOWING, "");
    assert_end("abc", 0, PODLOG_FOLLOWING, "");
    assert_end("abc\n", 4, PODLOG_FOLLOWING, "");
    assert_end("abc\ndef", 4, PODLOG_FOLLOWING, "");
    assert_end("\n", 1, PODLOG_FOLLOWING, "");
    assert_end("= complete\n", 0, PODLOG_COMPLETE, "");
    assert_end("abc\n= complete\n", 4, PODLOG_COMPLETE, "");
    assert_end("abc\n= lost the pod went\n", 4, PODLOG_LOST, "the pod went");
    assert_end("abc\n= truncated\n", 4, PODLOG_TRUNCATED, "");
    assert_end("abc\n= lost the p", 4, PODLOG_FOLLOWING, ""); // it was not written to its end
    assert_end("abc\n= completed\n", 16, PODLOG_FOLLOWING, "");
    assert_end("abc\n= following\n", 16, PODLOG_FOLLOWING, "");
    char text[2000];
    memset(text, 'x', sizeof text);
    text[3] = '\n';
    text[sizeof text - 1] = '\0';
    assert_end(text, 4, PODLOG_FOLLOWING, "");
    text[sizeof text - 2] = '\n';
    assert_end(text, sizeof text - 1, PODLOG_FOLLOWING, "");
}

static void written_last_line_is_read_back(void **state)
{
    (void)state;
    struct podlog_end end;
    CLEANUP(free_ptr) char *line = podlog_trailer(PODLOG_LOST, "two\nlines\x1b");
    assert_string_equal(line, "= lost two lines \n");
    assert_true(podlog_trailer_read(line, strlen(line) - 1, &end));
    assert_int_equal(end.state, PODLOG_LOST);
    char why[2 * PODLOG_WHY_MAX];
    memset(why, 'y', sizeof why - 1);
    why[sizeof why - 1] = '\0';
    CLEANUP(free_ptr) char *cut = podlog_trailer(PODLOG_TRUNCATED, why);
    assert_true(strlen(cut) < PODLOG_WHY_MAX + 20);
    assert_true(podlog_trailer_read(cut, strlen(cut) - 1, &end));
    assert_end(cut, 0, PODLOG_TRUNCATED, end.why);
    assert_true(strncmp(end.why, why, 200) == 0);
}

// --- going on ---

// A file with a line at each of these milliseconds.
static int file_of(const int64_t times[], size_t count, uint64_t *size)
{
    struct buffer text = {0};
    for (size_t i = 0; i < count; i++) {
        char stamp[RFC3339_SIZE];
        wall_format((struct wall_time){times[i]}, true, stamp);
        assert_true(buffer_printf(&text, NULL, "%s line %zu\n", stamp, i));
    }
    int fd = file_with(buffer_text(&text), text.len);
    *size = text.len;
    buffer_finish(&text);
    return fd;
}

static struct podlog_resume resume_of(const int64_t times[], size_t count)
{
    struct podlog_resume resume;
    struct error err;
    uint64_t size;
    int fd = file_of(times, count, &size);
    if (!podlog_resume_read(fd, size, &resume, &err))
        fail_msg("%s", err.text);
    close(fd);
    return resume;
}

#define T0      INT64_C(1795507270000) // some time, in ms
#define HAS(ms) podlog_resume_has(&resume, (ms)*1000000)

static void empty_file_starts_from_the_start(void **state)
{
    (void)state;
    struct podlog_resume resume = resume_of(NULL, 0);
    assert_int_equal(resume.since.ms, 0);
    assert_false(HAS(T0));
    assert_false(resume.gap);
    podlog_resume_finish(&resume);
}

static void what_comes_again_is_left_out(void **state)
{
    (void)state;
    // Times run backwards a little, and two lines have the same.
    const int64_t times[] = {T0, T0 + 5000, T0 + 5001, T0 + 4999, T0 + 5001, T0 + 5100};
    struct podlog_resume resume = resume_of(times, 6);
    assert_int_equal(resume.since.ms, T0 + 3000);
    for (size_t i = 1; i < 6; i++) // since then, all of them
        assert_true(HAS(times[i]));
    assert_false(HAS(T0 + 5100)); // a new line of the same time
    assert_false(HAS(T0 + 5050));
    assert_false(resume.gap);
    podlog_resume_finish(&resume);
}

static void rotated_log_is_told_from_a_gap(void **state)
{
    (void)state;
    const int64_t times[] = {T0, T0 + 10, T0 + 20, T0 + 30};
    // The older part of the kubelet's file went, but we had read it.
    struct podlog_resume resume = resume_of(times, 4);
    assert_true(HAS(T0 + 20));
    assert_true(HAS(T0 + 30));
    assert_false(HAS(T0 + 40));
    assert_false(resume.gap);
    podlog_resume_finish(&resume);
    // More went than we had read.
    resume = resume_of(times, 4);
    assert_false(HAS(T0 + 50));
    assert_true(resume.gap);
    assert_false(HAS(T0 + 20)); // the old ones are over
    podlog_resume_finish(&resume);
}

static void long_file_is_read_from_its_end(void **state)
{
    (void)state;
    enum { LINES = 30000 }; // 10 s of them, some megabytes
    int64_t *times = xalloc(LINES * sizeof *times);
    for (size_t i = 0; i < LINES; i++)
        times[i] = T0 + (int64_t)i / 3;
    struct podlog_resume resume = resume_of(times, LINES);
    assert_int_equal(resume.since.ms, T0 + 7000);
    assert_int_equal(resume.count, 3 * 3000 - 3 + 3);
    for (size_t i = 7000 * 3; i < LINES; i++)
        assert_true(HAS(times[i]));
    assert_false(HAS(T0 + 10000));
    podlog_resume_finish(&resume);
    free(times);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stamps),
        cmocka_unit_test(last_lines),
        cmocka_unit_test(written_last_line_is_read_back),
        cmocka_unit_test(empty_file_starts_from_the_start),
        cmocka_unit_test(what_comes_again_is_left_out),
        cmocka_unit_test(rotated_log_is_told_from_a_gap),
        cmocka_unit_test(long_file_is_read_from_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
