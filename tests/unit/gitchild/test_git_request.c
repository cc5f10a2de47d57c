// Requests that are refused, and why.
#include "tests/unit/gitchild/workspace.h"

#include "build/git/request.h"

static const char HEAD[] = "{\"op\":\"head\",\"url\":\"https://git.example/acme/"
                           "report\",\"branch\":\"main\",\"seconds\":9}";

static const char CONTEXT[] =
    "{\"op\":\"context\",\"url\":\"http://git.example:8080/a\",\"branch\":\"feature/x\","
    "\"commit\":\"0123456789abcdef0123456789abcdef01234567\",\"mirror\":\"/m\",\"output\":\"/o\","
    "\"subdirectory\":\".\",\"dockerfile\":\"docker/Dockerfile\",\"seconds\":9,\"max_bytes\":1,"
    "\"max_repository_bytes\":1,\"max_objects\":1,\"max_file_bytes\":1,"
    "\"max_tree_depth\":1}";

static const char SSH[] =
    "{\"op\":\"head\",\"url\":\"git@git.example:acme/report\",\"branch\":\"main\",\"seconds\":9,"
    "\"ssh_key\":\"a key\\n\",\"known_hosts\":\"git.example ssh-ed25519 AAAA\\n\","
    "\"ssh_directory\":\"/ssh\"}";

#define SINCE "89abcdef0123456789abcdef0123456789abcdef"
static const char FILTERED[] =
    "{\"op\":\"context\",\"url\":\"http://git.example:8080/a\",\"branch\":\"feature/x\","
    "\"commit\":\"0123456789abcdef0123456789abcdef01234567\",\"mirror\":\"/m\",\"output\":\"/o\","
    "\"subdirectory\":\".\",\"dockerfile\":\"docker/Dockerfile\",\"seconds\":9,\"max_bytes\":1,"
    "\"max_repository_bytes\":1,\"max_objects\":1,\"max_file_bytes\":1,"
    "\"max_tree_depth\":1,\"since\":[\"" SINCE "\"],\"paths\":[\"a/**\",\"*.sql\"]}";

static void good_requests_are_read(void **state)
{
    (void)state;
    struct git_request request;
    struct fault fault;
    assert_true(git_request_read(HEAD, strlen(HEAD), false, &request, &fault));
    assert_int_equal(request.operation, GIT_OPERATION_HEAD);
    assert_string_equal(request.reference, "refs/heads/main");
    assert_string_equal(request.host, "git.example");
    assert_null(request.username);
    git_request_finish(&request);

    assert_true(git_request_read(CONTEXT, strlen(CONTEXT), false, &request, &fault));
    assert_int_equal(request.operation, GIT_OPERATION_CONTEXT);
    assert_string_equal(request.host, "git.example:8080");
    assert_string_equal(request.dockerfile, "docker/Dockerfile");
    assert_int_equal(request.max_bytes, 1);
    assert_null(request.paths);
    git_request_finish(&request);

    assert_true(git_request_read(SSH, strlen(SSH), false, &request, &fault));
    assert_string_equal(request.host, "git.example");
    assert_int_equal(request.remote.kind, GIT_URL_SSH);
    assert_string_equal(request.remote.user, "git");
    assert_string_equal(request.ssh_key, "a key\n");
    git_request_finish(&request);

    assert_true(git_request_read(FILTERED, strlen(FILTERED), false, &request, &fault));
    assert_string_equal(json_text_at(request.since, "0", NULL), SINCE);
    assert_string_equal(json_text_at(request.paths, "1", NULL), "*.sql");
    git_request_finish(&request);
}

