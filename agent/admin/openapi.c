// Answers with the OpenAPI document, which is put together once.
#include "agent/admin/openapi.h"
#include "agent/admin/admin.h"
#include "agent/base/yaml.h"
#include "deploy/document.h"

#include <pthread.h>
#include <string.h>

json_t *admin_openapi(void)
{
    struct yaml_document yaml;
    struct error err;
    size_t len = strlen(admin_openapi_yaml);
    if (!yaml_read(admin_openapi_yaml, len, len, &yaml, &err))
        abort(); // it is compiled in
    json_t *all = json_incref(yaml.root);
    yaml_finish(&yaml);
    json_t *schemas = json_object_get(json_object_get(all, "components"), "schemas");
    json_t *service = json_object_get(schemas, "Service");
    CLEANUP(json_ptr) json_t *answered = document_schema(DOCUMENT_SCHEMA_ANSWER);
    json_object_set_new(json_object_get(all, "info"), "version", json_string(CRONWRIGHT_VERSION));
    json_object_set_new(schemas, "Document", document_schema(DOCUMENT_SCHEMA_WHOLE));
    json_object_set_new(schemas, "DocumentPatch", document_schema(DOCUMENT_SCHEMA_PATCH));
    json_object_update(json_object_get(service, "properties"),
                       json_object_get(answered, "properties"));
    return all;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char *text; // kept for the next one who asks

static void write_once(void)
{
    CLEANUP(json_ptr) json_t *all = admin_openapi();
    text = json_write(all);
}

static void get_openapi(struct server_request *req, void *user)
{
    (void)user;
    pthread_once(&once, write_once);
    server_answer_bytes(req, 200, "application/json", text, strlen(text));
}

const struct server_route admin_openapi_routes[] = {
    {"GET", "/openapi.json", get_openapi, SERVER_OPEN},
    {0},
};
