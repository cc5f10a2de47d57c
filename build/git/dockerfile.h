// Whether the Dockerfile can be built from, said before anything is packed.
#ifndef CRONWRIGHT_BUILD_GIT_DOCKERFILE_H
#define CRONWRIGHT_BUILD_GIT_DOCKERFILE_H

#include "build/git/request.h"

#include <git2.h>

// `root` is the tree of the context. False also for one that is a Git LFS pointer, in a submodule,
// or a symbolic link that leads nowhere or out of the context; fault->damaged as everywhere.
bool dockerfile_check(git_repository *repository, const git_commit *commit, const git_tree *root,
                      const struct git_request *request, struct fault *fault);

// Whether a blob's bytes are a Git LFS pointer.
bool is_lfs_pointer(const char *bytes, size_t len);
// Whether a link at `path` may lead out of the context's root: it does by its text, or has ".."
// after a name, which may itself be a link.
bool leads_outside(const char *path, const char *target);

#endif
