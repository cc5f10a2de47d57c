#include "agent/contexts/keys.h"

#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/text.h"

#include <string.h>
#include <unistd.h>

#define CERTIFICATE_DAYS 3650
#define RENEW_DAYS       30 // before its end: longer than any build takes
#define KEY_MODE         0600

// "https://host:port" or "https://[address]:port" → "host", "address".
static char *host_of(const char *address)
{
    const char *host = strstr(address, "://");
    host = host ? host + strlen("://") : address;
    return *host == '[' ? xstrndup(host + 1, strcspn(host + 1, "]"))
                        : xstrndup(host, strcspn(host, ":/"));
}

static bool read_kept(const char *path, const char *host, struct context_keys *out)
{
    CLEANUP(free_ptr) char *key_path = xasprintf("%s.key", path);
    CLEANUP(free_ptr) char *certificate_path = xasprintf("%s.pem", path);
    struct context_keys kept = {0};
    if (secret_file_read(key_path, &kept.key, NULL) &&
        secret_file_read(certificate_path, &kept.certificate, NULL) &&
        certificate_serves(kept.certificate, host, RENEW_DAYS)) {
        *out = kept;
        return true;
    }
    context_keys_finish(&kept);
    return false;
}

// A key without its certificate, should we die in between, is made anew.
static bool keep(const char *path, const struct context_keys *keys, struct error *err)
{
    CLEANUP(free_ptr) char *key_path = xasprintf("%s.key", path);
    CLEANUP(free_ptr) char *certificate_path = xasprintf("%s.pem", path);
    unlink(certificate_path);
    return file_write(key_path, KEY_MODE, keys->key, strlen(keys->key), err) &&
           file_write(certificate_path, KEY_MODE, keys->certificate, strlen(keys->certificate),
                      err);
}

bool context_keys_load(const struct config *config, struct context_keys *out, struct error *err)
{
    if (config->context.certificate.text) {
        out->certificate = xstrdup(config->context.certificate.text);
        out->key = xstrdup(config->context.key.text);
        return true;
    }
    CLEANUP(free_ptr) char *host = host_of(config->context.address);
    CLEANUP(free_ptr) char *path = xasprintf("%s/context", config->state_directory);
    if (read_kept(path, host, out))
        return true;
    struct context_keys made = {0};
    bool kept = certificate_make(host, CERTIFICATE_DAYS, &made.certificate, &made.key, err) &&
                keep(path, &made, err);
    context_keys_finish(&made);
    // As every later start reads them: tokens are made from these very bytes.
    if (!kept || !(read_kept(path, host, out) ||
                   error_set(err, ERR_IO, "%s.pem cannot be read again", path)))
        return error_wrap(err, "the context listener's certificate");
    log_line(LOG_INFO, "made a certificate for the context listener", "host", host, NULL);
    return true;
}

void context_keys_finish(struct context_keys *keys)
{
    free(keys->certificate);
    secret_free(keys->key);
    *keys = (struct context_keys){0};
}

static void sign(const struct context_keys *keys, const char *namespace_, const char *job,
                 const char *uid, char out[static SHA256_HEX_SIZE])
{
    CLEANUP(free_ptr)
    char *said = xasprintf("cronwright context 1\n%s\n%s\n%s\n", namespace_, job, uid);
    uint8_t digest[SHA256_SIZE];
    hmac_sha256(keys->key, strlen(keys->key), said, strlen(said), digest);
    hex_encode(digest, sizeof digest, out);
}

bool context_token(const struct context_keys *keys, const json_t *job,
                   char out[static CONTEXT_TOKEN_SIZE], struct error *err)
{
    const char *name = json_text_at(job, "metadata", "name", NULL);
    const char *namespace_ = json_text_at(job, "metadata", "namespace", NULL);
    const char *uid = json_text_at(job, "metadata", "uid", NULL);
    if (!name || !namespace_ || !uid || strlen(uid) >= CONTEXT_UID_SIZE)
        return error_set(err, ERR_PROTOCOL, "the Job has no name, namespace or uid");
    char signature[SHA256_HEX_SIZE];
    sign(keys, namespace_, name, uid, signature);
    snprintf(out, CONTEXT_TOKEN_SIZE, "%s.%s", uid, signature);
    return true;
}

bool context_token_check(const struct context_keys *keys, const char *namespace_, const char *job,
                         const char *token, char uid[static CONTEXT_UID_SIZE])
{
    size_t len = strcspn(token, ".");
    char wanted[SHA256_HEX_SIZE];
    if (len >= CONTEXT_UID_SIZE || strlen(token) != len + SHA256_HEX_SIZE)
        return false;
    memcpy(uid, token, len);
    uid[len] = '\0';
    sign(keys, namespace_, job, uid, wanted);
    return equal_in_constant_time(wanted, token + len + 1, SHA256_HEX_SIZE - 1);
}
