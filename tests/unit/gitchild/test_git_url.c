// URLs to fetch from: what their parts are, and what is refused.
#include "tests/unit/gitchild/workspace.h"

#include "build/git/url.h"

static void parts_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        struct git_url parts;
    } good[] = {
        {"https://git.example/acme/report.git", {GIT_URL_HTTPS, "", "git.example", 443}},
        {"http://Git.Example:8080/a", {GIT_URL_HTTP, "", "git.example", 8080}},
        {"https://[2001:DB8::1]:8443/a", {GIT_URL_HTTPS, "", "2001:db8::1", 8443}},
        {"https://git.example", {GIT_URL_HTTPS, "", "git.example", 443}},
        {"ssh://git@git.example/acme/report", {GIT_URL_SSH, "git", "git.example", 22}},
        {"ssh://git@[::1]:2222/acme", {GIT_URL_SSH, "git", "::1", 2222}},
        {"git@git.example:acme/report.git", {GIT_URL_SSH, "git", "git.example", 22}},
        {"git@git.example:~ana/report", {GIT_URL_SSH, "git", "git.example", 22}},
        {"a-b_1@10.0.0.1:/srv/git", {GIT_URL_SSH, "a-b_1", "10.0.0.1", 22}},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct git_url parsed;
        struct error err;
        if (!git_url_parse(good[i].url, &parsed, &err))
            fail_msg("%s: %s", good[i].url, err.text);
        assert_int_equal(parsed.kind, good[i].parts.kind);
        assert_string_equal(parsed.user, good[i].parts.user);
        assert_string_equal(parsed.host, good[i].parts.host);
        assert_int_equal(parsed.port, good[i].parts.port);
    }
}

static void the_rest_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "/srv/git",
        "file:///srv/git",
        "git://git.example/a",
        "ext::sh -c id",
        "HTTPS://git.example/a",
        "https://",
        "https:///a",
        "https://ana@git.example/a",
        "https://ana:hunter2@git.example/a",
        "https://git.example:0/a",
        "https://git.example:65536/a",
        "https://git.example:/a",
        "https://git example/a",
        "https://git.example/a?b",
        "https://git.example/a#b",
        "https://git.example\\@evil.example/a",
        "https://git.example/a\nHost: x",
        "https://-git.example/a",
        "https://[::1/a",
        "ssh://git.example/a",
        "ssh://git@git.example",
        "ssh://git@git.example/",
        "ssh://git:hunter2@git.example/a",
        "ssh://-oProxyCommand=id@git.example/a",
        "ssh://git@-oProxyCommand=id/a",
        "ssh://@git.example/a",
        "ssh://git@git.example/a'b",
        "ssh://git@git.example/$(id)",
        "ssh://git@git.example/a;id",
        "git.example:acme/report",
        "git@git.example",
        "git@git.example:",
        "git@git.example/a:b",
        "git@:acme",
        "@git.example:acme",
        "git@git.example:a`id`",
        "ssh://git@git.example/a%27b",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct git_url parsed;
        struct error err;
        if (git_url_parse(bad[i], &parsed, &err))
            fail_msg("taken: %s", bad[i]);
        assert_int_equal(err.code, ERR_INVALID);
        assert_null(strstr(err.text, "hunter2"));
    }
    char longest[GIT_URL_MAX + 2] = "https://git.example/";
    memset(longest + strlen(longest), 'a', GIT_URL_MAX + 1 - strlen(longest));
    struct git_url parsed;
    assert_false(git_url_parse(longest, &parsed, NULL));
    longest[GIT_URL_MAX] = '\0';
    assert_true(git_url_parse(longest, &parsed, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_found),
        cmocka_unit_test(the_rest_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
