// Kubernetes' names of fields → pointers into the document.
#include "deploy/document_path.h"
#include "deploy/kube/patch.h"

#include <string.h>

// The place of a field in a CronJob, without indexes; NULL: none of its own. The caller frees.
static char *full_place(const struct document_field *field)
{
    static const char *const starts[] = {[HOME_CRONJOB] = "",
                                         [HOME_JOB] = PATH_JOB ".",
                                         [HOME_POD] = PATH_POD ".",
                                         [HOME_CONTAINER] = PATH_POD ".containers.",
                                         [HOME_SECURITY] = PATH_POD ".containers.securityContext."};
    bool known = field->home < sizeof starts / sizeof *starts && starts[field->home];
    if (field->home == HOME_POD_LABELS)
        return xstrdup(PATH_JOB ".template.metadata.labels");
    if (field->home == HOME_LABEL)
        return xasprintf("metadata.labels[%s]", field->place);
    return known ? xasprintf("%s%s", starts[field->home], field->place) : NULL;
}

static const struct {
    const char *place;
    const char *path;
} other_places[] = {
    {PATH_POD ".containers.image", "source.image"},
    {PATH_POD ".containers.name", "container.name"},
    {PATH_POD ".containers.volumeMounts", "volumes"},
    {PATH_POD ".containers.resources", "resources"},
    {PATH_POD ".imagePullSecrets", "container.pullSecret"},
    {"spec.jobTemplate.metadata.name", "name"},
};

static size_t reach(const char *field, const char *place)
{
    size_t len = strlen(place);
    bool below = strncmp(field, place, len) == 0 &&
                 (field[len] == '\0' || field[len] == '.' || field[len] == '[');
    return below ? len : 0;
}

// "a.containers[0].b" → "a.containers.b": the index of the container is of no use.
static char *without_container_index(const char *field)
{
    static const char before[] = "containers[";
    const char *at = strstr(field, before);
    const char *end = at ? strchr(at, ']') : NULL;
    if (!end)
        return xstrdup(field);
    return xasprintf("%.*s%s", (int)(at - field) + (int)sizeof before - 2, field, end + 1);
}

// "[3]" or "[memory]" at the start of what is left of a field's name, as a step of a pointer.
static char *with_key(const char *path, const char *rest)
{
    CLEANUP(free_ptr) char *pointer = xasprintf("/%s", path);
    for (char *c = pointer; *c; c++)
        if (*c == '.')
            *c = '/';
    const char *end = *rest == '[' ? strchr(rest, ']') : NULL;
    if (!end)
        return TAKE(pointer);
    CLEANUP(free_ptr) char *key = xstrndup(rest + 1, (size_t)(end - rest) - 1);
    CLEANUP(free_ptr) char *step = patch_pointer(PATCH_AT(key));
    return xasprintf("%s%s", pointer, step);
}

char *document_pointer(const char *cronjob_field)
{
    CLEANUP(free_ptr) char *field = without_container_index(cronjob_field);
    const char *path = NULL;
    size_t best = 0;
    for (size_t i = 0; i < document_field_count; i++) {
        CLEANUP(free_ptr) char *place = full_place(&document_fields[i]);
        size_t len = place ? reach(field, place) : 0;
        if (len > best) {
            best = len;
            path = document_fields[i].path;
        }
    }
    for (size_t i = 0; i < sizeof other_places / sizeof *other_places; i++) {
        size_t len = reach(field, other_places[i].place);
        if (len > best) {
            best = len;
            path = other_places[i].path;
        }
    }
    bool single = path && strcmp(path, "container.pullSecret") == 0;
    return path ? with_key(path, single ? "" : field + best) : xstrdup("");
}
