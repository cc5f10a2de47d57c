#include "agent/cli/service_file.h"

#include "agent/base/file.h"
#include "agent/base/text.h"
#include "agent/cli/draft.h"

#include <string.h>

// --- JSON Pointers (RFC 6901) ---

// The next name of a pointer at "/…", unescaped; moves on. The caller frees.
static char *next_name(const char **pointer)
{
    const char *at = *pointer + 1;
    char *name = xalloc(strlen(at) + 1);
    char *end = name;
    for (; *at != '\0' && *at != '/'; at++) {
        if (at[0] == '~' && (at[1] == '0' || at[1] == '1'))
            *end++ = *++at == '0' ? '~' : '/';
        else
            *end++ = *at;
    }
    *pointer = at;
    return name;
}

const json_t *pointer_get(const json_t *root, const char *pointer)
{
    while (root != NULL && *pointer == '/') {
        CLEANUP(free_ptr) char *name = next_name(&pointer);
        root = json_at(root, name, NULL);
    }
    return root;
}

char *pointer_text(const char *pointer)
{
    struct buffer text = {0};
    while (*pointer == '/') {
        CLEANUP(free_ptr) char *name = next_name(&pointer);
        int64_t index = 0;
        bool item = text.len > 0 && text_to_int(name, 0, INT64_MAX, &index);
        if (!buffer_printf(&text, NULL, item ? "[%s]" : "%s%s",
                           item ? name : (text.len > 0 ? "." : ""), name))
            abort(); // no longer than the answer it is of
    }
    return text.data ? text.data : xstrdup("");
}

// --- reading ---

static bool too_large(const char *name, struct error *err)
{
    return error_set(err, ERR_TOO_LARGE, "%s: more than %zu KiB, too large for a service", name,
                     SERVICE_FILE_MAX >> 10);
}

bool service_file_read(const char *path, struct service_file *out, struct error *err)
{
    bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "standard input" : path;
    CLEANUP(buffer_finish) struct buffer bytes = {0};
    CLEANUP(yaml_finish) struct yaml_document yaml = {0};
    if (!file_read(standard ? "/dev/stdin" : path, SERVICE_FILE_MAX, &bytes, err))
        return err->code == ERR_TOO_LARGE ? too_large(name, err) : false;
    if (!yaml_read(buffer_text(&bytes), bytes.len, SERVICE_FILE_MAX, &yaml, err)) {
        struct error cause = *err;
        return error_set(err, cause.code, "%s:%s", name, cause.text);
    }
    if (json_is_null(yaml.root))
        return error_set(err, ERR_INVALID, "%s: there is nothing in it", name);
    if (!json_is_object(yaml.root)) {
        struct yaml_place place = yaml_place(&yaml, "", false);
        return error_set(err, ERR_INVALID, "%s:%d:%d not the keys and values of a service", name,
                         place.line, place.column);
    }
    *out = (struct service_file){.name = xstrdup(name), .yaml = yaml};
    yaml = (struct yaml_document){0};
    return true;
}

void service_file_finish(struct service_file *file)
{
    free(file->name);
    file->name = NULL;
    yaml_finish(&file->yaml);
}

// --- what is wrong with it ---

struct fault {
    struct yaml_place place;
    char *where; // "svc.yaml:7:11"; "" when made from options
    char *what;
};

// The place of a value, or of its key. Of what is not there, of what it is missing in.
static struct yaml_place find_place(const struct service_file *file, const char *pointer, bool key)
{
    CLEANUP(free_ptr) char *path = xstrdup(pointer);
    for (;;) {
        struct yaml_place place = yaml_place(&file->yaml, path, key);
        if (place.line == 0 && key) // a list's items have no key
            place = yaml_place(&file->yaml, path, false);
        char *slash = strrchr(path, '/');
        if (place.line > 0 || slash == NULL)
            return place;
        *slash = '\0';
        key = true;
    }
}

