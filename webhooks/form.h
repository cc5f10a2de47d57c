// application/x-www-form-urlencoded, read from the raw body.
#ifndef CRONWRIGHT_WEBHOOKS_FORM_H
#define CRONWRIGHT_WEBHOOKS_FORM_H

#include "agent/base/buffer.h"

// Appends the decoded value of the one field called `name` (written plainly, as forges do).
// ERR_INVALID when it is absent, there twice, has a '%' without two hex digits or decodes to a NUL;
// then *out is unchanged.
bool form_field(const char *body, size_t len, const char *name, struct buffer *out,
                struct error *err) MUST_CHECK;

#endif
