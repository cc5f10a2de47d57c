#include "agent/cli/follow.h"

#include "agent/base/text.h"
#include "agent/cli/tail.h"
#include "agent/cli/times.h"

#include <string.h>
#include <unistd.h>

#define POLL_MS       500
// A finished attempt's log may still be on its way from the node to the agent.
#define LINGER_MS     60000
// The Job controller's: ten seconds, doubling, at most ten minutes.
#define RETRY_FIRST_S 10
#define RETRY_MAX_S   600

// What is followed: the one log that is being read now.
struct follow {
    struct session *session;
    struct tail *tail;
    char *path;            // of the run or build
    const char *query;     // "?follow=true…"
    bool timestamps;       // with each line of a run
    const char *container; // of a run; NULL: the one that counts
    json_t *state;         // its JSON, as last seen
    uint64_t offset;       // in the log
    bool announced;        // stderr said which attempt this is
    bool detach_told;      // and once, what Ctrl-C does
    bool ended;            // what is logged had ended before the log was asked for again
    struct mono_time ends; // when to stop waiting for the log's last lines

    struct mono_time waiting; // since when; 0: not waiting
    char *reason;             // what for, as last said; NULL: not said
};

static void follow_ptr(struct follow *follow)
{
    tail_close(follow->tail);
    free(follow->path);
    free(follow->reason);
    json_decref(follow->state);
}

static bool is_among(const json_t *object, const char *name, const char *const words[])
{
    while (*words != NULL && !field_is(object, name, *words))
        words++;
    return *words != NULL;
}

static enum tail_end refresh(struct follow *follow, struct error *err)
{
    json_t *state = NULL;
    enum tail_end end = tail_get(follow->tail, follow->path, &state, err);
    if (end == TAIL_DONE) {
        json_decref(follow->state);
        follow->state = state;
    }
    return end;
}

// --- waiting ---

static void waited_text(const struct follow *follow, char out[static TIME_TEXT_SIZE])
{
    duration_text(mono_now().ms - follow->waiting.ms, out);
}

// Says once what it waits for; on a terminal with a running clock.
static enum tail_end wait_for(struct follow *follow, const char *reason)
{
    struct screen *screen = &follow->session->screen;
    if (follow->waiting.ms == 0)
        follow->waiting = mono_now();
    bool news = reason[0] != '\0' && (!follow->reason || strcmp(reason, follow->reason) != 0);
    if (news) {
        free(follow->reason);
        follow->reason = xstrdup(reason);
    }
    char waited[TIME_TEXT_SIZE];
    waited_text(follow, waited);
    if (screen->redraw)
        screen_wait(screen, "waiting %s%s%s", waited, reason[0] ? ": " : "", reason);
    else if (news)
        screen_say(screen, MARK_WAITING, "waiting: %s", reason);
    return tail_sleep(follow->tail, POLL_MS);
}

// Where the waiting was drawn over, leaves one line of it.
static void waiting_over(struct follow *follow)
{
    struct screen *screen = &follow->session->screen;
    char waited[TIME_TEXT_SIZE];
    waited_text(follow, waited);
    if (screen->redraw && follow->reason != NULL)
        screen_say(screen, MARK_WAITING, "waiting %s: %s", waited, follow->reason);
    follow->waiting.ms = 0;
    free(TAKE(follow->reason));
}

// --- the log ---

enum log_end {
    LOG_MORE,   // it goes on: look at the state, then ask again
    LOG_WHOLE,  // there will be no more of it
    LOG_FAILED, // *err
    LOG_STOPPED,
};

// The agent has not all of it yet.
static bool log_is_growing(const struct follow *follow, bool latest)
{
    return latest && field_is(follow->state, "log", "following") && !mono_past(follow->ends);
}

