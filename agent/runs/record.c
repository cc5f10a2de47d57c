#include "agent/runs/record.h"
#include "agent/base/text.h"

#include <string.h>

#define ATTEMPTS_JSON_MAX ((size_t)1 << 20)

const char *run_log_word(const struct run *run)
{
    // The worst of them, if nothing more is to come.
    static const int rank[] = {
        [PODLOG_COMPLETE] = 1, [PODLOG_TRUNCATED] = 2, [PODLOG_LOST] = 3, [PODLOG_FOLLOWING] = 4};
    int worst = 0;
    const char *word = "none";
    for (size_t i = 0; i < run->attempt_count; i++)
        for (size_t j = 0; j < run->attempts[i].log_count; j++) {
            enum podlog_state state = run->attempts[i].logs[j].state;
            if (rank[state] <= worst)
                continue;
            worst = rank[state];
            word = podlog_state_word(state);
        }
    return word;
}

static int64_t log_bytes(const struct run *run)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < run->attempt_count; i++)
        for (size_t j = 0; j < run->attempts[i].log_count; j++)
            bytes += run->attempts[i].logs[j].bytes;
    return bytes;
}

void run_to_record(const struct run *run, bool open, struct run_record *out)
{
    CLEANUP(json_ptr) json_t *attempts = run_attempts_json(run);
    memset(out, 0, sizeof *out);
    text_copy(out->uid, sizeof out->uid, run->uid);
    text_copy(out->namespace, sizeof out->namespace, run->namespace_);
    text_copy(out->service, sizeof out->service, run->service);
    text_copy(out->name, sizeof out->name, run->name);
    text_copy(out->kind, sizeof out->kind, run_kind_word(run->kind));
    text_copy(out->requested_by, sizeof out->requested_by, run->requested_by);
    text_copy(out->commit, sizeof out->commit, run->commit);
    text_copy(out->image, sizeof out->image, run->image);
    text_copy(out->state, sizeof out->state, run_state_word(run->state));
    text_copy(out->reason, sizeof out->reason, run->reason);
    out->exit_code = run->attempt_count ? run->attempts[run->attempt_count - 1].exit_code : -1;
    out->max_attempts = run->backoff_limit + 1;
    out->created = run->created;
    out->scheduled_for = run->scheduled_for;
    out->started = run->started;
    out->finished = run->finished;
    text_copy(out->log, sizeof out->log, run_log_word(run));
    out->log_bytes = log_bytes(run);
    out->open = open;
    out->attempts = json_write(attempts);
}

struct run *run_from_record(const struct run_record *record)
{
    struct run fields = {.namespace_ = record->namespace,
                         .name = record->name,
                         .uid = record->uid,
                         .service = record->service,
                         .requested_by = record->requested_by,
                         .reason = record->reason,
                         .image = record->image,
                         .commit = record->commit,
                         .scheduled_for = record->scheduled_for,
                         .created = record->created,
                         .started = record->started,
                         .finished = record->finished,
                         .backoff_limit = record->max_attempts - 1};
    if (!run_kind_parse(record->kind, &fields.kind))
        fields.kind = RUN_SCHEDULED;
    if (!run_state_parse(record->state, &fields.state))
        fields.state = RUN_UNKNOWN;
    CLEANUP(json_ptr) json_t *attempts = NULL;
    const char *text = record->attempts ? record->attempts : "[]";
    if (!json_read(text, strlen(text), ATTEMPTS_JSON_MAX, &attempts, NULL))
        attempts = json_array();
    return run_restore(&fields, attempts);
}
