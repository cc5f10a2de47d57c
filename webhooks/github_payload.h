// The push payload that GitHub, GitHub Enterprise, Gitea, Forgejo and Gogs share, as JSON or inside
// a form.
#ifndef CRONWRIGHT_WEBHOOKS_GITHUB_PAYLOAD_H
#define CRONWRIGHT_WEBHOOKS_GITHUB_PAYLOAD_H

#include "webhooks/provider.h"

// The headers that carry what the forge's name stands in.
struct github_headers {
    enum webhook_header event;
    enum webhook_header delivery;
};

// A provider's decode() (see provider.h) for requests with these headers.
bool github_payload_decode(const struct webhook_headers *headers,
                           const struct github_headers *names, const void *body, size_t len,
                           struct webhook_event *out, struct error *err) MUST_CHECK;

#endif
