// Statuses that follow from builds, told to a forge of the test's own that answers as it is asked
// to.
#include "agent/server.h"
#include "agent/statuses.h"
#include "tests/unit/store/fresh_store.h"

#include "agent/base/buffer.h"
#include "agent/base/text.h"

#include <pthread.h>

#define PATIENCE_MS 30000
#define URL         "http://git.example/acme/report"
#define TOKEN       "the token"
#define SEEN_MAX    16

// The forge: what it was told, and what it answers.
static struct {
    pthread_mutex_t lock;
    int status;
    const char *message; // of its error
    bool redirects;      // to itself
    const char *retry_after;
    struct {
        char path[256];
        char state[16];
        char description[256];
        char token[64];
    } seen[SEEN_MAX];
    size_t count;
} forge = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct server *server;
static struct statuses *statuses;
static struct settings *settings;

static void copy_field(char *out, size_t room, const json_t *json, const char *name)
{
    const char *text = json_text_at(json, name, NULL);
    snprintf(out, room, "%s", text ? text : "");
}

static void take(struct server_request *req, void *user)
{
    (void)user;
    size_t len;
    const char *body = server_body(req, &len);
    CLEANUP(json_ptr) json_t *json = NULL;
    assert_true(json_read(body, len, 4096, &json, NULL));
    pthread_mutex_lock(&forge.lock);
    assert_true(forge.count < SEEN_MAX);
    snprintf(forge.seen[forge.count].path, sizeof forge.seen->path, "%s", server_path(req));
    copy_field(forge.seen[forge.count].state, sizeof forge.seen->state, json, "state");
    copy_field(forge.seen[forge.count].description, sizeof forge.seen->description, json,
               "description");
    const char *given = server_header(req, "PRIVATE-TOKEN");
    snprintf(forge.seen[forge.count].token, sizeof forge.seen->token, "%s", given ? given : "");
    forge.count++;
    if (forge.redirects)
        server_add_header(req, "Location", server_path(req));
    if (forge.retry_after)
        server_add_header(req, "Retry-After", forge.retry_after);
    int status = forge.status;
    const char *message = forge.message;
    pthread_mutex_unlock(&forge.lock);
    server_answer_json(req, status, json_pack("{s:s}", "message", message));
}

static const struct server_route routes[] = {
    {"POST", "/api/v4/projects/{project}/statuses/{commit}", take, SERVER_OPEN},
    {0},
};

static void put(const char *name, const char *text)
{
    CLEANUP(free_ptr) char *path = xasprintf("%s/%s", directory, name);
    assert_true(file_write(path, 0600, text, strlen(text), NULL));
}

static void write_settings(const char *forge_address)
{
    CLEANUP(free_ptr)
    char *text = xasprintf("{git: {helper: /bin/true}, statuses: [{url: 'http://git.example',"
                           " forge: gitlab, api: 'http://%s/api/v4', tokenFile: token}]}",
                           forge_address);
    put("token", TOKEN);
    put("cronwright.yaml", text);
}

static int start(void **state)
{
    static const struct server_route *const tables[] = {routes, NULL};
    const struct server_options options = {.name = "forge",
                                           .model = SERVER_THREADS,
                                           .fd = -1,
                                           .host = "127.0.0.1",
                                           .tables = tables,
                                           .body_max = 4096,
                                           .in_flight_max = 65536,
                                           .connections_max = 8,
                                           .request_ms = PATIENCE_MS,
                                           .answer_ms = PATIENCE_MS,
                                           .idle_ms = PATIENCE_MS};
    set_up(state);
    assert_true(server_start(&options, &server, NULL));
    write_settings(server_address(server));
    CLEANUP(config_errors_finish) struct config_errors errors = {0};
    CLEANUP(free_ptr) char *path = xasprintf("%s/cronwright.yaml", directory);
    assert_true(settings_load(path, &settings, &errors));
    forge.status = 201;
    forge.message = "";
    forge.redirects = false;
    forge.retry_after = NULL;
    forge.count = 0;
    statuses = statuses_create(settings, store);
    return 0;
}

static int stop(void **state)
{
    statuses_destroy(statuses);
    settings_destroy(settings);
    server_stop(server);
    return tear_down(state);
}

// --- builds and what is known of them ---

static struct build build_of(const char *commit, enum build_state state)
{
    struct build build = {.attempt = 1, .state = state};
    snprintf(build.repository, sizeof build.repository, "git.example/acme/report");
    snprintf(build.branch, sizeof build.branch, "main");
    snprintf(build.commit, sizeof build.commit, "%s", commit);
    snprintf(build.recipe, sizeof build.recipe, "recipe");
    snprintf(build.image, sizeof build.image, "registry.example/report:%s", commit);
    assert_true(store_build_put(store, &build, NULL));
    return build;
}

