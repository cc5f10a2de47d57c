#include "deploy/runs.h"
#include "agent/base/crypto.h"
#include "agent/base/printable.h"
#include "agent/base/text.h"
#include "deploy/cronjob_json.h"
#include "deploy/runs_json.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define RUN_LIST_MAX     500  // runs kept of one list
#define PODS_MAX         2000 // pods kept of one list
#define JOBS_AT_ONCE     20   // Jobs whose pods are asked for in one request
#define SUFFIX_LEN       8
#define NAME_TRIES       5
#define GONE_POLL_MS     250
#define ACTIVE_NAMES_MAX 32
#define OVERRIDDEN_MAX   8192 // bytes of the names of one run's variables

// --- lists ---

// The Jobs of one service, newest first.
struct job_list {
    const char *uid; // of the CronJob
    json_t **jobs;   // room for `limit`, made with the first
    size_t count;
    size_t limit;
    bool active_only;
    const char *other_than; // leave out what this idempotency key's hash has made; NULL: nothing
};

static void job_list_clear(void *user)
{
    struct job_list *list = user;
    for (size_t i = 0; i < list->count; i++)
        json_decref(list->jobs[i]);
    list->count = 0;
}

static void job_list_ptr(struct job_list *list)
{
    job_list_clear(list);
    free(list->jobs);
}

static int64_t age_of(const json_t *job)
{
    return json_time(json_at(job, "metadata", "creationTimestamp", NULL)).ms;
}

// Made by a request with the idempotency key of this hash.
static bool has_key(const json_t *job, const char *key_hash)
{
    const char *key =
        json_text_at(job, "metadata", "annotations", ANNOTATION_IDEMPOTENCY_KEY, NULL);
    return key && strcmp(key, key_hash) == 0;
}

// Keeps the newest `limit`, in order.
static bool job_list_item(void *user, const json_t *object)
{
    struct job_list *list = user;
    if (!job_is_controlled_by(object, list->uid) ||
        (list->active_only && job_is_finished(object)) ||
        (list->other_than && has_key(object, list->other_than)))
        return true;
    if (!list->jobs)
        list->jobs = xalloc(list->limit * sizeof(json_t *));
    size_t at = list->count;
    while (at > 0 && age_of(list->jobs[at - 1]) < age_of(object))
        at--;
    if (at == list->limit)
        return true;
    if (list->count == list->limit)
        json_decref(list->jobs[--list->count]);
    memmove(&list->jobs[at + 1], &list->jobs[at], (list->count - at) * sizeof list->jobs[0]);
    list->jobs[at] = json_incref((json_t *)(uintptr_t)object);
    list->count++;
    return true;
}

static bool list_jobs(struct kube_client *client, const struct service *service,
                      struct job_list *list, struct error *err)
{
    static const struct kube_list_events events = {job_list_clear, job_list_item};
    struct kube_request request = {.resource = &KUBE_JOBS, .namespace_ = service->namespace_};
    list->uid = service->uid;
    return kube_list(client, &request, &events, list, err);
}

static void pods_clear(void *user)
{
    json_array_clear(user);
}

static bool pods_item(void *user, const json_t *object)
{
    json_array_append(user, (json_t *)(uintptr_t)object);
    return json_array_size(user) < PODS_MAX;
}

// The pods of up to JOBS_AT_ONCE Jobs. `timeout_ms` as kube_list() has it.
static bool list_pods(struct kube_client *client, const char *namespace_, json_t *const jobs[],
                      size_t count, int64_t timeout_ms, json_t **out, struct error *err)
{
    static const struct kube_list_events events = {pods_clear, pods_item};
    CLEANUP(buffer_finish) struct buffer selector = {0};
    CLEANUP(json_ptr) json_t *pods = json_array();
    if (!buffer_printf(&selector, err, KUBE_LABEL_CONTROLLER_UID " in ("))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!buffer_printf(&selector, err, "%s%s", i ? "," : "",
                           json_text_at(jobs[i], "metadata", "uid", NULL)))
            return false;
    if (!buffer_printf(&selector, err, ")"))
        return false;
    struct kube_request request = {.resource = &KUBE_PODS,
                                   .namespace_ = namespace_,
                                   .query = {{"labelSelector", buffer_text(&selector)}},
                                   .timeout_ms = timeout_ms};
    if (!kube_list(client, &request, &events, pods, err))
        return false;
    *out = TAKE(pods);
    return true;
}

