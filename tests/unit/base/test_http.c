// The HTTP client against a scripted server, for answers that real servers cannot be made to give.
#include "agent/base/http.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

// --- the server: the path says what it does ---

#define REQUEST_MAX 65536

static struct {
    int listener;
    int unix_listener;
    char unix_path[64];
    int port;
    pthread_t threads[2];
    pthread_mutex_t mutex; // guards the rest
    pthread_cond_t changed;
    int connections; // accepted so far
    int open;        // being served
    int fds[128];
    bool released; // /stream may go on
} server = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static bool put(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);
        if (sent < 0)
            return false;
        text += sent;
        len -= (size_t)sent;
    }
    return true;
}

static bool say(int fd, const char *text)
{
    return put(fd, text, strlen(text));
}

static bool serve_ok(int fd, const char *request)
{
    (void)request;
    return say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Note:  a b \t\r\n\r\nhello");
}

static bool serve_echo(int fd, const char *request)
{
    char head[128];
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", strlen(request));
    return say(fd, head) && say(fd, request);
}

static bool serve_head(int fd, const char *request)
{
    (void)request;
    return say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
}

static bool serve_torn(int fd, const char *request)
{
    (void)request;
    say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
    return false;
}

static bool serve_torn_head(int fd, const char *request)
{
    (void)request;
    say(fd, "HTTP/1.1 201 Created\r\nContent-Type: text/pl");
    return false;
}

static bool serve_torn_chunk(int fd, const char *request)
{
    (void)request;
    say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    return false;
}

static bool serve_chunks(int fd, const char *request)
{
    (void)request;
    return say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n");
}

static bool serve_bad_chunk(int fd, const char *request)
{
    (void)request;
    say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n");
    return false;
}

static bool serve_reset(int fd, const char *request)
{
    (void)request;
    struct linger now = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    return false;
}

static bool serve_nothing(int fd, const char *request)
{
    (void)fd;
    (void)request;
    return false;
}

static bool serve_silence(int fd, const char *request)
{
    (void)request;
    char byte;
    while (recv(fd, &byte, 1, 0) > 0)
        ;
    return false;
}

static bool serve_head_then_silence(int fd, const char *request)
{
    return say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe") && serve_silence(fd, request);
}

static bool serve_huge(int fd, const char *request)
{
    (void)request;
    say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n");
    static const char block[65536];
    while (put(fd, block, sizeof block))
        ;
    return false;
}

static bool serve_huge_head(int fd, const char *request)
{
    (void)request;
    say(fd, "HTTP/1.1 200 OK\r\n");
    while (say(fd, "X-Filler: 0123456789012345678901234567890123456789012345678901234567890\r\n"))
        ;
    return false;
}

static bool serve_interim(int fd, const char *request)
{
    (void)request;
    return say(fd, "HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n"
                   "HTTP/1.1 404 Not Found\r\nX-Late: 1\r\nContent-Length: 4\r\n\r\ngone");
}

