// What the program says about itself, all from the table of commands.
#ifndef CRONWRIGHT_CLI_DOC_H
#define CRONWRIGHT_CLI_DOC_H

#include "agent/cli/command.h"

#include <stdio.h>

void doc_help(FILE *out);                                   // cronwright --help
void doc_command(const struct command *command, FILE *out); // cronwright COMMAND --help
void doc_man(FILE *out);                                    // cronwright(1), in roff

// Wraps `text` at spaces; the first line begins at column `at`, the others at `indent`, each with
// `lead`. A line's end in the text ends a line.
void doc_wrap(FILE *out, const char *text, int at, int indent, const char *lead);
// Text in roff: hyphens that are to be copied stay hyphens, and no line is taken for a request.
void doc_roff(FILE *out, const char *text);

#endif
