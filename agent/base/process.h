// Child processes. A child that is to die with its parent asks for it by PR_SET_PDEATHSIG: that
// fires when the spawning *thread* ends, so spawn such children from the main thread.
#ifndef CRONWRIGHT_BASE_PROCESS_H
#define CRONWRIGHT_BASE_PROCESS_H

#include "agent/base/buffer.h"

#include <sys/types.h>

// One child with its standard streams on pipes. Inherits nothing else: other descriptors are
// closed, the signal mask and ignored signals are reset, the environment is `environment` alone.
struct child {
    pid_t pid;
    int pidfd;     // readable when it ended
    int stdin_fd;  // write end, non-blocking; -1 once closed
    int stdout_fd; // read end, non-blocking
    int stderr_fd; // read end, non-blocking
};

// Puts /dev/null where standard input, output or error is closed: otherwise the next file that is
// opened would get what is printed. First of all in main().
bool process_keep_standard(void);

// argv[0] is the program's absolute path. On failure nothing runs: ERR_NOT_FOUND when there is no
// such program, else ERR_IO. Whoever writes to stdin_fd ignores SIGPIPE (http_setup() sees to it).
bool child_spawn(struct child *child, const char *const argv[], const char *const environment[],
                 struct error *err) MUST_CHECK;
// After pidfd became readable: reaps; pid is then -1. Exit status 0…255, or 128 + signal.
int child_reap(struct child *child);
void child_kill(struct child *child); // SIGKILL to its process group
// Kills if alive, reaps, closes. Only after a child_spawn() that succeeded; twice is fine.
void child_finish(struct child *child);

// Spawns, writes `input`, collects stdout up to `output`'s cap (and the last of stderr for the
// error text), kills at the deadline: for kubeconfig's exec plugins. ERR_TIMEOUT, ERR_TOO_LARGE,
// ERR_IO; a non-zero exit is ERR_UNAVAILABLE. *output is overwritten. Any thread.
bool child_run(const char *const argv[], const char *const environment[], const void *input,
               size_t input_len, int64_t timeout_ms, struct buffer *output,
               struct error *err) MUST_CHECK;

#endif
