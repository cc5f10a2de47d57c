// Step 1, where the branch is now, and step 2a, the build context: both are asked of the Git child.
// The remote asked is always the one of the service's annotation.
#include "agent/base/crashpoint.h"
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/pipeline/steps.h"
#include "build/mirror.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CHILD_SLACK_MS  5000     // the child's own deadline comes first: its words are better
#define TOKEN_USERNAME  "oauth2" // the forges look at the token alone, but want some name
#define CHILD_NAME_ROOM (KEY_SIZE + STORE_CREDENTIAL_SIZE + 64)
#define SWEPT_DEFER_MS  60000 // a round of the sweep asks for many heads: pushes go first
#define HEAD_PACE_MS    250   // a remote is not asked sooner again, however many pushes come

static void answers_ptr(struct git_answers *answers)
{
    git_answers_finish(answers);
}

_Static_assert(CONFIG_SSH_KEY_MAX <= GIT_SSH_KEY_MAX &&
                   CONFIG_KNOWN_HOSTS_MAX <= GIT_KNOWN_HOSTS_MAX,
               "what the settings may have, the Git child takes");

static void add_login(const struct config_credential *credential, struct git_remote_branch *remote)
{
    if (credential->ssh_key.text) {
        remote->ssh_key = credential->ssh_key.text;
        remote->ssh_passphrase = credential->ssh_passphrase.text;
        remote->known_hosts = credential->known_hosts.text;
        return;
    }
    bool token = credential->token.text != NULL;
    remote->username = *credential->username ? credential->username : TOKEN_USERNAME;
    remote->password = token ? credential->token.text : credential->password.text;
    if (*credential->ca_file)
        remote->ca_file = credential->ca_file;
}

bool git_remote(struct work *work, struct git_remote_branch *out)
{
    const struct config *config = work->config;
    const struct config_credential *credential =
        config_credential(config, work->credential, work->url);
    struct git_url url;
    text_copy(work->reason, sizeof work->reason, "repository-login");
    if (!git_url_parse(work->url, &url, &work->err))
        return false;
    *out = (struct git_remote_branch){
        .url = work->url,
        .branch = work->branch,
        .seconds = (int)(config->git.timeout_ms / 1000),
    };
    if (url.kind == GIT_URL_SSH && !credential)
        return error_set(&work->err, ERR_UNAUTHORIZED,
                         "the settings' git.credentials have no SSH key for %s", work->url);
    if (url.kind == GIT_URL_SSH)
        out->ssh_directory = work->pipeline->ssh_directory;
    else
        out->ca_file = *config->git.ca_file ? config->git.ca_file : NULL;
    out->proxy = config_git_proxy(config, work->url);
    if (out->proxy && config->git.proxy_password.text) {
        out->proxy_username = config->git.proxy_username;
        out->proxy_password = config->git.proxy_password.text;
    }
    if (credential)
        add_login(credential, out);
    work->reason[0] = '\0';
    return true;
}

void git_ask(struct work *work, const char *name, const struct git_errand *errand)
{
    const struct config *config = work->config;
    // An identity is "host/path".
    CLEANUP(free_ptr)
    char *host = xstrndup(work->repository, strcspn(work->repository, "/"));
    children_ask(work->pipeline->parts.children, name,
                 &(struct child_request){.program = config->git.helper,
                                         .input = errand->input->data,
                                         .input_len = errand->input->len,
                                         .timeout_ms = config->git.timeout_ms + CHILD_SLACK_MS,
                                         .host = host,
                                         .repository = work->repository,
                                         .tag = errand->tag,
                                         .defer_ms = errand->defer_ms,
                                         .wake = errand->wake,
                                         .user = work->pipeline});
}

