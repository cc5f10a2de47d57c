// Variables, ports and volumes: lists whose items have a name, in which there may be items that
// documents have no word for. Those stay where they are.
#include "deploy/document_path.h"

#include <stdint.h>
#include <string.h>

// How the items of a list in a CronJob and in a document belong together.
struct list_kind {
    bool (*same)(const json_t *item, const json_t *wanted);
    // The item for `wanted`; `old` is what there is, NULL when it is new. Never NULL.
    json_t *(*write)(const json_t *old, const json_t *wanted);
};

#define NOWHERE SIZE_MAX

static size_t find(const json_t *list, const json_t *item,
                   bool (*same)(const json_t *, const json_t *))
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (same(item, json_array_get(list, i)))
            return i;
    return NOWHERE;
}

// Whether a later item of the CronJob's list is the same one: then that one counts.
static bool is_repeated(const json_t *list, size_t at, const json_t *wanted,
                        const struct list_kind *kind)
{
    for (size_t i = at + 1; i < json_array_size(list); i++)
        if (kind->same(json_array_get(list, i), wanted))
            return true;
    return false;
}

// The list being made, and for each item the one of `after` that it is for.
struct merging {
    const struct list_kind *kind;
    const json_t *after;
    json_t *items;
    size_t *of; // NOWHERE: for none
    size_t count;
};

static void insert(struct merging *merging, size_t at, json_t *item, size_t of)
{
    json_array_insert_new(merging->items, at, item);
    memmove(&merging->of[at + 1], &merging->of[at], (merging->count - at) * sizeof *merging->of);
    merging->of[at] = of;
    merging->count++;
}

// New ones come behind what is before them in the document; a first one before all others of it.
static size_t place_of_new(const struct merging *merging, size_t index)
{
    for (size_t at = 0; at < merging->count; at++) {
        if (index == 0 && merging->of[at] != NOWHERE)
            return at;
        if (index > 0 && merging->of[at] == index - 1)
            return at + 1;
    }
    return merging->count;
}

static void insert_new(struct merging *merging, size_t index)
{
    json_t *item = merging->kind->write(NULL, json_array_get(merging->after, index));
    insert(merging, place_of_new(merging, index), item, index);
}

// The CronJob's `list` with what `after` has instead of `before`: unknown items keep their place,
// known ones are in the document's order in the places of the known.
static json_t *merged(const json_t *list, const json_t *before, const json_t *after,
                      const struct list_kind *kind)
{
    size_t size = json_array_size(list), wanted = json_array_size(after);
    CLEANUP(free_ptr) size_t *of = xalloc((size + wanted + 1) * sizeof *of);
    CLEANUP(free_ptr) size_t *old = xalloc((wanted + 1) * sizeof *old); // of each wanted one
    struct merging merging = {kind, after, json_array(), of, 0};
    for (size_t i = 0; i < wanted; i++)
        old[i] = NOWHERE;
    for (size_t i = 0; i < size; i++) {
        size_t at = find(after, json_array_get(list, i), kind->same);
        if (at != NOWHERE && !is_repeated(list, i, json_array_get(after, at), kind))
            old[at] = i;
    }
    size_t next = 0; // of those that are wanted and there
    for (size_t i = 0; i < size; i++) {
        const json_t *item = json_array_get(list, i);
        size_t at = find(after, item, kind->same);
        if (at != NOWHERE && old[at] == i) {
            while (old[next] == NOWHERE)
                next++;
            const json_t *now = json_array_get(list, old[next]);
            insert(&merging, merging.count, kind->write(now, json_array_get(after, next)), next);
            next++;
        } else if (at != NOWHERE || find(before, item, kind->same) == NOWHERE) {
            insert(&merging, merging.count, json_deep_copy(item), NOWHERE);
        }
    }
    for (size_t i = 0; i < wanted; i++)
        if (old[i] == NOWHERE)
            insert_new(&merging, i);
    return merging.items;
}

static void replace(json_t *object, const char *key, json_t *list)
{
    if (json_array_size(list) > 0)
        json_object_set_new(object, key, list);
    else {
        json_decref(list);
        json_object_del(object, key);
    }
}

static json_t *copy_or_new(const json_t *old)
{
    return old ? json_deep_copy(old) : json_object();
}

