// The HTTP server over real sockets: routing, caps, deadlines, late answers, streams, drain.
#include "agent/base/buffer.h"
#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/text.h"
#include "agent/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define BODY_MAX   ((size_t)64 << 10)
#define PATIENCE   10000 // ms that a client here waits for anything
#define REQUEST_MS 600

// --- handlers ---

static atomic_int handled, refused_count, last_refused;
static sem_t arrived, gate;
static struct server_request *held;

static void answer_echo(struct server_request *req, void *user)
{
    (void)user;
    atomic_fetch_add(&handled, 1);
    size_t len;
    const char *body = server_body(req, &len);
    assert_int_equal(body[len], '\0');
    server_add_header(req, "X-Peer", server_peer(req));
    server_answer_bytes(req, 200, "application/octet-stream", body, len);
}

static void answer_facts(struct server_request *req, void *user)
{
    (void)user;
    const char *query = server_query(req, "q"), *header = server_header(req, "x-test");
    server_answer_json(req, 200,
                       json_pack("{s:s, s:s, s:s?, s:s?, s:i}", "a", server_param(req, "a"), "b",
                                 server_param(req, "b"), "q", query, "header", header, "count",
                                 (int)server_header_count(req, "X-Test")));
}

static void answer_never(struct server_request *req, void *user)
{
    (void)req;
    (void)user;
}

static void answer_problem(struct server_request *req, void *user)
{
    (void)user;
    server_answer_problem(req,
                          &(struct server_problem){.status = 409,
                                                   .detail = "It runs.",
                                                   .reason = "active-run",
                                                   .members = json_pack("{s:s}", "run", "r-1")});
}

// Invalid UTF-8, and longer than a detail may be.
static void answer_odd(struct server_request *req, void *user)
{
    (void)user;
    char many[4000];
    for (size_t i = 0; i < sizeof many; i++)
        many[i] = i % 2 ? '\xa4' : '\xc3';
    server_refuse(req, 400, "odd", "bad \xff byte, %.*s", (int)sizeof many, many);
}

// Handed to the test, which answers.
static void answer_later(struct server_request *req, void *user)
{
    (void)user;
    server_suspend(req);
    held = req;
    sem_post(&arrived);
}

static void *answer_held(void *arg)
{
    server_answer_json(arg, 202, json_pack("{s:s}", "delivery", "d"));
    return NULL;
}

// Answered by a thread of its own, at once.
static void answer_elsewhere(struct server_request *req, void *user)
{
    (void)user;
    server_suspend(req);
    pthread_t thread;
    if (pthread_create(&thread, NULL, answer_held, req) != 0)
        abort();
    pthread_detach(thread);
}

static void answer_suspended_here(struct server_request *req, void *user)
{
    (void)user;
    server_suspend(req);
    server_refuse(req, 503, "full", "The queue is full.");
}

static void answer_slowly(struct server_request *req, void *user)
{
    (void)user;
    sem_post(&arrived);
    sem_wait(&gate);
    server_answer_bytes(req, 200, "text/plain", "slow", 4);
}

static bool admit(struct server_request *req, void *user)
{
    (void)user;
    const char *token = server_header(req, "Authorization");
    if (!token || strcmp(token, "Bearer none") != 0)
        return true;
    server_add_header(req, "WWW-Authenticate", "Bearer");
    server_refuse(req, 401, "unauthorized", "no");
    return false;
}

static void note_refused(struct server_request *req, int status, const char *detail, void *user)
{
    (void)user;
    assert_non_null(server_path(req));
    assert_non_null(detail);
    last_refused = status;
    atomic_fetch_add(&refused_count, 1);
}

// --- streams ---

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char pending[64];
    ssize_t end; // 0: goes on
    atomic_int released;
    atomic_int reads;
} source = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void feed(const char *text, ssize_t end)
{
    pthread_mutex_lock(&source.lock);
    snprintf(source.pending, sizeof source.pending, "%s", text);
    source.end = end;
    pthread_cond_broadcast(&source.changed);
    pthread_mutex_unlock(&source.lock);
}

static ssize_t read_source(void *user, char *out, size_t room, int64_t wait_ms)
{
    (void)user;
    atomic_fetch_add(&source.reads, 1);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += wait_ms % 1000 * 1000000;
    until.tv_sec += wait_ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&source.lock);
    if (!*source.pending && !source.end)
        pthread_cond_timedwait(&source.changed, &source.lock, &until);
    size_t len = strlen(source.pending);
    assert_true(len <= room);
    memcpy(out, source.pending, len);
    *source.pending = '\0';
    ssize_t end = source.end;
    pthread_mutex_unlock(&source.lock);
    return len ? (ssize_t)len : end;
}

static void release_source(void *user)
{
    (void)user;
    atomic_fetch_add(&source.released, 1);
}

static void answer_stream(struct server_request *req, void *user)
{
    (void)user;
    server_answer_stream(req, "text/plain", read_source, NULL, release_source);
}

static ssize_t read_endless(void *user, char *out, size_t room, int64_t wait_ms)
{
    (void)user;
    (void)wait_ms;
    memset(out, 'x', room);
    return (ssize_t)room;
}

static void answer_endless(struct server_request *req, void *user)
{
    (void)user;
    server_answer_stream(req, "text/plain", read_endless, NULL, release_source);
}

