// Image builds on a real cluster: the Job is admitted, its context arrives, its image is in the
// registry, and failures are told. Needs REGISTRY and KANIKO_IMAGE too.
#include "build/kaniko.h"
#include "build/registry.h"
#include "tests/cluster-api/cluster.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static const char *registry;
static char *image;

// A tar.gz of one Dockerfile; the caller frees.
static struct buffer context_with(const char *dockerfile)
{
    struct buffer bytes = {0};
    char path[160];
    snprintf(path, sizeof path, "%s/Dockerfile", cluster.directory);
    assert_ok(file_write(path, 0600, dockerfile, strlen(dockerfile), &err));
    CLEANUP(free_ptr)
    char *command = xasprintf("tar -C %s -czf %s/context.tar.gz Dockerfile", cluster.directory,
                              cluster.directory);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/context.tar.gz", cluster.directory);
    assert_ok(file_read(path, KANIKO_CONTEXT_SECRET_MAX, &bytes, &err));
    return bytes;
}

static json_t *get(const struct kube_resource *resource, const char *name, const char *selector)
{
    struct kube_request request = {.resource = resource,
                                   .namespace_ = cluster.namespace_,
                                   .name = name,
                                   .query = {{selector ? "labelSelector" : NULL, selector}}};
    struct kube_reply reply;
    assert_ok(kube_request(cluster.client, &request, &reply, &err));
    json_decref(reply.warnings);
    return reply.body;
}

static void look(const char *job_name, struct kaniko_result *result)
{
    CLEANUP(free_ptr) char *selector = xasprintf("%s=%s", KANIKO_LABEL_BUILD, job_name);
    CLEANUP(json_ptr) json_t *job = get(&KUBE_JOBS, job_name, NULL);
    CLEANUP(json_ptr) json_t *pods = get(&KUBE_PODS, NULL, selector);
    kaniko_result(job, kaniko_newest_pod(job, json_object_get(pods, "items")), result);
}

static bool is_over(const char *job_name, struct kaniko_result *result)
{
    look(job_name, result);
    return result->state == KANIKO_SUCCEEDED || result->state == KANIKO_FAILED;
}

// Builds, waits for the end, deletes the Job; the Secret goes with it.
static void build(const char *dockerfile, const struct kaniko_build *build,
                  struct kaniko_result *result)
{
    const char *const plain_http[] = {registry};
    struct kaniko_settings settings = {.namespace = cluster.namespace_,
                                       .image = getenv("KANIKO_IMAGE"),
                                       .deadline_seconds = 60,
                                       .ttl_seconds = 600,
                                       .plain_http_registries = plain_http,
                                       .plain_http_count = 1};
    json_t *job, *secret;
    struct buffer context = context_with(dockerfile);
    assert_ok(kaniko_job(&settings, build, &job, &err));
    CLEANUP(json_ptr) json_t *made = cluster_create(&KUBE_JOBS, cluster.namespace_, job);
    assert_ok(kaniko_context_secret(made, context.data, context.len, &secret, &err));
    json_decref(cluster_create(&KUBE_SECRETS, cluster.namespace_, secret));
    buffer_finish(&context);
    assert_int_equal(kaniko_existing(made, build), KANIKO_EXISTING_LIVE);

    const char *name = json_text_at(made, "metadata", "name", NULL);
    await(is_over(name, result));
    assert_ok(kube_delete(cluster.client, &KUBE_JOBS, cluster.namespace_, name, NULL,
                          KUBE_BACKGROUND, &err));
    await(!cluster_has(&KUBE_SECRETS, name));
}

