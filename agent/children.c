#include "agent/children.h"
#include "agent/base/process.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

// Descriptors polled of one child: end, stdin, stdout, stderr.
#define FDS_PER_CHILD 4
#define READ_CHUNK    16384

enum stage { STAGE_WAITING, STAGE_RUNNING, STAGE_ENDED };

struct task {
    struct task *next; // in the order of their turns
    struct mono_time turn;
    char *name;
    char *program;
    struct buffer input; // what stdin has still to be given starts at `written`
    size_t written;
    int64_t timeout_ms;
    char *host, *repository; // NULL: it waits for nobody
    void (*wake)(void *user, const char *name);
    void *user;
    enum stage stage;
    bool cancelled;
    // The main thread's alone while STAGE_RUNNING:
    struct child child;
    struct mono_time deadline;
    struct buffer errors;
    struct child_result result;
};

struct children {
    pthread_mutex_t lock; // guards the list, and each task's stage and cancelled
    struct task *tasks;
    struct children_bounds bounds;
    int running; // main thread
    int wake_fd; // written when the main thread has something new to look at
};

struct children *children_create(struct children_bounds bounds)
{
    assert(bounds.most > 0 && bounds.most_per_host > 0 && bounds.most_per_repository > 0);
    struct children *children = xalloc(sizeof *children);
    pthread_mutex_init(&children->lock, NULL);
    children->bounds = bounds;
    children->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (children->wake_fd < 0)
        abort();
    return children;
}

void child_result_finish(struct child_result *result)
{
    buffer_finish(&result->output);
}

static void task_free(struct task *task)
{
    if (task->stage == STAGE_RUNNING)
        child_finish(&task->child);
    buffer_wipe(&task->input);
    buffer_finish(&task->errors);
    child_result_finish(&task->result);
    free(task->name);
    free(task->program);
    free(task->host);
    free(task->repository);
    free(task);
}

void children_destroy(struct children *children)
{
    if (!children)
        return;
    while (children->tasks) {
        struct task *task = children->tasks;
        children->tasks = task->next;
        task_free(task);
    }
    close(children->wake_fd);
    pthread_mutex_destroy(&children->lock);
    free(children);
}

// The lock is held.
static struct task **find(struct children *children, const char *name)
{
    struct task **at = &children->tasks;
    while (*at && ((*at)->cancelled || strcmp((*at)->name, name) != 0))
        at = &(*at)->next;
    return at;
}

void children_count(struct children *children, size_t *running, size_t *waiting)
{
    *running = *waiting = 0;
    pthread_mutex_lock(&children->lock);
    for (const struct task *task = children->tasks; task; task = task->next) {
        *running += task->stage == STAGE_RUNNING;
        *waiting += task->stage == STAGE_WAITING && !task->cancelled;
    }
    pthread_mutex_unlock(&children->lock);
}

static void nudge(struct children *children)
{
    uint64_t one = 1;
    ssize_t written = write(children->wake_fd, &one, sizeof one);
    (void)written; // full means that it is readable already
}

// The lock is held. Behind what has the same turn.
static void put_in_line(struct children *children, struct task *task)
{
    struct task **at = &children->tasks;
    while (*at && (*at)->turn.ms <= task->turn.ms)
        at = &(*at)->next;
    task->next = *at;
    *at = task;
}

void children_ask(struct children *children, const char *name, const struct child_request *request)
{
    struct task *task = xalloc(sizeof *task);
    task->name = xstrdup(name);
    task->program = xstrdup(request->program);
    if (!buffer_append(&task->input, request->input, request->input_len, NULL))
        abort();
    task->turn = mono_after(request->defer_ms);
    task->timeout_ms = request->timeout_ms;
    task->host = request->host ? xstrdup(request->host) : NULL;
    task->repository = request->repository ? xstrdup(request->repository) : NULL;
    task->wake = request->wake;
    task->user = request->user;
    task->result.tag = request->tag;
    task->result.output.cap = CHILD_OUTPUT_MAX;
    task->errors.cap = CHILD_STDERR_MAX;

    pthread_mutex_lock(&children->lock);
    bool known = *find(children, name) != NULL;
    if (!known)
        put_in_line(children, task);
    pthread_mutex_unlock(&children->lock);
    if (known)
        task_free(task);
    else
        nudge(children);
}

