#include "build/kaniko_fetch.h"

#include "agent/base/printable.h"

#include <inttypes.h>
#include <string.h>

#define VOLUME           "context" // the archive's
#define DIRECTORY        "/context"
#define FILE_NAME        "context.tar.gz"
#define TICKET_VOLUME    "ticket"
#define TICKET_DIRECTORY "/ticket"
#define TICKET_MODE      0444               // the container is no root, and alone in seeing it
#define USER             65532              // "nonroot" of many base images
#define VOLUME_SLACK     (INT64_C(1) << 24) // bytes beside the archive: blocks of the file system
#define SECONDS_LEAST    30

json_t *kaniko_fetch_volume(const struct kaniko_fetch *fetch)
{
    CLEANUP(free_ptr) char *limit = xasprintf("%" PRId64, fetch->bytes + VOLUME_SLACK);
    return json_pack("{s:s, s:{s:s}}", "name", VOLUME, "emptyDir", "sizeLimit", limit);
}

static json_t *security(void)
{
    return json_pack("{s:i, s:i, s:b, s:b, s:b, s:b, s:{s:[s]}, s:{s:s}}", //
                     "runAsUser", USER, "runAsGroup", USER, "runAsNonRoot", 1, "privileged", 0,
                     "allowPrivilegeEscalation", 0, "readOnlyRootFilesystem", 1, //
                     "capabilities", "drop", "ALL", "seccompProfile", "type", "RuntimeDefault");
}

// Half of the time is left to Kaniko.
static json_t *command(int64_t deadline_seconds)
{
    int64_t half = deadline_seconds / 2;
    CLEANUP(free_ptr)
    char *seconds = xasprintf("%" PRId64, half < SECONDS_LEAST ? SECONDS_LEAST : half);
    return json_pack("[s, s, s, s, s, s]", "cronwright", "fetch-context", "--timeout", seconds,
                     TICKET_DIRECTORY, DIRECTORY "/" FILE_NAME);
}

void kaniko_fetch_add(json_t *spec, const struct kaniko_fetch *fetch, int64_t deadline_seconds,
                      const char *secret)
{
    json_array_append_new(json_object_get(spec, "volumes"),
                          json_pack("{s:s, s:{s:s, s:i}}", "name", TICKET_VOLUME, "secret",
                                    "secretName", secret, "defaultMode", TICKET_MODE));
    json_t *mounts =
        json_pack("[{s:s, s:s}, {s:s, s:s, s:b}]", "name", VOLUME, "mountPath", DIRECTORY, "name",
                  TICKET_VOLUME, "mountPath", TICKET_DIRECTORY, "readOnly", 1);
    // What Kaniko asks for is more: the pod is not made larger by these.
    json_t *resources = json_pack("{s:{s:s, s:s}, s:{s:s}}", "requests", "cpu", "10m", "memory",
                                  "32Mi", "limits", "memory", "256Mi");
    json_object_set_new(spec, "initContainers",
                        json_pack("[{s:s, s:s, s:o, s:o, s:o, s:o, s:s}]", "name",
                                  KANIKO_FETCH_CONTAINER, "image", fetch->image, "command",
                                  command(deadline_seconds), "securityContext", security(),
                                  "volumeMounts", mounts, "resources", resources,
                                  "terminationMessagePolicy", "FallbackToLogsOnError"));
}

const json_t *kaniko_fetch_unfinished(const json_t *pod)
{
    const json_t *statuses = json_at(pod, "status", "initContainerStatuses", NULL);
    for (size_t i = 0; i < json_array_size(statuses); i++) {
        const json_t *status = json_array_get(statuses, i);
        const char *name = json_text_at(status, "name", NULL);
        const json_t *terminated = json_at(status, "state", "terminated", NULL);
        if (name && strcmp(name, KANIKO_FETCH_CONTAINER) == 0)
            return terminated && json_int_or(json_at(terminated, "exitCode", NULL), -1) == 0
                       ? NULL
                       : status;
    }
    return NULL;
}

bool kaniko_fetch_last_words(const char *log, char *out, size_t room)
{
    size_t end = strlen(log);
    while (end > 0 && log[end - 1] == '\n')
        end--;
    size_t start = end;
    while (start > 0 && log[start - 1] != '\n')
        start--;
    if (start == end)
        return false;
    printable_copy(out, room, log + start, end - start);
    return true;
}
