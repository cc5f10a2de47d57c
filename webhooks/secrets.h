// The secrets that a forge's requests may be signed with. Several are active at once, so that one
// can be rotated without losing deliveries.
#ifndef CRONWRIGHT_WEBHOOKS_SECRETS_H
#define CRONWRIGHT_WEBHOOKS_SECRETS_H

#include "agent/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum webhook_secret_sort {
    SECRET_HMAC,      // GitHub: key of X-Hub-Signature-256
    SECRET_TOKEN,     // GitLab: X-Gitlab-Token, sent as it is
    SECRET_SIGNING,   // GitLab: Standard Webhooks, "whsec_" and base64
    SECRET_GITEA,     // Gitea, Forgejo: key of X-Gitea-Signature and so on
    SECRET_BITBUCKET, // key of X-Hub-Signature
    SECRET_SORT_COUNT,
};

#define SECRETS_MAX      8    // of each sort
#define SECRET_BYTES_MAX 1024 // of one key

struct webhook_secret {
    uint8_t *bytes;
    size_t len; // 1 … SECRET_BYTES_MAX
};

// Starts as {0}. Read only once filled: threads may share it.
struct webhook_secrets {
    struct webhook_secret list[SECRET_SORT_COUNT][SECRETS_MAX];
    size_t count[SECRET_SORT_COUNT];
    // GitLab: a token without any signature is enough although signing secrets are there, while
    // hooks are moved from the one to the other. A signature that is there must hold all the same.
    bool accept_unsigned;
};

// Copies; a signing secret is decoded here, once. ERR_INVALID for an empty, malformed or overlong
// one, ERR_TOO_LARGE beyond SECRETS_MAX; the text never quotes the secret.
bool webhook_secrets_add(struct webhook_secrets *secrets, enum webhook_secret_sort sort,
                         const char *text, struct error *err) MUST_CHECK;
void webhook_secrets_finish(struct webhook_secrets *secrets); // wipes and frees

#endif
