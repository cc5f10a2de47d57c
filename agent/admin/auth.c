#include "agent/admin/admin.h"
#include "agent/base/crypto.h"
#include "agent/pipeline/pipeline.h"

#include <string.h>
#include <strings.h>

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
const struct config_token *admin_token(const struct admin *admin, struct server_request *req)
{
    const char *given = bearer(req);
    if (!given)
        return NULL;
    uint8_t wanted[SHA256_SIZE];
    sha256(given, strlen(given), wanted);
    const struct config_token *found = NULL;
    for (size_t i = 0; i < admin->config->admin.tokens.count; i++) {
        const struct config_token *token = &admin->config->admin.tokens.items[i];
        uint8_t known[SHA256_SIZE];
        sha256(token->token.text, strlen(token->token.text), known);
        if (equal_in_constant_time(wanted, known, sizeof known))
            found = token;
    }
    return found;
}

bool admin_admit(struct server_request *req, void *user)
{
    if (admin_token(user, req))
        return true;
    server_add_header(req, "WWW-Authenticate", "Bearer realm=\"cronwright\"");
    server_refuse(req, 401, "unauthorized",
                  server_header(req, "Authorization")
                      ? "the bearer token is not one of admin.tokens"
                      : "an \"Authorization: Bearer …\" header is needed");
    return false;
}

bool admin_sees(const struct config_token *token, const char *namespace)
{
    for (size_t i = 0; i < token->namespaces.count; i++)
        if (strcmp(token->namespaces.items[i], "*") == 0 ||
            strcmp(token->namespaces.items[i], namespace) == 0)
            return true;
    return false;
}

bool admin_sees_branch(const struct admin *admin, const struct config_token *token,
                       const char *repository, const char *branch)
{
    if (admin_sees(token, "*"))
        return true;
    struct service_list list = {0};
    pipeline_following(admin->pipeline, repository, branch, &list);
    bool sees = false;
    for (size_t i = 0; i < list.count && !sees; i++)
        sees = admin_sees(token, list.items[i]->namespace_);
    service_list_finish(&list);
    return sees;
}

bool admin_may(const struct admin *admin, struct server_request *req, enum config_role role,
               const char *namespace)
{
    static const char *const words[] = {"viewer", "runner", "admin"};
    const struct config_token *token = admin_token(admin, req);
    if (!admin_sees(token, namespace)) {
        server_refuse(req, 403, "forbidden", "token \"%s\" is not for namespace \"%s\"",
                      token->name, namespace);
        return false;
    }
    if (token->role < role) {
        server_refuse(req, 403, "forbidden", "token \"%s\" is a %s; this needs a %s", token->name,
                      words[token->role], words[role]);
        return false;
    }
    return true;
}
