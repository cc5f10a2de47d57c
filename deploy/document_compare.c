// How documents differ, and what surprises people in them.
#include "deploy/document_path.h"

#include "agent/base/crypto.h"
#include "deploy/kube/patch.h"
#include "deploy/quantity.h"
#include "deploy/schedule.h"

#include <stdio.h>
#include <string.h>

#define SHORT_DEADLINE 10 // seconds: the controller looks no oftener

static void compare(const json_t *yours, const json_t *theirs, const char *pointer, json_t *list);

static void compare_members(const json_t *yours, const json_t *theirs, const char *pointer,
                            json_t *list)
{
    const char *key;
    json_t *value;
    json_object_foreach(json_unconst(yours), key, value)
    {
        CLEANUP(free_ptr) char *step = patch_pointer(PATCH_AT(key));
        CLEANUP(free_ptr) char *at = xasprintf("%s%s", pointer, step);
        compare(value, json_object_get(theirs, key), at, list);
    }
    json_object_foreach(json_unconst(theirs), key, value)
    {
        CLEANUP(free_ptr) char *step = patch_pointer(PATCH_AT(key));
        CLEANUP(free_ptr) char *at = xasprintf("%s%s", pointer, step);
        if (!json_object_get(yours, key))
            compare(NULL, value, at, list);
    }
}

static void compare_items(const json_t *yours, const json_t *theirs, const char *pointer,
                          json_t *list)
{
    size_t mine = json_array_size(yours), others = json_array_size(theirs);
    for (size_t i = 0; i < (mine > others ? mine : others); i++) {
        CLEANUP(free_ptr) char *at = xasprintf("%s/%zu", pointer, i);
        compare(json_array_get(yours, i), json_array_get(theirs, i), at, list);
    }
}

static bool same_quantity(const json_t *a, const json_t *b, const char *pointer)
{
    return strncmp(pointer, "/resources/", strlen("/resources/")) == 0 && json_is_string(a) &&
           json_is_string(b) && quantity_same(json_string_value(a), json_string_value(b));
}

static json_t *or_null(const json_t *value)
{
    return value ? json_deep_copy(value) : json_null();
}

static void compare(const json_t *yours, const json_t *theirs, const char *pointer, json_t *list)
{
    if (json_is_object(yours) && json_is_object(theirs))
        compare_members(yours, theirs, pointer, list);
    else if (json_is_array(yours) && json_is_array(theirs))
        compare_items(yours, theirs, pointer, list);
    else if (!(yours && theirs && json_equal(yours, theirs)) &&
             !same_quantity(yours, theirs, pointer))
        json_array_append_new(list, json_pack("{s:o, s:o, s:o}", "pointer", json_text(pointer),
                                              "yours", or_null(yours), "theirs", or_null(theirs)));
}

json_t *document_differences(const json_t *yours, const json_t *theirs)
{
    json_t *list = json_array();
    compare(yours, theirs, "", list);
    return list;
}

char *document_tag(const json_t *document)
{
    CLEANUP(free_ptr) char *text = json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS);
    uint8_t hash[SHA256_SIZE];
    char hex[SHA256_HEX_SIZE];
    sha256(text, strlen(text), hash);
    hex_encode(hash, sizeof hash, hex);
    return xstrndup(hex, 16);
}

static void warn_of_schedule(const json_t *document, int64_t now, json_t *warnings)
{
    const char *expression = json_text_at(document, "schedule", NULL);
    const char *name = json_text_at(document, "timeZone", NULL);
    struct schedule schedule;
    struct zone *zone = NULL;
    if (!expression || !schedule_parse(expression, &schedule, NULL, NULL) ||
        !zone_open(name ? name : "", &zone, NULL))
        return;
    CLEANUP(json_ptr) json_t *list = schedule_warnings(&schedule, zone, now);
    json_array_extend(warnings, list);
    zone_close(zone);
}

json_t *document_warnings(const json_t *document, int64_t now)
{
    json_t *warnings = json_array();
    warn_of_schedule(document, now, warnings);
    if (!json_object_get(document, "timeZone"))
        json_array_append_new(warnings, json_string("no time zone is set: the schedule is in the "
                                                    "cluster's, usually UTC; set timeZone"));
    json_int_t deadline = json_int_or(json_object_get(document, "startingDeadlineSeconds"), -1);
    if (deadline >= 0 && deadline < SHORT_DEADLINE)
        json_array_append_new(
            warnings, json_string("a startingDeadlineSeconds below 10 may keep every run from "
                                  "starting: the controller looks every 10 seconds"));
    return warnings;
}
