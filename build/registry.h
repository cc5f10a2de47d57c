// Asking an image registry whether it really has a digest: the distribution API over
// agent/base/http. Any thread; each call blocks up to its deadline.
#ifndef CRONWRIGHT_BUILD_REGISTRY_H
#define CRONWRIGHT_BUILD_REGISTRY_H

#include "agent/base/buffer.h"
#include "build/image.h"

// How to reach one registry. Texts are borrowed.
struct registry_access {
    const char *auth;          // text of a docker config.json with "auths"; NULL: anonymous
    const char *ca_file;       // PEM; NULL: the system's
    const char *proxy;         // URL; NULL: none
    bool plain_http;           // only where a setting says so
    bool insecure_skip_verify; // only where a setting says so
};

// GET /v2/<path>/manifests/<digest>: true when what the registry gives has that digest; a header
// that names it, or the answer to a HEAD, would prove nothing. `image` gives registry and path; its
// tag and digest are not looked at. ERR_NOT_FOUND (it has not), ERR_CONFLICT (it gives or names
// another), ERR_UNAUTHORIZED, ERR_FORBIDDEN, ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_PROTOCOL,
// ERR_INVALID (auth). Texts name host and repository, never credentials. `timeout_ms` covers all
// requests together.
bool registry_confirm(const struct image_reference *image, const char *digest,
                      const struct registry_access *access, int64_t timeout_ms,
                      struct error *err) MUST_CHECK;

// Likewise, whether the image's tag means that digest.
bool registry_confirm_tag(const struct image_reference *image, const char *digest,
                          const struct registry_access *access, int64_t timeout_ms,
                          struct error *err) MUST_CHECK;
// Whether the registry answers for that repository and lets us look: GET of a tag. `*there`: it
// has an image of that tag. Errors as registry_confirm(), but never ERR_NOT_FOUND.
bool registry_reach(const struct image_reference *image, const char *tag,
                    const struct registry_access *access, int64_t timeout_ms, bool *there,
                    struct error *err) MUST_CHECK;

// --- parts, for tests: registry_auth.c ---

#define REGISTRY_CHALLENGE_MAX 4096 // bytes of all WWW-Authenticate values together

struct registry_challenge {
    bool bearer; // else basic
    char realm[512];
    char service[256];
    char scope[512];
};

// Reads WWW-Authenticate values, joined by commas (RFC 9110, section 11.6.1); Bearer goes before
// Basic. ERR_PROTOCOL when neither is there, or what is there is malformed or too long.
bool registry_challenge_parse(const char *value, struct registry_challenge *out,
                              struct error *err) MUST_CHECK;

struct registry_login {
    char *username; // NULL: none
    char *password;
    char *identity_token; // instead of both: it is exchanged where tokens are given
};

// The login for a repository of a registry out of docker's config.json; all NULL when it has none.
// The caller finishes it. Keys may be "host", "https://host", "https://host/v1/", for Docker Hub
// any of its names, and "host/path" for what is below that: the longest decides. Values are
// "identitytoken", "auth" (base64 of user:password), or "username" and "password". ERR_INVALID.
bool registry_login_find(const char *config, const char *registry, const char *path,
                         struct registry_login *out, struct error *err) MUST_CHECK;
void registry_login_finish(struct registry_login *login);

#endif
