// What the services have live, as their CronJobs say it to every agent: which commit, built how, by
// which attempt. And whether the head that is known is newer than that: it is when it was asked for
// after what is live was seen.
#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/pipeline/registries.h"
#include "agent/pipeline/steps.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DENIED_MS 30000 // an image that the registry lacks is not asked for again sooner

// --- which build it is ---

// Earlier versions wrote no recipe: the tag has the beginning of one.
static bool is_image_of(const struct service *service, const struct recipe *recipe,
                        const char *commit, const char *hash, struct build *out)
{
    struct image_reference image;
    struct build_name name;
    struct error err;
    size_t len = strcspn(service->image, "@");
    if (strcmp(service->commit, commit) != 0 || pipeline_service_replaced(service) ||
        strcmp(service->image, service->patched_image) != 0 ||
        (*service->recipe && strcmp(service->recipe, hash) != 0) ||
        !image_parse(service->image, &image, &err) || !*image.digest ||
        !build_name(commit, hash, build_name_attempt(image.tag), &name, &err) ||
        strcmp(name.tag, image.tag) != 0)
        return false;
    CLEANUP(free_ptr) char *reference = xasprintf("%s:%s", recipe->image, name.tag);
    if (strlen(reference) != len || memcmp(reference, service->image, len) != 0)
        return false;
    out->attempt = build_name_attempt(image.tag);
    text_copy(out->job, sizeof out->job, name.job);
    text_copy(out->image, sizeof out->image, reference);
    text_copy(out->digest, sizeof out->digest, image.digest);
    return true;
}

static bool find(const struct work *work, const struct group *group, struct build *out)
{
    for (size_t i = 0; i < group->count; i++)
        if (is_image_of(group->services[i], &group->recipe, work->head.commit, group->hash, out))
            return true;
    return false;
}

int live_attempt(const struct work *work, const struct group *group)
{
    struct build build = {0};
    return find(work, group, &build) ? build.attempt : 0;
}

bool live_is_build(const struct service *service, const struct build *build)
{
    return strcmp(service->commit, build->commit) == 0 && !pipeline_service_replaced(service) &&
           strcmp(service->image, service->patched_image) == 0 &&
           strcmp(service->recipe, build->recipe) == 0;
}

// Not again for a while: what a CronJob says is looked at with each step of its builds.
static bool is_denied(struct live *live, const char *reference)
{
    pthread_mutex_lock(&live->lock);
    int64_t until = json_int_or(json_object_get(live->denied, reference), 0);
    pthread_mutex_unlock(&live->lock);
    return mono_now().ms < until;
}

static void note_denied(struct live *live, const char *reference)
{
    const char *each;
    void *next;
    json_t *until;
    pthread_mutex_lock(&live->lock);
    json_object_foreach_safe(live->denied, next, each, until)
    {
        if (json_integer_value(until) <= mono_now().ms)
            json_object_del(live->denied, each);
    }
    json_object_set_new(live->denied, reference, json_integer(mono_after(DENIED_MS).ms));
    pthread_mutex_unlock(&live->lock);
}

static bool ask_registry(struct work *work, const struct image_reference *image)
{
    struct waits *waits = &work->pipeline->waits;
    if (!waits_begin(waits, image->registry))
        return error_set(&work->err, ERR_UNAVAILABLE,
                         "registry %s has to answer for other builds first", image->registry);
    bool confirmed = registries_confirm_tag(work->config, image, &work->err);
    waits_end(waits, image->registry);
    return confirmed;
}

// That the tag means another image, or none, is an answer.
static bool may_pass(enum error_code code)
{
    return code != ERR_CONFLICT && (error_is_transient(code) || code == ERR_UNAUTHORIZED);
}

// Who may edit one CronJob must not say what others get: the registry is asked what the tag means,
// which a build alone can push.
bool live_take(struct work *work, const struct group *group, struct build *build, bool *taken)
{
    struct build live = *build;
    struct image_reference image;
    *taken = false;
    if (!find(work, group, &live))
        return true;
    CLEANUP(free_ptr) char *reference = xasprintf("%s@%s", live.image, live.digest);
    if (!image_parse(reference, &image, &work->err))
        return false;
    if (is_denied(&work->pipeline->live, reference))
        return true;
    if (!ask_registry(work, &image)) {
        log_line(LOG_WARNING, "the registry does not confirm what is live", "image", reference,
                 "error", work->err.text, NULL);
        if (may_pass(work->err.code))
            return false;
        note_denied(&work->pipeline->live, reference);
        return true;
    }
    if (live.attempt < build->attempt)
        live.attempt = build->attempt;
    live.state = BUILD_PUSHED;
    live.reason[0] = live.detail[0] = '\0';
    *build = live;
    *taken = true;
    log_line(LOG_INFO, "the image of this commit is there already", "repository", build->repository,
             "commit", build->commit, "image", reference, NULL);
    return true;
}

bool pipeline_service_live(const struct pipeline *pipeline, const struct service *service,
                           struct build *out)
{
    struct error err;
    int64_t id;
    if (!*service->commit)
        return false;
    bool found = *service->recipe ? store_build_find(pipeline->parts.store, service->commit,
                                                     service->recipe, out, &err)
                                  : text_starts(service->build, "b-") &&
                                        text_to_int(service->build + 2, 1, INT64_MAX, &id) &&
                                        store_build_get(pipeline->parts.store, id, out, &err);
    char image[STORE_IMAGE_SIZE + IMAGE_DIGEST_SIZE];
    if (!found || strcmp(out->commit, service->commit) != 0)
        return false;
    snprintf(image, sizeof image, "%s@%s", out->image, out->digest);
    return strcmp(image, service->patched_image) == 0;
}

