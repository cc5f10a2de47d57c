// Within the library, and for what is printed of it: the table of a document's fields.
#ifndef CRONWRIGHT_DEPLOY_DOCUMENT_TABLE_H
#define CRONWRIGHT_DEPLOY_DOCUMENT_TABLE_H

#include "deploy/document.h"

enum document_kind {
    DOCUMENT_OBJECT,  // the fields below it
    DOCUMENT_TEXT,    //
    DOCUMENT_INT,     //
    DOCUMENT_BOOL,    //
    DOCUMENT_CHOICE,  // one of the words
    DOCUMENT_PORT,    // a number, or the name of a declared port
    DOCUMENT_TEXTS,   // list of texts
    DOCUMENT_MAP,     // object of texts
    DOCUMENT_AMOUNTS, // object of quantities; numbers are taken as well
    DOCUMENT_OBJECTS, // list of objects: the fields below "…[]"
    DOCUMENT_KIND_COUNT,
};

// Which part of the CronJob a field's `place` starts from.
enum document_home {
    HOME_NONE,       // nothing of its own, or a matter of document_cronjob.c
    HOME_CRONJOB,    //
    HOME_LABEL,      // `place` is the key
    HOME_ANNOTATION, // `place` is the key; what is no text is written as JSON
    HOME_JOB,        // spec.jobTemplate.spec
    HOME_POD,        // its template.spec
    HOME_POD_LABELS, // its template.metadata.labels; our own are not shown
    HOME_CONTAINER,  // the service's container
    HOME_SECURITY,   // securityContext of the container, or else of the pod
};

enum document_flag {
    DOCUMENT_REQUIRED = 1 << 0,
    DOCUMENT_ALWAYS = 1 << 1,   // an object that is there for its defaults
    DOCUMENT_EMPTY_OK = 1 << 2, // empty is not the same as absent
};

struct document_field {
    const char *path; // dotted; "[]" stands for each item of a list
    enum document_kind kind;
    unsigned flags;
    int64_t min, max;     // of numbers; of texts: bytes (max 0: DOCUMENT_TEXT_MAX)
    size_t most;          // texts of a list; 0: DOCUMENT_COUNT_MAX
    const char *standard; // default as JSON; NULL: none
    const char *absent;   // what it means that a CronJob lacks it, where not the default
    const char *const *words;
    // Of a text, of each text of a list, and of each value of a map: says what is wrong.
    bool (*form)(const char *text, struct error *err);
    bool (*key_form)(const char *text, struct error *err); // of each key of a map
    enum document_home home;
    const char *place;
    const char *help;    // sentences
    const char *example; // as YAML on one line, for the commented file; NULL: the default
};

extern const struct document_field document_fields[]; // in the order of the example file
extern const size_t document_field_count;

// Whether `field` stands directly below the object (or "[]" of the list) `parent` ("": the whole);
// then *key is its key there.
bool document_is_below(const char *parent, const struct document_field *field, const char **key);

#endif
