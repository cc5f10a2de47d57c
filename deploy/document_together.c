// What is wrong between the fields of a document.
#include "deploy/document_path.h"
#include "deploy/kube/patch.h"
#include "deploy/quantity.h"

#include <stdio.h>
#include <string.h>

static void check_source(const json_t *document, json_t *faults)
{
    const json_t *git = path_get(document, "source.git");
    const json_t *image = path_get(document, "source.image");
    if (git && image)
        document_fault(faults, "/source", "both git and image are given: only one can be");
    else if (json_object_get(document, "source") && !git && !image)
        document_fault(faults, "/source", "needs git or image");
    if (git && !json_object_get(document, "image"))
        document_fault(faults, "/image",
                       "is missing: where the image of the repository is pushed to");
    if (!git && image && json_object_get(document, "image"))
        document_fault(faults, "/image",
                       "is where a Git source is pushed to; the image to run is source.image");
}

// Exactly one of these keys.
static void check_one_of(const json_t *object, const char *const keys[], const char *pointer,
                         json_t *faults)
{
    CLEANUP(buffer_finish) struct buffer all = {0};
    int found = 0;
    for (size_t i = 0; keys[i]; i++) {
        found += json_object_get(object, keys[i]) != NULL;
        const char *separator = i == 0 ? "" : keys[i + 1] ? ", " : " or ";
        if (!buffer_printf(&all, NULL, "%s%s", separator, keys[i]))
            return;
    }
    if (found == 0)
        document_fault(faults, pointer, "needs one of %s", buffer_text(&all));
    else if (found > 1)
        document_fault(faults, pointer, "may have only one of %s", buffer_text(&all));
}

// No two items with the same value of `key`.
static void check_unique(const json_t *list, const char *name, const char *key, const char *other,
                         json_t *faults)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *value = json_object_get(json_array_get(list, i), key);
        const json_t *more = other ? json_object_get(json_array_get(list, i), other) : NULL;
        for (size_t k = 0; value && k < i; k++) {
            const json_t *earlier = json_array_get(list, k);
            if (!json_equal(value, json_object_get(earlier, key)) ||
                (other && !json_equal(more, json_object_get(earlier, other))))
                continue;
            char pointer[96];
            snprintf(pointer, sizeof pointer, "/%s/%zu/%s", name, i, key);
            document_fault(faults, pointer, "is that of %s[%zu], too", name, k);
            break;
        }
    }
}

static void check_each(const json_t *list, const char *name, const char *const keys[],
                       json_t *faults)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        char pointer[64];
        snprintf(pointer, sizeof pointer, "/%s/%zu", name, i);
        if (json_is_object(item))
            check_one_of(item, keys, pointer, faults);
    }
}

static bool port_is_declared(const json_t *ports, const json_t *wanted)
{
    const char *key = json_is_string(wanted) ? "name" : "port";
    size_t i;
    json_t *port;
    json_array_foreach(ports, i, port)
    {
        if (json_equal(json_object_get(port, key), wanted))
            return true;
    }
    return false;
}

static void check_probe_port(const json_t *document, const char *probe, const char *kind,
                             json_t *faults)
{
    char path[64], pointer[64];
    snprintf(path, sizeof path, "healthChecks.%s.%s.port", probe, kind);
    snprintf(pointer, sizeof pointer, "/healthChecks/%s/%s/port", probe, kind);
    const json_t *port = path_get(document, path);
    if (!port || port_is_declared(json_object_get(document, "ports"), port))
        return;
    if (json_is_string(port))
        document_fault(faults, pointer, "there is no port named \"%.63s\" in ports",
                       json_string_value(port));
    else if (json_is_integer(port))
        document_fault(faults, pointer,
                       "port %" JSON_INTEGER_FORMAT " is not declared: add it to ports",
                       json_integer_value(port));
}

static void check_probes(const json_t *document, json_t *faults)
{
    static const char *const probes[] = {"startup", "liveness", "readiness"};
    static const char *const kinds[] = {"http", "tcp", "exec", NULL};
    for (size_t i = 0; i < sizeof probes / sizeof *probes; i++) {
        char pointer[64];
        snprintf(pointer, sizeof pointer, "/healthChecks/%s", probes[i]);
        const json_t *probe = json_object_get(json_object_get(document, "healthChecks"), probes[i]);
        if (!json_is_object(probe))
            continue;
        check_one_of(probe, kinds, pointer, faults);
        check_probe_port(document, probes[i], "http", faults);
        check_probe_port(document, probes[i], "tcp", faults);
    }
}

// What is set aside may not be more than what may be used.
static void check_resources(const json_t *document, json_t *faults)
{
    const json_t *limits = path_get(document, "resources.limits");
    const char *key;
    json_t *value;
    json_object_foreach(path_get(document, "resources.requests"), key, value)
    {
        const char *request = json_string_value(value);
        const char *limit = json_string_value(json_object_get(limits, key));
        double least, most;
        if (!request || !limit || !quantity_read(request, &least, NULL) ||
            !quantity_read(limit, &most, NULL) || least <= most)
            continue;
        CLEANUP(free_ptr) char *pointer = patch_pointer(PATCH_AT("resources", "requests", key));
        document_fault(faults, pointer, "%s is more than the limit, %s", request, limit);
    }
}

void document_check_together(const json_t *document, json_t *faults)
{
    static const char *const values[] = {"value", "secret", "configMap", NULL};
    static const char *const contents[] = {"secret", "configMap", "claim", "emptyDir", NULL};
    const json_t *env = json_object_get(document, "env");
    const json_t *ports = json_object_get(document, "ports");
    const json_t *volumes = json_object_get(document, "volumes");
    check_source(document, faults);
    check_each(env, "env", values, faults);
    check_unique(env, "env", "name", NULL, faults);
    check_unique(ports, "ports", "name", NULL, faults);
    check_unique(ports, "ports", "port", "protocol", faults);
    check_probes(document, faults);
    check_each(volumes, "volumes", contents, faults);
    check_unique(volumes, "volumes", "name", NULL, faults);
    check_unique(volumes, "volumes", "mountPath", NULL, faults);
    check_resources(document, faults);
}
