#include "build/kaniko.h"

#include "agent/base/printable.h"
#include "agent/base/text.h"
#include "build/kaniko_fetch.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool condition_is_true(const json_t *conditions, const char *type, const json_t **found)
{
    size_t i;
    json_t *condition;
    json_array_foreach(conditions, i, condition)
    {
        const char *its_type = json_text_at(condition, "type", NULL);
        const char *status = json_text_at(condition, "status", NULL);
        if (its_type && status && strcmp(its_type, type) == 0 && strcmp(status, "True") == 0) {
            if (found)
                *found = condition;
            return true;
        }
    }
    return false;
}

static const json_t *job_conditions(const json_t *job)
{
    return json_at(job, "status", "conditions", NULL);
}

static bool job_failed(const json_t *job, const json_t **condition)
{
    // FailureTarget comes first, while the Job's pods are still ending.
    return condition_is_true(job_conditions(job), "Failed", condition) ||
           condition_is_true(job_conditions(job), "FailureTarget", condition);
}

static bool job_succeeded(const json_t *job)
{
    return condition_is_true(job_conditions(job), "Complete", NULL) ||
           condition_is_true(job_conditions(job), "SuccessCriteriaMet", NULL);
}

static bool being_deleted(const json_t *object)
{
    return json_text_at(object, "metadata", "deletionTimestamp", NULL);
}

bool kaniko_job_is_live(const json_t *job)
{
    return !being_deleted(job) && !job_failed(job, NULL) && !job_succeeded(job) &&
           !kaniko_job_is_cancelled(job);
}

bool kaniko_job_is_cancelled(const json_t *job)
{
    return json_text_at(job, "metadata", "annotations", KANIKO_ANNOTATION_CANCELLED, NULL);
}

struct wall_time kaniko_job_failed_at(const json_t *job)
{
    const json_t *condition = NULL;
    struct wall_time at = {0};
    const char *text =
        job_failed(job, &condition) ? json_text_at(condition, "lastTransitionTime", NULL) : NULL;
    if (text && !wall_parse(text, &at))
        at.ms = 0;
    return at;
}

