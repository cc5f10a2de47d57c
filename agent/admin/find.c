// The service that a request is about.
#include "agent/admin/services.h"
#include "deploy/document.h"
#include "deploy/service_write.h"

#include <string.h>

void named_service_finish(struct named_service *named)
{
    json_decref(named->cronjob);
    service_drop(named->service);
    json_decref(named->document);
    *named = (struct named_service){0};
}

bool admin_watches(const struct admin *admin, struct server_request *req, const char *namespace)
{
    CLEANUP(settings_drop_ptr) const struct config *config = settings_hold(admin->settings);
    const struct config_texts *watched = &config->kubernetes.namespaces;
    for (size_t i = 0; i < watched->count; i++)
        if (strcmp(watched->items[i], namespace) == 0)
            return true;
    if (watched->count == 0)
        return true;
    server_refuse(
        req, 404, "not-watched",
        "namespace \"%s\" is not watched by this agent: add it to kubernetes.namespaces in "
        "its settings",
        namespace);
    return false;
}

bool admin_find_service(const struct admin *admin, struct server_request *req,
                        enum config_role role, struct named_service *out)
{
    const char *namespace = server_param(req, "namespace");
    const char *name = server_param(req, "name");
    CLEANUP(named_service_finish) struct named_service found = {0};
    struct error err;
    if (!admin_may(admin, req, role, namespace) || !admin_watches(admin, req, namespace))
        return false;
    if (!kube_is_label(namespace) || !kube_is_name(name)) {
        server_refuse(req, 404, "not-found", "there is no service %s/%s", namespace, name);
        return false;
    }
    if (!service_fetch(admin->kube, namespace, name, &found.cronjob, &err)) {
        if (err.code == ERR_NOT_FOUND)
            server_refuse(req, 404, "not-found", "there is no service %s/%s", namespace, name);
        else
            server_answer_error(req, &err);
        return false;
    }
    if (!service_from_json(found.cronjob, &found.service, &err)) {
        server_answer_error(req, &err);
        return false;
    }
    if (!found.service->managed) {
        server_refuse(req, 404, "not-managed",
                      "CronJob %s/%s is no service: it lacks the label %s; cronwright adopt %s/%s "
                      "makes it one",
                      namespace, name, SELECTOR_MANAGED, namespace, name);
        return false;
    }
    found.document = document_of_cronjob(found.cronjob);
    *out = found;
    found = (struct named_service){0};
    return true;
}
