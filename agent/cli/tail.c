#include "agent/cli/tail.h"

#include "agent/base/text.h"
#include "agent/cli/harmless.h"
#include "agent/cli/interrupts.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct tail {
    const struct client *client;
    struct screen *screen;
    struct http_loop *loop;
    int fd;     // where the bytes go
    bool clean; // made harmless
    struct harmless harmless;
    const char *part; // of the log; NULL: all
    int interrupts;   // of interrupts_hold()
    int wake_fd;      // the loop's thread has something for us
    int stopped;      // exit status; 0: go on

    bool away;                // nobody answers
    struct mono_time give_up; // when away
    unsigned failures;        // in a row, without a byte between: for the pauses

    pthread_mutex_t lock; // guards what the loop's thread tells of the one request there is:
    struct buffer incoming;
    int status;     // 0 until the answer's head is there
    uint64_t began; // at which offset
    bool ended;
    bool full;             // we read too slowly, so it was ended; asking again goes on where it was
    struct error ended_by; // ERR_NONE: complete
};

// --- on the loop's thread ---

static void wake(struct tail *tail)
{
    uint64_t one = 1;
    ssize_t written = write(tail->wake_fd, &one, sizeof(one));
    (void)written; // it cannot fill up before it wakes
}

static void on_head(void *user, int status, const struct buffer *headers)
{
    struct tail *tail = user;
    char began[32];
    int64_t offset = 0;
    if (!http_header(headers, "Log-Offset", began, sizeof(began)) ||
        !text_to_int(began, 0, INT64_MAX, &offset))
        offset = 0;
    pthread_mutex_lock(&tail->lock);
    tail->status = status;
    tail->began = (uint64_t)offset;
    pthread_mutex_unlock(&tail->lock);
    wake(tail);
}

static bool on_data(void *user, const void *bytes, size_t len)
{
    struct tail *tail = user;
    pthread_mutex_lock(&tail->lock);
    bool fits = buffer_append(&tail->incoming, bytes, len, NULL);
    tail->full = !fits;
    pthread_mutex_unlock(&tail->lock);
    wake(tail);
    return fits;
}

static void on_done(void *user, int status, const struct error *err)
{
    struct tail *tail = user;
    pthread_mutex_lock(&tail->lock);
    tail->ended = true;
    if (err == NULL)
        tail->status = status;
    else
        tail->ended_by = *err;
    pthread_mutex_unlock(&tail->lock);
    wake(tail);
}

static const struct http_stream_events stream_events = {on_head, on_data, on_done};

// --- opening and waiting ---

struct tail *tail_open(const struct client *client, struct screen *screen, int fd)
{
    struct tail *tail = xalloc(sizeof(*tail));
    tail->client = client;
    tail->screen = screen;
    tail->fd = fd;
    tail->clean = isatty(fd);
    tail->incoming.cap = TAIL_BUFFER_MAX;
    (void)pthread_mutex_init(&tail->lock, NULL);
    tail->interrupts = interrupts_hold();
    tail->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (tail->wake_fd < 0)
        abort(); // one descriptor in a small program
    tail->loop = http_loop_create();
    return tail;
}

void tail_close(struct tail *tail)
{
    if (tail == NULL)
        return;
    http_loop_destroy(tail->loop);
    close_fd(&tail->interrupts);
    close_fd(&tail->wake_fd);
    buffer_finish(&tail->incoming);
    (void)pthread_mutex_destroy(&tail->lock);
    free(tail);
}

void tail_raw(struct tail *tail)
{
    tail->clean = false;
}

void tail_choose(struct tail *tail, const char *part)
{
    tail->part = part;
}

int tail_status(const struct tail *tail)
{
    return tail->stopped;
}

// Waits until there is news of the request (`news`), until the output can take bytes (else), or for
// `ms` (-1: for ever). False when we are to stop.
static bool tail_wait(struct tail *tail, bool news, int64_t ms)
{
    struct pollfd fds[] = {
        {.fd = tail->interrupts, .events = POLLIN},
        {.fd = tail->fd, .events = news ? 0 : POLLOUT}, // an error is told in any case
        {.fd = news ? tail->wake_fd : -1, .events = POLLIN},
    };
    if (poll(fds, sizeof(fds) / sizeof(fds[0]), (int)ms) < 0)
        return true; // EINTR, after a stop and continue
    uint64_t count;
    int signal = (fds[0].revents & POLLIN) ? interrupts_came(tail->interrupts) : 0;
    if (signal != 0)
        tail->stopped = 128 + signal;
    else if (fds[1].revents & (POLLERR | POLLHUP))
        tail->stopped = STATUS_PIPE;
    if ((fds[2].revents & POLLIN) && read(tail->wake_fd, &count, sizeof(count)) < 0)
        return tail->stopped == 0; // somebody else's wake was read already
    return tail->stopped == 0;
}