static const struct server_route routes[] = {
    {"POST", "/echo", answer_echo, SERVER_WHILE_DRAINING},
    {"GET", "/echo", answer_echo, 0},
    {"POST", "/v1/{a}/x/{b}", answer_facts, 0},
    {"GET", "/v1/{a}/x/{b}", answer_facts, 0},
    {"GET", "/never", answer_never, 0},
    {"GET", "/problem", answer_problem, 0},
    {"GET", "/odd", answer_odd, 0},
    {"GET", "/open", answer_echo, SERVER_OPEN},
    {0},
};
static const struct server_route event_routes[] = {
    {"GET", "/slow", answer_slowly, 0},
    {"POST", "/later", answer_later, SERVER_WHILE_DRAINING},
    {"POST", "/elsewhere", answer_elsewhere, SERVER_WHILE_DRAINING},
    {"GET", "/here", answer_suspended_here, 0},
    {0},
};
static const struct server_route thread_routes[] = {
    {"GET", "/stream", answer_stream, 0},
    {"GET", "/endless", answer_endless, 0},
    {"GET", "/slow", answer_slowly, 0},
    {0},
};
static const struct server_route *const event_tables[] = {routes, event_routes, NULL};
static const struct server_route *const thread_tables[] = {routes, thread_routes, NULL};

// --- the server under test ---

static struct server *server;
static uint16_t port;

static struct server_options options_for(enum server_model model)
{
    return (struct server_options){
        .name = "test",
        .model = model,
        .fd = -1,
        .host = "127.0.0.1",
        .tables = model == SERVER_EVENTS ? event_tables : thread_tables,
        .admit = admit,
        .refused = note_refused,
        .body_max = BODY_MAX,
        .in_flight_max = 4 * BODY_MAX,
        .connections_max = 32,
        .request_ms = 30000,
        .answer_ms = 30000,
        .idle_ms = 30000,
    };
}

static void start_with(const struct server_options *options)
{
    struct error err;
    if (!server_start(options, &server, &err))
        fail_msg("%s", err.text);
    const char *colon = strrchr(server_address(server), ':');
    port = colon ? (uint16_t)atoi(colon + 1) : 0;
    atomic_store(&handled, 0);
    atomic_store(&refused_count, 0);
    atomic_store(&source.released, 0);
    atomic_store(&source.reads, 0);
    source.end = 0;
    *source.pending = '\0';
    sem_init(&arrived, 0, 0);
    sem_init(&gate, 0, 0);
}

static int start_events(void **state)
{
    (void)state;
    struct server_options options = options_for(SERVER_EVENTS);
    start_with(&options);
    return 0;
}

static int start_threads(void **state)
{
    (void)state;
    struct server_options options = options_for(SERVER_THREADS);
    start_with(&options);
    return 0;
}

static int start_impatient(void **state)
{
    (void)state;
    struct server_options options = options_for(SERVER_EVENTS);
    options.request_ms = REQUEST_MS;
    options.idle_ms = REQUEST_MS;
    start_with(&options);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    server_stop(server);
    server = NULL;
    return 0;
}

// --- a client ---

struct answer {
    int status;         // 0: the connection ended before an answer came
    struct buffer text; // head and body
    const char *body;
    size_t body_len;
    bool whole;
};

static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval patience = {PATIENCE / 1000, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool say_bytes(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len) {
        ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        at += sent;
        len -= (size_t)sent;
    }
    return true;
}

static bool say(int fd, const char *text)
{
    return say_bytes(fd, text, strlen(text));
}

// The header's value, cut off at the line's end; NULL when absent.
static const char *header_of(const struct answer *answer, const char *name)
{
    static _Thread_local char value[256];
    size_t len = strlen(name);
    for (const char *line = strstr(answer->text.data, "\r\n"); line && line + 2 < answer->body - 2;
         line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, len) == 0 && line[2 + len] == ':') {
            const char *start = line + 2 + len + 1;
            start += strspn(start, " ");
            snprintf(value, sizeof value, "%.*s", (int)strcspn(start, "\r"), start);
            return value;
        }
    }
    return NULL;
}

static bool head_is_whole(struct answer *answer)
{
    const char *end = answer->text.data ? strstr(answer->text.data, "\r\n\r\n") : NULL;
    if (!end)
        return false;
    answer->body = end + 4;
    answer->body_len = answer->text.len - (size_t)(answer->body - answer->text.data);
    answer->status = atoi(answer->text.data + strlen("HTTP/1.1 "));
    return true;
}

static bool answer_is_whole(struct answer *answer, bool to_head)
{
    if (!head_is_whole(answer))
        return false;
    const char *length = header_of(answer, "Content-Length");
    if (to_head || answer->status == 204 || answer->status == 100)
        return true;
    if (length)
        return answer->body_len >= (size_t)atoi(length);
    return text_ends(answer->text.data, "0\r\n\r\n");
}

// Reads one answer; pipelining is not used, so nothing follows it.
static struct answer hear_to(int fd, bool to_head)
{
    struct answer answer = {0};
    char chunk[16384];
    while (!(answer.whole = answer_is_whole(&answer, to_head))) {
        ssize_t got = recv(fd, chunk, sizeof chunk, 0);
        if (got <= 0)
            break;
        assert_true(buffer_append(&answer.text, chunk, (size_t)got, NULL));
    }
    return answer;
}

static struct answer hear(int fd)
{
    return hear_to(fd, false);
}

static void done(struct answer *answer)
{
    buffer_finish(&answer->text);
}

// Whether the server closes the connection before `ms` are over.
static bool closes_within(int fd, int ms)
{
    char byte;
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};
    return poll(&pollfd, 1, ms) == 1 && recv(fd, &byte, 1, 0) <= 0;
}

static struct answer ask_on(int fd, const char *request)
{
    assert_true(say(fd, request));
    return hear(fd);
}

#define HOST "Host: localhost\r\n"

static int status_of(const char *request)
{
    int fd = dial();
    struct answer answer = ask_on(fd, request);
    done(&answer);
    close(fd);
    return answer.status;
}