static bool same_text(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

enum kaniko_existing kaniko_existing(const json_t *job, const struct kaniko_build *build)
{
    char recipe[SHA256_HEX_SIZE];
    recipe_hash(build->recipe, recipe);
    const json_t *marks = json_at(job, "metadata", "annotations", NULL);
    if (!same_text(json_text_at(marks, KANIKO_ANNOTATION_RECIPE, NULL), recipe) ||
        !same_text(json_text_at(marks, KANIKO_ANNOTATION_COMMIT, NULL), build->commit))
        return KANIKO_EXISTING_FOREIGN;
    if (being_deleted(job))
        return KANIKO_EXISTING_VANISHING;
    if (kaniko_job_is_cancelled(job))
        return KANIKO_EXISTING_CANCELLED;
    if (job_failed(job, NULL))
        return KANIKO_EXISTING_FAILED;
    return job_succeeded(job) ? KANIKO_EXISTING_SUCCEEDED : KANIKO_EXISTING_LIVE;
}

const json_t *kaniko_newest_pod(const json_t *job, const json_t *pods)
{
    const char *uid = json_text_at(job, "metadata", "uid", NULL);
    const json_t *newest = NULL;
    struct wall_time newest_time = {-1};
    for (size_t i = 0; i < json_array_size(pods); i++) {
        const json_t *pod = json_array_get(pods, i);
        struct wall_time created = {0};
        const char *text = json_text_at(pod, "metadata", "creationTimestamp", NULL);
        if (!same_text(json_text_at(pod, "metadata", "ownerReferences", "0", "uid", NULL), uid))
            continue;
        if (text && !wall_parse(text, &created))
            continue;
        if (created.ms > newest_time.ms) {
            newest = pod;
            newest_time = created;
        }
    }
    return newest;
}

// --- the judgement ---

static void __attribute__((format(printf, 4, 5)))
judge(struct kaniko_result *out, enum kaniko_state state, const char *reason, const char *fmt, ...)
{
    char text[KANIKO_DETAIL_SIZE];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    size_t len = strlen(text);
    while (len > 0 && text[len - 1] == ' ') // as the kubelet's messages end
        len--;
    out->state = state;
    text_copy(out->reason, sizeof out->reason, reason);
    printable_copy(out->detail, sizeof out->detail, text, len);
}

static const json_t *kaniko_status(const json_t *pod)
{
    const json_t *statuses = json_at(pod, "status", "containerStatuses", NULL);
    for (size_t i = 0; i < json_array_size(statuses); i++) {
        const json_t *status = json_array_get(statuses, i);
        if (same_text(json_text_at(status, "name", NULL), KANIKO_CONTAINER))
            return status;
    }
    return NULL;
}

static const char *or_unknown(const char *text)
{
    return text && *text ? text : "no reason given";
}

static void read_time(const json_t *object, const char *name, struct wall_time *out)
{
    const char *text = json_text_at(object, name, NULL);
    if (text)
        (void)wall_parse(text, out);
}

static void judge_success(const json_t *terminated, struct kaniko_result *out)
{
    const char *message = json_text_at(terminated, "message", NULL);
    char digest[IMAGE_DIGEST_SIZE + 1];
    if (!message || !text_copy(digest, sizeof digest, message)) {
        judge(out, KANIKO_FAILED, "no-digest", "Kaniko succeeded without saying a digest");
        return;
    }
    digest[strcspn(digest, "\n")] = '\0';
    if (!image_digest_is_valid(digest)) {
        judge(out, KANIKO_FAILED, "no-digest", "Kaniko succeeded, but its digest is malformed");
        return;
    }
    out->state = KANIKO_SUCCEEDED;
    text_copy(out->digest, sizeof out->digest, digest);
}

static void judge_exit(const json_t *pod, const json_t *terminated, struct kaniko_result *out)
{
    const char *message = json_text_at(terminated, "message", NULL);
    const char *limit =
        json_text_at(pod, "spec", "containers", "0", "resources", "limits", "memory", NULL);
    if (same_text(json_text_at(terminated, "reason", NULL), "OOMKilled"))
        judge(out, KANIKO_FAILED, "out-of-memory", "out of memory%s%s%s", limit ? " (limit " : "",
              limit ? limit : "", limit ? ", builds.resources)" : "");
    else
        judge(out, KANIKO_FAILED, "build-failed", "Kaniko ended with exit %d", out->exit_code);
    // The log's end, when Kaniko failed before it wrote a digest there.
    if (message)
        kaniko_explain(message, strlen(message), out);
}

// Adds to the verdict, in place of what was added earlier.
static void explain_by(struct kaniko_result *result, const char *joint, const char *cause)
{
    char known[KANIKO_DETAIL_SIZE];
    char *earlier = strstr(result->detail, joint);
    if (earlier)
        *earlier = '\0';
    text_copy(known, sizeof known, result->detail);
    judge(result, result->state, result->reason, "%s%s%s", known, joint, cause);
}

void kaniko_explain(const char *log, size_t len, struct kaniko_result *result)
{
    char cause[KANIKO_DETAIL_SIZE];
    if (result->state != KANIKO_FAILED)
        return;
    if (same_text(result->reason, "build-failed")) {
        if (!kaniko_log_reason(log, len, cause, sizeof cause))
            return;
        text_copy(result->detail, sizeof result->detail, cause);
        result->transient = kaniko_cause_is_transient(cause);
    } else if (same_text(result->reason, "out-of-memory")) {
        if (kaniko_log_reason(log, len, cause, sizeof cause) ||
            kaniko_log_doing(log, len, cause, sizeof cause))
            explain_by(result, ": ", cause);
    } else if (same_text(result->reason, "deadline") || same_text(result->reason, "evicted")) {
        if (kaniko_log_doing(log, len, cause, sizeof cause))
            explain_by(result, "; it was at ", cause);
    }
}

// Of waits that every build has, and of which only their length is worth a word.
static bool says_nothing(const char *reason)
{
    return strcmp(reason, "no-pod") == 0 || strcmp(reason, "starting") == 0;
}

void kaniko_explain_wait(const char *reason, const char *detail, struct kaniko_result *result)
{
    if (result->state != KANIKO_FAILED || !same_text(result->reason, "deadline") ||
        result->started.ms || !*reason || says_nothing(reason))
        return;
    char known[KANIKO_DETAIL_SIZE];
    text_copy(known, sizeof known, result->detail);
    judge(result, KANIKO_FAILED, reason, "%s; it was still waiting: %s", known, detail);
}

void kaniko_judge_cancelled(struct kaniko_result *result)
{
    judge(result, KANIKO_FAILED, "cancelled", "the Job was cancelled");
    result->transient = true;
}

// Waiting reasons of a container that its kubelet goes on trying.
static const struct {
    const char *kubernetes;
    const char *reason;
    const char *words;
} waits[] = {
    {"ErrImagePull", "image-pull", "Kaniko's own image (builds.kanikoImage) cannot be pulled"},
    {"ImagePullBackOff", "image-pull", "Kaniko's own image (builds.kanikoImage) cannot be pulled"},
    {"ErrImageNeverPull", "image-pull",
     "Kaniko's own image (builds.kanikoImage) is not on the node"},
    {"InvalidImageName", "image-pull", "Kaniko's own image (builds.kanikoImage) has a wrong name"},
    {"RegistryUnavailable", "image-pull",
     "Kaniko's own image (builds.kanikoImage) cannot be pulled"},
    {"CreateContainerConfigError", "container-config", "the container cannot be made"},
    {"CreateContainerError", "container-config", "the container cannot be made"},
    {"RunContainerError", "container-config", "the container cannot be started"},
    {"ContainerCreating", "starting", "the container is being made"},
    {"PodInitializing", "starting", "the pod is being made ready"},
};

static void judge_waiting(const json_t *waiting, struct kaniko_result *out)
{
    const char *reason = json_text_at(waiting, "reason", NULL);
    const char *message = json_text_at(waiting, "message", NULL);
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++)
        if (same_text(reason, waits[i].kubernetes)) {
            judge(out, KANIKO_PENDING, waits[i].reason, "%s%s%s", waits[i].words,
                  message ? ": " : "", message ? message : "");
            return;
        }
    judge(out, KANIKO_PENDING, "starting", "the container waits: %s", or_unknown(reason));
}

