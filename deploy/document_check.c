// Any JSON value → the normal document, and all that is wrong with it.
#include "deploy/document_path.h"
#include "deploy/document_table.h"
#include "deploy/quantity.h"

#include "agent/base/printable.h"
#include "agent/base/text.h"
#include "deploy/kube/patch.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define KEYS_MAX  64  // of one object
#define SHOWN_MAX 128 // bytes of a text repeated in a fault

void document_fault(json_t *faults, const char *pointer, const char *fmt, ...)
{
    char detail[ERROR_TEXT_MAX];
    if (json_array_size(faults) >= DOCUMENT_FAULTS_MAX)
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    json_array_append_new(faults, json_pack("{s:o, s:o}", "pointer", json_text(pointer), "detail",
                                            json_text(detail)));
}

void document_faults_forget(json_t *faults, const json_t *known)
{
    for (size_t i = json_array_size(faults); i-- > 0;) {
        size_t k;
        json_t *one;
        json_array_foreach(known, k, one)
        {
            if (json_equal(one, json_array_get(faults, i))) {
                json_array_remove(faults, i);
                break;
            }
        }
    }
}

// One step down; the caller frees.
static char *below(const char *pointer, const char *key)
{
    CLEANUP(free_ptr) char *step = patch_pointer(PATCH_AT(key));
    return xasprintf("%s%s", pointer, step);
}

static char *below_index(const char *pointer, size_t index)
{
    return xasprintf("%s/%zu", pointer, index);
}

static const char *type_word(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "a group of keys";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a text";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        break;
    }
    return "nothing";
}

static json_t *wrong_type(const json_t *value, const char *pointer, const char *wanted,
                          json_t *faults)
{
    document_fault(faults, pointer, "must be %s, not %s", wanted, type_word(value));
    return json_deep_copy(value);
}

// --- leaves ---

static void check_text(const struct document_field *field, const char *text,
                       bool (*form)(const char *, struct error *), const char *pointer,
                       json_t *faults)
{
    size_t max = field->max ? (size_t)field->max : DOCUMENT_TEXT_MAX;
    struct error err;
    if (strlen(text) > max)
        document_fault(faults, pointer, "%zu bytes are too many: at most %zu", strlen(text), max);
    else if (form && !form(text, &err))
        document_fault(faults, pointer, "%s", err.text);
}

static json_t *take_text(const struct document_field *field, const json_t *given,
                         const char *pointer, json_t *faults)
{
    if (!json_is_string(given)) {
        const char *hint =
            json_is_object(given) || json_is_array(given) ? "a text" : "a text: write it in quotes";
        return wrong_type(given, pointer, hint, faults);
    }
    check_text(field, json_string_value(given), field->form, pointer, faults);
    return json_deep_copy(given);
}

static json_t *take_int(const struct document_field *field, const json_t *given,
                        const char *pointer, json_t *faults)
{
    if (json_is_real(given)) {
        document_fault(faults, pointer, "must be a whole number, without point or exponent");
        return json_deep_copy(given);
    }
    if (!json_is_integer(given))
        return wrong_type(given, pointer, "a number", faults);
    json_int_t number = json_integer_value(given);
    if (number < field->min || number > field->max)
        document_fault(faults, pointer,
                       "%" JSON_INTEGER_FORMAT " is out of bounds: %" PRId64 " to %" PRId64, number,
                       field->min, field->max);
    return json_integer(number);
}

static json_t *take_bool(const struct document_field *field, const json_t *given,
                         const char *pointer, json_t *faults)
{
    (void)field;
    return json_is_boolean(given) ? json_deep_copy(given)
                                  : wrong_type(given, pointer, "true or false", faults);
}

static json_t *take_choice(const struct document_field *field, const json_t *given,
                           const char *pointer, json_t *faults)
{
    const char *text = json_string_value(given);
    if (!text)
        return take_text(field, given, pointer, faults);
    CLEANUP(buffer_finish) struct buffer words = {0};
    for (size_t i = 0; field->words[i]; i++) {
        if (strcmp(field->words[i], text) == 0)
            return json_deep_copy(given);
        const char *separator = i == 0 ? "" : field->words[i + 1] ? ", " : " or ";
        if (!buffer_printf(&words, NULL, "%s%s", separator, field->words[i]))
            break;
    }
    char shown[SHOWN_MAX];
    printable_copy(shown, sizeof shown, text, strlen(text));
    document_fault(faults, pointer, "must be %s, not \"%s\"", buffer_text(&words), shown);
    return json_deep_copy(given);
}

