// The table of settings, between config.c and config_doc.c.
#ifndef CRONWRIGHT_CONFIG_TABLE_H
#define CRONWRIGHT_CONFIG_TABLE_H

#include "agent/config.h"

enum config_type {
    CONFIG_GROUP,     // has no value of its own: help for the keys below it
    CONFIG_BOOL,      // bool
    CONFIG_INT,       // int64_t
    CONFIG_SIZE,      // int64_t: bytes
    CONFIG_DURATION,  // int64_t: milliseconds
    CONFIG_CHOICE,    // an enum: index into the words
    CONFIG_TEXT,      // char *
    CONFIG_ADDRESS,   // struct config_address
    CONFIG_PATH,      // char *
    CONFIG_FILE,      // char *: a file that can be read, or ""
    CONFIG_PROGRAM,   // char *: a file that can be run; "": cronwright-git where it was installed
    CONFIG_SECRET,    // struct config_secret
    CONFIG_SECRETS,   // struct config_secrets
    CONFIG_TEXTS,     // struct config_texts
    CONFIG_TEXT_MAP,  // json_t *: object of texts
    CONFIG_OBJECT,    // json_t *: object of anything
    CONFIG_OBJECTS,   // json_t *: list of objects
    CONFIG_RESOURCES, // json_t *: as in a container's spec
    CONFIG_LIST,      // items of the struct that the rows with this key and "[]" describe
};

// What a text must look like; "" is always good where it is the default.
struct config_form {
    bool (*matches)(const char *text);
    const char *wants; // "an image such as …"
};

struct config_setting {
    const char *key; // dotted; "[]" stands for each item of a list
    enum config_type type;
    size_t offset;        // in struct config, or in the item
    const char *standard; // default, as written in the file; NULL: must be given
    int64_t min, max; // of numbers; of texts and lists: bytes or items, max 0 being the common cap
    const char *const *words;       // of choices, ended by NULL
    const struct config_form *form; // of a text, or of each of a list of texts; NULL: any
    size_t item_size;               // of lists
    bool restart;                   // a reload leaves it as it is
    bool may_be_off;                // of an address: "" is none
    const char *help;               // sentences
    const char *example;            // shown in the example file in place of the default
};

extern const struct config_setting config_settings[]; // in the order of the example file
extern const size_t config_setting_count;

// Units of a type's amounts, largest first, ended by a NULL name; numbers have the one unit "".
struct config_unit {
    const char *name;
    int64_t factor;
};
const struct config_unit *config_units(enum config_type type);

// A number, duration or size as written in the file, in its largest whole unit: "5m", "25MiB".
#define CONFIG_AMOUNT_SIZE 32
void config_amount(enum config_type type, int64_t value, char out[static CONFIG_AMOUNT_SIZE]);

#endif