enum tail_end tail_sleep(struct tail *tail, int64_t ms)
{
    struct mono_time until = mono_after(ms);
    while (!mono_past(until)) {
        if (!tail_wait(tail, true, mono_left(until)))
            return TAIL_STOPPED;
    }
    return TAIL_DONE;
}

// Never blocks longer than a signal needs: a pipe that polls as writable takes PIPE_BUF bytes.
static enum tail_end write_bytes(struct tail *tail, const char *bytes, size_t len, uint64_t *offset,
                                 struct error *err)
{
    while (len > 0) {
        if (!tail_wait(tail, false, -1))
            return TAIL_STOPPED;
        ssize_t written = write(tail->fd, bytes, len < PIPE_BUF ? len : PIPE_BUF);
        if (written < 0 && errno == EPIPE) {
            tail->stopped = STATUS_PIPE;
            return TAIL_STOPPED;
        }
        if (written < 0 && errno != EAGAIN && errno != EINTR) {
            (void)error_errno(err, ERR_IO, errno, "writing the log");
            return TAIL_FAILED;
        }
        if (written <= 0)
            continue;
        bytes += written;
        len -= (size_t)written;
        *offset += (uint64_t)written;
        tail->screen->cut_line = bytes[-1] != '\n';
    }
    return TAIL_DONE;
}

static enum tail_end write_clean(struct tail *tail, const char *bytes, size_t len, uint64_t *offset,
                                 struct error *err)
{
    enum tail_end end = TAIL_DONE;
    for (size_t part; len > 0 && end == TAIL_DONE; bytes += part, len -= part) {
        CLEANUP(buffer_finish) struct buffer out = {0};
        uint64_t written = 0;
        part = len < PIPE_BUF ? len : PIPE_BUF;
        if (!harmless_append(&tail->harmless, bytes, part, &out, err))
            return TAIL_FAILED;
        end = write_bytes(tail, buffer_text(&out), out.len, &written, err);
        *offset += part;
    }
    return end;
}

// The log is at its end, or another one begins.
static enum tail_end write_held(struct tail *tail, struct error *err)
{
    CLEANUP(buffer_finish) struct buffer out = {0};
    uint64_t written = 0;
    if (!harmless_end(&tail->harmless, &out, err))
        return TAIL_FAILED;
    return write_bytes(tail, buffer_text(&out), out.len, &written, err);
}

static enum tail_end write_out(struct tail *tail, const char *bytes, size_t len, uint64_t *offset,
                               struct error *err)
{
    screen_unwait(tail->screen);
    return tail->clean ? write_clean(tail, bytes, len, offset, err)
                       : write_bytes(tail, bytes, len, offset, err);
}

// --- outages ---

int64_t tail_pause_ms(unsigned failures)
{
    int64_t pause = TAIL_PAUSE_FIRST;
    while (failures-- > 0 && pause < TAIL_PAUSE_MAX)
        pause *= 2;
    return pause < TAIL_PAUSE_MAX ? pause : TAIL_PAUSE_MAX;
}

static void outage_over(struct tail *tail)
{
    if (tail->away)
        screen_say(tail->screen, MARK_OK, "the agent is back");
    tail->away = false;
}

// Pauses after a failure, whose reason is *err.
static enum tail_end outage_wait(struct tail *tail, struct error *err)
{
    if (!tail->away) {
        tail->away = true;
        tail->give_up = mono_after(TAIL_GIVE_UP_MS);
        screen_say(tail->screen, MARK_WARNING,
                   "the agent is away: %s; trying again for up to %d minutes",
                   client_cause(tail->client, err), (int)(TAIL_GIVE_UP_MS / 60000));
    }
    if (mono_past(tail->give_up)) {
        (void)client_unreachable(tail->client, err);
        return TAIL_FAILED;
    }
    return tail_sleep(tail, tail_pause_ms(tail->failures++));
}

// --- one request ---

// What the loop's thread has told so far, moved out of its way.
struct news {
    struct buffer bytes;
    int status;
    uint64_t began;
    bool ended;
    bool full;
    struct error ended_by;
};

static void take_news(struct tail *tail, struct news *news)
{
    pthread_mutex_lock(&tail->lock);
    *news = (struct news){.bytes = tail->incoming,
                          .status = tail->status,
                          .began = tail->began,
                          .ended = tail->ended,
                          .full = tail->full,
                          .ended_by = tail->ended_by};
    tail->incoming = (struct buffer){.cap = TAIL_BUFFER_MAX};
    pthread_mutex_unlock(&tail->lock);
}

