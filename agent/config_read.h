// From YAML values to the fields of struct config, by the table.
#ifndef CRONWRIGHT_CONFIG_READ_H
#define CRONWRIGHT_CONFIG_READ_H

#include "agent/base/yaml.h"
#include "agent/config_table.h"

struct config_load {
    struct yaml_document document;
    char *directory; // relative paths start here
    struct config_errors *errors;
};

// Reads every setting whose key starts with `prefix` ("", or a list's "key[].") from the object at
// a JSON Pointer into the struct at `base`. Whatever is wrong goes to the errors.
void config_scope_read(struct config_load *load, const char *prefix, const json_t *object,
                       const char *pointer, void *base);
void config_scope_finish(const char *prefix, void *base);
// Frees one setting's value.
void config_setting_finish(const struct config_setting *setting, void *field);
// Whether a setting is a direct part of a scope: not of a list within it, and no group.
bool config_in_scope(const struct config_setting *setting, const char *prefix);

// Gives `fresh` the values that `old` has of the settings which only a restart changes, and tells
// of each that differed.
void config_keep(struct config *fresh, const struct config *old,
                 void (*kept)(void *user, const char *key), void *user);

// What all lists of the settings look like.
struct config_list {
    void *items;
    size_t count;
};

// config_git.c: what no single setting of git shows.
void config_check_git(struct config_load *load, const struct config *config);

// Adds an error about the value, or the key, at a JSON Pointer: "admin.tokens[0].role: <text>".
void config_fail(struct config_load *load, const char *pointer, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
// Adds an error as it is.
void config_errors_add(struct config_errors *errors, struct yaml_place place, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

// config_kaniko.c: adds an error for each of builds.extraArgs that would break a build's contract:
// where its context, image, digest and log are.
void config_check_kaniko_options(struct config_load *load, const struct config_texts *options);

#endif
