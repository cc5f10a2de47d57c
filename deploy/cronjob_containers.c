// Which containers of a CronJob get the image that is built.
#include "deploy/cronjob_json.h"

#include <stdio.h>
#include <string.h>

static const char *const lists[] = {"containers", "initContainers"};
static const size_t list_count = sizeof lists / sizeof *lists;

static const char *annotation(const json_t *cronjob, const char *key)
{
    const char *text = json_text_at(cronjob, "metadata", "annotations", key, NULL);
    return text ? text : "";
}

static const json_t *pod_of(const json_t *cronjob)
{
    return json_at(cronjob_pod_template(cronjob), "spec", NULL);
}

static bool same_image(const json_t *one, const json_t *other)
{
    const char *a = json_text_at(one, "image", NULL), *b = json_text_at(other, "image", NULL);
    return a && b && strcmp(a, b) == 0;
}

static bool is_chosen(const struct container_choice *choice, const json_t *container)
{
    for (size_t i = 0; i < choice->count; i++)
        if (choice->items[i].container == container)
            return true;
    return false;
}

static void choose(struct container_choice *choice, const char *list, size_t index,
                   const json_t *container)
{
    if (choice->count < CONTAINERS_MAX && !is_chosen(choice, container) &&
        json_text_at(container, "name", NULL))
        choice->items[choice->count++] = (struct container_place){list, index, container};
}

// --- by name ---

// "main", "main,prepare" or ["main", "prepare"]; the caller owns *out.
static bool read_names(const char *text, json_t **out, struct error *why)
{
    if (text[strspn(text, " ")] == '[') {
        size_t i;
        json_t *name;
        if (!json_read(text, strlen(text), CONTAINER_NAMES_MAX, out, why))
            return false;
        bool good = json_is_array(*out);
        json_array_foreach(*out, i, name) good = good && json_is_string(name);
        return good || error_set(why, ERR_INVALID, "not a JSON array of names");
    }
    *out = json_array();
    for (const char *at = text; *at; at += *at == ',') {
        size_t len = strcspn(at, ",");
        size_t lead = strspn(at, " "), end = len;
        while (end > lead && at[end - 1] == ' ')
            end--;
        if (end > lead)
            json_array_append_new(*out, json_stringn(at + lead, end - lead));
        at += len;
    }
    return true;
}

static bool choose_name(const json_t *pod, const char *wanted, struct container_choice *choice)
{
    for (size_t l = 0; l < list_count; l++) {
        size_t i;
        json_t *container;
        json_array_foreach(json_at(pod, lists[l], NULL), i, container)
        {
            const char *name = json_text_at(container, "name", NULL);
            if (!name || strcmp(name, wanted) != 0)
                continue;
            choose(choice, lists[l], i, container);
            return true;
        }
    }
    return false;
}

static bool choose_said(const json_t *pod, const char *said, struct container_choice *choice,
                        struct error *why)
{
    CLEANUP(json_ptr) json_t *names = NULL;
    size_t i;
    json_t *name;
    if (!read_names(said, &names, why))
        return error_wrap(why, "annotation %s", ANNOTATION_CONTAINER);
    if (json_array_size(names) < 1 || json_array_size(names) > CONTAINERS_MAX)
        return error_set(why, ERR_INVALID, "annotation %s names 1 to %d containers",
                         ANNOTATION_CONTAINER, CONTAINERS_MAX);
    json_array_foreach(names, i, name)
    {
        if (choose_name(pod, json_string_value(name), choice))
            continue;
        CLEANUP(free_ptr) char *all = cronjob_container_names(pod);
        return error_set(why, ERR_INVALID,
                         "annotation %s: there is no container \"%.63s\"; there are: %.300s",
                         ANNOTATION_CONTAINER, json_string_value(name), all);
    }
    return true;
}

// --- by what is in them ---

static bool has_repository(const json_t *container, const char *destination)
{
    char repository[IMAGE_NAME_MAX];
    const char *image = json_text_at(container, "image", NULL);
    return image && *destination && image_repository(image, repository, sizeof repository) &&
           strcmp(repository, destination) == 0;
}

static bool is_recorded(const json_t *recorded, const json_t *container)
{
    const char *name = json_text_at(container, "name", NULL);
    size_t i;
    json_t *value;
    json_array_foreach(recorded, i, value)
    {
        if (name && strcmp(json_string_value(value), name) == 0)
            return true;
    }
    return false;
}

// Those with an image of the destination, and those that have got one before: one whose image
// somebody changed by hand since is still ours.
static void choose_built(const json_t *cronjob, struct container_choice *choice)
{
    char destination[IMAGE_NAME_MAX];
    CLEANUP(json_ptr) json_t *recorded = NULL;
    if (!image_repository(annotation(cronjob, ANNOTATION_IMAGE), destination, sizeof destination))
        destination[0] = '\0';
    bool known = read_names(annotation(cronjob, ANNOTATION_PATCHED_CONTAINERS), &recorded, NULL);
    for (size_t l = 0; l < list_count; l++) {
        size_t i;
        json_t *container;
        json_array_foreach(json_at(pod_of(cronjob), lists[l], NULL), i, container)
        {
            if (has_repository(container, destination) ||
                (known && is_recorded(recorded, container)))
                choose(choice, lists[l], i, container);
        }
    }
}

