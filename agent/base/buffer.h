// A growable byte buffer with a cap, and scope cleanup.
#ifndef CRONWRIGHT_BASE_BUFFER_H
#define CRONWRIGHT_BASE_BUFFER_H

#include "agent/base/error.h"

#include <stdarg.h>
#include <stddef.h>

struct buffer {
    char *data;  // always NUL-terminated once anything was appended; else NULL
    size_t len;  // bytes, without the NUL
    size_t room; // bytes allocated
    size_t cap;  // most bytes ever held; 0 means BUFFER_CAP_DEFAULT
};

#define BUFFER_CAP_DEFAULT ((size_t)64 << 20)

// Appends; grows by what arrived (doubling), never beyond the cap: then ERR_TOO_LARGE and
// unchanged. ERR_UNAVAILABLE, likewise: there is no memory for it now.
bool buffer_append(struct buffer *buf, const void *bytes, size_t len, struct error *err) MUST_CHECK;
bool buffer_printf(struct buffer *buf, struct error *err, const char *fmt, ...)
    PRINTF_LIKE(3, 4) MUST_CHECK;
void buffer_clear(struct buffer *buf);  // keeps the allocation
void buffer_finish(struct buffer *buf); // frees, leaves an empty buffer with the same cap
void buffer_wipe(struct buffer *buf);   // overwrites, then frees: for secrets

// The text, never NULL.
static inline const char *buffer_text(const struct buffer *buf)
{
    return buf->data ? buf->data : "";
}

// --- small allocations: these abort on failure ---
void *xalloc(size_t size) __attribute__((malloc, returns_nonnull)); // zeroed
void *xrealloc(void *old, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *text, size_t len) __attribute__((malloc, returns_nonnull));
char *xvasprintf(const char *fmt, va_list args) PRINTF_LIKE(1, 0)
    __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *fmt, ...) PRINTF_LIKE(1, 2) __attribute__((malloc, returns_nonnull));
void secret_free(char *secret); // wipes a NUL-terminated secret, then frees it; NULL is fine

// --- scope cleanup: `CLEANUP(free_ptr) char *name = …;` and TAKE(name) to hand it on ---
#define CLEANUP(function) __attribute__((cleanup(function), unused)) // unused: clang asks for it
#define TAKE(pointer)                                                                              \
    ({                                                                                             \
        __typeof__(pointer) taken_ = (pointer);                                                    \
        (pointer) = NULL;                                                                          \
        taken_;                                                                                    \
    })

static inline void free_ptr(void *pointer)
{
    free(*(void **)pointer);
}
void close_fd(int *fd); // closes when >= 0
void secret_ptr(char **secret);

#endif
