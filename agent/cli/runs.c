// run, runs, cancel.

#include "agent/base/crypto.h"
#include "agent/base/text.h"
#include "agent/cli/draft.h"
#include "agent/cli/follow.h"
#include "agent/cli/output.h"
#include "agent/cli/table.h"
#include "agent/cli/times.h"

#include <string.h>
#include <unistd.h>

#define RUNS_SHOWN 20
#define KEY_BYTES  16

// --- run ---

// Words the refusal, whose cause the agent named, with what to do about it.
static void explain_refusal(const struct session *session, const struct service_name *service,
                            const struct problem *problem, struct error *err)
{
    if (strcmp(problem->reason, "active-run") == 0)
        (void)error_set(err, ERR_CONFLICT,
                        "run %s of %s/%s is still going on, nothing was started\n"
                        "Watch it: cronwright logs --follow %s/%s\n"
                        "Run all the same: --if-active allow, or --if-active replace to cancel it",
                        problem->run, service->namespace, service->name, service->namespace,
                        service->name);
    else if (err->code == ERR_NOT_FOUND)
        (void)service_not_found(session, service, err);
}

// Variables and arguments for this run alone.
static bool add_overrides(const struct call *call, json_t *body, struct error *err)
{
    CLEANUP(json_ptr) json_t *env = json_object();
    for (size_t i = 0; i < call->listed_count; i++) {
        if (!assignment_add("env", call->listed[i].text, env, err))
            return false;
    }
    json_t *args = json_array();
    for (size_t i = 0; i < call->rest_count; i++)
        (void)json_array_append_new(args, json_text(call->rest[i]));
    (void)json_object_set_new(body, "args", args);
    if (json_object_size(env) > 0)
        (void)json_object_set(body, "env", env);
    if (call->rest_count == 0)
        (void)json_object_del(body, "args");
    return true;
}

static bool start_run(struct session *session, const struct service_name *service, int *status,
                      json_t **run, struct error *err)
{
    // With a key of our own too, so that a request whose answer was lost may be repeated by hand.
    char chance[KEY_BYTES], made_up[2 * KEY_BYTES + 1];
    random_bytes(chance, sizeof(chance));
    hex_encode(chance, sizeof(chance), made_up);
    const char *key = session->call->text[OPTION_IDEMPOTENCY_KEY];
    CLEANUP(free_ptr) char *header = xasprintf("Idempotency-Key: %s", key ? key : made_up);
    CLEANUP(free_ptr) char *path = service_path(service, "/runs");
    const char *if_active = session->call->text[OPTION_IF_ACTIVE];
    CLEANUP(json_ptr)
    json_t *body = json_pack("{s:s}", "ifActive", if_active ? if_active : "refuse");
    if (!add_overrides(session->call, body, err))
        return false;
    struct problem problem;
    json_t *answer = NULL;

    screen_wait(&session->screen, "waiting for the agent");
    if (!client_send(&session->client, "POST", path, body, header, status, &answer, &problem,
                     err)) {
        explain_refusal(session, service, &problem, err);
        if (err->code == ERR_TIMEOUT)
            (void)error_set(err, ERR_TIMEOUT,
                            "no answer in time from the agent at %s: whether a run began is not "
                            "known\nAsking again with --idempotency-key %s starts no second one",
                            session->client.url, key ? key : made_up);
        return false;
    }
    if (answer == NULL || field(answer, "name")[0] == '\0') {
        json_decref(answer);
        return error_set(err, ERR_PROTOCOL, "%s answered without a run", session->client.url);
    }
    *run = answer;
    return true;
}

static void say_started(struct session *session, const struct service_name *service,
                        const json_t *run, bool existed)
{
    say_run(session, run, 0);
    if (existed)
        screen_say(&session->screen, MARK_SKIPPED, "it had begun before, with the same key");
    struct wall_time next = field_time(run, "nextScheduled");
    if (!json_is_true(json_at(run, "besideSchedule", NULL)) || next.ms == 0)
        return;
    char due[ZONED_TEXT_SIZE];
    CLEANUP(free_ptr) char *zone = service_zone(session, service);
    zoned_text(next, session->now, zone, due);
    screen_say(&session->screen, MARK_WARNING,
               "not counted by Forbid: %s would start even beside it", due);
}