static json_t *json_of(const char *request, int status)
{
    int fd = dial();
    struct answer answer = ask_on(fd, request);
    assert_int_equal(answer.status, status);
    json_t *json = NULL;
    assert_true(json_read(answer.body, answer.body_len, 1 << 20, &json, NULL));
    done(&answer);
    close(fd);
    return json;
}

// --- requests and answers ---

static void test_routes(void **state)
{
    (void)state;
    assert_int_equal(status_of("GET /echo HTTP/1.1\r\n" HOST "\r\n"), 200);
    assert_int_equal(status_of("GET /echo/ HTTP/1.1\r\n" HOST "\r\n"), 404);
    assert_int_equal(status_of("GET /ech HTTP/1.1\r\n" HOST "\r\n"), 404);
    assert_int_equal(status_of("GET / HTTP/1.1\r\n" HOST "\r\n"), 404);
    assert_int_equal(status_of("GET /v1/a/x/ HTTP/1.1\r\n" HOST "\r\n"), 404);
    assert_int_equal(status_of("GET /v1//x/b HTTP/1.1\r\n" HOST "\r\n"), 404);
    assert_int_equal(status_of("GET /v1/a/x/b/c HTTP/1.1\r\n" HOST "\r\n"), 404);
    assert_int_equal(status_of("GET /never HTTP/1.1\r\n" HOST "\r\n"), 500);
    assert_int_equal(atomic_load(&refused_count), 6);

    int fd = dial();
    struct answer answer = ask_on(fd, "DELETE /echo HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(answer.status, 405);
    assert_string_equal(header_of(&answer, "Allow"), "POST, GET, HEAD, OPTIONS");
    assert_string_equal(header_of(&answer, "Content-Type"), "application/problem+json");
    done(&answer);
    answer = ask_on(fd, "OPTIONS /echo HTTP/1.1\r\n" HOST "\r\n"); // the connection goes on
    assert_int_equal(answer.status, 204);
    assert_string_equal(header_of(&answer, "Allow"), "POST, GET, HEAD, OPTIONS");
    assert_int_equal(answer.body_len, 0);
    done(&answer);
    close(fd);
}

static void test_parameters_and_headers(void **state)
{
    (void)state;
    CLEANUP(json_ptr)
    json_t *facts = json_of("GET /v1/a%2Fb/x/%C3%A4%20?q=1+2%26&r HTTP/1.1\r\n" HOST
                            "X-Test: one\r\nx-test: two\r\n\r\n",
                            200);
    assert_string_equal(json_text_at(facts, "a", NULL), "a/b");
    assert_string_equal(json_text_at(facts, "b", NULL), "ä ");
    assert_string_equal(json_text_at(facts, "q", NULL), "1 2&");
    assert_string_equal(json_text_at(facts, "header", NULL), "one");
    assert_int_equal(json_int_or(json_at(facts, "count", NULL), 0), 2);

    CLEANUP(json_ptr)
    json_t *bare = json_of("GET /v1/a/x/b?q HTTP/1.1\r\n" HOST "\r\n", 200);
    assert_string_equal(json_text_at(bare, "q", NULL), "");
    assert_true(json_is_null(json_at(bare, "header", NULL)));

    CLEANUP(json_ptr) json_t *none = json_of("GET /v1/a/x/b HTTP/1.1\r\n" HOST "\r\n", 200);
    assert_true(json_is_null(json_at(none, "q", NULL)));
}

static void test_malformed_requests(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "GET /v1/a%00b/x/b HTTP/1.1\r\n" HOST "\r\n",
        "GET /v1/%FF/x/b HTTP/1.1\r\n" HOST "\r\n",
        "GET /echo?q=1&q=2 HTTP/1.1\r\n" HOST "\r\n",
        "GET /echo?q=%00 HTTP/1.1\r\n" HOST "\r\n",
        "GET /echo?q=%C3 HTTP/1.1\r\n" HOST "\r\n",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST /echo HTTP/1.1\r\n" HOST
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: x\r\n\r\n",
        "GET /echo HTTP/1.1\r\n\r\n", // no Host
    };
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
        assert_int_equal(status_of(requests[i]), 400);
    assert_int_equal(atomic_load(&handled), 0);
}

static void test_problems(void **state)
{
    (void)state;
    CLEANUP(json_ptr) json_t *problem = json_of("GET /problem HTTP/1.1\r\n" HOST "\r\n", 409);
    CLEANUP(json_ptr)
    json_t *wanted =
        json_pack("{s:s, s:s, s:i, s:s, s:s, s:s}", "type", "about:blank", "title", "Conflict",
                  "status", 409, "detail", "It runs.", "reason", "active-run", "run", "r-1");
    assert_true(json_equal(problem, wanted));
}

static void test_odd_text_in_a_problem(void **state)
{
    (void)state;
    CLEANUP(json_ptr) json_t *problem = json_of("GET /odd HTTP/1.1\r\n" HOST "\r\n", 400);
    const char *detail = json_text_at(problem, "detail", NULL);
    assert_non_null(detail);
    assert_true(text_starts(detail, "bad ? byte, ää"));
    assert_true(strlen(detail) > 900);
}

static void test_head_has_no_body(void **state)
{
    (void)state;
    int fd = dial();
    assert_true(say(fd, "HEAD /problem HTTP/1.1\r\n" HOST "\r\n"));
    struct answer answer = hear_to(fd, true);
    assert_int_equal(answer.status, 409);
    assert_true(atoi(header_of(&answer, "Content-Length")) > 10);
    assert_int_equal(answer.body_len, 0);
    done(&answer);
    answer = ask_on(fd, "GET /echo HTTP/1.1\r\n" HOST "\r\n"); // nothing was left in between
    assert_int_equal(answer.status, 200);
    done(&answer);
    close(fd);
}