static json_t *take_port(const struct document_field *field, const json_t *given,
                         const char *pointer, json_t *faults)
{
    (void)field;
    static const struct document_field number = {.min = 1, .max = 65535};
    return json_is_string(given) ? json_deep_copy(given)
                                 : take_int(&number, given, pointer, faults);
}

static json_t *take_texts(const struct document_field *field, const json_t *given,
                          const char *pointer, json_t *faults)
{
    if (!json_is_array(given))
        return wrong_type(given, pointer, "a list of texts", faults);
    size_t most = field->most ? field->most : DOCUMENT_COUNT_MAX;
    if (json_array_size(given) > most)
        document_fault(faults, pointer, "%zu items are too many: at most %zu",
                       json_array_size(given), most);
    json_t *list = json_array();
    size_t i;
    json_t *item;
    json_array_foreach(given, i, item)
    {
        CLEANUP(free_ptr) char *at = below_index(pointer, i);
        json_array_append_new(list, take_text(field, item, at, faults));
    }
    return list;
}

// A quantity may be given as a number.
static json_t *amount_text(const json_t *value)
{
    if (!json_is_number(value))
        return json_deep_copy(value);
    CLEANUP(free_ptr) char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
    return json_text(text);
}

static json_t *take_map(const struct document_field *field, const json_t *given,
                        const char *pointer, json_t *faults)
{
    if (!json_is_object(given))
        return wrong_type(given, pointer, "a group of keys", faults);
    if (json_object_size(given) > DOCUMENT_COUNT_MAX)
        document_fault(faults, pointer, "%zu keys are too many: at most %d",
                       json_object_size(given), DOCUMENT_COUNT_MAX);
    json_t *map = json_object();
    const char *key;
    json_t *value;
    json_object_foreach(json_unconst(given), key, value)
    {
        CLEANUP(free_ptr) char *at = below(pointer, key);
        CLEANUP(json_ptr)
        json_t *text = field->kind == DOCUMENT_AMOUNTS ? amount_text(value) : json_incref(value);
        if (json_is_null(value))
            continue;
        check_text(field, key, field->key_form, at, faults);
        json_object_set_new(map, key, take_text(field, text, at, faults));
    }
    return map;
}

// --- objects ---

static json_t *take_object(const char *path, const json_t *given, const char *pointer,
                           json_t *faults);

static json_t *take_group(const struct document_field *field, const json_t *given,
                          const char *pointer, json_t *faults)
{
    return json_is_object(given) ? take_object(field->path, given, pointer, faults)
                                 : wrong_type(given, pointer, "a group of keys", faults);
}

static json_t *take_objects(const struct document_field *field, const json_t *given,
                            const char *pointer, json_t *faults)
{
    if (!json_is_array(given))
        return wrong_type(given, pointer, "a list", faults);
    if (json_array_size(given) > DOCUMENT_COUNT_MAX)
        document_fault(faults, pointer, "%zu items are too many: at most %d",
                       json_array_size(given), DOCUMENT_COUNT_MAX);
    CLEANUP(free_ptr) char *path = xasprintf("%s[]", field->path);
    json_t *list = json_array();
    size_t i;
    json_t *item;
    json_array_foreach(given, i, item)
    {
        CLEANUP(free_ptr) char *at = below_index(pointer, i);
        json_array_append_new(list, json_is_object(item)
                                        ? take_object(path, item, at, faults)
                                        : wrong_type(item, at, "a group of keys", faults));
    }
    return list;
}

