#include "agent/connections.h"

#include "agent/base/buffer.h"
#include "agent/base/threads.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

struct lingering {
    int fd;
    struct mono_time deadline;
};

struct connections {
    pthread_t thread;
    int wake_fd; // eventfd: look at the lists again
    void (*late)(void *user, struct connection *connection);
    void *user;

    pthread_mutex_t lock; // guards what follows; no other lock is taken under it
    pthread_cond_t none;  // the last one has gone
    struct connection *first;
    struct lingering lingering[CONNECTIONS_LINGER_MAX];
    size_t lingering_count;
    bool in_hurry;
    struct connections_hurry hurry; // when in one
    struct mono_time next;          // when the thread looks by itself
    bool ending;
};

static void wake(struct connections *connections)
{
    uint64_t one = 1;
    if (write(connections->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        abort();
}

// The thread sleeps until the first deadline it knew of; most new ones are later than that.
static void expect(struct connections *connections, struct mono_time deadline)
{
    if (deadline.ms >= connections->next.ms)
        return;
    connections->next = deadline;
    wake(connections);
}

// --- the thread ---

static void sooner(struct connections *connections, struct mono_time deadline)
{
    if (deadline.ms < connections->next.ms)
        connections->next = deadline;
}

static void shut_down_late(struct connections *connections)
{
    for (struct connection *each = connections->first; each; each = each->next) {
        if (mono_past(each->deadline)) {
            bool known = each->late;
            each->late = true; // before it is told: its client may close at once
            if (each->state == CONNECTION_RECEIVING && !known)
                connections->late(connections->user, each);
            shutdown(each->fd, SHUT_RDWR); // the server's own thread sees it and closes
            each->deadline.ms = INT64_MAX;
        }
        sooner(connections, each->deadline);
    }
}

// Throws away what has come, at most so much at a time. True when the client has closed.
static bool client_is_done(int fd)
{
    char scratch[16 << 10];
    ssize_t len = 1;
    for (int i = 0; i < 16 && len > 0; i++)
        len = recv(fd, scratch, sizeof scratch, MSG_DONTWAIT);
    return len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR);
}

static void end_lingering(struct connections *connections)
{
    size_t kept = 0;
    for (size_t i = 0; i < connections->lingering_count; i++) {
        struct lingering each = connections->lingering[i];
        if (client_is_done(each.fd) || mono_past(each.deadline)) {
            close(each.fd);
            continue;
        }
        sooner(connections, each.deadline);
        connections->lingering[kept++] = each;
    }
    connections->lingering_count = kept;
}

static nfds_t fill_poll(const struct connections *connections, struct pollfd *fds)
{
    fds[0] = (struct pollfd){.fd = connections->wake_fd, .events = POLLIN};
    for (size_t i = 0; i < connections->lingering_count; i++)
        fds[i + 1] = (struct pollfd){.fd = connections->lingering[i].fd, .events = POLLIN};
    return 1 + connections->lingering_count;
}

static int poll_timeout(struct mono_time next)
{
    int64_t left = mono_left(next);
    return next.ms == INT64_MAX ? -1 : left < 60000 ? (int)left : 60000;
}

static void *watch(void *arg)
{
    struct connections *connections = arg;
    struct pollfd fds[1 + CONNECTIONS_LINGER_MAX];
    pthread_mutex_lock(&connections->lock);
    while (!connections->ending) {
        connections->next.ms = INT64_MAX;
        shut_down_late(connections);
        end_lingering(connections);
        nfds_t count = fill_poll(connections, fds);
        int timeout = poll_timeout(connections->next);
        pthread_mutex_unlock(&connections->lock);
        poll(fds, count, timeout);
        uint64_t times;
        ssize_t got = read(connections->wake_fd, &times, sizeof times);
        (void)got; // empty is fine
        pthread_mutex_lock(&connections->lock);
    }
    pthread_mutex_unlock(&connections->lock);
    return NULL;
}

// --- from the server ---

struct connections *connections_create(void (*late)(void *user, struct connection *connection),
                                       void *user)
{
    struct connections *connections = xalloc(sizeof *connections);
    connections->late = late;
    connections->user = user;
    connections->next.ms = INT64_MAX;
    connections->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&connections->lock, NULL);
    condition_init(&connections->none);
    if (connections->wake_fd < 0)
        abort();
    thread_start(&connections->thread, "connections", watch, connections);
    return connections;
}

