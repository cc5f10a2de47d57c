#include "webhooks/signature.h"

#include "agent/base/buffer.h"
#include "agent/base/crypto.h"
#include "agent/base/text.h"

#include <stdio.h>
#include <string.h>

#define STANDARD_PREFIX "v1,"

// --- GitHub ---
void hub_signature_make(const struct webhook_secret *secret, const void *body, size_t len,
                        char out[static HUB_SIGNATURE_SIZE])
{
    uint8_t mac[SHA256_SIZE];
    hmac_sha256(secret->bytes, secret->len, body, len, mac);
    memcpy(out, HUB_PREFIX, strlen(HUB_PREFIX));
    hex_encode(mac, sizeof mac, out + strlen(HUB_PREFIX));
}

static bool is_hub_signature(const char *given)
{
    return strlen(given) == HUB_SIGNATURE_SIZE - 1 && text_starts(given, HUB_PREFIX) &&
           strspn(given + strlen(HUB_PREFIX), "0123456789abcdef") == 2 * SHA256_SIZE;
}

bool hub_signature_verify(const struct hub_header *header, const char *given, const void *body,
                          size_t len, const struct webhook_secrets *secrets, struct error *err)
{
    if (!is_hub_signature(given))
        return error_set(err, ERR_UNAUTHORIZED,
                         "%s is not \"sha256=\" and 64 lower-case hex digits", header->name);
    bool match = false;
    for (size_t i = 0; i < secrets->count[header->secrets]; i++) {
        char expected[HUB_SIGNATURE_SIZE];
        hub_signature_make(&secrets->list[header->secrets][i], body, len, expected);
        match |= equal_in_constant_time(given, expected, HUB_SIGNATURE_SIZE - 1);
    }
    return match || error_set(err, ERR_UNAUTHORIZED, "the signature matches no configured secret");
}

// --- GitLab's token ---
bool token_verify(const char *given, const struct webhook_secrets *secrets, struct error *err)
{
    // Hashes have one length, so that the time taken does not tell the token's.
    uint8_t given_hash[SHA256_SIZE];
    sha256(given, strlen(given), given_hash);
    bool match = false;
    for (size_t i = 0; i < secrets->count[SECRET_TOKEN]; i++) {
        const struct webhook_secret *secret = &secrets->list[SECRET_TOKEN][i];
        uint8_t hash[SHA256_SIZE];
        sha256(secret->bytes, secret->len, hash);
        match |= equal_in_constant_time(given_hash, hash, sizeof hash);
    }
    return match || error_set(err, ERR_UNAUTHORIZED, "the token matches no configured token");
}

// --- Standard Webhooks ---
void standard_signature_make(const struct webhook_secret *secret, const char *id,
                             const char *timestamp, const void *body, size_t len,
                             char out[static STANDARD_SIGNATURE_SIZE])
{
    const struct bytes pieces[] = {
        {id, strlen(id)}, {".", 1}, {timestamp, strlen(timestamp)}, {".", 1}, {body, len},
    };
    uint8_t mac[SHA256_SIZE];
    hmac_sha256_pieces(secret->bytes, secret->len, pieces, sizeof pieces / sizeof pieces[0], mac);
    CLEANUP(free_ptr) char *encoded = base64_encode(mac, sizeof mac);
    snprintf(out, STANDARD_SIGNATURE_SIZE, STANDARD_PREFIX "%s", encoded);
}

static bool check_present(const struct standard_headers *given, struct error *err)
{
    const struct {
        const char *name;
        const char *value;
    } needed[] = {
        {"webhook-signature", given->signature},
        {"webhook-id", given->id},
        {"webhook-timestamp", given->timestamp},
    };
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (!needed[i].value || !*needed[i].value)
            return error_set(err, ERR_UNAUTHORIZED,
                             "no %s header: a signing token is configured, so every request must "
                             "be signed with one",
                             needed[i].name);
    return true;
}

static bool check_window(const char *timestamp, struct wall_time now, struct error *err)
{
    int64_t seconds;
    if (!text_to_int(timestamp, 0, INT32_MAX * INT64_C(1000), &seconds))
        return error_set(err, ERR_UNAUTHORIZED, "webhook-timestamp is not in Unix seconds");
    int64_t age = now.ms / 1000 - seconds;
    if (age > STANDARD_WINDOW_S || age < -STANDARD_WINDOW_S)
        return error_set(err, ERR_UNAUTHORIZED,
                         "webhook-timestamp is %lld s in the %s, more than the %d s allowed: "
                         "replayed, or a clock is wrong",
                         (long long)(age < 0 ? -age : age), age < 0 ? "future" : "past",
                         STANDARD_WINDOW_S);
    return true;
}

// Is one of the listed signatures `expected`? Looks at all of them.
static bool list_holds(const char *list, const char *expected)
{
    bool match = false;
    for (const char *item = list; *item;) {
        size_t len = strcspn(item, " ");
        if (len == STANDARD_SIGNATURE_SIZE - 1)
            match |= equal_in_constant_time(item, expected, len);
        item += len + strspn(item + len, " ");
    }
    return match;
}

static size_t count_signatures(const char *list)
{
    size_t count = 0;
    for (const char *c = list; (c = strstr(c, STANDARD_PREFIX)); c++)
        count++;
    return count;
}

bool standard_signature_verify(const struct standard_headers *given, const void *body, size_t len,
                               const struct webhook_secrets *secrets, struct wall_time now,
                               struct error *err)
{
    if (!check_present(given, err) || !check_window(given->timestamp, now, err))
        return false;
    size_t count = count_signatures(given->signature);
    if (count == 0 || count > STANDARD_SIGNATURES_MAX)
        return error_set(err, ERR_UNAUTHORIZED, "webhook-signature holds %s v1 signature",
                         count ? "too many to be a" : "no");
    bool match = false;
    for (size_t i = 0; i < secrets->count[SECRET_SIGNING]; i++) {
        char expected[STANDARD_SIGNATURE_SIZE];
        standard_signature_make(&secrets->list[SECRET_SIGNING][i], given->id, given->timestamp,
                                body, len, expected);
        match |= list_holds(given->signature, expected);
    }
    return match ||
           error_set(err, ERR_UNAUTHORIZED, "no v1 signature matches a configured signing token");
}
