#include "agent/repair.h"

#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/process.h"
#include "agent/base/text.h"
#include "agent/children.h"
#include "agent/settings.h"
#include "agent/store/check.h"
#include "agent/store/runs.h"
#include "build/mirror.h"

#include <dirent.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SLACK_MS    5000 // beyond the child's own deadline
#define LOCK_SUFFIX ".lock"

static const char *const words[MEND_COUNT] = {
    [MEND_GOOD] = "good",
    [MEND_MENDED] = "mended",
    [MEND_LOST] = "lost",
    [MEND_FAILED] = "failed",
};

struct repair {
    const struct config *config;
    const char *part; // that is being looked at: "database"
    bool as_json;
    bool found;  // something was told of the part
    bool failed; // of all parts
    json_t *findings;
};

static void note(struct repair *repair, enum mend mend, const char *text)
{
    repair->found = true;
    repair->failed |= mend == MEND_FAILED;
    json_array_append_new(repair->findings, json_pack("{s:s, s:s, s:s}", "part", repair->part,
                                                      "state", words[mend], "text", text));
}

static void told(void *user, enum mend mend, const char *text)
{
    struct repair *repair = user;
    note(repair, mend, text);
    if (!repair->as_json)
        (void)printf("%-7s %s: %s\n", words[mend], repair->part, text);
}

PRINTF_LIKE(3, 4)
static void tell(struct repair *repair, enum mend mend, const char *fmt, ...)
{
    va_list arguments;
    char text[ERROR_TEXT_MAX];
    va_start(arguments, fmt);
    vsnprintf(text, sizeof text, fmt, arguments);
    va_end(arguments);
    told(repair, mend, text);
}

static void begin(struct repair *repair, const char *part)
{
    repair->part = part;
    repair->found = false;
}

static void end(struct repair *repair)
{
    if (!repair->found)
        tell(repair, MEND_GOOD, "nothing is wrong");
}

// --- names in a directory ---

struct names {
    char **items;
    size_t count;
};

static void names_finish(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
}

// All but those with a dot in front; none when there is no such directory.
static void list_names(const char *path, struct names *out)
{
    DIR *directory = opendir(path);
    for (const struct dirent *entry; directory && (entry = readdir(directory));) {
        if (*entry->d_name == '.')
            continue;
        out->items = xrealloc(out->items, (out->count + 1) * sizeof *out->items);
        out->items[out->count++] = xstrdup(entry->d_name);
    }
    if (directory)
        closedir(directory);
}

static bool remove_it(struct repair *repair, const char *path)
{
    struct error err;
    if (directory_remove(path, &err))
        return true;
    tell(repair, MEND_FAILED, "%s", err.text);
    return false;
}

// --- mirrors ---

static void wake(void *user, const char *name)
{
    (void)name;
    uint64_t one = 1;
    ssize_t written = write(*(const int *)user, &one, sizeof one);
    (void)written; // full means readable
}

// False: *why says what is wrong with it, and `damaged` whether it is to blame itself.
static bool verify(const struct config *config, const char *mirror, bool *damaged,
                   struct error *why)
{
    CLEANUP(close_fd) int ended = eventfd(0, EFD_CLOEXEC);
    CLEANUP(buffer_finish) struct buffer input = {0};
    struct child_result result = {0};
    struct git_answers answers;
    *damaged = false;
    if (!git_request_verify(mirror, (int)(config->git.timeout_ms / 1000), &input, why))
        return false;
    struct children *children = children_create((struct children_bounds){1, 1, 1});
    children_ask(children, mirror,
                 &(struct child_request){.program = config->git.helper,
                                         .input = input.data,
                                         .input_len = input.len,
                                         .timeout_ms = config->git.timeout_ms + SLACK_MS,
                                         .wake = wake,
                                         .user = &ended});
    bool told_end = children_run(children, ended, (struct mono_time){INT64_MAX}) &&
                    children_take(children, mirror, &result) == CHILD_ENDED;
    children_destroy(children);
    git_answers_init(&answers);
    git_answers_feed(&answers, buffer_text(&result.output), result.output.len);
    *damaged = answers.state == GIT_FAILED && answers.error.code != ERR_TIMEOUT; // it says so
    git_answers_end(&answers, result.exit_status, result.ran ? NULL : &result.error);
    bool good = told_end && answers.state == GIT_DONE;
    *why = answers.error;
    git_answers_finish(&answers);
    child_result_finish(&result);
    return good;
}

static bool is_mirror(const char *name)
{
    return strlen(name) == GIT_MIRROR_NAME_SIZE - 1 &&
           strspn(name, "0123456789abcdef") == GIT_MIRROR_NAME_SIZE - 1;
}

static void mend_mirror(struct repair *repair, const char *path)
{
    bool damaged;
    struct error why;
    if (verify(repair->config, path, &damaged, &why))
        return;
    if (!damaged)
        tell(repair, MEND_FAILED, "%s cannot be verified: %s", path, why.text);
    else if (remove_it(repair, path))
        tell(repair, MEND_MENDED, "%s was damaged and is removed, to be made again: %s", path,
             why.text);
}

static void mend_mirrors(struct repair *repair)
{
    CLEANUP(free_ptr) char *top = xasprintf("%s/mirrors", repair->config->state_directory);
    CLEANUP(names_finish) struct names names = {0};
    begin(repair, "mirrors");
    list_names(top, &names);
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(free_ptr) char *path = xasprintf("%s/%s", top, names.items[i]);
        if (is_mirror(names.items[i]))
            mend_mirror(repair, path);
    }
    // Locks of mirrors that are gone; no child is there that could have one.
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(free_ptr) char *lock = xasprintf("%s/%s", top, names.items[i]);
        CLEANUP(free_ptr)
        char *mirror =
            xstrndup(lock, strlen(lock) - text_ends(lock, LOCK_SUFFIX) * strlen(LOCK_SUFFIX));
        if (text_ends(lock, LOCK_SUFFIX) && access(mirror, F_OK) != 0)
            unlink(lock);
    }
    end(repair);
}

