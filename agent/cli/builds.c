// builds: image builds, how they ended, how long each step took.

#include "agent/base/text.h"
#include "agent/cli/output.h"
#include "agent/cli/table.h"
#include "agent/cli/times.h"
#include "webhooks/repository.h"

#include <string.h>

#define BUILDS_SHOWN 20

static const struct naming build_naming = {NULL, {"build", NULL}};
static const struct naming builds_naming = {"builds", {"build", NULL}};

static const char *const headers[] = {"BUILD", "COMMIT",  "REPOSITORY", "RESULT",
                                      "FETCH", "CONTEXT", "KANIKO",     "PATCH"};
#define COLUMNS (sizeof(headers) / sizeof(headers[0]))
static const char *const wide_headers[] = {"BUILD",  "COMMIT", "REPOSITORY", "SUBJECT", "AUTHOR",
                                           "RESULT", "FETCH",  "CONTEXT",    "KANIKO",  "PATCH"};
#define WIDE_COLUMNS (sizeof(wide_headers) / sizeof(wide_headers[0]))

static const char *const step_fields[] = {"fetchSeconds", "contextSeconds", "kanikoSeconds",
                                          "patchSeconds"};

static void add_steps(struct table *table, const json_t *build)
{
    for (size_t i = 0; i < sizeof(step_fields) / sizeof(step_fields[0]); i++) {
        const json_t *seconds = json_at(build, step_fields[i], NULL);
        char text[TIME_TEXT_SIZE];
        seconds_text(json_number_value(seconds), text);
        table_cell(table, "%s", json_is_number(seconds) ? text : "-");
    }
}

static void add_build(struct table *table, const json_t *build)
{
    char commit[COMMIT_SIZE];
    commit_short(field(build, "commit"), commit);
    const char *id = field_or_dash(build, "build");
    const char *state = field_or_dash(build, "state");
    const char *detail = field(build, "detail");
    table_cell(table, "%s", id);
    table_cell(table, "%s", commit);
    CLEANUP(free_ptr) char *source = repository_short(field_or_dash(build, "repository"));
    table_cell(table, "%s %s", source, field_or_dash(build, "branch"));
    if (table->columns == WIDE_COLUMNS) {
        table_cell(table, "%s", field_or_dash(build, "subject"));
        table_cell(table, "%s", field_or_dash(build, "author"));
    }
    if (strcmp(state, "done") == 0) {
        json_int_t services = field_int(build, "services", 0);
        table_mark(table, MARK_OK, "%" JSON_INTEGER_FORMAT " service%s", services,
                   services == 1 ? "" : "s");
    } else if (strcmp(state, "failed") == 0) {
        table_rest(table, MARK_FAILED, "%s   try: cronwright logs --build %s",
                   detail[0] ? detail : field_or_dash(build, "reason"), id);
    } else if (strcmp(state, "superseded") == 0 || strcmp(state, "filtered") == 0) {
        table_rest(table, MARK_SKIPPED, "%s", detail[0] ? detail : state);
    } else if (detail[0] != '\0') { // what it waits for
        const char *reason = field(build, "reason");
        table_rest(table, MARK_WAITING, "%s: %s", reason[0] ? reason : state, detail);
    } else {
        table_mark(table, strcmp(state, "waiting") == 0 ? MARK_WAITING : MARK_RUNNING, "%s", state);
    }
    if (table->count % table->columns != 0)
        add_steps(table, build);
}

