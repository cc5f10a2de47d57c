// Jobs and pods → runs and attempts, with reasons in words.
#include "deploy/cronjob_json.h"
#include "deploy/runs_json.h"
#include "deploy/text_fields.h"

#include "agent/base/printable.h"

#include <stdio.h>
#include <string.h>

#define REASON_MAX  400
#define MESSAGE_MAX 300

static const size_t run_offsets[] = {
    offsetof(struct run, namespace_),   offsetof(struct run, name),
    offsetof(struct run, uid),          offsetof(struct run, service),
    offsetof(struct run, requested_by), offsetof(struct run, reason),
    offsetof(struct run, image),        offsetof(struct run, commit),
};
const struct text_fields run_texts = {run_offsets, sizeof run_offsets / sizeof *run_offsets};

static const size_t attempt_offsets[] = {
    offsetof(struct run_attempt, pod),
    offsetof(struct run_attempt, pod_uid),
    offsetof(struct run_attempt, container),
    offsetof(struct run_attempt, reason),
};
const struct text_fields attempt_texts = {attempt_offsets,
                                          sizeof attempt_offsets / sizeof *attempt_offsets};

static const size_t log_offsets[] = {offsetof(struct run_log, container),
                                     offsetof(struct run_log, why)};
const struct text_fields log_texts = {log_offsets, sizeof log_offsets / sizeof *log_offsets};

static const char *const kind_words[] = {
    [RUN_SCHEDULED] = "scheduled", [RUN_FORCED] = "forced", [RUN_FIRST] = "first"};
static const char *const state_words[] = {[RUN_PENDING] = "pending",
                                          [RUN_RUNNING] = "running",
                                          [RUN_SUCCEEDED] = "succeeded",
                                          [RUN_FAILED] = "failed",
                                          [RUN_UNKNOWN] = "unknown"};

const char *run_kind_word(enum run_kind kind)
{
    return kind_words[kind];
}

const char *run_state_word(enum run_state state)
{
    return state_words[state];
}

bool run_kind_parse(const char *word, enum run_kind *out)
{
    for (enum run_kind kind = RUN_SCHEDULED; kind <= RUN_FIRST; kind++)
        if (strcmp(word, kind_words[kind]) == 0) {
            *out = kind;
            return true;
        }
    return false;
}

bool run_state_parse(const char *word, enum run_state *out)
{
    for (enum run_state state = RUN_PENDING; state <= RUN_UNKNOWN; state++)
        if (strcmp(word, state_words[state]) == 0) {
            *out = state;
            return true;
        }
    return false;
}

static void attempt_finish(struct run_attempt *attempt)
{
    for (size_t i = 0; i < attempt->log_count; i++)
        text_fields_finish(&attempt->logs[i], log_texts);
    free(attempt->logs);
    text_fields_finish(attempt, attempt_texts);
}

void run_free(struct run *run)
{
    if (!run)
        return;
    for (size_t i = 0; i < run->attempt_count; i++)
        attempt_finish(&run->attempts[i]);
    free(run->attempts);
    text_fields_finish(run, run_texts);
    free(run);
}

// --- small questions ---

static bool is(const char *text, const char *word)
{
    return text && strcmp(text, word) == 0;
}

const json_t *json_condition(const json_t *object, const char *type)
{
    size_t i;
    json_t *condition;
    json_array_foreach(json_at(object, "status", "conditions", NULL), i,
                       condition) if (is(json_text_at(condition, "type", NULL),
                                         type)) return is(json_text_at(condition, "status", NULL),
                                                          "True")
        ? condition
        : NULL;
    return NULL;
}

bool job_is_finished(const json_t *job)
{
    return json_condition(job, "Complete") || json_condition(job, "Failed");
}

const char *controller_uid(const json_t *object)
{
    const json_t *owners = json_at(object, "metadata", "ownerReferences", NULL);
    for (size_t i = 0; i < json_array_size(owners); i++) {
        const json_t *owner = json_array_get(owners, i);
        if (json_is_true(json_at(owner, "controller", NULL)))
            return json_text_at(owner, "uid", NULL);
    }
    return NULL;
}

