// Following a run, or an image build, to its end: waiting, retries, log, outcome.
#ifndef CRONWRIGHT_CLI_FOLLOW_H
#define CRONWRIGHT_CLI_FOLLOW_H

#include "agent/cli/session.h"

struct follow_run {
    const struct service_name *service;
    const char *run;
    int attempt;           // the first one to show; from 1
    bool timestamps;       // with each line
    int fd;                // where the log goes
    bool raw;              // also to a terminal
    const char *part;      // of the first attempt's log, as for tail_choose()
    const char *container; // NULL: the one that counts
};

// Prints the log of all attempts, and on stderr what happens. When the run has ended, *ended is its
// JSON, which the caller owns; else NULL. Returns the exit status: as the container did, or
// STATUS_DEADLINE, STATUS_UNKNOWN, or why it stopped following.
int follow_run(struct session *session, const struct follow_run *request, json_t **ended);

// Also for one attempt.
bool run_has_ended(const json_t *run_or_attempt);
// The exit status that goes with a run as the API describes it.
int run_exit_status(const json_t *run);
// "► forced run … of a41f09c, by ana, attempt 1 of 4": which run it is, on stderr. attempt 0: all.
void say_run(struct session *session, const json_t *run, int attempt);
// Whether the log of this run or build is not all there.
void say_log_losses(struct session *session, const json_t *run_or_build);
// "✗ failed after 4 attempts: out of memory, exit 137": the outcome of an ended run, on stderr.
void say_outcome(struct session *session, const json_t *run);

// The log of a build, until it has ended. STATUS_OK, STATUS_FAILED when it failed, or why it
// stopped following.
int follow_build(struct session *session, const char *build);

struct asked_build {
    const struct service_name *service;
    const char *delivery; // that asks for it
    const char *before;   // the service's last build before that; "" when it had none
};
// The same for what a delivery leads to: the service's next build, or one that was under way, and
// when that is superseded the one after it. When there is nothing to build, it says why.
int follow_asked_build(struct session *session, const struct asked_build *asked);

#endif
