#include "agent/config_read.h"
#include "agent/base/file.h"
#include "agent/base/printable.h"
#include "agent/base/text.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CONFIG_ERROR_TEXT 512

#ifndef CRONWRIGHT_GIT_HELPER
#error "the build says where cronwright-git is installed"
#endif

// What all lists of the settings look like.
struct list {
    void *items;
    size_t count;
};
static_assert(sizeof(struct list) == sizeof(struct config_texts) &&
                  sizeof(struct list) == sizeof(struct config_secrets),
              "lists differ");

// --- errors ---

void config_errors_add(struct config_errors *errors, struct yaml_place place, const char *fmt, ...)
{
    if (errors->count == CONFIG_ERRORS_MAX)
        return;
    char raw[CONFIG_ERROR_TEXT], text[CONFIG_ERROR_TEXT];
    va_list args;
    va_start(args, fmt);
    vsnprintf(raw, sizeof raw, fmt, args);
    va_end(args);
    printable_copy(text, sizeof text, raw, strlen(raw));
    struct config_error *items =
        xrealloc(errors->items, (errors->count + 1) * sizeof *errors->items);
    size_t at = errors->count++;
    // In order of place; those without one last.
    for (; at > 0 && place.line &&
           (items[at - 1].line == 0 || items[at - 1].line > place.line ||
            (items[at - 1].line == place.line && items[at - 1].column > place.column));
         at--)
        items[at] = items[at - 1];
    items[at] = (struct config_error){place.line, place.column, xstrdup(text)};
    errors->items = items;
}

// "/admin/tokens/0/role" → "admin.tokens[0].role"
static char *name_of(const char *pointer)
{
    struct buffer name = {0};
    bool ok = true;
    while (*pointer == '/') {
        size_t len = strcspn(++pointer, "/");
        bool index = len > 0 && strspn(pointer, "0123456789") == len;
        ok = ok && buffer_printf(&name, NULL,
                                 index      ? "[%.*s]"
                                 : name.len ? ".%.*s"
                                            : "%.*s",
                                 (int)len, pointer);
        pointer += len;
    }
    if (!ok)
        abort();
    return name.data ? name.data : xstrdup("");
}

// Of the value, or of what it is missing from; none for what is not in the file at all.
static struct yaml_place place_of(const struct config_load *load, const char *pointer)
{
    CLEANUP(free_ptr) char *at = xstrdup(pointer);
    struct yaml_place place = {0, 0};
    for (char *last; *at && place.line == 0; *last = '\0') {
        place = yaml_place(&load->document, at, false);
        last = strrchr(at, '/');
    }
    return place;
}

void config_fail(struct config_load *load, const char *pointer, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char text[CONFIG_ERROR_TEXT];
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    CLEANUP(free_ptr) char *name = name_of(pointer);
    config_errors_add(load->errors, place_of(load, pointer), "%s: %s", name, text);
}

// --- unknown keys ---

// The nearest key of the same group, else the full name of one that has its place elsewhere; the
// caller frees. NULL: none is near.
static char *nearest_key(const char *group, const char *key)
{
    const char **siblings = xalloc((config_setting_count + 1) * sizeof *siblings);
    const char **others = xalloc((config_setting_count + 1) * sizeof *others);
    char **names = xalloc(config_setting_count * sizeof *names);
    size_t sibling_count = 0;
    for (size_t i = 0; i < config_setting_count; i++) {
        const char *full = config_settings[i].key;
        const char *last = strrchr(full, '.');
        others[i] = last ? last + 1 : full;
        const char *rest = text_starts(full, group) ? full + strlen(group) : "";
        names[i] = xstrndup(rest, strcspn(rest, ".["));
        if (*names[i])
            siblings[sibling_count++] = names[i];
    }
    const char *near = text_nearest(key, siblings);
    char *found = near ? xstrdup(near) : NULL;
    near = found ? NULL : text_nearest(key, others);
    for (size_t i = 0; i < config_setting_count; i++) {
        if (near == others[i])
            found = xstrdup(config_settings[i].key);
        free(names[i]);
    }
    free(names);
    free(siblings);
    free(others);
    return found;
}

