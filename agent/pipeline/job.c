// Step 2b: the context becomes a Kaniko Job, and the Job a digest that the registry confirms.
#include "agent/base/crashpoint.h"
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/pipeline/registries.h"
#include "agent/pipeline/steps.h"
#include "deploy/kube/events.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LOG_END_MAX       ((size_t)64 << 10) // enough to name the failing instruction
#define EVENTS_RECHECK_MS 5000               // while it is not known why a build waits
#define REGISTRY_AGAIN_MS 1000 // when no worker may wait for it now: each look asks Kubernetes, too
#define LOG_END_WAIT_MS   3000 // for the rest of a log whose pod has ended
#define CONFIRM_TRIES     5    // then an image that its registry lacks is made anew
#define REST_MS           20000 // before the second attempt, when a network was to blame
#define REST_FACTOR       6     // longer before each further one
#define REST_SPREAD       8     // parts of a quarter of it: not all come back at once

static struct kaniko_settings kaniko_settings(const struct pipeline *pipeline,
                                              const struct config *config)
{
    return (struct kaniko_settings){
        .namespace = config->builds.namespace,
        .agent = pipeline->identity,
        .image = config->builds.kaniko_image,
        .service_account = config->builds.service_account,
        .node_selector = config->builds.node_selector,
        .tolerations = config->builds.tolerations,
        .affinity = config->builds.affinity,
        .priority_class = config->builds.priority_class,
        .labels = config->builds.labels,
        .annotations = config->builds.annotations,
        .resources = config->builds.resources,
        .deadline_seconds = config->builds.timeout_ms / 1000,
        .ttl_seconds = config->builds.ttl_ms / 1000,
        .cache = config->builds.cache,
        .cache_repository = config->builds.cache_repository,
        .registry_mirrors = (const char *const *)config->builds.registry_mirrors.items,
        .registry_mirrors_count = config->builds.registry_mirrors.count,
        .registry_maps = config->builds.registry_maps,
        .insecure = config->builds.insecure,
        .extra_args = (const char *const *)config->builds.extra_args.items,
        .extra_args_count = config->builds.extra_args.count,
    };
}

void build_id(int64_t build, char out[static BUILD_ID_SIZE])
{
    snprintf(out, BUILD_ID_SIZE, "b-%" PRId64, build);
}

static void log_build(const struct build *build, const char *message, const char *key,
                      const char *value)
{
    char id[BUILD_ID_SIZE];
    build_id(build->id, id);
    log_line(LOG_WARNING, message, "build", id, "job", build->job, key, value, NULL);
}

bool build_next_attempt(struct build *build, const struct recipe *recipe, struct error *err)
{
    struct build_name name;
    if (!build_name(build->commit, build->recipe, build->attempt + 1, &name, err))
        return false;
    build->attempt++;
    build->kaniko_ms = -1;
    text_copy(build->job, sizeof build->job, name.job);
    int used = snprintf(build->image, sizeof build->image, "%s:%s", recipe->image, name.tag);
    return used < (int)sizeof build->image ||
           error_set(err, ERR_TOO_LARGE, "image reference of %d bytes", used);
}

// --- making it ---

// Whether the API server might take it later: a right or a namespace that is missing, a quota that
// is used up. What admission forbids stays forbidden.
static bool may_be_taken_later(const struct work *work, const struct kube_reply *reply)
{
    return work->err.code == ERR_NOT_FOUND || reply->reason == KUBE_REASON_NO_RIGHT ||
           reply->reason == KUBE_REASON_QUOTA || reply->reason == KUBE_REASON_TERMINATING;
}

static enum step not_made(struct work *work, const struct kube_reply *reply, const char *what)
{
    error_wrap(&work->err, "create %s", what);
    return may_be_taken_later(work, reply) ? STEP_TRY : work_failed(work, "kubernetes");
}

