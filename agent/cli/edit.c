// edit: changes a service in an editor, or from a file, after showing the difference.

#include "agent/base/file.h"
#include "agent/base/text.h"
#include "agent/cli/ask.h"
#include "agent/cli/editor.h"
#include "agent/cli/interrupts.h"
#include "agent/cli/output.h"
#include "agent/cli/service_file.h"
#include "deploy/merge.h"

#include <string.h>

struct edit {
    struct session *session;
    struct service_name service;
    char *label;             // "namespace/name"
    char *text;              // what the editor was given
    json_t *before;          // the service's document
    char etag[ETAG_SIZE];    // of it
    bool overtaken;          // someone else changed it meanwhile
    int interrupts;          //
    struct editor_file file; // none with --file
};

// What became of one attempt to change the service.
enum outcome {
    OUTCOME_DONE,
    OUTCOME_FAULTY, // what was written is wrong, and can be written anew
    OUTCOME_FAILED,
    OUTCOME_INTERRUPTED,
};

static void edit_finish(struct edit *edit)
{
    free(edit->label);
    free(edit->text);
    json_decref(edit->before);
    editor_file_remove(&edit->file);
}

// Nothing typed is to be lost: the file stays, and is told of.
static void keep_file(struct edit *edit)
{
    if (edit->file.path == NULL)
        return;
    struct screen *screen = &edit->session->screen;
    screen_hint(screen, "what you wrote is kept: %s", edit->file.path);
    if (edit->overtaken) // the file has the rest of the service as it was before
        screen_hint(screen,
                    "begin anew: cronwright edit %s; the file as it is undoes the other change",
                    edit->label);
    else
        screen_hint(screen, "try again with it: cronwright edit -f %s", edit->file.path);
    free(TAKE(edit->file.directory));
    free(TAKE(edit->file.path));
}

// Without what has no value, and without what an answer has besides the settings.
static json_t *settings_of(const json_t *document)
{
    static const char *const others[] = {"status", "changed", "warnings", "notChecked", "dryRun"};
    CLEANUP(json_ptr) json_t *nothing = json_object();
    json_t *settings = merge_patched(nothing, document); // drops nulls
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        (void)json_object_del(settings, others[i]);
    return settings;
}

// What a file wants of the service, which it need not name again.
static json_t *wanted_settings(const struct edit *edit, const struct service_file *file)
{
    json_t *wanted = settings_of(file->yaml.root);
    if (json_object_get(wanted, "name") == NULL)
        (void)json_object_set_new(wanted, "name", json_string(edit->service.name));
    if (json_object_get(wanted, "namespace") == NULL)
        (void)json_object_set_new(wanted, "namespace", json_string(edit->service.namespace));
    return wanted;
}

static bool fetch(struct edit *edit, struct error *err)
{
    struct session *session = edit->session;
    CLEANUP(free_ptr) char *path = service_path(&edit->service, "%s", "");
    const struct client_request request = {.method = "GET", .path = path};
    CLEANUP(client_answer_finish) struct client_answer answer;
    if (!client_exchange(&session->client, &request, &answer, err))
        return err->code == ERR_NOT_FOUND ? service_not_found(session, &edit->service, err) : false;
    if (answer.json == NULL)
        return error_set(err, ERR_PROTOCOL, "%s answered with nothing", session->client.url);
    edit->before = settings_of(answer.json);
    (void)text_copy(edit->etag, sizeof(edit->etag), answer.etag);
    return true;
}

static void show_change(const struct edit *edit, const json_t *after, const char *after_label)
{
    const struct screen *screen = &edit->session->screen;
    bool data = output_is_data(edit->session);
    show_difference(edit->before, edit->label, after, after_label,
                    data ? screen->colour_err : screen->colour_out, data ? stderr : stdout);
    (void)fflush(stdout);
}

static enum outcome say_unchanged(const struct edit *edit)
{
    if (!output_print(edit->session, edit->before, &service_naming))
        (void)printf("%s  nothing changed\n", edit->label);
    return OUTCOME_DONE;
}

static enum outcome say_refused(struct edit *edit, const struct service_file *file,
                                const struct client_answer *answer, const struct error *err)
{
    struct session *session = edit->session;
    const json_t *errors = json_at(answer->json, "errors", NULL);
    if (json_array_size(errors) > 0) {
        service_file_say_errors(session, file, errors,
                                "nothing changed. See: cronwright create --example");
        return OUTCOME_FAULTY;
    }
    const json_t *current = json_at(answer->json, "current", NULL);
    if (current == NULL) {
        screen_error(&session->screen, err);
        return OUTCOME_FAILED;
    }
    struct error changed;
    (void)error_set(&changed, ERR_CONFLICT,
                    "%s was changed by someone else meanwhile; nothing of yours was applied\n"
                    "What was changed:",
                    edit->label);
    screen_error(&session->screen, &changed);
    edit->overtaken = true;
    CLEANUP(json_ptr) json_t *settings = settings_of(current);
    show_change(edit, settings, "as it is now");
    return OUTCOME_FAILED;
}

