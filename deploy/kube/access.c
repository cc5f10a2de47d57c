#include "agent/base/file.h"
#include "agent/base/threads.h"
#include "deploy/kube/source.h"

#include <stdatomic.h>
#include <string.h>

#define CREDENTIAL_FILE_MAX ((size_t)1 << 20)
#define WAIT_MAX_MS         60000  // the wall clock may jump, so expiry is looked at this often
#define RENEW_EARLY_MAX_MS  300000 // credentials are renewed after 4/5 of their life, or this early

// A kube_identity with its references and what it points to. Immutable.
struct identity {
    struct kube_identity public;
    atomic_int references;
    char *cert_pem;
    char *key_pem;
    char *authorization;
    char *ca_file;
    char *ca_pem;
};

struct kube_access {
    struct kube_source source; // never changes
    pthread_t thread;          // runs the exec plugin, if there is one
    pthread_mutex_t mutex;     // guards all below; not held while the plugin runs
    pthread_cond_t changed;
    struct identity *current;    // NULL until there are credentials
    bool rejected;               // by a 401; a renewal is due
    struct mono_time not_before; // next renewal for `rejected`, and next run of the plugin
    struct mono_time reread;     // when files are read again
    struct wall_time renew;      // when the plugin is run again; unset: not by time
    struct wall_time expires;    // of `current`; unset: never
    struct error failure;        // of the plugin's last run; ERR_NONE after a good one
    bool stopping;
};

// --- identities ---

