// Webhooks from the socket to the disk: a real server, a real store, requests as forges sign them.
#include "agent/base/file.h"
#include "agent/base/http.h"
#include "agent/base/json.h"
#include "agent/intake.h"
#include "webhooks/sign.h"
#include "webhooks/signature.h"

#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define GITHUB_SECRET    "github secret"
#define GITLAB_TOKEN     "gitlab token"
#define GITEA_SECRET     "Gitea's"
#define BITBUCKET_SECRET "Bitbucket's"
#define SIGNING_TOKEN    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define REPOSITORY       "https://git.example/acme/report.git"
#define IDENTITY         "git.example/acme/report"
#define COMMIT           "0123456789abcdef0123456789abcdef01234567"
#define BODY_MAX         ((size_t)64 << 10)

static char directory[64];
static struct store *store;
static struct intake *intake;
static struct server *server;

static struct {
    atomic_bool follows;
    atomic_bool by_ssh; // what follows, does so by the SSH address
    pthread_mutex_t lock;
    char woken[128];
    int count;
} agent = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool follows(void *user, const char *repository, const char *branch)
{
    assert_ptr_equal(user, &agent);
    assert_non_null(repository);
    assert_non_null(branch);
    return agent.follows && (!agent.by_ssh || strstr(repository, "/scm/") == NULL);
}

static void wake(void *user, const char *repository, const char *branch)
{
    assert_ptr_equal(user, &agent);
    pthread_mutex_lock(&agent.lock);
    snprintf(agent.woken, sizeof agent.woken, "%s %s", repository, branch);
    agent.count++;
    pthread_mutex_unlock(&agent.lock);
}

static int woken(void)
{
    pthread_mutex_lock(&agent.lock);
    int count = agent.count;
    pthread_mutex_unlock(&agent.lock);
    return count;
}

static struct settings *settings;

static void put(const char *name, const char *text)
{
    CLEANUP(free_ptr) char *path = xasprintf("%s/%s", directory, name);
    assert_true(file_write(path, 0600, text, strlen(text), NULL));
}

static void start(bool with_signing_token)
{
    snprintf(directory, sizeof directory, "/tmp/cronwright-intake-XXXXXX");
    assert_non_null(mkdtemp(directory));
    assert_true(store_open(directory, &store, NULL));
    put("github", GITHUB_SECRET);
    put("gitlab", GITLAB_TOKEN);
    put("signing", SIGNING_TOKEN);
    put("gitea", GITEA_SECRET);
    put("bitbucket", BITBUCKET_SECRET);
    CLEANUP(free_ptr)
    char *text =
        xasprintf("{git: {helper: /bin/true}, webhooks: {github: {secretFiles: [github]},"
                  " gitlab: {%s}, gitea: {secretFiles: [gitea]},"
                  " bitbucket: {secretFiles: [bitbucket]}}}",
                  with_signing_token ? "signingTokenFiles: [signing]" : "tokenFiles: [gitlab]");
    put("cronwright.yaml", text);
    CLEANUP(free_ptr) char *path = xasprintf("%s/cronwright.yaml", directory);
    CLEANUP(config_errors_finish) struct config_errors errors = {0};
    assert_true(settings_load(path, &settings, &errors));
    intake = intake_create(&(struct intake_options){
        .settings = settings, .store = store, .follows = follows, .wake = wake, .user = &agent});
    static const struct server_route *const tables[] = {intake_routes, NULL};
    const struct server_options listener = {.name = "webhooks",
                                            .model = SERVER_EVENTS,
                                            .fd = -1,
                                            .host = "127.0.0.1",
                                            .tables = tables,
                                            .refused = intake_refused,
                                            .user = intake,
                                            .body_max = BODY_MAX,
                                            .in_flight_max = 16 * BODY_MAX,
                                            .connections_max = 64,
                                            .request_ms = 30000,
                                            .answer_ms = 30000,
                                            .idle_ms = 30000};
    assert_true(server_start(&listener, &server, NULL));
    agent.follows = true;
    agent.by_ssh = false;
    agent.count = 0;
    *agent.woken = '\0';
}

static int set_up(void **state)
{
    (void)state;
    start(false);
    return 0;
}

