// Sessions of the page: a token is given once, and a cookie stands for it.
#include "agent/admin/admit.h"
#include "agent/base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static json_t *texts_json(const struct config_texts *texts)
{
    json_t *list = json_array();
    for (size_t i = 0; i < texts->count; i++)
        json_array_append_new(list, json_text(texts->items[i]));
    return list;
}

json_t *admin_token_json(const struct config_token *token)
{
    return json_pack("{s:s, s:s, s:o}", "name", token->name, "role", config_role_words[token->role],
                     "namespaces", texts_json(&token->namespaces));
}

// `left_ms` < 0: a token lasts.
static json_t *session_json(const struct config_token *token, int64_t left_ms)
{
    struct wall_time expires = {left_ms < 0 ? 0 : wall_now().ms + left_ms};
    json_t *json = admin_token_json(token);
    json_object_set_new(json, "expires", admin_time(expires));
    return json;
}

// A proxy before us speaks TLS with the browser, as the first of several says.
static bool came_by_https(const struct server_request *req)
{
    static const char word[] = "https";
    const char *proto = server_header(req, "X-Forwarded-Proto");
    return proto && strcspn(proto, ", ") == sizeof word - 1 &&
           strncasecmp(proto, word, sizeof word - 1) == 0;
}

static void set_cookie(const struct admin *admin, struct server_request *req, const char *key,
                       int64_t seconds)
{
    char name[ADMIN_COOKIE_SIZE];
    admin_cookie_name(admin, name);
    CLEANUP(secret_ptr)
    char *cookie = xasprintf("%s=%s; HttpOnly; SameSite=Strict; Path=/; Max-Age=%" PRId64 "%s",
                             name, key, seconds, came_by_https(req) ? "; Secure" : "");
    server_add_header(req, "Set-Cookie", cookie);
}

static void log_session(const char *what, const struct server_request *req, const char *name)
{
    log_line(LOG_INFO, what, "token", name, "peer", server_peer(req), NULL);
}

// The text of {"token": "…"}, within *body; else answers.
static const char *read_token(struct server_request *req, json_t **body)
{
    const char *text;
    if (!admin_read_object(req, body))
        return NULL;
    if (json_unpack_ex(*body, NULL, JSON_STRICT, "{s:s}", "token", &text) == 0)
        return text;
    server_refuse(req, 400, "invalid", "the body must be {\"token\": \"…\"}");
    return NULL;
}

void admin_sign_in(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    CLEANUP(settings_drop_ptr) const struct config *config = settings_hold(admin->settings);
    CLEANUP(json_ptr) json_t *body = NULL;
    const char *text = read_token(req, &body);
    if (!text)
        return;
    const struct config_token *token = admin_find_token(config, text);
    if (!token) {
        admin_refuse_token(admin, req, "the token is not one of admin.tokens");
        return;
    }
    uint8_t earlier[SHA256_SIZE];
    if (admin_cookie(admin, req, earlier)) // its cookie is replaced
        sessions_end(admin->sessions, earlier);
    char key[SESSION_KEY_SIZE];
    int64_t timeout_ms = config->admin.session_timeout_ms;
    sessions_begin(admin->sessions, token, timeout_ms, mono_now(), key);
    log_session("signed in", req, token->name);
    server_add_header(req, "Cache-Control", "no-store");
    set_cookie(admin, req, key, timeout_ms / 1000);
    server_answer_json(req, 201, session_json(token, timeout_ms));
}

static int64_t session_left(const struct admin *admin, const struct session *session)
{
    CLEANUP(settings_drop_ptr) const struct config *config = settings_hold(admin->settings);
    int64_t by_settings = session->began.ms + config->admin.session_timeout_ms;
    struct mono_time until = {by_settings < session->until.ms ? by_settings : session->until.ms};
    return mono_left(until);
}

static void get_session(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    const struct admin_caller *caller = admin_caller(req);
    int64_t left_ms = caller->by_cookie ? session_left(admin, &caller->session) : -1;
    server_answer_json(req, 200, session_json(admin_token(admin, req), left_ms));
}

static void sign_out(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    const struct admin_caller *caller = admin_caller(req);
    if (!admin_no_body(req))
        return;
    if (caller->by_cookie) {
        sessions_end(admin->sessions, caller->digest);
        log_session("signed out", req, admin_token(admin, req)->name);
    }
    set_cookie(admin, req, "", 0);
    server_answer_bytes(req, 204, NULL, NULL, 0);
}

const struct server_route admin_session_routes[] = {
    {"POST", "/v1/session", admin_sign_in, 0},
    {"GET", "/v1/session", get_session, 0},
    {"DELETE", "/v1/session", sign_out, 0},
    {0},
};
