// show: one service as for a review.

#include "agent/base/text.h"
#include "agent/cli/output.h"

#include <stdarg.h>
#include <string.h>

#define LOG_SHOWN_MAX   ((size_t)8 << 20) // larger ones are not read just to show their end
#define LOG_SHOWN_LINES 3

struct page {
    const struct session *session;
    const struct service_name *service;
    const json_t *document; // its settings
    const json_t *status;   // what became of it
};

static void row(const char *label, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void row(const char *label, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    CLEANUP(free_ptr) char *clean = text_clean_printf(fmt, args);
    va_end(args);
    (void)printf("%-9s %s\n", label, clean);
}

// A list of sentences, the first beside the label.
static void rows(const char *label, const json_t *sentences)
{
    for (size_t i = 0; i < json_array_size(sentences); i++) {
        const char *text = json_string_value(json_array_get(sentences, i));
        row(i == 0 ? label : "", "%s", text ? text : "-");
    }
}

// --- parts of a row ---

// No longer than the answer that it is of.
#define ADD(text, ...)                                                                             \
    do {                                                                                           \
        if (!buffer_printf(text, NULL, __VA_ARGS__))                                               \
            abort();                                                                               \
    } while (0)

// "cpu 100m, memory 64Mi": an object's members, with `between` name and value.
static void add_members(struct buffer *text, const json_t *object, const char *between)
{
    const char *name;
    const json_t *value;
    json_object_foreach(json_unconst(object), name, value)
    {
        CLEANUP(free_ptr) char *written = json_is_string(value) ? NULL : json_write(value);
        ADD(text, "%s%s%s%s", text->len == 0 || text->data[text->len - 1] == ' ' ? "" : ", ", name,
            between, written ? written : json_string_value(value));
    }
}

static void row_of(const char *label, struct buffer *text)
{
    if (text->len > 0)
        row(label, "%s", buffer_text(text));
}

// --- what runs ---

static void show_head(const struct page *page)
{
    const json_t *run = json_at(page->status, "lastRun", NULL);
    bool ran = json_is_object(run), failed = field_is(run, "state", "failed");
    enum mark mark = !ran ? MARK_NONE : failed ? MARK_FAILED : MARK_OK;
    const struct screen *screen = &page->session->screen;
    CLEANUP(free_ptr)
    char *marked = mark_text(screen, mark,
                             !ran     ? "never run"
                             : failed ? "last run failed"
                                      : "last run succeeded");
    const char *colour = screen->colour_out ? mark_colour(mark) : "";
    CLEANUP(free_ptr) char *project = text_clean(field(page->document, "project"));
    (void)printf("%s/%s  %s  %s%s%s%s%s\n", page->service->namespace, page->service->name,
                 field_state(page->status), colour, marked, colour[0] ? COLOUR_END : "",
                 project[0] ? "  project " : "", project);
}

static void show_source(const struct page *page)
{
    const json_t *git = json_at(page->document, "source", "git", NULL);
    const char *context = field(git, "context"), *target = field(git, "target");
    bool subdirectory = context[0] != '\0' && strcmp(context, ".") != 0;
    if (git == NULL) {
        row("source", "image %s", field_or_dash(json_at(page->document, "source", NULL), "image"));
        return;
    }
    row("source", "%s  %s  %s%s%s%s%s", field_or_dash(git, "repository"),
        field_or_dash(git, "branch"), field_or_dash(git, "dockerfile"), subdirectory ? "  in " : "",
        subdirectory ? context : "", target[0] ? "  stage " : "", target);
    const json_t *paths = json_at(git, "paths", NULL);
    for (size_t i = 0; i < json_array_size(paths); i++)
        row("", "%s %s", i == 0 ? "only for changes of" : "or",
            json_string_value(json_array_get(paths, i)));
    CLEANUP(buffer_finish) struct buffer arguments = {0};
    add_members(&arguments, json_at(git, "buildArgs", NULL), "=");
    if (arguments.len > 0)
        row("", "with %s", buffer_text(&arguments));
}

static void show_live(const struct page *page)
{
    const json_t *live = json_at(page->status, "live", NULL);
    const char *commit = field(live, "commit");
    const char *subject = field(live, "subject"), *author = field(live, "author");
    const char *ran = field(json_at(page->status, "lastRun", NULL), "commit");
    char shown[COMMIT_SIZE], ran_short[COMMIT_SIZE], ago[TIME_TEXT_SIZE];
    commit_short(commit, shown);
    commit_short(ran, ran_short);
    ago_text(field_time(live, "patched"), page->session->now, ago);
    bool not_yet = ran[0] != '\0' && strcmp(ran, commit) != 0;
    if (commit[0] != '\0')
        row("live", "%s%s%s%s%s%s, %s%s%s%s", shown, subject[0] ? " \"" : "", subject,
            subject[0] ? "\"" : "", author[0] ? ", " : "", author, ago,
            not_yet ? "; not yet run (the last run had " : "", not_yet ? ran_short : "",
            not_yet ? ")" : "");
    row("image", "%s", field_or_dash(page->status, "image"));
    if (json_is_true(json_at(page->status, "pinned", NULL)))
        row("pinned",
            "pushes do not change it; to follow its branch again: cronwright resume "
            "%s/%s",
            page->service->namespace, page->service->name);
}

// From the push to the run: what is done of it, as far as it is known.
static void show_chain(const struct page *page)
{
    const json_t *live = json_at(page->status, "live", NULL);
    const char *id = field(live, "build");
    const struct session *session = page->session;
    CLEANUP(json_ptr) json_t *build = NULL;
    CLEANUP(free_ptr) char *escaped = http_escape(id);
    CLEANUP(free_ptr) char *path = xasprintf("/v1/builds/%s", escaped);
    if (id[0] == '\0' || !client_get(&session->client, path, &build, NULL))
        return;
    char asked[TIME_TEXT_SIZE], took[TIME_TEXT_SIZE], patched[TIME_TEXT_SIZE];
    wall_short_text(field_time(build, "created"), session->now, asked);
    seconds_text(json_number_value(json_at(build, "kanikoSeconds", NULL)), took);
    wall_short_text(field_time(live, "patched"), session->now, patched);
    const json_t *run = json_at(page->status, "lastRun", NULL);
    bool ran = field_is(run, "commit", field(live, "commit"));
    CLEANUP(free_ptr) char *done = mark_text(&session->screen, MARK_OK, "");
    CLEANUP(free_ptr)
    char *result =
        mark_text(&session->screen, field_is(run, "state", "failed") ? MARK_FAILED : MARK_OK, "");
    row("chain", "%s asked for %s  built in %s %s  patched %s %s  run: %s", id, asked, took, done,
        patched, done, ran ? result : "none yet");
}

static void show_last_build(const struct page *page)
{
    const json_t *build = json_at(page->status, "lastBuild", NULL);
    const char *id = field(build, "build"), *reason = field(build, "reason");
    const char *detail = field(build, "detail");
    if (id[0] == '\0' || field_is(json_at(page->status, "live", NULL), "build", id))
        return; // none, or the one that is live
    bool failed = field_is(build, "state", "failed");
    char commit[COMMIT_SIZE];
    commit_short(field(build, "commit"), commit);
    CLEANUP(free_ptr)
    char *state = mark_text(&page->session->screen, failed ? MARK_FAILED : MARK_NONE,
                            reason[0] ? reason : field_or_dash(build, "state"));
    row("build", "%s of %s: %s%s%s", id, commit, state, detail[0] ? ": " : "", detail);
    if (!field_is(build, "state", "filtered")) // nothing ran
        row("", "see: cronwright logs --build %s", id);
}

static void show_container(const struct page *page)
{
    const json_t *container = json_at(page->document, "container", NULL);
    static const struct {
        const char *name;
        const char *label;
    } parts[] = {{"command", "command"}, {"args", "arguments"}};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        const json_t *words = json_at(container, parts[i].name, NULL);
        CLEANUP(free_ptr) char *text = json_array_size(words) > 0 ? json_write(words) : NULL;
        if (text != NULL)
            row(parts[i].label, "%s", text);
    }
    if (field(container, "workingDir")[0] != '\0')
        row("in", "%s", field(container, "workingDir"));
}