static int set_up_signing(void **state)
{
    (void)state;
    start(true);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    server_stop(server);
    intake_destroy(intake);
    settings_destroy(settings);
    store_close(store);
    assert_true(directory_remove(directory, NULL));
    return 0;
}

// --- sending ---

static struct sign_request push(enum sign_scheme scheme, const char *delivery)
{
    static const char *const secrets[SIGN_SCHEME_COUNT] = {
        [SIGN_GITHUB_JSON] = GITHUB_SECRET,        [SIGN_GITHUB_FORM] = GITHUB_SECRET,
        [SIGN_GITLAB_TOKEN] = GITLAB_TOKEN,        [SIGN_GITLAB_SIGNING] = SIGNING_TOKEN,
        [SIGN_GITEA_JSON] = GITEA_SECRET,          [SIGN_GITEA_FORM] = GITEA_SECRET,
        [SIGN_BITBUCKET_CLOUD] = BITBUCKET_SECRET, [SIGN_BITBUCKET_SERVER] = BITBUCKET_SECRET,
    };
    return (struct sign_request){.scheme = scheme,
                                 .event = SIGN_PUSH,
                                 .secret = secrets[scheme],
                                 .repository = REPOSITORY,
                                 .ref = "refs/heads/main",
                                 .after = COMMIT,
                                 .delivery = delivery,
                                 .now = wall_now()};
}

struct answer {
    int status;
    char reason[32];
    char delivery[STORE_DELIVERY_ID_SIZE];
    char detail[512];
    bool retry_after;
};

static void copy_text(char *out, size_t room, const json_t *json, const char *name)
{
    const char *text = json_text_at(json, name, NULL);
    snprintf(out, room, "%s", text ? text : "");
}

static struct answer perform(struct http_request *request, const char *path)
{
    char url[128];
    struct http_response response = {0};
    struct error err;
    snprintf(url, sizeof url, "http://%s%s", server_address(server), path);
    request->url = url;
    if (!http_perform(request, &response, &err))
        fail_msg("%s", err.text);
    CLEANUP(json_ptr) json_t *json = NULL;
    assert_true(json_read(response.body.data, response.body.len, 1 << 16, &json, &err));
    struct answer answer = {.status = response.status, .retry_after = response.retry_after_ms > 0};
    copy_text(answer.reason, sizeof answer.reason, json, "reason");
    copy_text(answer.delivery, sizeof answer.delivery, json, "delivery");
    copy_text(answer.detail, sizeof answer.detail, json, "detail");
    http_response_finish(&response);
    return answer;
}

// `extra` is one more header, or NULL; `path` NULL: the signed request's own.
static struct answer send_signed(const struct sign_request *what, const char *path,
                                 const char *extra)
{
    struct signed_request made = {0};
    assert_true(sign_request(what, &made, NULL));
    struct http_request request = {
        .method = "POST", .body = made.body.data, .body_len = made.body.len};
    size_t count = 0;
    for (; made.headers[count]; count++)
        request.headers[count] = made.headers[count];
    request.headers[count] = extra;
    struct answer answer = perform(&request, path ? path : made.path);
    signed_request_finish(&made);
    return answer;
}

static struct answer send_push(enum sign_scheme scheme, const char *delivery)
{
    struct sign_request what = push(scheme, delivery);
    return send_signed(&what, NULL, NULL);
}

static struct delivery stored(const char *id)
{
    struct delivery delivery;
    struct error err;
    if (!store_delivery_get(store, id, &delivery, &err))
        fail_msg("%s", err.text);
    return delivery;
}

static bool count_one(void *user, const struct delivery *delivery)
{
    (void)delivery;
    ++*(int *)user;
    return true;
}

static int count_stored(void)
{
    int count = 0;
    struct delivery_filter filter = {.limit = STORE_PAGE_MAX};
    assert_true(store_delivery_list(store, &filter, count_one, &count, NULL));
    return count;
}

// --- what is taken ---

