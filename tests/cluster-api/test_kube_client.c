// The client against a real API server: what it answers to what should not be asked.
#include "tests/cluster-api/cluster.h"

#include "deploy/kube/patch.h"

static const struct kube_resource CONFIG_MAPS = {"/api/v1", "configmaps"};

static json_t *config_map(const char *name)
{
    return json_pack("{s:s, s:s, s:{s:s}, s:{s:s}}", "apiVersion", "v1", "kind", "ConfigMap",
                     "metadata", "name", name, "data", "colour", "red");
}

static bool request(const char *method, const char *name, const char *type, const json_t *body,
                    struct kube_reply *reply, struct error *err)
{
    struct kube_request request = {.method = method,
                                   .resource = &CONFIG_MAPS,
                                   .namespace_ = cluster.namespace_,
                                   .name = name,
                                   .content_type = type,
                                   .body = body};
    return kube_request(cluster.client, &request, reply, err);
}

static void version_is_told(void **state)
{
    (void)state;
    struct kube_request request = {.path = "/version"};
    struct kube_reply reply;
    assert_ok(kube_request(cluster.client, &request, &reply, &err));
    assert_non_null(json_text_at(reply.body, "gitVersion", NULL));
    kube_reply_finish(&reply);
}

static void existing_name_is_told_from_conflict(void **state)
{
    (void)state;
    struct kube_reply reply;
    CLEANUP(json_ptr)
    json_t *made = cluster_create(&CONFIG_MAPS, cluster.namespace_, config_map("twice"));
    CLEANUP(json_ptr) json_t *again = config_map("twice");
    assert_fails(request("POST", NULL, NULL, again, &reply, &err), ERR_CONFLICT);
    assert_int_equal(reply.status, 409);
    assert_int_equal(reply.reason, KUBE_REASON_ALREADY_EXISTS);

    json_object_set_new(json_object_get(made, "data"), "colour", json_string("blue"));
    assert_ok(request("PUT", "twice", NULL, made, NULL, &err));
    assert_fails(request("PUT", "twice", NULL, made, &reply, &err), ERR_CONFLICT);
    assert_int_equal(reply.reason, KUBE_REASON_CONFLICT);
}

static void writes_name_their_manager(void **state)
{
    (void)state;
    CLEANUP(json_ptr)
    json_t *made = cluster_create(&CONFIG_MAPS, cluster.namespace_, config_map("managed"));
    assert_string_equal(json_text_at(made, "metadata", "managedFields", "0", "manager", NULL),
                        "cronwright");
}

static void failed_test_is_told_from_invalid_object(void **state)
{
    (void)state;
    struct kube_reply reply;
    json_decref(cluster_create(&CONFIG_MAPS, cluster.namespace_, config_map("patched")));
    CLEANUP(json_ptr) json_t *patch = patch_create();
    patch_test(patch, PATCH_AT("data", "colour"), "green");
    patch_replace(patch, PATCH_AT("data", "colour"), "blue");
    assert_fails(request("PATCH", "patched", KUBE_JSON_PATCH, patch, &reply, &err), ERR_CONFLICT);
    assert_int_equal(reply.reason, KUBE_REASON_TEST_FAILED);

    CLEANUP(json_ptr) json_t *nowhere = patch_create();
    patch_add(nowhere, PATCH_AT("metadata", "annotations", "a/b"), "c"); // the map is absent
    assert_fails(request("PATCH", "patched", KUBE_JSON_PATCH, nowhere, &reply, &err), ERR_CONFLICT);
    assert_int_equal(reply.reason, KUBE_REASON_TEST_FAILED);

    CLEANUP(json_ptr) json_t *invalid = patch_create();
    patch_add(invalid, PATCH_AT("data", "not a key!"), "x");
    assert_fails(request("PATCH", "patched", KUBE_JSON_PATCH, invalid, &reply, &err), ERR_INVALID);
    assert_int_equal(reply.reason, KUBE_REASON_INVALID);
}

