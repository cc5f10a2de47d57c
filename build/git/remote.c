#include "build/git/remote.h"

#include "agent/base/buffer.h"
#include "agent/base/crypto.h"
#include "agent/base/text.h"
#include "build/git/hostkey.h"
#include "build/git/limits.h"
#include "build/git/tunnel.h"

#include <stdio.h>
#include <string.h>

// Refs are kept under hashed names: "a" and "a/b" cannot both be files below refs/heads, and a
// remote may replace the one by the other at any time.
#define LOCAL_REF_SIZE (sizeof "refs/cronwright/" + SHA256_HEX_SIZE)

#define SSH_LOGIN_FAILS "Failed to authenticate SSH session: " // then follow libssh2's words

struct remote {
    const struct git_request *request;
    git_repository *repository;
    git_remote *remote;
    struct answers *answers; // while fetching
    unsigned int tried;      // kinds of credentials already given
    bool too_large;
    struct fault told; // by a callback, when it has a word
    bool too_many;
};

// --- what went wrong ---

static const char *word_of_status(long status)
{
    if (status == 404 || status == 410)
        return GIT_ERROR_WORD_NOT_FOUND;
    if (status == 401 || status == 403 || status == 407)
        return GIT_ERROR_WORD_UNAUTHORIZED;
    if (status == 408 || status == 429 || status >= 500)
        return GIT_ERROR_WORD_UNAVAILABLE;
    return GIT_ERROR_WORD_PROTOCOL;
}

// With SSH there is no status: what Git, GitHub and GitLab say.
static bool is_missing_by_ssh(const char *message)
{
    return strstr(message, "does not appear to be a git repository") ||
           strcasestr(message, "repository not found") || strstr(message, "could not be found");
}

// libgit2 keeps an HTTP status only in its text.
static const char *word_of_error(int code, const git_error *error)
{
    static const char status[] = "status code: ";
    const char *at = strstr(error->message, status);
    if (code == GIT_EAUTH)
        return GIT_ERROR_WORD_UNAUTHORIZED;
    if (code == GIT_ECERTIFICATE)
        return GIT_ERROR_WORD_TLS;
    if (at)
        return word_of_status(strtol(at + strlen(status), NULL, 10));
    if (code == GIT_ENOTFOUND) // a local path
        return GIT_ERROR_WORD_NOT_FOUND;
    if (is_missing_by_ssh(error->message))
        return GIT_ERROR_WORD_NOT_FOUND;
    if (strstr(error->message, "redirect"))
        return GIT_ERROR_WORD_PROTOCOL;
    switch (error->klass) {
    case GIT_ERROR_NET:
    case GIT_ERROR_OS:
    case GIT_ERROR_SSL:
        return GIT_ERROR_WORD_UNAVAILABLE;
    case GIT_ERROR_NOMEMORY:
        return GIT_ERROR_WORD_IO;
    default:
        return GIT_ERROR_WORD_PROTOCOL;
    }
}

// What a callback found, which libgit2's own words would hide.
static bool is_told(const struct remote *remote, struct fault *fault)
{
    if (remote->told.word)
        *fault = remote->told;
    return remote->told.word != NULL;
}

static const char *why_refused(const struct git_request *request)
{
    if (request->ssh_key)
        return "refuses the SSH key that is configured for it";
    return request->username ? "refuses the login that is configured for it" : "needs a login";
}

// "cannot redirect from '<host or scheme>' to '<another>'"
static bool redirect_fault(const char *url, const char *message, struct fault *fault)
{
    const char *from = strstr(message, "from '");
    const char *to = strstr(message, " to '");
    from = from ? from + strlen("from '") : message;
    to = to ? to + strlen(" to '") : message;
    return fault_set(fault, GIT_ERROR_WORD_REDIRECT,
                     "%s redirects from %.*s to %.*s, which is not followed: use the URL that it "
                     "leads to",
                     url, (int)strcspn(from, "'"), from, (int)strcspn(to, "'"), to);
}