static void check_push_is_taken(enum sign_scheme scheme, const char *forge)
{
    struct answer answer = send_push(scheme, "id-1");
    assert_int_equal(answer.status, 202);
    assert_string_equal(answer.reason, "accepted");
    assert_string_equal(answer.delivery, "id-1");
    assert_string_equal(answer.detail, "");
    assert_string_equal(agent.woken, IDENTITY " main"); // before the answer

    struct delivery delivery = stored("id-1");
    assert_string_equal(delivery.forge, forge);
    assert_string_equal(delivery.repository, IDENTITY);
    assert_string_equal(delivery.ref, "refs/heads/main");
    assert_string_equal(delivery.branch, "main");
    assert_string_equal(delivery.commit, COMMIT);
    assert_true(delivery.pending);
    assert_string_equal(delivery.reason, "accepted");
    assert_true(delivery.received.ms > 0);
    assert_int_equal(delivery.finished.ms, 0);
    uint8_t nothing[SHA256_SIZE] = {0};
    assert_memory_not_equal(delivery.body_sha256, nothing, SHA256_SIZE);

    answer = send_push(scheme, "id-1");
    assert_int_equal(answer.status, 202);
    assert_string_equal(answer.reason, "repeated");
    assert_int_equal(woken(), 1);
    assert_int_equal(count_stored(), 2);
}

static void test_github_json(void **state)
{
    (void)state;
    check_push_is_taken(SIGN_GITHUB_JSON, "github");
}

static void test_github_form(void **state)
{
    (void)state;
    check_push_is_taken(SIGN_GITHUB_FORM, "github");
}

static void test_gitlab_token(void **state)
{
    (void)state;
    check_push_is_taken(SIGN_GITLAB_TOKEN, "gitlab");
}

static void test_gitlab_signing(void **state)
{
    (void)state;
    check_push_is_taken(SIGN_GITLAB_SIGNING, "gitlab");
}

static void test_gitea_json(void **state)
{
    (void)state;
    check_push_is_taken(SIGN_GITEA_JSON, "gitea");
}

static void test_gitea_form(void **state)
{
    (void)state;
    check_push_is_taken(SIGN_GITEA_FORM, "gitea");
}

static void test_bitbucket_cloud(void **state)
{
    (void)state;
    check_push_is_taken(SIGN_BITBUCKET_CLOUD, "bitbucket");
}

// Sends one of the fuzzers' messages, signed.
static struct answer send_bitbucket(const char *event, const char *file, const char *id)
{
    char path[256], event_line[64], id_line[64], signature_line[128];
    char signature[HUB_SIGNATURE_SIZE];
    CLEANUP(buffer_finish) struct buffer body = {0};
    static uint8_t bitbucket[] = BITBUCKET_SECRET;
    const struct webhook_secret secret = {bitbucket, sizeof bitbucket - 1};
    snprintf(path, sizeof path, TEST_CORPORA "/webhooks/bitbucket/%s", file);
    assert_true(file_read(path, 1 << 20, &body, NULL));
    hub_signature_make(&secret, body.data, body.len, signature);
    snprintf(event_line, sizeof event_line, "X-Event-Key: %s", event);
    snprintf(id_line, sizeof id_line, "X-Request-Id: %s", id);
    snprintf(signature_line, sizeof signature_line, "X-Hub-Signature: %s", signature);
    struct http_request request = {
        .method = "POST",
        .headers = {"Content-Type: application/json", event_line, id_line, signature_line},
        .body = body.data,
        .body_len = body.len};
    return perform(&request, "/webhooks/bitbucket");
}

static void test_push_of_several_refs(void **state)
{
    (void)state;
    struct answer answer = send_bitbucket("repo:push", "cloud-several.json", "id-1");
    assert_int_equal(answer.status, 202);
    assert_string_equal(answer.reason, "accepted");
    assert_string_equal(answer.delivery, "id-1");
    assert_int_equal(woken(), 2);
    assert_int_equal(count_stored(), 4);
    assert_string_equal(stored("id-1").branch, "main");
    assert_string_equal(stored("id-1:2").branch, "feature/x");
    assert_string_equal(stored("id-1:3").reason, "ignored");
    assert_string_equal(stored("id-1:4").reason, "ignored");
    assert_string_equal(send_bitbucket("repo:push", "cloud-several.json", "id-1").reason,
                        "repeated");
    assert_int_equal(woken(), 2);
    assert_int_equal(count_stored(), 8);
}

