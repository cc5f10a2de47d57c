// Documents and CronJobs: reading one out of the other, and writing what changed.
#include "deploy/cronjob_json.h"
#include "deploy/document_path.h"

#include "agent/base/text.h"

#include <string.h>

#define IMAGE_MAX 1024

// A CronJob and the parts of it that fields stand in.
struct parts {
    json_t *cronjob;
    json_t *job;
    json_t *pod;
    json_t *pod_labels;
    json_t *container; // NULL: it cannot be told
};

static const char *const container_lists[] = {"containers", "initContainers"};
static const size_t container_list_count = sizeof container_lists / sizeof *container_lists;

static json_t *named_container(const json_t *pod, const char *name)
{
    for (size_t l = 0; l < container_list_count; l++) {
        size_t i;
        json_t *container;
        json_array_foreach(json_object_get(pod, container_lists[l]), i, container)
        {
            const char *own = json_text_at(container, "name", NULL);
            if (own && name && strcmp(own, name) == 0)
                return container;
        }
    }
    return NULL;
}

// --- reading ---

static json_t *home_object(const struct parts *parts, enum document_home home)
{
    switch (home) {
    case HOME_NONE:
        return NULL;
    case HOME_CRONJOB:
        return parts->cronjob;
    case HOME_LABEL:
        return path_get(parts->cronjob, "metadata.labels");
    case HOME_ANNOTATION:
        return path_get(parts->cronjob, "metadata.annotations");
    case HOME_JOB:
        return parts->job;
    case HOME_POD:
        return parts->pod;
    case HOME_POD_LABELS:
        return parts->pod_labels;
    case HOME_CONTAINER:
    case HOME_SECURITY:
        return parts->container;
    }
    return NULL;
}

static bool is_text(const struct document_field *field)
{
    return field->kind == DOCUMENT_TEXT || field->kind == DOCUMENT_CHOICE;
}

// Annotations are texts: what is none stands in them as JSON.
static json_t *read_annotation(const struct document_field *field, const json_t *annotations)
{
    const char *text = json_text_at(annotations, field->place, NULL);
    if (!text)
        return NULL;
    return is_text(field) ? json_text(text) : json_loads(text, JSON_DECODE_ANY, NULL);
}

static json_t *read_pod_labels(const json_t *labels)
{
    json_t *shown = json_object();
    const char *key;
    json_t *value;
    json_object_foreach(json_unconst(labels), key, value)
    {
        if (!text_starts(key, CRONWRIGHT_PREFIX))
            json_object_set(shown, key, value);
    }
    return shown;
}

// A new reference; NULL when the CronJob lacks it.
static json_t *read_field(const struct document_field *field, const struct parts *parts)
{
    const json_t *home = home_object(parts, field->home);
    if (field->home == HOME_ANNOTATION)
        return read_annotation(field, home);
    if (field->home == HOME_POD_LABELS)
        return read_pod_labels(home);
    if (field->home == HOME_LABEL)
        return json_incref(json_object_get(home, field->place));
    if (field->home != HOME_SECURITY)
        return json_incref(path_get(home, field->place));
    json_t *own = path_get(path_get(home, "securityContext"), field->place);
    return json_incref(own ? own : path_get(path_get(parts->pod, "securityContext"), field->place));
}

static bool is_leaf(const struct document_field *field)
{
    return field->kind != DOCUMENT_OBJECT && field->kind != DOCUMENT_OBJECTS &&
           !strchr(field->path, '[');
}

// A health check that documents have no word for (grpc) is none of theirs, nor is what it says of
// times.
static void drop_unknown_probes(json_t *document)
{
    json_t *probes = json_object_get(document, "healthChecks");
    const char *key;
    json_t *probe;
    void *next;
    json_object_foreach_safe(probes, next, key, probe)
    {
        if (!json_object_get(probe, "http") && !json_object_get(probe, "tcp") &&
            !json_object_get(probe, "exec"))
            json_object_del(probes, key);
    }
}

static void read_source(const struct parts *parts, json_t *document)
{
    const json_t *annotations = path_get(parts->cronjob, "metadata.annotations");
    const char *repository = json_text_at(annotations, ANNOTATION_REPOSITORY, NULL);
    const char *image = json_text_at(parts->container, "image", NULL);
    const char *wanted = json_text_at(annotations, ANNOTATION_IMAGE, NULL);
    char destination[IMAGE_MAX];
    if (!repository || !*repository) {
        path_remove(document, "source.git");
        if (image)
            path_set(document, "source.image", json_text(image));
        return;
    }
    const char *pushed = wanted && *wanted ? wanted : image;
    if (pushed && image_repository(pushed, destination, sizeof destination))
        path_set(document, "image", json_text(destination));
}

