#include "agent/server.h"

#include "agent/base/buffer.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/printable.h"
#include "agent/base/text.h"
#include "agent/connections.h"
#include "agent/door.h"
#include "agent/listener.h"
#include "agent/metrics.h"
#include "agent/routes.h"

#include <arpa/inet.h>
#include <assert.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define QUERY_MAX           32
#define HEADERS_ADDED_MAX   12
#define DETAIL_MAX          1024
#define RETRY_AFTER_SECONDS "5"
#define THREAD_STACK        ((size_t)512 << 10) // for each connection of SERVER_THREADS
#define STREAM_BLOCK        ((size_t)16 << 10)
#define STREAM_WAIT_MS      250 // how soon a stream notices that its client went or that we drain
#define BACKLOG_TAKEN_MAX   4096
#define STOP_MS             500
#define DRAIN_IDLE_MS       500 // a request that is on its way when the drain begins may still arrive
#define DRAIN_NEW_MS        3000 // who has just connected is about to ask
#define EXCESS_MAX          64   // connections beyond the most, open to be told so
#define EXCESS_MS           5000 // so long may their request take
#define TLS_PRIORITIES      "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2" // in GnuTLS's words

enum request_state {
    REQUEST_OPEN,      // MHD's thread has it; no answer yet
    REQUEST_SUSPENDED, // somebody else will answer
    REQUEST_ANSWERED,
    REQUEST_ABANDONED, // suspended and then answered by the server that stops: drop the late answer
};

struct server {
    struct server_options options; // its texts are not kept
    struct MHD_Daemon *mhd;
    struct listener listener;
    struct connections *connections;
    struct door *door;
    atomic_bool draining;
    atomic_size_t in_flight;         // bytes of bodies
    atomic_int_least64_t busy_since; // of SERVER_EVENTS' thread, monotonic ms; 0: not
    bool quiesced;
    bool tls;

    pthread_mutex_t lock; // guards what follows; taken before a request's lock
    struct server_request *suspended;
    bool stopping;
};

struct peer {
    struct connection connection;
    struct visitor visitor;
    bool linger; // when closed: the client may still be sending
    char address[INET6_ADDRSTRLEN];
};

// Owned by MHD's connection until it completes; while suspended also by whoever is to answer.
struct server_request {
    atomic_int owners;
    struct server *server;
    struct MHD_Connection *mhd;
    struct peer *peer;
    const char *method;
    char *target; // as sent; the query is cut off when the headers are in
    struct route_match match;
    char *params[ROUTE_PARAMS_MAX]; // decoded
    bool begun;                     // the headers are in
    bool has_body;                  //
    bool cut_off;                   // answered around MHD
    struct buffer body;
    size_t charged; // of the body, in server->in_flight
    struct {
        char *name, *value;
    } added[HEADERS_ADDED_MAX];
    size_t added_count;
    void *kept;
    void (*release_kept)(void *value);

    pthread_mutex_t lock; // guards what follows
    enum request_state state;
    int status;
    struct MHD_Response *answer;
    struct server_request *next, *previous; // server->suspended, under the server's lock
    bool linked;
};

// --- the life of a request ---

static bool is_excess(const struct peer *peer)
{
    return peer->visitor.verdict != DOOR_OPEN;
}

static struct mono_time request_deadline(const struct server *server, const struct peer *peer)
{
    int64_t most = server->options.request_ms;
    return mono_after(is_excess(peer) && most > EXCESS_MS ? EXCESS_MS : most);
}

// For MHD's logger: the first that is known of a request is its target.
static void *make_request(void *cls, const char *target, struct MHD_Connection *mhd)
{
    struct server *server = cls;
    struct server_request *req = xalloc(sizeof *req);
    req->owners = 1;
    req->server = server;
    req->mhd = mhd;
    req->target = xstrdup(target);
    req->body.cap = server->options.body_max;
    pthread_mutex_init(&req->lock, NULL);
    req->peer = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    connection_set(server->connections, &req->peer->connection, CONNECTION_RECEIVING,
                   request_deadline(server, req->peer));
    return req;
}

