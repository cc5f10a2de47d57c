#include "agent/admin/admin.h"
#include "agent/admin/attempts.h"
#include "agent/base/crypto.h"
#include "agent/base/log.h"
#include "agent/pipeline/pipeline.h"
#include "webhooks/repository.h"

#include <stdio.h>
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
static const struct config_token *find_token(const struct config *config,
                                             const struct server_request *req)
{
    const char *given = bearer(req);
    if (!given)
        return NULL;
    uint8_t digest[SHA256_SIZE];
    sha256(given, strlen(given), digest);
    const struct config_token *found = NULL;
    for (size_t i = 0; i < config->admin.tokens.count; i++)
        if (equal_in_constant_time(digest, config->admin.tokens.items[i].digest, sizeof digest))
            found = &config->admin.tokens.items[i];
    return found;
}

// Who sent a request, by the settings that it was admitted with.
struct caller {
    const struct config *config; // held
    const struct config_token *token;
};

static void caller_free(void *value)
{
    struct caller *caller = value;
    settings_drop(caller->config);
    free(caller);
}

const struct config_token *admin_token(const struct admin *admin, struct server_request *req)
{
    (void)admin;
    const struct caller *caller = server_kept(req);
    return caller ? caller->token : NULL;
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

bool admin_admit(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    CLEANUP(settings_drop_ptr) const struct config *config = settings_hold(admin->settings);
    const struct config_token *token = find_token(config, req);
    if (token) {
        struct caller *caller = xalloc(sizeof *caller);
        *caller = (struct caller){TAKE(config), token};
        server_keep(req, caller, caller_free);
        return true;
    }
    if (bearer(req))
        hold_up_guesses(admin, req);
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

// An annotation only asks: who writes one that the settings do not allow learns nothing by it.
static bool may_be_built(const struct admin *admin, const struct service *service,
                         const char *credential)
{
    char own[STORE_CREDENTIAL_SIZE];
    return pipeline_service_credential(admin->pipeline, service, own) &&
           (!credential || strcmp(own, credential) == 0);
}

static bool is_of(const struct service *service, const char *repository)
{
    char identity[REPOSITORY_MAX + 1];
    return *service->repository &&
           pipeline_identify(service->repository, identity, sizeof identity) &&
           repository_same(identity, repository);
}

// The services that follow a branch; with "" for it, any branch of the repository.
static void list_followers(const struct admin *admin, const char *repository, const char *branch,
                           struct service_list *out)
{
    if (*branch) {
        pipeline_following(admin->pipeline, repository, branch, out);
        return;
    }
    struct service_list list = {0};
    service_cache_list(admin->services, NULL, &list);
    size_t kept = 0;
    for (size_t i = 0; i < list.count; i++) {
        if (is_of(list.items[i], repository))
            list.items[kept++] = list.items[i];
        else
            service_drop(list.items[i]);
    }
    list.count = kept;
    *out = list;
}

bool admin_sees_branch(const struct admin *admin, const struct config_token *token,
                       const char *repository, const char *branch, const char *credential)
{
    if (admin_sees(token, "*"))
        return true;
    struct service_list list = {0};
    list_followers(admin, repository, branch, &list);
    bool sees = false;
    for (size_t i = 0; i < list.count && !sees; i++)
        sees = admin_sees(token, list.items[i]->namespace_) &&
               may_be_built(admin, list.items[i], credential);
    service_list_finish(&list);
    return sees;
}

// Whether the token sees all services that may be built from a branch.
static bool sees_all_of_branch(const struct admin *admin, const struct config_token *token,
                               const char *repository, const char *branch)
{
    struct service_list list = {0};
    list_followers(admin, repository, branch, &list);
    bool sees = true;
    for (size_t i = 0; i < list.count && sees; i++)
        sees = admin_sees(token, list.items[i]->namespace_) ||
               !may_be_built(admin, list.items[i], NULL);
    service_list_finish(&list);
    return sees;
}

struct patch_sight {
    const struct config_token *token;
    bool all;
};

static bool look_at_patch(void *user, const struct patch_record *patch)
{
    struct patch_sight *sight = user;
    sight->all = admin_sees(sight->token, patch->namespace);
    return sight->all;
}

static bool sees_all_patches(const struct admin *admin, const struct config_token *token,
                             int64_t build)
{
    struct patch_sight sight = {.token = token, .all = true};
    struct error err;
    return store_patch_list(admin->store, build, look_at_patch, &sight, &err) && sight.all;
}

void admin_hide_detail(const struct admin *admin, const struct config_token *token, json_t *row)
{
    const char *repository = json_text_at(row, "repository", NULL);
    const char *branch = json_text_at(row, "branch", NULL); // null: none in particular
    const char *build = json_text_at(row, "build", NULL);
    int64_t id;
    if (admin_sees(token, "*") ||
        ((!repository || sees_all_of_branch(admin, token, repository, branch ? branch : "")) &&
         (!build || (admin_build_number(build, &id) && sees_all_patches(admin, token, id)))))
        return;
    json_object_set_new(row, "detail", json_null());
}

void admin_hide_details(const struct admin *admin, const struct config_token *token, json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        admin_hide_detail(admin, token, json_array_get(list, i));
}

bool admin_may(const struct admin *admin, struct server_request *req, enum config_role role,
               const char *namespace)
{
    static const char *const words[] = {"a viewer", "a runner", "an admin"};
    const struct config_token *token = admin_token(admin, req);
    if (!admin_sees(token, namespace)) {
        server_refuse(req, 403, "forbidden", "token \"%s\" is not for namespace \"%s\"",
                      token->name, namespace);
        return false;
    }
    if (token->role < role) {
        server_refuse(req, 403, "forbidden", "token \"%s\" is %s; this needs %s", token->name,
                      words[token->role], words[role]);
        return false;
    }
    return true;
}
