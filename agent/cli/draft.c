#include "agent/cli/draft.h"

#include "agent/base/text.h"

#include <string.h>

enum form {
    FORM_TEXT,   // also one of a choice
    FORM_NUMBER, //
    FORM_ITEMS,  // a list of the texts
    FORM_MAP,    // NAME=VALUE as members of an object
    FORM_NAMED,  // NAME=VALUE as {name, value} in a list
};

#define PATH_DEPTH 3

static const struct setting {
    enum option_id option;
    const char *name; // of the option
    enum form form;
    const char *path[PATH_DEPTH + 1]; // in the document, ended by NULL
} settings[] = {
    {OPTION_PROJECT, "project", FORM_TEXT, {"project"}},
    {OPTION_REPOSITORY, "repository", FORM_TEXT, {"source", "git", "repository"}},
    {OPTION_BRANCH, "branch", FORM_TEXT, {"source", "git", "branch"}},
    {OPTION_DOCKERFILE, "dockerfile", FORM_TEXT, {"source", "git", "dockerfile"}},
    {OPTION_CONTEXT, "context", FORM_TEXT, {"source", "git", "context"}},
    {OPTION_TARGET, "target", FORM_TEXT, {"source", "git", "target"}},
    {OPTION_PATH, "path", FORM_ITEMS, {"source", "git", "paths"}},
    {OPTION_BUILD_ARG, "build-arg", FORM_MAP, {"source", "git", "buildArgs"}},
    {OPTION_CONTAINER, "container", FORM_TEXT, {"container", "name"}},
    {OPTION_WORKING_DIR, "working-dir", FORM_TEXT, {"container", "workingDir"}},
    {OPTION_PULL_SECRET, "pull-secret", FORM_TEXT, {"container", "pullSecret"}},
    {OPTION_ENV, "env", FORM_NAMED, {"env"}},
    {OPTION_SCHEDULE, "schedule", FORM_TEXT, {"schedule"}},
    {OPTION_TIME_ZONE, "time-zone", FORM_TEXT, {"timeZone"}},
    {OPTION_RESTARTS, "restarts", FORM_NUMBER, {"restarts"}},
    {OPTION_MAX_DURATION, "max-duration", FORM_NUMBER, {"maxDurationSeconds"}},
    {OPTION_CONCURRENCY, "concurrency", FORM_TEXT, {"concurrency"}},
    {OPTION_STARTING_DEADLINE, "starting-deadline", FORM_NUMBER, {"startingDeadlineSeconds"}},
    {OPTION_FAILED_HISTORY, "failed-history", FORM_NUMBER, {"history", "failed"}},
    {OPTION_SUCCEEDED_HISTORY, "succeeded-history", FORM_NUMBER, {"history", "succeeded"}},
    {OPTION_MISSED, "missed", FORM_TEXT, {"missed"}},
    {OPTION_FIRST_RUN, "first-run", FORM_TEXT, {"firstRun"}},
    {OPTION_RESTART_POLICY, "restart-policy", FORM_TEXT, {"restartPolicy"}},
    {OPTION_REQUEST_CPU, "request-cpu", FORM_TEXT, {"resources", "requests", "cpu"}},
    {OPTION_REQUEST_MEMORY, "request-memory", FORM_TEXT, {"resources", "requests", "memory"}},
    {OPTION_LIMIT_CPU, "limit-cpu", FORM_TEXT, {"resources", "limits", "cpu"}},
    {OPTION_LIMIT_MEMORY, "limit-memory", FORM_TEXT, {"resources", "limits", "memory"}},
    {OPTION_SERVICE_ACCOUNT, "service-account", FORM_TEXT, {"serviceAccount"}},
};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

bool assignment_add(const char *option, const char *text, json_t *out, struct error *err)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text)
        return error_set(err, ERR_INVALID, "--%s: \"%s\" is not NAME=VALUE", option, text);
    CLEANUP(free_ptr) char *name = xstrndup(text, (size_t)(equals - text));
    if (!text_is_utf8(name, strlen(name)) || !text_is_utf8(equals, strlen(equals)))
        return error_set(err, ERR_INVALID, "--%s: not UTF-8", option);
    if (json_object_get(out, name) != NULL)
        return error_set(err, ERR_INVALID, "--%s: %s is given twice", option, name);
    (void)json_object_set_new(out, name, json_text(equals + 1));
    return true;
}

