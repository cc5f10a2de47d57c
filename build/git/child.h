// What cronwright-git does with one request; see protocol.h.
#ifndef CRONWRIGHT_BUILD_GIT_CHILD_H
#define CRONWRIGHT_BUILD_GIT_CHILD_H

#include <stdbool.h>
#include <stddef.h>

// Answers on `out` and returns the exit status. `allow_local` is for tests: see request.h. libgit2
// must have been set up by limits_set_libgit2().
int git_child_run(const char *request, size_t len, bool allow_local, int out);

#endif