static bool serve_busy(int fd, const char *request)
{
    (void)request;
    return say(fd, "HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
}

static bool serve_busy_for_ever(int fd, const char *request)
{
    (void)request;
    return say(fd, "HTTP/1.1 503 Busy\r\nRetry-After: 99999999\r\nContent-Length: 0\r\n\r\n");
}

static bool serve_redirect(int fd, const char *request)
{
    (void)request;
    return say(fd, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
}

static bool serve_garbage(int fd, const char *request)
{
    (void)request;
    say(fd, "220 mail.example ESMTP\r\n");
    return false;
}

static bool serve_strange_status(int fd, const char *request)
{
    (void)request;
    return say(fd, "HTTP/1.1 799 What\r\nContent-Length: 0\r\n\r\n");
}

static bool serve_stream(int fd, const char *request)
{
    (void)request;
    bool ok = say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Kind: s\r\n\r\n"
                      "6\r\nfirst\n\r\n");
    pthread_mutex_lock(&server.mutex);
    while (!server.released)
        pthread_cond_wait(&server.changed, &server.mutex);
    pthread_mutex_unlock(&server.mutex);
    return ok && say(fd, "7\r\nsecond\n\r\n0\r\n\r\n");
}

static const struct {
    const char *path;
    bool (*serve)(int fd, const char *request); // whether the connection stays open
} scripts[] = {
    {"/ok", serve_ok},
    {"/echo", serve_echo},
    {"http://origin.invalid/echo", serve_echo}, // as a proxy
    {"/head", serve_head},
    {"/torn", serve_torn},
    {"/torn-head", serve_torn_head},
    {"/torn-chunk", serve_torn_chunk},
    {"/chunks", serve_chunks},
    {"/bad-chunk", serve_bad_chunk},
    {"/reset", serve_reset},
    {"/nothing", serve_nothing},
    {"/silence", serve_silence},
    {"/head-then-silence", serve_head_then_silence},
    {"/huge", serve_huge},
    {"/huge-head", serve_huge_head},
    {"/interim", serve_interim},
    {"/busy", serve_busy},
    {"/busy-for-ever", serve_busy_for_ever},
    {"/redirect", serve_redirect},
    {"/garbage", serve_garbage},
    {"/strange-status", serve_strange_status},
    {"/stream", serve_stream},
};

// Reads head and body into `request`; false at the end of the connection.
static bool read_request(int fd, char request[static REQUEST_MAX])
{
    size_t used = 0;
    size_t whole = 0;
    while (whole == 0 || used < whole) {
        ssize_t got = recv(fd, request + used, REQUEST_MAX - 1 - used, 0);
        if (got <= 0)
            return false;
        used += (size_t)got;
        request[used] = '\0';
        if (request[0] == '\x16') // a TLS handshake
            return false;
        const char *end = strstr(request, "\r\n\r\n");
        if (!end)
            continue;
        const char *length = strcasestr(request, "\r\nContent-Length:");
        whole = (size_t)(end - request) + 4;
        if (length && length < end)
            whole += strtoul(length + 17, NULL, 10);
    }
    return true;
}

static void *serve_connection(void *user)
{
    int fd = (int)(intptr_t)user;
    char *request = xalloc(REQUEST_MAX);
    bool more = true;
    while (more && read_request(fd, request)) {
        char path[64] = "";
        sscanf(request, "%*s %63[^ ?]", path);
        more = false;
        for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++)
            if (strcmp(path, scripts[i].path) == 0)
                more = scripts[i].serve(fd, request);
    }
    free(request);
    pthread_mutex_lock(&server.mutex);
    for (size_t i = 0; i < sizeof server.fds / sizeof server.fds[0]; i++)
        if (server.fds[i] == fd)
            server.fds[i] = 0;
    close(fd);
    server.open--;
    pthread_cond_broadcast(&server.changed);
    pthread_mutex_unlock(&server.mutex);
    return NULL;
}

static void *serve_all(void *user)
{
    int listener = *(int *)user;
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0;) {
        pthread_mutex_lock(&server.mutex);
        size_t place = 0;
        while (server.fds[place])
            place++;
        server.fds[place] = fd;
        server.connections++;
        server.open++;
        pthread_mutex_unlock(&server.mutex);
        pthread_t thread;
        pthread_create(&thread, NULL, serve_connection, (void *)(intptr_t)fd);
        pthread_detach(thread);
    }
    return NULL;
}

static int server_start(void **state)
{
    (void)state;
    http_setup();
    server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    if (bind(server.listener, (struct sockaddr *)&address, len) != 0 ||
        getsockname(server.listener, (struct sockaddr *)&address, &len) != 0 ||
        listen(server.listener, 64) != 0)
        return -1;
    server.port = ntohs(address.sin_port);
    server.unix_listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    snprintf(server.unix_path, sizeof server.unix_path, "/tmp/test_http.%d", getpid());
    strcpy(local.sun_path, server.unix_path);
    if (bind(server.unix_listener, (struct sockaddr *)&local, sizeof local) != 0 ||
        listen(server.unix_listener, 8) != 0)
        return -1;
    pthread_create(&server.threads[0], NULL, serve_all, &server.listener);
    pthread_create(&server.threads[1], NULL, serve_all, &server.unix_listener);
    return 0;
}

