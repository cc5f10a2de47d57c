// Webhooks: does a signed delivery arrive, which were refused, did any ever come.
#include "agent/doctor/look.h"

#include "agent/base/json.h"
#include "agent/base/text.h"
#include "agent/intake.h"
#include "webhooks/sign.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SEND_MS     5000
#define HOUR_MS     ((int64_t)3600 * 1000)
#define UNIX_PREFIX "unix:"

// --- a delivery to itself ---

// A push that is none: of a kind that is ignored.
static const struct forge {
    const char *name;
    enum sign_scheme scheme;
    enum sign_event event;
} forges[] = {
    {"github", SIGN_GITHUB_JSON, SIGN_PING},           {"gitlab", SIGN_GITLAB_TOKEN, SIGN_TAG},
    {"gitlab-signing", SIGN_GITLAB_SIGNING, SIGN_TAG}, {"gitea", SIGN_GITEA_JSON, SIGN_TAG},
    {"bitbucket", SIGN_BITBUCKET_CLOUD, SIGN_TAG},
};

// NULL: there is none, or it alone would not do.
static const char *secret_of(const struct config *config, const struct forge *forge)
{
    bool signing = config->webhooks.gitlab_signing_tokens.count > 0 &&
                   !config->webhooks.gitlab_accept_unsigned;
    const struct config_secrets *secrets = &config->webhooks.github_secrets;
    if (forge->scheme == SIGN_GITLAB_TOKEN)
        secrets = &config->webhooks.gitlab_tokens;
    else if (forge->scheme == SIGN_GITLAB_SIGNING)
        secrets = &config->webhooks.gitlab_signing_tokens;
    else if (forge->scheme == SIGN_GITEA_JSON)
        secrets = &config->webhooks.gitea_secrets;
    else if (forge->scheme == SIGN_BITBUCKET_CLOUD)
        secrets = &config->webhooks.bitbucket_secrets;
    if (secrets->count == 0 || (forge->scheme == SIGN_GITLAB_TOKEN && signing))
        return NULL;
    return secrets->items[0].text;
}

// Of an address that is listened on: where a client of this machine finds it.
static char *url_of(const char *address, const char *path)
{
    if (text_starts(address, UNIX_PREFIX))
        return xasprintf("http://localhost%s", path);
    if (text_starts(address, "0.0.0.0:"))
        return xasprintf("http://127.0.0.1%s%s", strrchr(address, ':'), path);
    if (text_starts(address, "[::]:"))
        return xasprintf("http://[::1]%s%s", strrchr(address, ':'), path);
    return xasprintf("http://%s%s", address, path);
}

static bool send_signed(const struct look *look, const struct signed_request *signed_request,
                        int *status, char *detail, size_t room, struct error *err)
{
    const char *address = look->doctor->webhooks_address;
    CLEANUP(free_ptr) char *url = url_of(address, signed_request->path);
    struct http_request request = {.method = "POST",
                                   .url = url,
                                   .body = buffer_text(&signed_request->body),
                                   .body_len = signed_request->body.len,
                                   .timeout_ms = look_timeout(look, SEND_MS)};
    if (text_starts(address, UNIX_PREFIX))
        request.unix_socket = address + strlen(UNIX_PREFIX);
    for (size_t i = 0; signed_request->headers[i]; i++)
        request.headers[i] = signed_request->headers[i];
    CLEANUP(http_response_finish) struct http_response response = {0};
    if (!http_perform(&request, &response, err))
        return false;
    CLEANUP(json_ptr) json_t *answer = NULL;
    size_t len = response.body.len;
    const char *said = json_read(buffer_text(&response.body), len, len, &answer, NULL)
                           ? json_text_at(answer, "detail", NULL)
                           : NULL;
    *status = response.status;
    text_copy(detail, room, said ? said : "");
    return true;
}

static bool deliver(struct look *look, const struct forge *forge, const char *secret)
{
    CLEANUP(free_ptr) char *id = xasprintf(INTAKE_PROBE_ID "%s", forge->name);
    struct sign_request request = {.scheme = forge->scheme,
                                   .event = forge->event,
                                   .secret = secret,
                                   .repository = "https://cronwright.invalid/doctor/self-test",
                                   .delivery = id,
                                   .now = wall_now()};
    CLEANUP(signed_request_finish) struct signed_request signed_request = {0};
    struct error err;
    char detail[256];
    int status;
    if (!sign_request(&request, &signed_request, &err)) {
        look_problem(look, NULL, "a delivery of %s cannot be signed: %s", forge->name, err.text);
    } else if (!send_signed(look, &signed_request, &status, detail, sizeof detail, &err)) {
        look_problem(look, "see the agent's log, and webhooks.listen in its settings",
                     "a delivery to itself does not arrive: %s", err.text);
    } else if (status != 202) {
        look_problem(look, "see the agent's log; cronwright deliveries lists what was refused",
                     "a signed delivery of %s is refused: %d %s", forge->name, status, detail);
    } else {
        return true;
    }
    return false;
}

