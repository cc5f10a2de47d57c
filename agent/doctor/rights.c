// What we may do in the cluster: asked of the API server, right by right.
#include "agent/doctor/look.h"

#include "agent/doctor/kubernetes.h"

#include <stdatomic.h>
#include <string.h>

#define ASK_MS      5000
#define RULES_COUNT (sizeof rules / sizeof *rules)

enum where { IN_SERVICES, IN_BUILDS };

// As deploy/manifests/rbac.yaml gives them, but for those that only the doctor uses.
static const struct rule {
    enum where where;
    const char *group;
    const char *resource; // with its subresource
    const char *verbs[7]; // ended by NULL
} rules[] = {
    {IN_SERVICES, "batch", "cronjobs", {"get", "list", "watch", "create", "patch", "delete"}},
    {IN_SERVICES, "batch", "cronjobs/status", {"patch"}},
    {IN_SERVICES, "batch", "jobs", {"get", "list", "watch", "create", "delete"}},
    {IN_SERVICES, "", "pods", {"get", "list", "watch", "create"}},
    {IN_SERVICES, "", "pods/log", {"get"}},
    {IN_SERVICES, "", "events", {"create", "patch", "list"}},
    {IN_BUILDS, "batch", "jobs", {"get", "list", "watch", "create", "patch"}},
    {IN_BUILDS, "", "pods", {"get", "list", "watch"}},
    {IN_BUILDS, "", "pods/log", {"get"}},
    {IN_BUILDS, "", "secrets", {"create"}},
    {IN_BUILDS, "", "events", {"list"}},
    {IN_BUILDS, "coordination.k8s.io", "leases", {"get", "create", "update"}},
};

bool look_may(const struct look *look, const char *namespace_, const char *group,
              const char *resource, const char *verb, bool *may, struct error *err)
{
    static const char path[] = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    size_t len = strcspn(resource, "/");
    CLEANUP(json_ptr)
    json_t *body = json_pack("{s:s, s:s, s:{s:{s:s, s:s, s:s%, s:s}}}", "apiVersion",
                             "authorization.k8s.io/v1", "kind", "SelfSubjectAccessReview", "spec",
                             "resourceAttributes", "verb", verb, "group", group, "resource",
                             resource, len, "namespace", namespace_ ? namespace_ : "");
    json_t *attributes = json_unconst(json_at(body, "spec", "resourceAttributes", NULL));
    if (resource[len])
        json_object_set_new(attributes, "subresource", json_string(resource + len + 1));
    struct kube_request request = {
        .method = "POST", .path = path, .body = body, .timeout_ms = look_timeout(look, ASK_MS)};
    CLEANUP(kube_reply_finish) struct kube_reply reply = {0};
    if (!kube_request(look->doctor->kube, &request, &reply, err))
        return false;
    *may = json_is_true(json_at(reply.body, "status", "allowed", NULL));
    return true;
}

// One rule in one namespace.
struct place {
    const struct rule *rule;
    const char *namespace_; // NULL: everywhere
};

struct places {
    struct place *items;
    size_t count;
    atomic_flag cannot_ask; // which is said once, however many there are
};

static void add_places(struct places *places, const struct rule *rule,
                       const struct config_texts *namespaces)
{
    for (size_t i = 0; i < namespaces->count; i++)
        places->items[places->count++] = (struct place){rule, namespaces->items[i]};
    if (namespaces->count == 0)
        places->items[places->count++] = (struct place){rule, NULL};
}

static void say_missing(struct look *look, const struct place *place, const char *verbs)
{
    const struct rule *rule = place->rule;
    bool bound = place->namespace_ && rule->where == IN_SERVICES;
    CLEANUP(free_ptr)
    char *bind = xasprintf(", and bind it there: kubectl -n %s create rolebinding cronwright "
                           "--clusterrole=cronwright --serviceaccount=cronwright:cronwright",
                           bound ? place->namespace_ : "");
    CLEANUP(free_ptr)
    char *fix = xasprintf("kubectl apply -f deploy/manifests/rbac.yaml%s", bound ? bind : "");
    if (place->namespace_)
        look_problem(look, fix, "may not %s %s in \"%s\"", verbs, rule->resource,
                     place->namespace_);
    else
        look_problem(look, fix, "may not %s %s in all namespaces", verbs, rule->resource);
}

static void look_at_place(struct look *look, size_t i, void *user)
{
    struct places *places = user;
    const struct place *place = &places->items[i];
    CLEANUP(free_ptr) char *missing = xstrdup("");
    for (const char *const *verb = place->rule->verbs; *verb; verb++) {
        struct error err;
        bool may;
        if (!look_may(look, place->namespace_, place->rule->group, place->rule->resource, *verb,
                      &may, &err)) {
            if (!atomic_flag_test_and_set(&places->cannot_ask))
                look_problem(look, kubernetes_advice(&err), "cannot ask what we may do: %s",
                             err.text);
            return;
        }
        CLEANUP(free_ptr) char *before = missing;
        missing = may ? TAKE(before) : xasprintf("%s%s%s", before, *before ? ", " : "", *verb);
    }
    if (*missing)
        say_missing(look, place, missing);
}

void kubernetes_rights(struct look *look)
{
    const struct config_texts *namespaces = &look->config->kubernetes.namespaces;
    char *builds = look->config->builds.namespace;
    struct config_texts builds_alone = {&builds, 1};
    size_t room = RULES_COUNT * (namespaces->count + 1);
    CLEANUP(free_ptr) struct place *items = xalloc(room * sizeof *items);
    struct places places = {.items = items, .cannot_ask = ATOMIC_FLAG_INIT};
    for (size_t i = 0; i < RULES_COUNT; i++)
        add_places(&places, &rules[i], rules[i].where == IN_BUILDS ? &builds_alone : namespaces);
    size_t before = json_array_size(look->checks);
    look_each(look, places.count, look_at_place, &places);
    size_t found = json_array_size(look->checks) - before;
    if (found == 0)
        look_good(look, "all rights");
    while (json_array_size(look->checks) - before > LOOK_LISTED_MAX)
        json_array_remove(look->checks, json_array_size(look->checks) - 1);
    if (found > LOOK_LISTED_MAX)
        look_problem(look, "kubectl apply -f deploy/manifests/rbac.yaml",
                     "%zu more rights are missing", found - LOOK_LISTED_MAX);
}