static bool later_may_help(int status)
{
    return status == 429 || status == 502 || status == 503 || status == 504;
}

static void begin(struct tail *tail, const char *path, const uint64_t *offset)
{
    pthread_mutex_lock(&tail->lock);
    buffer_clear(&tail->incoming);
    tail->status = 0;
    tail->began = 0;
    tail->ended = tail->full = false;
    tail->ended_by = (struct error){.code = ERR_NONE};
    pthread_mutex_unlock(&tail->lock);

    CLEANUP(free_ptr) char *url = NULL;
    CLEANUP(free_ptr)
    char *whole = !offset                      ? xstrdup(path)
                  : *offset == 0 && tail->part ? xasprintf("%s&%s", path, tail->part)
                                               : xasprintf("%s&offset=%" PRIu64, path, *offset);
    struct http_request request;
    client_prepare(tail->client, whole, &url, &request);
    request.timeout_ms = offset ? 0 : CLIENT_TIMEOUT_MS; // a log may be silent for hours
    (void)http_stream_start(tail->loop, &request, &stream_events, tail);
}

// Takes the answer until it ends: a good one's bytes are written out when there is an offset, all
// others go into `body`.
static enum tail_end receive(struct tail *tail, uint64_t *offset, struct buffer *body,
                             struct news *last, struct error *err)
{
    for (;;) {
        if (!tail_wait(tail, true, -1))
            return TAIL_STOPPED;
        struct news news;
        take_news(tail, &news);
        if (news.status != 0 && !later_may_help(news.status))
            outage_over(tail);
        if (news.bytes.len > 0)
            tail->failures = 0;
        enum tail_end end = TAIL_DONE;
        if (offset != NULL && news.status < 300 && *offset < news.began)
            *offset = news.began;
        if (offset != NULL && news.status < 300)
            end = write_out(tail, buffer_text(&news.bytes), news.bytes.len, offset, err);
        else if (!buffer_append(body, buffer_text(&news.bytes), news.bytes.len, err))
            end = TAIL_FAILED;
        buffer_finish(&news.bytes);
        *last = news;
        if (end != TAIL_DONE || news.ended)
            return end;
    }
}

// Asks until there is an answer that is not "later".
static enum tail_end ask(struct tail *tail, const char *path, uint64_t *offset, struct buffer *body,
                         int *status, struct error *err)
{
    for (;;) {
        struct news last = {0};
        buffer_clear(body);
        begin(tail, path, offset);
        enum tail_end end = receive(tail, offset, body, &last, err);
        if (end != TAIL_DONE)
            return end;
        if (last.full)
            continue;
        if (last.ended_by.code == ERR_NONE && !later_may_help(last.status)) {
            *status = last.status;
            return TAIL_DONE;
        }
        if (last.ended_by.code != ERR_NONE)
            *err = last.ended_by;
        else
            (void)error_set(err, ERR_UNAVAILABLE, "it answered with status %d", last.status);
        end = outage_wait(tail, err);
        if (end != TAIL_DONE)
            return end;
    }
}

static void buffer_ptr(struct buffer *buf)
{
    buffer_finish(buf);
}

enum tail_end tail_get(struct tail *tail, const char *path, json_t **out, struct error *err)
{
    CLEANUP(buffer_ptr) struct buffer body = {.cap = CLIENT_ANSWER_MAX};
    int status = 0;
    enum tail_end end = ask(tail, path, NULL, &body, &status, err);
    if (end != TAIL_DONE)
        return end;
    if (status >= 300) {
        struct problem problem;
        problem_read(status, &body, &problem);
        (void)problem_error(tail->client, &problem, err);
        return TAIL_FAILED;
    }
    return client_read(tail->client, &body, out, err) ? TAIL_DONE : TAIL_FAILED;
}

enum tail_end tail_copy(struct tail *tail, const char *path, uint64_t *offset,
                        struct problem *problem, struct error *err)
{
    CLEANUP(buffer_ptr) struct buffer body = {.cap = CLIENT_ANSWER_MAX};
    int status = 0;
    *problem = (struct problem){0};
    enum tail_end end = ask(tail, path, offset, &body, &status, err);
    if (end == TAIL_DONE && status < 300 && tail->clean)
        end = write_held(tail, err);
    if (end != TAIL_DONE || status < 300)
        return end;
    problem_read(status, &body, problem);
    (void)problem_error(tail->client, problem, err);
    return TAIL_FAILED;
}
