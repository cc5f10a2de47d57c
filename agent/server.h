// An HTTP/1.1 server: route tables, caps, deadlines, JSON answers, drain. server.c is the only file
// that includes libmicrohttpd's header.
//
// A request goes: route found → admit() (headers only) → body collected → handler. A handler
// answers exactly once with one of the server_answer_…() functions: before it returns, or, after
// server_suspend(), later from any thread. A handler that does neither is answered for with a 500.
//
// The server itself answers, as application/problem+json: 404; 405 with Allow; OPTIONS with 204 and
// Allow; HEAD where there is a GET; 413 as soon as the body is known to be too large; 400 for an
// ambiguous or badly encoded request; 408 for one that is too slow; 503 with Retry-After while
// draining, when too much is in flight, and on a connection too many, where routes that are
// SERVER_OPEN are served all the same. What is no HTTP at all, or has headers beyond 32 KiB, gets
// libmicrohttpd's own 4xx pages.
#ifndef CRONWRIGHT_SERVER_H
#define CRONWRIGHT_SERVER_H

#include "agent/base/error.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct server;
struct server_request;

// --- routes ---

enum server_route_flags {
    SERVER_OPEN = 1 << 0,           // admit() is not asked: /healthz
    SERVER_WHILE_DRAINING = 1 << 1, // still served while the server drains
};

// Tables of routes are const data, each ended by a route without a path.
struct server_route {
    const char *method; // "GET" also serves HEAD
    const char *path;   // "/v1/services/{namespace}/{name}/runs"; {…} is one whole segment
    void (*handle)(struct server_request *req, void *user);
    unsigned flags;
};

// --- the request: valid until it is answered; texts belong to it ---

const char *server_path(const struct server_request *req); // as sent, without the query
const struct server_route *server_route(const struct server_request *req);
// The decoded segment of a {name}; never NULL nor empty for a name in the route's path.
const char *server_param(const struct server_request *req, const char *name);
// The decoded query parameter; "" when given without a value, NULL when absent. A parameter given
// twice was refused with 400.
const char *server_query(const struct server_request *req, const char *name);
// Names are compared without regard to letter case. NULL when absent; the first if repeated.
const char *server_header(const struct server_request *req, const char *name);
// How often the header was sent: refuse what must be unique when it is > 1.
unsigned server_header_count(const struct server_request *req, const char *name);
// All of them, in the order sent; the texts live as long as the request.
void server_headers(const struct server_request *req,
                    void (*each)(void *user, const char *name, const char *value), void *user);
// The body, NUL-terminated, never NULL. Within admit() there is none yet.
const char *server_body(const struct server_request *req, size_t *len);
// The peer's address without port, "unix" for a local socket.
const char *server_peer(const struct server_request *req);
// Keeps a value with the request, once, until its end: then `release` gets it.
void server_keep(struct server_request *req, void *value, void (*release)(void *value));
void *server_kept(const struct server_request *req); // NULL: nothing
// What it has in common with addresses that count as one with it: door_key().
const uint8_t *server_peer_key(const struct server_request *req);

// --- the answer ---

// Adds a header to the answer that follows. Values with control characters are left out.
void server_add_header(struct server_request *req, const char *name, const char *value);

// application/json. Takes `body` over (also when it is NULL, which is a 500).
void server_answer_json(struct server_request *req, int status, json_t *body);
// Copies the bytes; `len` 0 gives an empty answer.
void server_answer_bytes(struct server_request *req, int status, const char *content_type,
                         const void *bytes, size_t len);

