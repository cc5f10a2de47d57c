#include "agent/cli/editor.h"

#include "agent/base/file.h"
#include "agent/base/process.h"
#include "agent/base/yaml.h"
#include "deploy/merge.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHELL           "/bin/sh"
#define DIFF_MAX        ((size_t)4 << 20)
#define DIFF_TIMEOUT_MS 10000

// --- the file ---

bool editor_file_make(const char *name, const char *text, struct editor_file *out,
                      struct error *err)
{
    const char *given = getenv("TMPDIR");
    const char *parent = given != NULL && given[0] == '/' ? given : "/tmp";
    struct editor_file file = {.directory = xasprintf("%s/cronwright-XXXXXX", parent)};
    if (mkdtemp(file.directory) == NULL) {
        (void)error_errno(err, ERR_IO, errno, "%s", file.directory);
        free(file.directory);
        return false;
    }
    file.path = xasprintf("%s/%s", file.directory, name);
    if (!file_write(file.path, 0600, text, strlen(text), err)) {
        editor_file_remove(&file);
        return false;
    }
    *out = file;
    return true;
}

void editor_file_remove(struct editor_file *file)
{
    struct error err;
    if (file->directory != NULL && !directory_remove(file->directory, &err))
        (void)fprintf(stderr, "cronwright: %s\n", err.text);
    free(file->directory);
    free(file->path);
    *file = (struct editor_file){0};
}

// --- the editor ---

// The setting may have arguments: the shell takes them apart. Ctrl-C is for the editor alone, not
// for the shell that waits for it.
#define SHELL_WAITS "trap : INT QUIT; "
static char *editor_script(void)
{
    static const char *const variables[] = {"VISUAL", "EDITOR"};
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        const char *editor = getenv(variables[i]);
        if (editor != NULL && editor[0] != '\0')
            return xasprintf(SHELL_WAITS "%s \"$1\"", editor);
    }
    return xstrdup(SHELL_WAITS
                   "if command -v editor >/dev/null; then editor \"$1\"; else vi \"$1\"; fi");
}

// As we were started: Ctrl-C is the editor's while it runs, and we ignore SIGPIPE, not it.
static int spawn(const char *script, const char *path, pid_t *pid)
{
    posix_spawnattr_t attributes;
    sigset_t none, broken_pipe;
    (void)sigemptyset(&none);
    (void)sigemptyset(&broken_pipe);
    (void)sigaddset(&broken_pipe, SIGPIPE);
    if (posix_spawnattr_init(&attributes) != 0)
        abort();
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setsigdefault(&attributes, &broken_pipe);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    CLEANUP(free_ptr) char *words[] = {xstrdup(script)};
    CLEANUP(free_ptr) char *file = xstrdup(path);
    char shell[] = SHELL, option[] = "-c", name[] = "editor";
    char *const argv[] = {shell, option, words[0], name, file, NULL};
    int failed = posix_spawn(pid, SHELL, NULL, &attributes, argv, environ);
    (void)posix_spawnattr_destroy(&attributes);
    return failed;
}

bool editor_run(const char *path, struct error *err)
{
    CLEANUP(free_ptr) char *script = editor_script();
    pid_t pid;
    int failed = spawn(script, path, &pid);
    if (failed != 0)
        return error_errno(err, ERR_IO, failed, "%s", SHELL);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status))
        return error_set(err, ERR_CANCELLED, "the editor was ended by signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        return error_set(err, ERR_CANCELLED, "the editor ended with status %d",
                         WEXITSTATUS(status));
    return true;
}

// --- the difference ---

static const char *line_colour(const char *line)
{
    static const struct {
        const char *start;
        enum mark mark;
    } kinds[] = {{"-", MARK_FAILED}, {"+", MARK_OK}, {"@@", MARK_RUNNING}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strncmp(line, kinds[i].start, strlen(kinds[i].start)) == 0)
            return mark_colour(kinds[i].mark);
    }
    return "";
}

static void print_lines(const char *text, bool colour, FILE *out)
{
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        CLEANUP(free_ptr) char *line = xstrndup(text, len);
        CLEANUP(free_ptr) char *clean = text_clean(line);
        const char *begin = colour ? line_colour(line) : "";
        (void)fprintf(out, "%s%s%s\n", begin, clean, begin[0] != '\0' ? COLOUR_END : "");
        text += len + (text[len] == '\n');
    }
}

// False when there is no diff, or it did not do.
static bool run_diff(const char *before, const char *before_label, const char *after,
                     const char *after_label, struct buffer *difference)
{
    struct editor_file file;
    if (!editor_file_make("before.yaml", before, &file, NULL))
        return false;
    const char *path = getenv("PATH");
    CLEANUP(free_ptr) char *search = xasprintf("PATH=%s", path ? path : "/usr/bin:/bin");
    // diff exits with 1 when there is a difference.
    const char *const argv[] = {
        SHELL,     "-c",         "diff -u -L \"$1\" -L \"$2\" \"$3\" - || [ $? -eq 1 ]",
        "diff",    before_label, after_label,
        file.path, NULL};
    const char *const environment[] = {search, NULL};
    bool ok = child_run(argv, environment, after, strlen(after), DIFF_TIMEOUT_MS, difference, NULL);
    editor_file_remove(&file);
    return ok;
}

void show_difference(const json_t *before, const char *before_label, const json_t *after,
                     const char *after_label, bool colour, FILE *out)
{
    CLEANUP(free_ptr) char *one = yaml_write(before);
    CLEANUP(free_ptr) char *other = yaml_write(after);
    CLEANUP(buffer_finish) struct buffer difference = {.cap = DIFF_MAX};
    if (run_diff(one, before_label, other, after_label, &difference)) {
        print_lines(buffer_text(&difference), colour, out);
        return;
    }
    CLEANUP(json_ptr) json_t *patch = merge_between(before, after);
    CLEANUP(free_ptr) char *changes = yaml_write(patch);
    (void)fprintf(out, "%s, where it is not as %s:\n", after_label, before_label);
    print_lines(changes, false, out);
}