// {"a": "b"} as [{"name": "a", "value": "b"}]. Takes `members`.
static json_t *named_values(json_t *members)
{
    json_t *list = json_array();
    const char *name;
    json_t *value;
    json_object_foreach(members, name, value)(void)
        json_array_append_new(list, json_pack("{s:s, s:O}", "name", name, "value", value));
    json_decref(members);
    return list;
}

static bool listed_value(const struct call *call, const struct setting *setting, json_t **out,
                         struct error *err)
{
    CLEANUP(json_ptr) json_t *items = json_array();
    CLEANUP(json_ptr) json_t *members = json_object();
    for (size_t i = 0; i < call->listed_count; i++) {
        const struct listed *listed = &call->listed[i];
        if (listed->option != setting->option)
            continue;
        if (setting->form == FORM_ITEMS)
            (void)json_array_append_new(items, json_text(listed->text));
        else if (!assignment_add(setting->name, listed->text, members, err))
            return false;
    }
    *out = setting->form == FORM_ITEMS ? TAKE(items)
           : setting->form == FORM_MAP ? TAKE(members)
                                       : named_values(TAKE(members));
    return true;
}

// Takes `value`.
static void set_at(json_t *root, const char *const path[], json_t *value)
{
    for (; path[1] != NULL; path++) {
        json_t *next = json_object_get(root, path[0]);
        if (next == NULL) {
            next = json_object();
            (void)json_object_set_new(root, path[0], next);
        }
        root = next;
    }
    (void)json_object_set_new(root, path[0], value);
}

static bool set_option(const struct call *call, const struct setting *setting, json_t *root,
                       struct error *err)
{
    json_t *value;
    if (setting->form == FORM_TEXT)
        value = json_text(call->text[setting->option]);
    else if (setting->form == FORM_NUMBER)
        value = json_integer(call->number[setting->option]);
    else if (!listed_value(call, setting, &value, err))
        return false;
    set_at(root, setting->path, value);
    return true;
}

static const char *const pushed_image[] = {"image", NULL};
static const char *const given_image[] = {"source", "image", NULL};

bool draft_make(const struct call *call, json_t **out, struct error *err)
{
    CLEANUP(json_ptr) json_t *root = json_object();
    for (size_t i = 0; i < SETTINGS; i++) {
        if (call_has(call, settings[i].option) && !set_option(call, &settings[i], root, err))
            return false;
    }
    if (call_has(call, OPTION_IMAGE))
        set_at(root, call_has(call, OPTION_REPOSITORY) ? pushed_image : given_image,
               json_text(call->text[OPTION_IMAGE]));
    if (call->rest_count > 0) {
        json_t *words = json_array();
        for (size_t i = 0; i < call->rest_count; i++)
            (void)json_array_append_new(words, json_text(call->rest[i]));
        const char *const path[] = {"container",
                                    call_has(call, OPTION_COMMAND) ? "command" : "args", NULL};
        set_at(root, path, words);
    }
    *out = TAKE(root);
    return true;
}

// How far a pointer, which may lead on, agrees with a path.
static bool is_at(const char *pointer, const char *const path[])
{
    for (; *path != NULL; path++) {
        size_t len = strlen(*path);
        if (*pointer++ != '/' || strncmp(pointer, *path, len) != 0)
            return false;
        pointer += len;
    }
    return *pointer == '\0' || *pointer == '/';
}

const char *draft_option(const char *pointer)
{
    if (is_at(pointer, pushed_image) || is_at(pointer, given_image))
        return "image";
    if (strcmp(pointer, "/container") == 0) // of several, which one
        return "container";
    for (size_t i = 0; i < SETTINGS; i++) {
        if (is_at(pointer, settings[i].path))
            return settings[i].name;
    }
    return NULL;
}
