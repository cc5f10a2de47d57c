// doctor: what may be wrong, by the agent's own look at itself and by ours at the agent.

#include "agent/base/text.h"
#include "agent/base/threads.h"
#include "agent/cli/output.h"
#include "agent/settings.h"

#include <string.h>

#define QUIET_MS    2000 // then somebody who waits is told why
#define GROUP_WIDTH 12   // of the longest group's name, and two spaces

static const struct naming groups_naming = {"groups", {"group", NULL}};

// --- our own checks ---

static void add_check(json_t *checks, const char *check, const char *state, const char *text,
                      const char *fix)
{
    (void)json_array_append_new(checks,
                                json_pack("{s:s, s:s, s:o, s:o}", "check", check, "state", state,
                                          "text", json_text(text), "fix", json_text_or_null(fix)));
}

// The lines of an error's text after the first say what to do.
static void add_failure(json_t *checks, const char *check, const struct error *err)
{
    size_t first = strcspn(err->text, "\n");
    CLEANUP(free_ptr) char *text = xstrndup(err->text, first);
    CLEANUP(free_ptr) char *fix = xstrdup(err->text[first] ? err->text + first + 1 : "");
    for (char *at = fix; (at = strchr(at, '\n')) != NULL;)
        *at = ' ';
    add_check(checks, check, "problem", text, fix);
}

// The settings' file of an agent that need not run. `listen` becomes where it says that the agent
// is asked, "" when it cannot be told.
static void check_settings(const char *path, json_t *checks, char *listen, size_t room)
{
    struct settings *settings;
    CLEANUP(config_errors_finish) struct config_errors errors = {0};
    if (settings_load(path, &settings, &errors)) {
        CLEANUP(settings_drop_ptr) const struct config *config = settings_hold(settings);
        const struct config_address *address = &config->admin.listen;
        if (address->unix_path)
            (void)snprintf(listen, room, "unix:%s", address->unix_path);
        else
            (void)snprintf(listen, room, "%s port %u", address->host, address->port);
        add_check(checks, "settings", "good", path, NULL);
        settings_destroy(settings);
        return;
    }
    CLEANUP(free_ptr) char *fix = xasprintf("edit it, and: cronwright agent --check -c %s", path);
    for (size_t i = 0; i < errors.count; i++) {
        const struct config_error *error = &errors.items[i];
        CLEANUP(free_ptr)
        char *text = error->line
                         ? xasprintf("%s:%d:%d %s", path, error->line, error->column, error->text)
                         : xasprintf("%s: %s", path, error->text);
        add_check(checks, "settings", "problem", text, fix);
    }
}

static void check_agent(const struct session *session, const json_t *answer,
                        const struct error *err, const char *listen, json_t *checks)
{
    const char *version = field(answer, "version");
    CLEANUP(free_ptr)
    char *differ = xasprintf("it is %s, this program " CRONWRIGHT_VERSION, version);
    CLEANUP(free_ptr) char *answers = xasprintf("%s answers", session->client.url);
    struct error failure = err ? *err : (struct error){0};
    if (err && err->code == ERR_NOT_FOUND)
        (void)error_set(&failure, ERR_NOT_FOUND,
                        "the agent at %s is too old to be asked\nInstall the version of this "
                        "program (" CRONWRIGHT_VERSION ") there",
                        session->client.url);
    else if (err && listen[0] && (err->code == ERR_UNAVAILABLE || err->code == ERR_TIMEOUT))
        (void)error_set(&failure, err->code, "%s; its settings say that it listens at %s",
                        err->text, listen);
    if (err)
        add_failure(checks, "reached", &failure);
    else
        add_check(checks, "reached", "good", answers, NULL);
    if (version[0] && strcmp(version, CRONWRIGHT_VERSION) != 0)
        add_check(checks, "version", "warning", differ, "install the same version of both");
}

// --- waiting for the agent ---

struct patience {
    struct screen *screen;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool over;
};

static void *explain_wait(void *user)
{
    static const char text[] = "the agent looks at everything, which takes up to half a minute";
    struct patience *patience = user;
    struct mono_time quiet = mono_after(QUIET_MS);
    (void)pthread_mutex_lock(&patience->lock);
    while (!patience->over && !mono_past(quiet))
        (void)condition_wait(&patience->changed, &patience->lock, quiet);
    if (!patience->over && patience->screen->redraw)
        screen_wait(patience->screen, "%s", text);
    else if (!patience->over)
        screen_say(patience->screen, MARK_WAITING, "%s", text);
    (void)pthread_mutex_unlock(&patience->lock);
    return NULL;
}

static bool ask_agent(struct session *session, json_t **answer, struct error *err)
{
    struct patience patience = {.screen = &session->screen, .lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_t thread;
    condition_init(&patience.changed);
    thread_start(&thread, "patience", explain_wait, &patience);
    bool asked = client_get(&session->client, "/v1/doctor", answer, err);
    (void)pthread_mutex_lock(&patience.lock);
    patience.over = true;
    (void)pthread_cond_broadcast(&patience.changed);
    (void)pthread_mutex_unlock(&patience.lock);
    (void)pthread_join(thread, NULL);
    (void)pthread_cond_destroy(&patience.changed);
    screen_unwait(&session->screen);
    return asked;
}

// --- what is printed ---

static enum mark mark_of(const json_t *check)
{
    static const struct {
        const char *state;
        enum mark mark;
    } marks[] = {{"good", MARK_OK}, {"warning", MARK_WARNING}, {"skipped", MARK_SKIPPED}};
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        if (field_is(check, "state", marks[i].state))
            return marks[i].mark;
    }
    return MARK_FAILED;
}

