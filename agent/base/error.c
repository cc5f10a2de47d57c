#include "agent/base/error.h"
#include "agent/base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *word;
    int http_status;
    int exit_status;
    bool transient;
} codes[ERR_CODE_COUNT] = {
    [ERR_NONE] = {"none", 200, 0, false},
    [ERR_INVALID] = {"invalid", 400, 2, false},
    [ERR_UNAUTHORIZED] = {"unauthorized", 401, 1, false},
    [ERR_FORBIDDEN] = {"forbidden", 403, 1, false},
    [ERR_NOT_FOUND] = {"not-found", 404, 1, false},
    [ERR_CONFLICT] = {"conflict", 409, 1, true},
    [ERR_TOO_LARGE] = {"too-large", 413, 1, false},
    [ERR_UNSUPPORTED] = {"unsupported", 501, 1, false},
    [ERR_TIMEOUT] = {"timeout", 504, 1, true},
    [ERR_UNAVAILABLE] = {"unavailable", 503, 1, true},
    [ERR_CANCELLED] = {"cancelled", 503, 1, true},
    [ERR_IO] = {"io", 500, 1, true},
    [ERR_PROTOCOL] = {"protocol", 502, 1, true},
    [ERR_INTERNAL] = {"internal", 500, 1, false},
};

// Formats into the text and gives its length, which is less than ERROR_TEXT_MAX.
static size_t PRINTF_LIKE(2, 0) write_text(struct error *err, const char *fmt, va_list args)
{
    int used = vsnprintf(err->text, sizeof err->text, fmt, args);
    if (used < 0)
        used = 0;
    if ((size_t)used < sizeof err->text)
        return (size_t)used;
    size_t kept = text_cut(err->text, sizeof err->text - 1);
    err->text[kept] = '\0';
    return kept;
}

// ": " and `more`, as far as there is room.
static void append(struct error *err, size_t used, const char *more)
{
    if (used + 2 >= sizeof err->text)
        return;
    text_copy(err->text + used, 3, ": ");
    text_copy(err->text + used + 2, sizeof err->text - used - 2, more);
}

bool error_set(struct error *err, enum error_code code, const char *fmt, ...)
{
    if (!err)
        return false;
    va_list args;
    va_start(args, fmt);
    err->code = code;
    write_text(err, fmt, args);
    va_end(args);
    return false;
}

bool error_errno(struct error *err, enum error_code code, int errnum, const char *fmt, ...)
{
    if (!err)
        return false;
    va_list args;
    va_start(args, fmt);
    err->code = code;
    size_t used = write_text(err, fmt, args);
    va_end(args);
    char reason[128];
    append(err, used, strerror_r(errnum, reason, sizeof reason));
    return false;
}

bool error_wrap(struct error *err, const char *fmt, ...)
{
    if (!err)
        return false;
    char inner[ERROR_TEXT_MAX];
    memcpy(inner, err->text, sizeof inner);
    va_list args;
    va_start(args, fmt);
    size_t used = write_text(err, fmt, args);
    va_end(args);
    append(err, used, inner);
    return false;
}

int error_http_status(enum error_code code)
{
    return codes[code].http_status;
}

int error_exit_status(enum error_code code)
{
    return codes[code].exit_status;
}

const char *error_word(enum error_code code)
{
    return codes[code].word;
}

bool error_is_transient(enum error_code code)
{
    return codes[code].transient;
}
