// The database without a store around it: checked and mended while no agent runs, and copied while
// one may. Blocks.
#ifndef CRONWRIGHT_STORE_CHECK_H
#define CRONWRIGHT_STORE_CHECK_H

#include "agent/base/error.h"

#include <stdatomic.h>
#include <stdint.h>

enum mend {
    MEND_GOOD,   // nothing was wrong
    MEND_MENDED, // it is good again, and nothing is lost
    MEND_LOST,   // it is good again, but something is lost, or was moved aside
    MEND_FAILED, // it could not be mended
    MEND_COUNT,
};

// One sentence on what was found, and done.
typedef void (*store_mend_told)(void *user, enum mend mend, const char *text);

// Holds the state directory as an agent does. ERR_CONFLICT when one has it. The caller closes *out,
// which gives it up.
bool store_hold(const char *directory, int *out, struct error *err) MUST_CHECK;

// Checks the database and mends what is wrong. What cannot be mended is moved aside, with all of it
// that can be read in its place. `*whole` is false when rows may be missing from then on. Whoever
// calls it holds the directory. ERR_UNSUPPORTED: a newer version's, which is left as it is.
bool store_mend(const char *directory, store_mend_told told, void *user, bool *whole,
                struct error *err) MUST_CHECK;

// Copies the database as it is at one moment to a new file, of mode 0600, on disk when it returns.
// An agent may be writing to it. ERR_CONFLICT when the file is there; ERR_CANCELLED when `*stop`
// was set meanwhile. There is no such file after a failure.
bool store_backup(const char *directory, const char *file, const atomic_bool *stop, int64_t *bytes,
                  struct error *err) MUST_CHECK;

#endif
