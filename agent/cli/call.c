// Parsing: getopt_long() fed from the table.

#include "agent/base/text.h"
#include "agent/cli/command.h"

#include <assert.h>
#include <getopt.h>
#include <inttypes.h>
#include <string.h>

#define OPTIONS_MAX 64  // of one command
#define LONG_BASE   256 // getopt values of rows start above every letter
#define OPERAND     1   // what getopt gives for one, in the order of the line

struct parser {
    const struct option_row *rows[OPTIONS_MAX];
    struct option longs[OPTIONS_MAX + 1];
    const char *names[OPTIONS_MAX + 1]; // with dashes, for "did you mean"
    char dashed[OPTIONS_MAX][32];
    char letters[2 * OPTIONS_MAX + 3];
    size_t count;
};

static void add_row(void *user, const struct option_row *row)
{
    struct parser *parser = user;
    assert(parser->count < OPTIONS_MAX && strlen(row->name) < sizeof(parser->dashed[0]) - 2);
    size_t i = parser->count++;
    parser->rows[i] = row;
    parser->longs[i] = (struct option){.name = row->name,
                                       .has_arg = row->argument ? required_argument : no_argument,
                                       .val = LONG_BASE + (int)i};
    memcpy(parser->dashed[i], "--", 2);
    (void)text_copy(parser->dashed[i] + 2, sizeof(parser->dashed[i]) - 2, row->name);
    parser->names[i] = parser->dashed[i];
    if (row->letter != 0) {
        size_t end = strlen(parser->letters);
        parser->letters[end] = row->letter;
        parser->letters[end + 1] = row->argument ? ':' : '\0';
    }
}

static const struct option_row *row_of(const struct parser *parser, int value)
{
    if (value >= LONG_BASE && (size_t)(value - LONG_BASE) < parser->count)
        return parser->rows[value - LONG_BASE];
    for (size_t i = 0; i < parser->count; i++) {
        if (value != 0 && parser->rows[i]->letter == value)
            return parser->rows[i];
    }
    return NULL;
}

static bool choice_error(const struct option_row *row, const char *text, struct error *err)
{
    char list[256] = "";
    for (size_t i = 0; row->choices[i] != NULL; i++) {
        size_t end = strlen(list);
        (void)text_copy(list + end, sizeof(list) - end, i == 0 ? "" : ", ");
        end = strlen(list);
        (void)text_copy(list + end, sizeof(list) - end, row->choices[i]);
    }
    const char *near = text_nearest(text, row->choices);
    return error_set(err, ERR_INVALID, "--%s: \"%s\" is none of %s%s%s%s", row->name, text, list,
                     near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static bool take_listed(const struct option_row *row, const char *text, struct call *call,
                        struct error *err)
{
    if (call->listed_count == LISTED_MAX)
        return error_set(err, ERR_INVALID, "--%s: more than %d values", row->name, LISTED_MAX);
    call->listed[call->listed_count++] = (struct listed){row->id, text};
    call->text[row->id] = text;
    return true;
}

static bool take_value(const struct option_row *row, const char *text, struct call *call,
                       struct error *err)
{
    if (row->kind == OPTION_FLAG) {
        call->text[row->id] = "";
        return true;
    }
    if (text[0] == '\0')
        return error_set(err, ERR_INVALID, "--%s: %s must not be empty", row->name, row->argument);
    if (row->kind == OPTION_LIST)
        return take_listed(row, text, call, err);
    if (row->kind == OPTION_NUMBER &&
        !text_to_int(text, row->min, row->max, &call->number[row->id]))
        return error_set(err, ERR_INVALID,
                         "--%s: \"%s\" is not a number from %" PRId64 " to %" PRId64, row->name,
                         text, row->min, row->max);
    if (row->kind == OPTION_CHOICE) {
        size_t i = 0;
        while (row->choices[i] != NULL && strcmp(row->choices[i], text) != 0)
            i++;
        if (row->choices[i] == NULL)
            return choice_error(row, text, err);
        call->number[row->id] = (int64_t)i;
    }
    call->text[row->id] = text;
    return true;
}

// getopt_long() returned '?' or ':'; `word` is the argument it looked at.
static bool option_error(const struct parser *parser, int result, const char *word,
                         struct error *err)
{
    const struct option_row *row = row_of(parser, optopt);
    if (result == ':')
        return error_set(err, ERR_INVALID, "--%s needs a value: --%s %s", row->name, row->name,
                         row->argument);
    if (row != NULL)
        return error_set(err, ERR_INVALID, "--%s takes no value", row->name);
    if (optopt != 0)
        return error_set(err, ERR_INVALID, "unknown option \"-%c\"", optopt);
    char name[64];
    (void)text_copy(name, sizeof(name), word);
    name[strcspn(name, "=")] = '\0';
    const char *near = text_nearest(name, parser->names);
    return error_set(err, ERR_INVALID, "unknown option \"%s\"%s%s%s", name,
                     near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

// One too many is an error only when no help is asked for.
static void take_operand(const char *word, struct call *call, const char **extra)
{
    assert(call->command->most <= OPERANDS_MAX);
    if (call->operand_count < call->command->most)
        call->operands[call->operand_count++] = word;
    else if (*extra == NULL)
        *extra = word;
}

// What stands after "--": operands, unless the command gives it a meaning of its own.
static bool take_rest(int argc, char **argv, struct call *call, const char *extra,
                      struct error *err)
{
    if (call->command->rest != NULL) {
        call->rest = (const char *const *)argv + optind;
        call->rest_count = (size_t)(argc - optind);
        optind = argc;
    }
    while (optind < argc)
        take_operand(argv[optind++], call, &extra);
    if (extra != NULL)
        return error_set(err, ERR_INVALID, "\"%s\" is one argument too many", extra);
    if (call->operand_count < call->command->least)
        return error_set(err, ERR_INVALID, "wants %s", call->command->operands);
    return true;
}

bool call_parse(const struct command *command, int argc, char **argv, struct call *out,
                struct error *err)
{
    struct parser parser = {.letters = "-:"}; // operands in the order of the line; no messages
    command_options(command, add_row, &parser);
    struct call call = {.command = command};
    const char *extra = NULL;
    opterr = 0;
    optind = 0; // glibc: start anew
    for (;;) {
        int before = optind;
        int result = getopt_long(argc, argv, parser.letters, parser.longs, NULL);
        if (result == -1)
            break;
        if (result == '?' || result == ':') {
            int at = optind > before && optind > 1 ? optind - 1 : optind;
            return option_error(&parser, result, argv[at], err);
        }
        const struct option_row *row = result == OPERAND ? NULL : row_of(&parser, result);
        if (row == NULL)
            take_operand(optarg, &call, &extra);
        else if (!take_value(row, optarg, &call, err))
            return false;
        else if (row->id == OPTION_HELP)
            break;
    }
    if (!call_has(&call, OPTION_HELP) && !take_rest(argc, argv, &call, extra, err))
        return false;
    *out = call;
    optind = 0; // for a program that parses its arguments itself
    return true;
}
