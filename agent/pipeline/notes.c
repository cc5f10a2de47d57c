// What people should know of a build's source, in a file beside its logs.
#include "agent/base/file.h"
#include "agent/pipeline/steps.h"

#include <string.h>

#define NOTES_MODE 0600
#define NOTES_MAX  ((size_t)64 << 10)

static char *notes_path(const struct pipeline *pipeline, int64_t build)
{
    CLEANUP(free_ptr) char *directory = build_log_directory(pipeline, build);
    return xasprintf("%s/notes", directory);
}

bool build_notes_put(const struct pipeline *pipeline, int64_t build, const char *lines,
                     struct error *err)
{
    CLEANUP(free_ptr) char *directory = build_log_directory(pipeline, build);
    CLEANUP(free_ptr) char *path = notes_path(pipeline, build);
    return directory_make(directory, err) &&
           file_write(path, NOTES_MODE, lines, strlen(lines), err);
}

char *pipeline_build_notes(const struct pipeline *pipeline, int64_t build)
{
    CLEANUP(free_ptr) char *path = notes_path(pipeline, build);
    CLEANUP(buffer_finish) struct buffer lines = {0};
    return file_read(path, NOTES_MAX, &lines, NULL) ? xstrdup(buffer_text(&lines)) : NULL;
}
