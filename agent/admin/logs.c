// Log files as answers: a part of the text, or followed while it grows.
#include "agent/admin/logs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TAIL_MAX          INT64_C(1000000000)
#define WHOLE_LOG_WAIT_MS 2000 // for a log that is not followed: what is there by then

struct log_stream {
    struct podlog_reader *reader;
    bool follow;
    struct mono_time deadline; // when not following
    struct podlog_end end;
};

static ssize_t read_log(void *user, char *out, size_t room, int64_t wait_ms)
{
    struct log_stream *stream = user;
    struct mono_time until = mono_after(wait_ms);
    if (!stream->follow && stream->deadline.ms < until.ms)
        until = stream->deadline;
    size_t len;
    struct error err;
    if (podlog_read(stream->reader, until, out, room, &len, &stream->end, &err))
        return len ? (ssize_t)len : SERVER_STREAM_END;
    if (err.code == ERR_TIMEOUT)
        return !stream->follow && mono_past(stream->deadline) ? SERVER_STREAM_END : 0;
    return SERVER_STREAM_BROKEN;
}

static void release_log(void *user)
{
    struct log_stream *stream = user;
    podlog_reader_close(stream->reader);
    free(stream);
}

static void refuse_reading(struct server_request *req, const struct error *err)
{
    if (err->code == ERR_NOT_FOUND)
        server_refuse(req, 404, "no-log", "there is no log yet");
    else if (err->code == ERR_INVALID) // its text names the file
        server_refuse(req, 400, "invalid", "the log ended before the offset");
    else
        server_answer_error(req, err);
}

// Where to begin. False: answered.
static bool read_start(struct server_request *req, const struct admin *admin, const char *path,
                       bool timestamps, int64_t *offset)
{
    struct podlog_part part;
    if (!admin_query_int(req, "tail", 0, TAIL_MAX, -1, &part.tail) ||
        !admin_query_since(req, "since", &part.since) ||
        !admin_query_int(req, "offset", 0, INT64_MAX, -1, offset))
        return false;
    uint64_t start = 0;
    struct error err;
    bool located = *offset >= 0 || (part.tail < 0 && part.since.ms == 0) ||
                   podlog_locate(admin->logs, path, &part, timestamps, &start, &err);
    if (!located) {
        refuse_reading(req, &err);
        return false;
    }
    if (*offset < 0)
        *offset = (int64_t)start;
    return true;
}

void admin_answer_log(struct server_request *req, const struct admin *admin, const char *path)
{
    bool follow, timestamps;
    int64_t offset;
    if (!admin_query_bool(req, "follow", &follow) ||
        !admin_query_bool(req, "timestamps", &timestamps) ||
        !read_start(req, admin, path, timestamps, &offset))
        return;
    struct log_stream *stream = xalloc(sizeof *stream);
    struct error err;
    if (!podlog_reader_open(admin->logs, path, (uint64_t)offset, timestamps, &stream->reader,
                            &err)) {
        free(stream);
        refuse_reading(req, &err);
        return;
    }
    char began[32];
    snprintf(began, sizeof began, "%" PRId64, offset);
    server_add_header(req, "Log-Offset", began);
    stream->follow = follow;
    stream->deadline = mono_after(WHOLE_LOG_WAIT_MS);
    server_answer_stream(req, "text/plain; charset=utf-8", read_log, stream, release_log);
}