// What a fault is about: the option, or the key, with its value if that is a short one.
static char *fault_subject(const struct service_file *file, const char *pointer)
{
    CLEANUP(free_ptr) char *text = pointer_text(pointer);
    const char *option = file->name ? NULL : draft_option(pointer);
    const json_t *value = pointer_get(file->yaml.root, pointer);
    bool scalar = value != NULL && !json_is_object(value) && !json_is_array(value);
    CLEANUP(free_ptr) char *written = scalar ? json_write(value) : NULL;
    return xasprintf("%s%s%s%s", option ? "--" : "", option ? option : text, written ? " " : "",
                     written ? written : "");
}

static struct fault make_fault(const struct service_file *file, const json_t *error)
{
    const char *pointer = field(error, "pointer");
    const char *detail = field_or_dash(error, "detail");
    bool unknown = text_starts(detail, "unknown key");
    CLEANUP(free_ptr)
    char *subject = unknown || pointer[0] == '\0' ? NULL : fault_subject(file, pointer);
    struct fault fault = {.place = find_place(file, pointer, unknown)};
    if (file->name == NULL)
        fault.where = xstrdup("");
    else if (fault.place.line == 0)
        fault.where = xstrdup(file->name);
    else
        fault.where = xasprintf("%s:%d:%d", file->name, fault.place.line, fault.place.column);
    fault.what = xasprintf("%s%s%s", subject ? subject : "", subject ? ": " : "", detail);
    return fault;
}

static int compare_faults(const void *a, const void *b)
{
    const struct yaml_place *one = &((const struct fault *)a)->place;
    const struct yaml_place *other = &((const struct fault *)b)->place;
    return one->line != other->line ? one->line - other->line : one->column - other->column;
}

void service_file_say_errors(struct session *session, const struct service_file *file,
                             const json_t *errors, const char *end)
{
    size_t count = json_array_size(errors);
    struct fault *faults = xalloc((count + 1) * sizeof(*faults));
    size_t width = 0;
    for (size_t i = 0; i < count; i++) {
        faults[i] = make_fault(file, json_array_get(errors, i));
        size_t wide = text_width(faults[i].where);
        width = wide > width ? wide : width;
    }
    if (file->name != NULL) // options stay in the agent's order
        qsort(faults, count, sizeof(*faults), compare_faults);
    for (size_t i = 0; i < count; i++) {
        int gap = (int)(width - text_width(faults[i].where) + (width > 0));
        screen_say(&session->screen, MARK_NONE, "%s%*s%s", faults[i].where, gap, "",
                   faults[i].what);
        free(faults[i].where);
        free(faults[i].what);
    }
    free(faults);
    screen_say(&session->screen, MARK_FAILED, "%zu error%s, %s", count, count == 1 ? "" : "s", end);
}

void say_warnings(struct session *session, const json_t *answer)
{
    static const struct {
        const char *member;
        enum mark mark;
        const char *before;
    } kinds[] = {{"warnings", MARK_WARNING, ""}, {"notChecked", MARK_SKIPPED, "not checked: "}};
    for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
        const json_t *list = json_at(answer, kinds[kind].member, NULL);
        for (size_t i = 0; i < json_array_size(list); i++) {
            const char *text = json_string_value(json_array_get(list, i));
            screen_say(&session->screen, kinds[kind].mark, "%s%s", kinds[kind].before,
                       text ? text : "-");
        }
    }
}

void say_difference(struct session *session, const json_t *difference)
{
    for (size_t i = 0; i < json_array_size(difference); i++) {
        const json_t *item = json_array_get(difference, i);
        const json_t *yours = json_at(item, "yours", NULL);
        const json_t *theirs = json_at(item, "theirs", NULL);
        CLEANUP(free_ptr) char *name = pointer_text(field(item, "pointer"));
        CLEANUP(free_ptr) char *one = yours ? json_write(yours) : xstrdup("-");
        CLEANUP(free_ptr) char *other = theirs ? json_write(theirs) : xstrdup("-");
        screen_hint(&session->screen, "%s: yours %s, theirs %s", name, one, other);
    }
}
