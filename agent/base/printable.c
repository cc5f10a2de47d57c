#include "agent/base/printable.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ELLIPSIS "\xe2\x80\xa6"

// Length of the well-formed UTF-8 character at `at` (Unicode's table 3-7), 0 when there is none.
static size_t character(const unsigned char *at, size_t left, uint32_t *code)
{
    static const struct {
        unsigned char lead_min, lead_max, second_min, second_max;
        size_t len;
    } forms[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (at[0] < forms[i].lead_min || at[0] > forms[i].lead_max)
            continue;
        size_t len = forms[i].len;
        if (len > left || (len > 1 && (at[1] < forms[i].second_min || at[1] > forms[i].second_max)))
            return 0;
        *code = len == 1 ? at[0] : at[0] & (0xffu >> (len + 1));
        for (size_t k = 1; k < len; k++) {
            if ((at[k] & 0xc0) != 0x80)
                return 0;
            *code = *code << 6 | (at[k] & 0x3f);
        }
        return len;
    }
    return 0;
}

static bool is_control(uint32_t code)
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
        uint32_t code = 0;
        size_t size = character((const unsigned char *)bytes + at, len - at, &code);
        const char *piece = size == 0 ? "?" : is_control(code) ? " " : bytes + at;
        size_t piece_len = piece == bytes + at ? size : 1;
        if (used + ellipsis < room)
            cut = used;
        if (used + piece_len >= room) {
            memcpy(out + cut, ELLIPSIS, ellipsis + 1);
            return;
        }
        memcpy(out + used, piece, piece_len);
        used += piece_len;
        at += size ? size : 1;
    }
    out[used] = '\0';
}