static void end(struct build *build, enum build_state state, const char *reason, const char *detail)
{
    build->state = state;
    build->finished = wall_now();
    snprintf(build->reason, sizeof build->reason, "%s", reason);
    snprintf(build->detail, sizeof build->detail, "%s", detail);
    assert_true(store_build_put(store, build, NULL));
}

static void note(const struct build *build)
{
    statuses_note(statuses, build, URL, "reports", "nightly");
}

static void keep(void *user, const struct commit_status *status)
{
    *(struct commit_status *)user = *status;
}

static struct commit_status status_of(const struct build *build)
{
    struct commit_status status = {0};
    assert_true(store_status_list(store, build->id, keep, &status, NULL));
    return status;
}

static bool was_tried(const struct commit_status *status)
{
    return status->told || status->tries > 0;
}

// What is known once the state was told, or could not be.
static struct commit_status tried(const struct build *build, enum status_state state)
{
    struct mono_time deadline = mono_after(PATIENCE_MS);
    struct commit_status status = status_of(build);
    while (status.state != state || !was_tried(&status)) {
        if (mono_past(deadline))
            fail_msg("not told %s: %s %s", status_state_word(state),
                     status_state_word(status.state), status.error);
        mono_sleep(5);
        status = status_of(build);
    }
    return status;
}

// --- tests ---

static void tells_pending_then_success(void **state)
{
    (void)state;
    struct build build = build_of("c1", BUILD_WAITING);
    note(&build);
    assert_true(tried(&build, STATUS_PENDING).told);
    const struct patch_record patch = {
        .build = build.id, .namespace = "reports", .name = "nightly", .at = wall_now()};
    assert_true(store_patch_add(store, &patch, NULL));
    end(&build, BUILD_DONE, "deployed", "reports/nightly");
    note(&build);
    note(&build); // nothing new: not told again
    struct commit_status status = tried(&build, STATUS_SUCCESS);
    assert_true(status.told);
    assert_int_equal(status.sent, 2);
    assert_int_equal(forge.count, 2);
    assert_string_equal(forge.seen[0].state, "pending");
    assert_string_equal(forge.seen[1].state, "success");
    assert_string_equal(forge.seen[1].description, "deployed to reports/nightly");
    assert_string_equal(forge.seen[1].path, "/api/v4/projects/acme%2Freport/statuses/c1");
    assert_string_equal(forge.seen[1].token, TOKEN);
}

