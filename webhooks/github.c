// GitHub, and every server that speaks its headers and payload: GitHub Enterprise, and hooks of
// Gitea and Forgejo that were made with this path; these have one of their own too (gitea.c).
// Facts: GitHub's documentation of webhook headers, signatures and the push payload.
#include "webhooks/event.h"
#include "webhooks/form.h"
#include "webhooks/github_payload.h"
#include "webhooks/signature.h"

#include <string.h>

static bool detect(const struct webhook_headers *headers)
{
    return headers->values[HEADER_GITHUB_EVENT];
}

// --- verify ---
static bool no_signature(const struct webhook_headers *headers, struct error *err)
{
    const char *sha1 = headers->values[HEADER_HUB_SIGNATURE];
    if (sha1 && *sha1)
        return error_set(err, ERR_UNAUTHORIZED,
                         "only a SHA-1 signature (X-Hub-Signature): X-Hub-Signature-256 is needed");
    return error_set(err, ERR_UNAUTHORIZED,
                     "no X-Hub-Signature-256 header: has the hook a secret?");
}

// Gitea and Forgejo sign the JSON even when they send it inside a form; GitHub signs the form.
static bool signs_inside_form(const struct webhook_headers *headers)
{
    return event_content_type(headers) == CONTENT_FORM &&
           (headers->values[HEADER_GITEA_EVENT] || headers->values[HEADER_FORGEJO_EVENT]);
}

static const struct hub_header sha256_header = {"X-Hub-Signature-256", SECRET_HMAC};

static bool check(const struct webhook_headers *headers, const void *body, size_t len,
                  const struct webhook_secrets *secrets, struct wall_time now, struct error *err)
{
    (void)now; // these signatures bear no time
    const char *given = headers->values[HEADER_HUB_SIGNATURE_256];
    if (secrets->count[SECRET_HMAC] == 0)
        return error_set(err, ERR_UNAUTHORIZED, "no secret is configured for GitHub's webhooks");
    if (!event_check_repeats(headers, 1U << HEADER_HUB_SIGNATURE_256, ERR_UNAUTHORIZED, err))
        return false;
    if (!given || !*given)
        return no_signature(headers, err);
    if (!signs_inside_form(headers))
        return hub_signature_verify(&sha256_header, given, body, len, secrets, err);
    CLEANUP(buffer_finish) struct buffer json = {0};
    return form_field(body, len, "payload", &json, err) &&
           hub_signature_verify(&sha256_header, given, buffer_text(&json), json.len, secrets, err);
}

// A hook of Gitea, whose secret may be among Gitea's.
static bool verify(const struct webhook_headers *headers, const void *body, size_t len,
                   const struct webhook_secrets *secrets, struct wall_time now, struct error *err)
{
    if (check(headers, body, len, secrets, now, err))
        return true;
    if (headers->values[HEADER_GITEA_EVENT] || headers->values[HEADER_FORGEJO_EVENT])
        return error_wrap(err,
                          "this hook of Gitea or Forgejo has a path of its own, /webhooks/gitea");
    return false;
}

static bool decode(const struct webhook_headers *headers, const void *body, size_t len,
                   struct webhook_event *out, struct error *err)
{
    static const struct github_headers names = {HEADER_GITHUB_EVENT, HEADER_GITHUB_DELIVERY};
    return github_payload_decode(headers, &names, body, len, out, err);
}

const struct webhook_provider webhook_github = {
    .name = "github",
    .path = "/webhooks/github",
    .secrets = 1U << SECRET_HMAC,
    .detect = detect,
    .verify = verify,
    .decode = decode,
};
