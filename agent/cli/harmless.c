#include "agent/cli/harmless.h"
#include "agent/base/text.h"

#include <string.h>

#define ESC '\033'

// How many bytes a UTF-8 character has that begins so; 1 for what begins none.
static size_t wanted_len(unsigned char first)
{
    return first >= 0xf0 && first < 0xf8 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
}

// Of "ESC [ digits ; … m", which sets colours. 0: it may become one; -1: it is none.
static int colour_len(const char *bytes, size_t len)
{
    if (len < 2)
        return 0;
    if (bytes[1] != '[')
        return -1;
    size_t at = 2;
    while (at < len && strchr("0123456789;:", bytes[at]) && bytes[at] != '\0')
        at++;
    if (at >= HARMLESS_SEQUENCE_MAX)
        return -1;
    if (at == len)
        return 0;
    return bytes[at] == 'm' ? (int)at + 1 : -1;
}

static bool hides(int32_t code)
{
    return code < 0 || (code >= 0x7f && code <= 0x9f) || (code >= 0x200e && code <= 0x200f) ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

static bool show_control(char control, struct buffer *out, struct error *err)
{
    const char shown[] = {'^', (char)(control ^ 0x40)};
    return buffer_append(out, shown, sizeof shown, err);
}

// One character or sequence at the start of `bytes`. *used = 0: more bytes are needed to tell.
static bool one(const char *bytes, size_t len, bool last, size_t *used, struct buffer *out,
                struct error *err)
{
    unsigned char first = (unsigned char)bytes[0];
    *used = 1;
    if (first == '\n' || first == '\t')
        return buffer_append(out, bytes, 1, err);
    if (first == '\r' && (len > 1 || !last)) {
        *used = len > 1;
        return len <= 1 || bytes[1] == '\n' || show_control('\r', out, err);
    }
    if (first == ESC) {
        int colour = colour_len(bytes, len);
        *used = colour > 0 ? (size_t)colour : colour < 0 || last;
        return colour > 0 || *used == 0 || show_control(ESC, out, err);
    }
    if (first < 0x20)
        return show_control(bytes[0], out, err);
    if (len < wanted_len(first) && !last) {
        *used = 0;
        return true;
    }
    int32_t code = text_character(bytes, len, used);
    if (code < 0)
        *used = 1;
    return hides(code) ? buffer_append(out, "?", 1, err) : buffer_append(out, bytes, *used, err);
}

static bool clean(const char *bytes, size_t len, bool last, size_t *done, struct buffer *out,
                  struct error *err)
{
    *done = 0;
    while (*done < len) {
        size_t used;
        if (!one(bytes + *done, len - *done, last, &used, out, err))
            return false;
        if (used == 0)
            return true;
        *done += used;
    }
    return true;
}

bool harmless_append(struct harmless *state, const char *bytes, size_t len, struct buffer *out,
                     struct error *err)
{
    while (len > 0) {
        size_t part = sizeof state->held - state->held_len;
        size_t done;
        if (state->held_len == 0) { // usual
            if (!clean(bytes, len, false, &done, out, err))
                return false;
            state->held_len = len - done;
            memcpy(state->held, bytes + done, state->held_len);
            return true;
        }
        if (part > len)
            part = len;
        memcpy(state->held + state->held_len, bytes, part);
        state->held_len += part;
        if (!clean(state->held, state->held_len, false, &done, out, err))
            return false;
        memmove(state->held, state->held + done, state->held_len - done);
        state->held_len -= done;
        bytes += part;
        len -= part;
    }
    return true;
}

bool harmless_end(struct harmless *state, struct buffer *out, struct error *err)
{
    size_t done;
    bool ok = clean(state->held, state->held_len, true, &done, out, err);
    state->held_len = 0;
    return ok;
}
