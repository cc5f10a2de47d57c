// Manifests, and verdicts on Jobs and pods that a real cluster gave (data/kaniko/*.json).
#include "agent/base/file.h"
#include "build/kaniko.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static const struct build_arg args[] = {{"PRICE", "$5 $(HOME) $$"}};

static struct recipe recipe(void)
{
    return (struct recipe){.repository = "git.example/acme/report",
                           .branch = "main",
                           .dockerfile = "docker/Dockerfile",
                           .target = "final",
                           .args = args,
                           .args_count = 1,
                           .image = "registry.example:5000/acme/report",
                           .platform = "linux/arm64"};
}

static json_t *job_of(const struct kaniko_settings *settings, const struct kaniko_build *build)
{
    json_t *job = NULL;
    struct error err;
    if (!kaniko_job(settings, build, &job, &err))
        fail_msg("%s", err.text);
    return job;
}

static struct kaniko_settings plain_settings(void)
{
    return (struct kaniko_settings){.namespace = "builds",
                                    .image = "kaniko.example/executor:1",
                                    .deadline_seconds = 600,
                                    .ttl_seconds = 3600};
}

static bool has_arg(const json_t *job, const char *arg)
{
    const json_t *list = json_at(job, "spec", "template", "spec", "containers", "0", "args", NULL);
    size_t i;
    json_t *value;
    json_array_foreach(list, i, value) if (strcmp(json_string_value(value), arg) == 0) return true;
    return false;
}

static void a_plain_job(void **state)
{
    (void)state;
    struct kaniko_settings settings = plain_settings();
    struct recipe r = {.repository = "git.example/acme/report",
                       .branch = "main",
                       .image = "registry.example/acme/report"};
    struct kaniko_build build = {.recipe = &r, .commit = COMMIT, .attempt = 2};
    json_t *job = job_of(&settings, &build);
    char hash[SHA256_HEX_SIZE];
    struct build_name name;
    recipe_hash(&r, hash);
    assert_true(build_name(COMMIT, hash, 2, &name, NULL));

    assert_string_equal(json_text_at(job, "apiVersion", NULL), "batch/v1");
    assert_string_equal(json_text_at(job, "metadata", "name", NULL), name.job);
    assert_string_equal(json_text_at(job, "metadata", "namespace", NULL), "builds");
    assert_string_equal(
        json_text_at(job, "metadata", "annotations", KANIKO_ANNOTATION_RECIPE, NULL), hash);
    const json_t *pod_labels = json_at(job, "spec", "template", "metadata", "labels", NULL);
    assert_string_equal(json_text_at(pod_labels, KANIKO_LABEL_BUILD, NULL), name.job);
    assert_string_equal(json_text_at(pod_labels, KANIKO_LABEL_MANAGED_BY, NULL), "cronwright");

    const json_t *spec = json_at(job, "spec", NULL);
    assert_int_equal(json_int_or(json_at(spec, "backoffLimit", NULL), -1), 0);
    assert_int_equal(json_int_or(json_at(spec, "activeDeadlineSeconds", NULL), -1), 600);
    assert_int_equal(json_int_or(json_at(spec, "ttlSecondsAfterFinished", NULL), -1), 3600);
    const json_t *pod = json_at(spec, "template", "spec", NULL);
    assert_string_equal(json_text_at(pod, "restartPolicy", NULL), "Never");
    assert_true(json_is_false(json_at(pod, "automountServiceAccountToken", NULL)));
    assert_null(json_at(pod, "serviceAccountName", NULL));
    assert_null(json_at(pod, "tolerations", NULL));
    assert_int_equal(json_array_size(json_at(pod, "volumes", NULL)), 1);
    assert_string_equal(json_text_at(pod, "volumes", "0", "secret", "secretName", NULL), name.job);

    const json_t *security = json_at(pod, "containers", "0", "securityContext", NULL);
    assert_true(json_is_false(json_at(security, "privileged", NULL)));
    assert_true(json_is_false(json_at(security, "allowPrivilegeEscalation", NULL)));
    assert_string_equal(json_text_at(security, "capabilities", "drop", "0", NULL), "ALL");
    assert_string_equal(json_text_at(security, "seccompProfile", "type", NULL), "RuntimeDefault");

    char *destination = xasprintf("--destination=registry.example/acme/report:%s", name.tag);
    assert_true(has_arg(job, destination));
    free(destination);
    assert_true(has_arg(job, "--dockerfile=Dockerfile"));
    assert_true(has_arg(job, "--digest-file=/dev/termination-log"));
    assert_true(has_arg(job, "--label=org.opencontainers.image.revision=" COMMIT));
    assert_false(has_arg(job, "--cache=true"));
    assert_false(has_arg(job, "--insecure"));
    json_decref(job);
}

