#include "agent/base/yaml.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

// One list item nested deep would else cost as much as its whole path: bounds all paths together.
#define POINTERS_MAX ((size_t)16 << 20)
#define TAG_PREFIX   "tag:yaml.org,2002:"

// --- what a plain scalar is (YAML 1.2, section 10.3.2: the core schema) ---

enum kind { KIND_TEXT, KIND_NULL, KIND_TRUE, KIND_FALSE, KIND_INT, KIND_FLOAT, KIND_NOT_FINITE };

static enum kind kind_of_word(const char *text)
{
    static const struct {
        const char *word;
        enum kind kind;
    } words[] = {
        {"", KIND_NULL},           {"~", KIND_NULL},          {"null", KIND_NULL},
        {"Null", KIND_NULL},       {"NULL", KIND_NULL},       {"true", KIND_TRUE},
        {"True", KIND_TRUE},       {"TRUE", KIND_TRUE},       {"false", KIND_FALSE},
        {"False", KIND_FALSE},     {"FALSE", KIND_FALSE},     {".nan", KIND_NOT_FINITE},
        {".NaN", KIND_NOT_FINITE}, {".NAN", KIND_NOT_FINITE},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(text, words[i].word) == 0)
            return words[i].kind;
    return KIND_TEXT;
}

// Whether all of `text`, and at least one character, is of `set`.
static bool only(const char *text, const char *set)
{
    size_t len = strspn(text, set);
    return len > 0 && text[len] == '\0';
}

static enum kind kind_of_number(const char *text)
{
    static const char digits[] = "0123456789";
    if (strncmp(text, "0o", 2) == 0)
        return only(text + 2, "01234567") ? KIND_INT : KIND_TEXT;
    if (strncmp(text, "0x", 2) == 0)
        return only(text + 2, "0123456789abcdefABCDEF") ? KIND_INT : KIND_TEXT;
    if (*text == '-' || *text == '+')
        text++;
    if (strcmp(text, ".inf") == 0 || strcmp(text, ".Inf") == 0 || strcmp(text, ".INF") == 0)
        return KIND_NOT_FINITE;
    size_t whole = strspn(text, digits);
    text += whole;
    if (*text == '\0')
        return whole ? KIND_INT : KIND_TEXT;
    if (*text == '.') {
        size_t fraction = strspn(++text, digits);
        text += fraction;
        whole += fraction;
    }
    if (whole && (*text == 'e' || *text == 'E')) {
        text++;
        text += *text == '-' || *text == '+';
        return only(text, digits) ? KIND_FLOAT : KIND_TEXT;
    }
    return whole && *text == '\0' ? KIND_FLOAT : KIND_TEXT;
}

static enum kind kind_of(const char *text)
{
    enum kind kind = kind_of_word(text);
    return kind == KIND_TEXT ? kind_of_number(text) : kind;
}

// NULL when it is beyond what JSON holds.
static json_t *number(const char *text, enum kind kind)
{
    errno = 0;
    if (kind == KIND_INT) {
        bool based = text[0] == '0' && (text[1] == 'o' || text[1] == 'x');
        long long value = strtoll(based ? text + 2 : text, NULL,
                                  !based           ? 10
                                  : text[1] == 'x' ? 16
                                                   : 8);
        return errno ? NULL : json_integer(value);
    }
    locale_t plain = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    double value = strtod_l(text, NULL, plain);
    freelocale(plain);
    return json_real(value); // NULL for infinity
}

// --- reading ---

struct reader {
    yaml_parser_t parser;
    json_t *places;
    struct buffer pointer; // of the node being read
    size_t pointers;       // bytes of all pointers so far
    int depth;
    int nodes;
};

static void event_finish(yaml_event_t *event)
{
    yaml_event_delete(event);
}

static void reader_finish(struct reader *reader)
{
    yaml_parser_delete(&reader->parser);
    json_decref(reader->places);
    buffer_finish(&reader->pointer);
}

static bool fail_at(struct error *err, yaml_mark_t mark, const char *problem)
{
    return error_set(err, ERR_INVALID, "%zu:%zu %s", mark.line + 1, mark.column + 1, problem);
}

