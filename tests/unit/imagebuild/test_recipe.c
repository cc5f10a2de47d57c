#include "build/recipe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static struct recipe plain(void)
{
    return (struct recipe){.repository = "git.example/acme/report",
                           .branch = "main",
                           .image = "registry.example/acme/report"};
}

static void assert_same(const struct recipe *a, const struct recipe *b, bool same)
{
    char one[SHA256_HEX_SIZE], other[SHA256_HEX_SIZE];
    recipe_hash(a, one);
    recipe_hash(b, other);
    assert_int_equal(strcmp(one, other) == 0, same);
}

// The canonical form, written out by hand: it must never change by accident, since every service
// would be built again.
static void the_canonical_form_is_as_documented(void **state)
{
    (void)state;
    static const char form[] = "cronwright recipe 1\n"
                               "10:repository23:git.example/acme/report\n"
                               "6:branch4:main\n"
                               "10:dockerfile17:docker/Dockerfile\n"
                               "7:context3:app\n"
                               "6:target5:final\n"
                               "5:arg.A2:=1\n"
                               "5:arg.B1:=\n"
                               "5:image28:registry.example/acme/report\n"
                               "8:platform11:linux/arm64\n";
    const struct build_arg args[] = {{"B", ""}, {"A", "1"}};
    struct recipe recipe = plain();
    recipe.dockerfile = "./docker//Dockerfile";
    recipe.context = "/app/";
    recipe.target = "final";
    recipe.args = args;
    recipe.args_count = 2;
    recipe.platform = "linux/arm64";
    uint8_t digest[SHA256_SIZE];
    char expected[SHA256_HEX_SIZE], hash[SHA256_HEX_SIZE];
    sha256(form, strlen(form), digest);
    hex_encode(digest, sizeof digest, expected);
    recipe_hash(&recipe, hash);
    assert_string_equal(hash, expected);
}

static void what_means_the_same_has_one_hash(void **state)
{
    (void)state;
    struct recipe a = plain(), b = plain();
    b.dockerfile = "Dockerfile";
    b.context = ".";
    b.target = b.platform = "";
    assert_same(&a, &b, true);
    b.dockerfile = "././Dockerfile";
    b.context = "//";
    assert_same(&a, &b, true);

    const struct build_arg forward[] = {{"A", "1"}, {"B", "2"}},
                           backward[] = {{"B", "2"}, {"A", "1"}};
    a.args = forward;
    b.args = backward;
    a.args_count = b.args_count = 2;
    assert_same(&a, &b, true);
}

static void what_differs_has_another_hash(void **state)
{
    (void)state;
    const struct build_arg empty[] = {{"A", ""}}, one[] = {{"A", "1"}};
    struct recipe base = plain();
    struct recipe others[10];
    for (size_t i = 0; i < 10; i++)
        others[i] = base;
    others[0].repository = "git.example/acme/other";
    others[1].branch = "next";
    others[2].dockerfile = "Other";
    others[3].context = "app";
    others[4].target = "final";
    others[5].image = "registry.example/acme/other";
    others[6].platform = "linux/arm64";
    others[7].args = empty;
    others[8].args = one;
    others[7].args_count = others[8].args_count = 1;
    others[9].context = "main"; // the same words in other places
    others[9].branch = ".";
    for (size_t i = 0; i < 10; i++) {
        assert_same(&base, &others[i], false);
        for (size_t k = 0; k < i; k++)
            assert_same(&others[k], &others[i], false);
    }
}