static void release_request(struct server_request *req)
{
    if (atomic_fetch_sub(&req->owners, 1) > 1)
        return;
    if (req->answer)
        MHD_destroy_response(req->answer);
    for (size_t i = 0; i < req->match.param_count; i++)
        free(req->params[i]);
    for (size_t i = 0; i < req->added_count; i++) {
        free(req->added[i].name);
        free(req->added[i].value);
    }
    if (req->kept)
        req->release_kept(req->kept);
    buffer_finish(&req->body);
    free(req->target);
    pthread_mutex_destroy(&req->lock);
    free(req);
}

static void unlink_suspended(struct server *server, struct server_request *req)
{
    pthread_mutex_lock(&server->lock);
    if (req->linked) {
        if (req->previous)
            req->previous->next = req->next;
        else
            server->suspended = req->next;
        if (req->next)
            req->next->previous = req->previous;
        req->linked = false;
    }
    pthread_mutex_unlock(&server->lock);
}

static const char STOPPING[] = "The server stops.";
static const char TOO_SLOW[] = "The request did not arrive in time.";

// Of a request without an answer of ours: it was too slow, or libmicrohttpd has refused it. Clients
// that just went away are not told of.
static void report_unanswered(struct server_request *req)
{
    const struct server_options *options = &req->server->options;
    if (req->answer || req->cut_off || !options->refused)
        return;
    req->target[strcspn(req->target, "?")] = '\0';
    const union MHD_ConnectionInfo *own =
        MHD_get_connection_info(req->mhd, MHD_CONNECTION_INFO_HTTP_STATUS);
    if (own)
        options->refused(req, (int)own->http_status,
                         "The request is malformed, or its head too large.", options->user);
    else if (req->peer->connection.late && req->server->draining)
        options->refused(req, 503, STOPPING, options->user);
    else if (req->peer->connection.late)
        options->refused(req, 408, TOO_SLOW, options->user);
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **context,
                         enum MHD_RequestTerminationCode code)
{
    (void)mhd;
    (void)code;
    struct server *server = cls;
    struct server_request *req = *context;
    *context = NULL;
    if (!req)
        return;
    unlink_suspended(server, req);
    report_unanswered(req);
    atomic_fetch_sub(&server->in_flight, req->charged);
    connection_set(server->connections, &req->peer->connection, CONNECTION_IDLE,
                   mono_after(server->options.idle_ms));
    release_request(req);
}

// --- what a request says ---

const char *server_path(const struct server_request *req)
{
    return req->target;
}

const struct server_route *server_route(const struct server_request *req)
{
    return req->match.route;
}

const char *server_param(const struct server_request *req, const char *name)
{
    for (size_t i = 0; i < req->match.param_count; i++) {
        const struct route_param *param = &req->match.params[i];
        if (strlen(name) == param->name_len && memcmp(name, param->name, param->name_len) == 0)
            return req->params[i];
    }
    abort(); // the route has no such parameter
}

const char *server_query(const struct server_request *req, const char *name)
{
    const char *value = NULL;
    if (MHD_lookup_connection_value_n(req->mhd, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value,
                                      NULL) == MHD_NO)
        return NULL;
    return value ? value : "";
}

const char *server_header(const struct server_request *req, const char *name)
{
    return MHD_lookup_connection_value(req->mhd, MHD_HEADER_KIND, name);
}

struct header_visit {
    void (*each)(void *user, const char *name, const char *value);
    void *user;
};

static enum MHD_Result visit_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    (void)kind;
    const struct header_visit *visit = cls;
    visit->each(visit->user, name, value ? value : "");
    return MHD_YES;
}

void server_headers(const struct server_request *req,
                    void (*each)(void *user, const char *name, const char *value), void *user)
{
    struct header_visit visit = {each, user};
    MHD_get_connection_values(req->mhd, MHD_HEADER_KIND, visit_header, &visit);
}

struct header_count {
    const char *name;
    unsigned count;
};

static void count_header(void *user, const char *name, const char *value)
{
    (void)value;
    struct header_count *wanted = user;
    wanted->count += strcasecmp(name, wanted->name) == 0;
}

unsigned server_header_count(const struct server_request *req, const char *name)
{
    struct header_count wanted = {name, 0};
    server_headers(req, count_header, &wanted);
    return wanted.count;
}

const char *server_body(const struct server_request *req, size_t *len)
{
    *len = req->body.len;
    return buffer_text(&req->body);
}