static void test_admission(void **state)
{
    (void)state;
    int fd = dial();
    struct answer answer =
        ask_on(fd, "GET /echo HTTP/1.1\r\n" HOST "Authorization: Bearer none\r\n\r\n");
    assert_int_equal(answer.status, 401);
    assert_string_equal(header_of(&answer, "WWW-Authenticate"), "Bearer");
    done(&answer);
    answer = ask_on(fd, "GET /open HTTP/1.1\r\n" HOST "Authorization: Bearer none\r\n\r\n");
    assert_int_equal(answer.status, 200);
    done(&answer);
    // Of what is not admitted no body is taken, and the client is told at once.
    answer = ask_on(fd, "POST /echo HTTP/1.1\r\n" HOST
                        "Authorization: Bearer none\r\nContent-Length: 60000\r\n\r\n");
    assert_int_equal(answer.status, 401);
    done(&answer);
    assert_true(closes_within(fd, PATIENCE));
    close(fd);
    assert_int_equal(atomic_load(&handled), 1);
}

static void test_keep_alive_and_bodies(void **state)
{
    (void)state;
    int fd = dial();
    char body[BODY_MAX];
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (char)(i * 31 + (i >> 8));
    const size_t sizes[] = {0, 1, 6900, BODY_MAX - 1, BODY_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char head[128];
        snprintf(head, sizeof head, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n",
                 sizes[i]);
        assert_true(say(fd, head) && say_bytes(fd, body, sizes[i]));
        struct answer answer = hear(fd);
        assert_int_equal(answer.status, 200);
        assert_int_equal(answer.body_len, sizes[i]);
        assert_memory_equal(answer.body, body, sizes[i]);
        assert_string_equal(header_of(&answer, "X-Peer"), "127.0.0.1");
        done(&answer);
    }
    struct answer answer =
        ask_on(fd, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                   "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n");
    assert_int_equal(answer.status, 200);
    assert_memory_equal(answer.body, "abcdefg", 7);
    done(&answer);
    close(fd);
}

// --- caps ---

static void test_too_large_by_its_length(void **state)
{
    (void)state;
    int fd = dial();
    struct answer answer = ask_on(fd, "POST /echo HTTP/1.1\r\n" HOST
                                      "Expect: 100-continue\r\nContent-Length: 65537\r\n\r\n");
    assert_int_equal(answer.status, 413); // and no "100 Continue" before it
    done(&answer);
    assert_true(closes_within(fd, PATIENCE));
    close(fd);
    assert_int_equal(
        status_of("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n\r\n"),
        413);
    assert_int_equal(last_refused, 413);
    assert_int_equal(atomic_load(&handled), 0);
}

