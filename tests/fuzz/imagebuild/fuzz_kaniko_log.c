// kaniko_log_reason() and its like: what they tell fits, is one line of UTF-8, and a shorter room
// only cuts it.
#include "agent/base/text.h"
#include "build/kaniko.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_output(const char *log, size_t size)
{
    CLEANUP(json_ptr) json_t *lines = kaniko_log_output(log, size);
    size_t i;
    json_t *line;
    if (json_array_size(lines) > KANIKO_OUTPUT_LINES)
        abort();
    json_array_foreach(lines, i, line) if (!json_is_string(line)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char cause[512], brief[24];
    check_output((const char *)data, size);
    if (kaniko_log_doing((const char *)data, size, brief, sizeof brief) &&
        (strlen(brief) >= sizeof brief || !text_is_utf8(brief, strlen(brief))))
        abort();
    bool found = kaniko_log_reason((const char *)data, size, cause, sizeof cause);
    if (found != kaniko_log_reason((const char *)data, size, brief, sizeof brief))
        abort();
    if (!found)
        return 0;
    if (strlen(cause) >= sizeof cause || strlen(brief) >= sizeof brief ||
        !text_is_utf8(cause, strlen(cause)) || !text_is_utf8(brief, strlen(brief)))
        abort();
    for (const char *at = cause; *at; at++)
        if ((unsigned char)*at < ' ')
            abort();
    (void)kaniko_cause_is_transient(cause);
    return 0;
}
