// Who asks: by a bearer token, or by the cookie of a session (sessions.h) that one was given for.
//
// A browser sends the cookie with whatever request a page of another site makes it send. It is not
// to be believed that easily: SameSite keeps the cookie from other sites, and what changes
// something needs a header that pages of other origins cannot send unasked, which they are never
// allowed to.
#ifndef CRONWRIGHT_ADMIN_ADMIT_H
#define CRONWRIGHT_ADMIN_ADMIT_H

#include "agent/admin/admin.h"
#include "agent/admin/sessions.h"

// Browsers keep cookies by host, whatever the port or the path: an agent's own ends with the digits
// of its identity, so that two of them do not take each other's.
#define ADMIN_COOKIE      "cronwright_session_"
#define ADMIN_COOKIE_SIZE 64

// What is known of who asked, to be looked at again later.
struct admin_caller {
    struct session session; // of a bearer token, only `token` and `role`
    bool by_cookie;
    uint8_t digest[SHA256_SIZE]; // of the session's key, if by cookie
};

// Of an admitted request, whose texts it outlives.
const struct admin_caller *admin_caller(struct server_request *req);
// The token in these settings that the caller has still; NULL: it left them or has another role, or
// the session is over.
const struct config_token *admin_caller_token(const struct admin *admin,
                                              const struct admin_caller *caller,
                                              const struct config *config);

// The name of this agent's cookie.
void admin_cookie_name(const struct admin *admin, char out[static ADMIN_COOKIE_SIZE]);
// The digest of the session's key in the request's cookie, whether it is one or not; false when it
// has none.
bool admin_cookie(const struct admin *admin, const struct server_request *req,
                  uint8_t digest[static SHA256_SIZE]);
// The token of that text. The time this takes tells nothing of others.
const struct config_token *admin_find_token(const struct config *config, const char *text);
// Answers for a wrong token, the later the more of them came from there; `detail` says what is
// wrong.
void admin_refuse_token(const struct admin *admin, struct server_request *req, const char *detail);

// --- signin.c ---
void admin_sign_in(struct server_request *req, void *user); // POST /v1/session
// What may be told of a token: its name, role and namespaces.
json_t *admin_token_json(const struct config_token *token);

#endif
