// The settings of a service, printed from their table.
#ifndef CRONWRIGHT_CLI_FIELDS_H
#define CRONWRIGHT_CLI_FIELDS_H

#include <stdio.h>

// A valid document with every setting, each explained; those that go only instead of others are
// comments.
void fields_example(FILE *out);
// Their part of cronwright(1), in roff.
void fields_man(FILE *out);

#endif
