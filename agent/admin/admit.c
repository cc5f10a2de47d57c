#include "agent/admin/admit.h"
#include "agent/admin/attempts.h"
#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/pipeline/pipeline.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SIGN_IN_BODY_MAX 4096 // nobody is known yet who could be trusted with more

// Who sent a request, by the settings that it was admitted with.
struct admitted {
    const struct config *config; // held
    const struct config_token *token;
    struct admin_caller caller;
};

static void admitted_free(void *value)
{
    struct admitted *admitted = value;
    settings_drop(admitted->config);
    free(admitted);
}

const struct config_token *admin_token(const struct admin *admin, struct server_request *req)
{
    (void)admin;
    const struct admitted *admitted = server_kept(req);
    return admitted ? admitted->token : NULL;
}

const struct admin_caller *admin_caller(struct server_request *req)
{
    const struct admitted *admitted = server_kept(req);
    return &admitted->caller;
}

// --- tokens ---

// The text after "Bearer ", NULL when there is none or more than one header says who it is.
static const char *bearer(const struct server_request *req)
{
    static const char scheme[] = "Bearer ";
    const char *value = server_header(req, "Authorization");
    if (!value || server_header_count(req, "Authorization") != 1 ||
        strncasecmp(value, scheme, sizeof scheme - 1) != 0)
        return NULL;
    return value + sizeof scheme - 1;
}

// Compares digests, so that neither length nor content of a token shows in the time it takes, and
// always looks at every token.
const struct config_token *admin_find_token(const struct config *config, const char *text)
{
    uint8_t digest[SHA256_SIZE];
    sha256(text, strlen(text), digest);
    const struct config_token *found = NULL;
    for (size_t i = 0; i < config->admin.tokens.count; i++)
        if (equal_in_constant_time(digest, config->admin.tokens.items[i].digest, sizeof digest))
            found = &config->admin.tokens.items[i];
    return found;
}

// On the connection's own thread, which may wait.
static void hold_up_guesses(const struct admin *admin, const struct server_request *req)
{
    struct mono_time now = mono_now();
    int64_t delay = attempts_wrong(admin->attempts, server_peer_key(req), now);
    uint64_t count = attempts_to_log(admin->attempts, now);
    char counted[32];
    snprintf(counted, sizeof counted, "%llu", (unsigned long long)count);
    if (count)
        log_line(LOG_WARNING, "wrong admin token", "peer", server_peer(req), "count", counted,
                 NULL);
    if (delay)
        mono_sleep(delay);
}

// Browsers ask nobody for a bearer token.
static void refuse_unknown(struct server_request *req, const char *detail)
{
    server_add_header(req, "WWW-Authenticate", "Bearer realm=\"cronwright\"");
    server_refuse(req, 401, "unauthorized", "%s", detail);
}

void admin_refuse_token(const struct admin *admin, struct server_request *req, const char *detail)
{
    hold_up_guesses(admin, req);
    refuse_unknown(req, detail);
}

static const struct config_token *find_by_bearer(const struct config *config, const char *text,
                                                 struct admin_caller *caller)
{
    const struct config_token *token = admin_find_token(config, text);
    if (!token)
        return NULL;
    memcpy(caller->session.token, token->digest, SHA256_SIZE);
    caller->session.role = token->role;
    return token;
}

// --- sessions ---

void admin_cookie_name(const struct admin *admin, char out[static ADMIN_COOKIE_SIZE])
{
    const char *identity = pipeline_identity(admin->pipeline);
    snprintf(out, ADMIN_COOKIE_SIZE, ADMIN_COOKIE "%s", strrchr(identity, '/') + 1);
}

// The value of the first cookie of that name that could be a key; false when there is none.
static bool read_cookie(const struct server_request *req, const char *name,
                        char key[static SESSION_KEY_SIZE])
{
    static const size_t digits = SESSION_KEY_SIZE - 1;
    const size_t prefix = strlen(name) + 1;
    const char *rest = server_header(req, "Cookie");
    while (rest && *rest) {
        rest += strspn(rest, "; ");
        size_t len = strcspn(rest, "; ");
        if (text_starts(rest, name) && rest[prefix - 1] == '=' && len == prefix + digits) {
            memcpy(key, rest + prefix, digits);
            key[digits] = '\0';
            return true;
        }
        rest += len;
    }
    return false;
}

