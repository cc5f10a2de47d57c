// Requests without end on one port of this machine, over CONNECTIONS connections that are kept open
// for as long as the server keeps them, until COUNT were sent. FILE holds a JSON array of objects:
//
//     {"send": the request's bytes, "end": "answer", "close" or "pause"}
//
// "close" goes away instead of waiting for the answer; "pause" stops for a moment in the middle.
// PLACEHOLDER in a request becomes another id each time. Prints how often each status was answered,
// "none" for connections that ended without an answer, and how many seconds it took.
//
//     traffic PORT CONNECTIONS COUNT FILE
#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PLACEHOLDER     "@@@@@@@@-@@@@-@@@@-@@@@-@@@@@@@@@@@@"
#define ID_LEN          (sizeof PLACEHOLDER - 1)
#define CONNECTIONS_MAX 256
#define REQUESTS_MAX    ((size_t)64 << 20)
#define ANSWER_MAX      ((size_t)4 << 20)
#define CHUNK           65536
#define PAUSE_MS        20
#define PATIENCE_S      60
#define STATUSES        600

enum end { END_ANSWER, END_CLOSE, END_PAUSE };

struct request {
    const char *text;
    size_t len;
    enum end end;
};

static struct {
    int port;
    int64_t count;
    struct request *requests;
    size_t request_count;
    atomic_int_least64_t next;
    atomic_int_least64_t answered[STATUSES]; // [0]: none
} traffic;

static _Noreturn void fail(const char *what)
{
    (void)fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_connection(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)traffic.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int one = 1;
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    // Closed without lingering in TIME_WAIT: there are more connections than ports.
    const struct linger at_once = {.l_onoff = 1};
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        fail("connect");
    return fd;
}

// False: the server does not take it all; it may have answered before.
static bool send_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes += sent;
        len -= (size_t)sent;
    }
    return true;
}

// The status of the whole answer; 0: there is none. `*keep`: the connection may be used again.
static int receive(int fd, struct buffer *answer, bool *keep)
{
    static const char length_name[] = "\r\nContent-Length: ";
    buffer_finish(answer);
    answer->cap = ANSWER_MAX;
    for (*keep = false;;) {
        char chunk[CHUNK];
        ssize_t got = recv(fd, chunk, sizeof chunk, 0);
        if (got < 0 && errno == EAGAIN)
            fail("no answer");
        if (got <= 0 || !buffer_append(answer, chunk, (size_t)got, NULL))
            return 0;
        const char *text = buffer_text(answer), *end = strstr(text, "\r\n\r\n");
        const char *length = end ? strcasestr(text, length_name) : NULL;
        size_t body =
            length && length < end ? strtoul(length + sizeof length_name - 1, NULL, 10) : 0;
        if (!end || answer->len < (size_t)(end + 4 - text) + body)
            continue;
        const char *closes = strcasestr(text, "\r\nConnection: close");
        *keep = !closes || closes > end;
        long status = strtol(text + sizeof "HTTP/1.1", NULL, 10);
        return status > 0 && status < STATUSES ? (int)status : 0;
    }
}

static char *with_id(const struct request *request, int64_t number)
{
    char *text = xstrdup(request->text);
    char id[2 * ID_LEN];
    (void)snprintf(id, sizeof id, "%08x-%04d-4000-8000-%012" PRId64, (unsigned)traffic.port,
                   getpid() % 10000, number);
    for (char *at = text; (at = strstr(at, PLACEHOLDER)); at += ID_LEN)
        memcpy(at, id, ID_LEN);
    return text;
}

// Sends one; false: the connection is of no use any more.
static bool exchange(int fd, const struct request *request, int64_t number, struct buffer *answer)
{
    CLEANUP(free_ptr) char *text = with_id(request, number);
    size_t first = request->end == END_PAUSE ? request->len / 2 : request->len;
    bool sent = send_all(fd, text, first);
    if (request->end == END_PAUSE) {
        mono_sleep(PAUSE_MS);
        sent = sent && send_all(fd, text + first, request->len - first);
    }
    bool keep = false;
    if (request->end != END_CLOSE)
        atomic_fetch_add(&traffic.answered[receive(fd, answer, &keep)], 1);
    return sent && keep;
}

static void *talk(void *user)
{
    (void)user;
    CLEANUP(buffer_finish) struct buffer answer = {0};
    CLEANUP(close_fd) int fd = -1;
    for (int64_t number; (number = atomic_fetch_add(&traffic.next, 1)) < traffic.count;) {
        if (fd < 0)
            fd = open_connection();
        if (!exchange(fd, &traffic.requests[(size_t)number % traffic.request_count], number,
                      &answer))
            close_fd(&fd);
    }
    return NULL;
}

static enum end end_of(const json_t *entry)
{
    const char *word = json_text_at(entry, "end", NULL);
    return word && strcmp(word, "close") == 0   ? END_CLOSE
           : word && strcmp(word, "pause") == 0 ? END_PAUSE
                                                : END_ANSWER;
}

static void read_requests(const json_t *array)
{
    size_t i;
    json_t *entry;
    traffic.request_count = json_array_size(array);
    traffic.requests = xalloc((traffic.request_count + 1) * sizeof *traffic.requests);
    json_array_foreach(array, i, entry)
    {
        const char *text = json_text_at(entry, "send", NULL);
        if (!text)
            fail("an entry without \"send\"");
        traffic.requests[i] = (struct request){text, strlen(text), end_of(entry)};
    }
}

static void print_result(int64_t ms)
{
    CLEANUP(json_ptr) json_t *result = json_object();
    for (int status = 0; status < STATUSES; status++) {
        char word[8];
        (void)snprintf(word, sizeof word, "%d", status);
        if (traffic.answered[status])
            json_object_set_new(result, status ? word : "none",
                                json_integer(traffic.answered[status]));
    }
    json_object_set_new(result, "seconds", json_real((double)ms / 1000));
    CLEANUP(free_ptr) char *text = json_write(result);
    (void)printf("%s\n", text);
}

int main(int argc, char **argv)
{
    int64_t port, connections;
    if (argc != 5 || !text_to_int(argv[1], 1, 65535, &port) ||
        !text_to_int(argv[2], 1, CONNECTIONS_MAX, &connections) ||
        !text_to_int(argv[3], 1, 999999999, &traffic.count)) {
        (void)fputs("usage: traffic PORT CONNECTIONS COUNT FILE\n", stderr);
        return 2;
    }
    struct error err;
    CLEANUP(buffer_finish) struct buffer content = {0};
    CLEANUP(json_ptr) json_t *array = NULL;
    if (!file_read(argv[4], REQUESTS_MAX, &content, &err) ||
        !json_read(buffer_text(&content), content.len, REQUESTS_MAX, &array, &err)) {
        (void)fprintf(stderr, "traffic: %s\n", err.text);
        return 1;
    }
    traffic.port = (int)port;
    read_requests(array);
    struct mono_time began = mono_now();
    pthread_t threads[CONNECTIONS_MAX];
    for (int64_t i = 0; i < connections; i++)
        if (pthread_create(&threads[i], NULL, talk, NULL) != 0)
            fail("threads");
    for (int64_t i = 0; i < connections; i++)
        pthread_join(threads[i], NULL);
    print_result(mono_now().ms - began.ms);
    free(traffic.requests);
    return 0;
}
