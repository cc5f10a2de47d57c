// The part of a Kaniko Job that fetches a context too large for a Secret: an init container of
// cronwright's own image, which puts it where Kaniko looks. Between kaniko.c and kaniko_result.c.
#ifndef CRONWRIGHT_BUILD_KANIKO_FETCH_H
#define CRONWRIGHT_BUILD_KANIKO_FETCH_H

#include "build/kaniko.h"

// The volume "context", which takes the archive.
json_t *kaniko_fetch_volume(const struct kaniko_fetch *fetch);
// Adds the init container and what it reads, the Secret `secret`, to a pod's spec.
void kaniko_fetch_add(json_t *spec, const struct kaniko_fetch *fetch, int64_t deadline_seconds,
                      const char *secret);

// The init container's status; NULL when the pod has none, or it has done its work.
const json_t *kaniko_fetch_unfinished(const json_t *pod);
// From the end of its log: its last line, which says what failed. False when there is none.
bool kaniko_fetch_last_words(const char *log, char *out, size_t room);

#endif