static bool next_event(struct reader *reader, yaml_event_t *event, struct error *err)
{
    yaml_parser_t *parser = &reader->parser;
    yaml_event_delete(event);
    if (yaml_parser_parse(parser, event))
        return true;
    memset(event, 0, sizeof *event);
    // An encoding error has an offset alone; the parser has stopped near it.
    bool reading = parser->error == YAML_READER_ERROR;
    return fail_at(err, reading ? parser->mark : parser->problem_mark,
                   parser->problem ? parser->problem : "not YAML");
}

static bool note_place(struct reader *reader, yaml_mark_t value, const yaml_mark_t *key,
                       struct error *err)
{
    reader->pointers += reader->pointer.len;
    if (++reader->nodes > YAML_NODES_MAX || reader->pointers > POINTERS_MAX)
        return fail_at(err, value, "too many values");
    json_t *place =
        json_pack("[I, I, I, I]", (json_int_t)value.line + 1, (json_int_t)value.column + 1,
                  key ? (json_int_t)key->line + 1 : 0, key ? (json_int_t)key->column + 1 : 0);
    if (json_object_set_new(reader->places, buffer_text(&reader->pointer), place) != 0)
        abort();
    return true;
}

static bool push_name(struct reader *reader, const char *name, struct error *err)
{
    if (!buffer_append(&reader->pointer, "/", 1, err))
        return false;
    for (const char *at = name; *at; at++) {
        const char *piece = *at == '~' ? "~0" : *at == '/' ? "~1" : at;
        if (!buffer_append(&reader->pointer, piece, piece == at ? 1 : 2, err))
            return false;
    }
    return true;
}

static void pop_name(struct reader *reader, size_t len)
{
    reader->pointer.len = len;
    if (reader->pointer.data)
        reader->pointer.data[len] = '\0';
}

// The core tag's name ("str", …), "" without a tag, NULL for a foreign tag.
static const char *core_tag(const yaml_char_t *tag)
{
    const char *text = (const char *)tag;
    if (!text)
        return "";
    if (strcmp(text, "!") == 0)
        return "str";
    return strncmp(text, TAG_PREFIX, strlen(TAG_PREFIX)) == 0 ? text + strlen(TAG_PREFIX) : NULL;
}

static bool read_scalar(const yaml_event_t *event, json_t **out, struct error *err)
{
    static const char *const tags[] = {
        [KIND_TEXT] = "str",   [KIND_NULL] = "null", [KIND_TRUE] = "bool",
        [KIND_FALSE] = "bool", [KIND_INT] = "int",   [KIND_FLOAT] = "float",
    };
    const char *text = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;
    const char *tag = core_tag(event->data.scalar.tag);
    if (memchr(text, '\0', len))
        return fail_at(err, event->start_mark, "NUL in a text");
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    enum kind kind = plain || (tag && *tag) ? kind_of(text) : KIND_TEXT;
    if (tag && strcmp(tag, "str") == 0)
        kind = KIND_TEXT;
    if (kind == KIND_NOT_FINITE)
        return fail_at(err, event->start_mark, "number that is not finite");
    if (!tag || (*tag && strcmp(tag, tags[kind]) != 0))
        return fail_at(err, event->start_mark, "tag that does not fit");
    json_t *value = kind == KIND_TEXT    ? json_stringn(text, len)
                    : kind == KIND_NULL  ? json_null()
                    : kind == KIND_TRUE  ? json_true()
                    : kind == KIND_FALSE ? json_false()
                                         : number(text, kind);
    if (!value)
        return fail_at(err, event->start_mark, "number out of range");
    *out = value;
    return true;
}

static bool read_node(struct reader *reader, const yaml_event_t *event, json_t **out,
                      struct error *err);

static bool read_items(struct reader *reader, json_t *list, struct error *err)
{
    CLEANUP(event_finish) yaml_event_t event = {0};
    for (size_t index = 0;; index++) {
        if (!next_event(reader, &event, err))
            return false;
        if (event.type == YAML_SEQUENCE_END_EVENT)
            return true;
        char name[24];
        snprintf(name, sizeof name, "%zu", index);
        size_t len = reader->pointer.len;
        json_t *item;
        if (!push_name(reader, name, err) || !note_place(reader, event.start_mark, NULL, err) ||
            !read_node(reader, &event, &item, err))
            return false;
        json_array_append_new(list, item);
        pop_name(reader, len);
    }
}

