// A namespace of its own in the real cluster that KUBECONFIG names, and a TCP relay before its API
// server, whose connections can be cut. Without KUBECONFIG the program is skipped, loudly.
#ifndef CRONWRIGHT_TESTS_CLUSTER_H
#define CRONWRIGHT_TESTS_CLUSTER_H

#include "agent/base/crypto.h"
#include "agent/base/file.h"
#include "agent/base/yaml.h"
#include "deploy/kube/client.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SKIPPED            77 // the exit status that CTest takes for "skipped"
#define CLUSTER_TIMEOUT_MS 60000
#define RELAYS_MAX         256

static const struct kube_resource SERVICE_ACCOUNTS = {"/api/v1", "serviceaccounts"};

static struct {
    struct kube_client *client;
    struct http_loop *loop;
    char namespace_[32];
    char directory[64];
    const char *busybox; // an image with a shell
    // the relay
    char host[256];
    char port[8];
    int listener;
    pthread_t accepting;
    pthread_mutex_t mutex; // guards what follows
    int sockets[RELAYS_MAX];
    size_t count;
} cluster = {.mutex = PTHREAD_MUTEX_INITIALIZER, .listener = -1};

// --- checks ---

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        struct error err = {.code = ERR_NONE};                                                     \
        if (!(call))                                                                               \
            fail_msg("%s: %s", #call, err.text);                                                   \
    } while (0)

