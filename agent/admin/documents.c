// Services as documents: made, read, changed and copied.
#include "agent/admin/services.h"
#include "agent/admin/states.h"
#include "agent/admin/turns.h"
#include "agent/base/log.h"
#include "agent/pipeline/pipeline.h"
#include "deploy/document.h"
#include "deploy/merge.h"
#include "deploy/service_owner.h"
#include "deploy/service_write.h"

#include <stdio.h>
#include <string.h>

#define TRIES_MAX    3     // when somebody else changes it meanwhile
#define EDIT_WAIT_MS 10000 // for others' edits of the same service

// --- the answer ---

static json_t *last_build(const struct admin *admin, const struct config_token *token,
                          const struct service *service)
{
    struct build build;
    struct error err;
    if (!pipeline_service_build(admin->pipeline, service, &build, &err))
        return json_null();
    CLEANUP(json_ptr) json_t *row = admin_build_json(&build);
    admin_hide_detail(admin, token, row);
    json_t *json = json_object();
    static const char *const keys[] = {"build", "state", "reason", "detail", "commit"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        json_object_set(json, keys[i], json_object_get(row, keys[i]));
    return json;
}

// The owner may put back what is changed here.
static void warn_of_owner(const struct service *service, json_t *warnings)
{
    CLEANUP(free_ptr) char *sentence = service_owner_warning(service);
    if (sentence)
        json_array_append_new(warnings, json_text(sentence));
}

// The row of the list, and what is told of one service alone.
static json_t *status_json(const struct admin *admin, struct server_request *req,
                           const json_t *cronjob, const struct service *service,
                           const json_t *document)
{
    json_t *status = admin_service_row(admin, service);
    json_t *missing = json_array(), *not_checked = json_array();
    CLEANUP(json_ptr) json_t *warnings = document_warnings(document, wall_now().ms / 1000);
    admin_missing(admin, cronjob, service, missing, not_checked);
    warn_of_owner(service, warnings);
    admin_add_list(status, "warnings", warnings);
    json_object_set_new(status, "missing", missing);
    json_object_set_new(status, "notChecked", not_checked);
    if (*service->repository)
        json_object_set_new(status, "lastBuild",
                            last_build(admin, admin_token(admin, req), service));
    return status;
}

static char *etag_of(const json_t *document)
{
    CLEANUP(free_ptr) char *tag = document_tag(document);
    return xasprintf("\"%s\"", tag);
}

// The document, its status, and what there is to say. `answer` (taken) holds further members.
void admin_answer_service(const struct admin *admin, struct server_request *req, int status,
                          const json_t *cronjob, const struct service_verdict *verdict,
                          json_t *answer)
{
    CLEANUP(service_ptr) const struct service *service = NULL;
    CLEANUP(json_ptr) json_t *members = answer;
    struct error err;
    if (!service_from_json(cronjob, &service, &err)) {
        server_answer_error(req, &err);
        return;
    }
    json_t *document = document_of_cronjob(cronjob);
    CLEANUP(free_ptr) char *etag = etag_of(document);
    server_add_header(req, "ETag", etag);
    json_object_set_new(document, "status", status_json(admin, req, cronjob, service, document));
    json_object_update(document, members);
    if (verdict) {
        admin_add_list(document, "warnings", verdict->warnings);
        admin_add_list(document, "notChecked", verdict->not_checked);
    }
    server_answer_json(req, status, document);
}

static void answer_dry_run(struct server_request *req, const json_t *document,
                           const struct service_verdict *verdict, json_t *answer)
{
    json_t *all = json_deep_copy(document);
    json_object_update(all, answer);
    json_decref(answer);
    json_object_set_new(all, "dryRun", json_true());
    admin_add_list(all, "warnings", verdict->warnings);
    admin_add_list(all, "notChecked", verdict->not_checked);
    server_answer_json(req, 200, all);
}

// --- reading one ---

static void get_service(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    CLEANUP(named_service_finish) struct named_service named = {0};
    if (admin_find_service(admin, req, ROLE_VIEWER, &named))
        admin_answer_service(admin, req, 200, named.cronjob, NULL, json_object());
}

// --- what a document must pass before the cluster is asked ---

static void warn(const json_t *document, struct service_verdict *verdict)
{
    CLEANUP(json_ptr) json_t *more = document_warnings(document, wall_now().ms / 1000);
    json_array_extend(verdict->warnings, more);
}

// Whether the settings allow the source of a CronJob; else answers.
static bool is_allowed(const struct admin *admin, struct server_request *req, const json_t *cronjob)
{
    CLEANUP(service_ptr) const struct service *service = NULL;
    CLEANUP(json_ptr) json_t *whole = json_deep_copy(cronjob);
    json_t *metadata = json_object_get(whole, "metadata");
    struct error err;
    if (!json_object_get(metadata, "uid")) // it is not made yet
        json_object_set_new(metadata, "uid", json_string(""));
    if (!service_from_json(whole, &service, &err)) {
        server_answer_error(req, &err);
        return false;
    }
    if (!pipeline_service_problem(admin->pipeline, service, &err))
        return true;
    if (err.code == ERR_FORBIDDEN) {
        server_refuse(req, 403, "not-allowed", "%s", err.text);
        return false;
    }
    CLEANUP(json_ptr) json_t *faults = json_array();
    document_fault(faults, "/source", "%s", err.text);
    admin_refuse_errors(req, faults, "nothing was changed");
    return false;
}

// --- making one ---

// What is to be made: the CronJob, and the document that it amounts to.
struct draft {
    const json_t *document;
    const json_t *cronjob;
    const char *namespace_;
    const char *name;
    bool dry_run;
};

static void answer_taken(struct server_request *req, const struct draft *draft,
                         const json_t *existing, const json_t *difference)
{
    const char *managed = json_text_at(existing, "metadata", "labels", LABEL_MANAGED, NULL);
    bool service = managed && strcmp(managed, "true") == 0;
    CLEANUP(free_ptr)
    char *detail = service ? xasprintf("there is another service %s/%s already", draft->namespace_,
                                       draft->name)
                           : xasprintf("there is a CronJob %s/%s already that is no service: adopt "
                                       "it, or take another name",
                                       draft->namespace_, draft->name);
    server_answer_problem(
        req, &(struct server_problem){.status = 409,
                                      .reason = "exists",
                                      .detail = detail,
                                      .members = json_pack("{s:O}", "difference", difference)});
}

// Somebody has the name: the same service, or another.
static void answer_existing(const struct admin *admin, struct server_request *req,
                            const struct draft *draft, const json_t *existing,
                            struct service_verdict *verdict)
{
    CLEANUP(json_ptr) json_t *theirs = document_of_cronjob(existing);
    CLEANUP(json_ptr) json_t *difference = document_differences(draft->document, theirs);
    const char *managed = json_text_at(existing, "metadata", "labels", LABEL_MANAGED, NULL);
    if (json_array_size(difference) > 0 || !managed || strcmp(managed, "true") != 0)
        answer_taken(req, draft, existing, difference);
    else if (draft->dry_run)
        answer_dry_run(req, draft->document, verdict, json_object());
    else
        admin_answer_service(admin, req, 200, existing, verdict, json_object());
}

static void answer_created(const struct admin *admin, struct server_request *req,
                           const struct draft *draft, const json_t *made,
                           const struct service_verdict *verdict)
{
    CLEANUP(free_ptr)
    char *location = xasprintf("/v1/services/%s/%s", draft->namespace_, draft->name);
    log_line(LOG_INFO, "service created", "namespace", draft->namespace_, "service", draft->name,
             "by", admin_token(admin, req)->name, NULL);
    server_add_header(req, "Location", location);
    admin_answer_service(admin, req, 201, made, verdict, json_object());
}

// One try. False, unanswered: the name was taken meanwhile, by a request to another agent or to
// Kubernetes itself.
static bool try_to_make(const struct admin *admin, struct server_request *req,
                        const struct draft *draft, struct service_verdict *verdict)
{
    CLEANUP(json_ptr) json_t *existing = NULL;
    CLEANUP(json_ptr) json_t *made = NULL;
    struct error err;
    if (service_fetch(admin->kube, draft->namespace_, draft->name, &existing, &err)) {
        answer_existing(admin, req, draft, existing, verdict);
        return true;
    }
    bool ok =
        err.code == ERR_NOT_FOUND && service_try_create(admin->kube, draft->cronjob, verdict, &err);
    if (ok && json_array_size(verdict->faults) > 0) {
        admin_refuse_errors(req, verdict->faults, "nothing was created");
        return true;
    }
    if (ok && draft->dry_run) {
        answer_dry_run(req, draft->document, verdict, json_object());
        return true;
    }
    ok = ok && service_create(admin->kube, draft->cronjob, &made, verdict, &err);
    if (!ok && err.code == ERR_CONFLICT)
        return false;
    if (ok)
        answer_created(admin, req, draft, made, verdict);
    else
        server_answer_error(req, &err);
    return true;
}

static void make(const struct admin *admin, struct server_request *req, const struct draft *draft)
{
    CLEANUP(service_verdict_finish) struct service_verdict verdict = {0};
    CLEANUP(free_ptr) char *full_name = xasprintf("%s/%s", draft->namespace_, draft->name);
    CLEANUP(turn_end) struct turn turn = {0};
    struct error err;
    service_verdict_init(&verdict);
    if (!is_allowed(admin, req, draft->cronjob))
        return;
    warn(draft->document, &verdict);
    if (!turn_begin(&turn, full_name, TURN_WAIT_MS, &err)) {
        server_answer_error(req, &err);
        return;
    }
    for (int i = 0; i < TRIES_MAX; i++)
        if (try_to_make(admin, req, draft, &verdict))
            return;
    server_refuse(req, 409, "conflict", "%s is made and removed by somebody else", full_name);
}

// Whether the token may make services in the namespace of what was given. Without a good namespace
// all that is wrong is only told to those who might make one somewhere.
static bool may_make(const struct admin *admin, struct server_request *req, const char *namespace)
{
    if (namespace && kube_is_label(namespace))
        return admin_may(admin, req, ROLE_ADMIN, namespace) && admin_watches(admin, req, namespace);
    if (admin_token(admin, req)->role == ROLE_ADMIN)
        return true;
    server_refuse(req, 403, "forbidden", "token \"%s\" may not create services: it is no admin",
                  admin_token(admin, req)->name);
    return false;
}

// Without tag and digest; the caller frees.
static char *image_name(const char *reference)
{
    CLEANUP(free_ptr) char *bare = xstrndup(reference, strcspn(reference, "@"));
    const char *slash = strrchr(bare, '/');
    const char *tag = strchr(slash ? slash : bare, ':');
    return xstrndup(bare, tag ? (size_t)(tag - bare) : strlen(bare));
}

// The Secret that the settings give for its image, when it names none.
static void add_pull_secret(const struct admin *admin, json_t *document)
{
    CLEANUP(settings_drop_ptr) const struct config *config = settings_hold(admin->settings);
    const char *repository = json_text_at(document, "source", "git", "repository", NULL);
    const char *image = repository ? json_text_at(document, "image", NULL)
                                   : json_text_at(document, "source", "image", NULL);
    const char *named = json_text_at(document, "container", "pullSecret", NULL);
    CLEANUP(free_ptr) char *name = image_name(image ? image : "");
    const char *secret =
        config_pull_secret(config, json_text_at(document, "namespace", NULL), repository, name);
    if (*secret && (!named || !*named))
        json_object_set_new(json_object_get(document, "container"), "pullSecret",
                            json_string(secret));
}

static void create_service(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    CLEANUP(json_ptr) json_t *given = NULL;
    CLEANUP(json_ptr) json_t *faults = json_array();
    bool dry_run;
    if (!admin_query_bool(req, "dryRun", &dry_run) || !admin_read_object(req, &given) ||
        !may_make(admin, req, json_text_at(given, "namespace", NULL)))
        return;
    CLEANUP(json_ptr) json_t *document = document_normal(given, faults);
    if (json_array_size(faults) > 0) {
        admin_refuse_errors(req, faults, "nothing was created");
        return;
    }
    add_pull_secret(admin, document);
    CLEANUP(json_ptr) json_t *cronjob = document_to_cronjob(document);
    make(admin, req,
         &(struct draft){.document = document,
                         .cronjob = cronjob,
                         .namespace_ = json_text_at(document, "namespace", NULL),
                         .name = json_text_at(document, "name", NULL),
                         .dry_run = dry_run});
}

// --- copying ---

// {"namespace", "name"}: one of them may be left out. False: answered.
static bool read_target(struct server_request *req, json_t **out)
{
    CLEANUP(json_ptr) json_t *given = NULL;
    CLEANUP(json_ptr) json_t *faults = json_array();
    if (!admin_read_object(req, &given))
        return false;
    CLEANUP(json_ptr)
    json_t *own = json_pack("{s:s, s:s}", "namespace", server_param(req, "namespace"), "name",
                            server_param(req, "name"));
    CLEANUP(json_ptr) json_t *target = json_copy(own);
    const char *key;
    json_t *value;
    json_object_foreach(given, key, value)
    {
        CLEANUP(free_ptr) char *pointer = patch_pointer(PATCH_AT(key));
        if (!json_object_get(target, key))
            document_fault(faults, pointer, "unknown key; there are namespace and name");
        else if (!json_is_string(value))
            document_fault(faults, pointer, "must be a text");
    }
    json_object_update_existing(target, given);
    if (json_object_size(given) == 0)
        document_fault(faults, "", "needs namespace or name of the copy");
    else if (json_equal(target, own))
        document_fault(faults, "/name", "that is the service itself");
    if (json_array_size(faults) > 0) {
        admin_refuse_errors(req, faults, "nothing was created");
        return false;
    }
    *out = TAKE(target);
    return true;
}

static void copy_service(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    CLEANUP(named_service_finish) struct named_service named = {0};
    CLEANUP(json_ptr) json_t *target = NULL;
    CLEANUP(json_ptr) json_t *faults = json_array();
    CLEANUP(json_ptr) json_t *known = json_array();
    bool dry_run;
    if (!admin_query_bool(req, "dryRun", &dry_run) ||
        !admin_find_service(admin, req, ROLE_VIEWER, &named) || !read_target(req, &target))
        return;
    const char *namespace_ = json_text_at(target, "namespace", NULL);
    const char *name = json_text_at(target, "name", NULL);
    if (!may_make(admin, req, namespace_))
        return;
    CLEANUP(json_ptr) json_t *cronjob = document_copy_cronjob(named.cronjob, namespace_, name);
    CLEANUP(json_ptr) json_t *document = document_of_cronjob(cronjob);
    json_decref(document_normal(named.document, known));
    json_decref(document_normal(document, faults));
    document_faults_forget(faults, known);
    if (json_array_size(faults) > 0) {
        admin_refuse_errors(req, faults, "nothing was created");
        return;
    }
    make(admin, req,
         &(struct draft){.document = document,
                         .cronjob = cronjob,
                         .namespace_ = namespace_,
                         .name = name,
                         .dry_run = dry_run});
}

// --- changing ---

struct edit {
    const json_t *patch; // of the document
    const char *match;   // the If-Match header, or NULL
    bool dry_run;
};

// A list of one or more tags in quotes, or "*".
static bool is_matched(const char *match, const json_t *document)
{
    CLEANUP(free_ptr) char *etag = etag_of(document);
    return !match || strcmp(match, "*") == 0 || strstr(match, etag);
}

static void answer_changed_meanwhile(struct server_request *req, const struct named_service *named)
{
    CLEANUP(free_ptr) char *etag = etag_of(named->document);
    server_add_header(req, "ETag", etag);
    server_answer_problem(
        req, &(struct server_problem){.status = 409,
                                      .reason = "changed",
                                      .detail = "somebody else changed it meanwhile; nothing was "
                                                "changed",
                                      .members = json_pack("{s:O}", "current", named->document)});
}

// What no edit may do, whatever the fields hold.
static void check_edit(const json_t *before, const json_t *wanted, json_t *faults)
{
    static const char *const fixed[] = {"name", "namespace"};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        const json_t *value = json_object_get(wanted, fixed[i]);
        CLEANUP(free_ptr) char *pointer = patch_pointer(PATCH_AT(fixed[i]));
        if (value && !json_equal(value, json_object_get(before, fixed[i])))
            document_fault(faults, pointer, "cannot be changed: copy the service instead");
    }
}

