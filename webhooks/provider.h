// A webhook request, from headers and body bytes to one decoded event: verify() first, decode()
// after.
//
// One const struct per forge. Nothing here reads a socket or a file, keeps state or locks: every
// function may be called from any thread.
#ifndef CRONWRIGHT_WEBHOOKS_PROVIDER_H
#define CRONWRIGHT_WEBHOOKS_PROVIDER_H

#include "agent/base/clock.h"
#include "agent/base/crypto.h"
#include "webhooks/ref.h"
#include "webhooks/repository.h"
#include "webhooks/secrets.h"

// --- headers: the few that any provider looks at ---
enum webhook_header {
    HEADER_CONTENT_TYPE,
    HEADER_GITHUB_EVENT,
    HEADER_GITHUB_DELIVERY,
    HEADER_HUB_SIGNATURE, // SHA-1: only to say that it is not enough
    HEADER_HUB_SIGNATURE_256,
    HEADER_GITEA_EVENT,   // Gitea and Forgejo send GitHub's headers too, but sign forms otherwise
    HEADER_FORGEJO_EVENT, //
    HEADER_GITLAB_EVENT,
    HEADER_GITLAB_TOKEN,
    HEADER_IDEMPOTENCY_KEY,
    HEADER_WEBHOOK_ID, // Standard Webhooks
    HEADER_WEBHOOK_TIMESTAMP,
    HEADER_WEBHOOK_SIGNATURE,
    WEBHOOK_HEADER_COUNT,
};

// The HTTP server gives every header it sees to webhook_headers_add(). Starts as {0}.
struct webhook_headers {
    const char *values[WEBHOOK_HEADER_COUNT]; // borrowed; NULL when absent
    unsigned repeated;                        // bit 1 << header: seen more than once
};

// Names are compared without case; a header that no provider looks at is passed over. The value is
// borrowed as long as `headers` is used.
void webhook_headers_add(struct webhook_headers *headers, const char *name, const char *value);
// "X-GitHub-Event" and so on.
const char *webhook_header_name(enum webhook_header header);

// --- events ---
enum webhook_event_kind {
    EVENT_IGNORED, // verified, but nothing for us: answer 2xx all the same
    EVENT_PING,
    EVENT_PUSH_BRANCH,
    EVENT_PUSH_TAG,
    EVENT_DELETE_BRANCH,
    EVENT_DELETE_TAG,
    EVENT_KIND_COUNT,
};

#define DELIVERY_ID_MAX   128 // letters, digits and - _ . :, starting with a letter or digit
#define EVENT_NAME_MAX    64  // printable ASCII
#define OBJECT_ID_MAX     64  // hex digits: 40 (SHA-1) or 64 (SHA-256)
#define EVENT_PERSON_MAX  127 // bytes; longer names are cut between characters
#define EVENT_SUBJECT_MAX 200 // bytes; likewise

// Texts are valid UTF-8 without control characters; "" when the payload does not say.
struct webhook_event {
    enum webhook_event_kind kind;
    const char *ignored_because; // a constant sentence for EVENT_IGNORED, else NULL
    // The sender's delivery id. A sender that gives none: "body-" and the body's SHA-256, so that a
    // byte for byte repeat is still seen as one.
    char delivery[DELIVERY_ID_MAX + 1];
    char name[EVENT_NAME_MAX + 1]; // the forge's own word: "push", "Tag Push Hook"
    // Identity (see repository.h). Always given for pushes and deletions.
    char repository[REPOSITORY_MAX + 1];
    char ref[REF_MAX + 1];    // "refs/heads/main"; always given for pushes and deletions
    char branch[REF_MAX + 1]; // "main"; "" unless the ref is a branch
    char before[OBJECT_ID_MAX + 1];
    // Where the ref is now, as the forge says: a hint. GitLab gives a tag's commit, GitHub an
    // annotated tag's own object. All zeros for deletions.
    char after[OBJECT_ID_MAX + 1];
    char pusher[EVENT_PERSON_MAX + 1];
    char subject[EVENT_SUBJECT_MAX + 1]; // first line of the head commit's message
    char author[EVENT_PERSON_MAX + 1];   // of the head commit
    char body_sha256[SHA256_HEX_SIZE];   // of the raw body
};

// --- providers ---
struct webhook_provider {
    const char *name; // "github"
    const char *path; // "/webhooks/github"
    unsigned secrets; // bit 1 << enum webhook_secret_sort for each sort it takes
    // Does the request carry this forge's event header? For pointing out a hook at the wrong path.
    bool (*detect)(const struct webhook_headers *headers);
    // Is it signed by one of `secrets`, over exactly these bytes? ERR_UNAUTHORIZED with a sentence
    // that may be shown to the sender and logged; without any secret all is refused. ERR_INVALID
    // only for a form that cannot be read, where the signature covers what is inside the form.
    bool (*verify)(const struct webhook_headers *headers, const void *body, size_t len,
                   const struct webhook_secrets *secrets, struct wall_time now, struct error *err);
    // Only after verify(). ERR_INVALID: malformed. ERR_UNSUPPORTED: the content type alone (answer
    // 415). *out is about 2 KB.
    bool (*decode)(const struct webhook_headers *headers, const void *body, size_t len,
                   struct webhook_event *out, struct error *err);
};

extern const struct webhook_provider webhook_github; // and all that speak its headers and payload
extern const struct webhook_provider webhook_gitlab;
extern const struct webhook_provider *const webhook_providers[]; // ended by NULL

// NULL when no provider has that path.
const struct webhook_provider *webhook_provider_at(const char *path);

#endif
