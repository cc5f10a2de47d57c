// services, show.

#include "agent/base/text.h"
#include "agent/cli/session.h"
#include "agent/cli/table.h"
#include "agent/cli/times.h"

#include <stdarg.h>
#include <string.h>

#define LOG_SHOWN_MAX   ((size_t)8 << 20) // larger ones are not read just to show their end
#define LOG_SHOWN_LINES 3

static bool is(const json_t *object, const char *name, const char *value)
{
    return strcmp(field(object, name), value) == 0;
}

static bool is_failing(const json_t *service)
{
    return is(json_at(service, "lastRun", NULL), "state", "failed");
}

// --- first contact ---

// Of where webhooks are listened for ("0.0.0.0:8080", "[::]:8080"), an address to send them to:
// where that is all of the machine's, the one under which we reach the agent.
static char *webhook_url(const struct session *session, const char *listen)
{
    const char *port = strrchr(listen, ':');
    if (port == NULL || text_starts(listen, "unix:"))
        return xstrdup("https://YOUR-PROXY");
    if (!text_starts(listen, "0.0.0.0:") && !text_starts(listen, "[::]:"))
        return xasprintf("http://%s", listen);
    CLEANUP(free_ptr) char *host = client_host(&session->client);
    return xasprintf("http://%s%s", host, port);
}

static void say_first_steps(struct session *session, const json_t *answer)
{
    struct screen *screen = &session->screen;
    const char *listen = field(json_at(answer, "webhooks", NULL), "listen");
    CLEANUP(free_ptr) char *url = webhook_url(session, listen[0] ? listen : "0.0.0.0:8080");
    screen_say(screen, MARK_NONE,
               "No services yet. A service is a CronJob that says where it comes "
               "from:");
    screen_hint(screen, "kubectl label cronjob -n NAMESPACE NAME cronwright.io/managed=true");
    screen_hint(screen, "kubectl annotate cronjob -n NAMESPACE NAME \\");
    screen_hint(screen, "  cronwright.io/repository=https://github.com/acme/report "
                        "cronwright.io/branch=main");
    screen_say(screen, MARK_NONE,
               "Webhooks go to these addresses; their secrets are the agent's "
               "settings beside them:");
    screen_hint(screen, "%s/webhooks/github  webhooks.github.secretFiles", url);
    screen_hint(screen,
                "%s/webhooks/gitlab  webhooks.gitlab.tokenFiles or "
                "webhooks.gitlab.signingTokenFiles",
                url);
    screen_say(screen, MARK_NONE, "Try one:");
    screen_hint(screen,
                "cronwright sign --secret-file FILE --repository "
                "https://github.com/acme/report %s",
                url);
}

// --- the list ---

static void add_live(struct table *table, const json_t *service)
{
    char commit[COMMIT_SIZE];
    commit_short(field(json_at(service, "live", NULL), "commit"), commit);
    table_cell(table, "%s%s", commit,
               json_is_true(json_at(service, "pinned", NULL)) ? " pinned" : "");
}

static void add_last_run(struct table *table, const json_t *service, struct wall_time now)
{
    const json_t *run = json_at(service, "lastRun", NULL);
    size_t running = json_array_size(json_at(service, "running", NULL));
    CLEANUP(free_ptr)
    char *active = running > 1    ? xasprintf("%zu running", running)
                   : running == 1 ? xstrdup("running")
                                  : xstrdup("");
    CLEANUP(free_ptr) char *marked = mark_text(table->screen, MARK_RUNNING, active);
    if (!json_is_object(run)) {
        table_cell(table, "%s", json_is_null(run) ? "never run" : "-"); // or not known now
        table_cell(table, "%s", running ? marked : "");
        table_cell(table, "-");
        return;
    }
    char ago[TIME_TEXT_SIZE], took[TIME_TEXT_SIZE];
    ago_text(field_time(run, "finished"), now, ago);
    (void)field_duration(run, "durationSeconds", took);
    bool failed = is(run, "state", "failed");
    table_mark(table, failed ? MARK_FAILED : MARK_OK, "%s", failed ? field(run, "reason") : "");
    table_cell(table, "%s%s%s", ago, running ? ", " : "", running ? marked : "");
    table_cell(table, "%s", took);
}

static void print_services(const struct session *session, const json_t *services)
{
    static const char *const headers[] = {"SERVICE", "STATE", "LIVE",     "LAST RESULT",
                                          NULL,      "TOOK",  "SCHEDULE", "ZONE"};
    struct table table = {.screen = &session->screen, .headers = headers, .columns = 8};
    for (size_t i = 0; i < json_array_size(services); i++) {
        const json_t *service = json_array_get(services, i);
        table_cell(&table, "%s/%s", field(service, "namespace"), field(service, "name"));
        table_cell(&table, "%s", field_or_dash(service, "state"));
        add_live(&table, service);
        add_last_run(&table, service, session->now);
        table_cell(&table, "%s", field_or_dash(service, "schedule"));
        table_cell(&table, "%s", field_or_dash(service, "timeZone"));
    }
    table_print(&table, !call_has(session->call, OPTION_NO_HEADERS), stdout);
    table_finish(&table);
}

