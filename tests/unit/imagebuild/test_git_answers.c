// What is said to the Git child, and what is made of its answers.
#include "agent/base/json.h"
#include "build/mirror.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define SHA256 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct git_remote_branch remote = {.url = "https://git.example/acme/report",
                                                .branch = "main",
                                                .username = "builder",
                                                .password = "correct \"horse\"",
                                                .seconds = 60};

static void requests_are_whole(void **state)
{
    (void)state;
    struct buffer bytes = {0};
    struct error err;
    json_t *request = NULL;
    assert_true(git_request_head(&remote, &bytes, &err));
    assert_true(json_read(bytes.data, bytes.len, GIT_REQUEST_MAX, &request, &err));
    json_t *expected =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "op", "head", "url", remote.url, "branch",
                  "main", "username", "builder", "password", remote.password, "seconds", 60);
    assert_true(json_equal(request, expected));
    json_decref(request);
    json_decref(expected);
    buffer_wipe(&bytes);

    struct git_context_request context = {.commit = COMMIT,
                                          .mirror = "/var/mirror",
                                          .subdirectory = "./app/",
                                          .dockerfile = "docker//Dockerfile",
                                          .output = "/var/out",
                                          .max_bytes = 900000,
                                          .max_repository_bytes = INT64_C(1) << 40};
    assert_true(git_request_context(&remote, &context, &bytes, &err));
    assert_true(json_read(bytes.data, bytes.len, GIT_REQUEST_MAX, &request, &err));
    assert_string_equal(json_text_at(request, "commit", NULL), COMMIT);
    // The child takes one spelling only.
    assert_string_equal(json_text_at(request, "subdirectory", NULL), "app");
    assert_string_equal(json_text_at(request, "dockerfile", NULL), "docker/Dockerfile");
    assert_int_equal(json_int_or(json_at(request, "max_repository_bytes", NULL), 0), INT64_C(1)
                                                                                         << 40);
    assert_null(json_at(request, "since", NULL));
    assert_null(json_at(request, "paths", NULL));
    json_decref(request);
    buffer_wipe(&bytes);

    json_t *since = json_pack("[s]", COMMIT), *paths = json_pack("[s]", "app/**");
    context.since = since;
    context.paths = paths;
    assert_true(git_request_context(&remote, &context, &bytes, &err));
    assert_true(json_read(bytes.data, bytes.len, GIT_REQUEST_MAX, &request, &err));
    assert_true(json_equal(json_at(request, "since", NULL), since));
    assert_true(json_equal(json_at(request, "paths", NULL), paths));
    json_decref(since);
    json_decref(paths);
    context.since = context.paths = NULL;
    json_decref(request);
    buffer_wipe(&bytes);

    context.subdirectory = context.dockerfile = NULL;
    assert_true(git_request_context(&remote, &context, &bytes, &err));
    assert_true(json_read(bytes.data, bytes.len, GIT_REQUEST_MAX, &request, &err));
    assert_string_equal(json_text_at(request, "subdirectory", NULL), ".");
    assert_string_equal(json_text_at(request, "dockerfile", NULL), "Dockerfile");
    json_decref(request);
    buffer_wipe(&bytes);
    context.subdirectory = "../x";
    assert_false(git_request_context(&remote, &context, &bytes, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

static void each_url_has_its_mirror(void **state)
{
    (void)state;
    char one[GIT_MIRROR_NAME_SIZE], other[GIT_MIRROR_NAME_SIZE];
    git_mirror_name("https://git.example/a", "", one);
    git_mirror_name("https://git.example/b", "", other);
    assert_int_equal(strlen(one), GIT_MIRROR_NAME_SIZE - 1);
    assert_string_not_equal(one, other);
    git_mirror_name("https://git.example/a", "", other);
    assert_string_equal(one, other);
    assert_string_equal(one, "5c24a8cc52b7d51516545c3e85133cfe"); // as ever
    git_mirror_name("https://git.example/a", "acme", other);
    assert_string_not_equal(one, other);
}

static void feed(struct git_answers *answers, const char *text)
{
    git_answers_feed(answers, text, strlen(text));
}

static const char CONTEXT_LINES[] =
    "{\"event\":\"waiting\"}\n"
    "{\"event\":\"remake\",\"text\":\"it has many packs\"}\n"
    "{\"event\":\"progress\",\"objects\":3,\"total\":10,\"bytes\":77}\n"
    "{\"event\":\"fetched\",\"commit\":\"" COMMIT "\",\"bytes\":5000,\"ms\":400}\n"
    "{\"event\":\"note\",\"kind\":\"symlink\",\"path\":\"a\",\"text\":\"a: leads out\"}\n"
    "{\"event\":\"note\",\"kind\":\"lfs\",\"path\":\"b\",\"text\":\"b: a pointer\"}\n"
    "{\"event\":\"context\",\"path\":\"/o\",\"bytes\":1234,\"sha256\":\"" SHA256 "\",\"files\":7,"
    "\"ms\":12,\"tree\":\"" COMMIT "\",\"subject\":\"Add VAT column\",\"author\":\"Ana\"}\n";

static void assert_context(const struct git_answers *answers)
{
    assert_int_equal(answers->state, GIT_DONE);
    assert_false(answers->waiting);
    assert_true(answers->remade);
    assert_int_equal(answers->objects, 3);
    assert_int_equal(answers->objects_total, 10);
    assert_int_equal(answers->received_bytes, 77);
    assert_string_equal(answers->commit, COMMIT);
    assert_int_equal(answers->fetched_bytes, 5000);
    assert_int_equal(answers->fetch_ms, 400);
    assert_int_equal(answers->context_bytes, 1234);
    assert_int_equal(answers->context_ms, 12);
    assert_int_equal(answers->files, 7);
    assert_string_equal(answers->context_sha256, SHA256);
    assert_string_equal(answers->tree, COMMIT);
    assert_string_equal(answers->subject, "Add VAT column");
    assert_string_equal(answers->author, "Ana");
    assert_string_equal(buffer_text(&answers->notes), "a: leads out\nb: a pointer\n");
}

static void a_context_in_pieces_of_any_size(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < sizeof CONTEXT_LINES; piece += 7) {
        struct git_answers answers;
        git_answers_init(&answers);
        for (size_t at = 0; at < strlen(CONTEXT_LINES); at += piece) {
            assert_int_equal(answers.state, GIT_RUNNING);
            size_t left = strlen(CONTEXT_LINES) - at;
            git_answers_feed(&answers, CONTEXT_LINES + at, left < piece ? left : piece);
        }
        git_answers_end(&answers, 0, NULL);
        assert_context(&answers);
        git_answers_finish(&answers);
    }
}

static void nothing_changed(void **state)
{
    (void)state;
    static const char line[] = "{\"event\":\"unchanged\",\"since\":\"" COMMIT
                               "\",\"subject\":\"Say more\",\"author\":\"Ana\"}\n";
    struct git_answers answers;
    git_answers_init(&answers);
    feed(&answers, line);
    git_answers_end(&answers, 0, NULL);
    assert_int_equal(answers.state, GIT_DONE);
    assert_true(answers.unchanged);
    assert_string_equal(answers.since, COMMIT);
    assert_string_equal(answers.subject, "Say more");
    git_answers_finish(&answers);

    git_answers_init(&answers);
    feed(&answers, "{\"event\":\"unchanged\",\"subject\":\"Say more\",\"author\":\"Ana\"}\n");
    assert_int_equal(answers.state, GIT_FAILED);
    assert_false(answers.unchanged);
    git_answers_finish(&answers);
}

static void a_head(void **state)
{
    (void)state;
    struct git_answers answers;
    git_answers_init(&answers);
    feed(&answers, "{\"event\":\"head\",\"commit\":\"" COMMIT "\",\"ms\":4}\n");
    git_answers_end(&answers, 0, NULL);
    assert_int_equal(answers.state, GIT_DONE);
    assert_string_equal(answers.commit, COMMIT);
    assert_int_equal(answers.fetch_ms, 4);
    feed(&answers, "{\"event\":\"error\",\"code\":\"io\",\"text\":\"too late\"}\n");
    assert_int_equal(answers.state, GIT_DONE);
    git_answers_finish(&answers);
}

static void errors_have_code_and_reason(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        enum error_code code;
        const char *reason;
        bool refused;
    } cases[] = {
        {GIT_ERROR_WORD_BRANCH, ERR_NOT_FOUND, "branch-missing", true},
        {GIT_ERROR_WORD_NOT_FOUND, ERR_NOT_FOUND, "repository-missing", true},
        {GIT_ERROR_WORD_UNAUTHORIZED, ERR_UNAUTHORIZED, "repository-login", true},
        {GIT_ERROR_WORD_HOST_KEY, ERR_FORBIDDEN, "repository-host-key", true},
        {GIT_ERROR_WORD_PROXY, ERR_UNAUTHORIZED, "repository-proxy", true},
        {GIT_ERROR_WORD_REDIRECT, ERR_INVALID, "repository-redirect", true},
        {GIT_ERROR_WORD_TIMEOUT, ERR_TIMEOUT, "repository-timeout", false},
        {GIT_ERROR_WORD_SUPERSEDED, ERR_CONFLICT, "superseded", false},
        {GIT_ERROR_WORD_DOCKERFILE, ERR_NOT_FOUND, "dockerfile-missing", false},
        {GIT_ERROR_WORD_CONTEXT_SIZE, ERR_TOO_LARGE, "context-too-large", false},
        {GIT_ERROR_WORD_IO, ERR_IO, "fetch-failed", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct git_answers answers;
        git_answers_init(&answers);
        char *line = xasprintf("{\"event\":\"error\",\"code\":\"%s\",\"text\":\"because\"}\n",
                               cases[i].word);
        feed(&answers, line);
        free(line);
        git_answers_end(&answers, 1, NULL);
        assert_int_equal(answers.state, GIT_FAILED);
        assert_int_equal(answers.error.code, cases[i].code);
        assert_string_equal(answers.error.text, "because");
        assert_string_equal(answers.reason, cases[i].reason);
        assert_int_equal(answers.refused, cases[i].refused);
        git_answers_finish(&answers);
    }
}

static void malformed_answers_fail(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "\n",
        "hello\n",
        "[]\n",
        "{}\n",
        "{\"event\":\"dance\"}\n",
        "{\"event\":\"head\"}\n",
        "{\"event\":\"head\",\"commit\":\"main\",\"ms\":1}\n",
        "{\"event\":\"head\",\"commit\":\"" COMMIT "\"}\n",
        "{\"event\":\"head\",\"commit\":\"" COMMIT "\",\"ms\":-1}\n",
        "{\"event\":\"error\",\"code\":\"odd\",\"text\":\"x\"}\n",
        "{\"event\":\"error\",\"code\":\"io\"}\n",
        "{\"event\":\"context\",\"bytes\":1}\n",
        "{\"event\":\"fetched\",\"commit\":\"" SHA256 "0\",\"bytes\":1,\"ms\":1}\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct git_answers answers;
        git_answers_init(&answers);
        feed(&answers, lines[i]);
        assert_int_equal(answers.state, GIT_FAILED);
        assert_int_equal(answers.error.code, ERR_PROTOCOL);
        assert_string_equal(answers.reason, "fetch-failed");
        git_answers_finish(&answers);
    }
    struct git_answers answers;
    git_answers_init(&answers);
    char long_line[GIT_ANSWER_LINE_MAX + 1];
    memset(long_line, 'x', sizeof long_line);
    git_answers_feed(&answers, long_line, sizeof long_line);
    assert_int_equal(answers.state, GIT_FAILED);
    git_answers_finish(&answers);
}