static void everything_set(void **state)
{
    (void)state;
    static const char *const plain_http[] = {"registry.example:5000"};
    static const char *const more[] = {"--compressed-caching=false"};
    static const struct kaniko_authority authorities[] = {{"tls.example:5000", "first\n"},
                                                          {"other.example", "second\n"}};
    json_t *selector = json_pack("{s:s}", "pool", "build");
    json_t *tolerations = json_pack("[{s:s, s:s}]", "key", "build", "operator", "Exists");
    json_t *resources =
        json_pack("{s:{s:s, s:s}}", "limits", "memory", "1Gi", "ephemeral-storage", "9Gi");
    struct kaniko_settings settings = plain_settings();
    settings.service_account = "builder";
    settings.node_selector = selector;
    settings.tolerations = tolerations;
    settings.resources = resources;
    settings.cache = true;
    settings.cache_repository = "registry.example:5000/cache";
    settings.plain_http_registries = plain_http;
    settings.plain_http_count = 1;
    settings.authorities = authorities;
    settings.authorities_count = 2;
    settings.proxy = "http://proxy.example:3128";
    settings.no_proxy = "registry.example,.internal";
    settings.insecure = true;
    settings.extra_args = more;
    settings.extra_args_count = 1;
    static const char *const mirrors[] = {"mirror.example", "mirror.example:5000/hub"};
    json_t *maps = json_pack("{s:s}", "quay.io", "mirror.example/quay");
    json_t *affinity = json_pack("{s:{}}", "podAntiAffinity");
    json_t *more_labels =
        json_pack("{s:s, s:s}", "team", "platform", KANIKO_LABEL_BUILD, "somebody else's");
    json_t *more_annotations = json_pack("{s:s}", "example.com/note", "by hand");
    settings.registry_mirrors = mirrors;
    settings.registry_mirrors_count = 2;
    settings.registry_maps = maps;
    settings.affinity = affinity;
    settings.priority_class = "low";
    settings.labels = more_labels;
    settings.annotations = more_annotations;
    struct recipe r = recipe();
    struct kaniko_build build = {.recipe = &r,
                                 .commit = COMMIT,
                                 .attempt = 1,
                                 .source_url = "https://git.example/acme/report",
                                 .push_secret = "push"};
    json_t *job = job_of(&settings, &build);
    static const char *const wanted[] = {
        "--dockerfile=docker/Dockerfile",
        "--target=final",
        "--custom-platform=linux/arm64",
        // As Kubernetes unescapes it: "$5 $(HOME) $$".
        "--build-arg=PRICE=$$5 $$(HOME) $$$$",
        "--label=org.opencontainers.image.source=https://git.example/acme/report",
        "--cache=true",
        "--cache-repo=registry.example:5000/cache",
        "--insecure",
        "--insecure-pull",
        "--skip-tls-verify",
        "--insecure-registry=registry.example:5000",
        "--registry-certificate=tls.example:5000=/kaniko/authorities/0.pem",
        "--registry-certificate=other.example=/kaniko/authorities/1.pem",
        "--registry-mirror=mirror.example",
        "--registry-mirror=mirror.example:5000/hub",
        "--registry-map=quay.io=mirror.example/quay",
        "--compressed-caching=false",
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (!has_arg(job, wanted[i]))
            fail_msg("no %s", wanted[i]);
    const json_t *pod = json_at(job, "spec", "template", "spec", NULL);
    const json_t *metadata = json_at(job, "spec", "template", "metadata", NULL);
    const char *name = json_text_at(job, "metadata", "name", NULL);
    assert_string_equal(json_text_at(metadata, "labels", "team", NULL), "platform");
    assert_string_equal(json_text_at(metadata, "labels", KANIKO_LABEL_BUILD, NULL), name);
    assert_string_equal(json_text_at(metadata, "annotations", "example.com/note", NULL), "by hand");
    assert_string_equal(json_text_at(metadata, "annotations", KANIKO_ANNOTATION_COMMIT, NULL),
                        COMMIT);
    assert_true(json_equal(json_at(pod, "affinity", NULL), affinity));
    assert_string_equal(json_text_at(pod, "priorityClassName", NULL), "low");
    assert_string_equal(json_text_at(pod, "serviceAccountName", NULL), "builder");
    assert_true(json_equal(json_at(pod, "tolerations", NULL), tolerations));
    assert_true(json_equal(json_at(pod, "containers", "0", "resources", NULL), resources));
    assert_string_equal(json_text_at(pod, "nodeSelector", "pool", NULL), "build");
    assert_string_equal(json_text_at(pod, "nodeSelector", "kubernetes.io/arch", NULL), "arm64");
    assert_string_equal(json_text_at(pod, "nodeSelector", "kubernetes.io/os", NULL), "linux");
    assert_string_equal(json_text_at(pod, "volumes", "1", "secret", "secretName", NULL), "push");
    assert_string_equal(json_text_at(pod, "volumes", "1", "secret", "items", "0", "path", NULL),
                        "config.json");
    assert_string_equal(
        json_text_at(pod, "containers", "0", "volumeMounts", "1", "mountPath", NULL),
        "/kaniko/.docker");
    CLEANUP(free_ptr)
    char *authorities_secret =
        xasprintf("%s-authorities", json_text_at(job, "metadata", "name", NULL));
    assert_string_equal(json_text_at(pod, "volumes", "2", "secret", "secretName", NULL),
                        authorities_secret);
    const json_t *env = json_at(pod, "containers", "0", "env", NULL);
    assert_int_equal(json_array_size(env), 4);
    assert_string_equal(json_text_at(env, "2", "name", NULL), "HTTPS_PROXY");
    assert_string_equal(json_text_at(env, "2", "value", NULL), "http://proxy.example:3128");
    assert_string_equal(json_text_at(env, "3", "value", NULL), "registry.example,.internal");
    json_decref(job);
    json_decref(maps);
    json_decref(affinity);
    json_decref(more_labels);
    json_decref(more_annotations);
    json_decref(selector);
    json_decref(tolerations);
    json_decref(resources);
}

static void bad_settings_make_no_job(void **state)
{
    (void)state;
    struct recipe r = recipe();
    struct kaniko_build build = {.recipe = &r, .commit = COMMIT, .attempt = 1};
    struct kaniko_settings settings = plain_settings();
    json_t *job = NULL;
    struct error err;
    settings.image = "";
    assert_false(kaniko_job(&settings, &build, &job, &err));
    settings = plain_settings();
    settings.deadline_seconds = 0;
    assert_false(kaniko_job(&settings, &build, &job, &err));
    settings = plain_settings();
    build.commit = "main";
    assert_false(kaniko_job(&settings, &build, &job, &err));
    build.commit = COMMIT;
    r.image = "a:1";
    assert_false(kaniko_job(&settings, &build, &job, &err));
    assert_null(job);
    r = recipe();
    build.source_url = "https://ana:secret@git.example/acme/report";
    job = job_of(&settings, &build);
    char *text = json_write(job);
    assert_null(strstr(text, "secret@"));
    free(text);
    json_decref(job);
}

static void the_authorities_have_a_secret(void **state)
{
    (void)state;
    struct kaniko_authority authorities[] = {{"a.example", "first\n"}, {"b.example", "second\n"}};
    struct kaniko_settings settings = plain_settings();
    settings.authorities = authorities;
    settings.authorities_count = 2;
    json_t *job = json_pack("{s:{s:s, s:s, s:s}}", "metadata", "name", "cw-x-1", "namespace",
                            "builds", "uid", "1-2-3");
    json_t *secret = NULL;
    struct error err;
    assert_true(kaniko_authorities_secret(job, &settings, &secret, &err));
    assert_string_equal(json_text_at(secret, "metadata", "name", NULL), "cw-x-1-authorities");
    assert_string_equal(json_text_at(secret, "metadata", "ownerReferences", "0", "uid", NULL),
                        "1-2-3");
    assert_string_equal(json_text_at(secret, "data", "0.pem", NULL), "Zmlyc3QK");
    assert_string_equal(json_text_at(secret, "data", "1.pem", NULL), "c2Vjb25kCg==");
    json_decref(secret);
    char *large = xalloc(KANIKO_AUTHORITIES_MAX + 1);
    memset(large, 'x', KANIKO_AUTHORITIES_MAX);
    authorities[0].pem = large;
    assert_false(kaniko_authorities_secret(job, &settings, &secret, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
    free(large);
    json_decref(job);
}

static void the_context_secret_belongs_to_the_job(void **state)
{
    (void)state;
    json_t *job = json_pack("{s:{s:s, s:s, s:s}}", "metadata", "name", "cw-x-1", "namespace",
                            "builds", "uid", "1-2-3");
    json_t *secret = NULL;
    struct error err;
    assert_true(kaniko_context_secret(job, "\x1f\x8b\x00x", 4, &secret, &err));
    assert_string_equal(json_text_at(secret, "metadata", "name", NULL), "cw-x-1");
    const json_t *owner = json_at(secret, "metadata", "ownerReferences", "0", NULL);
    assert_string_equal(json_text_at(owner, "uid", NULL), "1-2-3");
    assert_string_equal(json_text_at(owner, "kind", NULL), "Job");
    assert_string_equal(json_text_at(secret, "data", "context.tar.gz", NULL), "H4sAeA==");
    assert_true(json_is_true(json_at(secret, "immutable", NULL)));
    json_decref(secret);
    secret = NULL;

    char *large = xalloc(KANIKO_CONTEXT_SECRET_MAX + 1);
    assert_true(kaniko_context_secret(job, large, KANIKO_CONTEXT_SECRET_MAX, &secret, &err));
    json_decref(secret);
    secret = NULL;
    assert_false(kaniko_context_secret(job, large, KANIKO_CONTEXT_SECRET_MAX + 1, &secret, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
    assert_non_null(strstr(err.text, "921601"));
    assert_non_null(strstr(err.text, "921600"));
    free(large);
    json_object_del(json_object_get(job, "metadata"), "uid");
    assert_false(kaniko_context_secret(job, "x", 1, &secret, &err));
    assert_int_equal(err.code, ERR_PROTOCOL);
    json_decref(job);
}

#define SHA256 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void a_large_context_is_fetched(void **state)
{
    (void)state;
    struct kaniko_settings settings = plain_settings();
    struct recipe r = recipe();
    struct kaniko_fetch fetch = {
        .image = "cronwright.example/c:1", .sha256 = SHA256, .bytes = 5000000};
    struct kaniko_build build = {.recipe = &r, .commit = COMMIT, .attempt = 1, .fetch = &fetch};
    json_t *job = job_of(&settings, &build);
    assert_string_equal(
        json_text_at(job, "metadata", "annotations", KANIKO_ANNOTATION_CONTEXT, NULL), SHA256);
    const json_t *pod = json_at(job, "spec", "template", "spec", NULL);
    const json_t *init = json_at(pod, "initContainers", "0", NULL);
    assert_string_equal(json_text_at(init, "image", NULL), "cronwright.example/c:1");
    assert_string_equal(json_text_at(init, "command", "1", NULL), "fetch-context");
    assert_string_equal(json_text_at(init, "command", "3", NULL), "300"); // half of the Job's time
    const json_t *security = json_at(init, "securityContext", NULL);
    assert_true(json_is_true(json_at(security, "runAsNonRoot", NULL)));
    assert_true(json_is_true(json_at(security, "readOnlyRootFilesystem", NULL)));
    assert_true(json_is_false(json_at(security, "allowPrivilegeEscalation", NULL)));
    assert_string_equal(json_text_at(security, "capabilities", "drop", "0", NULL), "ALL");
    assert_null(json_at(security, "capabilities", "add", NULL));

    // Kaniko sees the archive, and of the ticket nothing.
    assert_string_equal(json_text_at(pod, "volumes", "0", "name", NULL), "context");
    assert_non_null(json_at(pod, "volumes", "0", "emptyDir", "sizeLimit", NULL));
    const json_t *mounts = json_at(pod, "containers", "0", "volumeMounts", NULL);
    for (size_t i = 0; i < json_array_size(mounts); i++)
        assert_string_not_equal(json_text_at(json_array_get(mounts, i), "name", NULL), "ticket");
    assert_true(has_arg(job, "--context=tar:///kaniko/context/context.tar.gz"));

    json_object_set_new(json_object_get(job, "metadata"), "uid", json_string("u-1"));
    struct kaniko_ticket ticket = {.address = "https://10.0.0.1:8443/contexts/x",
                                   .token = "secret",
                                   .sha256 = SHA256,
                                   .bytes = "5000000",
                                   .ca = "PEM"};
    json_t *secret;
    struct error err;
    assert_true(kaniko_ticket_secret(job, &ticket, &secret, &err));
    assert_string_equal(json_text_at(secret, "metadata", "ownerReferences", "0", "uid", NULL),
                        "u-1");
    assert_string_equal(json_text_at(secret, "data", "token", NULL), "c2VjcmV0");
    assert_int_equal(json_object_size(json_at(secret, "data", NULL)), 5);
    assert_string_equal(json_text_at(pod, "volumes", "1", "secret", "secretName", NULL),
                        json_text_at(secret, "metadata", "name", NULL));
    json_decref(secret);
    json_decref(job);

    // Of a small context the Job says nothing of its bytes.
    build.fetch = NULL;
    job = job_of(&settings, &build);
    assert_null(json_at(job, "metadata", "annotations", KANIKO_ANNOTATION_CONTEXT, NULL));
    assert_null(json_at(job, "spec", "template", "spec", "initContainers", NULL));
    json_decref(job);
}

static void an_existing_job_means(void **state)
{
    (void)state;
    struct recipe r = recipe();
    struct kaniko_settings settings = plain_settings();
    struct kaniko_build build = {.recipe = &r, .commit = COMMIT, .attempt = 1};
    static const struct {
        const char *status;
        enum kaniko_existing meaning;
    } cases[] = {
        {"{}", KANIKO_EXISTING_LIVE},
        {"{\"active\": 1}", KANIKO_EXISTING_LIVE},
        {"{\"conditions\": [{\"type\": \"Complete\", \"status\": \"True\"}]}",
         KANIKO_EXISTING_SUCCEEDED},
        {"{\"conditions\": [{\"type\": \"Complete\", \"status\": \"False\"}]}",
         KANIKO_EXISTING_LIVE},
        {"{\"conditions\": [{\"type\": \"SuccessCriteriaMet\", \"status\": \"True\"}]}",
         KANIKO_EXISTING_SUCCEEDED},
        {"{\"conditions\": [{\"type\": \"Failed\", \"status\": \"True\"}]}",
         KANIKO_EXISTING_FAILED},
        {"{\"conditions\": [{\"type\": \"FailureTarget\", \"status\": \"True\"}]}",
         KANIKO_EXISTING_FAILED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *job = job_of(&settings, &build);
        json_object_set_new(job, "status", json_loads(cases[i].status, 0, NULL));
        assert_int_equal(kaniko_existing(job, &build), cases[i].meaning);
        assert_int_equal(kaniko_job_is_live(job), cases[i].meaning == KANIKO_EXISTING_LIVE);
        json_t *patch = kaniko_cancel_patch("the branch moved on", 4200);
        json_t *annotations = json_object_get(json_object_get(job, "metadata"), "annotations");
        assert_false(kaniko_job_is_cancelled(job));
        json_object_update(annotations,
                           json_unconst(json_at(patch, "metadata", "annotations", NULL)));
        assert_int_equal(json_integer_value(json_at(patch, "spec", "activeDeadlineSeconds", NULL)),
                         1);
        json_decref(patch);
        assert_true(kaniko_job_is_cancelled(job));
        assert_false(kaniko_job_is_live(job));
        assert_int_equal(kaniko_existing(job, &build), KANIKO_EXISTING_CANCELLED);
        json_object_set_new(json_object_get(job, "metadata"), "deletionTimestamp",
                            json_string("2026-11-24T08:01:10Z"));
        assert_int_equal(kaniko_existing(job, &build), KANIKO_EXISTING_VANISHING);
        json_decref(job);
    }
    json_t *job = job_of(&settings, &build);
    r.branch = "other";
    assert_int_equal(kaniko_existing(job, &build), KANIKO_EXISTING_FOREIGN);
    json_object_del(json_object_get(job, "metadata"), "annotations");
    r = recipe();
    assert_int_equal(kaniko_existing(job, &build), KANIKO_EXISTING_FOREIGN);
    json_decref(job);
}

// --- verdicts ---

static json_t *recorded(const char *name)
{
    char *path = xasprintf("%s/kaniko/%s.json", TEST_DATA, name);
    struct buffer bytes = {0};
    struct error err;
    json_t *value = NULL;
    if (!file_read(path, 1 << 20, &bytes, &err) ||
        !json_read(bytes.data, bytes.len, 1 << 20, &value, &err))
        fail_msg("%s: %s", path, err.text);
    free(path);
    buffer_finish(&bytes);
    return value;
}

static void recorded_jobs_are_judged(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum kaniko_state state;
        const char *reason;
        const char *detail;
        int exit_code;
        bool transient;
    } cases[] = {
        {"ok", KANIKO_SUCCEEDED, "", "", 0, false},
        {"runfail", KANIKO_FAILED, "build-failed",
         "RUN [\"/bin/busybox\",\"sh\",\"-c\",\"echo…: exit 7: ERROR: No matching distribution "
         "found",
         7, false},
        {"nofile1", KANIKO_FAILED, "build-failed", "app.py: not in the build context", 1, false},
        {"pushrefused", KANIKO_FAILED, "build-failed",
         "push to registry.example:1/acme/report: dial tcp registry.example:1: connect: connection "
         "refused",
         1, true},
        {"oom", KANIKO_FAILED, "out-of-memory",
         "out of memory (limit 128Mi, builds.resources): RUN "
         "[\"/bin/busybox\",\"sh\",\"-c\",\"x=a; while…: signal: "
         "killed",
         255, false},
        {"deadline", KANIKO_FAILED, "deadline", "the build took longer than its deadline of 6 s", 2,
         false},
        {"disk", KANIKO_FAILED, "evicted",
         "Evicted (builds.resources): Pod ephemeral local storage usage exceeds the total limit of "
         "containers 1Gi.",
         2, false},
        {"unsched", KANIKO_FAILED, "deadline", "the build took longer than its deadline of 6 s", -1,
         false},
        {"pull", KANIKO_FAILED, "deadline", "the build took longer than its deadline of 10 s", -1,
         false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *record = recorded(cases[i].name);
        const json_t *job = json_object_get(record, "job");
        const json_t *pod = kaniko_newest_pod(job, json_object_get(record, "pods"));
        struct kaniko_result result;
        kaniko_result(job, pod, &result);
        if (result.state != cases[i].state || strcmp(result.reason, cases[i].reason) != 0 ||
            strcmp(result.detail, cases[i].detail) != 0)
            fail_msg("%s: state %d, %s, %s", cases[i].name, result.state, result.reason,
                     result.detail);
        assert_int_equal(result.exit_code, cases[i].exit_code);
        assert_int_equal(result.transient, cases[i].transient);
        assert_int_equal(result.digest[0] != '\0', result.state == KANIKO_SUCCEEDED);
        json_decref(record);
    }
}

// The recorded success, with the state of the pod's container replaced; `fetch_state`, unless NULL,
// is that of the container that fetches the context.
static void judge_states(const char *container_state, const char *fetch_state,
                         struct kaniko_result *result)
{
    json_t *record = recorded("ok");
    json_t *job = json_object_get(record, "job");
    json_t *pods = json_object_get(record, "pods");
    json_object_del(job, "status");
    json_t *status = json_object_get(json_array_get(pods, 0), "status");
    json_t *container = json_array_get(json_object_get(status, "containerStatuses"), 0);
    json_object_set_new(container, "state", json_loads(container_state, 0, NULL));
    if (fetch_state)
        json_object_set_new(status, "initContainerStatuses",
                            json_pack("[{s:s, s:o}]", "name", KANIKO_FETCH_CONTAINER, "state",
                                      json_loads(fetch_state, 0, NULL)));
    kaniko_result(job, kaniko_newest_pod(job, pods), result);
    json_decref(record);
}

static void judge_state(const char *container_state, struct kaniko_result *result)
{
    judge_states(container_state, NULL, result);
}

#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void a_digest_counts_only_on_exit_0(void **state)
{
    (void)state;
    struct kaniko_result result;
    judge_state("{\"terminated\": {\"exitCode\": 0, \"message\": \"" DIGEST "\"}}", &result);
    assert_int_equal(result.state, KANIKO_SUCCEEDED);
    assert_string_equal(result.digest, DIGEST);
    judge_state("{\"terminated\": {\"exitCode\": 0, \"message\": \"" DIGEST "\\n\"}}", &result);
    assert_int_equal(result.state, KANIKO_SUCCEEDED);
    // Written before the push that failed.
    judge_state("{\"terminated\": {\"exitCode\": 1, \"message\": \"" DIGEST "\"}}", &result);
    assert_int_equal(result.state, KANIKO_FAILED);
    assert_string_equal(result.digest, "");
    assert_string_equal(result.detail, "Kaniko ended with exit 1");
    static const char *const malformed[] = {"",
                                            "\"message\": \"\",",
                                            "\"message\": \"sha256:12\",",
                                            "\"message\": \"" DIGEST "0\",",
                                            "\"message\": \"" DIGEST " x\",",
                                            "\"message\": 7,"};
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        char *text = xasprintf("{\"terminated\": {%s \"exitCode\": 0}}", malformed[i]);
        judge_state(text, &result);
        free(text);
        assert_int_equal(result.state, KANIKO_FAILED);
        assert_string_equal(result.reason, "no-digest");
    }
}

static void a_log_explains_a_failed_build(void **state)
{
    (void)state;
    static const char run[] = "time=\"x\" level=info msg=\"RUN make\"\nerror building image: error "
                              "building stage: failed to execute command: waiting for process to "
                              "exit: exit status 2\n";
    static const char push[] = "error pushing image: failed to push to destination r.example/a:t: "
                               "dial tcp r.example: connect: connection refused\n";
    struct kaniko_result result;
    judge_state("{\"terminated\": {\"exitCode\": 2, \"message\": \"" DIGEST "\"}}", &result);
    kaniko_explain(run, strlen(run), &result);
    assert_string_equal(result.detail, "RUN make: exit 2");
    assert_false(result.transient);
    kaniko_explain(push, strlen(push), &result);
    assert_true(result.transient);
    kaniko_explain("noise", 5, &result);
    assert_non_null(strstr(result.detail, "connection refused"));

    judge_state("{\"terminated\": {\"exitCode\": 255, \"reason\": \"OOMKilled\"}}", &result);
    assert_string_equal(result.detail, "out of memory (limit 512Mi, builds.resources)");
    for (int twice = 0; twice < 2; twice++) {
        kaniko_explain(run, strlen(run), &result);
        assert_string_equal(result.detail,
                            "out of memory (limit 512Mi, builds.resources): RUN make: exit 2");
        assert_string_equal(result.reason, "out-of-memory");
    }

    kaniko_result(NULL, NULL, &result); // what is known better than by its log
    kaniko_explain(run, strlen(run), &result);
    assert_string_equal(result.reason, "deleted");
    assert_string_equal(result.detail, "the Job was deleted");
    judge_state("{\"terminated\": {\"exitCode\": 0, \"message\": \"" DIGEST "\"}}", &result);
    kaniko_explain(run, strlen(run), &result);
    assert_int_equal(result.state, KANIKO_SUCCEEDED);
}

static void pending_says_why(void **state)
{
    (void)state;
    struct kaniko_result result;
    judge_state("{\"waiting\": {\"reason\": \"ContainerCreating\"}}", &result);
    assert_int_equal(result.state, KANIKO_PENDING);
    assert_string_equal(result.reason, "starting");
    judge_state(
        "{\"waiting\": {\"reason\": \"ImagePullBackOff\", \"message\": \"Back-off pulling\"}}",
        &result);
    assert_int_equal(result.state, KANIKO_PENDING);
    assert_string_equal(result.reason, "image-pull");
    assert_string_equal(
        result.detail,
        "Kaniko's own image (builds.kanikoImage) cannot be pulled: Back-off pulling");
    judge_state("{\"waiting\": {\"reason\": \"Strange\"}}", &result);
    assert_string_equal(result.detail, "the container waits: Strange");
    judge_state("{\"running\": {\"startedAt\": \"2026-11-24T08:01:10Z\"}}", &result);
    assert_int_equal(result.state, KANIKO_RUNNING);
    assert_int_equal(result.started.ms, INT64_C(1795507270000));
    judge_state("{}", &result);
    assert_int_equal(result.state, KANIKO_PENDING);

    json_t *record = recorded("ok");
    json_t *job = json_object_get(record, "job");
    json_object_del(job, "status");
    kaniko_result(job, NULL, &result);
    assert_int_equal(result.state, KANIKO_PENDING);
    assert_string_equal(result.reason, "no-pod");
    json_decref(record);
}

static json_t *pod_with(const char *status)
{
    json_t *pod = json_pack("{s:{s:s}, s:o}", "metadata", "name", "cw-x-1-abc", "status",
                            json_loads(status, 0, NULL));
    assert_non_null(pod);
    return pod;
}

static void fetching_the_context_says_how_it_went(void **state)
{
    (void)state;
    static const struct {
        const char *container;
        enum kaniko_state state;
        const char *reason, *detail;
        bool transient;
    } cases[] = {
        {"{\"running\": {}}", KANIKO_PENDING, "fetching-context",
         "the pod fetches the build context", false},
        {"{\"waiting\": {\"reason\": \"ErrImagePull\", \"message\": \"no such\"}}", KANIKO_PENDING,
         "image-pull",
         "the image that fetches the context (context.image) cannot be pulled: no such", false},
        {"{\"waiting\": {\"reason\": \"PodInitializing\"}}", KANIKO_PENDING, "starting",
         "the pod is being made ready", false},
        {"{\"terminated\": {\"exitCode\": 1, \"message\": \"1 MiB\\nits SHA-256 is a\\n\"}}",
         KANIKO_FAILED, "context-failed", "the build context was not fetched: its SHA-256 is a",
         false},
        {"{\"terminated\": {\"exitCode\": 75, \"message\": \"time ran out\"}}", KANIKO_FAILED,
         "context-failed", "the build context was not fetched: time ran out", true},
        {"{\"terminated\": {\"exitCode\": 137}}", KANIKO_FAILED, "context-failed",
         "the build context was not fetched: its container ended with exit 137", false},
        {"{\"terminated\": {\"exitCode\": 0}}", KANIKO_PENDING, "starting",
         "the pod is being made ready", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kaniko_result result;
        judge_states("{\"waiting\": {\"reason\": \"PodInitializing\"}}", cases[i].container,
                     &result);
        assert_string_equal(result.reason, cases[i].reason);
        assert_string_equal(result.detail, cases[i].detail);
        assert_int_equal(result.state, cases[i].state);
        assert_int_equal(result.transient, cases[i].transient);
    }
}

static void pods_that_the_cluster_took(void **state)
{
    (void)state;
    static const struct {
        const char *status;
        enum kaniko_state state;
        const char *reason;
        bool transient;
    } cases[] = {
        {"{\"phase\": \"Pending\", \"conditions\": [{\"type\": \"PodScheduled\", \"status\": "
         "\"False\","
         "\"reason\": \"Unschedulable\", \"message\": \"0/1 nodes are available\"}]}",
         KANIKO_PENDING, "unschedulable", false},
        {"{\"phase\": \"Failed\", \"conditions\": [{\"type\": \"DisruptionTarget\", \"status\": "
         "\"True\","
         "\"reason\": \"PreemptionByScheduler\"}]}",
         KANIKO_PENDING, "disrupted", false},
        {"{\"phase\": \"Failed\", \"reason\": \"Evicted\", \"message\": \"The node was low on "
         "memory\"}",
         KANIKO_FAILED, "evicted", true},
        {"{\"phase\": \"Failed\", \"reason\": \"OutOfcpu\", \"message\": \"Node has no cpu\"}",
         KANIKO_FAILED, "pod-failed", true},
        {"{\"phase\": \"Pending\"}", KANIKO_PENDING, "starting", false},
    };
    json_t *job = json_pack("{s:{s:s}}", "metadata", "name", "cw-x-1");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *pod = pod_with(cases[i].status);
        struct kaniko_result result;
        kaniko_result(job, pod, &result);
        assert_int_equal(result.state, cases[i].state);
        assert_string_equal(result.reason, cases[i].reason);
        assert_int_equal(result.transient, cases[i].transient);
        json_decref(pod);
    }
    json_decref(job);
}

// What a build without a pod, or with one that does not start, is told to wait for.
static void events_say_what_hinders(void **state)
{
    (void)state;
    static const struct {
        const char *reason, *message;
        const char *expected, *detail;
    } cases[] = {
        {"FailedCreate",
         "Error creating: pods \"cw-1-x\" is forbidden: exceeded quota: small, requested: "
         "pods=1, used: pods=0, limited: pods=0",
         "quota",
         "a quota of the builds' namespace is used up: exceeded quota: small, requested: pods=1, "
         "used: pods=0, limited: pods=0"},
        {"FailedCreate",
         "Error creating: pods \"cw-1-x\" is forbidden: violates PodSecurity "
         "\"restricted:latest\": "
         "runAsNonRoot != true",
         "pod-security",
         "the builds' namespace does not admit Kaniko's pod: violates PodSecurity "
         "\"restricted:latest\": runAsNonRoot != true"},
        {"FailedCreate", "no", "pod-refused", "the cluster refuses Kaniko's pod: no"},
        {"FailedMount", "secret \"push\" not found", "mount",
         "a volume of Kaniko's pod cannot be mounted: secret \"push\" not found"},
        {"Pulling", "Pulling image \"k\"", "pulling-image",
         "Kaniko's own image is being pulled: Pulling image \"k\""},
        {"Started", "Started container", "no-pod", "the Job has no pod yet"},
        {"FailedCreate", NULL, "no-pod", "the Job has no pod yet"},
    };
    json_t *job = json_pack("{s:{s:s}}", "metadata", "name", "cw-x-1");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kaniko_result result;
        kaniko_result(job, NULL, &result);
        assert_true(kaniko_wants_events(&result));
        json_t *event =
            json_pack("{s:s, s:s*}", "reason", cases[i].reason, "message", cases[i].message);
        kaniko_hindered(event, &result);
        assert_int_equal(result.state, KANIKO_PENDING);
        assert_string_equal(result.reason, cases[i].expected);
        assert_string_equal(result.detail, cases[i].detail);
        json_decref(event);
    }
    struct kaniko_result result;
    kaniko_result(job, NULL, &result);
    kaniko_hindered(NULL, &result);
    assert_string_equal(result.reason, "no-pod");
    json_decref(job);
}

static void a_deadline_is_explained(void **state)
{
    (void)state;
    json_t *record = recorded("unsched");
    json_t *job = json_object_get(record, "job");
    struct kaniko_result result;
    kaniko_result(job, NULL, &result);
    kaniko_explain_wait("", "", &result);
    kaniko_explain_wait("no-pod", "the Job has no pod yet", &result);
    assert_string_equal(result.reason, "deadline");
    kaniko_explain_wait("unschedulable", "no node takes the pod: 0/1 nodes", &result);
    assert_string_equal(result.reason, "unschedulable");
    assert_string_equal(result.detail, "the build took longer than its deadline of 6 s; it was "
                                       "still waiting: no node takes the pod: 0/1 nodes");
    json_decref(record);

    static const char log[] = "level=info msg=\"RUN sleep 99\"\n";
    record = recorded("deadline");
    job = json_object_get(record, "job");
    // Its pod is killed before the Job says so.
    json_t *early = json_deep_copy(record);
    json_t *killed = json_array_get(json_object_get(early, "pods"), 0);
    json_object_del(json_object_get(early, "job"), "status");
    kaniko_result(json_object_get(early, "job"), killed, &result);
    assert_int_equal(result.state, KANIKO_FAILED);
    assert_false(result.ending);
    json_object_set_new(json_object_get(killed, "metadata"), "deletionTimestamp",
                        json_string("2026-11-24T08:01:10Z"));
    kaniko_result(json_object_get(early, "job"), killed, &result);
    assert_int_equal(result.state, KANIKO_RUNNING);
    assert_true(result.ending);
    json_decref(early);
    kaniko_result(job, kaniko_newest_pod(job, json_object_get(record, "pods")), &result);
    kaniko_explain_wait("unschedulable", "that is past: it ran", &result);
    for (int twice = 0; twice < 2; twice++)
        kaniko_explain(log, strlen(log), &result);
    assert_string_equal(result.reason, "deadline");
    assert_string_equal(result.detail,
                        "the build took longer than its deadline of 6 s; it was at RUN sleep 99");
    json_decref(record);
}

#define FAILED_JOB                                                                                 \
    "{\"conditions\": [{\"type\": \"Failed\", \"status\": \"True\", \"reason\": "                  \
    "\"BackoffLimitExceeded\", \"message\": \"Job has reached the specified backoff limit\"}]}"

static void a_pod_that_somebody_deleted(void **state)
{
    (void)state;
    json_t *record = recorded("ok");
    json_t *job = json_object_get(record, "job");
    json_t *pod = json_array_get(json_object_get(record, "pods"), 0);
    json_t *status = json_object_get(pod, "status");
    json_t *container = json_array_get(json_object_get(status, "containerStatuses"), 0);
    struct kaniko_result result;
    json_object_set_new(job, "status", json_loads(FAILED_JOB, 0, NULL));
    json_object_set_new(status, "phase", json_string("Failed"));
    json_object_set_new(container, "state", json_pack("{s:{s:i}}", "terminated", "exitCode", 2));
    kaniko_result(job, pod, &result);
    assert_string_equal(result.reason, "build-failed");
    assert_false(result.transient);
    json_object_set_new(json_object_get(pod, "metadata"), "deletionTimestamp",
                        json_string("2026-11-24T08:01:10Z"));
    kaniko_result(job, pod, &result);
    assert_int_equal(result.state, KANIKO_FAILED);
    assert_string_equal(result.reason, "pod-lost");
    assert_true(result.transient);
    json_decref(record);
}

static void a_node_that_fell_silent(void **state)
{
    (void)state;
    json_t *record = recorded("ok");
    json_t *job = json_object_get(record, "job");
    json_t *pod = json_array_get(json_object_get(record, "pods"), 0);
    json_t *status = json_object_get(pod, "status");
    json_t *container = json_array_get(json_object_get(status, "containerStatuses"), 0);
    struct kaniko_result result;
    json_object_del(job, "status");
    json_object_set_new(container, "state", json_pack("{s:{}}", "running"));
    for (int silent = 0; silent < 2; silent++) {
        json_object_set_new(status, "conditions",
                            json_pack("[{s:s, s:s}, {s:s, s:s}]", "type", "ContainersReady",
                                      "status", "True", "type", "Ready", "status",
                                      silent ? "False" : "True"));
        kaniko_result(job, pod, &result);
        assert_int_equal(result.state, KANIKO_RUNNING);
        assert_string_equal(result.reason, silent ? "node-lost" : "");
    }
    json_decref(record);
}

static void jobs_that_are_gone(void **state)
{
    (void)state;
    struct kaniko_result result;
    kaniko_result(NULL, NULL, &result);
    assert_int_equal(result.state, KANIKO_FAILED);
    assert_string_equal(result.reason, "deleted");
    assert_true(result.transient);

    json_t *record = recorded("ok");
    json_t *job = json_object_get(record, "job");
    json_object_set_new(
        job, "status",
        json_loads("{\"conditions\": [{\"type\": \"Complete\", \"status\": \"True\"}]}", 0, NULL));
    kaniko_result(job, NULL, &result); // its pod was collected before anyone looked
    assert_int_equal(result.state, KANIKO_FAILED);
    assert_string_equal(result.reason, "no-digest");
    assert_true(result.transient);
    json_object_set_new(job, "status",
                        json_loads("{\"conditions\": [{\"type\": \"Failed\", \"status\": \"True\", "
                                   "\"reason\": \"BackoffLimitExceeded\", \"message\": \"Job has "
                                   "reached the specified backoff limit\"}]}",
                                   0, NULL));
    kaniko_result(job, NULL, &result);
    assert_int_equal(result.state, KANIKO_FAILED);
    assert_string_equal(result.reason, "pod-lost");
    json_object_del(job, "status");
    json_object_set_new(json_object_get(job, "metadata"), "deletionTimestamp",
                        json_string("2026-11-24T08:01:10Z"));
    kaniko_result(job, NULL, &result);
    assert_int_equal(result.state, KANIKO_FAILED);
    assert_string_equal(result.reason, "deleted");
    json_decref(record);
}

static void the_newest_pod_of_this_job_counts(void **state)
{
    (void)state;
    json_t *job = json_pack("{s:{s:s}}", "metadata", "uid", "1");
    json_t *pods = json_loads("[{\"metadata\": {\"name\": \"old\", \"creationTimestamp\": "
                              "\"2026-11-24T08:00:00Z\", \"ownerReferences\": [{\"uid\": \"1\"}]}},"
                              " {\"metadata\": {\"name\": \"new\", \"creationTimestamp\": "
                              "\"2026-11-24T08:00:09Z\", \"ownerReferences\": [{\"uid\": \"1\"}]}},"
                              " {\"metadata\": {\"name\": \"other\", \"creationTimestamp\": "
                              "\"2026-11-24T09:00:00Z\", \"ownerReferences\": [{\"uid\": \"2\"}]}},"
                              " {\"metadata\": {\"name\": \"orphan\", \"creationTimestamp\": "
                              "\"2026-11-24T09:00:00Z\"}}, 7]",
                              0, NULL);
    assert_non_null(pods);
    assert_string_equal(json_text_at(kaniko_newest_pod(job, pods), "metadata", "name", NULL),
                        "new");
    assert_null(kaniko_newest_pod(job, NULL));
    json_decref(job);
    json_decref(pods);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_job),
        cmocka_unit_test(everything_set),
        cmocka_unit_test(bad_settings_make_no_job),
        cmocka_unit_test(the_authorities_have_a_secret),
        cmocka_unit_test(the_context_secret_belongs_to_the_job),
        cmocka_unit_test(a_large_context_is_fetched),
        cmocka_unit_test(an_existing_job_means),
        cmocka_unit_test(recorded_jobs_are_judged),
        cmocka_unit_test(a_digest_counts_only_on_exit_0),
        cmocka_unit_test(a_log_explains_a_failed_build),
        cmocka_unit_test(pending_says_why),
        cmocka_unit_test(fetching_the_context_says_how_it_went),
        cmocka_unit_test(pods_that_the_cluster_took),
        cmocka_unit_test(events_say_what_hinders),
        cmocka_unit_test(a_deadline_is_explained),
        cmocka_unit_test(a_pod_that_somebody_deleted),
        cmocka_unit_test(a_node_that_fell_silent),
        cmocka_unit_test(jobs_that_are_gone),
        cmocka_unit_test(the_newest_pod_of_this_job_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