static json_t *(*const take[DOCUMENT_KIND_COUNT])(const struct document_field *, const json_t *,
                                                  const char *, json_t *) = {
    [DOCUMENT_OBJECT] = take_group,  [DOCUMENT_TEXT] = take_text,
    [DOCUMENT_INT] = take_int,       [DOCUMENT_BOOL] = take_bool,
    [DOCUMENT_CHOICE] = take_choice, [DOCUMENT_PORT] = take_port,
    [DOCUMENT_TEXTS] = take_texts,   [DOCUMENT_MAP] = take_map,
    [DOCUMENT_AMOUNTS] = take_map,   [DOCUMENT_OBJECTS] = take_objects,
};

static void refuse_unknown(const char *path, const json_t *given, const char *pointer,
                           json_t *faults)
{
    const char *known[KEYS_MAX + 1];
    size_t count = 0;
    for (size_t i = 0; i < document_field_count && count < KEYS_MAX; i++)
        count += document_is_below(path, &document_fields[i], &known[count]);
    known[count] = NULL;
    const char *key;
    json_t *value;
    json_object_foreach(json_unconst(given), key, value)
    {
        size_t i = 0;
        while (i < count && strcmp(known[i], key) != 0)
            i++;
        if (i < count || (*path == '\0' && strcmp(key, "status") == 0))
            continue;
        CLEANUP(free_ptr) char *at = below(pointer, key);
        const char *near = text_nearest(key, known);
        char shown[SHOWN_MAX];
        printable_copy(shown, sizeof shown, key, strlen(key));
        document_fault(faults, at, "unknown key \"%s\"%s%s%s", shown,
                       near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
}

static bool is_empty(const json_t *value)
{
    return !value || json_is_null(value) ||
           (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

// Whether it is as good as no value. What is empty but of another kind than the field is not: that
// was meant to say something.
static bool is_absent(const struct document_field *field, const json_t *value)
{
    static const json_type empties[DOCUMENT_KIND_COUNT] = {
        [DOCUMENT_OBJECT] = JSON_OBJECT,  [DOCUMENT_TEXT] = JSON_STRING,
        [DOCUMENT_INT] = JSON_NULL,       [DOCUMENT_BOOL] = JSON_NULL,
        [DOCUMENT_CHOICE] = JSON_NULL,    [DOCUMENT_PORT] = JSON_STRING,
        [DOCUMENT_TEXTS] = JSON_ARRAY,    [DOCUMENT_MAP] = JSON_OBJECT,
        [DOCUMENT_AMOUNTS] = JSON_OBJECT, [DOCUMENT_OBJECTS] = JSON_ARRAY,
    };
    if (!value || json_is_null(value))
        return true;
    return is_empty(value) && json_typeof(value) == empties[field->kind] &&
           !(field->flags & DOCUMENT_EMPTY_OK);
}

// The value for a field that is not given; NULL: none.
static json_t *standard_value(const struct document_field *field, const char *pointer,
                              json_t *faults)
{
    CLEANUP(json_ptr) json_t *nothing = json_object();
    if (field->flags & DOCUMENT_REQUIRED)
        document_fault(faults, pointer, "is missing");
    if (field->flags & DOCUMENT_ALWAYS)
        return take_object(field->path, nothing, pointer, faults);
    return field->standard ? json_loads(field->standard, JSON_DECODE_ANY, NULL) : NULL;
}

static json_t *take_object(const char *path, const json_t *given, const char *pointer,
                           json_t *faults)
{
    json_t *result = json_object();
    refuse_unknown(path, given, pointer, faults);
    for (size_t i = 0; i < document_field_count; i++) {
        const struct document_field *field = &document_fields[i];
        const char *key;
        if (!document_is_below(path, field, &key))
            continue;
        const json_t *value = json_object_get(given, key);
        CLEANUP(free_ptr) char *at = below(pointer, key);
        CLEANUP(json_ptr)
        json_t *taken = is_absent(field, value) ? standard_value(field, at, faults)
                                                : take[field->kind](field, value, at, faults);
        if (taken && (!is_empty(taken) || field->flags & DOCUMENT_EMPTY_OK))
            json_object_set(result, key, taken);
    }
    return result;
}

json_t *document_normal(const json_t *given, json_t *faults)
{
    if (!json_is_object(given)) {
        document_fault(faults, "", "must be a group of keys");
        return json_object();
    }
    json_t *document = take_object("", given, "", faults);
    document_check_together(document, faults);
    return document;
}