// Copies a member, or takes away what is there when the document has none.
static void take_over(json_t *object, const char *key, const json_t *wanted, const char *of)
{
    json_t *value = json_object_get(wanted, of);
    if (value)
        json_object_set(object, key, value);
    else
        json_object_del(object, key);
}

static bool same_name(const json_t *item, const json_t *wanted)
{
    const json_t *name = json_object_get(item, "name");
    return name && json_equal(name, json_object_get(wanted, "name"));
}

// --- variables ---

static const struct {
    const char *key;  // in the document
    const char *from; // in the CronJob
} sources[] = {{"secret", "secretKeyRef"}, {"configMap", "configMapKeyRef"}};
static const size_t source_count = sizeof sources / sizeof *sources;

// NULL: documents have no word for it.
static json_t *read_variable(const json_t *item)
{
    const char *name = json_text_at(item, "name", NULL);
    const json_t *from = json_object_get(item, "valueFrom");
    const char *value = json_text_at(item, "value", NULL);
    if (!name)
        return NULL;
    if (!from || json_is_null(from))
        return json_pack("{s:s, s:s}", "name", name, "value", value ? value : "");
    for (size_t i = 0; i < source_count; i++) {
        const json_t *reference = json_object_get(from, sources[i].from);
        const char *of = json_text_at(reference, "name", NULL);
        const char *key = json_text_at(reference, "key", NULL);
        if (of && key)
            return json_pack("{s:s, s:{s:s, s:s}}", "name", name, sources[i].key, "name", of, "key",
                             key);
    }
    return NULL;
}

static json_t *write_variable(const json_t *old, const json_t *wanted)
{
    json_t *was = read_variable(old);
    bool changed = !was || !json_equal(was, wanted);
    json_decref(was);
    if (!changed)
        return json_deep_copy(old);
    json_t *item = json_object();
    take_over(item, "name", wanted, "name");
    take_over(item, "value", wanted, "value");
    for (size_t i = 0; i < source_count; i++) {
        const json_t *reference = json_object_get(wanted, sources[i].key);
        if (!reference)
            continue;
        json_t *from = copy_or_new(json_at(old, "valueFrom", sources[i].from, NULL));
        take_over(from, "name", reference, "name");
        take_over(from, "key", reference, "key");
        json_object_set_new(item, "valueFrom", json_pack("{s:o}", sources[i].from, from));
    }
    return item;
}

static const struct list_kind variables = {same_name, write_variable};

void document_write_env(json_t *container, const json_t *before, const json_t *after)
{
    replace(container, "env", merged(json_object_get(container, "env"), before, after, &variables));
}

// --- ports ---

static const char *protocol_of(const json_t *port)
{
    const char *protocol = json_text_at(port, "protocol", NULL);
    return protocol ? protocol : "TCP";
}

static bool same_port(const json_t *item, const json_t *wanted)
{
    return json_equal(json_object_get(item, "containerPort"), json_object_get(wanted, "port")) &&
           strcmp(protocol_of(item), protocol_of(wanted)) == 0;
}

static json_t *read_port(const json_t *item)
{
    json_t *port = json_object();
    take_over(port, "name", item, "name");
    take_over(port, "port", item, "containerPort");
    take_over(port, "protocol", item, "protocol");
    return port;
}

static json_t *write_port(const json_t *old, const json_t *wanted)
{
    json_t *item = copy_or_new(old);
    take_over(item, "name", wanted, "name");
    take_over(item, "containerPort", wanted, "port");
    take_over(item, "protocol", wanted, "protocol");
    return item;
}

static const struct list_kind ports = {same_port, write_port};

void document_write_ports(json_t *container, const json_t *before, const json_t *after)
{
    replace(container, "ports", merged(json_object_get(container, "ports"), before, after, &ports));
}

// --- volumes: what a pod has, and where the container mounts it ---

static const struct {
    const char *key;   // in the document
    const char *kind;  // in the pod
    const char *named; // there; NULL: an object without a name
} contents[] = {{"secret", "secret", "secretName"},
                {"configMap", "configMap", "name"},
                {"claim", "persistentVolumeClaim", "claimName"},
                {"emptyDir", "emptyDir", NULL}};
static const size_t content_count = sizeof contents / sizeof *contents;

