#include "agent/admin/sessions.h"

#include "agent/base/buffer.h"
#include "agent/base/crypto.h"

#include <pthread.h>
#include <string.h>

#define KEY_BYTES 32

struct slot {
    bool taken;
    uint8_t digest[SHA256_SIZE];
    struct session session;
    uint64_t used; // the greater, the later
};

struct sessions {
    pthread_mutex_t lock; // guards what follows; no other lock is taken under it
    struct slot slots[SESSIONS_MAX];
    uint64_t uses;
};

struct sessions *sessions_create(void)
{
    struct sessions *sessions = xalloc(sizeof *sessions);
    pthread_mutex_init(&sessions->lock, NULL);
    return sessions;
}

void sessions_destroy(struct sessions *sessions)
{
    if (!sessions)
        return;
    pthread_mutex_destroy(&sessions->lock);
    free(sessions);
}

void session_digest(const char *key, uint8_t out[static SHA256_SIZE])
{
    sha256(key, strlen(key), out);
}

static bool is_over(const struct session *session, int64_t timeout_ms, struct mono_time now)
{
    return now.ms >= session->until.ms || now.ms - session->began.ms >= timeout_ms;
}

static bool is_of(const struct slot *slot, const struct config_token *token)
{
    return memcmp(slot->session.token, token->digest, SHA256_SIZE) == 0;
}

// Under the lock. A free one, else that which was used least recently; `token` NULL: by anybody.
static struct slot *find_room(struct sessions *sessions, const struct config_token *token)
{
    struct slot *least = NULL;
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct slot *slot = &sessions->slots[i];
        if (!token && !slot->taken)
            return slot;
        if ((!token || (slot->taken && is_of(slot, token))) && (!least || slot->used < least->used))
            least = slot;
    }
    return least;
}

static size_t count_of(const struct sessions *sessions, const struct config_token *token)
{
    size_t count = 0;
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        count += sessions->slots[i].taken && is_of(&sessions->slots[i], token);
    return count;
}

void sessions_begin(struct sessions *sessions, const struct config_token *token, int64_t timeout_ms,
                    struct mono_time now, char key[static SESSION_KEY_SIZE])
{
    uint8_t bytes[KEY_BYTES];
    random_bytes(bytes, sizeof bytes);
    hex_encode(bytes, sizeof bytes, key);
    struct slot fresh = {
        .taken = true,
        .session = {.role = token->role, .began = now, .until = {now.ms + timeout_ms}}};
    memcpy(fresh.session.token, token->digest, SHA256_SIZE);
    session_digest(key, fresh.digest);
    pthread_mutex_lock(&sessions->lock);
    bool many = count_of(sessions, token) >= SESSIONS_PER_TOKEN;
    fresh.used = ++sessions->uses;
    *find_room(sessions, many ? token : NULL) = fresh;
    pthread_mutex_unlock(&sessions->lock);
}

// Under the lock. Looks at all of them, whichever it is.
static struct slot *find(struct sessions *sessions, const uint8_t digest[static SHA256_SIZE])
{
    struct slot *found = NULL;
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct slot *slot = &sessions->slots[i];
        if (equal_in_constant_time(slot->digest, digest, SHA256_SIZE) && slot->taken)
            found = slot;
    }
    return found;
}

bool sessions_find(struct sessions *sessions, const uint8_t digest[static SHA256_SIZE],
                   int64_t timeout_ms, struct mono_time now, struct session *out)
{
    pthread_mutex_lock(&sessions->lock);
    struct slot *slot = find(sessions, digest);
    if (slot && is_over(&slot->session, timeout_ms, now)) {
        *slot = (struct slot){0};
        slot = NULL;
    }
    if (slot) {
        slot->used = ++sessions->uses;
        *out = slot->session;
    }
    pthread_mutex_unlock(&sessions->lock);
    return slot;
}

bool sessions_end(struct sessions *sessions, const uint8_t digest[static SHA256_SIZE])
{
    pthread_mutex_lock(&sessions->lock);
    struct slot *slot = find(sessions, digest);
    if (slot)
        *slot = (struct slot){0};
    pthread_mutex_unlock(&sessions->lock);
    return slot;
}

const struct config_token *session_token(const struct session *session, const struct config *config)
{
    for (size_t i = 0; i < config->admin.tokens.count; i++) {
        const struct config_token *token = &config->admin.tokens.items[i];
        if (memcmp(token->digest, session->token, SHA256_SIZE) == 0 && token->role == session->role)
            return token;
    }
    return NULL;
}

size_t sessions_end_revoked(struct sessions *sessions, const struct config *config)
{
    size_t count = 0;
    pthread_mutex_lock(&sessions->lock);
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct slot *slot = &sessions->slots[i];
        if (slot->taken && !session_token(&slot->session, config)) {
            *slot = (struct slot){0};
            count++;
        }
    }
    pthread_mutex_unlock(&sessions->lock);
    return count;
}
