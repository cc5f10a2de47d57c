#include "deploy/readiness.h"
#include "deploy/schedule.h"
#include "deploy/service_write.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SENTENCE_MAX 2048

// The kinds that a pod refers to.
static const struct reference_kind {
    const char *kind;
    const struct kube_resource *resource;
    const char *remedy, *rest; // a command, before and after the name
} kinds[] = {
    {"Secret", &KUBE_SECRETS, "create secret generic", " --from-literal=KEY=VALUE"},
    {"pull secret", &KUBE_SECRETS, "create secret docker-registry",
     " --docker-server=… --docker-username=… --docker-password=…"},
    {"ConfigMap", &KUBE_CONFIG_MAPS, "create configmap", " --from-literal=KEY=VALUE"},
    {"service account", &KUBE_SERVICE_ACCOUNTS, "create serviceaccount", ""},
    {"PersistentVolumeClaim", &KUBE_VOLUME_CLAIMS, "apply -f FILE, a claim named", ""},
};

// --- what a pod refers to ---

static void add_reference(json_t *list, const char *kind, const char *name)
{
    size_t i;
    json_t *known;
    if (!name || !*name || json_array_size(list) == READINESS_REFERENCES_MAX)
        return;
    json_array_foreach(list, i, known)
    {
        if (strcmp(json_text_at(known, "kind", NULL), kind) == 0 &&
            strcmp(json_text_at(known, "name", NULL), name) == 0)
            return;
    }
    json_array_append_new(list, json_pack("{s:s, s:o}", "kind", kind, "name", json_text(name)));
}

// `reference` is {"name": …, "optional": …}; volumes of Secrets say "secretName".
static void add_source(json_t *list, const char *kind, const json_t *reference)
{
    if (!reference || json_is_true(json_object_get(reference, "optional")))
        return;
    const char *name = json_text_at(reference, "name", NULL);
    add_reference(list, kind, name ? name : json_text_at(reference, "secretName", NULL));
}

static void add_environment(json_t *list, const json_t *containers)
{
    size_t c, i;
    json_t *container, *item;
    json_array_foreach(json_unconst(containers), c, container)
    {
        json_array_foreach(json_object_get(container, "env"), i, item)
        {
            add_source(list, "Secret", json_at(item, "valueFrom", "secretKeyRef", NULL));
            add_source(list, "ConfigMap", json_at(item, "valueFrom", "configMapKeyRef", NULL));
        }
        json_array_foreach(json_object_get(container, "envFrom"), i, item)
        {
            add_source(list, "Secret", json_at(item, "secretRef", NULL));
            add_source(list, "ConfigMap", json_at(item, "configMapRef", NULL));
        }
    }
}

static void add_volumes(json_t *list, const json_t *volumes)
{
    size_t v, i;
    json_t *volume, *source;
    json_array_foreach(json_unconst(volumes), v, volume)
    {
        add_source(list, "Secret", json_object_get(volume, "secret"));
        add_source(list, "ConfigMap", json_object_get(volume, "configMap"));
        add_reference(list, "PersistentVolumeClaim",
                      json_text_at(volume, "persistentVolumeClaim", "claimName", NULL));
        json_array_foreach(json_at(volume, "projected", "sources", NULL), i, source)
        {
            add_source(list, "Secret", json_object_get(source, "secret"));
            add_source(list, "ConfigMap", json_object_get(source, "configMap"));
        }
    }
}

json_t *readiness_references(const json_t *template)
{
    const json_t *pod = json_at(template, "spec", NULL);
    json_t *list = json_array();
    size_t i;
    json_t *secret;
    add_environment(list, json_at(pod, "initContainers", NULL));
    add_environment(list, json_at(pod, "containers", NULL));
    add_volumes(list, json_at(pod, "volumes", NULL));
    json_array_foreach(json_at(pod, "imagePullSecrets", NULL), i, secret)
        add_source(list, "pull secret", secret);
    add_reference(list, "service account", json_text_at(pod, "serviceAccountName", NULL));
    return list;
}

