// GET /v1/updates: what changes, told to pages as it does, as server-sent events.
//
// Each stream makes a row as it is when it comes to send it. A stream that falls far behind is
// ended; its page connects again and reads its lists anew, as it does first of all.
#include "agent/admin/admit.h"
#include "agent/admin/changes.h"
#include "agent/admin/page.h"
#include "agent/admin/services.h"
#include "agent/admin/strip.h"
#include "agent/store/runs.h"
#include "deploy/services.h"

#include <stdio.h>
#include <string.h>

#define HEARTBEAT_MS  10000 // without anything else to say
#define STRIP_MARKS   30
#define RETRY_SECONDS 15 // until who is one too many may ask again

struct stream {
    const struct admin *admin;
    struct admin_caller caller;
    struct changes_reader reader;
    json_t *due;         // what is to be told of yet: keys of changes_take()
    json_t *running;     // admin_running(), while there is something due; NULL: not asked for
    struct strip *strip; // likewise
    struct mono_time heartbeat;
    char *text; // being sent; NULL: nothing
    size_t sent;
};

static void forget_common(struct stream *stream)
{
    json_decref(stream->running);
    strip_destroy(stream->strip);
    stream->running = NULL;
    stream->strip = NULL;
}

static void release_stream(void *user)
{
    struct stream *stream = user;
    changes_leave(stream->admin->changes);
    json_decref(stream->due);
    forget_common(stream);
    free(stream->text);
    free(stream);
}

// --- events ---

// Takes `text` over.
static void say(struct stream *stream, char *text)
{
    free(stream->text);
    stream->text = text;
    stream->sent = 0;
}

// Takes `data` over. NULL: there is nothing that could be told.
static void say_event(struct stream *stream, const char *event, json_t *data)
{
    CLEANUP(json_ptr) json_t *owned = data;
    if (!owned)
        return;
    CLEANUP(free_ptr) char *text = json_write(owned);
    say(stream, xasprintf("event: %s\ndata: %s\n\n", event, text));
}

static void say_service(struct stream *stream, const struct config_token *token, const char *name)
{
    const struct admin *admin = stream->admin;
    const char *slash = strchr(name, '/');
    CLEANUP(free_ptr) char *namespace_ = xstrndup(name, (size_t)(slash - name));
    if (!admin_sees(token, namespace_))
        return;
    CLEANUP(service_ptr)
    const struct service *service = service_cache_get(admin->services, namespace_, slash + 1);
    if (!service) {
        say_event(stream, "service-gone",
                  json_pack("{s:s, s:s}", "namespace", namespace_, "name", slash + 1));
        return;
    }
    if (!stream->running)
        stream->running = admin_running(admin);
    if (!stream->strip)
        stream->strip = strip_create(admin, STRIP_MARKS);
    json_t *row = admin_service_row_among(admin, service, stream->running);
    if (row)
        strip_add(stream->strip, service, row);
    say_event(stream, "service", row);
}

static void add_service(struct stream *stream, const char *namespace_, const char *name)
{
    CLEANUP(free_ptr) char *key = xasprintf("%c:%s/%s", (char)CHANGES_SERVICE, namespace_, name);
    json_object_set_new(stream->due, key, json_null());
}

static void add_all_services(struct stream *stream)
{
    struct service_list list = {0};
    service_cache_list(stream->admin->services, NULL, &list);
    for (size_t i = 0; i < list.count; i++)
        add_service(stream, list.items[i]->namespace_, list.items[i]->name);
    service_list_finish(&list);
}

// Of a run that is gone there is nothing to be told.
static void add_service_of(struct stream *stream, int64_t run)
{
    char namespace_[STORE_NAME_SIZE], service[STORE_NAME_SIZE];
    struct error err;
    if (store_run_service(stream->admin->store, run, namespace_, service, &err))
        add_service(stream, namespace_, service);
}

