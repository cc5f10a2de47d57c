// Text from elsewhere made harmless for a terminal: control sequences can move the cursor, write
// into the title or the clipboard, and lie about what was printed.
#ifndef CRONWRIGHT_CLI_HARMLESS_H
#define CRONWRIGHT_CLI_HARMLESS_H

#include "agent/base/buffer.h"

#define HARMLESS_SEQUENCE_MAX 32 // bytes of a sequence that is recognised

// A stream that is being cleaned. Begin with all zero.
struct harmless {
    char held[HARMLESS_SEQUENCE_MAX]; // the start of a character or sequence that is not whole yet
    size_t held_len;
};

// Appends `bytes` to `out`. Tabs and newlines stay; colours are left out; a carriage return before
// a newline is left out; other control characters are shown as "^[", and as "?" those that are not
// ASCII, as also direction marks and what is not UTF-8. Fails only as the buffer does.
bool harmless_append(struct harmless *state, const char *bytes, size_t len, struct buffer *out,
                     struct error *err) MUST_CHECK;
// Appends what was held back: the stream ends.
bool harmless_end(struct harmless *state, struct buffer *out, struct error *err) MUST_CHECK;

#endif
