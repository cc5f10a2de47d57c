#include "webhooks/github_payload.h"

#include "webhooks/event.h"
#include "webhooks/form.h"
#include "webhooks/payload.h"

#include <string.h>

struct github_payload {
    char ref[REF_MAX + 1];
    char before[OBJECT_ID_MAX + 1];
    char after[OBJECT_ID_MAX + 1];
    bool deleted;
    char clone_url[REPOSITORY_MAX + 1];
    char html_url[REPOSITORY_MAX + 1];
    char ssh_url[REPOSITORY_MAX + 1];
    char pusher_name[EVENT_PERSON_MAX + 1];
    char pusher_login[EVENT_PERSON_MAX + 1]; // Gitea's
    char message[EVENT_SUBJECT_MAX + 1];
    char author[EVENT_PERSON_MAX + 1];
};

#define AT(member)   offsetof(struct github_payload, member)
#define TEXT(member) AT(member), sizeof((struct github_payload *)0)->member, NULL

enum { REPOSITORY, PUSHER, HEAD_COMMIT, AUTHOR };

static const struct payload_field fields[] = {
    [REPOSITORY] = {"repository", PAYLOAD_ROOT, PAYLOAD_OBJECT, 0, 0, NULL},
    [PUSHER] = {"pusher", PAYLOAD_ROOT, PAYLOAD_OBJECT, 0, 0, NULL},
    [HEAD_COMMIT] = {"head_commit", PAYLOAD_ROOT, PAYLOAD_OBJECT, 0, 0, NULL},
    [AUTHOR] = {"author", HEAD_COMMIT, PAYLOAD_OBJECT, 0, 0, NULL},
    {"ref", PAYLOAD_ROOT, PAYLOAD_TEXT, TEXT(ref)},
    {"before", PAYLOAD_ROOT, PAYLOAD_TEXT, TEXT(before)},
    {"after", PAYLOAD_ROOT, PAYLOAD_TEXT, TEXT(after)},
    {"deleted", PAYLOAD_ROOT, PAYLOAD_FLAG, AT(deleted), 0, NULL},
    {"clone_url", REPOSITORY, PAYLOAD_TEXT, TEXT(clone_url)},
    {"html_url", REPOSITORY, PAYLOAD_TEXT, TEXT(html_url)},
    {"ssh_url", REPOSITORY, PAYLOAD_TEXT, TEXT(ssh_url)},
    {"name", PUSHER, PAYLOAD_LINE, TEXT(pusher_name)},
    {"login", PUSHER, PAYLOAD_LINE, TEXT(pusher_login)},
    {"message", HEAD_COMMIT, PAYLOAD_LINE, TEXT(message)},
    {"name", AUTHOR, PAYLOAD_LINE, TEXT(author)},
};

static bool read_payload(const struct webhook_headers *headers, const void *body, size_t len,
                         struct github_payload *out, struct error *shape, struct error *err)
{
    const size_t count = sizeof fields / sizeof fields[0];
    CLEANUP(buffer_finish) struct buffer json = {0};
    switch (event_content_type(headers)) {
    case CONTENT_JSON:
        return payload_read(body, len, fields, count, out, shape, err);
    case CONTENT_FORM:
        return form_field(body, len, "payload", &json, err) &&
               payload_read(buffer_text(&json), json.len, fields, count, out, shape, err);
    case CONTENT_OTHER:
        break;
    }
    return error_set(err, ERR_UNSUPPORTED,
                     "the content type is neither application/json nor "
                     "application/x-www-form-urlencoded");
}

static bool fill_push(struct webhook_event *event, const struct github_payload *payload,
                      const struct error *shape, struct error *err)
{
    if (shape->code != ERR_NONE)
        return error_set(err, shape->code, "%s", shape->text);
    const char *pusher = *payload->pusher_name ? payload->pusher_name : payload->pusher_login;
    memcpy(event->pusher, pusher, sizeof event->pusher);
    memcpy(event->subject, payload->message, sizeof event->subject);
    memcpy(event->author, payload->author, sizeof event->author);
    return event_set_push(&event->change, payload->ref, payload->before, payload->after,
                          payload->deleted, err);
}

static bool fill(struct webhook_event *event, const struct github_payload *payload,
                 const struct error *shape, struct error *err)
{
    bool is_push = strcmp(event->name, "push") == 0;
    const char *const urls[] = {payload->clone_url, payload->html_url, payload->ssh_url, NULL};
    if (!event_set_repository(event, urls, is_push ? err : NULL) && is_push)
        return false; // the hook of an organisation may name none
    if (is_push)
        return fill_push(event, payload, shape, err);
    event->change.kind = EVENT_PING;
    if (strcmp(event->name, "ping") != 0)
        event_ignore(&event->change, IGNORED_EVENT);
    return true;
}

bool github_payload_decode(const struct webhook_headers *headers,
                           const struct github_headers *names, const void *body, size_t len,
                           struct webhook_event *out, struct error *err)
{
    const unsigned once = 1U << HEADER_CONTENT_TYPE | 1U << names->event | 1U << names->delivery;
    struct webhook_event event = {0};
    struct github_payload payload = {0};
    struct error shape;
    if (!event_check_repeats(headers, once, ERR_INVALID, err) ||
        !event_begin(&event, names->event, headers, headers->values[names->delivery], body, len,
                     err) ||
        !read_payload(headers, body, len, &payload, &shape, err) ||
        !fill(&event, &payload, &shape, err))
        return false;
    *out = event;
    return true;
}
