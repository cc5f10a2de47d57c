#include "agent/base/clock.h"
#include "agent/base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const environment[] = {"GREETING=hello", NULL};

static int setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

static bool run(const char *script, const char *input, size_t input_len, int64_t timeout_ms,
                struct buffer *output, struct error *err)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    return child_run(argv, environment, input, input_len, timeout_ms, output, err);
}

static void assert_prints(const char *script, const char *text)
{
    struct buffer output = {0};
    struct error err;
    if (!run(script, NULL, 0, 10000, &output, &err))
        fail_msg("%s", err.text);
    assert_string_equal(buffer_text(&output), text);
    buffer_finish(&output);
}

static void assert_fails(const char *script, int64_t timeout_ms, enum error_code code,
                         const char *part)
{
    struct buffer output = {.cap = 1000};
    struct error err = {0};
    assert_false(run(script, NULL, 0, timeout_ms, &output, &err));
    if (err.code != code || !strstr(err.text, part))
        fail_msg("%s: %s", error_word(err.code), err.text);
    assert_null(output.data);
}

static void test_output_and_environment(void **state)
{
    (void)state;
    assert_prints("echo $GREETING; echo not this >&2", "hello\n");
    assert_prints("/usr/bin/env | /bin/grep -v -e PWD -e SHLVL -e _=", "GREETING=hello\n");
    assert_prints(":", "");
}

static void test_inherits_nothing(void **state)
{
    (void)state;
    int leaked = open("/dev/null", O_RDONLY); // without O_CLOEXEC
    assert_true(leaked >= 3);
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    assert_prints("for i in 0 1 2 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$i ] && echo $i; done; :",
                  "0\n1\n2\n");
    // SIGPIPE is ignored here, SIGTERM blocked; neither may be there (signals 1 to 16).
    assert_prints("/bin/sed -nE 's/^Sig(Blk|Ign):.*(....)$/\\1 \\2/p' /proc/self/status",
                  "Blk 0000\nIgn 0000\n");
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(leaked);
}

static void test_large_input_and_output(void **state)
{
    (void)state;
    size_t len = 1000000;
    CLEANUP(free_ptr) char *input = xalloc(len);
    memset(input, 'x', len);
    struct buffer output = {0};
    struct error err;
    assert_true(run("/bin/cat", input, len, 30000, &output, &err));
    assert_int_equal(output.len, len);
    assert_memory_equal(output.data, input, len);
    buffer_finish(&output);
    // one that does not read its input
    assert_true(run("echo done", input, len, 30000, &output, &err));
    assert_string_equal(buffer_text(&output), "done\n");
    buffer_finish(&output);
}

static void test_failures(void **state)
{
    (void)state;
    assert_fails("echo why >&2; exit 3", 10000, ERR_UNAVAILABLE, "/bin/sh: exit 3: why");
    assert_fails("printf 'a\\n\\033[31mb\\n' >&2; exit 1", 10000, ERR_UNAVAILABLE,
                 "exit 1: a  [31mb");
    assert_fails("exit 1", 10000, ERR_UNAVAILABLE, "no message");
    assert_fails("kill -9 $$", 10000, ERR_UNAVAILABLE, "exit 137");
    assert_fails("while :; do echo 0123456789; done", 10000, ERR_TOO_LARGE, "output");
    assert_fails("/bin/cat /dev/zero >&2 & wait", 300, ERR_TIMEOUT, "took too long");
}

static void test_only_the_end_of_stderr_is_told(void **state)
{
    (void)state;
    assert_fails("i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1", 10000,
                 ERR_UNAVAILABLE, "line 2999");
}

static void test_grandchildren(void **state)
{
    (void)state;
    // It keeps the pipes open: that must not hold up the end, and it must not survive.
    struct buffer output = {0};
    struct error err;
    struct mono_time before = mono_now();
    assert_true(run("/bin/sleep 60 & echo $!", NULL, 0, 30000, &output, &err));
    assert_in_range(mono_now().ms - before.ms, 0, 20000);
    pid_t pid = (pid_t)strtol(buffer_text(&output), NULL, 10);
    assert_true(pid > 0);
    struct mono_time deadline = mono_after(10000);
    CLEANUP(free_ptr) char *stat_path = xasprintf("/proc/%d/stat", pid);
    // Killed, it may be left as a zombie where nobody reaps orphans.
    for (char state_letter = 'S'; state_letter != 'Z' && kill(pid, 0) == 0;) {
        assert_false(mono_past(deadline));
        char text[256] = "";
        int fd = open(stat_path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, text, sizeof text - 1) <= 0)
            text[0] = '\0';
        close_fd(&fd);
        const char *end = strrchr(text, ')');
        state_letter = end ? end[2] : 'Z';
    }
    buffer_finish(&output);
}

static void test_no_program(void **state)
{
    (void)state;
    const char *const argv[] = {"/nonexistent/program", NULL};
    struct child child = {.pid = 42};
    struct error err;
    assert_false(child_spawn(&child, argv, environment, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(child.pid, 42);
    const char *const directory[] = {"/tmp", NULL};
    assert_false(child_spawn(&child, directory, environment, &err));
    assert_int_equal(err.code, ERR_IO);
}

static bool await(int fd, int ms)
{
    return poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, ms) == 1;
}

static void test_child(void **state)
{
    (void)state;
    const char *const argv[] = {"/bin/cat", NULL};
    struct child child;
    struct error err;
    assert_true(child_spawn(&child, argv, environment, &err));
    assert_int_equal(write(child.stdin_fd, "hi", 2), 2);
    assert_true(await(child.stdout_fd, 10000));
    char text[8] = "";
    assert_int_equal(read(child.stdout_fd, text, sizeof text), 2);
    assert_int_equal(read(child.stdout_fd, text, sizeof text), -1); // does not block
    assert_int_equal(errno, EAGAIN);
    assert_false(await(child.pidfd, 0));
    close_fd(&child.stdin_fd);
    assert_true(await(child.pidfd, 10000));
    assert_int_equal(child_reap(&child), 0);
    child_kill(&child); // of a reaped one: nothing
    child_finish(&child);
    child_finish(&child);
    assert_int_equal(child.stdout_fd, -1);
}

static void test_kill_and_finish(void **state)
{
    (void)state;
    const char *const argv[] = {"/bin/sleep", "60", NULL};
    struct child child;
    struct error err;
    assert_true(child_spawn(&child, argv, environment, &err));
    child_kill(&child);
    assert_true(await(child.pidfd, 10000));
    assert_int_equal(child_reap(&child), 128 + SIGKILL);
    child_finish(&child);
    assert_true(child_spawn(&child, argv, environment, &err));
    pid_t pid = child.pid;
    child_finish(&child);
    assert_int_equal(kill(pid, 0), -1);
}

// Last: from here on this process has no pidfd_open().
static void test_without_pidfd(void **state)
{
    (void)state;
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};
    assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        skip();
    test_child(state);
    test_kill_and_finish(state);
    assert_prints("echo $GREETING", "hello\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_and_environment),
        cmocka_unit_test(test_inherits_nothing),
        cmocka_unit_test(test_large_input_and_output),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_only_the_end_of_stderr_is_told),
        cmocka_unit_test(test_grandchildren),
        cmocka_unit_test(test_no_program),
        cmocka_unit_test(test_child),
        cmocka_unit_test(test_kill_and_finish),
        cmocka_unit_test(test_without_pidfd),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