void kube_identity_release(const struct kube_identity *identity)
{
    if (!identity)
        return;
    // `public` is the first member of the object that kube_access_identity() lent out.
    union {
        const struct kube_identity *in;
        struct identity *out;
    } cast = {.in = identity};
    struct identity *own = cast.out;
    if (atomic_fetch_sub(&own->references, 1) > 1)
        return;
    free(own->cert_pem);
    secret_free(own->key_pem);
    secret_free(own->authorization);
    free(own->ca_file);
    free(own->ca_pem);
    free(own);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

// A token goes into a header line: nothing in it may end that line.
static bool check_token(const char *token, struct error *err)
{
    for (const char *c = token; *c; c++)
        if (*c <= ' ' || *c > '~')
            return error_set(err, ERR_INVALID, "token: holds a space or control character");
    return *token || error_set(err, ERR_INVALID, "token: empty");
}

static bool is_present(const struct identity *present, const struct exec_credentials *credentials,
                       const char *authorization, const struct kube_source *from)
{
    return present && same_text(present->authorization, authorization) &&
           same_text(present->cert_pem, credentials->cert_pem) &&
           same_text(present->key_pem, credentials->key_pem) &&
           same_text(present->ca_file, from->ca_file) && same_text(present->ca_pem, from->ca_pem);
}

// Makes `credentials` (taken apart) and the authority of `from` the present identity, unless
// nothing is new. Called locked.
static bool adopt(struct kube_access *access, struct exec_credentials *credentials,
                  const struct kube_source *from, struct error *err)
{
    const struct kube_source *source = &access->source;
    if (credentials->token && !check_token(credentials->token, err))
        return false;
    CLEANUP(secret_ptr) char *authorization = NULL;
    if (credentials->token)
        authorization = xasprintf("Authorization: Bearer %s", credentials->token);
    struct identity *old = access->current;
    if (is_present(old, credentials, authorization, from))
        return true;
    struct identity *identity = xalloc(sizeof *identity);
    identity->references = 1;
    identity->authorization = TAKE(authorization);
    identity->cert_pem = TAKE(credentials->cert_pem);
    identity->key_pem = TAKE(credentials->key_pem);
    identity->ca_file = from->ca_file ? xstrdup(from->ca_file) : NULL;
    identity->ca_pem = from->ca_pem ? xstrdup(from->ca_pem) : NULL;
    identity->public = (struct kube_identity){
        .generation = old ? old->public.generation + 1 : 1,
        .authorization = identity->authorization,
        .trust = {.ca_file = identity->ca_file,
                  .ca_pem = identity->ca_pem,
                  .cert_pem = identity->cert_pem,
                  .key_pem = identity->key_pem,
                  .server_name = source->server_name,
                  .proxy = source->proxy,
                  .username = source->username,
                  .password = source->password,
                  .insecure_skip_verify = source->insecure_skip_verify},
    };
    access->current = identity;
    kube_identity_release(old ? &old->public : NULL);
    return true;
}

// --- from the source and its files ---

// Changes the text itself.
static const char *without_end_slashes(char *url)
{
    for (size_t len = strlen(url); len > 0 && url[len - 1] == '/'; len--)
        url[len - 1] = '\0';
    return url;
}

// The file's text if there is a file, else a copy of `data` (which may be NULL).
static bool load_text(const char *file, const char *data, char **out, struct error *err)
{
    if (!file) {
        *out = data ? xstrdup(data) : NULL;
        return true;
    }
    CLEANUP(buffer_wipe) struct buffer text = {.cap = CREDENTIAL_FILE_MAX};
    if (!file_read(file, CREDENTIAL_FILE_MAX, &text, err))
        return false;
    *out = xstrdup(buffer_text(&text));
    return true;
}

static bool load(struct kube_access *access, const struct kube_source *source, struct error *err)
{
    CLEANUP(exec_credentials_finish) struct exec_credentials found = {0};
    if (!load_text(source->cert_file, source->cert_pem, &found.cert_pem, err) ||
        !load_text(source->key_file, source->key_pem, &found.key_pem, err))
        return false;
    if (source->token_file ? !secret_file_read(source->token_file, &found.token, err)
                           : !load_text(NULL, source->token, &found.token, err))
        return false;
    return adopt(access, &found, source, err);
}

static bool has_files(const struct kube_source *source)
{
    return !source->exec &&
           (source->kubeconfig || source->cert_file || source->key_file || source->token_file);
}

// What the kubeconfig file says now, if it still speaks of this server and of no plugin.
static bool load_again(struct kube_access *access)
{
    const struct kube_source *source = &access->source;
    CLEANUP(kube_source_finish) struct kube_source fresh = {0};
    if (!source->kubeconfig)
        return load(access, source, NULL);
    return kube_source_read(source->kubeconfig, source->context, &fresh, NULL) && !fresh.exec &&
           strcmp(without_end_slashes(fresh.server), source->server) == 0 &&
           load(access, &fresh, NULL);
}

// Reads files again when it is time to. Called locked.
static void reload(struct kube_access *access)
{
    bool renew = access->rejected && mono_past(access->not_before);
    if (!has_files(&access->source) || !(renew || mono_past(access->reread)))
        return;
    // A file that is being replaced right now keeps the last credentials.
    (void)load_again(access);
    access->reread = mono_after(KUBE_TOKEN_REREAD_MS);
    if (renew)
        access->not_before = mono_after(KUBE_REJECTED_PAUSE_MS);
    access->rejected = false;
}

// --- from an exec plugin, on a thread of its own ---

static bool wall_past(struct wall_time time)
{
    return time.ms && wall_now().ms >= time.ms;
}

static bool usable(const struct kube_access *access)
{
    return access->current && !access->rejected && !wall_past(access->expires);
}

// How long until the plugin is to be run; 0: now. Called locked.
static int64_t plugin_due_ms(const struct kube_access *access)
{
    int64_t wait = WAIT_MAX_MS;
    if (!usable(access) || wall_past(access->renew))
        wait = mono_left(access->not_before);
    else if (access->renew.ms && access->renew.ms - wall_now().ms < wait)
        wait = access->renew.ms - wall_now().ms;
    return wait;
}

static void wait_changed(struct kube_access *access, struct mono_time until)
{
    if (mono_left(until) > WAIT_MAX_MS)
        until = mono_after(WAIT_MAX_MS);
    condition_wait(&access->changed, &access->mutex, until);
}

static void plugin_answered(struct kube_access *access, bool ok,
                            struct exec_credentials *credentials, struct error *failure)
{
    access->not_before = mono_after(KUBE_REJECTED_PAUSE_MS);
    if (ok && adopt(access, credentials, &access->source, failure)) {
        int64_t life = credentials->expires.ms - wall_now().ms;
        int64_t early = life / 5 < RENEW_EARLY_MAX_MS ? life / 5 : RENEW_EARLY_MAX_MS;
        access->rejected = false;
        access->expires = credentials->expires;
        access->renew.ms = credentials->expires.ms ? credentials->expires.ms - early : 0;
        failure->code = ERR_NONE;
    } else {
        error_wrap(failure, "%s", access->source.origin);
    }
    access->failure = *failure;
    pthread_cond_broadcast(&access->changed);
}

static void *run_plugin(void *user)
{
    struct kube_access *access = user;
    pthread_mutex_lock(&access->mutex);
    while (!access->stopping) {
        int64_t wait = plugin_due_ms(access);
        if (wait > 0) {
            wait_changed(access, mono_after(wait));
            continue;
        }
        pthread_mutex_unlock(&access->mutex);
        CLEANUP(exec_credentials_finish) struct exec_credentials credentials = {0};
        struct error failure = {.code = ERR_NONE};
        bool ok = exec_plugin_run(access->source.exec, &credentials, &failure);
        pthread_mutex_lock(&access->mutex);
        plugin_answered(access, ok, &credentials, &failure);
    }
    pthread_mutex_unlock(&access->mutex);
    return NULL;
}

// --- the whole ---

bool kube_access_create(struct kube_source *source, struct kube_access **out, struct error *err)
{
    struct kube_access *access = xalloc(sizeof *access);
    pthread_mutex_init(&access->mutex, NULL);
    condition_init(&access->changed);
    access->source = *source;
    *source = (struct kube_source){0};

    struct kube_source *own = &access->source;
    without_end_slashes(own->server);
    access->reread = mono_after(KUBE_TOKEN_REREAD_MS);
    // The CA's file stays a file, so that a new one is found; but a missing one is told now.
    CLEANUP(free_ptr) char *ca = NULL;
    bool ok = load_text(own->ca_file, NULL, &ca, err) && (own->exec || load(access, own, err));
    if (!ok) {
        error_wrap(err, "%s", own->origin);
        exec_plugin_destroy(TAKE(own->exec)); // its thread has not been started
        kube_access_destroy(access);
        return false;
    }
    if (own->exec)
        thread_start(&access->thread, "kube-exec", run_plugin, access);
    *out = access;
    return true;
}

void kube_access_destroy(struct kube_access *access)
{
    if (!access)
        return;
    if (access->source.exec) {
        pthread_mutex_lock(&access->mutex);
        access->stopping = true;
        pthread_cond_broadcast(&access->changed);
        pthread_mutex_unlock(&access->mutex);
        pthread_join(access->thread, NULL);
    }
    kube_identity_release(access->current ? &access->current->public : NULL);
    kube_source_finish(&access->source);
    pthread_cond_destroy(&access->changed);
    pthread_mutex_destroy(&access->mutex);
    free(access);
}

const char *kube_access_server(const struct kube_access *access)
{
    return access->source.server;
}

bool kube_access_identity(struct kube_access *access, struct mono_time deadline,
                          const struct kube_identity **out, struct error *err)
{
    bool ok = true;
    pthread_mutex_lock(&access->mutex);
    if (access->source.exec) {
        while (!usable(access) && access->failure.code == ERR_NONE && !mono_past(deadline))
            wait_changed(access, deadline);
        if (!usable(access))
            ok = access->failure.code != ERR_NONE
                     ? error_set(err, access->failure.code, "%s", access->failure.text)
                     : error_set(err, ERR_TIMEOUT, "%s: the exec plugin has not answered yet",
                                 access->source.origin);
    } else {
        reload(access);
    }
    if (ok) {
        atomic_fetch_add(&access->current->references, 1);
        *out = &access->current->public;
    }
    pthread_mutex_unlock(&access->mutex);
    return ok;
}

void kube_access_rejected(struct kube_access *access, uint64_t generation)
{
    pthread_mutex_lock(&access->mutex);
    if (access->current && access->current->public.generation == generation)
        access->rejected = true;
    pthread_cond_broadcast(&access->changed);
    pthread_mutex_unlock(&access->mutex);
}
