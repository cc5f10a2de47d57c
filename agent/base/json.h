// jansson, with this program's bounds. Decode with json_unpack_ex() formats or the getters below;
// build with json_pack(); never printf JSON.
#ifndef CRONWRIGHT_BASE_JSON_H
#define CRONWRIGHT_BASE_JSON_H

#include "agent/base/buffer.h"

#include <jansson.h>

// Parses bytes as one JSON value of at most `max` bytes; duplicate keys, NUL in strings and invalid
// UTF-8 are errors (ERR_INVALID, with line and column). The caller owns *out.
bool json_read(const char *bytes, size_t len, size_t max, json_t **out,
               struct error *err) MUST_CHECK;

// Walks objects by names and arrays by decimal index, ended by NULL; borrowed; NULL when absent.
const json_t *json_at(const json_t *root, ...) __attribute__((sentinel));
const char *json_text_at(const json_t *root, ...) __attribute__((sentinel)); // NULL unless a string
json_int_t json_int_or(const json_t *value, json_int_t otherwise);

// Compact text; the caller frees. Aborts only when out of memory.
char *json_write(const json_t *value) __attribute__((returns_nonnull));

// A JSON string of any text, never NULL: what is not UTF-8 is made so (see printable.h).
// json_pack() takes no such text, and gives no value at all.
json_t *json_text(const char *text) __attribute__((returns_nonnull));
// "" and NULL become JSON null; for optional strings.
json_t *json_text_or_null(const char *text) __attribute__((returns_nonnull));

// For jansson's iterators, which take no const value although they change nothing.
static inline json_t *json_unconst(const json_t *value)
{
    union {
        const json_t *in;
        json_t *out;
    } same = {.in = value};
    return same.out;
}

static inline void json_ptr(json_t **value)
{
    json_decref(*value);
}

#endif
