#include "deploy/kube/watch.h"
#include "agent/base/crypto.h"
#include "deploy/kube/known.h"
#include "deploy/kube/request.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define WATCH_SECONDS_MIN 300 // the server ends a watch after that long, …
#define WATCH_SECONDS_MAX 600 // … or up to that, so that not all end together
#define WATCH_GRACE_MS    30000
#define SETTLED_MS        5000 // a watch that lasted that long was a good one
#define REFUSAL_MAX       ((size_t)64 << 10)

// One list (page after page) or one watch runs at a time, or a delay before the next. What is not
// under the mutex belongs to the loop's thread.
struct kube_watch {
    struct kube_client *client;
    struct http_loop *loop;
    const struct kube_resource *resource;
    char *namespace_;
    char *label_selector;
    struct kube_watch_events events;
    void *user;

    struct kube_call *page;     // the page being asked for
    char *token;                // of the next page; NULL: the first
    int limit;                  // objects asked for at once
    struct known *known;        // by "namespace/name", all objects told and not deleted
    bool listing;               // a list has begun
    struct http_stream *stream; // the watch that runs
    uint64_t generation;        // of its credentials
    int status;                 //
    int64_t retry_after_ms;     //
    struct mono_time since;     // when it began
    struct buffer line;         // of the watch, so far; or the body of a refusal
    struct error broken;        // why we gave up the stream; ERR_NONE: we did not
    char *version;              // where the next watch starts; NULL: a list is needed
    int64_t backoff_ms;
    struct mono_time listed; // when a list was last whole
    bool closing;

    pthread_mutex_t mutex; // guards what follows
    pthread_cond_t changed;
    bool synced;
    struct error failure; // ERR_NONE while all is well
    bool closed;
};

static void ask(void *user);

static void heard_something(struct kube_watch *watch)
{
    pthread_mutex_lock(&watch->mutex);
    watch->failure.code = ERR_NONE;
    pthread_mutex_unlock(&watch->mutex);
}

static int64_t random_below(int64_t limit)
{
    uint32_t number;
    random_bytes(&number, sizeof number);
    return (int64_t)(number % (uint64_t)limit);
}

// True when nothing more may be started: destroy() waits, and goes on at once.
static bool closed(struct kube_watch *watch)
{
    if (!watch->closing)
        return false;
    pthread_mutex_lock(&watch->mutex);
    watch->closed = true;
    pthread_cond_broadcast(&watch->changed);
    pthread_mutex_unlock(&watch->mutex);
    return true;
}

// Tries again after a while, longer each time, and never all watches at one moment.
static void failed(struct kube_watch *watch, const struct error *err, int64_t retry_after_ms)
{
    int64_t wait = watch->backoff_ms / 2 + random_below(watch->backoff_ms);
    if (wait < retry_after_ms)
        wait = retry_after_ms;
    watch->backoff_ms *= 2;
    if (watch->backoff_ms > KUBE_WATCH_BACKOFF_MAX)
        watch->backoff_ms = KUBE_WATCH_BACKOFF_MAX;
    pthread_mutex_lock(&watch->mutex);
    watch->failure = *err;
    pthread_mutex_unlock(&watch->mutex);
    if (watch->events.failed)
        watch->events.failed(watch->user, err, wait);
    http_loop_after(watch->loop, wait, ask, watch);
}

// --- objects ---

static char *key_of(const json_t *object)
{
    const char *namespace_ = json_text_at(object, "metadata", "namespace", NULL);
    const char *name = json_text_at(object, "metadata", "name", NULL);
    return xasprintf("%s/%s", namespace_ ? namespace_ : "", name ? name : "");
}

// An object went while we could not see it.
static void tell_vanished(void *user, const char *key, const char *uid)
{
    struct kube_watch *watch = user;
    const char *name = strchr(key, '/') + 1;
    CLEANUP(json_ptr)
    json_t *object = json_pack("{s:{s:s%, s:s, s:s}}", "metadata", "namespace", key,
                               (size_t)(name - key - 1), "name", name, "uid", uid);
    watch->events.item(watch->user, KUBE_DELETED, object);
}

