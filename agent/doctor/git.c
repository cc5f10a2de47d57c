// The Git remotes: does each host answer to each login.
#include "agent/doctor/remotes.h"

#include "agent/base/text.h"
#include "webhooks/repository.h"

#include <string.h>

#define ASK_MS      15000
#define REMOTES_MAX 16 // asked; more are counted

bool remote_host(const char *url, char out[static REMOTE_HOST_SIZE])
{
    char identity[REPOSITORY_MAX + 1];
    struct error err;
    if (!repository_identify(url, identity, &err))
        return false;
    identity[strcspn(identity, "/")] = '\0';
    return text_copy(out, REMOTE_HOST_SIZE, identity);
}

void remotes_list(const struct look *look, struct service_list *out)
{
    CLEANUP(json_ptr) json_t *seen = json_object();
    struct service_list all = {0};
    size_t kept = 0;
    service_cache_list(look->doctor->services, NULL, &all);
    for (size_t i = 0; i < all.count; i++) {
        const struct service *service = all.items[i];
        char credential[STORE_CREDENTIAL_SIZE], host[REMOTE_HOST_SIZE];
        if (pipeline_service_credential(look->doctor->pipeline, service, credential) &&
            remote_host(service->repository, host) && look_first(seen, "%s %s", host, credential))
            all.items[kept++] = service;
        else
            service_drop(service);
    }
    all.count = kept;
    *out = all;
}

static const char *advice_for(const struct error *err)
{
    switch (err->code) {
    case ERR_UNAUTHORIZED:
    case ERR_FORBIDDEN:
        return "look at the login in git.credentials for that URL; is it still good, and may it "
               "read there?";
    case ERR_NOT_FOUND:
        return "look at the repository and branch of the service: cronwright edit";
    case ERR_PROTOCOL:
        return "git.caFile, or the credential's caFile, must have its authority; for SSH "
               "knownHostsFile its key";
    default:
        return "can this machine reach it? See git.proxy, DNS and firewalls";
    }
}

static void look_at_remote(struct look *look, size_t i, void *user)
{
    const struct service *service = ((struct service_list *)user)->items[i];
    char reason[PIPELINE_REASON_SIZE], host[REMOTE_HOST_SIZE];
    struct error err;
    struct mono_time deadline = mono_after(look_timeout(look, ASK_MS));
    if (!remote_host(service->repository, host))
        return;
    if (pipeline_ask_head(look->doctor->pipeline, service, deadline, reason, &err))
        look_good(look, "%s", host);
    else
        look_problem(look, advice_for(&err), "%s: %s (asked for %s/%s)", host, err.text,
                     service->namespace_, service->name);
}

static void look_at_remotes(struct look *look)
{
    struct service_list list = {0};
    remotes_list(look, &list);
    size_t count = list.count < REMOTES_MAX ? list.count : REMOTES_MAX;
    look_each(look, count, look_at_remote, &list);
    if (list.count > count)
        look_skipped(look, NULL, "%zu more remotes not asked", list.count - count);
    service_list_finish(&list);
}

static void look_at_branches(struct look *look)
{
    struct service_list list = {0};
    size_t untold = 0;
    service_cache_list(look->doctor->services, NULL, &list);
    for (size_t i = 0; i < list.count; i++) {
        const struct service *service = list.items[i];
        if (!pipeline_head_untold(look->doctor->pipeline, service))
            continue;
        CLEANUP(free_ptr)
        char *fix =
            xasprintf("cronwright build %s/%s asks again", service->namespace_, service->name);
        if (untold++ < LOOK_LISTED_MAX)
            look_warning(look, fix,
                         "%s/%s: branch %s of %s could not be told when it was asked "
                         "last",
                         service->namespace_, service->name, service->branch, service->repository);
    }
    service_list_finish(&list);
    if (untold > LOOK_LISTED_MAX)
        look_warning(look, "see the agent's log", "%zu more branches could not be told",
                     untold - LOOK_LISTED_MAX);
}

const struct check git_checks[] = {
    {"remotes", look_at_remotes},
    {"branches", look_at_branches},
    {0},
};