void run_list_finish(struct run_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        run_free(list->items[i]);
    free(list->items);
    *list = (struct run_list){0};
}

static bool project(struct kube_client *client, const struct service *service, json_t *const jobs[],
                    size_t count, struct run_list *out, struct error *err)
{
    CLEANUP(json_ptr) json_t *pods = NULL;
    if (!list_pods(client, service->namespace_, jobs, count, 0, &pods, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!run_from_json(jobs[i], pods, service, &out->items[out->count], err))
            return false;
        out->count++;
    }
    return true;
}

bool run_list(struct kube_client *client, const struct service *service, size_t limit,
              struct run_list *out, struct error *err)
{
    CLEANUP(job_list_ptr)
    struct job_list list = {.limit = limit && limit < RUN_LIST_MAX ? limit : RUN_LIST_MAX};
    CLEANUP(run_list_finish) struct run_list runs = {0};
    bool ok = list_jobs(client, service, &list, err);
    runs.items = xalloc((list.count + 1) * sizeof(struct run *));
    for (size_t done = 0; ok && done < list.count; done += JOBS_AT_ONCE) {
        size_t part = list.count - done < JOBS_AT_ONCE ? list.count - done : JOBS_AT_ONCE;
        ok = project(client, service, &list.jobs[done], part, &runs, err);
    }
    if (!ok)
        return error_wrap(err, "runs of %s/%s", service->namespace_, service->name);
    *out = runs;
    runs = (struct run_list){0};
    return true;
}

// --- one run ---

static bool get_job(struct kube_client *client, const char *namespace_, const char *name,
                    json_t **out, struct error *err)
{
    struct kube_request request = {.resource = &KUBE_JOBS, .namespace_ = namespace_, .name = name};
    struct kube_reply reply;
    if (!kube_request(client, &request, &reply, err))
        return false;
    *out = TAKE(reply.body);
    kube_reply_finish(&reply);
    return true;
}

static bool get_own_job(struct kube_client *client, const struct service *service, const char *name,
                        json_t **out, struct error *err)
{
    CLEANUP(json_ptr) json_t *job = NULL;
    if (!get_job(client, service->namespace_, name, &job, err))
        return false;
    if (!job_is_controlled_by(job, service->uid))
        return error_set(err, ERR_NOT_FOUND, "that Job is no run of %s", service->name);
    *out = TAKE(job);
    return true;
}

static bool wrap_run(const struct service *service, const char *name, struct error *err)
{
    return error_wrap(err, "run %s/%.*s", service->namespace_, KUBE_NAME_MAX, name);
}

static bool view(struct kube_client *client, const struct service *service, json_t *job,
                 struct run **out, struct error *err)
{
    CLEANUP(json_ptr) json_t *pods = NULL;
    return list_pods(client, service->namespace_, &job, 1, 0, &pods, err) &&
           run_from_json(job, pods, service, out, err);
}

bool run_get(struct kube_client *client, const struct service *service, const char *name,
             struct run **out, struct error *err)
{
    CLEANUP(json_ptr) json_t *job = NULL;
    return (get_own_job(client, service, name, &job, err) &&
            view(client, service, job, out, err)) ||
           wrap_run(service, name, err);
}

bool run_cancel(struct kube_client *client, const struct service *service, const char *name,
                enum kube_propagation propagation, struct error *err)
{
    CLEANUP(json_ptr) json_t *job = NULL;
    return (get_own_job(client, service, name, &job, err) &&
            kube_delete(client, &KUBE_JOBS, service->namespace_, name,
                        json_text_at(job, "metadata", "uid", NULL), propagation, err)) ||
           wrap_run(service, name, err);
}