static bool network_fault(const struct remote *remote, int code, struct fault *fault)
{
    static const git_error unknown = {(char *)"no reason given", GIT_ERROR_NONE};
    const git_error *error = git_error_last();
    if (is_told(remote, fault))
        return false;
    if (!error || !error->message)
        error = &unknown;
    const char *word = word_of_error(code, error);
    const char *url = remote->request->url;
    if (strstr(error->message, "cannot redirect"))
        return redirect_fault(url, error->message, fault);
    if (strstr(error->message, "too many redirects"))
        return fault_set(fault, GIT_ERROR_WORD_REDIRECT, "%s redirects again and again", url);
    if (strstr(error->message, "unexpected redirect")) // of what is posted
        return fault_set(fault, GIT_ERROR_WORD_REDIRECT,
                         "%s redirects whoever asks for a pack, which is not followed: use the "
                         "URL that it leads to",
                         url);
    if (text_starts(error->message, SSH_LOGIN_FAILS))
        return fault_set(fault, GIT_ERROR_WORD_UNAUTHORIZED,
                         "the SSH key that is configured for %s cannot be used: %s", url,
                         error->message[strlen(SSH_LOGIN_FAILS)]
                             ? error->message + strlen(SSH_LOGIN_FAILS)
                             : "is it encrypted?");
    if (strcmp(word, GIT_ERROR_WORD_UNAUTHORIZED) == 0)
        return fault_set(fault, word, "%s %s, or there is no such repository", url,
                         why_refused(remote->request));
    if (strcmp(word, GIT_ERROR_WORD_NOT_FOUND) == 0)
        return fault_set(fault, word, "there is no repository at %s", url);
    if (strcmp(word, GIT_ERROR_WORD_TLS) == 0)
        return fault_set(fault, word,
                         "%s: its certificate is not trusted (git.caFile says whom to trust): %s",
                         url, error->message);
    return fault_set(fault, word, "%s: %s", url, error->message);
}

// --- callbacks of libgit2 ---

// "scheme://host[:port]" and what follows it.
static size_t origin_length(const char *url)
{
    const char *host = strstr(url, "://");
    host = host ? host + strlen("://") : url;
    return (size_t)(host - url) + strcspn(host, "/");
}

static bool is_own_origin(const struct git_request *request, const char *url)
{
    size_t origin = origin_length(request->url);
    return origin_length(url) == origin && strncmp(url, request->url, origin) == 0;
}

// Each kind of credential is given once: what a server refused it would refuse again.
static int on_credentials(git_credential **out, const char *url, const char *username_from_url,
                          unsigned int allowed, void *payload)
{
    struct remote *remote = payload;
    const struct git_request *request = remote->request;
    unsigned int kind =
        request->ssh_key ? GIT_CREDENTIAL_SSH_MEMORY : GIT_CREDENTIAL_USERPASS_PLAINTEXT;
    if (!(allowed & kind) || (remote->tried & kind))
        return GIT_EAUTH;
    remote->tried |= kind;
    // With SSH, the host has proven to be the one of the URL.
    if (request->ssh_key)
        return git_credential_ssh_key_memory_new(out, username_from_url, NULL, request->ssh_key,
                                                 request->ssh_passphrase);
    if (!request->username)
        return GIT_EAUTH;
    if (!is_own_origin(request, url)) {
        fault_set(&remote->told, GIT_ERROR_WORD_REDIRECT,
                  "%s redirects to %.*s, which is not sent the login: use the URL that it leads to",
                  request->url, (int)origin_length(url), url);
        return GIT_EAUTH;
    }
    return git_credential_userpass_plaintext_new(out, request->username, request->password);
}

