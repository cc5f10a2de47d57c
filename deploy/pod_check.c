#include "deploy/pod_check.h"

#include <string.h>

void pod_check_finish(struct pod_check *check)
{
    free(check->refused);
    json_decref(check->warnings);
    *check = (struct pod_check){0};
}

static json_t *make_pod(const char *name, const json_t *template)
{
    CLEANUP(free_ptr) char *begin = xasprintf("%s-check-", name);
    json_t *pod = json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "Pod", "metadata",
                            "generateName", begin);
    json_t *metadata = json_object_get(pod, "metadata");
    static const char *const maps[] = {"labels", "annotations"};
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
        const json_t *map = json_at(template, "metadata", maps[i], NULL);
        if (map)
            json_object_set(metadata, maps[i], json_unconst(map));
    }
    json_object_set(pod, "spec", json_object_get(template, "spec"));
    return pod;
}

// Not the pod is refused then, but we.
static bool may_not_ask(const struct error *err)
{
    return err->code == ERR_FORBIDDEN && strstr(err->text, "cannot create resource \"pods\"");
}

bool pod_check(struct kube_client *client, const char *namespace_, const char *name,
               const json_t *template, struct pod_check *out, struct error *err)
{
    CLEANUP(json_ptr) json_t *pod = make_pod(name, template);
    CLEANUP(kube_reply_finish) struct kube_reply reply = {0};
    struct kube_request request = {.method = "POST",
                                   .resource = &KUBE_PODS,
                                   .namespace_ = namespace_,
                                   .query = {{"dryRun", "All"}},
                                   .body = pod};
    struct error why;
    if (kube_request(client, &request, &reply, &why)) {
        *out = (struct pod_check){.warnings = TAKE(reply.warnings)};
        return true;
    }
    bool refused = (why.code == ERR_FORBIDDEN || why.code == ERR_INVALID) && !may_not_ask(&why);
    if (!refused)
        return error_set(err, why.code, "dry run of a pod: %s", why.text);
    *out = (struct pod_check){.refused = xstrdup(why.text)};
    return true;
}
