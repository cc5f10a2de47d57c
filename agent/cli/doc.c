#include "agent/cli/doc.h"

#include "agent/cli/fields.h"
#include "agent/config.h"

#include <string.h>

#define LINE_WIDTH   80
#define OPTION_WIDTH 26 // options are explained from this column on

static const char about[] = "cronwright turns a signed Git push into a new image in a Kubernetes "
                            "CronJob, and runs, follows "
                            "and explains the jobs.";

struct fact {
    const char *name;
    const char *text;
};

static const struct fact environment[] = {
    {"CRONWRIGHT_URL", "The agent's admin address; --url goes before it."},
    {"CRONWRIGHT_TOKEN_FILE", "File with the token to show; --token-file goes before it."},
    {"VISUAL, EDITOR", "The editor of cronwright edit; the first that is set."},
    {"NO_COLOR", "If it is set and not empty, there is no colour on a terminal either."},
    {"TZ", "The time zone of the times in tables."},
    {NULL, NULL},
};

static const struct fact statuses[] = {
    {"0", "It is done."},
    {"1", "It failed."},
    {"2", "The command line is wrong."},
    {"124", "run --follow: the run met its deadline."},
    {"125", "run --follow: the run never started, or its outcome is not known."},
    {"130", "Ctrl-C. What was followed goes on."},
    {"other", "run --follow: as the run's container exited."},
    {NULL, NULL},
};

// --- help ---

void doc_wrap(FILE *out, const char *text, int at, int indent, const char *lead)
{
    bool begun = at > indent; // whether the line has words
    while (*text != '\0') {
        int len = (int)strcspn(text, " \n");
        if (begun && at + 1 + len > LINE_WIDTH) {
            (void)fputc('\n', out);
            at = 0;
            begun = false;
        }
        if (len > 0) {
            if (begun)
                at += fprintf(out, " ");
            else
                at += fprintf(out, "%*s%s", at < indent ? indent - at : 0, "", lead);
            at += fprintf(out, "%.*s", len, text);
            begun = true;
        }
        text += len;
        if (*text == '\n') {
            (void)fputc('\n', out);
            at = 0;
            begun = false;
        }
        text += *text != '\0';
    }
    if (begun)
        (void)fputc('\n', out);
}

static void help_row(FILE *out, const char *left, const char *text)
{
    int at = fprintf(out, "  %s", left);
    if (at + 2 > OPTION_WIDTH) {
        (void)fputc('\n', out);
        at = 0;
    }
    at += fprintf(out, "%*s", OPTION_WIDTH - at, "");
    doc_wrap(out, text, at, OPTION_WIDTH, "");
}

static void help_option(void *user, const struct option_row *option)
{
    char left[64];
    (void)snprintf(left, sizeof(left), "%c%c%c --%s%s%s", option->letter ? '-' : ' ',
                   option->letter ? option->letter : ' ', option->letter ? ',' : ' ', option->name,
                   option->argument ? " " : "", option->argument ? option->argument : "");
    help_row(user, left, option->help);
}

static void help_facts(FILE *out, const char *title, const struct fact facts[])
{
    (void)fprintf(out, "\n%s:\n", title);
    for (; facts->name != NULL; facts++)
        help_row(out, facts->name, facts->text);
}

void doc_help(FILE *out)
{
    doc_wrap(out, about, 0, 0, "");
    (void)fprintf(out, "\nUsage: cronwright COMMAND [OPTION...] [ARGUMENT...]\n\nCommands:\n");
    for (const struct command *command = commands; command->name != NULL; command++)
        if (!command->internal)
            (void)fprintf(out, "  %-12s%s\n", command->name, command->summary);
    help_facts(out, "Environment", environment);
    help_facts(out, "Exit status", statuses);
    (void)fprintf(out,
                  "\ncronwright COMMAND --help says more; cronwright --version, which one this "
                  "is.\n");
}

