// JSON Patch (RFC 6902), as the API server applies it: one operation after the other, all or
// nothing.
#ifndef CRONWRIGHT_KUBE_PATCH_H
#define CRONWRIGHT_KUBE_PATCH_H

#include "agent/base/json.h"

// Where an operation acts: the segments of a JSON Pointer, unescaped, ended by NULL:
//     PATCH_AT("metadata", "annotations", "cronwright.io/commit")
#define PATCH_AT(...) ((const char *const[]){__VA_ARGS__, NULL})

// The pointer's text: '~' as "~0", '/' as "~1". The caller frees.
char *patch_pointer(const char *const at[]) __attribute__((returns_nonnull));

// An empty patch: a JSON array, for kube_request() with KUBE_JSON_PATCH. Values are borrowed texts.
json_t *patch_create(void);
void patch_test(json_t *patch, const char *const at[], const char *value);
void patch_replace(json_t *patch, const char *const at[], const char *value); // must be there
void patch_add(json_t *patch, const char *const at[], const char *value);     // or replaces
void patch_remove(json_t *patch, const char *const at[]);                     // must be there
// The same for values that are no texts, which are taken. A `test` for null holds for what is not
// there.
void patch_test_value(json_t *patch, const char *const at[], json_t *value);
void patch_add_value(json_t *patch, const char *const at[], json_t *value);

// Sets annotations of the object itself (pairs of key and text, ended by a NULL key). Into an
// absent map nothing can be added, so then (`present` false) the map comes first, behind a `test`
// that it is still absent (null).
struct annotation {
    const char *key;
    const char *value;
};
void patch_annotate(json_t *patch, bool present, const struct annotation annotations[]);
void patch_label(json_t *patch, bool present, const struct annotation labels[]); // likewise

#endif
