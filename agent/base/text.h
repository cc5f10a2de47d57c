// Text: bounded copies, lists, edit distance for "did you mean".
#ifndef CRONWRIGHT_BASE_TEXT_H
#define CRONWRIGHT_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Copies at most room - 1 bytes, whole characters of UTF-8 text, and a NUL; true when it fitted.
bool text_copy(char *out, size_t room, const char *text);
bool text_starts(const char *text, const char *prefix);
bool text_ends(const char *text, const char *suffix);

// FNV-1a, for tables whose keys others choose: with a seed that nobody can know.
uint64_t text_hash(uint64_t seed, const char *text);

// Decimal digits only, within [min, max].
bool text_to_int(const char *text, int64_t min, int64_t max, int64_t *out);

// The candidate nearest to `word` (Damerau-Levenshtein, at most a third of its length away); NULL
// when none is near. `candidates` is ended by NULL.
const char *text_nearest(const char *word, const char *const candidates[]);

// The first character of UTF-8 text of at least one byte, and how many bytes it uses; -1 when it is
// no character (a surrogate or an overlong form is none).
int32_t text_character(const char *text, size_t len, size_t *used);

// How many of the first `len` bytes of longer UTF-8 text stay, if it is cut there, so that no
// character is torn.
size_t text_cut(const char *text, size_t len);

// Whether it is such characters alone.
bool text_is_utf8(const char *bytes, size_t len);

// Columns a terminal uses for UTF-8 text (wcwidth; control characters count 0).
size_t text_width(const char *text);

#endif
