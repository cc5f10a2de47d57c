// What a document may look like, as JSON Schema, by the table of its fields.
#include "deploy/document_table.h"

#include "agent/base/yaml.h"

#include <string.h>

static const char *const types[DOCUMENT_KIND_COUNT] = {
    [DOCUMENT_OBJECT] = "object", [DOCUMENT_TEXT] = "string",   [DOCUMENT_INT] = "integer",
    [DOCUMENT_BOOL] = "boolean",  [DOCUMENT_CHOICE] = "string", [DOCUMENT_PORT] = "string",
    [DOCUMENT_TEXTS] = "array",   [DOCUMENT_MAP] = "object",    [DOCUMENT_AMOUNTS] = "object",
    [DOCUMENT_OBJECTS] = "array",
};

static json_t *object_schema(const char *path, enum document_schema_use use);

// The item of a list takes the place of the former one, also in a patch.
static enum document_schema_use use_at(const char *path, enum document_schema_use use)
{
    return use == DOCUMENT_SCHEMA_PATCH && strchr(path, '[') ? DOCUMENT_SCHEMA_WHOLE : use;
}

// `also` (or NULL) is another type, and null may stand for what is not there.
static json_t *type_json(const char *type, const char *also, bool null)
{
    json_t *all = json_pack("[s]", type);
    if (also)
        json_array_append_new(all, json_string(also));
    if (null)
        json_array_append_new(all, json_string("null"));
    return all;
}

static void set_int(json_t *schema, const char *keyword, int64_t value)
{
    json_object_set_new(schema, keyword, json_integer(value));
}

static int64_t text_max(const struct document_field *field)
{
    return field->max ? field->max : DOCUMENT_TEXT_MAX;
}

// Of each text of a list or map, which may be `also` something else.
static json_t *text_schema(const struct document_field *field, enum document_schema_use use,
                           const char *also, bool null)
{
    json_t *schema = json_pack("{s:o}", "type", type_json("string", also, null));
    if (use != DOCUMENT_SCHEMA_ANSWER)
        set_int(schema, "maxLength", text_max(field));
    return schema;
}

static json_t *words_json(const struct document_field *field, bool null)
{
    json_t *words = json_array();
    for (size_t i = 0; field->words[i]; i++)
        json_array_append_new(words, json_string(field->words[i]));
    if (null)
        json_array_append_new(words, json_null());
    return words;
}

// What the field's value is held against, where it is one that is sent.
static void add_bounds(const struct document_field *field, enum document_schema_use use, bool null,
                       json_t *schema)
{
    static const struct document_field port = {.min = 1, .max = 65535};
    const struct document_field *numbers = field->kind == DOCUMENT_PORT ? &port : field;
    bool required = field->flags & DOCUMENT_REQUIRED;
    switch (field->kind) {
    case DOCUMENT_TEXT:
        set_int(schema, "maxLength", text_max(field));
        if (required)
            set_int(schema, "minLength", 1);
        break;
    case DOCUMENT_INT:
    case DOCUMENT_PORT:
        set_int(schema, "minimum", numbers->min);
        set_int(schema, "maximum", numbers->max);
        break;
    case DOCUMENT_CHOICE:
        json_object_set_new(schema, "enum", words_json(field, null));
        break;
    case DOCUMENT_TEXTS:
    case DOCUMENT_OBJECTS:
        set_int(schema, "maxItems", DOCUMENT_COUNT_MAX);
        if (required)
            set_int(schema, "minItems", 1);
        break;
    case DOCUMENT_MAP:
    case DOCUMENT_AMOUNTS:
        if (use == DOCUMENT_SCHEMA_WHOLE) // in a patch, those that take away do not count
            set_int(schema, "maxProperties", DOCUMENT_COUNT_MAX);
        break;
    case DOCUMENT_OBJECT:
    case DOCUMENT_BOOL:
    case DOCUMENT_KIND_COUNT:
        break;
    }
}

static void add_content(const struct document_field *field, enum document_schema_use use,
                        json_t *schema)
{
    bool sent = use != DOCUMENT_SCHEMA_ANSWER;
    bool numbers = sent && field->kind == DOCUMENT_AMOUNTS;
    CLEANUP(free_ptr) char *items = xasprintf("%s[]", field->path);
    CLEANUP(json_ptr) json_t *object = NULL;
    switch (field->kind) {
    case DOCUMENT_TEXTS:
        json_object_set_new(schema, "items", text_schema(field, use, NULL, false));
        break;
    case DOCUMENT_MAP:
    case DOCUMENT_AMOUNTS:
        json_object_set_new(schema, "additionalProperties",
                            text_schema(field, use, numbers ? "number" : NULL, sent));
        break;
    case DOCUMENT_OBJECTS:
        json_object_set_new(schema, "items", object_schema(items, use));
        break;
    case DOCUMENT_OBJECT:
        object = object_schema(field->path, use);
        json_object_update_missing(schema, object);
        break;
    default:
        break;
    }
}

static void add_example(const struct document_field *field, json_t *schema)
{
    struct yaml_document example;
    struct error err;
    if (!field->example)
        return;
    size_t len = strlen(field->example);
    if (!yaml_read(field->example, len, len, &example, &err))
        abort(); // a table's mistake
    json_object_set_new(schema, "examples", json_pack("[O]", example.root));
    yaml_finish(&example);
}

static json_t *field_schema(const struct document_field *field, enum document_schema_use use)
{
    bool sent = use != DOCUMENT_SCHEMA_ANSWER;
    bool null = use == DOCUMENT_SCHEMA_PATCH ||
                (use == DOCUMENT_SCHEMA_WHOLE && !(field->flags & DOCUMENT_REQUIRED));
    const char *also = field->kind == DOCUMENT_PORT ? "integer" : NULL;
    json_t *schema = json_pack("{s:o, s:s}", "type", type_json(types[field->kind], also, null),
                               "description", field->help);
    if (sent)
        add_bounds(field, use, null, schema);
    if (field->standard)
        json_object_set_new(schema, "default", json_loads(field->standard, JSON_DECODE_ANY, NULL));
    add_content(field, use, schema);
    add_example(field, schema);
    return schema;
}

static json_t *object_schema(const char *path, enum document_schema_use use)
{
    enum document_schema_use here = use_at(path, use);
    json_t *properties = json_object(), *required = json_array();
    for (size_t i = 0; i < document_field_count; i++) {
        const struct document_field *field = &document_fields[i];
        const char *key;
        if (!document_is_below(path, field, &key))
            continue;
        json_object_set_new(properties, key, field_schema(field, here));
        if (here == DOCUMENT_SCHEMA_WHOLE && field->flags & DOCUMENT_REQUIRED)
            json_array_append_new(required, json_string(key));
    }
    // To take away what is not there changes nothing.
    json_t *others =
        here == DOCUMENT_SCHEMA_PATCH ? json_pack("{s:s}", "type", "null") : json_false();
    return json_pack("{s:[s], s:o, s:o, s:o}", "type", "object", "properties", properties,
                     "required", required, "additionalProperties", others);
}

json_t *document_schema(enum document_schema_use use)
{
    json_t *schema = object_schema("", use);
    if (use != DOCUMENT_SCHEMA_ANSWER)
        json_object_set_new(json_object_get(schema, "properties"), "status",
                            json_pack("{s:s}", "description",
                                      "Is left aside: what GET gave can be "
                                      "given back."));
    return schema;
}
