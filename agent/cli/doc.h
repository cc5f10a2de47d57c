// What the program says about itself, all from the table of commands.
#ifndef CRONWRIGHT_CLI_DOC_H
#define CRONWRIGHT_CLI_DOC_H

#include "agent/cli/command.h"

#include <stdio.h>

void doc_help(FILE *out);                                   // cronwright --help
void doc_command(const struct command *command, FILE *out); // cronwright COMMAND --help
void doc_man(FILE *out);                                    // cronwright(1), in roff

#endif
