#include "agent/admin/admin.h"

static void get_health(struct server_request *req, void *user)
{
    (void)user;
    server_answer_json(req, 200, json_pack("{s:s}", "status", "ok"));
}

static void get_ready(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    struct error err = {0};
    if (admin->ready(admin->ready_user, &err))
        server_answer_json(req, 200, json_pack("{s:s}", "status", "ready"));
    else
        server_refuse(req, 503, "not-ready", "%s", err.text);
}

const struct server_route admin_health_routes[] = {
    {"GET", "/healthz", get_health, SERVER_OPEN | SERVER_WHILE_DRAINING},
    {"GET", "/readyz", get_ready, SERVER_OPEN | SERVER_WHILE_DRAINING},
    {0},
};
