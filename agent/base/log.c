#include "agent/base/log.h"
#include "agent/base/buffer.h"
#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/printable.h"

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

static void write_line(struct line *line)
{
    line->text[line->len++] = '\n';
    // One write, so that lines of several threads never mix; a lost log line is not an error.
    ssize_t written = write(STDERR_FILENO, line->text, line->len);
    (void)written;
}

static void log_text(enum log_level level, const char *message, va_list pairs)
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
    write_line(&line);
}

static json_t *printable(const char *value, size_t room)
{
    char text[LOG_VALUE_MAX];
    printable_copy(text, room, value, strlen(value));
    return json_string(text);
}

// Half a JSON line would be none: long values are cut until the line is short enough.
static void log_json(enum log_level level, const char *message, va_list pairs)
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
            write_line(&line);
            return;
        }
    }
}

void log_line(enum log_level level, const char *message, ...)
{
    if (level > setup.level)
        return;
    va_list pairs;
    va_start(pairs, message);
    if (setup.format == LOG_JSON)
        log_json(level, message, pairs);
    else
        log_text(level, message, pairs);
    va_end(pairs);
}
