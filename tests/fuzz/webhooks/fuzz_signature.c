// The headers of a signature, which anybody may send: nothing is taken without the secret.
#include "agent/base/buffer.h"
#include "webhooks/provider.h"

#include <stdint.h>
#include <string.h>

#define NOW_MS INT64_C(1614265330000)
#define BODY   "{\"test\": 2432232314}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Lines of the input, one for each header.
static char *next_line(char **rest)
{
    char *line = strsep(rest, "\n");
    return line && *line ? line : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum webhook_header given[] = {
        HEADER_HUB_SIGNATURE_256, HEADER_GITLAB_TOKEN,      HEADER_WEBHOOK_ID,
        HEADER_WEBHOOK_TIMESTAMP, HEADER_WEBHOOK_SIGNATURE, HEADER_GITEA_SIGNATURE,
        HEADER_FORGEJO_SIGNATURE, HEADER_GOGS_SIGNATURE,    HEADER_HUB_SIGNATURE,
    };
    CLEANUP(free_ptr) char *text = xstrndup((const char *)data, size);
    CLEANUP(webhook_secrets_finish) struct webhook_secrets secrets = {0};
    CLEANUP(webhook_secrets_finish) struct webhook_secrets tokens = {0};
    struct webhook_headers headers = {0};
    struct error err;
    const struct wall_time now = {NOW_MS};
    char *rest = text;
    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++)
        headers.values[given[i]] = next_line(&rest);
    if (!webhook_secrets_add(&secrets, SECRET_HMAC, "nobody knows this", &err) ||
        !webhook_secrets_add(&secrets, SECRET_SIGNING, "whsec_bm9ib2R5IGtub3dzIHRoaXM=", &err) ||
        !webhook_secrets_add(&secrets, SECRET_GITEA, "nobody knows this", &err) ||
        !webhook_secrets_add(&secrets, SECRET_BITBUCKET, "nobody knows this", &err) ||
        !webhook_secrets_add(&tokens, SECRET_TOKEN, "nobody knows this", &err))
        abort();
    if (webhook_github.verify(&headers, BODY, strlen(BODY), &secrets, now, &err) ||
        err.code != ERR_UNAUTHORIZED)
        abort();
    if (webhook_gitlab.verify(&headers, BODY, strlen(BODY), &secrets, now, &err) ||
        err.code != ERR_UNAUTHORIZED)
        abort();
    if (webhook_gitlab.verify(&headers, BODY, strlen(BODY), &tokens, now, &err) ||
        err.code != ERR_UNAUTHORIZED)
        abort();
    if (webhook_gitea.verify(&headers, BODY, strlen(BODY), &secrets, now, &err) ||
        err.code != ERR_UNAUTHORIZED)
        abort();
    if (webhook_bitbucket.verify(&headers, BODY, strlen(BODY), &secrets, now, &err) ||
        err.code != ERR_UNAUTHORIZED)
        abort();
    return 0;
}
