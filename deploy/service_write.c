#include "deploy/service_write.h"
#include "deploy/document_path.h"
#include "deploy/merge.h"

#include <stdio.h>
#include <string.h>

#define TEMPLATE "spec.jobTemplate.spec.template"

void service_verdict_init(struct service_verdict *verdict)
{
    *verdict = (struct service_verdict){json_array(), json_array(), json_array()};
}

void service_verdict_finish(struct service_verdict *verdict)
{
    json_decref(verdict->faults);
    json_decref(verdict->warnings);
    json_decref(verdict->not_checked);
    *verdict = (struct service_verdict){0};
}

static bool has(const json_t *list, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_equal(json_array_get(list, i), value))
            return true;
    return false;
}

// Those that are not there yet: CronJob and pod are refused for the same things.
static void add_new(json_t *list, const json_t *more)
{
    size_t i;
    json_t *item;
    json_array_foreach(more, i, item)
    {
        if (!has(list, item))
            json_array_append(list, item);
    }
}

// --- refusals ---

// Our own rights do not reach that far; it says nothing of the service.
static bool is_lack_of_rights(const struct kube_reply *reply, const struct error *err)
{
    return reply->status == 403 && strstr(err->text, "cannot ") &&
           strstr(err->text, " resource \"");
}

// What a refusal as a whole is about.
static const char *pointer_of_refusal(const char *text)
{
    static const struct {
        const char *words;
        const char *pointer;
    } topics[] = {
        {"violates PodSecurity", "/security"},  {"quota", "/resources"},
        {"service account", "/serviceAccount"}, {"serviceaccount", "/serviceAccount"},
        {"memory usage per ", "/resources"},    {"cpu usage per ", "/resources"},
        {"namespaces \"", "/namespace"},
    };
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++)
        if (strstr(text, topics[i].words))
            return topics[i].pointer;
    return "";
}

// "403 Forbidden: pods "x-1" is forbidden: violates …" → what follows the name, which is made up.
static const char *without_name(const char *text)
{
    static const char marker[] = " is forbidden: ";
    const char *at = strstr(text, marker);
    return at ? at + sizeof marker - 1 : text;
}

// `prefix` is where what was asked for stands in the CronJob.
static void add_refusal(const json_t *causes, const char *prefix, const struct error *err,
                        struct service_verdict *verdict)
{
    CLEANUP(json_ptr) json_t *faults = json_array();
    size_t i;
    json_t *cause;
    json_array_foreach(causes, i, cause)
    {
        const char *field = json_text_at(cause, "field", NULL);
        const char *message = json_text_at(cause, "message", NULL);
        CLEANUP(free_ptr) char *whole = xasprintf("%s%s", prefix, field ? field : "");
        CLEANUP(free_ptr) char *pointer = document_pointer(whole);
        bool told = *pointer != '\0';
        document_fault(faults, pointer, "%s%s%s", told || !field ? "" : field,
                       told || !field ? "" : ": ", message ? message : err->text);
    }
    if (json_array_size(causes) == 0)
        document_fault(faults, pointer_of_refusal(err->text), "Kubernetes refuses it: %s",
                       without_name(err->text));
    add_new(verdict->faults, faults);
}

// Whether the answer is a refusal of what was asked for, rather than a failure to ask.
static bool is_refusal(const struct kube_reply *reply, const struct error *err)
{
    return reply->status == 400 || reply->status == 422 || reply->status == 413 ||
           (reply->status == 403 && !is_lack_of_rights(reply, err));
}

// --- requests ---

// Sends; a refusal goes to the verdict. False: it could not be asked.
static bool ask(struct kube_client *client, struct kube_request *request, const char *prefix,
                struct kube_reply *reply, struct service_verdict *verdict, struct error *err)
{
    CLEANUP(json_ptr) json_t *causes = NULL;
    request->causes = &causes;
    bool ok = kube_request(client, request, reply, err);
    request->causes = NULL;
    if (ok)
        add_new(verdict->warnings, reply->warnings);
    else if (is_refusal(reply, err))
        add_refusal(causes, prefix, err, verdict);
    else
        return false;
    return true;
}

static const char *name_of(const json_t *cronjob)
{
    const char *name = json_text_at(cronjob, "metadata", "name", NULL);
    return name ? name : "";
}

static const char *namespace_of(const json_t *cronjob)
{
    const char *namespace_ = json_text_at(cronjob, "metadata", "namespace", NULL);
    return namespace_ ? namespace_ : "";
}

// The pod that its Jobs would make.
bool service_try_pod(struct kube_client *client, const json_t *cronjob,
                     struct service_verdict *verdict, struct error *err)
{
    CLEANUP(json_ptr) json_t *pod = json_deep_copy(path_get(cronjob, TEMPLATE));
    CLEANUP(free_ptr) char *start = xasprintf("%s-", name_of(cronjob));
    json_object_set_new(pod, "apiVersion", json_string("v1"));
    json_object_set_new(pod, "kind", json_string("Pod"));
    json_object_set_new(path_object(pod, "metadata"), "generateName", json_string(start));
    struct kube_request request = {.method = "POST",
                                   .resource = &KUBE_PODS,
                                   .namespace_ = namespace_of(cronjob),
                                   .query = {{"dryRun", "All"}, {"fieldValidation", "Strict"}},
                                   .body = pod};
    CLEANUP(kube_reply_finish) struct kube_reply reply = {0};
    if (ask(client, &request, TEMPLATE ".", &reply, verdict, err))
        return true;
    if (reply.status == 0 || reply.status == 401)
        return false;
    char sentence[ERROR_TEXT_MAX + 96];
    snprintf(sentence, sizeof sentence,
             "admission, quota and Pod security were not asked: the pod's dry run failed: %s",
             err->text);
    json_array_append_new(verdict->not_checked, json_text(sentence));
    return true;
}