static void annotations_are_added_with_or_without_the_map(void **state)
{
    (void)state;
    const struct annotation first[] = {{"cronwright.io/a", "1"}, {NULL, NULL}};
    const struct annotation second[] = {{"cronwright.io/a", "2"}, {"b", "3"}, {NULL, NULL}};
    struct kube_reply reply;
    json_decref(cluster_create(&CONFIG_MAPS, cluster.namespace_, config_map("annotated")));
    CLEANUP(json_ptr) json_t *absent = patch_create();
    patch_annotate(absent, false, first);
    assert_ok(request("PATCH", "annotated", KUBE_JSON_PATCH, absent, NULL, &err));
    // The map is there now: making it anew would lose what is in it.
    assert_fails(request("PATCH", "annotated", KUBE_JSON_PATCH, absent, &reply, &err),
                 ERR_CONFLICT);
    assert_int_equal(reply.reason, KUBE_REASON_TEST_FAILED);
    CLEANUP(json_ptr) json_t *present = patch_create();
    patch_annotate(present, true, second);
    assert_ok(request("PATCH", "annotated", KUBE_JSON_PATCH, present, &reply, &err));
    assert_string_equal(
        json_text_at(reply.body, "metadata", "annotations", "cronwright.io/a", NULL), "2");
    assert_string_equal(json_text_at(reply.body, "metadata", "annotations", "b", NULL), "3");
    kube_reply_finish(&reply);
}

static void absent_and_unspeakable_names(void **state)
{
    (void)state;
    assert_fails(request(NULL, "absent", NULL, NULL, NULL, &err), ERR_NOT_FOUND);
    assert_fails(request(NULL, "../secrets", NULL, NULL, NULL, &err), ERR_INVALID);
    assert_fails(request(NULL, "..", NULL, NULL, NULL, &err), ERR_INVALID);
    struct kube_request elsewhere = {.resource = &CONFIG_MAPS, .namespace_ = "a/../../x"};
    assert_fails(kube_request(cluster.client, &elsewhere, NULL, &err), ERR_INVALID);
}

static void delete_spares_another_uid(void **state)
{
    (void)state;
    CLEANUP(json_ptr)
    json_t *made = cluster_create(&CONFIG_MAPS, cluster.namespace_, config_map("doomed"));
    const char *uid = json_text_at(made, "metadata", "uid", NULL);
    assert_fails(kube_delete(cluster.client, &CONFIG_MAPS, cluster.namespace_, "doomed",
                             "00000000-0000-0000-0000-000000000000", KUBE_BACKGROUND, &err),
                 ERR_CONFLICT);
    assert_ok(kube_delete(cluster.client, &CONFIG_MAPS, cluster.namespace_, "doomed", uid,
                          KUBE_BACKGROUND, &err));
    assert_false(cluster_has(&CONFIG_MAPS, "doomed"));
}

static void warnings_are_collected(void **state)
{
    (void)state;
    // An old way to say a thing that still works, and warns.
    CLEANUP(json_ptr)
    json_t *pod =
        json_pack("{s:s, s:s, s:{s:s}, s:{s:[{s:s, s:s}], s:{s:s}}}", "apiVersion", "v1", "kind",
                  "Pod", "metadata", "name", "warned", "spec", "containers", "name", "main",
                  "image", "none", "nodeSelector", "beta.kubernetes.io/os", "none");
    struct kube_request request = {.method = "POST",
                                   .resource = &KUBE_PODS,
                                   .namespace_ = cluster.namespace_,
                                   .query = {{"dryRun", "All"}},
                                   .body = pod};
    struct kube_reply reply;
    assert_ok(kube_request(cluster.client, &request, &reply, &err));
    assert_int_equal(json_array_size(reply.warnings), 1);
    assert_non_null(
        strstr(json_string_value(json_array_get(reply.warnings, 0)), "beta.kubernetes.io/os"));
    kube_reply_finish(&reply);
}

// --- lists ---

#define LISTED 230

struct counted {
    int passes;
    int items;
    int stop_after; // 0: never
    char last[64];
};

static void begin(void *user)
{
    struct counted *counted = user;
    counted->passes++;
    counted->items = 0;
}

static bool item(void *user, const json_t *object)
{
    struct counted *counted = user;
    const char *name = json_text_at(object, "metadata", "name", NULL);
    assert_true(strcmp(name, counted->last) > 0); // in order, none twice
    snprintf(counted->last, sizeof counted->last, "%s", name);
    return ++counted->items != counted->stop_after;
}

static void long_list_comes_in_pages(void **state)
{
    (void)state;
    static const struct kube_list_events events = {begin, item};
    for (int i = 0; i < LISTED; i++) {
        char name[32];
        snprintf(name, sizeof name, "listed-%03d", i);
        json_t *object = config_map(name);
        json_object_set_new(json_object_get(object, "metadata"), "labels",
                            json_pack("{s:s}", "set", "listed"));
        json_decref(cluster_create(&CONFIG_MAPS, cluster.namespace_, object));
    }
    struct kube_request request = {.resource = &CONFIG_MAPS,
                                   .namespace_ = cluster.namespace_,
                                   .query = {{"labelSelector", "set in (listed)"}}};
    struct counted all = {0};
    assert_ok(kube_list(cluster.client, &request, &events, &all, &err));
    assert_int_equal(all.items, LISTED);
    assert_int_equal(all.passes, 1);
    struct counted some = {.stop_after = 150};
    assert_ok(kube_list(cluster.client, &request, &events, &some, &err));
    assert_int_equal(some.items, 150);
}

