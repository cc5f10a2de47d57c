// Manifests. What a Job and its pod say is kaniko_result.c's, what the log says kaniko_log.c's.
#include "build/kaniko.h"

#include "agent/base/text.h"
#include "build/git/url.h"
#include "build/kaniko_fetch.h"

#include <string.h>

// Below /kaniko, which Kaniko leaves out of every image: any other place for a mount could be in
// the way of a Dockerfile's own paths.
#define CONTEXT_DIRECTORY "/kaniko/context"
#define CONTEXT_FILE      "context.tar.gz"
#define LOGIN_DIRECTORY   "/kaniko/.docker"

#define PUSH_RETRIES  2
#define GRACE_SECONDS 5
#define SECRET_MODE   0400

static bool is_set(const char *text)
{
    return text && *text;
}

// Kubernetes expands $(NAME) in arguments, and "$$" stands for one dollar: build arguments must
// arrive as they were written.
static void add_arg(json_t *args, const char *flag, const char *value)
{
    CLEANUP(free_ptr) char *plain = value ? xasprintf("%s=%s", flag, value) : xstrdup(flag);
    CLEANUP(free_ptr) char *escaped = xalloc(2 * strlen(plain) + 1);
    char *out = escaped;
    for (const char *at = plain; *at; at++) {
        if (*at == '$')
            *out++ = '$';
        *out++ = *at;
    }
    json_array_append_new(args, json_string(escaped));
}

// What can be fetched from has no password in it.
static bool url_is_public(const char *url)
{
    struct git_url parsed;
    return is_set(url) && git_url_parse(url, &parsed, NULL) && text_is_utf8(url, strlen(url));
}

static void add_image_args(json_t *args, const struct kaniko_build *build, const char *tag)
{
    const struct recipe *recipe = build->recipe;
    CLEANUP(free_ptr) char *destination = xasprintf("%s:%s", recipe->image, tag);
    add_arg(args, "--dockerfile", is_set(recipe->dockerfile) ? recipe->dockerfile : "Dockerfile");
    add_arg(args, "--destination", destination);
    if (is_set(recipe->target))
        add_arg(args, "--target", recipe->target);
    if (is_set(recipe->platform))
        add_arg(args, "--custom-platform", recipe->platform);
    for (size_t i = 0; i < recipe->args_count; i++) {
        const char *value = recipe->args[i].value;
        CLEANUP(free_ptr) char *pair = xasprintf("%s=%s", recipe->args[i].name, value ? value : "");
        add_arg(args, "--build-arg", pair);
    }
    CLEANUP(free_ptr)
    char *revision = xasprintf("org.opencontainers.image.revision=%s", build->commit);
    add_arg(args, "--label", revision);
    if (url_is_public(build->source_url)) {
        CLEANUP(free_ptr)
        char *source = xasprintf("org.opencontainers.image.source=%s", build->source_url);
        add_arg(args, "--label", source);
    }
}

static void add_mirror_args(json_t *args, const struct kaniko_settings *settings)
{
    for (size_t i = 0; i < settings->registry_mirrors_count; i++)
        add_arg(args, "--registry-mirror", settings->registry_mirrors[i]);
    const char *registry;
    json_t *mirror;
    json_object_foreach(json_unconst(settings->registry_maps), registry, mirror)
    {
        CLEANUP(free_ptr) char *pair = xasprintf("%s=%s", registry, json_string_value(mirror));
        add_arg(args, "--registry-map", pair);
    }
}

static void add_registry_args(json_t *args, const struct kaniko_settings *settings)
{
    static const char *const insecure[] = {"--insecure", "--insecure-pull", "--skip-tls-verify",
                                           "--skip-tls-verify-pull"};
    for (size_t i = 0; settings->insecure && i < sizeof insecure / sizeof insecure[0]; i++)
        add_arg(args, insecure[i], NULL);
    for (size_t i = 0; i < settings->plain_http_count; i++)
        add_arg(args, "--insecure-registry", settings->plain_http_registries[i]);
    add_mirror_args(args, settings);
    if (!settings->cache)
        return;
    add_arg(args, "--cache", "true");
    if (is_set(settings->cache_repository))
        add_arg(args, "--cache-repo", settings->cache_repository);
}

