// JSON decoding for the one hot place: a push is streamed past a table of the few fields that are
// wanted, in one pass, straight into a struct. payload.c is the only file that includes YAJL's
// headers.
//
// The verdict on what is JSON is jansson's with JSON_REJECT_DUPLICATES (a fuzz target compares
// them), but for three things: duplicate keys are errors only where the table looks, nesting is
// bounded, and a NUL between tokens, which jansson 2.14 passes over, is refused.
#ifndef CRONWRIGHT_WEBHOOKS_PAYLOAD_H
#define CRONWRIGHT_WEBHOOKS_PAYLOAD_H

#include "agent/base/error.h"

#include <stddef.h>

#define PAYLOAD_DEPTH_MAX  64
#define PAYLOAD_FIELDS_MAX 32
#define PAYLOAD_ROOT       (-1) // parent of the top level's fields

enum payload_kind {
    PAYLOAD_OBJECT, // parent of other fields
    PAYLOAD_LIST,   // of objects: parent of fields that hold the last element's values; see each
    PAYLOAD_TEXT,   // copied whole into char[room]
    PAYLOAD_LINE,   // for people: its first line by printable_copy() into char[room]
    PAYLOAD_FLAG,   // bool
};

struct payload_field {
    const char *name;
    int parent; // index of an object or list earlier in the table, or PAYLOAD_ROOT
    enum payload_kind kind;
    size_t offset;           // into the struct that is filled
    size_t room;             // bytes there, with the NUL; texts only
    void (*each)(void *out); // lists only: after each element, which has filled its fields; or NULL
};

// Fills *out, which comes zeroed; a field that is absent or null stays so. ERR_INVALID: not a JSON
// object, or one of the errors above; the text names the place and the kind, and quotes nothing of
// it.
//
// A field of another type or too long for its room is skipped and told by *shape (the first one;
// code ERR_NONE when there was none): it matters only if the caller needs the fields.
bool payload_read(const char *json, size_t len, const struct payload_field *fields, size_t count,
                  void *out, struct error *shape, struct error *err) MUST_CHECK;

#endif
