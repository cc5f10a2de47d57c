#include "agent/base/crypto.h"
#include "agent/base/buffer.h"

#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#define SERIAL_BITS      127
#define DAY_SECONDS      (24 * 60 * 60L)
#define CLOCK_SKEW       (60 * 60L) // seconds that another machine's clock may be behind
#define X509_VERSION_OF3 2          // counted from 0

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

// --- certificates ---

static void bio_ptr(BIO **bio)
{
    BIO_free_all(*bio);
}

static void x509_ptr(X509 **certificate)
{
    X509_free(*certificate);
}

static void pkey_ptr(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static bool is_number(const char *host)
{
    uint8_t address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

static bool add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool added = extension && X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    return added;
}

static bool set_serial(X509 *certificate)
{
    BIGNUM *number = BN_new();
    bool set = number && BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) &&
               BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
    BN_free(number);
    return set;
}

static bool fill_in(X509 *certificate, EVP_PKEY *key, const char *host, int days)
{
    static const unsigned char name[] = "cronwright contexts";
    CLEANUP(free_ptr) char *subject = xasprintf("%s:%s", is_number(host) ? "IP" : "DNS", host);
    X509_NAME *issuer = X509_get_subject_name(certificate);
    return X509_set_version(certificate, X509_VERSION_OF3) && set_serial(certificate) &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), -CLOCK_SKEW) &&
           X509_gmtime_adj(X509_getm_notAfter(certificate), days * DAY_SECONDS) &&
           X509_NAME_add_entry_by_txt(issuer, "CN", MBSTRING_ASC, name, -1, -1, 0) &&
           X509_set_issuer_name(certificate, issuer) && X509_set_pubkey(certificate, key) &&
           add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           add_extension(certificate, NID_key_usage, "critical,digitalSignature,keyCertSign") &&
           add_extension(certificate, NID_ext_key_usage, "serverAuth") &&
           add_extension(certificate, NID_subject_key_identifier, "hash") &&
           add_extension(certificate, NID_subject_alt_name, subject) &&
           X509_sign(certificate, key, EVP_sha256());
}

static char *bio_text(BIO *bio)
{
    char *bytes;
    long len = BIO_get_mem_data(bio, &bytes);
    return xstrndup(bytes, (size_t)len);
}

bool certificate_make(const char *host, int days, char **certificate, char **key, struct error *err)
{
    CLEANUP(pkey_ptr) EVP_PKEY *pair = EVP_EC_gen("P-256");
    CLEANUP(x509_ptr) X509 *made = X509_new();
    CLEANUP(bio_ptr) BIO *public_part = BIO_new(BIO_s_mem());
    CLEANUP(bio_ptr) BIO *secret_part = BIO_new(BIO_s_secmem());
    if (!pair || !made || !public_part || !secret_part || !fill_in(made, pair, host, days) ||
        !PEM_write_bio_X509(public_part, made) ||
        !PEM_write_bio_PrivateKey(secret_part, pair, NULL, NULL, 0, NULL, NULL))
        return error_set(err, ERR_INVALID, "no certificate can be made for \"%s\"", host);
    *certificate = bio_text(public_part);
    *key = bio_text(secret_part);
    return true;
}

bool certificate_serves(const char *certificate, const char *host, int days)
{
    CLEANUP(bio_ptr) BIO *bio = BIO_new_mem_buf(certificate, -1);
    CLEANUP(x509_ptr) X509 *read = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    time_t then = time(NULL) + days * DAY_SECONDS;
    if (!read || X509_cmp_time(X509_get0_notAfter(read), &then) <= 0)
        return false;
    return is_number(host) ? X509_check_ip_asc(read, host, 0) == 1
                           : X509_check_host(read, host, 0, 0, NULL) == 1;
}
