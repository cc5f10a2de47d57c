// logs: of the latest run, of a failed one, of a given one, of a build.

#include "agent/cli/follow.h"
#include "agent/cli/tail.h"

#include "agent/base/text.h"

#include <string.h>
#include <unistd.h>

static bool check_search(const struct call *call, struct error *err)
{
    static const enum option_id others[] = {OPTION_FOLLOW, OPTION_TAIL, OPTION_SINCE,
                                            OPTION_TIMESTAMPS};
    static const char *const names[] = {"follow", "tail", "since", "timestamps"};
    if (!call_has(call, OPTION_SEARCH))
        return !call_has(call, OPTION_IGNORE_CASE) ||
               error_set(err, ERR_INVALID, "--ignore-case is for --search");
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (call_has(call, others[i]))
            return error_set(err, ERR_INVALID, "either --search or --%s, not both", names[i]);
    }
    return true;
}

static bool check_options(const struct call *call, struct error *err)
{
    static const enum option_id of_runs[] = {OPTION_FAILED,     OPTION_RUN,       OPTION_ATTEMPT,
                                             OPTION_TIMESTAMPS, OPTION_NAMESPACE, OPTION_PREVIOUS,
                                             OPTION_CONTAINER};
    static const char *const names[] = {"failed",    "run",      "attempt",  "timestamps",
                                        "namespace", "previous", "container"};
    bool build = call_has(call, OPTION_BUILD);
    for (size_t i = 0; build && i < sizeof(of_runs) / sizeof(of_runs[0]); i++) {
        if (call_has(call, of_runs[i]))
            return error_set(err, ERR_INVALID, "--%s is for runs, not with --build", names[i]);
    }
    if (build && call->operand_count > 0)
        return error_set(err, ERR_INVALID, "either a SERVICE or --build, not both");
    if (!build && call->operand_count == 0)
        return error_set(err, ERR_INVALID, "wants a SERVICE, or --build BUILD");
    if (call_has(call, OPTION_FAILED) && call_has(call, OPTION_RUN))
        return error_set(err, ERR_INVALID, "either --failed or --run, not both");
    if (call_has(call, OPTION_FOLLOW) && call_has(call, OPTION_PREVIOUS))
        return error_set(err, ERR_INVALID, "either --follow or --previous, not both");
    if (!check_search(call, err))
        return false;
    if (call_has(call, OPTION_CONTAINER) &&
        !name_check("container", call->text[OPTION_CONTAINER], err))
        return false;
    return true;
}

static bool may_come(const json_t *run_or_build)
{
    static const char *const states[] = {"pending", "running", "waiting", "fetching"};
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if (strcmp(field(run_or_build, "state"), states[i]) == 0)
            return true;
    }
    return false;
}

// "tail=10&since=1h", as it is asked for; NULL: all. The caller frees.
static char *chosen_part(const struct session *session)
{
    static const struct query_option options[] = {{OPTION_TAIL, "tail"}, {OPTION_SINCE, "since"}};
    CLEANUP(free_ptr) char *query = session_query(session, options, 2);
    return query[0] == '?' ? xstrdup(query + 1) : NULL;
}

// Prints what there is of a log now. `state` is the run's or build's JSON.
static int print_log(struct session *session, const char *path, const json_t *state)
{
    struct error err = {.code = ERR_NONE};
    struct problem problem;
    uint64_t offset = 0;
    CLEANUP(free_ptr) char *part = chosen_part(session);
    struct tail *tail = tail_open(&session->client, &session->screen, STDOUT_FILENO);
    if (call_has(session->call, OPTION_RAW))
        tail_raw(tail);
    tail_choose(tail, part);
    enum tail_end end = tail_copy(tail, path, &offset, &problem, &err);
    int stopped = tail_status(tail);
    tail_close(tail);
    if (end == TAIL_STOPPED)
        return stopped;
    const char *reason = field(state, "reason");
    const char *container = session->call->text[OPTION_CONTAINER];
    if (end == TAIL_FAILED && problem.status == 404)
        (void)error_set(&err, ERR_NOT_FOUND, "there is no log%s%s (%s%s%s)%s",
                        container ? " of a container " : "", container ? container : "",
                        field_or_dash(state, "state"), reason[0] ? ": " : "", reason,
                        may_come(state) ? "\nTo wait for it: --follow" : "");
    if (end == TAIL_FAILED)
        return session_fail(session, &err);
    say_log_losses(session, state);
    return STATUS_OK;
}

