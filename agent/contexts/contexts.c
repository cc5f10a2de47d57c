#include "agent/contexts/contexts.h"

#include "agent/base/log.h"
#include "agent/base/text.h"
#include "build/kaniko.h"

#include <string.h>

#define REQUEST_MS    15000
#define IDLE_MS       5000
#define BODY_MAX      ((size_t)1 << 10)
#define RETRY_SECONDS "2"

static bool check_token(const struct contexts *contexts, const struct server_request *req,
                        char uid[static CONTEXT_UID_SIZE])
{
    CLEANUP(settings_drop_ptr) const struct config *config = settings_hold(contexts->settings);
    const char *header = server_header(req, "Authorization");
    return header && server_header_count(req, "Authorization") == 1 &&
           text_starts(header, "Bearer ") &&
           context_token_check(contexts->keys, config->builds.namespace, server_param(req, "job"),
                               header + strlen("Bearer "), uid);
}

// What may pass is asked for again; the pod knows nothing else of it.
static void answer_error(struct server_request *req, const struct error *err)
{
    log_line(LOG_WARNING, "a build context is not given", "job", server_param(req, "job"), "error",
             err->text, NULL);
    if (!error_is_transient(err->code)) {
        server_refuse(req, 409, error_word(err->code), "%s", err->text);
        return;
    }
    server_add_header(req, "Retry-After", RETRY_SECONDS);
    server_refuse(req, 503, error_word(err->code), "%s", err->text);
}

// The Job that the token speaks of, if it is still under way.
static bool find_job(const struct contexts *contexts, const char *name, const char *uid,
                     struct kube_reply *out, struct error *err)
{
    CLEANUP(settings_drop_ptr) const struct config *config = settings_hold(contexts->settings);
    if (!kube_request(contexts->kube,
                      &(struct kube_request){.resource = &KUBE_JOBS,
                                             .namespace_ = config->builds.namespace,
                                             .name = name},
                      out, err)) {
        if (err->code == ERR_UNAUTHORIZED) // our own token: see work_failed()
            err->code = ERR_UNAVAILABLE;
        return false;
    }
    const char *its = json_text_at(out->body, "metadata", "uid", NULL);
    if (its && strcmp(its, uid) == 0 && kaniko_job_is_live(out->body))
        return true;
    kube_reply_finish(out);
    return error_set(err, ERR_FORBIDDEN, "the build's Job has ended");
}

static void get_context(struct server_request *req, void *user)
{
    const struct contexts *contexts = user;
    const char *job = server_param(req, "job");
    char uid[CONTEXT_UID_SIZE];
    struct kube_reply reply;
    struct error err;
    int fd;
    uint64_t len;
    if (!check_token(contexts, req, uid)) {
        server_refuse(req, 401, "unauthorized", "the token is not that of a build's Job");
        return;
    }
    if (!find_job(contexts, job, uid, &reply, &err)) {
        answer_error(req, &err);
        return;
    }
    bool there = pipeline_context_open(contexts->pipeline, reply.body, &fd, &len, &err);
    kube_reply_finish(&reply);
    if (!there) {
        answer_error(req, &err);
        return;
    }
    log_line(LOG_INFO, "a pod fetches its build context", "job", job, "peer", server_peer(req),
             NULL);
    server_answer_file(req, "application/gzip", fd, len);
}

static const struct server_route routes[] = {
    {"GET", "/contexts/{job}", get_context, 0},
    {0},
};

bool contexts_listen(struct contexts *contexts, struct server **out, struct error *err)
{
    static const struct server_route *const tables[] = {routes, NULL};
    CLEANUP(settings_drop_ptr) const struct config *config = settings_hold(contexts->settings);
    struct server_options options = {
        .name = "context",
        .model = SERVER_THREADS,
        .fd = -1,
        .host = config->context.listen.host,
        .port = config->context.listen.port,
        .certificate_pem = contexts->keys->certificate,
        .key_pem = contexts->keys->key,
        .tables = tables,
        .user = contexts,
        .body_max = BODY_MAX,
        .in_flight_max = (size_t)config->context.max_connections * BODY_MAX,
        .connections_max = (unsigned)config->context.max_connections,
        .request_ms = REQUEST_MS,
        .answer_ms = config->builds.timeout_ms, // no pod that fetches lives longer
        .idle_ms = IDLE_MS,
    };
    return server_start(&options, out, err);
}