// Whether another agent made it. Earlier versions did not say who they were.
static bool is_others(const struct work *work, const json_t *job)
{
    const char *maker = json_text_at(job, "metadata", "annotations", KANIKO_ANNOTATION_AGENT, NULL);
    return maker && !identity_is_own(work->pipeline, maker);
}

// A failed attempt of before somebody asked again. What is asked for is another one.
static bool is_past(const struct work *work, const json_t *job)
{
    struct wall_time failed = kaniko_job_failed_at(job);
    return work->newest > 0 && failed.ms > 0 && work->received.ms > failed.ms;
}

bool job_find(struct work *work, const struct build *build, json_t **out)
{
    struct kube_reply reply;
    *out = NULL;
    if (!kube_request(work->pipeline->parts.kube,
                      &(struct kube_request){.resource = &KUBE_JOBS,
                                             .namespace_ = work->config->builds.namespace,
                                             .name = build->job},
                      &reply, &work->err))
        return work->err.code == ERR_NOT_FOUND;
    *out = json_incref(reply.body);
    kube_reply_finish(&reply);
    return true;
}

// What an existing Job of the same name means for this attempt; *job is taken over when it is ours:
// the verdict on it is the same for every agent.
static enum step meet_existing(struct work *work, const struct kaniko_build *attempt,
                               struct build *build, json_t **job)
{
    CLEANUP(json_ptr) json_t *found = NULL;
    if (!job_find(work, build, &found) || !found)
        return STEP_TRY; // gone in between, say: then it can be made
    enum kaniko_existing existing = kaniko_existing(found, attempt);
    if (existing == KANIKO_EXISTING_LIVE || existing == KANIKO_EXISTING_SUCCEEDED ||
        (existing == KANIKO_EXISTING_FAILED && !is_past(work, found))) {
        *job = TAKE(found);
        return STEP_NEXT;
    }
    spool_forget(work->pipeline, build);
    if (existing == KANIKO_EXISTING_FOREIGN)
        log_build(build, "a Job of this name is not ours: next attempt", NULL, NULL);
    // Who ended it may have heard of a newer head.
    bool asks = existing == KANIKO_EXISTING_CANCELLED || existing == KANIKO_EXISTING_VANISHING;
    if (asks && !head_anew(work))
        return STEP_TRY;
    build->state = BUILD_WAITING;
    CRASH_POINT("before-met-job-passed-by");
    if (!build_next_attempt(build, attempt->recipe, &work->err) ||
        !store_build_put(work->pipeline->parts.store, build, &work->err))
        return work_failed(work, "build-failed");
    CRASH_POINT("after-met-job-passed-by");
    work_again(work, 1);
    return STEP_WAIT;
}

static bool post(struct work *work, const struct kube_resource *resource, const json_t *body,
                 struct kube_reply *reply)
{
    return kube_request(work->pipeline->parts.kube,
                        &(struct kube_request){.method = "POST",
                                               .resource = resource,
                                               .namespace_ = work->config->builds.namespace,
                                               .body = body},
                        reply, &work->err);
}

// The Job as the API server has it: new, or met.
static enum step ensure_job(struct work *work, struct group *group, struct build *build,
                            const struct kaniko_settings *settings, json_t **out)
{
    const struct config *config = work->config;
    const char *push_secret =
        *group->recipe.push_secret ? group->recipe.push_secret : config->builds.push_secret;
    struct kaniko_fetch fetch = {.image = config->context.image,
                                 .sha256 = work->context_sha256,
                                 .bytes = work->context_bytes};
    bool large = work->context_bytes > (int64_t)KANIKO_CONTEXT_SECRET_MAX;
    struct kaniko_build attempt = {.recipe = &group->recipe,
                                   .commit = build->commit,
                                   .attempt = build->attempt,
                                   .source_url = work->url,
                                   .push_secret = push_secret,
                                   .fetch = large ? &fetch : NULL};
    CLEANUP(json_ptr) json_t *manifest = NULL;
    if (!kaniko_job(settings, &attempt, &manifest, &work->err))
        return work_failed(work, "build-failed");
    struct kube_reply reply;
    CRASH_POINT("before-job-created");
    if (post(work, &KUBE_JOBS, manifest, &reply)) {
        CRASH_POINT("after-job-created");
        *out = json_incref(reply.body);
        kube_reply_finish(&reply);
        return STEP_NEXT;
    }
    if (reply.reason == KUBE_REASON_ALREADY_EXISTS)
        return meet_existing(work, &attempt, build, out);
    return not_made(work, &reply, "the build's job");
}