static json_t *arguments(const struct kaniko_settings *settings, const struct kaniko_build *build,
                         const char *tag)
{
    json_t *args = json_array();
    add_arg(args, "--context", "tar://" CONTEXT_DIRECTORY "/" CONTEXT_FILE);
    add_image_args(args, build, tag);
    add_arg(args, "--digest-file", "/dev/termination-log");
    add_arg(args, "--log-format", "text");
    add_arg(args, "--log-timestamp", "false");
    CLEANUP(free_ptr) char *retries = xasprintf("%d", PUSH_RETRIES);
    add_arg(args, "--push-retry", retries);
    // Kaniko refuses to run where it sees no container, and its detection misses some runtimes.
    add_arg(args, "--force", NULL);
    add_registry_args(args, settings);
    for (size_t i = 0; i < settings->extra_args_count; i++)
        add_arg(args, settings->extra_args[i], NULL);
    return args;
}

// Kaniko unpacks images as root and keeps owners, modes and file capabilities; all else is dropped.
// Pod Security level "baseline" admits this, "restricted" cannot.
static json_t *container_security(void)
{
    return json_pack("{s:i, s:i, s:b, s:b, s:b, s:b, s:{s:[s], s:[ssssssss]}, s:{s:s}}", //
                     "runAsUser", 0, "runAsGroup", 0, "runAsNonRoot", 0, "privileged", 0,
                     "allowPrivilegeEscalation", 0, "readOnlyRootFilesystem", 0, //
                     "capabilities", "drop", "ALL", "add", "CHOWN", "DAC_OVERRIDE", "FOWNER",
                     "FSETID", "SETUID", "SETGID", "SETFCAP", "KILL", //
                     "seccompProfile", "type", "RuntimeDefault");
}

static json_t *volume(const char *name, const char *secret, const char *key, const char *path)
{
    return json_pack("{s:s, s:{s:s, s:i, s:[{s:s, s:s}]}}", "name", name, "secret", "secretName",
                     secret, "defaultMode", SECRET_MODE, "items", "key", key, "path", path);
}

static json_t *mount(const char *name, const char *path)
{
    return json_pack("{s:s, s:s, s:b}", "name", name, "mountPath", path, "readOnly", 1);
}

static json_t *container(const struct kaniko_settings *settings, const struct kaniko_build *build,
                         const struct build_name *name)
{
    json_t *mounts = json_array();
    json_array_append_new(mounts, mount("context", CONTEXT_DIRECTORY));
    if (is_set(build->push_secret))
        json_array_append_new(mounts, mount("login", LOGIN_DIRECTORY));
    // The log's end stands in for a termination message when Kaniko failed before it wrote a
    // digest.
    json_t *made = json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:s, s:[{s:s, s:s}]}", "name", KANIKO_CONTAINER, "image",
        settings->image, "args", arguments(settings, build, name->tag), "securityContext",
        container_security(), "volumeMounts", mounts, "terminationMessagePolicy",
        "FallbackToLogsOnError", "env", "name", "DOCKER_CONFIG", "value", LOGIN_DIRECTORY "/");
    if (json_is_object(settings->resources))
        json_object_set_new(made, "resources", json_deep_copy(settings->resources));
    return made;
}

// Kaniko cannot emulate: an image for a platform is built on a node of that platform.
static json_t *node_selector(const struct kaniko_settings *settings, const char *platform)
{
    json_t *selector = json_is_object(settings->node_selector)
                           ? json_deep_copy(settings->node_selector)
                           : json_object();
    if (is_set(platform)) {
        size_t os = strcspn(platform, "/");
        const char *architecture = platform + os + 1;
        json_t *wanted = json_pack("{s:s%, s:s%}", "kubernetes.io/os", platform, os,
                                   "kubernetes.io/arch", architecture, strcspn(architecture, "/"));
        json_object_update_missing(selector, wanted);
        json_decref(wanted);
    }
    return selector;
}

