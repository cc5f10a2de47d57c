#include "webhooks/ref.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

// What `git check-ref-format` allows, and what it refuses.
static void takes_what_git_takes(void **state)
{
    (void)state;
    static const char *const good[] = {
        "refs/heads/main",     "refs/heads/feature/one-2_3",
        "refs/tags/v1.0.0",    "refs/heads/caf\xc3\xa9",
        "refs/heads/a@b",      "refs/heads/@",
        "refs/heads/fix-#12",  "refs/heads/$(id)",
        "refs/heads/a;b|c&d",  "refs/heads/locks",
        "refs/heads/a.locker", "refs/notes/commits",
        "refs/heads/{x}",      "refs/heads/it's",
        "refs/heads/-dash",
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        struct error err = {0};
        if (!ref_check(good[i], &err))
            fail_msg("%s: %s", good[i], err.text);
    }
}

static void refuses_what_git_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "main",
        "refs/",
        "heads/main",
        "refs/heads/",
        "refs/heads/a..b",
        "refs/heads/../../etc/passwd",
        "refs/heads/.hidden",
        "refs/heads/a/.b",
        "refs/heads/a.lock",
        "refs/heads/a.lock/b",
        "refs/heads/a//b",
        "refs/heads/a/",
        "refs/heads/a.",
        "refs/heads/a b",
        "refs/heads/a~1",
        "refs/heads/a^",
        "refs/heads/a:b",
        "refs/heads/a?",
        "refs/heads/a*",
        "refs/heads/a[b",
        "refs/heads/a\\b",
        "refs/heads/a@{1}",
        "refs/heads/a\tb",
        "refs/heads/a\nb",
        "refs/heads/a\x7f",
        "refs/heads/a\x01",
        "refs/heads/$(touch /tmp/x)",
        "refs/heads/\xff",
        "refs/heads/\xed\xa0\x80",
        "/refs/heads/a",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct error err = {0};
        if (ref_check(bad[i], &err))
            fail_msg("taken: %s", bad[i]);
        assert_int_equal(err.code, ERR_INVALID);
    }
}

static void bounds_the_length(void **state)
{
    (void)state;
    char ref[REF_MAX + 2];
    memset(ref, 'a', sizeof ref);
    memcpy(ref, "refs/heads/", strlen("refs/heads/"));
    ref[REF_MAX + 1] = '\0';
    assert_false(ref_check(ref, NULL));
    assert_false(ref_check_branch(ref + strlen("refs/heads/"), NULL));
    ref[REF_MAX] = '\0';
    assert_true(ref_check(ref, NULL));
    assert_true(ref_check_branch(ref + strlen("refs/heads/"), NULL));
}

static void checks_branch_names(void **state)
{
    (void)state;
    static const char *const good[] = {"main", "feature/x", "a-b", "@", "head", "refs/heads/x"};
    static const char *const bad[] = {"",    "-x", "--upload-pack=x", "HEAD", "a..b", ".x",
                                      "a b", "/a"};
    for (size_t i = 0; i < COUNT(good); i++)
        if (!ref_check_branch(good[i], NULL))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct error err = {0};
        if (ref_check_branch(bad[i], &err))
            fail_msg("taken: %s", bad[i]);
        assert_int_equal(err.code, ERR_INVALID);
    }
}

static void tells_branches_from_tags(void **state)
{
    (void)state;
    assert_string_equal(ref_branch("refs/heads/a/b"), "a/b");
    assert_null(ref_branch("refs/tags/a"));
    assert_string_equal(ref_tag("refs/tags/v1"), "v1");
    assert_null(ref_tag("refs/heads/v1"));
    assert_null(ref_tag("refs/notes/x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_git_takes),     cmocka_unit_test(refuses_what_git_refuses),
        cmocka_unit_test(bounds_the_length),        cmocka_unit_test(checks_branch_names),
        cmocka_unit_test(tells_branches_from_tags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
