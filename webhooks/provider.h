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
    HEADER_HUB_SIGNATURE, // GitHub's SHA-1: not enough. Bitbucket's SHA-256
    HEADER_HUB_SIGNATURE_256,
    HEADER_GITEA_EVENT, // Gitea sends all of these and GitHub's too, Forgejo those of its name as
                        // well
    HEADER_GITEA_DELIVERY,
    HEADER_GITEA_SIGNATURE,
    HEADER_FORGEJO_EVENT,
    HEADER_FORGEJO_DELIVERY,
    HEADER_FORGEJO_SIGNATURE,
    HEADER_GOGS_EVENT,
    HEADER_GOGS_DELIVERY,
    HEADER_GOGS_SIGNATURE,
    HEADER_EVENT_KEY,    // Bitbucket
    HEADER_REQUEST_UUID, // Bitbucket Cloud
    HEADER_REQUEST_ID,   // Bitbucket Data Center
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

#define EVENT_CHANGES_MAX 64 // refs of one push that are looked at

// A ref that moved.
struct webhook_change {
    enum webhook_event_kind kind;
    const char *ignored_because; // a constant sentence for EVENT_IGNORED, else NULL
    char ref[REF_MAX + 1];       // "refs/heads/main"; always given for pushes and deletions
    char branch[REF_MAX + 1];    // "main"; "" unless the ref is a branch
    char before[OBJECT_ID_MAX + 1];
    // Where the ref is now, as the forge says: a hint. GitLab gives a tag's commit, GitHub an
    // annotated tag's own object. All zeros for deletions.
    char after[OBJECT_ID_MAX + 1];
};

// Texts are valid UTF-8 without control characters; "" when the payload does not say. Starts as
// {0}; whoever decodes one calls webhook_event_finish().
struct webhook_event {
    struct webhook_change change; // the only one, or the one that the delivery is known by
    // The other refs of a push of several (Bitbucket), at most EVENT_CHANGES_MAX - 1.
    struct webhook_change *more;
    size_t more_count;
    size_t left_out; // refs beyond EVENT_CHANGES_MAX: a sweep looks after them
    // The sender's delivery id. A sender that gives none: "body-" and the body's SHA-256, so that a
    // byte for byte repeat is still seen as one.
    char delivery[DELIVERY_ID_MAX + 1];
    char name[EVENT_NAME_MAX + 1]; // the forge's own word: "push", "Tag Push Hook"
    // Identity (see repository.h). Always given for pushes and deletions.
    char repository[REPOSITORY_MAX + 1];
    // The identity of another of its clone URLs, where that differs: Bitbucket Data Center's HTTPS
    // and SSH paths do. Else "".
    char other_repository[REPOSITORY_MAX + 1];
    char pusher[EVENT_PERSON_MAX + 1];
    char subject[EVENT_SUBJECT_MAX + 1]; // first line of the head commit's message
    char author[EVENT_PERSON_MAX + 1];   // of the head commit
    char body_sha256[SHA256_HEX_SIZE];   // of the raw body
};
void webhook_event_finish(struct webhook_event *event);

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
    // 415). *out is about 3 KB.
    bool (*decode)(const struct webhook_headers *headers, const void *body, size_t len,
                   struct webhook_event *out, struct error *err);
};

extern const struct webhook_provider webhook_github; // and all that speak its headers and payload
extern const struct webhook_provider webhook_gitlab;
extern const struct webhook_provider webhook_gitea;     // Forgejo and Gogs too
extern const struct webhook_provider webhook_bitbucket; // Cloud and Data Center
// Ended by NULL. Gitea stands before GitHub, whose headers it sends too.
extern const struct webhook_provider *const webhook_providers[];

// NULL when no provider has that path.
const struct webhook_provider *webhook_provider_at(const char *path);

#endif
