// The lines of JSON that the agent reads.
#ifndef CRONWRIGHT_BUILD_GIT_ANSWER_H
#define CRONWRIGHT_BUILD_GIT_ANSWER_H

#include "agent/base/clock.h"
#include "build/git/fault.h"

#include <jansson.h>

struct answers {
    int fd;
    int notes;                   // so far; the first GIT_NOTES_MAX were written
    struct mono_time progressed; // when the last progress line was written
};

// Writes one line and frees it. A reader that is gone is not our concern: we end with it.
void answer_line(struct answers *answers, json_t *line);

void answer_error(struct answers *answers, const struct fault *fault);
// "<path>: <text>"; the path may be any bytes.
void answer_note(struct answers *answers, const char *kind, const char *path, const char *text);
// Says how many there were beyond GIT_NOTES_MAX, and begins anew.
void answer_notes_end(struct answers *answers);
// At most once a second.
void answer_progress(struct answers *answers, size_t objects, size_t total, size_t bytes);

#endif