// Copies what there is of the log until the agent ends its answer. It is whole only if what is
// logged had ended before: the agent also ends an answer that was silent for long.
static enum log_end copy_log(struct follow *follow, bool ended, bool latest, struct error *err)
{
    if (ended && !follow->ended)
        follow->ends = mono_after(LINGER_MS);
    follow->ended = ended;
    CLEANUP(free_ptr) char *path = xasprintf("%s/logs%s", follow->path, follow->query);
    uint64_t before = follow->offset;
    struct problem problem;
    enum tail_end end = tail_copy(follow->tail, path, &follow->offset, &problem, err);
    if (end == TAIL_STOPPED)
        return LOG_STOPPED;
    bool none_yet = end == TAIL_FAILED && problem.status == 404;
    if (end == TAIL_FAILED && !none_yet)
        return LOG_FAILED;
    if (ended && (none_yet || !log_is_growing(follow, latest)))
        return LOG_WHOLE;
    bool idle = follow->offset == before;
    return idle && tail_sleep(follow->tail, POLL_MS) == TAIL_STOPPED ? LOG_STOPPED : LOG_MORE;
}

void say_log_losses(struct session *session, const json_t *state)
{
    static const struct {
        const char *word;
        const char *text;
    } losses[] = {
        {"truncated", "the log is longer than the agent keeps: some of it is missing"},
        {"lost", "some of the log was lost before the agent had read it"},
        {"following", "the log may lack its last lines: the agent is still waiting for them"},
    };
    for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++) {
        if (field_is(state, "log", losses[i].word))
            screen_say(&session->screen, MARK_WARNING, "%s", losses[i].text);
    }
}

// --- a run ---

bool run_has_ended(const json_t *run_or_attempt)
{
    static const char *const states[] = {"succeeded", "failed", "unknown", NULL};
    return is_among(run_or_attempt, "state", states);
}

// The first attempt with this or a higher number; NULL when there is none.
static const json_t *find_attempt(const json_t *run, int number)
{
    const json_t *attempts = json_at(run, "attempts", NULL);
    const json_t *found = NULL;
    for (size_t i = 0; i < json_array_size(attempts); i++) {
        const json_t *attempt = json_array_get(attempts, i);
        json_int_t n = field_int(attempt, "attempt", 0);
        if (n >= number && (found == NULL || n < field_int(found, "attempt", 0)))
            found = attempt;
    }
    return found;
}

static json_int_t max_attempts(const json_t *run)
{
    return field_int(run, "maxAttempts", 1);
}

static void announce(struct follow *follow, int number)
{
    waiting_over(follow);
    if (follow->announced)
        return;
    screen_say(&follow->session->screen, MARK_RUNNING, "attempt %d of %" JSON_INTEGER_FORMAT "%s",
               number, max_attempts(follow->state),
               follow->detach_told || run_has_ended(follow->state)
                   ? ""
                   : ". Ctrl-C detaches; the run goes on");
    follow->announced = follow->detach_told = true;
}

// After the last attempt the outcome says it all.
static void say_attempt_end(struct follow *follow, const json_t *attempt)
{
    json_int_t number = field_int(attempt, "attempt", 1);
    if (attempt == NULL || !field_is(attempt, "state", "failed") || run_has_ended(follow->state) ||
        number >= max_attempts(follow->state))
        return;
    int64_t pause = RETRY_FIRST_S;
    for (json_int_t n = 1; n < number && pause < RETRY_MAX_S; n++)
        pause *= 2;
    char text[TIME_TEXT_SIZE];
    duration_text((pause < RETRY_MAX_S ? pause : RETRY_MAX_S) * 1000, text);
    screen_say(&follow->session->screen, MARK_FAILED,
               "attempt %" JSON_INTEGER_FORMAT ": %s; retry in about %s", number,
               field_or_dash(attempt, "reason"), text);
}

static enum log_end copy_attempt(struct follow *follow, int number, bool ended, struct error *err)
{
    announce(follow, number);
    CLEANUP(free_ptr)
    char *query = xasprintf(
        "?follow=true&attempt=%d%s%s%s", number, follow->timestamps ? "&timestamps=true" : "",
        follow->container ? "&container=" : "", follow->container ? follow->container : "");
    follow->query = query;
    enum log_end log =
        copy_log(follow, ended, find_attempt(follow->state, number + 1) == NULL, err);
    follow->query = NULL;
    return log;
}