const char *server_peer(const struct server_request *req)
{
    return req->peer->address;
}

void server_keep(struct server_request *req, void *value, void (*release)(void *value))
{
    req->kept = value;
    req->release_kept = release;
}

void *server_kept(const struct server_request *req)
{
    return req->kept;
}

const uint8_t *server_peer_key(const struct server_request *req)
{
    return req->peer->visitor.key;
}

// --- answers ---

void server_add_header(struct server_request *req, const char *name, const char *value)
{
    if (req->added_count == HEADERS_ADDED_MAX)
        abort();
    req->added[req->added_count].name = xstrdup(name);
    req->added[req->added_count++].value = xstrdup(value);
}

// Takes `answer` over. From any thread when the request is suspended, which it then is no more: it
// may be gone when this returns.
static void give_answer(struct server_request *req, int status, struct MHD_Response *answer)
{
    if (!answer)
        abort();                                  // out of memory
    for (size_t i = 0; i < req->added_count; i++) // MHD itself refuses control characters
        MHD_add_response_header(answer, req->added[i].name, req->added[i].value);

    pthread_mutex_lock(&req->lock);
    bool elsewhere = req->state == REQUEST_SUSPENDED || req->state == REQUEST_ABANDONED;
    if (req->state == REQUEST_ABANDONED) {
        MHD_destroy_response(answer);
    } else {
        assert(req->state != REQUEST_ANSWERED);
        req->answer = answer;
        req->status = status;
        metric_count_status(METRIC_HTTP_REQUESTS, req->server->options.name, status);
        if (req->state == REQUEST_SUSPENDED)
            MHD_resume_connection(req->mhd);
        req->state = REQUEST_ANSWERED;
    }
    pthread_mutex_unlock(&req->lock);
    if (elsewhere)
        release_request(req);
}

static struct MHD_Response *make_answer(const char *content_type, size_t len, void *bytes,
                                        enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *answer = MHD_create_response_from_buffer(len, bytes, mode);
    if (answer && content_type)
        MHD_add_response_header(answer, "Content-Type", content_type);
    return answer;
}

static char nothing[1];

void server_answer_bytes(struct server_request *req, int status, const char *content_type,
                         const void *bytes, size_t len)
{
    void *copied = len ? (void *)(uintptr_t)bytes : nothing; // MHD copies, but asks for no const
    give_answer(req, status,
                make_answer(len ? content_type : NULL, len, copied, MHD_RESPMEM_MUST_COPY));
}

static struct MHD_Response *make_json(const char *content_type, json_t *body)
{
    char *text = json_write(body);
    return make_answer(content_type, strlen(text), text, MHD_RESPMEM_MUST_FREE);
}

void server_answer_json(struct server_request *req, int status, json_t *body)
{
    if (!body) {
        server_refuse(req, 500, "internal", "the answer could not be made");
        return;
    }
    give_answer(req, status, make_json("application/json", body));
    json_decref(body);
}

// It may quote what a client sent, or be cut in the middle of a character.
static json_t *printable_or_nothing(const char *text)
{
    if (!text)
        return NULL;
    char clean[DETAIL_MAX];
    printable_copy(clean, sizeof clean, text, strlen(text));
    return json_string(clean);
}

static json_t *problem_json(const struct server_problem *problem)
{
    const char *title =
        problem->title ? problem->title : MHD_get_reason_phrase_for((unsigned)problem->status);
    json_t *json =
        json_pack("{s:s, s:s, s:i, s:o*, s:o*}", "type", "about:blank", "title", title, "status",
                  problem->status, "detail", printable_or_nothing(problem->detail), "reason",
                  printable_or_nothing(problem->reason));
    if (problem->members)
        json_object_update(json, problem->members);
    json_decref(problem->members);
    return json;
}

#define PROBLEM_TYPE "application/problem+json"

void server_answer_problem(struct server_request *req, const struct server_problem *problem)
{
    CLEANUP(json_ptr) json_t *json = problem_json(problem);
    give_answer(req, problem->status, make_json(PROBLEM_TYPE, json));
}

