// Foreign bytes made fit for JSON, logs and terminals.
#ifndef CRONWRIGHT_BASE_PRINTABLE_H
#define CRONWRIGHT_BASE_PRINTABLE_H

#include <stddef.h>

#define PRINTABLE_MIN 4 // bytes of the smallest room

// Copies as one line of valid UTF-8: invalid bytes become '?', control characters (C0, DEL, C1,
// line and paragraph separators, bidirectional controls) become spaces. What does not fit is cut at
// a character's border and ends in "…". `room` is at least
// PRINTABLE_MIN.
void printable_copy(char *out, size_t room, const char *bytes, size_t len);

#endif