bool job_is_controlled_by(const json_t *object, const char *uid)
{
    return is(controller_uid(object), uid);
}

// The item of a list of objects with this name; NULL when there is none.
static const json_t *named(const json_t *list, const char *name)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) if (is(json_text_at(item, "name", NULL), name)) return item;
    return NULL;
}

// --- reasons ---

// How to say one of Kubernetes' words; `message` adds its own explanation.
struct wording {
    const char *reason;
    const char *words;
    bool message;
};

static const struct wording waiting_words[] = {
    {"ImagePullBackOff", "image cannot be pulled", true},
    {"ErrImagePull", "image cannot be pulled", true},
    {"ErrImageNeverPull", "image cannot be pulled", true},
    {"ImageInspectError", "image cannot be pulled", true},
    {"RegistryUnavailable", "image cannot be pulled", true},
    {"InvalidImageName", "image cannot be pulled: its name is not valid", false},
    {"CreateContainerConfigError", "container cannot be created", true},
    {"CreateContainerError", "container cannot be created", true},
    {"RunContainerError", "container cannot be started", true},
    {"CrashLoopBackOff", "waits to be restarted", true},
    {"ContainerCreating", "container is being created", false},
    {"PodInitializing", "init containers are running", false},
    {NULL, NULL, true},
};

static const struct wording pod_words[] = {
    {"Evicted", "evicted", true},
    {"DeadlineExceeded", "deadline exceeded", false},
    {"NodeLost", "its node was lost", false},
    {"NodeShutdown", "its node was shut down", false},
    {"Terminated", "its node was shut down", false},
    {"Preempting", "preempted", true},
    {"OutOfcpu", "its node had no CPU left", false},
    {"OutOfmemory", "its node had no memory left", false},
    {NULL, NULL, true},
};

static const struct wording job_words[] = {
    {"DeadlineExceeded", "deadline exceeded", false},
    {"PodFailurePolicy", "pod failure policy", true},
    {NULL, NULL, true},
};

static void say(char out[static REASON_MAX], const struct wording *table, const char *reason,
                const char *message)
{
    char clean[MESSAGE_MAX] = "";
    while (table->reason && !is(reason, table->reason))
        table++;
    const char *words = table->words ? table->words : reason ? reason : "";
    if (table->message && message)
        printable_copy(clean, sizeof clean, message, strlen(message));
    snprintf(out, REASON_MAX, "%s%s%s", words, *words && *clean ? ": " : "", clean);
}

static void say_terminated(char out[static REASON_MAX], const json_t *terminated,
                           const json_t *container)
{
    json_int_t code = json_int_or(json_at(terminated, "exitCode", NULL), -1);
    const char *reason = json_text_at(terminated, "reason", NULL);
    const char *message = json_text_at(terminated, "message", NULL);
    const char *limit = json_text_at(container, "resources", "limits", "memory", NULL);
    if (code == 0)
        *out = '\0';
    else if (is(reason, "OOMKilled") && limit)
        snprintf(out, REASON_MAX, "out of memory (%.32s)", limit);
    else if (is(reason, "OOMKilled"))
        snprintf(out, REASON_MAX, "out of memory");
    else if (is(reason, "StartError") || is(reason, "ContainerCannotRun"))
        say(out, &(struct wording){NULL, "container cannot be started", true}, NULL, message);
    else if (is(reason, "ContainerStatusUnknown"))
        snprintf(out, REASON_MAX, "its pod was deleted");
    else
        snprintf(out, REASON_MAX, "exit %d", (int)code);
}

