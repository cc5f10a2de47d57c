// The cluster: is it there, are its watches live, are the namespaces there.
#include "agent/doctor/kubernetes.h"

#include <string.h>

#define ASK_MS 5000

const char *kubernetes_advice(const struct error *err)
{
    switch (err->code) {
    case ERR_UNAUTHORIZED:
        return "the credentials are refused: see kubernetes.kubeconfig, or the pod's service "
               "account";
    case ERR_PROTOCOL:
        return "is that the API server's address and authority? See kubernetes.kubeconfig";
    case ERR_FORBIDDEN:
        return "kubectl apply -f deploy/manifests/rbac.yaml";
    default:
        return "is the API server up, and reached from here? kubectl get --raw /readyz";
    }
}

static void look_at_version(struct look *look)
{
    struct kube_request request = {.path = "/version", .timeout_ms = look_timeout(look, ASK_MS)};
    CLEANUP(kube_reply_finish) struct kube_reply reply = {0};
    struct error err;
    if (!kube_request(look->doctor->kube, &request, &reply, &err)) {
        look_problem(look, kubernetes_advice(&err), "the API server does not answer: %s", err.text);
        return;
    }
    const char *version = json_text_at(reply.body, "gitVersion", NULL);
    look_good(look, "%s", version ? version : "answers");
}

static void look_at_watches(struct look *look)
{
    static const char advice[] = "see the agent's log and GET /readyz; often a right is missing";
    const struct observed *observed = look->doctor->observed;
    size_t runs = recorder_watches_failing(look->doctor->recorder);
    struct error err;
    if (!observed->ready(observed->user, &err))
        look_problem(look, advice, "not ready: %s", err.text);
    else if (runs > 0)
        look_problem(look, advice, "%zu watch%s of runs fail%s", runs, runs == 1 ? "" : "es",
                     runs == 1 ? "s" : "");
    else
        look_good(look, "watches live");
}

bool look_for(struct look *look, const struct kube_resource *resource, const char *namespace_,
              const char *name, const char *what, bool *there)
{
    bool itself = resource == &KUBE_NAMESPACES; // RBAC takes it for a thing within itself
    struct kube_request request = {.resource = resource,
                                   .namespace_ = itself ? NULL : namespace_,
                                   .name = name,
                                   .metadata_only = true,
                                   .timeout_ms = look_timeout(look, ASK_MS)};
    struct error err;
    bool may;
    if (!look_may(look, namespace_, "", resource->plural, "get", &may, &err)) {
        look_problem(look, kubernetes_advice(&err), "cannot look for %s \"%s\": %s", what, name,
                     err.text);
        return false;
    }
    if (!may) {
        look_skipped(look, "to have it looked for: deploy/manifests/rbac-check-references.yaml",
                     "%s \"%s\" not looked for: may not get %s in \"%s\"", what, name,
                     resource->plural, namespace_);
        return false;
    }
    *there = kube_request(look->doctor->kube, &request, NULL, &err);
    if (!*there && err.code != ERR_NOT_FOUND) {
        look_problem(look, kubernetes_advice(&err), "cannot look for %s \"%s\": %s", what, name,
                     err.text);
        return false;
    }
    return true;
}

// The first is that of builds.
static void look_at_namespace(struct look *look, size_t i, void *user)
{
    (void)user;
    const char *name =
        i == 0 ? look->config->builds.namespace : look->config->kubernetes.namespaces.items[i - 1];
    struct error err;
    bool may, there;
    CLEANUP(free_ptr)
    char *fix = xasprintf("kubectl create namespace %s, or another one in the "
                          "settings",
                          name);
    if (look_may(look, name, "", "namespaces", "get", &may, &err) && may &&
        look_for(look, &KUBE_NAMESPACES, name, name, "namespace", &there) && !there)
        look_problem(look, fix, "there is no namespace \"%s\"", name);
}

static void look_at_namespaces(struct look *look)
{
    look_each(look, 1 + look->config->kubernetes.namespaces.count, look_at_namespace, NULL);
}

const struct check kubernetes_checks[] = {
    {"version", look_at_version},
    {"watches", look_at_watches},
    {"namespaces", look_at_namespaces},
    {"rights", kubernetes_rights},
    {0},
};
