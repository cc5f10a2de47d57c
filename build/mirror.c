#include "build/mirror.h"

#include "agent/base/json.h"
#include "agent/base/printable.h"
#include "agent/base/text.h"
#include "build/recipe.h"

#include <signal.h>
#include <string.h>

#define NOTES_MAX ((size_t)16 << 10)

// --- requests ---

static void add_text(json_t *request, const char *key, const char *text)
{
    if (text && *text)
        json_object_set_new(request, key, json_string(text));
}

static json_t *begin(const char *op, const struct git_remote_branch *remote)
{
    json_t *request = json_object();
    add_text(request, "op", op);
    add_text(request, "url", remote->url);
    add_text(request, "branch", remote->branch);
    add_text(request, "username", remote->username);
    add_text(request, "password", remote->password);
    add_text(request, "ca_file", remote->ca_file);
    add_text(request, "proxy", remote->proxy);
    add_text(request, "proxy_username", remote->proxy_username);
    add_text(request, "proxy_password", remote->proxy_password);
    add_text(request, "ssh_key", remote->ssh_key);
    add_text(request, "ssh_passphrase", remote->ssh_passphrase);
    add_text(request, "known_hosts", remote->known_hosts);
    add_text(request, "ssh_directory", remote->ssh_directory);
    json_object_set_new(request, "seconds", json_integer(remote->seconds));
    return request;
}

static bool finish(const json_t *request, struct buffer *out, struct error *err)
{
    CLEANUP(secret_ptr) char *text = json_write(request);
    size_t len = strlen(text);
    if (len > GIT_REQUEST_MAX)
        return error_set(err, ERR_TOO_LARGE, "a request to the Git child of %zu bytes", len);
    return buffer_append(out, text, len, err);
}

bool git_request_head(const struct git_remote_branch *remote, struct buffer *out, struct error *err)
{
    CLEANUP(json_ptr) json_t *request = begin("head", remote);
    return finish(request, out, err);
}

bool git_request_context(const struct git_remote_branch *remote,
                         const struct git_context_request *context, struct buffer *out,
                         struct error *err)
{
    // The child takes one spelling of a path only.
    char subdirectory[RECIPE_PATH_MAX + 1], dockerfile[RECIPE_PATH_MAX + 1];
    const char *file =
        context->dockerfile && *context->dockerfile ? context->dockerfile : "Dockerfile";
    if (!recipe_path(context->subdirectory ? context->subdirectory : ".", "context", subdirectory,
                     err) ||
        !recipe_path(file, "dockerfile", dockerfile, err))
        return false;
    CLEANUP(json_ptr) json_t *request = begin("context", remote);
    add_text(request, "commit", context->commit);
    add_text(request, "mirror", context->mirror);
    add_text(request, "subdirectory", subdirectory);
    add_text(request, "dockerfile", dockerfile);
    add_text(request, "output", context->output);
    add_text(request, "max_bytes_setting", context->max_bytes_setting);
    const struct {
        const char *key;
        int64_t value;
    } caps[] = {{"max_bytes", context->max_bytes},
                {"max_repository_bytes", context->max_repository_bytes},
                {"max_objects", context->max_objects},
                {"max_file_bytes", context->max_file_bytes},
                {"max_tree_depth", context->max_tree_depth}};
    for (size_t i = 0; i < sizeof caps / sizeof caps[0]; i++)
        json_object_set_new(request, caps[i].key, json_integer(caps[i].value));
    if (context->since && context->paths) {
        json_object_set(request, "since", json_unconst(context->since));
        json_object_set(request, "paths", json_unconst(context->paths));
    }
    return finish(request, out, err);
}

bool git_request_verify(const char *mirror, int seconds, struct buffer *out, struct error *err)
{
    CLEANUP(json_ptr)
    json_t *request =
        json_pack("{s:s, s:s, s:i}", "op", "verify", "mirror", mirror, "seconds", seconds);
    return finish(request, out, err);
}

void git_mirror_name(const char *url, const char *credential, char out[static GIT_MIRROR_NAME_SIZE])
{
    uint8_t digest[SHA256_SIZE];
    CLEANUP(free_ptr)
    char *text = *credential ? xasprintf("%s\n%s", url, credential) : xstrdup(url);
    sha256(text, strlen(text), digest);
    hex_encode(digest, (GIT_MIRROR_NAME_SIZE - 1) / 2, out);
}

// --- answers ---