// Puts what the volume is into the document's item; false: documents have no word for it.
static bool read_content(const json_t *volume, json_t *out)
{
    for (size_t i = 0; i < content_count; i++) {
        const json_t *content = json_object_get(volume, contents[i].kind);
        const char *name =
            contents[i].named ? json_text_at(content, contents[i].named, NULL) : NULL;
        if (!json_is_object(content) || (contents[i].named && !name))
            continue;
        json_object_set_new(out, contents[i].key, name ? json_text(name) : json_object());
        return true;
    }
    return false;
}

static json_t *write_volume(const json_t *old, const json_t *wanted)
{
    json_t *item = json_object();
    take_over(item, "name", wanted, "name");
    for (size_t i = 0; i < content_count; i++) {
        const json_t *name = json_object_get(wanted, contents[i].key);
        if (!name)
            continue;
        json_t *content = copy_or_new(json_object_get(old, contents[i].kind));
        if (contents[i].named)
            json_object_set(content, contents[i].named, json_unconst(name));
        json_object_set_new(item, contents[i].kind, content);
    }
    return item;
}

static json_t *write_mount(const json_t *old, const json_t *wanted)
{
    json_t *item = copy_or_new(old);
    take_over(item, "name", wanted, "name");
    take_over(item, "mountPath", wanted, "mountPath");
    take_over(item, "subPath", wanted, "subPath");
    if (json_is_true(json_object_get(wanted, "readOnly")))
        json_object_set_new(item, "readOnly", json_true());
    else
        json_object_del(item, "readOnly");
    return item;
}

static const struct list_kind volumes = {same_name, write_volume};
static const struct list_kind mounts = {same_name, write_mount};

// Whether a container other than this one mounts the volume.
static bool is_mounted_elsewhere(const json_t *pod, const json_t *container, const json_t *volume)
{
    static const char *const lists[] = {"containers", "initContainers"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        size_t k;
        json_t *other;
        json_array_foreach(json_object_get(pod, lists[i]), k, other)
        {
            const json_t *list = json_object_get(other, "volumeMounts");
            for (size_t m = 0; other != container && m < json_array_size(list); m++)
                if (same_name(json_array_get(list, m), volume))
                    return true;
        }
    }
    return false;
}

void document_write_volumes(json_t *pod, json_t *container, const json_t *before,
                            const json_t *after)
{
    CLEANUP(json_ptr) json_t *own = json_array(); // may go
    size_t i;
    json_t *volume;
    json_array_foreach(before, i, volume)
    {
        if (!is_mounted_elsewhere(pod, container, volume))
            json_array_append(own, volume);
    }
    replace(pod, "volumes", merged(json_object_get(pod, "volumes"), own, after, &volumes));
    replace(container, "volumeMounts",
            merged(json_object_get(container, "volumeMounts"), before, after, &mounts));
}

// NULL: documents have no word for it, or the container does not mount it.
static json_t *read_volume(const json_t *volume, const json_t *container)
{
    const json_t *list = json_object_get(container, "volumeMounts");
    const json_t *mount = NULL;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (same_name(json_array_get(list, i), volume))
            mount = json_array_get(list, i);
    json_t *item = json_object();
    take_over(item, "name", volume, "name");
    take_over(item, "mountPath", mount, "mountPath");
    take_over(item, "readOnly", mount, "readOnly");
    take_over(item, "subPath", mount, "subPath");
    if (mount && read_content(volume, item))
        return item;
    json_decref(item);
    return NULL;
}

// --- reading ---

void document_read_lists(const json_t *container, const json_t *pod, json_t *document)
{
    json_t *env = json_array(), *declared = json_array(), *mounted = json_array();
    const json_t *list = json_object_get(container, "env");
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        json_t *variable = is_repeated(list, i, item, &variables) ? NULL : read_variable(item);
        if (variable)
            json_array_append_new(env, variable);
    }
    json_array_foreach(json_object_get(container, "ports"), i, item)
    {
        json_array_append_new(declared, read_port(item));
    }
    json_array_foreach(json_object_get(pod, "volumes"), i, item)
    {
        json_t *volume = read_volume(item, container);
        if (volume)
            json_array_append_new(mounted, volume);
    }
    json_object_set_new(document, "env", env);
    json_object_set_new(document, "ports", declared);
    json_object_set_new(document, "volumes", mounted);
}
