// cronwright-git: talks to Git remotes on behalf of the agent, which may kill it at any moment; see
// protocol.h.
#include "agent/base/buffer.h"
#include "agent/base/file.h"
#include "build/git/answer.h"
#include "build/git/child.h"
#include "build/git/limits.h"

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
    struct error err;
    CLEANUP(buffer_wipe) struct buffer request = {0};
    if (!file_read("/dev/stdin", GIT_REQUEST_MAX, &request, &err)) {
        fault_from(&fault, GIT_ERROR_WORD_INVALID, &err);
        answer_error(&answers, &fault);
        return 1;
    }
    if (!limits_set_libgit2(&fault)) {
        answer_error(&answers, &fault);
        return 1;
    }
    return git_child_run(buffer_text(&request), request.len, false, STDOUT_FILENO);
}
