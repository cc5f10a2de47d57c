// For tests that need the outside: a directory of their own, shell commands in it, free ports of
// this machine, children that end with the test.
#ifndef CRONWRIGHT_TESTS_SCRATCH_H
#define CRONWRIGHT_TESTS_SCRATCH_H

#include "agent/base/buffer.h"
#include "agent/base/clock.h"
#include "agent/base/file.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#pragma GCC diagnostic ignored "-Wunused-function" // each program uses some of these

#define SCRATCH_WAIT_MS  20000
#define SCRATCH_PROGRAMS 8

static char workspace[64];
static pid_t programs[SCRATCH_PROGRAMS];
static int program_count;

static bool scratch_make(void)
{
    strcpy(workspace, "/tmp/cronwright-test-XXXXXX");
    return mkdtemp(workspace);
}

static bool scratch_remove(void)
{
    for (int i = 0; i < program_count; i++) {
        kill(programs[i], SIGTERM);
        waitpid(programs[i], NULL, 0);
    }
    struct error err;
    return directory_remove(workspace, &err);
}

// Runs a shell command in the workspace and asserts that it succeeds.
static void __attribute__((format(printf, 1, 2))) sh(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *command = NULL;
    assert_true(vasprintf(&command, fmt, args) > 0);
    va_end(args);
    char *whole = xasprintf("set -e; cd '%s'; %s", workspace, command);
    int status = system(whole);
    if (status != 0)
        fail_msg("status %d of: %s", status, command);
    free(whole);
    free(command);
}

// What a shell command prints, without its last newline; the caller frees.
static char *sh_output(const char *command)
{
    char *whole = xasprintf("set -e; cd '%s'; %s", workspace, command);
    FILE *pipe = popen(whole, "r");
    assert_non_null(pipe);
    struct buffer output = {0};
    char bytes[4096];
    for (size_t len; (len = fread(bytes, 1, sizeof bytes, pipe));)
        assert_true(buffer_append(&output, bytes, len, NULL));
    assert_int_equal(pclose(pipe), 0);
    free(whole);
    if (output.len && output.data[output.len - 1] == '\n')
        output.data[output.len - 1] = '\0';
    return output.data ? output.data : xstrdup("");
}

static void __attribute__((format(printf, 2, 3))) write_text(const char *name, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = NULL;
    assert_true(vasprintf(&text, fmt, args) >= 0);
    va_end(args);
    char *path = xasprintf("%s/%s", workspace, name);
    struct error err;
    assert_true(file_write(path, 0600, text, strlen(text), &err));
    free(path);
    free(text);
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

// A socket on a free port: listening, unless only the port is wanted.
static int socket_on_free_port(bool listening, int *port)
{
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    if (listening)
        assert_int_equal(listen(fd, 8), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static void wait_until_it_answers(int port)
{
    struct sockaddr_in address = loopback(port);
    struct mono_time deadline = mono_after(SCRATCH_WAIT_MS);
    for (;;) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool answers = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
        close(fd);
        if (answers)
            return;
        assert_false(mono_past(deadline));
        usleep(10000);
    }
}

// Starts a program with these arguments (ended by NULL) in the workspace; it ends with the test.
static pid_t start(const char *program, const char *const arguments[])
{
    assert_true(program_count < SCRATCH_PROGRAMS);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (chdir(workspace) != 0 || !freopen("/dev/null", "r", stdin) ||
            !freopen("log", "a", stdout) || !freopen("log", "a", stderr))
            _exit(127);
        execvp(program, (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    programs[program_count++] = pid;
    return pid;
}

#endif