// The CronJob that the edit makes of it, and the fields that are changed; what is wrong goes to
// `faults`. Both are the caller's.
static void apply_edit(const struct named_service *named, const struct edit *edit, json_t **after,
                       json_t **cronjob, json_t *faults)
{
    CLEANUP(json_ptr) json_t *wanted = merge_patched(named->document, edit->patch);
    CLEANUP(json_ptr) json_t *known = json_array();
    const json_t *container = json_at(wanted, "container", "name", NULL);
    bool chosen = container && !json_is_null(container);
    json_decref(document_normal(named->document, known));
    *after = document_normal(wanted, faults);
    *cronjob = json_deep_copy(named->cronjob);
    document_faults_forget(faults, known);
    check_edit(named->document, wanted, faults);
    // The default is for new ones: of several containers it might be the wrong one.
    if (!chosen && !json_at(named->document, "container", "name", NULL))
        json_object_del(json_object_get(*after, "container"), "name");
    if (json_array_size(faults) == 0)
        (void)!document_apply(named->document, *after, *cronjob, faults);
}

static json_t *pointers_of(const json_t *differences)
{
    json_t *pointers = json_array();
    size_t i;
    json_t *one;
    json_array_foreach(differences, i, one)
    {
        json_array_append(pointers, json_object_get(one, "pointer"));
    }
    return pointers;
}