static void each_end_has_its_sentence(void **state)
{
    (void)state;
    static const struct {
        enum build_state end;
        const char *reason, *detail;
        enum status_state state;
        const char *says;
    } cases[] = {
        {BUILD_FAILED, "build-failed", "RUN false", STATUS_FAILURE, "build-failed: RUN false"},
        {BUILD_FAILED, "timeout", "", STATUS_FAILURE, "timeout"},
        {BUILD_FILTERED, "filtered", "nothing changed", STATUS_SUCCESS,
         "unchanged: nothing changed"},
        {BUILD_SUPERSEDED, "superseded", "the branch moved on to 1", STATUS_WITHDRAWN,
         "superseded: the branch moved on to 1"},
        {BUILD_DONE, "pinned", "pinned: reports/nightly", STATUS_SUCCESS,
         "built, not deployed to reports/nightly: it is pinned"},
        {BUILD_DONE, "patch-failed", "not patched", STATUS_FAILURE,
         "built, not deployed to reports/nightly: its CronJob cannot be patched"},
        {BUILD_DONE, "deployed", "reports/other", STATUS_SUCCESS,
         "built, not deployed to reports/nightly"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char commit[8];
        snprintf(commit, sizeof commit, "c%zu", i);
        struct build build = build_of(commit, BUILD_RUNNING);
        end(&build, cases[i].end, cases[i].reason, cases[i].detail);
        note(&build);
        assert_string_equal(tried(&build, cases[i].state).detail, cases[i].says);
    }
}

static void sentences_are_cut(void **state)
{
    (void)state;
    struct build build = build_of("c1", BUILD_RUNNING);
    char detail[STORE_DETAIL_SIZE];
    memset(detail, 'x', sizeof detail - 1);
    detail[sizeof detail - 1] = '\0';
    end(&build, BUILD_FAILED, "build-failed", detail);
    note(&build);
    tried(&build, STATUS_FAILURE);
    assert_true(strlen(forge.seen[0].description) <= 140);
    assert_true(text_ends(forge.seen[0].description, "…"));
}

// The pipeline looks at a branch's head alone.
static void notices_ends_that_nobody_notes(void **state)
{
    (void)state;
    struct build first = build_of("c1", BUILD_RUNNING), second;
    note(&first);
    tried(&first, STATUS_PENDING);
    end(&first, BUILD_SUPERSEDED, "cancelled", "the branch moved on to c2");
    second = build_of("c2", BUILD_WAITING);
    note(&second);
    assert_true(tried(&first, STATUS_WITHDRAWN).told);
}

static void survives_a_restart(void **state)
{
    (void)state;
    struct build build = build_of("c1", BUILD_WAITING);
    note(&build);
    tried(&build, STATUS_PENDING);
    statuses_destroy(statuses);
    end(&build, BUILD_FAILED, "build-failed", "RUN false");
    statuses = statuses_create(settings, store);
    assert_true(tried(&build, STATUS_FAILURE).told);
}

static struct commit_status refused_with(int status, const char *message)
{
    forge.status = status;
    forge.message = message;
    struct build build = build_of("c1", BUILD_WAITING);
    note(&build);
    return tried(&build, STATUS_PENDING);
}

static void a_refusal_is_tried_again_later(void **state)
{
    (void)state;
    struct wall_time before = wall_now();
    struct commit_status status = refused_with(403, "insufficient\nscope");
    assert_false(status.told);
    assert_int_equal(status.tries, 1);
    assert_true(status.due.ms > before.ms);
    assert_string_equal(status.error, "the forge answers 403: insufficient scope");
}

static void retry_after_is_honoured(void **state)
{
    (void)state;
    forge.retry_after = "600";
    struct wall_time before = wall_now();
    struct commit_status status = refused_with(429, "slow down");
    assert_true(status.due.ms >= before.ms + 600000);
}

static void gitlab_may_know_it_already(void **state)
{
    (void)state;
    struct commit_status status = refused_with(
        400, "Cannot transition status via :enqueue from :pending (Reason(s): Status cannot "
             "transition via \"enqueue\")");
    assert_true(status.told);
}

static void redirects_are_not_followed(void **state)
{
    (void)state;
    forge.redirects = true;
    struct commit_status status = refused_with(307, "");
    assert_false(status.told);
    assert_string_equal(status.error, "the forge redirects (307), which is not followed");
    assert_int_equal(forge.count, 1);
}

static void nobody_there(void **state)
{
    (void)state;
    write_settings("127.0.0.1:1");
    CLEANUP(config_errors_finish) struct config_errors errors = {0};
    assert_true(settings_reload(settings, NULL, NULL, &errors));
    struct build build = build_of("c1", BUILD_WAITING);
    note(&build);
    struct commit_status status = tried(&build, STATUS_PENDING);
    assert_false(status.told);
    assert_null(strstr(status.error, TOKEN));
}

static void other_repositories_are_left_alone(void **state)
{
    (void)state;
    struct build build = build_of("c1", BUILD_WAITING);
    statuses_note(statuses, &build, "http://other.example/acme/report", "reports", "nightly");
    assert_string_equal(status_of(&build).name, "");
    assert_int_equal(forge.count, 0);
}

static void an_entry_that_is_gone_is_given_up(void **state)
{
    (void)state;
    statuses_destroy(statuses);
    statuses = NULL;
    struct build build = build_of("c1", BUILD_WAITING);
    struct commit_status status = {.build = build.id, .url = "http://gone.example/a/b"};
    bool changed;
    snprintf(status.commit, sizeof status.commit, "c1");
    snprintf(status.name, sizeof status.name, "nightly");
    assert_true(store_status_put(store, &status, &changed, NULL));
    statuses = statuses_create(settings, store);
    status = tried(&build, STATUS_PENDING);
    assert_int_equal(status.tries, STATUS_TRIES_MAX);
    assert_int_equal(status.sent, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tells_pending_then_success),
        TEST(each_end_has_its_sentence),
        TEST(sentences_are_cut),
        TEST(notices_ends_that_nobody_notes),
        TEST(survives_a_restart),
        TEST(a_refusal_is_tried_again_later),
        TEST(retry_after_is_honoured),
        TEST(gitlab_may_know_it_already),
        TEST(redirects_are_not_followed),
        TEST(nobody_there),
        TEST(other_repositories_are_left_alone),
        TEST(an_entry_that_is_gone_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