void server_refuse(struct server_request *req, int status, const char *reason, const char *fmt, ...)
{
    char detail[DETAIL_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    server_answer_problem(
        req, &(struct server_problem){.status = status, .detail = detail, .reason = reason});
}

void server_answer_error(struct server_request *req, const struct error *err)
{
    server_refuse(req, error_http_status(err->code), error_word(err->code), "%s", err->text);
}

// What the server itself turns down.
static void refuse(struct server_request *req, int status, const char *reason, const char *detail)
{
    const struct server_options *options = &req->server->options;
    if (status == 503)
        server_add_header(req, "Retry-After", RETRY_AFTER_SECONDS);
    if (options->refused)
        options->refused(req, status, detail, options->user);
    server_refuse(req, status, reason, "%s", detail);
}

// --- streams ---

struct stream {
    struct server *server;
    struct connection *connection;
    server_stream_read read;
    void *user;
    void (*release)(void *user);
};

static bool client_gone(int fd)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLRDHUP};
    return poll(&pollfd, 1, 0) > 0 && (pollfd.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static ssize_t read_until_something(struct stream *stream, char *out, size_t room)
{
    ssize_t got = 0;
    while (got == 0) {
        if (client_gone(stream->connection->fd))
            return MHD_CONTENT_READER_END_WITH_ERROR;
        bool draining = stream->server->draining;
        got = stream->read(stream->user, out, room, draining ? 0 : STREAM_WAIT_MS);
        if (got == 0 && draining)
            return MHD_CONTENT_READER_END_OF_STREAM;
    }
    if (got > 0)
        return got;
    return got == SERVER_STREAM_END ? MHD_CONTENT_READER_END_OF_STREAM
                                    : MHD_CONTENT_READER_END_WITH_ERROR;
}

// Waiting for the source has no deadline, the client's taking of each piece has one.
static ssize_t read_stream(void *cls, uint64_t position, char *out, size_t room)
{
    (void)position;
    struct stream *stream = cls;
    struct server *server = stream->server;
    connection_set(server->connections, stream->connection, CONNECTION_ANSWERING,
                   (struct mono_time){INT64_MAX});
    ssize_t got = read_until_something(stream, out, room);
    connection_set(server->connections, stream->connection, CONNECTION_ANSWERING,
                   mono_after(server->options.answer_ms));
    return got;
}

static void release_stream(void *cls)
{
    struct stream *stream = cls;
    if (stream->release)
        stream->release(stream->user);
    free(stream);
}

// A stream may say nothing for hours: the kernel finds out whether the peer is still there.
static void keep_alive(int fd)
{
    static const struct {
        int level, name, value;
    } flags[] = {{SOL_SOCKET, SO_KEEPALIVE, 1},
                 {IPPROTO_TCP, TCP_KEEPIDLE, 30},
                 {IPPROTO_TCP, TCP_KEEPINTVL, 10},
                 {IPPROTO_TCP, TCP_KEEPCNT, 3}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        (void)setsockopt(fd, flags[i].level, flags[i].name, &flags[i].value, sizeof(int));
}

void server_answer_stream(struct server_request *req, const char *content_type,
                          server_stream_read read, void *user, void (*release)(void *user))
{
    assert(req->server->options.model == SERVER_THREADS);
    if (strcmp(req->method, "HEAD") == 0) { // MHD 0.9.75 would send the end of a chunked body
        if (release)
            release(user);
        give_answer(req, 200, make_answer(content_type, 0, nothing, MHD_RESPMEM_PERSISTENT));
        return;
    }
    struct stream *stream = xalloc(sizeof *stream);
    *stream = (struct stream){req->server, &req->peer->connection, read, user, release};
    keep_alive(stream->connection->fd);
    struct MHD_Response *answer = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, STREAM_BLOCK, read_stream, stream, release_stream);
    if (answer)
        MHD_add_response_header(answer, "Content-Type", content_type);
    give_answer(req, 200, answer);
}

void server_answer_file(struct server_request *req, const char *content_type, int fd, uint64_t len)
{
    struct MHD_Response *answer = MHD_create_response_from_fd64(len, fd); // owns fd
    if (answer)
        MHD_add_response_header(answer, "Content-Type", content_type);
    give_answer(req, 200, answer);
}

// --- suspending ---

static struct MHD_Response *make_stopping_answer(void)
{
    CLEANUP(json_ptr)
    json_t *json = problem_json(
        &(struct server_problem){.status = 503, .reason = "stopping", .detail = STOPPING});
    struct MHD_Response *answer = make_json(PROBLEM_TYPE, json);
    if (!answer)
        abort();
    MHD_add_response_header(answer, "Retry-After", RETRY_AFTER_SECONDS);
    return answer;
}

// Under the locks of the server and of the request.
static void abandon(struct server_request *req)
{
    req->answer = make_stopping_answer();
    req->status = 503;
    req->state = REQUEST_ABANDONED;
}

void server_suspend(struct server_request *req)
{
    struct server *server = req->server;
    assert(server->options.model == SERVER_EVENTS);
    pthread_mutex_lock(&server->lock);
    pthread_mutex_lock(&req->lock);
    assert(req->state == REQUEST_OPEN);
    atomic_fetch_add(&req->owners, 1);
    if (server->stopping) {
        abandon(req);
    } else {
        req->state = REQUEST_SUSPENDED;
        req->linked = true;
        req->next = server->suspended;
        if (req->next)
            req->next->previous = req;
        server->suspended = req;
        MHD_suspend_connection(req->mhd);
    }
    pthread_mutex_unlock(&req->lock);
    pthread_mutex_unlock(&server->lock);
}

// Whether there were any.
static bool abandon_all(struct server *server)
{
    bool any = false;
    pthread_mutex_lock(&server->lock);
    server->stopping = true;
    for (struct server_request *req = server->suspended; req; req = req->next) {
        pthread_mutex_lock(&req->lock);
        if (req->state == REQUEST_SUSPENDED) {
            abandon(req);
            MHD_resume_connection(req->mhd);
            any = true;
        }
        pthread_mutex_unlock(&req->lock);
    }
    pthread_mutex_unlock(&server->lock);
    return any;
}

// --- checks when the headers are in ---

static void answer_unrouted(struct server_request *req)
{
    if (!*req->match.allow) {
        refuse(req, 404, "not-found", "There is nothing at this path.");
        return;
    }
    server_add_header(req, "Allow", req->match.allow);
    if (strcmp(req->method, "OPTIONS") == 0)
        server_answer_bytes(req, 204, NULL, NULL, 0);
    else
        refuse(req, 405, "method-not-allowed", "This path does not take this method.");
}

static bool decode_params(struct server_request *req)
{
    for (size_t i = 0; i < req->match.param_count; i++) {
        const struct route_param *param = &req->match.params[i];
        req->params[i] = xstrndup(param->value, param->value_len);
        size_t len = MHD_http_unescape(req->params[i]);
        if (len != strlen(req->params[i]) || !text_is_utf8(req->params[i], len))
            return false;
    }
    return true;
}

struct query_check {
    const char *names[QUERY_MAX];
    size_t count;
    bool bad;
};

static enum MHD_Result check_query(void *cls, enum MHD_ValueKind kind, const char *name,
                                   size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    struct query_check *check = cls;
    check->bad = check->bad || check->count == QUERY_MAX || strlen(name) != name_len ||
                 (value && (strlen(value) != value_len || !text_is_utf8(value, value_len)));
    for (size_t i = 0; i < check->count && !check->bad; i++)
        check->bad = strcmp(check->names[i], name) == 0;
    if (!check->bad)
        check->names[check->count++] = name;
    return check->bad ? MHD_NO : MHD_YES;
}

struct head_check {
    unsigned lengths, encodings;
    bool bad;
};

static enum MHD_Result check_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                    size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    struct head_check *check = cls;
    check->bad = check->bad || strlen(name) != name_len || (value && strlen(value) != value_len);
    check->lengths += strcasecmp(name, "Content-Length") == 0;
    check->encodings += strcasecmp(name, "Transfer-Encoding") == 0;
    return MHD_YES;
}

