// Image references, by the grammar of the distribution project: [host[:port]/]path[:tag][@digest].
#ifndef CRONWRIGHT_BUILD_IMAGE_H
#define CRONWRIGHT_BUILD_IMAGE_H

#include "agent/base/error.h"

#include <stddef.h>

#define IMAGE_REFERENCE_MAX  512 // bytes of a whole reference
#define IMAGE_REPOSITORY_MAX 255 // bytes of host and path together: what registries take
#define IMAGE_TAG_MAX        128
#define IMAGE_DIGEST_SIZE    72 // "sha256:" and 64 hex digits, with NUL

struct image_reference {
    // As a registry's HTTP API wants them: without a host the reference means Docker Hub, whose
    // single-word names live under "library/": "busybox" → "docker.io", "library/busybox".
    char registry[IMAGE_REPOSITORY_MAX + 1]; // lower-case host[:port]
    char path[IMAGE_REPOSITORY_MAX + 1];
    char tag[IMAGE_TAG_MAX + 1];    // "" when there is none
    char digest[IMAGE_DIGEST_SIZE]; // "" when there is none
};

// ERR_INVALID says which part is wrong and how it should look. Only sha256 digests are known.
bool image_parse(const char *text, struct image_reference *out, struct error *err) MUST_CHECK;

// A place to push to: like image_parse(), but a tag or digest is an error, since each build gets a
// tag of its own.
bool image_check_destination(const char *text, struct error *err) MUST_CHECK;

// Exactly "sha256:" and 64 lower-case hex digits?
bool image_digest_is_valid(const char *text);

#endif
