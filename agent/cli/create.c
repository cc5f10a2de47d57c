// create: a service from a file or from options, as a draft.

#include "agent/cli/draft.h"
#include "agent/cli/fields.h"
#include "agent/cli/output.h"
#include "agent/cli/service_file.h"

#include <string.h>

// Every option but those that say where the document comes from.
static bool options_describe(const struct call *call)
{
    CLEANUP(json_ptr) json_t *described = NULL;
    struct error err;
    return !draft_make(call, &described, &err) || json_object_size(described) > 0;
}

// The file's document, in the namespace of -n unless it names one.
static bool from_file(const struct session *session, struct service_file *out, struct error *err)
{
    const char *given = session->call->text[OPTION_NAMESPACE];
    CLEANUP(service_file_finish) struct service_file file = {0};
    if (!service_file_read(session->call->text[OPTION_FILE], &file, err))
        return false;
    const char *own = json_text_at(file.yaml.root, "namespace", NULL);
    if (given != NULL && own != NULL && strcmp(given, own) != 0)
        return error_set(err, ERR_CONFLICT, "%s is for the namespace \"%s\", -n says \"%s\"",
                         file.name, own, given);
    if (given != NULL)
        (void)json_object_set_new(file.yaml.root, "namespace", json_text(given));
    *out = file;
    file = (struct service_file){0};
    return true;
}

static bool from_options(const struct session *session, struct service_file *out, struct error *err)
{
    struct service_name service;
    CLEANUP(json_ptr) json_t *root = NULL;
    if (!session_service(session, &service, err) || !draft_make(session->call, &root, err))
        return false;
    (void)json_object_set_new(root, "name", json_string(service.name));
    (void)json_object_set_new(root, "namespace", json_string(service.namespace));
    *out = (struct service_file){.yaml = {.root = TAKE(root)}};
    return true;
}

static bool check_options(const struct call *call, struct error *err)
{
    if (call_has(call, OPTION_FILE) && (call->operand_count > 0 || options_describe(call)))
        return error_set(err, ERR_INVALID,
                         "either --file, or a SERVICE and the options that describe it");
    if (!call_has(call, OPTION_FILE) && call->operand_count == 0)
        return error_set(err, ERR_INVALID, "wants --file FILE, or a SERVICE and options");
    return true;
}

static void say_next_steps(struct session *session, const json_t *answer)
{
    const char *namespace = field(answer, "namespace"), *name = field(answer, "name");
    const char *build = field(json_at(answer, "status", "lastBuild", NULL), "build");
    if (build[0] != '\0')
        screen_hint(&session->screen,
                    "its first build has begun: cronwright logs --follow --build %s", build);
    else if (json_at(answer, "source", "git", NULL) != NULL)
        screen_hint(&session->screen,
                    "its first build begins, watch it: cronwright build --follow %s/%s", namespace,
                    name);
    screen_hint(&session->screen, "review it: cronwright show %s/%s", namespace, name);
    screen_hint(&session->screen, "start it: cronwright start %s/%s", namespace, name);
}

static int say_created(struct session *session, const struct client_answer *answer, bool dry_run)
{
    const json_t *document = answer->json;
    say_warnings(session, document);
    if (output_print(session, document, &service_naming))
        return STATUS_OK;
    (void)printf("%s/%s  %s\n", field(document, "namespace"), field(document, "name"),
                 dry_run                 ? "valid; nothing created, as --dry-run asks"
                 : answer->status == 201 ? "created, a draft"
                                         : "is there already, and the same");
    if (!dry_run && answer->status == 201)
        say_next_steps(session, document);
    return STATUS_OK;
}

static int say_refused(struct session *session, const struct service_file *file,
                       const struct client_answer *answer, const struct error *err)
{
    const json_t *errors = json_at(answer->json, "errors", NULL);
    if (json_array_size(errors) > 0) {
        service_file_say_errors(session, file, errors,
                                file->name ? "nothing created. See: cronwright create --example"
                                           : "nothing created. See: cronwright create --help");
        return STATUS_FAILED;
    }
    screen_error(&session->screen, err);
    const json_t *root = file->yaml.root;
    if (strcmp(answer->problem.reason, "exists") == 0) {
        say_difference(session, json_at(answer->json, "difference", NULL));
        screen_hint(&session->screen, "change that one: cronwright edit %s/%s",
                    field(root, "namespace"), field(root, "name"));
    }
    return STATUS_FAILED;
}

int command_create(struct session *session)
{
    const struct call *call = session->call;
    bool dry_run = call_has(call, OPTION_DRY_RUN);
    struct error err;
    CLEANUP(service_file_finish) struct service_file file = {0};
    if (call_has(call, OPTION_EXAMPLE)) {
        fields_example(stdout);
        return STATUS_OK;
    }
    if (!check_options(call, &err))
        return session_fail(session, &err);
    if (call_has(call, OPTION_FILE) && !from_file(session, &file, &err)) {
        screen_error(&session->screen, &err);
        return STATUS_FAILED;
    }
    if (!call_has(call, OPTION_FILE) && !from_options(session, &file, &err))
        return session_fail(session, &err);
    CLEANUP(client_answer_finish) struct client_answer answer;
    const struct client_request request = {.method = "POST",
                                           .path = dry_run ? "/v1/services?dryRun=true"
                                                           : "/v1/services",
                                           .body = file.yaml.root};
    screen_wait(&session->screen, "waiting for the agent");
    if (!client_exchange(&session->client, &request, &answer, &err))
        return say_refused(session, &file, &answer, &err);
    return say_created(session, &answer, dry_run);
}