static bool differs(const json_t *before, const json_t *after, const char *key)
{
    const json_t *a = json_object_get(before, key), *b = json_object_get(after, key);
    return a && b ? !json_equal(a, b) : a != b;
}

// A new schedule or zone makes the controller look back to the last run, and start what was due
// since then at once.
static bool would_fire(const struct named_service *named, const json_t *after)
{
    const char *missed = json_text_at(after, "missed", NULL);
    return named->service->state == SERVICE_STARTED && missed && strcmp(missed, "skip") == 0 &&
           (differs(named->document, after, "schedule") ||
            differs(named->document, after, "timeZone"));
}

// ERR_CONFLICT: it is not as it was read any more.
static bool write_edit(const struct admin *admin, const struct named_service *named,
                       const json_t *after, const json_t *cronjob, json_t **changed,
                       struct service_verdict *verdict, struct error *err)
{
    CLEANUP(json_ptr) json_t *now = json_incref(named->cronjob);
    if (would_fire(named, after) && !service_skip_missed(admin->kube, &now, err))
        return false;
    CLEANUP(json_ptr) json_t *patch = merge_between(named->cronjob, cronjob);
    CLEANUP(json_ptr) json_t *wanted = merge_patched(now, patch);
    return service_change(admin->kube, now, wanted, changed, verdict, err);
}

