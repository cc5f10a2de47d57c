#include "agent/base/gzip.h"
#include "deploy/kube/podlog_file.h"
#include "deploy/kube/podlog_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_SIZE ((size_t)64 << 10)

struct podlog_reader {
    int fd;                   // -1: the file is compressed
    struct gzip_reader *gzip; // then this
    struct podlog_file *file; // NULL: nobody follows it
    uint64_t position;        // in the file, of chunk's end
    uint64_t skip;            // bytes of text not to be given
    bool timestamps;          // the times are text too
    char *chunk;
    size_t start;          // of what is left of the chunk
    size_t len;            //
    bool in_text;          // past the line's time
    struct buffer trailer; // the last line, so far
    struct podlog_end end; // PODLOG_FOLLOWING: not met yet
};

static const struct podlog_end damaged = {PODLOG_LOST, "the log file is damaged"};
static const struct podlog_end not_followed = {PODLOG_LOST, "the log was not followed to its end"};

void podlog_reader_close(struct podlog_reader *reader)
{
    if (!reader)
        return;
    close_fd(&reader->fd);
    gzip_close(reader->gzip);
    podlog_file_release(reader->file);
    buffer_finish(&reader->trailer);
    free(reader->chunk);
    free(reader);
}

// Bytes that may be read. Waits for more than the reader has seen; *last says that none will come.
static bool wait_for_more(struct podlog_reader *reader, struct mono_time deadline, uint64_t *size,
                          bool *last, struct error *err)
{
    struct podlog_file *file = reader->file;
    pthread_mutex_lock(&file->mutex);
    while (file->size <= reader->position && file->end.state == PODLOG_FOLLOWING &&
           !file->cancelled && condition_wait(&file->grown, &file->mutex, deadline))
        ;
    *size = file->size;
    *last = file->end.state != PODLOG_FOLLOWING;
    bool cancelled = file->cancelled;
    pthread_mutex_unlock(&file->mutex);
    if (*size > reader->position || *last)
        return true;
    return cancelled ? error_set(err, ERR_CANCELLED, "following this log was stopped")
                     : error_set(err, ERR_TIMEOUT, "nothing new in the log");
}

static bool file_size(const struct podlog_reader *reader, uint64_t *size, struct error *err)
{
    struct stat stat;
    if (fstat(reader->fd, &stat) != 0)
        return error_errno(err, ERR_IO, errno, "look at the log file");
    *size = (uint64_t)stat.st_size;
    return true;
}

// The same of a compressed file.
static void fill_compressed(struct podlog_reader *reader)
{
    size_t got;
    if (!gzip_read(reader->gzip, reader->chunk, CHUNK_SIZE, &got, NULL)) {
        reader->end = damaged;
        return;
    }
    if (got == 0)
        reader->end = not_followed;
    reader->start = 0;
    reader->len = got;
}

// Fills the chunk, or sets the end.
static bool fill(struct podlog_reader *reader, struct mono_time deadline, struct error *err)
{
    uint64_t size = 0;
    bool last = true;
    if (reader->gzip) {
        fill_compressed(reader);
        return true;
    }
    if (reader->file ? !wait_for_more(reader, deadline, &size, &last, err)
                     : !file_size(reader, &size, err))
        return false;
    if (size <= reader->position) { // and there is no last line
        if (reader->file)
            reader->end = reader->file->end; // final: it does not change any more
        else
            reader->end = not_followed;
        return true;
    }
    uint64_t left = size - reader->position;
    size_t wanted = left < CHUNK_SIZE ? (size_t)left : CHUNK_SIZE;
    ssize_t got;
    do
        got = pread(reader->fd, reader->chunk, wanted, (off_t)reader->position);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return error_errno(err, ERR_IO, got < 0 ? errno : EIO, "read the log file");
    reader->position += (uint64_t)got;
    reader->start = 0;
    reader->len = (size_t)got;
    return true;
}

static const char *rest(const struct podlog_reader *reader)
{
    return reader->chunk + reader->start;
}

static void advance(struct podlog_reader *reader, size_t bytes)
{
    reader->start += bytes;
    reader->len -= bytes;
}

// At a line's start: passes its time, or takes the last line.
static bool pass_prefix(struct podlog_reader *reader, struct error *err)
{
    bool trailer = reader->trailer.len > 0 || *rest(reader) == '=';
    if (!trailer && reader->timestamps) {
        reader->in_text = true;
        return true;
    }
    if (!trailer) {
        // A line without a blank, in a damaged file, has no text.
        const char *end = memchr(rest(reader), '\n', reader->len);
        size_t line = end ? (size_t)(end - rest(reader)) : reader->len;
        const char *blank = memchr(rest(reader), ' ', line);
        reader->in_text = blank || end;
        advance(reader, blank ? (size_t)(blank + 1 - rest(reader)) : line);
        return true;
    }
    const char *newline = memchr(rest(reader), '\n', reader->len);
    size_t part = newline ? (size_t)(newline - rest(reader)) : reader->len;
    if (!buffer_append(&reader->trailer, rest(reader), part, err))
        return false;
    advance(reader, part + (newline != NULL));
    if (newline && !podlog_trailer_read(reader->trailer.data, reader->trailer.len, &reader->end))
        reader->end = damaged;
    return true;
}

