// How often each source failed in a row, and when it is tried again: a branch as one credential
// shows it. Its failures count for itself alone, whatever becomes of the branch's other sources.
//
// Kept in memory: after a restart everything is tried at once. When too many fail at a time the one
// that is due first is forgotten, which begins anew. Any thread.
#ifndef CRONWRIGHT_PIPELINE_TRIES_H
#define CRONWRIGHT_PIPELINE_TRIES_H

#include "agent/base/clock.h"

#include <stddef.h>

#define TRIES_MAX       4096   // sources that are remembered
#define TRIES_FORGET_MS 600000 // one that nobody tried again when it was due is forgotten then

struct tries;

// `back_off_ms`: how long what failed so often before waits for its next try.
struct tries *tries_create(int64_t (*back_off_ms)(int tries));
void tries_destroy(struct tries *tries); // NULL is fine

struct tried {
    int count;            // failures in a row, this one among them
    struct mono_time due; // when it is tried again
};
// It failed. What fails before it is due, since something else woke the branch, counts no more.
struct tried tries_failed(struct tries *tries, const char *source);
// How often it has failed.
int tries_count(struct tries *tries, const char *source);
// How many sources are failing.
size_t tries_sources(struct tries *tries);
// It came further. How often it had failed before.
int tries_forget(struct tries *tries, const char *source);

#endif
