// payload_read() against jansson: the same verdict on what is JSON, the same values.
#include "agent/base/buffer.h"
#include "agent/base/json.h"
#include "agent/base/printable.h"
#include "webhooks/payload.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct target {
    char ref[64];
    char after[65];
    bool deleted;
    char clone_url[64];
    char message[40];
    char author[20];
    char last_id[65];
    char last_message[40];
    char last_author[20];
};

#define TEXT(member) offsetof(struct target, member), sizeof((struct target *)0)->member, NULL

enum { REPOSITORY, HEAD_COMMIT, AUTHOR, COMMITS, COMMIT_AUTHOR };

static const struct payload_field fields[] = {
    [REPOSITORY] = {"repository", PAYLOAD_ROOT, PAYLOAD_OBJECT, 0, 0, NULL},
    [HEAD_COMMIT] = {"head_commit", PAYLOAD_ROOT, PAYLOAD_OBJECT, 0, 0, NULL},
    [AUTHOR] = {"author", HEAD_COMMIT, PAYLOAD_OBJECT, 0, 0, NULL},
    [COMMITS] = {"commits", PAYLOAD_ROOT, PAYLOAD_LIST, 0, 0, NULL},
    [COMMIT_AUTHOR] = {"author", COMMITS, PAYLOAD_OBJECT, 0, 0, NULL},
    {"ref", PAYLOAD_ROOT, PAYLOAD_TEXT, TEXT(ref)},
    {"after", PAYLOAD_ROOT, PAYLOAD_TEXT, TEXT(after)},
    {"deleted", PAYLOAD_ROOT, PAYLOAD_FLAG, offsetof(struct target, deleted), 0, NULL},
    {"clone_url", REPOSITORY, PAYLOAD_TEXT, TEXT(clone_url)},
    {"message", HEAD_COMMIT, PAYLOAD_LINE, TEXT(message)},
    {"name", AUTHOR, PAYLOAD_LINE, TEXT(author)},
    {"id", COMMITS, PAYLOAD_TEXT, TEXT(last_id)},
    {"message", COMMITS, PAYLOAD_LINE, TEXT(last_message)},
    {"name", COMMIT_AUTHOR, PAYLOAD_LINE, TEXT(last_author)},
};

#define FIELD_COUNT (sizeof fields / sizeof fields[0])

static void expect(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "payload: %s\n", what);
    abort();
}

// --- the same by jansson ---
static void fill_object(const json_t *object, int parent, struct target *out, bool *fits);

static void forget(int parent, struct target *out)
{
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (fields[i].parent != parent)
            continue;
        if (fields[i].kind == PAYLOAD_OBJECT || fields[i].kind == PAYLOAD_LIST)
            forget((int)i, out);
        else
            memset((char *)out + fields[i].offset, 0, fields[i].room ? fields[i].room : 1);
    }
}

static void fill_list(const json_t *list, int node, struct target *out, bool *fits)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (!json_is_object(json_array_get(list, i)))
            continue;
        forget(node, out);
        fill_object(json_array_get(list, i), node, out, fits);
    }
}

static bool fill_text(const json_t *value, const struct payload_field *field, char *out)
{
    const char *text = json_string_value(value);
    size_t len = text ? strlen(text) : 0;
    if (!text)
        return false;
    if (field->kind == PAYLOAD_LINE)
        printable_copy(out, field->room, text, strcspn(text, "\n"));
    else if (len < field->room)
        memcpy(out, text, len + 1);
    else
        return false;
    return true;
}

static void fill_object(const json_t *object, int parent, struct target *out, bool *fits)
{
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const struct payload_field *field = &fields[i];
        const json_t *value = field->parent == parent ? json_object_get(object, field->name) : NULL;
        char *at = (char *)out + field->offset;
        if (!value || json_is_null(value))
            continue;
        if (field->kind == PAYLOAD_OBJECT && json_is_object(value))
            fill_object(value, (int)i, out, fits);
        else if (field->kind == PAYLOAD_LIST && json_is_array(value))
            fill_list(value, (int)i, out, fits);
        else if (field->kind == PAYLOAD_FLAG && json_is_boolean(value))
            *(bool *)at = json_is_true(value);
        else if ((field->kind != PAYLOAD_TEXT && field->kind != PAYLOAD_LINE) ||
                 !fill_text(value, field, at))
            *fits = false;
    }
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t depth_of(const json_t *value)
{
    size_t deepest = 0;
    const char *key;
    json_t *child;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)value, key, child) deepest =
        larger(deepest, depth_of(child));
    json_array_foreach(value, i, child) deepest = larger(deepest, depth_of(child));
    return deepest + (json_is_object(value) || json_is_array(value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *json = (const char *)data;
    struct target out = {0};
    struct error shape, err = {0};
    bool taken = payload_read(json, size, fields, FIELD_COUNT, &out, &shape, &err);

    json_error_t strict_error;
    CLEANUP(json_ptr)
    json_t *strict = json_loadb(json, size, JSON_REJECT_DUPLICATES, &strict_error);
    CLEANUP(json_ptr) json_t *lenient = json_loadb(json, size, 0, NULL);
    bool repeats = !strict && json_error_code(&strict_error) == json_error_duplicate_key;
    expect(taken || err.code == ERR_INVALID, "refused without saying so");
    expect(!taken || lenient, "taken, but jansson refuses it");
    expect(!taken || strict || repeats, "taken, but jansson refuses it for more than a key");
    if (!taken)
        expect(!json_is_object(strict) || depth_of(strict) > PAYLOAD_DEPTH_MAX ||
                   memchr(json, '\0', size), // jansson 2.14 passes over one between tokens
               "refused, but jansson takes it");
    if (taken) {
        struct target want = {0};
        bool fits = true;
        expect(json_is_object(lenient), "taken, but no object");
        fill_object(lenient, PAYLOAD_ROOT, &want, &fits);
        for (size_t i = 0; i < FIELD_COUNT; i++)
            if (fields[i].room)
                expect(strcmp((char *)&out + fields[i].offset, (char *)&want + fields[i].offset) ==
                           0,
                       "another text than jansson's");
        expect(out.deleted == want.deleted, "another flag than jansson's");
        expect(fits == (shape.code == ERR_NONE), "another judgement of the shape");
    }
    return 0;
}
