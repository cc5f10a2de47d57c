#include "webhooks/sign.h"

#include "agent/base/http.h"
#include "agent/base/json.h"
#include "agent/base/text.h"
#include "webhooks/event.h"
#include "webhooks/form.h"
#include "webhooks/signature.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define UUID_SIZE       37 // with NUL
#define SHA1_HEX        40
#define LISTED_FILE     "source/module/part-%07zu.c"
#define REF_TAG_PREFIX  "refs/tags/"
#define REF_HEAD_PREFIX "refs/heads/"

const char *const sign_scheme_words[] = {"github-json",     "github-form",      "gitlab-token",
                                         "gitlab-signing",  "gitea-json",       "gitea-form",
                                         "bitbucket-cloud", "bitbucket-server", NULL};
const char *const sign_event_words[] = {"push", "tag", "delete", "ping", NULL};

// What both forges' payloads are made from.
struct facts {
    char ref[REF_MAX + 1];
    char before[OBJECT_ID_MAX + 1];
    char after[OBJECT_ID_MAX + 1];
    char http_url[REPOSITORY_MAX + sizeof "https://.git"];
    char ssh_url[REPOSITORY_MAX + sizeof "git@:.git"];
    char web_url[REPOSITORY_MAX + sizeof "https://"];
    char full_name[REPOSITORY_MAX + 1]; // "acme/report"
    char time[RFC3339_SIZE];
    char delivery[DELIVERY_ID_MAX + 1];
    bool deleted;
};

// --- payloads ---
static json_t *person(void)
{
    return json_pack("{s:s, s:s}", "name", "Ada Example", "email", "ada@example.com");
}

static json_t *commit(const struct facts *facts, json_t *files)
{
    CLEANUP(free_ptr) char *url = xasprintf("%s/commit/%s", facts->web_url, facts->after);
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:[], s:O, s:[]}", "id", facts->after,
                     "message", "Change the report\n\nMade by cronwright sign.", "timestamp",
                     facts->time, "url", url, "author", person(), "committer", person(), "added",
                     "modified", files, "removed");
}

static json_t *github_repository(const struct facts *facts)
{
    static const char *const parts[] = {
        "forks",
        "keys{/key_id}",
        "collaborators{/collaborator}",
        "branches{/branch}",
        "tags",
        "blobs{/sha}",

        "statuses/{sha}",
        "contributors",
        "commits{/sha}",
        "compare/{base}...{head}",
        "contents/{+path}",
        "issues{/number}",
        "pulls{/number}",
        "releases{/id}",
        "deployments",
    };
    json_t *repository =
        json_pack("{s:i, s:s, s:s, s:b, s:s, s:s, s:s, s:s, s:s}", "id", 35129377, "full_name",
                  facts->full_name, "name", strrchr(facts->web_url, '/') + 1, "private", 1,
                  "html_url", facts->web_url, "url", facts->web_url, "clone_url", facts->http_url,
                  "ssh_url", facts->ssh_url, "default_branch", "main");
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        char key[32];
        snprintf(key, sizeof key, "%.*s_url", (int)strcspn(parts[i], "{/"), parts[i]);
        CLEANUP(free_ptr)
        char *url = xasprintf("https://api.example.com/repos/%s/%s", facts->full_name, parts[i]);
        json_object_set_new(repository, key, json_string(url));
    }
    return repository;
}

static json_t *github_payload(enum sign_event event, const struct facts *facts, json_t *files)
{
    json_t *repository = github_repository(facts);
    json_t *sender = json_pack("{s:s, s:i, s:s}", "login", "ada", "id", 6752317, "type", "User");
    if (event == SIGN_PING)
        return json_pack("{s:s, s:i, s:{s:s, s:b, s:[s]}, s:o, s:o}", "zen",
                         "A ping changes nothing.", "hook_id", 12345678, "hook", "type",
                         "Repository", "active", 1, "events", "push", "repository", repository,
                         "sender", sender);
    json_t *head = facts->deleted ? json_null() : commit(facts, files);
    json_t *commits = facts->deleted ? json_array() : json_pack("[O]", head);
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:b, s:b, s:b, s:n, s:s, s:o, s:o}", "ref",
                     facts->ref, "before", facts->before, "after", facts->after, "repository",
                     repository, "pusher", person(), "sender", sender, "created", 0, "deleted",
                     facts->deleted, "forced", 0, "base_ref", "compare", facts->web_url, "commits",
                     commits, "head_commit", head);
}

