// Runs as rows of the store.
#ifndef CRONWRIGHT_RUNS_RECORD_H
#define CRONWRIGHT_RUNS_RECORD_H

#include "agent/store/runs.h"
#include "deploy/runs.h"

// What a run's logs are, all taken together: "none", "following", "lost", "truncated", "complete".
const char *run_log_word(const struct run *run);

// The caller finishes *out. `open` is as given.
void run_to_record(const struct run *run, bool open, struct run_record *out);
// The caller frees it.
struct run *run_from_record(const struct run_record *record) __attribute__((returns_nonnull));

#endif