// --- searching ---

static void print_match(const struct session *session, const json_t *match)
{
    const char *text = field(match, "text");
    bool clean = isatty(STDOUT_FILENO) && !call_has(session->call, OPTION_RAW);
    CLEANUP(free_ptr) char *shown = clean ? text_clean(text) : xstrdup(text);
    (void)printf("%" JSON_INTEGER_FORMAT ":%s\n", field_int(match, "line", 0), shown);
}

// Prints the lines of a log that have the text. `path` is the log's, with a query or without.
static int print_matches(struct session *session, const char *path)
{
    static const struct query_option options[] = {{OPTION_SEARCH, "search"}};
    struct error err;
    CLEANUP(json_ptr) json_t *answer = NULL;
    CLEANUP(free_ptr) char *query = session_query(session, options, 1);
    CLEANUP(free_ptr)
    char *asked = xasprintf("%s%c%s%s", path, strchr(path, '?') ? '&' : '?', query + 1,
                            call_has(session->call, OPTION_IGNORE_CASE) ? "&ignoreCase=true" : "");
    if (!client_get(&session->client, asked, &answer, &err))
        return session_fail(session, &err);
    const json_t *matches = json_at(answer, "matches", NULL);
    size_t count = json_array_size(matches);
    for (size_t i = 0; i < count; i++)
        print_match(session, json_array_get(matches, i));
    if (json_is_true(json_at(answer, "more", NULL)))
        screen_say(&session->screen, MARK_WARNING,
                   "there may be more: these are of the first %" JSON_INTEGER_FORMAT " lines",
                   field_int(answer, "lines", 0));
    return count > 0 ? STATUS_OK : STATUS_FAILED;
}

// --- builds ---

static int build_logs(struct session *session)
{
    const char *build = session->call->text[OPTION_BUILD];
    struct error err;
    CLEANUP(json_ptr) json_t *json = NULL;
    CLEANUP(free_ptr) char *path = xasprintf("/v1/builds/%s", build);
    if (!name_check("build", build, &err) || !client_get(&session->client, path, &json, &err))
        return session_fail(session, &err);
    char commit[COMMIT_SIZE];
    commit_short(field(json, "commit"), commit);
    screen_say(&session->screen, MARK_START, "build %s of %s, %s %s", build, commit,
               field_or_dash(json, "repository"), field_or_dash(json, "branch"));
    if (call_has(session->call, OPTION_FOLLOW))
        return follow_build(session, build);
    bool search = call_has(session->call, OPTION_SEARCH);
    CLEANUP(free_ptr) char *logs = xasprintf("%s/logs%s", path, search ? "" : "?follow=false");
    if (search)
        return print_matches(session, logs);
    int status = print_log(session, logs, json);
    if (status == STATUS_OK && strcmp(field(json, "state"), "failed") == 0)
        screen_say(&session->screen, MARK_FAILED, "%s", field_or_dash(json, "detail"));
    return status;
}

// --- runs ---

