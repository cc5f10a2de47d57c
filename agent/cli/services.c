// services: the list.

#include "agent/base/text.h"
#include "agent/cli/output.h"
#include "agent/cli/table.h"
#include "agent/cli/times.h"

#include <string.h>

static bool is_failing(const json_t *service)
{
    return field_is(json_at(service, "lastRun", NULL), "state", "failed");
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
    screen_say(screen, MARK_NONE, "No services yet. Create one:");
    screen_hint(screen, "cronwright create --example > svc.yaml");
    screen_hint(screen, "cronwright create -f svc.yaml");
    screen_say(screen, MARK_NONE, "Or take over a CronJob that is there:");
    screen_hint(screen, "cronwright adopt NAMESPACE/NAME --repository "
                        "https://github.com/acme/report --branch main");
    screen_say(screen, MARK_NONE,
               "Webhooks go to these addresses; their secrets are the agent's "
               "settings beside them:");
    screen_hint(screen, "%s/webhooks/github  webhooks.github.secretFiles", url);
    screen_hint(screen,
                "%s/webhooks/gitlab  webhooks.gitlab.tokenFiles or "
                "webhooks.gitlab.signingTokenFiles",
                url);
    screen_hint(screen, "%s/webhooks/gitea  webhooks.gitea.secretFiles", url);
    screen_hint(screen, "%s/webhooks/bitbucket  webhooks.bitbucket.secretFiles", url);
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

// "image cannot be pulled" of a reason that goes on with a colon and what the cluster said of it.
static char *reason_short(const char *reason, bool wide)
{
    const char *end = wide ? NULL : strstr(reason, ": ");
    return xstrndup(reason, end ? (size_t)(end - reason) : strlen(reason));
}

// "● running", or why the one that is to run does not yet.
static char *active_text(const struct table *table, const json_t *service, bool wide)
{
    size_t running = json_array_size(json_at(service, "running", NULL));
    const char *waiting = field(service, "waiting");
    CLEANUP(free_ptr)
    char *text = running > 1    ? xasprintf("%zu running", running)
                 : running == 0 ? xstrdup("")
                 : waiting[0]   ? reason_short(waiting, wide)
                                : xstrdup("running");
    return mark_text(table->screen, running == 1 && waiting[0] ? MARK_WAITING : MARK_RUNNING, text);
}

static void add_last_run(struct table *table, const json_t *service, struct wall_time now,
                         bool wide)
{
    const json_t *run = json_at(service, "lastRun", NULL);
    size_t running = json_array_size(json_at(service, "running", NULL));
    CLEANUP(free_ptr) char *marked = active_text(table, service, wide);
    if (!json_is_object(run)) {
        table_cell(table, "%s", json_is_null(run) ? "never run" : "-"); // or not known now
        table_cell(table, "%s", running ? marked : "");
        table_cell(table, "-");
        return;
    }
    char ago[TIME_TEXT_SIZE], took[TIME_TEXT_SIZE];
    ago_text(field_time(run, "finished"), now, ago);
    (void)field_duration(run, "durationSeconds", took);
    bool failed = field_is(run, "state", "failed");
    CLEANUP(free_ptr) char *reason = reason_short(failed ? field(run, "reason") : "", wide);
    table_mark(table, failed ? MARK_FAILED : MARK_OK, "%s", reason);
    table_cell(table, "%s%s%s", ago, running ? ", " : "", running ? marked : "");
    table_cell(table, "%s", took);
}

// When it runs next, and in how long; a draft is never due.
static void add_next(struct table *table, const json_t *service, struct wall_time now)
{
    struct wall_time next = field_time(service, "next");
    char due[ZONED_TEXT_SIZE], in[TIME_TEXT_SIZE];
    zoned_text(next, now, field(service, "timeZone"), due);
    until_text(next, now, in);
    table_cell(table, "%s", due);
    table_cell(table, "%s", in);
}

static void print_services(const struct session *session, const json_t *services)
{
    static const char *const headers[] = {"SERVICE",  "STATE",   "LIVE",   "LAST RESULT",
                                          NULL,       "TOOK",    "NEXT",   "IN",
                                          "SCHEDULE", "PROJECT", "SOURCE", "IMAGE"};
    bool wide = output_of(session) == OUTPUT_WIDE;
    struct table table = {.screen = &session->screen, .headers = headers, .columns = wide ? 12 : 8};
    for (size_t i = 0; i < json_array_size(services); i++) {
        const json_t *service = json_array_get(services, i);
        table_cell(&table, "%s/%s", field(service, "namespace"), field(service, "name"));
        table_cell(&table, "%s", field_state(service));
        add_live(&table, service);
        add_last_run(&table, service, session->now, wide);
        add_next(&table, service, session->now);
        if (!wide)
            continue;
        table_cell(&table, "%s", field_or_dash(service, "schedule"));
        table_cell(&table, "%s", field_or_dash(service, "project"));
        CLEANUP(free_ptr) char *source = repository_short(field_or_dash(service, "repository"));
        table_cell(&table, "%s %s", source, field(service, "branch"));
        table_cell(&table, "%s", field_or_dash(service, "image"));
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
    if (output_print(session, answer, &services_naming))
        return STATUS_OK;
    if (json_array_size(services) > 0)
        print_services(session, services);
    else if (options[0] != '\0')
        screen_say(&session->screen, MARK_NONE, "No such services. All: cronwright services");
    else
        say_first_steps(session, answer);
    say_troubles(session, answer);
    return STATUS_OK;
}