static json_t *gitlab_payload(enum sign_event event, const struct facts *facts, json_t *files)
{
    (void)event; // the ref and the ids tell
    const char *kind = ref_tag(facts->ref) ? "tag_push" : "push";
    json_t *project =
        json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "id", 15, "name",
                  strrchr(facts->web_url, '/') + 1, "web_url", facts->web_url, "git_ssh_url",
                  facts->ssh_url, "git_http_url", facts->http_url, "namespace", "Acme",
                  "path_with_namespace", facts->full_name, "default_branch", "main");
    json_t *commits = facts->deleted ? json_array() : json_pack("[o]", commit(facts, files));
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:i, s:s, s:s, s:s, s:i, s:o, s:o, s:i}",
                     "object_kind", kind, "event_name", kind, "before", facts->before, "after",
                     facts->after, "ref", facts->ref, "checkout_sha",
                     facts->deleted ? json_null() : json_string(facts->after), "user_id", 4,
                     "user_name", "Ada Example", "user_username", "ada", "user_email",
                     "ada@example.com", "project_id", 15, "project", project, "commits", commits,
                     "total_commits_count", facts->deleted ? 0 : 1);
}

// "branch" and "main" of "refs/heads/main".
static json_t *cloud_ref(const struct facts *facts, const char *id, json_t *files)
{
    const char *tag = ref_tag(facts->ref), *branch = ref_branch(facts->ref);
    const char *name = tag ? tag : branch ? branch : facts->ref;
    json_t *target = json_pack("{s:s, s:s, s:s, s:s}", "type", "commit", "hash", id, "date",
                               facts->time, "message", "Change the report\n");
    // Bitbucket lists no files; here they stand for the rest of a large payload.
    json_object_set(target, "files", files);
    return json_pack("{s:s, s:s, s:o}", "type", tag ? "tag" : "branch", "name", name, "target",
                     target);
}

static json_t *bitbucket_cloud_payload(enum sign_event event, const struct facts *facts,
                                       json_t *files)
{
    bool created = event == SIGN_TAG;
    json_t *change =
        json_pack("{s:o, s:o, s:b, s:b, s:b}", "new",
                  facts->deleted ? json_null() : cloud_ref(facts, facts->after, files), "old",
                  created ? json_null() : cloud_ref(facts, facts->before, files), "created",
                  created, "closed", facts->deleted, "forced", 0);
    return json_pack("{s:{s:s, s:s}, s:{s:s, s:s, s:{s:{s:s}}}, s:{s:[o]}}", "actor", "type",
                     "user", "display_name", "Ada Example", "repository", "type", "repository",
                     "full_name", facts->full_name, "links", "html", "href", facts->web_url, "push",
                     "changes", change);
}

static json_t *bitbucket_server_payload(enum sign_event event, const struct facts *facts,
                                        json_t *files)
{
    static const char zeros[] = "0000000000000000000000000000000000000000";
    bool created = event == SIGN_TAG;
    if (event == SIGN_PING)
        return json_pack("{s:b}", "test", 1);
    return json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:s, s:{s:[{s:s, s:s}, {s:s, s:s}]}}, "
                     "s:[{s:s, s:s, s:s, s:s, s:O}]}",
                     "eventKey", "repo:refs_changed", "date", facts->time, "actor", "name", "ada",
                     "displayName", "Ada Example", "repository", "slug",
                     strrchr(facts->web_url, '/') + 1, "links", "clone", "href", facts->ssh_url,
                     "name", "ssh", "href", facts->http_url, "name", "http", "changes", "refId",
                     facts->ref, "fromHash", created ? zeros : facts->before, "toHash",
                     facts->after, "type",
                     facts->deleted ? "DELETE"
                     : created      ? "ADD"
                                    : "UPDATE",
                     "files", files);
}

// --- body ---
static size_t listed_size(const json_t *payload, json_t *files)
{
    json_array_append_new(files, json_sprintf(LISTED_FILE, json_array_size(files)));
    return json_dumpb(payload, NULL, 0, JSON_COMPACT);
}