// RFC 9457. "type" is "about:blank".
struct server_problem {
    int status;
    const char *title;  // NULL: the status's phrase
    const char *detail; // a sentence; NULL: none
    const char *reason; // a word for programs, "active-run"; NULL: none
    json_t *members;    // an object of further members ("errors", "run"); taken over; NULL: none
};
void server_answer_problem(struct server_request *req, const struct server_problem *problem);
// The same with a formatted detail and nothing else; `reason` may be NULL.
void server_refuse(struct server_request *req, int status, const char *reason, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
// The status by error_http_status(), the reason by error_word(), the detail by the text.
void server_answer_error(struct server_request *req, const struct error *err);

// A body that is made while it is sent, in chunks (SERVER_THREADS only).
//
// `read` writes at most `room` bytes and returns how many. It may block up to `wait_ms` and return
// 0 for "nothing yet": it is called again, unless the client went away, or the server drains, which
// then ends the body. SERVER_STREAM_END ends the body, SERVER_STREAM_BROKEN cuts the connection so
// that the client sees that something is missing. `release` is called once, when nothing will be
// read any more, even if nothing ever was. Both run on the connection's thread.
#define SERVER_STREAM_END    (-1)
#define SERVER_STREAM_BROKEN (-2)
typedef ssize_t (*server_stream_read)(void *user, char *out, size_t room, int64_t wait_ms);
void server_answer_stream(struct server_request *req, const char *content_type,
                          server_stream_read read, void *user, void (*release)(void *user));

// `len` bytes of a file from its beginning, sent as they are; takes `fd` over. The whole of it must
// be taken within answer_ms.
void server_answer_file(struct server_request *req, const char *content_type, int fd, uint64_t len);

// --- answering later (SERVER_EVENTS only) ---

// Within a handler: the answer will come from elsewhere. Call it before handing the request to
// whoever will answer; they must answer (if the server was stopped meanwhile it is harmless). The
// handler must not touch the request after handing it on.
void server_suspend(struct server_request *req);

// --- the server ---

enum server_model {
    SERVER_EVENTS,  // one epoll thread: handlers must not block
    SERVER_THREADS, // a thread per connection: handlers may block, answers may be streams
};

struct server_options {
    const char *name; // "webhooks": for error texts and thread names
    enum server_model model;
    // Where to listen: the first of these that is given.
    int fd;                // a listening socket from systemd; -1: none
    const char *unix_path; // a socket file, replaced if nobody listens there; NULL: none
    const char *host;      // name or number, IPv6 without brackets
    uint16_t port;         // 0: any free one

    const char *certificate_pem; // TLS of 1.2 or newer, with the key; NULL: plain HTTP
    const char *key_pem;         //

    const struct server_route *const *tables; // ended by NULL
    // Asked when the headers are in, before any byte of the body is kept, to check credentials:
    // returns false after having answered. NULL: all are admitted.
    bool (*admit)(struct server_request *req, void *user);
    // Told of each request that the server itself refuses (404, 405, 408, 413, 503, …), which may
    // be in the middle of its headers; NULL: nobody.
    void (*refused)(struct server_request *req, int status, const char *detail, void *user);
    void *user; // for admit, refused and handlers

    size_t body_max;          // bytes of one request's body; more is a 413
    size_t in_flight_max;     // bytes of all bodies held at once; more is a 503
    unsigned connections_max; // at once; some further ones get a 503, the rest wait in the backlog
    unsigned per_address_max; // of them from one address; further ones get a 503; 0: no cap
    int64_t request_ms; // from the connection or the request line to the last byte of a request
    int64_t answer_ms;  // from there until the answer is sent; for a stream: each piece of it
    int64_t idle_ms;    // between requests on one connection
};

// Binds, listens, starts its threads. Everything in `options` but the texts must outlive the
// server. ERR_INVALID for an address that cannot be understood; ERR_CONFLICT when it is taken;
// ERR_IO, also for a certificate or key that cannot be used.
bool server_start(const struct server_options *options, struct server **out,
                  struct error *err) MUST_CHECK;
// The address in use: "127.0.0.1:34567", "[::1]:34567" or "unix:/path".
const char *server_address(const struct server *server);
// How many connections are open. Any thread.
size_t server_connections(const struct server *server);

// SERVER_EVENTS: how long its thread has been at one step of a request, which it should never be;
// 0: it waits for the network. Any thread.
int64_t server_busy_ms(const struct server *server);

// Stops accepting, refuses new requests with 503 (but for SERVER_WHILE_DRAINING), says
// "Connection: close" on every answer, ends streams when they have nothing more to say, closes idle
// connections, answers requests that still have not arrived shortly before the end with 503, and
// waits until no connection is left: false when some were after `timeout_ms`. A
// listening socket from systemd stays open, so that what comes next waits for the successor.
bool server_drain(struct server *server, int64_t timeout_ms);
// Answers what is still suspended with 503, closes all connections, ends the threads, frees. A
// thread that answers a suspended request afterwards does no harm. NULL is fine. Handlers that are
// running are waited for.
void server_stop(struct server *server);

#endif