// --- when, and within which bounds ---

static void show_schedule(const struct page *page)
{
    const char *zone = field(page->document, "timeZone");
    const char *sentence = field(page->status, "sentence");
    struct wall_time next = field_time(page->status, "next");
    CLEANUP(buffer_finish) struct buffer text = {0};
    ADD(&text, "%s", field_or_dash(page->document, "schedule"));
    ADD(&text, "  %s", sentence);
    if (zone[0] == '\0')
        ADD(&text, " (no time zone is set: the cluster's is used, usually UTC)");
    else if (strstr(sentence, zone) == NULL)
        ADD(&text, "%s%s", sentence[0] ? ", " : "", zone);
    if (next.ms != 0) {
        char due[ZONED_TEXT_SIZE], away[TIME_TEXT_SIZE];
        zoned_text(next, page->session->now, zone, due);
        ago_text(next, page->session->now, away);
        ADD(&text, "; next %s (%s)", due, away);
    } else if (!field_is(page->status, "state", "started")) {
        bool starting = json_is_true(json_at(page->status, "starting", NULL));
        ADD(&text, starting ? "; starts when the image is built" : "; not started");
    }
    row_of("schedule", &text);
}

static void show_guards(const struct page *page)
{
    const json_t *document = page->document;
    json_int_t restarts = field_int(document, "restarts", -1);
    json_int_t most = field_int(document, "maxDurationSeconds", -1);
    json_int_t late = field_int(document, "startingDeadlineSeconds", -1);
    const char *memory = field(json_at(document, "resources", "limits", NULL), "memory");
    char usual[TIME_TEXT_SIZE];
    CLEANUP(buffer_finish) struct buffer text = {0};
    ADD(&text, "%s", field_or_dash(document, "concurrency"));
    if (restarts >= 0)
        ADD(&text, ", %" JSON_INTEGER_FORMAT " restart%s", restarts, restarts == 1 ? "" : "s");
    if (most >= 0)
        ADD(&text, ", %" JSON_INTEGER_FORMAT " s", most);
    else
        ADD(&text, ", no limit of time");
    if (field_duration(page->status, "usualSeconds", usual))
        ADD(&text, " (usually %s)", usual);
    if (memory[0] != '\0')
        ADD(&text, ", memory %s", memory);
    if (late >= 0)
        ADD(&text, ", starts at most %" JSON_INTEGER_FORMAT " s late", late);
    row_of("guards", &text);
    const char *missed = field(document, "missed"), *first = field(document, "firstRun");
    const json_t *history = json_at(document, "history", NULL);
    row("keeps",
        "%" JSON_INTEGER_FORMAT " failed, %" JSON_INTEGER_FORMAT
        " succeeded; missed times: %s; first run: %s; restart policy %s",
        field_int(history, "failed", 1), field_int(history, "succeeded", 3),
        missed[0] ? missed : "skip", first[0] ? first : "never",
        field_or_dash(document, "restartPolicy"));
}

