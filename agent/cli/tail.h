// Following the agent: requests that a signal interrupts, that outlive a restart of the agent, and
// that go on where the last one broke off.
#ifndef CRONWRIGHT_CLI_TAIL_H
#define CRONWRIGHT_CLI_TAIL_H

#include "agent/cli/client.h"
#include "agent/cli/screen.h"

enum tail_end {
    TAIL_DONE,
    TAIL_FAILED,  // for good; *err says why
    TAIL_STOPPED, // by a signal, or nobody reads our output any more: tail_status()
};

#define TAIL_GIVE_UP_MS  ((int64_t)5 * 60 * 1000) // without any answer
#define TAIL_BUFFER_MAX  ((size_t)1 << 20)        // of what our reader has not taken yet
#define TAIL_PAUSE_FIRST 500                      // ms
#define TAIL_PAUSE_MAX   10000                    // ms

struct tail;

// From now on, to the end of the process, SIGINT, SIGTERM and SIGHUP only stop the calls below.
// `fd` is where tail_copy() writes to. One thread uses it. Borrows both.
struct tail *tail_open(const struct client *client, struct screen *screen, int fd);
void tail_close(struct tail *tail); // NULL is fine

// What goes to a terminal is made harmless (see harmless.h) unless this is said.
void tail_raw(struct tail *tail);
// tail_copy() from offset 0 begins where this part of the log does: "tail=10&since=1h", borrowed;
// NULL: at its start.
void tail_choose(struct tail *tail, const char *part);

// GET of a JSON object. While the agent does not answer it is asked again, up to TAIL_GIVE_UP_MS,
// and stderr says so once. The caller owns *out.
enum tail_end tail_get(struct tail *tail, const char *path, json_t **out, struct error *err);
// GET of bytes, written as they come; `path` has a query already. Begins at byte *offset of the
// stream and counts it up by what was written, so a broken connection loses and repeats nothing.
// Asks again as tail_get() does. `problem` as for client_send(). ERR_IO: the output cannot be
// written; then, as after TAIL_STOPPED, nothing more can be asked.
enum tail_end tail_copy(struct tail *tail, const char *path, uint64_t *offset,
                        struct problem *problem, struct error *err);
enum tail_end tail_sleep(struct tail *tail, int64_t ms);

// After TAIL_STOPPED: STATUS_INTERRUPTED, another 128 + signal, or STATUS_PIPE; else 0.
int tail_status(const struct tail *tail);

// How long to pause after the n-th failure in a row, from 0: doubling, bounded.
int64_t tail_pause_ms(unsigned failures);

#endif