// Another container of the pod failed: name it.
static bool say_other(char out[static REASON_MAX], const json_t *pod)
{
    static const char *const lists[][2] = {{"initContainerStatuses", "initContainers"},
                                           {"containerStatuses", "containers"}};
    for (size_t l = 0; l < 2; l++) {
        size_t i;
        json_t *status;
        json_array_foreach(json_at(pod, "status", lists[l][0], NULL), i, status)
        {
            const json_t *terminated = json_at(status, "state", "terminated", NULL);
            const char *name = json_text_at(status, "name", NULL);
            if (!terminated || !name || json_int_or(json_at(terminated, "exitCode", NULL), 0) == 0)
                continue;
            char words[REASON_MAX];
            say_terminated(words, terminated, named(json_at(pod, "spec", lists[l][1], NULL), name));
            snprintf(out, REASON_MAX, "container %.63s: %.300s", name, words);
            return true;
        }
    }
    return false;
}

// The pod failed, whatever became of the container.
static void say_pod_failed(char out[static REASON_MAX], const json_t *pod)
{
    const char *reason = json_text_at(pod, "status", "reason", NULL);
    const json_t *disruption = json_condition(pod, "DisruptionTarget");
    if (reason)
        say(out, pod_words, reason, json_text_at(pod, "status", "message", NULL));
    else if (disruption)
        say(out, &(struct wording){NULL, "disrupted", true}, NULL,
            json_text_at(disruption, "message", NULL));
    else if (!say_other(out, pod))
        snprintf(out, REASON_MAX, "its pod failed");
}

// The container has not started; why?
static void say_pending(char out[static REASON_MAX], const json_t *pod, const json_t *status)
{
    const json_t *waiting = json_at(status, "state", "waiting", NULL);
    const json_t *conditions = json_at(pod, "status", "conditions", NULL);
    size_t i;
    json_t *condition;
    json_array_foreach(conditions, i,
                       condition) if (is(json_text_at(condition, "type", NULL), "PodScheduled") &&
                                      is(json_text_at(condition, "status", NULL), "False"))
    {
        say(out, &(struct wording){NULL, "unschedulable", true}, NULL,
            json_text_at(condition, "message", NULL));
        return;
    }
    if (waiting)
        say(out, waiting_words, json_text_at(waiting, "reason", NULL),
            json_text_at(waiting, "message", NULL));
    else
        snprintf(out, REASON_MAX,
                 json_array_size(conditions) ? "container is being created" : "waits for a node");
}

// --- attempts ---

static void read_terminated(struct run_attempt *attempt, const json_t *terminated)
{
    // Kubernetes makes one up where it does not know.
    bool known = !is(json_text_at(terminated, "reason", NULL), "ContainerStatusUnknown");
    attempt->exit_code = known ? (int)json_int_or(json_at(terminated, "exitCode", NULL), -1) : -1;
    attempt->started = json_time(json_at(terminated, "startedAt", NULL));
    attempt->finished = json_time(json_at(terminated, "finishedAt", NULL));
}

struct run_log *run_attempt_add_log(struct run_attempt *attempt, const char *container)
{
    attempt->logs = xrealloc(attempt->logs, (attempt->log_count + 1) * sizeof *attempt->logs);
    struct run_log *log = &attempt->logs[attempt->log_count++];
    *log = (struct run_log){.state = PODLOG_FOLLOWING};
    text_fields_init(log, log_texts);
    text_field_set(&log->container, container);
    return log;
}

// A container that has started, at some time, has a log.
static void read_logs(struct run_attempt *attempt, const json_t *pod)
{
    static const char *const lists[] = {"initContainerStatuses", "containerStatuses"};
    for (size_t l = 0; l < 2; l++) {
        size_t i;
        json_t *status;
        json_array_foreach(json_at(pod, "status", lists[l], NULL), i, status)
        {
            const char *name = json_text_at(status, "name", NULL);
            // One that never ran is told as ended too, when its pod is deleted.
            bool started = json_at(status, "state", "running", NULL) ||
                           json_text_at(status, "state", "terminated", "startedAt", NULL) ||
                           json_text_at(status, "lastState", "terminated", "startedAt", NULL);
            if (name && started)
                run_attempt_add_log(attempt, name);
        }
    }
}