enum child_state git_take(struct pipeline *pipeline, const char *name, int64_t *tag,
                          struct git_answers *answers)
{
    struct child_result result = {0};
    enum child_state state = children_take(pipeline->parts.children, name, &result);
    if (state != CHILD_ENDED)
        return state;
    *tag = result.tag;
    git_answers_feed(answers, buffer_text(&result.output), result.output.len);
    bool told = answers->state == GIT_FAILED;
    git_answers_end(answers, result.exit_status, result.ran ? NULL : &result.error);
    if (!told && answers->state == GIT_FAILED && result.ran && *result.error.text) {
        struct error why = answers->error; // then the libraries' last words may say more
        error_set(&answers->error, why.code, "%s: %s", why.text, result.error.text);
    }
    child_result_finish(&result);
    return state;
}

// --- head ---

bool head_is_missed(const struct work *work)
{
    return strcmp(work->head.commit, HEAD_MISSED) == 0;
}

// A delivery that waits although its head could not be told: we died before it heard of that.
static bool head_is_due(struct work *work)
{
    return work->newest > work->head.seq || (work->newest > 0 && head_is_missed(work)) ||
           work_first_wanted(work, NULL).ms > work->head.checked.ms || others_are_unheard(work) ||
           sweep_is_due(work->pipeline->sweep, work->key, work->head.checked);
}

// Of the branch's head by this credential. A credential's name has no space in it.
static void head_child(const struct work *work, const char *credential,
                       char out[static CHILD_NAME_ROOM])
{
    snprintf(out, CHILD_NAME_ROOM, "head%s%s %s", *credential ? ":" : "", credential, work->key);
}

// How long the remote is yet to be left alone.
static int64_t head_pause_ms(const struct work *work)
{
    int64_t since = wall_now().ms - work->head.checked.ms;
    return since >= 0 && since < HEAD_PACE_MS ? HEAD_PACE_MS - since : 0;
}

// Somebody pushed, or waits for a first image.
static bool is_awaited(const struct work *work)
{
    return work->newest > 0 || work_first_wanted(work, NULL).ms > 0;
}

static enum step ask_head(struct work *work, const char *name)
{
    struct git_remote_branch remote;
    CLEANUP(buffer_wipe) struct buffer input = {0};
    if (!git_remote(work, &remote))
        return STEP_FAIL;
    if (!git_request_head(&remote, &input, &work->err))
        return work_failed(work, "fetch-failed");
    live_asked(work);
    others_heard(work);
    CRASH_POINT("before-head-asked");
    git_ask(work, name,
            &(struct git_errand){.input = &input,
                                 .wake = work_wake_child,
                                 .tag = work->newest,
                                 .defer_ms = is_awaited(work) ? 0 : SWEPT_DEFER_MS});
    CRASH_POINT("after-head-asked");
    return STEP_WAIT;
}

// The deliveries that wait for the head are told after a few tries, unless it was this machine that
// could not ask; the sweep goes on asking.
static enum step head_not_told(struct work *work, const char *name,
                               const struct git_answers *answers)
{
    work->err = answers->error;
    if (error_is_transient(work->err.code) &&
        (answers->not_asked || work_may_try(work, name, HEAD_TRIES)))
        return STEP_TRY;
    text_copy(work->reason, sizeof work->reason,
              *answers->reason ? answers->reason : "fetch-failed");
    return STEP_FAIL;
}

enum step step_head(struct work *work, enum head_news *news)
{
    *news = HEAD_KNOWN;
    char name[CHILD_NAME_ROOM];
    head_child(work, work->credential, name);
    CLEANUP(answers_ptr) struct git_answers answers;
    git_answers_init(&answers);
    int64_t tag, pause_ms = head_pause_ms(work);
    switch (git_take(work->pipeline, name, &tag, &answers)) {
    case CHILD_BUSY:
        if (is_awaited(work))
            children_hurry(work->pipeline->parts.children, name);
        return STEP_WAIT;
    case CHILD_UNKNOWN:
        if (head_is_due(work) && pause_ms == 0)
            return ask_head(work, name);
        if (head_is_due(work)) {
            // What was told a moment ago holds meanwhile: a branch that never rests is still built.
            *news = HEAD_PAUSED;
            work_again(work, pause_ms);
        }
        // What waited for one that was not told has heard that.
        return head_is_missed(work) ? STEP_WAIT : STEP_NEXT;
    case CHILD_ENDED:
        break;
    }
    if (answers.state != GIT_DONE && work->newest > tag)
        return ask_head(work, name); // it failed before somebody pushed: that says nothing of now
    if (answers.state != GIT_DONE)
        return head_not_told(work, name, &answers);
    work_went(work, name);
    CRASH_POINT("after-head-told");
    if (!live_answered(work))
        return STEP_TRY;
    text_copy(work->head.commit, sizeof work->head.commit, answers.commit);
    work->head.seq = tag > work->head.seq ? tag : work->head.seq;
    work->head.checked = wall_now();
    *news = HEAD_FRESH;
    work->progressed = true;
    return STEP_NEXT;
}

