// An HTTP server that gives scripted answers, one to a connection, for what a real API server
// cannot be made to say. It understands nothing of Kubernetes.
#ifndef CRONWRIGHT_TESTS_SCRIPTED_H
#define CRONWRIGHT_TESTS_SCRIPTED_H

#include "agent/base/file.h"
#include "deploy/kube/client.h"

#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SCRIPT_MAX      32
#define AWAIT_MS        20000
#define ANSWER(s, more) "HTTP/1.1 " s "\r\nConnection: close\r\n" more "\r\n\r\n"
#define FILLER          "                                                                "
#define OK              ANSWER("200 OK", "X-A: b")

struct step {
    const char *path;   // a part of the request's first line; NULL: any
    const char *answer; // bytes; the connection is closed after them
    size_t filler;      // so many blanks more
    bool hold;          // not closed before the client goes
};
#define STEP(part, text)                                                                           \
    {                                                                                              \
        .path = (part), .answer = (text)                                                           \
    }
#define HOLD(part, text)                                                                           \
    {                                                                                              \
        .path = (part), .answer = (text), .hold = true                                             \
    }

static struct {
    int listener;
    int port;
    pthread_t thread;
    pthread_mutex_t mutex; // guards what follows
    const struct step *script;
    size_t count;
    size_t next;                     // step
    char requests[SCRIPT_MAX][8192]; // heads, as they came
    char directory[64];
} scripted = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static bool scripted_send(int fd, const char *text)
{
    for (size_t len = text ? strlen(text) : 0; len > 0;) {
        ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        text += sent;
        len -= (size_t)sent;
    }
    return true;
}

static void scripted_answer(int fd)
{
    char head[8192] = "";
    size_t len = 0;
    while (!strstr(head, "\r\n\r\n") && len < sizeof head - 1) {
        ssize_t got = recv(fd, head + len, sizeof head - 1 - len, 0);
        if (got <= 0)
            return;
        len += (size_t)got;
        head[len] = '\0';
    }
    pthread_mutex_lock(&scripted.mutex);
    struct step step = {.answer = ANSWER("500 Internal Server Error", "X-Script: over")};
    if (scripted.next < scripted.count) {
        step = scripted.script[scripted.next];
        memcpy(scripted.requests[scripted.next++], head, sizeof head);
    }
    pthread_mutex_unlock(&scripted.mutex);
    head[strcspn(head, "\r")] = '\0';
    if (step.path && !strstr(head, step.path)) {
        fprintf(stderr, "request %s instead of %s\n", head, step.path);
        step = (struct step){.answer = ANSWER("500 Internal Server Error", "X-Script: wrong")};
    }
    char byte;
    bool sent = scripted_send(fd, step.answer);
    for (size_t i = 0; sent && i < step.filler; i += sizeof FILLER - 1)
        sent = scripted_send(fd, FILLER);
    if (sent && step.hold)
        while (recv(fd, &byte, 1, 0) > 0)
            ;
}

static void *scripted_serve(void *user)
{
    (void)user;
    for (int fd; (fd = accept4(scripted.listener, NULL, NULL, SOCK_CLOEXEC)) >= 0;) {
        scripted_answer(fd);
        shutdown(fd, SHUT_WR);
        char rest[256];
        while (recv(fd, rest, sizeof rest, 0) > 0) // else a reset might overtake the answer
            ;
        close(fd);
    }
    return NULL;
}

// What comes next. Call it while nothing is asked.
static inline void play(const struct step *script, size_t count)
{
    pthread_mutex_lock(&scripted.mutex);
    scripted.script = script;
    scripted.count = count;
    scripted.next = 0;
    memset(scripted.requests, 0, sizeof scripted.requests);
    pthread_mutex_unlock(&scripted.mutex);
}

static inline size_t played(void)
{
    pthread_mutex_lock(&scripted.mutex);
    size_t next = scripted.next;
    pthread_mutex_unlock(&scripted.mutex);
    return next;
}

#define await(condition)                                                                           \
    do {                                                                                           \
        struct mono_time deadline_ = mono_after(AWAIT_MS);                                         \
        while (!(condition)) {                                                                     \
            if (mono_past(deadline_))                                                              \
                fail_msg("in vain: %s", #condition);                                               \
            nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);                               \
        }                                                                                          \
    } while (0)

// A client of the server. `user`: YAML of a kubeconfig's user.
static inline struct kube_client *scripted_client(const char *user)
{
    struct error err;
    struct kube_access *access = NULL;
    CLEANUP(free_ptr) char *path = xasprintf("%s/config", scripted.directory);
    CLEANUP(free_ptr)
    char *text = xasprintf("clusters: [{name: c, cluster: {server: 'http://127.0.0.1:%d'}}]\n"
                           "users: [{name: u, user: %s}]\n"
                           "contexts: [{name: x, context: {cluster: c, user: u}}]\n"
                           "current-context: x\n",
                           scripted.port, user);
    if (!file_write(path, 0600, text, strlen(text), &err) ||
        !kube_access_from_file(path, NULL, &access, &err))
        fail_msg("%s", err.text);
    return kube_client_create(access);
}

static inline int scripted_setup(void **state)
{
    (void)state;
    struct addrinfo *found = NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    char port[8];
    http_setup();
    snprintf(scripted.directory, sizeof scripted.directory, "/tmp/cronwright-scripted-XXXXXX");
    if (!mkdtemp(scripted.directory) || getaddrinfo("127.0.0.1", "0", &hints, &found) != 0)
        return -1;
    scripted.listener = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int bound = bind(scripted.listener, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    if (bound != 0 || listen(scripted.listener, 16) != 0 ||
        getsockname(scripted.listener, (struct sockaddr *)&address, &len) != 0 ||
        getnameinfo((struct sockaddr *)&address, len, NULL, 0, port, sizeof port, NI_NUMERICSERV) !=
            0)
        return -1;
    scripted.port = atoi(port);
    return pthread_create(&scripted.thread, NULL, scripted_serve, NULL);
}

static inline int scripted_teardown(void **state)
{
    (void)state;
    shutdown(scripted.listener, SHUT_RDWR);
    pthread_join(scripted.thread, NULL);
    close(scripted.listener);
    return directory_remove(scripted.directory, NULL) ? 0 : -1;
}

#endif
