// Services in a real cluster: the cache as CronJobs come and change, and the patch that deploys.
#include "tests/cluster-api/cluster.h"

#include "deploy/services.h"

static json_t *cronjob(const char *name, const char *repository)
{
    json_t *object =
        json_pack("{s:s, s:s, s:{s:s, s:{s:s}}, s:{s:s, s:b, s:{s:{s:{s:{s:s, s:[{s:s, s:s},{s:s, "
                  "s:s}]}}}}}}",
                  "apiVersion", "batch/v1", "kind", "CronJob", "metadata", "name", name, "labels",
                  LABEL_MANAGED, "true", "spec", "schedule", "0 3 * * *", "suspend", 1,
                  "jobTemplate", "spec", "template", "spec", "restartPolicy", "Never", "containers",
                  "name", "sidecar", "image", "registry.example/side:1", "name", "report", "image",
                  "registry.example:5000/acme/report:1.4");
    assert_non_null(object);
    if (repository)
        json_object_set_new(json_object_get(object, "metadata"), "annotations",
                            json_pack("{s:s, s:s, s:s}", ANNOTATION_REPOSITORY, repository,
                                      ANNOTATION_BRANCH, "main", ANNOTATION_CONTAINER, "report"));
    return object;
}

static void patch_sets_image_and_annotations_alone(void **state)
{
    (void)state;
    static const char image[] = "registry.example:5000/acme/report:a41f09c@sha256:"
                                "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const struct annotation ours[] = {
        {ANNOTATION_COMMIT, "a41f09c"}, {ANNOTATION_BUILD, "b-51"}, {NULL, NULL}};
    CLEANUP(json_ptr)
    json_t *made = cluster_create(&KUBE_CRONJOBS, cluster.namespace_,
                                  cronjob("patched", "https://git.example/acme/report"));
    CLEANUP(service_ptr) const struct service *before = NULL;
    CLEANUP(service_ptr) const struct service *after = NULL;
    assert_ok(cronjob_get(cluster.client, cluster.namespace_, "patched", &before, &err));
    assert_string_equal(before->container, "report");
    assert_non_null(strstr(before->places, "\"index\":\"1\""));
    assert_string_equal(before->destination, "registry.example:5000/acme/report");
    assert_string_equal(before->problem, "");

    assert_ok(cronjob_patch_image(cluster.client, before, image, ours, &after, &err));
    assert_string_equal(after->image, image);
    assert_string_equal(after->patched_image, image);
    assert_string_equal(after->commit, "a41f09c");
    assert_string_equal(after->build, "b-51");
    assert_true(after->patched_at.ms > 0);

    struct kube_request request = {
        .resource = &KUBE_CRONJOBS, .namespace_ = cluster.namespace_, .name = "patched"};
    struct kube_reply reply;
    assert_ok(kube_request(cluster.client, &request, &reply, &err));
    json_t *now = json_object_get(reply.body, "spec");
    json_t *container = json_array_get(
        json_object_get(
            json_object_get(
                json_object_get(json_object_get(json_object_get(now, "jobTemplate"), "spec"),
                                "template"),
                "spec"),
            "containers"),
        1);
    json_object_set_new(container, "image", json_string(before->image));
    assert_true(json_equal(now, json_object_get(made, "spec")));
    kube_reply_finish(&reply);
}

static void patch_without_annotations_makes_the_map(void **state)
{
    (void)state;
    const struct annotation ours[] = {{ANNOTATION_COMMIT, "1"}, {NULL, NULL}};
    json_t *object = cronjob("bare", NULL);
    json_t *containers = json_object_get(
        json_object_get(
            json_object_get(
                json_object_get(json_object_get(json_object_get(object, "spec"), "jobTemplate"),
                                "spec"),
                "template"),
            "spec"),
        "containers");
    json_array_remove(containers, 0);
    json_decref(cluster_create(&KUBE_CRONJOBS, cluster.namespace_, object));
    CLEANUP(service_ptr) const struct service *before = NULL;
    CLEANUP(service_ptr) const struct service *after = NULL;
    assert_ok(cronjob_get(cluster.client, cluster.namespace_, "bare", &before, &err));
    assert_false(before->has_annotations);
    assert_ok(
        cronjob_patch_image(cluster.client, before, "registry.example/x:1", ours, &after, &err));
    assert_string_equal(after->commit, "1");
}

