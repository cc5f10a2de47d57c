// What of builds and deliveries a token sees that is not for all namespaces.
#include "agent/admin/admin.h"
#include "agent/base/text.h"
#include "agent/pipeline/pipeline.h"
#include "tests/unit/scratch.h"

#define URL        "https://git.example/acme/report"
#define REPOSITORY "git.example/acme/report"

// Namespaces "x" and "z" may build the repository with one credential, "w" with another; "y" may
// not.
#define SETTINGS                                                                                   \
    "{stateDirectory: ., git: {helper: /bin/true, credentials: ["                                  \
    " {name: own, url: 'https://git.example', username: u, passwordFile: password}]},"             \
    " allow: [{namespaces: [x, z], repositories: ['*'], images: ['*']},"                           \
    " {namespaces: [w], repositories: ['*'], images: ['*'], gitCredential: own}]}"
static char *all[] = {"*"}, *own_w[] = {"w"};
static char *own_x[] = {"x"}, *own_y[] = {"y"}, *own_xz[] = {"x", "z"};
static const struct config_token everyone = {.namespaces = {all, 1}};
static const struct config_token of_w = {.namespaces = {own_w, 1}};
static const struct config_token of_x = {.namespaces = {own_x, 1}};
static const struct config_token of_y = {.namespaces = {own_y, 1}};
static const struct config_token of_xz = {.namespaces = {own_xz, 2}};

static struct admin admin;

static void add_service(const char *namespace_, const char *name, const char *branch)
{
    json_t *cronjob = json_pack("{s:{s:s, s:s, s:s, s:s, s:{s:s}, s:{s:s, s:s, s:s}},"
                                " s:{s:s, s:{s:{s:{s:{s:[{s:s, s:s}]}}}}}}",
                                "metadata", "namespace", namespace_, "name", name, "uid", name,
                                "resourceVersion", "1", "labels", LABEL_MANAGED, "true",
                                "annotations", ANNOTATION_REPOSITORY, URL ".git", ANNOTATION_BRANCH,
                                branch, ANNOTATION_IMAGE, "registry.example/report", "spec",
                                "schedule", "@daily", "jobTemplate", "spec", "template", "spec",
                                "containers", "name", "main", "image", "registry.example/report:1");
    assert_non_null(cronjob);
    SERVICE_CACHE_EVENTS.item(admin.services, KUBE_ADDED, cronjob);
    json_decref(cronjob);
}

static int set_up(void **state)
{
    (void)state;
    assert_true(scratch_make());
    CLEANUP(free_ptr) char *path = xasprintf("%s/cronwright.yaml", workspace);
    CLEANUP(config_errors_finish) struct config_errors errors = {0};
    sh("echo secret > password");
    assert_true(file_write(path, 0600, SETTINGS, strlen(SETTINGS), NULL));
    assert_true(settings_load(path, &admin.settings, &errors));
    struct error err;
    assert_true(store_open(workspace, &admin.store, &err));
    admin.services =
        service_cache_create(&(struct service_cache_options){.identify = pipeline_identify});
    struct pipeline_parts parts = {
        .settings = admin.settings, .store = admin.store, .services = admin.services};
    assert_true(pipeline_create(&parts, &admin.pipeline, &err));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pipeline_destroy(admin.pipeline);
    service_cache_destroy(admin.services);
    store_close(admin.store);
    settings_destroy(admin.settings);
    return scratch_remove() ? 0 : -1;
}

static void test_an_annotation_that_is_not_allowed_shows_nothing(void **state)
{
    (void)state;
    add_service("x", "report", "main");
    add_service("y", "curious", "main");
    assert_true(admin_sees_branch(&admin, &everyone, REPOSITORY, "main", NULL));
    assert_true(admin_sees_branch(&admin, &of_x, REPOSITORY, "main", NULL));
    assert_false(admin_sees_branch(&admin, &of_x, REPOSITORY, "other", NULL));
    assert_false(admin_sees_branch(&admin, &of_y, REPOSITORY, "main", NULL));
}

