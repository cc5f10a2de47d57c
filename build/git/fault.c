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

bool fault_mirror(struct fault *fault, const char *fmt, ...)
{
    const git_error *last = git_error_last();
    int why = errno;
    bool no_room = why == ENOSPC || why == EDQUOT || why == EFBIG;
    bool no_memory = last && last->klass == GIT_ERROR_NOMEMORY;
    char reason[256];
    text_copy(reason, sizeof reason, fault_libgit2_text());
    va_list args;
    va_start(args, fmt);
    set(fault, GIT_ERROR_WORD_IO, fmt, args);
    va_end(args);
    size_t used = strlen(fault->text);
    snprintf(fault->text + used, sizeof fault->text - used, ": %s%s",
             last && last->klass == GIT_ERROR_OS && why == ENOSPC ? "the disk is full: " : "",
             reason);
    fault->damaged = !no_memory && !(last && last->klass == GIT_ERROR_OS && no_room);
    return false;
}