// Secrets come after the Job, which owns them: nothing leaks when we die between the two.
static enum step post_secret(struct work *work, const json_t *secret)
{
    struct kube_reply reply;
    CRASH_POINT("before-secret-created");
    if (post(work, &KUBE_SECRETS, secret, &reply)) {
        CRASH_POINT("after-secret-created");
        kube_reply_finish(&reply);
        return STEP_NEXT;
    }
    if (reply.reason == KUBE_REASON_ALREADY_EXISTS)
        return STEP_NEXT;
    return not_made(work, &reply, "a secret of the build's");
}

static enum step ensure_authorities(struct work *work, const struct kaniko_settings *settings,
                                    const json_t *job)
{
    CLEANUP(json_ptr) json_t *secret = NULL;
    return kaniko_authorities_secret(job, settings, &secret, &work->err)
               ? post_secret(work, secret)
               : work_failed(work, "misconfigured");
}

// By its Job, which another agent may have made, a pod takes the context from its Secret or fetches
// it.
static const char *fetched_sha256(const json_t *job)
{
    return json_text_at(job, "metadata", "annotations", KANIKO_ANNOTATION_CONTEXT, NULL);
}

static bool make_ticket(struct work *work, const struct build *build, const json_t *job,
                        json_t **out)
{
    const struct config *config = work->config;
    const struct context_keys *keys = work->pipeline->parts.context_keys;
    char token[CONTEXT_TOKEN_SIZE];
    if (!keys)
        return error_set(&work->err, ERR_INVALID,
                         "the Job fetches its context, and there is no context.listen");
    if (!context_token(keys, job, token, &work->err))
        return false;
    CLEANUP(free_ptr) char *bytes = xasprintf("%" PRId64, work->context_bytes);
    CLEANUP(free_ptr)
    char *address = xasprintf("%s/contexts/%s", config->context.address, build->job);
    struct kaniko_ticket ticket = {.address = address,
                                   .token = token,
                                   .sha256 = fetched_sha256(job),
                                   .bytes = bytes,
                                   .ca = keys->certificate};
    bool made = kaniko_ticket_secret(job, &ticket, out, &work->err);
    explicit_bzero(token, sizeof token);
    return made;
}

static bool make_secret(struct work *work, const struct build *build, const json_t *job,
                        json_t **out)
{
    if (fetched_sha256(job))
        return make_ticket(work, build, job, out);
    CLEANUP(free_ptr) char *path = build_context_path(work->pipeline, build);
    CLEANUP(buffer_finish) struct buffer context = {0};
    return file_read(path, KANIKO_CONTEXT_SECRET_MAX, &context, &work->err) &&
           kaniko_context_secret(job, context.data, context.len, out, &work->err);
}

static enum step ensure_secret(struct work *work, const struct build *build, const json_t *job)
{
    CLEANUP(json_ptr) json_t *secret = NULL;
    if (make_secret(work, build, job, &secret))
        return post_secret(work, secret);
    if (work->err.code == ERR_NOT_FOUND) // it made room for a newer one: it is packed again
        return STEP_TRY;
    return work_failed(work, work->err.code == ERR_TOO_LARGE ? "context-too-large"
                             : work->err.code == ERR_INVALID ? "misconfigured"
                                                             : "io");
}

