// deliveries: what the forges sent, refused requests included, and what each led to.

#include "agent/base/text.h"
#include "agent/cli/output.h"
#include "agent/cli/table.h"
#include "agent/cli/times.h"
#include "webhooks/repository.h"

#include <string.h>

#define DELIVERIES_SHOWN 20

static const struct naming delivery_naming = {NULL, {"delivery", NULL}};
static const struct naming deliveries_naming = {"deliveries", {"delivery", NULL}};

static const char *const headers[] = {"RECEIVED", "FORGE",  "REPOSITORY", "REF",
                                      "COMMIT",   "REASON", "RESULT"};
#define COLUMNS (sizeof(headers) / sizeof(headers[0]))
static const char *const wide_headers[] = {"RECEIVED", "FORGE",  "REPOSITORY", "REF",   "COMMIT",
                                           "DELIVERY", "PUSHER", "REASON",     "RESULT"};
#define WIDE_COLUMNS (sizeof(wide_headers) / sizeof(wide_headers[0]))

static void add_received(struct table *table, struct wall_time time, struct wall_time now)
{
    char text[TIME_TEXT_SIZE];
    wall_short_text(time, now, text);
    table_cell(table, "%s", text);
}

static void add_outcome(struct table *table, const json_t *delivery)
{
    const char *build = field(delivery, "build");
    const char *detail = field(delivery, "detail");
    if (json_is_true(json_at(delivery, "pending", NULL)))
        table_rest(table, build[0] ? MARK_RUNNING : MARK_WAITING, "%s",
                   build[0] ? build : "its turn");
    else if (build[0] != '\0' && detail[0] != '\0')
        table_rest(table, MARK_NONE, "%s %s %s", build, screen_arrow(table->screen), detail);
    else
        table_rest(table, MARK_NONE, "%s", build[0] ? build : field_or_dash(delivery, "detail"));
}

static void add_delivery(struct table *table, const json_t *delivery, struct wall_time now)
{
    const char *ref = field(delivery, "branch");
    if (ref[0] == '\0')
        ref = field(delivery, "ref");
    if (text_starts(ref, "refs/"))
        ref += strlen("refs/");
    char commit[COMMIT_SIZE];
    commit_short(field(delivery, "commit"), commit);
    add_received(table, field_time(delivery, "received"), now);
    table_cell(table, "%s", field_or_dash(delivery, "forge"));
    CLEANUP(free_ptr) char *repository = repository_short(field_or_dash(delivery, "repository"));
    table_cell(table, "%s", repository);
    table_cell(table, "%s", ref[0] ? ref : "-");
    table_cell(table, "%s", commit);
    if (table->columns == WIDE_COLUMNS) {
        table_cell(table, "%s", field_or_dash(delivery, "delivery"));
        table_cell(table, "%s", field_or_dash(delivery, "pusher"));
    }
    table_cell(table, "%s", field_or_dash(delivery, "reason"));
    add_outcome(table, delivery);
}

static void add_refused(struct table *table, const json_t *refused, struct wall_time now)
{
    add_received(table, field_time(refused, "time"), now);
    table_cell(table, "%s", field_or_dash(refused, "forge"));
    for (size_t i = 2; i < table->columns - 2; i++) { // all between these and the last two
        bool is_delivery = strcmp(table->headers[i], "DELIVERY") == 0;
        table_cell(table, "%s", is_delivery ? field_or_dash(refused, "delivery") : "-");
    }
    table_cell(table, "refused");
    char since[TIME_TEXT_SIZE], often[sizeof since + 64] = "";
    json_int_t count = field_int(refused, "count", 1);
    wall_short_text(field_time(refused, "since"), now, since);
    if (count > 1)
        (void)snprintf(often, sizeof often, ", %" JSON_INTEGER_FORMAT " times since %s", count,
                       since);
    table_rest(table, MARK_FAILED, "%" JSON_INTEGER_FORMAT ": %s (%s%s)",
               field_int(refused, "status", 401), field_or_dash(refused, "reason"),
               field_or_dash(refused, "peer"), often);
}

