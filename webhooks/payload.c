#include "webhooks/payload.h"

#include "agent/base/buffer.h"
#include "agent/base/crypto.h"
#include "agent/base/printable.h"
#include "agent/base/text.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#define UNWANTED    (-2) // a value, or an object, that the table does not name
#define SAFE_DIGITS 19   // an integer of fewer bytes fits 64 bits

// An object or array that is open.
struct level {
    int node;     // its index in the table, PAYLOAD_ROOT or UNWANTED
    bool is_list; // a PAYLOAD_LIST's array, as against one of its elements
};

struct reader {
    const struct payload_field *fields;
    size_t count;
    char *out;
    yajl_handle yajl;
    struct level levels[PAYLOAD_DEPTH_MAX];
    size_t depth;
    int pending;     // field whose value comes next, or UNWANTED
    unsigned seen;   // bit per field
    size_t root_end; // bytes up to the end of the top-level value
    struct error *shape;
    struct error *err; // why a callback stopped the parser
};

static int stop(struct reader *reader, const char *why)
{
    return error_set(reader->err, ERR_INVALID, "the payload is refused: %s", why);
}

// The table's field that a scalar belongs to, NULL when none.
static const struct payload_field *take_pending(struct reader *reader)
{
    int field = reader->pending;
    reader->pending = UNWANTED;
    return field == UNWANTED ? NULL : &reader->fields[field];
}

static void wrong_shape(struct reader *reader, const struct payload_field *field, const char *why)
{
    if (reader->shape->code == ERR_NONE)
        error_set(reader->shape, ERR_INVALID, "the payload's \"%s\" is %s", field->name, why);
}

static void wrong_type(struct reader *reader, const struct payload_field *field)
{
    static const char *const wanted[] = {
        [PAYLOAD_OBJECT] = "not an object",        [PAYLOAD_LIST] = "not a list",
        [PAYLOAD_TEXT] = "not a string",           [PAYLOAD_LINE] = "not a string",
        [PAYLOAD_FLAG] = "neither true nor false",
    };
    if (field)
        wrong_shape(reader, field, wanted[field->kind]);
}

// --- scalars ---
static int on_null(void *context)
{
    take_pending(context);
    return 1;
}

static int on_boolean(void *context, int value)
{
    struct reader *reader = context;
    const struct payload_field *field = take_pending(reader);
    if (field && field->kind == PAYLOAD_FLAG)
        *(bool *)(reader->out + field->offset) = value;
    else
        wrong_type(reader, field);
    return 1;
}

// No number is wanted, but jansson refuses those beyond a 64-bit integer or a double.
static int on_number(void *context, const char *text, size_t len)
{
    struct reader *reader = context;
    wrong_type(reader, take_pending(reader));
    bool is_real = memchr(text, '.', len) || memchr(text, 'e', len) || memchr(text, 'E', len);
    if (!is_real && len < SAFE_DIGITS)
        return 1;
    CLEANUP(free_ptr) char *number = xstrndup(text, len);
    errno = 0;
    if (is_real ? isinf(strtod(number, NULL)) : (strtoll(number, NULL, 10), errno == ERANGE))
        return stop(reader, "it holds a number that is too large");
    return 1;
}

static int on_string(void *context, const unsigned char *bytes, size_t len)
{
    struct reader *reader = context;
    const struct payload_field *field = take_pending(reader);
    if (!field)
        return 1;
    char *out = reader->out + field->offset;
    if (field->kind == PAYLOAD_LINE) {
        const char *text = (const char *)bytes;
        const char *line_end = memchr(text, '\n', len);
        printable_copy(out, field->room, text, line_end ? (size_t)(line_end - text) : len);
    } else if (field->kind != PAYLOAD_TEXT) {
        wrong_type(reader, field);
    } else if (len >= field->room) {
        wrong_shape(reader, field, "too long");
    } else {
        memcpy(out, bytes, len);
        out[len] = '\0';
    }
    return 1;
}

// --- objects and arrays ---
static int open_level(struct reader *reader, struct level level)
{
    if (reader->depth == PAYLOAD_DEPTH_MAX)
        return stop(reader, "it is nested too deeply");
    reader->levels[reader->depth++] = level;
    return 1;
}

static int close_level(void *context)
{
    struct reader *reader = context;
    const struct level closed = reader->levels[reader->depth - 1];
    const struct payload_field *field = closed.node >= 0 ? &reader->fields[closed.node] : NULL;
    if (field && field->kind == PAYLOAD_LIST && !closed.is_list && field->each)
        field->each(reader->out);
    if (--reader->depth == 0)
        reader->root_end = yajl_get_bytes_consumed(reader->yajl);
    return 1;
}

// A further element of a list takes the place of the one before.
static void forget_children(struct reader *reader, int node)
{
    for (size_t i = 0; i < reader->count; i++) {
        const struct payload_field *field = &reader->fields[i];
        if (field->parent != node)
            continue;
        reader->seen &= ~(1U << i);
        if (field->kind == PAYLOAD_TEXT || field->kind == PAYLOAD_LINE)
            reader->out[field->offset] = '\0';
        else if (field->kind == PAYLOAD_FLAG)
            *(bool *)(reader->out + field->offset) = false;
        else
            forget_children(reader, (int)i);
    }
}