void head_cancel(struct work *work, const char *credential)
{
    char name[CHILD_NAME_ROOM];
    head_child(work, credential, name);
    children_cancel(work->pipeline->parts.children, name);
}

bool head_again(struct work *work)
{
    CRASH_POINT("before-head-again");
    struct wall_time *checked = &work->head.checked;
    bool old = checked->ms > 0 && wall_now().ms - checked->ms >= HEAD_AGAIN_MS;
    work_again(work, old ? 1 : HEAD_AGAIN_MS);
    *checked = (struct wall_time){0};
    return store_branch_put(work->pipeline->parts.store, &work->head, &work->err);
}

// Twice in a row, though, only when the cluster's watch has had time to tell what it is about.
bool head_anew(struct work *work)
{
    int64_t pause_ms = work->head.checked.ms == 0 ? HEAD_PACE_MS : head_pause_ms(work);
    head_cancel(work, work->credential);
    if (!head_again(work))
        return false;
    work_again(work, pause_ms + 1);
    return true;
}

// --- context ---

static void context_child(const struct work *work, const struct build *build,
                          char out[static CHILD_NAME_ROOM])
{
    snprintf(out, CHILD_NAME_ROOM, "context-%" PRId64 " %s", build->id, work->key);
}

void context_cancel(struct work *work, const struct build *build)
{
    char name[CHILD_NAME_ROOM];
    context_child(work, build, name);
    children_cancel(work->pipeline->parts.children, name);
}

// The commits that the group's services have live, each once, as the cluster knows now; the
// pinned ones do not count. *out is NULL when the head is to be built whatever changed: nobody has
// an image of a commit, or one was built in another way.
static bool live_commits(struct work *work, const struct group *group, json_t **out)
{
    CLEANUP(json_ptr) json_t *seen = json_object();
    for (size_t i = 0; i < group->count; i++) {
        const struct service *known = group->services[i];
        CLEANUP(service_ptr) const struct service *service = NULL;
        if (!cronjob_get(work->pipeline->parts.kube, known->namespace_, known->name, &service,
                         &work->err)) {
            if (work->err.code == ERR_NOT_FOUND || work->err.code == ERR_INVALID)
                continue; // it is gone
            return false;
        }
        if (service_not_built(service))
            return true;
        if (pipeline_service_pinned(service))
            continue;
        if (!*service->commit || pipeline_service_replaced(service) ||
            work_recipe_changed(work, group, service))
            return true;
        json_object_set_new(seen, service->commit, json_true());
    }
    size_t count = json_object_size(seen);
    if (count == 0 || count > GIT_SINCE_MAX)
        return true;
    *out = json_array();
    const char *commit;
    json_t *unused;
    json_object_foreach(seen, commit, unused) json_array_append_new(*out, json_string(commit));
    return true;
}

// What the group's path filter compares; both stay NULL when there is nothing to filter.
static bool read_filter(struct work *work, const struct group *group, const struct build *build,
                        json_t **since, json_t **paths)
{
    const char *text = group->recipe.paths;
    // Another agent that is at it was asked, or has looked.
    bool theirs = others_attempt(&work->pipeline->others, work->key, build->commit, build->recipe);
    if (!*text || group->asked || theirs)
        return true;
    return json_read(text, strlen(text), strlen(text), paths, &work->err) &&
           live_commits(work, group, since);
}

