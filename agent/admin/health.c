#include "agent/admin/admin.h"

static void get_health(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    observe_health(req, admin->observed);
}

static void get_ready(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    observe_readiness(req, admin->observed);
}

const struct server_route admin_health_routes[] = {
    {"GET", "/healthz", get_health, SERVER_OPEN | SERVER_WHILE_DRAINING},
    {"GET", "/readyz", get_ready, SERVER_OPEN | SERVER_WHILE_DRAINING},
    {0},
};
