// Whatever a log holds, and however it is cut into pieces, what goes to the terminal is the same
// text without control characters.
//
// Input: bytes of a log; the first says how large the pieces are.
#include "agent/base/text.h"
#include "agent/cli/harmless.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void clean(const char *bytes, size_t len, size_t piece, struct buffer *out)
{
    struct harmless state = {0};
    for (size_t at = 0; at < len; at += piece)
        if (!harmless_append(&state, bytes + at, len - at < piece ? len - at : piece, out, NULL))
            abort();
    if (!harmless_end(&state, out, NULL))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    CLEANUP(buffer_finish) struct buffer whole = {0};
    CLEANUP(buffer_finish) struct buffer parts = {0};
    const char *bytes = (const char *)data + 1;
    clean(bytes, size - 1, size, &whole);
    clean(bytes, size - 1, (size_t)data[0] % 40 + 1, &parts);
    if (whole.len != parts.len || memcmp(buffer_text(&whole), buffer_text(&parts), whole.len) != 0)
        abort();
    for (size_t i = 0; i < whole.len; i++) {
        unsigned char byte = (unsigned char)whole.data[i];
        if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f)
            abort();
    }
    if (!text_is_utf8(buffer_text(&whole), whole.len))
        abort();
    return 0;
}