bool admin_cookie(const struct admin *admin, const struct server_request *req,
                  uint8_t digest[static SHA256_SIZE])
{
    char name[ADMIN_COOKIE_SIZE], key[SESSION_KEY_SIZE];
    admin_cookie_name(admin, name);
    if (!read_cookie(req, name, key))
        return false;
    session_digest(key, digest);
    return true;
}

static const struct config_token *
find_by_session(const struct admin *admin, const struct config *config, struct admin_caller *caller)
{
    if (!sessions_find(admin->sessions, caller->digest, config->admin.session_timeout_ms,
                       mono_now(), &caller->session))
        return NULL;
    const struct config_token *token = session_token(&caller->session, config);
    if (!token)
        sessions_end(admin->sessions, caller->digest);
    return token;
}

const struct config_token *admin_caller_token(const struct admin *admin,
                                              const struct admin_caller *caller,
                                              const struct config *config)
{
    struct admin_caller now = *caller;
    return caller->by_cookie ? find_by_session(admin, config, &now)
                             : session_token(&caller->session, config);
}

// --- requests that the page makes ---

// Browsers that are older than the header do not say; "none": typed into the address bar.
static bool comes_from_elsewhere(const struct server_request *req, bool changes)
{
    const char *site = server_header(req, "Sec-Fetch-Site");
    return site && strcmp(site, "same-origin") != 0 && (changes || strcmp(site, "none") != 0);
}

static bool is_from_page(struct server_request *req)
{
    bool changes = strcmp(server_route(req)->method, "GET") != 0;
    const char *page = server_header(req, "Cronwright-Page");
    if (!comes_from_elsewhere(req, changes) && (!changes || (page && strcmp(page, "1") == 0)))
        return true;
    server_refuse(req, 403, "cross-site",
                  "by a cookie alone only the page itself may ask for this: with the header "
                  "\"Cronwright-Page: 1\", and from the same origin");
    return false;
}

// What others wrote is shown as what it is said to be, and nothing of it stays in the browser.
static void guard_answer(struct server_request *req)
{
    server_add_header(req, "Cache-Control", "no-store");
    server_add_header(req, "X-Content-Type-Options", "nosniff");
}

// The token is in the body. A page of another site is not to sign somebody in as somebody else.
static bool may_sign_in(struct server_request *req)
{
    int64_t length;
    const char *header = server_header(req, "Content-Length");
    if (!is_from_page(req))
        return false;
    if (header && text_to_int(header, 0, SIGN_IN_BODY_MAX, &length))
        return true;
    server_refuse(req, 413, "too-large", "the body's length must be given, of at most %d bytes",
                  SIGN_IN_BODY_MAX);
    return false;
}

static void refuse_caller(const struct admin *admin, struct server_request *req,
                          const struct admin_caller *caller)
{
    static const char wrong[] = "the bearer token is not one of admin.tokens";
    if (bearer(req))
        admin_refuse_token(admin, req, wrong);
    else if (server_header(req, "Authorization"))
        refuse_unknown(req, wrong);
    else if (caller->by_cookie)
        refuse_unknown(req, "the session is over: sign in again");
    else
        refuse_unknown(req, "an \"Authorization: Bearer …\" header is needed");
}

bool admin_admit(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    if (server_route(req)->handle == admin_sign_in)
        return may_sign_in(req);
    CLEANUP(settings_drop_ptr) const struct config *config = settings_hold(admin->settings);
    CLEANUP(free_ptr) struct admitted *admitted = xalloc(sizeof *admitted);
    struct admin_caller *caller = &admitted->caller;
    const char *text = bearer(req);
    caller->by_cookie =
        !server_header(req, "Authorization") && admin_cookie(admin, req, caller->digest);
    admitted->token = text                ? find_by_bearer(config, text, caller)
                      : caller->by_cookie ? find_by_session(admin, config, caller)
                                          : NULL;
    if (!admitted->token) {
        refuse_caller(admin, req, caller);
        return false;
    }
    if (caller->by_cookie) {
        if (!is_from_page(req))
            return false;
        guard_answer(req);
    }
    admitted->config = TAKE(config);
    server_keep(req, TAKE(admitted), admitted_free);
    return true;
}