static json_t *pod_spec(const struct kaniko_settings *settings, const struct kaniko_build *build,
                        const struct build_name *name)
{
    json_t *volumes = json_array();
    json_array_append_new(volumes, build->fetch
                                       ? kaniko_fetch_volume(build->fetch)
                                       : volume("context", name->job, CONTEXT_FILE, CONTEXT_FILE));
    if (is_set(build->push_secret))
        json_array_append_new(
            volumes, volume("login", build->push_secret, ".dockerconfigjson", "config.json"));
    json_t *spec = json_pack("{s:s, s:b, s:b, s:i, s:[o], s:o, s:o}", "restartPolicy", "Never",
                             "automountServiceAccountToken", 0, "enableServiceLinks", 0,
                             "terminationGracePeriodSeconds", GRACE_SECONDS, "containers",
                             container(settings, build, name), "volumes", volumes, "nodeSelector",
                             node_selector(settings, build->recipe->platform));
    if (build->fetch)
        kaniko_fetch_add(spec, build->fetch, settings->deadline_seconds, name->job);
    if (is_set(settings->service_account))
        json_object_set_new(spec, "serviceAccountName", json_string(settings->service_account));
    if (json_array_size(settings->tolerations))
        json_object_set_new(spec, "tolerations", json_deep_copy(settings->tolerations));
    if (json_object_size(settings->affinity))
        json_object_set_new(spec, "affinity", json_deep_copy(settings->affinity));
    if (is_set(settings->priority_class))
        json_object_set_new(spec, "priorityClassName", json_string(settings->priority_class));
    return spec;
}

static json_t *labels(const char *job)
{
    return json_pack("{s:s, s:s}", KANIKO_LABEL_BUILD, job, KANIKO_LABEL_MANAGED_BY,
                     KANIKO_MANAGED_BY);
}

static json_t *annotations(const struct kaniko_settings *settings, const struct kaniko_build *build,
                           const char *recipe, const char *tag)
{
    CLEANUP(free_ptr) char *image = xasprintf("%s:%s", build->recipe->image, tag);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s*, s:s*}", KANIKO_ANNOTATION_RECIPE, recipe,
                     KANIKO_ANNOTATION_COMMIT, build->commit, KANIKO_ANNOTATION_REPO,
                     build->recipe->repository, KANIKO_ANNOTATION_BRANCH, build->recipe->branch,
                     KANIKO_ANNOTATION_IMAGE, image, KANIKO_ANNOTATION_CONTEXT,
                     build->fetch ? build->fetch->sha256 : NULL, KANIKO_ANNOTATION_AGENT,
                     is_set(settings->agent) ? settings->agent : NULL);
}

// Of the pod: ours by which it is found, and the settings' own.
static json_t *with_settings(json_t *ours, const json_t *more)
{
    json_object_update_missing(ours, json_unconst(more));
    return ours;
}

// One pod is the attempt: another attempt is another Job. Only a pod that the cluster itself took
// away (drain, preemption, a node short of memory) is replaced within the Job.
static json_t *job_spec(const struct kaniko_settings *settings, json_t *template)
{
    return json_pack("{s:i, s:I, s:I, s:{s:[{s:s, s:[{s:s, s:s}]}]}, s:o}", "backoffLimit", 0,
                     "activeDeadlineSeconds", (json_int_t)settings->deadline_seconds,
                     "ttlSecondsAfterFinished", (json_int_t)settings->ttl_seconds,
                     "podFailurePolicy", "rules", "action", "Ignore", "onPodConditions", "type",
                     "DisruptionTarget", "status", "True", "template", template);
}

json_t *kaniko_cancel_patch(const char *why, int64_t kept_seconds)
{
    return json_pack("{s:{s:{s:s}}, s:{s:i, s:I}}", "metadata", "annotations",
                     KANIKO_ANNOTATION_CANCELLED, why, "spec", "activeDeadlineSeconds", 1,
                     "ttlSecondsAfterFinished", (json_int_t)kept_seconds);
}

static bool check(const struct kaniko_settings *settings, struct error *err)
{
    if (!is_set(settings->namespace) || !is_set(settings->image))
        return error_set(err, ERR_INVALID, "Kaniko Job: no namespace or no Kaniko image is set");
    if (settings->deadline_seconds < 1 || settings->ttl_seconds < 0)
        return error_set(err, ERR_INVALID, "Kaniko Job: a deadline of %lld s, a TTL of %lld s",
                         (long long)settings->deadline_seconds, (long long)settings->ttl_seconds);
    return true;
}

