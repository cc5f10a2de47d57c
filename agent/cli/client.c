#include "agent/cli/client.h"

#include "agent/base/file.h"
#include "agent/base/text.h"

#include <string.h>

static const char *option_or_environment(const struct call *call, enum option_id option,
                                         const char *variable)
{
    if (call_has(call, option))
        return call->text[option];
    const char *value = getenv(variable);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

#define UNIX_PREFIX "unix:" // as in the setting admin.listen

static bool check_url(const char *url, struct error *err)
{
    if (text_starts(url, UNIX_PREFIX "/") && strlen(url) <= CLIENT_URL_MAX)
        return true;
    const char *host = text_starts(url, "http://")    ? url + 7
                       : text_starts(url, "https://") ? url + 8
                                                      : NULL;
    if (host == NULL || host[0] == '\0' || host[0] == '/')
        return error_set(err, ERR_INVALID, "\"%s\" is not an address like http://127.0.0.1:8081",
                         url);
    if (strlen(url) > CLIENT_URL_MAX)
        return error_set(err, ERR_INVALID, "the agent's address is too long");
    if (strpbrk(url, "?#@ ") != NULL)
        return error_set(err, ERR_INVALID,
                         "the agent's address must be without user, query and fragment");
    return true;
}

static bool read_token(const char *path, char **authorization, struct error *err)
{
    CLEANUP(secret_ptr) char *token = NULL;
    if (!secret_file_read(path, &token, err)) {
        (void)error_wrap(err, "token file");
        err->code = ERR_INVALID;
        return false;
    }
    for (const char *at = token; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~')
            return error_set(err, ERR_INVALID, "token file: %s holds more than one word", path);
    }
    *authorization = xasprintf("Authorization: Bearer %s", token);
    return true;
}

bool client_open(const struct call *call, struct client *out, struct error *err)
{
    const char *url = option_or_environment(call, OPTION_URL, "CRONWRIGHT_URL");
    const char *file = option_or_environment(call, OPTION_TOKEN_FILE, "CRONWRIGHT_TOKEN_FILE");
    if (url == NULL)
        url = CLIENT_URL_DEFAULT;
    char *authorization = NULL;
    if (!check_url(url, err) || (file != NULL && !read_token(file, &authorization, err)))
        return false;
    size_t len = strlen(url);
    while (url[len - 1] == '/')
        len--;
    *out = (struct client){.url = xstrndup(url, len),
                           .token_file = file ? xstrdup(file) : NULL,
                           .authorization = authorization,
                           .refusal = json_object()};
    return true;
}

void client_close(struct client *client)
{
    free(client->url);
    free(client->token_file);
    secret_free(client->authorization);
    json_decref(client->refusal);
    *client = (struct client){0};
}

// What follows the scheme: "127.0.0.1:8081", "unix:/path".
static const char *authority(const struct client *client)
{
    const char *scheme = strstr(client->url, "://");
    return scheme ? scheme + 3 : client->url;
}

char *client_host(const struct client *client)
{
    const char *host = authority(client);
    if (text_starts(host, UNIX_PREFIX))
        return xstrdup("127.0.0.1");
    return xstrndup(host, host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/"));
}

void client_prepare(const struct client *client, const char *path, char **url,
                    struct http_request *request)
{
    bool local = text_starts(client->url, UNIX_PREFIX);
    *url = xasprintf("%s%s", local ? "http://localhost" : client->url, path);
    *request =
        (struct http_request){.url = *url,
                              .headers = {"Accept: application/json"},
                              .unix_socket = local ? client->url + strlen(UNIX_PREFIX) : NULL};
    if (client->authorization != NULL)
        request->headers[1] = client->authorization;
}

void problem_read(int status, const struct buffer *body, struct problem *out)
{
    *out = (struct problem){.status = status};
    CLEANUP(json_ptr) json_t *json = NULL;
    if (!json_read(buffer_text(body), body->len, CLIENT_ANSWER_MAX, &json, NULL))
        return;
    const struct {
        const char *name;
        char *out;
        size_t room;
    } members[] = {{"reason", out->reason, sizeof(out->reason)},
                   {"detail", out->detail, sizeof(out->detail)},
                   {"run", out->run, sizeof(out->run)}};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        const char *text = json_text_at(json, members[i].name, NULL);
        (void)text_copy(members[i].out, members[i].room, text ? text : "");
        for (char *at = members[i].out; *at != '\0'; at++) {
            if (*at == '\n') // what follows a line's end in an error is our own advice
                *at = ' ';
        }
    }
}

static const struct {
    int status;
    enum error_code code;
} codes[] = {
    {400, ERR_INVALID},     {401, ERR_UNAUTHORIZED}, {403, ERR_FORBIDDEN},   {404, ERR_NOT_FOUND},
    {409, ERR_CONFLICT},    {413, ERR_TOO_LARGE},    {415, ERR_UNSUPPORTED}, {422, ERR_INVALID},
    {429, ERR_UNAVAILABLE}, {502, ERR_UNAVAILABLE},  {503, ERR_UNAVAILABLE}, {504, ERR_TIMEOUT},
};

// Only what says no more than that there is nothing is "not found": else the reason is the answer.
static bool is_explained(const struct problem *problem)
{
    static const char *const reasons[] = {"not-watched", "not-managed", "no-cronjob"};
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (strcmp(problem->reason, reasons[i]) == 0)
            return true;
    }
    return false;
}

static enum error_code code_of(int status)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (codes[i].status == status)
            return codes[i].code;
    }
    return ERR_PROTOCOL;
}

