// One error value for the whole program: a code decides, the text explains.
//
// Fallible functions return bool and take `struct error *err` last. Each layer that knows more adds
// its context once with error_wrap(), so that a message reads from the outside in:
// "patch cronjob reports/nightly: 409 Conflict: image changed meanwhile".
#ifndef CRONWRIGHT_BASE_ERROR_H
#define CRONWRIGHT_BASE_ERROR_H

#include <stdbool.h>
#include <stdlib.h>

#define ERROR_TEXT_MAX 768

#define MUST_CHECK          __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, a) __attribute__((format(printf, fmt, a)))

enum error_code {
    ERR_NONE,
    ERR_INVALID,      // the input is wrong; the same input will be wrong again
    ERR_UNAUTHORIZED, // no or wrong credentials
    ERR_FORBIDDEN,    // known, but not allowed
    ERR_NOT_FOUND,    //
    ERR_CONFLICT,     // somebody else changed it, or it exists already: read again and decide again
    ERR_TOO_LARGE,    // a named cap was met
    ERR_UNSUPPORTED,  // understood, but not done here
    ERR_TIMEOUT,      // a deadline passed
    ERR_UNAVAILABLE,  // the other side cannot be reached or is busy: later may help
    ERR_CANCELLED,    // we stopped it ourselves
    ERR_IO,           // this machine: disk, file, process
    ERR_PROTOCOL,     // the other side answered what it should not
    ERR_INTERNAL,     // a bug here
    ERR_CODE_COUNT,
};

struct error {
    enum error_code code;
    char text[ERROR_TEXT_MAX];
};

// Sets code and text (cut at ERROR_TEXT_MAX - 1 bytes, between characters). Always returns false,
// so that a function can end in `return error_set(err, …)`. `err` may be NULL.
bool error_set(struct error *err, enum error_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);

// Like error_set(), adding ": " and strerror(errnum) to the text.
bool error_errno(struct error *err, enum error_code code, int errnum, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

// Puts "<context>: " before the present text; the code stays. Always returns false.
bool error_wrap(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

// The one table: how a code appears to the outside.
int error_http_status(enum error_code code);   // 400, 401, 403, 404, 409, 413, 501, 504, 503, …
int error_exit_status(enum error_code code);   // 2 for ERR_INVALID (wrong usage), else 1
const char *error_word(enum error_code code);  // "invalid", "not-found", …: for logs and JSON
bool error_is_transient(enum error_code code); // whether trying again later may help

#endif
