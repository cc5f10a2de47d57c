// What the providers share when they fill in an event. Each function writes into *event only what
// it checked; the caller hands the event on when all is well.
#ifndef CRONWRIGHT_WEBHOOKS_EVENT_H
#define CRONWRIGHT_WEBHOOKS_EVENT_H

#include "agent/base/buffer.h"
#include "webhooks/provider.h"

// None of `which` (bits 1 << header) may be there twice; `code` if one is.
bool event_check_repeats(const struct webhook_headers *headers, unsigned which,
                         enum error_code code, struct error *err) MUST_CHECK;

// Up to DELIVERY_ID_MAX of the characters that provider.h allows?
bool event_check_delivery(const char *id, struct error *err) MUST_CHECK;

// Name (the event header's value), delivery id (NULL: made from the body) and the body's hash.
bool event_begin(struct webhook_event *event, enum webhook_header name_header,
                 const struct webhook_headers *headers, const char *delivery, const void *body,
                 size_t len, struct error *err) MUST_CHECK;

#define OBJECT_ID_SHA1 40 // hex digits; OBJECT_ID_MAX for SHA-256

enum content_type { CONTENT_JSON, CONTENT_FORM, CONTENT_OTHER };
enum content_type event_content_type(const struct webhook_headers *headers);

// The first of the URLs that gives an identity; empty ones are passed over. `urls` is ended by
// NULL.
bool event_set_repository(struct webhook_event *event, const char *const urls[],
                          struct error *err) MUST_CHECK;

// Ref, ids and the kind that follows from them: EVENT_IGNORED for a ref that is neither branch nor
// tag. `before` may be "".
bool event_set_push(struct webhook_change *change, const char *ref, const char *before,
                    const char *after, bool deleted, struct error *err) MUST_CHECK;

#define IGNORED_EVENT "Events of this kind do not move branches."
void event_ignore(struct webhook_change *change, const char *because);

#endif