void doc_command(const struct command *command, FILE *out)
{
    (void)fprintf(out, "%s.\n\nUsage: cronwright %s [OPTION...]%s%s%s%s%s\n", command->summary,
                  command->name, command->operands[0] ? " " : "", command->operands,
                  command->rest ? " [-- " : "", command->rest ? command->rest : "",
                  command->rest ? "]" : "");
    if (command->text[0] != '\0')
        (void)fputc('\n', out);
    doc_wrap(out, command->text, 0, 0, "");
    (void)fprintf(out, "\nOptions:\n");
    command_options(command, help_option, out);
    if (command->examples != NULL)
        (void)fprintf(out, "\nExamples:\n");
    for (size_t i = 0; command->examples != NULL && command->examples[i] != NULL; i++)
        (void)fprintf(out, "  %s\n", command->examples[i]);
    if (strcmp(command->name, "agent") == 0) {
        (void)fprintf(out, "\nSettings:\n");
        config_doc_help(out);
    }
}

// --- the manual page ---

void doc_roff(FILE *out, const char *text)
{
    bool line_start = true;
    for (; *text != '\0'; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            (void)fputs("\\&", out);
        if (*text == '-' || *text == '\\')
            (void)fputs(*text == '-' ? "\\-" : "\\e", out);
        else
            (void)fputc(*text, out);
        line_start = *text == '\n';
    }
}

static void man_option(void *user, const struct option_row *option)
{
    FILE *out = user;
    (void)fputs(".TP\n\\fB", out);
    if (option->letter != 0)
        (void)fprintf(out, "\\-%c\\fR, \\fB", option->letter);
    (void)fputs("\\-\\-", out);
    doc_roff(out, option->name);
    (void)fputs("\\fR", out);
    if (option->argument != NULL)
        (void)fprintf(out, " \\fI%s\\fR", option->argument);
    (void)fputc('\n', out);
    doc_roff(out, option->help);
    (void)fputc('\n', out);
}

static void man_command(FILE *out, const struct command *command)
{
    (void)fprintf(out, ".SS cronwright %s [\\fIOPTION\\fR...] %s%s%s%s\n", command->name,
                  command->operands, command->rest ? " [\\-\\- " : "",
                  command->rest ? command->rest : "", command->rest ? "]" : "");
    doc_roff(out, command->summary);
    (void)fputs(".\n", out);
    for (const char *text = command->text; *text != '\0';) {
        size_t len = strcspn(text, "\n");
        char paragraph[1024];
        (void)snprintf(paragraph, sizeof(paragraph), "%.*s", (int)len, text);
        (void)fputs(".PP\n", out);
        doc_roff(out, paragraph);
        (void)fputc('\n', out);
        text += len + (text[len] == '\n');
    }
    command_options(command, man_option, out);
    if (command->examples != NULL)
        (void)fputs(".PP\nExamples:\n.PP\n.nf\n.RS\n", out);
    for (size_t i = 0; command->examples != NULL && command->examples[i] != NULL; i++) {
        doc_roff(out, command->examples[i]);
        (void)fputc('\n', out);
    }
    if (command->examples != NULL)
        (void)fputs(".RE\n.fi\n", out);
}

static void man_facts(FILE *out, const char *title, const struct fact facts[])
{
    (void)fprintf(out, ".SH %s\n", title);
    for (; facts->name != NULL; facts++) {
        (void)fprintf(out, ".TP\n\\fB%s\\fR\n", facts->name);
        doc_roff(out, facts->text);
        (void)fputc('\n', out);
    }
}

void doc_man(FILE *out)
{
    (void)fprintf(out,
                  ".TH CRONWRIGHT 1 \"\" \"cronwright %s\"\n.SH NAME\ncronwright \\- from a Git "
                  "push to a Kubernetes CronJob\n",
                  CRONWRIGHT_VERSION);
    (void)fputs(".SH SYNOPSIS\n.B cronwright\n\\fICOMMAND\\fR [\\fIOPTION\\fR...] "
                "[\\fIARGUMENT\\fR...]\n.SH DESCRIPTION\n",
                out);
    doc_roff(out, about);
    (void)fputs("\n.SH COMMANDS\n", out);
    for (const struct command *command = commands; command->name != NULL; command++)
        man_command(out, command);
    fields_man(out);
    man_facts(out, "ENVIRONMENT", environment);
    man_facts(out, "EXIT STATUS", statuses);
    (void)fputs(".SH FILES\n.TP\n.I /etc/cronwright/cronwright.yaml\nThe agent's settings.\n"
                ".SH SEE ALSO\n.BR cronwright.yaml (5),\n.BR cronwright\\-metrics (7),\n"
                ".BR kubectl (1)\n",
                out);
}
