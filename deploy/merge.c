#include "deploy/merge.h"

static json_t *copy_of(const json_t *value)
{
    return json_deep_copy(value);
}

json_t *merge_patched(const json_t *target, const json_t *patch)
{
    if (!json_is_object(patch))
        return copy_of(patch);
    json_t *result = json_is_object(target) ? copy_of(target) : json_object();
    const char *key;
    json_t *value;
    json_object_foreach(json_unconst(patch), key, value)
    {
        if (json_is_null(value))
            json_object_del(result, key);
        else
            json_object_set_new(result, key, merge_patched(json_object_get(result, key), value));
    }
    return result;
}

json_t *merge_between(const json_t *before, const json_t *after)
{
    json_t *patch = json_object();
    const char *key;
    json_t *value;
    json_object_foreach(json_unconst(before), key, value)
    {
        if (!json_object_get(after, key))
            json_object_set_new(patch, key, json_null());
    }
    json_object_foreach(json_unconst(after), key, value)
    {
        const json_t *old = json_object_get(before, key);
        if (json_is_object(old) && json_is_object(value)) {
            json_t *inner = merge_between(old, value);
            if (json_object_size(inner) > 0)
                json_object_set_new(patch, key, inner);
            else
                json_decref(inner);
        } else if (!json_equal(old, value)) {
            // Over what is no object, members are set one by one: none may be null.
            json_object_set_new(patch, key, copy_of(value));
        }
    }
    return patch;
}