bool kaniko_job(const struct kaniko_settings *settings, const struct kaniko_build *build,
                json_t **out, struct error *err)
{
    if (!check(settings, err) || !recipe_check(build->recipe, err))
        return false;
    char recipe[SHA256_HEX_SIZE];
    recipe_hash(build->recipe, recipe);
    struct build_name name;
    if (!build_name(build->commit, recipe, build->attempt, &name, err))
        return false;
    json_t *template = json_pack(
        "{s:{s:o, s:o}, s:o}", "metadata", "labels",
        with_settings(labels(name.job), settings->labels), "annotations",
        with_settings(annotations(settings, build, recipe, name.tag), settings->annotations),
        "spec", pod_spec(settings, build, &name));
    json_t *job =
        json_pack("{s:s, s:s, s:{s:s, s:s, s:o, s:o}, s:o}", "apiVersion", "batch/v1", "kind",
                  "Job", "metadata", "name", name.job, "namespace", settings->namespace, "labels",
                  labels(name.job), "annotations", annotations(settings, build, recipe, name.tag),
                  "spec", job_spec(settings, template));
    if (!job)
        return error_set(err, ERR_INVALID, "Kaniko Job: a text that is not UTF-8");
    kaniko_reach(settings, job);
    *out = job;
    return true;
}

json_t *kaniko_owner(const json_t *job)
{
    return json_pack("[{s:s, s:s, s:s*, s:s*, s:b, s:b}]", "apiVersion", "batch/v1", "kind", "Job",
                     "name", json_text_at(job, "metadata", "name", NULL), "uid",
                     json_text_at(job, "metadata", "uid", NULL), "controller", 1,
                     "blockOwnerDeletion", 0);
}

bool kaniko_owned_secret(const json_t *job, const char *suffix, json_t *data, json_t **out,
                         struct error *err)
{
    const char *name = json_text_at(job, "metadata", "name", NULL);
    const char *namespace = json_text_at(job, "metadata", "namespace", NULL);
    const char *uid = json_text_at(job, "metadata", "uid", NULL);
    if (!name || !namespace || !uid) {
        json_decref(data);
        return error_set(err, ERR_PROTOCOL, "Secret: the Job has no name, namespace or uid");
    }
    *out = json_pack("{s:s, s:s, s:s, s:b, s:{s:o, s:s, s:o, s:o}, s:o}", "apiVersion", "v1",
                     "kind", "Secret", "type", "Opaque", "immutable", 1, "metadata", "name",
                     json_sprintf("%s%s", name, suffix), "namespace", namespace, "labels",
                     labels(name), "ownerReferences", kaniko_owner(job), "data", data);
    return *out || error_set(err, ERR_INTERNAL, "Secret: a text that is not UTF-8");
}

bool kaniko_context_secret(const json_t *job, const void *context, size_t len, json_t **out,
                           struct error *err)
{
    if (len > KANIKO_CONTEXT_SECRET_MAX)
        return error_set(err, ERR_TOO_LARGE,
                         "the build context is %zu bytes, and a Secret holds at most %zu of it",
                         len, KANIKO_CONTEXT_SECRET_MAX);
    CLEANUP(free_ptr) char *encoded = base64_encode(context, len);
    return kaniko_owned_secret(job, "", json_pack("{s:s}", CONTEXT_FILE, encoded), out, err);
}

bool kaniko_ticket_secret(const json_t *job, const struct kaniko_ticket *ticket, json_t **out,
                          struct error *err)
{
    const struct {
        const char *key, *value;
    } texts[] = {{"address", ticket->address},
                 {"token", ticket->token},
                 {"sha256", ticket->sha256},
                 {"bytes", ticket->bytes},
                 {"ca", ticket->ca}};
    json_t *data = json_object();
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        CLEANUP(secret_ptr) char *encoded = base64_encode(texts[i].value, strlen(texts[i].value));
        json_object_set_new(data, texts[i].key, json_string(encoded));
    }
    return kaniko_owned_secret(job, "", data, out, err);
}
