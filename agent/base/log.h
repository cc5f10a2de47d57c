// Structured log lines on stderr: key=value, JSON, or with <N> priorities when journald reads them.
// Only the top layers log; libraries return errors. Thread-safe: one write(2) a line.
#ifndef CRONWRIGHT_BASE_LOG_H
#define CRONWRIGHT_BASE_LOG_H

#include "agent/base/error.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

#define LOG_LINE_MAX  2048
#define LOG_VALUE_MAX 1024 // of one value, with NUL

// May be called again, from any thread.
void log_setup(enum log_level level, enum log_format format);

// `message` is a constant sentence. The rest are pairs of key and text, ended by NULL; a NULL text
// leaves its pair out:
//     log_line(LOG_INFO, "delivery stored", "delivery", id, "reason", reason, NULL);
void log_line(enum log_level level, const char *message, ...) __attribute__((sentinel));

// Never waits: lines that whoever reads our stderr does not take are left out, and counted in a line
// of their own once it reads again.
//
// Bounds: a value is cut at LOG_VALUE_MAX, a line at LOG_LINE_MAX (in JSON by cutting its values
// shorter, so that it stays JSON). Control characters become spaces, bytes that are not UTF-8 "?".
#endif
