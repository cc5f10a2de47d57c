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

// It speaks of all namespaces together.
static void get_metrics(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    if (admin_sees(admin_token(admin, req), "*"))
        observe_metrics(req, admin->observed);
    else
        server_refuse(req, 403, "forbidden", "the metrics are for tokens of all namespaces");
}

const struct server_route admin_health_routes[] = {
    {"GET", "/healthz", get_health, SERVER_OPEN | SERVER_WHILE_DRAINING},
    {"GET", "/readyz", get_ready, SERVER_OPEN | SERVER_WHILE_DRAINING},
    {"GET", "/metrics", get_metrics, SERVER_WHILE_DRAINING},
    {0},
};