// The run that the options mean. The caller owns *out.
static bool find_run(const struct session *session, const struct service_name *service,
                     json_t **out, struct error *err)
{
    bool failed = call_has(session->call, OPTION_FAILED);
    const char *name = session->call->text[OPTION_RUN];
    CLEANUP(json_ptr) json_t *list = NULL;
    if (name == NULL) {
        const json_t *runs = NULL;
        if (!service_runs(session, service, 1, failed ? "&state=failed" : "&missed=false", &list,
                          &runs, err))
            return false;
        name = json_array_size(runs) > 0 ? field(json_array_get(runs, 0), "name") : NULL;
        if (name == NULL)
            return error_set(err, ERR_NOT_FOUND,
                             failed ? "no failed run of %s/%s is kept" : "%s/%s has never run",
                             service->namespace, service->name);
    }
    return service_run(session, service, name, out, err);
}

static int latest_attempt(const json_t *run)
{
    const json_t *attempts = json_at(run, "attempts", NULL);
    json_int_t latest = 1;
    for (size_t i = 0; i < json_array_size(attempts); i++) {
        json_int_t number = field_int(json_array_get(attempts, i), "attempt", 1);
        latest = number > latest ? number : latest;
    }
    return (int)latest;
}

// Whether there is the attempt that is asked for; with --previous it is the one before.
static bool check_attempt(const struct session *session, const json_t *run, int *attempt,
                          struct error *err)
{
    const char *name = field(run, "name");
    int latest = latest_attempt(run);
    if (*attempt > latest)
        return error_set(err, ERR_NOT_FOUND, "run %s has no attempt %d: the latest is %d", name,
                         *attempt, latest);
    if (call_has(session->call, OPTION_PREVIOUS) && --*attempt == 0)
        return error_set(err, ERR_NOT_FOUND, "run %s has no attempt before its first", name);
    return true;
}

// What is to be known beside the log: how it ended, or why there may be none yet.
static void say_state(struct session *session, const json_t *run)
{
    if (run_has_ended(run))
        say_outcome(session, run);
    else if (strcmp(field(run, "state"), "pending") == 0)
        screen_say(&session->screen, MARK_WAITING, "waiting: %s; to wait for its log: --follow",
                   field_or_dash(run, "reason"));
}

static int run_logs(struct session *session)
{
    const struct call *call = session->call;
    struct error err;
    struct service_name service;
    CLEANUP(json_ptr) json_t *run = NULL;
    if (!session_service(session, &service, &err) || !find_run(session, &service, &run, &err))
        return session_fail(session, &err);
    int attempt =
        call_has(call, OPTION_ATTEMPT) ? (int)call->number[OPTION_ATTEMPT] : latest_attempt(run);
    bool timestamps = call_has(call, OPTION_TIMESTAMPS);
    const char *name = field(run, "name");
    if (call_has(call, OPTION_FOLLOW)) {
        CLEANUP(json_ptr) json_t *ended = NULL;
        CLEANUP(free_ptr) char *part = chosen_part(session);
        struct follow_run request = {.service = &service,
                                     .run = name,
                                     .attempt = attempt,
                                     .timestamps = timestamps,
                                     .fd = STDOUT_FILENO,
                                     .raw = call_has(call, OPTION_RAW),
                                     .part = part,
                                     .container = call->text[OPTION_CONTAINER]};
        say_run(session, run, 0);
        int status = follow_run(session, &request, &ended);
        return ended != NULL ? STATUS_OK : status;
    }
    if (!check_attempt(session, run, &attempt, &err))
        return session_fail(session, &err);
    say_run(session, run, attempt);
    const char *container = call->text[OPTION_CONTAINER];
    CLEANUP(free_ptr)
    char *path = service_path(&service, "/runs/%s/logs?attempt=%d%s%s%s", name, attempt,
                              timestamps ? "&timestamps=true" : "", container ? "&container=" : "",
                              container ? container : "");
    if (call_has(call, OPTION_SEARCH))
        return print_matches(session, path);
    int status = print_log(session, path, run);
    if (status == STATUS_OK)
        say_state(session, run);
    return status;
}

int command_logs(struct session *session)
{
    struct error err;
    if (!check_options(session->call, &err))
        return session_fail(session, &err);
    return call_has(session->call, OPTION_BUILD) ? build_logs(session) : run_logs(session);
}
