#include "agent/base/text.h"
#include "agent/base/buffer.h"

#include <ctype.h>
#include <locale.h>
#include <pthread.h>
#include <string.h>
#include <wchar.h>

#define WORD_MAX 128 // longer words have no near ones

bool text_copy(char *out, size_t room, const char *text)
{
    if (room == 0)
        return false;
    size_t len = strnlen(text, room);
    bool fits = len < room;
    if (!fits)
        len = text_cut(text, room - 1);
    memcpy(out, text, len);
    out[len] = '\0';
    return fits;
}

bool text_starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool text_ends(const char *text, const char *suffix)
{
    size_t len = strlen(text), end = strlen(suffix);
    return len >= end && memcmp(text + len - end, suffix, end) == 0;
}

uint64_t text_hash(uint64_t seed, const char *text)
{
    uint64_t value = seed ^ 0xcbf29ce484222325u;
    for (; *text; text++)
        value = (value ^ (unsigned char)*text) * 0x100000001b3u;
    return value ^ value >> 32;
}

bool text_to_int(const char *text, int64_t min, int64_t max, int64_t *out)
{
    int64_t value = 0;
    if (*text == '\0')
        return false;
    for (const char *at = text; *at; at++) {
        if (*at < '0' || *at > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *at - '0', &value))
            return false;
    }
    if (value < min || value > max)
        return false;
    *out = value;
    return true;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

// Edits (insert, delete, replace, swap of neighbours) from a to b, letter case aside; both are
// shorter than WORD_MAX.
static size_t distance(const char *a, const char *b)
{
    size_t a_len = strlen(a), b_len = strlen(b);
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_len; j++)
        last[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            char x = (char)tolower((unsigned char)a[i - 1]);
            char y = (char)tolower((unsigned char)b[j - 1]);
            row[j] = least(least(last[j], row[j - 1]) + 1, last[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == (char)tolower((unsigned char)b[j - 2]) &&
                y == (char)tolower((unsigned char)a[i - 2]))
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *oldest = before;
        before = last;
        last = row;
        row = oldest;
    }
    return last[b_len];
}

const char *text_nearest(const char *word, const char *const candidates[])
{
    const char *nearest = NULL;
    size_t len = strnlen(word, WORD_MAX);
    if (len == WORD_MAX)
        return NULL;
    size_t best = len / 3 + 1; // one more than allowed
    for (; *candidates; candidates++) {
        if (strnlen(*candidates, WORD_MAX) == WORD_MAX)
            continue;
        size_t edits = distance(word, *candidates);
        if (edits < best) {
            best = edits;
            nearest = *candidates;
        }
    }
    return nearest;
}

int32_t text_character(const char *text, size_t len, size_t *used)
{
    const uint8_t *bytes = (const uint8_t *)text;
    static const struct {
        uint8_t mask, lead;
        int32_t least; // smaller ones must be written shorter
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    size_t more = 0;
    while (more < 4 && (bytes[0] & forms[more].mask) != forms[more].lead)
        more++;
    if (more == 4 || more >= len)
        return -1;
    int32_t code = bytes[0] & ~forms[more].mask;
    for (size_t i = 1; i <= more; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return -1;
        code = code << 6 | (bytes[i] & 0x3f);
    }
    if (code < forms[more].least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return -1;
    *used = more + 1;
    return code;
}

size_t text_cut(const char *text, size_t len)
{
    size_t at = len;
    while (at > 0 && len - at < 3 && ((uint8_t)text[at - 1] & 0xc0) == 0x80)
        at--;
    if (at == 0 || ((uint8_t)text[at - 1] & 0x80) == 0) // no character of several bytes begins here
        return len;
    size_t used;
    return text_character(text + at - 1, len - at + 1, &used) < 0 ? at - 1 : len;
}

// How many bytes ahead are ASCII, by whole words: a webhook's body is little else.
static size_t ascii_words(const char *bytes, size_t len)
{
    size_t at = 0;
    for (uint64_t word; len - at >= sizeof word; at += sizeof word) {
        memcpy(&word, bytes + at, sizeof word);
        if (word & UINT64_C(0x8080808080808080))
            break;
    }
    return at;
}

bool text_is_utf8(const char *bytes, size_t len)
{
    for (size_t at = ascii_words(bytes, len), used; at < len;) {
        if (text_character(bytes + at, len - at, &used) < 0)
            return false;
        at += used;
        at += ascii_words(bytes + at, len - at);
    }
    return true;
}

// wcwidth() asks the locale, but a width does not depend on who asks.
static locale_t utf8_locale;

static void make_utf8_locale(void)
{
    utf8_locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

size_t text_width(const char *text)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_utf8_locale);
    locale_t before = uselocale(utf8_locale);
    size_t columns = 0;
    size_t len = strlen(text);
    for (size_t at = 0, used; at < len; at += used) {
        int32_t code = text_character(text + at, len - at, &used);
        if (code < 0) { // shown as one replacement character
            used = 1;
            columns++;
            continue;
        }
        int width = wcwidth((wchar_t)code);
        columns += width > 0 ? (size_t)width : 0;
    }
    uselocale(before);
    return columns;
}
