// start, stop, delete, adopt, copy, build, rollback, resume: each one request that changes a
// service, and what came of it.

#include "agent/cli/ask.h"
#include "agent/cli/draft.h"
#include "agent/cli/follow.h"
#include "agent/cli/interrupts.h"
#include "agent/cli/output.h"
#include "agent/cli/service_file.h"

#include <string.h>

// A change that was asked for, and the answer.
struct change {
    struct session *session;
    struct service_name service;
    struct client_answer answer;
};

static void change_finish(struct change *change)
{
    client_answer_finish(&change->answer);
}

static struct screen *screen_of(struct change *change)
{
    return &change->session->screen;
}

// --- asking the agent ---

static void say_missing(struct screen *screen, const json_t *missing)
{
    for (size_t i = 0; i < json_array_size(missing); i++) {
        const char *text = json_string_value(json_array_get(missing, i));
        screen_say(screen, MARK_FAILED, "%s", text ? text : "-");
    }
}

// Words a refusal with what to do about it; the exit status.
static int say_refused(struct change *change, const struct error *given)
{
    struct session *session = change->session;
    const struct service_name *service = &change->service;
    const struct problem *problem = &change->answer.problem;
    const json_t *errors = json_at(change->answer.json, "errors", NULL);
    struct error err = *given;
    if (err.code == ERR_NOT_FOUND)
        (void)service_not_found(session, service, &err);
    if (strcmp(problem->reason, "active-run") == 0)
        (void)error_set(&err, ERR_CONFLICT,
                        "run %s of %s/%s is still going on, nothing was changed\n"
                        "Watch it: cronwright logs --follow %s/%s\n"
                        "Cancel it with the service: --if-active cancel",
                        problem->run, service->namespace, service->name, service->namespace,
                        service->name);
    if (json_array_size(errors) > 0) {
        struct service_file options = {0};
        service_file_say_errors(session, &options, errors, "nothing changed");
        return STATUS_FAILED;
    }
    say_missing(screen_of(change), json_at(change->answer.json, "missing", NULL));
    screen_error(screen_of(change), &err);
    say_difference(session, json_at(change->answer.json, "difference", NULL));
    return STATUS_FAILED;
}

static bool ask_agent(struct change *change, const char *method, const char *path,
                      const json_t *body, int *status)
{
    struct error err;
    const struct client_request request = {.method = method, .path = path, .body = body};
    screen_wait(screen_of(change), "waiting for the agent");
    bool ok = client_exchange(&change->session->client, &request, &change->answer, &err);
    screen_unwait(screen_of(change));
    if (!ok)
        *status = say_refused(change, &err);
    return ok;
}

// The service of the first operand, and a request for it; `rest` is the end of its path.
static bool begin(struct session *session, struct change *change, int *status)
{
    struct error err;
    *change = (struct change){.session = session};
    bool ok = session_service(session, &change->service, &err);
    if (!ok)
        *status = session_fail(session, &err);
    return ok;
}

static bool post(struct change *change, const char *rest, const json_t *body, int *status)
{
    CLEANUP(free_ptr) char *path = service_path(&change->service, "%s", rest);
    return ask_agent(change, "POST", path, body, status);
}

// --- saying what came of it ---

static char *value_text(const json_t *value)
{
    if (json_is_string(value))
        return text_clean(json_string_value(value));
    return value == NULL || json_is_null(value) ? xstrdup("-") : json_write(value);
}

// "reports/nightly-report  draft → started", or that it was so before; without the line's end.
static void print_change(struct change *change)
{
    const json_t *before = json_at(change->answer.json, "before", NULL);
    const json_t *after = json_at(change->answer.json, "after", NULL);
    CLEANUP(free_ptr) char *one = value_text(before);
    CLEANUP(free_ptr) char *other = value_text(after);
    const char *arrow = screen_arrow(screen_of(change));
    (void)printf("%s/%s  ", change->service.namespace, change->service.name);
    if (json_equal(before, after))
        (void)printf("%s already", other);
    else
        (void)printf("%s %s %s", one, arrow, other);
}

// Whether the answer was printed as data. Warnings are said in any case.
static bool printed(struct change *change)
{
    say_warnings(change->session, change->answer.json);
    if (output_of(change->session) == OUTPUT_NAME) { // which is not in every answer
        (void)printf("%s/%s\n", change->service.namespace, change->service.name);
        return true;
    }
    return output_print(change->session, change->answer.json, &service_naming);
}

// --- start ---

