// How a build's pod reaches registries: with whose certificates and through which proxy.
#include "build/kaniko.h"

#include <string.h>

// Below /kaniko, as the other mounts.
#define AUTHORITIES_DIRECTORY "/kaniko/authorities"
#define AUTHORITIES_SUFFIX    "-authorities"
#define AUTHORITIES_MODE      0444

// "0.pem", …: hosts are no names of keys.
static char *file_of(size_t index)
{
    return xasprintf("%zu.pem", index);
}

static json_t *container_of(json_t *job)
{
    return json_unconst(json_at(job, "spec", "template", "spec", "containers", "0", NULL));
}

static json_t *list_of(json_t *object, const char *key)
{
    json_t *list = json_object_get(object, key);
    if (!list) {
        list = json_array();
        json_object_set_new(object, key, list);
    }
    return list;
}

static void add_authorities(const struct kaniko_settings *settings, json_t *job)
{
    json_t *container = container_of(job);
    json_t *pod = json_unconst(json_at(job, "spec", "template", "spec", NULL));
    for (size_t i = 0; i < settings->authorities_count; i++) {
        CLEANUP(free_ptr) char *file = file_of(i);
        json_array_append_new(list_of(container, "args"),
                              json_sprintf("--registry-certificate=%s=" AUTHORITIES_DIRECTORY "/%s",
                                           settings->authorities[i].registry, file));
    }
    json_array_append_new(list_of(container, "volumeMounts"),
                          json_pack("{s:s, s:s, s:b}", "name", "authorities", "mountPath",
                                    AUTHORITIES_DIRECTORY, "readOnly", 1));
    json_array_append_new(list_of(pod, "volumes"),
                          json_pack("{s:s, s:{s:o, s:i}}", "name", "authorities", "secret",
                                    "secretName",
                                    json_sprintf("%s" AUTHORITIES_SUFFIX,
                                                 json_text_at(job, "metadata", "name", NULL)),
                                    "defaultMode", AUTHORITIES_MODE));
}

static void add_variable(json_t *job, const char *name, const char *value)
{
    json_array_append_new(list_of(container_of(job), "env"),
                          json_pack("{s:s, s:s}", "name", name, "value", value));
}

void kaniko_reach(const struct kaniko_settings *settings, json_t *job)
{
    if (settings->authorities_count > 0)
        add_authorities(settings, job);
    if (!settings->proxy || !*settings->proxy)
        return;
    add_variable(job, "HTTP_PROXY", settings->proxy);
    add_variable(job, "HTTPS_PROXY", settings->proxy);
    if (settings->no_proxy && *settings->no_proxy)
        add_variable(job, "NO_PROXY", settings->no_proxy);
}

bool kaniko_authorities_secret(const json_t *job, const struct kaniko_settings *settings,
                               json_t **out, struct error *err)
{
    size_t sum = 0;
    for (size_t i = 0; i < settings->authorities_count; i++)
        sum += strlen(settings->authorities[i].pem);
    if (sum > KANIKO_AUTHORITIES_MAX)
        return error_set(err, ERR_TOO_LARGE,
                         "the registries' CA files have %zu bytes, and a Secret holds at most %zu "
                         "of them",
                         sum, KANIKO_AUTHORITIES_MAX);
    json_t *data = json_object();
    for (size_t i = 0; i < settings->authorities_count; i++) {
        const char *pem = settings->authorities[i].pem;
        CLEANUP(free_ptr) char *file = file_of(i);
        CLEANUP(free_ptr) char *encoded = base64_encode(pem, strlen(pem));
        json_object_set_new(data, file, json_string(encoded));
    }
    return kaniko_owned_secret(job, AUTHORITIES_SUFFIX, data, out, err);
}