static int follow_started(struct session *session, const struct service_name *service,
                          const json_t *run)
{
    bool data = output_is_data(session);
    struct follow_run request = {.service = service,
                                 .run = field(run, "name"),
                                 .attempt = 1,
                                 .fd = data ? STDERR_FILENO : STDOUT_FILENO};
    CLEANUP(json_ptr) json_t *ended = NULL;
    int status = follow_run(session, &request, &ended);
    if (ended != NULL && status != STATUS_OK && status != STATUS_UNKNOWN)
        screen_hint(&session->screen, "try: cronwright logs --failed %s/%s", service->namespace,
                    service->name);
    if (ended != NULL)
        (void)output_print(session, ended, &run_naming);
    return status;
}

int command_run(struct session *session)
{
    struct error err;
    struct service_name service;
    bool follow = call_has(session->call, OPTION_FOLLOW);
    CLEANUP(json_ptr) json_t *run = NULL;
    int status = 0;
    if (!session_service(session, &service, &err))
        return session_fail(session, &err);
    if (!start_run(session, &service, &status, &run, &err)) {
        int failed = session_fail(session, &err);
        return follow && failed != STATUS_USAGE ? STATUS_UNKNOWN : failed;
    }
    say_started(session, &service, run, status == 200);
    if (follow)
        return follow_started(session, &service, run);
    if (!output_print(session, run, &run_naming))
        (void)printf("%s\n", field(run, "name"));
    screen_hint(&session->screen, "follow it: cronwright logs --follow --run %s %s/%s",
                field(run, "name"), service.namespace, service.name);
    return STATUS_OK;
}

// --- runs ---

static void add_result(struct table *table, const json_t *run, struct wall_time now)
{
    static const struct {
        const char *state;
        enum mark mark;
    } marks[] = {{"pending", MARK_WAITING}, {"running", MARK_RUNNING}, {"succeeded", MARK_OK},
                 {"failed", MARK_FAILED},   {"unknown", MARK_WARNING}, {NULL, MARK_NONE}};
    size_t i = 0;
    while (marks[i].state != NULL && strcmp(marks[i].state, field(run, "state")) != 0)
        i++;
    char took[TIME_TEXT_SIZE] = "";
    if (marks[i].mark == MARK_RUNNING)
        duration_text(now.ms - field_time(run, "started").ms, took);
    const char *reason = field(run, "reason");
    const char *by = field(run, "requestedBy");
    bool slow = json_is_true(json_at(run, "slow", NULL));
    bool told = took[0] || reason[0];
    const char *more = told ? "; " : "";
    table_mark(table, marks[i].mark, "%s%s%s%s%s%s%s%s%s", took[0] ? "running " : "", took,
               took[0] && reason[0] ? ": " : "", reason, slow ? more : "",
               slow ? "twice as long as usual" : "", by[0] ? (told || slow ? "; " : "") : "",
               by[0] ? "by " : "", by);
}

// Why it was not run, and since when.
static void add_missed(struct table *table, const json_t *run, struct wall_time now)
{
    char since[TIME_TEXT_SIZE] = "";
    if (field_time(run, "since").ms != 0)
        wall_text(field_time(run, "since"), now, since);
    table_mark(table, MARK_SKIPPED, "not run: %s%s%s", field_or_dash(run, "reason"),
               since[0] ? " " : "", since);
}

// "2 of 4", what is kept of its log, and what it ran.
static void add_more(struct table *table, const json_t *run)
{
    size_t attempts = json_array_size(json_at(run, "attempts", NULL));
    json_int_t most = field_int(run, "maxAttempts", 0);
    if (most > 0)
        table_cell(table, "%zu of %" JSON_INTEGER_FORMAT, attempts, most);
    else
        table_cell(table, "-");
    table_cell(table, "%s", field_or_dash(run, "log"));
    table_cell(table, "%s", field_or_dash(run, "image"));
}

