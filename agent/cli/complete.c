// completion: a script for a shell, from the tables of commands and options. It asks cronwright
// itself for services.

#include "agent/cli/session.h"

#include <string.h>

#define SERVICES "cronwright services -o name 2>/dev/null"

// What can stand where an operand or an option's value is wanted, by how --help calls it.
enum wanted { WANTED_NOTHING, WANTED_SERVICE, WANTED_COMMAND, WANTED_SHELL, WANTED_FILE };

static enum wanted wanted_by(const char *name)
{
    static const struct {
        const char *start;
        enum wanted wanted;
    } kinds[] = {{"SERVICE", WANTED_SERVICE},
                 {"[SERVICE", WANTED_SERVICE},
                 {"[COMMAND", WANTED_COMMAND},
                 {"SHELL", WANTED_SHELL},
                 {"FILE", WANTED_FILE}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strncmp(name, kinds[i].start, strlen(kinds[i].start)) == 0)
            return kinds[i].wanted;
    }
    return WANTED_NOTHING;
}

static const char *const shell_words[] = {"bash", "zsh", "fish", NULL};

static void print_words(const char *const words[])
{
    for (size_t i = 0; words[i] != NULL; i++)
        (void)printf("%s%s", i == 0 ? "" : " ", words[i]);
}

static void print_commands(void)
{
    for (const struct command *command = commands; command->name != NULL; command++)
        if (!command->internal)
            (void)printf("%s%s", command == commands ? "" : " ", command->name);
}

// --- bash and zsh: one function of plain shell gives the words, each shell picks among them ---

static void sh_option_name(void *user, const struct option_row *row)
{
    (void)user;
    (void)printf(" --%s", row->name);
}

// What may follow an option that wants a value. A function that fails asks for files.
static void sh_option_value(void *user, const struct option_row *row)
{
    const char *command = *(const char **)user;
    if (row->argument == NULL)
        return;
    (void)printf("        %s:--%s", command, row->name);
    if (row->letter != 0)
        (void)printf("|%s:-%c", command, row->letter);
    (void)printf(") ");
    if (row->choices != NULL) {
        (void)printf("echo ");
        print_words(row->choices);
        (void)printf("; ");
    }
    (void)printf("return %d ;;\n", wanted_by(row->argument) == WANTED_FILE);
}

static void sh_operand(enum wanted wanted)
{
    if (wanted == WANTED_SERVICE) {
        (void)printf(SERVICES);
    } else if (wanted == WANTED_COMMAND || wanted == WANTED_SHELL) {
        (void)printf("echo ");
        if (wanted == WANTED_COMMAND)
            print_commands();
        else
            print_words(shell_words);
    } else {
        (void)printf(":");
    }
}

static void print_sh(void)
{
    // $1: how many words stand before; $2: the command; $3: the word before; $4: what is typed.
    (void)printf("_cronwright_words() {\n"
                 "    if [ \"$1\" -eq 1 ]; then\n        echo ");
    print_commands();
    (void)printf("\n        return 0\n    fi\n    case $2:$3 in\n");
    for (const struct command *command = commands; command->name != NULL; command++) {
        const char *name = command->name;
        command_options(command, sh_option_value, &name);
    }
    (void)printf("    esac\n    case $2:$4 in\n");
    for (const struct command *command = commands; command->name != NULL; command++) {
        (void)printf("        %s:-*) echo", command->name);
        command_options(command, sh_option_name, NULL);
        (void)printf(" ;;\n        %s:*) ", command->name);
        sh_operand(wanted_by(command->operands));
        (void)printf(" ;;\n");
    }
    (void)printf("    esac\n    return 0\n}\n");
}

static void print_bash(void)
{
    print_sh();
    (void)fputs("_cronwright() {\n"
                "    local words current=${COMP_WORDS[COMP_CWORD]}\n"
                "    if words=$(_cronwright_words \"$COMP_CWORD\" \"${COMP_WORDS[1]}\" "
                "\"${COMP_WORDS[COMP_CWORD-1]}\" \"$current\"); then\n"
                "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
                "    else\n"
                "        compopt -o filenames\n"
                "        mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
                "    fi\n"
                "}\n"
                "complete -F _cronwright cronwright\n",
                stdout);
}

static void print_zsh(void)
{
    (void)fputs("#compdef cronwright\n", stdout);
    print_sh();
    (void)fputs("_cronwright() {\n"
                "    local found\n"
                "    if found=$(_cronwright_words $((CURRENT - 1)) \"$words[2]\" "
                "\"$words[CURRENT-1]\" \"$words[CURRENT]\"); then\n"
                "        compadd -- ${=found}\n"
                "    else\n"
                "        _files\n"
                "    fi\n"
                "}\n"
                "compdef _cronwright cronwright\n",
                stdout);
}

// --- fish ---

static void fish_quoted(const char *text)
{
    (void)putchar('\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\')
            (void)putchar('\\');
        (void)putchar(*text);
    }
    (void)putchar('\'');
}

static void fish_option(void *user, const struct option_row *row)
{
    const char *command = *(const char **)user;
    (void)printf("complete -c cronwright -n '__fish_seen_subcommand_from %s' -l %s", command,
                 row->name);
    if (row->letter != 0)
        (void)printf(" -s %c", row->letter);
    if (row->argument != NULL)
        (void)printf(wanted_by(row->argument) == WANTED_FILE ? " -r -F" : " -x");
    if (row->choices != NULL) {
        (void)printf(" -a '");
        print_words(row->choices);
        (void)printf("'");
    }
    (void)printf(" -d ");
    fish_quoted(row->help);
    (void)putchar('\n');
}

static void fish_operand(const struct command *command)
{
    enum wanted wanted = wanted_by(command->operands);
    if (wanted == WANTED_NOTHING)
        return;
    (void)printf("complete -c cronwright -n '__fish_seen_subcommand_from %s' -a '", command->name);
    if (wanted == WANTED_SERVICE)
        (void)printf("(" SERVICES ")");
    else if (wanted == WANTED_COMMAND)
        print_commands();
    else
        print_words(shell_words);
    (void)printf("'\n");
}

static void print_fish(void)
{
    (void)printf("complete -c cronwright -f\n");
    for (const struct command *command = commands; command->name != NULL; command++) {
        const char *name = command->name;
        if (command->internal)
            continue;
        (void)printf("complete -c cronwright -n __fish_use_subcommand -a %s -d ", name);
        fish_quoted(command->summary);
        (void)putchar('\n');
        fish_operand(command);
        command_options(command, fish_option, &name);
    }
}

int command_completion(struct session *session)
{
    static void (*const print[])(void) = {print_bash, print_zsh, print_fish};
    const char *shell = session->call->operands[0];
    struct error err;
    for (size_t i = 0; shell_words[i] != NULL; i++) {
        if (strcmp(shell_words[i], shell) == 0) {
            print[i]();
            return STATUS_OK;
        }
    }
    (void)error_set(&err, ERR_INVALID, "\"%s\" is none of bash, zsh, fish", shell);
    return session_fail(session, &err);
}