static void judge_unstarted(const json_t *pod, struct kaniko_result *out)
{
    size_t i;
    json_t *condition;
    const json_t *conditions = json_at(pod, "status", "conditions", NULL);
    json_array_foreach(conditions, i, condition)
    {
        if (same_text(json_text_at(condition, "type", NULL), "PodScheduled") &&
            same_text(json_text_at(condition, "status", NULL), "False")) {
            judge(out, KANIKO_PENDING, "unschedulable", "no node takes the pod: %s",
                  or_unknown(json_text_at(condition, "message", NULL)));
            return;
        }
    }
    judge(out, KANIKO_PENDING, "starting", "the pod waits for its node");
}

// The pod ended, or is ending, not by its container's own doing.
static bool judge_taken_pod(const json_t *pod, struct kaniko_result *out)
{
    const json_t *disruption = NULL;
    const json_t *conditions = json_at(pod, "status", "conditions", NULL);
    const char *reason = json_text_at(pod, "status", "reason", NULL);
    const char *message = json_text_at(pod, "status", "message", NULL);
    if (condition_is_true(conditions, "DisruptionTarget", &disruption)) {
        // The Job replaces such a pod by itself.
        judge(out, KANIKO_PENDING, "disrupted",
              "the cluster took the pod away (%s); another follows",
              or_unknown(json_text_at(disruption, "reason", NULL)));
        return true;
    }
    if (!same_text(json_text_at(pod, "status", "phase", NULL), "Failed") || !reason)
        return false;
    // A container over its ephemeral-storage limit is evicted too: that is the build's own doing.
    bool own = message && strstr(message, "phemeral");
    out->transient = !own;
    judge(out, KANIKO_FAILED, same_text(reason, "Evicted") ? "evicted" : "pod-failed", "%s%s: %s",
          reason, own ? " (builds.resources)" : "", or_unknown(message));
    return true;
}