static void show_resources(const struct page *page)
{
    CLEANUP(buffer_finish) struct buffer text = {0};
    const json_t *requests = json_at(page->document, "resources", "requests", NULL);
    const json_t *limits = json_at(page->document, "resources", "limits", NULL);
    if (json_object_size(requests) > 0)
        ADD(&text, "requests ");
    add_members(&text, requests, " ");
    if (json_object_size(limits) > 0)
        ADD(&text, "%slimits ", text.len > 0 ? "; " : "");
    add_members(&text, limits, " ");
    row("resources", "%s", text.len > 0 ? buffer_text(&text) : "none asked for, no limit");
}

// --- what it is given ---

static void show_env(const struct page *page)
{
    const json_t *env = json_at(page->document, "env", NULL);
    for (size_t i = 0; i < json_array_size(env); i++) {
        const json_t *item = json_array_get(env, i);
        const json_t *secret = json_at(item, "secret", NULL);
        const json_t *from = secret ? secret : json_at(item, "configMap", NULL);
        const char *label = i == 0 ? "env" : "";
        if (from != NULL)
            row(label, "%s from %s %s, key %s", field(item, "name"),
                secret ? "Secret" : "ConfigMap", field_or_dash(from, "name"),
                field_or_dash(from, "key"));
        else
            row(label, "%s=%s", field(item, "name"), field(item, "value"));
    }
}

static void show_ports(const struct page *page)
{
    const json_t *ports = json_at(page->document, "ports", NULL);
    CLEANUP(buffer_finish) struct buffer text = {0};
    for (size_t i = 0; i < json_array_size(ports); i++) {
        const json_t *port = json_array_get(ports, i);
        ADD(&text, "%s%s%s%" JSON_INTEGER_FORMAT "%s%s", text.len > 0 ? ", " : "",
            field(port, "name"), field(port, "name")[0] ? " " : "", field_int(port, "port", 0),
            field(port, "protocol")[0] ? "/" : "", field(port, "protocol"));
    }
    row_of("ports", &text);
}

// "http path /, port 9090; periodSeconds 10".
static void add_check(struct buffer *text, const json_t *check)
{
    const char *name;
    const json_t *value;
    json_object_foreach(json_unconst(check), name, value)
    {
        ADD(text, "%s%s ", text->len > 0 ? "; " : "", name);
        CLEANUP(free_ptr) char *written = json_is_object(value) ? NULL : json_write(value);
        if (written != NULL)
            ADD(text, "%s", written);
        else
            add_members(text, value, " ");
    }
}

static void show_health_checks(const struct page *page)
{
    const json_t *checks = json_at(page->document, "healthChecks", NULL);
    const char *name;
    const json_t *check;
    bool first = true;
    json_object_foreach(json_unconst(checks), name, check)
    {
        CLEANUP(buffer_finish) struct buffer text = {0};
        add_check(&text, check);
        row(first ? "health" : "", "%s: %s", name, buffer_text(&text));
        first = false;
    }
}

