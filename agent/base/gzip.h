// Compressed files by zlib: gzip.c is the only file that includes its header. Any thread; a reader
// by one at a time. Error texts name the path.
#ifndef CRONWRIGHT_BASE_GZIP_H
#define CRONWRIGHT_BASE_GZIP_H

#include "agent/base/buffer.h"

#include <stdint.h>

// Compresses the file `from` into `to` (mode 0600), so that a crash leaves the whole of it there or
// what was there before; `from` stays. *size: bytes of the new file. ERR_NOT_FOUND: no `from`.
bool gzip_file(const char *from, const char *to, uint64_t *size, struct error *err) MUST_CHECK;

// The same bytes give the same ones each time.
bool gzip_bytes(const void *bytes, size_t len, struct buffer *out, struct error *err) MUST_CHECK;

struct gzip_reader;

// ERR_NOT_FOUND when it is not there, ERR_INVALID when it is not such a file.
bool gzip_open(const char *path, struct gzip_reader **out, struct error *err) MUST_CHECK;
// Up to `room` bytes of what was compressed; *len = 0: its end. ERR_INVALID: damaged, or cut off.
bool gzip_read(struct gzip_reader *reader, void *out, size_t room, size_t *len,
               struct error *err) MUST_CHECK;
void gzip_close(struct gzip_reader *reader); // NULL is fine

#endif
