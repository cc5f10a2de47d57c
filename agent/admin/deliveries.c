#include "agent/admin/admin.h"
#include "agent/intake.h"

#include <string.h>

static json_t *delivery_json(const struct delivery *delivery)
{
    char hash[SHA256_HEX_SIZE];
    hex_encode(delivery->body_sha256, SHA256_SIZE, hash);
    return json_pack(
        "{s:o, s:I, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:b, s:o, s:o,"
        " s:s}",
        "delivery", json_text(delivery->id), "seq", (json_int_t)delivery->seq, "forge",
        delivery->forge, "event", json_text(delivery->event), "received",
        admin_time(delivery->received), "repository", json_text_or_null(delivery->repository),
        "ref", json_text_or_null(delivery->ref), "branch", json_text_or_null(delivery->branch),
        "commit", json_text_or_null(delivery->commit), "pusher",
        json_text_or_null(delivery->pusher), "reason", delivery->reason, "detail",
        json_text_or_null(delivery->detail), "pending", delivery->pending, "build",
        admin_build_id(delivery->build), "finished", admin_time(delivery->finished), "bodySha256",
        hash);
}

struct delivery_list {
    const struct admin *admin;
    const struct config_token *token;
    json_t *json;
};

static bool add_delivery(void *user, const struct delivery *delivery)
{
    struct delivery_list *list = user;
    if (admin_sees_branch(list->admin, list->token, delivery->repository, delivery->branch, NULL))
        admin_append(list->json, delivery_json(delivery));
    return true;
}

json_t *admin_delivery_row(const struct admin *admin, const struct config_token *token, int64_t seq)
{
    struct delivery_list list = {.admin = admin, .token = token, .json = json_array()};
    const struct delivery_filter filter = {.before = seq + 1, .limit = 1};
    CLEANUP(json_ptr) json_t *rows = list.json;
    struct error err;
    if (!store_delivery_list(admin->store, &filter, add_delivery, &list, &err) ||
        json_int_or(json_at(rows, "0", "seq", NULL), 0) != seq)
        return NULL;
    json_t *row = json_incref(json_array_get(rows, 0));
    admin_hide_detail(admin, token, row);
    return row;
}

static json_t *refused_json(const struct refused_request *refused)
{
    return json_pack("{s:o, s:o, s:I, s:s, s:o, s:o, s:i, s:o}", "time", admin_time(refused->time),
                     "since", admin_time(refused->since), "count", (json_int_t)refused->count,
                     "peer", refused->peer, "forge", json_text_or_null(refused->forge), "delivery",
                     json_text_or_null(refused->delivery), "status", refused->status, "reason",
                     json_text(refused->reason));
}

// Requests without a valid signature belong to nobody: only who sees all namespaces sees them.
static json_t *refused_list(const struct admin *admin, const struct config_token *token)
{
    json_t *list = json_array();
    if (!admin_sees(token, "*"))
        return list;
    CLEANUP(free_ptr)
    struct refused_request *refused = xalloc(INTAKE_REFUSED_MAX * sizeof *refused);
    size_t count;
    intake_refused_list(admin->intake, refused, INTAKE_REFUSED_MAX, &count);
    for (size_t i = 0; i < count; i++)
        admin_append(list, refused_json(&refused[i]));
    return list;
}

static void list_deliveries(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    const struct config_token *token = admin_token(admin, req);
    int64_t limit;
    char commit[STORE_COMMIT_SIZE];
    struct delivery_filter filter = {.commit = commit,
                                     .repository = server_query(req, "repository"),
                                     .reason = server_query(req, "reason")};
    if (!admin_query_int(req, "limit", 1, STORE_PAGE_MAX, 50, &limit) ||
        !admin_query_int(req, "before", 1, INT64_MAX, 0, &filter.before) ||
        !admin_query_commit(req, "commit", sizeof commit, commit))
        return;
    filter.limit = (int)limit;
    struct delivery_list list = {.admin = admin, .token = token, .json = json_array()};
    struct error err;
    if (store_delivery_list(admin->store, &filter, add_delivery, &list, &err)) {
        admin_hide_details(admin, token, list.json);
        server_answer_json(req, 200,
                           json_pack("{s:O, s:o}", "deliveries", list.json, "refused",
                                     refused_list(admin, token)));
    } else {
        server_answer_error(req, &err);
    }
    json_decref(list.json);
}

static void get_delivery(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    const struct config_token *token = admin_token(admin, req);
    struct delivery delivery;
    struct error err;
    if (!store_delivery_get(admin->store, server_param(req, "delivery"), &delivery, &err)) {
        server_answer_error(req, &err);
        return;
    }
    if (!admin_sees_branch(admin, token, delivery.repository, delivery.branch, NULL)) {
        server_refuse(req, 404, "not-found", "there is no such delivery");
        return;
    }
    CLEANUP(json_ptr) json_t *builds = json_array();
    struct build build;
    if (delivery.build && store_build_get(admin->store, delivery.build, &build, &err) &&
        admin_sees_branch(admin, token, build.repository, build.branch, build.credential))
        admin_append(builds, admin_build_json(&build));
    admin_hide_details(admin, token, builds);
    json_t *json = delivery_json(&delivery);
    admin_hide_detail(admin, token, json);
    json_object_set(json, "builds", builds);
    server_answer_json(req, 200, json);
}

const struct server_route admin_delivery_routes[] = {
    {"GET", "/v1/deliveries", list_deliveries, 0},
    {"GET", "/v1/deliveries/{delivery}", get_delivery, 0},
    {0},
};