// What each of the child's error words means to us, and to the one who reads the delivery.
static const struct {
    const char *word;
    enum error_code code;
    const char *reason;
    bool refused; // as in struct git_answers
} failures[] = {
    {GIT_ERROR_WORD_BRANCH, ERR_NOT_FOUND, "branch-missing", true},
    {GIT_ERROR_WORD_NOT_FOUND, ERR_NOT_FOUND, "repository-missing", true},
    {GIT_ERROR_WORD_UNAUTHORIZED, ERR_UNAUTHORIZED, "repository-login", true},
    {GIT_ERROR_WORD_UNAVAILABLE, ERR_UNAVAILABLE, "repository-unavailable", false},
    {GIT_ERROR_WORD_TIMEOUT, ERR_TIMEOUT, "repository-timeout", false},
    {GIT_ERROR_WORD_TLS, ERR_PROTOCOL, "repository-tls", false},
    {GIT_ERROR_WORD_HOST_KEY, ERR_FORBIDDEN, "repository-host-key", true},
    {GIT_ERROR_WORD_PROXY, ERR_UNAUTHORIZED, "repository-proxy", true},
    {GIT_ERROR_WORD_REDIRECT, ERR_INVALID, "repository-redirect", true},
    {GIT_ERROR_WORD_PROTOCOL, ERR_PROTOCOL, "repository-protocol", false},
    {GIT_ERROR_WORD_TOO_LARGE, ERR_TOO_LARGE, "repository-too-large", false},
    {GIT_ERROR_WORD_CONTEXT_SIZE, ERR_TOO_LARGE, "context-too-large", false},
    {GIT_ERROR_WORD_SUPERSEDED, ERR_CONFLICT, "superseded", false},
    {GIT_ERROR_WORD_DOCKERFILE, ERR_NOT_FOUND, "dockerfile-missing", false},
    {GIT_ERROR_WORD_CONTEXT, ERR_NOT_FOUND, "context-missing", false},
    {GIT_ERROR_WORD_INVALID, ERR_INVALID, "source-invalid", false},
    {GIT_ERROR_WORD_IO, ERR_IO, "fetch-failed", false},
};

void git_answers_init(struct git_answers *answers)
{
    *answers = (struct git_answers){.fetch_ms = -1,
                                    .fetched_bytes = -1,
                                    .context_bytes = -1,
                                    .context_ms = -1,
                                    .files = -1,
                                    .notes.cap = NOTES_MAX,
                                    .line.cap = GIT_ANSWER_LINE_MAX};
}

void git_answers_finish(struct git_answers *answers)
{
    buffer_finish(&answers->notes);
    buffer_finish(&answers->line);
}

static void fail(struct git_answers *answers, const char *reason, const struct error *error)
{
    answers->state = GIT_FAILED;
    answers->error = *error;
    text_copy(answers->reason, sizeof answers->reason, reason);
}

static bool take_text(const json_t *line, const char *key, char *out, size_t room)
{
    const char *text = json_text_at(line, key, NULL);
    if (!text)
        return false;
    printable_copy(out, room, text, strlen(text));
    return true;
}

static bool take_hex(const json_t *line, const char *key, char *out, size_t room)
{
    const char *text = json_text_at(line, key, NULL);
    if (!text || (strlen(text) != 40 && strlen(text) != 64))
        return false;
    return strspn(text, "0123456789abcdef") == strlen(text) && text_copy(out, room, text);
}

static bool take_count(const json_t *line, const char *key, int64_t *out)
{
    json_int_t number = json_int_or(json_at(line, key, NULL), -1);
    if (number < 0)
        return false;
    *out = number;
    return true;
}

static bool on_head(struct git_answers *answers, const json_t *line)
{
    if (!take_hex(line, "commit", answers->commit, sizeof answers->commit) ||
        !take_count(line, "ms", &answers->fetch_ms))
        return false;
    answers->state = GIT_DONE;
    return true;
}

static bool on_waiting(struct git_answers *answers, const json_t *line)
{
    (void)line;
    answers->waiting = true;
    return true;
}

static bool on_remake(struct git_answers *answers, const json_t *line)
{
    (void)line;
    answers->remade = true;
    buffer_clear(&answers->notes); // they are said again
    return true;
}

static bool on_progress(struct git_answers *answers, const json_t *line)
{
    answers->waiting = false;
    return take_count(line, "objects", &answers->objects) &&
           take_count(line, "total", &answers->objects_total) &&
           take_count(line, "bytes", &answers->received_bytes);
}

static bool on_fetched(struct git_answers *answers, const json_t *line)
{
    answers->waiting = false;
    return take_hex(line, "commit", answers->commit, sizeof answers->commit) &&
           take_count(line, "bytes", &answers->fetched_bytes) &&
           take_count(line, "ms", &answers->fetch_ms);
}

static bool on_note(struct git_answers *answers, const json_t *line)
{
    char text[512];
    if (!take_text(line, "text", text, sizeof text))
        return false;
    // The buffer's cap bounds the notes: what no longer fits is dropped.
    bool fitted = buffer_printf(&answers->notes, NULL, "%s\n", text);
    (void)fitted;
    return true;
}

