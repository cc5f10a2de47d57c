// A service's document made from options.
#ifndef CRONWRIGHT_CLI_DRAFT_H
#define CRONWRIGHT_CLI_DRAFT_H

#include "agent/base/json.h"
#include "agent/cli/command.h"

// From all options that were given, and what follows "--". ERR_INVALID for what is not NAME=VALUE.
bool draft_make(const struct call *call, json_t **out, struct error *err) MUST_CHECK;

// The option that sets the value at a JSON Pointer of such a document, "schedule"; NULL when none
// does.
const char *draft_option(const char *pointer);

// NAME=VALUE as {name: value} into `out`; ERR_INVALID when it is not that.
bool assignment_add(const char *option, const char *text, json_t *out,
                    struct error *err) MUST_CHECK;

#endif
