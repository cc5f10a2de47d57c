// Runs that outlive their Jobs and pods: what is kept of them, and how it meets what is there now.
#include "deploy/runs_json.h"

#include <string.h>

// Every key that run_view.c reads, at whatever depth. An object's other members are left out.
static const char *const kept_keys[] = {
    "annotations",
    "backoffLimit",
    "completionTime",
    "conditions",
    "containerStatuses",
    "containers",
    "controller",
    "creationTimestamp",
    "deletionTimestamp",
    "exitCode",
    "failed",
    "finishedAt",
    "image",
    "initContainerStatuses",
    "initContainers",
    "kind",
    "lastState",
    "lastTransitionTime",
    "limits",
    "memory",
    "message",
    "metadata",
    "name",
    "namespace",
    "ownerReferences",
    "phase",
    "reason",
    "resources",
    "restartCount",
    "restartPolicy",
    "running",
    "spec",
    "startTime",
    "startedAt",
    "state",
    "status",
    "succeeded",
    "suspend",
    "template",
    "terminated",
    "type",
    "uid",
    "waiting",
    ANNOTATION_RUN_KIND,
    ANNOTATION_REQUESTED_BY,
    ANNOTATION_COMMIT,
    KUBE_ANNOTATION_INSTANTIATE,
    KUBE_ANNOTATION_SCHEDULED_TIME,
};

static bool is_kept(const char *key)
{
    for (size_t i = 0; i < sizeof kept_keys / sizeof *kept_keys; i++)
        if (strcmp(key, kept_keys[i]) == 0)
            return true;
    return false;
}

json_t *run_keep(const json_t *object)
{
    if (json_is_array(object)) {
        json_t *list = json_array();
        for (size_t i = 0; i < json_array_size(object); i++)
            json_array_append_new(list, run_keep(json_array_get(object, i)));
        return list;
    }
    if (!json_is_object(object))
        return object ? json_incref(json_unconst(object)) : json_null();
    json_t *kept = json_object();
    const char *key;
    json_t *value;
    json_object_foreach(json_unconst(object), key, value) if (is_kept(key))
        json_object_set_new(kept, key, run_keep(value));
    return kept;
}

// --- attempts as JSON ---

static json_t *log_json(const struct run_log *log)
{
    return json_pack("{s:o, s:s, s:o, s:I}", "container", json_text(log->container), "state",
                     podlog_state_word(log->state), "why", json_text(log->why), "bytes",
                     (json_int_t)log->bytes);
}

static json_t *attempt_json(const struct run_attempt *attempt)
{
    json_t *logs = json_array();
    for (size_t i = 0; i < attempt->log_count; i++)
        json_array_append_new(logs, log_json(&attempt->logs[i]));
    return json_pack("{s:o, s:o, s:o, s:s, s:i, s:i, s:o, s:I, s:I, s:I, s:o}", "pod",
                     json_text(attempt->pod), "uid", json_text(attempt->pod_uid), "container",
                     json_text(attempt->container), "state", run_state_word(attempt->state),
                     "exitCode", attempt->exit_code, "restarts", attempt->restarts, "reason",
                     json_text(attempt->reason), "created", (json_int_t)attempt->created.ms,
                     "started", (json_int_t)attempt->started.ms, "finished",
                     (json_int_t)attempt->finished.ms, "logs", logs);
}

json_t *run_attempts_json(const struct run *run)
{
    json_t *list = json_array();
    size_t from =
        run->attempt_count > RUN_ATTEMPTS_KEPT ? run->attempt_count - RUN_ATTEMPTS_KEPT : 0;
    for (size_t i = from; i < run->attempt_count; i++)
        json_array_append_new(list, attempt_json(&run->attempts[i]));
    return list;
}

static void read_log(struct run_attempt *attempt, const json_t *json)
{
    const char *container = json_text_at(json, "container", NULL);
    const char *word = json_text_at(json, "state", NULL);
    if (!container || !word)
        return;
    struct run_log *log = run_attempt_add_log(attempt, container);
    for (enum podlog_state state = PODLOG_FOLLOWING; state <= PODLOG_LOST; state++)
        if (strcmp(word, podlog_state_word(state)) == 0)
            log->state = state;
    text_field_set(&log->why, json_text_at(json, "why", NULL));
    log->bytes = json_int_or(json_at(json, "bytes", NULL), 0);
}

static struct wall_time time_at(const json_t *json, const char *key)
{
    return (struct wall_time){json_int_or(json_object_get(json, key), 0)};
}

