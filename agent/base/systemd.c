#include "agent/base/systemd.h"
#include "agent/base/buffer.h"
#include "agent/base/clock.h"

#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

// A lost notification is no error: systemd finds out by its own timeouts.
static void notify(const char *state)
{
    sd_notify(0, state);
}

void systemd_ready(void)
{
    notify("READY=1");
}

// With the time, as Type=notify-reload asks for: what was said before it does not count.
void systemd_reloading(void)
{
    CLEANUP(free_ptr)
    char *state = xasprintf("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)mono_now().ms * 1000);
    notify(state);
}

void systemd_stopping(void)
{
    notify("STOPPING=1");
}

void systemd_status(const char *text)
{
    CLEANUP(free_ptr) char *state = xasprintf("STATUS=%.*s", (int)strcspn(text, "\n"), text);
    notify(state);
}

void systemd_watchdog(void)
{
    notify("WATCHDOG=1");
}

int64_t systemd_watchdog_ms(void)
{
    uint64_t limit_us;
    if (sd_watchdog_enabled(0, &limit_us) <= 0)
        return 0;
    int64_t half_ms =
        (int64_t)(limit_us / 2000); // half the limit, as sd_watchdog_enabled(3) advises
    return half_ms > 0 ? half_ms : 1;
}

int systemd_listener(const char *name)
{
    char **names = NULL;
    int count = sd_listen_fds_with_names(0, &names);
    int found = -1;
    for (int i = 0; i < count; i++) {
        int fd = SD_LISTEN_FDS_START + i;
        if (found < 0 && strcmp(names[i], name) == 0 &&
            sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) > 0)
            found = fd;
        free(names[i]);
    }
    free(names);
    return found;
}