// What is ambiguous is refused: a proxy before us may have understood it otherwise.
static bool check_head(struct server_request *req)
{
    struct head_check head = {0};
    MHD_get_connection_values_n(req->mhd, MHD_HEADER_KIND, check_header, &head);
    req->has_body = head.lengths || head.encodings;
    if (head.bad || head.lengths + head.encodings > 1) {
        refuse(req, 400, "invalid", "The headers are malformed.");
        return false;
    }
    struct query_check query = {0};
    MHD_get_connection_values_n(req->mhd, MHD_GET_ARGUMENT_KIND, check_query, &query);
    if (query.bad || !decode_params(req)) {
        refuse(req, 400, "invalid",
               "The path or the query is malformed, or a parameter is repeated.");
        return false;
    }
    return true;
}

static const char TOO_LARGE[] = "The body is larger than is taken here.";
static const char TOO_BUSY[] = "Too much is being received at once.";
static const char NO_MEMORY[] = "There is no memory for the body now.";

static bool check_length(struct server_request *req)
{
    const char *header = server_header(req, "Content-Length");
    int64_t length = 0;
    if (!header)
        return true;
    size_t most = req->server->options.body_max;
    if (!text_to_int(header, 0, INT64_MAX, &length) || (uint64_t)length > most) {
        refuse(req, 413, "too-large", TOO_LARGE);
        return false;
    }
    if (req->server->in_flight + (size_t)length > req->server->options.in_flight_max) {
        refuse(req, 503, "busy", TOO_BUSY);
        return false;
    }
    return true;
}