// A line of a group, whose name stands before its first.
static void print_line(const struct session *session, const char **group, enum mark mark,
                       const char *text)
{
    CLEANUP(free_ptr) char *clean = text_clean(text);
    CLEANUP(free_ptr) char *line = mark_text(&session->screen, mark, clean);
    const char *colour = session->screen.colour_out ? mark_colour(mark) : "";
    (void)printf("%-*s%s%s%s\n", GROUP_WIDTH, *group, colour, line, colour[0] ? COLOUR_END : "");
    *group = "";
}

// All that is good, in one line.
static void print_good(const struct session *session, const char **group, const json_t *checks)
{
    CLEANUP(buffer_finish) struct buffer line = {0};
    CLEANUP(json_ptr) json_t *said = json_object();
    bool any = false;
    for (size_t i = 0; i < json_array_size(checks); i++) {
        const json_t *check = json_array_get(checks, i);
        const char *text = field(check, "text");
        if (mark_of(check) != MARK_OK)
            continue;
        any = true;
        if (json_object_get(said, text) == NULL &&
            !buffer_printf(&line, NULL, "%s%s", line.len ? ", " : "", text))
            return; // tens of megabytes of it
        (void)json_object_set_new(said, text, json_true());
    }
    if (any)
        print_line(session, group, MARK_OK, buffer_text(&line));
}

static void print_check(const struct session *session, const char **group, const json_t *check)
{
    enum mark mark = mark_of(check);
    const char *fix = field(check, "fix");
    print_line(session, group, mark, field(check, "text"));
    if (fix[0] == '\0' || (mark == MARK_SKIPPED && output_of(session) != OUTPUT_WIDE))
        return;
    CLEANUP(free_ptr) char *clean = text_clean(fix);
    (void)printf("%-*s  fix: %s\n", GROUP_WIDTH, "", clean);
}

static void print_group(const struct session *session, const json_t *group)
{
    CLEANUP(free_ptr) char *clean = text_clean(field(group, "group"));
    const char *name = clean;
    const json_t *checks = json_at(group, "checks", NULL);
    bool wide = output_of(session) == OUTPUT_WIDE;
    if (!wide)
        print_good(session, &name, checks);
    for (size_t i = 0; i < json_array_size(checks); i++) {
        const json_t *check = json_array_get(checks, i);
        if (wide || mark_of(check) != MARK_OK)
            print_check(session, &name, check);
    }
    if (name[0] != '\0')
        print_line(session, &name, MARK_SKIPPED, "nothing to look at");
}

static void print_counts(const struct session *session, json_int_t problems, json_int_t warnings)
{
    const char *dash = session->screen.utf8 ? "✔ " : "";
    if (problems == 0 && warnings == 0)
        (void)printf("%sall is well\n", dash);
    else
        (void)printf("%d problem%s, %d warning%s\n", (int)problems, problems == 1 ? "" : "s",
                     (int)warnings, warnings == 1 ? "" : "s");
}

static json_int_t count(const json_t *checks, const char *state)
{
    json_int_t found = 0;
    for (size_t i = 0; i < json_array_size(checks); i++)
        found += field_is(json_array_get(checks, i), "state", state);
    return found;
}

// Ours come first: without the agent there are no others.
static json_t *join(const json_t *answer, json_t *checks)
{
    json_t *all = answer ? json_copy(json_unconst(answer)) : json_object();
    json_t *groups = json_pack("[{s:s, s:O}]", "group", "agent", "checks", checks);
    (void)json_array_extend(groups, json_object_get(all, "groups"));
    (void)json_object_set_new(all, "groups", groups);
    (void)json_object_set_new(
        all, "problems", json_integer(field_int(answer, "problems", 0) + count(checks, "problem")));
    (void)json_object_set_new(
        all, "warnings", json_integer(field_int(answer, "warnings", 0) + count(checks, "warning")));
    return all;
}

int command_doctor(struct session *session)
{
    struct error err;
    char listen[512] = "";
    const char *config = session->call->text[OPTION_CONFIG];
    CLEANUP(json_ptr) json_t *checks = json_array();
    CLEANUP(json_ptr) json_t *answer = NULL;
    CLEANUP(json_ptr) json_t *settings = json_array();
    if (config != NULL)
        check_settings(config, settings, listen, sizeof(listen));
    bool asked = ask_agent(session, &answer, &err);
    check_agent(session, answer, asked ? NULL : &err, listen, checks);
    (void)json_array_extend(checks, settings);
    (void)json_object_clear(session->client.refusal); // it is among the findings
    CLEANUP(json_ptr) json_t *all = join(answer, checks);
    json_int_t problems = field_int(all, "problems", 0);
    if (!output_print(session, all, &groups_naming)) {
        const json_t *groups = json_at(all, "groups", NULL);
        for (size_t i = 0; i < json_array_size(groups); i++)
            print_group(session, json_array_get(groups, i));
        print_counts(session, problems, field_int(all, "warnings", 0));
    }
    return problems > 0 ? STATUS_FAILED : STATUS_OK;
}
