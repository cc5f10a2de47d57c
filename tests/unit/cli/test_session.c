#include "agent/cli/follow.h"
#include "agent/cli/session.h"
#include "agent/cli/tail.h"
#include "agent/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static bool service_of(const char *operand, const char *namespace, struct service_name *out,
                       struct error *err)
{
    struct call call = {.command = command_find("show"), .operands = {operand}, .operand_count = 1};
    call.text[OPTION_NAMESPACE] = namespace;
    struct session session = {.call = &call};
    return session_service(&session, out, err);
}

static void names_of_services(void **state)
{
    (void)state;
    struct service_name service;
    struct error err;
    assert_true(service_of("reports/nightly", NULL, &service, &err));
    assert_string_equal(service.namespace, "reports");
    assert_string_equal(service.name, "nightly");
    assert_true(service_of("nightly", "reports", &service, &err));
    assert_string_equal(service.namespace, "reports");
    assert_true(service_of("reports/nightly", "reports", &service, &err));
    CLEANUP(free_ptr) char *path = service_path(&service, "/runs/%d", 1);
    assert_string_equal(path, "/v1/services/reports/nightly/runs/1");

    static const char *const wrong[] = {"nightly",         "/nightly", "reports/", "a/b/c",
                                        "Reports/nightly", "a/b?x=1",  "a/..",     "-a/b",
                                        "a/b%2f",          "a/b\n"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(service_of(wrong[i], NULL, &service, &err));
        assert_int_equal(err.code, ERR_INVALID);
    }
    assert_false(service_of("a/b", "c", &service, &err));
    char long_name[NAME_SIZE + 8];
    memset(long_name, 'a', sizeof(long_name));
    long_name[sizeof(long_name) - 1] = '\0';
    assert_false(service_of(long_name, "c", &service, &err));
}

static void exit_status_of_a_run(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        int status;
    } cases[] = {
        {"{\"state\":\"succeeded\",\"exitCode\":0}", 0},
        {"{\"state\":\"failed\",\"exitCode\":3,\"reason\":\"exit 3\"}", 3},
        {"{\"state\":\"failed\",\"exitCode\":137,\"reason\":\"out of memory\"}", 137},
        {"{\"state\":\"failed\",\"exitCode\":137,\"reason\":\"deadline exceeded\"}",
         STATUS_DEADLINE},
        {"{\"state\":\"failed\",\"exitCode\":null,\"reason\":\"deadline exceeded\"}",
         STATUS_DEADLINE},
        {"{\"state\":\"failed\",\"exitCode\":null,\"reason\":null}", STATUS_UNKNOWN},
        {"{\"state\":\"failed\",\"exitCode\":0}", STATUS_UNKNOWN},
        {"{\"state\":\"failed\",\"exitCode\":256}", STATUS_UNKNOWN},
        {"{\"state\":\"failed\",\"exitCode\":\"1\"}", STATUS_UNKNOWN},
        {"{}", STATUS_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CLEANUP(json_ptr) json_t *run = json_loads(cases[i].json, 0, NULL);
        assert_non_null(run);
        assert_int_equal(run_exit_status(run), cases[i].status);
    }
}

static void pauses_grow_and_stop_growing(void **state)
{
    (void)state;
    assert_int_equal(tail_pause_ms(0), TAIL_PAUSE_FIRST);
    assert_int_equal(tail_pause_ms(1), 2 * TAIL_PAUSE_FIRST);
    assert_int_equal(tail_pause_ms(20), TAIL_PAUSE_MAX);
    assert_int_equal(tail_pause_ms(4000000000u), TAIL_PAUSE_MAX);
}

static void repositories_are_shortened(void **state)
{
    (void)state;
    static const struct {
        const char *repository;
        const char *text;
    } cases[] = {{"github.com/acme/report", "acme/report"},
                 {"https://github.com/acme/report", "acme/report"},
                 {"https://github.com/acme/report.git", "acme/report"},
                 {"-", "-"},
                 {"host/", "host/"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CLEANUP(free_ptr) char *text = repository_short(cases[i].repository);
        assert_string_equal(text, cases[i].text);
    }
}

static void parts_of_answers(void **state)
{
    (void)state;
    char commit[COMMIT_SIZE];
    commit_short("a41f09c2d1e07b3f8a6a", commit);
    assert_string_equal(commit, "a41f09c");
    commit_short("", commit);
    assert_string_equal(commit, "-");
    CLEANUP(json_ptr)
    json_t *json =
        json_pack("{s:s, s:i, s:s}", "t", "2026-11-24T09:12:00.5Z", "n", 7, "bad", "yesterday");
    assert_int_equal(field_time(json, "t").ms % 1000, 500);
    assert_int_equal(field_time(json, "bad").ms, 0);
    assert_int_equal(field_time(json, "n").ms, 0);
    assert_int_equal(field_int(json, "n", 1), 7);
    assert_int_equal(field_int(json, "t", 1), 1);
    assert_string_equal(field(json, "n"), "");
    assert_string_equal(field_or_dash(json, "gone"), "-");
}

static bool open_client(const char *url, const char *token_file, struct client *out,
                        struct error *err)
{
    struct call call = {.command = command_find("services")};
    call.text[OPTION_URL] = url;
    call.text[OPTION_TOKEN_FILE] = token_file;
    return client_open(&call, out, err);
}

static void addresses_of_the_agent(void **state)
{
    (void)state;
    static const char *const wrong[] = {"127.0.0.1:8081",   "unix:relative",  "ftp://x",
                                        "http://",          "http:///x",      "http://u:p@host",
                                        "http://host/?a=b", "http://host/#a", "http://a b"};
    struct client client;
    struct error err;
    (void)unsetenv("CRONWRIGHT_URL");
    (void)unsetenv("CRONWRIGHT_TOKEN_FILE");
    assert_true(open_client(NULL, NULL, &client, &err));
    assert_string_equal(client.url, CLIENT_URL_DEFAULT);
    client_close(&client);
    (void)setenv("CRONWRIGHT_URL", "https://ci.example/cronwright//", 1);
    assert_true(open_client(NULL, NULL, &client, &err));
    assert_string_equal(client.url, "https://ci.example/cronwright");
    client_close(&client);
    assert_true(open_client("http://[::1]:8081", NULL, &client, &err));
    assert_string_equal(client.url, "http://[::1]:8081");
    client_close(&client);
    CLEANUP(free_ptr) char *url = NULL;
    struct http_request request;
    assert_true(open_client("unix:/run/cronwright.sock", NULL, &client, &err));
    client_prepare(&client, "/v1/services", &url, &request);
    assert_string_equal(request.unix_socket, "/run/cronwright.sock");
    assert_string_equal(request.url, "http://localhost/v1/services");
    client_close(&client);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(open_client(wrong[i], NULL, &client, &err));
        assert_int_equal(err.code, ERR_INVALID);
    }
}

