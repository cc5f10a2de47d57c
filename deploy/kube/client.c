#include "agent/base/printable.h"
#include "deploy/kube/names.h"
#include "deploy/kube/request.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define LIST_TIMEOUT_MS_DEFAULT 30000
#define LIST_RESTARTS_MAX       3
#define BUSY_WAIT_MS            1000 // after a 429 that does not say how long

struct kube_client {
    struct kube_access *access;
    void (*on_answer)(const char *verb, int status); // NULL: nobody wants to know
};

const struct kube_resource KUBE_CRONJOBS = {"/apis/batch/v1", "cronjobs"};
const struct kube_resource KUBE_JOBS = {"/apis/batch/v1", "jobs"};
const struct kube_resource KUBE_PODS = {"/api/v1", "pods"};
const struct kube_resource KUBE_SECRETS = {"/api/v1", "secrets"};
const struct kube_resource KUBE_NAMESPACES = {"/api/v1", "namespaces"};
const struct kube_resource KUBE_CONFIG_MAPS = {"/api/v1", "configmaps"};
const struct kube_resource KUBE_SERVICE_ACCOUNTS = {"/api/v1", "serviceaccounts"};
const struct kube_resource KUBE_VOLUME_CLAIMS = {"/api/v1", "persistentvolumeclaims"};
const struct kube_resource KUBE_EVENTS = {"/api/v1", "events"};
const struct kube_resource KUBE_LEASES = {"/apis/coordination.k8s.io/v1", "leases"};

struct kube_client *kube_client_create(struct kube_access *access)
{
    struct kube_client *client = xalloc(sizeof *client);
    client->access = access;
    return client;
}

void kube_client_destroy(struct kube_client *client)
{
    if (!client)
        return;
    kube_access_destroy(client->access);
    free(client);
}

struct kube_access *kube_client_access(struct kube_client *client)
{
    return client->access;
}

// --- who asks how often ---

void kube_client_on_answer(struct kube_client *client, void (*told)(const char *verb, int status))
{
    client->on_answer = told;
}

const char *kube_verb(const struct kube_request *request)
{
    static const char *const verbs[][2] = {
        {"POST", "create"}, {"PATCH", "patch"}, {"PUT", "update"}, {"DELETE", "delete"}};
    for (size_t i = 0; request->method && i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(request->method, verbs[i][0]) == 0)
            return verbs[i][1];
    if (request->name || !request->resource)
        return "get";
    for (size_t i = 0; i < KUBE_QUERY_MAX && request->query[i].name; i++)
        if (strcmp(request->query[i].name, "watch") == 0)
            return "watch";
    return "list";
}

void kube_tell_answer(const struct kube_client *client, const char *verb, int status)
{
    if (client->on_answer)
        client->on_answer(verb, status);
}

// --- making a request ---

// Names come from people, and go into a path: "../secrets" must not.
static bool refuse_name(const char *what, const char *name, struct error *err)
{
    char shown[KUBE_LABEL_MAX + 1];
    printable_copy(shown, sizeof shown, name, strlen(name));
    return error_set(err, ERR_INVALID, "\"%s\" cannot be a name in %s", shown, what);
}

static bool put_path(struct buffer *url, const struct kube_request *request, struct error *err)
{
    const char *namespace_ = request->namespace_;
    const char *name = request->name;
    if (request->path)
        return buffer_printf(url, err, "%s", request->path);
    if (namespace_ && *namespace_ && !kube_is_label(namespace_))
        return refuse_name("namespaces", namespace_, err);
    if (name && !kube_is_name(name))
        return refuse_name(request->resource->plural, name, err);
    return buffer_printf(url, err, "%s", request->resource->prefix) &&
           (!namespace_ || !*namespace_ || buffer_printf(url, err, "/namespaces/%s", namespace_)) &&
           buffer_printf(url, err, "/%s", request->resource->plural) &&
           (!name || buffer_printf(url, err, "/%s", name)) &&
           (!request->subresource || buffer_printf(url, err, "/%s", request->subresource));
}

static bool put_query(struct buffer *url, const struct kube_request *request, struct error *err)
{
    char separator = '?';
    for (size_t i = 0; i < KUBE_QUERY_MAX && request->query[i].name; i++) {
        CLEANUP(free_ptr) char *value = http_escape(request->query[i].value);
        if (!buffer_printf(url, err, "%c%s=%s", separator, request->query[i].name, value))
            return false;
        separator = '&';
    }
    bool writes = request->body && strcmp(request->method, "DELETE") != 0;
    return !writes || buffer_printf(url, err, "%cfieldManager=" KUBE_FIELD_MANAGER, separator);
}

