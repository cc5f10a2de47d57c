// JSON Merge Patch (RFC 7386).
#ifndef CRONWRIGHT_DEPLOY_MERGE_H
#define CRONWRIGHT_DEPLOY_MERGE_H

#include "agent/base/json.h"

// `patch` put upon `target` (NULL: nothing). Both stay as they are. Never NULL.
json_t *merge_patched(const json_t *target, const json_t *patch) __attribute__((returns_nonnull));
// The patch that makes `after` of `before`, both objects without nulls; an empty object when they
// are equal. Never NULL.
json_t *merge_between(const json_t *before, const json_t *after) __attribute__((returns_nonnull));

#endif
