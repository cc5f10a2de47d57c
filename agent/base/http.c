#include "agent/base/http.h"
#include "agent/base/text.h"
#include "agent/base/threads.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define TIMEOUT_DEFAULT_MS 10000
#define CONNECT_TIMEOUT_MS 10000
#define HEAD_MAX           ((size_t)64 << 10)
#define RETRY_AFTER_MAX_MS ((int64_t)24 * 3600 * 1000)
#define IDLE_HANDLES_MAX   16
#define PEER_SIZE          300
#define LOOP_WAIT_MAX_MS   60000
#define KEEPALIVE_PROBES   3
#define STOPPED            "cronwright is being stopped"

// One request and its answer, whether it blocks its thread or runs in a loop.
struct transfer {
    CURL *easy;
    struct curl_slist *headers;
    struct curl_slist *connect_to;
    char peer[PEER_SIZE]; // the host, or socket, for error texts
    char message[CURL_ERROR_SIZE];
    struct buffer head; // header lines of the final answer
    bool head_ended;
    struct error stopped; // why a callback ended it; ERR_NONE: none did
    void (*on_head)(void *owner, int status);
    bool (*on_data)(void *owner, const void *bytes, size_t len, struct error *err);
    void *owner;
};

static void url_ptr(CURLU **url)
{
    curl_url_cleanup(*url);
}

static void slist_add(struct curl_slist **list, const char *text)
{
    struct curl_slist *longer = curl_slist_append(*list, text);
    if (!longer)
        abort();
    *list = longer;
}

// A part of a URL; the caller frees. NULL when it is absent.
static char *url_part(CURLU *url, CURLUPart part, unsigned flags)
{
    char *text = NULL;
    if (curl_url_get(url, part, &text, flags) != CURLUE_OK)
        return NULL;
    char *copy = xstrdup(text);
    curl_free(text);
    return copy;
}

// "host" or "host:port", as the URL has it; the caller frees.
static char *authority(CURLU *url)
{
    CLEANUP(free_ptr) char *host = url_part(url, CURLUPART_HOST, 0);
    CLEANUP(free_ptr) char *port = url_part(url, CURLUPART_PORT, 0);
    return port ? xasprintf("%s:%s", host, port) : xstrdup(host);
}

// --- callbacks of libcurl ---

static int transfer_status(const struct transfer *transfer)
{
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

static size_t receive_header(char *line, size_t size, size_t count, void *user)
{
    struct transfer *transfer = user;
    size_t len = size * count;
    if (transfer->head_ended) // a trailer: nobody asks for one
        return len;
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) { // also after an interim answer
        buffer_clear(&transfer->head);
        return len;
    }
    if (line[0] != '\r' && line[0] != '\n') {
        if (buffer_append(&transfer->head, line, len, &transfer->stopped))
            return len;
        error_wrap(&transfer->stopped, "headers");
        return 0;
    }
    int status = transfer_status(transfer);
    if (status >= 200) {
        transfer->head_ended = true;
        if (transfer->on_head)
            transfer->on_head(transfer->owner, status);
    }
    return len;
}

static size_t receive_body(char *bytes, size_t size, size_t count, void *user)
{
    struct transfer *transfer = user;
    size_t len = size * count;
    return transfer->on_data(transfer->owner, bytes, len, &transfer->stopped) ? len : 0;
}

// libcurl would leave its sockets open in children, and gives no say in the number of probes.
static curl_socket_t open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)user;
    (void)purpose;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    int probes = KEEPALIVE_PROBES;
    if (address->family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    return fd;
}

// --- setting up a request ---