// --- logs, contexts ---

static bool has_build(struct store *store, const char *name)
{
    struct build build;
    struct error err;
    int64_t id;
    return !text_starts(name, "b-") || !text_to_int(name + 2, 1, INT64_MAX, &id) ||
           store_build_get(store, id, &build, &err) || err.code != ERR_NOT_FOUND;
}

static bool has_run(struct store *store, const char *uid)
{
    struct run_record record = {0};
    struct error err;
    bool there = store_run_get(store, uid, &record, &err) || err.code != ERR_NOT_FOUND;
    run_record_finish(&record);
    return there;
}

static int64_t remove_orphans(struct repair *repair, struct store *store, const char *directory,
                              bool (*has)(struct store *store, const char *name))
{
    CLEANUP(names_finish) struct names names = {0};
    int64_t removed = 0;
    list_names(directory, &names);
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(free_ptr) char *path = xasprintf("%s/%s", directory, names.items[i]);
        if (!has(store, names.items[i]))
            removed += remove_it(repair, path);
    }
    return removed;
}

static void mend_logs(struct repair *repair, struct store *store, bool whole)
{
    const char *state = repair->config->state_directory;
    CLEANUP(free_ptr) char *builds = xasprintf("%s/logs/builds", state);
    CLEANUP(free_ptr) char *runs = xasprintf("%s/logs/runs", state);
    CLEANUP(names_finish) struct names namespaces = {0};
    begin(repair, "logs");
    if (!whole) {
        tell(repair, MEND_GOOD, "all stay, since rows that they belong to may be lost");
        return;
    }
    int64_t removed = remove_orphans(repair, store, builds, has_build);
    list_names(runs, &namespaces);
    for (size_t i = 0; i < namespaces.count; i++) {
        CLEANUP(free_ptr) char *path = xasprintf("%s/%s", runs, namespaces.items[i]);
        removed += remove_orphans(repair, store, path, has_run);
    }
    if (removed > 0)
        tell(repair, MEND_MENDED, "%" PRId64 " that belong to no build or run were removed",
             removed);
    end(repair);
}

static bool has_none(struct store *store, const char *name)
{
    (void)store;
    (void)name;
    return false;
}

// They are packed again when a pod asks for them.
static void mend_contexts(struct repair *repair)
{
    CLEANUP(free_ptr) char *path = xasprintf("%s/contexts", repair->config->state_directory);
    begin(repair, "contexts");
    int64_t removed = remove_orphans(repair, NULL, path, has_none);
    if (removed > 0)
        tell(repair, MEND_MENDED, "%" PRId64 " that were left over were removed", removed);
    end(repair);
}

// --- all of it ---

static bool mend_database(struct repair *repair, bool *whole, struct error *err)
{
    const char *state = repair->config->state_directory;
    CLEANUP(close_fd) int held = -1;
    struct error why;
    begin(repair, "database");
    if (!directory_make(state, err))
        return false;
    if (!store_hold(state, &held, &why))
        return error_set(err, why.code, "%s: %s%s", state, why.text,
                         why.code == ERR_CONFLICT ? ": stop it first" : "");
    if (!store_mend(state, told, repair, whole, err))
        return false;
    end(repair);
    return true;
}

static bool mend_all(struct repair *repair, struct error *err)
{
    bool whole;
    struct store *store;
    if (!mend_database(repair, &whole, err) ||
        !store_open(repair->config->state_directory, &store, err))
        return false;
    mend_logs(repair, store, whole);
    mend_contexts(repair);
    mend_mirrors(repair);
    store_close(store);
    return true;
}

static int repair_with(const struct config *config, bool as_json)
{
    struct error err;
    struct repair repair = {.config = config, .as_json = as_json, .findings = json_array()};
    if (!mend_all(&repair, &err)) {
        note(&repair, MEND_FAILED, err.text);
        (void)fprintf(stderr, "cronwright: %s\n", err.text);
    }
    if (as_json) {
        CLEANUP(json_ptr)
        json_t *answer =
            json_pack("{s:b, s:O}", "good", !repair.failed, "findings", repair.findings);
        CLEANUP(free_ptr) char *text = json_write(answer);
        (void)printf("%s\n", text);
    }
    json_decref(repair.findings);
    return repair.failed ? 1 : 0;
}

// The command line's table has checked the arguments and answered --help.
int repair_main(int argc, char **argv)
{
    static const struct option options[] = {{"repair", no_argument, NULL, 'r'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"output", required_argument, NULL, 'o'},
                                            {0}};
    const char *config_path = CONFIG_PATH_DEFAULT;
    bool as_json = false;
    for (int option; (option = getopt_long(argc, argv, "c:o:", options, NULL)) != -1;) {
        if (option == 'c')
            config_path = optarg;
        else if (option == 'o')
            as_json = strcmp(optarg, "json") == 0;
        else if (option != 'r')
            return 2; // what asks an agent: getopt named it
    }
    struct settings *settings;
    struct config_errors errors = {0};
    bool loaded = settings_load(config_path, &settings, &errors);
    if (!loaded)
        config_errors_print(&errors, config_path, stderr);
    config_errors_finish(&errors);
    if (!loaded)
        return 1;
    signal(SIGPIPE, SIG_IGN);
    const struct config *config = settings_hold(settings);
    int status = repair_with(config, as_json);
    settings_drop(config);
    settings_destroy(settings);
    return status;
}