static void tell_present(struct kube_watch *watch, const char *key, const json_t *object)
{
    const char *uid = json_text_at(object, "metadata", "uid", NULL);
    const char *old = known_uid(watch->known, key);
    if (!uid)
        uid = "";
    bool same = old && strcmp(old, uid) == 0;
    if (old && !same)
        tell_vanished(watch, key, old);
    known_put(watch->known, key, uid);
    watch->events.item(watch->user, same ? KUBE_MODIFIED : KUBE_ADDED, object);
}

static void tell_deleted(struct kube_watch *watch, const char *key, const json_t *object)
{
    known_drop(watch->known, key);
    watch->events.item(watch->user, KUBE_DELETED, object);
}

// --- list ---

static void forget_list(struct kube_watch *watch)
{
    free(TAKE(watch->token));
    watch->listing = false;
}

static void take_page(struct kube_watch *watch, const json_t *page)
{
    size_t i;
    json_t *object;
    if (!watch->listing)
        known_begin_list(watch->known);
    watch->listing = true;
    json_array_foreach(json_at(page, "items", NULL), i, object)
    {
        CLEANUP(free_ptr) char *key = key_of(object);
        tell_present(watch, key, object);
    }
    const char *token = json_text_at(page, "metadata", "continue", NULL);
    free(watch->token);
    watch->token = token && *token ? xstrdup(token) : NULL;
}

// The list is whole: what is not in it is gone.
static void end_list(struct kube_watch *watch, const char *version)
{
    known_end_list(watch->known, tell_vanished, watch);
    bool large = known_count(watch->known) > KUBE_PAGE_SIZE;
    forget_list(watch);
    free(watch->version);
    watch->version = xstrdup(version);
    watch->limit = KUBE_PAGE_SIZE;
    watch->listed = mono_now();
    if (large)
        malloc_trim(0); // many pages of JSON have come and gone
    pthread_mutex_lock(&watch->mutex);
    watch->synced = true;
    pthread_mutex_unlock(&watch->mutex);
    if (watch->events.synced)
        watch->events.synced(watch->user);
}

static void page_done(void *user, struct kube_reply *reply, const struct error *err)
{
    struct kube_watch *watch = user;
    struct error failure;
    watch->page = NULL;
    if (closed(watch))
        return;
    if (err) {
        if (reply->reason == KUBE_REASON_EXPIRED)
            forget_list(watch);
        if (err->code == ERR_TOO_LARGE && watch->limit > 1) // a few huge objects
            watch->limit = (watch->limit + 3) / 4;
        failure = *err;
        error_wrap(&failure, "list %s", watch->resource->plural);
        failed(watch, &failure, reply->retry_after_ms);
        return;
    }
    const char *version = json_text_at(reply->body, "metadata", "resourceVersion", NULL);
    if (!version) {
        error_set(&failure, ERR_PROTOCOL, "list %s: not a list", watch->resource->plural);
        failed(watch, &failure, -1);
        return;
    }
    heard_something(watch);
    take_page(watch, reply->body);
    if (!watch->token)
        end_list(watch, version);
    ask(watch);
}

static bool ask_page(struct kube_watch *watch, struct error *err)
{
    char limit[16];
    snprintf(limit, sizeof limit, "%d", watch->limit);
    struct kube_request request = {
        .resource = watch->resource, .namespace_ = watch->namespace_, .query = {{"limit", limit}}};
    size_t used = 1;
    if (watch->label_selector)
        request.query[used++] = (struct kube_query){"labelSelector", watch->label_selector};
    if (watch->token)
        request.query[used++] = (struct kube_query){"continue", watch->token};
    return kube_call_start(watch->client, watch->loop, &request, page_done, watch, &watch->page,
                           err);
}

// --- watch ---

// A list is needed. That is no sign of a server in trouble, unless it says so of each list.
static void expire(struct kube_watch *watch)
{
    free(TAKE(watch->version));
    if (mono_now().ms - watch->listed.ms >= KUBE_WATCH_BACKOFF_MAX)
        watch->backoff_ms = KUBE_WATCH_BACKOFF_MIN;
}

// The server's own word in the stream that it cannot go on.
static bool take_error(struct kube_watch *watch, const json_t *status)
{
    enum kube_reason reason;
    CLEANUP(free_ptr) char *text = json_write(status);
    kube_refusal((int)json_int_or(json_at(status, "code", NULL), 500), text, strlen(text), &reason,
                 &watch->broken);
    expire(watch);
    return false;
}

