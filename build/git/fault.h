// Why an operation failed, as the agent will be told: one of protocol.h's words and a text.
#ifndef CRONWRIGHT_BUILD_GIT_FAULT_H
#define CRONWRIGHT_BUILD_GIT_FAULT_H

#include "agent/base/error.h"

struct fault {
    const char *word;          // GIT_ERROR_WORD_…
    bool damaged;              // the mirror is to blame: making it anew may help
    char text[ERROR_TEXT_MAX]; //
};

// All return false, so that a function can end in them.
bool fault_set(struct fault *fault, const char *word, const char *fmt, ...) PRINTF_LIKE(3, 4);
bool fault_from(struct fault *fault, const char *word, const struct error *err);

// "<text>: <libgit2's own words>", after a call that touched objects or files of the mirror.
// Everything but a lack of memory or disk space counts as damage.
bool fault_mirror(struct fault *fault, const char *fmt, ...) PRINTF_LIKE(2, 3);

// libgit2's words for the last error of this thread, never NULL.
const char *fault_libgit2_text(void);

#endif