static bool list_path(const struct session *session, char **path, struct error *err)
{
    static const struct query_option query[] = {{OPTION_BRANCH, "branch"},
                                                {OPTION_COMMIT, "commit"}};
    const struct call *call = session->call;
    char identity[REPOSITORY_MAX + 1] = "";
    const char *repository = call->text[OPTION_REPOSITORY];
    const char *before = call->text[OPTION_BEFORE];
    int64_t number = 0;
    if (repository != NULL && !repository_identify(repository, identity, err))
        return error_wrap(err, "--repository");
    if (before != NULL &&
        !text_to_int(text_starts(before, "b-") ? before + 2 : before, 1, INT64_MAX, &number))
        return error_set(err, ERR_INVALID, "--before: \"%s\" is no build like b-51", before);
    CLEANUP(free_ptr) char *options = session_query(session, query, 2);
    CLEANUP(free_ptr) char *escaped = http_escape(identity);
    CLEANUP(free_ptr)
    char *page = before ? xasprintf("&before=%lld", (long long)number) : xstrdup("");
    *path =
        xasprintf("/v1/builds%s%climit=%d%s%s%s", options, options[0] ? '&' : '?',
                  (int)(call_has(call, OPTION_LIMIT) ? call->number[OPTION_LIMIT] : BUILDS_SHOWN),
                  page, repository ? "&repository=" : "", escaped);
    return true;
}

static int list_builds(struct session *session)
{
    struct error err;
    CLEANUP(free_ptr) char *path = NULL;
    CLEANUP(json_ptr) json_t *answer = NULL;
    if (!list_path(session, &path, &err) || !client_get(&session->client, path, &answer, &err))
        return session_fail(session, &err);
    if (output_print(session, answer, &builds_naming))
        return STATUS_OK;
    const json_t *builds = json_at(answer, "builds", NULL);
    bool wide = output_of(session) == OUTPUT_WIDE;
    struct table table = {.screen = &session->screen,
                          .headers = wide ? wide_headers : headers,
                          .columns = wide ? WIDE_COLUMNS : COLUMNS};
    for (size_t i = 0; i < json_array_size(builds); i++)
        add_build(&table, json_array_get(builds, i));
    if (table.count > 0)
        table_print(&table, !call_has(session->call, OPTION_NO_HEADERS), stdout);
    else
        screen_say(&session->screen, MARK_NONE,
                   "No builds. A push makes one: cronwright deliveries");
    table_finish(&table);
    return STATUS_OK;
}

static void print_lines(const char *label, const json_t *lines)
{
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const char *text = json_string_value(json_array_get(lines, i));
        CLEANUP(free_ptr) char *line = text_clean(text ? text : "");
        (void)printf("%-10s  %s\n", i == 0 ? label : "", line);
    }
}

static void show_build(const struct session *session, const json_t *build)
{
    static const char *const names[] = {
        "build",  "state", "reason", "detail", "repository", "branch",  "commit",   "subject",
        "author", "image", "digest", "job",    "created",    "started", "finished", NULL};
    print_fields(session, build, names);
    print_lines("last lines", json_at(build, "lastLines", NULL));
    print_lines("notes", json_at(build, "notes", NULL));
    const json_t *patches = json_at(build, "patches", NULL);
    for (size_t i = 0; i < json_array_size(patches); i++) {
        const json_t *patch = json_array_get(patches, i);
        CLEANUP(free_ptr) char *from = text_clean(field_or_dash(patch, "oldImage"));
        CLEANUP(free_ptr) char *to = text_clean(field_or_dash(patch, "newImage"));
        (void)printf("%-10s  %s/%s\n%-10s    %s %s %s\n", i == 0 ? "patched" : "",
                     field_or_dash(patch, "namespace"), field_or_dash(patch, "name"), "", from,
                     screen_arrow(&session->screen), to);
    }
}

static int one_build(struct session *session, const char *build)
{
    struct error err;
    CLEANUP(json_ptr) json_t *json = NULL;
    CLEANUP(free_ptr) char *path = xasprintf("/v1/builds/%s", build);
    if (!name_check("build", build, &err) || !client_get(&session->client, path, &json, &err))
        return session_fail(session, &err);
    if (!output_print(session, json, &build_naming))
        show_build(session, json);
    return STATUS_OK;
}

int command_builds(struct session *session)
{
    return session->call->operand_count > 0 ? one_build(session, session->call->operands[0])
                                            : list_builds(session);
}
