#include "deploy/service_owner.h"
#include "agent/base/text.h"

#include <stdio.h>
#include <string.h>

// Labels and annotations by which the tools find what is theirs.
static const struct {
    const char *map, *key, *words;
} marks[] = {
    {"labels", "kustomize.toolkit.fluxcd.io/name", "Flux Kustomization"},
    {"labels", "helm.toolkit.fluxcd.io/name", "Flux HelmRelease"},
    {"annotations", "argocd.argoproj.io/tracking-id", "Argo CD application"},
    {"labels", "argocd.argoproj.io/instance", "Argo CD application"},
    {"annotations", "meta.helm.sh/release-name", "Helm release"},
};

// The names under which they write. `named_by`: the label that has the name then.
static const struct {
    const char *manager, *words, *named_by;
} managers[] = {
    {"kustomize-controller", "Flux Kustomization", NULL},
    {"helm-controller", "Flux HelmRelease", NULL},
    {"argocd-controller", "Argo CD application", "app.kubernetes.io/instance"},
    {"argocd-application-controller", "Argo CD application", "app.kubernetes.io/instance"},
    {"helm", "Helm release", "app.kubernetes.io/instance"},
};

static bool by_mark(const json_t *cronjob, char *out, size_t room)
{
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const char *value = json_text_at(cronjob, "metadata", marks[i].map, marks[i].key, NULL);
        if (!value || !*value)
            continue;
        // A tracking id goes on after ':'.
        snprintf(out, room, "%s %.*s", marks[i].words, (int)strcspn(value, ":"), value);
        return true;
    }
    return false;
}

static void name_it(const json_t *cronjob, const char *words, const char *named_by, char *out,
                    size_t room)
{
    const char *name =
        named_by ? json_text_at(cronjob, "metadata", "labels", named_by, NULL) : NULL;
    snprintf(out, room, "%s%s%s", words, name && *name ? " " : "", name ? name : "");
}

// Which of `managers` a set of fields belongs to; -1: none of them.
static int manager_of(const json_t *fields)
{
    const char *name = json_text_at(fields, "manager", NULL);
    for (size_t i = 0; name && i < sizeof managers / sizeof *managers; i++)
        if (strcmp(name, managers[i].manager) == 0)
            return (int)i;
    return -1;
}

static bool by_manager(const json_t *cronjob, char *out, size_t room)
{
    size_t i;
    json_t *fields;
    json_array_foreach(json_at(cronjob, "metadata", "managedFields", NULL), i, fields)
    {
        int manager = manager_of(fields);
        if (manager < 0)
            continue;
        name_it(cronjob, managers[manager].words, managers[manager].named_by, out, room);
        return true;
    }
    return false;
}

bool cronjob_image_by_owner(const json_t *cronjob, const struct service *service)
{
    const char *list = service->init_container ? "f:initContainers" : "f:containers";
    CLEANUP(free_ptr) char *container = xasprintf("k:{\"name\":\"%s\"}", service->container);
    size_t i;
    json_t *fields;
    json_array_foreach(json_at(cronjob, "metadata", "managedFields", NULL), i, fields)
    {
        if (manager_of(fields) >= 0 &&
            json_at(fields, "fieldsV1", "f:spec", "f:jobTemplate", "f:spec", "f:template", "f:spec",
                    list, container, "f:image", NULL))
            return true;
    }
    return false;
}

bool cronjob_owner(const json_t *cronjob, char *out, size_t room)
{
    if (by_mark(cronjob, out, room) || by_manager(cronjob, out, room))
        return true;
    // The convention of charts, where the release left no other mark.
    const char *by =
        json_text_at(cronjob, "metadata", "labels", "app.kubernetes.io/managed-by", NULL);
    if (!by || strcmp(by, "Helm") != 0)
        return false;
    name_it(cronjob, "Helm release", "app.kubernetes.io/instance", out, room);
    return true;
}

char *service_owner_warning(const struct service *service)
{
    static const struct {
        const char *words, *advice;
    } advices[] = {
        {"Flux Kustomization",
         "reconciles it and puts its image and suspend back; in Git, annotate the CronJob with "
         "kustomize.toolkit.fluxcd.io/ssa: IfNotPresent"},
        {"Flux HelmRelease",
         "puts its image and suspend back with the next upgrade, and at once with drift "
         "detection; leave both out of the chart's template, and list /spec/suspend and "
         "/spec/jobTemplate in spec.driftDetection.ignore of the HelmRelease"},
        {"Argo CD",
         "puts its image and suspend back with the next sync; in the Application, add to "
         "spec.ignoreDifferences {group: batch, kind: CronJob, jqPathExpressions: "
         "[.spec.suspend, '.spec.jobTemplate.spec.template.spec.containers[].image']} and to "
         "spec.syncPolicy.syncOptions RespectIgnoreDifferences=true"},
        {"Helm release",
         "puts its image and suspend back with the next upgrade; leave both out of the chart's "
         "template, or set the values that they come from to what cronwright shows before each "
         "helm upgrade"},
    };
    for (size_t i = 0; i < sizeof advices / sizeof *advices; i++)
        if (text_starts(service->owner, advices[i].words))
            return xasprintf("%s %s", service->owner, advices[i].advice);
    return NULL;
}
