// sign: a signed test delivery, as a forge would send it.

#include "webhooks/sign.h"

#include "agent/base/file.h"
#include "agent/base/text.h"
#include "agent/cli/output.h"

#include <string.h>

static const struct {
    const char *setting; // where the agent keeps the secret
} schemes[SIGN_SCHEME_COUNT] = {
    [SIGN_GITHUB_JSON] = {"webhooks.github.secretFiles"},
    [SIGN_GITHUB_FORM] = {"webhooks.github.secretFiles"},
    [SIGN_GITLAB_TOKEN] = {"webhooks.gitlab.tokenFiles"},
    [SIGN_GITLAB_SIGNING] = {"webhooks.gitlab.signingTokenFiles"},
    [SIGN_GITEA_JSON] = {"webhooks.gitea.secretFiles"},
    [SIGN_GITEA_FORM] = {"webhooks.gitea.secretFiles"},
    [SIGN_BITBUCKET_CLOUD] = {"webhooks.bitbucket.secretFiles"},
    [SIGN_BITBUCKET_SERVER] = {"webhooks.bitbucket.secretFiles"},
};

static enum sign_scheme pick_scheme(const struct call *call, const char *secret)
{
    const char *url = call->operands[0];
    if (call_has(call, OPTION_SCHEME))
        return (enum sign_scheme)call->number[OPTION_SCHEME];
    if (url != NULL && text_ends(url, "/webhooks/gitea"))
        return SIGN_GITEA_JSON;
    if (url != NULL && text_ends(url, "/webhooks/bitbucket"))
        return SIGN_BITBUCKET_CLOUD;
    if (url == NULL || !text_ends(url, "/webhooks/gitlab"))
        return SIGN_GITHUB_JSON;
    // A signing token is never to be sent as it is.
    return secret != NULL && text_starts(secret, "whsec_") ? SIGN_GITLAB_SIGNING
                                                           : SIGN_GITLAB_TOKEN;
}

static enum sign_event pick_event(const struct call *call)
{
    if (call_has(call, OPTION_EVENT))
        return (enum sign_event)call->number[OPTION_EVENT];
    return call_has(call, OPTION_TAG) ? SIGN_TAG : SIGN_PUSH;
}

static bool check_options(const struct call *call, struct error *err)
{
    bool tag = pick_event(call) == SIGN_TAG;
    if (call->operand_count == 0 && !call_has(call, OPTION_PRINT))
        return error_set(err, ERR_INVALID, "wants the URL to send to, or --print");
    if (call_has(call, OPTION_SECRET_FILE) == call_has(call, OPTION_UNSIGNED))
        return error_set(err, ERR_INVALID, "wants either --secret-file FILE or --unsigned");
    if (!call_has(call, OPTION_REPOSITORY))
        return error_set(err, ERR_INVALID, "wants --repository URL");
    if (call_has(call, OPTION_TAG) && !tag)
        return error_set(err, ERR_INVALID, "--tag goes with --event tag");
    if (call_has(call, OPTION_BRANCH) && tag)
        return error_set(err, ERR_INVALID, "--branch does not go with a tag");
    return true;
}

// The address with the forge's path, unless it has one already.
static char *target_url(const char *given, const char *path)
{
    if (strstr(given, "/webhooks/") != NULL)
        return xstrdup(given);
    size_t len = strlen(given);
    while (len > 0 && given[len - 1] == '/')
        len--;
    return xasprintf("%.*s%s", (int)len, given, path);
}

static void print_request(const struct session *session, const char *url,
                          const struct signed_request *signed_request)
{
    static const struct naming request_naming = {NULL, {"url", NULL}};
    if (output_is_data(session)) {
        CLEANUP(json_ptr) json_t *headers = json_object();
        for (size_t i = 0; signed_request->headers[i] != NULL; i++) {
            const char *header = signed_request->headers[i];
            const char *colon = strchr(header, ':');
            CLEANUP(free_ptr) char *name = xstrndup(header, (size_t)(colon - header));
            (void)json_object_set_new(headers, name,
                                      json_string(colon + 1 + strspn(colon + 1, " ")));
        }
        CLEANUP(json_ptr)
        json_t *json = json_pack("{s:s, s:s, s:O, s:s}", "method", "POST", "url", url, "headers",
                                 headers, "body", buffer_text(&signed_request->body));
        (void)output_print(session, json, &request_naming);
        return;
    }
    (void)printf("POST %s\n", url);
    for (size_t i = 0; signed_request->headers[i] != NULL; i++)
        (void)printf("%s\n", signed_request->headers[i]);
    (void)printf("\n%s\n", buffer_text(&signed_request->body));
}

