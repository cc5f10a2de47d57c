// The document of a service: what people write into a file, and what the admin API takes and gives.
// One table (document_table.c) says of each field its kind, bounds, default, help and where it
// stands in the CronJob; checking, writing and reading a CronJob all go by it.
//
// A document is *normal* when its defaults are filled in, what is empty is left out, and its keys
// are in the table's order: only such are compared. All functions: any thread.
#ifndef CRONWRIGHT_DEPLOY_DOCUMENT_H
#define CRONWRIGHT_DEPLOY_DOCUMENT_H

#include "agent/base/json.h"

#define DOCUMENT_FAULTS_MAX    100 // errors told of one document
#define DOCUMENT_CONTAINER     "main"
#define DOCUMENT_SECONDS_MAX   31536000 // a year
#define DOCUMENT_COUNT_MAX     1000     // of attempts, kept Jobs, items of a list
#define DOCUMENT_TEXT_MAX      4096     // bytes of most texts
#define DOCUMENT_LONG_TEXT_MAX 131072   // of a value of a variable, or an argument

// --- faults: a JSON array of {"pointer", "detail"} ---

// Beyond DOCUMENT_FAULTS_MAX they are dropped.
void document_fault(json_t *faults, const char *pointer, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// Takes out of `faults` those that `known` has too: of a document that was not right before, one
// may still change the rest.
void document_faults_forget(json_t *faults, const json_t *known);

// --- documents ---

// The normal form of any JSON value; all that is wrong with it is appended to `faults`. What is
// wrong stays as it is where that is possible, so the form can be used where the faults are known
// of before. A member "status" is left out: what GET gave can be given back. Never NULL.
json_t *document_normal(const json_t *given, json_t *faults) __attribute__((returns_nonnull));

// The normal document that a CronJob amounts to; what documents have no word for is left out. When
// it cannot be told which container is the service's, container.name is absent. Never NULL.
json_t *document_of_cronjob(const json_t *cronjob) __attribute__((returns_nonnull));

// A new CronJob: a suspended draft. `document` is normal and without faults. Never NULL.
json_t *document_to_cronjob(const json_t *document) __attribute__((returns_nonnull));

// Rewrites in `cronjob`, whose document is `before`, the fields in which `after` differs, and
// nothing else. Both are normal. False, with `faults` and nothing changed: the CronJob has no
// container of that name.
bool document_apply(const json_t *before, const json_t *after, json_t *cronjob,
                    json_t *faults) MUST_CHECK;

// A copy of a CronJob for another name or namespace: a suspended draft without what the one has
// been given by the API server, by a GitOps owner, and by builds. Never NULL.
json_t *document_copy_cronjob(const json_t *cronjob, const char *namespace_, const char *name)
    __attribute__((returns_nonnull));

// How two normal documents differ: an array of {"pointer", "yours", "theirs"}, null for what one
// has not. Quantities are compared by what they amount to.
json_t *document_differences(const json_t *yours, const json_t *theirs)
    __attribute__((returns_nonnull));
// A text that is the same for equal documents only, for an ETag. The caller frees.
char *document_tag(const json_t *document) __attribute__((returns_nonnull));

// What surprises people in a document without faults: an array of sentences. `now`: Unix seconds.
json_t *document_warnings(const json_t *document, int64_t now) __attribute__((returns_nonnull));

// The pointer of the field that a CronJob's field is written from, by Kubernetes' way to name it
// ("spec.jobTemplate.spec.template.spec.containers[0].env[1].name" → "/env/1"); "" when there is
// none. The caller frees.
char *document_pointer(const char *cronjob_field) __attribute__((returns_nonnull));

// --- as JSON Schema (2020-12), with help, defaults and examples; not with the forms of texts ---

enum document_schema_use {
    DOCUMENT_SCHEMA_WHOLE,  // of a document that is sent
    DOCUMENT_SCHEMA_PATCH,  // of a merge patch on one: nothing is needed, null takes away
    DOCUMENT_SCHEMA_ANSWER, // of one that is given: CronJobs of others may be out of bounds
};
json_t *document_schema(enum document_schema_use use) __attribute__((returns_nonnull));

#endif