// Lists files until the payload has about `size` bytes. They are part of `payload` by reference,
// maybe more than once or not at all, so what one of them adds is measured.
static void list_files(const json_t *payload, json_t *files, size_t size)
{
    size_t one = listed_size(payload, files);
    size_t two = listed_size(payload, files);
    if (one == two || two > size) {
        json_array_clear(files);
        return;
    }
    for (size_t more = (size - two) / (two - one); more > 0; more--)
        json_array_append_new(files, json_sprintf(LISTED_FILE, json_array_size(files)));
}

// --- facts ---
static void random_hex(char *out, size_t digits)
{
    uint8_t bytes[OBJECT_ID_MAX / 2];
    random_bytes(bytes, digits / 2);
    hex_encode(bytes, digits / 2, out);
}

static void random_uuid(char out[static UUID_SIZE])
{
    char hex[33];
    random_hex(hex, 32);
    hex[12] = '4';                 // version: random
    hex[16] = "89ab"[hex[16] & 3]; // variant of RFC 9562
    snprintf(out, UUID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
             hex + 20);
}

static bool set_ref(struct facts *facts, const struct sign_request *request, struct error *err)
{
    bool is_tag = request->event == SIGN_TAG;
    const char *ref = request->ref ? request->ref : is_tag ? "v1" : "main";
    const char *prefix = is_tag ? REF_TAG_PREFIX : REF_HEAD_PREFIX;
    int len = snprintf(facts->ref, sizeof facts->ref, "%s%s",
                       text_starts(ref, "refs/") ? "" : prefix, ref);
    if ((size_t)len >= sizeof facts->ref)
        return error_set(err, ERR_INVALID, "the ref is too long");
    return ref_check(facts->ref, err);
}

static bool set_ids(struct facts *facts, const struct sign_request *request, struct error *err)
{
    const char *after = request->after;
    size_t len = after ? strlen(after) : SHA1_HEX;
    if ((len != SHA1_HEX && len != OBJECT_ID_MAX) ||
        (after && strspn(after, "0123456789abcdef") != len))
        return error_set(err, ERR_INVALID, "the commit is not 40 or 64 lower-case hex digits");
    random_hex(facts->before, len);
    facts->deleted = request->event == SIGN_DELETE;
    if (facts->deleted)
        memset(facts->after, '0', len);
    else if (after)
        text_copy(facts->after, sizeof facts->after, after);
    else
        random_hex(facts->after, len);
    return true;
}

static bool set_delivery(struct facts *facts, const char *delivery, struct error *err)
{
    if (!delivery) {
        random_uuid(facts->delivery);
        return true;
    }
    return event_check_delivery(delivery, err) &&
           text_copy(facts->delivery, sizeof facts->delivery, delivery);
}

static bool set_urls(struct facts *facts, const char *url, struct error *err)
{
    char identity[REPOSITORY_MAX + 1];
    if (!repository_identify(url, identity, err))
        return false;
    const char *scheme = text_starts(url, "http://") ? "http" : "https";
    const char *path = strchr(identity, '/') + 1;
    snprintf(facts->http_url, sizeof facts->http_url, "%s://%s.git", scheme, identity);
    snprintf(facts->web_url, sizeof facts->web_url, "%s://%s", scheme, identity);
    snprintf(facts->ssh_url, sizeof facts->ssh_url, "git@%.*s:%s.git", (int)strcspn(identity, ":/"),
             identity, path);
    text_copy(facts->full_name, sizeof facts->full_name, path);
    return true;
}

// --- headers ---
static void add_header(struct signed_request *out, const char *name, const char *value)
{
    size_t count = 0;
    while (out->headers[count])
        count++;
    assert(count < SIGN_HEADERS_MAX);
    out->headers[count] = xasprintf("%s: %s", name, value);
}

static void add_github(struct signed_request *out, const struct sign_request *request,
                       const struct facts *facts, const struct webhook_secret *secret)
{
    add_header(out, "User-Agent", "GitHub-Hookshot/cronwright");
    add_header(out, "X-GitHub-Hook-ID", "12345678");
    add_header(out, "X-GitHub-Event", request->event == SIGN_PING ? "ping" : "push");
    add_header(out, "X-GitHub-Delivery", facts->delivery);
    if (!secret)
        return;
    char signature[HUB_SIGNATURE_SIZE];
    hub_signature_make(secret, buffer_text(&out->body), out->body.len, signature);
    add_header(out, "X-Hub-Signature-256", signature);
}

