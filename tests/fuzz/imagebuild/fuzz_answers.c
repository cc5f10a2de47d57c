// git_answers_feed(): in one piece or byte by byte, the outcome is the same; and there always is
// one.
#include "agent/base/text.h"
#include "build/mirror.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct git_answers whole, pieces;
    git_answers_init(&whole);
    git_answers_init(&pieces);
    git_answers_feed(&whole, data, size);
    for (size_t i = 0; i < size; i++)
        git_answers_feed(&pieces, data + i, 1);
    git_answers_end(&whole, 0, NULL);
    git_answers_end(&pieces, 0, NULL);
    if (whole.state == GIT_RUNNING || whole.state != pieces.state ||
        strcmp(whole.commit, pieces.commit) != 0 || strcmp(whole.reason, pieces.reason) != 0 ||
        strcmp(whole.error.text, pieces.error.text) != 0 ||
        strcmp(buffer_text(&whole.notes), buffer_text(&pieces.notes)) != 0)
        abort();
    if ((whole.state == GIT_FAILED) != (whole.reason[0] != '\0') ||
        !text_is_utf8(whole.subject, strlen(whole.subject)))
        abort();
    git_answers_finish(&whole);
    git_answers_finish(&pieces);
    return 0;
}
