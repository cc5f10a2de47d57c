#include "agent/status_report.h"

#include "agent/base/json.h"
#include "agent/base/printable.h"
#include "agent/base/text.h"
#include "webhooks/repository.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_MAX   ((size_t)1 << 20)
#define MESSAGE_SIZE 160 // of an error's text, as the forge words it

// How the three APIs differ.
static const struct dialect {
    const char *api;      // path of the API on the forge's host
    const char *project;  // before the project in a URL
    const char *statuses; // after it, before the commit
    bool one_segment;     // the project's whole path is one, with its slashes escaped
    const char *token;    // header, with what stands before the token
    const char *context;  // name of the field that tells one reporter from another
    bool has_ref;         // wants the branch too
    const char *words[STATUS_STATE_COUNT];
} dialects[] = {
    [FORGE_GITHUB] = {"/api/v3",
                      "/repos/",
                      "/statuses/",
                      false,
                      "Authorization: Bearer ",
                      "context",
                      false,
                      {"pending", "success", "failure", "error"}},
    [FORGE_GITLAB] = {"/api/v4",
                      "/projects/",
                      "/statuses/",
                      true,
                      "PRIVATE-TOKEN: ",
                      "name",
                      true,
                      {"pending", "success", "failed", "canceled"}},
    [FORGE_GITEA] = {"/api/v1",
                     "/repos/",
                     "/statuses/",
                     false,
                     "Authorization: token ",
                     "context",
                     false,
                     {"pending", "success", "failure", "warning"}},
};

// --- requests ---

static size_t length_without_slash(const char *url)
{
    size_t len = strlen(url);
    while (len > 0 && url[len - 1] == '/')
        len--;
    return len;
}

// The API's address: the setting's, else where the forge's own manual has it. The caller frees.
static char *api_of(const struct config_status *entry, const char *identity)
{
    int host = (int)strcspn(identity, "/");
    if (*entry->api)
        return xstrndup(entry->api, length_without_slash(entry->api));
    if (entry->forge == FORGE_GITHUB && text_starts(identity, "github.com/"))
        return xstrdup("https://api.github.com");
    const char *scheme = text_starts(entry->url, "http://") ? "http" : "https";
    return xasprintf("%s://%.*s%s", scheme, host, identity, dialects[entry->forge].api);
}

// The project's path: what is left of the repository's when the forge is not at its host's root.
static const char *project_of(const struct dialect *dialect, const char *identity, const char *api)
{
    const char *path = strchr(identity, '/') + 1;
    const char *host = strstr(api, "://");
    const char *base = host ? strchr(host + 3, '/') : NULL;
    if (!base || !text_ends(base, dialect->api))
        return path;
    size_t len = strlen(base) - strlen(dialect->api); // with a slash in front, none at the end
    if (len > 1 && strncmp(path, base + 1, len - 1) == 0 && path[len - 1] == '/')
        path += len;
    return path;
}

static size_t count_slashes(const char *path)
{
    size_t count = 0;
    for (; *path; path++)
        count += *path == '/';
    return count;
}

// Percent-encoded, and the slashes between its parts too if it is to be one segment. The caller
// frees.
static char *escape_project(const char *project, bool one_segment)
{
    if (one_segment)
        return http_escape(project);
    const char *slash = strchr(project, '/');
    CLEANUP(free_ptr) char *owner = xstrndup(project, (size_t)(slash - project));
    CLEANUP(free_ptr) char *owner_part = http_escape(owner);
    CLEANUP(free_ptr) char *name_part = http_escape(slash + 1);
    return xasprintf("%s/%s", owner_part, name_part);
}

static char *make_body(const struct dialect *dialect, const struct commit_status *status,
                       const char *public_url)
{
    CLEANUP(free_ptr)
    char *context = xasprintf("cronwright/%s/%s", status->namespace, status->name);
    CLEANUP(json_ptr)
    json_t *json = json_pack("{s:s, s:o, s:s}", "state", dialect->words[status->state],
                             "description", json_text(status->detail), dialect->context, context);
    if (dialect->has_ref)
        (void)json_object_set_new(json, "ref", json_text(status->branch));
    if (*public_url)
        (void)json_object_set_new(json, "target_url",
                                  json_sprintf("%.*s/builds/b-%" PRId64,
                                               (int)length_without_slash(public_url), public_url,
                                               status->build));
    return json_write(json);
}