// True when it fits; else reports the first failure of curl_easy_setopt().
#define SET(option, value)                                                                         \
    do {                                                                                           \
        CURLcode rc_ = curl_easy_setopt(easy, option, value);                                      \
        if (rc_ != CURLE_OK)                                                                       \
            return error_set(err, ERR_INTERNAL, #option ": %s", curl_easy_strerror(rc_));          \
    } while (0)

static bool set_always(CURL *easy, struct transfer *transfer, struct error *err)
{
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    // One connection each: a stalled one never holds up the other streams.
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_TCP_KEEPIDLE, 15L);
    SET(CURLOPT_TCP_KEEPINTVL, 5L);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_USERAGENT, "cronwright/" CRONWRIGHT_VERSION);
    SET(CURLOPT_PRIVATE, transfer);
    SET(CURLOPT_ERRORBUFFER, transfer->message);
    SET(CURLOPT_HEADERFUNCTION, receive_header);
    SET(CURLOPT_HEADERDATA, transfer);
    SET(CURLOPT_WRITEFUNCTION, receive_body);
    SET(CURLOPT_WRITEDATA, transfer);
    return true;
}

static bool set_blob(CURL *easy, CURLoption option, const char *pem, struct error *err)
{
    if (!pem)
        return true;
    // libcurl takes the bytes through a plain pointer, and only reads them.
    union {
        const char *in;
        void *out;
    } bytes = {.in = pem};
    struct curl_blob blob = {.data = bytes.out, .len = strlen(pem), .flags = CURL_BLOB_COPY};
    SET(option, &blob);
    return true;
}