// Who is one too many hears so, but is told how the server is.
static bool check_door(struct server_request *req)
{
    if (!is_excess(req->peer) || (req->match.route->flags & SERVER_OPEN))
        return true;
    refuse(req, 503, "busy",
           req->peer->visitor.verdict == DOOR_CROWDED
               ? "Too many connections from this address are open."
               : "Too many connections are open.");
    return false;
}

static bool check_admission(struct server_request *req)
{
    const struct server_options *options = &req->server->options;
    if (req->server->draining && !(req->match.route->flags & SERVER_WHILE_DRAINING)) {
        refuse(req, 503, "stopping", STOPPING);
        return false;
    }
    return (req->match.route->flags & SERVER_OPEN) || !options->admit ||
           options->admit(req, options->user);
}

// --- MHD's callbacks ---

// On MHD's thread, when there is an answer.
static enum MHD_Result queue_answer(struct server_request *req)
{
    pthread_mutex_lock(&req->lock);
    struct MHD_Response *answer = req->answer;
    int status = req->status;
    pthread_mutex_unlock(&req->lock);
    if (req->server->draining || is_excess(req->peer))
        MHD_add_response_header(answer, "Connection", "close");
    return MHD_queue_response(req->mhd, (unsigned)status, answer);
}

// The headers are in. Without a body to come, the answer waits for MHD's next call, or MHD would
// close the connection.
static enum MHD_Result begin_request(struct server_request *req, const char *method)
{
    req->begun = true;
    req->method = method;
    req->target[strcspn(req->target, "?")] = '\0';
    route_find(req->server->options.tables, req->target, method, &req->match);
    bool goes_on = check_head(req);
    if (goes_on && !req->match.route) {
        answer_unrouted(req);
        goes_on = false;
    }
    goes_on = goes_on && check_door(req) && check_length(req) && check_admission(req);
    if (goes_on || !req->has_body)
        return MHD_YES;
    req->peer->linger = true;
    return queue_answer(req);
}

// A whole answer around MHD, for where it takes none: nothing else is being sent on this
// connection, which is closed after it. With TLS only MHD can speak.
static bool send_last_word(const struct server *server, int fd, int status, const char *reason,
                           const char *detail)
{
    if (server->tls)
        return false;
    CLEANUP(json_ptr)
    json_t *json = problem_json(
        &(struct server_problem){.status = status, .reason = reason, .detail = detail});
    CLEANUP(free_ptr) char *body = json_write(json);
    CLEANUP(free_ptr)
    char *text =
        xasprintf("HTTP/1.1 %d %s\r\nContent-Type: " PROBLEM_TYPE "\r\nContent-Length: %zu\r\n"
                  "%sConnection: close\r\n\r\n%s",
                  status, MHD_get_reason_phrase_for((unsigned)status), strlen(body),
                  status == 503 ? "Retry-After: " RETRY_AFTER_SECONDS "\r\n" : "", body);
    return send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
}

// Between the headers and the body's end.
static enum MHD_Result cut_off(struct server_request *req, int status, const char *reason,
                               const char *detail)
{
    const struct server_options *options = &req->server->options;
    if (options->refused)
        options->refused(req, status, detail, options->user);
    req->cut_off = true;
    req->peer->linger =
        send_last_word(req->server, req->peer->connection.fd, status, reason, detail);
    return MHD_NO;
}

