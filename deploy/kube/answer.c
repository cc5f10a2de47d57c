// What the API server answers: JSON, Status objects, warnings.
#include "deploy/kube/request.h"

#include "agent/base/printable.h"

#include <string.h>
#include <strings.h>

#define MESSAGE_MAX  512 // bytes kept of a refusal's text
#define WARNINGS_MAX 20

bool kube_json_read(const char *bytes, size_t len, json_t **out, struct error *err)
{
    json_error_t at;
    json_t *value = json_loadb(bytes, len, JSON_ALLOW_NUL | JSON_DECODE_ANY, &at);
    if (!value)
        return error_set(err, ERR_PROTOCOL, "JSON at byte %d: %s", at.position, at.text);
    *out = value;
    return true;
}

static enum error_code code_of(int status)
{
    static const struct {
        int status;
        enum error_code code;
    } codes[] = {
        {400, ERR_INVALID},     {401, ERR_UNAUTHORIZED}, {403, ERR_FORBIDDEN},
        {404, ERR_NOT_FOUND},   {405, ERR_UNSUPPORTED},  {406, ERR_UNSUPPORTED},
        {408, ERR_TIMEOUT},     {409, ERR_CONFLICT},     {410, ERR_CONFLICT},
        {413, ERR_TOO_LARGE},   {415, ERR_UNSUPPORTED},  {422, ERR_INVALID},
        {429, ERR_UNAVAILABLE}, {504, ERR_TIMEOUT},
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].status == status)
            return codes[i].code;
    return status >= 500 ? ERR_UNAVAILABLE : ERR_PROTOCOL;
}

// Of a 403 only the text tells what stood against it: RBAC (RespondWithForbidden), the quota's
// admission, that of namespaces, or any other.
static enum kube_reason forbidden_by(const char *message)
{
    static const struct {
        const char *mark;
        enum kube_reason reason;
    } marks[] = {
        {"exceeded quota: ", KUBE_REASON_QUOTA},
        {"because it is being terminated", KUBE_REASON_TERMINATING},
        {" is forbidden: User \"", KUBE_REASON_NO_RIGHT},
    };
    for (size_t i = 0; message && i < sizeof marks / sizeof *marks; i++)
        if (strstr(message, marks[i].mark))
            return marks[i].reason;
    return KUBE_REASON_OTHER;
}

static enum kube_reason reason_of(int status, const char *word, const char *message,
                                  const json_t *details)
{
    if (status == 403)
        return forbidden_by(message);
    if (status == 409)
        return word && strcmp(word, "AlreadyExists") == 0 ? KUBE_REASON_ALREADY_EXISTS
                                                          : KUBE_REASON_CONFLICT;
    if (status == 410)
        return KUBE_REASON_EXPIRED;
    if (status != 422)
        return KUBE_REASON_OTHER;
    // A JSON Patch that cannot be applied has the status and reason of an invalid object, but,
    // unlike that, no word on what is wrong with which field (applyJSPatch in k8s.io/apiserver).
    return json_array_size(json_at(details, "causes", NULL)) == 0 ? KUBE_REASON_TEST_FAILED
                                                                  : KUBE_REASON_INVALID;
}

void kube_refusal(int status, const char *body, size_t len, enum kube_reason *reason,
                  struct error *err)
{
    CLEANUP(json_ptr) json_t *answer = NULL;
    const char *word = NULL;
    const char *message = NULL;
    if (len && kube_json_read(body, len, &answer, NULL)) {
        word = json_text_at(answer, "reason", NULL);
        message = json_text_at(answer, "message", NULL);
    } else {
        message = body; // of a proxy, or of the kubelet
    }
    *reason = reason_of(status, word, message, json_at(answer, "details", NULL));
    enum error_code code = code_of(status);
    // The API gives a reason; without one somebody before it knows nothing of the path, and what
    // was asked for may well be there.
    if (status == 404 && !word)
        code = ERR_UNAVAILABLE;
    if (*reason == KUBE_REASON_TEST_FAILED) {
        error_set(err, ERR_CONFLICT, "%d: the patch does not fit what is there now", status);
        return;
    }
    char text[MESSAGE_MAX] = "no reason given";
    if (message && *message)
        printable_copy(text, sizeof text, message, answer ? strlen(message) : len);
    char short_word[64] = "";
    if (word)
        printable_copy(short_word, sizeof short_word, word, strlen(word));
    error_set(err, code, "%d%s%s: %s", status, *short_word ? " " : "", short_word, text);
}

// `299 - "text"`, RFC 7234's warn-code, warn-agent and quoted warn-text, by the bytes of a line.
static json_t *warning_text(const char *value, size_t len)
{
    CLEANUP(free_ptr) char *text = xalloc(len + 1);
    size_t used = 0;
    const char *end = value + len;
    const char *at = memchr(value, '"', len);
    if (!at)
        return NULL;
    for (at++; at < end && *at != '"'; at++) {
        if (*at == '\\' && at + 1 < end)
            at++;
        text[used++] = *at;
    }
    char shown[MESSAGE_MAX];
    printable_copy(shown, sizeof shown, text, used);
    return json_string(shown);
}

json_t *kube_warnings(const struct buffer *headers)
{
    static const char name[] = "warning:";
    json_t *warnings = NULL;
    for (const char *line = buffer_text(headers); *line;) {
        size_t len = strcspn(line, "\r\n");
        if (strncasecmp(line, name, sizeof name - 1) == 0) {
            json_t *text = warning_text(line, len);
            if (text && !warnings)
                warnings = json_array();
            if (text && json_array_size(warnings) < WARNINGS_MAX)
                json_array_append_new(warnings, text);
            else
                json_decref(text);
        }
        line += len;
        line += strspn(line, "\r\n");
    }
    return warnings;
}

bool kube_reply_read(struct http_response *response, struct kube_reply *reply, struct error *err)
{
    *reply = (struct kube_reply){.status = response->status,
                                 .retry_after_ms = response->retry_after_ms,
                                 .date = response->date};
    const struct buffer *body = &response->body;
    if (response->status < 200 || response->status > 299) {
        kube_refusal(response->status, buffer_text(body), body->len, &reply->reason, err);
        return false;
    }
    // All that the API says is an object: nothing, or another value, is somebody else's word.
    CLEANUP(json_ptr) json_t *value = NULL;
    if (!kube_json_read(buffer_text(body), body->len, &value, err))
        return false;
    if (!json_is_object(value))
        return error_set(err, ERR_PROTOCOL, "not an object of the Kubernetes API");
    reply->body = TAKE(value);
    reply->warnings = kube_warnings(&response->headers);
    return true;
}

void kube_reply_finish(struct kube_reply *reply)
{
    json_decref(reply->body);
    json_decref(reply->warnings);
    reply->body = reply->warnings = NULL;
}
