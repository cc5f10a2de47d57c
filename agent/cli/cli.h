// The command line: one table of commands and options (commands.c) drives parsing, --help and the
// manual page.
#ifndef CRONWRIGHT_CLI_CLI_H
#define CRONWRIGHT_CLI_CLI_H

// A command that is a program of its own, such as the daemon. It gets the arguments from its name
// on, as main() does, after they were checked against the table.
struct cli_program {
    const char *name;
    int (*main)(int argc, char **argv);
};

// Runs one command line; `programs` is ended by a NULL name. Returns the exit status. Call it once,
// from main, before threads.
int cli_main(int argc, char **argv, const struct cli_program programs[]);

#endif
