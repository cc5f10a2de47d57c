#include "agent/base/printable.h"
#include "agent/base/text.h"

#include <stdbool.h>
#include <string.h>

#define ELLIPSIS "\xe2\x80\xa6"

static bool is_control(int32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || (code >= 0x200e && code <= 0x200f) ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

void printable_copy(char *out, size_t room, const char *bytes, size_t len)
{
    const size_t ellipsis = strlen(ELLIPSIS);
    size_t used = 0;
    size_t cut = 0; // the last border where the ellipsis still fits
    for (size_t at = 0; at < len;) {
        size_t size = 1;
        int32_t code = text_character(bytes + at, len - at, &size);
        const char *piece = code < 0 ? "?" : is_control(code) ? " " : bytes + at;
        size_t piece_len = piece == bytes + at ? size : 1;
        if (used + ellipsis < room)
            cut = used;
        if (used + piece_len >= room) {
            memcpy(out + cut, ELLIPSIS, ellipsis + 1);
            return;
        }
        memcpy(out + used, piece, piece_len);
        used += piece_len;
        at += size;
    }
    out[used] = '\0';
}