// Services name a repository of Bitbucket Data Center by its HTTPS address or by its SSH address.
static void test_repository_with_two_addresses(void **state)
{
    (void)state;
    assert_int_equal(send_bitbucket("repo:refs_changed", "server-push.json", "id-1").status, 202);
    assert_int_equal(woken(), 2);
    assert_string_equal(stored("id-1").repository, "bitbucket.example/scm/acme/report");
    assert_string_equal(stored("id-1:other").repository, "bitbucket.example/acme/report");
    agent.by_ssh = true;
    struct answer answer = send_bitbucket("repo:refs_changed", "server-push.json", "id-2");
    assert_string_equal(answer.reason, "accepted");
    assert_string_equal(stored("id-2").repository, "bitbucket.example/acme/report");
    assert_int_equal(count_stored(), 3);
}

static void test_hooks_with_the_wrong_path(void **state)
{
    (void)state;
    struct sign_request what = push(SIGN_GITEA_JSON, "id-1");
    // GitHub's headers are there too, but the secret is not GitHub's.
    struct answer answer = send_signed(&what, "/webhooks/github", NULL);
    assert_int_equal(answer.status, 401);
    assert_non_null(strstr(answer.detail, "/webhooks/gitea"));
    answer = send_signed(&what, "/webhooks/gitlab", NULL);
    assert_int_equal(answer.status, 400);
    assert_non_null(strstr(answer.detail, "/webhooks/gitea"));
    what = push(SIGN_GITHUB_JSON, "id-1");
    answer = send_signed(&what, "/webhooks/gitea", NULL);
    assert_int_equal(answer.status, 400);
    assert_non_null(strstr(answer.detail, "/webhooks/github"));
    assert_int_equal(count_stored(), 0);
}

static void test_body_hash_is_of_the_raw_body(void **state)
{
    (void)state;
    struct sign_request what = push(SIGN_GITHUB_FORM, "id-1");
    struct signed_request made = {0};
    assert_true(sign_request(&what, &made, NULL));
    uint8_t hash[SHA256_SIZE];
    sha256(made.body.data, made.body.len, hash);
    struct http_request request = {
        .method = "POST", .body = made.body.data, .body_len = made.body.len};
    for (size_t i = 0; made.headers[i]; i++)
        request.headers[i] = made.headers[i];
    assert_int_equal(perform(&request, made.path).status, 202);
    signed_request_finish(&made);
    struct delivery delivery = stored("id-1");
    assert_memory_equal(delivery.body_sha256, hash, SHA256_SIZE);
}

static void test_other_events_are_final(void **state)
{
    (void)state;
    static const struct {
        enum sign_scheme scheme;
        enum sign_event event;
        const char *ref;
    } events[] = {
        {SIGN_GITHUB_JSON, SIGN_PING, NULL},
        {SIGN_GITHUB_JSON, SIGN_TAG, "refs/tags/v1"},
        {SIGN_GITHUB_JSON, SIGN_DELETE, "refs/heads/old"},
        {SIGN_GITLAB_TOKEN, SIGN_TAG, "refs/tags/v1"},
        {SIGN_GITLAB_TOKEN, SIGN_DELETE, "refs/heads/old"},
    };
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        char id[8];
        snprintf(id, sizeof id, "id-%zu", i);
        struct sign_request what = push(events[i].scheme, id);
        what.event = events[i].event;
        what.ref = events[i].ref ? events[i].ref : what.ref;
        what.after = events[i].event == SIGN_TAG ? COMMIT : NULL;
        struct answer answer = send_signed(&what, NULL, NULL);
        assert_int_equal(answer.status, 202);
        assert_string_equal(answer.reason, "ignored");
        assert_true(strlen(answer.detail) > 10);
        struct delivery delivery = stored(id);
        assert_false(delivery.pending);
        assert_false(delivery.failed);
        assert_string_equal(delivery.reason, "ignored");
        assert_string_equal(delivery.detail, answer.detail);
        assert_string_equal(delivery.branch, "");
        assert_true(delivery.finished.ms > 0);
    }
    assert_int_equal(woken(), 0);
}