static bool check_key(const yaml_event_t *event, const json_t *object, struct error *err)
{
    CLEANUP(json_ptr) json_t *key = NULL;
    if (event->type != YAML_SCALAR_EVENT)
        return fail_at(err, event->start_mark, "key that is not a text");
    if (event->data.scalar.anchor)
        return fail_at(err, event->start_mark, "anchors are not read");
    if (!read_scalar(event, &key, err))
        return false;
    if (!json_is_string(key))
        return fail_at(err, event->start_mark, "key that is not a text: put it in quotes");
    if (json_object_get(object, json_string_value(key)))
        return fail_at(err, event->start_mark, "key that is there twice");
    return true;
}

static bool read_members(struct reader *reader, json_t *object, struct error *err)
{
    CLEANUP(event_finish) yaml_event_t key = {0};
    CLEANUP(event_finish) yaml_event_t value = {0};
    for (;;) {
        if (!next_event(reader, &key, err))
            return false;
        if (key.type == YAML_MAPPING_END_EVENT)
            return true;
        size_t len = reader->pointer.len;
        const char *name = (const char *)key.data.scalar.value;
        json_t *member;
        if (!check_key(&key, object, err) || !next_event(reader, &value, err) ||
            !push_name(reader, name, err) ||
            !note_place(reader, value.start_mark, &key.start_mark, err) ||
            !read_node(reader, &value, &member, err))
            return false;
        json_object_set_new(object, name, member);
        pop_name(reader, len);
    }
}

// A list or an object, whose first event is `event`.
static bool read_collection(struct reader *reader, const yaml_event_t *event, json_t **out,
                            struct error *err)
{
    bool list = event->type == YAML_SEQUENCE_START_EVENT;
    const char *tag =
        core_tag(list ? event->data.sequence_start.tag : event->data.mapping_start.tag);
    if (list ? event->data.sequence_start.anchor : event->data.mapping_start.anchor)
        return fail_at(err, event->start_mark, "anchors are not read");
    if (!tag || (*tag && strcmp(tag, list ? "seq" : "map") != 0))
        return fail_at(err, event->start_mark, "tag that does not fit");
    if (reader->depth == YAML_DEPTH_MAX)
        return fail_at(err, event->start_mark, "nested too deep");
    CLEANUP(json_ptr) json_t *value = list ? json_array() : json_object();
    reader->depth++;
    if (!(list ? read_items(reader, value, err) : read_members(reader, value, err)))
        return false;
    reader->depth--;
    *out = TAKE(value);
    return true;
}

static bool read_node(struct reader *reader, const yaml_event_t *event, json_t **out,
                      struct error *err)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        if (event->data.scalar.anchor)
            return fail_at(err, event->start_mark, "anchors are not read");
        return read_scalar(event, out, err);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        return read_collection(reader, event, out, err);
    case YAML_ALIAS_EVENT:
        return fail_at(err, event->start_mark, "aliases are not read");
    default:
        return fail_at(err, event->start_mark, "not a value");
    }
}

// The stream's one document; nothing at all is null.
static bool read_stream(struct reader *reader, json_t **out, struct error *err)
{
    CLEANUP(event_finish) yaml_event_t event = {0};
    CLEANUP(json_ptr) json_t *root = NULL;
    while (event.type != YAML_STREAM_END_EVENT) {
        if (!next_event(reader, &event, err))
            return false;
        if (event.type == YAML_STREAM_START_EVENT || event.type == YAML_DOCUMENT_END_EVENT ||
            event.type == YAML_STREAM_END_EVENT)
            continue;
        if (root)
            return fail_at(err, event.start_mark, "a second document");
        if (!next_event(reader, &event, err) || !note_place(reader, event.start_mark, NULL, err) ||
            !read_node(reader, &event, &root, err))
            return false;
    }
    *out = root ? TAKE(root) : json_null();
    return true;
}

bool yaml_read(const char *bytes, size_t len, size_t max, struct yaml_document *out,
               struct error *err)
{
    if (len > max)
        return error_set(err, ERR_TOO_LARGE, "YAML of more than %zu bytes", max);
    CLEANUP(reader_finish) struct reader reader = {.places = json_object()};
    if (!yaml_parser_initialize(&reader.parser))
        abort();
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)bytes, len);
    json_t *root = NULL;
    if (!read_stream(&reader, &root, err))
        return false;
    *out = (struct yaml_document){root, TAKE(reader.places)};
    return true;
}

void yaml_finish(struct yaml_document *document)
{
    json_decref(document->root);
    json_decref(document->places);
    *document = (struct yaml_document){0};
}

