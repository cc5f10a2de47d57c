#include "agent/base/crypto.h"
#include "agent/base/buffer.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

struct sha256_stream {
    EVP_MD_CTX *ctx;
};

struct sha256_stream *sha256_begin(void)
{
    struct sha256_stream *stream = xalloc(sizeof *stream);
    stream->ctx = EVP_MD_CTX_new();
    if (!stream->ctx || !EVP_DigestInit_ex(stream->ctx, EVP_sha256(), NULL))
        abort();
    return stream;
}

void sha256_add(struct sha256_stream *stream, const void *bytes, size_t len)
{
    if (!EVP_DigestUpdate(stream->ctx, bytes, len))
        abort();
}

void sha256_end(struct sha256_stream *stream, uint8_t out[static SHA256_SIZE])
{
    if (!EVP_DigestFinal_ex(stream->ctx, out, NULL))
        abort();
    EVP_MD_CTX_free(stream->ctx);
    free(stream);
}

void sha256(const void *bytes, size_t len, uint8_t out[static SHA256_SIZE])
{
    if (!EVP_Digest(bytes, len, out, NULL, EVP_sha256(), NULL))
        abort();
}

void hmac_sha256_pieces(const void *key, size_t key_len, const struct bytes *pieces, size_t count,
                        uint8_t out[static SHA256_SIZE])
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", digest, 0),
                           OSSL_PARAM_construct_end()};
    if (!ctx || !EVP_MAC_init(ctx, key_len ? key : "", key_len, params))
        abort();
    for (size_t i = 0; i < count; i++)
        if (!EVP_MAC_update(ctx, pieces[i].data, pieces[i].len))
            abort();
    size_t len;
    if (!EVP_MAC_final(ctx, out, &len, SHA256_SIZE))
        abort();
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
}

void hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t len,
                 uint8_t out[static SHA256_SIZE])
{
    hmac_sha256_pieces(key, key_len, &(struct bytes){bytes, len}, 1, out);
}

bool equal_in_constant_time(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

void hex_encode(const void *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *byte = bytes;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[byte[i] >> 4];
        out[2 * i + 1] = digits[byte[i] & 15];
    }
    out[2 * len] = '\0';
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

bool hex_decode(const char *text, size_t text_len, uint8_t *out, size_t len)
{
    if (text_len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = hex_value(text[2 * i]);
        int low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

// EVP_DecodeBlock() skips leading and trailing white space, forgives data after padding and ignores
// bits that no encoder sets, so all that is checked first.
static bool is_base64(const char *text, size_t len, size_t *padding)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (len % 4 != 0)
        return false;
    size_t end = len;
    while (end > 0 && len - end < 2 && text[end - 1] == '=')
        end--;
    size_t last = 0; // value of the last digit
    for (size_t i = 0; i < end; i++) {
        const char *digit = text[i] ? strchr(alphabet, text[i]) : NULL;
        if (!digit)
            return false;
        last = (size_t)(digit - alphabet);
    }
    static const size_t unused_bits[] = {0, 3, 15};
    *padding = len - end;
    return (last & unused_bits[*padding]) == 0;
}

bool base64_decode(const char *text, size_t text_len, uint8_t *out, size_t room, size_t *len)
{
    size_t padding;
    if (text_len > INT32_MAX || !is_base64(text, text_len, &padding))
        return false;
    size_t decoded = text_len / 4 * 3;
    if (decoded - padding > room)
        return false;
    CLEANUP(free_ptr) uint8_t *whole = xalloc(decoded + 1);
    if (EVP_DecodeBlock(whole, (const unsigned char *)text, (int)text_len) < 0)
        return false;
    memcpy(out, whole, decoded - padding);
    OPENSSL_cleanse(whole, decoded);
    *len = decoded - padding;
    return true;
}

char *base64_encode(const void *bytes, size_t len)
{
    char *text = xalloc((len + 2) / 3 * 4 + 1);
    EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);
    return text;
}

void random_bytes(void *out, size_t len)
{
    if (RAND_bytes(out, (int)len) != 1)
        abort();
}
