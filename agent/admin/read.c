#include "agent/admin/admin.h"
#include "agent/base/log.h"
#include "agent/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const struct server_route *const admin_tables[] = {
    admin_service_routes,
    admin_document_routes,
    admin_removal_routes,
    admin_state_routes,
    admin_image_routes,
    admin_adopt_routes,
    admin_run_routes,
    admin_build_routes,
    admin_delivery_routes,
    admin_schedule_routes,
    admin_health_routes,
    admin_doctor_routes,
    admin_openapi_routes,
    admin_page_routes,
    admin_session_routes,
    admin_update_routes,
    admin_timeline_routes,
    admin_manifest_routes,
    NULL,
};

bool admin_query_int(struct server_request *req, const char *name, int64_t min, int64_t max,
                     int64_t otherwise, int64_t *out)
{
    const char *text = server_query(req, name);
    if (!text) {
        *out = otherwise;
        return true;
    }
    if (text_to_int(text, min, max, out))
        return true;
    server_refuse(req, 400, "invalid", "%s must be a number from %" PRId64 " to %" PRId64, name,
                  min, max);
    return false;
}

bool admin_query_bool(struct server_request *req, const char *name, bool *out)
{
    const char *text = server_query(req, name);
    if (!text || strcmp(text, "false") == 0) {
        *out = false;
        return true;
    }
    if (*text == '\0' || strcmp(text, "true") == 0) {
        *out = true;
        return true;
    }
    server_refuse(req, 400, "invalid", "%s must be true or false", name);
    return false;
}

bool admin_read_object(struct server_request *req, json_t **out)
{
    size_t len;
    const char *body = server_body(req, &len);
    CLEANUP(json_ptr) json_t *json = NULL;
    struct error err;
    if (len == 0) {
        *out = json_object();
        return true;
    }
    if (!json_read(body, len, len, &json, &err)) {
        server_answer_error(req, &err);
        return false;
    }
    if (!json_is_object(json)) {
        server_refuse(req, 400, "invalid", "the body must be a JSON object");
        return false;
    }
    *out = TAKE(json);
    return true;
}

bool admin_no_body(struct server_request *req)
{
    CLEANUP(json_ptr) json_t *json = NULL;
    if (!admin_read_object(req, &json))
        return false;
    if (json_object_size(json) == 0)
        return true;
    server_refuse(req, 400, "invalid", "this takes no body");
    return false;
}

void admin_refuse_errors(struct server_request *req, json_t *errors, const char *what)
{
    size_t count = json_array_size(errors);
    CLEANUP(free_ptr)
    char *detail = count == 1 ? xstrdup(json_text_at(errors, "0", "detail", NULL))
                              : xasprintf("%zu errors, %s", count, what);
    server_answer_problem(
        req, &(struct server_problem){.status = 400,
                                      .reason = "invalid",
                                      .detail = detail,
                                      .members = json_pack("{s:O}", "errors", errors)});
}

void admin_append(json_t *list, json_t *row)
{
    if (!row || json_array_append_new(list, row) != 0)
        log_line(LOG_ERROR, "a row of a list could not be made", NULL);
}

json_t *admin_time(struct wall_time time)
{
    char text[RFC3339_SIZE];
    wall_format(time, true, text);
    return json_text_or_null(text);
}

json_t *admin_seconds(int64_t ms)
{
    return ms < 0 ? json_null() : json_real((double)ms / 1000);
}

json_t *admin_build_id(int64_t id)
{
    char text[32];
    snprintf(text, sizeof text, "b-%" PRId64, id);
    return id ? json_string(text) : json_null();
}

bool admin_build_number(const char *text, int64_t *id)
{
    return text_to_int(text_starts(text, "b-") ? text + 2 : text, 1, INT64_MAX, id);
}
