// Making a service of a CronJob that is there already.
#include "agent/admin/services.h"
#include "agent/admin/states.h"
#include "agent/base/log.h"
#include "agent/pipeline/pipeline.h"
#include "deploy/document.h"

#include <string.h>

#define NOTES_MAX 12 // annotations of an adoption

// What is asked for. Texts belong to the body.
struct wish {
    const char *namespace_, *name, *project, *image, *container;
    struct annotation labels[3];
    struct annotation annotations[NOTES_MAX + 1];
    size_t count;
    char *owned[2]; // JSON texts
    size_t owned_count;
};

static void wish_finish(struct wish *wish)
{
    for (size_t i = 0; i < wish->owned_count; i++)
        free(wish->owned[i]);
}

static void note(struct wish *wish, const char *key, const char *value)
{
    if (value && *value)
        wish->annotations[wish->count++] = (struct annotation){key, value};
}

// --- reading the body ---

enum form { FORM_TEXT, FORM_TEXTS, FORM_TEXT_MAP };

static bool all_texts(const json_t *value)
{
    const char *key;
    size_t i;
    json_t *item;
    bool ok = true;
    json_array_foreach(json_unconst(value), i, item) ok = ok && json_is_string(item);
    json_object_foreach(json_unconst(value), key, item) ok = ok && json_is_string(item);
    return ok;
}

static bool has_form(const json_t *value, enum form form)
{
    switch (form) {
    case FORM_TEXT:
        return json_is_string(value);
    case FORM_TEXTS:
        return json_is_array(value) && all_texts(value);
    case FORM_TEXT_MAP:
        return json_is_object(value) && all_texts(value);
    }
    return false;
}

// The words of source.git, as the document of a service has them.
static const struct {
    const char *key, *annotation;
    enum form form;
} git_keys[] = {
    {"repository", ANNOTATION_REPOSITORY, FORM_TEXT},
    {"branch", ANNOTATION_BRANCH, FORM_TEXT},
    {"dockerfile", ANNOTATION_DOCKERFILE, FORM_TEXT},
    {"context", ANNOTATION_CONTEXT, FORM_TEXT},
    {"target", ANNOTATION_TARGET, FORM_TEXT},
    {"paths", ANNOTATION_PATHS, FORM_TEXTS},
    {"buildArgs", ANNOTATION_BUILD_ARGS, FORM_TEXT_MAP},
};
#define GIT_KEYS (sizeof git_keys / sizeof *git_keys)

static void read_git_key(struct wish *wish, size_t k, const json_t *value, json_t *errors)
{
    static const char *const needed[] = {[FORM_TEXT] = "a text",
                                         [FORM_TEXTS] = "a list of texts",
                                         [FORM_TEXT_MAP] = "texts by name"};
    if (!has_form(value, git_keys[k].form)) {
        CLEANUP(free_ptr) char *pointer = xasprintf("/source/git/%s", git_keys[k].key);
        document_fault(errors, pointer, "%s must be %s", git_keys[k].key, needed[git_keys[k].form]);
    } else if (git_keys[k].form == FORM_TEXT) {
        note(wish, git_keys[k].annotation, json_string_value(value));
    } else if (json_array_size(value) + json_object_size(value) > 0) {
        char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS);
        wish->owned[wish->owned_count++] = text;
        note(wish, git_keys[k].annotation, text);
    }
}

static void read_git(struct wish *wish, const json_t *git, json_t *errors)
{
    const char *key;
    json_t *value;
    json_object_foreach(json_unconst(git), key, value)
    {
        size_t k = 0;
        while (k < GIT_KEYS && strcmp(git_keys[k].key, key) != 0)
            k++;
        CLEANUP(free_ptr) char *pointer = xasprintf("/source/git/%s", key);
        if (k < GIT_KEYS)
            read_git_key(wish, k, value, errors);
        else
            document_fault(errors, pointer, "unknown key \"%.60s\"", key);
    }
    if (!json_object_get(git, "repository"))
        document_fault(errors, "/source/git/repository", "a repository is needed");
    if (!json_object_get(git, "branch"))
        note(wish, ANNOTATION_BRANCH, "main");
}

static const char *read_text(const json_t *body, const char *key, json_t *errors)
{
    const json_t *value = json_object_get(body, key);
    CLEANUP(free_ptr) char *pointer = xasprintf("/%s", key);
    if (value && !json_is_string(value))
        document_fault(errors, pointer, "%s must be a text", key);
    return json_string_value(value);
}

// "main", or {"name": "main"} as in the document.
static const char *read_container(const json_t *body, json_t *errors)
{
    const json_t *container = json_object_get(body, "container");
    if (!json_is_object(container))
        return read_text(body, "container", errors);
    const char *name = json_text_at(container, "name", NULL);
    if (!name || json_object_size(container) > 1)
        document_fault(errors, "/container", "only the container's name is to be given");
    return name;
}

static void refuse_unknown_keys(const json_t *body, json_t *errors)
{
    static const char *const known[] = {"namespace", "name",      "project", "source",
                                        "image",     "container", NULL};
    const char *key;
    json_t *value;
    json_object_foreach(json_unconst(body), key, value)
    {
        size_t k = 0;
        while (known[k] && strcmp(known[k], key) != 0)
            k++;
        CLEANUP(free_ptr) char *pointer = xasprintf("/%s", key);
        if (!known[k])
            document_fault(errors, pointer, "unknown key \"%.60s\"", key);
    }
}