// Signs what is inside a form, and says the same under every name.
static void add_gitea(struct signed_request *out, const struct sign_request *request,
                      const struct facts *facts, const struct webhook_secret *secret)
{
    static const char *const prefixes[] = {"X-Gitea", "X-Gogs", "X-GitHub"};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        CLEANUP(free_ptr) char *delivery = xasprintf("%s-Delivery", prefixes[i]);
        CLEANUP(free_ptr) char *event = xasprintf("%s-Event", prefixes[i]);
        add_header(out, delivery, facts->delivery);
        add_header(out, event, "push");
    }
    char signature[HUB_SIGNATURE_SIZE] = "";
    CLEANUP(buffer_finish) struct buffer json = {0};
    bool is_form = request->scheme == SIGN_GITEA_FORM &&
                   form_field(buffer_text(&out->body), out->body.len, "payload", &json, NULL);
    const struct buffer *text = is_form ? &json : &out->body;
    if (secret)
        hub_signature_make(secret, buffer_text(text), text->len, signature);
    const char *digits = secret ? signature + strlen(HUB_PREFIX) : "";
    add_header(out, "X-Gitea-Signature", digits); // empty without a secret
    add_header(out, "X-Gogs-Signature", digits);
    add_header(out, "X-Hub-Signature-256", secret ? signature : HUB_PREFIX);
}

static void add_bitbucket(struct signed_request *out, const struct facts *facts,
                          const struct webhook_secret *secret, const char *event,
                          const char *delivery_header)
{
    add_header(out, "X-Event-Key", event);
    add_header(out, delivery_header, facts->delivery);
    if (!secret)
        return;
    char signature[HUB_SIGNATURE_SIZE];
    hub_signature_make(secret, buffer_text(&out->body), out->body.len, signature);
    add_header(out, "X-Hub-Signature", signature);
}

static void add_bitbucket_cloud(struct signed_request *out, const struct sign_request *request,
                                const struct facts *facts, const struct webhook_secret *secret)
{
    char hook[UUID_SIZE];
    (void)request; // it has no pings
    random_uuid(hook);
    add_header(out, "User-Agent", "Bitbucket-Webhooks/2.0");
    add_header(out, "X-Hook-UUID", hook);
    add_bitbucket(out, facts, secret, "repo:push", "X-Request-UUID");
}

static void add_bitbucket_server(struct signed_request *out, const struct sign_request *request,
                                 const struct facts *facts, const struct webhook_secret *secret)
{
    const char *event = request->event == SIGN_PING ? "diagnostics:ping" : "repo:refs_changed";
    add_bitbucket(out, facts, secret, event, "X-Request-Id");
}

static void add_standard(struct signed_request *out, const struct sign_request *request,
                         const struct facts *facts, const struct webhook_secret *secret)
{
    char timestamp[24];
    char signature[STANDARD_SIGNATURE_SIZE];
    snprintf(timestamp, sizeof timestamp, "%lld", (long long)(request->now.ms / 1000));
    standard_signature_make(secret, facts->delivery, timestamp, buffer_text(&out->body),
                            out->body.len, signature);
    add_header(out, "webhook-id", facts->delivery);
    add_header(out, "webhook-timestamp", timestamp);
    add_header(out, "webhook-signature", signature);
}

static void add_gitlab(struct signed_request *out, const struct sign_request *request,
                       const struct facts *facts, const struct webhook_secret *secret)
{
    char uuid[UUID_SIZE];
    random_uuid(uuid);
    add_header(out, "User-Agent", "GitLab/cronwright");
    add_header(out, "X-Gitlab-Event", ref_tag(facts->ref) ? "Tag Push Hook" : "Push Hook");
    add_header(out, "X-Gitlab-Webhook-UUID", uuid);
    add_header(out, "X-Gitlab-Instance", "https://gitlab.example.com");
    add_header(out, "Idempotency-Key", facts->delivery);
    if (secret && request->scheme == SIGN_GITLAB_TOKEN)
        add_header(out, "X-Gitlab-Token", request->secret);
    else if (secret)
        add_standard(out, request, facts, secret);
}

