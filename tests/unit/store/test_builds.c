// Builds, patches and branch heads.
#include "tests/unit/store/fresh_store.h"

static struct build make(const char *commit, int attempt)
{
    struct build build = {.attempt = attempt,
                          .state = BUILD_RUNNING,
                          .created = {1000},
                          .started = {2000},
                          .fetch_ms = 11,
                          .context_ms = 22,
                          .kaniko_ms = -1,
                          .patch_ms = -1};
    snprintf(build.repository, sizeof build.repository, "git.example/a/b");
    snprintf(build.branch, sizeof build.branch, "main");
    snprintf(build.commit, sizeof build.commit, "%s", commit);
    snprintf(build.recipe, sizeof build.recipe, "recipe");
    snprintf(build.job, sizeof build.job, "build-%s-%d", commit, attempt);
    snprintf(build.image, sizeof build.image, "registry.example/a/b:%s", commit);
    snprintf(build.subject, sizeof build.subject, "Add VAT column");
    snprintf(build.author, sizeof build.author, "Ana");
    return build;
}

static void count_repository(void *user, const char *repository)
{
    int *count = user;
    assert_string_equal(repository, "git.example/a/b");
    (*count)++;
}

static void test_build_is_kept_and_replaced(void **state)
{
    (void)state;
    struct build build = make("c1", 1);
    assert_true(store_build_put(store, &build, NULL));
    assert_true(build.id > 0);
    build.state = BUILD_DONE;
    build.kaniko_ms = 88000;
    build.finished.ms = 3000;
    build.patched = 2;
    snprintf(build.digest, sizeof build.digest, "sha256:%064d", 5);
    snprintf(build.reason, sizeof build.reason, "deployed");
    snprintf(build.detail, sizeof build.detail, "Two services.");
    assert_true(store_build_put(store, &build, NULL));
    store_close(store);
    assert_true(store_open(directory, &store, NULL));

    struct build out;
    assert_true(store_build_get(store, build.id, &out, NULL));
    assert_int_equal(out.id, build.id);
    assert_string_equal(out.repository, build.repository);
    assert_string_equal(out.branch, build.branch);
    assert_string_equal(out.commit, build.commit);
    assert_string_equal(out.recipe, build.recipe);
    assert_int_equal(out.attempt, 1);
    assert_string_equal(out.job, build.job);
    assert_string_equal(out.image, build.image);
    assert_string_equal(out.digest, build.digest);
    assert_int_equal(out.state, BUILD_DONE);
    assert_string_equal(out.reason, build.reason);
    assert_string_equal(out.detail, build.detail);
    assert_string_equal(out.subject, build.subject);
    assert_string_equal(out.author, build.author);
    assert_int_equal(out.created.ms, 1000);
    assert_int_equal(out.started.ms, 2000);
    assert_int_equal(out.finished.ms, 3000);
    assert_int_equal(out.fetch_ms, 11);
    assert_int_equal(out.context_ms, 22);
    assert_int_equal(out.kaniko_ms, 88000);
    assert_int_equal(out.patch_ms, -1);
    assert_int_equal(out.patched, 2);
}

static void test_every_state_has_a_word(void **state)
{
    (void)state;
    for (int i = 0; i < BUILD_STATE_COUNT; i++) {
        struct build build = make("c1", i + 1), out;
        build.state = (enum build_state)i;
        assert_true(store_build_put(store, &build, NULL));
        assert_true(store_build_get(store, build.id, &out, NULL));
        assert_int_equal(out.state, i);
        assert_non_null(build_state_word((enum build_state)i));
    }
}

struct ids {
    int64_t list[8];
    int count;
};

static bool note_id(void *user, const struct build *build)
{
    struct ids *ids = user;
    assert_true(ids->count < 8);
    ids->list[ids->count++] = build->id;
    return true;
}

// Whatever has ended is neither unfinished nor under way, and the oldest of it goes.
static void test_what_has_ended(void **state)
{
    (void)state;
    struct build_filter filter = {.unfinished = true, .limit = 500};
    struct build build, found;
    int under_way = 0;
    for (int i = BUILD_DONE; i < BUILD_STATE_COUNT; i++) {
        build = make("c1", i + 1);
        build.state = (enum build_state)i;
        assert_true(store_build_put(store, &build, NULL));
    }
    struct ids ids = {0};
    assert_true(store_build_list(store, &filter, note_id, &ids, NULL));
    assert_int_equal(ids.count, 0);
    assert_true(store_builds_under_way(store, count_repository, &under_way, NULL));
    assert_int_equal(under_way, 0);
    assert_true(store_trim(store, &(struct store_bounds){1, 1, 100}, NULL));
    filter.unfinished = false;
    assert_true(store_build_list(store, &filter, note_id, &ids, NULL));
    assert_int_equal(ids.count, 1);
    assert_true(store_build_get(store, build.id, &found, NULL));
}