static int print_answer(struct session *session, const struct http_response *response,
                        const char *setting)
{
    static const struct naming answer_naming = {NULL, {"delivery", NULL}};
    CLEANUP(json_ptr) json_t *answer = NULL;
    if (!json_read(buffer_text(&response->body), response->body.len, CLIENT_ANSWER_MAX, &answer,
                   NULL))
        answer = NULL;
    bool ok = response->status >= 200 && response->status < 300;
    const char *reason = field(answer, "reason");
    const char *detail = field(answer, "detail");
    const char *delivery = field(answer, "delivery");
    if (output_is_data(session)) {
        CLEANUP(json_ptr)
        json_t *json = json_pack("{s:i, s:O?}", "status", response->status, "answer", answer);
        bool name = output_of(session) == OUTPUT_NAME;
        (void)output_print(session, name ? answer : json, &answer_naming);
        return ok ? STATUS_OK : STATUS_FAILED;
    }
    if (ok && delivery[0] != '\0') {
        CLEANUP(free_ptr) char *clean = text_clean(delivery);
        (void)printf("%s\n", clean);
    }
    screen_say(&session->screen, ok ? MARK_OK : MARK_FAILED, "%d %s%s%s", response->status, reason,
               reason[0] && detail[0] ? ": " : "", detail);
    if (response->status == 401)
        screen_hint(&session->screen, "The secret must be one of those in the agent's setting %s",
                    setting);
    if (ok && delivery[0] != '\0')
        screen_hint(&session->screen, "what became of it: cronwright deliveries %s", delivery);
    return ok ? STATUS_OK : STATUS_FAILED;
}

static int send_request(struct session *session, const char *url,
                        const struct signed_request *signed_request, const char *setting)
{
    struct http_request request = {.method = "POST",
                                   .url = url,
                                   .body = buffer_text(&signed_request->body),
                                   .body_len = signed_request->body.len};
    _Static_assert(SIGN_HEADERS_MAX < HTTP_HEADERS_MAX, "the headers fit");
    for (size_t i = 0; signed_request->headers[i] != NULL; i++)
        request.headers[i] = signed_request->headers[i];
    struct http_response response = {0};
    struct error err;
    if (!http_perform(&request, &response, &err)) {
        (void)error_wrap(&err, "no answer from %s", url);
        return session_fail(session, &err);
    }
    int status = print_answer(session, &response, setting);
    http_response_finish(&response);
    return status;
}

int command_sign(struct session *session)
{
    const struct call *call = session->call;
    struct error err;
    CLEANUP(secret_ptr) char *secret = NULL;
    const char *file = call->text[OPTION_SECRET_FILE];
    if (!check_options(call, &err) || (file != NULL && !secret_file_read(file, &secret, &err)))
        return session_fail(session, &err);
    enum sign_event event = pick_event(call);
    struct sign_request request = {.scheme = pick_scheme(call, secret),
                                   .event = event,
                                   .secret = secret,
                                   .repository = call->text[OPTION_REPOSITORY],
                                   .ref =
                                       call->text[event == SIGN_TAG ? OPTION_TAG : OPTION_BRANCH],
                                   .after = call->text[OPTION_COMMIT],
                                   .delivery = call->text[OPTION_DELIVERY],
                                   .now = session->now};
    struct signed_request signed_request = {0};
    if (!sign_request(&request, &signed_request, &err))
        return session_fail(session, &err);
    CLEANUP(free_ptr)
    char *url = target_url(call->operands[0] ? call->operands[0] : "", signed_request.path);
    int status = STATUS_OK;
    if (call_has(call, OPTION_PRINT))
        print_request(session, url, &signed_request);
    else
        status = send_request(session, url, &signed_request, schemes[request.scheme].setting);
    signed_request_finish(&signed_request);
    return status;
}
