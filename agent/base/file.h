// Files: read whole with a cap, write so that a crash leaves the old or the new one, make and
// remove directories. Any thread. Error texts name the path.
#ifndef CRONWRIGHT_BASE_FILE_H
#define CRONWRIGHT_BASE_FILE_H

#include "agent/base/buffer.h"

#include <sys/types.h>

#define SECRET_FILE_MAX ((size_t)64 << 10)

// The whole file, at most `max` bytes (else ERR_TOO_LARGE). ERR_NOT_FOUND when it is not there,
// ERR_IO otherwise. Not limited to regular files: pipes and /dev/stdin are read to their end.
// *out is overwritten; its cap is then `max`.
bool file_read(const char *path, size_t max, struct buffer *out, struct error *err) MUST_CHECK;
// A secret: file_read() of at most SECRET_FILE_MAX with one trailing newline (LF or CRLF) cut off;
// empty, or a NUL inside, is ERR_INVALID. The caller uses secret_free().
bool secret_file_read(const char *path, char **out, struct error *err) MUST_CHECK;
// Writes all bytes, whatever signals come; on failure false, and errno says why.
bool fd_write(int fd, const void *bytes, size_t len) MUST_CHECK;
// Writes beside, fsync, rename, fsync of the directory.
bool file_write(const char *path, mode_t mode, const void *bytes, size_t len,
                struct error *err) MUST_CHECK;
// Whether the open file is the one with that name now, rather than one that was removed or
// replaced.
bool fd_is_at(int fd, const char *path);
// Gives `from`, which is on disk, the name `to`, in the same directory: it has it after a crash
// too.
bool file_rename(const char *from, const char *to, struct error *err) MUST_CHECK;
// fsync of the directory that the path is in.
bool file_sync_parent(const char *path, struct error *err) MUST_CHECK;
// mkdir -p with 0700 for what it makes.
bool directory_make(const char *path, struct error *err) MUST_CHECK;
// rm -r, never following symbolic links, never leaving the file system; what is not there is
// removed already. For trees that no other user can write to.
bool directory_remove(const char *path, struct error *err) MUST_CHECK;

// The path of the newest regular file in a directory whose name ends in `suffix`; NULL when there
// is none, or no such directory. The caller frees.
char *file_newest(const char *directory, const char *suffix);

#endif