static void an_end_without_an_answer(void **state)
{
    (void)state;
    struct error late = {ERR_TIMEOUT, "killed after 60 s"}, broken = {ERR_IO, "no such program"};
    static const struct {
        const char *said;
        int status;
        int not_run; // 0: it ran, 1: late, 2: broken
        enum error_code code;
        const char *reason;
        const char *text;
    } cases[] = {
        {"", 0, 0, ERR_IO, "fetch-failed", "status 0 and no answer"},
        {"", 3, 0, ERR_IO, "fetch-failed", "status 3"},
        {"", 128 + SIGBUS, 0, ERR_IO, "fetch-failed", "is the disk full"},
        {"", 128 + SIGKILL, 0, ERR_IO, "fetch-failed", "signal 9"},
        {"", 128 + SIGALRM, 0, ERR_TIMEOUT, "repository-timeout", "in time"},
        {"", 0, 1, ERR_TIMEOUT, "repository-timeout", "killed after 60 s"},
        {"", 0, 2, ERR_IO, "fetch-failed", "no such program"},
        {"{\"event\":\"head\",\"commit\":\"" COMMIT "\",\"ms\":4}\n", 1, 0, ERR_IO, "fetch-failed",
         "status 1"},
        {"{\"event\":\"head\",\"commit\":\"" COMMIT "\",\"ms\":4}", 0, 0, ERR_IO, "fetch-failed",
         "no answer"},
        {"{\"event\":\"error\",\"code\":\"not-found\",\"text\":\"gone\"}\n", 0, 1, ERR_NOT_FOUND,
         "repository-missing", "gone"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct git_answers answers;
        git_answers_init(&answers);
        feed(&answers, cases[i].said);
        git_answers_end(&answers, cases[i].status,
                        cases[i].not_run == 1   ? &late
                        : cases[i].not_run == 2 ? &broken
                                                : NULL);
        assert_int_equal(answers.state, GIT_FAILED);
        assert_int_equal(answers.error.code, cases[i].code);
        assert_string_equal(answers.reason, cases[i].reason);
        if (!strstr(answers.error.text, cases[i].text))
            fail_msg("%s", answers.error.text);
        git_answers_finish(&answers);
    }
}

static void texts_are_cut_and_made_printable(void **state)
{
    (void)state;
    struct git_answers answers;
    git_answers_init(&answers);
    char subject[600];
    memset(subject, 'x', sizeof subject);
    memcpy(subject, "\\u001b[31m\\n", 12);
    subject[sizeof subject - 1] = '\0';
    char *line = xasprintf("{\"event\":\"context\",\"path\":\"/o\",\"bytes\":1,\"sha256\":\"" SHA256
                           "\",\"files\":1,\"ms\":1,\"tree\":\"" COMMIT
                           "\",\"subject\":\"%s\",\"author\":\"A\\u202eb\"}\n",
                           subject);
    feed(&answers, line);
    free(line);
    assert_int_equal(answers.state, GIT_DONE);
    assert_int_equal(strncmp(answers.subject, " [31m ", 6), 0);
    assert_int_equal(strlen(answers.subject), GIT_SUBJECT_SIZE - 1);
    assert_string_equal(answers.author, "A b");
    git_answers_finish(&answers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_whole),
        cmocka_unit_test(each_url_has_its_mirror),
        cmocka_unit_test(a_context_in_pieces_of_any_size),
        cmocka_unit_test(nothing_changed),
        cmocka_unit_test(a_head),
        cmocka_unit_test(errors_have_code_and_reason),
        cmocka_unit_test(malformed_answers_fail),
        cmocka_unit_test(an_end_without_an_answer),
        cmocka_unit_test(texts_are_cut_and_made_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
