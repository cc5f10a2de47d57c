#include "agent/cli/draft.h"
#include "agent/cli/service_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WORDS_MAX 64

// Ended by NULL. The draft as JSON text, or NULL and the error.
static char *draft(struct error *err, char **words)
{
    static struct call call; // its texts live until the next one
    int argc = 0;
    while (words[argc] != NULL)
        argc++;
    CLEANUP(json_ptr) json_t *json = NULL;
    assert_true(call_parse(command_find(words[0]), argc, words, &call, err));
    return draft_make(&call, &json, err) ? json_write(json) : NULL;
}
#define DRAFT(err, ...) draft(err, (char *[]){"create", "a/b", __VA_ARGS__, NULL})

static void assert_draft(const char *expected, char *text)
{
    assert_non_null(text);
    CLEANUP(json_ptr) json_t *one = NULL;
    CLEANUP(json_ptr) json_t *other = NULL;
    assert_true(json_read(expected, strlen(expected), 4096, &one, NULL));
    assert_true(json_read(text, strlen(text), 4096, &other, NULL));
    if (!json_equal(one, other))
        assert_string_equal(text, expected);
    free(text);
}

static void options_become_settings(void **state)
{
    (void)state;
    struct error err;
    assert_draft(
        "{\"source\":{\"image\":\"r/x:1\"},\"schedule\":\"0 3 * * *\",\"timeZone\":\"UTC\"}",
        DRAFT(&err, "--image", "r/x:1", "--schedule", "0 3 * * *", "--time-zone", "UTC"));
    assert_draft("{\"source\":{\"git\":{\"repository\":\"https://h/x\",\"branch\":\"b\",\"paths\":"
                 "[\"x/**\",\"y\"],\"buildArgs\":{\"A\":\"1\",\"B\":\"x=y\"}}},\"image\":\"r/x\"}",
                 DRAFT(&err, "--repository", "https://h/x", "--branch", "b", "--image", "r/x",
                       "--path", "x/**", "--path", "y", "--build-arg", "A=1", "--build-arg",
                       "B=x=y"));
    assert_draft("{\"restarts\":0,\"maxDurationSeconds\":600,\"history\":{\"failed\":2,"
                 "\"succeeded\":0},\"concurrency\":\"Replace\",\"startingDeadlineSeconds\":20,"
                 "\"missed\":\"run\",\"firstRun\":\"onImage\",\"restartPolicy\":\"OnFailure\"}",
                 DRAFT(&err, "--restarts", "0", "--max-duration", "600", "--failed-history", "2",
                       "--succeeded-history", "0", "--concurrency", "Replace",
                       "--starting-deadline", "20", "--missed", "run", "--first-run", "onImage",
                       "--restart-policy", "OnFailure"));
    assert_draft("{\"resources\":{\"requests\":{\"cpu\":\"100m\",\"memory\":\"64Mi\"},\"limits\":"
                 "{\"cpu\":\"1\",\"memory\":\"1Gi\"}},\"serviceAccount\":\"s\",\"container\":"
                 "{\"name\":\"c\",\"pullSecret\":\"p\",\"workingDir\":\"/w\"},\"project\":\"q\"}",
                 DRAFT(&err, "--request-cpu", "100m", "--request-memory", "64Mi", "--limit-cpu",
                       "1", "--limit-memory", "1Gi", "--service-account", "s", "--pull-secret", "p",
                       "--container", "c", "--working-dir", "/w", "--project", "q"));
}

static void variables_keep_their_order_and_values(void **state)
{
    (void)state;
    struct error err;
    assert_draft("{\"env\":[{\"name\":\"B\",\"value\":\"\"},{\"name\":\"A\",\"value\":\"x=y z\"}]}",
                 DRAFT(&err, "--env", "B=", "--env", "A=x=y z"));
    static char *const wrong[] = {"A", "=1", "A\xff=1", "A=\xff"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_null(DRAFT(&err, "--env", wrong[i]));
        assert_int_equal(err.code, ERR_INVALID);
    }
    assert_null(DRAFT(&err, "--env", "A=1", "--env", "A=2"));
    assert_string_equal(err.text, "--env: A is given twice");
}

static void the_rest_is_arguments_or_the_command(void **state)
{
    (void)state;
    struct error err;
    assert_draft("{\"container\":{\"args\":[\"-x\",\"y\"]}}", DRAFT(&err, "--", "-x", "y"));
    assert_draft("{\"container\":{\"command\":[\"sh\"],\"name\":\"c\"}}",
                 DRAFT(&err, "--command", "--container", "c", "--", "sh"));
}

static void pointers_lead_back_to_options(void **state)
{
    (void)state;
    static const struct {
        const char *pointer;
        const char *option;
    } cases[] = {{"/schedule", "schedule"},
                 {"/source/image", "image"},
                 {"/image", "image"},
                 {"/source/git/repository", "repository"},
                 {"/source/git/buildArgs/1A", "build-arg"},
                 {"/env/0/name", "env"},
                 {"/resources/limits/memory", "limit-memory"},
                 {"/history/failed", "failed-history"},
                 {"/container", "container"},
                 {"/container/args/0", NULL},
                 {"/scheduled", NULL},
                 {"/source", NULL},
                 {"", NULL}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *option = draft_option(cases[i].pointer);
        if (cases[i].option == NULL)
            assert_null(option);
        else
            assert_string_equal(option, cases[i].option);
    }
}

static void pointers_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *pointer;
        const char *text;
        const char *value; // as JSON; NULL: nothing there
    } cases[] = {{"/env/1/name", "env[1].name", "\"B\""},
                 {"/env/2/name", "env[2].name", NULL},
                 {"/labels/a~1b~0c", "labels.a/b~c", "1"},
                 {"/labels", "labels", "{\"a/b~c\":1}"},
                 {"", "", "{\"env\":[{},{\"name\":\"B\"}],\"labels\":{\"a/b~c\":1}}"},
                 {"/schedule/x", "schedule.x", NULL}};
    CLEANUP(json_ptr)
    json_t *root = json_pack("{s:[{},{s:s}], s:{s:i}}", "env", "name", "B", "labels", "a/b~c", 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CLEANUP(free_ptr) char *text = pointer_text(cases[i].pointer);
        const json_t *value = pointer_get(root, cases[i].pointer);
        CLEANUP(free_ptr) char *written = value ? json_write(value) : NULL;
        assert_string_equal(text, cases[i].text);
        assert_true((written == NULL) == (cases[i].value == NULL));
        if (written != NULL)
            assert_string_equal(written, cases[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_become_settings),
        cmocka_unit_test(variables_keep_their_order_and_values),
        cmocka_unit_test(the_rest_is_arguments_or_the_command),
        cmocka_unit_test(pointers_lead_back_to_options),
        cmocka_unit_test(pointers_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
