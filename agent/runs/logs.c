#include "agent/runs/logs.h"
#include "agent/base/file.h"
#include "agent/base/gzip.h"
#include "agent/base/text.h"
#include "agent/runs/state.h"
#include "deploy/runs_json.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *top_of(const struct recorder_parts *parts)
{
    CLEANUP(settings_drop_ptr) const struct config *config = settings_hold(parts->settings);
    return xasprintf("%s/logs/runs/", config->state_directory);
}

char *logs_directory(const struct recorder_parts *parts, const char *namespace_, const char *uid)
{
    CLEANUP(free_ptr) char *top = top_of(parts);
    return xasprintf("%s%s/%s", top, namespace_, uid);
}

bool logs_uid_of(const struct recorder_parts *parts, const char *path, char out[static 64])
{
    CLEANUP(free_ptr) char *top = top_of(parts);
    if (!text_starts(path, top))
        return false;
    const char *namespace_ = path + strlen(top);
    const char *uid = strchr(namespace_, '/');
    size_t len = uid ? strcspn(uid + 1, "/") : 0;
    if (len == 0 || len >= 64 || uid[1 + len] != '/')
        return false;
    memcpy(out, uid + 1, len);
    out[len] = '\0';
    return true;
}

char *recorder_log_path(const struct recorder *recorder, const struct run *run, const char *pod,
                        const char *container)
{
    CLEANUP(free_ptr)
    char *directory = logs_directory(&recorder->parts, run->namespace_, run->uid);
    return xasprintf("%s/%s.%s.log", directory, pod, container);
}

bool recorder_follow(struct recorder *recorder, const struct run *run,
                     const struct run_attempt *attempt, const char *container, struct error *err)
{
    CLEANUP(free_ptr)
    char *directory = logs_directory(&recorder->parts, run->namespace_, run->uid);
    CLEANUP(free_ptr) char *path = recorder_log_path(recorder, run, attempt->pod, container);
    CLEANUP(settings_drop_ptr)
    const struct config *config = settings_hold(recorder->parts.settings);
    struct podlog_source source = {.namespace_ = run->namespace_,
                                   .pod = attempt->pod,
                                   .uid = attempt->pod_uid,
                                   .container = container,
                                   .path = path,
                                   .max_bytes = (uint64_t)config->logs.max_bytes};
    return directory_make(directory, err) && podlog_follow(recorder->parts.logs, &source, err);
}

// Compresses a log that is at its end. It may have been before.
static bool compress(const char *path, uint64_t *size, struct error *err)
{
    CLEANUP(free_ptr) char *compressed = podlog_compressed(path);
    struct stat stat_of;
    struct error failure;
    if (gzip_file(path, compressed, size, &failure)) {
        unlink(path);
        return true;
    }
    if (failure.code != ERR_NOT_FOUND || stat(compressed, &stat_of) != 0)
        return error_set(err, failure.code, "%s", failure.text);
    *size = (uint64_t)stat_of.st_size;
    return true;
}

static bool settle_log(struct recorder *recorder, const struct run *run,
                       const struct run_attempt *attempt, struct run_log *log,
                       struct logs_progress *progress, struct error *err)
{
    CLEANUP(free_ptr)
    char *path = recorder_log_path(recorder, run, attempt->pod, log->container);
    struct podlog_end end = {.state = PODLOG_FOLLOWING};
    struct error failure;
    uint64_t size;
    if (!podlog_ended(path, &end, &failure) && failure.code != ERR_NOT_FOUND)
        return error_set(err, failure.code, "%s", failure.text);
    if (end.state == PODLOG_FOLLOWING) {
        progress->pending = true;
        if (recorder_follow(recorder, run, attempt, log->container, &failure))
            return true;
        progress->refused |= failure.code == ERR_UNAVAILABLE;
        return progress->refused || error_set(err, failure.code, "%s", failure.text);
    }
    if (!compress(path, &size, err))
        return false;
    log->state = end.state;
    log->bytes = (int64_t)size;
    text_field_set(&log->why, end.why);
    progress->bytes += log->bytes;
    return true;
}

void recorder_look_at_logs(const struct recorder *recorder, struct run *run)
{
    for (size_t i = 0; i < run->attempt_count; i++)
        for (size_t j = 0; j < run->attempts[i].log_count; j++) {
            struct run_log *log = &run->attempts[i].logs[j];
            CLEANUP(free_ptr)
            char *path = recorder_log_path(recorder, run, run->attempts[i].pod, log->container);
            struct podlog_end end;
            struct error err;
            if (log->state != PODLOG_FOLLOWING || !podlog_ended(path, &end, &err))
                continue;
            log->state = end.state;
            text_field_set(&log->why, end.why);
        }
}

bool logs_settle(struct recorder *recorder, struct run *run, struct logs_progress *out,
                 struct error *err)
{
    *out = (struct logs_progress){0};
    for (size_t i = 0; i < run->attempt_count; i++)
        for (size_t j = 0; j < run->attempts[i].log_count; j++) {
            struct run_log *log = &run->attempts[i].logs[j];
            if (log->state == PODLOG_FOLLOWING &&
                !settle_log(recorder, run, &run->attempts[i], log, out, err))
                return error_wrap(err, "log of %s/%s", run->namespace_, run->attempts[i].pod);
        }
    return true;
}

void logs_give_up(struct run *run, const char *why)
{
    for (size_t i = 0; i < run->attempt_count; i++)
        for (size_t j = 0; j < run->attempts[i].log_count; j++) {
            struct run_log *log = &run->attempts[i].logs[j];
            log->state = PODLOG_LOST;
            log->bytes = 0;
            text_field_set(&log->why, why);
        }
}
