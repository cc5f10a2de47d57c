// What is sent to each forge, as its API wants it.
#include "agent/base/json.h"
#include "agent/status_report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define COMMIT       "0123456789abcdef0123456789abcdef01234567"
#define TOKEN        "a token"

static struct config_status entry_of(enum config_forge forge, char *url, char *api)
{
    static char token[] = TOKEN;
    return (struct config_status){.url = url, .forge = forge, .api = api, .token = {.text = token}};
}

static struct commit_status status_of(const char *url, enum status_state state)
{
    struct commit_status status = {.commit = COMMIT,
                                   .namespace = "reports",
                                   .name = "nightly",
                                   .branch = "release/1",
                                   .build = 51,
                                   .state = state,
                                   .detail = "deployed to reports/nightly"};
    snprintf(status.url, sizeof status.url, "%s", url);
    return status;
}

static void urls(void **state)
{
    (void)state;
    static const struct {
        enum config_forge forge;
        const char *prefix, *api, *url, *request;
    } cases[] = {
        {FORGE_GITHUB, "https://github.com/acme", "", "https://github.com/Acme/Report.git",
         "https://api.github.com/repos/acme/report/statuses/" COMMIT},
        {FORGE_GITHUB, "https://github.com", "", "git@github.com:acme/report",
         "https://api.github.com/repos/acme/report/statuses/" COMMIT},
        {FORGE_GITHUB, "https://ghe.example", "", "https://ghe.example/acme/report",
         "https://ghe.example/api/v3/repos/acme/report/statuses/" COMMIT},
        {FORGE_GITLAB, "https://gitlab.com", "", "https://gitlab.com/acme/tools/report.git",
         "https://gitlab.com/api/v4/projects/acme%2Ftools%2Freport/statuses/" COMMIT},
        {FORGE_GITLAB, "https://x.example", "https://x.example/git/api/v4/",
         "https://x.example/git/acme/report.git",
         "https://x.example/git/api/v4/projects/acme%2Freport/statuses/" COMMIT},
        {FORGE_GITLAB, "https://x.example", "https://x.example/git/api/v4",
         "https://x.example/github/report",
         "https://x.example/git/api/v4/projects/github%2Freport/statuses/" COMMIT},
        {FORGE_GITEA, "http://git.example:3000", "", "http://git.example:3000/acme/re port.git",
         "http://git.example:3000/api/v1/repos/acme/re%20port/statuses/" COMMIT},
        {FORGE_GITEA, "https://git.example", "https://api.example/api/v1",
         "ssh://git@git.example:2222/acme/report.git",
         "https://api.example/api/v1/repos/acme/report/statuses/" COMMIT},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP(free_ptr) char *prefix = xstrdup(cases[i].prefix);
        CLEANUP(free_ptr) char *api = xstrdup(cases[i].api);
        CLEANUP(status_request_finish) struct status_request request = {0};
        struct config_status entry = entry_of(cases[i].forge, prefix, api);
        struct commit_status status = status_of(cases[i].url, STATUS_SUCCESS);
        struct error err;
        if (!status_request_make(&entry, &status, "", &request, &err))
            fail_msg("%s: %s", cases[i].url, err.text);
        assert_string_equal(request.url, cases[i].request);
        assert_null(strstr(request.url, TOKEN));
        assert_null(strstr(request.body, TOKEN));
    }
}

static void no_project(void **state)
{
    (void)state;
    static const struct {
        enum config_forge forge;
        const char *url;
    } cases[] = {
        {FORGE_GITHUB, "https://ghe.example/report"},
        {FORGE_GITHUB, "https://ghe.example/acme/tools/report"},
        {FORGE_GITEA, "https://ghe.example/a/b/c/d"},
        {FORGE_GITLAB, "https://ghe.example/report"},
        {FORGE_GITLAB, "file:///srv/git/report"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct status_request request = {0};
        char prefix[] = "https://ghe.example", api[] = "";
        struct config_status entry = entry_of(cases[i].forge, prefix, api);
        struct commit_status status = status_of(cases[i].url, STATUS_SUCCESS);
        struct error err = {0};
        if (status_request_make(&entry, &status, "", &request, &err))
            fail_msg("made: %s", request.url);
        assert_int_equal(err.code, ERR_INVALID);
        assert_null(request.url);
    }
}

static json_t *body_of(enum config_forge forge, enum status_state state, const char *public_url)
{
    CLEANUP(status_request_finish) struct status_request request = {0};
    char prefix[] = "https://git.example", api[] = "";
    struct config_status entry = entry_of(forge, prefix, api);
    struct commit_status status = status_of("https://git.example/acme/report", state);
    struct error err;
    json_t *json = NULL;
    assert_true(status_request_make(&entry, &status, public_url, &request, &err));
    assert_true(json_read(request.body, strlen(request.body), 4096, &json, &err));
    return json;
}

static void bodies(void **state)
{
    (void)state;
    static const struct {
        enum config_forge forge;
        const char *words[STATUS_STATE_COUNT];
        const char *context;
        size_t fields;
    } cases[] = {
        {FORGE_GITHUB, {"pending", "success", "failure", "error"}, "context", 4},
        {FORGE_GITLAB, {"pending", "success", "failed", "canceled"}, "name", 5},
        {FORGE_GITEA, {"pending", "success", "failure", "warning"}, "context", 4},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (int word = 0; word < STATUS_STATE_COUNT; word++) {
            CLEANUP(json_ptr)
            json_t *json =
                body_of(cases[i].forge, (enum status_state)word, "https://cronwright.example//");
            assert_string_equal(json_text_at(json, "state", NULL), cases[i].words[word]);
            assert_string_equal(json_text_at(json, cases[i].context, NULL),
                                "cronwright/reports/nightly");
            assert_string_equal(json_text_at(json, "description", NULL),
                                "deployed to reports/nightly");
            assert_string_equal(json_text_at(json, "target_url", NULL),
                                "https://cronwright.example/builds/b-51");
            assert_int_equal(json_object_size(json), cases[i].fields);
            if (cases[i].forge == FORGE_GITLAB)
                assert_string_equal(json_text_at(json, "ref", NULL), "release/1");
        }
    }
    CLEANUP(json_ptr) json_t *unlinked = body_of(FORGE_GITHUB, STATUS_PENDING, "");
    assert_null(json_object_get(unlinked, "target_url"));
}

static void tokens(void **state)
{
    (void)state;
    static const char *const lines[] = {
        [FORGE_GITHUB] = "Authorization: Bearer " TOKEN,
        [FORGE_GITLAB] = "PRIVATE-TOKEN: " TOKEN,
        [FORGE_GITEA] = "Authorization: token " TOKEN,
    };
    for (unsigned i = 0; i < COUNT(lines); i++) {
        CLEANUP(status_request_finish) struct status_request request = {0};
        char prefix[] = "https://git.example", api[] = "";
        struct config_status entry = entry_of((enum config_forge)i, prefix, api);
        struct commit_status status = status_of("https://git.example/acme/report", STATUS_SUCCESS);
        assert_true(status_request_make(&entry, &status, "", &request, NULL));
        assert_string_equal(request.token, lines[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls),
        cmocka_unit_test(no_project),
        cmocka_unit_test(bodies),
        cmocka_unit_test(tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