static bool on_context(struct git_answers *answers, const json_t *line)
{
    if (!take_count(line, "bytes", &answers->context_bytes) ||
        !take_count(line, "files", &answers->files) ||
        !take_count(line, "ms", &answers->context_ms) ||
        !take_hex(line, "sha256", answers->context_sha256, sizeof answers->context_sha256) ||
        !take_hex(line, "tree", answers->tree, sizeof answers->tree) ||
        !take_text(line, "subject", answers->subject, sizeof answers->subject) ||
        !take_text(line, "author", answers->author, sizeof answers->author))
        return false;
    answers->state = GIT_DONE;
    return true;
}

static bool on_unchanged(struct git_answers *answers, const json_t *line)
{
    if (!take_hex(line, "since", answers->since, sizeof answers->since) ||
        !take_text(line, "subject", answers->subject, sizeof answers->subject) ||
        !take_text(line, "author", answers->author, sizeof answers->author))
        return false;
    answers->unchanged = true;
    answers->state = GIT_DONE;
    return true;
}

static bool on_verified(struct git_answers *answers, const json_t *line)
{
    if (!take_count(line, "objects", &answers->objects))
        return false;
    answers->state = GIT_DONE;
    return true;
}

static bool on_error(struct git_answers *answers, const json_t *line)
{
    const char *word = json_text_at(line, "code", NULL);
    struct error error = {0};
    if (!word || !take_text(line, "text", error.text, sizeof error.text))
        return false;
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
        if (strcmp(word, failures[i].word) == 0) {
            error.code = failures[i].code;
            fail(answers, failures[i].reason, &error);
            answers->refused = failures[i].refused;
            return true;
        }
    return false;
}

static const struct {
    const char *event;
    bool (*take)(struct git_answers *answers, const json_t *line);
} events[] = {
    {"head", on_head},         {"waiting", on_waiting},     {"remake", on_remake},
    {"progress", on_progress}, {"fetched", on_fetched},     {"note", on_note},
    {"context", on_context},   {"unchanged", on_unchanged}, {"error", on_error},
    {"verified", on_verified},
};

static void malformed(struct git_answers *answers, const char *what)
{
    struct error error;
    error_set(&error, ERR_PROTOCOL, "the Git child answered %s", what);
    fail(answers, "fetch-failed", &error);
}

static void take_line(struct git_answers *answers)
{
    CLEANUP(json_ptr) json_t *line = NULL;
    if (!json_read(buffer_text(&answers->line), answers->line.len, GIT_ANSWER_LINE_MAX, &line,
                   NULL)) {
        malformed(answers, "what is no JSON");
        return;
    }
    const char *event = json_text_at(line, "event", NULL);
    for (size_t i = 0; event && i < sizeof events / sizeof events[0]; i++)
        if (strcmp(event, events[i].event) == 0) {
            if (!events[i].take(answers, line))
                malformed(answers, "with fields missing or malformed");
            return;
        }
    malformed(answers, "an unknown event");
}

void git_answers_feed(struct git_answers *answers, const void *bytes, size_t len)
{
    const char *at = bytes;
    const char *end = at + len;
    while (at < end && answers->state == GIT_RUNNING) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline ? newline : end;
        if (!buffer_append(&answers->line, at, (size_t)(stop - at), NULL)) {
            malformed(answers, "an overlong line");
            return;
        }
        if (newline) {
            take_line(answers);
            buffer_clear(&answers->line);
        }
        at = newline ? newline + 1 : end;
    }
}

void git_answers_end(struct git_answers *answers, int exit_status, const struct error *not_run)
{
    struct error error;
    if (answers->state == GIT_FAILED)
        return;
    if (not_run) {
        bool late = not_run->code == ERR_TIMEOUT;
        answers->not_asked = not_run->code == ERR_IO;
        fail(answers, late ? "repository-timeout" : "fetch-failed", not_run);
        return;
    }
    if (answers->state == GIT_DONE && exit_status == 0)
        return;
    if (exit_status == 128 + SIGALRM)
        error_set(&error, ERR_TIMEOUT, "the repository did not answer in time");
    else if (exit_status > 128)
        error_set(&error, ERR_IO, "the Git child was ended by signal %d%s", exit_status - 128,
                  exit_status == 128 + SIGBUS ? " (is the disk full?)" : "");
    else
        error_set(&error, ERR_IO, "the Git child ended with status %d and %s", exit_status,
                  answers->state == GIT_DONE ? "its answer does not count" : "no answer");
    fail(answers, error.code == ERR_TIMEOUT ? "repository-timeout" : "fetch-failed", &error);
}