static void look_at_delivery(struct look *look)
{
    CLEANUP(buffer_finish) struct buffer good = {0};
    size_t secrets = 0;
    for (size_t i = 0; i < sizeof forges / sizeof *forges; i++) {
        const char *secret = secret_of(look->config, &forges[i]);
        secrets += secret != NULL;
        if (secret && deliver(look, &forges[i], secret) &&
            !buffer_printf(&good, NULL, "%s%s", good.len ? ", " : "", forges[i].name))
            abort(); // a few words
    }
    if (secrets == 0)
        look_warning(look, "set webhooks.github.secretFiles, or that of another forge",
                     "no forge has a secret: every delivery is refused");
    else if (good.len > 0)
        look_good(look, "signed deliveries arrive (%s)", buffer_text(&good));
}

// --- those that were refused ---

static const char *advice_for(const struct refused_request *refused)
{
    static const struct {
        const char *forge, *fix;
    } secrets[] = {
        {"github", "the hook's secret must be one of those in webhooks.github.secretFiles"},
        {"gitlab", "the hook's token must be one of those in webhooks.gitlab.tokenFiles or "
                   "signingTokenFiles"},
        {"gitea", "the hook's secret must be one of those in webhooks.gitea.secretFiles"},
        {"bitbucket", "the hook's secret must be one of those in webhooks.bitbucket.secretFiles"},
    };
    for (size_t i = 0; refused->status == 401 && i < sizeof secrets / sizeof *secrets; i++)
        if (strcmp(secrets[i].forge, refused->forge) == 0)
            return secrets[i].fix;
    if (refused->status == 404 || refused->status == 400)
        return "look at the hook's URL and content type in the forge";
    return refused->status == 503 ? "the disk or the agent was busy: see the group store"
                                  : "cronwright deliveries lists them";
}

// All requests of one reason, whoever sent them.
static void say_refused(struct look *look, const struct refused_request *all, size_t count,
                        size_t first)
{
    const struct refused_request *refused = &all[first];
    CLEANUP(buffer_finish) struct buffer peers = {.cap = 512};
    CLEANUP(json_ptr) json_t *seen = json_object();
    uint64_t times = 0;
    for (size_t i = first; i < count; i++) {
        if (all[i].status != refused->status || strcmp(all[i].reason, refused->reason) != 0 ||
            strcmp(all[i].forge, refused->forge) != 0)
            continue;
        times += all[i].count;
        if (look_first(seen, "%s", all[i].peer))
            (void)!buffer_printf(&peers, NULL, "%s%s", peers.len ? ", " : "", all[i].peer);
    }
    look_warning(look, advice_for(refused),
                 "%" PRIu64 " refused of %s, the last %" PRId64 " min ago: %d %s (from %s)", times,
                 *refused->forge ? refused->forge : "no forge",
                 (wall_now().ms - refused->time.ms) / 60000, refused->status, refused->reason,
                 buffer_text(&peers));
}

static void look_at_refused(struct look *look)
{
    CLEANUP(free_ptr)
    struct refused_request *all = xalloc(INTAKE_REFUSED_MAX * sizeof *all);
    CLEANUP(json_ptr) json_t *said = json_object();
    size_t count;
    intake_refused_list(look->doctor->intake, all, INTAKE_REFUSED_MAX, &count);
    int64_t since = wall_now().ms - HOUR_MS;
    for (size_t i = 0; i < count && all[i].time.ms >= since; i++)
        if (look_first(said, "%d %s %s", all[i].status, all[i].forge, all[i].reason))
            say_refused(look, all, count, i);
}

// --- those that came ---

static bool is_of_forge(void *user, const struct delivery *delivery)
{
    bool *came = user;
    *came = !text_starts(delivery->id, INTAKE_PROBE_ID);
    return !*came;
}

static bool anybody_follows(const struct look *look)
{
    struct service_list list = {0};
    service_cache_list(look->doctor->services, NULL, &list);
    bool any = false;
    for (size_t i = 0; i < list.count && !any; i++)
        any = *list.items[i]->repository != '\0';
    service_list_finish(&list);
    return any;
}

static void look_at_arrivals(struct look *look)
{
    struct delivery_filter filter = {.limit = sizeof forges / sizeof *forges + 1};
    struct error err;
    bool came = false;
    if (!store_delivery_list(look->doctor->store, &filter, is_of_forge, &came, &err))
        look_problem(look, "see the group store", "deliveries cannot be read: %s", err.text);
    else if (!came && anybody_follows(look))
        look_warning(look, "in the forge, add a webhook for pushes: cronwright services says where",
                     "no delivery has come yet: pushes are found by the sweep alone");
}

const struct check webhooks_checks[] = {
    {"self-delivery", look_at_delivery},
    {"refused", look_at_refused},
    {"arrivals", look_at_arrivals},
    {0},
};