static void show_volumes(const struct page *page)
{
    static const struct {
        const char *member;
        const char *word;
    } kinds[] = {{"secret", "Secret "},
                 {"configMap", "ConfigMap "},
                 {"claim", "claim "},
                 {"emptyDir", "empty at first"}};
    const json_t *volumes = json_at(page->document, "volumes", NULL);
    for (size_t i = 0; i < json_array_size(volumes); i++) {
        const json_t *volume = json_array_get(volumes, i);
        size_t kind = 0;
        while (kind < 3 && json_at(volume, kinds[kind].member, NULL) == NULL)
            kind++;
        const char *part = field(volume, "subPath");
        row(i == 0 ? "volumes" : "", "%s  %s%s%s%s%s", field_or_dash(volume, "mountPath"),
            kinds[kind].word, field(volume, kinds[kind].member), part[0] ? ", of it " : "", part,
            json_is_true(json_at(volume, "readOnly", NULL)) ? ", read only" : "");
    }
}

static void show_pod(const struct page *page)
{
    static const struct {
        const char *member;
        const char *label;
        const char *between;
    } objects[] = {{"security", "security", " "},
                   {"podLabels", "labels", "="},
                   {"nodeSelector", "nodes", "="}};
    for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
        CLEANUP(buffer_finish) struct buffer text = {0};
        add_members(&text, json_at(page->document, objects[i].member, NULL), objects[i].between);
        row_of(objects[i].label, &text);
    }
    const char *account = field(page->document, "serviceAccount");
    const char *secret = field(json_at(page->document, "container", NULL), "pullSecret");
    if (account[0] != '\0')
        row("runs as", "service account %s", account);
    if (secret[0] != '\0')
        row("pulls", "with Secret %s", secret);
    const char *owner = field(page->status, "owner");
    if (owner[0] != '\0')
        row("owner", "%s; it may put the old image back", owner);
}

// --- what became of it ---

// The last lines of a log, each behind a bar. Nothing when it cannot be had: the rest still counts.
static void show_log_end(const struct page *page, const char *run)
{
    CLEANUP(free_ptr) char *path = service_path(page->service, "/runs/%s/logs", run);
    CLEANUP(free_ptr) char *url = NULL;
    struct http_request request;
    struct http_response response = {0};
    client_prepare(&page->session->client, path, &url, &request);
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

static void show_runs(const struct page *page)
{
    const json_t *run = json_at(page->status, "lastRun", NULL);
    struct wall_time now = page->session->now;
    char ago[TIME_TEXT_SIZE], took[TIME_TEXT_SIZE];
    const char *reason = field(run, "reason");
    if (json_is_object(run)) {
        ago_text(field_time(run, "finished"), now, ago);
        (void)field_duration(run, "durationSeconds", took);
        row("last run", "%s, %s, took %s%s%s", field_or_dash(run, "name"), ago, took,
            reason[0] ? ", " : "", reason);
    }
    if (field_is(run, "state", "failed")) {
        show_log_end(page, field(run, "name"));
        ago_text(field_time(page->status, "lastSuccessfulTime"), now, ago);
        row("last good", "%s", strcmp(ago, "-") == 0 ? "never" : ago);
    }
    rows("running", json_at(page->status, "running", NULL));
}

static void show_verdict(const struct page *page)
{
    const json_t *missing = json_at(page->status, "missing", NULL);
    const char *problem = field(page->status, "problem");
    bool ready = json_array_size(missing) == 0 && problem[0] == '\0';
    const char *state = field_state(page->status);
    bool idle = strcmp(state, "draft") == 0 || strcmp(state, "stopped") == 0;
    const char *command = !ready                           ? "edit"
                          : idle                           ? "start"
                          : strcmp(state, "starting") == 0 ? "build --follow"
                                                           : "run --follow";
    rows("warning", json_at(page->status, "warnings", NULL));
    rows("unchecked", json_at(page->status, "notChecked", NULL));
    if (problem[0] != '\0')
        row("problem", "%s", problem);
    rows("missing", missing);
    if (ready)
        row("missing", "nothing");
    row("try", "cronwright %s %s/%s", command, page->service->namespace, page->service->name);
}

static void show(const struct page *page)
{
    show_head(page);
    show_source(page);
    show_live(page);
    show_chain(page);
    show_last_build(page);
    show_container(page);
    show_schedule(page);
    show_guards(page);
    show_resources(page);
    show_env(page);
    show_ports(page);
    show_health_checks(page);
    show_volumes(page);
    show_pod(page);
    show_runs(page);
    show_verdict(page);
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
    if (output_print(session, json, &service_naming))
        return STATUS_OK;
    const struct page page = {.session = session,
                              .service = &service,
                              .document = json,
                              .status = json_at(json, "status", NULL)};
    show(&page);
    return STATUS_OK;
}
