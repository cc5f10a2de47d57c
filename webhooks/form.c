#include "webhooks/form.h"

#include "agent/base/crypto.h"

#include <string.h>

struct field {
    const char *value;
    size_t len;
};

static bool find_field(const char *body, size_t len, const char *name, struct field *out,
                       struct error *err)
{
    size_t name_len = strlen(name);
    const char *end = body + len;
    struct field found = {0};
    for (const char *at = body, *stop; at < end; at = stop < end ? stop + 1 : end) {
        const char *amp = memchr(at, '&', (size_t)(end - at));
        stop = amp ? amp : end;
        if ((size_t)(stop - at) > name_len && memcmp(at, name, name_len) == 0 &&
            at[name_len] == '=') {
            if (found.value)
                return error_set(err, ERR_INVALID, "the form has the field \"%s\" twice", name);
            found.value = at + name_len + 1;
            found.len = (size_t)(stop - found.value);
        }
    }
    if (!found.value)
        return error_set(err, ERR_INVALID, "the form has no field \"%s\"", name);
    *out = found;
    return true;
}

// Decodes into `out`, which has room for in.len bytes.
static bool decode(struct field in, char *out, size_t *out_len, struct error *err)
{
    size_t used = 0;
    for (size_t i = 0; i < in.len; i++) {
        char c = in.value[i] == '+' ? ' ' : in.value[i];
        if (c == '%') {
            if (i + 2 >= in.len || !hex_decode(in.value + i + 1, 2, (uint8_t *)&c, sizeof c))
                return error_set(err, ERR_INVALID,
                                 "the form has a percent sign without two hex digits");
            i += 2;
        }
        if (c == '\0')
            return error_set(err, ERR_INVALID, "the form holds a NUL");
        out[used++] = c;
    }
    *out_len = used;
    return true;
}

bool form_field(const char *body, size_t len, const char *name, struct buffer *out,
                struct error *err)
{
    struct field field;
    if (len == 0)
        body = ""; // it may be NULL
    if (!find_field(body, len, name, &field, err))
        return false;
    CLEANUP(free_ptr) char *decoded = malloc(field.len + 1); // as large as the body, so it may fail
    if (!decoded)
        return error_set(err, ERR_UNAVAILABLE, "no memory for a form of %zu bytes", len);
    size_t decoded_len = 0;
    return decode(field, decoded, &decoded_len, err) &&
           buffer_append(out, decoded, decoded_len, err);
}
