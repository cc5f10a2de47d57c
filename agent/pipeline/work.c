#include "agent/base/text.h"
#include "agent/pipeline/steps.h"
#include "build/mirror.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// A branch has no space in it (git check-ref-format), a repository may: the last space parts them.
void key_write(const char *repository, const char *branch, char out[static KEY_SIZE])
{
    snprintf(out, KEY_SIZE, "%s %s", repository, branch);
}

bool key_read(const char *key, char repository[static STORE_REPOSITORY_SIZE],
              char branch[static STORE_BRANCH_SIZE])
{
    const char *space = strrchr(key, ' ');
    if (!space || (size_t)(space - key) >= STORE_REPOSITORY_SIZE)
        return false;
    memcpy(repository, key, (size_t)(space - key));
    repository[space - key] = '\0';
    return text_copy(branch, STORE_BRANCH_SIZE, space + 1);
}

bool work_is_elsewhere(const struct work *work, const char *recipe_hash)
{
    for (size_t i = 0; i < work->all_count; i++)
        if (strcmp(work->all_groups[i].hash, recipe_hash) == 0)
            return work->all_groups[i].recipe.credential != work->credential;
    return false;
}

struct group *work_group(struct work *work, const char *recipe_hash)
{
    for (size_t i = 0; i < work->group_count; i++)
        if (strcmp(work->groups[i].hash, recipe_hash) == 0)
            return &work->groups[i];
    return NULL;
}

static void add_first_wanted(const struct group *group, struct wall_time *youngest)
{
    for (size_t i = 0; i < group->count; i++) {
        const struct service *service = group->services[i];
        if (service->state == SERVICE_DRAFT && service_not_built(service) && !*service->pinned &&
            service->created.ms > youngest->ms)
            *youngest = service->created;
    }
}

struct wall_time work_first_wanted(const struct work *work, const struct group *group)
{
    struct wall_time youngest = {0};
    for (size_t i = 0; i < work->group_count; i++)
        if (!group || group == &work->groups[i])
            add_first_wanted(&work->groups[i], &youngest);
    return youngest;
}

void group_tell(const struct work *work, const struct group *group, enum told what, const char *fmt,
                ...)
{
    char text[EVENTS_MESSAGE_SIZE];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    for (size_t i = 0; i < group->count; i++)
        events_tell(work->pipeline->parts.events, group->services[i], what, "%s", text);
}

bool work_recipe_changed(const struct work *work, const struct group *group,
                         const struct service *service)
{
    struct build live;
    if (*service->recipe)
        return !recipe_same_image(service->recipe, group->hash);
    // Earlier versions did not write it down.
    return pipeline_service_live(work->pipeline, service, &live) &&
           !recipe_same_image(live.recipe, group->hash);
}

void work_again(struct work *work, int64_t ms)
{
    if (work->again_ms == 0 || ms < work->again_ms)
        work->again_ms = ms;
}

enum step work_failed(struct work *work, const char *reason)
{
    // Kubernetes takes an expired token for a while, and registries refuse logins in an outage.
    if (error_is_transient(work->err.code) || work->err.code == ERR_UNAUTHORIZED)
        return STEP_TRY;
    text_copy(work->reason, sizeof work->reason, reason);
    return STEP_FAIL;
}

bool work_may_try(struct work *work, const char *step, int most)
{
    struct tried tried = tries_failed(work->pipeline->limited, step);
    if (work->not_before.ms < tried.due.ms)
        work->not_before = tried.due;
    return tried.count < most;
}

void work_went(struct work *work, const char *step)
{
    tries_forget(work->pipeline->limited, step);
}

void work_wake_child(void *pipeline, const char *name)
{
    struct pipeline *self = pipeline;
    work_queue_add(self->queue, strchr(name, ' ') + 1);
}

// The annotation is a JSON object of texts; service_from_json() checked that.
static bool read_args(struct group *group, const char *text, struct error *err)
{
    group->recipe.args = group->args;
    if (*text == '\0')
        return true;
    if (!json_read(text, strlen(text), strlen(text), &group->args_json, err))
        return error_wrap(err, "annotation %s", ANNOTATION_BUILD_ARGS);
    const char *name;
    json_t *value;
    json_object_foreach(group->args_json, name, value)
    {
        if (group->recipe.args_count == RECIPE_ARGS_MAX)
            return error_set(err, ERR_INVALID, "more than %d build arguments", RECIPE_ARGS_MAX);
        group->args[group->recipe.args_count++] =
            (struct build_arg){.name = name, .value = json_string_value(value)};
    }
    return true;
}

