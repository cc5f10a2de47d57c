// Bitbucket Cloud and Bitbucket Data Center: the same headers, two payloads.
// Facts: Atlassian's documentation of event payloads and of webhook secrets.
#include "agent/base/text.h"
#include "webhooks/event.h"
#include "webhooks/payload.h"
#include "webhooks/signature.h"

#include <stdio.h>
#include <string.h>

#define TYPE_MAX 31

struct cloud_ref {
    char type[TYPE_MAX + 1]; // "branch", "tag"
    char name[REF_MAX + 1];
    char hash[OBJECT_ID_MAX + 1];
};

struct one_change {
    char ref[REF_MAX + 1]; // full; "" where it is neither branch nor tag
    char before[OBJECT_ID_MAX + 1];
    char after[OBJECT_ID_MAX + 1];
    bool deleted;
    bool too_long; // the ref
};

struct bitbucket_payload {
    char html_url[REPOSITORY_MAX + 1]; // Cloud
    struct {
        char href[REPOSITORY_MAX + 1];
        char name[TYPE_MAX + 1]; // "http", "ssh"
    } clone;                     // Data Center, the one that is being read
    char http_url[REPOSITORY_MAX + 1];
    char ssh_url[REPOSITORY_MAX + 1];
    char cloud_actor[EVENT_PERSON_MAX + 1];
    char server_actor[EVENT_PERSON_MAX + 1];
    struct cloud_ref old, new; // Cloud, those of the change that is being read
    char message[EVENT_SUBJECT_MAX + 1];
    struct {
        char ref[REF_MAX + 1];
        char from[OBJECT_ID_MAX + 1];
        char to[OBJECT_ID_MAX + 1];
        char type[TYPE_MAX + 1]; // "ADD", "UPDATE", "DELETE"
    } server;                    // Data Center, the change that is being read

    struct one_change changes[EVENT_CHANGES_MAX];
    size_t count;
    size_t left_out;
    char subject[EVENT_SUBJECT_MAX + 1]; // of the first change
};

#define TEXT(member)                                                                               \
    offsetof(struct bitbucket_payload, member), sizeof((struct bitbucket_payload *)0)->member, NULL

// --- lists, element by element ---

static struct one_change *next_change(struct bitbucket_payload *payload)
{
    if (payload->count == EVENT_CHANGES_MAX) {
        payload->left_out++;
        return NULL;
    }
    return &payload->changes[payload->count++];
}

// "refs/heads/main" of a branch called main; "" when it is no ref of Git's.
static void set_full_ref(struct one_change *change, const struct cloud_ref *ref)
{
    static const struct {
        const char *type;
        const char *prefix;
    } types[] = {{"branch", "refs/heads/"}, {"tag", "refs/tags/"}, {"annotated_tag", "refs/tags/"}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(ref->type, types[i].type) == 0)
            change->too_long = snprintf(change->ref, sizeof change->ref, "%s%s", types[i].prefix,
                                        ref->name) > REF_MAX;
}

static void add_cloud_change(void *out)
{
    struct bitbucket_payload *payload = out;
    struct one_change *change = next_change(payload);
    if (!change)
        return;
    if (payload->count == 1)
        memcpy(payload->subject, payload->message, sizeof payload->subject);
    change->deleted = !*payload->new.type;
    set_full_ref(change, change->deleted ? &payload->old : &payload->new);
    memcpy(change->before, payload->old.hash, sizeof change->before);
    memcpy(change->after, payload->new.hash, sizeof change->after);
}

static void add_server_change(void *out)
{
    struct bitbucket_payload *payload = out;
    struct one_change *change = next_change(payload);
    if (!change)
        return;
    change->deleted = strcmp(payload->server.type, "DELETE") == 0;
    memcpy(change->ref, payload->server.ref, sizeof change->ref);
    memcpy(change->before, payload->server.from, sizeof change->before);
    memcpy(change->after, payload->server.to, sizeof change->after);
}

static void add_clone_url(void *out)
{
    struct bitbucket_payload *payload = out;
    bool ssh = strcmp(payload->clone.name, "ssh") == 0;
    memcpy(ssh ? payload->ssh_url : payload->http_url, payload->clone.href,
           sizeof payload->clone.href);
}

enum {
    REPOSITORY,
    LINKS,
    HTML,
    CLONE,
    ACTOR,
    PUSH,
    CLOUD_CHANGES,
    NEW,
    NEW_TARGET,
    OLD,
    OLD_TARGET,
    SERVER_CHANGES
};

