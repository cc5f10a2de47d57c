// webhook_bitbucket's decode() of a push and of another event, held to what jansson reads: as many
// refs, with the same names.
#include "agent/base/buffer.h"
#include "tests/fuzz/webhooks/event_checks.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct webhook_change *change_at(const struct webhook_event *event, size_t i)
{
    return i == 0 ? &event->change : &event->more[i - 1];
}

// The name that a change has in either payload; NULL when it is no object.
static const char *name_of(const json_t *change)
{
    const char *ref = json_text_at(change, "refId", NULL);
    if (ref)
        return ref;
    const char *name = json_text_at(change, "new", "type", NULL);
    name = name && *name ? json_text_at(change, "new", "name", NULL)
                         : json_text_at(change, "old", "name", NULL);
    return name ? name : "";
}

// Ignored ones have no ref.
static bool has_name(const struct webhook_event *event, const char *name)
{
    for (size_t i = 0; i <= event->more_count; i++) {
        const struct webhook_change *change = change_at(event, i);
        if (change->kind == EVENT_IGNORED || text_ends(change->ref, name))
            return true;
    }
    return false;
}

static size_t check_names(const struct webhook_event *event, const json_t *list, size_t found)
{
    size_t i;
    json_t *change;
    json_array_foreach(list, i, change)
    {
        if (!json_is_object(change))
            continue;
        if (found <= event->more_count)
            expect(has_name(event, name_of(change)), "another ref than jansson's");
        found++;
    }
    return found;
}

static void check_changes(const struct webhook_event *event, const json_t *json)
{
    for (size_t i = 0; i <= event->more_count; i++)
        if (is_push(change_at(event, i)))
            check_change(change_at(event, i));
    const json_t *cloud = json_object_get(json_object_get(json, "push"), "changes");
    const json_t *server = json_object_get(json, "changes");
    if (json_array_size(cloud) > 0 && json_array_size(server) > 0)
        return; // nobody sends both
    size_t found = check_names(event, cloud, 0);
    found = check_names(event, server, found);
    size_t told = event->more_count + 1 + event->left_out;
    expect(found == told || (found == 0 && told == 1), "another number of refs than jansson's");
}

static void decode(const char *event_name, const char *body, size_t len)
{
    struct webhook_headers headers = {0};
    CLEANUP(webhook_event_finish) struct webhook_event event = {0};
    struct error err = {0};
    webhook_headers_add(&headers, "X-Event-Key", event_name);
    webhook_headers_add(&headers, "Content-Type", "application/json; charset=utf-8");
    if (!webhook_bitbucket.decode(&headers, body, len, &event, &err)) {
        expect(err.code == ERR_INVALID, "the error's code");
        return;
    }
    CLEANUP(json_ptr) json_t *json = json_loadb(body, len, 0, NULL);
    check_event(&event, json);
    if (strcmp(event_name, "repo:push") == 0)
        check_changes(&event, json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *body = (const char *)data;
    decode("repo:push", body, size);
    decode("pullrequest:created", body, size);
    return 0;
}