// One look at the run, and whatever of its log there is then. *number: the attempt that is shown.
static enum log_end follow_step(struct follow *follow, int *number, struct error *err)
{
    enum tail_end end = refresh(follow, err);
    if (end != TAIL_DONE)
        return end == TAIL_STOPPED ? LOG_STOPPED : LOG_FAILED;
    const json_t *run = follow->state;
    const json_t *attempt = find_attempt(run, *number);
    if (follow->announced && (attempt == NULL || field_int(attempt, "attempt", 0) != *number)) {
        // Its pod was deleted, by a deadline for instance. The agent has its log still.
        attempt = NULL;
    } else if (attempt == NULL && run_has_ended(run)) {
        return LOG_WHOLE;
    } else if (attempt == NULL || (field_is(attempt, "state", "pending") && !run_has_ended(run))) {
        // That there will be another attempt was said when the last one ended.
        const char *reason = attempt       ? field(attempt, "reason")
                             : *number > 1 ? ""
                                           : field(run, "reason");
        return wait_for(follow, reason) == TAIL_STOPPED ? LOG_STOPPED : LOG_MORE;
    } else {
        *number = (int)field_int(attempt, "attempt", *number);
    }
    bool ended = attempt == NULL || run_has_ended(attempt) || run_has_ended(run);
    bool had_container = follow->announced || field(attempt, "started")[0] != '\0';
    if (!ended || had_container) {
        enum log_end log = copy_attempt(follow, *number, ended, err);
        if (log != LOG_WHOLE)
            return log;
    }
    say_attempt_end(follow, attempt);
    (*number)++;
    follow->offset = 0;
    tail_choose(follow->tail, NULL);
    follow->announced = follow->ended = false;
    return LOG_MORE;
}

static void say_how_to_go_on(struct session *session, const struct follow_run *request)
{
    const struct service_name *service = request->service;
    screen_hint(&session->screen, "attach again: cronwright logs --follow --run %s %s/%s",
                request->run, service->namespace, service->name);
    screen_hint(&session->screen, "cancel it:    cronwright cancel %s/%s %s", service->namespace,
                service->name, request->run);
}

// Why it stopped before the run had ended; the exit status.
static int say_interruption(struct follow *follow, const struct follow_run *request,
                            const struct error *err)
{
    struct session *session = follow->session;
    int stopped = tail_status(follow->tail);
    if (stopped == STATUS_PIPE)
        return stopped;
    if (stopped != 0) {
        screen_say(&session->screen, MARK_SKIPPED, "detached; the run goes on");
        say_how_to_go_on(session, request);
        return stopped;
    }
    if (err->code == ERR_NOT_FOUND) {
        screen_say(&session->screen, MARK_FAILED,
                   "run %s is gone: it was cancelled or cleaned up, how it ended is not known",
                   request->run);
        return STATUS_UNKNOWN;
    }
    screen_error(&session->screen, err);
    if (err->code == ERR_IO) // our own output: nothing is known to be wrong with the run
        return STATUS_FAILED;
    say_how_to_go_on(session, request);
    return STATUS_UNKNOWN;
}

int follow_run(struct session *session, const struct follow_run *request, json_t **ended)
{
    CLEANUP(follow_ptr)
    struct follow follow = {
        .session = session,
        .tail = tail_open(&session->client, &session->screen, request->fd),
        .path = service_path(request->service, "/runs/%s", request->run),
        .timestamps = request->timestamps,
        .container = request->container,
    };
    if (request->raw)
        tail_raw(follow.tail);
    tail_choose(follow.tail, request->part);
    struct error err = {.code = ERR_NONE};
    int number = request->attempt;
    enum log_end end = LOG_MORE;
    *ended = NULL;
    while (end == LOG_MORE)
        end = follow_step(&follow, &number, &err);
    if (tail_status(follow.tail) == STATUS_INTERRUPTED)
        screen_interrupted(&session->screen);
    waiting_over(&follow);
    if (end != LOG_WHOLE)
        return say_interruption(&follow, request, &err);
    say_log_losses(session, follow.state);
    say_outcome(session, follow.state);
    *ended = TAKE(follow.state);
    return run_exit_status(*ended);
}

// --- how a run ended ---

static bool met_deadline(const json_t *run)
{
    return text_starts(field(run, "reason"), "deadline");
}

int run_exit_status(const json_t *run)
{
    json_int_t code = field_int(run, "exitCode", 0);
    if (field_is(run, "state", "succeeded"))
        return STATUS_OK;
    if (met_deadline(run))
        return STATUS_DEADLINE;
    return code >= 1 && code <= 255 ? (int)code : STATUS_UNKNOWN;
}