static void test_nobody_follows(void **state)
{
    (void)state;
    agent.follows = false;
    struct answer answer = send_push(SIGN_GITHUB_JSON, "id-1");
    assert_int_equal(answer.status, 202);
    assert_string_equal(answer.reason, "no-match");
    assert_int_equal(woken(), 0);
    struct delivery delivery = stored("id-1");
    assert_false(delivery.pending);
    assert_string_equal(delivery.reason, "no-match");

    agent.follows = true; // the service was made meanwhile: sending it again works
    answer = send_push(SIGN_GITHUB_JSON, "id-1");
    assert_string_equal(answer.reason, "accepted");
    assert_int_equal(woken(), 1);
    assert_int_equal(count_stored(), 1);
}

static void test_redelivery_of_what_failed(void **state)
{
    (void)state;
    send_push(SIGN_GITHUB_JSON, "id-1");
    struct deliveries_ended ended;
    assert_true(store_deliveries_finish(store, IDENTITY, NULL, "main", INT64_MAX, "fetch-failed",
                                        "Gone.", true, 0, &ended, NULL));
    assert_int_equal(ended.count, 1);
    struct answer answer = send_push(SIGN_GITHUB_JSON, "id-1");
    assert_int_equal(answer.status, 202);
    assert_string_equal(answer.reason, "accepted");
    assert_non_null(strstr(answer.detail, "again"));
    assert_int_equal(woken(), 2);
}

// --- what is refused ---

static struct refused_request newest_refused(uint64_t all)
{
    struct refused_request refused;
    size_t count;
    assert_int_equal(intake_refused_list(intake, &refused, 1, &count), all);
    assert_int_equal(count, 1);
    return refused;
}

static void check_refused(struct answer answer, int status, const char *forge, uint64_t all)
{
    assert_int_equal(answer.status, status);
    struct refused_request refused = newest_refused(all);
    assert_int_equal(refused.status, status);
    assert_string_equal(refused.forge, forge);
    assert_string_equal(refused.peer, "127.0.0.1");
    assert_string_equal(refused.reason, answer.detail);
    assert_true(strlen(refused.reason) > 5);
    assert_true(refused.time.ms > 0);
    assert_int_equal(count_stored(), 0);
    assert_int_equal(woken(), 0);
}

static void test_unverified_requests(void **state)
{
    (void)state;
    uint64_t all = 0;
    for (int scheme = 0; scheme < SIGN_GITLAB_SIGNING; scheme++) {
        const char *forge = scheme == SIGN_GITLAB_TOKEN ? "gitlab" : "github";
        struct sign_request what = push((enum sign_scheme)scheme, "id-1");
        what.secret = "wrong secret";
        check_refused(send_signed(&what, NULL, NULL), 401, forge, ++all);
        assert_string_equal(newest_refused(all).delivery, "id-1");
        what.secret = NULL;
        check_refused(send_signed(&what, NULL, NULL), 401, forge, ++all);
    }
    struct sign_request what = push(SIGN_GITHUB_JSON, "id-1");
    check_refused(send_signed(&what, NULL, "X-Hub-Signature-256: sha256=00"), 401, "github", ++all);
    what = push(SIGN_GITLAB_TOKEN, "id-1");
    check_refused(send_signed(&what, NULL, "X-Gitlab-Token: " GITLAB_TOKEN), 401, "gitlab", ++all);
}

static void test_a_signing_token_is_required_when_set(void **state)
{
    (void)state;
    struct sign_request what = push(SIGN_GITLAB_TOKEN, "id-1");
    check_refused(send_signed(&what, NULL, NULL), 401, "gitlab", 1);
    what = push(SIGN_GITLAB_SIGNING, "id-1");
    what.now.ms -= 6 * 60 * 1000;
    check_refused(send_signed(&what, NULL, NULL), 401, "gitlab", 2);
}

static void test_the_wrong_path(void **state)
{
    (void)state;
    struct sign_request what = push(SIGN_GITLAB_TOKEN, "id-1");
    struct answer answer = send_signed(&what, "/webhooks/github", NULL);
    check_refused(answer, 400, "github", 1);
    assert_non_null(strstr(answer.detail, "/webhooks/gitlab"));
    check_refused(send_signed(&what, "/webhooks/sourceforge", NULL), 404, "gitlab", 2);
    check_refused(send_signed(&what, "/", NULL), 404, "gitlab", 3);
    struct http_request request = {.method = "POST"}; // of no forge
    assert_int_equal(perform(&request, "/").status, 404);
    assert_int_equal(perform(&request, "/webhooks/sourceforge").status, 404);
    newest_refused(3);
}

