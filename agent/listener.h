// Makes listening sockets.
#ifndef CRONWRIGHT_LISTENER_H
#define CRONWRIGHT_LISTENER_H

#include "agent/base/error.h"

#include <stdint.h>

struct listener {
    int fd;           // non-blocking, close-on-exec
    bool handed_over; // by systemd, which keeps it open
    char *address;    // "127.0.0.1:34567", "[::1]:34567", "unix:/path"
    char *made_path;  // a socket file to remove at the end; NULL: none
};

// The first of `fd` (≥ 0: from systemd), `unix_path` and `host` with `port` that is given; a host
// of NULL or "" means all addresses, port 0 any free one. A host name listens on its first address
// that can be used. A socket file that nobody listens on any more is replaced. ERR_INVALID: no such
// address, not a listening socket; ERR_CONFLICT: taken; ERR_IO.
bool listener_open(int fd, const char *unix_path, const char *host, uint16_t port,
                   struct listener *out, struct error *err) MUST_CHECK;
// Removes the socket file and frees the texts; `fd` is closed unless it is -1.
void listener_finish(struct listener *listener);

#endif