static void read_attempt(struct run_attempt *attempt, const json_t *pod, const char *container)
{
    const json_t *status = named(json_at(pod, "status", "containerStatuses", NULL), container);
    const json_t *running = json_at(status, "state", "running", NULL);
    const json_t *terminated = json_at(status, "state", "terminated", NULL);
    bool pod_failed = is(json_text_at(pod, "status", "phase", NULL), "Failed");
    char reason[REASON_MAX] = "";
    text_fields_init(attempt, attempt_texts);
    text_field_set(&attempt->pod, json_text_at(pod, "metadata", "name", NULL));
    text_field_set(&attempt->pod_uid, json_text_at(pod, "metadata", "uid", NULL));
    text_field_set(&attempt->container, container);
    attempt->created = json_time(json_at(pod, "metadata", "creationTimestamp", NULL));
    attempt->restarts = (int)json_int_or(json_at(status, "restartCount", NULL), 0);
    attempt->exit_code = -1;
    read_logs(attempt, pod);
    if (terminated)
        read_terminated(attempt, terminated);
    if (terminated && attempt->exit_code != 0) {
        attempt->state = RUN_FAILED;
        say_terminated(reason, terminated,
                       named(json_at(pod, "spec", "containers", NULL), container));
    } else if (pod_failed) {
        attempt->state = RUN_FAILED;
        say_pod_failed(reason, pod);
    } else if (terminated) {
        attempt->state = RUN_SUCCEEDED;
    } else if (running) {
        attempt->state = RUN_RUNNING;
        attempt->started = json_time(json_at(running, "startedAt", NULL));
    } else {
        attempt->state = RUN_PENDING;
        say_pending(reason, pod, status);
    }
    // What the kubelet says of the whole pod is the better reason for a killed container.
    if (attempt->state == RUN_FAILED && json_at(pod, "status", "reason", NULL))
        say_pod_failed(reason, pod);
    text_field_set(&attempt->reason, reason);
}

int run_attempt_order(const void *a, const void *b)
{
    const struct run_attempt *one = a;
    const struct run_attempt *two = b;
    if (one->created.ms != two->created.ms)
        return one->created.ms < two->created.ms ? -1 : 1;
    return strcmp(one->pod, two->pod);
}

static void read_attempts(struct run *run, const json_t *pods, const char *container)
{
    size_t i;
    json_t *pod;
    run->attempts = xalloc((json_array_size(pods) + 1) * sizeof *run->attempts);
    json_array_foreach(pods, i, pod) if (job_is_controlled_by(pod, run->uid))
        read_attempt(&run->attempts[run->attempt_count++], pod, container);
    if (run->attempt_count > 1)
        qsort(run->attempts, run->attempt_count, sizeof *run->attempts, run_attempt_order);
}

// --- the run ---

// The container that counts: the service's, if this Job still has it.
static const json_t *container_of(const json_t *job, const struct service *service)
{
    const json_t *containers = json_at(job, "spec", "template", "spec", "containers", NULL);
    const json_t *container = named(containers, service->container);
    return container ? container : json_array_get(containers, 0);
}

static const struct run_attempt *last_attempt(const struct run *run)
{
    return run->attempt_count ? &run->attempts[run->attempt_count - 1] : NULL;
}

static void read_failure(struct run *run, const json_t *job, const json_t *failed)
{
    char reason[REASON_MAX];
    const char *word = json_text_at(failed, "reason", NULL);
    const struct run_attempt *last = last_attempt(run);
    const json_t *target = json_condition(job, "FailureTarget"); // when that was decided
    struct wall_time decided =
        json_time(json_at(target ? target : failed, "lastTransitionTime", NULL));
    struct wall_time deleted = json_time(json_at(job, "metadata", "deletionTimestamp", NULL));
    run->state = RUN_FAILED;
    run->finished = json_time(json_at(failed, "lastTransitionTime", NULL));
    // The Job controller may count the pods that go with their Job as failed.
    if (deleted.ms > 0 && deleted.ms <= decided.ms) {
        text_field_set(&run->reason, RUN_REASON_CANCELLED);
        return;
    }
    if (is(word, "BackoffLimitExceeded") && last && *last->reason) {
        text_field_set(&run->reason, last->reason);
        return;
    }
    say(reason, job_words, word, json_text_at(failed, "message", NULL));
    text_field_set(&run->reason, reason);
}