// --- requests ---
static const struct forge {
    const struct webhook_provider *provider;
    json_t *(*payload)(enum sign_event event, const struct facts *facts, json_t *files);
    void (*add_headers)(struct signed_request *out, const struct sign_request *request,
                        const struct facts *facts, const struct webhook_secret *secret);
    bool has_pings;
} github = {&webhook_github, github_payload, add_github, true},
  gitlab = {&webhook_gitlab, gitlab_payload, add_gitlab, false},
  gitea = {&webhook_gitea, github_payload, add_gitea, false},
  bitbucket_cloud = {&webhook_bitbucket, bitbucket_cloud_payload, add_bitbucket_cloud, false},
  bitbucket_server = {&webhook_bitbucket, bitbucket_server_payload, add_bitbucket_server, true};

static const struct scheme {
    const struct forge *forge;
    enum webhook_secret_sort secret;
    bool is_form;
} schemes[SIGN_SCHEME_COUNT] = {
    [SIGN_GITHUB_JSON] = {&github, SECRET_HMAC, false},
    [SIGN_GITHUB_FORM] = {&github, SECRET_HMAC, true},
    [SIGN_GITLAB_TOKEN] = {&gitlab, SECRET_TOKEN, false},
    [SIGN_GITLAB_SIGNING] = {&gitlab, SECRET_SIGNING, false},
    [SIGN_GITEA_JSON] = {&gitea, SECRET_GITEA, false},
    [SIGN_GITEA_FORM] = {&gitea, SECRET_GITEA, true},
    [SIGN_BITBUCKET_CLOUD] = {&bitbucket_cloud, SECRET_BITBUCKET, false},
    [SIGN_BITBUCKET_SERVER] = {&bitbucket_server, SECRET_BITBUCKET, false},
};

static bool make_body(const struct scheme *scheme, const struct sign_request *request,
                      const struct facts *facts, struct buffer *out, struct error *err)
{
    CLEANUP(json_ptr) json_t *files = json_array();
    CLEANUP(json_ptr) json_t *payload = scheme->forge->payload(request->event, facts, files);
    list_files(payload, files, request->body_size);
    CLEANUP(free_ptr) char *text = json_write(payload);
    if (!scheme->is_form)
        return buffer_append(out, text, strlen(text), err);
    CLEANUP(free_ptr) char *escaped = http_escape(text);
    return buffer_printf(out, err, "payload=%s", escaped);
}

static bool set_facts(struct facts *facts, const struct sign_request *request, struct error *err)
{
    wall_format(request->now, false, facts->time);
    return set_ref(facts, request, err) && set_ids(facts, request, err) &&
           set_delivery(facts, request->delivery, err) && set_urls(facts, request->repository, err);
}

bool sign_request(const struct sign_request *request, struct signed_request *out, struct error *err)
{
    const struct scheme *scheme = &schemes[request->scheme];
    const struct forge *forge = scheme->forge;
    CLEANUP(webhook_secrets_finish) struct webhook_secrets secrets = {0};
    CLEANUP(signed_request_finish) struct signed_request made = {.path = forge->provider->path};
    struct facts facts = {0};
    if (request->event == SIGN_PING && !forge->has_pings)
        return error_set(err, ERR_UNSUPPORTED, "only GitHub and Bitbucket Data Center send pings");
    if (request->body_size > SIGN_BODY_MAX)
        return error_set(err, ERR_TOO_LARGE, "a body of more than %zu bytes", SIGN_BODY_MAX);
    if (!set_facts(&facts, request, err) || !make_body(scheme, request, &facts, &made.body, err) ||
        (request->secret && !webhook_secrets_add(&secrets, scheme->secret, request->secret, err)))
        return false;

    add_header(&made, "Content-Type",
               scheme->is_form ? "application/x-www-form-urlencoded" : "application/json");
    forge->add_headers(&made, request, &facts,
                       request->secret ? &secrets.list[scheme->secret][0] : NULL);
    *out = made;
    made = (struct signed_request){0};
    return true;
}

void signed_request_finish(struct signed_request *request)
{
    for (size_t i = 0; request->headers[i]; i++)
        secret_free(request->headers[i]); // one may be a token
    buffer_finish(&request->body);
    *request = (struct signed_request){0};
}