// Both lists have the newest first; so has what is printed.
static size_t print_both(const struct session *session, const json_t *deliveries,
                         const json_t *refused, size_t limit)
{
    bool wide = output_of(session) == OUTPUT_WIDE;
    struct table table = {.screen = &session->screen,
                          .headers = wide ? wide_headers : headers,
                          .columns = wide ? WIDE_COLUMNS : COLUMNS};
    size_t d = 0, r = 0;
    while (d + r < limit) {
        const json_t *delivery = json_array_get(deliveries, d);
        const json_t *request = json_array_get(refused, r);
        if (delivery == NULL && request == NULL)
            break;
        bool newer = delivery == NULL ||
                     (request != NULL &&
                      field_time(request, "time").ms > field_time(delivery, "received").ms);
        if (newer) {
            add_refused(&table, request, session->now);
            r++;
        } else {
            add_delivery(&table, delivery, session->now);
            d++;
        }
    }
    if (d + r > 0)
        table_print(&table, !call_has(session->call, OPTION_NO_HEADERS), stdout);
    table_finish(&table);
    return d + r;
}

// The path of the list with its options, a repository as its identity.
static bool list_path(const struct session *session, int64_t limit, char **path, struct error *err)
{
    static const struct query_option query[] = {
        {OPTION_BEFORE, "before"}, {OPTION_REASON, "reason"}, {OPTION_COMMIT, "commit"}};
    char identity[REPOSITORY_MAX + 1] = "";
    const char *repository = session->call->text[OPTION_REPOSITORY];
    if (repository != NULL && !repository_identify(repository, identity, err))
        return error_wrap(err, "--repository");
    CLEANUP(free_ptr) char *options = session_query(session, query, 3);
    CLEANUP(free_ptr) char *escaped = http_escape(identity);
    *path = xasprintf("/v1/deliveries%s%climit=%d%s%s", options, options[0] ? '&' : '?', (int)limit,
                      repository ? "&repository=" : "", escaped);
    return true;
}

static int list_deliveries(struct session *session)
{
    const struct call *call = session->call;
    struct error err;
    CLEANUP(free_ptr) char *path = NULL;
    CLEANUP(json_ptr) json_t *answer = NULL;
    int64_t limit = call_has(call, OPTION_LIMIT) ? call->number[OPTION_LIMIT] : DELIVERIES_SHOWN;
    if (!list_path(session, limit, &path, &err) ||
        !client_get(&session->client, path, &answer, &err))
        return session_fail(session, &err);
    if (output_print(session, answer, &deliveries_naming))
        return STATUS_OK;
    // A refused request has no repository, commit or reason of ours to be chosen by.
    bool chosen = call_has(call, OPTION_REPOSITORY) || call_has(call, OPTION_REASON) ||
                  call_has(call, OPTION_BEFORE) || call_has(call, OPTION_COMMIT);
    size_t shown = print_both(session, json_at(answer, "deliveries", NULL),
                              chosen ? NULL : json_at(answer, "refused", NULL), (size_t)limit);
    if (shown == 0)
        screen_say(&session->screen, MARK_NONE, "No deliveries%s. Send one: cronwright sign --help",
                   chosen ? " like that" : "");
    return STATUS_OK;
}

static void show_delivery(const struct session *session, const json_t *delivery)
{
    static const char *const names[] = {
        "delivery", "forge",  "event",  "received", "repository", "ref", "commit",
        "pusher",   "reason", "detail", "finished", "bodySha256", NULL};
    print_fields(session, delivery, names);
    const json_t *builds = json_at(delivery, "builds", NULL);
    for (size_t i = 0; i < json_array_size(builds); i++) {
        const json_t *build = json_array_get(builds, i);
        CLEANUP(free_ptr) char *detail = text_clean(field(build, "detail"));
        (void)printf("%-10s  %s %s%s%s\n", i == 0 ? "builds" : "", field_or_dash(build, "build"),
                     field_or_dash(build, "state"), detail[0] ? ": " : "", detail);
    }
}

static int one_delivery(struct session *session, const char *id)
{
    struct error err;
    CLEANUP(json_ptr) json_t *delivery = NULL;
    CLEANUP(free_ptr) char *escaped = http_escape(id);
    CLEANUP(free_ptr) char *path = xasprintf("/v1/deliveries/%s", escaped);
    if (!client_get(&session->client, path, &delivery, &err))
        return session_fail(session, &err);
    if (!output_print(session, delivery, &delivery_naming))
        show_delivery(session, delivery);
    return STATUS_OK;
}

int command_deliveries(struct session *session)
{
    return session->call->operand_count > 0 ? one_delivery(session, session->call->operands[0])
                                            : list_deliveries(session);
}