static bool set_trust(CURL *easy, const struct http_trust *trust, struct error *err)
{
    SET(CURLOPT_CA_CACHE_TIMEOUT, 0L); // a file of authorities is read anew each time
    if (trust->ca_pem || trust->ca_file) {
        SET(CURLOPT_CAPATH, NULL); // these instead of the system's, not as well as
        if (!trust->ca_pem)
            SET(CURLOPT_CAINFO, trust->ca_file);
    }
    if (!set_blob(easy, CURLOPT_CAINFO_BLOB, trust->ca_pem, err) ||
        !set_blob(easy, CURLOPT_SSLCERT_BLOB, trust->cert_pem, err) ||
        !set_blob(easy, CURLOPT_SSLKEY_BLOB, trust->key_pem, err))
        return false;
    if (trust->insecure_skip_verify) {
        SET(CURLOPT_SSL_VERIFYPEER, 0L);
        SET(CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (trust->username || trust->password) {
        SET(CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        SET(CURLOPT_USERNAME, trust->username ? trust->username : "");
        SET(CURLOPT_PASSWORD, trust->password ? trust->password : "");
    }
    return true;
}

static bool set_proxy(CURL *easy, const struct http_trust *trust, struct error *err)
{
    SET(CURLOPT_PROXY, trust->proxy ? trust->proxy : ""); // "": not the environment's either
    if (trust->proxy && trust->proxy_username && trust->proxy_password) {
        SET(CURLOPT_PROXYAUTH, CURLAUTH_BASIC);
        SET(CURLOPT_PROXYUSERNAME, trust->proxy_username);
        SET(CURLOPT_PROXYPASSWORD, trust->proxy_password);
    }
    return true;
}

static bool set_body(CURL *easy, const struct http_request *request, struct error *err)
{
    const char *method = request->method ? request->method : "GET";
    if (strcmp(method, "HEAD") == 0) {
        SET(CURLOPT_NOBODY, 1L);
        return true;
    }
    bool get = strcmp(method, "GET") == 0 || strcmp(method, "DELETE") == 0;
    if (request->body || !get) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
        SET(CURLOPT_COPYPOSTFIELDS, request->body ? request->body : "");
    }
    SET(CURLOPT_CUSTOMREQUEST, method);
    return true;
}

static bool set_headers(struct transfer *transfer, const struct http_request *request,
                        struct error *err)
{
    CURL *easy = transfer->easy;
    bool typed = false;
    for (size_t i = 0; i < HTTP_HEADERS_MAX && request->headers[i]; i++) {
        const char *header = request->headers[i];
        if (!strchr(header, ':') || strpbrk(header, "\r\n"))
            return error_set(err, ERR_INVALID, "malformed request header");
        typed = typed || strncasecmp(header, "Content-Type:", 13) == 0;
        slist_add(&transfer->headers, header);
    }
    if (!typed)
        slist_add(&transfer->headers, "Content-Type:"); // else libcurl calls every body a form
    slist_add(&transfer->headers, "Expect:");           // a body is sent at once
    SET(CURLOPT_HTTPHEADER, transfer->headers);
    return true;
}

// The TLS name is the URL's host for libcurl, so the URL names the server's name, and the
// connection is led to the real host.
static bool set_server_name(struct transfer *transfer, CURLU *url, const char *name,
                            struct error *err)
{
    CURL *easy = transfer->easy;
    CLEANUP(free_ptr) char *host = url_part(url, CURLUPART_HOST, 0);
    CLEANUP(free_ptr) char *port = url_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    CLEANUP(free_ptr) char *way = xasprintf("::%s:%s", host, port);
    CLEANUP(free_ptr) char *real = authority(url);
    CLEANUP(free_ptr) char *named = xasprintf("Host: %s", real);
    if (curl_url_set(url, CURLUPART_HOST, name, 0) != CURLUE_OK)
        return error_set(err, ERR_INVALID, "malformed TLS server name");
    slist_add(&transfer->connect_to, way);
    slist_add(&transfer->headers, named);
    SET(CURLOPT_CONNECT_TO, transfer->connect_to);
    return true;
}

static bool parse_url(const char *text, CURLU *url, struct error *err)
{
    if (curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK)
        return error_set(err, ERR_INVALID, "malformed URL");
    CLEANUP(free_ptr) char *scheme = url_part(url, CURLUPART_SCHEME, 0);
    CLEANUP(free_ptr) char *user = url_part(url, CURLUPART_USER, 0);
    CLEANUP(free_ptr) char *password = url_part(url, CURLUPART_PASSWORD, 0);
    if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
        return error_set(err, ERR_INVALID, "URL with scheme \"%.16s\" instead of http", scheme);
    if (user || password)
        return error_set(err, ERR_INVALID, "URL with a user name or password in it");
    return true;
}

static void name_peer(struct transfer *transfer, CURLU *url, const char *unix_socket)
{
    CLEANUP(free_ptr) char *name = unix_socket ? xasprintf("unix:%s", unix_socket) : authority(url);
    text_copy(transfer->peer, sizeof transfer->peer, name);
}

// Everything in `request` is copied.
static bool set_request(struct transfer *transfer, const struct http_request *request, CURLU *url,
                        struct error *err)
{
    static const struct http_trust system_trust;
    const struct http_trust *trust = request->trust ? request->trust : &system_trust;
    CURL *easy = transfer->easy;
    if (!set_always(easy, transfer, err) || !set_trust(easy, trust, err) ||
        !set_proxy(easy, trust, err) || !set_body(easy, request, err))
        return false;
    if (trust->server_name && !set_server_name(transfer, url, trust->server_name, err))
        return false;
    if (!set_headers(transfer, request, err))
        return false;
    CLEANUP(free_ptr) char *text = url_part(url, CURLUPART_URL, 0);
    SET(CURLOPT_URL, text);
    SET(CURLOPT_UNIX_SOCKET_PATH, request->unix_socket);
    SET(CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    return true;
}

static void transfer_release(struct transfer *transfer)
{
    curl_slist_free_all(transfer->headers);
    curl_slist_free_all(transfer->connect_to);
    buffer_finish(&transfer->head);
}

// --- how it ended ---

static enum error_code code_of(CURLcode rc)
{
    switch (rc) {
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_TIMEOUT;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE: // closed in the middle of the body
    case CURLE_PROXY:
        return ERR_UNAVAILABLE;
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
        return ERR_INVALID;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
        return ERR_INTERNAL;
    default:
        return ERR_PROTOCOL;
    }
}

// Judges the end of a transfer; libcurl's messages name hosts and reasons, but no paths.
static bool transfer_judge(const struct transfer *transfer, CURLcode rc, int *status,
                           struct error *err)
{
    int answered = transfer_status(transfer);
    if (transfer->stopped.code != ERR_NONE)
        return error_set(err, transfer->stopped.code, "%s: %s", transfer->peer,
                         transfer->stopped.text);
    if (rc != CURLE_OK)
        return error_set(err, code_of(rc), "%s: %s", transfer->peer,
                         transfer->message[0] ? transfer->message : curl_easy_strerror(rc));
    if (answered < 200 || answered > 599)
        return error_set(err, ERR_PROTOCOL, "%s: answered with status %d", transfer->peer,
                         answered);
    if (!transfer->head_ended) // libcurl takes what came of it for an answer without a body
        return error_set(err, ERR_UNAVAILABLE, "%s: closed in the middle of the answer's head",
                         transfer->peer);
    *status = answered;
    return true;
}

// --- blocking requests: a pool of handles, each with its own open connections ---

// (libcurl's connection sharing is not safe between threads, so handles are lent out whole.)
static struct {
    pthread_mutex_t mutex; // guards all of this
    struct idle_handle {
        CURL *easy;
        char peer[PEER_SIZE]; // where it went last: it probably has a connection there
    } idle[IDLE_HANDLES_MAX]; // the last one was used last
    size_t count;
} pool = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static CURL *pool_take(const char *peer)
{
    CURL *easy = NULL;
    pthread_mutex_lock(&pool.mutex);
    for (size_t i = pool.count; i-- > 0 && !easy;)
        if (strcmp(pool.idle[i].peer, peer) == 0) {
            easy = pool.idle[i].easy;
            pool.count--;
            memmove(&pool.idle[i], &pool.idle[i + 1], (pool.count - i) * sizeof pool.idle[0]);
        }
    pthread_mutex_unlock(&pool.mutex);
    if (!easy)
        easy = curl_easy_init();
    if (!easy)
        abort();
    return easy;
}

static void pool_give(CURL *easy, const char *peer)
{
    curl_easy_reset(easy); // forgets the request, keeps the connections
    CURL *oldest = NULL;
    pthread_mutex_lock(&pool.mutex);
    if (pool.count == IDLE_HANDLES_MAX) {
        oldest = pool.idle[0].easy;
        pool.count--;
        memmove(&pool.idle[0], &pool.idle[1], pool.count * sizeof pool.idle[0]);
    }
    struct idle_handle *place = &pool.idle[pool.count++];
    place->easy = easy;
    text_copy(place->peer, sizeof place->peer, peer);
    pthread_mutex_unlock(&pool.mutex);
    curl_easy_cleanup(oldest);
}

static atomic_bool stopped; // http_stop()

// Of those who wait in http_pause(). Guards nothing.
static struct {
    pthread_once_t made;
    pthread_mutex_t mutex;
    pthread_cond_t stopped;
} pauses = {.made = PTHREAD_ONCE_INIT, .mutex = PTHREAD_MUTEX_INITIALIZER};

static void make_pauses(void)
{
    condition_init(&pauses.stopped);
}

// libcurl asks about once a second, however silent the server is.
static int go_on(void *user, curl_off_t down_all, curl_off_t down, curl_off_t up_all, curl_off_t up)
{
    (void)down_all, (void)down, (void)up_all, (void)up;
    struct transfer *transfer = user;
    return stopped && !error_set(&transfer->stopped, ERR_UNAVAILABLE, STOPPED);
}

static bool set_stoppable(struct transfer *transfer, struct error *err)
{
    CURL *easy = transfer->easy;
    SET(CURLOPT_XFERINFOFUNCTION, go_on);
    SET(CURLOPT_XFERINFODATA, transfer);
    SET(CURLOPT_NOPROGRESS, 0L);
    return true;
}

void http_stop(void)
{
    pthread_once(&pauses.made, make_pauses);
    pthread_mutex_lock(&pauses.mutex);
    stopped = true;
    pthread_cond_broadcast(&pauses.stopped);
    pthread_mutex_unlock(&pauses.mutex);
}

bool http_pause(int64_t ms, struct error *err)
{
    struct mono_time until = mono_after(ms);
    pthread_once(&pauses.made, make_pauses);
    pthread_mutex_lock(&pauses.mutex);
    while (!stopped && !mono_past(until))
        (void)condition_wait(&pauses.stopped, &pauses.mutex, until);
    pthread_mutex_unlock(&pauses.mutex);
    return !stopped || error_set(err, ERR_UNAVAILABLE, STOPPED);
}

static bool collect(void *owner, const void *bytes, size_t len, struct error *err)
{
    struct http_response *response = owner;
    return buffer_append(&response->body, bytes, len, err) || error_wrap(err, "body");
}

static int64_t retry_after(CURL *easy)
{
    curl_off_t seconds = 0;
    if (curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &seconds) != CURLE_OK || seconds <= 0)
        return -1;
    return seconds > RETRY_AFTER_MAX_MS / 1000 ? RETRY_AFTER_MAX_MS : seconds * 1000;
}

static struct wall_time date_of(const struct buffer *headers)
{
    char text[64];
    if (!http_header(headers, "Date", text, sizeof text))
        return (struct wall_time){0};
    time_t seconds = curl_getdate(text, NULL);
    return (struct wall_time){seconds > 0 ? (int64_t)seconds * 1000 : 0};
}

bool http_perform(const struct http_request *request, struct http_response *response,
                  struct error *err)
{
    CLEANUP(url_ptr) CURLU *url = curl_url();
    if (!parse_url(request->url, url, err))
        return false;
    struct http_response answer = {.body.cap = request->max_body ? request->max_body
                                                                 : HTTP_BODY_MAX_DEFAULT};
    struct transfer transfer = {
        .peer = "request", .head.cap = HEAD_MAX, .on_data = collect, .owner = &answer};
    struct http_request bounded = *request;
    if (bounded.timeout_ms <= 0)
        bounded.timeout_ms = TIMEOUT_DEFAULT_MS;
    name_peer(&transfer, url, request->unix_socket);
    transfer.easy = pool_take(transfer.peer);

    bool ok = set_request(&transfer, &bounded, url, err) && set_stoppable(&transfer, err) &&
              transfer_judge(&transfer, curl_easy_perform(transfer.easy), &answer.status, err);
    if (ok) {
        answer.retry_after_ms = retry_after(transfer.easy);
        answer.headers = transfer.head;
        answer.date = date_of(&answer.headers);
        transfer.head = (struct buffer){0};
        *response = answer;
    } else {
        http_response_finish(&answer);
    }
    pool_give(transfer.easy, transfer.peer);
    transfer_release(&transfer);
    return ok;
}

void http_response_finish(struct http_response *response)
{
    buffer_finish(&response->body);
    buffer_finish(&response->headers);
}

bool http_header(const struct buffer *headers, const char *name, char *out, size_t room)
{
    size_t name_len = strlen(name);
    for (const char *line = buffer_text(headers); *line;) {
        size_t len = strcspn(line, "\r\n");
        if (len > name_len && line[name_len] == ':' && strncasecmp(line, name, name_len) == 0) {
            const char *value = line + name_len + 1;
            const char *end = line + len;
            while (value < end && (*value == ' ' || *value == '\t'))
                value++;
            while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
                end--;
            if ((size_t)(end - value) >= room)
                return false;
            memcpy(out, value, (size_t)(end - value));
            out[end - value] = '\0';
            return true;
        }
        line += len;
        line += strspn(line, "\r\n");
    }
    return false;
}

char *http_escape(const char *text)
{
    char *escaped = curl_easy_escape(NULL, text, 0);
    if (!escaped)
        abort();
    char *copy = xstrdup(escaped);
    curl_free(escaped);
    return copy;
}

void http_setup(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        abort();
    signal(SIGPIPE, SIG_IGN); // TLS writes to sockets that the peer has closed
}

// --- streams ---

struct http_stream {
    struct transfer transfer;
    struct http_loop *loop;
    struct http_stream *next;
    struct http_stream_events events;
    void *user;
    int64_t idle_ms;
    struct mono_time idle_deadline; // moved by every byte that arrives
    atomic_bool cancelled;
};

struct timer {
    struct mono_time due;
    void (*call)(void *);
    void *user;
    struct timer *next;
};

struct http_loop {
    CURLM *multi;
    pthread_t thread;
    struct http_stream *running; // the loop's thread only
    pthread_mutex_t mutex;       // guards what follows; not held during callbacks
    struct http_stream *arrived; // newest first
    struct timer *timers;        // soonest first
    bool stopping;
};

static void stream_alive(struct http_stream *stream)
{
    if (stream->idle_ms > 0)
        stream->idle_deadline = mono_after(stream->idle_ms);
}

static void stream_head(void *owner, int status)
{
    struct http_stream *stream = owner;
    stream_alive(stream);
    if (stream->events.head)
        stream->events.head(stream->user, status, &stream->transfer.head);
}

static bool stream_data(void *owner, const void *bytes, size_t len, struct error *err)
{
    struct http_stream *stream = owner;
    stream_alive(stream);
    return stream->events.data(stream->user, bytes, len) ||
           error_set(err, ERR_CANCELLED, "stopped by its reader");
}

struct http_stream *http_stream_start(struct http_loop *loop, const struct http_request *request,
                                      const struct http_stream_events *events, void *user)
{
    struct http_stream *stream = xalloc(sizeof *stream);
    struct transfer *transfer = &stream->transfer;
    *transfer = (struct transfer){.easy = curl_easy_init(),
                                  .peer = "request",
                                  .head.cap = HEAD_MAX,
                                  .on_head = stream_head,
                                  .on_data = stream_data,
                                  .owner = stream};
    if (!transfer->easy)
        abort();
    stream->loop = loop;
    stream->events = *events;
    stream->user = user;
    stream->idle_ms = request->idle_ms;
    stream->idle_deadline.ms = INT64_MAX;
    // A request that cannot be made ends like any other: by done(), on the loop's thread.
    CLEANUP(url_ptr) CURLU *url = curl_url();
    if (parse_url(request->url, url, &transfer->stopped)) {
        name_peer(transfer, url, request->unix_socket);
        (void)set_request(transfer, request, url, &transfer->stopped);
    }
    pthread_mutex_lock(&loop->mutex);
    stream->next = loop->arrived;
    loop->arrived = stream;
    pthread_mutex_unlock(&loop->mutex);
    curl_multi_wakeup(loop->multi);
    return stream;
}

void http_stream_cancel(struct http_stream *stream)
{
    struct http_loop *loop = stream->loop;
    atomic_store(&stream->cancelled, true);
    curl_multi_wakeup(loop->multi);
}

// Tells done() and frees. The stream is in no list any more.
static void stream_end(struct http_stream *stream, CURLcode rc)
{
    int status = transfer_status(&stream->transfer);
    struct error err = {.code = ERR_NONE};
    bool ok = transfer_judge(&stream->transfer, rc, &status, &err);
    curl_multi_remove_handle(stream->loop->multi, stream->transfer.easy);
    stream->events.done(stream->user, status, ok ? NULL : &err);
    curl_easy_cleanup(stream->transfer.easy);
    transfer_release(&stream->transfer);
    free(stream);
}

static void loop_unlink(struct http_loop *loop, const struct http_stream *stream)
{
    for (struct http_stream **at = &loop->running; *at; at = &(*at)->next)
        if (*at == stream) {
            *at = stream->next;
            return;
        }
}

// Adds what was started since the last turn. True while the loop goes on.
static bool loop_admit(struct http_loop *loop)
{
    pthread_mutex_lock(&loop->mutex);
    struct http_stream *arrived = TAKE(loop->arrived);
    bool stopping = loop->stopping;
    pthread_mutex_unlock(&loop->mutex);
    while (arrived) {
        struct http_stream *stream = arrived;
        arrived = stream->next;
        stream->next = loop->running;
        loop->running = stream;
        stream_alive(stream);
        if (stream->transfer.stopped.code == ERR_NONE)
            curl_multi_add_handle(loop->multi, stream->transfer.easy);
    }
    return !stopping;
}

// Ends the streams that were cancelled, are silent for too long, or could not be set up; when
// `all`, the others too.
static void loop_sweep(struct http_loop *loop, bool all)
{
    for (struct http_stream **at = &loop->running; *at;) {
        struct http_stream *stream = *at;
        struct error *why = &stream->transfer.stopped;
        if (why->code != ERR_NONE)
            ; // could not be set up
        else if (all || atomic_load(&stream->cancelled))
            error_set(why, ERR_CANCELLED, "cancelled");
        else if (mono_past(stream->idle_deadline))
            error_set(why, ERR_TIMEOUT, "silent for %lld s", (long long)stream->idle_ms / 1000);
        if (why->code == ERR_NONE) {
            at = &stream->next;
            continue;
        }
        *at = stream->next;
        stream_end(stream, CURLE_OK);
    }
}

static void loop_reap(struct http_loop *loop)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(loop->multi, &left));) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode rc = message->data.result; // the message dies with its handle
        struct transfer *transfer = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        struct http_stream *stream = transfer->owner;
        loop_unlink(loop, stream);
        stream_end(stream, rc);
    }
}

