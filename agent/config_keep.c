// What a reload leaves as it is: the settings that only a restart changes.
#include "agent/base/buffer.h"
#include "agent/config_read.h"

#include <string.h>

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static char *copied(const char *text)
{
    return text ? xstrdup(text) : NULL;
}

// --- values, each type's comparison and copy ---

static bool same_texts(const void *a, const void *b)
{
    return same_text(*(char *const *)a, *(char *const *)b);
}

static void copy_text(const void *from, void *to)
{
    *(char **)to = copied(*(char *const *)from);
}

static bool same_address(const void *a, const void *b)
{
    const struct config_address *one = a, *other = b;
    return same_text(one->unix_path, other->unix_path) && same_text(one->host, other->host) &&
           one->port == other->port;
}

static void copy_address(const void *from, void *to)
{
    const struct config_address *address = from;
    *(struct config_address *)to = (struct config_address){
        .unix_path = copied(address->unix_path), .host = copied(address->host), address->port};
}

static bool same_secret(const void *a, const void *b)
{
    const struct config_secret *one = a, *other = b;
    return same_text(one->path, other->path) && same_text(one->text, other->text);
}

static void copy_secret(const void *from, void *to)
{
    const struct config_secret *secret = from;
    *(struct config_secret *)to =
        (struct config_secret){.path = copied(secret->path), .text = copied(secret->text)};
}

static bool same_json(const void *a, const void *b)
{
    return json_equal(*(json_t *const *)a, *(json_t *const *)b);
}

static void copy_json(const void *from, void *to)
{
    *(json_t **)to = json_deep_copy(*(json_t *const *)from);
}

#define PLAIN(type)                                                                                \
    {                                                                                              \
        .size = sizeof(type)                                                                       \
    }
#define TEXT                                                                                       \
    {                                                                                              \
        sizeof(char *), same_texts, copy_text                                                      \
    }
#define SECRET                                                                                     \
    {                                                                                              \
        sizeof(struct config_secret), same_secret, copy_secret                                     \
    }
#define JSON                                                                                       \
    {                                                                                              \
        sizeof(json_t *), same_json, copy_json                                                     \
    }

// Of lists: of an item.
static const struct {
    size_t size;
    bool (*same)(const void *a, const void *b); // NULL: byte by byte
    void (*copy)(const void *from, void *to);   // likewise
} types[] = {
    [CONFIG_BOOL] = PLAIN(bool),
    [CONFIG_INT] = PLAIN(int64_t),
    [CONFIG_SIZE] = PLAIN(int64_t),
    [CONFIG_DURATION] = PLAIN(int64_t),
    [CONFIG_CHOICE] = PLAIN(int),
    [CONFIG_TEXT] = TEXT,
    [CONFIG_ADDRESS] = {sizeof(struct config_address), same_address, copy_address},
    [CONFIG_PATH] = TEXT,
    [CONFIG_FILE] = TEXT,
    [CONFIG_PROGRAM] = TEXT,
    [CONFIG_SECRET] = SECRET,
    [CONFIG_SECRETS] = SECRET,
    [CONFIG_TEXTS] = TEXT,
    [CONFIG_TEXT_MAP] = JSON,
    [CONFIG_OBJECT] = JSON,
    [CONFIG_OBJECTS] = JSON,
    [CONFIG_RESOURCES] = JSON,
};

static bool same_value(enum config_type type, const void *a, const void *b)
{
    return types[type].same ? types[type].same(a, b) : memcmp(a, b, types[type].size) == 0;
}

static void copy_value(enum config_type type, const void *from, void *to)
{
    if (types[type].copy)
        types[type].copy(from, to);
    else
        memcpy(to, from, types[type].size);
}

// --- settings ---

static size_t item_size(const struct config_setting *setting)
{
    return setting->type == CONFIG_LIST ? setting->item_size : types[setting->type].size;
}

static bool is_list(const struct config_setting *setting)
{
    return setting->type == CONFIG_LIST || setting->type == CONFIG_TEXTS ||
           setting->type == CONFIG_SECRETS;
}

static bool same_setting(const struct config_setting *setting, const void *a, const void *b);
static void copy_setting(const struct config_setting *setting, const void *from, void *to);

static bool same_item(const struct config_setting *setting, const char *a, const char *b)
{
    if (setting->type != CONFIG_LIST)
        return same_value(setting->type, a, b);
    CLEANUP(free_ptr) char *prefix = xasprintf("%s[].", setting->key);
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct config_setting *part = &config_settings[i];
        if (config_in_scope(part, prefix) &&
            !same_setting(part, a + part->offset, b + part->offset))
            return false;
    }
    return true;
}

static void copy_item(const struct config_setting *setting, const char *from, char *to)
{
    if (setting->type != CONFIG_LIST) {
        copy_value(setting->type, from, to);
        return;
    }
    CLEANUP(free_ptr) char *prefix = xasprintf("%s[].", setting->key);
    memcpy(to, from, setting->item_size); // what was derived from its settings, too
    for (size_t i = 0; i < config_setting_count; i++)
        if (config_in_scope(&config_settings[i], prefix))
            copy_setting(&config_settings[i], from + config_settings[i].offset,
                         to + config_settings[i].offset);
}

static bool same_setting(const struct config_setting *setting, const void *a, const void *b)
{
    struct config_list one, other;
    if (!is_list(setting))
        return same_value(setting->type, a, b);
    memcpy(&one, a, sizeof one);
    memcpy(&other, b, sizeof other);
    size_t size = item_size(setting);
    for (size_t i = 0; i < one.count && i < other.count; i++)
        if (!same_item(setting, (char *)one.items + i * size, (char *)other.items + i * size))
            return false;
    return one.count == other.count;
}

static void copy_setting(const struct config_setting *setting, const void *from, void *to)
{
    struct config_list list;
    if (!is_list(setting)) {
        copy_value(setting->type, from, to);
        return;
    }
    memcpy(&list, from, sizeof list);
    size_t size = item_size(setting);
    struct config_list copy = {.items = xalloc(list.count * size), .count = list.count};
    for (size_t i = 0; i < list.count; i++)
        copy_item(setting, (char *)list.items + i * size, (char *)copy.items + i * size);
    memcpy(to, &copy, sizeof copy);
}

void config_keep(struct config *fresh, const struct config *old,
                 void (*kept)(void *user, const char *key), void *user)
{
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct config_setting *setting = &config_settings[i];
        void *field = (char *)fresh + setting->offset;
        const void *present = (const char *)old + setting->offset;
        if (!config_in_scope(setting, "") || !setting->restart ||
            same_setting(setting, field, present))
            continue;
        config_setting_finish(setting, field);
        copy_setting(setting, present, field);
        kept(user, setting->key);
    }
}