bool status_request_make(const struct config_status *entry, const struct commit_status *status,
                         const char *public_url, struct status_request *out, struct error *err)
{
    const struct dialect *dialect = &dialects[entry->forge];
    char identity[REPOSITORY_MAX + 1];
    if (!repository_identify(status->url, identity, err))
        return false;
    CLEANUP(free_ptr) char *api = api_of(entry, identity);
    const char *project = project_of(dialect, identity, api);
    size_t slashes = count_slashes(project);
    if (slashes == 0 || (slashes > 1 && !dialect->one_segment))
        return error_set(err, ERR_INVALID, "\"%s\" is not OWNER/REPOSITORY, as this forge has it",
                         project);
    CLEANUP(free_ptr) char *escaped = escape_project(project, dialect->one_segment);
    out->url =
        xasprintf("%s%s%s%s%s", api, dialect->project, escaped, dialect->statuses, status->commit);
    out->token = xasprintf("%s%s", dialect->token, entry->token.text);
    out->body = make_body(dialect, status, public_url);
    return true;
}

void status_request_finish(struct status_request *request)
{
    secret_free(request->token);
    free(request->url);
    free(request->body);
    *request = (struct status_request){0};
}

// --- answers ---

static bool refused(const struct http_response *response, struct error *err)
{
    CLEANUP(json_ptr) json_t *json = NULL;
    char message[MESSAGE_SIZE] = "";
    if (json_read(buffer_text(&response->body), response->body.len, ANSWER_MAX, &json, NULL)) {
        const char *text = json_text_at(json, "message", NULL);
        text = text ? text : json_text_at(json, "error", NULL);
        if (text)
            printable_copy(message, sizeof message, text, strlen(text));
    }
    if (response->status >= 300 && response->status < 400)
        return error_set(err, ERR_PROTOCOL, "the forge redirects (%d), which is not followed",
                         response->status);
    return error_set(err, ERR_PROTOCOL, "the forge answers %d%s%s", response->status,
                     *message ? ": " : "", message);
}

// GitLab refuses to be told again what it knows.
static bool is_known_already(const struct config_status *entry,
                             const struct http_response *response)
{
    return entry->forge == FORGE_GITLAB && response->status == 400 &&
           strstr(buffer_text(&response->body), "Cannot transition status");
}

bool status_report(const struct config *config, const struct config_status *entry,
                   const struct commit_status *status, int64_t *retry_after_ms, struct error *err)
{
    CLEANUP(status_request_finish) struct status_request made = {0};
    CLEANUP(http_response_finish) struct http_response response = {0};
    *retry_after_ms = -1;
    if (!status_request_make(entry, status, config->admin.public_url, &made, err))
        return false;
    const bool login = config->git.proxy_password.text != NULL;
    const struct http_trust trust = {.ca_file = *config->git.ca_file ? config->git.ca_file : NULL,
                                     .proxy = config_git_proxy(config, made.url),
                                     .proxy_username = login ? config->git.proxy_username : NULL,
                                     .proxy_password = config->git.proxy_password.text};
    const struct http_request request = {
        .method = "POST",
        .url = made.url,
        .headers = {"Content-Type: application/json", "Accept: application/json", made.token},
        .body = made.body,
        .body_len = strlen(made.body),
        .timeout_ms = STATUS_REPORT_MS,
        .max_body = ANSWER_MAX,
        .trust = &trust,
    };
    if (!http_perform(&request, &response, err))
        return false;
    *retry_after_ms = response.retry_after_ms;
    return (response.status >= 200 && response.status < 300) ||
           is_known_already(entry, &response) || refused(&response, err);
}
