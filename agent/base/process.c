#include "agent/base/process.h"
#include "agent/base/clock.h"
#include "agent/base/printable.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define READ_CHUNK 4096
#define TAIL_SIZE  512 // of stderr, for the error text

bool process_keep_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return false;
    return true;
}

// --- spawning ---

struct pipes {
    int in[2], out[2], err[2]; // each: read end, write end
};

static void pipes_close(struct pipes *pipes)
{
    for (int end = 0; end < 2; end++) {
        close_fd(&pipes->in[end]);
        close_fd(&pipes->out[end]);
        close_fd(&pipes->err[end]);
    }
}

static bool pipes_open(struct pipes *pipes)
{
    if (pipe2(pipes->in, O_CLOEXEC) != 0 || pipe2(pipes->out, O_CLOEXEC) != 0 ||
        pipe2(pipes->err, O_CLOEXEC) != 0)
        return false;
    const int ours[] = {pipes->in[1], pipes->out[0], pipes->err[0]};
    for (size_t i = 0; i < 3; i++)
        if (fcntl(ours[i], F_SETFL, O_NONBLOCK) != 0) // ours alone: the child's ends block
            return false;
    return true;
}

// posix_spawn() takes lists of char *, but does not write to them.
static char *const *exec_list(const char *const list[])
{
    union {
        const char *const *in;
        char *const *out;
    } pun = {.in = list};
    return pun.out;
}