// --- credentials ---

// A kubeconfig with a token (in a file, if `as_file`) for the namespace's own service account.
static void token_kubeconfig(const char *user_key, const char *user_value, char out[static 128])
{
    struct yaml_document document;
    struct buffer text = {0};
    snprintf(out, 128, "%s/kubeconfig", cluster.directory);
    assert_ok(file_read(out, KUBECONFIG_MAX, &text, &err));
    assert_ok(yaml_read(text.data, text.len, KUBECONFIG_MAX, &document, &err));
    json_t *entry = json_array_get(json_object_get(document.root, "users"), 0);
    json_object_set_new(entry, "user", json_pack("{s:s}", user_key, user_value));
    CLEANUP(free_ptr) char *yaml = yaml_write(document.root);
    snprintf(out, 128, "%s/token-kubeconfig", cluster.directory);
    assert_ok(file_write(out, 0600, yaml, strlen(yaml), &err));
    yaml_finish(&document);
    buffer_finish(&text);
}

static char *service_account_token(void)
{
    CLEANUP(json_ptr)
    json_t *body = json_pack("{s:s, s:s, s:{}}", "apiVersion", "authentication.k8s.io/v1", "kind",
                             "TokenRequest", "spec");
    struct kube_request request = {.method = "POST",
                                   .resource = &SERVICE_ACCOUNTS,
                                   .namespace_ = cluster.namespace_,
                                   .name = "default",
                                   .subresource = "token",
                                   .body = body};
    struct kube_reply reply;
    assert_ok(kube_request(cluster.client, &request, &reply, &err));
    char *token = xstrdup(json_text_at(reply.body, "status", "token", NULL));
    kube_reply_finish(&reply);
    return token;
}

static void token_is_refused_rights(void **state)
{
    (void)state;
    char path[128];
    CLEANUP(free_ptr) char *token = service_account_token();
    token_kubeconfig("token", token, path);
    struct kube_access *access;
    assert_ok(kube_access_from_file(path, "", &access, &err));
    struct kube_client *client = kube_client_create(access);
    struct kube_request request = {.resource = &CONFIG_MAPS, .namespace_ = cluster.namespace_};
    assert_fails(kube_request(client, &request, NULL, &err), ERR_FORBIDDEN);
    kube_client_destroy(client);
}

static void new_token_in_its_file_is_taken_after_401(void **state)
{
    (void)state;
    char path[128];
    CLEANUP(free_ptr) char *token = service_account_token();
    CLEANUP(free_ptr) char *token_path = xasprintf("%s/token", cluster.directory);
    assert_ok(file_write(token_path, 0600, "stale\n", 6, &err));
    token_kubeconfig("tokenFile", "token", path); // beside the kubeconfig
    struct kube_access *access;
    assert_ok(kube_access_from_file(path, "", &access, &err));
    struct kube_client *client = kube_client_create(access);
    struct kube_request request = {.resource = &CONFIG_MAPS, .namespace_ = cluster.namespace_};
    assert_fails(kube_request(client, &request, NULL, &err), ERR_UNAUTHORIZED);
    kube_client_destroy(client);

    assert_ok(kube_access_from_file(path, "", &access, &err));
    client = kube_client_create(access);
    assert_ok(file_write(token_path, 0600, token, strlen(token), &err));
    assert_fails(kube_request(client, &request, NULL, &err),
                 ERR_FORBIDDEN); // known, without rights
    kube_client_destroy(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_is_told),
        cmocka_unit_test(existing_name_is_told_from_conflict),
        cmocka_unit_test(writes_name_their_manager),
        cmocka_unit_test(failed_test_is_told_from_invalid_object),
        cmocka_unit_test(annotations_are_added_with_or_without_the_map),
        cmocka_unit_test(absent_and_unspeakable_names),
        cmocka_unit_test(delete_spares_another_uid),
        cmocka_unit_test(warnings_are_collected),
        cmocka_unit_test(long_list_comes_in_pages),
        cmocka_unit_test(token_is_refused_rights),
        cmocka_unit_test(new_token_in_its_file_is_taken_after_401),
    };
    return cluster_run(tests);
}
