#include "agent/base/gzip.h"
#include "agent/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define CHUNK_SIZE  ((size_t)64 << 10)
#define GZIP_WINDOW (15 + 16) // in zlib's words: as large as can be, in gzip's form
#define MEMORY      9         // the most

struct gzip_reader {
    gzFile file;
};

static bool open_error(const char *path, struct error *err)
{
    return error_errno(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno, "%s", path);
}

// --- writing ---

static bool copy(int from, gzFile to)
{
    CLEANUP(free_ptr) char *chunk = xalloc(CHUNK_SIZE);
    ssize_t got;
    while ((got = read(from, chunk, CHUNK_SIZE)) > 0)
        if (gzwrite(to, chunk, (unsigned)got) != (int)got)
            return false;
    return got == 0;
}

// Closes the stream, which writes its end.
static bool compress_into(int from, int fd)
{
    int own = dup(fd);
    gzFile to = own < 0 ? NULL : gzdopen(own, "wb");
    if (!to) {
        close_fd(&own);
        return false;
    }
    bool copied = copy(from, to);
    return gzclose(to) == Z_OK && copied;
}

bool gzip_file(const char *from, const char *to, uint64_t *size, struct error *err)
{
    struct stat stat;
    CLEANUP(close_fd) int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return open_error(from, err);
    CLEANUP(free_ptr) char *beside = xasprintf("%s.new", to); // a rest of a crash is overwritten
    CLEANUP(close_fd) int out = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0)
        return open_error(beside, err);
    errno = EIO; // zlib does not always say
    if (!compress_into(in, out) || fsync(out) != 0 || fstat(out, &stat) != 0) {
        error_errno(err, ERR_IO, errno, "%s", beside);
        unlink(beside);
        return false;
    }
    if (!file_rename(beside, to, err)) {
        unlink(beside);
        return false;
    }
    *size = (uint64_t)stat.st_size;
    return true;
}

bool gzip_bytes(const void *bytes, size_t len, struct buffer *out, struct error *err)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)bytes, .avail_in = (uInt)len};
    if (len > UINT32_MAX || deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, GZIP_WINDOW,
                                         MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
        return error_set(err, ERR_INVALID, "%zu bytes cannot be compressed at once", len);
    CLEANUP(free_ptr) unsigned char *chunk = xalloc(CHUNK_SIZE);
    int code = Z_OK;
    bool kept = true;
    while (code == Z_OK && kept) {
        stream.next_out = chunk;
        stream.avail_out = (uInt)CHUNK_SIZE;
        code = deflate(&stream, Z_FINISH);
        kept = buffer_append(out, chunk, CHUNK_SIZE - stream.avail_out, err);
    }
    deflateEnd(&stream);
    return kept;
}

// --- reading ---

bool gzip_open(const char *path, struct gzip_reader **out, struct error *err)
{
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return open_error(path, err);
    gzFile file = gzdopen(fd, "rb");
    if (!file)
        return error_errno(err, ERR_IO, ENOMEM, "%s", path);
    fd = -1;
    if (gzdirect(file)) { // zlib would pass it on as it is
        gzclose(file);
        return error_set(err, ERR_INVALID, "%s: not a compressed file", path);
    }
    struct gzip_reader *reader = xalloc(sizeof *reader);
    reader->file = file;
    *out = reader;
    return true;
}

bool gzip_read(struct gzip_reader *reader, void *out, size_t room, size_t *len, struct error *err)
{
    int code;
    int got = gzread(reader->file, out, (unsigned)(room < CHUNK_SIZE ? room : CHUNK_SIZE));
    const char *why = gzerror(reader->file, &code);
    if (got < 0 || (got == 0 && code != Z_OK && code != Z_STREAM_END))
        return error_set(err, ERR_INVALID, "the compressed file is damaged: %s", why);
    *len = (size_t)got;
    return true;
}

void gzip_close(struct gzip_reader *reader)
{
    if (!reader)
        return;
    gzclose(reader->file);
    free(reader);
}