static int spawn(const struct pipes *pipes, const char *const argv[],
                 const char *const environment[], pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipes->in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, pipes->out[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, pipes->err[1], STDERR_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    int failed =
        posix_spawn(pid, argv[0], &actions, &attributes, exec_list(argv), exec_list(environment));
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}

struct awaited {
    pid_t pid;
    int event; // the thread's own
};

static void *await_child(void *user)
{
    struct awaited *awaited = user;
    siginfo_t info;
    TEMP_FAILURE_RETRY(waitid(P_PID, (id_t)awaited->pid, &info, WEXITED | WNOWAIT));
    eventfd_write(awaited->event, 1);
    close(awaited->event);
    free(awaited);
    return NULL;
}

// Where the kernel, a sandbox or valgrind has no pidfd_open(): a thread that waits.
static int eventfd_of_end(pid_t pid)
{
    CLEANUP(close_fd) int event = eventfd(0, EFD_CLOEXEC);
    CLEANUP(close_fd) int copy = fcntl(event, F_DUPFD_CLOEXEC, 0);
    if (event < 0 || copy < 0)
        return -1;
    struct awaited *awaited = xalloc(sizeof *awaited);
    *awaited = (struct awaited){pid, copy};
    pthread_t thread;
    int failed = pthread_create(&thread, NULL, await_child, awaited);
    if (failed) {
        free(awaited);
        errno = failed;
        return -1;
    }
    pthread_detach(thread);
    copy = -1;
    int ours = event;
    event = -1;
    return ours;
}

bool child_spawn(struct child *child, const char *const argv[], const char *const environment[],
                 struct error *err)
{
    CLEANUP(pipes_close) struct pipes pipes = {{-1, -1}, {-1, -1}, {-1, -1}};
    if (!pipes_open(&pipes))
        return error_errno(err, ERR_IO, errno, "pipe");
    struct child born = {.pidfd = -1, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
    int failed = spawn(&pipes, argv, environment, &born.pid);
    if (failed)
        return error_errno(err, failed == ENOENT ? ERR_NOT_FOUND : ERR_IO, failed, "%s", argv[0]);
    born.pidfd = pidfd_open(born.pid, 0);
    if (born.pidfd < 0)
        born.pidfd = eventfd_of_end(born.pid);
    if (born.pidfd < 0) {
        error_errno(err, ERR_IO, errno, "%s: pidfd", argv[0]);
        child_finish(&born);
        return false;
    }
    born.stdin_fd = pipes.in[1];
    born.stdout_fd = pipes.out[0];
    born.stderr_fd = pipes.err[0];
    pipes.in[1] = pipes.out[0] = pipes.err[0] = -1;
    *child = born;
    return true;
}

int child_reap(struct child *child)
{
    int status = 0;
    bool reaped = TEMP_FAILURE_RETRY(waitpid(child->pid, &status, 0)) > 0;
    child->pid = -1;
    if (!reaped) // somebody else reaped it: a bug, or SIGCHLD is ignored
        return 255;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void child_kill(struct child *child)
{
    if (child->pid > 0)
        kill(-child->pid, SIGKILL);
}

void child_finish(struct child *child)
{
    child_kill(child);
    if (child->pid > 0)
        child_reap(child);
    close_fd(&child->pidfd);
    close_fd(&child->stdin_fd);
    close_fd(&child->stdout_fd);
    close_fd(&child->stderr_fd);
}

// --- a whole run ---

struct run {
    struct child child;
    const char *input;
    size_t input_len;
    struct buffer *output;
    char tail[TAIL_SIZE]; // the last of stderr
    size_t tail_len;
};

static void keep_tail(struct run *run, const char *bytes, size_t len)
{
    size_t drop = 0;
    if (len >= TAIL_SIZE) {
        bytes += len - TAIL_SIZE;
        len = TAIL_SIZE;
    }
    if (run->tail_len + len > TAIL_SIZE)
        drop = run->tail_len + len - TAIL_SIZE;
    memmove(run->tail, run->tail + drop, run->tail_len - drop);
    memcpy(run->tail + run->tail_len - drop, bytes, len);
    run->tail_len += len - drop;
}

static void feed(struct run *run)
{
    ssize_t sent = run->input_len ? write(run->child.stdin_fd, run->input, run->input_len) : 0;
    if (sent > 0) {
        run->input += sent;
        run->input_len -= (size_t)sent;
    }
    bool later = sent < 0 && (errno == EAGAIN || errno == EINTR);
    if (!later && (sent < 0 || run->input_len == 0)) // given all, or it does not read
        close_fd(&run->child.stdin_fd);
}

// Takes what is there; closes at the end of the stream.
static bool drain(struct run *run, int *fd, struct error *err)
{
    while (*fd >= 0) {
        char chunk[READ_CHUNK];
        ssize_t got = read(*fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return true;
        if (got <= 0)
            close_fd(fd);
        else if (fd == &run->child.stderr_fd)
            keep_tail(run, chunk, (size_t)got);
        else if (!buffer_append(run->output, chunk, (size_t)got, err))
            return error_wrap(err, "output");
    }
    return true;
}

// Until the child has ended. What its own children still write is not waited for.
static bool talk(struct run *run, struct mono_time deadline, struct error *err)
{
    struct child *child = &run->child;
    for (bool ended = false; !ended;) {
        struct pollfd polled[] = {{.fd = child->pidfd, .events = POLLIN},
                                  {.fd = child->stdin_fd, .events = POLLOUT},
                                  {.fd = child->stdout_fd, .events = POLLIN},
                                  {.fd = child->stderr_fd, .events = POLLIN}};
        int64_t left = mono_left(deadline);
        if (left == 0)
            return error_set(err, ERR_TIMEOUT, "took too long");
        if (poll(polled, 4, left > INT32_MAX ? INT32_MAX : (int)left) < 0 && errno != EINTR)
            return error_errno(err, ERR_IO, errno, "poll");
        ended = polled[0].revents != 0;
        if (polled[1].revents)
            feed(run);
        if (!drain(run, &child->stdout_fd, err) || !drain(run, &child->stderr_fd, err))
            return false;
    }
    return true;
}

bool child_run(const char *const argv[], const char *const environment[], const void *input,
               size_t input_len, int64_t timeout_ms, struct buffer *output, struct error *err)
{
    struct mono_time deadline = mono_after(timeout_ms);
    CLEANUP(buffer_wipe) struct buffer collected = {.cap = output->cap};
    struct run run = {.input = input, .input_len = input_len, .output = &collected};
    if (!child_spawn(&run.child, argv, environment, err))
        return false;
    bool ok = talk(&run, deadline, err) || error_wrap(err, "%s", argv[0]);
    child_kill(&run.child); // and whatever it has left running
    int status = child_reap(&run.child);
    child_finish(&run.child);
    if (!ok)
        return false;
    if (status != 0) {
        char text[TAIL_SIZE + 1];
        while (run.tail_len > 0 && isspace((unsigned char)run.tail[run.tail_len - 1]))
            run.tail_len--;
        printable_copy(text, sizeof text, run.tail, run.tail_len);
        return error_set(err, ERR_UNAVAILABLE, "%s: exit %d: %s", argv[0], status,
                         *text ? text : "no message");
    }
    *output = collected;
    collected = (struct buffer){0};
    return true;
}