// A signature made for bytes that are not what they should be.
static struct answer send_bytes(const char *bytes, const char *content_type)
{
    uint8_t hash[SHA256_SIZE];
    char hex[SHA256_HEX_SIZE], signature[128];
    hmac_sha256(GITHUB_SECRET, strlen(GITHUB_SECRET), bytes, strlen(bytes), hash);
    hex_encode(hash, sizeof hash, hex);
    snprintf(signature, sizeof signature, "X-Hub-Signature-256: sha256=%s", hex);
    struct http_request request = {
        .method = "POST",
        .headers = {"X-GitHub-Event: push", "X-GitHub-Delivery: id-1", content_type, signature},
        .body = bytes,
        .body_len = strlen(bytes)};
    return perform(&request, "/webhooks/github");
}

static void test_verified_but_malformed(void **state)
{
    (void)state;
    check_refused(send_bytes("{", "Content-Type: application/json"), 400, "github", 1);
    check_refused(send_bytes("[]", "Content-Type: application/json"), 400, "github", 2);
    check_refused(send_bytes("{\"ref\":1}", "Content-Type: application/json"), 400, "github", 3);
    check_refused(send_bytes("{}", "Content-Type: text/xml"), 415, "github", 4);
    check_refused(send_bytes("a=b", "Content-Type: application/x-www-form-urlencoded"), 400,
                  "github", 5);
}

static void test_what_the_server_refuses_is_remembered(void **state)
{
    (void)state;
    struct http_request request = {.method = "GET"};
    check_refused(perform(&request, "/webhooks/github"), 405, "github", 1);
    CLEANUP(free_ptr) char *body = xalloc(BODY_MAX + 1);
    request = (struct http_request){
        .method = "POST",
        .headers = {"X-Gitlab-Event: Push Hook", "Idempotency-Key: evil\x01\x1b[31m\xff id"},
        .body = body,
        .body_len = BODY_MAX + 1};
    check_refused(perform(&request, "/webhooks/gitlab"), 413, "gitlab", 2);
    assert_string_equal(newest_refused(2).delivery, "evil  [31m? id");
}

// The same over and over is one entry, which counts.
static void test_such_refusals_are_counted(void **state)
{
    (void)state;
    struct http_request request = {.method = "GET"};
    perform(&request, "/webhooks/gitlab");
    enum { SENT = INTAKE_REFUSED_MAX + 10 };
    for (int i = 0; i < SENT; i++) {
        char id[16];
        snprintf(id, sizeof id, "id-%d", i);
        struct sign_request what = push(SIGN_GITHUB_JSON, id);
        what.secret = "wrong";
        assert_int_equal(send_signed(&what, NULL, NULL).status, 401);
    }
    struct refused_request list[3];
    size_t count;
    assert_int_equal(intake_refused_list(intake, list, 3, &count), SENT + 1);
    assert_int_equal(count, 2);
    assert_int_equal(list[0].count, SENT);
    assert_int_equal(list[0].status, 401);
    assert_string_equal(list[0].delivery, "id-73"); // the newest's
    assert_true(list[0].since.ms <= list[0].time.ms);
    assert_true(list[1].since.ms <= list[0].since.ms);
    assert_int_equal(list[1].count, 1);
    assert_int_equal(list[1].status, 405);

    perform(&request, "/webhooks/gitlab");
    assert_int_equal(intake_refused_list(intake, list, 3, &count), SENT + 2);
    assert_int_equal(count, 2);
    assert_int_equal(list[0].status, 405);
    assert_int_equal(list[0].count, 2);
    assert_int_equal(list[1].count, SENT);
}

// A request that is refused, from 127.0.0.2.
static void ask_from_elsewhere(void)
{
    static const char request[] = "GET /webhooks/github HTTP/1.1\r\nHost: x\r\n\r\n";
    const char *colon = strrchr(server_address(server), ':');
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(colon + 1)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1)};
    CLEANUP(close_fd) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char answer[16];
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(send(fd, request, sizeof request - 1, 0), sizeof request - 1);
    assert_int_equal(recv(fd, answer, sizeof answer, MSG_WAITALL), sizeof answer);
    assert_memory_equal(answer, "HTTP/1.1 405", 12);
}