// Gives what is left of the chunk; returns the bytes given.
static bool give(struct podlog_reader *reader, char *out, size_t room, size_t *given,
                 struct error *err)
{
    while (reader->len > 0 && (*given < room || reader->skip > 0) &&
           reader->end.state == PODLOG_FOLLOWING) {
        if (!reader->in_text) {
            if (!pass_prefix(reader, err))
                return false;
            continue;
        }
        const char *newline = memchr(rest(reader), '\n', reader->len);
        size_t part = newline ? (size_t)(newline + 1 - rest(reader)) : reader->len;
        size_t skipped = part < reader->skip ? part : (size_t)reader->skip;
        size_t wanted = part - skipped < room - *given ? part - skipped : room - *given;
        memcpy(out + *given, rest(reader) + skipped, wanted);
        *given += wanted;
        reader->skip -= skipped;
        reader->in_text = !newline || skipped + wanted < part;
        advance(reader, skipped + wanted);
    }
    return true;
}

static bool ended_early(struct error *err)
{
    return error_set(err, ERR_INVALID, "the log ended before the offset");
}

// Passes over what is not to be given, in a file that nobody follows.
static bool skip_ahead(struct podlog_reader *reader, struct error *err)
{
    char nothing;
    size_t given = 0;
    while (reader->skip > 0 && reader->end.state == PODLOG_FOLLOWING)
        if ((reader->len == 0 && !fill(reader, mono_now(), err)) ||
            !give(reader, &nothing, 0, &given, err))
            return false;
    return reader->skip == 0 || ended_early(err);
}

// The file, or else the compressed one of that path.
static bool open_either(const char *path, int *fd, struct gzip_reader **gzip, struct error *err)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd >= 0)
        return true;
    if (errno != ENOENT)
        return error_errno(err, ERR_IO, errno, "%s", path);
    CLEANUP(free_ptr) char *compressed = podlog_compressed(path);
    return gzip_open(compressed, gzip, err);
}

char *podlog_compressed(const char *path)
{
    return xasprintf("%s.gz", path);
}

// Takes over the reference to `file`.
static bool open_reader(struct podlog_file *file, const char *path, uint64_t offset,
                        bool timestamps, struct podlog_reader **out, struct error *err)
{
    int fd;
    struct gzip_reader *gzip = NULL;
    if (!open_either(path, &fd, &gzip, err)) {
        podlog_file_release(file);
        return false;
    }
    struct podlog_reader *reader = xalloc(sizeof *reader);
    reader->fd = fd;
    reader->gzip = gzip;
    reader->file = file;
    reader->skip = offset;
    reader->timestamps = timestamps;
    reader->chunk = xalloc(CHUNK_SIZE);
    if (!file && !skip_ahead(reader, err)) {
        podlog_reader_close(reader);
        return error_wrap(err, "%s", path);
    }
    *out = reader;
    return true;
}

bool podlog_reader_open(struct podlog_hub *hub, const char *path, uint64_t offset, bool timestamps,
                        struct podlog_reader **out, struct error *err)
{
    // First the file that is followed: if it ends between the two, its last line is there to be
    // read.
    return open_reader(podlog_hub_find(hub, path), path, offset, timestamps, out, err);
}

bool podlog_read(struct podlog_reader *reader, struct mono_time deadline, char *out, size_t room,
                 size_t *len, struct podlog_end *end, struct error *err)
{
    size_t given = 0;
    while (given == 0 && reader->end.state == PODLOG_FOLLOWING) {
        if (reader->len == 0 && !fill(reader, deadline, err))
            return false;
        if (!give(reader, out, room, &given, err))
            return false;
    }
    if (given == 0 && reader->skip > 0)
        return ended_early(err);
    *len = given;
    *end = given ? (struct podlog_end){.state = PODLOG_FOLLOWING} : reader->end;
    return true;
}

// Where a compressed file's end is told by nothing but the text before it.
static bool end_of_compressed(const char *path, struct podlog_end *out, struct error *err)
{
    CLEANUP(podlog_reader_ptr) struct podlog_reader *reader = NULL;
    CLEANUP(free_ptr) char *chunk = xalloc(CHUNK_SIZE);
    if (!open_reader(NULL, path, 0, false, &reader, err))
        return false;
    for (size_t len = 1; len > 0;)
        if (!podlog_read(reader, mono_now(), chunk, CHUNK_SIZE, &len, out, err))
            return false;
    return true;
}

bool podlog_ended(const char *path, struct podlog_end *out, struct error *err)
{
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint64_t size;
    struct podlog_end end;
    if (fd < 0 && errno == ENOENT)
        return end_of_compressed(path, out, err);
    if (fd < 0)
        return error_errno(err, ERR_IO, errno, "%s", path);
    if (!podlog_file_end(fd, &size, &end, err))
        return error_wrap(err, "%s", path);
    *out = end;
    return true;
}

bool podlog_look(struct podlog_hub *hub, const char *path, struct podlog_end *out,
                 struct error *err)
{
    struct podlog_file *file = podlog_hub_find(hub, path);
    if (file) {
        pthread_mutex_lock(&file->mutex);
        *out = file->end;
        pthread_mutex_unlock(&file->mutex);
        podlog_file_release(file);
        return true;
    }
    if (!podlog_ended(path, out, err))
        return false;
    if (out->state == PODLOG_FOLLOWING)
        *out = not_followed;
    return true;
}
