// What a token may see and do.
#include "agent/admin/admin.h"
#include "agent/pipeline/pipeline.h"
#include "webhooks/repository.h"

#include <string.h>

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