static void patch_gives_way_to_others(void **state)
{
    (void)state;
    const struct annotation ours[] = {{NULL, NULL}};
    json_decref(cluster_create(&KUBE_CRONJOBS, cluster.namespace_,
                               cronjob("contested", "https://git.example/acme/report")));
    CLEANUP(service_ptr) const struct service *read = NULL;
    CLEANUP(service_ptr) const struct service *changed = NULL;
    assert_ok(cronjob_get(cluster.client, cluster.namespace_, "contested", &read, &err));
    assert_ok(cronjob_patch_image(cluster.client, read, "registry.example/by-hand:1", ours,
                                  &changed, &err));
    assert_fails(
        cronjob_patch_image(cluster.client, read, "registry.example/late:1", ours, NULL, &err),
        ERR_CONFLICT);
    // A new one of the same name is another.
    assert_ok(kube_delete(cluster.client, &KUBE_CRONJOBS, cluster.namespace_, "contested", NULL,
                          KUBE_BACKGROUND, &err));
    assert_fails(
        cronjob_patch_image(cluster.client, changed, "registry.example/late:1", ours, NULL, &err),
        ERR_NOT_FOUND);
    json_decref(cluster_create(&KUBE_CRONJOBS, cluster.namespace_,
                               cronjob("contested", "https://git.example/acme/report")));
    assert_fails(
        cronjob_patch_image(cluster.client, read, "registry.example/late:1", ours, NULL, &err),
        ERR_CONFLICT);
    CLEANUP(service_ptr) const struct service *present = NULL;
    assert_ok(cronjob_get(cluster.client, cluster.namespace_, "contested", &present, &err));
    assert_string_equal(present->image, "registry.example:5000/acme/report:1.4");
}

static void unmanaged_is_no_service(void **state)
{
    (void)state;
    const struct service *service;
    json_t *object = cronjob("foreign", NULL);
    json_object_del(json_object_get(object, "metadata"), "labels");
    json_decref(cluster_create(&KUBE_CRONJOBS, cluster.namespace_, object));
    assert_fails(cronjob_get(cluster.client, cluster.namespace_, "foreign", &service, &err),
                 ERR_NOT_FOUND);
    assert_fails(cronjob_get(cluster.client, cluster.namespace_, "absent", &service, &err),
                 ERR_NOT_FOUND);
}

// --- the cache ---

static bool identify(const char *url, char *out, size_t room)
{
    return snprintf(out, room, "%s", url) < (int)room;
}

static size_t found(struct service_cache *cache, const char *repository)
{
    struct service_list list;
    service_cache_find(cache, repository, "main", &list);
    size_t count = list.count;
    service_list_finish(&list);
    return count;
}

static void annotate(const char *name, const char *key, const char *value)
{
    CLEANUP(json_ptr)
    json_t *patch = json_pack("{s:{s:{s:s}}}", "metadata", "annotations", key, value);
    struct kube_request request = {.method = "PATCH",
                                   .resource = &KUBE_CRONJOBS,
                                   .namespace_ = cluster.namespace_,
                                   .name = name,
                                   .content_type = KUBE_MERGE_PATCH,
                                   .body = patch};
    assert_ok(kube_request(cluster.client, &request, NULL, &err));
}

static void cache_follows_the_cluster(void **state)
{
    (void)state;
    struct service_cache *cache =
        service_cache_create(&(struct service_cache_options){.identify = identify});
    struct kube_watch_options options = {.resource = &KUBE_CRONJOBS,
                                         .namespace_ = cluster.namespace_,
                                         .label_selector = SELECTOR_MANAGED};
    struct kube_watch *watch =
        kube_watch_create(cluster.client, cluster.loop, &options, &SERVICE_CACHE_EVENTS, cache);
    await(kube_watch_synced(watch));
    size_t before = service_cache_count(cache);
    json_decref(cluster_create(&KUBE_CRONJOBS, cluster.namespace_, cronjob("one", "git:a")));
    json_decref(cluster_create(&KUBE_CRONJOBS, cluster.namespace_, cronjob("two", "git:a")));
    await(found(cache, "git:a") == 2);
    assert_int_equal(service_cache_count(cache), before + 2);
    annotate("two", ANNOTATION_REPOSITORY, "git:b");
    await(found(cache, "git:b") == 1);
    assert_int_equal(found(cache, "git:a"), 1);
    CLEANUP(service_ptr)
    const struct service *two = service_cache_get(cache, cluster.namespace_, "two");
    assert_string_equal(two->repository, "git:b");
    relay_cut(); // what goes while nobody watches goes from the cache too
    assert_ok(kube_delete(cluster.client, &KUBE_CRONJOBS, cluster.namespace_, "two", NULL,
                          KUBE_BACKGROUND, &err));
    await(service_cache_count(cache) == before + 1);
    assert_int_equal(found(cache, "git:b"), 0);
    kube_watch_destroy(watch);
    service_cache_destroy(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patch_sets_image_and_annotations_alone),
        cmocka_unit_test(patch_without_annotations_makes_the_map),
        cmocka_unit_test(patch_gives_way_to_others),
        cmocka_unit_test(unmanaged_is_no_service),
        cmocka_unit_test(cache_follows_the_cluster),
    };
    return cluster_run(tests);
}
