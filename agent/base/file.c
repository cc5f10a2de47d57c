#include "agent/base/file.h"

#include "agent/base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_CHUNK        ((size_t)16 << 10)
#define REMOVE_LEVELS_MAX 32 // of directories that their owner may not use
#define REMOVE_OPEN_MAX   16 // descriptors while walking a tree

static bool open_to_read(const char *path, int *out, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return error_errno(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno, "%s", path);
    *out = fd;
    return true;
}

// Up to `room` bytes; 0 at the end.
static bool read_some(int fd, const char *path, char *bytes, size_t room, size_t *out,
                      struct error *err)
{
    ssize_t got = TEMP_FAILURE_RETRY(read(fd, bytes, room));
    if (got < 0)
        return error_errno(err, ERR_IO, errno, "%s", path);
    *out = (size_t)got;
    return true;
}

bool file_read(const char *path, size_t max, struct buffer *out, struct error *err)
{
    CLEANUP(close_fd) int fd = -1;
    if (!open_to_read(path, &fd, err))
        return false;
    CLEANUP(buffer_finish) struct buffer whole = {.cap = max};
    char chunk[READ_CHUNK];
    for (size_t got = 1; got > 0;) {
        if (!read_some(fd, path, chunk, sizeof chunk, &got, err))
            return false;
        if (!buffer_append(&whole, chunk, got, err))
            return error_wrap(err, "%s", path);
    }
    *out = whole;
    whole = (struct buffer){0};
    return true;
}

// Into a buffer that does not grow: each growth would leave a copy of the secret in freed memory.
static bool read_secret(const char *path, char *bytes, size_t room, size_t *len, struct error *err)
{
    CLEANUP(close_fd) int fd = -1;
    if (!open_to_read(path, &fd, err))
        return false;
    *len = 0;
    for (size_t got = 1; got > 0 && *len < room; *len += got)
        if (!read_some(fd, path, bytes + *len, room - *len, &got, err))
            return false;
    if (*len == room)
        return error_set(err, ERR_TOO_LARGE, "%s: more than %zu bytes", path, room - 1);
    if (*len > 0 && bytes[*len - 1] == '\n')
        --*len;
    if (*len > 0 && bytes[*len - 1] == '\r')
        --*len;
    if (*len == 0)
        return error_set(err, ERR_INVALID, "%s: empty", path);
    if (memchr(bytes, '\0', *len))
        return error_set(err, ERR_INVALID, "%s: has a NUL byte", path);
    return true;
}

bool secret_file_read(const char *path, char **out, struct error *err)
{
    char bytes[SECRET_FILE_MAX + 1];
    size_t len;
    bool ok = read_secret(path, bytes, sizeof bytes, &len, err);
    if (ok)
        *out = xstrndup(bytes, len);
    explicit_bzero(bytes, sizeof bytes);
    return ok;
}

bool fd_write(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t done = TEMP_FAILURE_RETRY(write(fd, at, len));
        if (done < 0)
            return false;
        at += done;
        len -= (size_t)done;
    }
    return true;
}

bool fd_is_at(int fd, const char *path)
{
    struct stat held, there;
    return fstat(fd, &held) == 0 && lstat(path, &there) == 0 && held.st_ino == there.st_ino &&
           held.st_dev == there.st_dev;
}

bool file_sync_parent(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    CLEANUP(free_ptr)
    char *parent = slash == path ? xstrdup("/")
                   : slash       ? xstrndup(path, (size_t)(slash - path))
                                 : xstrdup(".");
    CLEANUP(close_fd) int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return error_errno(err, ERR_IO, errno, "%s", parent);
    return true;
}

bool file_write(const char *path, mode_t mode, const void *bytes, size_t len, struct error *err)
{
    CLEANUP(free_ptr) char *beside = xasprintf("%s.XXXXXX", path);
    CLEANUP(close_fd) int fd = mkostemp(beside, O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, ERR_IO, errno, "%s", path);
    if (!fd_write(fd, bytes, len) || fchmod(fd, mode) != 0 || fsync(fd) != 0 ||
        rename(beside, path) != 0) {
        error_errno(err, ERR_IO, errno, "%s", path);
        unlink(beside);
        return false;
    }
    return file_sync_parent(path, err);
}

bool file_rename(const char *from, const char *to, struct error *err)
{
    if (rename(from, to) != 0)
        return error_errno(err, ERR_IO, errno, "%s", to);
    return file_sync_parent(to, err);
}

bool directory_make(const char *path, struct error *err)
{
    CLEANUP(free_ptr) char *part = xstrdup(path);
    for (char *at = part + 1; *part && at[-1]; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char after = *at;
        *at = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return error_errno(err, ERR_IO, errno, "%s", part);
        *at = after;
    }
    struct stat found;
    if (stat(path, &found) != 0)
        return error_errno(err, ERR_IO, errno, "%s", path);
    if (!S_ISDIR(found.st_mode))
        return error_errno(err, ERR_IO, ENOTDIR, "%s", path);
    return true;
}

static int remove_entry(const char *path, const struct stat *found, int kind, struct FTW *walk)
{
    (void)found;
    (void)kind;
    (void)walk;
    return remove(path) == 0 || errno == ENOENT ? 0 : errno;
}

// nftw() tells of a directory that it cannot open, or enters it before that could be changed.
static int open_entry(const char *path, const struct stat *found, int kind, struct FTW *walk)
{
    (void)walk;
    if (kind == FTW_DNR || (kind == FTW_D && (found->st_mode & S_IRWXU) != S_IRWXU))
        return chmod(path, 0700) == 0 ? 0 : errno;
    return 0;
}

static int remove_below(const char *path)
{
    int failed = nftw(path, remove_entry, REMOVE_OPEN_MAX, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    return failed < 0 ? errno : failed;
}

bool directory_remove(const char *path, struct error *err)
{
    int failed = remove_below(path);
    // Each turn opens the directories of one more level.
    for (int level = 0; (failed == EACCES || failed == ENOTEMPTY) && level < REMOVE_LEVELS_MAX &&
                        nftw(path, open_entry, REMOVE_OPEN_MAX, FTW_PHYS | FTW_MOUNT) == 0;
         level++)
        failed = remove_below(path);
    if (failed != 0 && failed != ENOENT)
        return error_errno(err, ERR_IO, failed, "remove %s", path);
    return true;
}

char *file_newest(const char *directory, const char *suffix)
{
    DIR *entries = opendir(directory);
    char *newest = NULL;
    struct timespec newest_time = {0};
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        struct stat stat;
        if (!text_ends(entry->d_name, suffix) ||
            fstatat(dirfd(entries), entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(stat.st_mode))
            continue;
        const struct timespec *time = &stat.st_mtim;
        if (newest && (time->tv_sec < newest_time.tv_sec ||
                       (time->tv_sec == newest_time.tv_sec && time->tv_nsec < newest_time.tv_nsec)))
            continue;
        free(newest);
        newest = xasprintf("%s/%s", directory, entry->d_name);
        newest_time = *time;
    }
    if (entries)
        closedir(entries);
    return newest;
}
