// The build context out of Git objects: the tree of a commit, or a directory in it, as a tar.gz.
// Same tree, same bytes.
#ifndef CRONWRIGHT_BUILD_GIT_CONTEXT_H
#define CRONWRIGHT_BUILD_GIT_CONTEXT_H

#include "build/git/answer.h"
#include "build/git/archive.h"
#include "build/git/request.h"

#include <git2.h>

#define CONTEXT_ENTRIES_MAX  500000
#define CONTEXT_PATH_MAX     4096
#define CONTEXT_UNPACKED_MAX ((int64_t)16 << 30) // bytes of all files

// Of a commit, for people: valid UTF-8 without control characters.
struct commit_words {
    char subject[GIT_SUBJECT_SIZE];
    char author[GIT_AUTHOR_SIZE];
};

struct context {
    struct archive_summary archive;
    int64_t files;   // entries other than directories
    int64_t ignored; // that .dockerignore leaves out
    git_oid tree;
    struct commit_words words;
};

bool commit_describe(git_repository *repository, const git_oid *commit, struct commit_words *out,
                     struct fault *fault);

// Submodules and links that lead outside are left out and noted; so is, without a note, what
// .dockerignore names. fault->damaged: an object of the
// mirror is missing or broken.
bool context_write(git_repository *repository, const git_oid *commit,
                   const struct git_request *request, struct answers *answers, struct context *out,
                   struct fault *fault);

#endif
