// A directory of one's own, made and filled with the real git and a shell, and the child's answers.
#ifndef CRONWRIGHT_TESTS_GITCHILD_WORKSPACE_H
#define CRONWRIGHT_TESTS_GITCHILD_WORKSPACE_H

#include "agent/base/json.h"
#include "build/git/child.h"
#include "build/git/limits.h"
#include "tests/unit/scratch.h"

#include <sys/mman.h>

static int workspace_make(void **state)
{
    (void)state;
    static const char *const environment[][2] = {
        {"GIT_CONFIG_NOSYSTEM", "1"},  {"GIT_CONFIG_GLOBAL", "/dev/null"},
        {"GIT_AUTHOR_NAME", "Ana"},    {"GIT_AUTHOR_EMAIL", "ana@example.org"},
        {"GIT_COMMITTER_NAME", "Ana"}, {"GIT_COMMITTER_EMAIL", "ana@example.org"},
        {"GIT_TERMINAL_PROMPT", "0"},
    };
    for (size_t i = 0; i < sizeof environment / sizeof environment[0]; i++)
        setenv(environment[i][0], environment[i][1], 1);
    struct fault fault;
    return scratch_make() && limits_set_libgit2(&fault) ? 0 : -1;
}

static int workspace_remove(void **state)
{
    (void)state;
    return scratch_remove() ? 0 : -1;
}

// --- a repository "tree" whose bare twin is "origin.git" ---

static void repository_make(void)
{
    sh("rm -rf tree origin.git mirror mirror.lock out.tar.gz*;"
       "git init -q --bare -b main origin.git; git init -q -b main tree; cd tree;"
       "git remote add origin ../origin.git;"
       "printf 'FROM scratch\\n' > Dockerfile; printf 'one\\n' > data");
}

// Commits everything in "tree", pushes it to a branch, and gives the commit.
static void commit_to(const char *branch, const char *message, char out[static GIT_COMMIT_SIZE])
{
    sh("cd tree; git add -A; git commit -q --allow-empty -m '%s'; git push -q -f ../origin.git "
       "HEAD:refs/heads/%s",
       message, branch);
    char *commit = sh_output("git -C tree rev-parse HEAD");
    assert_true(strlen(commit) < GIT_COMMIT_SIZE);
    strcpy(out, commit);
    free(commit);
}

// --- asking ---

// A request for the context at a commit of "origin.git"; the caller changes it at will.
static json_t *context_request(const char *branch, const char *commit)
{
    char *url = xasprintf("%s/origin.git", workspace);
    char *mirror = xasprintf("%s/mirror", workspace);
    char *output = xasprintf("%s/out.tar.gz", workspace);
    json_t *request =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i}", "op",
                  "context", "url", url, "branch", branch, "commit", commit, "mirror", mirror,
                  "output", output, "subdirectory", ".", "dockerfile", "Dockerfile", "seconds", 60,
                  "max_bytes", 100000000, "max_repository_bytes", 100000000, "max_objects", 100000,
                  "max_file_bytes", 100000000, "max_tree_depth", 128);
    assert_non_null(request);
    free(url);
    free(mirror);
    free(output);
    return request;
}

struct reply {
    int status;
    json_t *lines; // array
};

// Parses lines of JSON.
static json_t *parse_lines(const char *bytes, size_t len)
{
    json_t *lines = json_array();
    for (const char *end = bytes + len; bytes < end;) {
        const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
        assert_non_null(newline);
        json_t *line = NULL;
        struct error err;
        if (!json_read(bytes, (size_t)(newline - bytes), GIT_ANSWER_LINE_MAX, &line, &err))
            fail_msg("%s: %.*s", err.text, (int)(newline - bytes), bytes);
        json_array_append_new(lines, line);
        bytes = newline + 1;
    }
    return lines;
}

// Runs the request in this process. Takes it.
static struct reply ask(json_t *request)
{
    char *text = json_write(request);
    json_decref(request);
    int fd = memfd_create("answers", MFD_CLOEXEC);
    assert_true(fd >= 0);
    struct reply reply = {.status = git_child_run(text, strlen(text), true, fd)};
    free(text);
    alarm(0);
    struct buffer bytes = {0};
    char piece[4096];
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    for (ssize_t len; (len = read(fd, piece, sizeof piece)) > 0;)
        assert_true(buffer_append(&bytes, piece, (size_t)len, NULL));
    close(fd);
    reply.lines = parse_lines(buffer_text(&bytes), bytes.len);
    buffer_finish(&bytes);
    return reply;
}

static void reply_finish(struct reply *reply)
{
    json_decref(reply->lines);
}

// The first line of that event, or NULL.
static const json_t *event(const struct reply *reply, const char *name)
{
    size_t i;
    json_t *line;
    json_array_foreach(reply->lines, i,
                       line) if (strcmp(json_text_at(line, "event", NULL), name) == 0) return line;
    return NULL;
}

static void assert_done(const struct reply *reply)
{
    const json_t *error = event(reply, "error");
    if (error)
        fail_msg("%s: %s", json_text_at(error, "code", NULL), json_text_at(error, "text", NULL));
    assert_int_equal(reply->status, 0);
}

// The last line is an error of that word, whose text has all of the pieces (ended by NULL).
static void __attribute__((sentinel)) assert_error(struct reply reply, const char *word, ...)
{
    const json_t *last = json_array_get(reply.lines, json_array_size(reply.lines) - 1);
    assert_string_equal(json_text_at(last, "event", NULL), "error");
    const char *text = json_text_at(last, "text", NULL);
    if (strcmp(json_text_at(last, "code", NULL), word) != 0)
        fail_msg("%s instead of %s: %s", json_text_at(last, "code", NULL), word, text);
    assert_int_equal(reply.status, 1);
    va_list pieces;
    va_start(pieces, word);
    for (const char *piece; (piece = va_arg(pieces, const char *));)
        if (!strstr(text, piece))
            fail_msg("no \"%s\" in: %s", piece, text);
    va_end(pieces);
    reply_finish(&reply);
}

// The SHA-256 of the context that was written; asserts success. Takes the request.
static char *context_sha256(json_t *request)
{
    struct reply reply = ask(request);
    assert_done(&reply);
    char *sha = xstrdup(json_text_at(event(&reply, "context"), "sha256", NULL));
    reply_finish(&reply);
    return sha;
}

#endif
