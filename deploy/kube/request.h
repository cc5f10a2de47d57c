// Within the library: from a kube_request to HTTP and back.
#ifndef CRONWRIGHT_KUBE_REQUEST_H
#define CRONWRIGHT_KUBE_REQUEST_H

#include "deploy/kube/client.h"

// An HTTP request, with what it points to.
struct kube_prepared {
    struct http_request http;
    const struct kube_identity *identity;
    char *url;
    char *content_type;
    char *body;
};

// Waits for credentials until the deadline. The caller finishes *out.
bool kube_prepare(struct kube_client *client, const struct kube_request *request,
                  struct mono_time deadline, struct kube_prepared *out,
                  struct error *err) MUST_CHECK;
void kube_prepared_finish(struct kube_prepared *prepared);

// The API's word for it: "list".
const char *kube_verb(const struct kube_request *request);
// Tells who wants to know.
void kube_tell_answer(const struct kube_client *client, const char *verb, int status);

// Judges an HTTP answer. On failure only status, reason, retry_after_ms and date of `reply`
// are set.
bool kube_reply_read(struct http_response *response, struct kube_reply *reply,
                     struct error *err) MUST_CHECK;

// Of an answer's header lines, at most KUBE_RETRY_AFTER_MAX_MS; -1 when it says nothing that can be
// used.
int64_t kube_retry_after_ms(const struct buffer *headers);

// The texts of all Warning headers; NULL when there are none.
json_t *kube_warnings(const struct buffer *headers);

#endif
