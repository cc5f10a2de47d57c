// What this process may do, set before it looks at anything foreign.
#ifndef CRONWRIGHT_BUILD_GIT_LIMITS_H
#define CRONWRIGHT_BUILD_GIT_LIMITS_H

#include "build/git/fault.h"
#include "build/git/request.h"

// The process: address space, file size, CPU time, no core dump, no new privileges, umask 077, dies
// with its parent. Call first in main.
void limits_set_process(void);

// libgit2: no configuration but ours, owner validation, bounded windows and caches. Call once,
// after limits_set_process(); also needed by tests.
bool limits_set_libgit2(struct fault *fault);

// From the request: its deadline (then a "timeout" line is written to `fd` and the process ends
// with status 1) and its CA file.
bool limits_set_request(const struct git_request *request, int fd, struct fault *fault);

// While a remote's refs are read: memory for as many as any sensible repository has, since a remote
// may list them without end. Not under sanitizers, which need more for themselves.
#define LIMITS_REFS_BYTES ((int64_t)256 << 20)
void limits_set_listing(bool listing);

// From here on a crash within the mirror at `path` is answered for: libgit2 maps its packs, and
// both a full disk and a damaged pack show as a signal. The answer is an "io" line, and
// BARE_DAMAGED is left in a mirror that is to be made anew.
void limits_watch_mirror(const char *path);

#endif
