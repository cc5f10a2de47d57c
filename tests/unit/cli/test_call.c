#include "agent/cli/command.h"

#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WORDS_MAX 16

// Splits at spaces and parses; the words live until the next call.
static bool parse(const char *line, struct call *call, struct error *err)
{
    static char words[256];
    static char *argv[WORDS_MAX + 1];
    int argc = 0;
    assert_true(strlen(line) < sizeof(words));
    strcpy(words, line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        assert_true(argc < WORDS_MAX);
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    const struct command *command = command_find(argv[0]);
    assert_non_null(command);
    return call_parse(command, argc, argv, call, err);
}

static void takes_options_and_operands_in_any_order(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "run --follow --if-active=replace -n reports nightly",
        "run nightly -f -nreports --if-active replace",
        "run -fn reports --if-active replace nightly --",
        "run --fol --if replace --names reports nightly", // GNU's abbreviations
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct call call;
        struct error err;
        assert_true(parse(lines[i], &call, &err));
        assert_true(call_has(&call, OPTION_FOLLOW));
        assert_string_equal(call.text[OPTION_IF_ACTIVE], "replace");
        assert_int_equal(call.number[OPTION_IF_ACTIVE], 2);
        assert_string_equal(call.text[OPTION_NAMESPACE], "reports");
        assert_int_equal(call.operand_count, 1);
        assert_string_equal(call.operands[0], "nightly");
        assert_false(call_has(&call, OPTION_OUTPUT));
        assert_int_equal(optind, 0); // the next parser starts anew
    }
}

static void operands_may_follow_two_dashes(void **state)
{
    (void)state;
    struct call call;
    struct error err;
    assert_true(parse("cancel -- a/b -x", &call, &err));
    assert_int_equal(call.operand_count, 2);
    assert_string_equal(call.operands[0], "a/b");
    assert_string_equal(call.operands[1], "-x");
    assert_int_equal(call.rest_count, 0);
    assert_false(parse("cancel a/b -- c d", &call, &err));
    assert_string_equal(err.text, "\"d\" is one argument too many");
}

static void the_rest_is_kept_as_it_is(void **state)
{
    (void)state;
    struct call call;
    struct error err;
    assert_true(parse("run a/b -f -- --all -n x -- y", &call, &err));
    assert_int_equal(call.operand_count, 1);
    assert_true(call_has(&call, OPTION_FOLLOW));
    assert_false(call_has(&call, OPTION_NAMESPACE));
    static const char *const words[] = {"--all", "-n", "x", "--", "y"};
    assert_int_equal(call.rest_count, 5);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(call.rest[i], words[i]);
    assert_false(parse("run -- a/b", &call, &err)); // what is to be run stands before
    assert_string_equal(err.text, "wants SERVICE");
    assert_true(parse("run a/b --", &call, &err));
    assert_int_equal(call.rest_count, 0);
}

static void lists_keep_all_their_values(void **state)
{
    (void)state;
    struct call call;
    struct error err;
    assert_true(parse("create --env A=1 a/b --path x --env=B=-- --path y", &call, &err));
    static const struct listed given[] = {
        {OPTION_ENV, "A=1"}, {OPTION_PATH, "x"}, {OPTION_ENV, "B=--"}, {OPTION_PATH, "y"}};
    assert_int_equal(call.listed_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(call.listed[i].option, given[i].option);
        assert_string_equal(call.listed[i].text, given[i].text);
    }
    assert_true(call_has(&call, OPTION_ENV));
    assert_false(parse("create a/b --env=", &call, &err));
}

static void lists_have_an_end(void **state)
{
    (void)state;
    static char create[] = "create", option[] = "--env", value[] = "A=1";
    static char *argv[2 * LISTED_MAX + 4] = {create};
    const struct command *command = command_find("create");
    struct call call;
    struct error err;
    for (size_t i = 0; i <= LISTED_MAX; i++) {
        argv[2 * i + 1] = option;
        argv[2 * i + 2] = value;
    }
    assert_true(call_parse(command, 2 * LISTED_MAX + 1, argv, &call, &err));
    assert_int_equal(call.listed_count, LISTED_MAX);
    assert_false(call_parse(command, 2 * LISTED_MAX + 3, argv, &call, &err));
    assert_non_null(strstr(err.text, "more than 256 values"));
}

