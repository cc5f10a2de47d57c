// What goes with letting a person edit a text: the editor, its file, the difference.
#ifndef CRONWRIGHT_CLI_EDITOR_H
#define CRONWRIGHT_CLI_EDITOR_H

#include "agent/base/json.h"
#include "agent/cli/screen.h"

// A file for nobody else's eyes, in a directory of its own.
struct editor_file {
    char *directory;
    char *path;
};

// `name` is the file's within that directory.
bool editor_file_make(const char *name, const char *text, struct editor_file *out,
                      struct error *err) MUST_CHECK;
// Removes the directory with what is in it; nothing when there is none.
void editor_file_remove(struct editor_file *file);

// Runs VISUAL, else EDITOR, else "editor" or "vi" on a file and waits for its end. ERR_CANCELLED
// when it did not end well: whoever leaves it so wants nothing done.
bool editor_run(const char *path, struct error *err) MUST_CHECK;

// Shows how two documents differ as YAML, as diff -u does; by the members that differ where there
// is no such program.
void show_difference(const json_t *before, const char *before_label, const json_t *after,
                     const char *after_label, bool colour, FILE *out);

#endif