// So that a service gets no new image when only its paths change.
static void paths_change_the_hash_but_not_the_image(void **state)
{
    (void)state;
    struct recipe a = plain(), b = plain(), other = plain();
    char none[SHA256_HEX_SIZE], some[SHA256_HEX_SIZE], more[SHA256_HEX_SIZE],
        elsewhere[SHA256_HEX_SIZE];
    a.paths = "";
    assert_same(&a, &b, true); // builds from before there were paths keep their key
    recipe_hash(&a, none);
    a.paths = "[\"report/**\"]";
    b.paths = "[\"lib/**\",\"report/**\"]";
    other.paths = a.paths;
    other.context = "app";
    recipe_hash(&a, some);
    recipe_hash(&b, more);
    recipe_hash(&other, elsewhere);
    assert_string_not_equal(some, none);
    assert_string_not_equal(some, more);
    assert_int_equal(strlen(some), SHA256_HEX_SIZE - 1);
    assert_true(recipe_same_image(some, none) && recipe_same_image(some, more));
    assert_false(recipe_same_image(some, elsewhere));
    assert_false(recipe_same_image(some, "") || recipe_same_image("", ""));
    // Two builds of one commit, whose tags must differ.
    struct build_name one, two;
    struct error err;
    assert_true(build_name(COMMIT, some, 1, &one, &err) && build_name(COMMIT, more, 1, &two, &err));
    assert_string_not_equal(one.tag, two.tag);
    assert_string_not_equal(one.job, two.job);
}

// Who may not use a credential shares no build with those who may, and gets no new image when it
// gets another credential.
static void credentials_part_builds_of_the_same_image(void **state)
{
    (void)state;
    struct recipe recipes[5] = {plain(), plain(), plain(), plain(), plain()};
    recipes[1].credential = "acme";
    recipes[2].credential = "other";
    recipes[3].push_secret = "acme";
    recipes[4].paths = "acme";
    char hashes[5][SHA256_HEX_SIZE];
    for (size_t i = 0; i < 5; i++) {
        recipe_hash(&recipes[i], hashes[i]);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(hashes[i], hashes[k]);
            assert_true(recipe_same_image(hashes[i], hashes[k]));
        }
    }
    recipes[1].credential = recipes[1].push_secret = ""; // as builds had it before
    assert_same(&recipes[0], &recipes[1], true);
}

static void refused(const struct recipe *recipe, const char *field)
{
    struct error err = {0};
    if (recipe_check(recipe, &err))
        fail_msg("taken, although %s is wrong", field);
    assert_int_equal(err.code, ERR_INVALID);
    if (!strstr(err.text, field))
        fail_msg("\"%s\" is not named: %s", field, err.text);
}

static void wrong_fields_are_named(void **state)
{
    (void)state;
    struct recipe good = plain(), bad;
    struct error err;
    assert_true(recipe_check(&good, &err));
    static const char *const paths[] = {"../x", "a/../b", ".git/config", "a/.GIT",
                                        "a\\b", "a\nb",   "\xff"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        bad = plain();
        bad.context = paths[i];
        refused(&bad, "context");
        bad = plain();
        bad.dockerfile = paths[i];
        refused(&bad, "dockerfile");
    }
    char long_path[RECIPE_PATH_MAX + 2];
    memset(long_path, 'a', sizeof long_path);
    long_path[RECIPE_PATH_MAX + 1] = '\0';
    bad = plain(), bad.context = long_path, refused(&bad, "context");
    bad = plain(), bad.dockerfile = ".", refused(&bad, "dockerfile");
    bad = plain(), bad.dockerfile = "docker/", refused(&bad, "dockerfile");
    bad = plain(), bad.repository = NULL, refused(&bad, "repository");
    bad = plain(), bad.branch = "", refused(&bad, "branch");
    bad = plain(), bad.branch = "a\x01", refused(&bad, "branch");
    bad = plain(), bad.image = NULL, refused(&bad, "image");
    bad = plain(), bad.image = "registry.example/acme/report:1", refused(&bad, "image");
    bad = plain(), bad.target = "a\tb", refused(&bad, "target");
    static const char *const platforms[] = {
        "linux", "linux/", "/amd64", "linux//x", "a/b/c/d", "Linux/AMD64", "linux/amd64 --force"};
    for (size_t i = 0; i < sizeof platforms / sizeof platforms[0]; i++)
        bad = plain(), bad.platform = platforms[i], refused(&bad, "platform");
}