// People clear them away to make room.
static bool make_directories(struct work *work)
{
    const struct pipeline *pipeline = work->pipeline;
    return directory_make(pipeline->mirror_directory, &work->err) &&
           directory_make(pipeline->context_directory, &work->err) &&
           directory_make(pipeline->ssh_directory, &work->err);
}

bool context_request(struct work *work, const struct group *group, const char *commit,
                     const char *output, const json_t *since, const json_t *paths,
                     struct buffer *input)
{
    const struct config *config = work->config;
    struct git_remote_branch remote;
    char mirror_name[GIT_MIRROR_NAME_SIZE];
    if (!git_remote(work, &remote) || !make_directories(work))
        return false;
    git_mirror_name(work->url, work->credential, mirror_name);
    CLEANUP(free_ptr)
    char *mirror = xasprintf("%s/%s", work->pipeline->mirror_directory, mirror_name);
    int64_t max_bytes = spool_context_max(config);
    struct git_context_request request = {
        .commit = commit,
        .mirror = mirror,
        .subdirectory = group->recipe.context,
        .dockerfile = group->recipe.dockerfile,
        .output = output,
        .max_bytes = max_bytes,
        .max_bytes_setting = max_bytes == config->builds.max_context_bytes
                                 ? "builds.maxContextBytes"
                                 : "context.listen",
        .max_repository_bytes = config->git.max_repository_bytes,
        .max_objects = config->git.max_objects,
        .max_file_bytes = config->git.max_file_bytes,
        .max_tree_depth = config->git.max_tree_depth,
        .since = since,
        .paths = paths,
    };
    return git_request_context(&remote, &request, input, &work->err);
}

static enum step ask_context(struct work *work, struct group *group, const struct build *build,
                             const char *name)
{
    _Static_assert(SERVICE_PATHS_MAX <= GIT_PATTERNS_MAX && SERVICE_PATH_MAX <= GIT_PATTERN_MAX,
                   "what a service may have, the Git child takes");
    CLEANUP(json_ptr) json_t *since = NULL;
    CLEANUP(json_ptr) json_t *paths = NULL;
    CLEANUP(free_ptr) char *output = build_context_path(work->pipeline, build);
    CLEANUP(buffer_wipe) struct buffer input = {0};
    work->reason[0] = '\0';
    if (!read_filter(work, group, build, &since, &paths) ||
        !context_request(work, group, build->commit, output, since, paths, &input))
        return *work->reason ? STEP_FAIL : work_failed(work, "fetch-failed");
    CRASH_POINT("before-context-asked");
    git_ask(work, name, &(struct git_errand){.input = &input, .wake = work_wake_child});
    CRASH_POINT("after-context-asked");
    return STEP_WAIT;
}

// Fetching a commit of the branch, of which each try is a build of its own.
static void fetch_step(const struct work *work, const struct build *build,
                       char out[static CHILD_NAME_ROOM])
{
    snprintf(out, CHILD_NAME_ROOM, "%s %s", build->commit, work->key);
}

// What the remote refuses now it may grant later, and its head tells when: the build goes, and
// comes again with the head. Not for ever: some show their refs to those whom they give nothing.
static bool refused_for_good(struct work *work, const struct build *build)
{
    char step[CHILD_NAME_ROOM];
    fetch_step(work, build, step);
    if (work_may_try(work, step, BUILD_ATTEMPTS_MAX))
        return false;
    work_went(work, step); // who asks again begins anew
    return true;
}

static enum step context_not_made(struct work *work, const struct build *build,
                                  const struct git_answers *answers)
{
    const char *reason = *answers->reason ? answers->reason : "fetch-failed";
    work->err = answers->error;
    if (answers->refused && !refused_for_good(work, build))
        reason = GIT_ERROR_WORD_SUPERSEDED;
    else if (strcmp(reason, GIT_ERROR_WORD_SUPERSEDED) != 0 && !answers->refused)
        return work_failed(work, reason);
    text_copy(work->reason, sizeof work->reason, reason);
    return STEP_FAIL;
}