static void restore_attempt(struct run_attempt *attempt, const json_t *json)
{
    const char *state = json_text_at(json, "state", NULL);
    text_fields_init(attempt, attempt_texts);
    text_field_set(&attempt->pod, json_text_at(json, "pod", NULL));
    text_field_set(&attempt->pod_uid, json_text_at(json, "uid", NULL));
    text_field_set(&attempt->container, json_text_at(json, "container", NULL));
    text_field_set(&attempt->reason, json_text_at(json, "reason", NULL));
    if (!state || !run_state_parse(state, &attempt->state))
        attempt->state = RUN_UNKNOWN;
    attempt->exit_code = (int)json_int_or(json_at(json, "exitCode", NULL), -1);
    attempt->restarts = (int)json_int_or(json_at(json, "restarts", NULL), 0);
    attempt->created = time_at(json, "created");
    attempt->started = time_at(json, "started");
    attempt->finished = time_at(json, "finished");
    const json_t *logs = json_at(json, "logs", NULL);
    for (size_t i = 0; i < json_array_size(logs); i++)
        read_log(attempt, json_array_get(logs, i));
}

static void copy_texts(struct run *to, const struct run *from)
{
    text_fields_init(to, run_texts);
    for (size_t i = 0; i < run_texts.count; i++) {
        size_t at = run_texts.offsets[i];
        text_field_set((const char **)((char *)to + at),
                       *(const char *const *)((const char *)from + at));
    }
}

struct run *run_restore(const struct run *fields, const json_t *attempts)
{
    struct run *run = xalloc(sizeof *run);
    *run = *fields;
    copy_texts(run, fields);
    run->attempt_count = 0;
    run->attempts = xalloc((json_array_size(attempts) + 1) * sizeof *run->attempts);
    for (size_t i = 0; i < json_array_size(attempts); i++)
        if (json_is_object(json_array_get(attempts, i)))
            restore_attempt(&run->attempts[run->attempt_count++], json_array_get(attempts, i));
    return run;
}

// --- what was, and what is ---

static struct run_attempt *attempt_of(const struct run *run, const char *pod_uid)
{
    for (size_t i = 0; i < run->attempt_count; i++)
        if (strcmp(run->attempts[i].pod_uid, pod_uid) == 0)
            return &run->attempts[i];
    return NULL;
}

static struct run_log *log_of(const struct run_attempt *attempt, const char *container)
{
    for (size_t i = 0; i < attempt->log_count; i++)
        if (strcmp(attempt->logs[i].container, container) == 0)
            return &attempt->logs[i];
    return NULL;
}

static void merge_logs(struct run_attempt *attempt, const struct run_attempt *before)
{
    for (size_t i = 0; i < before->log_count; i++) {
        const struct run_log *old = &before->logs[i];
        struct run_log *log = log_of(attempt, old->container);
        if (!log)
            log = run_attempt_add_log(attempt, old->container);
        log->state = old->state;
        log->bytes = old->bytes;
        text_field_set(&log->why, old->why);
    }
}

// An attempt whose pod is gone.
static void add_gone(struct run *run, const struct run_attempt *before)
{
    run->attempts = xrealloc(run->attempts, (run->attempt_count + 1) * sizeof *run->attempts);
    struct run_attempt *attempt = &run->attempts[run->attempt_count++];
    CLEANUP(json_ptr) json_t *json = attempt_json(before);
    *attempt = (struct run_attempt){0};
    restore_attempt(attempt, json);
    if (run_state_is_over(attempt->state))
        return;
    attempt->state = RUN_FAILED;
    text_field_set(&attempt->reason, strcmp(run->reason, "deadline exceeded") == 0
                                         ? run->reason
                                         : "its pod was deleted");
}

void run_merge(struct run *run, const struct run *before)
{
    for (size_t i = 0; i < before->attempt_count; i++) {
        const struct run_attempt *old = &before->attempts[i];
        struct run_attempt *attempt = attempt_of(run, old->pod_uid);
        if (attempt)
            merge_logs(attempt, old);
        else
            add_gone(run, old);
    }
    if (run->attempt_count > 1)
        qsort(run->attempts, run->attempt_count, sizeof *run->attempts, run_attempt_order);
    if (!*run->commit)
        text_field_set(&run->commit, before->commit);
    if (!*run->requested_by)
        text_field_set(&run->requested_by, before->requested_by);
    // Without its pods a Job only knows that it tried often enough.
    const struct run_attempt *last =
        run->attempt_count ? &run->attempts[run->attempt_count - 1] : NULL;
    if (run->state == RUN_FAILED && last && *last->reason &&
        strncmp(run->reason, "BackoffLimitExceeded", strlen("BackoffLimitExceeded")) == 0)
        text_field_set(&run->reason, last->reason);
}