struct yaml_place yaml_place(const struct yaml_document *document, const char *pointer, bool of_key)
{
    const json_t *place = json_object_get(document->places, pointer);
    size_t first = of_key ? 2 : 0;
    return (struct yaml_place){(int)json_integer_value(json_array_get(place, first)),
                               (int)json_integer_value(json_array_get(place, first + 1))};
}

// --- writing ---

static int collect(void *user, unsigned char *bytes, size_t len)
{
    if (!buffer_append(user, bytes, len, NULL))
        abort();
    return 1;
}

static void emit(yaml_emitter_t *emitter, yaml_event_t *event)
{
    if (!yaml_emitter_emit(emitter, event))
        abort();
}

// Whether a text must be quoted: what YAML 1.2 takes for another kind, and what YAML 1.1 readers
// would
// ("yes", dates, 12:30, 1_000).
static bool needs_quotes(const char *text)
{
    static const char *const old[] = {"y", "n", "yes", "no", "on", "off", "=", "<<"};
    for (size_t i = 0; i < sizeof old / sizeof old[0]; i++)
        if (strcasecmp(text, old[i]) == 0)
            return true;
    return kind_of(text) != KIND_TEXT || strchr("0123456789+-.", text[0]);
}

static void emit_scalar(yaml_emitter_t *emitter, const char *text, size_t len,
                        yaml_scalar_style_t style)
{
    yaml_event_t event;
    CLEANUP(free_ptr) char *copy = xstrndup(text, len);
    if (!yaml_scalar_event_initialize(&event, NULL, NULL, (yaml_char_t *)copy, (int)len, 1, 1,
                                      style))
        abort();
    emit(emitter, &event);
}

static void emit_text(yaml_emitter_t *emitter, const char *text, size_t len)
{
    bool lines = strchr(text, '\n') != NULL;
    emit_scalar(emitter, text, len,
                lines                ? YAML_LITERAL_SCALAR_STYLE
                : needs_quotes(text) ? YAML_DOUBLE_QUOTED_SCALAR_STYLE
                                     : YAML_ANY_SCALAR_STYLE);
}

static void emit_value(yaml_emitter_t *emitter, const json_t *value);

static void emit_list(yaml_emitter_t *emitter, const json_t *list)
{
    yaml_event_t event;
    yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE);
    emit(emitter, &event);
    for (size_t i = 0; i < json_array_size(list); i++)
        emit_value(emitter, json_array_get(list, i));
    yaml_sequence_end_event_initialize(&event);
    emit(emitter, &event);
}

static void emit_object(yaml_emitter_t *emitter, const json_t *object)
{
    yaml_event_t event;
    yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE);
    emit(emitter, &event);
    const char *key;
    const json_t *value;
    json_object_foreach(json_unconst(object), key, value)
    {
        emit_text(emitter, key, strlen(key));
        emit_value(emitter, value);
    }
    yaml_mapping_end_event_initialize(&event);
    emit(emitter, &event);
}

static void emit_value(yaml_emitter_t *emitter, const json_t *value)
{
    if (json_is_array(value)) {
        emit_list(emitter, value);
    } else if (json_is_object(value)) {
        emit_object(emitter, value);
    } else if (json_is_string(value)) {
        emit_text(emitter, json_string_value(value), json_string_length(value));
    } else {
        CLEANUP(free_ptr) char *text = json_write(value);
        emit_scalar(emitter, text, strlen(text), YAML_PLAIN_SCALAR_STYLE);
    }
}

char *yaml_write(const json_t *value)
{
    struct buffer text = {0};
    yaml_emitter_t emitter;
    if (!yaml_emitter_initialize(&emitter))
        abort();
    yaml_emitter_set_output(&emitter, collect, &text);
    yaml_emitter_set_unicode(&emitter, 1);
    yaml_emitter_set_width(&emitter, -1);
    yaml_emitter_set_indent(&emitter, 2);
    yaml_event_t event;
    yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING);
    emit(&emitter, &event);
    yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1);
    emit(&emitter, &event);
    emit_value(&emitter, value);
    yaml_document_end_event_initialize(&event, 1);
    emit(&emitter, &event);
    yaml_stream_end_event_initialize(&event);
    emit(&emitter, &event);
    yaml_emitter_delete(&emitter);
    return text.data ? text.data : xstrdup("");
}
