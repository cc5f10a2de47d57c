// What builds need in the cluster, beside rights.
#include "agent/doctor/look.h"

#include "agent/base/text.h"
#include "agent/pipeline/registries.h"

#include <inttypes.h>
#include <string.h>

#define ASK_MS           5000
#define PULL_SECRETS_MAX 64 // looked for
#define CONTEXT_MS       5000
#define POD_SECURITY     "pod-security.kubernetes.io/enforce"

// Nodes may have a way to it that this machine has not, so nothing here is a problem for sure.
static void look_at_kaniko(struct look *look)
{
    const char *name = look->config->builds.kaniko_image;
    struct image_reference image;
    struct error err;
    bool there = true;
    if (!image_parse(name, &image, &err)) {
        look_problem(look, "set builds.kanikoImage", "builds.kanikoImage: %s", err.text);
        return;
    }
    bool found = *image.digest
                     ? registries_confirm(look->config, &image, image.digest,
                                          look_timeout(look, ASK_MS), &err)
                     : registries_reach(look->config, &image, *image.tag ? image.tag : "latest",
                                        look_timeout(look, ASK_MS), &there, &err);
    if (found && there)
        look_good(look, "Kaniko's image");
    else if (found || err.code == ERR_NOT_FOUND)
        look_problem(look, "set builds.kanikoImage", "there is no image %s", name);
    else
        look_skipped(look, NULL, "Kaniko's image not looked at from here: %s", err.text);
}

static void look_at_account(struct look *look)
{
    const char *name = look->config->builds.service_account;
    const char *namespace_ = look->config->builds.namespace;
    bool there;
    if (*name == '\0')
        name = "default"; // which Kubernetes makes
    if (!look_for(look, &KUBE_SERVICE_ACCOUNTS, namespace_, name, "service account", &there))
        return;
    CLEANUP(free_ptr)
    char *fix = xasprintf("kubectl -n %s create serviceaccount %s", namespace_, name);
    if (there)
        look_good(look, "service account");
    else
        look_problem(look, fix, "there is no service account \"%s\" in \"%s\"", name, namespace_);
}

static void look_at_push_secret(struct look *look, json_t *seen, const char *name)
{
    const char *namespace_ = look->config->builds.namespace;
    bool there;
    if (*name == '\0' || !look_first(seen, "%s", name) ||
        !look_for(look, &KUBE_SECRETS, namespace_, name, "push secret", &there))
        return;
    CLEANUP(free_ptr)
    char *fix = xasprintf("kubectl -n %s create secret docker-registry %s --docker-server=… "
                          "--docker-username=… --docker-password=…",
                          namespace_, name);
    if (there)
        look_good(look, "push secret %s", name);
    else
        look_problem(look, fix, "there is no push secret \"%s\" in \"%s\"", name, namespace_);
}

static void look_at_push_secrets(struct look *look)
{
    CLEANUP(json_ptr) json_t *seen = json_object();
    look_at_push_secret(look, seen, look->config->builds.push_secret);
    for (size_t i = 0; i < look->config->allow.count; i++)
        look_at_push_secret(look, seen, look->config->allow.items[i].push_secret);
}

// A namespace in which they cannot be looked for is said once.
static void look_at_pull_secret(struct look *look, json_t *seen, const struct service *service,
                                const char *name)
{
    bool there;
    if (*name == '\0' || json_object_size(seen) >= PULL_SECRETS_MAX ||
        json_object_get(seen, service->namespace_) ||
        !look_first(seen, "%s/%s", service->namespace_, name))
        return;
    if (!look_for(look, &KUBE_SECRETS, service->namespace_, name, "pull secret", &there)) {
        (void)look_first(seen, "%s", service->namespace_);
        return;
    }
    CLEANUP(free_ptr)
    char *fix = xasprintf("kubectl -n %s create secret docker-registry %s --docker-server=… "
                          "--docker-username=… --docker-password=…",
                          service->namespace_, name);
    if (!there)
        look_problem(look, fix, "%s/%s: there is no pull secret \"%s\"", service->namespace_,
                     service->name, name);
}