// Pings, tags and deleted branches.
static void test_what_is_of_no_branch_is_for_the_whole_repository(void **state)
{
    (void)state;
    add_service("x", "report", "main");
    add_service("y", "curious", "main");
    assert_true(admin_sees_branch(&admin, &of_x, REPOSITORY, "", NULL));
    assert_true(admin_sees_branch(&admin, &of_x, "GIT.example/Acme/report", "", NULL));
    assert_false(admin_sees_branch(&admin, &of_x, "git.example/acme/other", "", NULL));
    assert_false(admin_sees_branch(&admin, &of_x, "", "", NULL));
    assert_false(admin_sees_branch(&admin, &of_y, REPOSITORY, "", NULL));
}

static int builds;

static int64_t add_build(const char *const namespaces[])
{
    struct build build = {.attempt = 1, .state = BUILD_DONE, .created = wall_now()};
    struct error err;
    text_copy(build.repository, sizeof build.repository, REPOSITORY);
    text_copy(build.branch, sizeof build.branch, "main");
    snprintf(build.commit, sizeof build.commit, "c%d", ++builds);
    text_copy(build.recipe, sizeof build.recipe, "recipe");
    assert_true(store_build_put(admin.store, &build, &err));
    for (size_t i = 0; namespaces[i]; i++) {
        struct patch_record patch = {.build = build.id, .at = wall_now()};
        text_copy(patch.namespace, sizeof patch.namespace, namespaces[i]);
        text_copy(patch.name, sizeof patch.name, "report");
        assert_true(store_patch_add(admin.store, &patch, &err));
    }
    return build.id;
}

static bool shows_detail(const struct config_token *token, int64_t build)
{
    CLEANUP(json_ptr)
    json_t *list = json_pack("[{s:o, s:s, s:s, s:s}]", "build", admin_build_id(build), "repository",
                             REPOSITORY, "branch", "main", "detail", "x/report, z/report");
    admin_hide_details(&admin, token, list);
    return json_text_at(list, "0", "detail", NULL);
}

static void test_details_are_for_who_sees_all_services_in_them(void **state)
{
    (void)state;
    int64_t alone = add_build((const char *const[]){"x", NULL});
    int64_t both = add_build((const char *const[]){"x", "z", NULL});
    assert_true(shows_detail(&of_x, alone));
    assert_false(shows_detail(&of_x, both)); // patched, and gone since
    assert_true(shows_detail(&of_xz, both));
    assert_true(shows_detail(&everyone, both));
    assert_true(shows_detail(&of_x, 0)); // a delivery without a build
    add_service("z", "report", "main");  // it need not be patched to be spoken of
    assert_false(shows_detail(&of_x, alone));
    assert_false(shows_detail(&of_x, 0));
    assert_true(shows_detail(&of_xz, alone));
}

// A build's log and commit are read from the repository: whose entry names another credential does
// not see them.
static void test_builds_are_for_who_may_use_the_credential(void **state)
{
    (void)state;
    add_service("x", "report", "main");
    add_service("w", "report", "main");
    assert_true(admin_sees_branch(&admin, &of_x, REPOSITORY, "main", ""));
    assert_false(admin_sees_branch(&admin, &of_x, REPOSITORY, "main", "own"));
    assert_true(admin_sees_branch(&admin, &of_w, REPOSITORY, "main", "own"));
    assert_false(admin_sees_branch(&admin, &of_w, REPOSITORY, "main", ""));
    assert_true(admin_sees_branch(&admin, &of_w, REPOSITORY, "main", NULL)); // of deliveries
    assert_true(admin_sees_branch(&admin, &everyone, REPOSITORY, "main", "own"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_annotation_that_is_not_allowed_shows_nothing,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_of_no_branch_is_for_the_whole_repository,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_builds_are_for_who_may_use_the_credential, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_details_are_for_who_sees_all_services_in_them, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