// --- making one ---

bool run_if_active_parse(const char *word, enum run_if_active *out)
{
    static const char *const words[] = {
        [RUN_REFUSE] = "refuse", [RUN_ALLOW] = "allow", [RUN_REPLACE] = "replace"};
    for (enum run_if_active i = RUN_REFUSE; i <= RUN_REPLACE; i++)
        if (strcmp(word, words[i]) == 0) {
            *out = i;
            return true;
        }
    return false;
}

// The key's hash for this CronJob: the same key may be used for another one.
static void hash_key(const char *uid, const char *key, uint8_t out[static SHA256_SIZE])
{
    CLEANUP(free_ptr) char *text = xasprintf("%s\n%s", uid, key);
    sha256(text, strlen(text), out);
}

void run_name(const char *cronjob, const char *uid, const char *idempotency_key,
              char out[static RUN_NAME_SIZE])
{
    // As Kubernetes' own generated names: nothing that reads as a word or is taken for another.
    static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";
    static_assert(sizeof "-f-" - 1 + SUFFIX_LEN + KUBE_CRONJOB_NAME_MAX < RUN_NAME_SIZE,
                  "a forced run has the whole name of its CronJob");
    uint8_t bytes[SHA256_SIZE];
    char suffix[SUFFIX_LEN + 1] = "";
    if (idempotency_key && *idempotency_key)
        hash_key(uid, idempotency_key, bytes);
    else
        random_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < SUFFIX_LEN; i++) // two bytes each, so that no letter is much likelier
        suffix[i] =
            alphabet[(size_t)(bytes[2 * i] << 8 | bytes[2 * i + 1]) % (sizeof alphabet - 1)];
    snprintf(out, RUN_NAME_SIZE, "%.*s-f-%s", KUBE_CRONJOB_NAME_MAX, cronjob, suffix);
}

// A request on its way.
struct creation {
    struct kube_client *client;
    const struct run_request *request;
    const struct service *service;
    json_t *cronjob;
    char name[RUN_NAME_SIZE];
    char key[SHA256_HEX_SIZE]; // the idempotency key's hash; "" when there is none
};

static void creation_finish(struct creation *creation)
{
    service_drop(creation->service);
    json_decref(creation->cronjob);
}

static void annotate(json_t *annotations, const char *key, const char *value)
{
    if (value && *value)
        json_object_set_new(annotations, key, json_string(value));
}

// Which variables, and whether arguments, were given for this run alone. Never the values: they may
// be secrets.
static void annotate_overrides(json_t *annotations, const struct run_request *request)
{
    CLEANUP(buffer_finish) struct buffer text = {.cap = OVERRIDDEN_MAX};
    const char *name, *before = "env ";
    json_t *value;
    bool fits = true; // else the first ones are enough
    json_object_foreach(json_unconst(request->env), name, value)
    {
        fits = fits && buffer_printf(&text, NULL, "%s%s", before, name);
        before = ", ";
    }
    if (request->args && fits && !buffer_printf(&text, NULL, "%sargs", text.len ? "; " : ""))
        return;
    annotate(annotations, ANNOTATION_OVERRIDDEN, buffer_text(&text));
}

static json_t *job_annotations(const struct creation *creation, const json_t *template)
{
    const struct service *service = creation->service;
    char requester[RUN_REQUESTER_MAX + 1] = "";
    json_t *annotations = json_pack("{s:s}", KUBE_ANNOTATION_INSTANTIATE, "manual");
    json_object_update(annotations,
                       json_object_get(json_object_get(template, "metadata"), "annotations"));
    if (creation->request->requested_by)
        printable_copy(requester, sizeof requester, creation->request->requested_by,
                       strlen(creation->request->requested_by));
    annotate(annotations, ANNOTATION_RUN_KIND, run_kind_word(creation->request->kind));
    annotate(annotations, ANNOTATION_REQUESTED_BY, requester);
    annotate(annotations, ANNOTATION_IDEMPOTENCY_KEY, creation->key);
    annotate_overrides(annotations, creation->request);
    if (strcmp(service->image, service->patched_image) == 0) { // else set by hand: not that commit
        annotate(annotations, ANNOTATION_COMMIT, service->commit);
        annotate(annotations, ANNOTATION_BUILD, service->build);
    }
    return annotations;
}

