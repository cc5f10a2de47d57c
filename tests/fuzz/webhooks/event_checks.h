// What must hold of every event that a provider's decode() hands out.
#ifndef CRONWRIGHT_TESTS_FUZZ_EVENT_CHECKS_H
#define CRONWRIGHT_TESTS_FUZZ_EVENT_CHECKS_H

#include "agent/base/json.h"
#include "agent/base/text.h"
#include "webhooks/provider.h"

#include <stdio.h>
#include <string.h>

static inline void expect(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "event: %s\n", what);
    abort();
}

static inline bool is_clean(const char *text)
{
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return false;
    return text_is_utf8(text, strlen(text));
}

static inline bool is_id(const char *id)
{
    size_t len = strlen(id);
    return (len == 40 || len == 64) && strspn(id, "0123456789abcdef") == len;
}

static inline void check_change(const struct webhook_change *event)
{
    bool branch = event->kind == EVENT_PUSH_BRANCH || event->kind == EVENT_DELETE_BRANCH;
    bool deleted = event->kind == EVENT_DELETE_BRANCH || event->kind == EVENT_DELETE_TAG;
    expect(ref_check(event->ref, NULL), "a ref that Git refuses");
    expect(is_id(event->after), "no object id");
    expect(!*event->before || is_id(event->before), "no object id before");
    expect(deleted == (strspn(event->after, "0") == strlen(event->after)), "zeros and deletion");
    expect(branch ? ref_check_branch(event->branch, NULL) : !*event->branch, "the branch");
    expect(branch == (ref_branch(event->ref) != NULL), "the kind of ref");
}

static inline bool is_push(const struct webhook_change *change)
{
    expect((change->kind == EVENT_IGNORED) == (change->ignored_because != NULL), "the reason");
    return change->kind != EVENT_IGNORED && change->kind != EVENT_PING;
}

static inline void check_repository(const struct webhook_event *event)
{
    char identity[REPOSITORY_MAX + 1];
    expect(repository_identify(event->repository, identity, NULL) &&
               strcmp(identity, event->repository) == 0,
           "a repository that is no identity");
}

// `json` is what was decoded, by jansson; NULL when it refuses that.
static inline void check_event(const struct webhook_event *event, const json_t *json)
{
    const char *texts[] = {event->delivery,   event->name,          event->repository,
                           event->change.ref, event->change.branch, event->pusher,
                           event->subject,    event->author};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        expect(is_clean(texts[i]), "a text with control characters");
    expect(json_is_object(json), "decoded, but jansson finds no object");
    expect(strlen(event->body_sha256) == SHA256_HEX_SIZE - 1, "the hash");
    if (!is_push(&event->change))
        return;
    check_change(&event->change);
    check_repository(event);
}

// And its ref is the payload's "ref".
static inline void check_event_of_ref(const struct webhook_event *event, const json_t *json)
{
    const char *ref = json_text_at(json, "ref", NULL);
    check_event(event, json);
    if (is_push(&event->change))
        expect(ref && strcmp(ref, event->change.ref) == 0, "another ref than jansson's");
}

// Decodes a payload in GitHub's form, under that event header, and checks what comes of it.
static inline void check_github_payload(const struct webhook_provider *provider,
                                        const char *event_header, const char *event_name,
                                        const char *content_type, const char *body, size_t len)
{
    struct webhook_headers headers = {0};
    struct webhook_event event = {0};
    struct error err = {0};
    webhook_headers_add(&headers, event_header, event_name);
    webhook_headers_add(&headers, "Content-Type", content_type);
    if (!provider->decode(&headers, body, len, &event, &err)) {
        expect(err.code == ERR_INVALID, "the error's code");
        return;
    }
    expect(event.more_count == 0, "more than one ref");
    if (strcmp(content_type, "application/json") != 0)
        return; // fuzz_form looks into these
    CLEANUP(json_ptr) json_t *json = json_loadb(body, len, 0, NULL);
    check_event_of_ref(&event, json);
}

#endif
