// A service's document as a file has it, and what the agent found wrong with it, said by the place.
#ifndef CRONWRIGHT_CLI_SERVICE_FILE_H
#define CRONWRIGHT_CLI_SERVICE_FILE_H

#include "agent/base/yaml.h"
#include "agent/cli/session.h"

#define SERVICE_FILE_MAX ((size_t)1 << 20) // bytes; Kubernetes' own store takes hardly more

struct service_file {
    char *name;                // of the file, as it is said; NULL: made from options
    struct yaml_document yaml; // root is an object; without places if made from options
};

// Reads at most SERVICE_FILE_MAX bytes of a file, "-" for standard input. The error's text begins
// with "FILE:LINE:COLUMN" where it can.
bool service_file_read(const char *path, struct service_file *out, struct error *err) MUST_CHECK;
void service_file_finish(struct service_file *file);

// Says the `errors` of the agent's refusal, sorted by their places, and then how many there are and
// `end`: "nothing created. See: …".
void service_file_say_errors(struct session *session, const struct service_file *file,
                             const json_t *errors, const char *end);

// Says an answer's `warnings`, and what it has `notChecked`.
void say_warnings(struct session *session, const json_t *answer);
// Says a list of {pointer, yours, theirs}.
void say_difference(struct session *session, const json_t *difference);

// The value at a JSON Pointer; NULL when there is none.
const json_t *pointer_get(const json_t *root, const char *pointer);
// "env[0].name" of "/env/0/name"; the caller frees.
char *pointer_text(const char *pointer) __attribute__((returns_nonnull));

#endif
