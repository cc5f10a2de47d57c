// The images that a service has had, going back to one, and following the branch again.
#include "agent/admin/runs.h"
#include "agent/admin/states.h"
#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/pipeline/pipeline.h"
#include "deploy/document.h"

#include <string.h>

#define IMAGES_DEFAULT 20

// --- the history ---

struct history {
    const struct service *service;
    struct image_record *items; // newest first; the first one is live
    size_t count, room;
};

static void history_finish(struct history *history)
{
    free(history->items);
}

static void keep_image(struct history *history, const struct image_record *image)
{
    if (history->count == history->room) {
        history->room = history->room ? 2 * history->room : 16;
        history->items = xrealloc(history->items, history->room * sizeof *history->items);
    }
    history->items[history->count++] = *image;
}

// What the cluster has now is told even where the store has not seen it: it came while no agent
// looked, or only just now.
static void keep_live(const struct admin *admin, struct history *history, bool replaced)
{
    struct image_record live;
    struct build build;
    pipeline_service_image(admin->pipeline, history->service, replaced, &live);
    if (admin_build_of(admin, history->service, live.build, live.commit, &build)) {
        text_copy(live.subject, sizeof live.subject, build.subject);
        text_copy(live.author, sizeof live.author, build.author);
    }
    keep_image(history, &live);
}

static bool is_live(const struct history *history, const struct image_record *image)
{
    return strcmp(image->image, history->service->image) == 0;
}

static bool keep_stored(void *user, const struct image_record *image)
{
    keep_image(user, image);
    return true;
}

// The caller finishes *out, also after false.
static bool read_history(const struct admin *admin, const struct service *service, int limit,
                         struct history *out, struct error *err)
{
    struct history stored = {.service = service};
    *out = (struct history){.service = service};
    bool ok = store_image_list(admin->store, service->uid, limit, keep_stored, &stored, err);
    bool known = stored.count > 0 && is_live(&stored, &stored.items[0]);
    if (ok && !known && !service_not_built(service) && *service->image)
        keep_live(admin, out, stored.count > 0);
    for (size_t i = 0; ok && i < stored.count && out->count < (size_t)limit; i++) {
        pipeline_image_build(admin->pipeline, service, &stored.items[i]);
        keep_image(out, &stored.items[i]);
    }
    history_finish(&stored);
    return ok;
}

static json_t *image_json(const struct image_record *image, bool live)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:b}", "image",
                     json_text(image->image), "commit", json_text_or_null(image->commit), "subject",
                     json_text_or_null(image->subject), "author", json_text_or_null(image->author),
                     "build", json_text_or_null(image->build), "at", admin_time(image->at), "by",
                     json_text_or_null(image->by), "kind", image_kind_word(image->kind), "live",
                     live);
}

static void list_images(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    int64_t limit;
    if (!admin_query_int(req, "limit", 1, STORE_PAGE_MAX, IMAGES_DEFAULT, &limit))
        return;
    CLEANUP(service_ptr)
    const struct service *known = admin_named_service(admin, req, ROLE_VIEWER);
    CLEANUP(service_ptr) const struct service *present = NULL;
    CLEANUP(history_finish) struct history history = {0};
    struct error err;
    if (!known)
        return;
    // Which is live may have changed a moment ago. Without the API server it is as was last heard.
    if (!cronjob_get(admin->kube, known->namespace_, known->name, &present, &err))
        present = NULL;
    if (!read_history(admin, present ? present : known, (int)limit, &history, &err)) {
        server_answer_error(req, &err);
        return;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < history.count; i++)
        admin_append(list,
                     image_json(&history.items[i], i == 0 && is_live(&history, history.items)));
    server_answer_json(req, 200, json_pack("{s:o}", "images", list));
}

// --- roll-back ---

// The newest image of that build or, without one, that is not the live one. False: answered.
static bool choose_image(struct server_request *req, const struct history *history, const char *to,
                         const struct image_record **out)
{
    const struct service *service = history->service;
    for (size_t i = 0; i < history->count; i++) {
        const struct image_record *image = &history->items[i];
        if (to ? strcmp(image->build, to) != 0 : is_live(history, image))
            continue;
        *out = image;
        return true;
    }
    if (to)
        server_refuse(req, 404, "not-found",
                      "%s/%s had no image of build %s; cronwright images %s/%s lists those it had",
                      service->namespace_, service->name, to, service->namespace_, service->name);
    else
        server_refuse(req, 409, "no-earlier-image", "%s/%s has had no image but the present one",
                      service->namespace_, service->name);
    return false;
}

// An image that the registry has no more, or not as it was, would leave the service without one.
// What cannot be asked does not stand in the way: a roll-back is often urgent. False: answered.
static bool is_still_there(const struct admin *admin, struct server_request *req, const char *image,
                           json_t *warnings)
{
    struct error err;
    if (pipeline_confirm_image(admin->pipeline, image, &err))
        return true;
    if (err.code == ERR_NOT_FOUND || err.code == ERR_CONFLICT) {
        server_refuse(req, 409, "image-gone", "the registry has %s no more: %s", image, err.text);
        return false;
    }
    CLEANUP(free_ptr)
    char *text = xasprintf("not checked whether the registry still has it: %s", err.text);
    json_array_append_new(warnings, json_text(text));
    return true;
}

