// What systemd gives and wants: readiness, watchdog, listening sockets. Without systemd every call
// is a harmless no-op. Any thread.
#ifndef CRONWRIGHT_BASE_SYSTEMD_H
#define CRONWRIGHT_BASE_SYSTEMD_H

#include "agent/base/error.h"

#include <stdint.h>

void systemd_ready(void);
void systemd_stopping(void);
void systemd_reloading(void); // then systemd_ready() again
void systemd_status(const char *text);
void systemd_watchdog(void);       // "still alive"
int64_t systemd_watchdog_ms(void); // how often it must be told; 0: no watchdog
// The listening stream socket handed over by the socket unit under that name (FileDescriptorName=);
// -1: none. The same one at each call; the caller owns it.
int systemd_listener(const char *name);

#endif
