// Connections that are late: what is known of one when it is told so.
#include "agent/connections.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE 10000

static atomic_int told, known;

static void on_late(void *user, struct connection *connection)
{
    (void)user;
    known += connection->late;
    told++;
}

static bool is_shut_down(int fd)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLRDHUP};
    return poll(&pollfd, 1, PATIENCE) == 1 && (pollfd.revents & POLLRDHUP);
}

// Its client may close as soon as it is told, and what is reported then goes by that.
static void test_it_is_known_to_be_late_when_it_is_told(void **state)
{
    (void)state;
    int ends[2];
    struct connection connection;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    struct connections *connections = connections_create(on_late, NULL);
    connection_opened(connections, &connection, ends[0], mono_after(PATIENCE));
    connection_set(connections, &connection, CONNECTION_RECEIVING, mono_after(1));
    assert_true(is_shut_down(ends[1]));
    assert_int_equal(told, 1);
    assert_int_equal(known, 1);
    connection_closed(connections, &connection, false);
    connections_destroy(connections);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_known_to_be_late_when_it_is_told)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
