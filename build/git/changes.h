// Whether anything that matters changed between commits: the net difference of their trees.
#ifndef CRONWRIGHT_BUILD_GIT_CHANGES_H
#define CRONWRIGHT_BUILD_GIT_CHANGES_H

#include "build/git/bare.h"

// *changed: from one of request->since to `commit`, some file that matches one of request->paths
// came, went or differs; or the mirror does not have one of them. fault->damaged: an object of the
// mirror is missing or broken.
bool changes_any(const struct bare *bare, const git_oid *commit, const struct git_request *request,
                 bool *changed, struct fault *fault);

// Whether a path of a file matches a pattern, as Git's ":(glob)" pathspecs do:
//   "*" and "?" stand for characters other than "/", "[…]" for one of a set;
//   a part "**" stands for any number of directories, also none; as the last part, for everything
//   in the directory;
//   a pattern without "*", "?" and "[" is also the name of a directory: all in it matches.
// Beyond Git, "/" at the end is the same as "/**", with "*" and the like too.
bool changes_match(const char *pattern, const char *path);

#endif