static void test_attempts_collide(void **state)
{
    (void)state;
    struct build first = make("c1", 1), again = make("c1", 1), second = make("c1", 2), out;
    struct error err;
    assert_true(store_build_put(store, &first, NULL));
    assert_false(store_build_put(store, &again, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_int_equal(again.id, 0);
    assert_true(store_build_put(store, &second, NULL));
    assert_true(store_build_find(store, "c1", "recipe", &out, NULL));
    assert_int_equal(out.attempt, 2);
    assert_false(store_build_find(store, "c1", "other", &out, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    again.id = 99; // to replace what is not there
    again.attempt = 3;
    assert_false(store_build_put(store, &again, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_true(store_healthy(store, NULL)); // none of this is the store's fault
}

static int64_t ended(int attempt, enum build_state end, int64_t started, const char *reason)
{
    struct build build = make("c1", attempt);
    build.state = end;
    build.started.ms = started;
    snprintf(build.reason, sizeof build.reason, "%s", reason);
    assert_true(store_build_put(store, &build, NULL));
    return build.id;
}

static void test_the_one_that_had_its_turn_before(void **state)
{
    (void)state;
    struct build out;
    struct error err;
    struct build other = make("c1", 1);
    snprintf(other.recipe, sizeof other.recipe, "other");
    assert_true(store_build_put(store, &other, NULL));
    int64_t cancelled = ended(1, BUILD_SUPERSEDED, 2000, "cancelled");
    for (int attempt = 2; attempt < 12; attempt++)
        ended(attempt, BUILD_SUPERSEDED, 0, "superseded");
    ended(12, BUILD_FILTERED, 2000, "filtered");
    struct build going = make("c1", 13);
    assert_true(store_build_put(store, &going, NULL));
    assert_true(store_build_turn_before(store, &going, &out, NULL));
    assert_int_equal(out.id, cancelled);
    assert_string_equal(out.reason, "cancelled");
    assert_false(store_build_turn_before(store, &other, &out, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);

    // Of the same commit, whatever became of it.
    assert_true(store_build_asked_before(store, &going, &out, NULL));
    assert_int_equal(out.attempt, 12);
    struct build another = make("c2", 1);
    snprintf(another.recipe, sizeof another.recipe, "other");
    assert_true(store_build_put(store, &another, NULL));
    assert_false(store_build_asked_before(store, &another, &out, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);

    // It is known for as long as that matters, and no longer.
    assert_true(store_trim(store, &(struct store_bounds){1, 1, 1}, NULL));
    assert_true(store_build_turn_before(store, &going, &out, NULL));
    assert_int_equal(out.id, cancelled);
    going.state = BUILD_DONE;
    assert_true(store_build_put(store, &going, NULL));
    assert_true(store_trim(store, &(struct store_bounds){1, 1, 1}, NULL));
    assert_false(store_build_get(store, cancelled, &out, &err));

    // One that came too late ran all the same.
    int64_t late = ended(14, BUILD_DONE, 2000, "superseded");
    going = make("c1", 15);
    assert_true(store_build_put(store, &going, NULL));
    assert_true(store_build_turn_before(store, &going, &out, NULL));
    assert_int_equal(out.id, late);
}

static void test_lists(void **state)
{
    (void)state;
    struct build builds[3] = {make("c1", 1), make("c2", 1), make("c3", 1)};
    snprintf(builds[1].branch, sizeof builds[1].branch, "next");
    builds[2].state = BUILD_FAILED;
    for (int i = 0; i < 3; i++)
        assert_true(store_build_put(store, &builds[i], NULL));

    struct build_filter filter = {.limit = 500};
    struct ids ids = {0};
    assert_true(store_build_list(store, &filter, note_id, &ids, NULL));
    assert_int_equal(ids.count, 3);
    assert_int_equal(ids.list[0], builds[2].id);

    filter.unfinished = true;
    ids.count = 0;
    assert_true(store_build_list(store, &filter, note_id, &ids, NULL));
    assert_int_equal(ids.count, 2);

    // Repositories that differ in letter case are two.
    filter.repository = "GIT.example/A/b";
    filter.branch = "next";
    ids.count = 0;
    assert_true(store_build_list(store, &filter, note_id, &ids, NULL));
    assert_int_equal(ids.count, 0);
    filter.repository = builds[1].repository;
    assert_true(store_build_list(store, &filter, note_id, &ids, NULL));
    assert_int_equal(ids.count, 1);
    assert_int_equal(ids.list[0], builds[1].id);

    filter.before = builds[1].id;
    ids.count = 0;
    assert_true(store_build_list(store, &filter, note_id, &ids, NULL));
    assert_int_equal(ids.count, 0);
}

static void test_list_of_a_commit(void **state)
{
    (void)state;
    struct build builds[4] = {make("abcdef01", 1), make("abcdef02", 1), make("abcdef01", 2),
                              make("abcdef1", 1)};
    for (int i = 0; i < 4; i++)
        assert_true(store_build_put(store, &builds[i], NULL));
    struct build_filter filter = {.limit = 500, .commit = "abcdef0"};
    struct ids ids = {0};
    assert_true(store_build_list(store, &filter, note_id, &ids, NULL));
    assert_int_equal(ids.count, 3);
    assert_int_equal(ids.list[0], builds[2].id);
    assert_int_equal(ids.list[2], builds[0].id);
    filter.before = builds[2].id;
    filter.commit = "abcdef01";
    ids.count = 0;
    assert_true(store_build_list(store, &filter, note_id, &ids, NULL));
    assert_int_equal(ids.count, 1);
    assert_int_equal(ids.list[0], builds[0].id);
}

static bool count_patch(void *user, const struct patch_record *patch)
{
    assert_string_equal(patch->namespace, "reports");
    assert_string_equal(patch->new_image, "registry.example/a/b@sha256:1");
    ++*(int *)user;
    return true;
}

static void test_patches_go_with_their_build(void **state)
{
    (void)state;
    struct build old = make("c1", 1), running = make("c2", 1), new = make("c3", 1);
    old.state = new.state = BUILD_DONE;
    assert_true(store_build_put(store, &old, NULL));
    assert_true(store_build_put(store, &running, NULL));
    assert_true(store_build_put(store, &new, NULL));
    struct patch_record patch = {.build = old.id,
                                 .namespace = "reports",
                                 .name = "nightly",
                                 .old_image = "registry.example/a/b@sha256:0",
                                 .new_image = "registry.example/a/b@sha256:1",
                                 .at = {5}};
    assert_true(store_patch_add(store, &patch, NULL));
    int count = 0;
    assert_true(store_patch_list(store, old.id, count_patch, &count, NULL));
    assert_int_equal(count, 1);

    assert_true(store_trim(store, &(struct store_bounds){1, 1, 100}, NULL));
    struct build out;
    struct error err;
    assert_false(store_build_get(store, old.id, &out, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_true(store_build_get(store, running.id, &out, NULL));
    count = 0;
    assert_true(store_patch_list(store, old.id, count_patch, &count, NULL));
    assert_int_equal(count, 0);
    assert_false(store_patch_add(store, &patch, &err)); // its build is gone
    assert_int_equal(err.code, ERR_CONFLICT);
}

static void test_places(void **state)
{
    (void)state;
    struct build builds[3] = {make("c1", 1), make("c2", 1), make("c3", 1)};
    int count = 0;
    builds[0].state = BUILD_RUNNING;
    builds[1].state = BUILD_FETCHING;
    builds[2].state = BUILD_WAITING;
    for (int i = 0; i < 3; i++)
        assert_true(store_build_put(store, &builds[i], NULL));
    assert_true(store_builds_under_way(store, count_repository, &count, NULL));
    assert_int_equal(count, 2);
    builds[0].state = BUILD_PUSHED;
    assert_true(store_build_put(store, &builds[0], NULL));
    count = 0;
    assert_true(store_builds_under_way(store, count_repository, &count, NULL));
    assert_int_equal(count, 1);
    for (int i = 0; i < 3; i++) { // whose Job is over, while its registry does not answer
        builds[i].kaniko_ms = 5;
        assert_true(store_build_put(store, &builds[i], NULL));
    }
    count = 0;
    assert_true(store_builds_under_way(store, count_repository, &count, NULL));
    assert_int_equal(count, 0);
}

static void test_branch_heads(void **state)
{
    (void)state;
    struct branch_head head = {.repository = "git.example/A/b",
                               .branch = "main",
                               .commit = "c1",
                               .seq = 4,
                               .checked = {9}};
    struct branch_head out;
    struct error err;
    assert_false(store_branch_get(store, "git.example/a/b", "main", "", &out, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_true(store_branch_put(store, &head, NULL));
    snprintf(head.commit, sizeof head.commit, "c2");
    head.seq = 5;
    assert_true(store_branch_put(store, &head, NULL));
    assert_true(store_branch_get(store, "git.example/A/b", "main", "", &out, NULL));
    assert_string_equal(out.commit, "c2");
    assert_int_equal(out.seq, 5);
    assert_int_equal(out.checked.ms, 9);
    assert_false(store_branch_get(store, "git.example/A/b", "Main", "", &out, &err));
    assert_false(store_branch_get(store, "git.example/a/b", "main", "", &out, &err));
    // Each credential has a head of its own.
    assert_false(store_branch_get(store, "git.example/A/b", "main", "acme", &out, &err));
    snprintf(head.credential, sizeof head.credential, "acme");
    snprintf(head.commit, sizeof head.commit, "c3");
    assert_true(store_branch_put(store, &head, NULL));
    assert_true(store_branch_get(store, "git.example/A/b", "main", "acme", &out, NULL));
    assert_string_equal(out.commit, "c3");
    assert_true(store_branch_get(store, "git.example/A/b", "main", "", &out, NULL));
    assert_string_equal(out.commit, "c2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_build_is_kept_and_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_state_has_a_word, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_has_ended, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_attempts_collide, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_one_that_had_its_turn_before, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lists, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_list_of_a_commit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_patches_go_with_their_build, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_places, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_branch_heads, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("builds", tests, NULL, NULL);
}
