// A reproducible tar.gz, over libarchive: the only file that includes its headers is archive.c.
//
// The bytes depend on what is added and in which order, and on nothing else: owner 0, one fixed
// time, names as they are, no time in the gzip header.
#ifndef CRONWRIGHT_BUILD_GIT_ARCHIVE_H
#define CRONWRIGHT_BUILD_GIT_ARCHIVE_H

#include "agent/base/crypto.h"
#include "agent/base/error.h"

#include <stddef.h>

struct archive_file;

struct archive_summary {
    int64_t bytes; // of the archive
    char sha256[SHA256_HEX_SIZE];
};

// Writes to "<path>.part". Beyond `max_bytes` nothing more is written, but counted on, so that the
// size can be told.
bool archive_create(const char *path, int64_t max_bytes, struct archive_file **out,
                    struct error *err) MUST_CHECK;

bool archive_add_directory(struct archive_file *archive, const char *path,
                           struct error *err) MUST_CHECK;
bool archive_add_file(struct archive_file *archive, const char *path, bool executable,
                      const void *bytes, size_t len, struct error *err) MUST_CHECK;
bool archive_add_link(struct archive_file *archive, const char *path, const char *target,
                      struct error *err) MUST_CHECK;

// Ends the archive, syncs it and gives it its name; also when this fails the archive is freed.
// ERR_TOO_LARGE: *out has the size that it would have had, and there is no file.
bool archive_commit(struct archive_file *archive, struct archive_summary *out,
                    struct error *err) MUST_CHECK;
void archive_discard(struct archive_file *archive); // NULL is fine

#endif
