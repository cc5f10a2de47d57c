// How the agent asks the Git child: requests as bytes for its stdin, answers from its stdout. Pure;
// spawning, deadlines and killing are the main thread's, through agent/base/process.h.
#ifndef CRONWRIGHT_BUILD_MIRROR_H
#define CRONWRIGHT_BUILD_MIRROR_H

#include "agent/base/buffer.h"
#include "agent/base/crypto.h"
#include "build/git/protocol.h"

#include <jansson.h>
#include <stdint.h>

// A branch of a remote. Texts are borrowed; NULL is "not set".
struct git_remote_branch {
    const char *url; // as git_url_parse() takes them
    const char *branch;
    const char *username; // sent only to the URL's own host
    const char *password;
    const char *ca_file; // PEM; not set: the system's
    const char *proxy;   // URL; not set: none; used for https alone
    const char *proxy_username;
    const char *proxy_password;
    const char *ssh_key; // text of its file; of SSH, as the following
    const char *ssh_passphrase;
    const char *known_hosts;   // text of its file
    const char *ssh_directory; // where the child may write that
    int seconds;               // deadline, 1 … GIT_SECONDS_MAX
};

struct git_context_request {
    const char *commit;
    const char *mirror;            // directory; made when missing; "<mirror>.lock" is locked
    const char *subdirectory;      // "." for the whole repository
    const char *dockerfile;        // relative to the subdirectory
    const char *output;            // file; written beside and renamed
    int64_t max_bytes;             // of the archive
    const char *max_bytes_setting; // what to set for more
    int64_t max_repository_bytes;  // of the mirror, and of one fetch
    int64_t max_objects;           // of one fetch
    int64_t max_file_bytes;        // of each file in the context
    int64_t max_tree_depth;        // of its directories
    const json_t *since;           // commits and patterns, as in build/git/protocol.h; NULL: it is
    const json_t *paths;           // packed whatever changed
};

// The request's bytes, appended to `out`: they may hold a password, so use buffer_wipe().
bool git_request_head(const struct git_remote_branch *remote, struct buffer *out,
                      struct error *err) MUST_CHECK;
bool git_request_context(const struct git_remote_branch *remote,
                         const struct git_context_request *context, struct buffer *out,
                         struct error *err) MUST_CHECK;

// Has every object of a mirror read.
bool git_request_verify(const char *mirror, int seconds, struct buffer *out,
                        struct error *err) MUST_CHECK;

// Name of a repository's mirror below the directory of all mirrors: 32 hex digits of the SHA-256 of
// its URL, followed by a newline and the name of the credential unless that is "". What is fetched
// with one credential is never read for who has another.
#define GIT_MIRROR_NAME_SIZE 33
void git_mirror_name(const char *url, const char *credential,
                     char out[static GIT_MIRROR_NAME_SIZE]);

enum git_state {
    GIT_RUNNING,
    GIT_DONE,   // head or context is there, by what was asked; or nothing changed, or all is well
    GIT_FAILED, // error and reason are there
};

#define GIT_REASON_SIZE 32

// Everything a child has said so far. Zero-initialise; texts are "" until said, numbers -1 where a
// zero could be meant (set by git_answers_init()).
struct git_answers {
    enum git_state state;
    bool waiting; // for another fetch of the same mirror
    bool remade;  // the mirror was made anew
    // progress of the fetch
    int64_t objects, objects_total, received_bytes;
    // results
    char commit[GIT_COMMIT_SIZE]; // head, or what was fetched
    int64_t fetch_ms;             // of ls-remote for a head; -1: not known
    int64_t fetched_bytes;        // 0: the mirror had the commit already
    int64_t context_bytes, context_ms, files;
    char context_sha256[SHA256_HEX_SIZE];
    char tree[GIT_COMMIT_SIZE];
    bool unchanged;                 // nothing that matters differs: no context was written
    char since[GIT_COMMIT_SIZE];    // one of the commits that it was compared with
    char subject[GIT_SUBJECT_SIZE]; // of the commit: first line, valid UTF-8, no control characters
    char author[GIT_AUTHOR_SIZE];   // name
    struct buffer notes; // lines for people: submodules left out, links that lead outside
    // failure
    struct error error;
    char reason[GIT_REASON_SIZE]; // one word for deliveries and builds, "branch-missing"
    bool refused; // by what the remote is now, whatever commit is asked for: it may pass
    // inside
    struct buffer line;
};

void git_answers_init(struct git_answers *answers);
void git_answers_finish(struct git_answers *answers);

// Takes the next bytes of stdout. A malformed or overlong line makes the state GIT_FAILED
// (ERR_PROTOCOL); what comes after a final state is ignored.
void git_answers_feed(struct git_answers *answers, const void *bytes, size_t len);

// The child has ended: without a final answer the state becomes GIT_FAILED, with a text from how it
// ended. `exit_status` is 0…255 or 128 + signal; `not_run`, unless NULL, says why it could not run
// or was killed (its deadline) and goes before everything but a failure the child itself reported.
void git_answers_end(struct git_answers *answers, int exit_status, const struct error *not_run);

#endif
