#include "deploy/service_state.h"
#include "deploy/cronjob_json.h"
#include "deploy/schedule.h"
#include "deploy/service_write.h"

#include <string.h>

#define CHANGE_TRIES 5 // conflicts in a row on one CronJob

#define AT_UID     PATCH_AT("metadata", "uid")
#define AT_SUSPEND PATCH_AT("spec", "suspend")
#define AT_STATE   PATCH_AT("metadata", "annotations", ANNOTATION_STATE)

void service_change_finish(struct service_change *change)
{
    service_drop(change->before);
    service_drop(change->after);
    json_decref(change->cronjob);
    json_decref(change->warnings);
    *change = (struct service_change){0};
}

// One try of a change.
struct attempt {
    struct kube_client *client;
    json_t *cronjob;               // as it is now
    const struct service *service; // the same
    const void *wish;              // what the change is about; NULL for most
};
// Gives a patch, or NULL when there is nothing to change.
typedef bool make_patch(const struct attempt *attempt, json_t **patch, struct error *err);

static const char *annotation(const struct attempt *attempt, const char *key)
{
    return json_text_at(attempt->cronjob, "metadata", "annotations", key, NULL);
}

static json_t *begin_patch(const struct attempt *attempt)
{
    json_t *patch = patch_create();
    patch_test(patch, AT_UID, attempt->service->uid);
    return patch;
}

// If it is there, and as it was read.
static void drop_annotation(const struct attempt *attempt, json_t *patch, const char *key)
{
    const char *value = annotation(attempt, key);
    if (!value)
        return;
    patch_test(patch, PATCH_AT("metadata", "annotations", key), value);
    patch_remove(patch, PATCH_AT("metadata", "annotations", key));
}

static bool send_patch(const struct attempt *attempt, const json_t *patch,
                       struct service_change *out, struct error *err)
{
    CLEANUP(kube_reply_finish) struct kube_reply reply = {0};
    struct kube_request request = {.method = "PATCH",
                                   .resource = &KUBE_CRONJOBS,
                                   .namespace_ = attempt->service->namespace_,
                                   .name = attempt->service->name,
                                   .content_type = KUBE_JSON_PATCH,
                                   .body = patch};
    if (!kube_request(attempt->client, &request, &reply, err) ||
        !service_from_json(reply.body, &out->after, err))
        return false;
    out->before = service_hold(attempt->service);
    out->cronjob = TAKE(reply.body);
    out->warnings = TAKE(reply.warnings);
    return true;
}

static bool try_change(struct attempt *attempt, make_patch *make, struct service_change *out,
                       struct error *err)
{
    CLEANUP(json_ptr) json_t *patch = NULL;
    if (!make(attempt, &patch, err))
        return false;
    if (patch)
        return send_patch(attempt, patch, out, err);
    out->before = service_hold(attempt->service);
    out->after = service_hold(attempt->service);
    out->cronjob = json_incref(attempt->cronjob);
    return true;
}

typedef bool read_cronjob(struct kube_client *client, const char *namespace_, const char *name,
                          json_t **json, const struct service **service, struct error *err);

static bool change_what(read_cronjob *read, struct kube_client *client, const char *namespace_,
                        const char *name, make_patch *make, const void *wish,
                        struct service_change *out, struct error *err)
{
    struct error why = {0};
    for (int i = 0; i < CHANGE_TRIES; i++) {
        CLEANUP(json_ptr) json_t *cronjob = NULL;
        CLEANUP(service_ptr) const struct service *service = NULL;
        struct service_change made = {0};
        if (!read(client, namespace_, name, &cronjob, &service, &why))
            break;
        struct attempt attempt = {client, cronjob, service, wish};
        if (try_change(&attempt, make, &made, &why)) {
            *out = made;
            return true;
        }
        if (why.code != ERR_CONFLICT)
            break;
    }
    return error_set(err, why.code, "cronjob %.*s/%.*s: %s", KUBE_LABEL_MAX, namespace_,
                     KUBE_NAME_MAX, name, why.text);
}

static bool change(struct kube_client *client, const char *namespace_, const char *name,
                   make_patch *make, const void *wish, struct service_change *out,
                   struct error *err)
{
    return change_what(cronjob_fetch, client, namespace_, name, make, wish, out, err);
}

// --- start and stop ---