static bool take_event(struct kube_watch *watch, const json_t *event)
{
    static const char *const words[] = {"ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"};
    enum { BOOKMARK = 3, ERROR };
    const char *word = json_text_at(event, "type", NULL);
    const json_t *object = json_at(event, "object", NULL);
    int type = 0;
    while (type <= ERROR && (!word || strcmp(word, words[type]) != 0))
        type++;
    if (type == ERROR)
        return take_error(watch, object);
    const char *version = json_text_at(object, "metadata", "resourceVersion", NULL);
    if (type > ERROR || !version)
        return error_set(&watch->broken, ERR_PROTOCOL, "an event without type or version");
    free(watch->version);
    watch->version = xstrdup(version);
    if (type == BOOKMARK)
        return true;
    CLEANUP(free_ptr) char *key = key_of(object);
    if (type == KUBE_DELETED)
        tell_deleted(watch, key, object);
    else
        tell_present(watch, key, object);
    return true;
}

static bool take_line(struct kube_watch *watch, const char *line, size_t len)
{
    CLEANUP(json_ptr) json_t *event = NULL;
    return kube_json_read(line, len, &event, &watch->broken) && take_event(watch, event);
}

// Whole lines are read where they are; only what is cut by a packet's end is copied.
static bool take_bytes(struct kube_watch *watch, const char *bytes, size_t len)
{
    for (const char *end; (end = memchr(bytes, '\n', len));) {
        size_t part = (size_t)(end - bytes);
        bool ok;
        if (watch->line.len == 0) {
            ok = part == 0 || take_line(watch, bytes, part);
        } else {
            ok = buffer_append(&watch->line, bytes, part, &watch->broken) &&
                 take_line(watch, watch->line.data, watch->line.len);
            buffer_finish(&watch->line);
        }
        if (!ok)
            return false;
        bytes = end + 1;
        len -= part + 1;
    }
    return len == 0 || buffer_append(&watch->line, bytes, len, &watch->broken);
}

static void stream_head(void *user, int status, const struct buffer *headers)
{
    struct kube_watch *watch = user;
    watch->status = status;
    watch->retry_after_ms = kube_retry_after_ms(headers);
    watch->line.cap = status == 200 ? KUBE_WATCH_LINE_MAX : REFUSAL_MAX;
    if (status == 200)
        heard_something(watch);
}

static bool stream_data(void *user, const void *bytes, size_t len)
{
    struct kube_watch *watch = user;
    if (watch->status != 200)
        return buffer_append(&watch->line, bytes, len, &watch->broken);
    heard_something(watch);
    if (take_bytes(watch, bytes, len))
        return true;
    // An event that cannot be read would come again: a list leads past it.
    free(TAKE(watch->version));
    return false;
}

// Why the watch ended; false: not well.
static bool judge_end(struct kube_watch *watch, const struct error *err, struct error *failure)
{
    enum kube_reason reason;
    if (watch->broken.code != ERR_NONE) {
        *failure = watch->broken;
    } else if (err) {
        *failure = *err;
    } else if (watch->status != 200) {
        kube_refusal(watch->status, buffer_text(&watch->line), watch->line.len, &reason, failure);
        if (reason == KUBE_REASON_EXPIRED)
            expire(watch);
    } else if (mono_now().ms - watch->since.ms < SETTLED_MS) {
        error_set(failure, ERR_UNAVAILABLE, "ended by the server as soon as it had begun");
    } else {
        return true;
    }
    return error_wrap(failure, "watch %s", watch->resource->plural);
}

static void stream_done(void *user, int status, const struct error *err)
{
    struct kube_watch *watch = user;
    struct error failure;
    watch->stream = NULL;
    if (!err || err->code != ERR_CANCELLED)
        kube_tell_answer(watch->client, "watch", status);
    if (status == 401)
        kube_access_rejected(kube_client_access(watch->client), watch->generation);
    bool well = judge_end(watch, err, &failure);
    buffer_finish(&watch->line);
    if (closed(watch))
        return;
    if (mono_now().ms - watch->since.ms >= SETTLED_MS)
        watch->backoff_ms = KUBE_WATCH_BACKOFF_MIN;
    if (well)
        ask(watch);
    else
        failed(watch, &failure, watch->retry_after_ms);
}