static bool send_patch(const struct edit *edit, const json_t *patch, bool dry_run,
                       struct client_answer *answer, struct error *err)
{
    CLEANUP(free_ptr)
    char *path = service_path(&edit->service, "%s", dry_run ? "?dryRun=true" : "");
    CLEANUP(free_ptr) char *match = xasprintf("If-Match: %s", edit->etag);
    const struct client_request request = {.method = "PATCH",
                                           .path = path,
                                           .body = patch,
                                           .content_type = "application/merge-patch+json",
                                           .header = edit->etag[0] != '\0' ? match : NULL};
    screen_wait(&edit->session->screen, "waiting for the agent");
    bool ok = client_exchange(&edit->session->client, &request, answer, err);
    screen_unwait(&edit->session->screen);
    if (ok && answer->json == NULL)
        ok = error_set(err, ERR_PROTOCOL, "%s answered with nothing", edit->session->client.url);
    return ok;
}

static enum outcome say_changed(const struct edit *edit, const json_t *answer)
{
    if (output_print(edit->session, answer, &service_naming))
        return OUTCOME_DONE;
    const json_t *changed = json_at(answer, "changed", NULL);
    (void)printf("%s  changed", edit->label);
    for (size_t i = 0; i < json_array_size(changed); i++) {
        const char *pointer = json_string_value(json_array_get(changed, i));
        CLEANUP(free_ptr) char *text = pointer_text(pointer ? pointer : "");
        CLEANUP(free_ptr) char *clean = text_clean(text);
        (void)printf("%s%s", i == 0 ? ": " : ", ", clean);
    }
    (void)putchar('\n');
    return OUTCOME_DONE;
}

// Whether to go on, after the difference was shown.
static bool confirmed(struct edit *edit, enum outcome *outcome)
{
    struct session *session = edit->session;
    if (call_has(session->call, OPTION_DRY_RUN)) {
        screen_say(&session->screen, MARK_NONE, "nothing changed, as --dry-run asks");
        *outcome = OUTCOME_DONE;
        return false;
    }
    if (call_has(session->call, OPTION_YES))
        return true;
    enum reply reply =
        ask(&session->screen, edit->interrupts, REPLY_NO, "Apply this to %s?", edit->label);
    if (reply == REPLY_YES)
        return true;
    screen_say(&session->screen, MARK_NONE, "nothing changed");
    *outcome = reply == REPLY_INTERRUPTED ? OUTCOME_INTERRUPTED : OUTCOME_FAILED;
    return false;
}

// The agent says first what would become of the service: checked, and with what is set by itself.
static enum outcome apply(struct edit *edit, const struct service_file *file)
{
    struct error err;
    enum outcome outcome = OUTCOME_FAILED;
    CLEANUP(json_ptr) json_t *wanted = wanted_settings(edit, file);
    CLEANUP(json_ptr) json_t *patch = merge_between(edit->before, wanted);
    CLEANUP(client_answer_finish) struct client_answer trial = {0};
    CLEANUP(client_answer_finish) struct client_answer answer = {0};
    if (json_object_size(patch) == 0)
        return say_unchanged(edit);
    if (!send_patch(edit, patch, true, &trial, &err))
        return say_refused(edit, file, &trial, &err);
    CLEANUP(json_ptr) json_t *after = settings_of(trial.json);
    if (json_equal(edit->before, after))
        return say_unchanged(edit);
    show_change(edit, after, "as you want it");
    say_warnings(edit->session, trial.json);
    if (!confirmed(edit, &outcome))
        return outcome;
    if (!send_patch(edit, patch, false, &answer, &err))
        return say_refused(edit, file, &answer, &err);
    return say_changed(edit, answer.json);
}

// --- by an editor ---

static bool make_file(struct edit *edit, struct error *err)
{
    CLEANUP(free_ptr) char *yaml = yaml_write(edit->before);
    CLEANUP(free_ptr) char *name = xasprintf("%s.yaml", edit->service.name);
    edit->text =
        xasprintf("# The service %s. Save and leave the editor to see what would change\n"
                  "# and to be asked; leave it unchanged, or with an error (:cq in vi), to "
                  "change nothing.\n"
                  "# What each setting means: cronwright create --example\n"
                  "%s",
                  edit->label, yaml);
    return editor_file_make(name, edit->text, &edit->file, err);
}