// While the context is being fetched Kaniko's own container says nothing.
static void judge_fetch(const json_t *status, struct kaniko_result *out)
{
    const json_t *terminated = json_at(status, "state", "terminated", NULL);
    const json_t *waiting = json_at(status, "state", "waiting", NULL);
    const char *message = json_text_at(terminated, "message", NULL);
    char words[KANIKO_DETAIL_SIZE];
    if (terminated) {
        int code = (int)json_int_or(json_at(terminated, "exitCode", NULL), -1);
        bool told = message && kaniko_fetch_last_words(message, words, sizeof words);
        read_time(terminated, "finishedAt", &out->finished);
        if (!told)
            snprintf(words, sizeof words, "its container ended with exit %d", code);
        judge(out, KANIKO_FAILED, "context-failed", "the build context was not fetched: %s", words);
        out->transient = code == KANIKO_FETCH_AGAIN;
    } else if (waiting) {
        judge_waiting(waiting, out);
        if (same_text(out->reason, "image-pull"))
            judge(out, KANIKO_PENDING, "image-pull",
                  "the image that fetches the context (context.image) cannot be pulled: %s",
                  or_unknown(json_text_at(waiting, "message", NULL)));
    } else {
        judge(out, KANIKO_PENDING, "fetching-context", "the pod fetches the build context");
    }
}

// Whether the node of a pod that runs has fallen silent. The pod itself is ready for as long as its
// containers are; only the node's controller says otherwise.
static bool node_is_silent(const json_t *pod)
{
    const json_t *conditions = json_at(pod, "status", "conditions", NULL);
    return condition_is_true(conditions, "ContainersReady", NULL) &&
           !condition_is_true(conditions, "Ready", NULL);
}

static void judge_pod(const json_t *pod, struct kaniko_result *out)
{
    const json_t *status = kaniko_status(pod);
    const json_t *terminated = json_at(status, "state", "terminated", NULL);
    const json_t *running = json_at(status, "state", "running", NULL);
    const json_t *fetch = kaniko_fetch_unfinished(pod);
    read_time(terminated ? terminated : running, "startedAt", &out->started);
    if (terminated) {
        read_time(terminated, "finishedAt", &out->finished);
        out->exit_code = (int)json_int_or(json_at(terminated, "exitCode", NULL), -1);
    }
    if (terminated && out->exit_code == 0)
        judge_success(terminated, out);
    else if (judge_taken_pod(pod, out))
        return;
    else if (fetch)
        judge_fetch(fetch, out);
    else if (terminated)
        judge_exit(pod, terminated, out);
    else if (running && node_is_silent(pod))
        judge(out, KANIKO_RUNNING, "node-lost", "the pod's node has not been heard of for a while");
    else if (running)
        out->state = KANIKO_RUNNING;
    else if (json_at(status, "state", "waiting", NULL))
        judge_waiting(json_at(status, "state", "waiting", NULL), out);
    else
        judge_unstarted(pod, out);
}

// The Job says it has failed: a deadline is said here alone, for the rest the pod knows better.
static void judge_failed_job(const json_t *job, const json_t *condition, const json_t *pod,
                             struct kaniko_result *out)
{
    // Somebody deleted the pod, and Kaniko ended by that, with whatever status.
    bool killed = being_deleted(pod) && same_text(out->reason, "build-failed");
    const char *reason = json_text_at(condition, "reason", NULL);
    const char *message = json_text_at(condition, "message", NULL);
    if (same_text(reason, "DeadlineExceeded")) {
        struct kaniko_result before = *out;
        judge(out, KANIKO_FAILED, "deadline", "the build took longer than its deadline of %lld s",
              (long long)json_int_or(json_at(job, "spec", "activeDeadlineSeconds", NULL), 0));
        out->transient = false;
        if (before.state == KANIKO_PENDING && pod && strcmp(before.reason, "starting") != 0)
            kaniko_explain_wait(before.reason, before.detail, out);
    } else if (!pod || killed || out->state != KANIKO_FAILED) {
        judge(out, KANIKO_FAILED, "pod-lost", "the Job failed and its pod is gone: %s",
              or_unknown(message));
        out->transient = true;
    }
}

