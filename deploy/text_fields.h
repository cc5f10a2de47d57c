// Within the library: records of owned texts that are never NULL.
#ifndef CRONWRIGHT_DEPLOY_TEXT_FIELDS_H
#define CRONWRIGHT_DEPLOY_TEXT_FIELDS_H

#include <stddef.h>

// Where a record's `const char *` members are.
struct text_fields {
    const size_t *offsets;
    size_t count;
};

void text_fields_init(void *record, struct text_fields fields);   // all ""
void text_fields_finish(void *record, struct text_fields fields); // frees all
// Makes a member an own copy; NULL is "". Frees what it was.
void text_field_set(const char **member, const char *text);

#endif