static void wrong_build_arguments_are_named(void **state)
{
    (void)state;
    static const char *const names[] = {"", "1A", "A-B", "A=B", "A B", "\xc3\x84", NULL};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct build_arg args[] = {{names[i], "x"}};
        struct recipe bad = plain();
        bad.args = args;
        bad.args_count = 1;
        refused(&bad, "buildArgs");
    }
    const struct build_arg twice[] = {{"A", "1"}, {"B", "1"}, {"A", "2"}};
    struct recipe bad = plain();
    bad.args = twice;
    bad.args_count = 3;
    refused(&bad, "buildArgs.A: given twice");

    const struct build_arg latin[] = {{"A", "\xe4"}};
    bad.args = latin;
    bad.args_count = 1;
    refused(&bad, "buildArgs.A");

    static char names_of_many[RECIPE_ARGS_MAX + 1][8];
    struct build_arg many[RECIPE_ARGS_MAX + 1];
    for (int i = 0; i <= RECIPE_ARGS_MAX; i++) {
        snprintf(names_of_many[i], sizeof names_of_many[i], "A%d", i);
        many[i] = (struct build_arg){names_of_many[i], NULL};
    }
    bad.args = many;
    bad.args_count = RECIPE_ARGS_MAX + 1;
    refused(&bad, "buildArgs");
    bad.args_count = RECIPE_ARGS_MAX;
    struct error err;
    assert_true(recipe_check(&bad, &err));
}

static void names_of_a_build(void **state)
{
    (void)state;
    char recipe[SHA256_HEX_SIZE];
    struct recipe r = plain();
    struct build_name one, other;
    struct error err;
    recipe_hash(&r, recipe);
    assert_true(build_name(COMMIT, recipe, 1, &one, &err));
    assert_int_equal(strlen(one.job), strlen("cw-0123456789abcdef-1"));
    char *tag = NULL;
    assert_true(asprintf(&tag, "0123456789ab-%.6s-1", recipe) > 0);
    assert_string_equal(one.tag, tag);
    free(tag);

    // Each input changes the Job's name; an attempt only its number.
    assert_true(build_name(COMMIT, recipe, 2, &other, &err));
    assert_memory_equal(one.job, other.job, strlen("cw-0123456789abcdef-"));
    assert_string_not_equal(one.job, other.job);
    assert_string_not_equal(one.tag, other.tag);
    assert_true(build_name("1123456789abcdef0123456789abcdef01234567", recipe, 1, &other, &err));
    assert_memory_not_equal(one.job, other.job, strlen("cw-0123456789abcdef"));
    r.branch = "next";
    recipe_hash(&r, recipe);
    assert_true(build_name(COMMIT, recipe, RECIPE_ATTEMPT_MAX, &other, &err));
    assert_memory_not_equal(one.job, other.job, strlen("cw-0123456789abcdef"));
    assert_true(strlen(other.job) < BUILD_JOB_SIZE);

    assert_int_equal(build_name_attempt(one.job), 1);
    assert_int_equal(build_name_attempt(other.tag), RECIPE_ATTEMPT_MAX);
    assert_int_equal(build_name_attempt("cronwright-not-built"), 0);
    assert_int_equal(build_name_attempt("1.4"), 0);
    assert_int_equal(build_name_attempt("cw-0123456789abcdef-10000"), 0);
}

static void names_need_whole_inputs(void **state)
{
    (void)state;
    static const char recipe[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    struct build_name name;
    struct error err;
    assert_true(build_name(recipe, recipe, 1, &name, &err)); // a commit of a SHA-256 repository
    assert_false(build_name("", recipe, 1, &name, &err));
    assert_false(build_name("0123456789ABCDEF0123456789abcdef01234567", recipe, 1, &name, &err));
    assert_false(build_name("0123456", recipe, 1, &name, &err));
    assert_false(build_name(COMMIT, "", 1, &name, &err));
    assert_false(build_name(COMMIT, COMMIT, 1, &name, &err));
    assert_false(build_name(COMMIT, recipe, 0, &name, &err));
    assert_false(build_name(COMMIT, recipe, RECIPE_ATTEMPT_MAX + 1, &name, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_canonical_form_is_as_documented),
        cmocka_unit_test(what_means_the_same_has_one_hash),
        cmocka_unit_test(what_differs_has_another_hash),
        cmocka_unit_test(paths_change_the_hash_but_not_the_image),
        cmocka_unit_test(credentials_part_builds_of_the_same_image),
        cmocka_unit_test(wrong_fields_are_named),
        cmocka_unit_test(wrong_build_arguments_are_named),
        cmocka_unit_test(names_of_a_build),
        cmocka_unit_test(names_need_whole_inputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