bool kube_prepare(struct kube_client *client, const struct kube_request *request,
                  struct mono_time deadline, struct kube_prepared *out, struct error *err)
{
    CLEANUP(buffer_finish) struct buffer url = {0};
    const struct kube_identity *identity;
    if (!buffer_printf(&url, err, "%s", kube_access_server(client->access)) ||
        !put_path(&url, request, err) || !put_query(&url, request, err) ||
        !kube_access_identity(client->access, deadline, &identity, err))
        return false;
    struct kube_prepared prepared = {.identity = identity, .url = TAKE(url.data)};
    struct http_request *http = &prepared.http;
    *http = (struct http_request){.method = request->method,
                                  .url = prepared.url,
                                  .max_body = KUBE_ANSWER_MAX,
                                  .trust = &identity->trust};
    size_t headers = 0;
    if (!request->subresource || strcmp(request->subresource, "log") != 0)
        http->headers[headers++] = request->metadata_only
                                       ? "Accept: application/json;as=PartialObjectMetadata;"
                                         "g=meta.k8s.io;v=v1"
                                       : "Accept: application/json";
    if (identity->authorization)
        http->headers[headers++] = identity->authorization;
    if (request->body) {
        prepared.body = json_write(request->body);
        prepared.content_type = xasprintf(
            "Content-Type: %s", request->content_type ? request->content_type : "application/json");
        http->headers[headers++] = prepared.content_type;
        http->body = prepared.body;
        http->body_len = strlen(prepared.body);
    }
    *out = prepared;
    return true;
}

void kube_prepared_finish(struct kube_prepared *prepared)
{
    kube_identity_release(prepared->identity);
    free(prepared->url);
    free(prepared->content_type);
    secret_free(prepared->body); // it may be a Secret
    *prepared = (struct kube_prepared){0};
}

// --- waiting for the answer ---

static void read_causes(const struct http_response *response, json_t **causes)
{
    CLEANUP(json_ptr) json_t *answer = NULL;
    if (!kube_json_read(buffer_text(&response->body), response->body.len, &answer, NULL))
        return;
    const json_t *list = json_at(answer, "details", "causes", NULL);
    if (!json_is_array(list))
        return;
    json_decref(*causes);
    *causes = json_incref(json_unconst(list));
}

// One try. `generation` tells whose credentials were used.
static bool try_request(struct kube_client *client, const struct kube_request *request,
                        struct mono_time deadline, struct kube_reply *reply, uint64_t *generation,
                        struct error *err)
{
    CLEANUP(kube_prepared_finish) struct kube_prepared prepared = {0};
    CLEANUP(http_response_finish) struct http_response response = {0};
    *reply = (struct kube_reply){.retry_after_ms = -1};
    if (!kube_prepare(client, request, deadline, &prepared, err))
        return false;
    *generation = prepared.identity->generation;
    prepared.http.timeout_ms = mono_left(deadline);
    if (prepared.http.timeout_ms == 0)
        return error_set(err, ERR_TIMEOUT, "no time left to ask the Kubernetes API");
    bool answered = http_perform(&prepared.http, &response, err);
    kube_tell_answer(client, kube_verb(request), answered ? response.status : 0);
    if (!answered)
        return false;
    bool ok = kube_reply_read(&response, reply, err);
    if (!ok && request->causes)
        read_causes(&response, request->causes);
    return ok;
}

// After a 401: whether there are newer credentials than those.
static bool renewed(struct kube_client *client, uint64_t refused, struct mono_time deadline)
{
    const struct kube_identity *identity;
    kube_access_rejected(client->access, refused);
    if (!kube_access_identity(client->access, deadline, &identity, NULL))
        return false;
    bool newer = identity->generation != refused;
    kube_identity_release(identity);
    return newer;
}

static bool request_until(struct kube_client *client, const struct kube_request *request,
                          struct mono_time deadline, struct kube_reply *reply, struct error *err)
{
    bool may_renew = true;
    for (;;) {
        uint64_t generation = 0;
        if (try_request(client, request, deadline, reply, &generation, err))
            return true;
        if (reply->status == 401 && may_renew && renewed(client, generation, deadline)) {
            may_renew = false;
            continue;
        }
        int64_t wait = reply->retry_after_ms >= 0 ? reply->retry_after_ms : BUSY_WAIT_MS;
        if (reply->status != 429 || wait >= mono_left(deadline) || !http_pause(wait, err))
            return false;
    }
}