static int on_start_map(void *context)
{
    struct reader *reader = context;
    if (reader->depth == 0)
        return open_level(reader, (struct level){PAYLOAD_ROOT, false});
    struct level in = reader->levels[reader->depth - 1];
    if (in.is_list) {
        forget_children(reader, in.node);
        return open_level(reader, (struct level){in.node, false});
    }
    int node = reader->pending;
    const struct payload_field *field = take_pending(reader);
    if (field && field->kind == PAYLOAD_OBJECT)
        return open_level(reader, (struct level){node, false});
    wrong_type(reader, field);
    return open_level(reader, (struct level){UNWANTED, false});
}

static int on_start_array(void *context)
{
    struct reader *reader = context;
    int node = reader->pending;
    const struct payload_field *field = take_pending(reader);
    if (reader->depth == 0)
        return stop(reader, "it is not a JSON object");
    if (field && field->kind == PAYLOAD_LIST)
        return open_level(reader, (struct level){node, true});
    wrong_type(reader, field);
    return open_level(reader, (struct level){UNWANTED, false});
}

static int on_map_key(void *context, const unsigned char *key, size_t len)
{
    struct reader *reader = context;
    int node = reader->levels[reader->depth - 1].node;
    if (node == UNWANTED)
        return 1;
    for (size_t i = 0; i < reader->count; i++) {
        const struct payload_field *field = &reader->fields[i];
        if (field->parent != node || len == 0 || field->name[0] != (char)key[0] ||
            strncmp(field->name, (const char *)key, len) != 0 || field->name[len])
            continue;
        if (reader->seen & 1U << i)
            return error_set(reader->err, ERR_INVALID, "the payload has the key \"%s\" twice",
                             field->name);
        reader->seen |= 1U << i;
        reader->pending = (int)i;
    }
    return 1;
}

// --- what YAJL lets pass and jansson does not ---
static const char *after_escape(const char *escape, const char *end, const char **why)
{
    uint8_t unit[2], low[2];
    if (end - escape < 6 || escape[1] != 'u' || !hex_decode(escape + 2, 4, unit, 2))
        return end - escape < 2 ? end : escape + 2; // YAJL judges these
    if (unit[0] == 0 && unit[1] == 0)
        *why = "it holds a NUL";
    if (unit[0] < 0xd8 || unit[0] > 0xdf)
        return escape + 6;
    if (unit[0] > 0xdb || end - escape < 12 || escape[6] != '\\' || escape[7] != 'u' ||
        !hex_decode(escape + 8, 4, low, 2) || low[0] < 0xdc || low[0] > 0xdf) {
        *why = "it holds half a surrogate pair";
        return end;
    }
    return escape + 12;
}

static bool check_bytes(const char *json, size_t len, struct reader *reader)
{
    if (!text_is_utf8(json, len))
        return stop(reader, "it is not UTF-8");
    // YAJL takes these two for white space.
    if (memchr(json, '\v', len) || memchr(json, '\f', len))
        return stop(reader, "it holds a control character");
    const char *why = NULL;
    const char *end = json + len;
    for (const char *at = json; at < end && (at = memchr(at, '\\', (size_t)(end - at)));)
        at = after_escape(at, end, &why);
    return why ? stop(reader, why) : true;
}

static bool is_blank(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!strchr(" \t\r\n", text[i]) || !text[i])
            return false;
    return true;
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_start_map,
    .yajl_map_key = on_map_key,
    .yajl_end_map = close_level,
    .yajl_start_array = on_start_array,
    .yajl_end_array = close_level,
};

static void free_yajl(yajl_handle *handle)
{
    yajl_free(*handle);
}

static bool yajl_failed(yajl_handle yajl, struct error *err)
{
    unsigned char *text = yajl_get_error(yajl, 0, NULL, 0);
    const char *what = text ? (const char *)text : "";
    error_set(err, ERR_INVALID, "the payload is not JSON, byte %zu: %.*s",
              yajl_get_bytes_consumed(yajl), (int)strcspn(what, "\n"), what);
    yajl_free_error(yajl, text);
    return false;
}

bool payload_read(const char *json, size_t len, const struct payload_field *fields, size_t count,
                  void *out, struct error *shape, struct error *err)
{
    assert(count <= PAYLOAD_FIELDS_MAX);
    *shape = (struct error){0};
    struct reader reader = {.fields = fields,
                            .count = count,
                            .out = out,
                            .pending = UNWANTED,
                            .shape = shape,
                            .err = err};
    if (len == 0)
        return stop(&reader, "it is empty");
    if (!check_bytes(json, len, &reader))
        return false;
    CLEANUP(free_yajl) yajl_handle yajl = yajl_alloc(&callbacks, NULL, &reader);
    if (!yajl)
        abort();
    // YAJL itself lets half a token pass after the end, so that is looked at below.
    yajl_config(yajl, yajl_allow_trailing_garbage, 1);
    reader.yajl = yajl;
    yajl_status status = yajl_parse(yajl, (const unsigned char *)json, len);
    if (status == yajl_status_client_canceled)
        return false;
    if (status == yajl_status_error)
        return yajl_failed(yajl, err);
    if (reader.root_end == 0)
        return stop(&reader, "it is not a JSON object, or ends early");
    if (!is_blank(json + reader.root_end, len - reader.root_end))
        return stop(&reader, "something follows the JSON");
    return true;
}
