// The HTTP server with TLS: files, who is trusted, and clients that do not get that far.
#include "agent/base/buffer.h"
#include "agent/base/crypto.h"
#include "agent/base/http.h"
#include "agent/server.h"
#include "tests/unit/scratch.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#define FILE_SIZE  ((size_t)5 << 20)
#define PATIENCE   10000
#define REQUEST_MS 700

static struct server *server;
static char *certificate, *key, *other_certificate;
static char url[64];
static uint8_t content[FILE_SIZE];

static void answer_with_file(struct server_request *req, void *user)
{
    server_answer_file(req, "application/gzip", open(user, O_RDONLY | O_CLOEXEC), FILE_SIZE);
}

static void answer_echo(struct server_request *req, void *user)
{
    (void)user;
    size_t len;
    const char *body = server_body(req, &len);
    server_answer_bytes(req, 200, "text/plain", body, len);
}

static const struct server_route routes[] = {
    {"GET", "/file", answer_with_file, 0}, {"POST", "/echo", answer_echo, 0}, {0}};

static int start_tls(void **state)
{
    static const struct server_route *const tables[] = {routes, NULL};
    static char path[sizeof workspace + 16];
    char *other_key;
    struct error err;
    (void)state;
    if (!scratch_make() || !certificate_make("127.0.0.1", 40, &certificate, &key, &err) ||
        !certificate_make("127.0.0.1", 40, &other_certificate, &other_key, &err))
        return -1;
    secret_free(other_key);
    random_bytes(content, sizeof content);
    snprintf(path, sizeof path, "%s/file", workspace);
    struct server_options options = {.name = "tls",
                                     .model = SERVER_THREADS,
                                     .fd = -1,
                                     .host = "127.0.0.1",
                                     .certificate_pem = certificate,
                                     .key_pem = key,
                                     .tables = tables,
                                     .user = path,
                                     .body_max = 1000,
                                     .in_flight_max = 10000,
                                     .connections_max = 4,
                                     .request_ms = REQUEST_MS,
                                     .answer_ms = PATIENCE,
                                     .idle_ms = PATIENCE};
    if (!file_write(path, 0600, content, sizeof content, &err) ||
        !server_start(&options, &server, &err))
        return -1;
    snprintf(url, sizeof url, "https://%s", server_address(server));
    return 0;
}

static int stop_tls(void **state)
{
    (void)state;
    server_stop(server);
    free(certificate);
    free(other_certificate);
    secret_free(key);
    return scratch_remove() ? 0 : -1;
}

static bool ask(const char *path, const char *method, const char *ca, const char *body,
                struct http_response *response, struct error *err)
{
    char whole[sizeof url + 16];
    snprintf(whole, sizeof whole, "%s%s", url, path);
    struct http_trust trust = {.ca_pem = ca};
    return http_perform(&(struct http_request){.method = method,
                                               .url = whole,
                                               .trust = &trust,
                                               .body = body,
                                               .body_len = body ? strlen(body) : 0,
                                               .timeout_ms = PATIENCE},
                        response, err);
}

static void a_file_is_sent_whole(void **state)
{
    (void)state;
    struct http_response response;
    struct error err;
    if (!ask("/file", "GET", certificate, NULL, &response, &err))
        fail_msg("%s", err.text);
    assert_int_equal(response.status, 200);
    assert_int_equal(response.body.len, FILE_SIZE);
    assert_memory_equal(response.body.data, content, FILE_SIZE);
    http_response_finish(&response);
    char length[32];
    assert_true(ask("/file", "HEAD", certificate, NULL, &response, &err));
    assert_true(http_header(&response.headers, "Content-Length", length, sizeof length));
    assert_int_equal(atoll(length), FILE_SIZE);
    http_response_finish(&response);
}

static void another_certificate_is_not_trusted(void **state)
{
    (void)state;
    struct http_response response;
    struct error err;
    assert_false(ask("/file", "GET", other_certificate, NULL, &response, &err));
    assert_int_equal(err.code, ERR_PROTOCOL);
}

static void bodies_are_bounded(void **state)
{
    (void)state;
    struct http_response response;
    struct error err;
    char body[1002];
    memset(body, 'x', sizeof body);
    body[1000] = '\0';
    assert_true(ask("/echo", "POST", certificate, body, &response, &err));
    assert_int_equal(response.body.len, 1000);
    http_response_finish(&response);
    body[1000] = 'x';
    body[1001] = '\0';
    assert_true(ask("/echo", "POST", certificate, body, &response, &err));
    assert_int_equal(response.status, 413);
    http_response_finish(&response);
}

// One that connects and says nothing, or nothing that is TLS, is cut like any slow one.
static void silence_is_cut(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1));
    for (int plain = 0; plain < 2; plain++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
        if (plain)
            assert_int_equal(send(fd, "GET /file HTTP/1.1\r\n", 20, MSG_NOSIGNAL), 20);
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        char bytes[512];
        ssize_t got;
        do
            assert_int_equal(poll(&readable, 1, PATIENCE), 1);
        while ((got = recv(fd, bytes, sizeof bytes, 0)) > 0); // an alert, at the most
        close(fd);
    }
}

static void a_key_of_another_certificate_is_told(void **state)
{
    (void)state;
    static const struct server_route *const tables[] = {routes, NULL};
    struct server *unused;
    struct error err;
    assert_false(server_start(&(struct server_options){.name = "tls",
                                                       .model = SERVER_THREADS,
                                                       .fd = -1,
                                                       .host = "127.0.0.1",
                                                       .certificate_pem = other_certificate,
                                                       .key_pem = key,
                                                       .tables = tables,
                                                       .connections_max = 1},
                              &unused, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_non_null(strstr(err.text, "is the key that of the certificate?"));
}

int main(void)
{
    http_setup();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_sent_whole, start_tls, stop_tls),
        cmocka_unit_test_setup_teardown(another_certificate_is_not_trusted, start_tls, stop_tls),
        cmocka_unit_test_setup_teardown(bodies_are_bounded, start_tls, stop_tls),
        cmocka_unit_test_setup_teardown(silence_is_cut, start_tls, stop_tls),
        cmocka_unit_test_setup_teardown(a_key_of_another_certificate_is_told, start_tls, stop_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