static void look_at_pull_secrets(struct look *look)
{
    CLEANUP(json_ptr) json_t *seen = json_object();
    struct service_list list = {0};
    service_cache_list(look->doctor->services, NULL, &list);
    for (size_t i = 0; i < list.count; i++) {
        const char *at = list.items[i]->pull_secrets;
        while (*at) {
            size_t len = strcspn(at, ",");
            CLEANUP(free_ptr) char *name = xstrndup(at, len);
            look_at_pull_secret(look, seen, list.items[i], name);
            at += len + (at[len] == ',');
        }
    }
    service_list_finish(&list);
}

static void look_at_pod_security(struct look *look)
{
    const char *namespace_ = look->config->builds.namespace;
    struct kube_request request = {
        .resource = &KUBE_NAMESPACES, .name = namespace_, .timeout_ms = look_timeout(look, ASK_MS)};
    CLEANUP(kube_reply_finish) struct kube_reply reply = {0};
    struct error err;
    bool may;
    if (!look_may(look, namespace_, "", "namespaces", "get", &may, &err))
        return; // the group kubernetes says why
    if (!may) {
        look_skipped(look, "kubectl apply -f deploy/manifests/rbac.yaml",
                     "Pod Security not looked at: may not get the namespace \"%s\"", namespace_);
        return;
    }
    if (!kube_request(look->doctor->kube, &request, &reply, &err))
        return; // likewise
    const char *level = json_text_at(reply.body, "metadata", "labels", POD_SECURITY, NULL);
    CLEANUP(free_ptr)
    char *fix =
        xasprintf("kubectl label --overwrite namespace %s " POD_SECURITY "=baseline", namespace_);
    if (level && strcmp(level, "restricted") == 0)
        look_problem(look, fix,
                     "Pod Security of \"%s\" is \"restricted\": Kaniko needs root in "
                     "its container",
                     namespace_);
    else
        look_good(look, "Pod Security %s", level ? level : "not enforced");
}

static void look_at_contexts(struct look *look)
{
    const struct context_keys *keys = look->doctor->context_keys;
    if (!keys)
        return;
    CLEANUP(free_ptr) char *url = xasprintf("%s/healthz", look->config->context.address);
    struct http_trust trust = {.ca_pem = keys->certificate};
    struct http_request request = {
        .url = url, .timeout_ms = look_timeout(look, CONTEXT_MS), .trust = &trust};
    CLEANUP(http_response_finish) struct http_response response = {0};
    struct error err;
    if (http_perform(&request, &response, &err))
        look_good(look, "context listener");
    else
        look_problem(look,
                     "context.address must lead to context.listen, from pods too: see the "
                     "Service, and network policies",
                     "the context listener is not reached at %s: %s", look->config->context.address,
                     err.text);
}

// --- builds that cannot go on ---

static bool is_in_turn(const struct build *build)
{
    return *build->detail == '\0' || strcmp(build->reason, "queued") == 0;
}

struct waiting {
    struct look *look;
    size_t count;
};

static bool say_waiting(void *user, const struct build *build)
{
    struct waiting *waiting = user;
    CLEANUP(free_ptr) char *fix = xasprintf("cronwright builds b-%" PRId64, build->id);
    if (!is_in_turn(build) && waiting->count++ < LOOK_LISTED_MAX)
        look_warning(waiting->look, fix, "build b-%" PRId64 " waits: %s", build->id, build->detail);
    return true;
}

static void look_at_waiting(struct look *look)
{
    struct build_filter filter = {.unfinished = true, .limit = STORE_PAGE_MAX};
    struct waiting waiting = {look, 0};
    struct error err;
    if (!store_build_list(look->doctor->store, &filter, say_waiting, &waiting, &err))
        look_problem(look, "see the group store", "builds cannot be read: %s", err.text);
    else if (waiting.count > LOOK_LISTED_MAX)
        look_warning(look, "cronwright builds", "%zu more builds wait",
                     waiting.count - LOOK_LISTED_MAX);
}

const struct check builds_checks[] = {
    {"kaniko-image", look_at_kaniko},       {"service-account", look_at_account},
    {"push-secrets", look_at_push_secrets}, {"pull-secrets", look_at_pull_secrets},
    {"pod-security", look_at_pod_security}, {"context-listener", look_at_contexts},
    {"waiting", look_at_waiting},           {0},
};
