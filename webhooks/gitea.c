// Gitea, Forgejo and Gogs: GitHub's payload, with signatures of their own.
// Facts: Gitea's source (services/webhook/deliver.go), its and Forgejo's documentation of webhooks.
#include "webhooks/event.h"
#include "webhooks/form.h"
#include "webhooks/github_payload.h"
#include "webhooks/signature.h"

#include <string.h>

// Forgejo sends Gitea's headers too, and both send those of Gogs: the most telling name is read.
static const struct github_headers names[] = {
    {HEADER_FORGEJO_EVENT, HEADER_FORGEJO_DELIVERY},
    {HEADER_GITEA_EVENT, HEADER_GITEA_DELIVERY},
    {HEADER_GOGS_EVENT, HEADER_GOGS_DELIVERY},
};

static const struct signature {
    enum webhook_header header;
    const char *prefix;
} signatures[] = {
    {HEADER_FORGEJO_SIGNATURE, ""},
    {HEADER_GITEA_SIGNATURE, ""},
    {HEADER_GOGS_SIGNATURE, ""},
    {HEADER_HUB_SIGNATURE_256, HUB_PREFIX},
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct github_headers *find_names(const struct webhook_headers *headers)
{
    for (size_t i = 0; i < COUNT(names); i++)
        if (headers->values[names[i].event])
            return &names[i];
    return NULL;
}

static bool detect(const struct webhook_headers *headers)
{
    return find_names(headers) != NULL;
}

// --- verify ---

// Without a secret they send all headers of signatures, with nothing in them.
static bool check_form(const struct webhook_headers *headers, const struct signature *signature,
                       struct error *err)
{
    const char *name = webhook_header_name(signature->header);
    const char *given = headers->values[signature->header];
    size_t prefix = strlen(signature->prefix);
    if (!event_check_repeats(headers, 1U << signature->header, ERR_UNAUTHORIZED, err))
        return false;
    if (!*given || strcmp(given, signature->prefix) == 0)
        return error_set(err, ERR_UNAUTHORIZED, "%s is empty: has the hook a secret?", name);
    if (strncmp(given, signature->prefix, prefix) != 0 ||
        strlen(given + prefix) != 2 * SHA256_SIZE ||
        strspn(given + prefix, "0123456789abcdef") != 2 * SHA256_SIZE)
        return error_set(err, ERR_UNAUTHORIZED, "%s is not %s%s64 lower-case hex digits", name,
                         signature->prefix, *signature->prefix ? " and " : "");
    return true;
}

static bool check_forms(const struct webhook_headers *headers, struct error *err)
{
    size_t count = 0;
    for (size_t i = 0; i < COUNT(signatures); i++) {
        if (!headers->values[signatures[i].header])
            continue;
        if (!check_form(headers, &signatures[i], err))
            return false;
        count++;
    }
    return count > 0 ||
           error_set(err, ERR_UNAUTHORIZED, "no X-Gitea-Signature header: has the hook a secret?");
}

// Whether all that are given are by this secret.
static bool all_by(const struct webhook_secret *secret, const struct webhook_headers *headers,
                   const void *json, size_t len)
{
    char expected[HUB_SIGNATURE_SIZE];
    const char *digits = expected + strlen(HUB_PREFIX);
    bool match = true;
    hub_signature_make(secret, json, len, expected);
    for (size_t i = 0; i < COUNT(signatures); i++) {
        const char *given = headers->values[signatures[i].header];
        if (given)
            match &= equal_in_constant_time(given + strlen(signatures[i].prefix), digits,
                                            2 * SHA256_SIZE);
    }
    return match;
}

static bool verify_json(const struct webhook_headers *headers, const void *json, size_t len,
                        const struct webhook_secrets *secrets, struct error *err)
{
    bool match = false;
    for (size_t i = 0; i < secrets->count[SECRET_GITEA]; i++)
        match |= all_by(&secrets->list[SECRET_GITEA][i], headers, json, len);
    return match || error_set(err, ERR_UNAUTHORIZED, "the signature matches no configured secret");
}

static bool verify(const struct webhook_headers *headers, const void *body, size_t len,
                   const struct webhook_secrets *secrets, struct wall_time now, struct error *err)
{
    (void)now; // these signatures bear no time
    if (secrets->count[SECRET_GITEA] == 0)
        return error_set(err, ERR_UNAUTHORIZED,
                         "no secret is configured for Gitea's and Forgejo's webhooks");
    if (!check_forms(headers, err))
        return false;
    if (event_content_type(headers) != CONTENT_FORM)
        return verify_json(headers, body, len, secrets, err);
    // The JSON is what they sign even when they send it inside a form.
    CLEANUP(buffer_finish) struct buffer json = {0};
    return form_field(body, len, "payload", &json, err) &&
           verify_json(headers, buffer_text(&json), json.len, secrets, err);
}

static bool decode(const struct webhook_headers *headers, const void *body, size_t len,
                   struct webhook_event *out, struct error *err)
{
    const struct github_headers *found = find_names(headers);
    return github_payload_decode(headers, found ? found : &names[1], body, len, out, err);
}

const struct webhook_provider webhook_gitea = {
    .name = "gitea",
    .path = "/webhooks/gitea",
    .secrets = 1U << SECRET_GITEA,
    .detect = detect,
    .verify = verify,
    .decode = decode,
};