static void hosts_of_addresses(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"http://127.0.0.1:8081", "127.0.0.1"},
                                           {"https://ci.example/cronwright", "ci.example"},
                                           {"http://[::1]:8081", "[::1]"},
                                           {"unix:/run/x", "127.0.0.1"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct client client;
        struct error err;
        assert_true(open_client(cases[i][0], NULL, &client, &err));
        CLEANUP(free_ptr) char *host = client_host(&client);
        assert_string_equal(host, cases[i][1]);
        client_close(&client);
    }
}

static void an_address_is_named_once(void **state)
{
    (void)state;
    struct client client;
    struct error err;
    assert_true(open_client("http://127.0.0.1:8081", NULL, &client, &err));
    (void)error_set(&err, ERR_UNAVAILABLE, "127.0.0.1:8081: refused");
    assert_string_equal(client_cause(&client, &err), "refused");
    (void)error_set(&err, ERR_UNAVAILABLE, "127.0.0.1:80810: refused");
    assert_string_equal(client_cause(&client, &err), "127.0.0.1:80810: refused");
    client_close(&client);
    assert_true(open_client("unix:/run/x", NULL, &client, &err));
    (void)error_set(&err, ERR_UNAVAILABLE, "unix:/run/x: refused");
    assert_string_equal(client_cause(&client, &err), "refused");
    client_close(&client);
}

static void token_files(void **state)
{
    (void)state;
    static const struct {
        const char *content;
        const char *header; // NULL: refused
    } cases[] = {{"s3cret\n", "Authorization: Bearer s3cret"},
                 {"s3cret\r\n", "Authorization: Bearer s3cret"},
                 {"", NULL},
                 {"two words\n", NULL},
                 {"two\nlines\n", NULL},
                 {"x\r\nHost: evil\n", NULL},
                 {"\xc3\xbc\n", NULL}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char path[] = "/tmp/cronwright-test-XXXXXX";
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        ssize_t len = (ssize_t)strlen(cases[i].content);
        assert_int_equal(write(fd, cases[i].content, (size_t)len), len);
        assert_int_equal(close(fd), 0);
        struct client client;
        struct error err;
        bool opened = open_client("http://127.0.0.1:1", path, &client, &err);
        assert_int_equal(opened, cases[i].header != NULL);
        if (opened) {
            assert_string_equal(client.authorization, cases[i].header);
            client_close(&client);
        } else {
            assert_null(strstr(err.text, "words"));
        }
        assert_int_equal(unlink(path), 0);
    }
}

static void problems_say_what_to_do(void **state)
{
    (void)state;
    struct client client = {.url = xstrdup("http://127.0.0.1:8081")};
    struct buffer body = {0};
    struct problem problem;
    struct error err;
    assert_true(buffer_printf(
        &body, &err, "{\"detail\":\"two\\nlines\",\"reason\":\"active-run\",\"run\":\"r-1\"}"));
    problem_read(409, &body, &problem);
    assert_string_equal(problem.reason, "active-run");
    assert_string_equal(problem.run, "r-1");
    assert_false(problem_error(&client, &problem, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_string_equal(err.text, "two lines (409)");
    buffer_clear(&body);
    problem_read(500, &body, &problem);
    assert_false(problem_error(&client, &problem, &err));
    assert_int_equal(err.code, ERR_PROTOCOL);
    problem_read(401, &body, &problem);
    assert_false(problem_error(&client, &problem, &err));
    assert_int_equal(err.code, ERR_UNAUTHORIZED);
    assert_non_null(strstr(err.text, "CRONWRIGHT_TOKEN_FILE"));
    buffer_finish(&body);
    client_close(&client);
}

// Advice names settings: those must be there.
static void named_settings_exist(void **state)
{
    (void)state;
    static const char *const names[] = {"webhooks.github.secretFiles", "webhooks.gitlab.tokenFiles",
                                        "webhooks.gitlab.signingTokenFiles", "admin.tokens"};
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    config_doc_help(out);
    assert_int_equal(fclose(out), 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_non_null(strstr(text, names[i]));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_services),
        cmocka_unit_test(exit_status_of_a_run),
        cmocka_unit_test(pauses_grow_and_stop_growing),
        cmocka_unit_test(repositories_are_shortened),
        cmocka_unit_test(parts_of_answers),
        cmocka_unit_test(addresses_of_the_agent),
        cmocka_unit_test(hosts_of_addresses),
        cmocka_unit_test(an_address_is_named_once),
        cmocka_unit_test(token_files),
        cmocka_unit_test(named_settings_exist),
        cmocka_unit_test(problems_say_what_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
