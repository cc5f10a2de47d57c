// HTTP client over libcurl: http.c is the only file that includes its headers.
//
// Two ways: http_perform() blocks its calling thread up to a deadline; an http_loop runs many
// streams (watches, log followers) on one thread.
#ifndef CRONWRIGHT_BASE_HTTP_H
#define CRONWRIGHT_BASE_HTTP_H

#include "agent/base/buffer.h"
#include "agent/base/clock.h"

#define HTTP_HEADERS_MAX      32
#define HTTP_BODY_MAX_DEFAULT ((size_t)32 << 20)

// How to reach and trust a server, and who we are. Texts are borrowed while a request runs.
struct http_trust {
    const char *ca_file;        // PEM; NULL: the system's
    const char *ca_pem;         // PEM text; goes before ca_file
    const char *cert_pem;       // client certificate and key, PEM text; NULL: none
    const char *key_pem;        //
    const char *server_name;    // TLS name to expect instead of the URL's host; NULL: the URL's
    const char *proxy;          // proxy URL; NULL: none (the environment is not read)
    const char *proxy_username; // its login, HTTP basic auth; NULL: none
    const char *proxy_password; //
    const char *username;       // HTTP basic auth; NULL: none
    const char *password;       //
    bool insecure_skip_verify;  // only where a setting says so
};

struct http_request {
    const char *method; // "GET" when NULL
    const char *url;
    const char *headers[HTTP_HEADERS_MAX]; // "Name: value", ended by NULL
    const void *body;
    size_t body_len;
    int64_t timeout_ms;             // in all; 0: 10 s for http_perform(); for a stream: none
    int64_t idle_ms;                // streams: abort after that long without a byte; 0: none
    size_t max_body;                // bytes of answer; 0: HTTP_BODY_MAX_DEFAULT; not for streams
    const struct http_trust *trust; // NULL: system CAs, no client certificate
    const char *unix_socket;        // connect here instead of to the URL's host; NULL: no
};

struct http_response {
    int status;             // 100 … 599
    struct buffer body;     //
    struct buffer headers;  // raw header lines of the final answer, "Name: value\r\n" each
    int64_t retry_after_ms; // from Retry-After, at most a day; -1: absent, past or "0"
    struct wall_time date;  // from Date: the server's clock; unset when absent or malformed
};

// Sends and waits for the whole answer. Redirects are not followed. Any HTTP status is a success
// here; false means no answer: ERR_TIMEOUT, ERR_UNAVAILABLE (connect, DNS, reset), ERR_PROTOCOL
// (TLS, malformed), ERR_TOO_LARGE; ERR_INVALID for a request that cannot be made (URL with a user
// name in it or not of http(s), malformed header or certificate). Error texts name the host, never
// credentials nor query strings. HTTP/1.1 only. Any thread. Connections are reused by a shared
// pool.
bool http_perform(const struct http_request *request, struct http_response *response,
                  struct error *err) MUST_CHECK;
void http_response_finish(struct http_response *response);
// The process is about to end: every http_perform() ends soon, also those to come, with
// ERR_UNAVAILABLE. For good. Any thread.
void http_stop(void);
// Waits so long before the next request; false, with ERR_UNAVAILABLE, as soon as http_stop() was
// called. Any thread.
bool http_pause(int64_t ms, struct error *err) MUST_CHECK;

// The value of a header (case-insensitive, trimmed) copied into `out`; false when absent or longer.
bool http_header(const struct buffer *headers, const char *name, char *out, size_t room);

// Percent-encodes for a path segment or a query value; the caller frees.
char *http_escape(const char *text) __attribute__((returns_nonnull));

// --- streams on one thread ---
struct http_loop;
struct http_stream;

// Called on the loop's thread; they must not block.
struct http_stream_events {
    void (*head)(void *user, int status,
                 const struct buffer *headers);              // once, before data; or NULL
    bool (*data)(void *user, const void *bytes, size_t len); // false aborts the stream
    // Exactly once, last: ok, or why not (ERR_CANCELLED after http_stream_cancel()). After a
    // complete answer of any status `err` is NULL. The stream is gone when it returns.
    void (*done)(void *user, int status, const struct error *err);
};

// Starts the thread. TCP keep-alive is on (15 s idle, 5 s apart) so that half-open peers are found.
struct http_loop *http_loop_create(void);
// Cancels what runs (done is called with ERR_CANCELLED), ends the thread, frees. NULL is fine.
void http_loop_destroy(struct http_loop *loop);
// Any thread. Everything in `request` is copied. Whatever is wrong is told by done(), never here;
// once destroy began that is ERR_CANCELLED at once, so done() must not start anew on it.
struct http_stream *http_stream_start(struct http_loop *loop, const struct http_request *request,
                                      const struct http_stream_events *events, void *user);
// Any thread; asynchronous: done follows. Calling it for a stream whose done has run is a bug.
void http_stream_cancel(struct http_stream *stream);
// Runs `call(user)` on the loop's thread after `delay_ms` (0: soon); not called once destroy began.
void http_loop_after(struct http_loop *loop, int64_t delay_ms, void (*call)(void *), void *user);
// Drops those of `user` that have not run. On the loop's thread only: then none runs afterwards.
void http_loop_forget(struct http_loop *loop, const void *user);

// Once, in main, before threads. From then on the process ignores SIGPIPE: whoever writes to a pipe
// or to stdout meets EPIPE instead.
void http_setup(void);

#endif