// --- looking ---

struct looking {
    struct kube_client *client;
    const struct service *service;
    struct mono_time deadline;
    json_t *missing, *not_checked;
};

static void say(json_t *list, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(json_t *list, const char *fmt, ...)
{
    char line[SENTENCE_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    json_array_append_new(list, json_text(line));
}

static void look_for(const struct looking *looking, const struct reference_kind *kind,
                     const char *name)
{
    const char *namespace_ = looking->service->namespace_;
    struct kube_request request = {.resource = kind->resource,
                                   .namespace_ = namespace_,
                                   .name = name,
                                   .metadata_only = true,
                                   .timeout_ms = mono_left(looking->deadline) + 1};
    struct error err;
    if (kube_request(looking->client, &request, NULL, &err))
        return;
    if (err.code == ERR_NOT_FOUND) {
        say(looking->missing, "%s \"%s\" does not exist: kubectl -n %s %s %s%s", kind->kind, name,
            namespace_, kind->remedy, name, kind->rest);
    } else if (err.code == ERR_FORBIDDEN) {
        say(looking->not_checked,
            "%s \"%s\": cronwright may not look whether it exists; "
            "deploy/manifests/rbac-check-references.yaml lets it",
            kind->kind, name);
    } else {
        say(looking->not_checked, "%s \"%s\": %s", kind->kind, name, err.text);
    }
}

static void look_for_references(const struct looking *looking, const json_t *template)
{
    CLEANUP(json_ptr) json_t *references = readiness_references(template);
    size_t i;
    json_t *reference;
    json_array_foreach(references, i, reference)
    {
        const char *kind = json_text_at(reference, "kind", NULL);
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
            if (strcmp(kinds[k].kind, kind) == 0)
                look_for(looking, &kinds[k], json_text_at(reference, "name", NULL));
    }
}

static void look_at_schedule(const struct looking *looking)
{
    const struct service *service = looking->service;
    struct schedule schedule;
    CLEANUP(zone_ptr) struct zone *zone = NULL;
    struct error err;
    int64_t next;
    if (!schedule_parse(service->schedule, &schedule, NULL, &err) ||
        !zone_open(service->time_zone, &zone, &err))
        say(looking->missing, "schedule \"%s\": %s", service->schedule, err.text);
    else if (!schedule_next(&schedule, zone, wall_now().ms / 1000, &next))
        say(looking->missing, "schedule \"%s\" never fires: give another one", service->schedule);
}

static void look_at_pod(const struct looking *looking, const json_t *cronjob)
{
    CLEANUP(service_verdict_finish) struct service_verdict verdict = {0};
    struct error err;
    size_t i;
    json_t *fault;
    service_verdict_init(&verdict);
    if (!service_try_pod(looking->client, cronjob, &verdict, &err))
        say(looking->not_checked, "admission, quota and Pod security: %s", err.text);
    json_array_extend(looking->not_checked, verdict.not_checked);
    json_array_foreach(verdict.faults, i, fault)
    {
        const char *pointer = json_text_at(fault, "pointer", NULL);
        say(looking->missing,
            "its pod%s%s: %s; change that, or what the "
            "namespace admits",
            *pointer ? ", " : "", pointer, json_text_at(fault, "detail", NULL));
    }
}

void readiness_check(struct kube_client *client, const json_t *cronjob,
                     const struct service *service, struct mono_time deadline, json_t *missing,
                     json_t *not_checked)
{
    const struct looking looking = {client, service, deadline, missing, not_checked};
    const json_t *template = cronjob_pod_template(cronjob);
    if (*service->problem)
        say(missing, "%s", service->problem);
    look_at_schedule(&looking);
    look_for_references(&looking, template);
    look_at_pod(&looking, cronjob);
}