static void say_start(struct change *change)
{
    const json_t *answer = change->answer.json;
    struct wall_time next = field_time(answer, "next");
    const char *first = field(json_at(answer, "firstRun", NULL), "name");
    print_change(change);
    if (next.ms != 0) {
        char due[ZONED_TEXT_SIZE], away[TIME_TEXT_SIZE];
        CLEANUP(free_ptr) char *zone = service_zone(change->session, &change->service);
        zoned_text(next, change->session->now, zone, due);
        ago_text(next, change->session->now, away);
        (void)printf("; next %s (%s)", due, away);
    }
    (void)putchar('\n');
    if (strcmp(field(answer, "state"), "starting") == 0)
        screen_hint(screen_of(change), "it starts when its image is built: cronwright show %s/%s",
                    change->service.namespace, change->service.name);
    if (first[0] != '\0')
        screen_hint(screen_of(change),
                    "its first run has begun: cronwright logs --follow --run %s %s/%s", first,
                    change->service.namespace, change->service.name);
}

int command_start(struct session *session)
{
    int status = STATUS_OK;
    CLEANUP(change_finish) struct change change;
    if (!begin(session, &change, &status) || !post(&change, "/start", NULL, &status))
        return status;
    if (!printed(&change))
        say_start(&change);
    return STATUS_OK;
}

// --- stop, resume ---

static int simple_change(struct session *session, const char *rest)
{
    int status = STATUS_OK;
    CLEANUP(change_finish) struct change change;
    if (!begin(session, &change, &status) || !post(&change, rest, NULL, &status))
        return status;
    if (printed(&change))
        return STATUS_OK;
    print_change(&change);
    (void)putchar('\n');
    return STATUS_OK;
}

int command_stop(struct session *session)
{
    return simple_change(session, "/stop");
}

int command_resume(struct session *session)
{
    return simple_change(session, "/resume");
}

// --- delete ---

static bool delete_confirmed(struct change *change, const char *logs, int *status)
{
    struct session *session = change->session;
    struct error err;
    if (call_has(session->call, OPTION_YES))
        return true;
    if (!ask_is_possible()) {
        (void)error_set(&err, ERR_INVALID, "without a terminal to ask on it wants --yes");
        *status = session_fail(session, &err);
        return false;
    }
    enum reply reply =
        ask(&session->screen, interrupts_hold(), REPLY_NO, "Delete %s/%s and %s its runs' logs?",
            change->service.namespace, change->service.name, logs);
    if (reply == REPLY_YES)
        return true;
    screen_say(&session->screen, MARK_NONE, "nothing deleted");
    *status = reply == REPLY_INTERRUPTED ? STATUS_INTERRUPTED : STATUS_FAILED;
    return false;
}

int command_delete(struct session *session)
{
    static const struct query_option query[] = {{OPTION_IF_ACTIVE, "ifActive"},
                                                {OPTION_LOGS, "logs"}};
    int status = STATUS_OK;
    CLEANUP(change_finish) struct change change;
    const char *logs = session->call->text[OPTION_LOGS];
    if (!begin(session, &change, &status) ||
        !delete_confirmed(&change, logs ? logs : "keep", &status))
        return status;
    CLEANUP(free_ptr) char *options = session_query(session, query, 2);
    CLEANUP(free_ptr) char *path = service_path(&change.service, "%s", options);
    if (!ask_agent(&change, "DELETE", path, NULL, &status))
        return status;
    const char *kept = field(change.answer.json, "logs");
    if (!printed(&change))
        (void)printf("%s/%s  deleted; its runs' logs %s\n", change.service.namespace,
                     change.service.name, kept[0] ? kept : "kept");
    return STATUS_OK;
}

// --- adopt ---

// What an adopted service is now told to be, a line for each that it was not before.
static void print_members(struct change *change)
{
    const json_t *before = json_at(change->answer.json, "before", NULL);
    const json_t *after = json_at(change->answer.json, "after", NULL);
    bool same = json_equal(before, after);
    const char *name;
    const json_t *value;
    (void)printf("%s/%s  adopted%s\n", change->service.namespace, change->service.name,
                 same ? " already" : "");
    json_object_foreach(json_unconst(after), name, value)
    {
        const json_t *old = json_at(before, name, NULL);
        CLEANUP(free_ptr) char *one = value_text(old);
        CLEANUP(free_ptr) char *other = value_text(value);
        if (!json_equal(old, value))
            (void)printf("  %s %s %s %s\n", name, one, screen_arrow(screen_of(change)), other);
    }
}