// What hinders a pod, as the events about it, or about its Job, say.
static const struct {
    const char *kubernetes; // the event's reason
    const char *mark;       // in its message; NULL: any
    const char *reason;
    const char *words;
} hindrances[] = {
    {"FailedCreate", "exceeded quota", "quota", "a quota of the builds' namespace is used up"},
    {"FailedCreate", "violates PodSecurity", "pod-security",
     "the builds' namespace does not admit Kaniko's pod"},
    {"FailedCreate", NULL, "pod-refused", "the cluster refuses Kaniko's pod"},
    {"FailedMount", NULL, "mount", "a volume of Kaniko's pod cannot be mounted"},
    {"FailedCreatePodSandBox", NULL, "sandbox", "the node cannot make the pod"},
    {"Pulling", NULL, "pulling-image", "Kaniko's own image is being pulled"},
};

bool kaniko_wants_events(const struct kaniko_result *result)
{
    return result->state == KANIKO_PENDING && says_nothing(result->reason);
}

void kaniko_hindered(const json_t *event, struct kaniko_result *result)
{
    const char *reason = json_text_at(event, "reason", NULL);
    const char *message = json_text_at(event, "message", NULL);
    if (!kaniko_wants_events(result) || !message)
        return;
    const char *forbidden = strstr(message, " is forbidden: "); // after the pod's made-up name
    const char *cause = forbidden ? forbidden + strlen(" is forbidden: ") : message;
    for (size_t i = 0; i < sizeof hindrances / sizeof hindrances[0]; i++)
        if (same_text(reason, hindrances[i].kubernetes) &&
            (!hindrances[i].mark || strstr(message, hindrances[i].mark))) {
            judge(result, KANIKO_PENDING, hindrances[i].reason, "%s: %s", hindrances[i].words,
                  cause);
            return;
        }
}

void kaniko_result(const json_t *job, const json_t *pod, struct kaniko_result *out)
{
    *out = (struct kaniko_result){.state = KANIKO_PENDING, .exit_code = -1};
    if (!job) {
        judge(out, KANIKO_FAILED, "deleted", "the Job was deleted");
        out->transient = true;
        return;
    }
    if (pod) {
        const char *name = json_text_at(pod, "metadata", "name", NULL);
        text_copy(out->pod, sizeof out->pod, name ? name : "");
        out->ending = being_deleted(pod);
        judge_pod(pod, out);
    } else {
        judge(out, KANIKO_PENDING, "no-pod", "the Job has no pod yet");
    }
    const json_t *failed = NULL;
    if (out->state == KANIKO_SUCCEEDED)
        return;
    if (job_failed(job, &failed)) {
        judge_failed_job(job, failed, pod, out);
        if (!out->finished.ms)
            read_time(failed, "lastTransitionTime", &out->finished);
    } else if (being_deleted(job)) {
        judge(out, KANIKO_FAILED, "deleted", "the Job is being deleted");
        out->transient = true;
    } else if (job_succeeded(job) && out->state != KANIKO_FAILED) {
        judge(out, KANIKO_FAILED, "no-digest",
              "the Job succeeded, but its pod and digest are gone");
        out->transient = true;
    } else if (being_deleted(pod) && out->state == KANIKO_FAILED) {
        // A Job that meets its deadline has its pod killed first, and then says so.
        judge(out, KANIKO_RUNNING, "", "%s", "");
        out->transient = false;
    }
}
