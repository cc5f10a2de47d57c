#include "deploy/document_path.h"
#include "agent/base/text.h"
#include "deploy/quantity.h"

#include <string.h>

#define STEP_MAX 128 // bytes of one name

// The first step of a path, and what follows it ("" at the end).
static const char *first_step(const char *path, char step[static STEP_MAX])
{
    size_t len = strcspn(path, ".");
    size_t used = len < STEP_MAX ? len : STEP_MAX - 1;
    memcpy(step, path, used);
    step[used] = '\0';
    return path[len] ? path + len + 1 : path + len;
}

static json_t *child(const json_t *parent, const char *step)
{
    int64_t index;
    if (json_is_array(parent))
        return text_to_int(step, 0, INT32_MAX, &index) ? json_array_get(parent, (size_t)index)
                                                       : NULL;
    return json_object_get(parent, step);
}

json_t *path_get(const json_t *root, const char *path)
{
    char step[STEP_MAX];
    json_t *at = json_unconst(root);
    while (at && *path) {
        path = first_step(path, step);
        at = child(at, step);
    }
    return at;
}

static void put(json_t *parent, const char *step, json_t *value)
{
    int64_t index;
    if (json_is_object(parent))
        json_object_set_new(parent, step, value);
    else if (text_to_int(step, 0, INT32_MAX, &index) && (size_t)index < json_array_size(parent))
        json_array_set_new(parent, (size_t)index, value);
    else
        json_array_append_new(parent, value);
}

static bool holds_others(const json_t *value)
{
    return json_is_object(value) || json_is_array(value);
}

void path_set(json_t *root, const char *path, json_t *value)
{
    char step[STEP_MAX];
    for (path = first_step(path, step); *path && holds_others(root);
         path = first_step(path, step)) {
        json_t *next = child(root, step);
        if (!holds_others(next)) {
            next = *path >= '0' && *path <= '9' ? json_array() : json_object();
            put(root, step, next);
        }
        root = next;
    }
    put(root, step, value); // nothing, if `root` holds no others
}

void path_remove(json_t *root, const char *path)
{
    char step[STEP_MAX];
    int64_t index;
    for (path = first_step(path, step); root && *path; path = first_step(path, step))
        root = child(root, step);
    if (json_is_object(root))
        json_object_del(root, step);
    else if (json_is_array(root) && text_to_int(step, 0, INT32_MAX, &index))
        json_array_remove(root, (size_t)index);
}

json_t *path_object(json_t *root, const char *path)
{
    json_t *object = path_get(root, path);
    if (json_is_object(object))
        return object;
    path_set(root, path, json_object());
    return path_get(root, path);
}

static bool same_amounts(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *value;
    if (json_object_size(a) != json_object_size(b))
        return false;
    json_object_foreach(json_unconst(a), key, value)
    {
        const json_t *other = json_object_get(b, key);
        if (!json_equal(value, other) &&
            !(json_is_string(value) && json_is_string(other) &&
              quantity_same(json_string_value(value), json_string_value(other))))
            return false;
    }
    return true;
}

bool document_same(const struct document_field *field, const json_t *a, const json_t *b)
{
    if (!a || !b)
        return a == b;
    return field->kind == DOCUMENT_AMOUNTS ? same_amounts(a, b) : json_equal(a, b);
}
