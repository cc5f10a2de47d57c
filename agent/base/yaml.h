// YAML by libyaml, as a JSON value plus the place of every node, for errors that name line and
// column. Only yaml.c includes yaml.h of libyaml.
#ifndef CRONWRIGHT_BASE_YAML_H
#define CRONWRIGHT_BASE_YAML_H

#include "agent/base/json.h"

#define YAML_DEPTH_MAX 64
#define YAML_NODES_MAX 100000

struct yaml_place {
    int line;   // from 1
    int column; // from 1
};

struct yaml_document {
    json_t *root;   // plain scalars typed by YAML 1.2's core schema (null, true/false, int, float);
                    // quoted ones are strings
    json_t *places; // object: JSON Pointer → [line of value, column, line of key, column of key]
};

// One document. Anchors and aliases, tags other than the core ones, duplicate keys, several
// documents, non-string keys and more than the caps above are errors (ERR_INVALID, text starting
// "LINE:COLUMN ").
bool yaml_read(const char *bytes, size_t len, size_t max, struct yaml_document *out,
               struct error *err) MUST_CHECK;
void yaml_finish(struct yaml_document *document);

// Place of the value (or of its key when `of_key`) at a JSON Pointer ("" is the root); {0, 0} when
// unknown.
struct yaml_place yaml_place(const struct yaml_document *document, const char *pointer,
                             bool of_key);

// JSON value → YAML text (block style, keys in the order given); the caller frees.
char *yaml_write(const json_t *value) __attribute__((returns_nonnull));

#endif
