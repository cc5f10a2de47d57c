// What -o asks for: a table for people, or data for scripts, the same for every command.
#ifndef CRONWRIGHT_CLI_OUTPUT_H
#define CRONWRIGHT_CLI_OUTPUT_H

#include "agent/cli/session.h"

enum output {
    OUTPUT_TABLE,
    OUTPUT_WIDE, // a table with more columns
    OUTPUT_JSON,
    OUTPUT_YAML,
    OUTPUT_NAME, // only what things are called, a line each
};
extern const char *const output_words[]; // in that order, ended by NULL

enum output output_of(const struct session *session);

// How the things in an answer are called.
struct naming {
    const char *list;      // the answer's member that is a list of them; NULL: it is one itself, or
                           // a list
    const char *fields[2]; // joined by '/'; the second may be NULL
};
extern const struct naming service_naming, services_naming, run_naming, runs_naming;

// Prints an answer as json, yaml or name ask for; false, and nothing is printed, for a table.
bool output_print(const struct session *session, const json_t *answer, const struct naming *naming);

// After a command that failed: prints the problem that the agent refused it with, if that is why,
// as json and yaml ask for.
void output_refusal(const struct session *session);

// For commands whose standard output is something else: whether output_print() will print.
bool output_is_data(const struct session *session);

#endif