// The Job and what it needs.
static enum step ensure_all(struct work *work, struct group *group, struct build *build,
                            json_t **job)
{
    const struct config *config = work->config;
    CLEANUP(registries_finish) struct registries registries = {0};
    struct kaniko_settings settings = kaniko_settings(work->pipeline, config);
    if (!registries_read(config, &registries, &work->err))
        return work_failed(work, "misconfigured");
    registries_put(config, &registries, &settings);
    enum step step = ensure_job(work, group, build, &settings, job);
    work->others_job = is_others(work, *job);
    if (step == STEP_NEXT && !kaniko_job_is_live(*job))
        return step; // it needs nothing any more
    if (step == STEP_NEXT && settings.authorities_count > 0)
        step = ensure_authorities(work, &settings, *job);
    return step == STEP_NEXT ? ensure_secret(work, build, *job) : step;
}

enum step job_create(struct work *work, struct group *group, struct build *build)
{
    CLEANUP(json_ptr) json_t *job = NULL;
    enum step step = ensure_all(work, group, build, &job);
    // Nothing runs that would need its place. A Job that was made all the same is joined.
    if (step == STEP_TRY && !job && build->state == BUILD_FETCHING)
        turn_give_back(work, build, true);
    if (step != STEP_NEXT)
        return step;
    build->state = BUILD_RUNNING;
    build->reason[0] = build->detail[0] = '\0'; // what it waited for, or was tried again, is past
    CRASH_POINT("before-build-running");
    if (!store_build_put(work->pipeline->parts.store, build, &work->err))
        return work_failed(work, "store-failed");
    CRASH_POINT("after-build-running");
    if (!fetched_sha256(job))
        spool_forget(work->pipeline, build);
    work->progressed = true;
    char id[BUILD_ID_SIZE];
    build_id(build->id, id);
    log_line(LOG_INFO, work->others_job ? "build joined" : "build started", "build", id, "job",
             build->job, "repository", build->repository, "commit", build->commit, "agent",
             json_text_at(job, "metadata", "annotations", KANIKO_ANNOTATION_AGENT, NULL), NULL);
    if (!work->others_job)
        group_tell(work, group, TOLD_BUILD_STARTED, "Build %s of commit %.12s of %s was started.",
                   id, build->commit, build->branch);
    return STEP_NEXT;
}

bool job_was_made(struct work *work, const struct build *build, bool *made)
{
    CLEANUP(json_ptr) json_t *job = NULL;
    if (!job_find(work, build, &job))
        return false;
    const char *commit =
        json_text_at(job, "metadata", "annotations", KANIKO_ANNOTATION_COMMIT, NULL);
    *made = commit && strcmp(commit, build->commit) == 0;
    return true;
}

// --- watching it ---

// The Job and its newest pod; NULL for what is not there. The caller owns both.
static bool read_job(struct work *work, const struct build *build, json_t **job, json_t **pod)
{
    struct kube_reply reply;
    if (!job_find(work, build, job))
        return false;
    char selector[STORE_NAME_SIZE + sizeof KUBE_LABEL_JOB_NAME + 1];
    snprintf(selector, sizeof selector, "%s=%s", KUBE_LABEL_JOB_NAME, build->job);
    if (!kube_request(work->pipeline->parts.kube,
                      &(struct kube_request){.resource = &KUBE_PODS,
                                             .namespace_ = work->config->builds.namespace,
                                             .query = {{"labelSelector", selector}}},
                      &reply, &work->err))
        return false;
    const json_t *newest =
        *job ? kaniko_newest_pod(*job, json_at(reply.body, "items", NULL)) : NULL;
    *pod = newest ? json_deep_copy(newest) : NULL;
    kube_reply_finish(&reply);
    return true;
}