void pipeline_service_live_id(const struct pipeline *pipeline, const struct service *service,
                              char out[static PIPELINE_BUILD_SIZE])
{
    struct build build;
    out[0] = '\0';
    // Of its own making it may have been forgotten since.
    if (!*service->patched_by || identity_is_own(pipeline, service->patched_by))
        text_copy(out, PIPELINE_BUILD_SIZE, service->build);
    else if (pipeline_service_live(pipeline, service, &build))
        build_id(build.id, out);
}

// --- whether the head is newer than it ---

// Of each service, by the uid of its CronJob: "asked", what was live when the head was last asked
// for; "answered", what was when the newest answer was asked for; and "before": builds of a greater
// id were wanted after that had been seen; "written", which commit this agent has put there, and
// "times", how often since the head was another. In memory: after a start the head is asked for
// once more.
void live_init(struct live *live)
{
    pthread_mutex_init(&live->lock, NULL);
    live->sights = json_object();
    live->denied = json_object();
}

void live_finish(struct live *live)
{
    json_decref(live->sights);
    json_decref(live->denied);
    pthread_mutex_destroy(&live->lock);
}

// What a patch changes.
static json_t *mark_of(const struct service *service)
{
    return json_sprintf("%" PRId64 " %s %s", service->patched_at.ms, service->patched_by,
                        service->patched_image);
}

// The lock is held.
static json_t *sight_of(struct live *live, const char *uid)
{
    json_t *sight = json_object_get(live->sights, uid);
    if (sight)
        return sight;
    sight = json_object();
    json_object_set_new(live->sights, uid, sight);
    return sight;
}

static void each_service(struct work *work,
                         void (*each)(json_t *sight, const struct service *, const struct work *,
                                      int64_t newest),
                         int64_t newest)
{
    struct live *live = &work->pipeline->live;
    pthread_mutex_lock(&live->lock);
    for (size_t g = 0; g < work->group_count; g++)
        for (size_t i = 0; i < work->groups[g].count; i++) {
            const struct service *service = work->groups[g].services[i];
            each(sight_of(live, service->uid), service, work, newest);
        }
    pthread_mutex_unlock(&live->lock);
}

static void note_asked(json_t *sight, const struct service *service, const struct work *work,
                       int64_t newest)
{
    (void)work, (void)newest;
    json_object_set_new(sight, "asked", mark_of(service));
}

static void note_answered(json_t *sight, const struct service *service, const struct work *work,
                          int64_t newest)
{
    (void)service;
    const char *written = json_text_at(sight, "written", NULL);
    if (written && strcmp(written, work->head.commit) != 0)
        json_object_del(sight, "written"); // the head is another
    json_t *asked = json_object_get(sight, "asked");
    if (!asked || json_equal(asked, json_object_get(sight, "answered")))
        return;
    json_object_set(sight, "answered", asked);
    json_object_set_new(sight, "before", json_integer(newest));
}

void live_asked(struct work *work)
{
    each_service(work, note_asked, 0);
}

static bool keep_id(void *user, const struct build *build)
{
    *(int64_t *)user = build->id;
    return false;
}

bool live_answered(struct work *work)
{
    int64_t newest = 0;
    struct build_filter filter = {
        .repository = work->repository, .branch = work->branch, .limit = 1};
    if (!store_build_list(work->pipeline->parts.store, &filter, keep_id, &newest, &work->err))
        return false;
    each_service(work, note_answered, newest);
    return true;
}

// The lock is held.
static int64_t times_written(const json_t *sight, const char *commit)
{
    const char *written = json_text_at(sight, "written", NULL);
    return written && strcmp(written, commit) == 0 ? json_int_or(json_object_get(sight, "times"), 0)
                                                   : 0;
}

void live_written(struct work *work, const struct service *service, const struct build *build)
{
    struct live *live = &work->pipeline->live;
    pthread_mutex_lock(&live->lock);
    json_t *sight = sight_of(live, service->uid);
    json_object_set_new(sight, "answered", mark_of(service));
    json_object_set_new(sight, "before", json_integer(build->id));
    int64_t times = times_written(sight, build->commit);
    json_object_set_new(sight, "written", json_text(build->commit));
    json_object_set_new(sight, "times", json_integer(times + 1));
    pthread_mutex_unlock(&live->lock);
}

int live_times_written(struct work *work, const struct service *service, const struct build *build)
{
    struct live *live = &work->pipeline->live;
    pthread_mutex_lock(&live->lock);
    int64_t times = times_written(json_object_get(live->sights, service->uid), build->commit);
    pthread_mutex_unlock(&live->lock);
    return (int)times;
}

enum live_order live_order(struct work *work, const struct service *service, int64_t *before)
{
    struct live *live = &work->pipeline->live;
    CLEANUP(json_ptr) json_t *mark = mark_of(service);
    pthread_mutex_lock(&live->lock);
    const json_t *sight = json_object_get(live->sights, service->uid);
    enum live_order order = json_equal(json_object_get(sight, "answered"), mark) ? LIVE_OLDER
                            : json_equal(json_object_get(sight, "asked"), mark)  ? LIVE_ASKED
                                                                                 : LIVE_UNKNOWN;
    *before = json_int_or(json_object_get(sight, "before"), 0);
    pthread_mutex_unlock(&live->lock);
    return order;
}

void live_forget(struct live *live, const struct service *service)
{
    pthread_mutex_lock(&live->lock);
    json_object_del(live->sights, service->uid);
    pthread_mutex_unlock(&live->lock);
}