void children_hurry(struct children *children, const char *name)
{
    struct mono_time now = mono_now();
    pthread_mutex_lock(&children->lock);
    struct task **at = find(children, name), *task = *at;
    if (task && task->stage == STAGE_WAITING && task->turn.ms > now.ms) {
        *at = task->next;
        task->turn = now;
        put_in_line(children, task);
    }
    pthread_mutex_unlock(&children->lock);
}

enum child_state children_take(struct children *children, const char *name,
                               struct child_result *result)
{
    enum child_state state = CHILD_UNKNOWN;
    struct task *taken = NULL;
    pthread_mutex_lock(&children->lock);
    struct task **at = find(children, name);
    if (*at && (*at)->stage == STAGE_ENDED) {
        taken = *at;
        *at = taken->next;
        state = CHILD_ENDED;
    } else if (*at) {
        state = CHILD_BUSY;
    }
    pthread_mutex_unlock(&children->lock);
    if (taken) {
        *result = taken->result;
        taken->result = (struct child_result){0};
        task_free(taken);
    }
    return state;
}

void children_cancel(struct children *children, const char *name)
{
    pthread_mutex_lock(&children->lock);
    struct task *task = *find(children, name);
    if (task)
        task->cancelled = true;
    pthread_mutex_unlock(&children->lock);
    if (task)
        nudge(children);
}

// --- main thread ---

static void end_task(struct children *children, struct task *task, bool was_running)
{
    if (was_running)
        children->running--;
    pthread_mutex_lock(&children->lock);
    task->stage = STAGE_ENDED;
    bool tell = !task->cancelled;
    CLEANUP(free_ptr) char *name = xstrdup(task->name);
    void (*wake)(void *, const char *) = task->wake;
    void *user = task->user;
    pthread_mutex_unlock(&children->lock);
    // The task may be taken and freed from here on.
    if (tell)
        wake(user, name);
}

static void fail_task(struct children *children, struct task *task, enum error_code code,
                      const char *why)
{
    child_finish(&task->child);
    task->result.ran = false;
    error_set(&task->result.error, code, "%s%s%s", why, task->errors.len ? ": " : "",
              buffer_text(&task->errors));
    end_task(children, task, true);
}

static void start_task(struct children *children, struct task *task)
{
    const char *const argv[] = {task->program, NULL};
    static const char *const environment[] = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", NULL};
    bool started = child_spawn(&task->child, argv, environment, &task->result.error);
    pthread_mutex_lock(&children->lock);
    task->stage = started ? STAGE_RUNNING : STAGE_WAITING;
    pthread_mutex_unlock(&children->lock);
    if (!started) {
        end_task(children, task, false);
        return;
    }
    children->running++;
    task->deadline = mono_after(task->timeout_ms);
}

static bool same(const char *one, const char *other)
{
    return one && other && strcmp(one, other) == 0;
}

// The lock is held. `out` has room for as many as may run.
static size_t list_running(const struct children *children, struct task **out)
{
    size_t count = 0;
    for (struct task *task = children->tasks; task; task = task->next)
        if (task->stage == STAGE_RUNNING)
            out[count++] = task;
    return count;
}

// Beside those that run, which are few: thousands may wait.
static bool has_room(const struct children *children, struct task *const *running, size_t count,
                     const struct task *task)
{
    const struct children_bounds *bounds = &children->bounds;
    int of_host = 0, of_repository = 0;
    for (size_t i = 0; i < count; i++) {
        of_host += same(running[i]->host, task->host);
        of_repository += same(running[i]->repository, task->repository);
    }
    return children->running < bounds->most && of_host < bounds->most_per_host &&
           of_repository < bounds->most_per_repository;
}

// Takes cancelled tasks out and starts waiting ones; the caller holds no lock. `running` is room
// for those that run.
static void schedule(struct children *children, struct task **running)
{
    for (;;) {
        struct task *start = NULL, *drop = NULL;
        pthread_mutex_lock(&children->lock);
        size_t count = list_running(children, running);
        for (struct task **at = &children->tasks; *at && !start && !drop;) {
            struct task *task = *at;
            if (task->cancelled) {
                drop = task;
                *at = task->next;
                continue;
            }
            if (task->stage == STAGE_WAITING && has_room(children, running, count, task))
                start = task;
            at = &task->next;
        }
        pthread_mutex_unlock(&children->lock);
        if (drop) {
            if (drop->stage == STAGE_RUNNING)
                children->running--;
            task_free(drop);
        } else if (start) {
            start_task(children, start);
        } else {
            return;
        }
    }
}