static void follow_log(struct work *work, const struct build *build, const char *pod)
{
    CLEANUP(free_ptr) char *directory = build_log_directory(work->pipeline, build->id);
    CLEANUP(free_ptr) char *path = xasprintf("%s/%s.log", directory, pod);
    struct podlog_source source = {.namespace_ = work->config->builds.namespace,
                                   .pod = pod,
                                   .container = KANIKO_CONTAINER,
                                   .path = path};
    struct error err;
    if (*pod && !(directory_make(directory, &err) &&
                  podlog_follow(work->pipeline->parts.logs, &source, &err)))
        log_build(build, "the build's log cannot be followed", "error", err.text);
}

void pipeline_build_log_end(const struct pipeline *pipeline, int64_t build, int64_t wait_ms,
                            struct buffer *out)
{
    CLEANUP(free_ptr) char *path = pipeline_build_log(pipeline, build);
    if (!path)
        return;
    CLEANUP(podlog_reader_ptr) struct podlog_reader *reader = NULL;
    struct error err;
    if (!podlog_reader_open(pipeline->parts.logs, path, 0, false, &reader, &err))
        return;
    struct mono_time deadline = mono_after(wait_ms);
    struct podlog_end end;
    char chunk[LOG_END_MAX / 4];
    size_t len;
    while (podlog_read(reader, deadline, chunk, sizeof chunk, &len, &end, &err) && len > 0) {
        if (out->len + len > LOG_END_MAX) {
            out->len -= LOG_END_MAX / 2;
            memmove(out->data, out->data + LOG_END_MAX / 2, out->len);
        }
        if (!buffer_append(out, chunk, len, &err))
            return;
    }
}

// --- waiting for it ---

// Asks why it waits, once it has done so for a while: true then.
static bool ask_events(struct work *work, const json_t *job, const json_t *pod,
                       struct kaniko_result *result)
{
    const json_t *object = pod ? pod : job;
    const char *uid = json_text_at(object, "metadata", "uid", NULL);
    const char *created = json_text_at(object, "metadata", "creationTimestamp", NULL);
    struct wall_time since;
    if (!kaniko_wants_events(result) || !uid || !created || !wall_parse(created, &since))
        return false;
    int64_t age = wall_now().ms - since.ms; // negative when our clock is behind Kubernetes'
    bool young = age >= 0 && age < KUBE_EVENTS_AFTER_MS;
    work_again(work, young ? KUBE_EVENTS_AFTER_MS : EVENTS_RECHECK_MS);
    if (young)
        return false;
    CLEANUP(json_ptr) json_t *event = NULL;
    struct error err;
    if (!kube_event_about(work->pipeline->parts.kube, work->config->builds.namespace, uid, &event,
                          &err))
        log_line(LOG_DEBUG, "why a build waits cannot be told", "error", err.text, NULL);
    kaniko_hindered(event, result);
    return true;
}

// While it waits the build says why, but not of each short wait; the deadline's verdict goes by
// that, too. At the deadline the pod goes first, and with it what it said.
static enum step keep_waiting(struct work *work, struct build *build, bool for_long,
                              const struct kaniko_result *result)
{
    bool told = for_long || !kaniko_wants_events(result);
    bool silent = kaniko_wants_events(result) || !*result->reason;
    work_again(work, RECHECK_MS);
    if (*build->reason && silent && (result->ending || !*result->pod))
        return STEP_WAIT;
    return build_explain(work, build, told ? result->reason : "", told ? result->detail : "")
               ? STEP_WAIT
               : STEP_TRY;
}

// How often it was tried since it was asked for: the attempts of a commit are counted on when that
// is asked for again.
static int attempts_since_asked(const struct work *work, const struct build *build)
{
    struct build before;
    struct error err;
    bool found = store_build_asked_before(work->pipeline->parts.store, build, &before, &err);
    return build->attempt - (found ? before.attempt : 0);
}

// Whether a build that failed through no fault of its own has attempts left.
static bool may_try_again(const struct work *work, const struct build *build)
{
    return attempts_since_asked(work, build) < BUILD_ATTEMPTS_MAX;
}

