#include "agent/base/log.h"
#include "agent/base/buffer.h"
#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/printable.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct {
    _Atomic(enum log_level) level;
    _Atomic(enum log_format) format;
    atomic_bool journal; // stderr is journald's: it adds time, and reads "<N>" as the priority
} setup = {.level = LOG_INFO};

// Held from the look whether a line can be taken until it is written: no other thread fills the
// pipe between.
static pthread_mutex_t output = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint_least64_t lost; // lines, since that was last told

static const struct {
    const char *word;
    int priority; // syslog(3)'s
} levels[] = {
    [LOG_ERROR] = {"error", 3},
    [LOG_WARNING] = {"warning", 4},
    [LOG_INFO] = {"info", 6},
    [LOG_DEBUG] = {"debug", 7},
};

struct line {
    char text[LOG_LINE_MAX];
    size_t len;
};

void log_setup(enum log_level level, enum log_format format)
{
    setup.level = level;
    setup.format = format;
    setup.journal = getenv("JOURNAL_STREAM") != NULL && !isatty(STDERR_FILENO);
}

static void put(struct line *line, const char *bytes, size_t len)
{
    size_t room = sizeof line->text - 2 - line->len; // the newline always fits
    if (len > room)
        len = room;
    memcpy(line->text + line->len, bytes, len);
    line->len += len;
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

static bool needs_quotes(const char *text)
{
    for (const char *at = text; *at; at++)
        if (*at == ' ' || *at == '"' || *at == '=' || *at == '\\')
            return true;
    return *text == '\0';
}

static void put_value(struct line *line, const char *value)
{
    char text[LOG_VALUE_MAX];
    printable_copy(text, sizeof text, value, strlen(value));
    if (!needs_quotes(text)) {
        put_text(line, text);
        return;
    }
    put_text(line, "\"");
    for (const char *at = text; *at; at++) {
        if (*at == '"' || *at == '\\')
            put_text(line, "\\");
        put(line, at, 1);
    }
    put_text(line, "\"");
}

// False: it would have had to wait, since whoever reads our stderr does not. A line is shorter than
// PIPE_BUF, so that one for which there is room is written at once, and as a whole.
static bool write_line(struct line *line)
{
    line->text[line->len++] = '\n';
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    pthread_mutex_lock(&output);
    bool taken = poll(&out, 1, 0) > 0;
    if (taken) {
        ssize_t written = write(STDERR_FILENO, line->text, line->len);
        (void)written; // to nobody, if it failed: that is no error
    }
    pthread_mutex_unlock(&output);
    return taken;
}

static bool log_text(enum log_level level, const char *message, va_list pairs)
{
    struct line line = {.len = 0};
    char stamp[RFC3339_SIZE];
    if (setup.journal) {
        snprintf(stamp, sizeof stamp, "<%d>", levels[level].priority);
        put_text(&line, stamp);
    } else {
        wall_format(wall_now(), true, stamp);
        put_text(&line, stamp);
        put_text(&line, " ");
        put_text(&line, levels[level].word);
        put_text(&line, " ");
    }
    put_text(&line, message);
    for (const char *key; (key = va_arg(pairs, const char *));) {
        const char *value = va_arg(pairs, const char *);
        if (!value)
            continue;
        put_text(&line, " ");
        put_text(&line, key);
        put_text(&line, "=");
        put_value(&line, value);
    }
    return write_line(&line);
}

static json_t *printable(const char *value, size_t room)
{
    char text[LOG_VALUE_MAX];
    printable_copy(text, room, value, strlen(value));
    return json_string(text);
}

// Half a JSON line would be none: long values are cut until the line is short enough.
static bool log_json(enum log_level level, const char *message, va_list pairs)
{
    char stamp[RFC3339_SIZE];
    wall_format(wall_now(), true, stamp);
    struct line line = {.len = 0};
    for (size_t room = LOG_VALUE_MAX; room >= 4; room /= 2) {
        CLEANUP(json_ptr)
        json_t *object = json_pack("{s:s, s:s, s:o}", "time", stamp, "level", levels[level].word,
                                   "message", printable(message, LOG_VALUE_MAX));
        va_list again;
        va_copy(again, pairs);
        for (const char *key; (key = va_arg(again, const char *));) {
            const char *value = va_arg(again, const char *);
            if (value)
                json_object_set_new(object, key, printable(value, room));
        }
        va_end(again);
        CLEANUP(free_ptr) char *text = json_write(object);
        if (strlen(text) <= sizeof line.text - 2) {
            put_text(&line, text);
            return write_line(&line);
        }
    }
    return true; // longer even so: none
}

static bool log_pairs(enum log_level level, const char *message, va_list pairs)
{
    return setup.format == LOG_JSON ? log_json(level, message, pairs)
                                    : log_text(level, message, pairs);
}

static bool try_line(enum log_level level, const char *message, ...) __attribute__((sentinel));
static bool try_line(enum log_level level, const char *message, ...)
{
    va_list pairs;
    va_start(pairs, message);
    bool taken = log_pairs(level, message, pairs);
    va_end(pairs);
    return taken;
}

// After a line that was taken again.
static void tell_lost(void)
{
    uint64_t count = atomic_exchange(&lost, 0);
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, count);
    if (count &&
        !try_line(LOG_WARNING, "log lines were lost: nobody took them", "count", text, NULL))
        atomic_fetch_add(&lost, count);
}

void log_line(enum log_level level, const char *message, ...)
{
    if (level > setup.level)
        return;
    va_list pairs;
    va_start(pairs, message);
    bool taken = log_pairs(level, message, pairs);
    va_end(pairs);
    if (taken)
        tell_lost();
    else
        atomic_fetch_add(&lost, 1);
}
