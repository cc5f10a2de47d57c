// Names of Git refs, by the rules of git-check-ref-format(1).
#ifndef CRONWRIGHT_WEBHOOKS_REF_H
#define CRONWRIGHT_WEBHOOKS_REF_H

#include "agent/base/error.h"

#include <stddef.h>

#define REF_MAX 250 // bytes: what GitHub and GitLab take is near it, file systems stop at 255

// A full ref such as "refs/heads/main": at least two components, none starting with '.' or ending
// with
// ".lock", no "..", "@{", "//", control characters, space or any of ~ ^ : ? * [ \, no '/' at either
// end, no '.' at the end; valid UTF-8 of at most REF_MAX bytes. ERR_INVALID says which rule is
// broken.
bool ref_check(const char *ref, struct error *err) MUST_CHECK;

// A branch's short name, "main": "refs/heads/<name>" must pass ref_check(), and as for `git branch`
// the name does not start with '-' and is not "HEAD".
bool ref_check_branch(const char *name, struct error *err) MUST_CHECK;

// The part after "refs/heads/" (or "refs/tags/"), inside `ref`; NULL when it is no branch (no tag).
const char *ref_branch(const char *ref);
const char *ref_tag(const char *ref);

#endif