static void answer_roll_back(struct server_request *req, const struct service_change *change,
                             json_t *warnings)
{
    CLEANUP(json_ptr) json_t *more = admin_change_warnings(change);
    json_array_extend(warnings, more);
    json_t *answer = json_pack(
        "{s:s, s:o, s:o, s:s, s:s, s:b}", "image", change->after->image, "commit",
        json_text_or_null(change->after->commit), "build", json_text_or_null(change->after->build),
        "before", change->before->image, "after", change->after->image, "pinned", true);
    admin_add_list(answer, "warnings", warnings);
    server_answer_json(req, 200, answer);
}

static void roll_back_to(const struct admin *admin, struct server_request *req,
                         const struct service *service, const struct image_record *image)
{
    const struct service_image to = {image->image, image->commit, image->build,
                                     pipeline_identity(admin->pipeline)};
    const char *by = admin_token(admin, req)->name;
    CLEANUP(json_ptr) json_t *warnings = json_array();
    struct service_change change = {0};
    struct error err;
    if (!is_still_there(admin, req, image->image, warnings))
        return;
    if (!service_roll_back(admin->kube, service->namespace_, service->name, &to, by, &change,
                           &err)) {
        server_answer_error(req, &err);
        return;
    }
    log_line(LOG_INFO, "rolled back", "service", service->name, "namespace", service->namespace_,
             "image", image->image, "before", change.before->image, "by", by, NULL);
    answer_roll_back(req, &change, warnings);
    service_change_finish(&change);
}

static bool read_target(struct server_request *req, json_t *body, const char **to)
{
    json_error_t why;
    int64_t id;
    if (json_unpack_ex(body, &why, JSON_STRICT, "{s?:s}", "to", to) != 0) {
        server_refuse(req, 400, "invalid", "the body: %s; it may hold {\"to\": \"b-49\"}",
                      why.text);
        return false;
    }
    if (!*to || (text_starts(*to, "b-") && admin_build_number(*to, &id)))
        return true;
    CLEANUP(json_ptr) json_t *errors = json_array();
    document_fault(errors, "/to", "must be a build, as b-49");
    admin_refuse_errors(req, errors, "nothing rolled back");
    return false;
}

static void roll_back(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    CLEANUP(json_ptr) json_t *body = NULL;
    CLEANUP(service_ptr) const struct service *service = NULL;
    CLEANUP(service_ptr) const struct service *known = NULL;
    CLEANUP(history_finish) struct history history = {0};
    const char *to = NULL;
    const struct image_record *image;
    struct error err;
    if (!admin_read_object(req, &body) || !read_target(req, body, &to) ||
        !(known = admin_named_service(admin, req, ROLE_ADMIN)))
        return;
    // Of the present moment: what was deployed a moment ago is what is rolled back.
    if (!cronjob_get(admin->kube, known->namespace_, known->name, &service, &err) ||
        !read_history(admin, service, STORE_PAGE_MAX, &history, &err))
        server_answer_error(req, &err);
    else if (choose_image(req, &history, to, &image))
        roll_back_to(admin, req, service, image);
}

// --- resume ---

static void answer_resume(struct server_request *req, const struct service_change *change,
                          const char *delivery)
{
    bool before = pipeline_service_pinned(change->before);
    CLEANUP(json_ptr) json_t *warnings = admin_change_warnings(change);
    json_t *answer = json_pack("{s:b, s:s, s:s, s:o}", "pinned", false, "before",
                               before ? "pinned" : "following", "after", "following", "delivery",
                               json_text_or_null(delivery));
    admin_add_list(answer, "warnings", warnings);
    server_answer_json(req, 200, answer);
}

static void resume(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    const char *by = admin_token(admin, req)->name;
    struct service_change change = {0};
    char id[STORE_DELIVERY_ID_SIZE] = "";
    struct error err;
    if (!admin_change(admin, req, service_follow, &change))
        return;
    log_line(LOG_INFO, "follows its branch", "service", change.after->name, "namespace",
             change.after->namespace_, "by", by, NULL);
    if (*change.after->repository &&
        !admin_ask_for_head(admin, change.after, "resume", by, id, &err))
        server_answer_error(req, &err);
    else
        answer_resume(req, &change, id);
    service_change_finish(&change);
}

#define SERVICE "/v1/services/{namespace}/{name}"
const struct server_route admin_image_routes[] = {
    {"GET", SERVICE "/images", list_images, 0},
    {"POST", SERVICE "/rollback", roll_back, 0},
    {"POST", SERVICE "/resume", resume, 0},
    {0},
};
