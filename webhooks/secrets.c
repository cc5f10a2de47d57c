#include "webhooks/secrets.h"

#include "agent/base/buffer.h"
#include "agent/base/crypto.h"
#include "agent/base/text.h"

#include <string.h>

#define SIGNING_PREFIX "whsec_"

static const char *const sort_words[SECRET_SORT_COUNT] = {
    [SECRET_HMAC] = "webhook secret",      [SECRET_TOKEN] = "webhook token",
    [SECRET_SIGNING] = "signing token",    [SECRET_GITEA] = "webhook secret",
    [SECRET_BITBUCKET] = "webhook secret",
};

static void secret_finish(struct webhook_secret *secret)
{
    if (secret->bytes)
        explicit_bzero(secret->bytes, secret->len);
    free(secret->bytes);
    *secret = (struct webhook_secret){0};
}

static bool decode_signing(const char *text, struct webhook_secret *out, struct error *err)
{
    if (!text_starts(text, SIGNING_PREFIX))
        return error_set(err, ERR_INVALID, "the signing token does not start with \"whsec_\"");
    const char *encoded = text + strlen(SIGNING_PREFIX);
    struct webhook_secret secret = {.bytes = xalloc(SECRET_BYTES_MAX)};
    if (!base64_decode(encoded, strlen(encoded), secret.bytes, SECRET_BYTES_MAX, &secret.len)) {
        secret_finish(&secret);
        return error_set(err, ERR_INVALID,
                         "the signing token is not \"whsec_\" and base64 of at most %d bytes",
                         SECRET_BYTES_MAX);
    }
    *out = secret;
    return true;
}

static bool copy_plain(const char *text, const char *word, struct webhook_secret *out,
                       struct error *err)
{
    size_t len = strlen(text);
    if (len > SECRET_BYTES_MAX)
        return error_set(err, ERR_INVALID, "the %s has more than %d bytes", word, SECRET_BYTES_MAX);
    *out = (struct webhook_secret){.bytes = (uint8_t *)xstrdup(text), .len = len};
    return true;
}

bool webhook_secrets_add(struct webhook_secrets *secrets, enum webhook_secret_sort sort,
                         const char *text, struct error *err)
{
    if (secrets->count[sort] == SECRETS_MAX)
        return error_set(err, ERR_TOO_LARGE, "more than %d %ss at once", SECRETS_MAX,
                         sort_words[sort]);
    struct webhook_secret secret = {0};
    if (sort == SECRET_SIGNING ? !decode_signing(text, &secret, err)
                               : !copy_plain(text, sort_words[sort], &secret, err))
        return false;
    if (secret.len == 0) {
        secret_finish(&secret);
        return error_set(err, ERR_INVALID, "the %s is empty", sort_words[sort]);
    }
    secrets->list[sort][secrets->count[sort]++] = secret;
    return true;
}

void webhook_secrets_finish(struct webhook_secrets *secrets)
{
    for (int sort = 0; sort < SECRET_SORT_COUNT; sort++)
        for (size_t i = 0; i < secrets->count[sort]; i++)
            secret_finish(&secrets->list[sort][i]);
    *secrets = (struct webhook_secrets){0};
}