// On the connections' thread.
static void on_late(void *user, struct connection *connection)
{
    const struct server *server = user;
    if (server->draining)
        send_last_word(server, connection->fd, 503, "stopping", STOPPING);
    else
        send_last_word(server, connection->fd, 408, "too-slow", TOO_SLOW);
}

static enum MHD_Result take_body(struct server_request *req, const char *bytes, size_t *len)
{
    struct server *server = req->server;
    struct error err;
    if (!buffer_append(&req->body, bytes, *len, &err))
        return err.code == ERR_TOO_LARGE ? cut_off(req, 413, "too-large", TOO_LARGE)
                                         : cut_off(req, 503, "busy", NO_MEMORY);
    size_t grown = *len;
    *len = 0;
    req->charged += grown; // what is used of the room is what costs memory
    if (atomic_fetch_add(&server->in_flight, grown) + grown > server->options.in_flight_max)
        return cut_off(req, 503, "busy", TOO_BUSY);
    return MHD_YES;
}

static enum MHD_Result handle_request(struct server_request *req)
{
    const struct server_options *options = &req->server->options;
    connection_set(req->server->connections, &req->peer->connection, CONNECTION_ANSWERING,
                   mono_after(options->answer_ms));
    req->match.route->handle(req, options->user);

    pthread_mutex_lock(&req->lock);
    enum request_state state = req->state;
    bool suspended = req->linked; // and maybe answered meanwhile: then MHD calls again
    pthread_mutex_unlock(&req->lock);
    if (suspended)
        return MHD_YES;
    if (state == REQUEST_OPEN)
        server_refuse(req, 500, "internal", "The request was not answered.");
    return queue_answer(req);
}

static enum MHD_Result go_on(struct server_request *req, const char *method, const char *upload,
                             size_t *upload_len)
{
    if (!req->begun)
        return begin_request(req, method);
    if (*upload_len)
        return take_body(req, upload, upload_len);
    pthread_mutex_lock(&req->lock);
    bool answered = req->answer;
    pthread_mutex_unlock(&req->lock);
    return answered ? queue_answer(req) : handle_request(req);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_len, void **context)
{
    (void)mhd;
    (void)url; // decoded before it is split at slashes: of no use
    (void)version;
    struct server *server = cls;
    if (server->options.model == SERVER_EVENTS)
        server->busy_since = mono_now().ms;
    enum MHD_Result result = go_on(*context, method, upload, upload_len);
    server->busy_since = 0;
    return result;
}

int64_t server_busy_ms(const struct server *server)
{
    int64_t since = server->busy_since, now = mono_now().ms;
    return since && since < now ? now - since : 0;
}

static void format_peer(struct MHD_Connection *mhd, char out[static INET6_ADDRSTRLEN])
{
    const struct sockaddr *address =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
    snprintf(out, INET6_ADDRSTRLEN, "unix");
    if (address && address->sa_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)address;
        inet_ntop(AF_INET, &four->sin_addr, out, INET6_ADDRSTRLEN);
    } else if (address && address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)address;
        const uint8_t *bytes = six->sin6_addr.s6_addr;
        if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
            inet_ntop(AF_INET, bytes + 12, out, INET6_ADDRSTRLEN);
        else
            inet_ntop(AF_INET6, bytes, out, INET6_ADDRSTRLEN);
    }
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct server *server = cls;
    struct peer *peer = *context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = peer = xalloc(sizeof *peer);
        format_peer(mhd, peer->address);
        door_enter(server->door, &peer->visitor,
                   MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr);
        int fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        connection_opened(server->connections, &peer->connection, fd,
                          request_deadline(server, peer));
    } else {
        connection_closed(server->connections, &peer->connection, peer->linger);
        door_leave(server->door, &peer->visitor);
        free(peer);
    }
}

// What MHD has to say is mostly about clients that went away.
static void log_mhd(void *cls, const char *fmt, va_list args) PRINTF_LIKE(2, 0);
static void log_mhd(void *cls, const char *fmt, va_list args)
{
    (void)cls;
    char text[512];
    vsnprintf(text, sizeof text, fmt, args);
    text[strcspn(text, "\n")] = '\0';
    log_line(LOG_DEBUG, "libmicrohttpd", "text", text, NULL);
}

