// Sign-ins of browsers: who gave a token once is known by a cookie from then on. They are kept in
// memory, so that a restart ends them all, and of each only the hash of its key.
//
// A session is as good as its token is in the settings: it ends when that leaves them or has
// another role there.
#ifndef CRONWRIGHT_ADMIN_SESSIONS_H
#define CRONWRIGHT_ADMIN_SESSIONS_H

#include "agent/base/clock.h"
#include "agent/config.h"

#define SESSIONS_MAX       256 // the one that was used least recently goes for a new one:
#define SESSIONS_PER_TOKEN 64  // of the same token, when that has so many, else of all
#define SESSION_KEY_SIZE   65  // 256 random bits in hex, with NUL

struct sessions; // any number of threads

struct session {
    uint8_t token[SHA256_SIZE]; // that it was begun with, hashed
    enum config_role role;      // of it, then
    struct mono_time began, until;
};

struct sessions *sessions_create(void);
void sessions_destroy(struct sessions *sessions); // NULL is fine

// What a session is known by here.
void session_digest(const char *key, uint8_t out[static SHA256_SIZE]);
// Begins one at `now` and gives its key.
void sessions_begin(struct sessions *sessions, const struct config_token *token, int64_t timeout_ms,
                    struct mono_time now, char key[static SESSION_KEY_SIZE]);
// Finds one that is not over: it lasts as long as was said when it began, and as `timeout_ms` says
// now. The time this takes tells nothing of other keys.
bool sessions_find(struct sessions *sessions, const uint8_t digest[static SHA256_SIZE],
                   int64_t timeout_ms, struct mono_time now, struct session *out);
// False when there is none.
bool sessions_end(struct sessions *sessions, const uint8_t digest[static SHA256_SIZE]);
// Ends those whose token is not in the settings, or has another role; how many.
size_t sessions_end_revoked(struct sessions *sessions, const struct config *config);
// The token that a session stands for; NULL when there is none any more.
const struct config_token *session_token(const struct session *session,
                                         const struct config *config);

#endif
