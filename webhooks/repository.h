// Which repository is meant, whatever way its URL is written.
//
// The identity is "host[:port]/path": lower-case host, no scheme, no user, no ".git", no slash at
// the end. So the HTTPS, SSH and scp-like URLs of one repository have one identity. Ports: those of
// http(s) and git are kept unless they are the default (80, 443, 9418); that of ssh is always
// dropped, since it says nothing about the repository.
//
// Percent-encoding is decoded in the path ("%2D" is "-"), and must give valid UTF-8 without control
// characters, '%', '?', '#' or '\'; an encoded slash is refused.
#ifndef CRONWRIGHT_WEBHOOKS_REPOSITORY_H
#define CRONWRIGHT_WEBHOOKS_REPOSITORY_H

#include "agent/base/error.h"

#include <stddef.h>

#define REPOSITORY_MAX 512 // bytes of an identity, and of a URL

// Understands http, https, ssh, git+ssh, ssh+git and git URLs, "[user@]host:path" and "host/path"
// (an identity itself: the result is a fixed point). The path's case is folded where the forge does
// so: github.com, gitlab.com, bitbucket.org; elsewhere it is kept. ERR_INVALID: another scheme, no
// host, no path, "." or ".." segments, control characters, a query or fragment, too long. The text
// never quotes a password. `out` holds REPOSITORY_MAX + 1 bytes.
bool repository_identify(const char *url, char out[static REPOSITORY_MAX + 1],
                         struct error *err) MUST_CHECK;

// Are two identities the same for a hint? Compared without the case of ASCII letters, since many
// self-managed forges fold it too.
bool repository_same(const char *a, const char *b);

#endif