static void group_finish(struct group *group)
{
    json_decref(group->args_json);
    free(group->services);
}

// How a service wants to be built. The caller finishes *out, also after false.
static bool read_recipe(const struct config *config, const struct service *service,
                        char repository[static STORE_REPOSITORY_SIZE], struct group *out,
                        struct error *err)
{
    if (*service->problem)
        return error_set(err, ERR_INVALID, "%s", service->problem);
    if (!repository_identify(service->repository, repository, err))
        return false;
    struct git_url url;
    if (!git_url_parse(service->repository, &url, err))
        return error_wrap(err, "annotation %s", ANNOTATION_REPOSITORY);
    out->recipe = (struct recipe){.repository = repository,
                                  .branch = service->branch,
                                  .dockerfile = service->dockerfile,
                                  .context = service->context,
                                  .target = service->target,
                                  .image = service->destination,
                                  .platform = config->builds.platform,
                                  .paths = service->paths};
    if (!read_args(out, service->build_args, err) || !recipe_check(&out->recipe, err))
        return false;
    struct config_grant grant;
    if (!config_allows(config, service->namespace_, service->repository, service->destination,
                       &grant, err))
        return false;
    out->recipe.credential = grant.credential;
    out->recipe.push_secret = grant.push_secret;
    return true;
}

bool pipeline_service_problem(const struct pipeline *pipeline, const struct service *service,
                              struct error *err)
{
    struct group group = {0};
    char repository[STORE_REPOSITORY_SIZE];
    CLEANUP(settings_drop_ptr)
    const struct config *config = settings_hold(pipeline->parts.settings);
    bool usable =
        *service->repository == '\0' || read_recipe(config, service, repository, &group, err);
    group_finish(&group);
    return !usable;
}

bool pipeline_service_credential(const struct pipeline *pipeline, const struct service *service,
                                 char out[static STORE_CREDENTIAL_SIZE])
{
    struct group group = {0};
    char repository[STORE_REPOSITORY_SIZE];
    struct error err;
    CLEANUP(settings_drop_ptr)
    const struct config *config = settings_hold(pipeline->parts.settings);
    bool usable = *service->repository && read_recipe(config, service, repository, &group, &err) &&
                  text_copy(out, STORE_CREDENTIAL_SIZE, group.recipe.credential);
    group_finish(&group);
    return usable;
}

bool pipeline_service_pinned(const struct service *service)
{
    return *service->pinned || (pipeline_service_replaced(service) && !service->image_by_owner);
}

bool pipeline_service_replaced(const struct service *service)
{
    return service->replaced ||
           (*service->patched_image && strcmp(service->image, service->patched_image) != 0);
}

// Of the way in which it is built now. False: it is not built.
static bool hash_service(const struct pipeline *pipeline, const struct service *service,
                         char repository[static STORE_REPOSITORY_SIZE],
                         char hash[static SHA256_HEX_SIZE])
{
    struct group group = {0};
    struct error why;
    CLEANUP(settings_drop_ptr)
    const struct config *config = settings_hold(pipeline->parts.settings);
    bool usable = *service->repository && read_recipe(config, service, repository, &group, &why);
    if (usable)
        recipe_hash(&group.recipe, hash);
    group_finish(&group);
    return usable;
}

void pipeline_image_build(const struct pipeline *pipeline, const struct service *service,
                          struct image_record *image)
{
    char repository[STORE_REPOSITORY_SIZE], hash[SHA256_HEX_SIZE];
    char built[STORE_IMAGE_SIZE + IMAGE_DIGEST_SIZE];
    struct build build;
    struct error err;
    if (*image->build || !*image->commit || !hash_service(pipeline, service, repository, hash) ||
        !store_build_find(pipeline->parts.store, image->commit, hash, &build, &err))
        return;
    snprintf(built, sizeof built, "%s@%s", build.image, build.digest);
    if (strcmp(built, image->image) != 0)
        return;
    build_id(build.id, image->build);
    text_copy(image->subject, sizeof image->subject, build.subject);
    text_copy(image->author, sizeof image->author, build.author);
}

