#include "agent/cli/fields.h"

#include "agent/base/buffer.h"
#include "agent/base/text.h"
#include "agent/cli/doc.h"
#include "deploy/document_table.h"

#include <string.h>

#define STEP 2 // columns of each level

static const char *last_name(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

static int depth_of(const char *path)
{
    int depth = 0;
    for (; *path != '\0'; path++)
        depth += *path == '.';
    return depth;
}

static bool is_below(const char *path, const char *parent)
{
    size_t len = strlen(parent);
    return strncmp(path, parent, len) == 0 && (path[len] == '.' || path[len] == '[');
}

static const char *value_of(const struct document_field *field)
{
    return field->example ? field->example : field->standard;
}

// Whether the example can say it: the other source is instead of `git`, and an object says
// something only when a field below it has an example.
static bool is_said(const struct document_field *field)
{
    if (strcmp(field->path, "source.image") == 0)
        return false;
    bool said = (field->flags & DOCUMENT_ALWAYS) != 0 ||
                (field->kind != DOCUMENT_OBJECT && value_of(field) != NULL);
    for (size_t i = 0; i < document_field_count && field->kind == DOCUMENT_OBJECT; i++)
        said = said || (is_below(document_fields[i].path, field->path) &&
                        document_fields[i].example != NULL);
    return said;
}

// Its help, whether it must be there, and its default.
static char *explanation(const struct document_field *field)
{
    bool required = (field->flags & DOCUMENT_REQUIRED) != 0;
    const char *standard = required ? NULL : field->standard;
    return xasprintf("%s%s%s%s", field->help, required ? " Required." : "",
                     standard ? " Default: " : "", standard ? standard : "");
}

static void print_field(const struct document_field *field, bool comment, FILE *out)
{
    int indent = STEP * depth_of(field->path);
    CLEANUP(free_ptr) char *text = explanation(field);
    const char *value = field->kind == DOCUMENT_OBJECT ? NULL : value_of(field);
    doc_wrap(out, text, 0, indent, "# ");
    (void)fprintf(out, "%*s%s%s:%s%s\n", indent, "", comment ? "#" : "", last_name(field->path),
                  value ? " " : "", value ? value : "");
}

void fields_example(FILE *out)
{
    const char *unsaid = NULL; // the outermost object that is a comment
    doc_wrap(out,
             "A service for `cronwright create -f FILE` or `cronwright edit -f FILE`, with every "
             "setting. It is created as a draft, and runs nothing until it is started.",
             0, 0, "# ");
    for (size_t i = 0; i < document_field_count; i++) {
        const struct document_field *field = &document_fields[i];
        bool within = unsaid != NULL && is_below(field->path, unsaid);
        bool item = strstr(field->path, "[]") != NULL; // said by its list's example
        bool said = !within && is_said(field);
        if (!within)
            unsaid = said ? NULL : field->path;
        if (depth_of(field->path) == 0)
            (void)fputc('\n', out);
        if (item) {
            CLEANUP(free_ptr) char *text = explanation(field);
            CLEANUP(free_ptr) char *line = xasprintf("%s: %s", field->path, text);
            doc_wrap(out, line, 0, STEP, "# ");
        } else {
            print_field(field, !said, out);
        }
    }
}

void fields_man(FILE *out)
{
    (void)fputs(".SH SERVICES\nThe settings of a service, as create and edit take them in a file, "
                "and show gives them.\n",
                out);
    for (size_t i = 0; i < document_field_count; i++) {
        CLEANUP(free_ptr) char *text = explanation(&document_fields[i]);
        (void)fputs(".TP\n.B ", out);
        doc_roff(out, document_fields[i].path);
        (void)fputc('\n', out);
        doc_roff(out, text);
        (void)fputc('\n', out);
    }
}