static const struct payload_field fields[] = {
    [REPOSITORY] = {"repository", PAYLOAD_ROOT, PAYLOAD_OBJECT, 0, 0, NULL},
    [LINKS] = {"links", REPOSITORY, PAYLOAD_OBJECT, 0, 0, NULL},
    [HTML] = {"html", LINKS, PAYLOAD_OBJECT, 0, 0, NULL},
    [CLONE] = {"clone", LINKS, PAYLOAD_LIST, 0, 0, add_clone_url},
    [ACTOR] = {"actor", PAYLOAD_ROOT, PAYLOAD_OBJECT, 0, 0, NULL},
    [PUSH] = {"push", PAYLOAD_ROOT, PAYLOAD_OBJECT, 0, 0, NULL},
    [CLOUD_CHANGES] = {"changes", PUSH, PAYLOAD_LIST, 0, 0, add_cloud_change},
    [NEW] = {"new", CLOUD_CHANGES, PAYLOAD_OBJECT, 0, 0, NULL},
    [NEW_TARGET] = {"target", NEW, PAYLOAD_OBJECT, 0, 0, NULL},
    [OLD] = {"old", CLOUD_CHANGES, PAYLOAD_OBJECT, 0, 0, NULL},
    [OLD_TARGET] = {"target", OLD, PAYLOAD_OBJECT, 0, 0, NULL},
    [SERVER_CHANGES] = {"changes", PAYLOAD_ROOT, PAYLOAD_LIST, 0, 0, add_server_change},
    {"href", HTML, PAYLOAD_TEXT, TEXT(html_url)},
    {"href", CLONE, PAYLOAD_TEXT, TEXT(clone.href)},
    {"name", CLONE, PAYLOAD_TEXT, TEXT(clone.name)},
    {"display_name", ACTOR, PAYLOAD_LINE, TEXT(cloud_actor)},
    {"displayName", ACTOR, PAYLOAD_LINE, TEXT(server_actor)},
    {"type", NEW, PAYLOAD_TEXT, TEXT(new.type)},
    {"name", NEW, PAYLOAD_TEXT, TEXT(new.name)},
    {"hash", NEW_TARGET, PAYLOAD_TEXT, TEXT(new.hash)},
    {"message", NEW_TARGET, PAYLOAD_LINE, TEXT(message)},
    {"type", OLD, PAYLOAD_TEXT, TEXT(old.type)},
    {"name", OLD, PAYLOAD_TEXT, TEXT(old.name)},
    {"hash", OLD_TARGET, PAYLOAD_TEXT, TEXT(old.hash)},
    {"refId", SERVER_CHANGES, PAYLOAD_TEXT, TEXT(server.ref)},
    {"fromHash", SERVER_CHANGES, PAYLOAD_TEXT, TEXT(server.from)},
    {"toHash", SERVER_CHANGES, PAYLOAD_TEXT, TEXT(server.to)},
    {"type", SERVER_CHANGES, PAYLOAD_TEXT, TEXT(server.type)},
};

static bool detect(const struct webhook_headers *headers)
{
    return headers->values[HEADER_EVENT_KEY];
}

// --- verify ---

static bool is_connection_test(const struct webhook_headers *headers)
{
    const char *event = headers->values[HEADER_EVENT_KEY];
    return event && strcmp(event, "diagnostics:ping") == 0;
}

static bool verify(const struct webhook_headers *headers, const void *body, size_t len,
                   const struct webhook_secrets *secrets, struct wall_time now, struct error *err)
{
    static const struct hub_header header = {"X-Hub-Signature", SECRET_BITBUCKET};
    (void)now; // these signatures bear no time
    const char *given = headers->values[HEADER_HUB_SIGNATURE];
    if (secrets->count[SECRET_BITBUCKET] == 0)
        return error_set(err, ERR_UNAUTHORIZED, "no secret is configured for Bitbucket's webhooks");
    if (!event_check_repeats(headers, 1U << HEADER_HUB_SIGNATURE, ERR_UNAUTHORIZED, err))
        return false;
    if ((!given || !*given) && is_connection_test(headers))
        return error_set(
            err, ERR_UNAUTHORIZED,
            "the address is right, but Bitbucket does not sign its connection test, so "
            "that nothing is known of the secret: push to try it");
    if (!given || !*given)
        return error_set(err, ERR_UNAUTHORIZED,
                         "no X-Hub-Signature header: has the hook a secret?");
    return hub_signature_verify(&header, given, body, len, secrets, err);
}

// --- decode ---

