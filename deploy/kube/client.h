// Requests to the Kubernetes API: addresses, credentials, errors, paging.
#ifndef CRONWRIGHT_KUBE_CLIENT_H
#define CRONWRIGHT_KUBE_CLIENT_H

#include "agent/base/http.h"
#include "agent/base/json.h"
#include "deploy/kube/kubeconfig.h"

#define KUBE_TIMEOUT_MS_DEFAULT 10000
#define KUBE_PAGE_SIZE          100                // objects a list asks for at once
#define KUBE_ANSWER_MAX         ((size_t)32 << 20) // bytes of one answer or page
#define KUBE_QUERY_MAX          8
#define KUBE_RETRY_AFTER_MAX_MS 60000 // no longer, whatever the server says
#define KUBE_FIELD_MANAGER      "cronwright"

struct kube_client; // any number of threads

// A resource of the API.
struct kube_resource {
    const char *prefix; // "/apis/batch/v1"
    const char *plural; // "cronjobs"
};
extern const struct kube_resource KUBE_CRONJOBS;
extern const struct kube_resource KUBE_JOBS;
extern const struct kube_resource KUBE_PODS;
extern const struct kube_resource KUBE_SECRETS;
extern const struct kube_resource KUBE_NAMESPACES;
extern const struct kube_resource KUBE_CONFIG_MAPS;
extern const struct kube_resource KUBE_SERVICE_ACCOUNTS;
extern const struct kube_resource KUBE_VOLUME_CLAIMS;
extern const struct kube_resource KUBE_EVENTS;
extern const struct kube_resource KUBE_LEASES;

struct kube_query {
    const char *name;
    const char *value; // escaped here
};

struct kube_request {
    const char *method;                      // NULL: "GET"
    const struct kube_resource *resource;    //
    const char *namespace_;                  // NULL: of the cluster, or of all namespaces
    const char *name;                        // NULL: the collection
    const char *subresource;                 // "log", "status"; NULL: none
    const char *path;                        // instead of `resource`: "/version"
    struct kube_query query[KUBE_QUERY_MAX]; // ended by a NULL name
    const char *content_type;                // of `body`; NULL: "application/json"
    const json_t *body;                      // NULL: none
    bool metadata_only; // the answer has the object's metadata alone, nothing of its contents
    int64_t timeout_ms; // in all, waits included; 0: KUBE_TIMEOUT_MS_DEFAULT
    // Where to put what a refusal says of single fields: an array of {"reason", "message",
    // "field"}; left alone when it says nothing. The caller frees. NULL: not wanted.
    json_t **causes;
};

#define KUBE_JSON_PATCH  "application/json-patch+json"
#define KUBE_MERGE_PATCH "application/merge-patch+json"

// Why the server refused, where the error code does not say it all.
enum kube_reason {
    KUBE_REASON_OTHER,
    KUBE_REASON_ALREADY_EXISTS, // ERR_CONFLICT: POST of a name that is taken
    KUBE_REASON_CONFLICT,       // ERR_CONFLICT: a resourceVersion or precondition did not hold
    KUBE_REASON_TEST_FAILED, // ERR_CONFLICT: a JSON Patch could not be applied: a `test` failed, or
                             // a path is not there
    KUBE_REASON_INVALID,     // ERR_INVALID: the object is not valid
    KUBE_REASON_EXPIRED,     // ERR_CONFLICT: 410, list again
    KUBE_REASON_NO_RIGHT,    // ERR_FORBIDDEN: the account may not do that, whatever the object
    KUBE_REASON_QUOTA,       // ERR_FORBIDDEN: a quota is used up
    KUBE_REASON_TERMINATING, // ERR_FORBIDDEN: the namespace is being deleted
};

struct kube_reply {
    int status;              // also after a failure; 0 when there was no answer
    enum kube_reason reason; // also after a failure
    int64_t retry_after_ms;  // also after a failure; -1 when the server did not say
    struct wall_time date;   // the server's clock, also after a failure; unset: it did not say
    json_t *body;            // an object; NULL after a failure
    json_t *warnings;        // array of texts from Warning headers; NULL when there were none
};
void kube_reply_finish(struct kube_reply *reply);

