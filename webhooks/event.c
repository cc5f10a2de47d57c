#include "webhooks/event.h"

#include "agent/base/text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DELIVERY_CHARS                                                                             \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"                               \
    "-_.:"

bool event_check_repeats(const struct webhook_headers *headers, unsigned which,
                         enum error_code code, struct error *err)
{
    for (unsigned i = 0; i < WEBHOOK_HEADER_COUNT; i++)
        if (headers->repeated & which & 1U << i)
            return error_set(err, code, "the header %s is there twice", webhook_header_name(i));
    return true;
}

static bool set_name(struct webhook_event *event, enum webhook_header header, const char *name,
                     struct error *err)
{
    if (!name || !*name)
        return error_set(err, ERR_INVALID, "no %s header", webhook_header_name(header));
    bool fits = text_copy(event->name, sizeof event->name, name);
    for (const char *c = name; fits && *c; c++)
        fits = *c >= ' ' && *c <= '~';
    return fits ||
           error_set(err, ERR_INVALID, "%s is not an event's name", webhook_header_name(header));
}

bool event_check_delivery(const char *id, struct error *err)
{
    size_t len = strlen(id);
    if (len == 0 || len > DELIVERY_ID_MAX || strspn(id, DELIVERY_CHARS) != len ||
        strchr("-_.:", id[0]))
        return error_set(
            err, ERR_INVALID,
            "the delivery id is not up to %d letters, digits and - _ . :", DELIVERY_ID_MAX);
    return true;
}

static bool set_delivery(struct webhook_event *event, const char *delivery, struct error *err)
{
    if (!delivery || !*delivery) {
        snprintf(event->delivery, sizeof event->delivery, "body-%s", event->body_sha256);
        return true;
    }
    return event_check_delivery(delivery, err) &&
           text_copy(event->delivery, sizeof event->delivery, delivery);
}

bool event_begin(struct webhook_event *event, enum webhook_header name_header,
                 const struct webhook_headers *headers, const char *delivery, const void *body,
                 size_t len, struct error *err)
{
    uint8_t hash[SHA256_SIZE];
    sha256(body, len, hash);
    hex_encode(hash, sizeof hash, event->body_sha256);
    return set_name(event, name_header, headers->values[name_header], err) &&
           set_delivery(event, delivery, err);
}

enum content_type event_content_type(const struct webhook_headers *headers)
{
    static const struct {
        const char *name;
        enum content_type type;
    } types[] = {
        {"application/json", CONTENT_JSON},
        {"application/x-www-form-urlencoded", CONTENT_FORM},
    };
    const char *value = headers->values[HEADER_CONTENT_TYPE];
    size_t len = value ? strcspn(value, "; \t") : 0; // parameters such as charset do not matter
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strlen(types[i].name) == len && strncasecmp(value, types[i].name, len) == 0)
            return types[i].type;
    return CONTENT_OTHER;
}

bool event_set_repository(struct webhook_event *event, const char *const urls[], struct error *err)
{
    struct error first = {.code = ERR_INVALID, .text = "there is none"};
    for (bool tried = false; *urls; urls++) {
        if (!**urls)
            continue;
        if (repository_identify(*urls, event->repository, tried ? NULL : &first))
            return true;
        tried = true;
    }
    return error_set(err, ERR_INVALID, "the payload's repository: %s", first.text);
}

static bool set_id(char out[static OBJECT_ID_MAX + 1], const char *id, const char *name,
                   struct error *err)
{
    size_t len = strlen(id);
    if ((len != OBJECT_ID_SHA1 && len != OBJECT_ID_MAX) ||
        strspn(id, "0123456789abcdefABCDEF") != len)
        return error_set(err, ERR_INVALID, "the payload's \"%s\" is not an object id", name);
    for (size_t i = 0; i <= len; i++)
        out[i] = id[i] >= 'A' && id[i] <= 'F' ? (char)(id[i] | 0x20) : id[i];
    return true;
}

static bool is_zeros(const char *id)
{
    return strspn(id, "0") == strlen(id);
}

bool event_set_push(struct webhook_change *change, const char *ref, const char *before,
                    const char *after, bool deleted, struct error *err)
{
    const char *branch = ref_branch(ref);
    if (branch ? !ref_check_branch(branch, err) : !ref_check(ref, err))
        return error_wrap(err, "the payload's \"ref\"");
    if (!set_id(change->after, after, "after", err) ||
        (*before && !set_id(change->before, before, "before", err)))
        return false;
    text_copy(change->ref, sizeof change->ref, ref); // checked to fit
    deleted = deleted || is_zeros(change->after);
    if (deleted)
        memset(change->after, '0', strlen(change->after));
    if (branch) {
        text_copy(change->branch, sizeof change->branch, branch);
        change->kind = deleted ? EVENT_DELETE_BRANCH : EVENT_PUSH_BRANCH;
    } else if (ref_tag(ref)) {
        change->kind = deleted ? EVENT_DELETE_TAG : EVENT_PUSH_TAG;
    } else {
        event_ignore(change, "The ref is neither a branch nor a tag.");
    }
    return true;
}

void event_ignore(struct webhook_change *change, const char *because)
{
    change->kind = EVENT_IGNORED;
    change->ignored_because = because;
}
