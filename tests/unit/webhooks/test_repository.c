#include "webhooks/repository.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct {
    const char *url;
    const char *identity;
} known[] = {
    // one repository, many ways
    {"https://github.com/acme/report.git", "github.com/acme/report"},
    {"https://github.com/acme/report", "github.com/acme/report"},
    {"https://github.com/acme/report/", "github.com/acme/report"},
    {"https://github.com/acme/report.git/", "github.com/acme/report"},
    {"https://github.com//acme//report", "github.com/acme/report"},
    {"https://user@github.com:443/Acme/Report.git", "github.com/acme/report"},
    {"https://user:pass%40word@github.com/acme/report", "github.com/acme/report"},
    {"HTTPS://GitHub.COM/acme/report", "github.com/acme/report"},
    {"http://github.com:80/acme/report", "github.com/acme/report"},
    {"git@github.com:acme/report.git", "github.com/acme/report"},
    {"git@github.com:/acme/report.git", "github.com/acme/report"},
    {"github.com:acme/report", "github.com/acme/report"},
    {"ssh://git@github.com/acme/report.git", "github.com/acme/report"},
    {"ssh://git@github.com:22/acme/report.git", "github.com/acme/report"},
    {"ssh://git@ssh.github.com:443/acme/report.git", "github.com/acme/report"},
    {"git+ssh://git@github.com/acme/report.git", "github.com/acme/report"},
    {"git://github.com:9418/acme/report.git", "github.com/acme/report"},
    {"github.com/acme/report", "github.com/acme/report"},
    {"https://github.com/ACME/Report.GIT", "github.com/acme/report"},
    // letter case: folded where the forge folds it
    {"https://gitlab.com/Group/Sub/Project.git", "gitlab.com/group/sub/project"},
    {"git@altssh.gitlab.com:Group/Project.git", "gitlab.com/group/project"},
    {"https://bitbucket.org/Team/Repo", "bitbucket.org/team/repo"},
    {"https://Git.Example.com/Acme/Report.git", "git.example.com/Acme/Report"},
    {"https://notgithub.com/Acme/Report", "notgithub.com/Acme/Report"},
    {"https://github.com.example.org/Acme/Report", "github.com.example.org/Acme/Report"},
    // ports
    {"http://git.example.com:8080/a/b", "git.example.com:8080/a/b"},
    {"https://git.example.com:8443/a/b.git", "git.example.com:8443/a/b"},
    {"http://git.example.com:443/a/b", "git.example.com:443/a/b"},
    {"https://git.example.com:/a/b", "git.example.com/a/b"},
    {"https://git.example.com:0443/a/b", "git.example.com/a/b"},
    {"ssh://git@git.example.com:2222/a/b.git", "git.example.com/a/b"},
    {"git.example.com:8080/a/b", "git.example.com:8080/a/b"},
    {"git@git.example.com:8080/a/b", "git.example.com/8080/a/b"},
    {"https://[2001:DB8::1]:8443/a/b", "[2001:db8::1]:8443/a/b"},
    {"https://[::1]/a/b", "[::1]/a/b"},
    {"git@[::1]:a/b", "[::1]/a/b"},
    {"127.0.0.1:3000/a", "127.0.0.1:3000/a"},
    // paths
    {"https://git.example.com/a", "git.example.com/a"},
    {"https://git.example.com/a/b.git.git", "git.example.com/a/b"},
    {"https://git.example.com/a/.git", "git.example.com/a/.git"},
    {"https://git.example.com/.git", "git.example.com/.git"},
    {"https://git.example.com/a/b.gitx", "git.example.com/a/b.gitx"},
    {"ssh://git@git.example.com/~ada/x.git", "git.example.com/~ada/x"},
    {"https://git.example.com/a%2Db/c%2egit", "git.example.com/a-b/c"},
    {"https://git.example.com/My%20Project/_git/x", "git.example.com/My Project/_git/x"},
    {"https://git.example.com/caf%C3%A9/x", "git.example.com/caf\xc3\xa9/x"},
    {"https://git.example.com/a/b@c:d", "git.example.com/a/b@c:d"},
    {"https://git.example.com/...", "git.example.com/..."},
};

