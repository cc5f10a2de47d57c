#include "build/git/fault.h"

#include "agent/base/text.h"
#include "build/git/protocol.h"

#include <errno.h>
#include <git2.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void __attribute__((format(printf, 3, 0)))
set(struct fault *fault, const char *word, const char *fmt, va_list args)
{
    fault->word = word;
    fault->damaged = false;
    vsnprintf(fault->text, sizeof fault->text, fmt, args);
}

bool fault_set(struct fault *fault, const char *word, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    set(fault, word, fmt, args);
    va_end(args);
    return false;
}

bool fault_from(struct fault *fault, const char *word, const struct error *err)
{
    return fault_set(fault, word, "%s", err->text);
}

const char *fault_libgit2_text(void)
{
    const git_error *last = git_error_last();
    return last && last->message ? last->message : "no reason given";
}

// libgit2 ends its text with the system's own words, which outlive errno.
static bool tells_of(const git_error *error, int errnum)
{
    return error && error->klass == GIT_ERROR_OS && error->message &&
           strstr(error->message, strerror(errnum));
}

bool fault_mirror(struct fault *fault, const char *fmt, ...)
{
    const git_error *last = git_error_last();
    bool full = tells_of(last, ENOSPC) || tells_of(last, EDQUOT);
    bool no_room = full || tells_of(last, EFBIG);
    bool no_memory = last && last->klass == GIT_ERROR_NOMEMORY;
    char reason[256];
    text_copy(reason, sizeof reason, fault_libgit2_text());
    va_list args;
    va_start(args, fmt);
    set(fault, GIT_ERROR_WORD_IO, fmt, args);
    va_end(args);
    size_t used = strlen(fault->text);
    snprintf(fault->text + used, sizeof fault->text - used, ": %s%s",
             full ? "the disk is full: " : "", reason);
    fault->damaged = !no_memory && !no_room;
    return false;
}
