// Requests on an http_loop.
#include "agent/base/text.h"
#include "deploy/kube/request.h"

struct kube_call {
    struct kube_client *client;
    const char *verb;
    struct http_stream *stream;
    uint64_t generation; // of the credentials
    struct http_response response;
    struct error overflow; // why the body was given up
    kube_call_done *done;
    void *user;
};

bool kube_stream_start(struct kube_client *client, struct http_loop *loop,
                       const struct kube_request *request, int64_t idle_ms,
                       const struct http_stream_events *events, void *user,
                       struct http_stream **out, uint64_t *generation, struct error *err)
{
    CLEANUP(kube_prepared_finish) struct kube_prepared prepared = {0};
    if (!kube_prepare(client, request, mono_now(), &prepared, err))
        return false;
    prepared.http.timeout_ms = request->timeout_ms;
    prepared.http.idle_ms = idle_ms;
    *generation = prepared.identity->generation;
    *out = http_stream_start(loop, &prepared.http, events, user);
    return true;
}

int64_t kube_retry_after_ms(const struct buffer *headers)
{
    char text[16];
    int64_t seconds;
    if (!http_header(headers, "Retry-After", text, sizeof text) ||
        !text_to_int(text, 0, INT32_MAX, &seconds))
        return -1;
    return seconds < KUBE_RETRY_AFTER_MAX_MS / 1000 ? seconds * 1000 : KUBE_RETRY_AFTER_MAX_MS;
}

static void head(void *user, int status, const struct buffer *headers)
{
    (void)status;
    struct kube_call *call = user;
    call->response.retry_after_ms = kube_retry_after_ms(headers);
}

static bool data(void *user, const void *bytes, size_t len)
{
    struct kube_call *call = user;
    return buffer_append(&call->response.body, bytes, len, &call->overflow);
}

static void done(void *user, int status, const struct error *err)
{
    struct kube_call *call = user;
    struct kube_reply reply = {.retry_after_ms = -1};
    struct error failure = {.code = ERR_NONE};
    call->response.status = status;
    if (!err || err->code != ERR_CANCELLED)
        kube_tell_answer(call->client, call->verb, status);
    if (call->overflow.code != ERR_NONE)
        err = &call->overflow;
    if (!err && !kube_reply_read(&call->response, &reply, &failure))
        err = &failure;
    if (reply.status == 401)
        kube_access_rejected(kube_client_access(call->client), call->generation);
    call->done(call->user, &reply, err);
    kube_reply_finish(&reply);
    http_response_finish(&call->response);
    free(call);
}

bool kube_call_start(struct kube_client *client, struct http_loop *loop,
                     const struct kube_request *request, kube_call_done *on_done, void *user,
                     struct kube_call **out, struct error *err)
{
    static const struct http_stream_events events = {.head = head, .data = data, .done = done};
    struct kube_call *call = xalloc(sizeof *call);
    call->client = client;
    call->verb = kube_verb(request);
    call->response = (struct http_response){.body.cap = KUBE_ANSWER_MAX, .retry_after_ms = -1};
    call->done = on_done;
    call->user = user;
    struct kube_request bounded = *request;
    if (bounded.timeout_ms <= 0)
        bounded.timeout_ms = KUBE_TIMEOUT_MS_DEFAULT;
    if (!kube_stream_start(client, loop, &bounded, 0, &events, call, &call->stream,
                           &call->generation, err)) {
        free(call);
        return false;
    }
    *out = call;
    return true;
}

void kube_call_cancel(struct kube_call *call)
{
    http_stream_cancel(call->stream);
}