static void numbers_have_bounds(void **state)
{
    (void)state;
    struct call call;
    struct error err;
    assert_true(parse("runs --limit 500 a/b", &call, &err));
    assert_int_equal(call.number[OPTION_LIMIT], 500);
    static const char *const wrong[] = {"runs --limit 0 a/b", "runs --limit 501 a/b",
                                        "runs --limit -1 a/b", "runs --limit 1x a/b",
                                        "runs --limit 99999999999999999999 a/b"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(parse(wrong[i], &call, &err));
        assert_int_equal(err.code, ERR_INVALID);
        assert_non_null(strstr(err.text, "from 1 to 500"));
    }
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *text;
    } cases[] = {
        {"run --folow a/b", "unknown option \"--folow\"; did you mean \"--follow\"?"},
        {"run a/b --folow=x", "unknown option \"--folow\"; did you mean \"--follow\"?"},
        {"run a/b --zzzzzzzzz", "unknown option \"--zzzzzzzzz\""},
        {"run -fx a/b", "unknown option \"-x\""},
        {"run --follow=yes a/b", "--follow takes no value"},
        {"run a/b --if-active", "--if-active needs a value: --if-active WHAT"},
        {"run a/b -n", "--namespace needs a value: --namespace NAMESPACE"},
        {"run --if-active= a/b", "--if-active: WHAT must not be empty"},
        {"run a/b b", "\"b\" is one argument too many"},
        {"show", "wants SERVICE"},
        {"run -o xml a/b", "--output: \"xml\" is none of table, wide, json, yaml, name"},
        {"run --i a/b", "unknown option \"--i\""}, // --if-active or --idempotency-key
        {"runs --follow a/b", "unknown option \"--follow\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct call call;
        struct error err;
        assert_false(parse(cases[i].line, &call, &err));
        assert_int_equal(err.code, ERR_INVALID);
        assert_string_equal(err.text, cases[i].text);
    }
}

static void help_goes_before_all_else(void **state)
{
    (void)state;
    struct call call;
    struct error err;
    assert_true(parse("run --help --whatever", &call, &err));
    assert_true(call_has(&call, OPTION_HELP));
    assert_true(parse("run -h", &call, &err));
}

static void knows_near_commands(void **state)
{
    (void)state;
    assert_string_equal(command_nearest("servces")->name, "services");
    assert_string_equal(command_nearest("delivries")->name, "deliveries");
    assert_null(command_nearest("zzzzzz"));
    assert_null(command_find("run "));
}

struct seen {
    unsigned char letters[256];
    const char *names[64];
    size_t count;
};

static void see(void *user, const struct option_row *row)
{
    struct seen *seen = user;
    assert_true(row->id < OPTION_COUNT);
    if (row->letter != 0)
        assert_int_equal(seen->letters[(unsigned char)row->letter]++, 0);
    for (size_t i = 0; i < seen->count; i++)
        assert_string_not_equal(seen->names[i], row->name);
    seen->names[seen->count++] = row->name;
    assert_true((row->kind == OPTION_FLAG) == (row->argument == NULL));
    assert_true((row->kind == OPTION_CHOICE) == (row->choices != NULL));
    assert_true(row->kind != OPTION_NUMBER || row->min < row->max);
}

static void the_table_agrees_with_itself(void **state)
{
    (void)state;
    for (const struct command *command = commands; command->name != NULL; command++) {
        struct seen seen = {.count = 0};
        command_options(command, see, &seen);
        assert_true(command->least <= command->most && command->most <= OPERANDS_MAX);
        assert_true((command->most == 0) == (command->operands[0] == '\0'));
        assert_ptr_equal(command_find(command->name), command);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_options_and_operands_in_any_order),
        cmocka_unit_test(operands_may_follow_two_dashes),
        cmocka_unit_test(the_rest_is_kept_as_it_is),
        cmocka_unit_test(lists_keep_all_their_values),
        cmocka_unit_test(lists_have_an_end),
        cmocka_unit_test(numbers_have_bounds),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(help_goes_before_all_else),
        cmocka_unit_test(knows_near_commands),
        cmocka_unit_test(the_table_agrees_with_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