static int server_stop(void **state)
{
    (void)state;
    shutdown(server.listener, SHUT_RDWR);
    shutdown(server.unix_listener, SHUT_RDWR);
    pthread_join(server.threads[0], NULL);
    pthread_join(server.threads[1], NULL);
    pthread_mutex_lock(&server.mutex);
    server.released = true;
    pthread_cond_broadcast(&server.changed);
    for (size_t i = 0; i < sizeof server.fds / sizeof server.fds[0]; i++)
        if (server.fds[i])
            shutdown(server.fds[i], SHUT_RDWR);
    while (server.open > 0)
        pthread_cond_wait(&server.changed, &server.mutex);
    pthread_mutex_unlock(&server.mutex);
    close(server.listener);
    close(server.unix_listener);
    unlink(server.unix_path);
    return 0;
}

static int connections(void)
{
    pthread_mutex_lock(&server.mutex);
    int count = server.connections;
    pthread_mutex_unlock(&server.mutex);
    return count;
}

static char *url_of(const char *path)
{
    return xasprintf("http://127.0.0.1:%d%s", server.port, path);
}

// --- blocking requests ---

static bool fetch(const char *path, struct http_response *response, struct error *err)
{
    CLEANUP(free_ptr) char *url = url_of(path);
    return http_perform(&(struct http_request){.url = url}, response, err);
}

static void assert_fails(const char *path, enum error_code code)
{
    struct http_response response = {.status = -5};
    struct error err = {0};
    assert_false(fetch(path, &response, &err));
    if (err.code != code)
        fail_msg("%s: %s: %s", path, error_word(err.code), err.text);
    assert_non_null(strstr(err.text, "127.0.0.1"));
    assert_int_equal(response.status, -5); // untouched
}

static void test_answer(void **state)
{
    (void)state;
    struct http_response response;
    struct error err;
    assert_true(fetch("/ok", &response, &err));
    assert_int_equal(response.status, 200);
    assert_string_equal(buffer_text(&response.body), "hello");
    assert_int_equal(response.retry_after_ms, -1);
    char note[8];
    assert_true(http_header(&response.headers, "x-note", note, sizeof note));
    assert_string_equal(note, "a b");
    assert_false(http_header(&response.headers, "x-not", note, sizeof note));
    assert_false(http_header(&response.headers, "x-note", note, 3)); // no room for the NUL
    assert_null(strstr(buffer_text(&response.headers), "HTTP/"));
    http_response_finish(&response);
}

static void test_connections_are_reused(void **state)
{
    (void)state;
    struct http_response response;
    struct error err;
    assert_true(fetch("/ok", &response, &err));
    http_response_finish(&response);
    int before = connections();
    for (int i = 0; i < 20; i++) {
        assert_true(fetch("/ok", &response, &err));
        http_response_finish(&response);
    }
    assert_int_equal(connections(), before);
}

static void *fetch_many(void *user)
{
    atomic_int *good = user;
    for (int i = 0; i < 40; i++) {
        struct http_response response;
        struct error err;
        if (fetch(i % 2 ? "/ok" : "/chunks", &response, &err)) {
            atomic_fetch_add(good, response.status == 200);
            http_response_finish(&response);
        }
    }
    return NULL;
}