bool kube_request(struct kube_client *client, const struct kube_request *request,
                  struct kube_reply *reply, struct error *err)
{
    int64_t timeout = request->timeout_ms > 0 ? request->timeout_ms : KUBE_TIMEOUT_MS_DEFAULT;
    struct kube_reply got;
    bool ok = request_until(client, request, mono_after(timeout), &got, err);
    if (reply)
        *reply = got;
    else
        kube_reply_finish(&got);
    return ok;
}

bool kube_delete(struct kube_client *client, const struct kube_resource *resource,
                 const char *namespace_, const char *name, const char *uid,
                 enum kube_propagation propagation, struct error *err)
{
    CLEANUP(json_ptr)
    json_t *options = json_pack("{s:s, s:s, s:s}", "apiVersion", "v1", "kind", "DeleteOptions",
                                "propagationPolicy",
                                propagation == KUBE_FOREGROUND ? "Foreground" : "Background");
    if (uid && *uid)
        json_object_set_new(options, "preconditions", json_pack("{s:s}", "uid", uid));
    struct kube_request request = {.method = "DELETE",
                                   .resource = resource,
                                   .namespace_ = namespace_,
                                   .name = name,
                                   .body = options};
    return kube_request(client, &request, NULL, err);
}

// --- lists ---

// A list on its way through the pages.
struct listing {
    struct kube_request request; // the caller's, with `limit` and `continue` behind its own query
    size_t own_query;
    int limit;   // objects asked for at once
    char *token; // of the next page; NULL: the first one
    int restarts;
};

static void listing_finish(struct listing *listing)
{
    free(listing->token);
}

static bool get_page(struct kube_client *client, struct listing *listing, struct mono_time deadline,
                     struct kube_reply *reply, struct error *err)
{
    char limit[16];
    snprintf(limit, sizeof limit, "%d", listing->limit);
    struct kube_query *query = &listing->request.query[listing->own_query];
    query[0] = (struct kube_query){"limit", limit};
    query[1] = (struct kube_query){listing->token ? "continue" : NULL, listing->token};
    return request_until(client, &listing->request, deadline, reply, err);
}

// After a page that could not be had: whether it can be had in another way.
static bool recover(struct listing *listing, const struct kube_reply *reply,
                    const struct error *err)
{
    if (err->code == ERR_TOO_LARGE && listing->limit > 1) { // a few huge objects
        listing->limit = (listing->limit + 3) / 4;
        return true;
    }
    if (reply->reason != KUBE_REASON_EXPIRED || listing->restarts++ >= LIST_RESTARTS_MAX)
        return false;
    free(TAKE(listing->token));
    return true;
}

// False when the caller wants no more.
static bool tell_items(const json_t *page, const struct kube_list_events *events, void *user)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_at(page, "items", NULL), i,
                       item) if (!events->item(user, item)) return false;
    return true;
}

bool kube_list(struct kube_client *client, const struct kube_request *request,
               const struct kube_list_events *events, void *user, struct error *err)
{
    CLEANUP(listing_finish)
    struct listing listing = {.request = *request, .limit = KUBE_PAGE_SIZE};
    while (request->query[listing.own_query].name)
        listing.own_query++;
    assert(listing.own_query + 2 <= KUBE_QUERY_MAX);
    struct mono_time deadline =
        mono_after(request->timeout_ms > 0 ? request->timeout_ms : LIST_TIMEOUT_MS_DEFAULT);
    struct error failure = {.code = ERR_NONE};
    for (;;) {
        CLEANUP(kube_reply_finish) struct kube_reply reply = {0};
        if (!listing.token && events->begin)
            events->begin(user);
        if (!get_page(client, &listing, deadline, &reply, &failure)) {
            if (recover(&listing, &reply, &failure))
                continue;
            return error_set(err, failure.code, "list %s: %s", request->resource->plural,
                             failure.text);
        }
        if (!tell_items(reply.body, events, user))
            return true;
        const char *token = json_text_at(reply.body, "metadata", "continue", NULL);
        free(listing.token);
        listing.token = token && *token ? xstrdup(token) : NULL;
        if (!listing.token)
            return true;
    }
}