// Says something, or nothing: the token may not see it, or it is gone.
static void tell_of(struct stream *stream, const struct config_token *token, const char *key)
{
    const struct admin *admin = stream->admin;
    const char *name = key + 2;
    int64_t id = strtoll(name, NULL, 10);
    switch ((enum changes_letter) * key) {
    case CHANGES_SERVICE:
        say_service(stream, token, name);
        break;
    case CHANGES_ALL_SERVICES:
        add_all_services(stream);
        break;
    case CHANGES_RUN:
        add_service_of(stream, id);
        break;
    case CHANGES_BUILD:
        say_event(stream, "build", admin_build_row(admin, token, id));
        break;
    case CHANGES_DELIVERY:
        say_event(stream, "delivery", admin_delivery_row(admin, token, id));
        break;
    }
}

static void tell_next(struct stream *stream, const struct config_token *token)
{
    void *first;
    while (!stream->text && (first = json_object_iter(stream->due))) {
        CLEANUP(free_ptr) char *key = xstrdup(json_object_iter_key(first));
        json_object_del(stream->due, key);
        tell_of(stream, token, key);
    }
    if (json_object_size(stream->due) == 0)
        forget_common(stream);
}

static ssize_t send_text(struct stream *stream, char *out, size_t room)
{
    const char *rest = stream->text + stream->sent;
    size_t part = strnlen(rest, room);
    memcpy(out, rest, part);
    stream->sent += part;
    if (rest[part] == '\0')
        say(stream, NULL);
    stream->heartbeat = mono_after(HEARTBEAT_MS);
    return (ssize_t)part;
}

// Looks each time whether the token is still good: who is no more told hears why when asking again.
static ssize_t read_updates(void *user, char *out, size_t room, int64_t wait_ms)
{
    struct stream *stream = user;
    const struct admin *admin = stream->admin;
    bool due = stream->text || json_object_size(stream->due) > 0;
    uint64_t seen = stream->reader.seen;
    if (!changes_take(admin->changes, &stream->reader, stream->due, mono_after(due ? 0 : wait_ms)))
        return SERVER_STREAM_END;
    if (stream->reader.seen != seen) // what was looked up before may be older than what is due now
        forget_common(stream);
    CLEANUP(settings_drop_ptr) const struct config *config = settings_hold(admin->settings);
    const struct config_token *token = admin_caller_token(admin, &stream->caller, config);
    if (!token)
        return SERVER_STREAM_END;
    tell_next(stream, token);
    if (!stream->text && mono_past(stream->heartbeat))
        say(stream, xstrdup(":\n\n"));
    return stream->text ? send_text(stream, out, room) : 0;
}

// --- the request ---

static json_t *hello_json(const struct config_token *token)
{
    json_t *json = admin_token_json(token);
    json_object_set_new(json, "version", json_string(CRONWRIGHT_VERSION));
    json_object_set_new(json, "page", json_string(page_hash));
    json_object_set_new(json, "now", admin_time(wall_now()));
    return json;
}

static void refuse_one_more(struct server_request *req)
{
    char seconds[16];
    snprintf(seconds, sizeof seconds, "%d", RETRY_SECONDS);
    server_add_header(req, "Retry-After", seconds);
    server_refuse(req, 503, "busy", "%d pages are told of changes already: ask for the lists",
                  CHANGES_READERS_MAX);
}

static void get_updates(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    struct changes_reader reader;
    if (!changes_enter(admin->changes, &reader)) {
        refuse_one_more(req);
        return;
    }
    struct stream *stream = xalloc(sizeof *stream);
    *stream = (struct stream){
        .admin = admin, .caller = *admin_caller(req), .reader = reader, .due = json_object()};
    say_event(stream, "hello", hello_json(admin_token(admin, req)));
    if (!stream->caller.by_cookie)
        server_add_header(req, "Cache-Control", "no-store");
    server_add_header(req, "X-Accel-Buffering", "no"); // nginx would collect it
    server_answer_stream(req, "text/event-stream", read_updates, stream, release_stream);
}

const struct server_route admin_update_routes[] = {
    {"GET", "/v1/updates", get_updates, 0},
    {0},
};
