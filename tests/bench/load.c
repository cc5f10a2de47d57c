// Load on a webhooks listener: CONNECTIONS keep-alive connections, each sending one signed push
// after the other, from one thread. Prints one JSON object: answers per second, latencies, and how
// many were not 202.
//
//     load PORT PATH-SECRET-FILE REPOSITORY CONNECTIONS SECONDS
#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/text.h"
#include "webhooks/sign.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BODY_SIZE       6900
#define CONNECTIONS_MAX 1024
#define SAMPLES_MAX     4000000
#define ANSWER_MAX      4096
#define DELIVERY_SIZE   36 // a UUID's length, so that every request has the same length

struct connection {
    int fd;
    size_t sent;
    char request[BODY_SIZE * 2];
    size_t len;
    size_t delivery_at; // where the delivery id stands in the request
    char answer[ANSWER_MAX];
    size_t got;
    int64_t began_ns;
};

struct result {
    int64_t accepted, other;
    uint32_t *latencies_us;
    size_t samples;
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void fail(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

// One request as bytes, with a placeholder for its delivery id, which the signature does not cover.
static void compose(struct connection *connection, const struct signed_request *request, int port)
{
    int used = snprintf(connection->request, sizeof connection->request,
                        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: %zu\r\n",
                        request->path, port, request->body.len);
    for (char *const *header = request->headers; *header; header++)
        used += snprintf(connection->request + used, sizeof connection->request - (size_t)used,
                         "%s\r\n", *header);
    static const char name[] = "\r\nX-GitHub-Delivery: ";
    char *at = strcasestr(connection->request, name);
    if (!at)
        abort();
    connection->delivery_at = (size_t)(at - connection->request) + sizeof name - 1;
    used += snprintf(connection->request + used, sizeof connection->request - (size_t)used, "\r\n");
    connection->len = (size_t)used + request->body.len;
    if (connection->len > sizeof connection->request)
        abort();
    memcpy(connection->request + used, request->body.data, request->body.len);
}

static void send_more(struct connection *connection)
{
    while (connection->sent < connection->len) {
        ssize_t sent = send(connection->fd, connection->request + connection->sent,
                            connection->len - connection->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN)
            return;
        if (sent <= 0)
            fail("send");
        connection->sent += (size_t)sent;
    }
}

static void begin(struct connection *connection, int64_t number)
{
    char delivery[2 * DELIVERY_SIZE];
    snprintf(delivery, sizeof delivery, "00000000-%04d-4000-8000-%012" PRId64, getpid() % 10000,
             number % 1000000000000);
    memcpy(connection->request + connection->delivery_at, delivery, DELIVERY_SIZE);
    connection->sent = connection->got = 0;
    connection->began_ns = now_ns();
    send_more(connection);
}

// The length of a whole answer, 0 while it is not there.
static size_t whole_answer(const struct connection *connection)
{
    const char *end = strstr(connection->answer, "\r\n\r\n");
    const char *length = strcasestr(connection->answer, "\r\nContent-Length: ");
    if (!end || !length)
        return 0;
    size_t total = (size_t)(end + 4 - connection->answer) +
                   strtoul(length + strlen("\r\nContent-Length: "), NULL, 10);
    return connection->got >= total ? total : 0;
}

// True when an answer came to its end.
static bool receive(struct connection *connection, struct result *result)
{
    ssize_t got = recv(connection->fd, connection->answer + connection->got,
                       sizeof connection->answer - 1 - connection->got, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got <= 0)
        fail("recv");
    connection->got += (size_t)got;
    connection->answer[connection->got] = '\0';
    if (whole_answer(connection) == 0)
        return false;
    if (text_starts(connection->answer, "HTTP/1.1 202"))
        result->accepted++;
    else
        result->other++;
    if (result->samples < SAMPLES_MAX)
        result->latencies_us[result->samples++] =
            (uint32_t)((now_ns() - connection->began_ns) / 1000);
    return true;
}

static int open_connection(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0)
        fail("connect");
    return fd;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double percentile_ms(const struct result *result, double share)
{
    size_t at = (size_t)((double)(result->samples - 1) * share);
    return result->samples ? (double)result->latencies_us[at] / 1000 : 0;
}

static double run(struct connection *connections, int count, int seconds, struct result *result)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int64_t number = 0;
    int64_t began = now_ns();
    for (int i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, connections[i].fd, &event) != 0)
            fail("epoll_ctl");
        begin(&connections[i], number++);
    }
    int64_t end = began + (int64_t)seconds * 1000000000;
    for (int open = count; open > 0;) {
        struct epoll_event events[64];
        int ready = epoll_wait(epoll, events, 64, 10000);
        if (ready <= 0)
            fail("no answer within 10 s");
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            send_more(connection);
            if (!receive(connection, result))
                continue;
            if (now_ns() < end) {
                begin(connection, number++);
            } else {
                close(connection->fd);
                open--;
            }
        }
    }
    close(epoll);
    return (double)(now_ns() - began) / 1e9;
}

int main(int argc, char **argv)
{
    int64_t port, count, seconds;
    if (argc != 6 || !text_to_int(argv[1], 1, 65535, &port) ||
        !text_to_int(argv[4], 1, CONNECTIONS_MAX, &count) ||
        !text_to_int(argv[5], 1, 600, &seconds)) {
        fputs("usage: load PORT SECRET-FILE REPOSITORY CONNECTIONS SECONDS\n", stderr);
        return 2;
    }
    CLEANUP(secret_ptr) char *secret = NULL;
    struct signed_request request;
    struct error err;
    if (!secret_file_read(argv[2], &secret, &err) ||
        !sign_request(&(struct sign_request){.scheme = SIGN_GITHUB_JSON,
                                             .event = SIGN_PUSH,
                                             .secret = secret,
                                             .repository = argv[3],
                                             .body_size = BODY_SIZE,
                                             .now = wall_now()},
                      &request, &err)) {
        fprintf(stderr, "load: %s\n", err.text);
        return 1;
    }
    struct connection *connections = xalloc((size_t)count * sizeof *connections);
    for (int64_t i = 0; i < count; i++) {
        compose(&connections[i], &request, (int)port);
        connections[i].fd = open_connection((int)port);
    }
    struct result result = {.latencies_us = xalloc(SAMPLES_MAX * sizeof(uint32_t))};
    double took = run(connections, (int)count, (int)seconds, &result);
    qsort(result.latencies_us, result.samples, sizeof(uint32_t), by_value);
    CLEANUP(json_ptr)
    json_t *json =
        json_pack("{s:I, s:f, s:f, s:f, s:I, s:I}", "connections", (json_int_t)count, "perSecond",
                  (double)result.accepted / took, "p50Ms", percentile_ms(&result, 0.5), "p99Ms",
                  percentile_ms(&result, 0.99), "accepted", (json_int_t)result.accepted, "other",
                  (json_int_t)result.other);
    CLEANUP(free_ptr) char *text = json_write(json);
    puts(text);
    free(result.latencies_us);
    free(connections);
    signed_request_finish(&request);
    return result.other ? 1 : 0;
}