static void read_source(struct wish *wish, const json_t *body, json_t *errors)
{
    const json_t *source = json_object_get(body, "source");
    const json_t *git = json_at(source, "git", NULL);
    if (source && (!json_is_object(git) || json_object_size(source) != 1))
        document_fault(errors, "/source", "must be {\"git\": {\"repository\": …}}, or left out");
    else if (source)
        read_git(wish, git, errors);
}

// A label's value: at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both
// ends.
static bool is_label_value(const char *text)
{
    static const char ends[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    size_t len = strlen(text);
    return len > 0 && len <= KUBE_LABEL_MAX && strchr(ends, text[0]) &&
           strchr(ends, text[len - 1]) &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == len;
}

static void read_wish(const json_t *body, struct wish *wish, json_t *errors)
{
    refuse_unknown_keys(body, errors);
    wish->namespace_ = read_text(body, "namespace", errors);
    wish->name = read_text(body, "name", errors);
    wish->project = read_text(body, "project", errors);
    wish->image = read_text(body, "image", errors);
    wish->container = read_container(body, errors);
    if (!wish->namespace_ || !kube_is_label(wish->namespace_))
        document_fault(errors, "/namespace", "the CronJob's namespace is needed");
    if (!wish->name || !kube_is_name(wish->name))
        document_fault(errors, "/name", "the CronJob's name is needed");
    if (wish->project && *wish->project && !is_label_value(wish->project))
        document_fault(errors, "/project",
                       "at most 63 letters, digits, '-', '_' and '.', with a letter or digit at "
                       "both ends");
    read_source(wish, body, errors);
    note(wish, ANNOTATION_IMAGE, wish->image);
    note(wish, ANNOTATION_CONTAINER, wish->container);
    wish->labels[0] = (struct annotation){LABEL_MANAGED, "true"};
    if (wish->project && *wish->project)
        wish->labels[1] = (struct annotation){LABEL_PROJECT, wish->project};
}

// --- doing it ---

struct judge {
    const struct admin *admin;
    const char *pointer; // of what is wrong
};

static bool is_good(void *user, const struct service *service, struct error *err)
{
    struct judge *judge = user;
    judge->pointer = *service->container ? "/source/git" : "/container";
    if (*service->problem)
        return error_set(err, ERR_INVALID, "%s", service->problem);
    return !pipeline_service_problem(judge->admin->pipeline, service, err);
}

static void refuse(struct server_request *req, const struct wish *wish, const struct judge *judge,
                   const struct error *err)
{
    if (judge->pointer && err->code == ERR_FORBIDDEN) {
        server_refuse(req, 403, "not-allowed", "%s", err->text);
    } else if (judge->pointer && (err->code == ERR_INVALID || err->code == ERR_UNSUPPORTED)) {
        CLEANUP(json_ptr) json_t *errors = json_array();
        document_fault(errors, judge->pointer, "%s", err->text);
        admin_refuse_errors(req, errors, "nothing adopted");
    } else if (err->code == ERR_NOT_FOUND) {
        server_refuse(req, 404, "no-cronjob", "there is no CronJob %s/%s", wish->namespace_,
                      wish->name);
    } else {
        server_answer_error(req, err);
    }
}

// What is ours in it.
static json_t *described(const struct service *service)
{
    return json_pack(
        "{s:b, s:o, s:o, s:o, s:o, s:o}", "managed", service->managed, "repository",
        json_text_or_null(service->repository), "branch", json_text_or_null(service->branch),
        "image", json_text_or_null(service->destination), "container",
        json_text_or_null(service->container), "project", json_text_or_null(service->project));
}

static void answer(const struct admin *admin, struct server_request *req,
                   const struct service_change *change)
{
    CLEANUP(json_ptr) json_t *warnings = admin_change_warnings(change);
    json_t *members = json_pack("{s:o, s:o}", "before", described(change->before), "after",
                                described(change->after));
    admin_add_list(members, "warnings", warnings);
    admin_answer_service(admin, req, 200, change->cronjob, NULL, members);
}

static void adopt_wish(const struct admin *admin, struct server_request *req,
                       const struct wish *wish)
{
    struct judge judge = {.admin = admin};
    struct service_adoption adoption = {wish->labels, wish->annotations, is_good, &judge};
    struct service_change change = {0};
    struct error err;
    if (!admin_watches(admin, req, wish->namespace_))
        return;
    if (!service_adopt(admin->kube, wish->namespace_, wish->name, &adoption, &change, &err)) {
        refuse(req, wish, &judge, &err);
        return;
    }
    log_line(LOG_INFO, "adopted", "service", wish->name, "namespace", wish->namespace_, "by",
             admin_token(admin, req)->name, NULL);
    answer(admin, req, &change);
    service_change_finish(&change);
}

static void adopt(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    CLEANUP(json_ptr) json_t *body = NULL;
    CLEANUP(json_ptr) json_t *errors = json_array();
    CLEANUP(wish_finish) struct wish wish = {0};
    if (!admin_read_object(req, &body))
        return;
    read_wish(body, &wish, errors);
    if (wish.namespace_ && !admin_may(admin, req, ROLE_ADMIN, wish.namespace_))
        return;
    if (json_array_size(errors) > 0)
        admin_refuse_errors(req, errors, "nothing adopted");
    else
        adopt_wish(admin, req, &wish);
}

const struct server_route admin_adopt_routes[] = {
    {"POST", "/v1/services:adopt", adopt, 0},
    {0},
};