static json_t *read_raw(const struct parts *parts)
{
    json_t *document = json_object();
    for (size_t i = 0; i < document_field_count; i++) {
        const struct document_field *field = &document_fields[i];
        if (!is_leaf(field) || field->home == HOME_NONE)
            continue;
        json_t *value = read_field(field, parts);
        if (!value && field->absent)
            value = json_loads(field->absent, JSON_DECODE_ANY, NULL);
        if (value)
            path_set(document, field->path, value);
    }
    read_source(parts, document);
    drop_unknown_probes(document);
    document_read_lists(parts->container, parts->pod, document);
    const char *name = json_text_at(parts->container, "name", NULL);
    const json_t *secret = path_get(parts->pod, "imagePullSecrets.0.name");
    if (name)
        path_set(document, "container.name", json_text(name));
    if (secret)
        path_set(document, "container.pullSecret", json_deep_copy(secret));
    return document;
}

static struct parts parts_of(json_t *cronjob)
{
    struct parts parts = {.cronjob = cronjob,
                          .job = path_get(cronjob, PATH_JOB),
                          .pod = path_get(cronjob, PATH_POD),
                          .pod_labels = path_get(cronjob, PATH_JOB ".template.metadata.labels")};
    parts.container = json_unconst(cronjob_container(cronjob));
    return parts;
}

json_t *document_of_cronjob(const json_t *cronjob)
{
    struct parts parts = parts_of(json_unconst(cronjob));
    CLEANUP(json_ptr) json_t *raw = read_raw(&parts);
    CLEANUP(json_ptr) json_t *faults = json_array();
    json_t *document = document_normal(raw, faults);
    if (!parts.container)
        path_remove(document, "container.name");
    return document;
}

// --- writing ---

// Sets a member, or takes it away when there is no value.
static void put(json_t *object, const char *path, const json_t *value)
{
    if (value)
        path_set(object, path, json_deep_copy(value));
    else
        path_remove(object, path);
}

static void put_key(json_t *object, const char *key, json_t *value)
{
    if (value)
        json_object_set_new(object, key, value);
    else
        json_object_del(object, key);
}

static void write_annotation(struct parts *parts, const struct document_field *field,
                             const json_t *value)
{
    json_t *annotations = path_object(parts->cronjob, "metadata.annotations");
    json_t *text = NULL;
    if (value && is_text(field)) {
        text = json_deep_copy(value);
    } else if (value) {
        CLEANUP(free_ptr) char *written = json_write(value);
        text = json_text(written);
    }
    put_key(annotations, field->place, text);
}

// Key by key: what documents do not show stays.
static void write_map(json_t *map, const json_t *before, const json_t *after)
{
    const char *key;
    json_t *value;
    json_object_foreach(json_unconst(before), key, value)
    {
        if (!json_object_get(after, key))
            json_object_del(map, key);
    }
    json_object_foreach(json_unconst(after), key, value)
    {
        if (!json_equal(json_object_get(before, key), value))
            json_object_set_new(map, key, json_deep_copy(value));
    }
}

// The container's word counts before the pod's, so it is the one to be written. One that is taken
// away would be back if the pod said it, too.
static void write_security(struct parts *parts, const struct document_field *field,
                           const json_t *value)
{
    bool profile = text_starts(field->place, "seccompProfile."); // its other members go with it
    const char *place = profile ? "seccompProfile" : field->place;
    json_t *own = path_object(parts->container, "securityContext");
    path_remove(own, place);
    if (value)
        path_set(own, field->place, json_deep_copy(value));
    else
        path_remove(path_get(parts->pod, "securityContext"), place);
}

// A draft has run nothing yet, so nothing goes on with the image that it has.
static bool waits_for_build(const json_t *annotations, const json_t *before, const char *image)
{
    const char *state = json_text_at(annotations, ANNOTATION_STATE, NULL);
    bool draft = state && strcmp(state, "draft") == 0;
    return !image || (path_get(before, "source.git") ? text_ends(image, ":" TAG_NOT_BUILT) : draft);
}

// Containers that share the image go on sharing it, and those that are chosen together.
static void set_image(struct parts *parts, const char *image)
{
    struct container_choice choice;
    bool chosen = cronjob_choose(parts->cronjob, &choice, NULL) &&
                  choice.items[0].container == parts->container;
    for (size_t i = 0; chosen && i < choice.count; i++)
        json_object_set_new(json_unconst(choice.items[i].container), "image", json_text(image));
    if (chosen)
        return;
    CLEANUP(json_ptr) json_t *old = json_deep_copy(json_object_get(parts->container, "image"));
    json_object_set_new(parts->container, "image", json_text(image));
    for (size_t l = 0; l < container_list_count && old; l++) {
        size_t i;
        json_t *container;
        json_array_foreach(json_object_get(parts->pod, container_lists[l]), i, container)
        {
            if (json_equal(json_object_get(container, "image"), old))
                json_object_set_new(container, "image", json_text(image));
        }
    }
}

