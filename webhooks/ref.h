// Names of Git refs, by the rules of git-check-ref-format(1).
#ifndef CRONWRIGHT_WEBHOOKS_REF_H
#define CRONWRIGHT_WEBHOOKS_REF_H

#include "agent/base/error.h"

#include <stddef.h>

#define REF_MAX 266 // bytes: "refs/heads/" and the 255 that GitHub takes at most

// A full ref such as "refs/heads/main": no component is empty, starts with '.' or ends with
// ".lock"; no
// "..", "@{", control characters, space or any of ~ ^ : ? * [ \; no '.' at the end; valid UTF-8 of
// at most REF_MAX bytes. ERR_INVALID says which rule is broken, without quoting the ref.
bool ref_check(const char *ref, struct error *err) MUST_CHECK;

// A branch's short name, "main": "refs/heads/<name>" must pass ref_check() and, as `git branch` has
// it, the name neither starts with '-' nor is "HEAD". What a shell would take for syntax, but Git
// allows, is allowed: names are data here and never reach a shell.
bool ref_check_branch(const char *name, struct error *err) MUST_CHECK;

// The part after "refs/heads/" (or "refs/tags/"), inside `ref`; NULL when it is no branch (no tag).
const char *ref_branch(const char *ref);
const char *ref_tag(const char *ref);

#endif
