// Which part of a log is wanted: its last lines, or those since a time.
#include "deploy/kube/podlog_lines.h"

#include <string.h>

#define CHUNK_SIZE ((size_t)64 << 10)
#define STAMP_MAX  ((size_t)48)
#define NONE       UINT64_MAX

// Goes over the lines of a log, each with its time, and counts what a reader would be given.
struct scan {
    bool timestamps; // count the times too
    char head[STAMP_MAX];
    size_t head_len; // of this line
    bool in_text;    // past its time
    uint64_t given;  // of this line, so far
    uint64_t lines;  // whole ones before this
    uint64_t offset; // of this line
    int64_t since_ns;
    uint64_t since_line;   // the first line at `since_ns` or later; NONE
    uint64_t since_offset; //
    uint64_t wanted_line;  // whose offset is looked for; NONE
    uint64_t wanted_offset;
};

static void end_line(struct scan *scan)
{
    int64_t stamp;
    size_t prefix;
    if (scan->lines == scan->wanted_line)
        scan->wanted_offset = scan->offset;
    if (scan->since_line == NONE &&
        (scan->since_ns == INT64_MIN ||
         (podlog_stamp(scan->head, scan->head_len, &stamp, &prefix) && stamp >= scan->since_ns))) {
        scan->since_line = scan->lines;
        scan->since_offset = scan->offset;
    }
    scan->offset += scan->given;
    scan->lines++;
    scan->given = 0;
    scan->head_len = 0;
    scan->in_text = false;
}

// A part of a line: how much of it a reader is given.
static void count(struct scan *scan, const char *bytes, size_t len, bool ends)
{
    if (!scan->in_text && !scan->timestamps) {
        const char *blank = memchr(bytes, ' ', len - ends);
        size_t prefix = blank ? (size_t)(blank + 1 - bytes) : len - ends;
        scan->in_text = blank || ends;
        len -= prefix;
    }
    scan->given += len;
}

static void take(struct scan *scan, const char *bytes, size_t len)
{
    while (len > 0) {
        const char *newline = memchr(bytes, '\n', len);
        size_t part = newline ? (size_t)(newline + 1 - bytes) : len;
        size_t head = STAMP_MAX - scan->head_len < part ? STAMP_MAX - scan->head_len : part;
        memcpy(scan->head + scan->head_len, bytes, head);
        scan->head_len += head;
        count(scan, bytes, part, newline != NULL);
        if (newline)
            end_line(scan);
        bytes += part;
        len -= part;
    }
}

// All that is there now.
static bool run_scan(struct podlog_hub *hub, const char *path, struct scan *scan, struct error *err)
{
    CLEANUP(podlog_reader_ptr) struct podlog_reader *reader = NULL;
    CLEANUP(free_ptr) char *chunk = xalloc(CHUNK_SIZE);
    struct podlog_end end;
    struct error failure;
    if (!podlog_reader_open(hub, path, 0, true, &reader, err))
        return false;
    for (size_t len = 1; len > 0;) {
        if (podlog_read(reader, mono_now(), chunk, CHUNK_SIZE, &len, &end, &failure)) {
            take(scan, chunk, len);
            continue;
        }
        if (failure.code != ERR_TIMEOUT) // else it is still being followed
            return error_set(err, failure.code, "%s", failure.text);
        len = 0;
    }
    return true;
}

// Of a time that fits: those before 1970 are before all lines, those after 2262 after all.
static int64_t nanoseconds(struct wall_time time)
{
    if (time.ms <= 0)
        return INT64_MIN;
    return time.ms < INT64_MAX / 1000000 ? time.ms * 1000000 : INT64_MAX;
}

// Where a line is that is known to be there, or else the end.
static bool locate_line(struct podlog_hub *hub, const char *path, uint64_t line, bool timestamps,
                        struct podlog_place *out, struct error *err)
{
    struct scan scan = {.timestamps = timestamps,
                        .since_line = NONE,
                        .since_ns = INT64_MAX,
                        .wanted_line = line,
                        .wanted_offset = NONE};
    if (!run_scan(hub, path, &scan, err))
        return false;
    bool there = scan.wanted_offset != NONE;
    *out = (struct podlog_place){.offset = there ? scan.wanted_offset : scan.offset,
                                 .line = (there ? line : scan.lines) + 1,
                                 .lines = scan.lines};
    return true;
}

bool podlog_locate(struct podlog_hub *hub, const char *path, const struct podlog_part *part,
                   bool timestamps, struct podlog_place *out, struct error *err)
{
    struct scan all = {.timestamps = timestamps,
                       .since_ns = nanoseconds(part->since),
                       .since_line = NONE,
                       .wanted_line = NONE};
    if (part->line > 0)
        return locate_line(hub, path, (uint64_t)part->line - 1, timestamps, out, err);
    if (!run_scan(hub, path, &all, err))
        return false;
    bool any = all.since_line != NONE;
    uint64_t first = any ? all.since_line : all.lines;
    *out = (struct podlog_place){
        .offset = any ? all.since_offset : all.offset, .line = first + 1, .lines = all.lines};
    uint64_t tail = part->tail < 0 ? all.lines : (uint64_t)part->tail;
    if (all.lines - first <= tail)
        return true;
    if (tail > 0)
        return locate_line(hub, path, all.lines - tail, timestamps, out, err);
    out->offset = all.offset;
    out->line = all.lines + 1;
    return true;
}
