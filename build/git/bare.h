// The bare mirror of a repository on disk. It is a cache: whatever is wrong with it, it is made
// anew.
#ifndef CRONWRIGHT_BUILD_GIT_BARE_H
#define CRONWRIGHT_BUILD_GIT_BARE_H

#include "build/git/answer.h"
#include "build/git/request.h"

#include <git2.h>

// Each fetch adds a pack and libgit2 never repacks.
#define BARE_PACKS_MAX 50

// A file in the mirror of a run that crashed there.
#define BARE_DAMAGED "cronwright-damaged"

struct bare {
    const char *path; // borrowed
    int lock;         // of "<path>.lock", beside it since the directory itself may be replaced
    bool fresh;       // made in this run: then nothing in it is older than the fault of the day
    git_repository *repository;
};

// Takes the lock (writes "waiting" if somebody else has it), removes what a killed run left behind,
// opens or makes the mirror; makes it anew when it does not open, has too many packs, or holds more
// than `max_bytes`.
bool bare_open(const char *path, int64_t max_bytes, struct answers *answers, struct bare *out,
               struct fault *fault);
// Removes everything and makes it anew; writes "remake" with the reason.
bool bare_remake(struct bare *bare, const char *why, struct answers *answers, struct fault *fault);
// Is the commit there?
bool bare_has(const struct bare *bare, const git_oid *commit);
// Opens the one that is there, without making it anew, and reads every object; a fault that is
// `damaged` says what cannot be read. The caller closes it.
bool bare_verify(const char *path, struct answers *answers, struct bare *out, size_t *objects,
                 struct fault *fault);
void bare_close(struct bare *bare);

#endif