static struct timer *loop_due_timer(struct http_loop *loop)
{
    pthread_mutex_lock(&loop->mutex);
    struct timer *timer = loop->timers;
    if (timer && !loop->stopping && mono_past(timer->due))
        loop->timers = timer->next;
    else
        timer = NULL;
    pthread_mutex_unlock(&loop->mutex);
    return timer;
}

static int loop_wait_ms(struct http_loop *loop)
{
    int64_t wait = LOOP_WAIT_MAX_MS;
    pthread_mutex_lock(&loop->mutex);
    if (loop->timers && mono_left(loop->timers->due) < wait)
        wait = mono_left(loop->timers->due);
    pthread_mutex_unlock(&loop->mutex);
    for (const struct http_stream *stream = loop->running; stream; stream = stream->next)
        if (mono_left(stream->idle_deadline) < wait)
            wait = mono_left(stream->idle_deadline);
    return (int)wait;
}

static void *loop_run(void *user)
{
    struct http_loop *loop = user;
    while (loop_admit(loop)) {
        for (struct timer *timer; (timer = loop_due_timer(loop)); free(timer))
            timer->call(timer->user);
        loop_sweep(loop, false);
        int running;
        curl_multi_perform(loop->multi, &running);
        loop_reap(loop);
        curl_multi_poll(loop->multi, NULL, 0, loop_wait_ms(loop), NULL);
    }
    do // done() may have started others
        loop_sweep(loop, true);
    while (loop_admit(loop) || loop->running);
    return NULL;
}

