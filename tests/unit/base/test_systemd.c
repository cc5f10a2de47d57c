#include "agent/base/buffer.h"
#include "agent/base/clock.h"
#include "agent/base/systemd.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void test_without_systemd(void **state)
{
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("LISTEN_FDS");
    systemd_ready();
    systemd_stopping();
    systemd_status("text");
    systemd_watchdog();
    assert_int_equal(systemd_watchdog_ms(), 0);
    assert_int_equal(systemd_listener("webhooks"), -1);
}

static void assert_told(int fd, const char *text)
{
    char got[128] = "";
    assert_true(recv(fd, got, sizeof got - 1, MSG_DONTWAIT) > 0);
    assert_string_equal(got, text);
}

static void test_notifications(void **state)
{
    (void)state;
    CLEANUP(close_fd) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "/tmp/test_systemd.%d", getpid());
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    systemd_ready();
    assert_told(fd, "READY=1");
    systemd_status("two\nREADY=1"); // one line, whatever comes in
    assert_told(fd, "STATUS=two");
    systemd_watchdog();
    assert_told(fd, "WATCHDOG=1");
    char text[128];
    long long before = (long long)mono_now().ms * 1000, told;
    systemd_reloading();
    ssize_t len = recv(fd, text, sizeof text - 1, 0);
    assert_true(len > 0);
    text[len] = '\0';
    assert_int_equal(sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%lld", &told), 1);
    assert_true(told >= before);
    systemd_stopping();
    assert_told(fd, "STOPPING=1");
    unsetenv("NOTIFY_SOCKET");
    unlink(address.sun_path);
}

static void test_watchdog(void **state)
{
    (void)state;
    CLEANUP(free_ptr) char *pid = xasprintf("%d", getpid());
    setenv("WATCHDOG_PID", pid, 1);
    setenv("WATCHDOG_USEC", "30000000", 1);
    assert_int_equal(systemd_watchdog_ms(), 15000);
    setenv("WATCHDOG_USEC", "1", 1);
    assert_int_equal(systemd_watchdog_ms(), 1);
    setenv("WATCHDOG_PID", "1", 1); // meant for another process
    assert_int_equal(systemd_watchdog_ms(), 0);
    unsetenv("WATCHDOG_PID");
    unsetenv("WATCHDOG_USEC");
}

// In a child: the sockets come at fixed numbers.
static int check_listeners(void)
{
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int idle = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listening, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listening, 1) != 0)
        return 1;
    int kept[] = {fcntl(idle, F_DUPFD, 10), fcntl(listening, F_DUPFD, 10)};
    dup2(kept[0], 3);
    dup2(kept[1], 4);
    CLEANUP(free_ptr) char *pid = xasprintf("%d", getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "2", 1);
    setenv("LISTEN_FDNAMES", "admin:webhooks", 1);
    if (systemd_listener("webhooks") != 4 || systemd_listener("webhooks") != 4)
        return 2;
    if (systemd_listener("admin") != -1) // does not listen
        return 3;
    if (systemd_listener("metrics") != -1)
        return 4;
    if (!(fcntl(4, F_GETFD) & FD_CLOEXEC))
        return 5;
    setenv("LISTEN_PID", "1", 1); // meant for another process
    return systemd_listener("webhooks") == -1 ? 0 : 6;
}

static void test_listeners(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0)
        _exit(check_listeners());
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_systemd),
        cmocka_unit_test(test_notifications),
        cmocka_unit_test(test_watchdog),
        cmocka_unit_test(test_listeners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