// TLS is judged by libgit2 alone. Of SSH it knows the user's own known_hosts only.
static int on_certificate(git_cert *certificate, int valid, const char *host, void *payload)
{
    struct remote *remote = payload;
    const struct git_request *request = remote->request;
    const git_cert_hostkey *key = (const git_cert_hostkey *)(const void *)certificate;
    (void)valid;
    (void)host;
    if (certificate->cert_type == GIT_CERT_X509)
        return GIT_PASSTHROUGH;
    if (certificate->cert_type != GIT_CERT_HOSTKEY_LIBSSH2 || !request->known_hosts ||
        !(key->type & GIT_CERT_SSH_RAW)) {
        fault_set(&remote->told, GIT_ERROR_WORD_HOST_KEY, "%s shows no host key", request->host);
        return GIT_ECERTIFICATE;
    }
    return hostkey_check(request->known_hosts, request->remote.host, request->remote.port,
                         key->hostkey, key->hostkey_len, &remote->told)
               ? 0
               : GIT_ECERTIFICATE;
}

static int on_transfer(const git_indexer_progress *progress, void *payload)
{
    struct remote *remote = payload;
    if ((int64_t)progress->received_bytes > remote->request->max_repository_bytes) {
        remote->too_large = true;
        return GIT_EUSER;
    }
    if ((int64_t)progress->total_objects > remote->request->max_objects) {
        remote->too_many = true;
        return GIT_EUSER;
    }
    answer_progress(remote->answers, progress->received_objects, progress->total_objects,
                    progress->received_bytes);
    return 0;
}

static void set_callbacks(struct remote *remote, git_remote_callbacks *callbacks)
{
    callbacks->credentials = on_credentials;
    callbacks->certificate_check = on_certificate;
    callbacks->transfer_progress = on_transfer;
    callbacks->payload = remote;
}

// --- the remote ---

// Plain HTTP goes to the server itself: what would a proxy be good for inside a network?
static bool prepare(struct remote *remote, struct fault *fault)
{
    const struct git_request *request = remote->request;
    if (request->known_hosts)
        return hostkey_prefer(request->known_hosts, request->ssh_directory, fault);
    if (request->proxy && request->remote.kind == GIT_URL_HTTPS)
        return tunnel_begin(request, &remote->told, fault);
    return true;
}

static bool connect_fault(const struct remote *remote, int code, struct fault *fault)
{
    const git_error *last = git_error_last();
    if (last && last->klass == GIT_ERROR_NOMEMORY)
        return fault_set(fault, GIT_ERROR_WORD_TOO_LARGE,
                         "%s lists more refs than fit into %lld MiB of memory",
                         remote->request->url, (long long)LIMITS_REFS_BYTES >> 20);
    return network_fault(remote, code, fault);
}

bool remote_open(const struct git_request *request, git_repository *repository, struct remote **out,
                 struct fault *fault)
{
    struct remote *remote = xalloc(sizeof *remote);
    remote->request = request;
    remote->repository = repository;
    if (!prepare(remote, fault)) {
        remote_close(remote);
        return false;
    }
    git_remote_connect_options options;
    git_remote_connect_options_init(&options, GIT_REMOTE_CONNECT_OPTIONS_VERSION);
    set_callbacks(remote, &options.callbacks);
    options.proxy_opts.type = GIT_PROXY_NONE; // tunnel.c's matter
    options.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
    limits_set_listing(true);
    int code = repository ? git_remote_create_anonymous(&remote->remote, repository, request->url)
                          : git_remote_create_detached(&remote->remote, request->url);
    if (code == 0)
        code = git_remote_connect_ext(remote->remote, GIT_DIRECTION_FETCH, &options);
    limits_set_listing(false);
    if (code < 0) {
        connect_fault(remote, code, fault);
        remote_close(remote);
        return false;
    }
    *out = remote;
    return true;
}

void remote_close(struct remote *remote)
{
    if (!remote)
        return;
    git_remote_free(remote->remote);
    tunnel_end();
    free(remote);
}

