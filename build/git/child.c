#include "build/git/child.h"

#include "agent/base/buffer.h"
#include "build/git/answer.h"
#include "build/git/bare.h"
#include "build/git/changes.h"
#include "build/git/context.h"
#include "build/git/limits.h"
#include "build/git/remote.h"
#include "build/git/request.h"

#include <string.h>
#include <unistd.h>

static void close_remote(struct remote **remote)
{
    remote_close(*remote);
}

static json_int_t since(struct mono_time start)
{
    return mono_now().ms - start.ms;
}

// Nothing is late any more: a slow end must not spoil what was answered.
static void answer_last(struct answers *answers, json_t *line)
{
    alarm(0);
    answer_line(answers, line);
}

static bool run_head(const struct git_request *request, struct answers *answers,
                     struct fault *fault)
{
    CLEANUP(close_remote) struct remote *remote = NULL;
    struct mono_time start = mono_now();
    git_oid head;
    if (!remote_open(request, NULL, &remote, fault) || !remote_head(remote, &head, fault))
        return false;
    char hex[GIT_COMMIT_SIZE];
    git_oid_tostr(hex, sizeof hex, &head);
    answer_last(answers,
                json_pack("{s:s, s:s, s:I}", "event", "head", "commit", hex, "ms", since(start)));
    return true;
}

static bool fetch(const struct git_request *request, struct bare *bare, const git_oid *commit,
                  struct answers *answers, struct fault *fault)
{
    CLEANUP(close_remote) struct remote *remote = NULL;
    struct mono_time start = mono_now();
    uint64_t bytes = 0;
    git_oid head;
    if (!bare_has(bare, commit)) {
        if (!remote_open(request, bare->repository, &remote, fault) ||
            !remote_head(remote, &head, fault) ||
            !remote_fetch(remote, answers, &head, bare->fresh, &bytes, fault))
            return false;
        if (!bare_has(bare, commit) && git_oid_equal(&head, commit))
            return fault_mirror(fault, "commit %s is not in the mirror although it was fetched",
                                request->commit);
        if (!bare_has(bare, commit))
            return fault_set(fault, GIT_ERROR_WORD_SUPERSEDED,
                             "branch \"%s\" of %s no longer leads to commit %s", request->branch,
                             request->url, request->commit);
    }
    answer_line(answers,
                json_pack("{s:s, s:s, s:I, s:I}", "event", "fetched", "commit", request->commit,
                          "bytes", (json_int_t)bytes, "ms", since(start)));
    return true;
}

static bool answer_unchanged(const struct git_request *request, struct bare *bare,
                             const git_oid *commit, struct answers *answers, struct fault *fault)
{
    struct commit_words words;
    if (!commit_describe(bare->repository, commit, &words, fault))
        return false;
    answer_last(answers, json_pack("{s:s, s:O, s:s, s:s}", "event", "unchanged", "since",
                                   json_array_get(request->since, 0), "subject", words.subject,
                                   "author", words.author));
    return true;
}

static bool fetch_and_write(const struct git_request *request, struct bare *bare,
                            struct answers *answers, struct fault *fault)
{
    git_oid commit;
    struct context context;
    if (git_oid_fromstr(&commit, request->commit) != 0)
        return fault_set(fault, GIT_ERROR_WORD_INVALID, "request: \"commit\": no object id");
    if (!fetch(request, bare, &commit, answers, fault))
        return false;
    bool changed = true;
    if (request->since && !changes_any(bare, &commit, request, &changed, fault))
        return false;
    if (!changed)
        return answer_unchanged(request, bare, &commit, answers, fault);
    struct mono_time start = mono_now();
    if (!context_write(bare->repository, &commit, request, answers, &context, fault))
        return false;
    char tree[GIT_COMMIT_SIZE];
    git_oid_tostr(tree, sizeof tree, &context.tree);
    answer_last(answers,
                json_pack("{s:s, s:s, s:I, s:s, s:I, s:I, s:I, s:s, s:s, s:s}", "event", "context",
                          "path", request->output, "bytes", (json_int_t)context.archive.bytes,
                          "sha256", context.archive.sha256, "files", (json_int_t)context.files,
                          "ignored", (json_int_t)context.ignored, "ms", since(start), "tree", tree,
                          "subject", context.words.subject, "author", context.words.author));
    return true;
}

static bool run_context(const struct git_request *request, struct answers *answers,
                        struct fault *fault)
{
    CLEANUP(bare_close) struct bare bare = {.lock = -1};
    limits_watch_mirror(request->mirror);
    if (!bare_open(request->mirror, request->max_repository_bytes, answers, &bare, fault))
        return false;
    if (fetch_and_write(request, &bare, answers, fault))
        return true;
    if (!fault->damaged || bare.fresh)
        return false;
    CLEANUP(free_ptr) char *why = xstrdup(fault->text);
    answers->notes = 0;
    return bare_remake(&bare, why, answers, fault) &&
           fetch_and_write(request, &bare, answers, fault);
}

static bool run_verify(const struct git_request *request, struct answers *answers,
                       struct fault *fault)
{
    CLEANUP(bare_close) struct bare bare = {.lock = -1};
    struct mono_time start = mono_now();
    size_t objects;
    limits_watch_mirror(request->mirror);
    if (!bare_verify(request->mirror, answers, &bare, &objects, fault))
        return false;
    answer_last(answers, json_pack("{s:s, s:I, s:I}", "event", "verified", "objects",
                                   (json_int_t)objects, "ms", since(start)));
    return true;
}

int git_child_run(const char *bytes, size_t len, bool allow_local, int out)
{
    struct answers answers = {.fd = out};
    struct fault fault;
    CLEANUP(git_request_finish) struct git_request request = {0};
    static bool (*const operations[])(const struct git_request *request, struct answers *answers,
                                      struct fault *fault) = {
        [GIT_OPERATION_HEAD] = run_head,
        [GIT_OPERATION_CONTEXT] = run_context,
        [GIT_OPERATION_VERIFY] = run_verify,
    };
    bool done = git_request_read(bytes, len, allow_local, &request, &fault) &&
                limits_set_request(&request, out, &fault);
    if (done)
        done = operations[request.operation](&request, &answers, &fault);
    if (!done)
        answer_error(&answers, &fault);
    return done ? 0 : 1;
}
