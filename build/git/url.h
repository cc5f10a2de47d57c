// The URLs of remotes that are fetched from. Pure.
#ifndef CRONWRIGHT_BUILD_GIT_URL_H
#define CRONWRIGHT_BUILD_GIT_URL_H

#include "agent/base/error.h"

#define GIT_URL_MAX       512
#define GIT_URL_HOST_SIZE 256 // with NUL

enum git_url_kind { GIT_URL_HTTP, GIT_URL_HTTPS, GIT_URL_SSH };

struct git_url {
    enum git_url_kind kind;
    char user[64];                // of SSH; else ""
    char host[GIT_URL_HOST_SIZE]; // lower-case; IPv6 without its brackets
    int port;                     // the scheme's own when the URL gives none
};

// "http://host[:port]/…", "https://…", "ssh://user@host[:port]/path" or scp's "user@host:path".
// ERR_INVALID: another scheme, a user with http(s), none with SSH, a password, no host or path,
// spaces, control characters, or one of ? # \. Texts never quote the URL.
bool git_url_parse(const char *url, struct git_url *out, struct error *err) MUST_CHECK;

#endif