struct newest_of {
    const char *recipe;
    struct build *out;
    bool found;
};

static bool is_of_recipe(void *user, const struct build *build)
{
    struct newest_of *newest = user;
    if (strcmp(build->recipe, newest->recipe) != 0)
        return true;
    *newest->out = *build;
    newest->found = true;
    return false;
}

bool pipeline_service_build(const struct pipeline *pipeline, const struct service *service,
                            struct build *out, struct error *err)
{
    char repository[STORE_REPOSITORY_SIZE], hash[SHA256_HEX_SIZE];
    if (!hash_service(pipeline, service, repository, hash))
        return error_set(err, ERR_NOT_FOUND, "it is not built");
    struct newest_of newest = {.recipe = hash, .out = out};
    struct build_filter filter = {
        .repository = repository, .branch = service->branch, .limit = STORE_PAGE_MAX};
    if (!store_build_list(pipeline->parts.store, &filter, is_of_recipe, &newest, err))
        return false;
    return newest.found || error_set(err, ERR_NOT_FOUND, "it was never built");
}

bool pipeline_head_untold(const struct pipeline *pipeline, const struct service *service)
{
    struct group group = {0};
    struct branch_head head;
    char repository[STORE_REPOSITORY_SIZE];
    struct error why;
    CLEANUP(settings_drop_ptr)
    const struct config *config = settings_hold(pipeline->parts.settings);
    bool asked = *service->repository && read_recipe(config, service, repository, &group, &why) &&
                 store_branch_get(pipeline->parts.store, repository, service->branch,
                                  group.recipe.credential, &head, &why);
    group_finish(&group);
    return asked && head.checked.ms > 0 &&
           (*head.commit == '\0' || strcmp(head.commit, HEAD_MISSED) == 0);
}

// Puts the service into the group of its recipe, which takes `fresh` over when it is a new one.
static bool join(struct work *work, struct group *fresh, const struct service *service,
                 struct error *err)
{
    recipe_hash(&fresh->recipe, fresh->hash);
    struct group *group = work->all_groups, *end = group + work->all_count;
    while (group < end && strcmp(group->hash, fresh->hash) != 0)
        group++;
    if (group == end) {
        if (work->all_count == GROUPS_MAX)
            return error_set(err, ERR_TOO_LARGE, "more than %d ways to build one branch",
                             GROUPS_MAX);
        work->all_count++;
        *group = *fresh;
        group->recipe.repository = work->repository;
        *fresh = (struct group){0};
    }
    group->services = xrealloc(group->services, (group->count + 1) * sizeof *group->services);
    group->services[group->count++] = service;
    return true;
}

// It differs in letter case: a key of its own.
static void add_other(struct work *work, const char *repository)
{
    CLEANUP(free_ptr) char *line = xasprintf("\n%s\n", repository);
    if (work->others && strstr(work->others, line))
        return;
    CLEANUP(free_ptr) char *before = work->others;
    work->others = before ? xasprintf("%s%s", before, line + 1) : TAKE(line);
}

static void add_service(struct work *work, const struct service *service)
{
    struct group fresh = {0};
    char repository[STORE_REPOSITORY_SIZE];
    struct error err;
    if (repository_identify(service->repository, repository, &err) &&
        strcmp(repository, work->repository) != 0) {
        add_other(work, repository);
        return;
    }
    if (!read_recipe(work->config, service, repository, &fresh, &err) ||
        !join(work, &fresh, service, &err)) {
        text_copy(work->refused_reason, sizeof work->refused_reason,
                  err.code == ERR_FORBIDDEN ? "not-allowed" : "misconfigured");
        if (work->newest > 0) // somebody waits for what does not come
            service_tell_problem(work->pipeline, service, &err);
        snprintf(work->refused, sizeof work->refused, "%s/%s: %.*s", service->namespace_,
                 service->name, STORE_DETAIL_SIZE - 160, err.text);
    }
    group_finish(&fresh);
}

