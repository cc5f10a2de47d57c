#include "agent/base/buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ROOM_FIRST 256

static bool reserve(struct buffer *buf, size_t more, struct error *err)
{
    size_t cap = buf->cap ? buf->cap : BUFFER_CAP_DEFAULT;
    if (more > cap || buf->len > cap - more)
        return error_set(err, ERR_TOO_LARGE, "more than %zu bytes", cap);
    size_t need = buf->len + more + 1;
    if (need <= buf->room)
        return true;
    size_t room = buf->room ? buf->room : ROOM_FIRST;
    while (room < need)
        room *= 2;
    char *grown = realloc(buf->data, room);
    if (!grown)
        return error_set(err, ERR_UNAVAILABLE, "no memory for %zu bytes", room);
    buf->data = grown;
    buf->room = room;
    return true;
}

bool buffer_append(struct buffer *buf, const void *bytes, size_t len, struct error *err)
{
    if (!reserve(buf, len, err))
        return false;
    if (len)
        memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
    return true;
}

bool buffer_printf(struct buffer *buf, struct error *err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = NULL;
    int len = vasprintf(&text, fmt, args);
    va_end(args);
    if (len < 0)
        abort();
    CLEANUP(free_ptr) char *owned = text;
    return buffer_append(buf, owned, (size_t)len, err);
}

void buffer_clear(struct buffer *buf)
{
    buf->len = 0;
    if (buf->data)
        buf->data[0] = '\0';
}

void buffer_finish(struct buffer *buf)
{
    free(buf->data);
    buf->data = NULL;
    buf->len = buf->room = 0;
}

void buffer_wipe(struct buffer *buf)
{
    if (buf->data)
        explicit_bzero(buf->data, buf->room);
    buffer_finish(buf);
}

void *xalloc(size_t size)
{
    void *memory = calloc(1, size ? size : 1);
    if (!memory)
        abort();
    return memory;
}

void *xrealloc(void *old, size_t size)
{
    void *memory = realloc(old, size ? size : 1);
    if (!memory)
        abort();
    return memory;
}

char *xstrdup(const char *text)
{
    return xstrndup(text, strlen(text));
}

char *xstrndup(const char *text, size_t len)
{
    char *copy = strndup(text, len);
    if (!copy)
        abort();
    return copy;
}

char *xvasprintf(const char *fmt, va_list args)
{
    char *text = NULL;
    if (vasprintf(&text, fmt, args) < 0)
        abort();
    return text;
}

char *xasprintf(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = xvasprintf(fmt, args);
    va_end(args);
    return text;
}

void secret_free(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void secret_ptr(char **secret)
{
    secret_free(*secret);
    *secret = NULL;
}
