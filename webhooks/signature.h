// The three ways in which forges prove that a request is theirs. All work on raw bytes, try every
// secret, and take the same time whichever fits. Errors are ERR_UNAUTHORIZED, in sentences that
// hold nothing secret.
#ifndef CRONWRIGHT_WEBHOOKS_SIGNATURE_H
#define CRONWRIGHT_WEBHOOKS_SIGNATURE_H

#include "agent/base/clock.h"
#include "webhooks/secrets.h"

// --- GitHub's X-Hub-Signature-256, Bitbucket's X-Hub-Signature: "sha256=" and 64 lower-case hex
// digits of the body's HMAC ---
#define HUB_PREFIX         "sha256="
#define HUB_SIGNATURE_SIZE (sizeof HUB_PREFIX + 64)

void hub_signature_make(const struct webhook_secret *secret, const void *body, size_t len,
                        char out[static HUB_SIGNATURE_SIZE]);
struct hub_header {
    const char *name; // for error texts
    enum webhook_secret_sort secrets;
};
// `given` is the header's value. The forges write lower case: any other is refused.
bool hub_signature_verify(const struct hub_header *header, const char *given, const void *body,
                          size_t len, const struct webhook_secrets *secrets,
                          struct error *err) MUST_CHECK;

// --- GitLab: X-Gitlab-Token, the secret itself ---
bool token_verify(const char *given, const struct webhook_secrets *secrets,
                  struct error *err) MUST_CHECK;

// --- Standard Webhooks: HMAC of "id.timestamp.body", base64; GitLab's signing token ---
#define STANDARD_SIGNATURE_SIZE (sizeof "v1," + 44)
#define STANDARD_WINDOW_S       300 // a timestamp may be so far from our clock, either way
#define STANDARD_SIGNATURES_MAX 32  // in one header

struct standard_headers {
    const char *id;        // webhook-id
    const char *timestamp; // webhook-timestamp, Unix seconds
    const char *signature; // webhook-signature: a list, separated by spaces; one match suffices
};

void standard_signature_make(const struct webhook_secret *secret, const char *id,
                             const char *timestamp, const void *body, size_t len,
                             char out[static STANDARD_SIGNATURE_SIZE]);
// NULL and "" are missing headers. Signatures of other versions than v1 are passed over.
bool standard_signature_verify(const struct standard_headers *given, const void *body, size_t len,
                               const struct webhook_secrets *secrets, struct wall_time now,
                               struct error *err) MUST_CHECK;

#endif