// Takes `access`.
struct kube_client *kube_client_create(struct kube_access *access);
void kube_client_destroy(struct kube_client *client); // NULL is fine
struct kube_access *kube_client_access(struct kube_client *client);

// From now on tells of each answer, or that there was none (status 0), with the API's word for what
// was asked: "get", "list", "watch", "create", "update", "patch", "delete". On any thread; must not
// block. Before the first request.
void kube_client_on_answer(struct kube_client *client, void (*told)(const char *verb, int status));

// Sends and waits. `reply` (NULL: not wanted) needs no preparation; after a failure only its first
// four members are set. Text: "409 AlreadyExists: jobs.batch \"x\" already exists". Codes:
//     400 422 ERR_INVALID   401 ERR_UNAUTHORIZED   403 ERR_FORBIDDEN   404 ERR_NOT_FOUND
//     409 410 ERR_CONFLICT  413 ERR_TOO_LARGE      429 5xx ERR_UNAVAILABLE   504 ERR_TIMEOUT
//     405 406 415 ERR_UNSUPPORTED; see also enum kube_reason; names that are none: ERR_INVALID
// A 404 that is not the API's own word is ERR_UNAVAILABLE, a good answer that is no object
// ERR_PROTOCOL: a gateway before the API server may not make objects vanish.
// Writes carry fieldManager. 401 renews the credentials once; 429 waits as Retry-After says, if the
// timeout allows. Any thread but an http_loop's.
bool kube_request(struct kube_client *client, const struct kube_request *request,
                  struct kube_reply *reply, struct error *err) MUST_CHECK;

// DELETE with the propagation policy, which has no default here: Kubernetes' own would orphan a
// Job's pods. `uid` NULL or "": whatever has that name; otherwise ERR_CONFLICT when it is another.
enum kube_propagation { KUBE_BACKGROUND, KUBE_FOREGROUND };
bool kube_delete(struct kube_client *client, const struct kube_resource *resource,
                 const char *namespace_, const char *name, const char *uid,
                 enum kube_propagation propagation, struct error *err) MUST_CHECK;

// A list in pages of KUBE_PAGE_SIZE; each page is freed before the next, so only what `item` keeps
// stays. `begin` (or NULL) is called before the first page and again whenever the list had to be
// started anew (410 in the middle): forget what you have. `item` returning false ends the list
// well.
struct kube_list_events {
    void (*begin)(void *user);
    bool (*item)(void *user, const json_t *object); // borrowed
};
// `request` is a GET of a collection; its timeout is for the whole list (0: 30 s).
bool kube_list(struct kube_client *client, const struct kube_request *request,
               const struct kube_list_events *events, void *user, struct error *err) MUST_CHECK;

// --- on an http_loop: these are for its thread only, and never block ---

// A raw stream with address and credentials filled in. `generation` is for kube_access_rejected()
// when the answer is 401. False: nothing was started.
bool kube_stream_start(struct kube_client *client, struct http_loop *loop,
                       const struct kube_request *request, int64_t idle_ms,
                       const struct http_stream_events *events, void *user,
                       struct http_stream **out, uint64_t *generation,
                       struct error *err) MUST_CHECK;

// kube_request() without waiting, for one GET, and without trying again after 401 (the credentials
// are renewed, though) and 429. `done` runs once, later: `err` is NULL, or tells what failed. It
// may take `reply` apart, which is finished afterwards. False: nothing was started.
struct kube_call;
typedef void kube_call_done(void *user, struct kube_reply *reply, const struct error *err);
bool kube_call_start(struct kube_client *client, struct http_loop *loop,
                     const struct kube_request *request, kube_call_done *done, void *user,
                     struct kube_call **out, struct error *err) MUST_CHECK;
void kube_call_cancel(struct kube_call *call); // before `done`, which follows with ERR_CANCELLED

// --- answers ---

// What a refusal means: `body` may be a Status object, a plain text, or nothing.
void kube_refusal(int status, const char *body, size_t len, enum kube_reason *reason,
                  struct error *err);

// Parses what the API server wrote. Unlike json_read(), bears what a user may have put into an
// object: NULs in texts (they end the text for readers of C strings) and repeated keys, since one
// odd object must not hide all others. ERR_PROTOCOL.
bool kube_json_read(const char *bytes, size_t len, json_t **out, struct error *err) MUST_CHECK;

#endif