// Whether something would be lost with the file.
static bool was_written(const struct edit *edit)
{
    CLEANUP(buffer_finish) struct buffer now = {0};
    return !file_read(edit->file.path, SERVICE_FILE_MAX, &now, NULL) ||
           strcmp(buffer_text(&now), edit->text) != 0;
}

static enum outcome edit_once(struct edit *edit)
{
    struct screen *screen = &edit->session->screen;
    struct error err;
    CLEANUP(service_file_finish) struct service_file file = {0};
    bool ended = editor_run(edit->file.path, &err);
    (void)interrupts_came(edit->interrupts); // those were the editor's
    if (!ended) {
        struct error cause = err;
        (void)error_set(&err, cause.code, "%s; nothing changed", cause.text);
        screen_error(screen, &err);
        return OUTCOME_FAILED;
    }
    if (!service_file_read(edit->file.path, &file, &err)) {
        screen_error(screen, &err);
        return OUTCOME_FAULTY;
    }
    return apply(edit, &file);
}

static enum outcome edit_until_right(struct edit *edit)
{
    for (;;) {
        enum outcome outcome = edit_once(edit);
        if (outcome != OUTCOME_FAULTY || !ask_is_possible())
            return outcome;
        enum reply reply =
            ask(&edit->session->screen, edit->interrupts, REPLY_YES, "Edit it again?");
        if (reply != REPLY_YES)
            return reply == REPLY_NO ? OUTCOME_FAILED : OUTCOME_INTERRUPTED;
    }
}

static enum outcome by_editor(struct edit *edit)
{
    struct error err;
    if (!make_file(edit, &err)) {
        screen_error(&edit->session->screen, &err);
        return OUTCOME_FAILED;
    }
    enum outcome outcome = edit_until_right(edit);
    if (outcome != OUTCOME_DONE && was_written(edit))
        keep_file(edit);
    return outcome;
}

// --- the command ---

static bool check_options(const struct call *call, struct error *err)
{
    if (!call_has(call, OPTION_FILE) && call->operand_count == 0)
        return error_set(err, ERR_INVALID, "wants SERVICE, or --file FILE");
    if (call_has(call, OPTION_YES) || call_has(call, OPTION_DRY_RUN) || ask_is_possible())
        return true;
    return error_set(err, ERR_INVALID, "without a terminal to ask on it wants --yes, or --dry-run");
}

// The service that a file is of, unless one is named.
static bool service_of(const struct session *session, const struct service_file *file,
                       struct service_name *out, struct error *err)
{
    if (session->call->operand_count > 0)
        return session_service(session, out, err);
    const char *given = session->call->text[OPTION_NAMESPACE];
    const char *namespace = json_text_at(file->yaml.root, "namespace", NULL);
    const char *name = field(file->yaml.root, "name");
    namespace = namespace ? namespace : given ? given : "";
    if (!name_check("namespace", namespace, err) || !name_check("service", name, err))
        return error_wrap(err, "%s", file->name);
    (void)text_copy(out->namespace, sizeof(out->namespace), namespace);
    (void)text_copy(out->name, sizeof(out->name), name);
    return true;
}

static enum outcome perform(struct edit *edit, const struct service_file *file)
{
    struct error err;
    edit->label = xasprintf("%s/%s", edit->service.namespace, edit->service.name);
    edit->interrupts = interrupts_hold();
    if (!fetch(edit, &err)) {
        screen_error(&edit->session->screen, &err);
        return OUTCOME_FAILED;
    }
    return file->yaml.root != NULL ? apply(edit, file) : by_editor(edit);
}

int command_edit(struct session *session)
{
    struct error err;
    CLEANUP(edit_finish) struct edit work = {.session = session};
    CLEANUP(service_file_finish) struct service_file file = {0};
    if (!check_options(session->call, &err))
        return session_fail(session, &err);
    if (call_has(session->call, OPTION_FILE) &&
        !service_file_read(session->call->text[OPTION_FILE], &file, &err)) {
        screen_error(&session->screen, &err);
        return STATUS_FAILED;
    }
    if (!service_of(session, &file, &work.service, &err))
        return session_fail(session, &err);
    enum outcome outcome = perform(&work, &file);
    return outcome == OUTCOME_DONE          ? STATUS_OK
           : outcome == OUTCOME_INTERRUPTED ? STATUS_INTERRUPTED
                                            : STATUS_FAILED;
}