static json_t *counting_container(const json_t *spec, const struct service *service)
{
    json_t *containers = json_unconst(json_at(spec, "template", "spec", "containers", NULL));
    size_t i;
    json_t *container;
    json_array_foreach(containers, i, container)
    {
        const char *name = json_text_at(container, "name", NULL);
        if (name && strcmp(name, service->container) == 0)
            return container;
    }
    return json_array_get(containers, 0);
}

// Takes what has one of the names out of a container's list of variables.
static void drop_variables(json_t *list, const json_t *names)
{
    for (size_t i = json_array_size(list); i > 0; i--) {
        const char *name = json_text_at(json_array_get(list, i - 1), "name", NULL);
        if (name && json_object_get(names, name))
            json_array_remove(list, i - 1);
    }
}

static json_t * override(const json_t *spec, const struct service *service,
                         const struct run_request *request)
{
    json_t *own = json_deep_copy(spec);
    json_t *container = counting_container(own, service);
    const char *name;
    json_t *value;
    if (request->args)
        json_object_set(container, "args", json_unconst(request->args));
    if (!request->env)
        return own;
    json_t *env = json_object_get(container, "env");
    if (!json_is_array(env)) {
        env = json_array();
        json_object_set_new(container, "env", env);
    }
    drop_variables(env, request->env);
    // In front, so that other variables may refer to them.
    json_object_foreach(json_unconst(request->env), name, value)
        json_array_insert_new(env, 0, json_pack("{s:s, s:O}", "name", name, "value", value));
    return own;
}

// As `kubectl create job --from=cronjob/…` (createJobFromCronJob in k8s.io/kubectl).
static json_t *make_job(const struct creation *creation)
{
    const struct service *service = creation->service;
    const json_t *template = json_at(creation->cronjob, "spec", "jobTemplate", NULL);
    json_t *labels = json_object_get(json_object_get(template, "metadata"), "labels");
    json_t *owner =
        json_pack("{s:s, s:s, s:s, s:s, s:b}", "apiVersion", "batch/v1", "kind", "CronJob", "name",
                  service->name, "uid", service->uid, "controller", 1);
    json_t *metadata = json_pack("{s:s, s:s, s:o, s:[o]}", "name", creation->name, "namespace",
                                 service->namespace_, "annotations",
                                 job_annotations(creation, template), "ownerReferences", owner);
    if (labels)
        json_object_set(metadata, "labels", labels);
    json_t *spec = json_object_get(template, "spec");
    bool overrides = creation->request->env || creation->request->args;
    return json_pack("{s:s, s:s, s:o, s:o}", "apiVersion", "batch/v1", "kind", "Job", "metadata",
                     metadata, "spec",
                     overrides ? override(spec, service, creation->request) : json_incref(spec));
}

// The Job that an earlier request with this key made. *out stays NULL when there is none.
static bool find_earlier(const struct creation *creation, json_t **out, struct error *err)
{
    CLEANUP(json_ptr) json_t *job = NULL;
    struct error failure;
    if (!get_job(creation->client, creation->service->namespace_, creation->name, &job, &failure))
        return failure.code == ERR_NOT_FOUND || error_set(err, failure.code, "%s", failure.text);
    if (!has_key(job, creation->key) || !job_is_controlled_by(job, creation->service->uid))
        return error_set(err, ERR_CONFLICT, "there is another Job of the name %s", creation->name);
    *out = TAKE(job);
    return true;
}