static void answer_edited(const struct admin *admin, struct server_request *req,
                          const json_t *cronjob, json_t *pointers,
                          const struct service_verdict *verdict)
{
    CLEANUP(free_ptr) char *fields = json_write(pointers);
    log_line(LOG_INFO, "service changed", "namespace",
             json_text_at(cronjob, "metadata", "namespace", NULL), "service",
             json_text_at(cronjob, "metadata", "name", NULL), "fields", fields, "by",
             admin_token(admin, req)->name, NULL);
    admin_answer_service(admin, req, 200, cronjob, verdict,
                         json_pack("{s:O}", "changed", pointers));
}

// One try, whose end is *answered; false: somebody else changed it meanwhile.
static bool try_edit(const struct admin *admin, struct server_request *req,
                     const struct named_service *named, const struct edit *edit)
{
    CLEANUP(service_verdict_finish) struct service_verdict verdict = {0};
    CLEANUP(json_ptr) json_t *faults = json_array();
    CLEANUP(json_ptr) json_t *after = NULL;
    CLEANUP(json_ptr) json_t *cronjob = NULL;
    CLEANUP(json_ptr) json_t *changed = NULL;
    struct error err;
    service_verdict_init(&verdict);
    apply_edit(named, edit, &after, &cronjob, faults);
    if (json_array_size(faults) > 0) {
        admin_refuse_errors(req, faults, "nothing was changed");
        return true;
    }
    CLEANUP(json_ptr) json_t *differences = document_differences(after, named->document);
    CLEANUP(json_ptr) json_t *pointers = pointers_of(differences);
    if (json_array_size(pointers) == 0) {
        admin_answer_service(admin, req, 200, named->cronjob, &verdict,
                             json_pack("{s:O}", "changed", pointers));
        return true;
    }
    bool moved =
        differs(named->document, after, "source") || differs(named->document, after, "image");
    if (moved && !is_allowed(admin, req, cronjob))
        return true;
    warn(after, &verdict);
    warn_of_owner(named->service, verdict.warnings);
    bool ok = service_try_change(admin->kube, named->cronjob, cronjob, &verdict, &err);
    if (ok && json_array_size(verdict.faults) > 0) {
        admin_refuse_errors(req, verdict.faults, "nothing was changed");
        return true;
    }
    if (ok && edit->dry_run) {
        answer_dry_run(req, after, &verdict, json_pack("{s:O}", "changed", pointers));
        return true;
    }
    ok = ok && write_edit(admin, named, after, cronjob, &changed, &verdict, &err);
    if (!ok && err.code == ERR_CONFLICT)
        return false;
    if (ok)
        answer_edited(admin, req, changed, pointers, &verdict);
    else
        server_answer_error(req, &err);
    return true;
}