static void lists_are_bounded(void **state)
{
    (void)state;
    static const struct {
        const char *key, *item;
        size_t max;
    } lists[] = {{"since", SINCE, GIT_SINCE_MAX}, {"paths", "a/**", GIT_PATTERNS_MAX}};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        for (size_t over = 0; over < 2; over++) {
            json_t *object = json_loads(FILTERED, 0, NULL);
            json_t *list = json_array();
            for (size_t k = 0; k < lists[i].max + over; k++)
                json_array_append_new(list, json_string(lists[i].item));
            json_object_set_new(object, lists[i].key, list);
            char *text = json_write(object);
            json_decref(object);
            struct git_request request;
            struct fault fault;
            bool read = git_request_read(text, strlen(text), false, &request, &fault);
            assert_int_equal(read, over == 0);
            if (read)
                git_request_finish(&request);
            free(text);
        }
    char *longest = xasprintf("[\"%0*d\"]", GIT_PATTERN_MAX, 0);
    json_t *fitting = json_loads(longest, 0, NULL);
    json_t *object = json_loads(FILTERED, 0, NULL);
    struct git_request request;
    struct fault fault;
    json_object_set_new(object, "paths", fitting);
    char *text = json_write(object);
    assert_true(git_request_read(text, strlen(text), false, &request, &fault));
    git_request_finish(&request);
    free(text);
    char *longer = xasprintf("%0*d", GIT_PATTERN_MAX + 1, 0);
    json_array_set_new(fitting, 0, json_string(longer));
    text = json_write(object);
    assert_false(git_request_read(text, strlen(text), false, &request, &fault));
    free(text);
    free(longer);
    free(longest);
    json_decref(object);
}

// A good request with one member set to a value, or removed (NULL).
static const struct {
    const char *base;
    const char *key;
    const char *value; // JSON
} refused[] = {
    {HEAD, "op", "\"push\""},
    {HEAD, "op", NULL},
    {HEAD, "oops", "1"},
    {HEAD, "url", NULL},
    {HEAD, "url", "7"},
    {HEAD, "url", "\"\""},
    {HEAD, "url", "\"https://\""},
    {HEAD, "url", "\"https:///path\""},
    {HEAD, "url", "\"file:///etc\""},
    {HEAD, "url", "\"/etc\""},
    {HEAD, "known_hosts", "\"git.example ssh-ed25519 AAAA\""},
    {HEAD, "ssh_key", "\"key\""},
    {SSH, "known_hosts", NULL},
    {SSH, "known_hosts", "\"\""},
    {SSH, "ssh_key", NULL},
    {SSH, "ssh_key", "\"\""},
    {SSH, "ssh_directory", "\"ssh\""},
    {SSH, "ssh_passphrase", "\"two\\nlines\""},
    {SSH, "username", "\"ana\""},
    {HEAD, "url", "\"git://git.example/a\""},
    {HEAD, "url", "\"ext::sh -c id\""},
    {HEAD, "url", "\"HTTPS://git.example/a\""},
    {HEAD, "url", "\"https://user:word@git.example/a\""},
    {HEAD, "url", "\"https://git.example/a b\""},
    {HEAD, "url", "\"https://git.example/a\\nHost: x\""},
    {HEAD, "url", "\"https://git.example/a?b\""},
    {HEAD, "url", "\"https://git.example/a#b\""},
    {HEAD, "url", "\"https://git.example\\\\@evil.example/a\""},
    {HEAD, "branch", NULL},
    {HEAD, "branch", "\"\""},
    {HEAD, "branch", "\"HEAD\""},
    {HEAD, "branch", "\"-x\""},
    {HEAD, "branch", "\"a..b\""},
    {HEAD, "branch", "\"a b\""},
    {HEAD, "branch", "\"a\\u0001\""},
    {HEAD, "branch", "\"a\\u0000\""},
    {HEAD, "branch", "\"a.lock\""},
    {HEAD, "branch", "\"a:b\""},
    {HEAD, "branch", "\"*\""},
    {HEAD, "branch", "\"/a\""},
    {HEAD, "branch", "\"a@{1}\""},
    {HEAD, "username", "\"ana\""},
    {HEAD, "password", "\"word\""},
    {HEAD, "ca_file", "\"ca.pem\""},
    {HEAD, "proxy", "\"socks5://localhost\""},
    {HEAD, "proxy", "\"http://user:word@localhost\""},
    {HEAD, "proxy_username", "\"ana\""},
    {HEAD, "seconds", NULL},
    {HEAD, "seconds", "0"},
    {HEAD, "seconds", "3601"},
    {HEAD, "seconds", "\"9\""},
    {CONTEXT, "commit", "\"0123\""},
    {CONTEXT, "commit", "\"0123456789ABCDEF0123456789ABCDEF01234567\""},
    {CONTEXT, "commit", "\"main\""},
    {CONTEXT, "commit", NULL},
    {CONTEXT, "mirror", "\"mirror\""},
    {CONTEXT, "mirror", "\"/var/../etc\""},
    {CONTEXT, "output", "\"/var/..\""},
    {CONTEXT, "output", NULL},
    {CONTEXT, "subdirectory", "\"\""},
    {CONTEXT, "subdirectory", "\"/etc\""},
    {CONTEXT, "subdirectory", "\"a/../b\""},
    {CONTEXT, "subdirectory", "\"a//b\""},
    {CONTEXT, "subdirectory", "\"./a\""},
    {CONTEXT, "subdirectory", "\"a/\""},
    {CONTEXT, "dockerfile", "\".\""},
    {CONTEXT, "dockerfile", "\"../Dockerfile\""},
    {CONTEXT, "dockerfile", "\".git/config\""},
    {CONTEXT, "dockerfile", "\"a/.GIT\""},
    {CONTEXT, "max_bytes", "0"},
    {CONTEXT, "max_bytes", "-1"},
    {CONTEXT, "max_bytes", "1.5"},
    {CONTEXT, "max_repository_bytes", NULL},
    {CONTEXT, "max_objects", NULL},
    {CONTEXT, "max_objects", "100000001"},
    {CONTEXT, "max_file_bytes", "2147483649"},
    {CONTEXT, "max_tree_depth", "257"},
    {CONTEXT, "max_bytes_setting", "\"two words\""},
    {HEAD, "paths", "[\"a\"]"},
    {CONTEXT, "since", "[\"" SINCE "\"]"}, // without the other
    {FILTERED, "since", NULL},
    {FILTERED, "since", "[]"},
    {FILTERED, "since", "\"" SINCE "\""},
    {FILTERED, "since", "[\"" SINCE "\", \"main\"]"},
    {FILTERED, "since", "[\"" SINCE "\", 7]"},
    {FILTERED, "paths", "[]"},
    {FILTERED, "paths", "{}"},
    {FILTERED, "paths", "[\"\"]"},
    {FILTERED, "paths", "[\"/a\"]"},
    {FILTERED, "paths", "[\"a//b\"]"},
    {FILTERED, "paths", "[\"a\\\\b\"]"},
    {FILTERED, "paths", "[\"a\\nb\"]"},
    {FILTERED, "paths", "[\"a\", null]"},
};

