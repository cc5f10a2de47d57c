#include "agent/admin/admin.h"
#include "agent/admin/logs.h"
#include "agent/pipeline/pipeline.h"
#include "agent/store/statuses.h"
#include "build/kaniko.h"

#include <string.h>

json_t *admin_build_json(const struct build *build)
{
    return json_pack("{s:o, s:o, s:o, s:s, s:o, s:o, s:i, s:s, s:o, s:o, s:o, s:o, s:o,"
                     " s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:i}",
                     "build", admin_build_id(build->id), "repository", json_text(build->repository),
                     "branch", json_text(build->branch), "commit", build->commit, "subject",
                     json_text_or_null(build->subject), "author", json_text_or_null(build->author),
                     "attempt", build->attempt, "state", build_state_word(build->state), "reason",
                     json_text_or_null(build->reason), "detail", json_text_or_null(build->detail),
                     "job", json_text_or_null(build->job), "image", json_text(build->image),
                     "digest", json_text_or_null(build->digest), "created",
                     admin_time(build->created), "started", admin_time(build->started), "finished",
                     admin_time(build->finished), "fetchSeconds", admin_seconds(build->fetch_ms),
                     "contextSeconds", admin_seconds(build->context_ms), "kanikoSeconds",
                     admin_seconds(build->kaniko_ms), "patchSeconds",
                     admin_seconds(build->patch_ms), "services", build->patched);
}

bool admin_build_of(const struct admin *admin, const struct service *service, const char *build,
                    const char *commit, struct build *out)
{
    char credential[STORE_CREDENTIAL_SIZE] = "";
    struct error err;
    int64_t id;
    // Without a right to build any more, those are shown that all may see who build such branches.
    if (!pipeline_service_credential(admin->pipeline, service, credential))
        credential[0] = '\0';
    return admin_build_number(build, &id) && store_build_get(admin->store, id, out, &err) &&
           strcmp(out->commit, commit) == 0 && strcmp(out->credential, credential) == 0;
}

json_t *admin_build_row(const struct admin *admin, const struct config_token *token, int64_t id)
{
    struct build build;
    struct error err;
    if (!store_build_get(admin->store, id, &build, &err) ||
        !admin_sees_branch(admin, token, build.repository, build.branch, build.credential))
        return NULL;
    json_t *json = admin_build_json(&build);
    if (json)
        admin_hide_detail(admin, token, json);
    return json;
}

struct build_list {
    const struct admin *admin;
    const struct config_token *token;
    json_t *json;
};

static bool add_build(void *user, const struct build *build)
{
    struct build_list *list = user;
    if (admin_sees_branch(list->admin, list->token, build->repository, build->branch,
                          build->credential))
        admin_append(list->json, admin_build_json(build));
    return true;
}

static void list_builds(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    int64_t limit;
    char commit[STORE_COMMIT_SIZE];
    struct build_filter filter = {.commit = commit,
                                  .repository = server_query(req, "repository"),
                                  .branch = server_query(req, "branch")};
    if (!admin_query_int(req, "limit", 1, STORE_PAGE_MAX, 50, &limit) ||
        !admin_query_int(req, "before", 1, INT64_MAX, 0, &filter.before) ||
        !admin_query_commit(req, "commit", sizeof commit, commit))
        return;
    filter.limit = (int)limit;
    struct error err;
    struct build_list list = {
        .admin = admin, .token = admin_token(admin, req), .json = json_array()};
    if (store_build_list(admin->store, &filter, add_build, &list, &err)) {
        admin_hide_details(admin, list.token, list.json);
        server_answer_json(req, 200, json_pack("{s:O}", "builds", list.json));
    } else {
        server_answer_error(req, &err);
    }
    json_decref(list.json);
}

static bool sees_build(const struct admin *admin, const struct config_token *token, const void *of)
{
    const struct build *build = of;
    return admin_sees_branch(admin, token, build->repository, build->branch, build->credential);
}

