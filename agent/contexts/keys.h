// What the context listener is known by, and the tokens that are good there. Any thread.
//
// A token speaks for one Job by its uid and is made from the listener's private key: whichever
// agent has that key can make and check it, with nothing kept between.
#ifndef CRONWRIGHT_CONTEXTS_KEYS_H
#define CRONWRIGHT_CONTEXTS_KEYS_H

#include "agent/base/crypto.h"
#include "agent/base/json.h"
#include "agent/config.h"

#define CONTEXT_UID_SIZE   64 // a Kubernetes uid, with NUL
#define CONTEXT_TOKEN_SIZE (CONTEXT_UID_SIZE + SHA256_HEX_SIZE)

struct context_keys {
    char *certificate; // PEM
    char *key;         // PEM
};

// Those of the settings, else those in the state directory, which are made when they are not there,
// will not be good for long, or are for another host than that of context.address.
bool context_keys_load(const struct config *config, struct context_keys *out,
                       struct error *err) MUST_CHECK;
void context_keys_finish(struct context_keys *keys); // wipes

// The token of a Job as the API server has it. ERR_PROTOCOL for what is no Job.
bool context_token(const struct context_keys *keys, const json_t *job,
                   char out[static CONTEXT_TOKEN_SIZE], struct error *err) MUST_CHECK;
// Whether it is the token of a Job of that name and namespace; *uid says of which.
bool context_token_check(const struct context_keys *keys, const char *namespace_, const char *job,
                         const char *token, char uid[static CONTEXT_UID_SIZE]);

#endif
