// The files that hold secrets.
#include "agent/config_table.h"

#include <string.h>

// Read as secrets are, but everybody may know them.
static bool is_public(const char *key)
{
    static const char *const keys[] = {"git.credentials[].knownHostsFile",
                                       "context.certificateFile"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

struct teller {
    void (*each)(void *user, const char *key, const char *path);
    void *user;
};

// `base` is the struct that the setting's offset counts from.
static void tell(const struct teller *teller, const struct config_setting *setting,
                 const char *base)
{
    const void *value = base + setting->offset;
    const struct config_secret *items = value;
    size_t count = 1;
    if (setting->type == CONFIG_SECRETS) {
        const struct config_secrets *list = value;
        items = list->items;
        count = list->count;
    }
    for (size_t i = 0; i < count; i++)
        if (*items[i].path)
            teller->each(teller->user, setting->key, items[i].path);
}

// As every list is laid out.
struct list {
    const char *items;
    size_t count;
};

static void tell_items(const struct teller *teller, const struct config *config,
                       const struct config_setting *setting, size_t list_len)
{
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct config_setting *parent = &config_settings[i];
        if (parent->type != CONFIG_LIST || strlen(parent->key) != list_len ||
            strncmp(parent->key, setting->key, list_len) != 0)
            continue;
        struct list list;
        memcpy(&list, (const char *)config + parent->offset, sizeof list);
        for (size_t j = 0; j < list.count; j++)
            tell(teller, setting, list.items + j * parent->item_size);
    }
}

void config_secret_files(const struct config *config,
                         void (*each)(void *user, const char *key, const char *path), void *user)
{
    struct teller teller = {each, user};
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct config_setting *setting = &config_settings[i];
        bool secret = setting->type == CONFIG_SECRET || setting->type == CONFIG_SECRETS;
        if (!secret || is_public(setting->key))
            continue;
        const char *item = strstr(setting->key, "[]");
        if (item)
            tell_items(&teller, config, setting, (size_t)(item - setting->key));
        else
            tell(&teller, setting, (const char *)config);
    }
}