void say_run(struct session *session, const json_t *run, int attempt)
{
    char commit[COMMIT_SIZE];
    commit_short(field(run, "commit"), commit);
    bool known = field(run, "commit")[0] != '\0';
    const char *by = field(run, "requestedBy");
    char which[64] = "";
    if (attempt > 0)
        (void)snprintf(which, sizeof(which), ", attempt %d of %" JSON_INTEGER_FORMAT, attempt,
                       max_attempts(run));
    screen_say(&session->screen, MARK_START, "%s run %s%s%s%s%s%s", field_or_dash(run, "kind"),
               field_or_dash(run, "name"), known ? " of " : "", known ? commit : "",
               by[0] ? ", by " : "", by, which);
}

void say_outcome(struct session *session, const json_t *run)
{
    char took[TIME_TEXT_SIZE];
    if (field_is(run, "state", "succeeded")) {
        bool known = field_duration(run, "durationSeconds", took);
        screen_say(&session->screen, MARK_OK, "succeeded%s%s", known ? " in " : "",
                   known ? took : "");
        return;
    }
    size_t attempts = json_array_size(json_at(run, "attempts", NULL));
    json_int_t code = field_int(run, "exitCode", -1);
    const char *reason = field(run, "reason");
    char exit_text[32] = "";
    if (code >= 0 && strstr(reason, "exit ") == NULL)
        (void)snprintf(exit_text, sizeof(exit_text), ", exit %" JSON_INTEGER_FORMAT, code);
    char after[64] = "";
    if (attempts > 1)
        (void)snprintf(after, sizeof(after), " after %zu attempts", attempts);
    bool started = code >= 0 || field(run, "started")[0] != '\0';
    screen_say(&session->screen, MARK_FAILED, "%s%s: %s%s",
               started || met_deadline(run) ? "failed" : "never started", after,
               reason[0] ? reason : "no reason is known", exit_text);
}

// --- a build ---

static bool build_has_ended(const json_t *build)
{
    static const char *const states[] = {"done", "failed", "superseded", "filtered", NULL};
    return is_among(build, "state", states);
}

// What a build waits for at this point; NULL: nothing.
static const char *build_waits_for(const json_t *build)
{
    static const struct {
        const char *state;
        const char *text;
    } waits[] = {{"waiting", "its turn"},
                 {"fetching", "fetching the source"},
                 {"pushed", "the services to get the image"}};
    if (field(build, "reason")[0] != '\0' && !build_has_ended(build))
        return field(build, "detail"); // a place, a node, an image: it says itself
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        if (field_is(build, "state", waits[i].state))
            return waits[i].text;
    }
    return NULL;
}

static enum log_end follow_build_step(struct follow *follow, struct error *err)
{
    enum tail_end end = refresh(follow, err);
    if (end != TAIL_DONE)
        return end == TAIL_STOPPED ? LOG_STOPPED : LOG_FAILED;
    const json_t *build = follow->state;
    const char *wait = build_waits_for(build);
    enum log_end log = LOG_WHOLE;
    if (wait == NULL)
        waiting_over(follow);
    if (wait == NULL || field_is(build, "state", "pushed"))
        log = copy_log(follow, !field_is(build, "state", "running"), true, err);
    if (log != LOG_WHOLE || wait == NULL)
        return log;
    return wait_for(follow, wait) == TAIL_STOPPED ? LOG_STOPPED : LOG_MORE;
}

// Some service may not have got the image although it was pushed.
static bool build_has_failed(const json_t *build)
{
    return field_is(build, "state", "failed") || field_is(build, "reason", "patch-failed");
}

static void say_build_end(struct session *session, const char *build, const json_t *state)
{
    bool failed = build_has_failed(state);
    bool left = field_is(state, "state", "superseded") || field_is(state, "state", "filtered");
    const char *text = field(state, failed || left ? "detail" : "image");
    screen_say(&session->screen,
               failed ? MARK_FAILED
               : left ? MARK_SKIPPED
                      : MARK_OK,
               "%s %s%s%s", build, field_or_dash(state, "state"), text[0] ? ": " : "", text);
}