bool problem_error(const struct client *client, const struct problem *problem, struct error *err)
{
    if (problem->status == 401 && client->token_file == NULL)
        return error_set(err, ERR_UNAUTHORIZED,
                         "the agent at %s wants a token, and none is given (401)\n"
                         "Give its file: --token-file FILE or CRONWRIGHT_TOKEN_FILE",
                         client->url);
    if (problem->status == 401)
        return error_set(err, ERR_UNAUTHORIZED,
                         "the agent at %s does not know the token in %s (401)\n"
                         "It must be one of those in the agent's setting admin.tokens",
                         client->url, client->token_file);
    // What the settings do not allow at all is no matter of the token.
    if (problem->status == 403 && strcmp(problem->reason, "not-allowed") != 0)
        return error_set(err, ERR_FORBIDDEN,
                         "%s (403)\nWhat the token in %s may do is in the agent's setting "
                         "admin.tokens",
                         problem->detail[0] ? problem->detail : "not allowed",
                         client->token_file ? client->token_file : "no file");
    if (problem->detail[0] != '\0')
        return error_set(err, is_explained(problem) ? ERR_UNSUPPORTED : code_of(problem->status),
                         "%s (%d)", problem->detail, problem->status);
    return error_set(err, code_of(problem->status),
                     "%s answered with status %d and no reason\nIs that the agent's admin address, "
                     "not the one for webhooks?",
                     client->url, problem->status);
}

const char *client_cause(const struct client *client, const struct error *err)
{
    const char *peer = authority(client);
    size_t len = text_starts(peer, UNIX_PREFIX) ? strlen(peer) : strcspn(peer, "/");
    bool named = strncmp(err->text, peer, len) == 0 && text_starts(err->text + len, ": ");
    return named ? err->text + len + 2 : err->text;
}

bool client_unreachable(const struct client *client, struct error *err)
{
    if (!err) // nobody wants to know
        return false;
    struct error cause = *err;
    const char *advice = "Another address: --url or CRONWRIGHT_URL";
    if (cause.code == ERR_UNAVAILABLE)
        advice = "Is it running (systemctl status cronwright)? Another address: --url or "
                 "CRONWRIGHT_URL";
    return error_set(err, cause.code, "no answer from the agent at %s: %s\n%s", client->url,
                     client_cause(client, &cause), advice);
}

bool client_read(const struct client *client, const struct buffer *body, json_t **out,
                 struct error *err)
{
    CLEANUP(json_ptr) json_t *json = NULL;
    if (!json_read(buffer_text(body), body->len, CLIENT_ANSWER_MAX, &json, NULL) ||
        !json_is_object(json))
        return error_set(err, ERR_PROTOCOL,
                         "%s did not answer with the JSON of cronwright's admin API\nIs that the "
                         "agent's admin address? Another one: --url or CRONWRIGHT_URL",
                         client->url);
    *out = TAKE(json);
    return true;
}

bool client_get(const struct client *client, const char *path, json_t **out, struct error *err)
{
    int status = 0;
    json_t *json = NULL;
    if (!client_send(client, "GET", path, NULL, NULL, &status, &json, NULL, err))
        return false;
    if (json == NULL)
        return error_set(err, ERR_PROTOCOL, "%s answered with nothing", client->url);
    *out = json;
    return true;
}

// Takes what the agent answered apart.
static bool take_answer(const struct client *client, const struct http_response *response,
                        struct client_answer *answer, struct error *err)
{
    answer->status = response->status;
    if (!http_header(&response->headers, "ETag", answer->etag, sizeof(answer->etag)))
        answer->etag[0] = '\0';
    if (response->status < 300)
        return response->body.len == 0 || client_read(client, &response->body, &answer->json, err);
    problem_read(response->status, &response->body, &answer->problem);
    if (!client_read(client, &response->body, &answer->json, NULL))
        answer->json = NULL;
    if (err != NULL)
        (void)json_object_update(client->refusal, answer->json);
    return problem_error(client, &answer->problem, err);
}

bool client_exchange(const struct client *client, const struct client_request *request,
                     struct client_answer *answer, struct error *err)
{
    *answer = (struct client_answer){0};
    if (err != NULL)
        (void)json_object_clear(client->refusal);
    CLEANUP(free_ptr) char *url = NULL;
    CLEANUP(free_ptr) char *text = request->body ? json_write(request->body) : NULL;
    CLEANUP(free_ptr)
    char *type = xasprintf("Content-Type: %s",
                           request->content_type ? request->content_type : "application/json");
    struct http_request http;
    client_prepare(client, request->path, &url, &http);
    size_t headers = http.headers[1] ? 2 : 1;
    if (text != NULL)
        http.headers[headers++] = type;
    http.headers[headers] = request->header;
    http.method = request->method;
    http.body = text;
    http.body_len = text ? strlen(text) : 0;
    http.timeout_ms = CLIENT_TIMEOUT_MS;
    http.max_body = CLIENT_ANSWER_MAX;

    struct http_response response = {0};
    if (!http_perform(&http, &response, err))
        return client_unreachable(client, err);
    bool ok = take_answer(client, &response, answer, err);
    http_response_finish(&response);
    return ok;
}

void client_answer_finish(struct client_answer *answer)
{
    json_decref(answer->json);
    answer->json = NULL;
}

bool client_send(const struct client *client, const char *method, const char *path,
                 const json_t *body, const char *header, int *status, json_t **out,
                 struct problem *problem, struct error *err)
{
    struct client_request request = {
        .method = method, .path = path, .body = body, .header = header};
    CLEANUP(client_answer_finish) struct client_answer answer;
    bool ok = client_exchange(client, &request, &answer, err);
    if (problem != NULL)
        *problem = answer.problem;
    if (ok) {
        *status = answer.status;
        *out = TAKE(answer.json);
    }
    return ok;
}