static void write_image(struct parts *parts, const json_t *before, const json_t *after)
{
    static const char *const built[] = {ANNOTATION_COMMIT,
                                        ANNOTATION_BUILD,
                                        ANNOTATION_RECIPE,
                                        ANNOTATION_PATCHED_BY,
                                        ANNOTATION_PATCHED_AT,
                                        ANNOTATION_PATCHED_IMAGE,
                                        ANNOTATION_PATCHED_CONTAINERS,
                                        ANNOTATION_PINNED};
    const char *given = json_text_at(after, "source", "image", NULL);
    const char *destination = json_text_at(after, "image", NULL);
    const char *image = json_text_at(parts->container, "image", NULL);
    json_t *annotations = path_object(parts->cronjob, "metadata.annotations");
    put_key(annotations, ANNOTATION_IMAGE, destination ? json_text(destination) : NULL);
    if (given) {
        set_image(parts, given);
        for (size_t i = 0; i < sizeof built / sizeof *built; i++)
            json_object_del(annotations, built[i]);
    } else if (waits_for_build(annotations, before, image)) {
        CLEANUP(free_ptr) char *reserved = xasprintf("%s:" TAG_NOT_BUILT, destination);
        set_image(parts, reserved);
    }
}

static void write_pull_secret(struct parts *parts, const json_t *name)
{
    if (name)
        path_set(parts->pod, "imagePullSecrets.0.name", json_deep_copy(name));
    else
        path_remove(parts->pod, "imagePullSecrets.0");
}

// The API server reads the old name of the field when the new one is absent.
static void write_service_account(struct parts *parts, const json_t *name)
{
    put(parts->pod, "serviceAccountName", name);
    json_object_del(parts->pod, "serviceAccount");
}

static void write_container_name(struct parts *parts, const json_t *name)
{
    json_t *annotations = path_object(parts->cronjob, "metadata.annotations");
    size_t count = 0;
    for (size_t l = 0; l < container_list_count; l++)
        count += json_array_size(json_object_get(parts->pod, container_lists[l]));
    if (count > 1 || json_object_get(annotations, ANNOTATION_CONTAINER))
        json_object_set(annotations, ANNOTATION_CONTAINER, json_unconst(name));
}

static void write_field(struct parts *parts, const struct document_field *field,
                        const json_t *before, const json_t *after)
{
    bool map = field->kind == DOCUMENT_MAP || field->kind == DOCUMENT_AMOUNTS;
    if (strcmp(field->path, "container.name") == 0)
        write_container_name(parts, after);
    else if (strcmp(field->path, "container.pullSecret") == 0)
        write_pull_secret(parts, after);
    else if (strcmp(field->path, "serviceAccount") == 0)
        write_service_account(parts, after);
    else if (field->home == HOME_ANNOTATION)
        write_annotation(parts, field, after);
    else if (field->home == HOME_LABEL)
        put_key(path_object(parts->cronjob, "metadata.labels"), field->place,
                after ? json_deep_copy(after) : NULL);
    else if (field->home == HOME_POD_LABELS)
        write_map(path_object(parts->job, "template.metadata.labels"), before, after);
    else if (field->home == HOME_SECURITY)
        write_security(parts, field, after);
    else if (field->home != HOME_NONE && map)
        write_map(path_object(home_object(parts, field->home), field->place), before, after);
    else if (field->home != HOME_NONE)
        put(home_object(parts, field->home), field->place, after);
}

static void write_lists(struct parts *parts, const json_t *before, const json_t *after)
{
#define OF(document, key) json_object_get(document, key)
    if (!json_equal(OF(before, "env"), OF(after, "env")))
        document_write_env(parts->container, OF(before, "env"), OF(after, "env"));
    if (!json_equal(OF(before, "ports"), OF(after, "ports")))
        document_write_ports(parts->container, OF(before, "ports"), OF(after, "ports"));
    if (!json_equal(OF(before, "volumes"), OF(after, "volumes")))
        document_write_volumes(parts->pod, parts->container, OF(before, "volumes"),
                               OF(after, "volumes"));
#undef OF
}

static bool changed(const json_t *before, const json_t *after, const char *path)
{
    const json_t *a = path_get(before, path), *b = path_get(after, path);
    return a && b ? !json_equal(a, b) : a != b;
}

static void write_changes(struct parts *parts, const json_t *before, const json_t *after)
{
    for (size_t i = 0; i < document_field_count; i++) {
        const struct document_field *field = &document_fields[i];
        const json_t *old = path_get(before, field->path), *now = path_get(after, field->path);
        if (strchr(field->path, '[') || field->kind == DOCUMENT_OBJECTS ||
            document_same(field, old, now))
            continue;
        if (is_leaf(field))
            write_field(parts, field, old, now);
        else if (field->home != HOME_NONE && (!now || !old)) // a health check, or its kind
            path_remove(home_object(parts, field->home), field->place);
    }
    if (changed(before, after, "source.image") || changed(before, after, "image"))
        write_image(parts, before, after);
    write_lists(parts, before, after);
}

