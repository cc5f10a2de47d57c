// Host keys of SSH servers against the text of a known_hosts file: libssh2's reading of it.
#ifndef CRONWRIGHT_BUILD_GIT_HOSTKEY_H
#define CRONWRIGHT_BUILD_GIT_HOSTKEY_H

#include "build/git/fault.h"

// True when the text has this very key for the host and port. Else the fault names the host, the
// key's fingerprint as ssh prints it, and whether the host is unknown or has another key.
bool hostkey_check(const char *known_hosts, const char *host, int port, const void *key, size_t len,
                   struct fault *fault);

// Lets libgit2 find the text as the known_hosts of its user, since it asks servers for a kind of
// key that is listed there. Written below `directory` when it is not there yet.
bool hostkey_prefer(const char *known_hosts, const char *directory, struct fault *fault);

#endif
