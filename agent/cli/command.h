// Commands and their options as data, and one parsed command line.
#ifndef CRONWRIGHT_CLI_COMMAND_H
#define CRONWRIGHT_CLI_COMMAND_H

#include "agent/base/error.h"

#include <stddef.h>
#include <stdint.h>

// What the command line promises to scripts; `run --follow` else exits as the container did.
enum exit_status {
    STATUS_OK = 0,
    STATUS_FAILED = 1,
    STATUS_USAGE = 2,
    STATUS_DEADLINE = 124,    // the run met its deadline
    STATUS_UNKNOWN = 125,     // the run never started, or its outcome is not known
    STATUS_INTERRUPTED = 130, // Ctrl-C
    STATUS_PIPE = 141,        // nobody reads our output any more
};

enum option_id {
    OPTION_HELP,
    OPTION_URL,
    OPTION_TOKEN_FILE,
    OPTION_OUTPUT,
    OPTION_NO_HEADERS,
    OPTION_NAMESPACE,
    OPTION_CONFIG,
    OPTION_CHECK,
    OPTION_PROJECT,
    OPTION_FOLLOW,
    OPTION_IF_ACTIVE,
    OPTION_IDEMPOTENCY_KEY,
    OPTION_LIMIT,
    OPTION_BEFORE,
    OPTION_REPOSITORY,
    OPTION_BRANCH,
    OPTION_REASON,
    OPTION_FAILED,
    OPTION_RUN,
    OPTION_ATTEMPT,
    OPTION_TIMESTAMPS,
    OPTION_TAIL,
    OPTION_SINCE,
    OPTION_PREVIOUS,
    OPTION_CONTAINER,
    OPTION_SEARCH,
    OPTION_IGNORE_CASE,
    OPTION_RAW,
    OPTION_BUILD,
    OPTION_SCHEME,
    OPTION_SECRET_FILE,
    OPTION_UNSIGNED,
    OPTION_EVENT,
    OPTION_TAG,
    OPTION_COMMIT,
    OPTION_DELIVERY,
    OPTION_PRINT,
    OPTION_YES,
    OPTION_FILE,
    OPTION_EXAMPLE,
    OPTION_DRY_RUN,
    OPTION_IMAGE,
    OPTION_DOCKERFILE,
    OPTION_CONTEXT,
    OPTION_TARGET,
    OPTION_BUILD_ARG,
    OPTION_PATH,
    OPTION_COMMAND,
    OPTION_ENV,
    OPTION_SCHEDULE,
    OPTION_TIME_ZONE,
    OPTION_RESTARTS,
    OPTION_MAX_DURATION,
    OPTION_CONCURRENCY,
    OPTION_STARTING_DEADLINE,
    OPTION_FAILED_HISTORY,
    OPTION_SUCCEEDED_HISTORY,
    OPTION_MISSED,
    OPTION_FIRST_RUN,
    OPTION_RESTART_POLICY,
    OPTION_REQUEST_CPU,
    OPTION_REQUEST_MEMORY,
    OPTION_LIMIT_CPU,
    OPTION_LIMIT_MEMORY,
    OPTION_SERVICE_ACCOUNT,
    OPTION_PULL_SECRET,
    OPTION_WORKING_DIR,
    OPTION_LOGS,
    OPTION_TO,
    OPTION_TIMES,
    OPTION_TIMEOUT,
    OPTION_FROM,
    OPTION_NAME,
    OPTION_ROLE,
    OPTION_NAMESPACES,
    OPTION_OUT,
    OPTION_REPAIR,
    OPTION_COUNT,
};

enum option_kind {
    OPTION_FLAG,
    OPTION_TEXT,
    OPTION_NUMBER, // within [min, max]
    OPTION_CHOICE, // one of `choices`
    OPTION_LIST,   // a text, as often as one likes
};

struct option_row {
    enum option_id id;
    char letter; // 0: none
    const char *name;
    const char *argument; // "FILE"; NULL for a flag
    enum option_kind kind;
    const char *const *choices; // ended by NULL
    int64_t min, max;
    const char *help;
};

// Options that several commands share.
enum option_group {
    GROUP_AGENT = 1 << 0,     // --url, --token-file
    GROUP_OUTPUT = 1 << 1,    // -o
    GROUP_TABLE = 1 << 2,     // --no-headers
    GROUP_NAMESPACE = 1 << 3, // -n
    GROUP_HELP = 1 << 4,      // --help; every command has it
};

struct session;

struct command {
    const char *name;
    const char *operands;             // "SERVICE [RUN]", as --help shows them
    size_t least, most;               // how many operands
    const char *rest;                 // what may follow "--": "ARGUMENT..."; NULL: nothing more
    const char *summary;              // one line
    const char *text;                 // paragraphs, each ended by a newline
    const struct option_row *options; // ended by a NULL name; NULL: none of its own
    unsigned groups;                  //
    bool internal;                    // started by cronwright itself: no overview names it
    const char *const *examples;      // command lines, ended by NULL; NULL: none
    // Returns an exit status. NULL: the command is a program of its own, or `help`. With --repair
    // one that has both is the program.
    int (*run)(struct session *session);
};

extern const struct command commands[]; // ended by a NULL name

// NULL when there is none.
const struct command *command_find(const char *name);
// The one with the nearest name; NULL when none is near.
const struct command *command_nearest(const char *name);

struct option_group_rows {
    unsigned group;
    const struct option_row *rows; // ended by a NULL name
};
extern const struct option_group_rows option_groups[]; // ended by NULL rows

// Calls each() for every option of a command, its own first.
void command_options(const struct command *command,
                     void (*each)(void *user, const struct option_row *row), void *user);

#define OPERANDS_MAX 2
#define LISTED_MAX   256 // values of all lists of one command line

struct listed {
    enum option_id option;
    const char *text;
};

struct call {
    const struct command *command;
    const char *text[OPTION_COUNT];   // NULL when not given; "" for a flag; the last of a list
    int64_t number[OPTION_COUNT];     // of numbers that were given; of choices, the index
    struct listed listed[LISTED_MAX]; // values of lists, in the order given
    size_t listed_count;
    const char *operands[OPERANDS_MAX];
    size_t operand_count;
    const char *const *rest; // what followed "--", for a command that takes it
    size_t rest_count;
};

static inline bool call_has(const struct call *call, enum option_id option)
{
    return call->text[option] != NULL;
}

// Parses argv[1…] for `command`, argv[0] being its name; texts are borrowed from argv.
// With --help the rest is not checked. ERR_INVALID names what is wrong and what may be meant.
bool call_parse(const struct command *command, int argc, char **argv, struct call *out,
                struct error *err) MUST_CHECK;

#endif
