// Within the library: places in documents and CronJobs, and the parts of the document's code.
#ifndef CRONWRIGHT_DEPLOY_DOCUMENT_PATH_H
#define CRONWRIGHT_DEPLOY_DOCUMENT_PATH_H

#include "deploy/document_table.h"

// By dotted names; indexes of lists are decimal. NULL when absent. Borrowed.
json_t *path_get(const json_t *root, const char *path);
// Makes what is not there on the way. Takes `value`.
void path_set(json_t *root, const char *path, json_t *value);
void path_remove(json_t *root, const char *path); // what is not there is removed already
// The object at `path`, made if it is not there. Borrowed.
json_t *path_object(json_t *root, const char *path);

#define PATH_JOB "spec.jobTemplate.spec"
#define PATH_POD PATH_JOB ".template.spec"

// Whether two values of a field say the same; NULL is absent.
bool document_same(const struct document_field *field, const json_t *a, const json_t *b);

// What no field can tell alone.
void document_check_together(const json_t *document, json_t *faults);

// --- document_lists.c: env, ports and volumes ---

// Of the service's container and its pod, to the document.
void document_read_lists(const json_t *container, const json_t *pod, json_t *document);
void document_write_env(json_t *container, const json_t *before, const json_t *after);
void document_write_ports(json_t *container, const json_t *before, const json_t *after);
void document_write_volumes(json_t *pod, json_t *container, const json_t *before,
                            const json_t *after);

#endif