static void test_many_threads(void **state)
{
    (void)state;
    atomic_int good = 0;
    int before = connections();
    pthread_t threads[8];
    for (size_t i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, fetch_many, &good);
    for (size_t i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(good, 8 * 40);
    assert_in_range(connections() - before, 0, 8);
}

static void test_request(void **state)
{
    (void)state;
    CLEANUP(free_ptr) char *url = url_of("/echo?a=b");
    struct http_trust trust = {.username = "u", .password = "p", .server_name = "kube.example"};
    struct http_request request = {
        .method = "PATCH",
        .url = url,
        .headers = {"Content-Type: application/json-patch+json", "X-One: 1"},
        .body = "[1]",
        .body_len = 3,
        .trust = &trust,
    };
    struct http_response response;
    struct error err;
    assert_true(http_perform(&request, &response, &err));
    const char *sent = buffer_text(&response.body);
    assert_non_null(strstr(sent, "PATCH /echo?a=b HTTP/1.1\r\n"));
    assert_non_null(strstr(sent, "Content-Type: application/json-patch+json\r\n"));
    assert_non_null(strstr(sent, "X-One: 1\r\n"));
    assert_non_null(strstr(sent, "Authorization: Basic dTpw\r\n"));
    assert_non_null(strstr(sent, "User-Agent: cronwright/"));
    assert_non_null(strstr(sent, "\r\n\r\n[1]"));
    CLEANUP(free_ptr) char *host = xasprintf("Host: 127.0.0.1:%d\r\n", server.port);
    assert_non_null(strstr(sent, host)); // the TLS name is not the HTTP host
    assert_null(strstr(sent, "kube.example"));
    http_response_finish(&response);
}

static void test_bodies(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        const char *body;
        const char *length; // as sent; NULL: none
    } cases[] = {
        {"GET", NULL, NULL}, {"DELETE", NULL, NULL}, {"DELETE", "{}", "2"},
        {"POST", NULL, "0"}, {"PUT", "", "0"},       {"POST", "abc", "3"},
    };
    CLEANUP(free_ptr) char *url = url_of("/echo");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct http_request request = {.method = cases[i].method,
                                       .url = url,
                                       .body = cases[i].body,
                                       .body_len = cases[i].body ? strlen(cases[i].body) : 0};
        struct http_response response;
        struct error err;
        assert_true(http_perform(&request, &response, &err));
        const char *sent = buffer_text(&response.body);
        assert_true(strncmp(sent, cases[i].method, strlen(cases[i].method)) == 0);
        CLEANUP(free_ptr)
        char *length = xasprintf("Content-Length: %s\r\n", cases[i].length ? cases[i].length : "");
        assert_int_equal(strstr(sent, length) != NULL, cases[i].length != NULL);
        assert_null(strstr(sent, "Content-Type"));
        assert_null(strstr(sent, "Expect"));
        http_response_finish(&response);
    }
}

static void test_head(void **state)
{
    (void)state;
    CLEANUP(free_ptr) char *url = url_of("/head");
    struct http_request request = {.method = "HEAD", .url = url};
    struct http_response response;
    struct error err;
    assert_true(http_perform(&request, &response, &err));
    char length[8];
    assert_true(http_header(&response.headers, "Content-Length", length, sizeof length));
    assert_string_equal(length, "5");
    assert_int_equal(response.body.len, 0);
    http_response_finish(&response);
}

static void test_statuses(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int status;
        const char *body;
        int64_t retry_after_ms;
    } cases[] = {
        {"/interim", 404, "gone", -1},         {"/busy", 429, "", 7000},
        {"/busy-for-ever", 503, "", 86400000}, {"/redirect", 302, "", -1},
        {"/chunks", 200, "hello world", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct http_response response;
        struct error err;
        if (!fetch(cases[i].path, &response, &err))
            fail_msg("%s: %s", cases[i].path, err.text);
        assert_int_equal(response.status, cases[i].status);
        assert_string_equal(buffer_text(&response.body), cases[i].body);
        assert_int_equal(response.retry_after_ms, cases[i].retry_after_ms);
        assert_null(strstr(buffer_text(&response.headers), "X-Early"));
        assert_null(strstr(buffer_text(&response.headers), "X-Trailer"));
        http_response_finish(&response);
    }
}

