#include "deploy/kube/patch.h"

#include <string.h>

char *patch_pointer(const char *const at[])
{
    size_t room = 1;
    for (size_t i = 0; at[i]; i++)
        room += 1 + 2 * strlen(at[i]); // every character escaped
    char *pointer = xalloc(room);
    char *end = pointer;
    for (size_t i = 0; at[i]; i++) {
        *end++ = '/';
        for (const char *c = at[i]; *c; c++) {
            if (*c == '~' || *c == '/')
                *end++ = '~';
            *end++ = (char)(*c == '~' ? '0' : *c == '/' ? '1' : *c);
        }
    }
    return pointer;
}

json_t *patch_create(void)
{
    return json_array();
}

// Takes `value`.
static void operate(json_t *patch, const char *operation, const char *const at[], json_t *value)
{
    CLEANUP(free_ptr) char *pointer = patch_pointer(at);
    json_array_append_new(
        patch, json_pack("{s:s, s:s, s:o}", "op", operation, "path", pointer, "value", value));
}

void patch_test(json_t *patch, const char *const at[], const char *value)
{
    operate(patch, "test", at, json_string(value));
}

void patch_replace(json_t *patch, const char *const at[], const char *value)
{
    operate(patch, "replace", at, json_string(value));
}

void patch_add(json_t *patch, const char *const at[], const char *value)
{
    operate(patch, "add", at, json_string(value));
}

void patch_remove(json_t *patch, const char *const at[])
{
    CLEANUP(free_ptr) char *pointer = patch_pointer(at);
    json_array_append_new(patch, json_pack("{s:s, s:s}", "op", "remove", "path", pointer));
}

void patch_test_value(json_t *patch, const char *const at[], json_t *value)
{
    operate(patch, "test", at, value);
}

void patch_add_value(json_t *patch, const char *const at[], json_t *value)
{
    operate(patch, "add", at, value);
}

static void set_texts(json_t *patch, const char *map, bool present, const struct annotation pairs[])
{
    if (!present) {
        operate(patch, "test", PATCH_AT("metadata", map), json_null());
        operate(patch, "add", PATCH_AT("metadata", map), json_object());
    }
    for (; pairs->key; pairs++)
        patch_add(patch, PATCH_AT("metadata", map, pairs->key), pairs->value);
}

void patch_annotate(json_t *patch, bool present, const struct annotation annotations[])
{
    set_texts(patch, "annotations", present, annotations);
}

void patch_label(json_t *patch, bool present, const struct annotation labels[])
{
    set_texts(patch, "labels", present, labels);
}
