#include "deploy/cronjob.h"
#include "deploy/cronjob_json.h"
#include "deploy/document_forms.h"
#include "deploy/service_owner.h"
#include "deploy/text_fields.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define BUILD_ARGS_MAX  ((size_t)64 << 10)
#define PATHS_TEXT_MAX  ((size_t)64 << 10) // of JSON
#define ANNOTATIONS_MAX 12                 // written with one patch
#define PROBLEM_MAX     512

struct counted_service {
    struct service public; // first, so that a pointer to it is one to this
    atomic_int references;
};

static const size_t text_offsets[] = {
    offsetof(struct service, namespace_),    offsetof(struct service, name),
    offsetof(struct service, uid),           offsetof(struct service, resource_version),
    offsetof(struct service, repository),    offsetof(struct service, branch),
    offsetof(struct service, dockerfile),    offsetof(struct service, context),
    offsetof(struct service, target),        offsetof(struct service, build_args),
    offsetof(struct service, destination),   offsetof(struct service, container),
    offsetof(struct service, image),         offsetof(struct service, pull_secrets),
    offsetof(struct service, commit),        offsetof(struct service, build),
    offsetof(struct service, patched_image), offsetof(struct service, schedule),
    offsetof(struct service, project),       offsetof(struct service, time_zone),
    offsetof(struct service, concurrency),   offsetof(struct service, owner),
    offsetof(struct service, problem),       offsetof(struct service, pinned),
    offsetof(struct service, places),        offsetof(struct service, containers),
    offsetof(struct service, first_run_due), offsetof(struct service, put_back),
    offsetof(struct service, paths),         offsetof(struct service, recipe),
    offsetof(struct service, patched_by),
};
static const struct text_fields texts = {text_offsets, sizeof text_offsets / sizeof *text_offsets};

static struct counted_service *counted(const struct service *service)
{
    union {
        const struct service *in;
        struct counted_service *out;
    } cast = {.in = service};
    return cast.out;
}

const struct service *service_hold(const struct service *service)
{
    atomic_fetch_add(&counted(service)->references, 1);
    return service;
}

void service_drop(const struct service *service)
{
    if (!service || atomic_fetch_sub(&counted(service)->references, 1) > 1)
        return;
    text_fields_finish(counted(service), texts);
    free(counted(service));
}

const char *service_state_word(enum service_state state)
{
    static const char *const words[] = {
        [SERVICE_DRAFT] = "draft", [SERVICE_STARTED] = "started", [SERVICE_STOPPED] = "stopped"};
    return words[state];
}

// --- projection ---

struct wall_time json_time(const json_t *value)
{
    struct wall_time time = {0};
    const char *text = json_string_value(value);
    if (!text || !wall_parse(text, &time))
        time.ms = 0;
    return time;
}

static const char *annotation(const json_t *cronjob, const char *key)
{
    return json_text_at(cronjob, "metadata", "annotations", key, NULL);
}

static bool has_managed_label(const json_t *cronjob)
{
    const char *managed = json_text_at(cronjob, "metadata", "labels", LABEL_MANAGED, NULL);
    return managed && strcmp(managed, "true") == 0;
}