// Finds the build named in the path; otherwise answers and returns false.
static bool named_build(const struct admin *admin, struct server_request *req, struct build *out)
{
    int64_t id;
    const char *text = server_param(req, "build");
    struct error err;
    if (!admin_build_number(text, &id)) {
        server_refuse(req, 400, "invalid", "\"%s\" is not a build; builds look like b-51", text);
        return false;
    }
    if (!store_build_get(admin->store, id, out, &err)) {
        server_answer_error(req, &err);
        return false;
    }
    if (sees_build(admin, admin_token(admin, req), out))
        return true;
    server_refuse(req, 404, "not-found", "there is no build %s", text);
    return false;
}

static bool add_patch(void *user, const struct patch_record *patch)
{
    struct build_list *list = user;
    if (!admin_sees(list->token, patch->namespace))
        return true;
    json_t *json = json_pack("{s:s, s:s, s:o, s:s, s:o}", "namespace", patch->namespace, "name",
                             patch->name, "oldImage", json_text_or_null(patch->old_image),
                             "newImage", patch->new_image, "at", admin_time(patch->at));
    admin_append(list->json, json);
    return true;
}

// What the command that failed wrote last, as far as its log is kept.
static json_t *last_lines(const struct admin *admin, const struct build *build)
{
    CLEANUP(buffer_finish) struct buffer log = {0};
    pipeline_build_log_end(admin->pipeline, build->id, 0, &log);
    return kaniko_log_output(buffer_text(&log), log.len);
}

static void add_status(void *user, const struct commit_status *status)
{
    struct build_list *list = user;
    if (!admin_sees(list->token, status->namespace))
        return;
    json_t *json = json_pack("{s:s, s:s, s:s, s:o, s:b, s:i, s:o}", "namespace", status->namespace,
                             "name", status->name, "state", status_state_word(status->state),
                             "description", json_text(status->detail), "told", status->told,
                             "tries", status->tries, "error", json_text_or_null(status->error));
    admin_append(list->json, json);
}

// A text for each line.
static json_t *notes_json(const struct admin *admin, int64_t build)
{
    json_t *list = json_array();
    CLEANUP(free_ptr) char *notes = pipeline_build_notes(admin->pipeline, build);
    char *rest = notes;
    for (const char *line; rest && (line = strsep(&rest, "\n"));)
        if (*line)
            json_array_append_new(list, json_text(line));
    return list;
}

static void get_build(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    struct build build;
    struct error err;
    if (!named_build(admin, req, &build))
        return;
    CLEANUP(json_ptr) json_t *patches = json_array();
    struct build_list list = {.token = admin_token(admin, req), .json = patches};
    CLEANUP(json_ptr) json_t *statuses = json_array();
    struct build_list status_list = {.token = list.token, .json = statuses};
    if (!store_patch_list(admin->store, build.id, add_patch, &list, &err) ||
        !store_status_list(admin->store, build.id, add_status, &status_list, &err)) {
        server_answer_error(req, &err);
        return;
    }
    json_t *json = admin_build_json(&build);
    admin_hide_detail(admin, list.token, json);
    json_object_set(json, "patches", patches);
    if (build.state == BUILD_FAILED)
        json_object_set_new(json, "lastLines", last_lines(admin, &build));
    json_object_set(json, "statuses", statuses);
    json_object_set_new(json, "notes", notes_json(admin, build.id));
    server_answer_json(req, 200, json);
}

static void get_build_log(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    struct build build;
    if (!named_build(admin, req, &build))
        return;
    CLEANUP(free_ptr) char *path = pipeline_build_log(admin->pipeline, build.id);
    if (path)
        admin_answer_log(req, admin, path, &(struct log_sight){sees_build, &build, sizeof build});
    else
        server_refuse(req, 404, "no-log", "there is no log yet");
}

const struct server_route admin_build_routes[] = {
    {"GET", "/v1/builds", list_builds, 0},
    {"GET", "/v1/builds/{build}", get_build, 0},
    {"GET", "/v1/builds/{build}/logs", get_build_log, 0},
    {0},
};
