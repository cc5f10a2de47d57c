#include "agent/observe.h"
#include "agent/metrics.h"

static void answer(struct server_request *req, bool well, const char *status, const char *reason,
                   const struct error *err)
{
    if (well)
        server_answer_json(req, 200, json_pack("{s:s}", "status", status));
    else
        server_refuse(req, 503, reason, "%s", err->text);
}

void observe_health(struct server_request *req, const struct observed *observed)
{
    struct error err = {0};
    answer(req, observed->alive(observed->user, &err), "ok", "not-alive", &err);
}

void observe_readiness(struct server_request *req, const struct observed *observed)
{
    struct error err = {0};
    answer(req, observed->ready(observed->user, &err), "ready", "not-ready", &err);
}

void observe_metrics(struct server_request *req, const struct observed *observed)
{
    CLEANUP(buffer_finish) struct buffer text = {0};
    struct error err = {0};
    observed->measure(observed->user);
    if (metrics_write(&text, &err))
        server_answer_bytes(req, 200, METRICS_CONTENT_TYPE, text.data, text.len);
    else
        server_answer_error(req, &err);
}

static void get_health(struct server_request *req, void *user)
{
    observe_health(req, user);
}

static void get_readiness(struct server_request *req, void *user)
{
    observe_readiness(req, user);
}

static void get_metrics(struct server_request *req, void *user)
{
    observe_metrics(req, user);
}

const struct server_route observe_routes[] = {
    {"GET", "/healthz", get_health, SERVER_OPEN | SERVER_WHILE_DRAINING},
    {"GET", "/readyz", get_readiness, SERVER_OPEN | SERVER_WHILE_DRAINING},
    {"GET", "/metrics", get_metrics, SERVER_OPEN | SERVER_WHILE_DRAINING},
    {0},
};