static bool job_is_there(const struct creation *creation, const json_t *job, bool *there,
                         struct error *err)
{
    const char *name = json_text_at(job, "metadata", "name", NULL);
    const char *uid = json_text_at(job, "metadata", "uid", NULL);
    CLEANUP(json_ptr) json_t *now = NULL;
    struct error failure = {.code = ERR_NONE};
    if (!get_job(creation->client, creation->service->namespace_, name, &now, &failure) &&
        failure.code != ERR_NOT_FOUND)
        return error_set(err, failure.code, "%s", failure.text);
    *there = now && strcmp(json_text_at(now, "metadata", "uid", NULL), uid) == 0;
    return true;
}

// Of a Job that is gone: a pod that the Job controller made last may outlive it by a moment, unseen
// by the garbage collector.
static bool pods_are_there(const struct creation *creation, json_t *job)
{
    const char *uid = json_text_at(job, "metadata", "uid", NULL);
    CLEANUP(json_ptr) json_t *pods = NULL;
    struct error err;
    if (!list_pods(creation->client, creation->service->namespace_, &job, 1,
                   KUBE_TIMEOUT_MS_DEFAULT, &pods, &err))
        return err.code != ERR_FORBIDDEN; // who may not look does not wait
    size_t i;
    json_t *pod;
    json_array_foreach(pods, i, pod) if (job_is_controlled_by(pod, uid)) return true;
    return false;
}

// Waits until the Job and its pods are gone; one request at a time, so that the deadline holds.
static bool wait_gone(const struct creation *creation, json_t *job, struct mono_time deadline,
                      struct error *err)
{
    for (bool there = true;;) {
        bool was_there = there;
        if (there && !job_is_there(creation, job, &there, err))
            return false;
        if (!was_there && !pods_are_there(creation, job))
            return true;
        if (mono_past(deadline))
            return error_set(err, ERR_TIMEOUT, "run %s is still being deleted",
                             json_text_at(job, "metadata", "name", NULL));
        if (was_there == there)
            mono_sleep(GONE_POLL_MS);
    }
}

static bool replace_active(const struct creation *creation, const struct job_list *active,
                           struct error *err)
{
    int64_t timeout = creation->request->replace_timeout_ms;
    struct mono_time deadline = mono_after(timeout > 0 ? timeout : RUN_REPLACE_TIMEOUT_MS_DEFAULT);
    for (size_t i = 0; i < active->count; i++) {
        const json_t *job = active->jobs[i];
        struct error failure;
        if (!kube_delete(creation->client, &KUBE_JOBS, creation->service->namespace_,
                         json_text_at(job, "metadata", "name", NULL),
                         json_text_at(job, "metadata", "uid", NULL), KUBE_FOREGROUND, &failure) &&
            failure.code != ERR_NOT_FOUND)
            return error_set(err, failure.code, "%s", failure.text);
    }
    for (size_t i = 0; i < active->count; i++)
        if (!wait_gone(creation, active->jobs[i], deadline, err))
            return false;
    return true;
}

static bool settle_active(const struct creation *creation, struct run_created *out,
                          struct error *err)
{
    if (creation->request->if_active == RUN_ALLOW)
        return true;
    CLEANUP(job_list_ptr)
    struct job_list active = {.limit = ACTIVE_NAMES_MAX, .active_only = true};
    if (*creation->key) // the same request, arriving twice at once, does not stand in its own way
        active.other_than = creation->key;
    if (!list_jobs(creation->client, creation->service, &active, err))
        return false;
    if (active.count == 0)
        return true;
    if (creation->request->if_active == RUN_REPLACE)
        return replace_active(creation, &active, err);
    text_copy(out->active, sizeof out->active,
              json_text_at(active.jobs[0], "metadata", "name", NULL));
    return error_set(err, ERR_CONFLICT, "run %s is active", out->active);
}

