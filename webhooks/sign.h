// Makes a signed webhook request as a forge would send it: for `cronwright sign`, tests and
// benches.
#ifndef CRONWRIGHT_WEBHOOKS_SIGN_H
#define CRONWRIGHT_WEBHOOKS_SIGN_H

#include "agent/base/buffer.h"
#include "agent/base/clock.h"

enum sign_scheme {
    SIGN_GITHUB_JSON,
    SIGN_GITHUB_FORM,
    SIGN_GITLAB_TOKEN,
    SIGN_GITLAB_SIGNING,
    SIGN_GITEA_JSON,
    SIGN_GITEA_FORM,
    SIGN_BITBUCKET_CLOUD,
    SIGN_BITBUCKET_SERVER, // Data Center
    SIGN_SCHEME_COUNT,
};

enum sign_event { SIGN_PUSH, SIGN_TAG, SIGN_DELETE, SIGN_PING };

// "github-json", "github-form", "gitlab-token", "gitlab-signing", "gitea-json", "gitea-form",
// "bitbucket-cloud", "bitbucket-server"; "push", "tag", "delete", "ping".
// Arrays ended by NULL, in the order of the enums.
extern const char *const sign_scheme_words[];
extern const char *const sign_event_words[];

#define SIGN_HEADERS_MAX 16
#define SIGN_BODY_MAX    ((size_t)8 << 20)

struct sign_request {
    enum sign_scheme scheme;
    enum sign_event event;  // only GitHub and Bitbucket Data Center ping: ERR_UNSUPPORTED elsewhere
    const char *secret;     // as in the secret file; NULL: unsigned, as a hook without a secret is
    const char *repository; // clone URL
    const char *ref; // "refs/…", or a branch's short name (a tag's for SIGN_TAG); NULL: main, v1
    const char *after;    // 40 or 64 hex digits; NULL: made up. Not for SIGN_DELETE
    const char *delivery; // NULL: a random UUID
    size_t body_size;     // pushes: about so many bytes of JSON, by listing files; 0: as it comes
    struct wall_time now;
};

struct signed_request {
    const char *path;                    // "/webhooks/github"
    char *headers[SIGN_HEADERS_MAX + 1]; // "Name: value", ended by NULL
    struct buffer body;
};

// ERR_INVALID for a bad URL, ref, id or secret. The caller uses signed_request_finish().
bool sign_request(const struct sign_request *request, struct signed_request *out,
                  struct error *err) MUST_CHECK;
void signed_request_finish(struct signed_request *request);

#endif