// Sentence: "nothing that matches report/** or lib/*.py changed since a41f09c".
static void describe_filtered(const char *paths, const char *since,
                              char detail[static STORE_DETAIL_SIZE])
{
    enum { TAIL_ROOM = 64 }; // for what follows the patterns
    CLEANUP(json_ptr) json_t *list = NULL;
    size_t used = (size_t)snprintf(detail, STORE_DETAIL_SIZE, "nothing that matches ");
    bool read = json_read(paths, strlen(paths), strlen(paths), &list, NULL);
    size_t count = read ? json_array_size(list) : 0;
    for (size_t i = 0; i < count; i++) {
        const char *pattern = json_string_value(json_array_get(list, i));
        const char *between = i == 0 ? "" : i + 1 == count ? " or " : ", ";
        if (used + strlen(between) + strlen(pattern) + TAIL_ROOM > STORE_DETAIL_SIZE) {
            used += (size_t)snprintf(detail + used, STORE_DETAIL_SIZE - used, "%sone of %zu %s",
                                     i == 0 ? "" : " or ", count - i, "other patterns");
            break;
        }
        used += (size_t)snprintf(detail + used, STORE_DETAIL_SIZE - used, "%s%s", between, pattern);
    }
    snprintf(detail + used, STORE_DETAIL_SIZE - used, " changed since %.7s", since);
}

// Ended without an image: neither failed, nor wanted again before something changes.
static enum step end_filtered(struct work *work, const struct group *group, struct build *build,
                              const struct git_answers *answers)
{
    char detail[STORE_DETAIL_SIZE];
    describe_filtered(group->recipe.paths, answers->since, detail);
    return build_end(work, build, BUILD_FILTERED, "filtered", detail, &work->err) ? STEP_NEXT
                                                                                  : STEP_TRY;
}

static void note_source(const struct pipeline *pipeline, const struct build *build,
                        const char *notes)
{
    struct error err = {0};
    bool kept = build_notes_put(pipeline, build->id, notes, &err);
    log_line(LOG_WARNING, "people should know of a build's source", "job", build->job, "notes",
             notes, "error", kept ? NULL : err.text, NULL);
}

static void keep_context(struct work *work, const struct build *build,
                         const struct git_answers *answers)
{
    CLEANUP(free_ptr) char *path = build_context_path(work->pipeline, build);
    text_copy(work->context_sha256, sizeof work->context_sha256, answers->context_sha256);
    work->context_bytes = answers->context_bytes;
    spool_note(work, build);
    spool_trim(work->pipeline, path);
}

enum step step_context(struct work *work, struct group *group, struct build *build)
{
    char name[CHILD_NAME_ROOM];
    context_child(work, build, name);
    CLEANUP(answers_ptr) struct git_answers answers;
    git_answers_init(&answers);
    int64_t tag;
    switch (git_take(work->pipeline, name, &tag, &answers)) {
    case CHILD_BUSY:
        return STEP_WAIT;
    case CHILD_UNKNOWN:
        // What was packed before stays good: an API server that is away costs no remote anything.
        return spool_has(work, build) ? STEP_NEXT : ask_context(work, group, build, name);
    case CHILD_ENDED:
        break;
    }
    if (answers.state != GIT_DONE)
        return context_not_made(work, build, &answers);
    if (answers.unchanged && group->asked) // somebody asked meanwhile
        return ask_context(work, group, build, name);
    work->progressed = true;
    char fetched[CHILD_NAME_ROOM];
    fetch_step(work, build, fetched);
    work_went(work, fetched);
    build->fetch_ms = answers.fetch_ms;
    build->context_ms = answers.context_ms;
    text_copy(build->subject, sizeof build->subject, answers.subject);
    text_copy(build->author, sizeof build->author, answers.author);
    CRASH_POINT("after-context-packed");
    housekeeping_ask(work->pipeline, CHORE_MIRRORS);
    if (answers.notes.len > 0)
        note_source(work->pipeline, build, buffer_text(&answers.notes));
    keep_context(work, build, &answers);
    return answers.unchanged ? end_filtered(work, group, build, &answers) : STEP_NEXT;
}