struct http_loop *http_loop_create(void)
{
    struct http_loop *loop = xalloc(sizeof *loop);
    loop->multi = curl_multi_init();
    if (!loop->multi || pthread_mutex_init(&loop->mutex, NULL) != 0)
        abort();
    thread_start(&loop->thread, "http-loop", loop_run, loop);
    return loop;
}

void http_loop_destroy(struct http_loop *loop)
{
    if (!loop)
        return;
    pthread_mutex_lock(&loop->mutex);
    loop->stopping = true;
    pthread_mutex_unlock(&loop->mutex);
    curl_multi_wakeup(loop->multi);
    pthread_join(loop->thread, NULL);
    while (loop->timers) {
        struct timer *timer = loop->timers;
        loop->timers = timer->next;
        free(timer);
    }
    curl_multi_cleanup(loop->multi);
    pthread_mutex_destroy(&loop->mutex);
    free(loop);
}

void http_loop_after(struct http_loop *loop, int64_t delay_ms, void (*call)(void *), void *user)
{
    struct timer *timer = xalloc(sizeof *timer);
    *timer = (struct timer){.due = mono_after(delay_ms), .call = call, .user = user};
    pthread_mutex_lock(&loop->mutex);
    struct timer **at = &loop->timers;
    while (*at && (*at)->due.ms <= timer->due.ms)
        at = &(*at)->next;
    timer->next = *at;
    *at = timer;
    pthread_mutex_unlock(&loop->mutex);
    curl_multi_wakeup(loop->multi);
}

void http_loop_forget(struct http_loop *loop, const void *user)
{
    pthread_mutex_lock(&loop->mutex);
    for (struct timer **at = &loop->timers; *at;) {
        struct timer *timer = *at;
        if (timer->user != user) {
            at = &timer->next;
            continue;
        }
        *at = timer->next;
        free(timer);
    }
    pthread_mutex_unlock(&loop->mutex);
}
