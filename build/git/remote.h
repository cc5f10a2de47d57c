// A branch of a remote, over libgit2's network side.
#ifndef CRONWRIGHT_BUILD_GIT_REMOTE_H
#define CRONWRIGHT_BUILD_GIT_REMOTE_H

#include "build/git/answer.h"
#include "build/git/request.h"

#include <git2.h>

struct remote;

// Connects and reads the list of refs. `repository` NULL: for asking only. Redirects to another
// host are not followed; credentials are tried once and only at the URL's own host.
bool remote_open(const struct git_request *request, git_repository *repository, struct remote **out,
                 struct fault *fault);
void remote_close(struct remote *remote); // NULL is fine

// The commit that the branch leads to.
bool remote_head(struct remote *remote, git_oid *out, struct fault *fault);

// Fetches the branch with all that its commit needs, and keeps it under a ref of its own in the
// repository; `fresh`: there was nothing in it. *bytes: received. Writes progress.
bool remote_fetch(struct remote *remote, struct answers *answers, const git_oid *head, bool fresh,
                  uint64_t *bytes, struct fault *fault);

#endif
