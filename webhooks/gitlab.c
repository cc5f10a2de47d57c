// GitLab: project, group and system hooks.
// Facts: GitLab's documentation of webhooks, webhook events and system hooks; Standard Webhooks.
#include "webhooks/event.h"
#include "webhooks/payload.h"
#include "webhooks/signature.h"

#include <string.h>

struct gitlab_payload {
    char object_kind[EVENT_NAME_MAX + 1];
    char event_name[EVENT_NAME_MAX + 1];
    char ref[REF_MAX + 1];
    char before[OBJECT_ID_MAX + 1];
    char after[OBJECT_ID_MAX + 1];
    char checkout_sha[OBJECT_ID_MAX + 1];
    char user_name[EVENT_PERSON_MAX + 1];
    char git_http_url[REPOSITORY_MAX + 1];
    char web_url[REPOSITORY_MAX + 1];
    char git_ssh_url[REPOSITORY_MAX + 1];
    struct {
        char id[OBJECT_ID_MAX + 1];
        char message[EVENT_SUBJECT_MAX + 1];
        char author[EVENT_PERSON_MAX + 1];
    } last;
};

#define TEXT(member)                                                                               \
    offsetof(struct gitlab_payload, member), sizeof((struct gitlab_payload *)0)->member, NULL

enum { PROJECT, COMMITS, AUTHOR };

static const struct payload_field fields[] = {
    [PROJECT] = {"project", PAYLOAD_ROOT, PAYLOAD_OBJECT, 0, 0, NULL},
    [COMMITS] = {"commits", PAYLOAD_ROOT, PAYLOAD_LIST, 0, 0, NULL},
    [AUTHOR] = {"author", COMMITS, PAYLOAD_OBJECT, 0, 0, NULL},
    {"object_kind", PAYLOAD_ROOT, PAYLOAD_TEXT, TEXT(object_kind)},
    {"event_name", PAYLOAD_ROOT, PAYLOAD_TEXT, TEXT(event_name)},
    {"ref", PAYLOAD_ROOT, PAYLOAD_TEXT, TEXT(ref)},
    {"before", PAYLOAD_ROOT, PAYLOAD_TEXT, TEXT(before)},
    {"after", PAYLOAD_ROOT, PAYLOAD_TEXT, TEXT(after)},
    {"checkout_sha", PAYLOAD_ROOT, PAYLOAD_TEXT, TEXT(checkout_sha)},
    {"user_name", PAYLOAD_ROOT, PAYLOAD_LINE, TEXT(user_name)},
    {"git_http_url", PROJECT, PAYLOAD_TEXT, TEXT(git_http_url)},
    {"web_url", PROJECT, PAYLOAD_TEXT, TEXT(web_url)},
    {"git_ssh_url", PROJECT, PAYLOAD_TEXT, TEXT(git_ssh_url)},
    {"id", COMMITS, PAYLOAD_TEXT, TEXT(last.id)},
    {"message", COMMITS, PAYLOAD_LINE, TEXT(last.message)},
    {"name", AUTHOR, PAYLOAD_LINE, TEXT(last.author)},
};

static bool detect(const struct webhook_headers *headers)
{
    return headers->values[HEADER_GITLAB_EVENT];
}

// --- verify ---
static bool verify_token(const struct webhook_headers *headers,
                         const struct webhook_secrets *secrets, struct error *err)
{
    const char *given = headers->values[HEADER_GITLAB_TOKEN];
    if (!event_check_repeats(headers, 1U << HEADER_GITLAB_TOKEN, ERR_UNAUTHORIZED, err))
        return false;
    if (!given || !*given)
        return error_set(err, ERR_UNAUTHORIZED,
                         "no X-Gitlab-Token header: has the hook a secret token?");
    return token_verify(given, secrets, err);
}