int command_adopt(struct session *session)
{
    int status = STATUS_OK;
    struct error err;
    CLEANUP(change_finish) struct change change;
    CLEANUP(json_ptr) json_t *body = NULL;
    if (!begin(session, &change, &status))
        return status;
    if (!draft_make(session->call, &body, &err))
        return session_fail(session, &err);
    // Whatever the source, an image is where builds go: the present one stays until the first.
    json_t *source = json_object_get(body, "source");
    json_t *image = json_object_get(source, "image");
    if (image != NULL) {
        (void)json_object_set(body, "image", image);
        (void)json_object_del(body, "source");
    }
    (void)json_object_set_new(body, "namespace", json_string(change.service.namespace));
    (void)json_object_set_new(body, "name", json_string(change.service.name));
    if (!ask_agent(&change, "POST", "/v1/services:adopt", body, &status))
        return status;
    if (printed(&change))
        return STATUS_OK;
    print_members(&change);
    screen_hint(screen_of(&change), "review it: cronwright show %s/%s", change.service.namespace,
                change.service.name);
    return STATUS_OK;
}

// --- copy ---

int command_copy(struct session *session)
{
    int status = STATUS_OK;
    struct error err;
    struct service_name to;
    const char *target = session->call->operands[1];
    const char *namespace = session->call->text[OPTION_NAMESPACE];
    CLEANUP(change_finish) struct change change;
    if (!begin(session, &change, &status))
        return status;
    if (!service_parse(target, strchr(target, '/') ? NULL : namespace, &to, &err))
        return session_fail(session, &err);
    CLEANUP(json_ptr)
    json_t *body = json_pack("{s:s, s:s}", "namespace", to.namespace, "name", to.name);
    if (!post(&change, "/copy", body, &status))
        return status;
    if (printed(&change))
        return STATUS_OK;
    (void)printf("%s/%s %s %s/%s, %s\n", change.service.namespace, change.service.name,
                 screen_arrow(&session->screen), to.namespace, to.name,
                 change.answer.status == 200 ? "which is there already, and the same" : "a draft");
    screen_hint(&session->screen, "change what is different there: cronwright edit %s/%s",
                to.namespace, to.name);
    screen_hint(&session->screen, "start it: cronwright start %s/%s", to.namespace, to.name);
    return STATUS_OK;
}

// --- build ---

// The service's last build until now; "" when it has none. The caller frees.
static bool last_build(struct change *change, char **build, int *status)
{
    CLEANUP(free_ptr) char *path = service_path(&change->service, "%s", "");
    if (!ask_agent(change, "GET", path, NULL, status))
        return false;
    *build = xstrdup(field(json_at(change->answer.json, "status", "lastBuild", NULL), "build"));
    change_finish(change);
    return true;
}

int command_build(struct session *session)
{
    static const struct naming delivery_naming = {NULL, {"delivery", NULL}};
    int status = STATUS_OK;
    bool follow = call_has(session->call, OPTION_FOLLOW);
    CLEANUP(change_finish) struct change change;
    CLEANUP(free_ptr) char *before = NULL;
    if (!begin(session, &change, &status) || (follow && !last_build(&change, &before, &status)) ||
        !post(&change, "/build", NULL, &status))
        return status;
    const json_t *answer = change.answer.json;
    const char *delivery = field_or_dash(answer, "delivery"), *build = field(answer, "build");
    say_warnings(session, answer);
    if (follow)
        return follow_asked_build(session, &(struct asked_build){.service = &change.service,
                                                                 .delivery = delivery,
                                                                 .before = before});
    if (output_print(session, answer, &delivery_naming))
        return STATUS_OK;
    CLEANUP(free_ptr) char *clean = text_clean(build[0] ? build : delivery);
    (void)printf("%s/%s  the head of its branch is built: %s\n", change.service.namespace,
                 change.service.name, clean);
    screen_hint(&session->screen, "what becomes of it: cronwright deliveries %s", delivery);
    return STATUS_OK;
}

// --- rollback ---

int command_rollback(struct session *session)
{
    int status = STATUS_OK;
    const char *to = session->call->text[OPTION_TO];
    CLEANUP(change_finish) struct change change;
    CLEANUP(json_ptr) json_t *body = to ? json_pack("{s:s}", "to", to) : json_object();
    if (!begin(session, &change, &status) || !post(&change, "/rollback", body, &status))
        return status;
    if (printed(&change))
        return STATUS_OK;
    const json_t *answer = change.answer.json;
    char commit[COMMIT_SIZE];
    commit_short(field(answer, "commit"), commit);
    print_change(&change);
    CLEANUP(free_ptr) char *build = text_clean(field(answer, "build"));
    if (build[0] != '\0') // else it is one that was set by hand
        (void)printf("; %s of %s", build, commit);
    (void)putchar('\n');
    screen_say(&session->screen, MARK_WARNING,
               "pinned: pushes do not change it until cronwright resume %s/%s",
               change.service.namespace, change.service.name);
    return STATUS_OK;
}