static void unknown_key(struct config_load *load, const char *pointer, const char *key,
                        const char *near)
{
    struct buffer escaped = {0};
    for (const char *at = key; *at; at++)
        if (!buffer_printf(&escaped, NULL, *at == '~' ? "~0" : *at == '/' ? "~1" : "%c", *at))
            abort();
    CLEANUP(free_ptr) char *of_key = xasprintf("%s/%s", pointer, buffer_text(&escaped));
    buffer_finish(&escaped);
    CLEANUP(free_ptr) char *name = name_of(pointer);
    config_errors_add(load->errors, yaml_place(&load->document, of_key, true),
                      "%s%sunknown key \"%s\"%s%s%s", name, *name ? ": " : "", key,
                      near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

enum place_in_table { KEY_UNKNOWN, KEY_SETTING, KEY_GROUP };

static enum place_in_table look_up(const char *full)
{
    size_t len = strlen(full);
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct config_setting *setting = &config_settings[i];
        if (!text_starts(setting->key, full))
            continue;
        if (setting->key[len] == '\0' && setting->type != CONFIG_GROUP)
            return KEY_SETTING;
        if (setting->key[len] == '.')
            return KEY_GROUP;
    }
    return KEY_UNKNOWN;
}

// `group` is the part of the table's keys before those of `object`: "", "webhooks.", "allow[].".
static void check_keys(struct config_load *load, const char *group, const json_t *object,
                       const char *pointer)
{
    const char *key;
    const json_t *value;
    json_object_foreach(json_unconst(object), key, value)
    {
        CLEANUP(free_ptr) char *full = xasprintf("%s%s", group, key);
        CLEANUP(free_ptr) char *inner = xasprintf("%s.", full);
        CLEANUP(free_ptr) char *below = xasprintf("%s/%s", pointer, key);
        enum place_in_table place = strpbrk(key, ".[]") ? KEY_UNKNOWN : look_up(full);
        if (place == KEY_UNKNOWN) {
            CLEANUP(free_ptr) char *near = nearest_key(group, key);
            unknown_key(load, pointer, key, near);
        } else if (place == KEY_GROUP && json_is_object(value)) {
            check_keys(load, inner, value, below);
        } else if (place == KEY_GROUP && !json_is_null(value)) {
            config_fail(load, below, "must be a group of settings");
        }
    }
}

// --- values, one reader for each type ---

// The arguments of every reader.
struct reading {
    struct config_load *load;
    const struct config_setting *setting;
    const char *pointer;
};

#define FAIL(reading, ...) config_fail((reading)->load, (reading)->pointer, __VA_ARGS__)

static void read_bool(const struct reading *reading, const json_t *value, void *field)
{
    if (!json_is_boolean(value))
        FAIL(reading, "must be true or false");
    else
        *(bool *)field = json_is_true(value);
}

static bool parse_amount(const char *text, const struct config_unit *unit, int64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    CLEANUP(free_ptr) char *number = xstrndup(text, digits);
    while (unit->name && strcmp(unit->name, text + digits) != 0)
        unit++;
    return unit->name && text_to_int(number, 0, INT64_MAX / unit->factor, out) &&
           !__builtin_mul_overflow(*out, unit->factor, out);
}

// Numbers, durations and sizes; a size may be a plain number of bytes, a duration has a unit.
static void read_amount(const struct reading *reading, const json_t *value, void *field)
{
    static const char *const wants[] = {
        [CONFIG_INT] = "a whole number",
        [CONFIG_SIZE] = "a size such as 900KiB or 25MiB",
        [CONFIG_DURATION] = "a duration such as 10s, 5m or 1h",
    };
    const struct config_setting *setting = reading->setting;
    int64_t amount = 0;
    bool ok = json_is_integer(value) ? setting->type != CONFIG_DURATION
              : json_is_string(value)
                  ? setting->type != CONFIG_INT &&
                        parse_amount(json_string_value(value), config_units(setting->type), &amount)
                  : false;
    if (!ok) {
        FAIL(reading, "must be %s", wants[setting->type]);
        return;
    }
    if (json_is_integer(value))
        amount = json_integer_value(value);
    if (amount < setting->min || amount > setting->max) {
        char min[CONFIG_AMOUNT_SIZE], max[CONFIG_AMOUNT_SIZE];
        config_amount(setting->type, setting->min, min);
        config_amount(setting->type, setting->max, max);
        FAIL(reading, "must be from %s to %s", min, max);
        return;
    }
    *(int64_t *)field = amount;
}

static void read_choice(const struct reading *reading, const json_t *value, void *field)
{
    const char *const *words = reading->setting->words;
    CLEANUP(buffer_finish) struct buffer all = {0};
    for (int i = 0; words[i]; i++) {
        if (json_is_string(value) && strcmp(json_string_value(value), words[i]) == 0) {
            memcpy(field, &i, sizeof i);
            return;
        }
        if (!buffer_printf(&all, NULL, "%s%s", i ? ", " : "", words[i]))
            abort();
    }
    const char *near = json_is_string(value) ? text_nearest(json_string_value(value), words) : NULL;
    FAIL(reading, "must be one of %s%s%s%s", buffer_text(&all), near ? "; did you mean \"" : "",
         near ? near : "", near ? "\"?" : "");
}

// A text within its bounds and of its form; NULL when it is not.
static const char *text_of(const struct reading *reading, const json_t *value)
{
    const struct config_setting *setting = reading->setting;
    const char *text = json_string_value(value);
    if (!text) {
        FAIL(reading, "must be a text%s",
             json_is_number(value) || json_is_boolean(value) ? ": put it in quotes" : "");
        return NULL;
    }
    size_t max =
        setting->max > 0 && setting->type == CONFIG_TEXT ? (size_t)setting->max : CONFIG_TEXT_MAX;
    if (strlen(text) > max) {
        FAIL(reading, "longer than %zu bytes", max);
        return NULL;
    }
    for (const char *at = text; *at; at++)
        if (iscntrl((unsigned char)*at)) {
            FAIL(reading, "has a control character");
            return NULL;
        }
    return text;
}

static bool may_be_empty(const struct config_setting *setting)
{
    return setting->standard && strcmp(setting->standard, "\"\"") == 0;
}

static void read_text(const struct reading *reading, const json_t *value, void *field)
{
    const struct config_setting *setting = reading->setting;
    const char *text = text_of(reading, value);
    if (!text)
        return;
    if (*text == '\0' ? may_be_empty(setting) : !setting->form || setting->form->matches(text))
        *(char **)field = xstrdup(text);
    else
        FAIL(reading, "must be %s",
             setting->form ? setting->form->wants : "a text that is not empty");
}

static void read_address(const struct reading *reading, const json_t *value, void *field)
{
    struct config_address *address = field;
    const char *text = text_of(reading, value);
    if (!text)
        return;
    if (text_starts(text, "unix:")) {
        if (text[5] != '/' || strlen(text + 5) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
            FAIL(reading, "must have a full path of at most 107 bytes after unix:");
        else
            address->unix_path = xstrdup(text + 5);
        return;
    }
    const char *colon = strrchr(text, ':');
    int64_t port;
    size_t len = colon ? (size_t)(colon - text) : 0;
    bool six = len > 2 && text[0] == '[' && text[len - 1] == ']';
    CLEANUP(free_ptr) char *host = six ? xstrndup(text + 1, len - 2) : xstrndup(text, len);
    if (!*host || strpbrk(host, six ? "[]/ " : ":[]/ ") ||
        !text_to_int(colon + 1, 0, 65535, &port)) {
        FAIL(reading, "must be host:port, [address]:port or unix:/path");
        return;
    }
    address->host = TAKE(host);
    address->port = (uint16_t)port;
}

// --- files ---

static char *full_path(const struct reading *reading, const char *text)
{
    return *text == '/' || *text == '\0' ? xstrdup(text)
                                         : xasprintf("%s/%s", reading->load->directory, text);
}

static void read_path(const struct reading *reading, const json_t *value, void *field)
{
    const char *text = text_of(reading, value);
    if (text && !*text && !may_be_empty(reading->setting))
        FAIL(reading, "must not be empty");
    else if (text)
        *(char **)field = full_path(reading, text);
}

static void check_file(const struct reading *reading, const char *path, int mode)
{
    struct stat found;
    if (!path || !*path)
        return;
    if (stat(path, &found) != 0 || access(path, mode) != 0)
        FAIL(reading, "%s: %s", path, strerrordesc_np(errno));
    else if (!S_ISREG(found.st_mode))
        FAIL(reading, "%s: not a file", path);
}

static void read_file(const struct reading *reading, const json_t *value, void *field)
{
    read_path(reading, value, field);
    check_file(reading, *(char **)field, R_OK);
}

static void read_program(const struct reading *reading, const json_t *value, void *field)
{
    char **path = field;
    read_path(reading, value, field);
    if (*path && !**path) {
        free(*path);
        *path = xstrdup(CRONWRIGHT_GIT_HELPER);
    }
    check_file(reading, *path, X_OK);
}

static void read_secret(const struct reading *reading, const json_t *value, void *field)
{
    struct config_secret *secret = field;
    struct error err;
    read_path(reading, value, &secret->path);
    if (secret->path && *secret->path && !secret_file_read(secret->path, &secret->text, &err))
        FAIL(reading, "%s", err.text);
}

// --- lists and free forms ---

// Room for the items of a list; the field owns them at once. NULL when it is no list or too long.
static void *list_begin(const struct reading *reading, const json_t *value, size_t item_size,
                        void *field)
{
    const struct config_setting *setting = reading->setting;
    if (!json_is_array(value)) {
        FAIL(reading, "must be a list");
        return NULL;
    }
    struct list list = {.count = json_array_size(value)};
    if (list.count < (size_t)setting->min) {
        FAIL(reading, "must not be empty");
        return NULL;
    }
    if (list.count > CONFIG_LIST_MAX) {
        FAIL(reading, "more than %d items", CONFIG_LIST_MAX);
        return NULL;
    }
    list.items = xalloc(list.count * item_size);
    memcpy(field, &list, sizeof list);
    return list.items;
}

// Reads each item of a list by `read`.
static void read_each(const struct reading *reading, const json_t *value, size_t item_size,
                      void (*read)(const struct reading *, const json_t *, void *), void *field)
{
    char *item = list_begin(reading, value, item_size, field);
    for (size_t i = 0; item && i < json_array_size(value); i++, item += item_size) {
        CLEANUP(free_ptr) char *pointer = xasprintf("%s/%zu", reading->pointer, i);
        struct reading of_item = *reading;
        of_item.pointer = pointer;
        read(&of_item, json_array_get(value, i), item);
    }
}

static void read_texts(const struct reading *reading, const json_t *value, void *field)
{
    read_each(reading, value, sizeof(char *), read_text, field);
}

static void read_secrets(const struct reading *reading, const json_t *value, void *field)
{
    read_each(reading, value, sizeof(struct config_secret), read_secret, field);
}

static void read_item(const struct reading *reading, const json_t *value, void *item)
{
    if (!json_is_object(value)) {
        FAIL(reading, "must be a group of settings");
        return;
    }
    CLEANUP(free_ptr) char *prefix = xasprintf("%s[].", reading->setting->key);
    config_scope_read(reading->load, prefix, value, reading->pointer, item);
}

static void read_list(const struct reading *reading, const json_t *value, void *field)
{
    read_each(reading, value, reading->setting->item_size, read_item, field);
}

// A new object of texts; numbers become texts, as Kubernetes takes quantities, unless the texts
// have a form.
static json_t *text_map(const struct reading *reading, const json_t *value)
{
    if (!json_is_object(value)) {
        FAIL(reading, "must be a map of texts");
        return NULL;
    }
    CLEANUP(json_ptr) json_t *map = json_object();
    const char *key;
    const json_t *item;
    json_object_foreach(json_unconst(value), key, item)
    {
        const struct config_form *form = reading->setting->form;
        const char *text = json_string_value(item);
        if ((!text && !json_is_number(item)) || (form && !text)) {
            FAIL(reading, "\"%s\" must be a text", key);
            return NULL;
        }
        if (form && !form->matches(text)) {
            FAIL(reading, "\"%s\" must be %s", key, form->wants);
            return NULL;
        }
        CLEANUP(free_ptr) char *number = json_is_number(item) ? json_write(item) : NULL;
        json_object_set_new(map, key, json_string(number ? number : json_string_value(item)));
    }
    return TAKE(map);
}

static void read_text_map(const struct reading *reading, const json_t *value, void *field)
{
    *(json_t **)field = text_map(reading, value);
}

static void read_object(const struct reading *reading, const json_t *value, void *field)
{
    if (json_is_object(value))
        *(json_t **)field = json_deep_copy(value);
    else
        FAIL(reading, "must be an object");
}

static void read_objects(const struct reading *reading, const json_t *value, void *field)
{
    bool ok = json_is_array(value);
    for (size_t i = 0; ok && i < json_array_size(value); i++)
        ok = json_is_object(json_array_get(value, i));
    if (ok)
        *(json_t **)field = json_deep_copy(value);
    else
        FAIL(reading, "must be a list of objects");
}

static void read_resources(const struct reading *reading, const json_t *value, void *field)
{
    static const char *const parts[] = {"requests", "limits", NULL};
    if (!json_is_object(value)) {
        FAIL(reading, "must have requests and limits");
        return;
    }
    json_t *resources = json_object();
    *(json_t **)field = resources;
    const char *key;
    const json_t *part;
    json_object_foreach(json_unconst(value), key, part)
    {
        CLEANUP(free_ptr) char *pointer = xasprintf("%s/%s", reading->pointer, key);
        struct reading of_part = *reading;
        of_part.pointer = pointer;
        if (strcmp(key, parts[0]) != 0 && strcmp(key, parts[1]) != 0)
            unknown_key(reading->load, reading->pointer, key, text_nearest(key, parts));
        else
            json_object_set_new(resources, key, text_map(&of_part, part));
    }
}

// --- setting by setting ---

static void free_address(void *field)
{
    struct config_address *address = field;
    free(address->host);
    free(address->unix_path);
}

static void free_secret(void *field)
{
    struct config_secret *secret = field;
    free(secret->path);
    secret_free(secret->text);
}

static void free_json(void *field)
{
    json_decref(*(json_t **)field);
}

static const struct {
    void (*read)(const struct reading *reading, const json_t *value, void *field);
    void (*finish)(void *field); // NULL: nothing to free; of lists: of an item
    size_t item_size;            // of lists of one type
} types[] = {
    [CONFIG_BOOL] = {read_bool, NULL, 0},
    [CONFIG_INT] = {read_amount, NULL, 0},
    [CONFIG_SIZE] = {read_amount, NULL, 0},
    [CONFIG_DURATION] = {read_amount, NULL, 0},
    [CONFIG_CHOICE] = {read_choice, NULL, 0},
    [CONFIG_TEXT] = {read_text, free_ptr, 0},
    [CONFIG_ADDRESS] = {read_address, free_address, 0},
    [CONFIG_PATH] = {read_path, free_ptr, 0},
    [CONFIG_FILE] = {read_file, free_ptr, 0},
    [CONFIG_PROGRAM] = {read_program, free_ptr, 0},
    [CONFIG_SECRET] = {read_secret, free_secret, 0},
    [CONFIG_SECRETS] = {read_secrets, free_secret, sizeof(struct config_secret)},
    [CONFIG_TEXTS] = {read_texts, free_ptr, sizeof(char *)},
    [CONFIG_TEXT_MAP] = {read_text_map, free_json, 0},
    [CONFIG_OBJECT] = {read_object, free_json, 0},
    [CONFIG_OBJECTS] = {read_objects, free_json, 0},
    [CONFIG_RESOURCES] = {read_resources, free_json, 0},
    [CONFIG_LIST] = {read_list, NULL, 0},
};

// Whether a setting is a direct part of a scope: not of a list within it.
static bool in_scope(const struct config_setting *setting, const char *prefix)
{
    return text_starts(setting->key, prefix) && !strstr(setting->key + strlen(prefix), "[]") &&
           setting->type != CONFIG_GROUP;
}

static void read_default(const struct reading *reading, void *field)
{
    const char *standard = reading->setting->standard;
    struct yaml_document document;
    if (!yaml_read(standard, strlen(standard), CONFIG_FILE_MAX, &document, NULL))
        abort();
    types[reading->setting->type].read(reading, document.root, field);
    yaml_finish(&document);
}

static void read_setting(struct config_load *load, const struct config_setting *setting,
                         const char *rest, const json_t *object, const char *scope, void *base)
{
    CLEANUP(free_ptr) char *pointer = xasprintf("%s/%s", scope, rest);
    for (char *dot = pointer + strlen(scope); (dot = strchr(dot, '.'));)
        *dot = '/';
    const json_t *value = object;
    for (const char *name = pointer + strlen(scope); *name;) {
        size_t len = strcspn(++name, "/");
        value = json_object_getn(value, name, len);
        name += len;
    }
    struct reading reading = {load, setting, pointer};
    void *field = (char *)base + setting->offset;
    if (value && !json_is_null(value))
        types[setting->type].read(&reading, value, field);
    else if (setting->standard)
        read_default(&reading, field);
    else
        FAIL(&reading, "is required");
}

void config_scope_read(struct config_load *load, const char *prefix, const json_t *object,
                       const char *pointer, void *base)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (in_scope(&config_settings[i], prefix))
            read_setting(load, &config_settings[i], config_settings[i].key + strlen(prefix), object,
                         pointer, base);
    check_keys(load, prefix, object, pointer);
}

static void finish_setting(const struct config_setting *setting, void *field)
{
    size_t item_size =
        setting->type == CONFIG_LIST ? setting->item_size : types[setting->type].item_size;
    if (item_size == 0) {
        if (types[setting->type].finish)
            types[setting->type].finish(field);
        return;
    }
    CLEANUP(free_ptr) char *prefix = xasprintf("%s[].", setting->key);
    struct list list;
    memcpy(&list, field, sizeof list);
    for (size_t i = 0; i < list.count; i++) {
        void *item = (char *)list.items + i * item_size;
        if (setting->type == CONFIG_LIST)
            config_scope_finish(prefix, item);
        else
            types[setting->type].finish(item);
    }
    free(list.items);
}

void config_scope_finish(const char *prefix, void *base)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (in_scope(&config_settings[i], prefix))
            finish_setting(&config_settings[i], (char *)base + config_settings[i].offset);
}
