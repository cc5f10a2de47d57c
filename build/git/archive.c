#include "build/git/archive.h"

#include "agent/base/buffer.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

// 1980-01-02, UTC. Not 0: zip archives, and so Python's and Java's packages, know no time before
// 1980 in any time zone.
#define ENTRY_TIME 315619200

struct archive_file {
    struct archive *writer;
    struct archive_entry *entry;
    struct sha256_stream *hash;
    char *path;
    char *part;
    int fd;
    int64_t bytes;
    int64_t max_bytes;
};

static la_ssize_t write_bytes(struct archive *writer, void *user, const void *bytes, size_t len)
{
    struct archive_file *archive = user;
    archive->bytes += (int64_t)len;
    if (archive->bytes > archive->max_bytes)
        return (la_ssize_t)len;
    sha256_add(archive->hash, bytes, len);
    for (size_t done = 0; done < len;) {
        ssize_t wrote = write(archive->fd, (const char *)bytes + done, len - done);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0) {
            archive_set_error(writer, errno, "write %s: %s%s", archive->part,
                              errno == ENOSPC ? "the disk is full: " : "", strerror(errno));
            return -1;
        }
        done += (size_t)wrote;
    }
    return (la_ssize_t)len;
}

static bool archive_fault(const struct archive_file *archive, struct error *err)
{
    const char *text = archive_error_string(archive->writer);
    return error_set(err, ERR_IO, "the archive: %s", text ? text : "no reason given");
}

static bool open_writer(struct archive_file *archive, struct error *err)
{
    archive->writer = archive_write_new();
    archive->entry = archive_entry_new();
    if (!archive->writer || !archive->entry)
        abort();
    if (archive_write_set_format_gnutar(archive->writer) != ARCHIVE_OK ||
        archive_write_add_filter_gzip(archive->writer) != ARCHIVE_OK ||
        archive_write_set_options(archive->writer, "gzip:!timestamp,gzip:compression-level=6") !=
            ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(archive->writer, 1) != ARCHIVE_OK ||
        archive_write_open(archive->writer, archive, NULL, write_bytes, NULL) != ARCHIVE_OK)
        return archive_fault(archive, err);
    return true;
}

bool archive_create(const char *path, int64_t max_bytes, struct archive_file **out,
                    struct error *err)
{
    struct archive_file *archive = xalloc(sizeof *archive);
    archive->path = xstrdup(path);
    archive->part = xasprintf("%s.part", path);
    archive->max_bytes = max_bytes;
    archive->hash = sha256_begin();
    archive->fd = open(archive->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool made = archive->fd >= 0 ? open_writer(archive, err)
                                 : error_errno(err, ERR_IO, errno, "create %s", archive->part);
    if (!made) {
        archive_discard(archive);
        return false;
    }
    *out = archive;
    return true;
}

static bool add(struct archive_file *archive, const char *path, mode_t type, mode_t mode,
                const char *target, const void *bytes, size_t len, struct error *err)
{
    struct archive_entry *entry = archive_entry_clear(archive->entry);
    archive_entry_set_pathname(entry, path);
    archive_entry_set_filetype(entry, type);
    archive_entry_set_perm(entry, mode);
    archive_entry_set_size(entry, (la_int64_t)len);
    archive_entry_set_mtime(entry, ENTRY_TIME, 0);
    archive_entry_set_uid(entry, 0);
    archive_entry_set_gid(entry, 0);
    if (target)
        archive_entry_set_symlink(entry, target);
    if (archive_write_header(archive->writer, entry) != ARCHIVE_OK)
        return archive_fault(archive, err);
    if (len && archive_write_data(archive->writer, bytes, len) != (la_ssize_t)len)
        return archive_fault(archive, err);
    return true;
}

bool archive_add_directory(struct archive_file *archive, const char *path, struct error *err)
{
    return add(archive, path, AE_IFDIR, 0755, NULL, NULL, 0, err);
}

bool archive_add_file(struct archive_file *archive, const char *path, bool executable,
                      const void *bytes, size_t len, struct error *err)
{
    return add(archive, path, AE_IFREG, executable ? 0755 : 0644, NULL, bytes, len, err);
}

bool archive_add_link(struct archive_file *archive, const char *path, const char *target,
                      struct error *err)
{
    return add(archive, path, AE_IFLNK, 0777, target, NULL, 0, err);
}

static bool finish(struct archive_file *archive, struct archive_summary *out, struct error *err)
{
    if (archive_write_close(archive->writer) != ARCHIVE_OK)
        return archive_fault(archive, err);
    out->bytes = archive->bytes;
    if (archive->bytes > archive->max_bytes)
        return error_set(err, ERR_TOO_LARGE, "%lld bytes, and %lld are allowed",
                         (long long)archive->bytes, (long long)archive->max_bytes);
    if (fsync(archive->fd) != 0 || rename(archive->part, archive->path) != 0)
        return error_errno(err, ERR_IO, errno, "write %s", archive->path);
    uint8_t digest[SHA256_SIZE];
    sha256_end(TAKE(archive->hash), digest);
    hex_encode(digest, sizeof digest, out->sha256);
    return true;
}

bool archive_commit(struct archive_file *archive, struct archive_summary *out, struct error *err)
{
    bool done = finish(archive, out, err);
    archive_discard(archive);
    return done;
}

void archive_discard(struct archive_file *archive)
{
    if (!archive)
        return;
    if (archive->hash) { // not committed
        uint8_t unused[SHA256_SIZE];
        sha256_end(archive->hash, unused);
        unlink(archive->part);
    }
    // Closing an unfinished writer would write on: make that fail at once.
    archive->max_bytes = -1;
    archive_entry_free(archive->entry);
    archive_write_free(archive->writer);
    close_fd(&archive->fd);
    free(archive->part);
    free(archive->path);
    free(archive);
}
