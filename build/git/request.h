// The request: read and checked again here, whoever wrote it.
#ifndef CRONWRIGHT_BUILD_GIT_REQUEST_H
#define CRONWRIGHT_BUILD_GIT_REQUEST_H

#include "build/git/fault.h"
#include "build/git/protocol.h"

#include <jansson.h>
#include <stdint.h>

enum git_operation { GIT_OPERATION_HEAD, GIT_OPERATION_CONTEXT, GIT_OPERATION_VERIFY };

// Texts belong to `root`; optional ones are NULL when not given.
struct git_request {
    json_t *root;
    enum git_operation operation;
    const char *url;
    const char *branch;
    const char *username;
    const char *password;
    const char *ca_file;
    const char *proxy;
    const char *proxy_username;
    const char *proxy_password;
    const char *ssh_key;
    const char *ssh_passphrase;
    const char *known_hosts;
    const char *ssh_directory;
    int64_t seconds;
    const char *commit;
    const char *mirror;
    const char *subdirectory;
    const char *dockerfile;
    const char *output;
    int64_t max_bytes;
    const char *max_bytes_setting; // what to set for more, for the text
    int64_t max_repository_bytes;
    int64_t max_objects;                // of one fetch
    int64_t max_file_bytes;             // of each file in the context
    int64_t max_tree_depth;             // at most GIT_TREE_DEPTH_MAX
    const json_t *since;                // commits; NULL together with `paths`
    const json_t *paths;                // patterns
    char reference[GIT_REFERENCE_SIZE]; // "refs/heads/<branch>"
    char host[GIT_URL_MAX + 1];         // of the URL, with its port: for texts
    struct git_url remote;              // the URL's parts; all 0 for a local path
};

// `allow_local` also takes absolute paths and file:// as URLs: tests do, the program never does.
bool git_request_read(const char *bytes, size_t len, bool allow_local, struct git_request *out,
                      struct fault *fault);
void git_request_finish(struct git_request *request);

#endif