static void test_broken_answers(void **state)
{
    (void)state;
    assert_fails("/torn", ERR_UNAVAILABLE);
    assert_fails("/torn-head", ERR_UNAVAILABLE);
    assert_fails("/torn-chunk", ERR_UNAVAILABLE);
    assert_fails("/reset", ERR_UNAVAILABLE);
    assert_fails("/nothing", ERR_UNAVAILABLE);
    assert_fails("/bad-chunk", ERR_UNAVAILABLE);
    assert_fails("/garbage", ERR_PROTOCOL);
    assert_fails("/strange-status", ERR_PROTOCOL);
    assert_fails("/huge-head", ERR_TOO_LARGE);
}

static void test_body_cap(void **state)
{
    (void)state;
    CLEANUP(free_ptr) char *huge = url_of("/huge");
    struct http_response response;
    struct error err;
    assert_false(
        http_perform(&(struct http_request){.url = huge, .max_body = 100000}, &response, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
    CLEANUP(free_ptr) char *ok = url_of("/ok");
    assert_false(http_perform(&(struct http_request){.url = ok, .max_body = 4}, &response, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
    assert_true(http_perform(&(struct http_request){.url = ok, .max_body = 5}, &response, &err));
    http_response_finish(&response);
}

static void test_timeouts(void **state)
{
    (void)state;
    static const char *const paths[] = {"/silence", "/head-then-silence"};
    for (size_t i = 0; i < 2; i++) {
        CLEANUP(free_ptr) char *url = url_of(paths[i]);
        struct http_response response;
        struct error err;
        struct mono_time before = mono_now();
        assert_false(
            http_perform(&(struct http_request){.url = url, .timeout_ms = 200}, &response, &err));
        assert_int_equal(err.code, ERR_TIMEOUT);
        assert_in_range(mono_now().ms - before.ms, 190, 5000);
    }
}

static void test_unreachable(void **state)
{
    (void)state;
    struct http_response response;
    struct error err;
    // A port that was free a moment ago: bound, but not listening.
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    CLEANUP(free_ptr)
    char *url = xasprintf("http://127.0.0.1:%d/p4th?token=s3cret", ntohs(address.sin_port));
    assert_false(http_perform(&(struct http_request){.url = url}, &response, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_null(strstr(err.text, "s3cret"));
    close(fd);
    assert_false(http_perform(
        &(struct http_request){.url = "http://127.0.0.1/", .unix_socket = "/nonexistent/socket"},
        &response, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "/nonexistent/socket"));
}

static void test_refused_requests(void **state)
{
    (void)state;
    static const struct http_request cases[] = {
        {.url = "http://user:s3cret@127.0.0.1/"}, // credentials are not for URLs
        {.url = "http://user@127.0.0.1/"},
        {.url = "file:///etc/passwd"},
        {.url = "ftp://127.0.0.1/s3cret"},
        {.url = "127.0.0.1/s3cret"},
        {.url = "http://127.0.0.1:99999/s3cret"},
        {.url = "http://127.0.0.1/s3cret with space"},
        {.url = ""},
        {.url = "http://127.0.0.1/", .headers = {"X: s3cret\r\nY: b"}},
        {.url = "http://127.0.0.1/", .headers = {"s3cret"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct http_response response;
        struct error err = {0};
        assert_false(http_perform(&cases[i], &response, &err));
        if (err.code != ERR_INVALID)
            fail_msg("%s: %s: %s", cases[i].url, error_word(err.code), err.text);
        assert_null(strstr(err.text, "s3cret"));
    }
}

static void test_bad_certificates(void **state)
{
    (void)state;
    struct http_trust trust = {.cert_pem = "not pem", .key_pem = "not pem"};
    CLEANUP(free_ptr) char *url = xasprintf("https://127.0.0.1:%d/", server.port);
    struct http_response response;
    struct error err = {0};
    assert_false(
        http_perform(&(struct http_request){.url = url, .trust = &trust}, &response, &err));
    assert_int_equal(err.code, ERR_INVALID);
    // and a server that does not speak TLS
    assert_false(http_perform(&(struct http_request){.url = url}, &response, &err));
    assert_true(err.code == ERR_PROTOCOL || err.code == ERR_UNAVAILABLE);
}

static void test_unix_socket(void **state)
{
    (void)state;
    struct http_response response;
    struct error err;
    struct http_request request = {.url = "http://admin/ok", .unix_socket = server.unix_path};
    assert_true(http_perform(&request, &response, &err));
    assert_string_equal(buffer_text(&response.body), "hello");
    http_response_finish(&response);
}

static void test_environment_is_not_read(void **state)
{
    (void)state;
    setenv("http_proxy", "http://127.0.0.1:1/", 1);
    setenv("all_proxy", "http://127.0.0.1:1/", 1);
    struct http_response response;
    struct error err;
    assert_true(fetch("/ok", &response, &err));
    http_response_finish(&response);
    unsetenv("http_proxy");
    unsetenv("all_proxy");
}

// Each login goes to whom it is for; without a proxy there is nobody for the proxy's.
static void test_login_of_a_proxy(void **state)
{
    (void)state;
    CLEANUP(free_ptr) char *proxy = xasprintf("http://127.0.0.1:%d", server.port);
    CLEANUP(free_ptr) char *direct = xasprintf("%s/echo", proxy);
    struct http_trust trust = {.proxy = proxy, .proxy_username = "pia", .proxy_password = "secret"};
    struct http_request request = {.url = "http://origin.invalid/echo", .trust = &trust};
    struct http_response response;
    struct error err;
    assert_true(http_perform(&request, &response, &err));
    assert_non_null(
        strstr(buffer_text(&response.body), "\r\nProxy-Authorization: Basic cGlhOnNlY3JldA==\r\n"));
    assert_null(strstr(buffer_text(&response.body), "\r\nAuthorization:"));
    http_response_finish(&response);
    trust.proxy = NULL;
    request.url = direct;
    assert_true(http_perform(&request, &response, &err));
    assert_null(strcasestr(buffer_text(&response.body), "authorization"));
    http_response_finish(&response);
}

static void test_escape(void **state)
{
    (void)state;
    CLEANUP(free_ptr) char *escaped = http_escape("a b/c=d&é~");
    assert_string_equal(escaped, "a%20b%2Fc%3Dd%26%C3%A9~");
    CLEANUP(free_ptr) char *empty = http_escape("");
    assert_string_equal(empty, "");
}

// --- streams ---

struct watcher {
    pthread_mutex_t mutex; // guards the rest
    pthread_cond_t changed;
    struct buffer text;
    char kind[8];
    int status; // of head
    int done;   // times called
    int done_status;
    struct error err; // of done
    bool refuse;      // data() answers false
};

static struct watcher watcher_new(void)
{
    return (struct watcher){.mutex = PTHREAD_MUTEX_INITIALIZER,
                            .changed = PTHREAD_COND_INITIALIZER};
}

static void watch_head(void *user, int status, const struct buffer *headers)
{
    struct watcher *watcher = user;
    pthread_mutex_lock(&watcher->mutex);
    watcher->status = status;
    if (!http_header(headers, "X-Kind", watcher->kind, sizeof watcher->kind))
        watcher->kind[0] = '\0';
    pthread_cond_broadcast(&watcher->changed);
    pthread_mutex_unlock(&watcher->mutex);
}

static bool watch_data(void *user, const void *bytes, size_t len)
{
    struct watcher *watcher = user;
    struct error err;
    pthread_mutex_lock(&watcher->mutex);
    bool ok = !watcher->refuse && buffer_append(&watcher->text, bytes, len, &err);
    pthread_cond_broadcast(&watcher->changed);
    pthread_mutex_unlock(&watcher->mutex);
    return ok;
}

static void watch_done(void *user, int status, const struct error *err)
{
    struct watcher *watcher = user;
    pthread_mutex_lock(&watcher->mutex);
    watcher->done++;
    watcher->done_status = status;
    watcher->err = err ? *err : (struct error){.code = ERR_NONE};
    pthread_cond_broadcast(&watcher->changed);
    pthread_mutex_unlock(&watcher->mutex);
}

static const struct http_stream_events watch_events = {watch_head, watch_data, watch_done};

static void await_text(struct watcher *watcher, const char *text)
{
    pthread_mutex_lock(&watcher->mutex);
    while (strcmp(buffer_text(&watcher->text), text) != 0)
        pthread_cond_wait(&watcher->changed, &watcher->mutex);
    pthread_mutex_unlock(&watcher->mutex);
}

static void await_done(struct watcher *watcher)
{
    pthread_mutex_lock(&watcher->mutex);
    while (!watcher->done)
        pthread_cond_wait(&watcher->changed, &watcher->mutex);
    pthread_mutex_unlock(&watcher->mutex);
}

static struct http_stream *watch(struct http_loop *loop, const char *path, int64_t idle_ms,
                                 struct watcher *watcher)
{
    CLEANUP(free_ptr) char *url = url_of(path);
    return http_stream_start(loop, &(struct http_request){.url = url, .idle_ms = idle_ms},
                             &watch_events, watcher);
}

static void release(bool released)
{
    pthread_mutex_lock(&server.mutex);
    server.released = released;
    pthread_cond_broadcast(&server.changed);
    pthread_mutex_unlock(&server.mutex);
}

// No socket to the server may leak into children.
static void assert_sockets_close_on_exec(void)
{
    int sockets = 0;
    for (int fd = 0; fd < 256; fd++) {
        struct sockaddr_in address;
        socklen_t len = sizeof address;
        if (getpeername(fd, (struct sockaddr *)&address, &len) != 0 ||
            address.sin_family != AF_INET)
            continue;
        sockets++;
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    }
    assert_true(sockets >= 2);
}

static void test_stream(void **state)
{
    (void)state;
    release(false);
    struct http_loop *loop = http_loop_create();
    struct watcher watcher = watcher_new();
    watch(loop, "/stream", 0, &watcher);
    await_text(&watcher, "first\n"); // passed on as it comes
    assert_int_equal(watcher.status, 200);
    assert_string_equal(watcher.kind, "s");
    assert_int_equal(watcher.done, 0);
    assert_sockets_close_on_exec();
    release(true);
    await_done(&watcher);
    assert_string_equal(buffer_text(&watcher.text), "first\nsecond\n");
    assert_int_equal(watcher.done_status, 200);
    assert_int_equal(watcher.err.code, ERR_NONE);
    http_loop_destroy(loop);
    assert_int_equal(watcher.done, 1);
    buffer_finish(&watcher.text);
}

static void test_stream_ends(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int64_t idle_ms;
        bool refuse;
        enum error_code code;
        int status;
    } cases[] = {
        {"/interim", 0, false, ERR_NONE, 404},
        {"/torn", 0, false, ERR_UNAVAILABLE, 200},
        {"/torn-chunk", 0, false, ERR_UNAVAILABLE, 200},
        {"/nothing", 0, false, ERR_UNAVAILABLE, 0},
        {"/head-then-silence", 1000, false, ERR_TIMEOUT, 200},
        {"/silence", 100, false, ERR_TIMEOUT, 0},
        {"/huge-head", 0, false, ERR_TOO_LARGE, 200},
        {"/ok", 0, true, ERR_CANCELLED, 200},
    };
    struct http_loop *loop = http_loop_create();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct watcher watcher = watcher_new();
        watcher.refuse = cases[i].refuse;
        watch(loop, cases[i].path, cases[i].idle_ms, &watcher);
        await_done(&watcher);
        if (watcher.err.code != cases[i].code || watcher.done_status != cases[i].status)
            fail_msg("%s: %d %s", cases[i].path, watcher.done_status, watcher.err.text);
        buffer_finish(&watcher.text);
    }
    struct watcher watcher = watcher_new();
    http_stream_start(loop, &(struct http_request){.url = "http://u:s3cret@x/"}, &watch_events,
                      &watcher);
    await_done(&watcher);
    assert_int_equal(watcher.err.code, ERR_INVALID);
    assert_null(strstr(watcher.err.text, "s3cret"));
    http_loop_destroy(loop);
}

static void test_stream_cancel(void **state)
{
    (void)state;
    release(false);
    struct http_loop *loop = http_loop_create();
    struct watcher early = watcher_new(), late = watcher_new(), other = watcher_new();
    watch(loop, "/stream", 0, &other);
    http_stream_cancel(watch(loop, "/stream", 0, &early)); // perhaps not even begun
    struct http_stream *stream = watch(loop, "/stream", 0, &late);
    await_text(&late, "first\n");
    http_stream_cancel(stream);
    await_done(&early);
    await_done(&late);
    assert_int_equal(early.err.code, ERR_CANCELLED);
    assert_int_equal(late.err.code, ERR_CANCELLED);
    await_text(&other, "first\n");
    assert_int_equal(other.done, 0); // the neighbour lives
    http_loop_destroy(loop);
    assert_int_equal(other.done, 1);
    assert_int_equal(other.err.code, ERR_CANCELLED);
    release(true);
    buffer_finish(&early.text);
    buffer_finish(&late.text);
    buffer_finish(&other.text);
}

static void test_many_streams(void **state)
{
    (void)state;
    struct http_loop *loop = http_loop_create();
    struct watcher watchers[40];
    for (size_t i = 0; i < 40; i++) {
        watchers[i] = watcher_new();
        watch(loop, "/chunks", 0, &watchers[i]);
    }
    for (size_t i = 0; i < 40; i++) {
        await_done(&watchers[i]);
        assert_int_equal(watchers[i].err.code, ERR_NONE);
        assert_string_equal(buffer_text(&watchers[i].text), "hello world");
        buffer_finish(&watchers[i].text);
    }
    http_loop_destroy(loop);
}

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    char order[8];
} calls = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void note_call(void *user)
{
    pthread_mutex_lock(&calls.mutex);
    strcat(calls.order, user);
    pthread_cond_broadcast(&calls.changed);
    pthread_mutex_unlock(&calls.mutex);
}

static void test_timers(void **state)
{
    (void)state;
    struct http_loop *loop = http_loop_create();
    char a[] = "a", b[] = "b", c[] = "c", d[] = "d";
    http_loop_after(loop, 60000, note_call, d);
    http_loop_after(loop, 800, note_call, c);
    http_loop_after(loop, 400, note_call, b);
    http_loop_after(loop, 0, note_call, a);
    pthread_mutex_lock(&calls.mutex);
    while (strlen(calls.order) < 3)
        pthread_cond_wait(&calls.changed, &calls.mutex);
    pthread_mutex_unlock(&calls.mutex);
    http_loop_destroy(loop);
    assert_string_equal(calls.order, "abc");
    http_loop_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer),
        cmocka_unit_test(test_connections_are_reused),
        cmocka_unit_test(test_many_threads),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_broken_answers),
        cmocka_unit_test(test_body_cap),
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_refused_requests),
        cmocka_unit_test(test_bad_certificates),
        cmocka_unit_test(test_unix_socket),
        cmocka_unit_test(test_environment_is_not_read),
        cmocka_unit_test(test_login_of_a_proxy),
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_stream_ends),
        cmocka_unit_test(test_stream_cancel),
        cmocka_unit_test(test_many_streams),
        cmocka_unit_test(test_timers),
    };
    return cmocka_run_group_tests(tests, server_start, server_stop);
}