static void an_image_is_built_and_confirmed(void **state)
{
    (void)state;
    const struct build_arg args[] = {{"PRICE", "$5 $(KUBERNETES_SERVICE_HOST) $$"}};
    struct recipe recipe = {.repository = "git.example/acme/report",
                            .branch = "main",
                            .image = image,
                            .args = args,
                            .args_count = 1};
    struct kaniko_build wanted = {.recipe = &recipe, .commit = COMMIT, .attempt = 1};
    CLEANUP(free_ptr)
    char *dockerfile = xasprintf("FROM %s\nARG PRICE\nLABEL price=$PRICE\n"
                                 "RUN [\"/bin/busybox\", \"test\", \"!\", \"-e\", \"/context\"]\n",
                                 cluster.busybox);
    struct kaniko_result result;
    build(dockerfile, &wanted, &result);
    if (result.state != KANIKO_SUCCEEDED)
        fail_msg("%s: %s", result.reason, result.detail);
    struct image_reference reference;
    struct registry_access access = {.plain_http = true};
    assert_ok(image_parse(image, &reference, &err));
    assert_ok(registry_confirm(&reference, result.digest, &access, 10000, &err));
    assert_true(result.started.ms > 0 && result.finished.ms >= result.started.ms);

    // Dollars arrive as they were written.
    CLEANUP(free_ptr)
    char *command = xasprintf(
        "u=http://%s/v2/%s; a='application/vnd.oci.image.manifest.v1+json, "
        "application/vnd.docker.distribution.manifest.v2+json';"
        "c=$(curl -sSf -H \"Accept: $a\" $u/manifests/%s | jq -r .config.digest);"
        "l=$(curl -sSf $u/blobs/$c | jq -c '.config.Labels | [.price, .[\"org.opencontainers.image."
        "revision\"]]'); test \"$l\" = '[\"$5 $(KUBERNETES_SERVICE_HOST) $$\",\"%s\"]'",
        registry, reference.path, result.digest, COMMIT);
    assert_int_equal(system(command), 0);
}

static void a_failing_build_says_where(void **state)
{
    (void)state;
    struct recipe recipe = {
        .repository = "git.example/acme/report", .branch = "main", .image = image};
    struct kaniko_build wanted = {.recipe = &recipe, .commit = COMMIT, .attempt = 2};
    CLEANUP(free_ptr)
    char *dockerfile =
        xasprintf("FROM %s\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"exit 3\"]\n", cluster.busybox);
    struct kaniko_result result;
    build(dockerfile, &wanted, &result);
    assert_int_equal(result.state, KANIKO_FAILED);
    assert_string_equal(result.reason, "build-failed");
    assert_int_equal(result.exit_code, 3);
    assert_string_equal(result.detail,
                        "RUN [\"/bin/busybox\", \"sh\", \"-c\", \"exit 3\"]: exit 3");
    assert_string_equal(result.digest, "");
}

static void an_evicted_pod_is_replaced(void **state)
{
    (void)state;
    struct recipe recipe = {
        .repository = "git.example/acme/report", .branch = "main", .image = image};
    struct kaniko_settings settings = {.namespace = cluster.namespace_,
                                       .image = getenv("KANIKO_IMAGE"),
                                       .deadline_seconds = 60,
                                       .ttl_seconds = 600};
    struct kaniko_build wanted = {.recipe = &recipe, .commit = COMMIT, .attempt = 3};
    json_t *job;
    assert_ok(kaniko_job(&settings, &wanted, &job, &err));
    // Its context never comes: the pod waits.
    CLEANUP(json_ptr) json_t *made = cluster_create(&KUBE_JOBS, cluster.namespace_, job);
    const char *name = json_text_at(made, "metadata", "name", NULL);
    struct kaniko_result result;
    await((look(name, &result), result.pod[0] != '\0'));
    CLEANUP(free_ptr) char *first = xstrdup(result.pod);
    CLEANUP(json_ptr)
    json_t *eviction =
        json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion", "policy/v1", "kind", "Eviction",
                  "metadata", "name", first, "namespace", cluster.namespace_);
    struct kube_request request = {.method = "POST",
                                   .resource = &KUBE_PODS,
                                   .namespace_ = cluster.namespace_,
                                   .name = first,
                                   .subresource = "eviction",
                                   .body = eviction};
    assert_ok(kube_request(cluster.client, &request, NULL, &err));
    await((look(name, &result), result.pod[0] && strcmp(result.pod, first) != 0));
    assert_int_equal(result.state, KANIKO_PENDING);
    assert_ok(kube_delete(cluster.client, &KUBE_JOBS, cluster.namespace_, name, NULL,
                          KUBE_BACKGROUND, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_image_is_built_and_confirmed),
        cmocka_unit_test(a_failing_build_says_where),
        cmocka_unit_test(an_evicted_pod_is_replaced),
    };
    registry = getenv("REGISTRY");
    image = xasprintf("%s/cronwright-test/kaniko", registry ? registry : "registry.invalid");
    int status = cluster_run(tests);
    free(image);
    return status;
}