static bool ask_watch(struct kube_watch *watch, struct error *err)
{
    static const struct http_stream_events events = {stream_head, stream_data, stream_done};
    int64_t seconds = WATCH_SECONDS_MIN + random_below(WATCH_SECONDS_MAX - WATCH_SECONDS_MIN);
    char timeout[16];
    snprintf(timeout, sizeof timeout, "%d", (int)seconds);
    struct kube_request request = {.resource = watch->resource,
                                   .namespace_ = watch->namespace_,
                                   .query = {{"watch", "1"},
                                             {"allowWatchBookmarks", "true"},
                                             {"resourceVersion", watch->version},
                                             {"timeoutSeconds", timeout}},
                                   .timeout_ms = seconds * 1000 + WATCH_GRACE_MS};
    if (watch->label_selector)
        request.query[4] = (struct kube_query){"labelSelector", watch->label_selector};
    watch->status = 0;
    watch->retry_after_ms = -1;
    watch->broken.code = ERR_NONE;
    watch->since = mono_now();
    return kube_stream_start(watch->client, watch->loop, &request, KUBE_WATCH_IDLE_MS, &events,
                             watch, &watch->stream, &watch->generation, err);
}

// The next step: a page of a list, or the watch from where we are.
static void ask(void *user)
{
    struct kube_watch *watch = user;
    struct error failure;
    if (closed(watch))
        return;
    if (watch->version ? !ask_watch(watch, &failure) : !ask_page(watch, &failure))
        failed(watch, &failure, -1);
}

// --- life ---

struct kube_watch *kube_watch_create(struct kube_client *client, struct http_loop *loop,
                                     const struct kube_watch_options *options,
                                     const struct kube_watch_events *events, void *user)
{
    const char *namespace_ = options->namespace_;
    const char *selector = options->label_selector;
    struct kube_watch *watch = xalloc(sizeof *watch);
    watch->client = client;
    watch->loop = loop;
    watch->resource = options->resource;
    watch->namespace_ = namespace_ && *namespace_ ? xstrdup(namespace_) : NULL;
    watch->label_selector = selector && *selector ? xstrdup(selector) : NULL;
    watch->events = *events;
    watch->user = user;
    watch->limit = KUBE_PAGE_SIZE;
    watch->known = known_create();
    watch->backoff_ms = KUBE_WATCH_BACKOFF_MIN;
    pthread_mutex_init(&watch->mutex, NULL);
    pthread_cond_init(&watch->changed, NULL);
    http_loop_after(loop, 0, ask, watch);
    return watch;
}

static void close_on_loop(void *user)
{
    struct kube_watch *watch = user;
    watch->closing = true;
    http_loop_forget(watch->loop, watch);
    if (watch->page)
        kube_call_cancel(watch->page);
    else if (watch->stream)
        http_stream_cancel(watch->stream);
    else
        closed(watch);
}

void kube_watch_destroy(struct kube_watch *watch)
{
    if (!watch)
        return;
    http_loop_after(watch->loop, 0, close_on_loop, watch);
    pthread_mutex_lock(&watch->mutex);
    while (!watch->closed)
        pthread_cond_wait(&watch->changed, &watch->mutex);
    pthread_mutex_unlock(&watch->mutex);
    pthread_cond_destroy(&watch->changed);
    pthread_mutex_destroy(&watch->mutex);
    forget_list(watch);
    known_destroy(watch->known);
    buffer_finish(&watch->line);
    free(watch->version);
    free(watch->namespace_);
    free(watch->label_selector);
    free(watch);
}

bool kube_watch_synced(struct kube_watch *watch)
{
    pthread_mutex_lock(&watch->mutex);
    bool synced = watch->synced;
    pthread_mutex_unlock(&watch->mutex);
    return synced;
}

bool kube_watch_failing(struct kube_watch *watch, struct error *why)
{
    pthread_mutex_lock(&watch->mutex);
    bool failing = watch->failure.code != ERR_NONE;
    if (failing && why)
        *why = watch->failure;
    pthread_mutex_unlock(&watch->mutex);
    return failing;
}