static void gives_one_identity(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(known); i++) {
        struct error err = {0};
        char out[REPOSITORY_MAX + 1];
        if (!repository_identify(known[i].url, out, &err))
            fail_msg("%s: %s", known[i].url, err.text);
        assert_string_equal(out, known[i].identity);
    }
}

static void is_a_fixed_point(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(known); i++) {
        char out[REPOSITORY_MAX + 1];
        assert_true(repository_identify(known[i].identity, out, NULL));
        assert_string_equal(out, known[i].identity);
    }
}

static void refuses_what_is_no_repository(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "/",
        "report",
        "/srv/git/report.git",
        "file:///srv/git/report.git",
        "ftp://git.example.com/a/b",
        "javascript://git.example.com/a",
        "https://",
        "https:///a/b",
        "https://git.example.com",
        "https://git.example.com/",
        "https://git.example.com//",
        "https://git.example.com/.git/..",
        "https://git.example.com/a/../b",
        "https://git.example.com/./a",
        "https://git.example.com/a/%2e%2e/b",
        "https://git.example.com/a/...git",
        "https://git.example.com/a/..git.git",
        "https://git.example.com/a%2Fb",
        "https://git.example.com/a%2",
        "https://git.example.com/a%zz",
        "https://git.example.com/a%00b",
        "https://git.example.com/a%0Ab",
        "https://git.example.com/a%25b",
        "https://git.example.com/a%ff",
        "https://git.example.com/a\nb",
        "https://git.example.com/a\x7f",
        "https://git.example.com/a?x=1",
        "https://git.example.com/a#b",
        "https://git.example.com/a\\b",
        "https://git example.com/a",
        "https://git.example.com\n/a",
        "https://-oProxyCommand=x/a",
        "https://.example.com/a",
        "https://git.example.com./a",
        "https://git_x.example.com!/a",
        "https://git.example.com:0/a",
        "https://git.example.com:65536/a",
        "https://git.example.com:99999999/a",
        "https://git.example.com:8o/a",
        "https://[::1/a",
        "https://[::1]x/a",
        "https://[evil.example.com]/a",
        "ssh://git@git.example.com:a/b",
        "git@:a/b",
        "git.example.com:",
        ":a/b",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct error err = {0};
        char out[REPOSITORY_MAX + 1] = "untouched";
        if (repository_identify(bad[i], out, &err))
            fail_msg("taken: %s as %s", bad[i], out);
        assert_int_equal(err.code, ERR_INVALID);
        assert_string_equal(out, "untouched");
    }
}

static void bounds_the_length(void **state)
{
    (void)state;
    char url[REPOSITORY_MAX + 2];
    char out[REPOSITORY_MAX + 1];
    memset(url, 'a', sizeof url);
    url[3] = '/';
    url[REPOSITORY_MAX + 1] = '\0';
    assert_false(repository_identify(url, out, NULL));
    url[REPOSITORY_MAX] = '\0';
    assert_true(repository_identify(url, out, NULL));
    assert_int_equal(strlen(out), REPOSITORY_MAX);
}

static void never_tells_the_password(void **state)
{
    (void)state;
    struct error err = {0};
    char out[REPOSITORY_MAX + 1];
    assert_false(repository_identify("https://ada:hunter2@exa mple/a", out, &err));
    assert_null(strstr(err.text, "hunter2"));
}

static void hints_are_compared_without_case(void **state)
{
    (void)state;
    assert_true(repository_same("git.example.com/Acme/Report", "git.example.com/acme/report"));
    assert_false(repository_same("git.example.com/acme/report", "git.example.com/acme/reports"));
    assert_false(repository_same("git.example.com/acme", "git.example.com:8080/acme"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_one_identity),
        cmocka_unit_test(is_a_fixed_point),
        cmocka_unit_test(refuses_what_is_no_repository),
        cmocka_unit_test(bounds_the_length),
        cmocka_unit_test(never_tells_the_password),
        cmocka_unit_test(hints_are_compared_without_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