static bool read_change(const struct one_change *from, struct webhook_change *out,
                        struct error *err)
{
    char zeros[OBJECT_ID_MAX + 1] = {0};
    // Data Center gives zeros for what was not there.
    const char *before = strspn(from->before, "0") == strlen(from->before) ? "" : from->before;
    if (from->too_long)
        return error_set(err, ERR_INVALID, "the payload has a ref that is too long");
    if (!*from->ref) {
        event_ignore(out, "The ref is neither a branch nor a tag.");
        return true;
    }
    memset(zeros, '0', *before ? strlen(before) : OBJECT_ID_SHA1);
    return event_set_push(out, from->ref, before, from->deleted ? zeros : from->after,
                          from->deleted, err);
}

// What the delivery is known by is the first change: better a branch than a tag or what is gone.
static void put_branch_first(struct webhook_event *event)
{
    for (size_t i = 0; i < event->more_count && event->change.kind != EVENT_PUSH_BRANCH; i++) {
        struct webhook_change first = event->change;
        if (event->more[i].kind != EVENT_PUSH_BRANCH)
            continue;
        event->change = event->more[i];
        event->more[i] = first;
    }
}

static bool fill_changes(struct webhook_event *event, const struct bitbucket_payload *payload,
                         struct error *err)
{
    if (payload->count == 0) {
        event_ignore(&event->change, "The push moves no ref.");
        return true;
    }
    if (!read_change(&payload->changes[0], &event->change, err))
        return false;
    event->left_out = payload->left_out;
    if (payload->count > 1)
        event->more = xalloc((payload->count - 1) * sizeof *event->more);
    for (size_t i = 1; i < payload->count; i++)
        if (!read_change(&payload->changes[i], &event->more[event->more_count++], err))
            return false;
    put_branch_first(event);
    return true;
}

// Data Center's HTTPS addresses have a path that its SSH addresses have not.
static void fill_other_repository(struct webhook_event *event,
                                  const struct bitbucket_payload *payload)
{
    if (!repository_identify(payload->ssh_url, event->other_repository, NULL) ||
        strcmp(event->other_repository, event->repository) == 0)
        event->other_repository[0] = '\0';
}

static bool fill(struct webhook_event *event, const struct bitbucket_payload *payload,
                 const struct error *shape, struct error *err)
{
    bool is_push =
        strcmp(event->name, "repo:push") == 0 || strcmp(event->name, "repo:refs_changed") == 0;
    const char *const urls[] = {payload->html_url, payload->http_url, payload->ssh_url, NULL};
    if (!event_set_repository(event, urls, is_push ? err : NULL) && is_push)
        return false; // a connection test names none
    if (!is_push) {
        event->change.kind = EVENT_PING;
        if (strcmp(event->name, "diagnostics:ping") != 0)
            event_ignore(&event->change, IGNORED_EVENT);
        return true;
    }
    if (shape->code != ERR_NONE)
        return error_set(err, shape->code, "%s", shape->text);
    fill_other_repository(event, payload);
    const char *actor = *payload->cloud_actor ? payload->cloud_actor : payload->server_actor;
    memcpy(event->pusher, actor, sizeof event->pusher);
    memcpy(event->subject, payload->subject, sizeof event->subject);
    return fill_changes(event, payload, err);
}

static bool decode(const struct webhook_headers *headers, const void *body, size_t len,
                   struct webhook_event *out, struct error *err)
{
    const unsigned once = 1U << HEADER_CONTENT_TYPE | 1U << HEADER_EVENT_KEY |
                          1U << HEADER_REQUEST_UUID | 1U << HEADER_REQUEST_ID;
    const char *uuid = headers->values[HEADER_REQUEST_UUID];
    const char *delivery = uuid && *uuid ? uuid : headers->values[HEADER_REQUEST_ID];
    CLEANUP(webhook_event_finish) struct webhook_event event = {0};
    CLEANUP(free_ptr) struct bitbucket_payload *payload = xalloc(sizeof *payload);
    struct error shape;
    if (!event_check_repeats(headers, once, ERR_INVALID, err) ||
        !event_begin(&event, HEADER_EVENT_KEY, headers, delivery, body, len, err))
        return false;
    if (event_content_type(headers) != CONTENT_JSON)
        return error_set(err, ERR_UNSUPPORTED, "the content type is not application/json");
    if (!payload_read(body, len, fields, sizeof fields / sizeof fields[0], payload, &shape, err) ||
        !fill(&event, payload, &shape, err))
        return false;
    *out = event;
    event = (struct webhook_event){0};
    return true;
}

const struct webhook_provider webhook_bitbucket = {
    .name = "bitbucket",
    .path = "/webhooks/bitbucket",
    .secrets = 1U << SECRET_BITBUCKET,
    .detect = detect,
    .verify = verify,
    .decode = decode,
};
