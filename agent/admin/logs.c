// Log files as answers: a part of the text, or followed while it grows.
#include "agent/admin/logs.h"
#include "agent/admin/admit.h"
#include "agent/admin/search.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TAIL_MAX          INT64_C(1000000000)
#define COUNT_MAX         INT64_C(1000000000)
#define SIGHT_MS          1000 // how long it holds that the caller may have a log
#define WHOLE_LOG_WAIT_MS 2000 // for a log that is not followed: what is there by then

struct log_stream {
    const struct admin *admin;
    struct admin_caller caller;
    log_sees sees;
    void *of;
    struct mono_time look_again; // whether the caller may have it still
    struct podlog_reader *reader;
    bool follow;
    struct mono_time deadline; // when not following
    int64_t lines_left;        // to be given; -1: all
    struct podlog_end end;
};

// How much of it belongs to the lines that are to be given.
static size_t cut_lines(struct log_stream *stream, const char *bytes, size_t len)
{
    const char *rest = bytes;
    while (stream->lines_left > 0 && rest < bytes + len) {
        const char *newline = memchr(rest, '\n', (size_t)(bytes + len - rest));
        if (!newline)
            return len;
        stream->lines_left--;
        rest = newline + 1;
    }
    return stream->lines_left < 0 ? len : (size_t)(rest - bytes);
}

static bool may_go_on(struct log_stream *stream)
{
    const struct admin *admin = stream->admin;
    if (!mono_past(stream->look_again))
        return true;
    stream->look_again = mono_after(SIGHT_MS);
    CLEANUP(settings_drop_ptr) const struct config *config = settings_hold(admin->settings);
    const struct config_token *token = admin_caller_token(admin, &stream->caller, config);
    return token && stream->sees(admin, token, stream->of);
}

// Who may no more have it hears why when asking again.
static ssize_t read_log(void *user, char *out, size_t room, int64_t wait_ms)
{
    struct log_stream *stream = user;
    struct mono_time until = mono_after(wait_ms);
    if (!stream->follow && stream->deadline.ms < until.ms)
        until = stream->deadline;
    size_t len;
    struct error err;
    if (stream->lines_left == 0)
        return SERVER_STREAM_END;
    bool got = podlog_read(stream->reader, until, out, room, &len, &stream->end, &err);
    if (!may_go_on(stream))
        return SERVER_STREAM_BROKEN;
    if (got)
        return len ? (ssize_t)cut_lines(stream, out, len) : SERVER_STREAM_END;
    if (err.code == ERR_TIMEOUT)
        return !stream->follow && mono_past(stream->deadline) ? SERVER_STREAM_END : 0;
    return SERVER_STREAM_BROKEN;
}

static void release_log(void *user)
{
    struct log_stream *stream = user;
    podlog_reader_close(stream->reader);
    free(stream->of);
    free(stream);
}

void admin_refuse_log(struct server_request *req, const struct error *err)
{
    if (err->code == ERR_NOT_FOUND)
        server_refuse(req, 404, "no-log", "there is no log yet");
    else if (err->code == ERR_INVALID) // its text names the file
        server_refuse(req, 400, "invalid", "the log ended before the offset");
    else
        server_answer_error(req, err);
}

static void add_number(struct server_request *req, const char *header, uint64_t number)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, number);
    server_add_header(req, header, text);
}

// What is asked for. False: answered.
static bool read_part(struct server_request *req, struct podlog_part *part, int64_t *offset,
                      int64_t *count)
{
    if (!admin_query_int(req, "line", 1, INT64_MAX, 0, &part->line) ||
        !admin_query_int(req, "count", 1, COUNT_MAX, -1, count) ||
        !admin_query_int(req, "tail", 0, TAIL_MAX, -1, &part->tail) ||
        !admin_query_since(req, "since", &part->since) ||
        !admin_query_int(req, "offset", 0, INT64_MAX, -1, offset))
        return false;
    if (part->line == 0 || (part->tail < 0 && part->since.ms == 0 && *offset < 0))
        return true;
    server_refuse(req, 400, "invalid", "line goes neither with tail nor since nor offset");
    return false;
}

// Where to begin. False: answered.
static bool read_start(struct server_request *req, const struct admin *admin, const char *path,
                       bool timestamps, int64_t *offset, int64_t *count)
{
    struct podlog_part part;
    struct podlog_place place = {0};
    struct error err;
    if (!read_part(req, &part, offset, count))
        return false;
    if (*offset >= 0)
        return true;
    *offset = 0;
    if (part.line == 0 && part.tail < 0 && part.since.ms == 0)
        return true;
    if (!podlog_locate(admin->logs, path, &part, timestamps, &place, &err)) {
        admin_refuse_log(req, &err);
        return false;
    }
    add_number(req, "Log-Line", place.line);
    add_number(req, "Log-Lines", place.lines);
    *offset = (int64_t)place.offset;
    return true;
}

static struct log_stream *make_stream(struct server_request *req, const struct admin *admin,
                                      const struct log_sight *sight)
{
    struct log_stream *stream = xalloc(sizeof *stream);
    *stream = (struct log_stream){.admin = admin,
                                  .caller = *admin_caller(req),
                                  .sees = sight->sees,
                                  .of = xalloc(sight->of_size),
                                  .look_again = mono_after(SIGHT_MS),
                                  .deadline = mono_after(WHOLE_LOG_WAIT_MS)};
    memcpy(stream->of, sight->of, sight->of_size);
    return stream;
}

void admin_answer_log(struct server_request *req, const struct admin *admin, const char *path,
                      const struct log_sight *sight)
{
    bool follow, timestamps;
    int64_t offset, count;
    if (server_query(req, "search")) {
        admin_answer_search(req, admin, path);
        return;
    }
    if (server_query(req, "limit") || server_query(req, "ignoreCase")) {
        server_refuse(req, 400, "invalid", "limit and ignoreCase go with search alone");
        return;
    }
    if (!admin_query_bool(req, "follow", &follow) ||
        !admin_query_bool(req, "timestamps", &timestamps) ||
        !read_start(req, admin, path, timestamps, &offset, &count))
        return;
    struct podlog_reader *reader;
    struct error err;
    if (!podlog_reader_open(admin->logs, path, (uint64_t)offset, timestamps, &reader, &err)) {
        admin_refuse_log(req, &err);
        return;
    }
    add_number(req, "Log-Offset", (uint64_t)offset);
    struct log_stream *stream = make_stream(req, admin, sight);
    stream->reader = reader;
    stream->follow = follow;
    stream->lines_left = count;
    server_answer_stream(req, "text/plain; charset=utf-8", read_log, stream, release_log);
}
