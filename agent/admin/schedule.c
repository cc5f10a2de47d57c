#include "agent/admin/admin.h"
#include "deploy/schedule_answer.h"

// Whatever is asked without one begins now.
static bool read_from(struct server_request *req, int64_t *out)
{
    const char *text = server_query(req, "from");
    struct error err;
    *out = wall_now().ms / 1000;
    if (!text || schedule_read_from(text, out, &err))
        return true;
    server_refuse(req, 400, "invalid", "from: %s", err.text);
    return false;
}

static void refuse(struct server_request *req, json_t *errors)
{
    char detail[64];
    size_t count = json_array_size(errors);
    (void)snprintf(detail, sizeof detail, "%zu error%s", count, count == 1 ? "" : "s");
    server_answer_problem(
        req, &(struct server_problem){.status = 400,
                                      .reason = "invalid",
                                      .detail = detail,
                                      .members = json_pack("{s:o}", "errors", errors)});
}

static void get_schedule(struct server_request *req, void *user)
{
    (void)user;
    const char *expression = server_query(req, "expression");
    const char *time_zone = server_query(req, "timeZone");
    struct schedule_question question = {.expression = expression,
                                         .time_zone = time_zone ? time_zone : ""};
    int64_t count;
    if (!expression) {
        server_refuse(req, 400, "invalid", "expression is missing");
        return;
    }
    if (!admin_query_int(req, "count", 1, SCHEDULE_COUNT_MAX, SCHEDULE_COUNT_DEFAULT, &count) ||
        !read_from(req, &question.from))
        return;
    question.count = (size_t)count;
    CLEANUP(zone_ptr) struct zone *zone = NULL;
    struct error zone_error;
    json_t *answer;
    if (!zone_open(question.time_zone, &zone, &zone_error))
        zone = NULL;
    if (schedule_answer(&question, zone, &zone_error, &answer))
        server_answer_json(req, 200, answer);
    else
        refuse(req, answer);
}

const struct server_route admin_schedule_routes[] = {
    {"GET", "/v1/schedule", get_schedule, 0},
    {0},
};
