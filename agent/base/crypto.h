// OpenSSL's libcrypto: the only file that includes its headers is crypto.c.
#ifndef CRONWRIGHT_BASE_CRYPTO_H
#define CRONWRIGHT_BASE_CRYPTO_H

#include "agent/base/error.h"

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE     32
#define SHA256_HEX_SIZE 65 // with NUL

void sha256(const void *bytes, size_t len, uint8_t out[static SHA256_SIZE]);
void hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t len,
                 uint8_t out[static SHA256_SIZE]);

// A hash fed in pieces.
struct sha256_stream;
struct sha256_stream *sha256_begin(void);
void sha256_add(struct sha256_stream *stream, const void *bytes, size_t len);
void sha256_end(struct sha256_stream *stream, uint8_t out[static SHA256_SIZE]); // frees

// HMAC over a list of pieces, as Standard Webhooks needs.
struct bytes {
    const void *data;
    size_t len;
};
void hmac_sha256_pieces(const void *key, size_t key_len, const struct bytes *pieces, size_t count,
                        uint8_t out[static SHA256_SIZE]);

bool equal_in_constant_time(const void *a, const void *b, size_t len);

// Lower-case hex; `out` holds 2 * len + 1 bytes.
void hex_encode(const void *bytes, size_t len, char *out);
// Exactly 2 * len hex digits of either case. False otherwise.
bool hex_decode(const char *text, size_t text_len, uint8_t *out, size_t len);

// Canonical standard base64 with padding, no white space. Decodes into at most `room` bytes; false
// when it is not that or does not fit.
bool base64_decode(const char *text, size_t text_len, uint8_t *out, size_t room, size_t *len);
// The caller frees.
char *base64_encode(const void *bytes, size_t len) __attribute__((returns_nonnull));

// A new P-256 key and a certificate that it signs for itself, both PEM; `host` is a name or a
// number (IPv6 without brackets). The caller frees both, the key by secret_free().
bool certificate_make(const char *host, int days, char **certificate, char **key,
                      struct error *err) MUST_CHECK;
// Whether a certificate (PEM; of several the first) is for that host and still good `days` from
// now.
bool certificate_serves(const char *certificate, const char *host, int days);

void random_bytes(void *out, size_t len); // from the kernel; aborts if it cannot

#endif