void connections_destroy(struct connections *connections)
{
    if (!connections)
        return;
    pthread_mutex_lock(&connections->lock);
    connections->ending = true;
    wake(connections);
    pthread_mutex_unlock(&connections->lock);
    pthread_join(connections->thread, NULL);
    for (size_t i = 0; i < connections->lingering_count; i++)
        close(connections->lingering[i].fd);
    close(connections->wake_fd);
    pthread_cond_destroy(&connections->none);
    pthread_mutex_destroy(&connections->lock);
    free(connections);
}

static struct mono_time hurried(const struct connections_hurry *hurry, enum connection_state state)
{
    switch (state) {
    case CONNECTION_NEW:
        return mono_after(hurry->new_ms);
    case CONNECTION_IDLE:
        return mono_after(hurry->idle_ms);
    case CONNECTION_RECEIVING:
        return hurry->receiving;
    case CONNECTION_ANSWERING:
        break;
    }
    return (struct mono_time){INT64_MAX};
}

// Under the lock.
static void set_deadline(struct connections *connections, struct connection *connection,
                         struct mono_time deadline)
{
    if (connections->in_hurry) {
        struct mono_time sooner = hurried(&connections->hurry, connection->state);
        if (sooner.ms < deadline.ms)
            deadline = sooner;
    }
    connection->deadline = deadline;
    expect(connections, deadline);
}

void connection_opened(struct connections *connections, struct connection *connection, int fd,
                       struct mono_time deadline)
{
    pthread_mutex_lock(&connections->lock);
    *connection = (struct connection){.fd = fd, .next = connections->first};
    if (connection->next)
        connection->next->previous = connection;
    connections->first = connection;
    set_deadline(connections, connection, deadline);
    pthread_mutex_unlock(&connections->lock);
}

void connection_set(struct connections *connections, struct connection *connection,
                    enum connection_state state, struct mono_time deadline)
{
    pthread_mutex_lock(&connections->lock);
    connection->state = state;
    set_deadline(connections, connection, deadline);
    pthread_mutex_unlock(&connections->lock);
}

static void let_linger(struct connections *connections, int fd)
{
    if (connections->lingering_count == CONNECTIONS_LINGER_MAX)
        return;
    int kept = fcntl(fd, F_DUPFD_CLOEXEC, 0); // its owner closes the other one
    if (kept < 0)
        return;
    shutdown(kept, SHUT_WR);
    connections->lingering[connections->lingering_count++] =
        (struct lingering){kept, mono_after(CONNECTIONS_LINGER_MS)};
    wake(connections);
}

void connection_closed(struct connections *connections, struct connection *connection, bool linger)
{
    pthread_mutex_lock(&connections->lock);
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        connections->first = connection->next;
    if (connection->next)
        connection->next->previous = connection->previous;
    if (linger)
        let_linger(connections, connection->fd);
    if (!connections->first)
        pthread_cond_broadcast(&connections->none);
    pthread_mutex_unlock(&connections->lock);
}

void connections_hurry(struct connections *connections, const struct connections_hurry *hurry)
{
    pthread_mutex_lock(&connections->lock);
    connections->in_hurry = true;
    connections->hurry = *hurry;
    for (struct connection *each = connections->first; each; each = each->next)
        set_deadline(connections, each, each->deadline);
    pthread_mutex_unlock(&connections->lock);
}

size_t connections_count(struct connections *connections)
{
    size_t count = 0;
    pthread_mutex_lock(&connections->lock);
    for (const struct connection *each = connections->first; each; each = each->next)
        count++;
    pthread_mutex_unlock(&connections->lock);
    return count;
}

bool connections_await_none(struct connections *connections, struct mono_time deadline)
{
    pthread_mutex_lock(&connections->lock);
    while (connections->first && condition_wait(&connections->none, &connections->lock, deadline))
        ;
    bool none = !connections->first;
    pthread_mutex_unlock(&connections->lock);
    return none;
}