static void bad_requests_name_the_field(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        json_t *object = json_loads(refused[i].base, 0, NULL);
        assert_non_null(object);
        if (refused[i].value)
            json_object_set_new(
                object, refused[i].key,
                json_loads(refused[i].value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL));
        else
            json_object_del(object, refused[i].key);
        char *text = json_write(object);
        json_decref(object);
        struct git_request request;
        struct fault fault;
        if (git_request_read(text, strlen(text), false, &request, &fault))
            fail_msg("taken: %s", text);
        assert_string_equal(fault.word, GIT_ERROR_WORD_INVALID);
        // A NUL is refused by the parser, which knows no field.
        if (!strstr(fault.text, refused[i].key) && !strstr(fault.text, "JSON"))
            fail_msg("\"%s\" is not named: %s", refused[i].key, fault.text);
        free(text);
    }
}

static void what_is_no_object_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "x", "[]", "null", "{\"op\":\"head\"", "{}{}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct git_request request;
        struct fault fault;
        assert_false(git_request_read(texts[i], strlen(texts[i]), false, &request, &fault));
        assert_string_equal(fault.word, GIT_ERROR_WORD_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_requests_are_read),
        cmocka_unit_test(bad_requests_name_the_field),
        cmocka_unit_test(lists_are_bounded),
        cmocka_unit_test(what_is_no_object_is_refused),
    };
    return cmocka_run_group_tests(tests, workspace_make, workspace_remove);
}
