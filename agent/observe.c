#include "agent/observe.h"

void observe_health(struct server_request *req, const struct observed *observed)
{
    struct error err = {0};
    if (observed->alive(observed->user, &err))
        server_answer_json(req, 200, json_pack("{s:s}", "status", "ok"));
    else
        server_refuse(req, 503, "not-alive", "%s", err.text);
}

void observe_readiness(struct server_request *req, const struct observed *observed)
{
    struct error err = {0};
    if (observed->ready(observed->user, &err))
        server_answer_json(req, 200, json_pack("{s:s}", "status", "ready"));
    else
        server_refuse(req, 503, "not-ready", "%s", err.text);
}

static void get_health(struct server_request *req, void *user)
{
    observe_health(req, user);
}

static void get_readiness(struct server_request *req, void *user)
{
    observe_readiness(req, user);
}

const struct server_route observe_routes[] = {
    {"GET", "/healthz", get_health, SERVER_OPEN | SERVER_WHILE_DRAINING},
    {"GET", "/readyz", get_readiness, SERVER_OPEN | SERVER_WHILE_DRAINING},
    {0},
};