static bool refuse_container(const json_t *pod, const char *name, json_t *faults)
{
    CLEANUP(free_ptr) char *names = cronjob_container_names(pod);
    document_fault(faults, "/container/name",
                   name ? "there is no container \"%.63s\"; there are: %.400s"
                        : "it must be said which container is the service's%.0s: %.400s",
                   name ? name : "", names);
    return false;
}

bool document_apply(const json_t *before, const json_t *after, json_t *cronjob, json_t *faults)
{
    struct parts parts = parts_of(cronjob);
    const char *name = json_text_at(after, "container", "name", NULL);
    json_t *container = named_container(parts.pod, name);
    if (!container)
        return refuse_container(parts.pod, name, faults);
    parts.container = container;
    write_changes(&parts, before, after);
    return true;
}

json_t *document_to_cronjob(const json_t *document)
{
    const char *name = json_text_at(document, "container", "name", NULL);
    json_t *cronjob = json_pack(
        "{s:s, s:s, s:{s:{s:s}, s:{s:s}}, s:{s:b, s:{s:{s:{s:s}}, s:{s:{s:{s:{s:s}}, s:{s:[{s:s}]}}"
        "}}}}",
        "apiVersion", "batch/v1", "kind", "CronJob", "metadata", "labels", LABEL_MANAGED, "true",
        "annotations", ANNOTATION_STATE, "draft", "spec", "suspend", true, "jobTemplate",
        "metadata", "labels", LABEL_MANAGED, "true", "spec", "template", "metadata", "labels",
        LABEL_MANAGED, "true", "spec", "containers", "name", name ? name : DOCUMENT_CONTAINER);
    struct parts parts = parts_of(cronjob);
    CLEANUP(json_ptr) json_t *nothing = json_object();
    write_changes(&parts, nothing, document);
    return cronjob;
}

// --- copying ---

// Who keeps the one in step with a source of its own does not know of the other.
static bool belongs_to_the_one(const char *key)
{
    static const char *const prefixes[] = {"kustomize.toolkit.fluxcd.io/",
                                           "helm.toolkit.fluxcd.io/",
                                           "argocd.argoproj.io/",
                                           "meta.helm.sh/",
                                           "helm.sh/",
                                           "kubectl.kubernetes.io/",
                                           "app.kubernetes.io/managed-by"};
    static const char *const ours[] = {ANNOTATION_COMMIT,        ANNOTATION_BUILD,
                                       ANNOTATION_PATCHED_AT,    ANNOTATION_PATCHED_IMAGE,
                                       ANNOTATION_FIRST_RUN_DUE, ANNOTATION_PINNED,
                                       ANNOTATION_PUT_BACK,      ANNOTATION_PATCHED_CONTAINERS,
                                       ANNOTATION_RECIPE,        ANNOTATION_PATCHED_BY};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (text_starts(key, prefixes[i]))
            return true;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strcmp(key, ours[i]) == 0)
            return true;
    return false;
}

static json_t *copy_map(const json_t *map)
{
    json_t *copy = json_object();
    const char *key;
    json_t *value;
    json_object_foreach(json_unconst(map), key, value)
    {
        if (!belongs_to_the_one(key))
            json_object_set(copy, key, value);
    }
    return copy;
}

json_t *document_copy_cronjob(const json_t *cronjob, const char *namespace_, const char *name)
{
    json_t *copy = json_pack("{s:s, s:s, s:{s:s, s:s, s:o, s:o}}", "apiVersion", "batch/v1", "kind",
                             "CronJob", "metadata", "name", name, "namespace", namespace_, "labels",
                             copy_map(path_get(cronjob, "metadata.labels")), "annotations",
                             copy_map(path_get(cronjob, "metadata.annotations")));
    json_object_set_new(copy, "spec", json_deep_copy(json_object_get(cronjob, "spec")));
    path_set(copy, "spec.suspend", json_true());
    json_object_set_new(path_object(copy, "metadata.annotations"), ANNOTATION_STATE,
                        json_string("draft"));
    struct parts parts = parts_of(copy);
    CLEANUP(json_ptr) json_t *document = document_of_cronjob(cronjob);
    const char *destination = json_text_at(document, "image", NULL);
    if (destination && parts.container) { // the other's build may not be allowed here
        CLEANUP(free_ptr) char *reserved = xasprintf("%s:" TAG_NOT_BUILT, destination);
        set_image(&parts, reserved);
    }
    return copy;
}