// A request without an answer, or with a server's error, does not say whether the Job was made; and
// one that libcurl sent twice, since a kept connection broke, finds its own. No other Job of the
// service has its name but by an improbable chance.
static bool was_made(const struct creation *creation, const struct kube_reply *reply, json_t **job)
{
    CLEANUP(json_ptr) json_t *found = NULL;
    bool taken = reply->reason == KUBE_REASON_ALREADY_EXISTS && !*creation->key;
    if ((reply->status > 0 && reply->status < 500 && !taken) ||
        !get_job(creation->client, creation->service->namespace_, creation->name, &found, NULL) ||
        !job_is_controlled_by(found, creation->service->uid))
        return false;
    *job = TAKE(found);
    return true;
}

// POSTs the Job. When the name is taken: by an earlier request with this key (found), or by chance,
// in which case another name is tried.
static bool post_job(struct creation *creation, json_t **job, struct run_created *created,
                     struct error *err)
{
    for (int tries = 0;; tries++) {
        CLEANUP(json_ptr) json_t *body = make_job(creation);
        struct kube_request request = {.method = "POST",
                                       .resource = &KUBE_JOBS,
                                       .namespace_ = creation->service->namespace_,
                                       .body = body};
        struct kube_reply reply;
        if (kube_request(creation->client, &request, &reply, err)) {
            *job = reply.body;
            created->warnings = reply.warnings;
            return true;
        }
        if (was_made(creation, &reply, job))
            return true;
        if (reply.reason != KUBE_REASON_ALREADY_EXISTS || tries == NAME_TRIES)
            return false;
        if (*creation->key) {
            created->existed = true;
            if (!find_earlier(creation, job, err) || *job)
                return *job != NULL;
            created->existed = false; // gone in between: it can be made now
        } else {
            run_name(creation->service->name, creation->service->uid, NULL, creation->name);
        }
    }
}

static bool begin(struct creation *creation, const char *namespace_, const char *cronjob,
                  struct error *err)
{
    const char *key = creation->request->idempotency_key;
    uint8_t hash[SHA256_SIZE];
    if (key && strlen(key) > RUN_KEY_MAX)
        return error_set(err, ERR_INVALID, "the idempotency key has more than %d bytes",
                         RUN_KEY_MAX);
    if (!cronjob_fetch(creation->client, namespace_, cronjob, &creation->cronjob,
                       &creation->service, err))
        return false;
    if (service_not_built(creation->service))
        return error_set(err, ERR_CONFLICT, "it has no image yet: it was never built");
    if (key && *key) {
        hash_key(creation->service->uid, key, hash);
        hex_encode(hash, sizeof hash, creation->key);
    }
    run_name(creation->service->name, creation->service->uid, key, creation->name);
    return true;
}

static bool create(struct creation *creation, struct run_created *out, struct error *err)
{
    struct run_created created = {0};
    CLEANUP(json_ptr) json_t *job = NULL;
    // First: its own earlier run must not stand in the way of a repeated request.
    if (*creation->key && !find_earlier(creation, &job, err))
        return false;
    created.existed = job != NULL;
    if (!job && (!settle_active(creation, out, err) || !post_job(creation, &job, &created, err)))
        return false;
    // The run exists now: what its pods are doing is told if it can be had.
    if (!view(creation->client, creation->service, job, &created.run, NULL) &&
        !run_from_json(job, NULL, creation->service, &created.run, err)) {
        json_decref(created.warnings);
        return false;
    }
    *out = created;
    return true;
}

bool run_create(struct kube_client *client, const char *namespace_, const char *cronjob,
                const struct run_request *request, struct run_created *out, struct error *err)
{
    CLEANUP(creation_finish) struct creation creation = {.client = client, .request = request};
    *out = (struct run_created){0};
    return (begin(&creation, namespace_, cronjob, err) && create(&creation, out, err)) ||
           error_wrap(err, "run of %.*s/%.*s", KUBE_LABEL_MAX, namespace_, KUBE_NAME_MAX, cronjob);
}