static json_t *set_state(const struct attempt *attempt, const char *word)
{
    const char *now = annotation(attempt, ANNOTATION_STATE);
    const struct annotation state[] = {{ANNOTATION_STATE, word}, {0}};
    json_t *patch = begin_patch(attempt);
    patch_test_value(patch, AT_SUSPEND, json_true());
    if (now)
        patch_test(patch, AT_STATE, now);
    patch_annotate(patch, attempt->service->has_annotations, state);
    return patch;
}

static bool resume(const struct attempt *attempt, json_t **patch, struct error *err)
{
    const struct service *service = attempt->service;
    CLEANUP(json_ptr) json_t *now = json_incref(attempt->cronjob);
    if (!service->run_missed && !service_skip_missed(attempt->client, &now, err))
        return false;
    *patch = begin_patch(attempt);
    patch_test_value(*patch, AT_SUSPEND, json_true());
    patch_add_value(*patch, AT_SUSPEND, json_false());
    drop_annotation(attempt, *patch, ANNOTATION_STATE);
    if (service->state == SERVICE_DRAFT && service->first_run != FIRST_RUN_NEVER)
        patch_add(*patch, PATCH_AT("metadata", "annotations", ANNOTATION_FIRST_RUN_DUE), "start");
    return true;
}

static bool make_start(const struct attempt *attempt, json_t **patch, struct error *err)
{
    const struct service *service = attempt->service;
    if (service->state == SERVICE_STARTED)
        return true;
    if (!service_not_built(service))
        return resume(attempt, patch, err);
    if (!service->starting)
        *patch = set_state(attempt, "starting");
    return true;
}

static bool make_start_if_built(const struct attempt *attempt, json_t **patch, struct error *err)
{
    bool due = attempt->service->starting && !service_not_built(attempt->service);
    return !due || resume(attempt, patch, err);
}

static bool make_stop(const struct attempt *attempt, json_t **patch, struct error *err)
{
    (void)err;
    const struct service *service = attempt->service;
    if (service->starting)
        *patch = set_state(attempt, "draft");
    if (service->state != SERVICE_STARTED)
        return true;
    *patch = begin_patch(attempt);
    patch_add_value(*patch, AT_SUSPEND, json_true());
    drop_annotation(attempt, *patch, ANNOTATION_STATE); // left by whoever started it by hand
    drop_annotation(attempt, *patch, ANNOTATION_FIRST_RUN_DUE);
    return true;
}

bool service_start(struct kube_client *client, const char *namespace_, const char *name,
                   struct service_change *out, struct error *err)
{
    return change(client, namespace_, name, make_start, NULL, out, err);
}

bool service_start_if_built(struct kube_client *client, const char *namespace_, const char *name,
                            struct service_change *out, struct error *err)
{
    return change(client, namespace_, name, make_start_if_built, NULL, out, err);
}

bool service_stop(struct kube_client *client, const char *namespace_, const char *name,
                  struct service_change *out, struct error *err)
{
    return change(client, namespace_, name, make_stop, NULL, out, err);
}

static bool make_first_run_made(const struct attempt *attempt, json_t **patch, struct error *err)
{
    (void)err;
    const struct service *made = attempt->wish;
    if (strcmp(attempt->service->uid, made->uid) != 0 ||
        strcmp(attempt->service->first_run_due, made->first_run_due) != 0)
        return true;
    *patch = begin_patch(attempt);
    drop_annotation(attempt, *patch, ANNOTATION_FIRST_RUN_DUE);
    return true;
}

bool service_first_run_made(struct kube_client *client, const struct service *service,
                            struct error *err)
{
    struct service_change done = {0};
    bool ok = change(client, service->namespace_, service->name, make_first_run_made, service,
                     &done, err);
    service_change_finish(&done);
    return ok;
}

// --- images ---

struct roll_back {
    const struct service_image *to;
    const char *who;
};

static bool make_roll_back(const struct attempt *attempt, json_t **patch, struct error *err)
{
    const struct roll_back *wish = attempt->wish;
    const struct service *service = attempt->service;
    if (!*service->container)
        return error_set(err, ERR_INVALID, "%s", service->problem);
    const struct annotation annotations[] = {{ANNOTATION_COMMIT, wish->to->commit},
                                             {ANNOTATION_BUILD, wish->to->build},
                                             {ANNOTATION_PATCHED_BY, wish->to->agent},
                                             {ANNOTATION_PINNED, wish->who},
                                             {0}};
    *patch = cronjob_image_patch(service, wish->to->image, annotations);
    drop_annotation(attempt, *patch, ANNOTATION_FIRST_RUN_DUE); // it was another image's
    drop_annotation(attempt, *patch, ANNOTATION_RECIPE);        //
    return true;
}