static void read_progress(struct run *run, const json_t *job)
{
    char reason[REASON_MAX] = "";
    const struct run_attempt *last = last_attempt(run);
    run->state = RUN_PENDING;
    for (size_t i = 0; i < run->attempt_count; i++)
        if (run->attempts[i].state == RUN_RUNNING)
            run->state = RUN_RUNNING;
    if (run->state == RUN_RUNNING)
        return;
    if (json_is_true(json_at(job, "spec", "suspend", NULL)))
        snprintf(reason, sizeof reason, "the Job is suspended");
    else if (!last)
        snprintf(reason, sizeof reason, "it has no pod yet");
    else if (last->state == RUN_FAILED)
        snprintf(reason, sizeof reason, "waits to try again after %.300s", last->reason);
    else
        snprintf(reason, sizeof reason, "%s", last->reason);
    text_field_set(&run->reason, reason);
}

static void read_state(struct run *run, const json_t *job)
{
    const json_t *failed = json_condition(job, "Failed");
    const json_t *complete = json_condition(job, "Complete");
    run->started = json_time(json_at(job, "status", "startTime", NULL));
    if (failed) {
        read_failure(run, job, failed);
    } else if (complete) {
        run->state = RUN_SUCCEEDED;
        run->finished = json_time(json_at(job, "status", "completionTime", NULL));
    } else {
        read_progress(run, job);
    }
}

static enum run_kind read_kind(const json_t *annotations)
{
    const char *kind = json_text_at(annotations, ANNOTATION_RUN_KIND, NULL);
    if (is(kind, kind_words[RUN_FIRST]))
        return RUN_FIRST;
    // `kubectl create job --from` leaves the second one alone.
    return kind || json_at(annotations, KUBE_ANNOTATION_INSTANTIATE, NULL) ? RUN_FORCED
                                                                           : RUN_SCHEDULED;
}

static void read_origin(struct run *run, const json_t *job, const struct service *service)
{
    const json_t *annotations = json_at(job, "metadata", "annotations", NULL);
    const char *commit = json_text_at(annotations, ANNOTATION_COMMIT, NULL);
    run->kind = read_kind(annotations);
    text_field_set(&run->requested_by, json_text_at(annotations, ANNOTATION_REQUESTED_BY, NULL));
    run->scheduled_for = json_time(json_at(annotations, KUBE_ANNOTATION_SCHEDULED_TIME, NULL));
    if (commit)
        text_field_set(&run->commit, commit);
    else if (*run->image && strcmp(run->image, service->patched_image) == 0)
        text_field_set(&run->commit, service->commit);
}

bool run_from_json(const json_t *job, const json_t *pods, const struct service *service,
                   struct run **out, struct error *err)
{
    const char *name = json_text_at(job, "metadata", "name", NULL);
    const char *uid = json_text_at(job, "metadata", "uid", NULL);
    const json_t *container = container_of(job, service);
    const char *container_name = json_text_at(container, "name", NULL);
    if (!name || !uid || !container_name)
        return error_set(err, ERR_PROTOCOL, "not a Job");
    struct run *run = xalloc(sizeof *run);
    text_fields_init(run, run_texts);
    text_field_set(&run->namespace_, json_text_at(job, "metadata", "namespace", NULL));
    text_field_set(&run->name, name);
    text_field_set(&run->uid, uid);
    text_field_set(&run->service, service->name);
    text_field_set(&run->image, json_text_at(container, "image", NULL));
    run->created = json_time(json_at(job, "metadata", "creationTimestamp", NULL));
    run->backoff_limit = (int)json_int_or(json_at(job, "spec", "backoffLimit", NULL), 6);
    read_origin(run, job, service);
    read_attempts(run, pods, container_name);
    read_state(run, job);
    *out = run;
    return true;
}
