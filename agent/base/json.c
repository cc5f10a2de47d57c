#include "agent/base/json.h"
#include "agent/base/printable.h"
#include "agent/base/text.h"

#include <stdarg.h>
#include <string.h>

bool json_read(const char *bytes, size_t len, size_t max, json_t **out, struct error *err)
{
    if (len > max)
        return error_set(err, ERR_TOO_LARGE, "JSON of more than %zu bytes", max);
    json_error_t at;
    json_t *value = json_loadb(bytes, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &at);
    if (!value)
        return error_set(err, ERR_INVALID, "JSON, line %d, column %d: %s", at.line, at.column,
                         at.text);
    *out = value;
    return true;
}

static const json_t *walk(const json_t *value, va_list names)
{
    for (const char *name; value && (name = va_arg(names, const char *));) {
        if (json_is_array(value)) {
            int64_t index;
            bool ok = text_to_int(name, 0, INT32_MAX, &index);
            value = ok ? json_array_get(value, (size_t)index) : NULL;
        } else {
            value = json_object_get(value, name);
        }
    }
    return value;
}

const json_t *json_at(const json_t *root, ...)
{
    va_list names;
    va_start(names, root);
    const json_t *found = walk(root, names);
    va_end(names);
    return found;
}

const char *json_text_at(const json_t *root, ...)
{
    va_list names;
    va_start(names, root);
    const json_t *found = walk(root, names);
    va_end(names);
    return json_string_value(found);
}

json_int_t json_int_or(const json_t *value, json_int_t otherwise)
{
    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

char *json_write(const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!text)
        abort();
    return text;
}

json_t *json_text(const char *text)
{
    json_t *json = json_string(text);
    if (json)
        return json;
    size_t len = strlen(text);
    CLEANUP(free_ptr) char *clean = xalloc(len + PRINTABLE_MIN);
    printable_copy(clean, len + PRINTABLE_MIN, text, len);
    json = json_string(clean);
    if (!json)
        abort(); // out of memory
    return json;
}

json_t *json_text_or_null(const char *text)
{
    return text && *text ? json_text(text) : json_null();
}