static bool verify(const struct webhook_headers *headers, const void *body, size_t len,
                   const struct webhook_secrets *secrets, struct wall_time now, struct error *err)
{
    const unsigned signed_headers =
        1U << HEADER_WEBHOOK_ID | 1U << HEADER_WEBHOOK_TIMESTAMP | 1U << HEADER_WEBHOOK_SIGNATURE;
    bool plain = secrets->accept_unsigned && secrets->count[SECRET_TOKEN] > 0 &&
                 !headers->values[HEADER_WEBHOOK_SIGNATURE] &&
                 !(headers->repeated & signed_headers);
    // Where a signing token is configured nothing less will do, a matching X-Gitlab-Token included,
    // unless the operator says so.
    if (secrets->count[SECRET_SIGNING] > 0 && !plain) {
        const struct standard_headers given = {
            .id = headers->values[HEADER_WEBHOOK_ID],
            .timestamp = headers->values[HEADER_WEBHOOK_TIMESTAMP],
            .signature = headers->values[HEADER_WEBHOOK_SIGNATURE],
        };
        return event_check_repeats(headers, signed_headers, ERR_UNAUTHORIZED, err) &&
               standard_signature_verify(&given, body, len, secrets, now, err);
    }
    if (secrets->count[SECRET_TOKEN] > 0)
        return verify_token(headers, secrets, err);
    return error_set(err, ERR_UNAUTHORIZED,
                     "neither a token nor a signing token is configured for GitLab's webhooks");
}

// --- decode ---

// GitLab gives the same id in both headers. In a signed request only webhook-id is covered by the
// signature, so there it is the one that a repeat is known by.
static const char *delivery_id(const struct webhook_headers *headers)
{
    const char *key = headers->values[HEADER_IDEMPOTENCY_KEY];
    bool prefer_signed = headers->values[HEADER_WEBHOOK_SIGNATURE] || !key || !*key;
    const char *id = headers->values[HEADER_WEBHOOK_ID];
    return prefer_signed && id && *id ? id : key;
}

// System hooks always call themselves "System Hook", and the event's header is never signed: the
// payload tells.
static const char *kind_of(const struct gitlab_payload *payload)
{
    return *payload->object_kind ? payload->object_kind : payload->event_name;
}

static bool fill_push(struct webhook_event *event, const struct gitlab_payload *payload,
                      bool is_tag, const struct error *shape, struct error *err)
{
    if (shape->code != ERR_NONE)
        return error_set(err, shape->code, "%s", shape->text);
    // checkout_sha is null on deletion; for a tag it is the commit, where "after" may be a tag
    // object.
    const char *after = is_tag && *payload->checkout_sha ? payload->checkout_sha : payload->after;
    if (!event_set_push(&event->change, payload->ref, payload->before, after, false, err))
        return false;
    memcpy(event->pusher, payload->user_name, sizeof event->pusher);
    if (strcmp(payload->last.id, event->change.after) == 0) {
        memcpy(event->subject, payload->last.message, sizeof event->subject);
        memcpy(event->author, payload->last.author, sizeof event->author);
    }
    return true;
}

static bool fill(struct webhook_event *event, const struct gitlab_payload *payload,
                 const struct error *shape, struct error *err)
{
    const char *kind = kind_of(payload);
    if (!*kind)
        return error_set(err, ERR_INVALID, "the payload has neither object_kind nor event_name");
    bool is_tag = strcmp(kind, "tag_push") == 0;
    bool is_push = is_tag || strcmp(kind, "push") == 0;
    const char *const urls[] = {payload->git_http_url, payload->web_url, payload->git_ssh_url,
                                NULL};
    if (!event_set_repository(event, urls, is_push ? err : NULL) && is_push)
        return false; // events about users or groups name none
    if (is_push)
        return fill_push(event, payload, is_tag, shape, err);
    event_ignore(&event->change, IGNORED_EVENT);
    return true;
}

static bool decode(const struct webhook_headers *headers, const void *body, size_t len,
                   struct webhook_event *out, struct error *err)
{
    const unsigned once = 1U << HEADER_CONTENT_TYPE | 1U << HEADER_GITLAB_EVENT |
                          1U << HEADER_IDEMPOTENCY_KEY | 1U << HEADER_WEBHOOK_ID;
    struct webhook_event event = {0};
    struct gitlab_payload payload = {0};
    struct error shape;
    if (!event_check_repeats(headers, once, ERR_INVALID, err) ||
        !event_begin(&event, HEADER_GITLAB_EVENT, headers, delivery_id(headers), body, len, err))
        return false;
    if (event_content_type(headers) != CONTENT_JSON)
        return error_set(err, ERR_UNSUPPORTED, "the content type is not application/json");
    if (!payload_read(body, len, fields, sizeof fields / sizeof fields[0], &payload, &shape, err) ||
        !fill(&event, &payload, &shape, err))
        return false;
    *out = event;
    return true;
}

const struct webhook_provider webhook_gitlab = {
    .name = "gitlab",
    .path = "/webhooks/gitlab",
    .secrets = 1U << SECRET_TOKEN | 1U << SECRET_SIGNING,
    .detect = detect,
    .verify = verify,
    .decode = decode,
};
