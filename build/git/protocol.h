// What the agent and the program cronwright-git say to each other.
//
// cronwright-git reads one JSON object on stdin up to its end, and writes one JSON object a line on
// stdout; the last line is "head", "context", "unchanged", "verified" or "error". It exits 1 after
// "error", else 0. It may be killed at any moment; its next run repairs what that left behind.
//
// Requests:
//   {"op": "head", …remote…}
//   {"op": "context", …remote…, "commit": "<hex>", "mirror": "<directory>", "subdirectory": ".",
//    "dockerfile": "Dockerfile", "output": "<file>", "max_bytes": N, "max_repository_bytes": N,
//    "max_objects": N, "max_file_bytes": N, "max_tree_depth": N, "since"?: ["<hex>", …], "paths"?:
//    ["<pattern>", …]}
//   With both of the last two: when between each of those commits and "commit" no file differs that
//   matches a pattern, the answer is "unchanged" and nothing is packed. A commit that the mirror
//   does not have differs. Patterns mean what Git's ":(glob)" pathspecs do; see changes.h.
//   {"op": "verify", "mirror": "<directory>", "seconds": N}
//   Reads every object of a mirror; the answer is "verified", or "error" where it is damaged.
//   remote: "url", "branch", "seconds" (deadline; the program ends itself by SIGALRM), and
//     for http and https  "username"? with "password", "ca_file"?
//     for https           "proxy"?, "proxy_username"? with "proxy_password"
//     for SSH             "ssh_key" (as in its file), "ssh_passphrase"?, "known_hosts" (likewise),
//                         "ssh_directory": where libgit2 may be given those, which are no secret
//
// Answers:
//   {"event": "head", "commit": "<hex>", "ms": N}
//   {"event": "waiting"}                          another fetch holds the mirror
//   {"event": "remake", "text": "…"}              the mirror is made anew, and why
//   {"event": "progress", "objects": N, "total": N, "bytes": N}      at most a few a second
//   {"event": "fetched", "commit": "<hex>", "bytes": N, "ms": N}     bytes 0: nothing was needed
//   {"event": "note", "kind": "submodule"|"symlink"|"lfs"|"more", "path"?: "…", "text": "…"}
//   {"event": "context", "path": "<file>", "bytes": N, "sha256": "<hex>", "files": N,
//    "ignored": N (by .dockerignore), "ms": N, "tree": "<hex>", "subject": "…", "author": "…"}
//   {"event": "unchanged", "since": "<hex>", "subject": "…", "author": "…"}      the first of
//   "since"
//   {"event": "verified", "objects": N, "ms": N}
//   {"event": "error", "code": "<word>", "text": "…"}
#ifndef CRONWRIGHT_BUILD_GIT_PROTOCOL_H
#define CRONWRIGHT_BUILD_GIT_PROTOCOL_H

#include "build/git/url.h"

#define GIT_REQUEST_MAX     ((size_t)96 << 10) // bytes of a request
#define GIT_ANSWER_LINE_MAX ((size_t)16 << 10) // bytes of one answer line, with its newline
#define GIT_NOTES_MAX       20                 // "note" lines of one run; the rest is counted only

#define GIT_SSH_KEY_MAX     ((size_t)16 << 10) // bytes of an SSH key's file
#define GIT_KNOWN_HOSTS_MAX ((size_t)24 << 10) // bytes of a known_hosts file

#define GIT_CREDENTIAL_MAX 8192
#define GIT_COMMIT_SIZE    65 // 40 or 64 hex digits, with NUL
#define GIT_SUBJECT_SIZE   256
#define GIT_AUTHOR_SIZE    128
#define GIT_BRANCH_MAX     250
#define GIT_REFERENCE_SIZE (GIT_BRANCH_MAX + 12) // "refs/heads/", branch, NUL
#define GIT_PATH_MAX       1024
#define GIT_SECONDS_MAX    3600
#define GIT_OBJECTS_MAX    100000000
#define GIT_FILE_MAX       ((int64_t)2 << 30) // bytes of one file: it is held in memory
#define GIT_TREE_DEPTH_MAX 256
#define GIT_SINCE_MAX      64  // commits to compare with
#define GIT_PATTERNS_MAX   64  // of paths
#define GIT_PATTERN_MAX    256 // bytes of one

// Words of "error"; build/mirror.c says what each means to a delivery.
#define GIT_ERROR_WORD_BRANCH       "branch-missing"     // repository there, branch not
#define GIT_ERROR_WORD_NOT_FOUND    "not-found"          // no such repository
#define GIT_ERROR_WORD_UNAUTHORIZED "unauthorized"       // login needed, or refused
#define GIT_ERROR_WORD_UNAVAILABLE  "unavailable"        // cannot be reached, 5xx, 429
#define GIT_ERROR_WORD_TIMEOUT      "timeout"            //
#define GIT_ERROR_WORD_TLS          "tls"                // certificate not trusted
#define GIT_ERROR_WORD_HOST_KEY     "host-key"           // of SSH: unknown, or another one
#define GIT_ERROR_WORD_PROXY        "proxy"              // refuses the login, or to connect
#define GIT_ERROR_WORD_REDIRECT     "redirect"           // to where it is not followed
#define GIT_ERROR_WORD_PROTOCOL     "protocol"           // no Git server, or a broken one
#define GIT_ERROR_WORD_TOO_LARGE    "too-large"          // repository over its cap
#define GIT_ERROR_WORD_CONTEXT_SIZE "context-too-large"  //
#define GIT_ERROR_WORD_SUPERSEDED   "superseded"         // the branch no longer leads to the commit
#define GIT_ERROR_WORD_DOCKERFILE   "dockerfile-missing" //
#define GIT_ERROR_WORD_CONTEXT      "context-missing"    // no such directory in the commit
#define GIT_ERROR_WORD_INVALID      "invalid"            // the request, or what the tree holds
#define GIT_ERROR_WORD_IO           "io"                 // this machine: disk, memory

#endif
