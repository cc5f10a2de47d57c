// GET …/manifest: a service as the cluster has it.
#include "agent/admin/services.h"
#include "agent/base/yaml.h"

#include <string.h>

static void get_manifest(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    CLEANUP(named_service_finish) struct named_service named = {0};
    if (!admin_find_service(admin, req, ROLE_VIEWER, &named))
        return;
    // Who wrote which field is longer than all the rest, and the API server's own affair.
    json_object_del(json_object_get(named.cronjob, "metadata"), "managedFields");
    CLEANUP(free_ptr) char *text = yaml_write(named.cronjob);
    server_answer_bytes(req, 200, "application/yaml", text, strlen(text));
}

const struct server_route admin_manifest_routes[] = {
    {"GET", "/v1/services/{namespace}/{name}/manifest", get_manifest, 0},
    {0},
};