// Why a build, NULL before it is known, was not followed to its end; the exit status.
static int say_build_interruption(struct follow *follow, const char *build, enum log_end end,
                                  const struct error *err)
{
    struct session *session = follow->session;
    int stopped = tail_status(follow->tail);
    if (stopped == STATUS_INTERRUPTED)
        screen_interrupted(&session->screen);
    waiting_over(follow);
    bool detached = stopped != 0 && stopped != STATUS_PIPE;
    if (detached)
        screen_say(&session->screen, MARK_SKIPPED, "detached; the build goes on");
    if (detached && build != NULL)
        screen_hint(&session->screen, "attach again: cronwright logs --follow --build %s", build);
    return end == LOG_STOPPED ? stopped : session_fail(session, err);
}

// Follows one build to its end.
static int show_build(struct follow *follow, const char *build)
{
    struct error err = {.code = ERR_NONE};
    enum log_end end = LOG_MORE;
    free(follow->path);
    follow->path = xasprintf("/v1/builds/%s", build);
    follow->query = "?follow=true";
    follow->offset = 0;
    follow->ended = false;
    while (end == LOG_MORE)
        end = follow_build_step(follow, &err);
    if (end != LOG_WHOLE)
        return say_build_interruption(follow, build, end, &err);
    say_log_losses(follow->session, follow->state);
    say_build_end(follow->session, build, follow->state);
    return build_has_failed(follow->state) ? STATUS_FAILED : STATUS_OK;
}

int follow_build(struct session *session, const char *build)
{
    CLEANUP(follow_ptr)
    struct follow follow = {
        .session = session,
        .tail = tail_open(&session->client, &session->screen, STDOUT_FILENO),
    };
    return show_build(&follow, build);
}

// --- the build that was asked for ---

// One look for it; the delivery first, so that no build is missed when that is final. LOG_WHOLE:
// *build, which the caller frees, is NULL when there is nothing to build for the service.
static enum log_end await_build_step(struct follow *follow, const struct asked_build *asked,
                                     const char *before, char **build, struct error *err)
{
    CLEANUP(json_ptr) json_t *service = NULL;
    CLEANUP(free_ptr) char *path = service_path(asked->service, "%s", "");
    enum tail_end end = refresh(follow, err);
    if (end == TAIL_DONE)
        end = tail_get(follow->tail, path, &service, err);
    if (end != TAIL_DONE)
        return end == TAIL_STOPPED ? LOG_STOPPED : LOG_FAILED;
    const json_t *last = json_at(service, "status", "lastBuild", NULL);
    const char *id = field(last, "build");
    bool found = id[0] != '\0' && (strcmp(id, before) != 0 || !build_has_ended(last));
    if (found)
        *build = xstrdup(id);
    if (found || !json_is_true(json_at(follow->state, "pending", NULL)))
        return LOG_WHOLE;
    return wait_for(follow, "the head of its branch") == TAIL_STOPPED ? LOG_STOPPED : LOG_MORE;
}

static int say_nothing_built(struct follow *follow)
{
    static const char *const good[] = {"deployed", "unchanged",  "filtered",
                                       "pinned",   "superseded", NULL};
    const json_t *delivery = follow->state;
    bool well = is_among(delivery, "reason", good);
    waiting_over(follow);
    screen_say(&follow->session->screen, well ? MARK_SKIPPED : MARK_FAILED, "%s: %s",
               field_or_dash(delivery, "reason"), field_or_dash(delivery, "detail"));
    return well ? STATUS_OK : STATUS_FAILED;
}

int follow_asked_build(struct session *session, const struct asked_build *asked)
{
    CLEANUP(follow_ptr)
    struct follow follow = {
        .session = session,
        .tail = tail_open(&session->client, &session->screen, STDOUT_FILENO),
    };
    CLEANUP(free_ptr) char *before = xstrdup(asked->before);
    for (;;) {
        struct error err = {.code = ERR_NONE};
        enum log_end end = LOG_MORE;
        char *build = NULL;
        free(follow.path);
        follow.path = xasprintf("/v1/deliveries/%s", asked->delivery);
        while (end == LOG_MORE)
            end = await_build_step(&follow, asked, before, &build, &err);
        if (end != LOG_WHOLE)
            return say_build_interruption(&follow, NULL, end, &err);
        if (build == NULL)
            return say_nothing_built(&follow);
        int status = show_build(&follow, build);
        free(before);
        before = build;
        if (status != STATUS_OK || !field_is(follow.state, "state", "superseded"))
            return status;
    }
}
