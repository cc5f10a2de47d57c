// cronwright-git: talks to Git remotes on behalf of the agent, which may kill it at any moment; see
// protocol.h.
#include "agent/base/buffer.h"
#include "build/git/answer.h"
#include "build/git/child.h"
#include "build/git/limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int usage(FILE *out, int status)
{
    fputs("Usage: cronwright-git\n\n"
          "Started by \"cronwright agent\": reads one request as JSON on standard input and\n"
          "answers with lines of JSON on standard output.\n",
          out);
    return status;
}

// From the descriptor itself: a process that may not be dumped cannot open /dev/stdin.
static bool read_request(struct buffer *out, struct fault *fault)
{
    char bytes[4096];
    struct error err;
    for (;;) {
        ssize_t len = read(STDIN_FILENO, bytes, sizeof bytes);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            error_errno(&err, ERR_IO, errno, "standard input");
        if (len == 0)
            break;
        if (len < 0 || !buffer_append(out, bytes, (size_t)len, &err))
            return fault_set(fault, GIT_ERROR_WORD_INVALID, "request: %s", err.text);
    }
    explicit_bzero(bytes, sizeof bytes);
    return true;
}

int main(int argc, char *argv[])
{
    limits_set_process();
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return usage(stdout, 0);
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return puts("cronwright-git " CRONWRIGHT_VERSION) < 0;
    if (argc != 1)
        return usage(stderr, 2);

    struct answers answers = {.fd = STDOUT_FILENO};
    struct fault fault;
    CLEANUP(buffer_wipe) struct buffer request = {.cap = GIT_REQUEST_MAX};
    if (!read_request(&request, &fault) || !limits_set_libgit2(&fault)) {
        answer_error(&answers, &fault);
        return 1;
    }
    return git_child_run(buffer_text(&request), request.len, false, STDOUT_FILENO);
}