static struct kube_request creation(const json_t *cronjob)
{
    return (struct kube_request){.method = "POST",
                                 .resource = &KUBE_CRONJOBS,
                                 .namespace_ = namespace_of(cronjob),
                                 .body = cronjob};
}

bool service_try_create(struct kube_client *client, const json_t *cronjob,
                        struct service_verdict *verdict, struct error *err)
{
    struct kube_request request = creation(cronjob);
    request.query[0] = (struct kube_query){"dryRun", "All"};
    request.query[1] = (struct kube_query){"fieldValidation", "Strict"};
    CLEANUP(kube_reply_finish) struct kube_reply reply = {0};
    if (ask(client, &request, "", &reply, verdict, err))
        return service_try_pod(client, cronjob, verdict, err);
    if (reply.status == 404) {
        document_fault(verdict->faults, "/namespace", "there is no namespace \"%s\" in the cluster",
                       namespace_of(cronjob));
        return true;
    }
    return error_wrap(err, "ask for cronjob %s/%s", namespace_of(cronjob), name_of(cronjob));
}

bool service_create(struct kube_client *client, const json_t *cronjob, json_t **made,
                    struct service_verdict *verdict, struct error *err)
{
    struct kube_request request = creation(cronjob);
    CLEANUP(kube_reply_finish) struct kube_reply reply = {0};
    if (!kube_request(client, &request, &reply, err))
        return error_wrap(err, "create cronjob %s/%s", namespace_of(cronjob), name_of(cronjob));
    add_new(verdict->warnings, reply.warnings);
    *made = TAKE(reply.body);
    return true;
}

// The merge patch, which holds only for what `before` is. The caller frees.
static json_t *guarded_patch(const json_t *before, const json_t *after)
{
    json_t *patch = merge_between(before, after);
    const char *version = json_text_at(before, "metadata", "resourceVersion", NULL);
    path_set(patch, "metadata.resourceVersion", json_text(version ? version : ""));
    return patch;
}

static struct kube_request change_of(const json_t *cronjob, const json_t *patch)
{
    return (struct kube_request){.method = "PATCH",
                                 .resource = &KUBE_CRONJOBS,
                                 .namespace_ = namespace_of(cronjob),
                                 .name = name_of(cronjob),
                                 .content_type = KUBE_MERGE_PATCH,
                                 .body = patch};
}

bool service_try_change(struct kube_client *client, const json_t *before, const json_t *after,
                        struct service_verdict *verdict, struct error *err)
{
    CLEANUP(json_ptr) json_t *patch = guarded_patch(before, after);
    struct kube_request request = change_of(before, patch);
    request.query[0] = (struct kube_query){"dryRun", "All"};
    request.query[1] = (struct kube_query){"fieldValidation", "Strict"};
    CLEANUP(kube_reply_finish) struct kube_reply reply = {0};
    if (!ask(client, &request, "", &reply, verdict, err))
        return error_wrap(err, "ask for cronjob %s/%s", namespace_of(before), name_of(before));
    return json_equal(path_get(before, TEMPLATE), path_get(after, TEMPLATE)) ||
           service_try_pod(client, after, verdict, err);
}

bool service_change(struct kube_client *client, const json_t *before, const json_t *after,
                    json_t **changed, struct service_verdict *verdict, struct error *err)
{
    CLEANUP(json_ptr) json_t *patch = guarded_patch(before, after);
    struct kube_request request = change_of(before, patch);
    CLEANUP(kube_reply_finish) struct kube_reply reply = {0};
    if (!kube_request(client, &request, &reply, err))
        return error_wrap(err, "change cronjob %s/%s", namespace_of(before), name_of(before));
    add_new(verdict->warnings, reply.warnings);
    *changed = TAKE(reply.body);
    return true;
}

bool service_skip_missed(struct kube_client *client, json_t **cronjob, struct error *err)
{
    char now[RFC3339_SIZE];
    wall_format(wall_now(), false, now);
    CLEANUP(json_ptr) json_t *after = json_deep_copy(*cronjob);
    path_set(after, "status.lastScheduleTime", json_string(now));
    CLEANUP(json_ptr) json_t *patch = guarded_patch(*cronjob, after);
    struct kube_request request = change_of(*cronjob, patch);
    request.subresource = "status";
    CLEANUP(kube_reply_finish) struct kube_reply reply = {0};
    if (!kube_request(client, &request, &reply, err))
        return error_wrap(err, "skip missed times of cronjob %s/%s", namespace_of(*cronjob),
                          name_of(*cronjob));
    json_decref(*cronjob);
    *cronjob = TAKE(reply.body);
    return true;
}

bool service_fetch(struct kube_client *client, const char *namespace_, const char *name,
                   json_t **out, struct error *err)
{
    return cronjob_read(client, namespace_, name, out, err) ||
           error_wrap(err, "cronjob %s/%s", namespace_, name);
}