// Only the first problem is kept: it is the one to mend first.
static void set_problem(struct service *service, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void set_problem(struct service *service, const char *fmt, ...)
{
    char text[PROBLEM_MAX];
    if (*service->problem)
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    text_field_set(&service->problem, text);
}

bool image_repository(const char *image, char *out, size_t room)
{
    size_t len = strcspn(image, "@");
    const char *slash = memrchr(image, '/', len);
    const char *name = slash ? slash + 1 : image;
    const char *colon = memchr(name, ':', len - (size_t)(name - image));
    if (colon)
        len = (size_t)(colon - image);
    if (len == 0 || len >= room || image[len - 1] == '/')
        return false;
    memmove(out, image, len);
    out[len] = '\0';
    return true;
}

static void read_build_args(struct service *service, const char *text)
{
    CLEANUP(json_ptr) json_t *args = NULL;
    bool ok = json_read(text, strlen(text), BUILD_ARGS_MAX, &args, NULL) && json_is_object(args);
    const char *name;
    json_t *value;
    json_object_foreach(args, name, value) ok = ok && json_is_string(value);
    if (!ok) {
        set_problem(service, "annotation " ANNOTATION_BUILD_ARGS " is not a JSON object of texts");
        return;
    }
    CLEANUP(free_ptr) char *sorted = json_dumps(args, JSON_COMPACT | JSON_SORT_KEYS);
    if (json_object_size(args) > 0)
        text_field_set(&service->build_args, sorted);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// False: `why` says what is wrong.
static bool sort_paths(const json_t *paths, json_t **out, struct error *why)
{
    const char *sorted[SERVICE_PATHS_MAX];
    size_t count = json_array_size(paths);
    if (!json_is_array(paths) || count > SERVICE_PATHS_MAX)
        return error_set(why, ERR_INVALID, "not a JSON array of at most %d patterns",
                         SERVICE_PATHS_MAX);
    for (size_t i = 0; i < count; i++) {
        sorted[i] = json_string_value(json_array_get(paths, i));
        if (!sorted[i] || !*sorted[i] || strlen(sorted[i]) > SERVICE_PATH_MAX)
            return error_set(why, ERR_INVALID, "each pattern is a text of 1 to %d bytes",
                             SERVICE_PATH_MAX);
        if (!form_path_pattern(sorted[i], why))
            return false;
    }
    qsort(sorted, count, sizeof sorted[0], compare_texts);
    *out = json_array();
    for (size_t i = 0; i < count; i++)
        if (i == 0 || strcmp(sorted[i], sorted[i - 1]) != 0)
            json_array_append_new(*out, json_string(sorted[i]));
    return true;
}

static void read_paths(struct service *service, const char *text)
{
    CLEANUP(json_ptr) json_t *paths = NULL;
    CLEANUP(json_ptr) json_t *sorted = NULL;
    struct error why;
    if (!json_read(text, strlen(text), PATHS_TEXT_MAX, &paths, &why) ||
        !sort_paths(paths, &sorted, &why)) {
        set_problem(service, "annotation " ANNOTATION_PATHS ": %s", why.text);
        return;
    }
    CLEANUP(free_ptr) char *compact = json_write(sorted);
    if (json_array_size(sorted) > 0)
        text_field_set(&service->paths, compact);
}

static void read_recipe(struct service *service, const json_t *cronjob)
{
    const char *dockerfile = annotation(cronjob, ANNOTATION_DOCKERFILE);
    const char *context = annotation(cronjob, ANNOTATION_CONTEXT);
    const char *build_args = annotation(cronjob, ANNOTATION_BUILD_ARGS);
    const char *paths = annotation(cronjob, ANNOTATION_PATHS);
    text_field_set(&service->repository, annotation(cronjob, ANNOTATION_REPOSITORY));
    text_field_set(&service->branch, annotation(cronjob, ANNOTATION_BRANCH));
    text_field_set(&service->dockerfile, dockerfile && *dockerfile ? dockerfile : "Dockerfile");
    text_field_set(&service->context, context && *context ? context : ".");
    text_field_set(&service->target, annotation(cronjob, ANNOTATION_TARGET));
    if (build_args && *build_args)
        read_build_args(service, build_args);
    if (paths && *paths)
        read_paths(service, paths);
    if (*service->repository && !*service->branch)
        set_problem(service, "annotation " ANNOTATION_BRANCH " is missing");
    service->has_annotations = json_is_object(json_at(cronjob, "metadata", "annotations", NULL));
}

static void choose_containers(struct service *service, const json_t *cronjob, const json_t *pod)
{
    struct container_choice choice;
    struct error why;
    if (!cronjob_choose(cronjob, &choice, &why)) {
        set_problem(service, "%s", why.text);
        return;
    }
    CLEANUP(json_ptr) json_t *places = container_choice_json(&choice);
    CLEANUP(free_ptr) char *written = json_write(places);
    CLEANUP(free_ptr) char *names = container_choice_names(&choice);
    size_t all = json_array_size(json_at(pod, "containers", NULL)) +
                 json_array_size(json_at(pod, "initContainers", NULL));
    text_field_set(&service->container, json_text_at(choice.items[0].container, "name", NULL));
    text_field_set(&service->image, json_text_at(choice.items[0].container, "image", NULL));
    text_field_set(&service->places, written);
    if (all > 1)
        text_field_set(&service->containers, names);
    service->init_container = strcmp(choice.items[0].list, "initContainers") == 0;
    service->lags = container_choice_lags(&choice);
    service->replaced = container_choice_changed(&choice, cronjob);
}

const json_t *cronjob_pod_template(const json_t *cronjob)
{
    return json_at(cronjob, "spec", "jobTemplate", "spec", "template", NULL);
}

static void read_images(struct service *service, const json_t *cronjob)
{
    const json_t *pod = json_at(cronjob_pod_template(cronjob), "spec", NULL);
    choose_containers(service, cronjob, pod);
    char destination[IMAGE_NAME_MAX];
    const char *wanted = annotation(cronjob, ANNOTATION_IMAGE);
    if (wanted && *wanted && !image_repository(wanted, destination, sizeof destination))
        set_problem(service, "annotation " ANNOTATION_IMAGE " is not an image's name");
    else if ((wanted && *wanted) ||
             image_repository(service->image, destination, sizeof destination))
        text_field_set(&service->destination, destination);

    CLEANUP(buffer_finish) struct buffer secrets = {.cap = IMAGE_NAME_MAX};
    size_t i;
    json_t *secret;
    json_array_foreach(json_at(pod, "imagePullSecrets", NULL), i, secret)
    {
        const char *name = json_text_at(secret, "name", NULL);
        if (!name || !buffer_printf(&secrets, NULL, "%s%s", secrets.len ? "," : "", name))
            break;
    }
    text_field_set(&service->pull_secrets, buffer_text(&secrets));
}

static void read_last_patch(struct service *service, const json_t *cronjob)
{
    text_field_set(&service->commit, annotation(cronjob, ANNOTATION_COMMIT));
    text_field_set(&service->build, annotation(cronjob, ANNOTATION_BUILD));
    text_field_set(&service->recipe, annotation(cronjob, ANNOTATION_RECIPE));
    text_field_set(&service->patched_by, annotation(cronjob, ANNOTATION_PATCHED_BY));
    text_field_set(&service->patched_image, annotation(cronjob, ANNOTATION_PATCHED_IMAGE));
    text_field_set(&service->pinned, annotation(cronjob, ANNOTATION_PINNED));
    text_field_set(&service->put_back, annotation(cronjob, ANNOTATION_PUT_BACK));
    text_field_set(&service->first_run_due, annotation(cronjob, ANNOTATION_FIRST_RUN_DUE));
    service->patched_at =
        json_time(json_at(cronjob, "metadata", "annotations", ANNOTATION_PATCHED_AT, NULL));
}

static bool annotation_is(const json_t *cronjob, const char *key, const char *word)
{
    const char *value = annotation(cronjob, key);
    return value && strcmp(value, word) == 0;
}

static void read_wishes(struct service *service, const json_t *cronjob)
{
    service->run_missed = annotation_is(cronjob, ANNOTATION_MISSED, "run");
    service->runners_override = annotation_is(cronjob, ANNOTATION_OVERRIDES, "runner");
    service->first_run =
        annotation_is(cronjob, ANNOTATION_FIRST_RUN, "onStart")   ? FIRST_RUN_ON_START
        : annotation_is(cronjob, ANNOTATION_FIRST_RUN, "onImage") ? FIRST_RUN_ON_IMAGE
                                                                  : FIRST_RUN_NEVER;
}

static void read_schedule(struct service *service, const json_t *cronjob)
{
    const json_t *status = json_at(cronjob, "status", NULL);
    bool suspended = json_is_true(json_at(cronjob, "spec", "suspend", NULL));
    service->starting = suspended && annotation_is(cronjob, ANNOTATION_STATE, "starting");
    bool draft = service->starting || annotation_is(cronjob, ANNOTATION_STATE, "draft");
    service->starting_deadline =
        json_int_or(json_at(cronjob, "spec", "startingDeadlineSeconds", NULL), -1);
    service->run_deadline = json_int_or(
        json_at(cronjob, "spec", "jobTemplate", "spec", "activeDeadlineSeconds", NULL), -1);
    service->state = !suspended ? SERVICE_STARTED : draft ? SERVICE_DRAFT : SERVICE_STOPPED;
    text_field_set(&service->schedule, json_text_at(cronjob, "spec", "schedule", NULL));
    text_field_set(&service->time_zone, json_text_at(cronjob, "spec", "timeZone", NULL));
    text_field_set(&service->concurrency, json_text_at(cronjob, "spec", "concurrencyPolicy", NULL));
    service->active = (int)json_array_size(json_at(status, "active", NULL));
    service->last_schedule = json_time(json_at(status, "lastScheduleTime", NULL));
    service->last_success = json_time(json_at(status, "lastSuccessfulTime", NULL));
}

bool service_from_json(const json_t *cronjob, const struct service **out, struct error *err)
{
    const char *name = json_text_at(cronjob, "metadata", "name", NULL);
    const char *namespace_ = json_text_at(cronjob, "metadata", "namespace", NULL);
    const char *uid = json_text_at(cronjob, "metadata", "uid", NULL);
    if (!name || !namespace_ || !uid || !json_at(cronjob, "spec", "jobTemplate", NULL))
        return error_set(err, ERR_PROTOCOL, "not a CronJob");
    struct counted_service *own = xalloc(sizeof *own);
    struct service *service = &own->public;
    own->references = 1;
    text_fields_init(service, texts);
    text_field_set(&service->namespace_, namespace_);
    text_field_set(&service->name, name);
    text_field_set(&service->uid, uid);
    text_field_set(&service->resource_version,
                   json_text_at(cronjob, "metadata", "resourceVersion", NULL));
    text_field_set(&service->project,
                   json_text_at(cronjob, "metadata", "labels", LABEL_PROJECT, NULL));
    service->created = json_time(json_at(cronjob, "metadata", "creationTimestamp", NULL));
    service->managed = has_managed_label(cronjob);
    read_recipe(service, cronjob);
    read_images(service, cronjob);
    read_last_patch(service, cronjob);
    read_schedule(service, cronjob);
    read_wishes(service, cronjob);
    char owner[OWNER_MAX];
    if (cronjob_owner(cronjob, owner, sizeof owner))
        text_field_set(&service->owner, owner);
    service->image_by_owner = cronjob_image_by_owner(cronjob, service);
    *out = service;
    return true;
}

bool service_not_built(const struct service *service)
{
    size_t name = strcspn(service->image, "@");
    const size_t tag = strlen(":" TAG_NOT_BUILT);
    return name > tag && memcmp(service->image + name - tag, ":" TAG_NOT_BUILT, tag) == 0;
}

// --- the cluster ---

bool cronjob_read(struct kube_client *client, const char *namespace_, const char *name,
                  json_t **out, struct error *err)
{
    struct kube_request request = {
        .resource = &KUBE_CRONJOBS, .namespace_ = namespace_, .name = name};
    CLEANUP(kube_reply_finish) struct kube_reply reply = {0};
    if (!kube_request(client, &request, &reply, err))
        return false;
    *out = TAKE(reply.body);
    return true;
}

bool cronjob_fetch(struct kube_client *client, const char *namespace_, const char *name,
                   json_t **json, const struct service **service, struct error *err)
{
    CLEANUP(json_ptr) json_t *cronjob = NULL;
    if (!cronjob_read(client, namespace_, name, &cronjob, err))
        return false;
    if (!has_managed_label(cronjob))
        return error_set(err, ERR_NOT_FOUND, "it lacks the label " SELECTOR_MANAGED);
    if (!service_from_json(cronjob, service, err))
        return false;
    if (json)
        *json = TAKE(cronjob);
    return true;
}

bool cronjob_get(struct kube_client *client, const char *namespace_, const char *name,
                 const struct service **out, struct error *err)
{
    return cronjob_fetch(client, namespace_, name, NULL, out, err) ||
           error_wrap(err, "cronjob %s/%s", namespace_, name);
}

#define IN_CONTAINER(list, index, member)                                                          \
    PATCH_AT("spec", "jobTemplate", "spec", "template", "spec", list, index, member)

static void patch_containers(json_t *patch, const struct service *service, const char *image)
{
    CLEANUP(json_ptr) json_t *places = NULL;
    if (!json_read(service->places, strlen(service->places), strlen(service->places), &places,
                   NULL))
        abort(); // it is our own writing
    size_t i;
    json_t *place;
    json_array_foreach(places, i, place)
    {
        const char *list = json_text_at(place, "list", NULL);
        const char *index = json_text_at(place, "index", NULL);
        patch_test(patch, IN_CONTAINER(list, index, "name"), json_text_at(place, "name", NULL));
        patch_test(patch, IN_CONTAINER(list, index, "image"), json_text_at(place, "image", NULL));
        patch_replace(patch, IN_CONTAINER(list, index, "image"), image);
    }
}

json_t *cronjob_image_patch(const struct service *service, const char *image,
                            const struct annotation annotations[])
{
    json_t *patch = patch_create();
    patch_test(patch, PATCH_AT("metadata", "uid"), service->uid);
    patch_containers(patch, service, image);
    char now[RFC3339_SIZE];
    wall_format(wall_now(), false, now);
    struct annotation all[ANNOTATIONS_MAX + 1] = {{ANNOTATION_PATCHED_AT, now},
                                                  {ANNOTATION_PATCHED_IMAGE, image}};
    size_t used = 2;
    if (*service->containers)
        all[used++] = (struct annotation){ANNOTATION_PATCHED_CONTAINERS, service->containers};
    for (; annotations->key && used < ANNOTATIONS_MAX; used++)
        all[used] = *annotations++;
    patch_annotate(patch, service->has_annotations, all);
    return patch;
}

bool cronjob_patch_image(struct kube_client *client, const struct service *service,
                         const char *image, const struct annotation annotations[],
                         const struct service **updated, struct error *err)
{
    const char *what = "patch cronjob";
    if (!*service->container) {
        error_set(err, ERR_INVALID, "%s", service->problem);
        return error_wrap(err, "%s %s/%s", what, service->namespace_, service->name);
    }
    CLEANUP(json_ptr) json_t *patch = cronjob_image_patch(service, image, annotations);
    CLEANUP(kube_reply_finish) struct kube_reply reply = {0};
    struct kube_request request = {.method = "PATCH",
                                   .resource = &KUBE_CRONJOBS,
                                   .namespace_ = service->namespace_,
                                   .name = service->name,
                                   .content_type = KUBE_JSON_PATCH,
                                   .body = patch};
    bool ok = kube_request(client, &request, &reply, err) &&
              (!updated || service_from_json(reply.body, updated, err));
    return ok || error_wrap(err, "%s %s/%s", what, service->namespace_, service->name);
}