// A client that sends all before it listens must still get to see the answer.
static void test_too_large_and_sent_at_once(void **state)
{
    (void)state;
    enum { SIZE = 3 << 20 };
    CLEANUP(free_ptr) char *body = xalloc(SIZE);
    for (int round = 0; round < 20; round++) {
        int fd = dial();
        assert_true(say(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3145728\r\n\r\n"));
        assert_true(say_bytes(fd, body, SIZE));
        struct answer answer = hear(fd);
        assert_int_equal(answer.status, 413);
        assert_true(answer.whole);
        done(&answer);
        close(fd);
    }
}

static void test_too_large_without_a_length(void **state)
{
    (void)state;
    int fd = dial();
    assert_true(say(fd, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"));
    char chunk[4096 + 8];
    int len = snprintf(chunk, sizeof chunk, "1000\r\n");
    memset(chunk + len, 'x', 4096);
    memcpy(chunk + len + 4096, "\r\n", 2);
    int sent = 0;
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};
    while (sent < 1000 && poll(&pollfd, 1, 0) == 0) // never ends by itself
        sent += say_bytes(fd, chunk, (size_t)len + 4096 + 2);
    assert_true(sent >= 16);
    struct answer answer = hear(fd);
    assert_int_equal(answer.status, 413);
    assert_true(answer.whole);
    assert_string_equal(header_of(&answer, "Content-Type"), "application/problem+json");
    done(&answer);
    assert_true(closes_within(fd, PATIENCE));
    close(fd);
    assert_int_equal(atomic_load(&handled), 0);
    assert_int_equal(last_refused, 413);
}

static void test_too_much_in_flight(void **state)
{
    (void)state;
    int fds[5];
    char body[60000] = {0};
    for (int i = 0; i < 4; i++) { // each keeps its last byte back
        fds[i] = dial();
        assert_true(say(fds[i], "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 60000\r\n\r\n") &&
                    say_bytes(fds[i], body, sizeof body - 1));
    }
    int status = 100; // "go on", until all that the four sent was read
    struct mono_time deadline = mono_after(PATIENCE);
    while (status == 100 && !mono_past(deadline))
        status = status_of("POST /echo HTTP/1.1\r\n" HOST
                           "Expect: 100-continue\r\nContent-Length: 60000\r\n\r\n");
    assert_int_equal(status, 503);
    for (int i = 0; i < 4; i++) {
        assert_true(say_bytes(fds[i], body, 1));
        struct answer answer = hear(fds[i]);
        assert_int_equal(answer.status, 200);
        done(&answer);
        close(fds[i]);
    }
    // What was in flight is given back.
    fds[4] = dial();
    assert_true(say(fds[4], "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 60000\r\n\r\n") &&
                say_bytes(fds[4], body, sizeof body));
    struct answer answer = hear(fds[4]);
    assert_int_equal(answer.status, 200);
    done(&answer);
    close(fds[4]);
}

// Asks on connections that stay open, `good` of them with success, and gives the last one's answer.
static struct answer ask_on_many(int *fds, int good, const char *last)
{
    for (int i = 0; i < good; i++) {
        fds[i] = dial();
        struct answer answer = ask_on(fds[i], "GET /echo HTTP/1.1\r\n" HOST "\r\n");
        assert_int_equal(answer.status, 200);
        done(&answer);
    }
    fds[good] = dial();
    return ask_on(fds[good], last);
}

static void check_one_too_many(const struct server_options *options, const char *says)
{
    start_with(options);
    int fds[3];
    struct answer answer = ask_on_many(fds, 2, "GET /echo HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(answer.status, 503);
    assert_int_equal(last_refused, 503);
    assert_non_null(header_of(&answer, "Retry-After"));
    assert_string_equal(header_of(&answer, "Connection"), "close");
    assert_non_null(strstr(answer.body, says));
    done(&answer);
    assert_true(closes_within(fds[2], PATIENCE));
    close(fds[2]);

    fds[2] = dial(); // its body is not waited for
    answer = ask_on(fds[2], "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 50000\r\n\r\n");
    assert_int_equal(answer.status, 503);
    done(&answer);
    close(fds[2]);
    assert_int_equal(status_of("GET /open HTTP/1.1\r\n" HOST "\r\n"), 200);

    close(fds[0]); // once one has left there is a place again
    struct mono_time deadline = mono_after(PATIENCE);
    int status = 503;
    while (status == 503 && !mono_past(deadline))
        status = status_of("GET /echo HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(status, 200);
    close(fds[1]);
    server_stop(server);
}

static void test_one_too_many(void **state)
{
    (void)state;
    for (int model = SERVER_EVENTS; model <= SERVER_THREADS; model++) {
        struct server_options options = options_for((enum server_model)model);
        options.per_address_max = 2;
        check_one_too_many(&options, "from this address");
        options = options_for((enum server_model)model);
        options.connections_max = 2;
        check_one_too_many(&options, "Too many connections are open.");
    }
}

// --- deadlines ---

// Sends the text byte by byte, one every 20 ms, and starts over, until the server has had enough.
static void check_drip_is_cut(const char *first, const char *drip)
{
    int64_t start = mono_now().ms;
    int fd = dial();
    assert_true(say(fd, first));
    bool open = true;
    for (size_t i = 0; open && mono_now().ms - start < PATIENCE; i++) {
        open = say_bytes(fd, &drip[i % strlen(drip)], 1) && !closes_within(fd, 20);
    }
    assert_false(open);
    assert_in_range(mono_now().ms - start, REQUEST_MS - 50, REQUEST_MS + 3000);
    close(fd);
}

static void test_a_slow_drip_is_cut(void **state)
{
    (void)state;
    check_drip_is_cut("GET /ec", "h");
    check_drip_is_cut("GET /echo HTTP/1.1\r\n" HOST, "X-A: b\r\n");
    check_drip_is_cut("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 60000\r\n\r\n", "x");
}

static void await_refused(int count)
{
    struct mono_time deadline = mono_after(PATIENCE);
    while (atomic_load(&refused_count) < count && !mono_past(deadline))
        usleep(1000);
    assert_int_equal(atomic_load(&refused_count), count);
}

static void test_a_slow_request_is_told(void **state)
{
    (void)state;
    static const char *const halves[] = {
        "POST /echo HTTP/1.1\r\n" HOST "X-A: b",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 60000\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nab"};
    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) {
        int fd = dial();
        struct answer answer = ask_on(fd, halves[i]);
        assert_int_equal(answer.status, 408);
        assert_true(answer.whole);
        assert_non_null(strstr(answer.body, "\"too-slow\""));
        done(&answer);
        assert_true(closes_within(fd, PATIENCE));
        close(fd);
        await_refused((int)i + 1);
        assert_int_equal(last_refused, 408);
    }
}

// Those that libmicrohttpd answers by itself, once it is known what is asked for.
static void test_malformed_requests_are_told(void **state)
{
    (void)state;
    static const char *const malformed[] = {
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nno length\r\n",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: ten\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HOST "no colon\r\n\r\n",
    };
    int count = 0;
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        assert_int_equal(status_of(malformed[i]), 400);
        await_refused(++count);
        assert_int_equal(last_refused, 400);
    }
    for (size_t i = 0; i < 2; i++) { // who goes away is refused nothing
        int fd = dial();
        assert_true(say(fd, i ? "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nabc"
                              : "POST /echo HTTP/1.1\r\n" HOST));
        close(fd);
    }
    assert_int_equal(status_of("GET /echo HTTP/1.1\r\n" HOST "\r\n"), 200);
    await_refused(count);
}

static void test_idle_connections_are_closed(void **state)
{
    (void)state;
    int64_t start = mono_now().ms;
    int idle = dial();
    struct answer answer = ask_on(idle, "GET /echo HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(answer.status, 200);
    done(&answer);
    int silent = dial();
    assert_true(closes_within(silent, PATIENCE));
    assert_true(closes_within(idle, PATIENCE));
    assert_in_range(mono_now().ms - start, REQUEST_MS - 50, REQUEST_MS + 3000);
    close(silent);
    close(idle);
}

static void test_a_client_that_takes_nothing_is_cut(void **state)
{
    (void)state;
    struct server_options options = options_for(SERVER_THREADS);
    options.answer_ms = REQUEST_MS;
    start_with(&options);
    int fd = dial();
    assert_true(say(fd, "GET /endless HTTP/1.1\r\n" HOST "\r\n"));
    struct mono_time deadline = mono_after(PATIENCE);
    while (!atomic_load(&source.released) && !mono_past(deadline))
        usleep(10000);
    assert_int_equal(atomic_load(&source.released), 1);
    close(fd);
    server_stop(server);
}

// --- answering later ---

static void test_late_answers(void **state)
{
    (void)state;
    int fd = dial();
    for (int i = 0; i < 3; i++) {
        assert_true(say(fd, "POST /later HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nab"));
        sem_wait(&arrived);
        assert_int_equal(status_of("GET /echo HTTP/1.1\r\n" HOST "\r\n"), 200); // others go on
        answer_held(held);
        struct answer answer = hear(fd);
        assert_int_equal(answer.status, 202);
        assert_non_null(strstr(answer.body, "\"delivery\""));
        done(&answer);
    }
    struct answer answer = ask_on(fd, "GET /here HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(answer.status, 503);
    done(&answer);
    close(fd);
}

static void await_busy(bool busy)
{
    struct mono_time deadline = mono_after(PATIENCE);
    while ((server_busy_ms(server) > 0) != busy && !mono_past(deadline))
        usleep(1000);
    assert_int_equal(server_busy_ms(server) > 0, busy);
}

static void test_a_handler_that_hangs_is_seen(void **state)
{
    (void)state;
    int fd = dial();
    assert_int_equal(server_busy_ms(server), 0);
    assert_true(say(fd, "GET /slow HTTP/1.1\r\n" HOST "\r\n"));
    sem_wait(&arrived);
    await_busy(true);
    sem_post(&gate);
    struct answer answer = hear(fd);
    assert_int_equal(answer.status, 200);
    done(&answer);
    await_busy(false);
    close(fd);
}

static void test_the_client_leaves_before_the_answer(void **state)
{
    (void)state;
    int fd = dial();
    assert_true(say(fd, "POST /later HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n"));
    sem_wait(&arrived);
    close(fd);
    answer_held(held);
    assert_int_equal(status_of("GET /echo HTTP/1.1\r\n" HOST "\r\n"), 200);
}

static void test_stop_answers_what_is_suspended(void **state)
{
    (void)state;
    struct server_options options = options_for(SERVER_EVENTS);
    start_with(&options);
    int fd = dial();
    assert_true(say(fd, "POST /later HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n"));
    sem_wait(&arrived);
    server_stop(server);
    struct answer answer = hear(fd);
    assert_int_equal(answer.status, 503);
    assert_non_null(header_of(&answer, "Retry-After"));
    done(&answer);
    close(fd);
    answer_held(held); // too late, and harmless
}

// --- streams ---

static void test_stream(void **state)
{
    (void)state;
    int fd = dial();
    feed("first\n", 0);
    assert_true(say(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n"));
    char got[4096];
    struct buffer text = {0};
    while (!text.data || !strstr(text.data, "first\n")) { // comes before there is more
        ssize_t len = recv(fd, got, sizeof got, 0);
        assert_true(len > 0);
        assert_true(buffer_append(&text, got, (size_t)len, NULL));
    }
    assert_non_null(strstr(text.data, "chunked"));
    buffer_finish(&text);
    feed("last\n", SERVER_STREAM_END);
    struct answer rest = hear(fd); // no head this time
    assert_non_null(strstr(rest.text.data, "last\n"));
    assert_true(text_ends(rest.text.data, "0\r\n\r\n"));
    done(&rest);
    struct answer answer = ask_on(fd, "GET /echo HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(answer.status, 200);
    done(&answer);
    assert_int_equal(atomic_load(&source.released), 1);
    close(fd);
}

static void test_a_broken_stream_is_seen(void **state)
{
    (void)state;
    int fd = dial();
    feed("some\n", SERVER_STREAM_BROKEN);
    struct answer answer = ask_on(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(answer.status, 200);
    assert_false(answer.whole);
    assert_non_null(strstr(answer.text.data, "some\n"));
    done(&answer);
    close(fd);
    assert_int_equal(atomic_load(&source.released), 1);
}

static void test_a_stream_ends_when_its_client_leaves(void **state)
{
    (void)state;
    int fd = dial();
    assert_true(say(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n"));
    struct mono_time deadline = mono_after(PATIENCE);
    while (!atomic_load(&source.reads) && !mono_past(deadline))
        usleep(1000);
    close(fd);
    while (!atomic_load(&source.released) && !mono_past(deadline))
        usleep(1000);
    assert_int_equal(atomic_load(&source.released), 1);
}

static void test_head_of_a_stream(void **state)
{
    (void)state;
    int fd = dial();
    assert_true(say(fd, "HEAD /stream HTTP/1.1\r\n" HOST "\r\n"));
    struct answer answer = hear_to(fd, true);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.body_len, 0);
    done(&answer);
    answer = ask_on(fd, "GET /echo HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(answer.status, 200);
    done(&answer);
    close(fd);
    assert_int_equal(atomic_load(&source.released), 1);
    assert_int_equal(atomic_load(&source.reads), 0);
}

// --- drain ---

static void *drain_patiently(void *arg)
{
    *(bool *)arg = server_drain(server, PATIENCE);
    return NULL;
}

// Waits until the server refuses new work.
static void await_drain(void)
{
    struct mono_time deadline = mono_after(PATIENCE);
    int fd;
    while ((fd = dial()) >= 0 && !mono_past(deadline)) {
        close(fd);
        usleep(1000);
    }
    assert_int_equal(fd, -1);
}

static void test_drain(void **state)
{
    (void)state;
    int suspended = dial(), idle = dial(), active = dial();
    struct answer answer = ask_on(idle, "GET /echo HTTP/1.1\r\n" HOST "\r\n");
    assert_null(header_of(&answer, "Connection"));
    done(&answer);
    assert_true(say(suspended, "POST /later HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n"));
    sem_wait(&arrived);
    assert_true(say(active, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nab"));
    answer = ask_on(idle, "GET /echo HTTP/1.1\r\n" HOST "\r\n"); // after it `active` has begun
    done(&answer);

    bool drained = false;
    pthread_t drainer;
    assert_int_equal(pthread_create(&drainer, NULL, drain_patiently, &drained), 0);
    await_drain();
    // What had begun is served to its end, and told that the connection ends.
    assert_true(say(active, "cd"));
    answer = hear(active);
    assert_int_equal(answer.status, 200);
    assert_memory_equal(answer.body, "abcd", 4);
    assert_string_equal(header_of(&answer, "Connection"), "close");
    done(&answer);
    assert_true(closes_within(idle, PATIENCE));
    answer_held(held);
    answer = hear(suspended);
    assert_int_equal(answer.status, 202);
    assert_string_equal(header_of(&answer, "Connection"), "close");
    done(&answer);
    pthread_join(drainer, NULL);
    assert_true(drained);
    close(suspended);
    close(idle);
    close(active);
}

static void test_drain_refuses_new_work(void **state)
{
    (void)state;
    int fds[3];
    for (int i = 0; i < 3; i++) { // connections that have begun a request each
        fds[i] = dial();
        assert_true(say(fds[i], i == 2 ? "POST /echo HTTP/1.1\r\n" : "GET /echo HTTP/1.1\r\n"));
    }
    assert_int_equal(status_of("GET /echo HTTP/1.1\r\n" HOST "\r\n"), 200);
    bool drained = false;
    pthread_t drainer;
    assert_int_equal(pthread_create(&drainer, NULL, drain_patiently, &drained), 0);
    await_drain();
    assert_true(say(fds[0], HOST "\r\n"));
    struct answer answer = hear(fds[0]);
    assert_int_equal(answer.status, 503);
    assert_non_null(header_of(&answer, "Retry-After"));
    done(&answer);
    assert_true(say(fds[1], HOST "Content-Length: 50000\r\n\r\n")); // and its body never comes
    answer = hear(fds[1]);
    assert_int_equal(answer.status, 503);
    done(&answer);
    assert_true(say(fds[2], HOST "Content-Length: 2\r\n\r\nab")); // a route served while draining
    answer = hear(fds[2]);
    assert_int_equal(answer.status, 200);
    done(&answer);
    pthread_join(drainer, NULL);
    assert_true(drained);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
}

static void test_drain_ends_streams_but_waits_for_handlers(void **state)
{
    (void)state;
    int stream = dial(), slow = dial();
    feed("some\n", 0);
    assert_true(say(stream, "GET /stream HTTP/1.1\r\n" HOST "\r\n"));
    assert_true(say(slow, "GET /slow HTTP/1.1\r\n" HOST "\r\n"));
    sem_wait(&arrived);
    struct mono_time deadline = mono_after(PATIENCE);
    while (atomic_load(&source.reads) < 2 && !mono_past(deadline))
        usleep(1000);
    assert_false(server_drain(server, 100)); // the slow one still runs
    struct answer answer = hear(stream);
    assert_int_equal(answer.status, 200);
    assert_true(answer.whole);
    done(&answer);
    sem_post(&gate);
    assert_true(server_drain(server, PATIENCE));
    answer = hear(slow);
    assert_int_equal(answer.status, 200);
    done(&answer);
    close(stream);
    close(slow);
}

static atomic_bool enough;
static atomic_int answered_well, cut_short;

// One request after the other, on one connection or (even clients) on a new one each time.
static void *load(void *arg)
{
    bool anew = *(const int *)arg % 2 == 0;
    int fd = -1;
    while (!enough) {
        if (fd < 0 && (fd = dial()) < 0)
            break; // it listens no more
        bool sent = say(fd, "POST /elsewhere HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello");
        struct answer answer = sent ? hear(fd) : (struct answer){0};
        if (answer.status == 202)
            atomic_fetch_add(&answered_well, 1);
        else
            atomic_fetch_add(&cut_short, 1);
        bool closes = anew || answer.status != 202 || header_of(&answer, "Connection");
        done(&answer);
        if (closes) {
            close(fd);
            fd = -1;
        }
    }
    if (fd >= 0)
        close(fd);
    return NULL;
}

static void test_drain_under_load(void **state)
{
    (void)state;
    enum { CLIENTS = 8 };
    for (int round = 0; round < 5; round++) {
        struct server_options options = options_for(SERVER_EVENTS);
        start_with(&options);
        answered_well = cut_short = 0;
        enough = false;
        pthread_t threads[CLIENTS];
        int numbers[CLIENTS];
        for (int i = 0; i < CLIENTS; i++) {
            numbers[i] = i;
            assert_int_equal(pthread_create(&threads[i], NULL, load, &numbers[i]), 0);
        }
        struct mono_time deadline = mono_after(PATIENCE);
        while (answered_well < 300 && !mono_past(deadline))
            usleep(1000);
        assert_true(server_drain(server, PATIENCE));
        server_stop(server);
        enough = true;
        for (int i = 0; i < CLIENTS; i++)
            pthread_join(threads[i], NULL);
        assert_true(answered_well >= 300);
        assert_in_range(cut_short, 0, CLIENTS);
        print_message("round %d: %d answered, %d cut\n", round, answered_well, cut_short);
    }
}

// --- listening ---

static void test_the_address_is_taken(void **state)
{
    (void)state;
    struct server_options options = options_for(SERVER_EVENTS);
    options.port = port;
    struct server *other;
    struct error err;
    assert_false(server_start(&options, &other, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    char number[8];
    snprintf(number, sizeof number, "%u", port);
    assert_non_null(strstr(err.text, number));
    options.host = "no-such-host.invalid";
    assert_false(server_start(&options, &other, &err));
    assert_int_equal(err.code, ERR_INVALID);
    options.fd = dial(); // a socket, but one that does not listen
    assert_false(server_start(&options, &other, &err));
    assert_int_equal(err.code, ERR_INVALID);
    close(options.fd);
}

static int dial_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {PATIENCE / 1000, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static void test_unix_sockets(void **state)
{
    (void)state;
    char directory[] = "/tmp/cronwright-server-XXXXXX", path[64], shown[80];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/socket", directory);
    snprintf(shown, sizeof shown, "unix:%s", path);
    struct sockaddr_un stale = {.sun_family = AF_UNIX};
    snprintf(stale.sun_path, sizeof stale.sun_path, "%s", path);
    int old = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(old, (struct sockaddr *)&stale, sizeof stale), 0);
    close(old); // leaves its file behind

    struct server_options options = options_for(SERVER_THREADS);
    options.unix_path = path;
    start_with(&options);
    assert_string_equal(server_address(server), shown);
    struct server *other;
    struct error err;
    assert_false(server_start(&options, &other, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    int fd = dial_unix(path);
    struct answer answer = ask_on(fd, "GET /echo HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(answer.status, 200);
    assert_string_equal(header_of(&answer, "X-Peer"), "unix");
    done(&answer);
    close(fd);
    assert_true(server_drain(server, PATIENCE));
    server_stop(server);
    assert_int_equal(access(path, F_OK), -1);
    assert_true(directory_remove(directory, NULL));
}

static void test_ipv6(void **state)
{
    (void)state;
    struct server_options options = options_for(SERVER_EVENTS);
    options.host = "::1";
    struct error err;
    if (!server_start(&options, &server, &err))
        skip(); // no IPv6 on this machine
    assert_true(text_starts(server_address(server), "[::1]:"));
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    address.sin6_port = htons((uint16_t)atoi(server_address(server) + strlen("[::1]:")));
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    struct answer answer = ask_on(fd, "GET /echo HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(answer.status, 200);
    assert_string_equal(header_of(&answer, "X-Peer"), "::1");
    done(&answer);
    close(fd);
    server_stop(server);
}

// With a socket from systemd a successor takes over without refusing anybody.
static void test_a_socket_that_is_handed_over(void **state)
{
    (void)state;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 16), 0);
    struct server_options options = options_for(SERVER_EVENTS);
    options.fd = dup(fd); // systemd keeps its own
    start_with(&options);
    assert_int_equal(status_of("GET /echo HTTP/1.1\r\n" HOST "\r\n"), 200);
    assert_true(server_drain(server, PATIENCE));
    int waiting = dial(); // nobody is there, and nobody is refused
    assert_true(waiting >= 0);
    assert_true(say(waiting, "GET /echo HTTP/1.1\r\n" HOST "\r\n"));
    server_stop(server);
    options.fd = dup(fd);
    start_with(&options);
    struct answer answer = hear(waiting);
    assert_int_equal(answer.status, 200);
    done(&answer);
    close(waiting);
    close(fd);
    server_stop(server);
}

#define TEST(name, start) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_routes, start_events),
        TEST(test_routes, start_threads),
        TEST(test_parameters_and_headers, start_events),
        TEST(test_malformed_requests, start_events),
        TEST(test_problems, start_events),
        TEST(test_odd_text_in_a_problem, start_events),
        TEST(test_head_has_no_body, start_events),
        TEST(test_admission, start_events),
        TEST(test_admission, start_threads),
        TEST(test_keep_alive_and_bodies, start_events),
        TEST(test_keep_alive_and_bodies, start_threads),
        TEST(test_too_large_by_its_length, start_events),
        TEST(test_too_large_by_its_length, start_threads),
        TEST(test_too_large_and_sent_at_once, start_events),
        TEST(test_too_large_and_sent_at_once, start_threads),
        TEST(test_too_large_without_a_length, start_events),
        TEST(test_too_large_without_a_length, start_threads),
        TEST(test_too_much_in_flight, start_events),
        cmocka_unit_test(test_one_too_many),
        TEST(test_a_slow_drip_is_cut, start_impatient),
        TEST(test_a_slow_request_is_told, start_impatient),
        TEST(test_malformed_requests_are_told, start_events),
        TEST(test_idle_connections_are_closed, start_impatient),
        cmocka_unit_test(test_a_client_that_takes_nothing_is_cut),
        TEST(test_late_answers, start_events),
        TEST(test_a_handler_that_hangs_is_seen, start_events),
        TEST(test_the_client_leaves_before_the_answer, start_events),
        cmocka_unit_test(test_stop_answers_what_is_suspended),
        TEST(test_stream, start_threads),
        TEST(test_a_broken_stream_is_seen, start_threads),
        TEST(test_a_stream_ends_when_its_client_leaves, start_threads),
        TEST(test_head_of_a_stream, start_threads),
        TEST(test_drain, start_events),
        TEST(test_drain_refuses_new_work, start_events),
        TEST(test_drain_ends_streams_but_waits_for_handlers, start_threads),
        cmocka_unit_test(test_drain_under_load),
        TEST(test_the_address_is_taken, start_events),
        cmocka_unit_test(test_unix_sockets),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_a_socket_that_is_handed_over),
    };
    return cmocka_run_group_tests_name("server", tests, NULL, NULL);
}
