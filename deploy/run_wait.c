// Why a run does not start, where neither its Job's nor its pod's status says so.
#include "agent/base/printable.h"
#include "deploy/kube/events.h"
#include "deploy/runs.h"
#include "deploy/text_fields.h"

#include <stdio.h>
#include <string.h>

#define REASON_MAX 512

static const struct {
    const char *event; // its reason
    const char *words;
} hindrances[] = {
    {"FailedCreate", "no pod can be made"},
    {"FailedMount", "a volume cannot be mounted"},
    {"FailedAttachVolume", "a volume cannot be attached"},
    {"FailedCreatePodSandBox", "its node cannot make the pod"},
    {"Pulling", "its image is being pulled"},
};

// What says least of a pod that waits: only then there is more to ask.
static bool says_little(const char *reason)
{
    static const char *const words[] = {"it has no pod yet", "container is being created",
                                        "init containers are running"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(reason, words[i]) == 0)
            return true;
    return false;
}

static void take_reason(struct run *run, const json_t *event)
{
    const char *what = json_text_at(event, "reason", NULL);
    const char *message = json_text_at(event, "message", NULL);
    if (!what || !message)
        return;
    const char *forbidden = strstr(message, " is forbidden: "); // after the pod's made-up name
    const char *cause = forbidden ? forbidden + strlen(" is forbidden: ") : message;
    for (size_t i = 0; i < sizeof hindrances / sizeof hindrances[0]; i++) {
        if (strcmp(what, hindrances[i].event) != 0)
            continue;
        char clean[REASON_MAX - 64], reason[REASON_MAX];
        printable_copy(clean, sizeof clean, cause, strlen(cause));
        snprintf(reason, sizeof reason, "%s: %s", hindrances[i].words, clean);
        text_field_set(&run->reason, reason);
        if (run->attempt_count > 0)
            text_field_set(&run->attempts[run->attempt_count - 1].reason, reason);
        return;
    }
}

bool run_explain_wait(struct kube_client *client, struct run *run, struct error *err)
{
    const struct run_attempt *last =
        run->attempt_count > 0 ? &run->attempts[run->attempt_count - 1] : NULL;
    struct wall_time since = last ? last->created : run->created;
    int64_t age = wall_now().ms - since.ms; // negative when our clock is behind Kubernetes'
    if (run->state != RUN_PENDING || !says_little(run->reason) ||
        (age >= 0 && age < KUBE_EVENTS_AFTER_MS))
        return true;
    CLEANUP(json_ptr) json_t *event = NULL;
    if (!kube_event_about(client, run->namespace_, last ? last->pod_uid : run->uid, &event, err))
        return false;
    take_reason(run, event);
    return true;
}