// --- start and stop ---

static bool start_mhd(struct server *server, struct error *err)
{
    const struct server_options *options = &server->options;
    static const unsigned models[] = {
        [SERVER_EVENTS] = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME,
        [SERVER_THREADS] =
            MHD_USE_POLL | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION,
    };
    unsigned flags = MHD_USE_ITC | MHD_USE_ERROR_LOG | (server->tls ? MHD_USE_TLS : 0);
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)options->certificate_pem},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)options->key_pem},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES},
        {MHD_OPTION_END, 0, NULL}};
    // Deadlines are ours: MHD's timeout is one of inactivity, which a slow drip evades.
    server->mhd = MHD_start_daemon(
        models[options->model] | flags, 0, NULL, NULL, on_request, server,
        MHD_OPTION_EXTERNAL_LOGGER, log_mhd, NULL, MHD_OPTION_LISTEN_SOCKET, server->listener.fd,
        MHD_OPTION_CONNECTION_LIMIT, options->connections_max + EXCESS_MAX,
        MHD_OPTION_THREAD_STACK_SIZE, THREAD_STACK, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_URI_LOG_CALLBACK, make_request, server, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, server, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_ARRAY,
        server->tls ? tls : tls + 3, MHD_OPTION_END);
    if (!server->mhd)
        return error_set(err, ERR_IO, "the HTTP server did not start%s",
                         server->tls ? ": is the key that of the certificate?" : "");
    return true;
}

bool server_start(const struct server_options *options, struct server **out, struct error *err)
{
    struct server *server = xalloc(sizeof *server);
    server->options = *options;
    server->tls = options->certificate_pem;
    pthread_mutex_init(&server->lock, NULL);
    server->listener.fd = -1;
    server->connections = connections_create(on_late, server);
    server->door = door_create(options->connections_max, options->per_address_max);
    if (!listener_open(options->fd, options->unix_path, options->host, options->port,
                       &server->listener, err) ||
        !start_mhd(server, err)) {
        server_stop(server);
        return error_wrap(err, "%s", options->name);
    }
    *out = server;
    return true;
}

const char *server_address(const struct server *server)
{
    return server->listener.address;
}

size_t server_connections(const struct server *server)
{
    return connections_count(server->connections);
}

// Clients whose connection waits in a socket that is about to be shut down would be reset.
static void take_backlog(struct server *server)
{
    for (int taken = 0; taken < BACKLOG_TAKEN_MAX; taken++) {
        struct sockaddr_storage address;
        socklen_t len = sizeof address;
        int fd = accept4(server->listener.fd, (struct sockaddr *)&address, &len,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        MHD_add_connection(server->mhd, fd, (struct sockaddr *)&address,
                           len); // closes if it cannot
    }
}

bool server_drain(struct server *server, int64_t timeout_ms)
{
    struct mono_time deadline = mono_after(timeout_ms);
    server->draining = true;
    if (!server->quiesced) {
        server->quiesced = true;
        MHD_quiesce_daemon(server->mhd);
        // (MHD's own thread may still touch the socket, so that its number must stay until the
        // end.)
        if (!server->listener.handed_over) {
            take_backlog(server);
            shutdown(server->listener.fd, SHUT_RDWR);
        }
    }
    connections_hurry(server->connections,
                      &(struct connections_hurry){.new_ms = DRAIN_NEW_MS,
                                                  .idle_ms = DRAIN_IDLE_MS,
                                                  .receiving = {deadline.ms - STOP_MS}});
    return connections_await_none(server->connections, deadline);
}

void server_stop(struct server *server)
{
    if (!server)
        return;
    server->draining = true;
    if (server->mhd) {
        if (abandon_all(server)) // they are told, if they listen
            connections_await_none(server->connections, mono_after(STOP_MS));
        MHD_stop_daemon(server->mhd);
        if (!server->quiesced)
            server->listener.fd = -1; // MHD closed it
    }
    connections_destroy(server->connections);
    door_destroy(server->door);
    listener_finish(&server->listener);
    pthread_mutex_destroy(&server->lock);
    free(server);
}