static void note_asked(void *user, const char *full_name)
{
    struct work *work = user;
    for (size_t g = 0; g < work->all_count; g++)
        for (size_t i = 0; i < work->all_groups[g].count; i++) {
            const struct service *service = work->all_groups[g].services[i];
            size_t len = strlen(service->namespace_);
            if (strncmp(full_name, service->namespace_, len) == 0 && full_name[len] == '/' &&
                strcmp(full_name + len + 1, service->name) == 0)
                work->all_groups[g].asked = true;
        }
}

// --- sources ---

static int compare_credentials(const void *a, const void *b)
{
    const struct group *one = a, *other = b;
    return strcmp(one->recipe.credential, other->recipe.credential);
}

static int url_rank(const char *url)
{
    return text_starts(url, "https:") ? 2 : !text_starts(url, "http:");
}

// The services may write it in different ways: what protects goes before plain HTTP, and the same
// one is taken each time.
static void prefer_url(struct source *source, const struct group *group)
{
    for (size_t i = 0; i < group->count; i++) {
        const char *url = group->services[i]->repository;
        if (!source->url || url_rank(url) > url_rank(source->url) ||
            (url_rank(url) == url_rank(source->url) && strcmp(url, source->url) < 0))
            source->url = url;
    }
}

// Groups that have the same credential are one source.
static void form_sources(struct work *work)
{
    struct source *source = NULL;
    qsort(work->all_groups, work->all_count, sizeof *work->all_groups, compare_credentials);
    for (size_t i = 0; i < work->all_count; i++) {
        struct group *group = &work->all_groups[i];
        group->recipe.args = group->args; // it was moved
        if (!source || strcmp(source->credential, group->recipe.credential) != 0) {
            source = &work->sources[work->source_count++];
            source->credential = group->recipe.credential;
            source->first = i;
        }
        group->recipe.credential = source->credential;
        source->count++;
        prefer_url(source, group);
    }
}

static bool load_head(struct work *work, struct source *source, struct error *err)
{
    struct branch_head *head = &source->head;
    if (store_branch_get(work->pipeline->parts.store, work->repository, work->branch,
                         source->credential, head, err))
        return true;
    *head = (struct branch_head){0};
    text_copy(head->repository, sizeof head->repository, work->repository);
    text_copy(head->branch, sizeof head->branch, work->branch);
    text_copy(head->credential, sizeof head->credential, source->credential);
    return err->code == ERR_NOT_FOUND;
}

void work_select(struct work *work, size_t source)
{
    if (work->source)
        work->source->head = work->head;
    work->source = &work->sources[source];
    work->credential = work->source->credential;
    work->url = work->source->url;
    work->head = work->source->head;
    work->groups = &work->all_groups[work->source->first];
    work->group_count = work->source->count;
    free(work->tries_key);
    work->tries_key = xasprintf("%s %s", work->key, work->credential);
    work->progressed = work->tried = false;
    work->not_before = (struct mono_time){0};
}

// --- all of it ---

bool work_load(struct work *work, struct error *err)
{
    const struct pipeline_parts *parts = &work->pipeline->parts;
    work->config = settings_hold(parts->settings);
    work->credential = "";
    work->tries_key = xstrdup(work->key); // of what is nobody's
    if (!key_read(work->key, work->repository, work->branch))
        return error_set(err, ERR_INTERNAL, "key \"%s\"", work->key);
    struct newest_delivery newest;
    if (!store_delivery_newest(parts->store, work->repository, work->branch, &newest, err))
        return false;
    work->newest = newest.seq;
    work->received = newest.received;
    text_copy(work->delivery, sizeof work->delivery, newest.id);
    pipeline_following(work->pipeline, work->repository, work->branch, &work->services);
    for (size_t i = 0; i < work->services.count; i++)
        add_service(work, work->services.items[i]);
    form_sources(work);
    for (size_t i = 0; i < work->source_count; i++)
        if (!load_head(work, &work->sources[i], err))
            return false;
    return store_delivery_asked(parts->store, work->repository, work->branch, note_asked, work,
                                err);
}

void work_finish(struct work *work)
{
    for (size_t i = 0; i < work->all_count; i++)
        group_finish(&work->all_groups[i]);
    service_list_finish(&work->services);
    free(work->others);
    free(work->tries_key);
    settings_drop(work->config);
}