static void give_input(struct task *task)
{
    while (task->written < task->input.len) {
        ssize_t wrote = write(task->child.stdin_fd, task->input.data + task->written,
                              task->input.len - task->written);
        if (wrote < 0 && errno == EAGAIN)
            return;
        if (wrote <= 0)
            break; // it does not read: its exit tells why
        task->written += (size_t)wrote;
    }
    close_fd(&task->child.stdin_fd);
    buffer_wipe(&task->input);
}

// Reads what is there; closes at end of file. False when the cap was met.
static bool collect(int *fd, struct buffer *into)
{
    char chunk[READ_CHUNK];
    while (*fd >= 0) {
        ssize_t got = read(*fd, chunk, sizeof chunk);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        if (got <= 0) {
            close_fd(fd);
            return true;
        }
        if (!buffer_append(into, chunk, (size_t)got, NULL))
            return false;
    }
    return true;
}

static void finish_task(struct children *children, struct task *task)
{
    bool whole = collect(&task->child.stdout_fd, &task->result.output);
    (void)collect(&task->child.stderr_fd, &task->errors);
    if (!whole) {
        fail_task(children, task, ERR_TOO_LARGE, "the child program wrote too much");
        return;
    }
    task->result.exit_status = child_reap(&task->child);
    child_finish(&task->child);
    task->result.ran = true;
    if (task->errors.len)
        error_set(&task->result.error, ERR_INTERNAL, "%s", buffer_text(&task->errors));
    end_task(children, task, true);
}

static void serve_task(struct children *children, struct task *task, const struct pollfd *fds)
{
    if (fds[1].revents)
        give_input(task);
    if (fds[2].revents && !collect(&task->child.stdout_fd, &task->result.output)) {
        fail_task(children, task, ERR_TOO_LARGE, "the child program wrote too much");
        return;
    }
    if (fds[3].revents && !collect(&task->child.stderr_fd, &task->errors))
        close_fd(&task->child.stderr_fd); // enough of it is kept
    if (fds[0].revents)
        finish_task(children, task);
    else if (mono_past(task->deadline))
        fail_task(children, task, ERR_TIMEOUT, "no answer within its deadline");
}

static size_t gather(struct children *children, struct task **tasks, struct pollfd *fds,
                     struct mono_time *deadline)
{
    pthread_mutex_lock(&children->lock);
    size_t count = list_running(children, tasks);
    pthread_mutex_unlock(&children->lock);
    for (size_t i = 0; i < count; i++) {
        const struct task *task = tasks[i];
        struct pollfd *at = fds + FDS_PER_CHILD * i;
        at[0] = (struct pollfd){.fd = task->child.pidfd, .events = POLLIN};
        at[1] = (struct pollfd){.fd = task->child.stdin_fd, .events = POLLOUT};
        at[2] = (struct pollfd){.fd = task->child.stdout_fd, .events = POLLIN};
        at[3] = (struct pollfd){.fd = task->child.stderr_fd, .events = POLLIN};
        if (task->deadline.ms < deadline->ms)
            *deadline = task->deadline;
    }
    return count;
}

bool children_run(struct children *children, int fd, struct mono_time deadline)
{
    size_t most = (size_t)children->bounds.most;
    CLEANUP(free_ptr) struct task **tasks = xalloc(most * sizeof *tasks);
    CLEANUP(free_ptr) struct pollfd *fds = xalloc((2 + most * FDS_PER_CHILD) * sizeof *fds);
    while (!mono_past(deadline)) {
        schedule(children, tasks);
        struct mono_time next = deadline;
        size_t count = gather(children, tasks, fds + 2, &next);
        fds[0] = (struct pollfd){.fd = fd, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = children->wake_fd, .events = POLLIN};
        int64_t left = mono_left(next);
        int timeout = left > INT32_MAX ? INT32_MAX : (int)left;
        if (poll(fds, 2 + count * FDS_PER_CHILD, timeout) < 0 && errno != EINTR)
            abort();
        uint64_t nudges;
        if (fds[1].revents && read(children->wake_fd, &nudges, sizeof nudges) < 0 &&
            errno != EAGAIN)
            abort();
        for (size_t i = 0; i < count; i++)
            serve_task(children, tasks[i], fds + 2 + i * FDS_PER_CHILD);
        if (fds[0].revents)
            return true;
    }
    return false;
}