bool remote_head(struct remote *remote, git_oid *out, struct fault *fault)
{
    const git_remote_head **heads;
    size_t count;
    int code = git_remote_ls(&heads, &count, remote->remote);
    if (code < 0)
        return network_fault(remote, code, fault);
    for (size_t i = 0; i < count; i++)
        if (strcmp(heads[i]->name, remote->request->reference) == 0) {
            git_oid_cpy(out, &heads[i]->oid);
            return true;
        }
    return fault_set(fault, GIT_ERROR_WORD_BRANCH, "%s has no branch \"%s\"%s",
                     remote->request->url, remote->request->branch,
                     count == 0 ? ": it is empty" : "");
}

static void local_reference(const struct remote *remote, char out[static LOCAL_REF_SIZE])
{
    uint8_t digest[SHA256_SIZE];
    char hex[SHA256_HEX_SIZE];
    sha256(remote->request->reference, strlen(remote->request->reference), digest);
    hex_encode(digest, sizeof digest, hex);
    snprintf(out, LOCAL_REF_SIZE, "refs/cronwright/%s", hex);
}

// While fetching, a failure may also come from the mirror or its disk.
static bool is_local_trouble(void)
{
    static const int local[] = {GIT_ERROR_OS,        GIT_ERROR_ODB,  GIT_ERROR_INDEXER,
                                GIT_ERROR_REFERENCE, GIT_ERROR_ZLIB, GIT_ERROR_FILESYSTEM,
                                GIT_ERROR_OBJECT};
    const git_error *last = git_error_last();
    if (!last || !last->message || strstr(last->message, "connect to "))
        return false;
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++)
        if (last->klass == local[i])
            return true;
    return false;
}

// What came is to blame, if what it was put into was empty.
static bool is_broken_pack(void)
{
    const git_error *last = git_error_last();
    return last && (last->klass == GIT_ERROR_INDEXER || last->klass == GIT_ERROR_ZLIB ||
                    last->klass == GIT_ERROR_ODB || last->klass == GIT_ERROR_OBJECT);
}

static bool fetch_fault(const struct remote *remote, bool fresh, int code, struct fault *fault)
{
    const char *url = remote->request->url;
    if (!is_local_trouble())
        return network_fault(remote, code, fault);
    if (fresh && is_broken_pack())
        return fault_set(fault, GIT_ERROR_WORD_PROTOCOL, "%s sends a broken pack: %s", url,
                         fault_libgit2_text());
    return fault_mirror(fault, "fetching %s", url);
}

bool remote_fetch(struct remote *remote, struct answers *answers, const git_oid *head, bool fresh,
                  uint64_t *bytes, struct fault *fault)
{
    char local[LOCAL_REF_SIZE];
    local_reference(remote, local);
    CLEANUP(free_ptr) char *refspec = xasprintf("+%s:%s", remote->request->reference, local);
    git_strarray refspecs = {&refspec, 1};
    git_fetch_options options;
    git_fetch_options_init(&options, GIT_FETCH_OPTIONS_VERSION);
    set_callbacks(remote, &options.callbacks);
    options.proxy_opts.type = GIT_PROXY_NONE; // tunnel.c's matter
    options.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
    options.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
    options.update_fetchhead = 0;
    remote->answers = answers;
    remote->tried = 0; // the connection's requests were answered; these are new ones
    int code = git_remote_download(remote->remote, &refspecs, &options);
    if (remote->too_large)
        return fault_set(fault, GIT_ERROR_WORD_TOO_LARGE,
                         "%s is larger than %lld bytes (git.maxRepositoryBytes)",
                         remote->request->url, (long long)remote->request->max_repository_bytes);
    if (remote->too_many)
        return fault_set(fault, GIT_ERROR_WORD_TOO_LARGE,
                         "%s has more than %lld objects (git.maxObjects)", remote->request->url,
                         (long long)remote->request->max_objects);
    if (code < 0)
        return fetch_fault(remote, fresh, code, fault);
    *bytes = git_remote_stats(remote->remote)->received_bytes;
    git_reference *reference = NULL;
    code = git_reference_create(&reference, remote->repository, local, head, 1, NULL);
    git_reference_free(reference);
    return code == 0 || fault_mirror(fault, "the mirror's ref");
}
