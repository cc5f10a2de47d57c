// Child programs on behalf of workers: a worker asks under a name and goes on with something else;
// the main thread spawns, feeds, bounds and reaps; the end wakes the worker's key, whose next
// reconcile takes the result. Nothing here survives a restart: a reconcile that finds no answer
// asks again.
#ifndef CRONWRIGHT_AGENT_CHILDREN_H
#define CRONWRIGHT_AGENT_CHILDREN_H

#include "agent/base/buffer.h"
#include "agent/base/clock.h"

#define CHILD_OUTPUT_MAX ((size_t)1 << 20)
#define CHILD_STDERR_MAX ((size_t)4 << 10)

struct children;

struct child_request {
    const char *program;    // absolute path; the only argument
    const void *input;      // given on stdin, then end of file; copied, wiped when written
    size_t input_len;       //
    int64_t timeout_ms;     // from the spawn; then it is killed
    const char *host;       // which it waits for, and on that host the repository: of each only so
    const char *repository; // many run at once. NULL: it waits for nobody. Copied
    int64_t defer_ms;       // what is asked for within that time goes first
    int64_t tag;            // handed back with the result: what was known when asking
    void (*wake)(void *user, const char *name); // main thread, when it has ended; must not block
    void *user;
};

enum child_state {
    CHILD_UNKNOWN, // nobody asked
    CHILD_BUSY,    // waiting for a place, or running
    CHILD_ENDED,   // the result was moved to the caller; the name is free again
};

struct child_result {
    int64_t tag;     // the request's
    bool ran;        // false: `error` says why not (could not start, deadline, too much output)
    int exit_status; //
    struct buffer output; // its standard output
    struct error error;   // when !ran; with the end of its standard error
};

// How many run at once: in all, that wait for one host, and for one repository. What has no room
// waits in the order of asking (but see `defer_ms`), and what has goes past it: a host that is
// silent holds up its own.
struct children_bounds {
    int most;
    int most_per_host;
    int most_per_repository;
};
struct children *children_create(struct children_bounds bounds);
// Kills what runs, frees. Main thread.
void children_destroy(struct children *children);

// Any thread. Asking for a name that is busy changes nothing.
void children_ask(struct children *children, const char *name, const struct child_request *request);
// Any thread. What was deferred, and waits still, is not any more.
void children_hurry(struct children *children, const char *name);
// Any thread. On CHILD_ENDED the caller owns *result: child_result_finish().
enum child_state children_take(struct children *children, const char *name,
                               struct child_result *result);
// Any thread. Kills or forgets it; nobody is woken.
void children_cancel(struct children *children, const char *name);
// Any thread.
void children_count(struct children *children, size_t *running, size_t *waiting);
void child_result_finish(struct child_result *result);

// Main thread: runs children until `fd` is readable or the deadline passed. True when `fd` is.
bool children_run(struct children *children, int fd, struct mono_time deadline);

#endif