// What needs a person, the most important last.
static void say_troubles(struct session *session, const json_t *answer)
{
    const json_t *services = json_at(answer, "services", NULL);
    const json_t *first = NULL;
    size_t failing = 0;
    for (size_t i = 0; i < json_array_size(services); i++) {
        const json_t *service = json_array_get(services, i);
        const char *problem = field(service, "problem");
        if (problem[0] != '\0')
            screen_say(&session->screen, MARK_WARNING, "%s/%s: %s", field(service, "namespace"),
                       field(service, "name"), problem);
        if (is_failing(service) && failing++ == 0)
            first = service;
    }
    json_int_t refused = json_int_or(json_at(answer, "refused", "count", NULL), 0);
    if (refused > 0)
        screen_say(&session->screen, MARK_WARNING,
                   "%" JSON_INTEGER_FORMAT " webhook request%s refused; the last: %s. See: "
                   "cronwright deliveries",
                   refused, refused == 1 ? "" : "s",
                   field_or_dash(json_at(answer, "refused", "last", NULL), "reason"));
    if (failing > 0)
        screen_say(&session->screen, MARK_NONE, "%zu failing. See: cronwright logs --failed %s/%s",
                   failing, field(first, "namespace"), field(first, "name"));
}

int command_services(struct session *session)
{
    static const struct query_option query[] = {{OPTION_NAMESPACE, "namespace"},
                                                {OPTION_PROJECT, "project"}};
    struct error err;
    CLEANUP(json_ptr) json_t *answer = NULL;
    CLEANUP(free_ptr) char *options = session_query(session, query, 2);
    CLEANUP(free_ptr) char *path = xasprintf("/v1/services%s", options);
    if (!client_get(&session->client, path, &answer, &err))
        return session_fail(session, &err);
    const json_t *services = json_at(answer, "services", NULL);
    if (!json_is_array(services)) {
        (void)error_set(&err, ERR_PROTOCOL, "%s answered without services", session->client.url);
        return session_fail(session, &err);
    }
    if (session_wants_json(session)) {
        screen_json(answer);
        return STATUS_OK;
    }
    if (json_array_size(services) > 0)
        print_services(session, services);
    else if (options[0] != '\0')
        screen_say(&session->screen, MARK_NONE, "No such services. All: cronwright services");
    else
        say_first_steps(session, answer);
    say_troubles(session, answer);
    return STATUS_OK;
}

// --- one service ---

