// This machine's clock beside those of the servers it talks to, by the Date of their answers.
#include "agent/doctor/remotes.h"

#include "agent/base/text.h"

#include <inttypes.h>
#include <string.h>

#define ASK_MS    5000
#define APART_MAX 30000 // ms
#define HOSTS_MAX 16

// `asked`: when the request was sent; Date is of some moment since, cut to a second.
static void compare(struct look *look, const char *whose, struct wall_time asked,
                    struct wall_time date)
{
    int64_t now = wall_now().ms;
    int64_t ahead = asked.ms - (date.ms + 999), behind = date.ms - now;
    if (date.ms == 0)
        return;
    if (ahead > APART_MAX || behind > APART_MAX)
        look_problem(look, "set the clock that is wrong: timedatectl",
                     "the clock here is %" PRId64 " s %s that of %s",
                     (ahead > 0 ? ahead : behind) / 1000, ahead > 0 ? "ahead of" : "behind", whose);
    else
        look_good(look, "%s", whose);
}

static void look_at_kubernetes(struct look *look)
{
    struct kube_request request = {.path = "/version", .timeout_ms = look_timeout(look, ASK_MS)};
    CLEANUP(kube_reply_finish) struct kube_reply reply = {0};
    struct wall_time asked = wall_now();
    struct error err;
    (void)!kube_request(look->doctor->kube, &request, &reply, &err); // a refusal has a Date too
    compare(look, "the API server", asked, reply.date);
}

static void look_at_host(struct look *look, size_t i, void *user)
{
    const struct service *service = ((struct service_list *)user)->items[i];
    const char *url = service->repository, *host = strstr(url, "://");
    char credential[STORE_CREDENTIAL_SIZE], name[REMOTE_HOST_SIZE];
    if (!host || !text_starts(url, "http") || !remote_host(url, name) ||
        !pipeline_service_credential(look->doctor->pipeline, service, credential))
        return;
    size_t root = (size_t)(host - url) + 3 + strcspn(host + 3, "/");
    CLEANUP(free_ptr) char *top = xasprintf("%.*s/", (int)root, url);
    const struct config_credential *login = config_credential(look->config, credential, url);
    const char *ca = login && *login->ca_file ? login->ca_file : look->config->git.ca_file;
    struct http_trust trust = {.ca_file = *ca ? ca : NULL,
                               .proxy = config_git_proxy(look->config, url)};
    if (trust.proxy && look->config->git.proxy_password.text) {
        trust.proxy_username = look->config->git.proxy_username;
        trust.proxy_password = look->config->git.proxy_password.text;
    }
    struct http_request request = {
        .method = "HEAD", .url = top, .timeout_ms = look_timeout(look, ASK_MS), .trust = &trust};
    CLEANUP(http_response_finish) struct http_response response = {0};
    struct wall_time asked = wall_now();
    struct error err;
    if (http_perform(&request, &response, &err)) // else the group git says why
        compare(look, name, asked, response.date);
}

static void look_at_remotes(struct look *look)
{
    struct service_list list = {0};
    remotes_list(look, &list);
    look_each(look, list.count < HOSTS_MAX ? list.count : HOSTS_MAX, look_at_host, &list);
    service_list_finish(&list);
}

const struct check clock_checks[] = {
    {"kubernetes", look_at_kubernetes},
    {"git", look_at_remotes},
    {0},
};
