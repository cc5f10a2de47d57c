#include "build/git/remote.h"

#include "agent/base/buffer.h"
#include "agent/base/crypto.h"
#include "agent/base/text.h"

#include <stdio.h>
#include <string.h>

// Refs are kept under hashed names: "a" and "a/b" cannot both be files below refs/heads, and a
// remote may replace the one by the other at any time.
#define LOCAL_REF_SIZE (sizeof "refs/cronwright/" + SHA256_HEX_SIZE)

struct remote {
    const struct git_request *request;
    git_repository *repository;
    git_remote *remote;
    struct answers *answers; // while fetching
    unsigned int tried;      // kinds of credentials already given
    bool too_large;
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

static bool network_fault(const struct remote *remote, int code, struct fault *fault)
{
    static const git_error unknown = {(char *)"no reason given", GIT_ERROR_NONE};
    const git_error *error = git_error_last();
    if (!error || !error->message)
        error = &unknown;
    const char *word = word_of_error(code, error);
    const char *url = remote->request->url;
    if (strcmp(word, GIT_ERROR_WORD_UNAUTHORIZED) == 0)
        return fault_set(
            fault, word,
            remote->request->username
                ? "%s refuses the login that is configured for it, or there is no such "
                  "repository"
                : "%s needs a login, or there is no such repository",
            url);
    if (strcmp(word, GIT_ERROR_WORD_NOT_FOUND) == 0)
        return fault_set(fault, word, "there is no repository at %s", url);
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

static int on_credentials(git_credential **out, const char *url, const char *username_from_url,
                          unsigned int allowed, void *payload)
{
    struct remote *remote = payload;
    const struct git_request *request = remote->request;
    size_t origin = origin_length(request->url);
    (void)username_from_url;
    if (!request->username || !(allowed & GIT_CREDENTIAL_USERPASS_PLAINTEXT) ||
        (remote->tried & GIT_CREDENTIAL_USERPASS_PLAINTEXT) || origin_length(url) != origin ||
        strncmp(url, request->url, origin) != 0)
        return GIT_EAUTH;
    remote->tried |= GIT_CREDENTIAL_USERPASS_PLAINTEXT;
    return git_credential_userpass_plaintext_new(out, request->username, request->password);
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
    callbacks->transfer_progress = on_transfer;
    callbacks->payload = remote;
}

// libgit2 tunnels https through a proxy; with plain http it would talk to the server directly, in
// words meant for a proxy.
static void set_proxy(const struct remote *remote, git_proxy_options *proxy)
{
    bool usable = remote->request->proxy && text_starts(remote->request->url, "https://");
    proxy->type = usable ? GIT_PROXY_SPECIFIED : GIT_PROXY_NONE;
    proxy->url = remote->request->proxy;
}

// --- the remote ---

bool remote_open(const struct git_request *request, git_repository *repository, struct remote **out,
                 struct fault *fault)
{
    struct remote *remote = xalloc(sizeof *remote);
    remote->request = request;
    remote->repository = repository;
    git_remote_connect_options options;
    git_remote_connect_options_init(&options, GIT_REMOTE_CONNECT_OPTIONS_VERSION);
    set_callbacks(remote, &options.callbacks);
    set_proxy(remote, &options.proxy_opts);
    options.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
    int code = repository ? git_remote_create_anonymous(&remote->remote, repository, request->url)
                          : git_remote_create_detached(&remote->remote, request->url);
    if (code == 0)
        code = git_remote_connect_ext(remote->remote, GIT_DIRECTION_FETCH, &options);
    if (code < 0) {
        network_fault(remote, code, fault);
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

bool remote_fetch(struct remote *remote, struct answers *answers, const git_oid *head,
                  uint64_t *bytes, struct fault *fault)
{
    char local[LOCAL_REF_SIZE];
    local_reference(remote, local);
    CLEANUP(free_ptr) char *refspec = xasprintf("+%s:%s", remote->request->reference, local);
    git_strarray refspecs = {&refspec, 1};
    git_fetch_options options;
    git_fetch_options_init(&options, GIT_FETCH_OPTIONS_VERSION);
    set_callbacks(remote, &options.callbacks);
    set_proxy(remote, &options.proxy_opts);
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
        return is_local_trouble() ? fault_mirror(fault, "fetching %s", remote->request->url)
                                  : network_fault(remote, code, fault);
    *bytes = git_remote_stats(remote->remote)->received_bytes;
    git_reference *reference = NULL;
    code = git_reference_create(&reference, remote->repository, local, head, 1, NULL);
    git_reference_free(reference);
    return code == 0 || fault_mirror(fault, "the mirror's ref");
}