// Who is refused for ever other reasons pushes out entries of his own only.
static void test_one_peer_has_its_share(void **state)
{
    (void)state;
    ask_from_elsewhere();
    enum { SENT = 2 * INTAKE_REFUSED_PER_PEER };
    struct sign_request what = push(SIGN_GITLAB_SIGNING, "id-1");
    for (int i = 0; i < SENT; i++) {
        what.now.ms -= (int64_t)3600 * 1000; // "… s in the past"
        assert_int_equal(send_signed(&what, NULL, NULL).status, 401);
    }
    static struct refused_request list[INTAKE_REFUSED_MAX];
    size_t count;
    assert_int_equal(intake_refused_list(intake, list, INTAKE_REFUSED_MAX, &count), SENT + 1);
    assert_int_equal(count, INTAKE_REFUSED_PER_PEER + 1);
    assert_string_equal(list[count - 1].peer, "127.0.0.2");
    for (size_t i = 0; i + 1 < count; i++) {
        assert_string_equal(list[i].peer, "127.0.0.1");
        assert_int_equal(list[i].count, 1);
    }
}

static void test_health(void **state)
{
    (void)state;
    struct http_request request = {0};
    assert_int_equal(perform(&request, "/healthz").status, 200);
}

// --- when it cannot be stored ---

static void test_a_full_disk_is_a_503(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(send_push(SIGN_GITHUB_JSON, "id-0").status, 202);
    struct rlimit whole, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &whole), 0);
    small = whole;
    small.rlim_cur = 4096; // the log of writes is longer than that already
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct answer answer = send_push(SIGN_GITHUB_JSON, "id-1");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &whole), 0);
    assert_int_equal(answer.status, 503);
    assert_true(answer.retry_after);
    assert_int_equal(newest_refused(1).status, 503);
    assert_string_equal(newest_refused(1).delivery, "id-1");
    assert_int_equal(woken(), 1);
    assert_int_equal(count_stored(), 1);
    answer = send_push(SIGN_GITHUB_JSON, "id-1");
    assert_int_equal(answer.status, 202);
    assert_string_equal(answer.reason, "accepted");
}

// --- many at once ---

enum { CLIENTS = 8, EACH = 40 };

static void *send_many(void *arg)
{
    for (int i = 0; i < EACH; i++) {
        char id[32];
        snprintf(id, sizeof id, "id-%d-%d", *(const int *)arg, i);
        if (send_push((enum sign_scheme)(i % 3), id).status != 202)
            return arg;
    }
    return NULL;
}

static void test_many_at_once(void **state)
{
    (void)state;
    pthread_t threads[CLIENTS];
    int numbers[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, send_many, &numbers[i]), 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(woken(), CLIENTS * EACH);
    assert_int_equal(count_stored(), CLIENTS * EACH);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    http_setup();
    const struct CMUnitTest tests[] = {
        TEST(test_github_json),
        TEST(test_github_form),
        TEST(test_gitlab_token),
        cmocka_unit_test_setup_teardown(test_gitlab_signing, set_up_signing, tear_down),
        cmocka_unit_test_setup_teardown(test_gitea_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_gitea_form, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bitbucket_cloud, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_push_of_several_refs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_repository_with_two_addresses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hooks_with_the_wrong_path, set_up, tear_down),
        TEST(test_body_hash_is_of_the_raw_body),
        TEST(test_other_events_are_final),
        TEST(test_nobody_follows),
        TEST(test_redelivery_of_what_failed),
        TEST(test_unverified_requests),
        cmocka_unit_test_setup_teardown(test_a_signing_token_is_required_when_set, set_up_signing,
                                        tear_down),
        TEST(test_the_wrong_path),
        TEST(test_verified_but_malformed),
        TEST(test_what_the_server_refuses_is_remembered),
        TEST(test_such_refusals_are_counted),
        cmocka_unit_test_setup_teardown(test_one_peer_has_its_share, set_up_signing, tear_down),
        TEST(test_health),
        TEST(test_a_full_disk_is_a_503),
        TEST(test_many_at_once),
    };
    return cmocka_run_group_tests_name("intake", tests, NULL, NULL);
}