bool service_roll_back(struct kube_client *client, const char *namespace_, const char *name,
                       const struct service_image *to, const char *who, struct service_change *out,
                       struct error *err)
{
    const struct roll_back wish = {to, who};
    return change(client, namespace_, name, make_roll_back, &wish, out, err);
}

static bool make_follow(const struct attempt *attempt, json_t **patch, struct error *err)
{
    (void)err;
    const struct service *service = attempt->service;
    bool by_hand = service->replaced ||
                   (*service->patched_image && strcmp(service->image, service->patched_image) != 0);
    if (!*service->pinned && !by_hand)
        return true;
    *patch = begin_patch(attempt);
    // The image stands somewhere in the pod template: that may not change in between either.
    patch_test(*patch, PATCH_AT("metadata", "resourceVersion"), service->resource_version);
    drop_annotation(attempt, *patch, ANNOTATION_PINNED);
    if (by_hand) {
        patch_replace(*patch, PATCH_AT("metadata", "annotations", ANNOTATION_PATCHED_IMAGE),
                      service->image);
        drop_annotation(attempt, *patch, ANNOTATION_COMMIT); // that of the image before
        drop_annotation(attempt, *patch, ANNOTATION_BUILD);
        drop_annotation(attempt, *patch, ANNOTATION_RECIPE);
        drop_annotation(attempt, *patch, ANNOTATION_PATCHED_BY);
        drop_annotation(attempt, *patch, ANNOTATION_PATCHED_CONTAINERS);
    }
    return true;
}

bool service_follow(struct kube_client *client, const char *namespace_, const char *name,
                    struct service_change *out, struct error *err)
{
    return change(client, namespace_, name, make_follow, NULL, out, err);
}

// --- adopting ---

// Whether all pairs are there already; sets them in the map.
static bool set_pairs(json_t *metadata, const char *map, const struct annotation pairs[])
{
    json_t *texts = json_object_get(metadata, map);
    bool same = true;
    if (!texts) {
        texts = json_object();
        json_object_set_new(metadata, map, texts);
    }
    for (; pairs->key; pairs++) {
        const char *now = json_string_value(json_object_get(texts, pairs->key));
        same = same && now && strcmp(now, pairs->value) == 0;
        json_object_set_new(texts, pairs->key, json_text(pairs->value));
    }
    return same;
}

// Looks at what would come of it before anything is written.
static bool try_adoption(const struct attempt *attempt, json_t **patch, struct error *err)
{
    const struct service_adoption *adoption = attempt->wish;
    CLEANUP(json_ptr) json_t *adopted = json_deep_copy(attempt->cronjob);
    CLEANUP(service_ptr) const struct service *service = NULL;
    json_t *metadata = json_object_get(adopted, "metadata");
    bool same = set_pairs(metadata, "labels", adoption->labels);
    same = set_pairs(metadata, "annotations", adoption->annotations) && same;
    if (!service_from_json(adopted, &service, err))
        return false;
    if (adoption->check && !adoption->check(adoption->user, service, err))
        return false;
    if (same)
        return true;
    *patch = begin_patch(attempt);
    patch_label(*patch, json_at(attempt->cronjob, "metadata", "labels", NULL), adoption->labels);
    patch_annotate(*patch, attempt->service->has_annotations, adoption->annotations);
    return true;
}

static bool read_any(struct kube_client *client, const char *namespace_, const char *name,
                     json_t **json, const struct service **service, struct error *err)
{
    return cronjob_read(client, namespace_, name, json, err) &&
           service_from_json(*json, service, err);
}

bool service_adopt(struct kube_client *client, const char *namespace_, const char *name,
                   const struct service_adoption *adoption, struct service_change *out,
                   struct error *err)
{
    return change_what(read_any, client, namespace_, name, try_adoption, adoption, out, err);
}

// --- the schedule ---

bool service_next(const struct service *service, struct wall_time after, struct wall_time *out)
{
    struct schedule schedule;
    CLEANUP(zone_ptr) struct zone *zone = NULL;
    int64_t seconds;
    if (service->state != SERVICE_STARTED ||
        !schedule_parse(service->schedule, &schedule, NULL, NULL) ||
        !zone_open(service->time_zone, &zone, NULL) ||
        !schedule_next(&schedule, zone, after.ms / 1000, &seconds))
        return false;
    out->ms = seconds * 1000;
    return true;
}