static void print_runs(const struct session *session, const json_t *runs)
{
    char zone[TIME_TEXT_SIZE];
    zone_text(session->now, zone);
    CLEANUP(free_ptr) char *when = xasprintf("WHEN (%s)", zone);
    const char *headers[] = {"RUN",    "KIND",     "COMMIT", when,   "TOOK",
                             "RESULT", "ATTEMPTS", "LOG",    "IMAGE"};
    bool wide = output_of(session) == OUTPUT_WIDE;
    struct table table = {.screen = &session->screen, .headers = headers, .columns = wide ? 9 : 6};
    for (size_t i = 0; i < json_array_size(runs); i++) {
        const json_t *run = json_array_get(runs, i);
        bool missed = strcmp(field(run, "state"), "missed") == 0;
        struct wall_time begun = field_time(run, missed ? "scheduledFor" : "started");
        char text[TIME_TEXT_SIZE];
        char commit[COMMIT_SIZE];
        table_cell(&table, "%s", field_or_dash(run, "name"));
        table_cell(&table, "%s", field_or_dash(run, "kind"));
        commit_short(field(run, "commit"), commit);
        table_cell(&table, "%s", commit);
        wall_text(begun.ms ? begun : field_time(run, "created"), session->now, text);
        table_cell(&table, "%s", text);
        (void)field_duration(run, "durationSeconds", text);
        table_cell(&table, "%s", text);
        if (missed)
            add_missed(&table, run, session->now);
        else
            add_result(&table, run, session->now);
        if (wide)
            add_more(&table, run);
    }
    table_print(&table, !call_has(session->call, OPTION_NO_HEADERS), stdout);
    table_finish(&table);
}

int command_runs(struct session *session)
{
    struct error err;
    struct service_name service;
    CLEANUP(json_ptr) json_t *answer = NULL;
    const json_t *runs = NULL;
    int64_t limit =
        call_has(session->call, OPTION_LIMIT) ? session->call->number[OPTION_LIMIT] : RUNS_SHOWN;
    if (!session_service(session, &service, &err) ||
        !service_runs(session, &service, limit,
                      call_has(session->call, OPTION_FAILED) ? "&state=failed" : "", &answer, &runs,
                      &err))
        return session_fail(session, &err);
    if (output_print(session, answer, &runs_naming))
        return STATUS_OK;
    if (json_array_size(runs) > 0)
        print_runs(session, runs);
    else
        screen_say(&session->screen, MARK_NONE, "never run. Try: cronwright run --follow %s/%s",
                   service.namespace, service.name);
    return STATUS_OK;
}

// --- cancel ---

static bool is_active(const json_t *run)
{
    const char *state = field(run, "state");
    return strcmp(state, "pending") == 0 || strcmp(state, "running") == 0;
}

// The run to cancel: the one named, or the only active one. The caller owns *out.
static bool find_run(const struct session *session, const struct service_name *service,
                     json_t **out, struct error *err)
{
    const char *name = session->call->operands[1];
    if (name != NULL)
        return service_run(session, service, name, out, err);
    CLEANUP(json_ptr) json_t *answer = NULL;
    const json_t *runs = NULL;
    if (!service_runs(session, service, RUNS_SHOWN, "&missed=false", &answer, &runs, err))
        return false;
    json_t *found = NULL;
    for (size_t i = 0; i < json_array_size(runs); i++) {
        json_t *run = json_array_get(runs, i);
        if (is_active(run) && found != NULL)
            return error_set(err, ERR_CONFLICT,
                             "several runs are going on, nothing was cancelled\n"
                             "Name one: cronwright runs %s/%s",
                             service->namespace, service->name);
        found = is_active(run) ? run : found;
    }
    if (found == NULL)
        return error_set(err, ERR_NOT_FOUND, "no run of %s/%s is going on", service->namespace,
                         service->name);
    *out = json_incref(found);
    return true;
}

int command_cancel(struct session *session)
{
    struct error err;
    struct service_name service;
    CLEANUP(json_ptr) json_t *run = NULL;
    CLEANUP(json_ptr) json_t *answer = NULL;
    int status = 0;
    if (!session_service(session, &service, &err) || !find_run(session, &service, &run, &err))
        return session_fail(session, &err);
    const char *name = field(run, "name");
    if (!is_active(run)) {
        (void)error_set(&err, ERR_CONFLICT, "run %s has ended already: %s", name,
                        field_or_dash(run, "state"));
        return session_fail(session, &err);
    }
    CLEANUP(free_ptr) char *path = service_path(&service, "/runs/%s", name);
    if (!client_send(&session->client, "DELETE", path, NULL, NULL, &status, &answer, NULL, &err))
        return session_fail(session, &err);
    if (!output_print(session, answer ? answer : run, &run_naming))
        (void)printf("%s/%s  run %s: %s %s cancelled\n", service.namespace, service.name, name,
                     field(run, "state"), screen_arrow(&session->screen));
    return STATUS_OK;
}