int64_t job_rest_ms(const struct work *work, const struct build *build)
{
    if (strcmp(build->reason, BUILD_RESTS) != 0)
        return 0;
    int64_t rest = REST_MS;
    int attempts = attempts_since_asked(work, build);
    for (int attempt = 2; attempt < attempts && attempt < BUILD_ATTEMPTS_MAX; attempt++)
        rest *= REST_FACTOR;
    rest += rest / 4 * (build->id % REST_SPREAD) / REST_SPREAD;
    int64_t rested = wall_now().ms - build->started.ms;
    return rested >= 0 && rested < rest ? rest - rested : 0;
}

// Another Job takes this one's place: at once, or after a rest.
static enum step try_anew(struct work *work, struct group *group, struct build *build, bool rest,
                          const char *why)
{
    log_build(build, "build failed through no fault of its own: next attempt", "why", why);
    build->state = BUILD_WAITING;
    build->started = wall_now();
    text_copy(build->reason, sizeof build->reason, rest ? BUILD_RESTS : "");
    snprintf(build->detail, sizeof build->detail, "%.*s%s", STORE_DETAIL_SIZE - 64, why,
             rest ? "; another attempt follows in a while" : "");
    spool_forget(work->pipeline, build);
    CRASH_POINT("before-next-attempt");
    if (!build_next_attempt(build, &group->recipe, &work->err) ||
        !store_build_put(work->pipeline->parts.store, build, &work->err))
        return work_failed(work, "build-failed");
    CRASH_POINT("after-next-attempt");
    work_again(work, job_rest_ms(work, build) + 1);
    return STEP_WAIT;
}

// An outage of a registry may take minutes, in which a few attempts are soon made.
static enum step job_failed(struct work *work, struct group *group, struct build *build,
                            struct kaniko_result *result)
{
    CLEANUP(buffer_finish) struct buffer log = {0};
    pipeline_build_log_end(work->pipeline, build->id, LOG_END_WAIT_MS, &log);
    kaniko_explain_wait(build->reason, build->detail, result);
    kaniko_explain(buffer_text(&log), log.len, result);
    bool outage = strcmp(result->reason, "build-failed") == 0;
    if (result->transient && may_try_again(work, build))
        return try_anew(work, group, build, outage, result->detail);
    error_set(&work->err, ERR_INVALID, "%s", result->detail);
    return work_failed(work, *result->reason ? result->reason : "build-failed");
}

bool pipeline_confirm_image(const struct pipeline *pipeline, const char *reference,
                            struct error *err)
{
    struct image_reference image;
    if (!image_parse(reference, &image, err))
        return false;
    if (!*image.digest)
        return error_set(err, ERR_UNSUPPORTED, "%s has no digest", reference);
    CLEANUP(settings_drop_ptr)
    const struct config *config = settings_hold(pipeline->parts.settings);
    return registries_confirm(config, &image, image.digest, REGISTRY_TIMEOUT_MS, err);
}

// With that its place is another's: see store_builds_under_way(). Its registry may yet take long to
// confirm the digest. Kubernetes' times are whole seconds; this one has the scheduling and pulling
// in it too.
static void note_job_over(struct build *build)
{
    int64_t ms = wall_now().ms - build->started.ms - build->fetch_ms - build->context_ms;
    if (build->kaniko_ms < 0)
        build->kaniko_ms = ms > 0 ? ms : 0;
}

// Some registries show what was pushed to them a moment late. What is not there then is lost: the
// registry was emptied, or went back to an earlier state.
static enum step not_confirmed(struct work *work, struct group *group, struct build *build)
{
    error_wrap(&work->err, "the registry does not confirm the pushed digest");
    if (work->err.code != ERR_NOT_FOUND && work->err.code != ERR_CONFLICT)
        return work_failed(work, "digest-unconfirmed");
    if (work_may_try(work, build->job, CONFIRM_TRIES))
        return STEP_TRY;
    if (may_try_again(work, build))
        return try_anew(work, group, build, false, work->err.text);
    text_copy(work->reason, sizeof work->reason, "digest-unconfirmed");
    return STEP_FAIL;
}