#define assert_fails(call, wanted)                                                                 \
    do {                                                                                           \
        struct error err = {.code = ERR_NONE};                                                     \
        if (call)                                                                                  \
            fail_msg("%s: succeeded", #call);                                                      \
        if (err.code != (wanted))                                                                  \
            fail_msg("%s: %s: %s", #call, error_word(err.code), err.text);                         \
    } while (0)

// Polls until `condition` holds.
#define await(condition)                                                                           \
    do {                                                                                           \
        struct mono_time deadline_ = mono_after(CLUSTER_TIMEOUT_MS);                               \
        while (!(condition)) {                                                                     \
            if (mono_past(deadline_))                                                              \
                fail_msg("in vain: %s", #condition);                                               \
            nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);                              \
        }                                                                                          \
    } while (0)

// --- the relay ---

static void relay_pump(int one, int two)
{
    struct pollfd ends[2] = {{.fd = one, .events = POLLIN}, {.fd = two, .events = POLLIN}};
    char bytes[16384];
    for (;;) {
        if (poll(ends, 2, -1) < 0)
            return;
        for (int i = 0; i < 2; i++) {
            if (!ends[i].revents)
                continue;
            ssize_t got = read(ends[i].fd, bytes, sizeof bytes);
            if (got <= 0)
                return;
            for (ssize_t sent = 0, part; sent < got; sent += part)
                if ((part = send(ends[1 - i].fd, bytes + sent, (size_t)(got - sent),
                                 MSG_NOSIGNAL)) <= 0)
                    return;
        }
    }
}

static int relay_connect(void)
{
    struct addrinfo *found = NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    if (getaddrinfo(cluster.host, cluster.port, &hints, &found) != 0)
        return -1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

static void *relay_serve(void *user)
{
    int near = (int)(intptr_t)user;
    int far = relay_connect();
    if (far >= 0)
        relay_pump(near, far);
    pthread_mutex_lock(&cluster.mutex);
    for (size_t i = 0; i < cluster.count; i++)
        if (cluster.sockets[i] == near)
            cluster.sockets[i] = cluster.sockets[--cluster.count];
    pthread_mutex_unlock(&cluster.mutex);
    close(near);
    if (far >= 0)
        close(far);
    return NULL;
}

static void *relay_accept(void *user)
{
    (void)user;
    for (int fd; (fd = accept4(cluster.listener, NULL, NULL, SOCK_CLOEXEC)) >= 0;) {
        pthread_t thread;
        pthread_mutex_lock(&cluster.mutex);
        cluster.sockets[cluster.count++] = fd;
        pthread_mutex_unlock(&cluster.mutex);
        pthread_create(&thread, NULL, relay_serve, (void *)(intptr_t)fd);
        pthread_detach(thread);
    }
    return NULL;
}

// Cuts every connection to the API server; returns how many there were.
static inline size_t relay_cut(void)
{
    pthread_mutex_lock(&cluster.mutex);
    size_t count = cluster.count;
    for (size_t i = 0; i < count; i++)
        shutdown(cluster.sockets[i], SHUT_RDWR);
    pthread_mutex_unlock(&cluster.mutex);
    return count;
}

static void relay_start(int *port)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    struct addrinfo *found = NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    assert_int_equal(getaddrinfo("127.0.0.1", "0", &hints, &found), 0);
    cluster.listener = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(cluster.listener, found->ai_addr, found->ai_addrlen), 0);
    freeaddrinfo(found);
    assert_int_equal(listen(cluster.listener, 64), 0);
    assert_int_equal(getsockname(cluster.listener, (struct sockaddr *)&address, &len), 0);
    char text[8];
    assert_int_equal(
        getnameinfo((struct sockaddr *)&address, len, NULL, 0, text, sizeof text, NI_NUMERICSERV),
        0);
    *port = atoi(text);
    pthread_create(&cluster.accepting, NULL, relay_accept, NULL);
}

// --- the namespace ---

// The caller's kubeconfig, going through the relay.
static void relay_kubeconfig(const char *path, int port, char out[static 128])
{
    struct yaml_document document;
    struct buffer text = {0};
    assert_ok(file_read(path, KUBECONFIG_MAX, &text, &err));
    assert_ok(yaml_read(text.data, text.len, KUBECONFIG_MAX, &document, &err));
    json_t *entry = json_array_get(json_object_get(document.root, "clusters"), 0);
    json_t *about = json_object_get(entry, "cluster");
    const char *server = json_text_at(about, "server", NULL);
    assert_int_equal(sscanf(server, "https://%255[^:/]:%7[0-9]", cluster.host, cluster.port), 2);
    char url[64];
    snprintf(url, sizeof url, "https://127.0.0.1:%d/", port);
    json_object_set_new(about, "tls-server-name", json_string(cluster.host));
    json_object_set_new(about, "server", json_string(url));
    CLEANUP(free_ptr) char *yaml = yaml_write(document.root);
    snprintf(out, 128, "%s/kubeconfig", cluster.directory);
    assert_ok(file_write(out, 0600, yaml, strlen(yaml), &err));
    yaml_finish(&document);
    buffer_finish(&text);
}

// POSTs an object (taken) and gives what the server made of it.
static inline json_t *cluster_create(const struct kube_resource *resource, const char *namespace_,
                                     json_t *object)
{
    struct kube_request request = {.method = "POST",
                                   .resource = resource,
                                   .namespace_ = namespace_,
                                   .body = object,
                                   .timeout_ms = CLUSTER_TIMEOUT_MS};
    struct kube_reply reply;
    assert_non_null(object);
    assert_ok(kube_request(cluster.client, &request, &reply, &err));
    json_decref(object);
    json_decref(reply.warnings);
    return reply.body;
}

static inline bool cluster_has(const struct kube_resource *resource, const char *name)
{
    struct kube_request request = {
        .resource = resource, .namespace_ = cluster.namespace_, .name = name};
    return kube_request(cluster.client, &request, NULL, NULL);
}

static int cluster_setup(void **state)
{
    (void)state;
    struct kube_access *access;
    char kubeconfig[128];
    int port;
    http_setup();
    uint32_t number;
    random_bytes(&number, sizeof number);
    snprintf(cluster.namespace_, sizeof cluster.namespace_, "kube-test-%08x", number);
    snprintf(cluster.directory, sizeof cluster.directory, "/tmp/cronwright-%s", cluster.namespace_);
    assert_ok(directory_make(cluster.directory, &err));
    relay_start(&port);
    relay_kubeconfig(getenv("KUBECONFIG"), port, kubeconfig);
    assert_ok(kube_access_from_file(kubeconfig, NULL, &access, &err));
    cluster.client = kube_client_create(access);
    cluster.loop = http_loop_create();
    cluster.busybox = getenv("BUSYBOX_IMAGE");
    json_decref(cluster_create(&KUBE_NAMESPACES, NULL,
                               json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind",
                                         "Namespace", "metadata", "name", cluster.namespace_)));
    await(cluster_has(&SERVICE_ACCOUNTS, "default")); // no pod can be made before
    return 0;
}

static int cluster_teardown(void **state)
{
    (void)state;
    assert_ok(kube_delete(cluster.client, &KUBE_NAMESPACES, NULL, cluster.namespace_, NULL,
                          KUBE_BACKGROUND, &err));
    http_loop_destroy(cluster.loop);
    kube_client_destroy(cluster.client);
    shutdown(cluster.listener, SHUT_RDWR);
    pthread_join(cluster.accepting, NULL);
    close(cluster.listener);
    relay_cut();
    await(relay_cut() == 0);
    assert_ok(directory_remove(cluster.directory, &err));
    return 0;
}

// For main(): runs the tests in one namespace.
#define cluster_run(tests)                                                                         \
    (getenv("KUBECONFIG") ? cmocka_run_group_tests(tests, cluster_setup, cluster_teardown)         \
                          : (fprintf(stderr, "SKIPPED: KUBECONFIG is not set; this test needs a "  \
                                             "real Kubernetes (tests/cluster/up)\n"),              \
                             SKIPPED))

#endif