// In a turn, since edits at once are to be made one after the other; of other agents' there may be
// some in between.
static void edit_in_turn(const struct admin *admin, struct server_request *req,
                         const struct edit *edit)
{
    for (int i = 0; i < TRIES_MAX; i++) {
        CLEANUP(named_service_finish) struct named_service named = {0};
        if (!admin_find_service(admin, req, ROLE_ADMIN, &named))
            return;
        if (!is_matched(edit->match, named.document)) {
            answer_changed_meanwhile(req, &named);
            return;
        }
        if (try_edit(admin, req, &named, edit))
            return;
    }
    server_refuse(req, 409, "conflict", "somebody else keeps changing it; nothing was changed");
}

// What is sent to change nothing is {}: without any body something went wrong. Else answers.
static bool read_patch(struct server_request *req, json_t **out)
{
    size_t len;
    (void)server_body(req, &len);
    if (len > 0)
        return admin_read_object(req, out);
    server_refuse(req, 400, "invalid", "a JSON Merge Patch is needed as the body");
    return false;
}

static void change_service(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    CLEANUP(json_ptr) json_t *patch = NULL;
    struct edit edit = {.match = server_header(req, "If-Match")};
    struct error err;
    if (!admin_query_bool(req, "dryRun", &edit.dry_run) || !read_patch(req, &patch) ||
        !admin_may(admin, req, ROLE_ADMIN, server_param(req, "namespace")))
        return;
    json_object_del(patch, "status");
    edit.patch = patch;
    // Not the turn of those who start runs: that may take long.
    CLEANUP(free_ptr)
    char *name = xasprintf("the settings of %s/%s", server_param(req, "namespace"),
                           server_param(req, "name"));
    CLEANUP(turn_end) struct turn turn = {0};
    if (turn_begin(&turn, name, EDIT_WAIT_MS, &err))
        edit_in_turn(admin, req, &edit);
    else
        server_answer_error(req, &err);
}

#define SERVICE "/v1/services/{namespace}/{name}"
const struct server_route admin_document_routes[] = {
    {"POST", "/v1/services", create_service, 0},
    {"GET", SERVICE, get_service, 0},
    {"PATCH", SERVICE, change_service, 0},
    {"POST", SERVICE "/copy", copy_service, 0},
    {0},
};
