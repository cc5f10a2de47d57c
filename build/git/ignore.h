// .dockerignore: which files may be left out of the context. Kaniko applies the same file itself,
// so that what is kept in doubt does no harm.
#ifndef CRONWRIGHT_BUILD_GIT_IGNORE_H
#define CRONWRIGHT_BUILD_GIT_IGNORE_H

#include "agent/base/error.h"

#include <stddef.h>

#define IGNORE_FILE_MAX     ((size_t)64 << 10) // bytes; a longer one leaves out nothing
#define IGNORE_PATTERNS_MAX 256                // more of them leave out nothing

struct ignore;

// `dockerfile` is kept whatever the patterns say, and so are the .dockerignore files themselves.
struct ignore *ignore_read(const char *bytes, size_t len, const char *dockerfile);
// Whether Kaniko leaves this file out, for certain. NULL leaves out nothing.
bool ignore_matches(const struct ignore *ignore, const char *path);
void ignore_free(struct ignore *ignore); // NULL is fine

#endif