// The only one, or one of several that all have one image: then it does not matter which.
static void choose_only(const json_t *pod, struct container_choice *choice)
{
    const json_t *containers = json_at(pod, lists[0], NULL);
    size_t i;
    json_t *container;
    json_array_foreach(containers, i, container)
    {
        if (json_array_size(containers) > 1 &&
            !same_image(container, json_array_get(containers, 0)))
            return;
    }
    if (json_array_size(containers) > 0)
        choose(choice, lists[0], 0, json_array_get(containers, 0));
}

// Where else the image of the first stands: those move with it.
static void choose_sharing(const json_t *pod, struct container_choice *choice)
{
    for (size_t l = 0; l < list_count && choice->count > 0; l++) {
        size_t i;
        json_t *container;
        json_array_foreach(json_at(pod, lists[l], NULL), i, container)
        {
            if (same_image(container, choice->items[0].container))
                choose(choice, lists[l], i, container);
        }
    }
}

bool cronjob_choose(const json_t *cronjob, struct container_choice *out, struct error *why)
{
    const json_t *pod = pod_of(cronjob);
    const char *said = annotation(cronjob, ANNOTATION_CONTAINER);
    *out = (struct container_choice){0};
    if (*said && !choose_said(pod, said, out, why)) {
        out->count = 0;
        return false;
    }
    if (out->count == 0)
        choose_built(cronjob, out);
    if (out->count == 0)
        choose_only(pod, out);
    choose_sharing(pod, out);
    if (out->count > 0)
        return true;
    CLEANUP(free_ptr) char *names = cronjob_container_names(pod);
    return error_set(why, ERR_INVALID,
                     "it has %zu containers: annotation %s must name the one that is built: %.300s",
                     json_array_size(json_at(pod, lists[0], NULL)), ANNOTATION_CONTAINER, names);
}

const json_t *cronjob_container(const json_t *cronjob)
{
    struct container_choice choice;
    return cronjob_choose(cronjob, &choice, NULL) ? choice.items[0].container : NULL;
}

char *cronjob_container_names(const json_t *pod)
{
    CLEANUP(buffer_finish) struct buffer names = {0};
    for (size_t l = 0; l < list_count; l++) {
        size_t i;
        json_t *container;
        json_array_foreach(json_at(pod, lists[l], NULL), i, container)
        {
            const char *own = json_text_at(container, "name", NULL);
            const char *joint = i ? ", " : names.len ? ", and before them " : "";
            if (!buffer_printf(&names, NULL, "%s%s", joint, own ? own : "?"))
                break;
        }
    }
    return xstrdup(names.len ? buffer_text(&names) : "none");
}

// --- in the service ---

json_t *container_choice_json(const struct container_choice *choice)
{
    json_t *places = json_array();
    for (size_t i = 0; i < choice->count; i++) {
        const struct container_place *place = &choice->items[i];
        const char *image = json_text_at(place->container, "image", NULL);
        char index[16];
        snprintf(index, sizeof index, "%zu", place->index);
        json_array_append_new(places,
                              json_pack("{s:s, s:s, s:s, s:s}", "list", place->list, "index", index,
                                        "name", json_text_at(place->container, "name", NULL),
                                        "image", image ? image : ""));
    }
    return places;
}

char *container_choice_names(const struct container_choice *choice)
{
    CLEANUP(buffer_finish) struct buffer names = {0};
    for (size_t i = 0; i < choice->count; i++)
        if (!buffer_printf(&names, NULL, "%s%s", i ? "," : "",
                           json_text_at(choice->items[i].container, "name", NULL)))
            break;
    return xstrdup(buffer_text(&names));
}

bool container_choice_lags(const struct container_choice *choice)
{
    for (size_t i = 1; i < choice->count; i++)
        if (!same_image(choice->items[i].container, choice->items[0].container))
            return true;
    return false;
}

bool container_choice_changed(const struct container_choice *choice, const json_t *cronjob)
{
    const char *patched = annotation(cronjob, ANNOTATION_PATCHED_IMAGE);
    CLEANUP(json_ptr) json_t *recorded = NULL;
    if (!*patched ||
        !read_names(annotation(cronjob, ANNOTATION_PATCHED_CONTAINERS), &recorded, NULL))
        return false;
    for (size_t i = 0; i < choice->count; i++) {
        const char *image = json_text_at(choice->items[i].container, "image", NULL);
        if (is_recorded(recorded, choice->items[i].container) &&
            (!image || strcmp(image, patched) != 0))
            return true;
    }
    return false;
}
