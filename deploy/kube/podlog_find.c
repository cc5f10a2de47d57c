// Looks for a text in a log.
#include "deploy/kube/podlog.h"

#include <string.h>

#define CHUNK_SIZE ((size_t)64 << 10)

struct hunt {
    const struct podlog_search *search;
    char text[PODLOG_SEARCH_TEXT_MAX]; // in small letters when their case is ignored
    size_t text_len;
    struct buffer line;   // the beginning of a line whose end has not been read
    struct buffer folded; // a line in small letters
    size_t matches;
    struct podlog_searched *out;
};

static void fold(char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] >= 'A' && bytes[i] <= 'Z')
            bytes[i] = (char)(bytes[i] + ('a' - 'A'));
}

static bool look_at_line(struct hunt *hunt, const char *bytes, size_t len, struct error *err)
{
    const char *in = bytes;
    hunt->out->lines++;
    if (hunt->out->more || hunt->out->lines < hunt->search->line)
        return true;
    if (hunt->search->ignore_case) {
        buffer_clear(&hunt->folded);
        if (!buffer_append(&hunt->folded, bytes, len, err))
            return false;
        fold(hunt->folded.data, len);
        in = hunt->folded.data;
    }
    const char *at = len ? memmem(in, len, hunt->text, hunt->text_len) : NULL;
    if (!at)
        return true;
    if (hunt->matches == hunt->search->limit)
        hunt->out->more = true;
    else
        hunt->search->found(hunt->search->user, hunt->out->lines, bytes, len, (size_t)(at - in));
    hunt->matches++;
    return true;
}

static bool look_at(struct hunt *hunt, const char *bytes, size_t len, struct error *err)
{
    while (len > 0) {
        const char *newline = memchr(bytes, '\n', len);
        size_t part = newline ? (size_t)(newline - bytes) : len;
        if ((!newline || hunt->line.len > 0) && !buffer_append(&hunt->line, bytes, part, err))
            return false;
        if (newline) {
            bool kept = hunt->line.len > 0;
            if (!look_at_line(hunt, kept ? hunt->line.data : bytes, kept ? hunt->line.len : part,
                              err))
                return false;
            buffer_clear(&hunt->line);
            part++;
        }
        bytes += part;
        len -= part;
    }
    return true;
}

static bool go_through(struct hunt *hunt, struct podlog_reader *reader, struct error *err)
{
    CLEANUP(free_ptr) char *chunk = xalloc(CHUNK_SIZE);
    struct podlog_end end;
    struct error failure;
    for (size_t len = 1; len > 0;) {
        if (mono_past(hunt->search->deadline)) {
            hunt->out->more = true;
            return true;
        }
        if (!podlog_read(reader, mono_now(), chunk, CHUNK_SIZE, &len, &end, &failure))
            return failure.code == ERR_TIMEOUT || // it is still being followed
                   error_set(err, failure.code, "%s", failure.text);
        if (!look_at(hunt, chunk, len, err))
            return false;
    }
    return true;
}

bool podlog_find(struct podlog_hub *hub, const char *path, const struct podlog_search *search,
                 struct podlog_searched *out, struct error *err)
{
    struct hunt hunt = {.search = search,
                        .text_len = strlen(search->text),
                        .line = {.cap = PODLOG_LINE_MAX},
                        .folded = {.cap = PODLOG_LINE_MAX},
                        .out = out};
    CLEANUP(podlog_reader_ptr) struct podlog_reader *reader = NULL;
    *out = (struct podlog_searched){0};
    if (hunt.text_len == 0 || hunt.text_len > PODLOG_SEARCH_TEXT_MAX)
        return error_set(err, ERR_INVALID, "the text must have 1 to %d bytes",
                         PODLOG_SEARCH_TEXT_MAX);
    if (!podlog_reader_open(hub, path, 0, false, &reader, err))
        return false;
    memcpy(hunt.text, search->text, hunt.text_len);
    if (search->ignore_case)
        fold(hunt.text, hunt.text_len);
    bool done = go_through(&hunt, reader, err);
    buffer_finish(&hunt.line);
    buffer_finish(&hunt.folded);
    return done;
}
