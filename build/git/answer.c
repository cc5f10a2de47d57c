#include "build/git/answer.h"

#include "agent/base/buffer.h"
#include "agent/base/printable.h"
#include "build/git/protocol.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PROGRESS_MS 1000

void answer_line(struct answers *answers, json_t *line)
{
    char *text = json_dumps(line, JSON_COMPACT);
    json_decref(line);
    if (!text)
        abort();
    size_t len = strlen(text);
    text[len++] = '\n'; // in the place of the NUL: one write is one line
    for (size_t done = 0; done < len;) {
        ssize_t wrote = write(answers->fd, text + done, len - done);
        if (wrote < 0 && errno != EINTR)
            break;
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    free(text);
}

void answer_error(struct answers *answers, const struct fault *fault)
{
    char text[ERROR_TEXT_MAX];
    printable_copy(text, sizeof text, fault->text, strlen(fault->text));
    answer_line(answers,
                json_pack("{s:s, s:s, s:s}", "event", "error", "code", fault->word, "text", text));
}

void answer_note(struct answers *answers, const char *kind, const char *path, const char *text)
{
    if (answers->notes++ >= GIT_NOTES_MAX)
        return;
    char plain[ERROR_TEXT_MAX];
    printable_copy(plain, sizeof plain, path, strlen(path));
    CLEANUP(free_ptr) char *sentence = xasprintf("%s: %s", plain, text);
    answer_line(answers, json_pack("{s:s, s:s, s:s, s:s}", "event", "note", "kind", kind, "path",
                                   plain, "text", sentence));
}

void answer_notes_end(struct answers *answers)
{
    int more = answers->notes - GIT_NOTES_MAX;
    answers->notes = 0;
    if (more > 0)
        answer_line(answers, json_pack("{s:s, s:s, s:o}", "event", "note", "kind", "more", "text",
                                       json_sprintf("and %d more", more)));
}

void answer_progress(struct answers *answers, size_t objects, size_t total, size_t bytes)
{
    if (mono_now().ms - answers->progressed.ms < PROGRESS_MS)
        return;
    answers->progressed = mono_now();
    answer_line(answers, json_pack("{s:s, s:I, s:I, s:I}", "event", "progress", "objects",
                                   (json_int_t)objects, "total", (json_int_t)total, "bytes",
                                   (json_int_t)bytes));
}