static enum step job_succeeded(struct work *work, struct group *group, struct build *build,
                               const struct kaniko_result *result)
{
    struct image_reference image;
    if (!image_parse(group->recipe.image, &image, &work->err))
        return work_failed(work, "build-failed");
    note_job_over(build);
    CRASH_POINT("before-digest-confirmed");
    if (!waits_begin(&work->pipeline->waits, image.registry)) {
        work_again(work, REGISTRY_AGAIN_MS);
        return build_explain(work, build, "", "its registry has to answer for other builds first")
                   ? STEP_WAIT
                   : STEP_TRY;
    }
    bool confirmed =
        registries_confirm(work->config, &image, result->digest, REGISTRY_TIMEOUT_MS, &work->err);
    waits_end(&work->pipeline->waits, image.registry);
    if (!confirmed)
        return not_confirmed(work, group, build);
    work_went(work, build->job);
    text_copy(build->digest, sizeof build->digest, result->digest);
    build->state = BUILD_PUSHED;
    build->reason[0] = build->detail[0] = '\0';
    CRASH_POINT("before-build-pushed");
    if (!store_build_put(work->pipeline->parts.store, build, &work->err))
        return work_failed(work, "store-failed");
    CRASH_POINT("after-build-pushed");
    spool_forget(work->pipeline, build);
    work->progressed = true;
    char id[BUILD_ID_SIZE];
    build_id(build->id, id);
    log_line(LOG_INFO, "image pushed", "build", id, "job", build->job, "image", build->image,
             "digest", build->digest, NULL);
    if (!work->others_job)
        group_tell(work, group, TOLD_BUILD_SUCCEEDED, "Build %s of commit %.12s made %s@%s.", id,
                   build->commit, build->image, build->digest);
    return STEP_NEXT;
}

// Whoever ended it may have heard of a newer head: that is asked for first. STEP_NEXT: it was, and
// the build is wanted still.
static enum step ask_first(struct work *work, struct build *build, const char *reason,
                           const char *detail)
{
    if (strcmp(build->reason, reason) != 0)
        return head_anew(work) && build_explain(work, build, reason, detail) ? STEP_WAIT : STEP_TRY;
    if (work->head.checked.ms != 0)
        return STEP_NEXT;
    work_again(work, RECHECK_MS);
    return STEP_WAIT;
}

enum step step_job(struct work *work, struct group *group, struct build *build)
{
    CLEANUP(json_ptr) json_t *job = NULL;
    CLEANUP(json_ptr) json_t *pod = NULL;
    if (!read_job(work, build, &job, &pod))
        return STEP_TRY; // it goes on, whoever may not look at it
    work->others_job = is_others(work, job);
    struct kaniko_result result;
    bool for_long;
    kaniko_result(job, pod, &result);
    if (kaniko_job_is_cancelled(job))
        kaniko_judge_cancelled(&result);
    follow_log(work, build, result.pod);
    switch (result.state) {
    case KANIKO_PENDING:
    case KANIKO_RUNNING:
        for_long = ask_events(work, job, pod, &result);
        return keep_waiting(work, build, for_long, &result);
    case KANIKO_FAILED:
        if (strcmp(result.reason, "deleted") == 0 || strcmp(result.reason, "cancelled") == 0) {
            enum step step = ask_first(work, build, result.reason, result.detail);
            if (step != STEP_NEXT)
                return step;
        }
        return job_failed(work, group, build, &result);
    case KANIKO_SUCCEEDED:
        break;
    }
    return job_succeeded(work, group, build, &result);
}