static void row(const char *label, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void row(const char *label, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    CLEANUP(free_ptr) char *text = NULL;
    if (vasprintf(&text, fmt, args) < 0)
        abort();
    va_end(args);
    CLEANUP(free_ptr) char *clean = text_clean(text);
    (void)printf("%-9s %s\n", label, clean);
}

static void show_head(const struct session *session, const json_t *service)
{
    const json_t *run = json_at(service, "lastRun", NULL);
    bool failed = is_failing(service);
    enum mark mark = !json_is_object(run) ? MARK_NONE : failed ? MARK_FAILED : MARK_OK;
    const char *text = !json_is_object(run) ? "never run"
                       : failed             ? "last run failed"
                                            : "last run succeeded";
    CLEANUP(free_ptr) char *marked = mark_text(&session->screen, mark, text);
    const char *colour = session->screen.colour_out ? mark_colour(mark) : "";
    (void)printf("%s/%s  %s  %s%s%s\n", field(service, "namespace"), field(service, "name"),
                 field_or_dash(service, "state"), colour, marked, colour[0] ? COLOUR_END : "");
}

static void show_source(const json_t *service)
{
    const char *repository = field(service, "repository");
    const char *context = field(service, "context");
    bool subdirectory = context[0] != '\0' && strcmp(context, ".") != 0;
    if (repository[0] == '\0')
        row("source", "image %s", field_or_dash(service, "image"));
    else
        row("source", "%s  %s  %s%s%s", repository, field_or_dash(service, "branch"),
            field_or_dash(service, "dockerfile"), subdirectory ? "  in " : "",
            subdirectory ? context : "");
}

static void show_live(const struct session *session, const json_t *service)
{
    const json_t *live = json_at(service, "live", NULL);
    const json_t *run = json_at(service, "lastRun", NULL);
    const char *subject = field(live, "subject");
    const char *author = field(live, "author");
    const char *ran = field(run, "commit");
    char commit[COMMIT_SIZE], ran_short[COMMIT_SIZE], ago[TIME_TEXT_SIZE];
    if (field(live, "commit")[0] == '\0') {
        row("live", "no commit is known of %s", field_or_dash(service, "image"));
        return;
    }
    commit_short(field(live, "commit"), commit);
    commit_short(ran, ran_short);
    ago_text(field_time(live, "patched"), session->now, ago);
    bool not_yet = ran[0] != '\0' && strcmp(ran, field(live, "commit")) != 0;
    CLEANUP(free_ptr)
    char *note =
        not_yet ? xasprintf("; not yet run (the last run had %s)", ran_short) : xstrdup("");
    row("live", "%s%s%s%s%s%s, %s%s", commit, subject[0] ? " \"" : "", subject,
        subject[0] ? "\"" : "", author[0] ? ", " : "", author, ago, note);
    if (json_is_true(json_at(service, "pinned", NULL)))
        row("pinned", "set by hand; pushes do not change it");
}

static void show_schedule(const json_t *service)
{
    const char *zone = field(service, "timeZone");
    row("schedule", "%s  %s%s", field_or_dash(service, "schedule"),
        zone[0] ? zone : "(no time zone is set: the cluster's is used, usually UTC)",
        json_is_true(json_at(service, "suspend", NULL)) ? "; suspended" : "");
}

static void show_guards(const json_t *service)
{
    json_int_t attempts = json_int_or(json_at(service, "lastRun", "maxAttempts", NULL), 0);
    char restarts[48] = "";
    if (attempts > 0)
        (void)snprintf(restarts, sizeof(restarts), ", %" JSON_INTEGER_FORMAT " restart%s",
                       attempts - 1, attempts == 2 ? "" : "s");
    row("guards", "%s%s", field_or_dash(service, "concurrency"), restarts);
    const char *owner = field(service, "owner");
    if (owner[0] != '\0')
        row("owner", "%s; it may put the old image back", owner);
}

// The last lines of a log, each behind a bar. Nothing when it cannot be had: the rest still counts.
static void show_log_end(const struct session *session, const struct service_name *service,
                         const char *run)
{
    CLEANUP(free_ptr) char *path = service_path(service, "/runs/%s/logs", run);
    CLEANUP(free_ptr) char *url = NULL;
    struct http_request request;
    struct http_response response = {0};
    client_prepare(&session->client, path, &url, &request);
    request.max_body = LOG_SHOWN_MAX;
    if (!http_perform(&request, &response, NULL))
        return;
    const char *text = buffer_text(&response.body);
    size_t end = response.status == 200 ? strlen(text) : 0;
    while (end > 0 && text[end - 1] == '\n')
        end--;
    size_t start = end;
    for (int lines = 0; start > 0; start--) {
        if (text[start - 1] == '\n' && ++lines == LOG_SHOWN_LINES)
            break;
    }
    while (start < end) {
        size_t len = strcspn(text + start, "\n");
        CLEANUP(free_ptr) char *line = xstrndup(text + start, len);
        row("", "|%s%s", line[0] ? " " : "", line);
        start += len + 1;
    }
    http_response_finish(&response);
}

static void show_last_run(const struct session *session, const json_t *json,
                          const struct service_name *service)
{
    const json_t *run = json_at(json, "lastRun", NULL);
    char ago[TIME_TEXT_SIZE], took[TIME_TEXT_SIZE];
    if (!json_is_object(run))
        return;
    ago_text(field_time(run, "finished"), session->now, ago);
    (void)field_duration(run, "durationSeconds", took);
    const char *reason = field(run, "reason");
    row("last run", "%s, %s, took %s%s%s", field_or_dash(run, "name"), ago, took,
        reason[0] ? ", " : "", reason);
    if (!is_failing(json))
        return;
    show_log_end(session, service, field(run, "name"));
    ago_text(field_time(json, "lastSuccessfulTime"), session->now, ago);
    row("last good", "%s", strcmp(ago, "-") == 0 ? "never" : ago);
}

static void show(const struct session *session, const json_t *json,
                 const struct service_name *service)
{
    show_head(session, json);
    show_source(json);
    show_live(session, json);
    show_schedule(json);
    show_guards(json);
    show_last_run(session, json, service);
    const json_t *running = json_at(json, "running", NULL);
    for (size_t i = 0; i < json_array_size(running); i++) {
        const char *name = json_string_value(json_array_get(running, i));
        row(i == 0 ? "running" : "", "%s", name ? name : "-");
    }
    const char *problem = field(json, "problem");
    row(problem[0] ? "problem" : "missing", "%s", problem[0] ? problem : "nothing");
    if (problem[0] == '\0')
        row("try", "cronwright run --follow %s/%s", service->namespace, service->name);
}

int command_show(struct session *session)
{
    struct error err;
    struct service_name service;
    CLEANUP(json_ptr) json_t *json = NULL;
    if (!session_service(session, &service, &err))
        return session_fail(session, &err);
    CLEANUP(free_ptr) char *path = service_path(&service, "%s", "");
    if (!client_get(&session->client, path, &json, &err)) {
        if (err.code == ERR_NOT_FOUND)
            (void)service_not_found(session, &service, &err);
        return session_fail(session, &err);
    }
    if (session_wants_json(session))
        screen_json(json);
    else
        show(session, json_at(json, "status", NULL), &service);
    return STATUS_OK;
}
