#include "agent/config.h"
#include "agent/base/crypto.h"
#include "agent/base/file.h"
#include "agent/base/text.h"
#include "agent/config_read.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SIGNING_TOKEN_PREFIX "whsec_" // Standard Webhooks
#define SIGNING_KEY_MAX      256      // bytes

// --- prefixes ---

// Without "/" and ".git" at the end.
static size_t bare_length(const char *name)
{
    size_t len = strlen(name);
    while (len > 0 && name[len - 1] == '/')
        len--;
    return len > 4 && memcmp(name + len - 4, ".git", 4) == 0 ? len - 4 : len;
}

// Whether a server could read the name as another one: "a/../b", "a//b", "a/%2e%2e/b".
static bool is_ambiguous(const char *name)
{
    const char *scheme = strstr(name, "://");
    const char *at = scheme ? scheme + 3 : name;
    if (strpbrk(at, "%?#\\") || *at == '\0')
        return true;
    for (size_t len; *at; at += len + (at[len] == '/')) {
        len = strcspn(at, "/");
        if (len == 0 || (len == 1 && at[0] == '.') || (len == 2 && at[0] == '.' && at[1] == '.'))
            return true;
    }
    return false;
}

// "user@host:path" as "ssh://user@host/path"; anything else as it is. The caller frees.
static char *in_one_form(const char *name)
{
    size_t user = strcspn(name, "@:/");
    size_t host = name[user] == '@' ? user + strcspn(name + user, ":/") : 0;
    if (host == 0 || name[host] != ':')
        return xstrdup(name);
    const char *path = name + host + 1;
    return xasprintf("ssh://%.*s/%s", (int)host, name, *path == '/' ? path + 1 : path);
}

// How many bytes of `name` a prefix covers, 0 when it does not hold.
static size_t prefix_length(const char *prefix_text, const char *name_text)
{
    CLEANUP(free_ptr) char *prefix = in_one_form(prefix_text);
    CLEANUP(free_ptr) char *name = in_one_form(name_text);
    size_t len = bare_length(prefix), whole = bare_length(name);
    if (is_ambiguous(name) || len > whole || strncmp(prefix, name, len) != 0)
        return 0;
    return len == whole || name[len] == '/' ? len : 0;
}

// --- what no single setting shows ---

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0; // NULL: could not be read, and that was told
}

static bool given(const char *text)
{
    return text && *text;
}

static bool is_known(const struct config_token *token)
{
    return given(token->hash) || token->file.text;
}

// A file that could not be read was told.
static void check_token(struct config_load *load, const struct config_token *token,
                        const char *pointer)
{
    const char *text = token->file.text;
    if (text && strlen(text) < CONFIG_TOKEN_MIN)
        config_fail(load, pointer, "%s: shorter than %d bytes", token->file.path, CONFIG_TOKEN_MIN);
    if (text && given(token->hash))
        config_fail(load, pointer, "there is a tokenFile too: give one of the two");
    if (same(token->hash, "") && same(token->file.path, ""))
        config_fail(load, pointer, "hash or tokenFile is required");
}

static void check_tokens(struct config_load *load, const struct config *config)
{
    const struct config_token *tokens = config->admin.tokens.items;
    for (size_t i = 0; i < config->admin.tokens.count; i++) {
        CLEANUP(free_ptr) char *name = xasprintf("/admin/tokens/%zu/name", i);
        CLEANUP(free_ptr)
        char *value =
            xasprintf("/admin/tokens/%zu/%s", i, given(tokens[i].hash) ? "hash" : "tokenFile");
        check_token(load, &tokens[i], value);
        for (size_t j = 0; j < i; j++) {
            if (same(tokens[i].name, tokens[j].name))
                config_fail(load, name, "\"%s\" is there twice", tokens[i].name);
            if (is_known(&tokens[i]) && is_known(&tokens[j]) &&
                memcmp(tokens[i].digest, tokens[j].digest, SHA256_SIZE) == 0)
                config_fail(load, value, "the same token as that of \"%s\"",
                            tokens[j].name ? tokens[j].name : "?");
        }
    }
}

// What is kept of a token is its hash.
static void hash_tokens(struct config *config)
{
    for (size_t i = 0; i < config->admin.tokens.count; i++) {
        struct config_token *token = &config->admin.tokens.items[i];
        const char *hex = given(token->hash) ? token->hash + strlen(TOKEN_HASH_PREFIX) : "";
        if (token->file.text)
            sha256(token->file.text, strlen(token->file.text), token->digest);
        else if (*hex && !hex_decode(hex, strlen(hex), token->digest, sizeof token->digest))
            abort(); // its form was checked
    }
}

static void forget_tokens(struct config *config)
{
    for (size_t i = 0; i < config->admin.tokens.count; i++)
        secret_free(TAKE(config->admin.tokens.items[i].file.text));
}

static void check_signing_tokens(struct config_load *load, const struct config *config)
{
    const struct config_secrets *tokens = &config->webhooks.gitlab_signing_tokens;
    for (size_t i = 0; i < tokens->count; i++) {
        const char *text = tokens->items[i].text;
        uint8_t key[SIGNING_KEY_MAX];
        size_t len = 0;
        if (!text)
            continue;
        bool ok = text_starts(text, SIGNING_TOKEN_PREFIX) &&
                  base64_decode(text + strlen(SIGNING_TOKEN_PREFIX),
                                strlen(text) - strlen(SIGNING_TOKEN_PREFIX), key, sizeof key, &len);
        explicit_bzero(key, sizeof key);
        CLEANUP(free_ptr) char *file = xasprintf("/webhooks/gitlab/signingTokenFiles/%zu", i);
        if (!ok || len == 0)
            config_fail(load, file, "%s: not " SIGNING_TOKEN_PREFIX " and base64",
                        tokens->items[i].path);
    }
}

static void check_twice(struct config_load *load, const struct config *config)
{
    for (size_t i = 0; i < config->registries.count; i++) {
        CLEANUP(free_ptr) char *host = xasprintf("/registries/%zu/host", i);
        for (size_t j = 0; j < i; j++)
            if (same(config->registries.items[i].host, config->registries.items[j].host))
                config_fail(load, host, "is there twice");
    }
    for (size_t i = 0; i < config->git.credentials.count; i++) {
        CLEANUP(free_ptr) char *url = xasprintf("/git/credentials/%zu/url", i);
        CLEANUP(free_ptr) char *name = xasprintf("/git/credentials/%zu/name", i);
        const struct config_credential *one = &config->git.credentials.items[i];
        for (size_t j = 0; j < i; j++) {
            const struct config_credential *other = &config->git.credentials.items[j];
            if (given(one->name) && same(one->name, other->name))
                config_fail(load, name, "\"%s\" is there twice", one->name);
            if (same(one->name, "") && same(other->name, "") && same(one->url, other->url))
                config_fail(load, url, "is there twice");
        }
    }
}

static const struct config_credential *credential_named(const struct config *config,
                                                        const char *name)
{
    for (size_t i = 0; i < config->git.credentials.count; i++)
        if (same(config->git.credentials.items[i].name, name))
            return &config->git.credentials.items[i];
    return NULL;
}

// Whether some repository of the entry can be below the credential's url.
static bool can_hold(const struct config_allow *entry, const struct config_credential *credential)
{
    for (size_t i = 0; i < entry->repositories.count; i++) {
        const char *prefix = entry->repositories.items[i];
        if (!prefix || !credential->url || same(prefix, "*") ||
            prefix_length(prefix, credential->url) > 0 ||
            prefix_length(credential->url, prefix) > 0)
            return true;
    }
    return false;
}

static void check_allow(struct config_load *load, const struct config *config)
{
    const char **names = xalloc((config->git.credentials.count + 1) * sizeof *names);
    CLEANUP(free_ptr) const char **owned = names;
    for (size_t i = 0; i < config->git.credentials.count; i++)
        if (given(config->git.credentials.items[i].name))
            *names++ = config->git.credentials.items[i].name;
    for (size_t i = 0; i < config->allow.count; i++) {
        const struct config_allow *entry = &config->allow.items[i];
        CLEANUP(free_ptr) char *pointer = xasprintf("/allow/%zu/gitCredential", i);
        if (!given(entry->git_credential))
            continue;
        const struct config_credential *credential =
            credential_named(config, entry->git_credential);
        const char *near = credential ? NULL : text_nearest(entry->git_credential, owned);
        if (!credential)
            config_fail(load, pointer, "none of git.credentials has the name \"%s\"%s%s%s",
                        entry->git_credential, near ? "; did you mean \"" : "", near ? near : "",
                        near ? "\"?" : "");
        else if (!can_hold(entry, credential))
            config_fail(load, pointer, "none of the entry's repositories is below its url, %s",
                        credential->url);
    }
}

static bool same_address(const struct config_address *a, const struct config_address *b)
{
    return same(a->unix_path, b->unix_path) ||
           (same(a->host, b->host) && a->port == b->port && a->port != 0);
}

static void check_listeners(struct config_load *load, const struct config *config)
{
    const struct {
        const char *pointer, *key;
        const struct config_address *address;
    } listeners[] = {{"/webhooks/listen", "webhooks.listen", &config->webhooks.listen},
                     {"/admin/listen", "admin.listen", &config->admin.listen},
                     {"/metrics/listen", "metrics.listen", &config->metrics.listen},
                     {"/context/listen", "context.listen", &config->context.listen}};
    for (size_t i = 0; i < sizeof listeners / sizeof *listeners; i++)
        for (size_t j = 0; j < i; j++)
            if (same_address(listeners[i].address, listeners[j].address))
                config_fail(load, listeners[i].pointer, "the same as %s", listeners[j].key);
}

static void check_in_flight(struct config_load *load, const struct config *config)
{
    if (config->webhooks.max_bytes_in_flight < config->webhooks.max_body)
        config_fail(load, "/webhooks/maxBytesInFlight", "less than webhooks.maxBody");
}

static void check_context(struct config_load *load, const struct config *config)
{
    bool address = config->context.address && *config->context.address;
    bool image = config->context.image && *config->context.image;
    if (config_serves_contexts(config) && !address)
        config_fail(load, "/context/address", "is needed with context.listen");
    if (config_serves_contexts(config) && !image)
        config_fail(load, "/context/image", "is needed with context.listen");
    if (config->context.listen.unix_path)
        config_fail(load, "/context/listen", "must be host:port: pods cannot reach a socket file");
    if (!config->context.certificate.text != !config->context.key.text)
        config_fail(load, "/context/keyFile", "comes together with certificateFile");
}

static void check_mirrors(struct config_load *load, const struct config *config)
{
    if (config->git.max_total_bytes < config->git.max_repository_bytes)
        config_fail(load, "/git/maxTotalBytes", "less than maxRepositoryBytes");
}

// "*" among the namespaces is the same as none given.
static void widen_namespaces(struct config_texts *namespaces)
{
    for (size_t i = 0; i < namespaces->count; i++)
        if (same(namespaces->items[i], "*")) {
            for (size_t j = 0; j < namespaces->count; j++)
                free(namespaces->items[j]);
            namespaces->count = 0;
        }
}

// --- loading ---

// The document's errors start with their place, "3:5 a second document"; those of the file with its
// name, which config_errors_print() puts before everything.
static void add_document_error(struct config_errors *errors, const char *path, const char *text)
{
    if (text_starts(text, path) && text_starts(text + strlen(path), ": "))
        text += strlen(path) + 2;
    struct yaml_place place = {0, 0};
    int used = 0;
    if (sscanf(text, "%d:%d %n", &place.line, &place.column, &used) != 2)
        place = (struct yaml_place){0, 0};
    config_errors_add(errors, place, "%s", place.line ? text + used : text);
}

static bool read_document(const char *path, struct config_load *load)
{
    struct error err;
    CLEANUP(buffer_finish) struct buffer text = {0};
    if (!file_read(path, CONFIG_FILE_MAX, &text, &err) ||
        !yaml_read(buffer_text(&text), text.len, CONFIG_FILE_MAX, &load->document, &err)) {
        add_document_error(load->errors, path, err.text);
        return false;
    }
    if (json_is_null(load->document.root)) { // nothing but comments: the defaults
        json_decref(load->document.root);
        load->document.root = json_object();
    }
    if (!json_is_object(load->document.root)) {
        config_errors_add(load->errors, yaml_place(&load->document, "", false),
                          "must be a group of settings");
        return false;
    }
    return true;
}

static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    CLEANUP(free_ptr) char *directory = slash ? xstrndup(path, (size_t)(slash - path) + 1) : NULL;
    char *full = realpath(directory ? directory : ".", NULL);
    return full ? full : xstrdup("/");
}

static void load_finish(struct config_load *load)
{
    yaml_finish(&load->document);
    free(load->directory);
}

bool config_load(const char *path, struct config *out, struct config_errors *errors)
{
    *errors = (struct config_errors){0};
    CLEANUP(load_finish)
    struct config_load load = {.directory = directory_of(path), .errors = errors};
    if (!read_document(path, &load))
        return false;
    struct config config = {0};
    config_scope_read(&load, "", load.document.root, "", &config);
    hash_tokens(&config);
    check_tokens(&load, &config);
    forget_tokens(&config);
    check_signing_tokens(&load, &config);
    check_twice(&load, &config);
    check_allow(&load, &config);
    config_check_git(&load, &config);
    check_listeners(&load, &config);
    config_check_kaniko_options(&load, &config.builds.extra_args);
    check_in_flight(&load, &config);
    check_context(&load, &config);
    check_mirrors(&load, &config);
    widen_namespaces(&config.kubernetes.namespaces);
    if (errors->count > 0) {
        config_finish(&config);
        return false;
    }
    *out = config;
    return true;
}

void config_finish(struct config *config)
{
    config_scope_finish("", config);
    *config = (struct config){0};
}

void config_errors_print(const struct config_errors *errors, const char *path, FILE *out)
{
    for (size_t i = 0; i < errors->count; i++) {
        const struct config_error *error = &errors->items[i];
        if (error->line)
            fprintf(out, "%s:%d:%d  %s\n", path, error->line, error->column, error->text);
        else
            fprintf(out, "%s  %s\n", path, error->text);
    }
}

void config_errors_finish(struct config_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++)
        free(errors->items[i].text);
    free(errors->items);
    *errors = (struct config_errors){0};
}

// --- who may do what, and as whom ---

static bool any_holds(const struct config_texts *prefixes, const char *name)
{
    for (size_t i = 0; i < prefixes->count; i++)
        if (same(prefixes->items[i], "*") || prefix_length(prefixes->items[i], name) > 0)
            return true;
    return false;
}

static bool any_is(const struct config_texts *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (same(names->items[i], "*") || same(names->items[i], name))
            return true;
    return false;
}

// How much of what is asked for an entry has, in this order.
enum held { HELD_NOTHING, HELD_NAMESPACE, HELD_REPOSITORY, HELD_CREDENTIAL, HELD_ALL };

static enum held entry_holds(const struct config *config, const struct config_allow *entry,
                             const char *ns, const char *repository, const char *image)
{
    if (!any_is(&entry->namespaces, ns))
        return HELD_NOTHING;
    if (!any_holds(&entry->repositories, repository))
        return HELD_NAMESPACE;
    if (*entry->git_credential && !config_credential(config, entry->git_credential, repository))
        return HELD_REPOSITORY;
    return any_holds(&entry->images, image) ? HELD_ALL : HELD_CREDENTIAL;
}

bool config_allows(const struct config *config, const char *ns, const char *repository,
                   const char *image, struct config_grant *out, struct error *err)
{
    static const char *const lacks[] = {
        [HELD_NOTHING] = "no entry is for that namespace",
        [HELD_NAMESPACE] = "those for that namespace are for other repositories",
        [HELD_REPOSITORY] = "that for the repository has a gitCredential for other URLs",
        [HELD_CREDENTIAL] = "that for the repository is for other images",
    };
    enum held most = HELD_NOTHING;
    for (size_t i = 0; i < config->allow.count; i++) {
        const struct config_allow *entry = &config->allow.items[i];
        enum held held = entry_holds(config, entry, ns, repository, image);
        if (held == HELD_ALL) {
            *out = (struct config_grant){entry->git_credential, entry->push_secret};
            return true;
        }
        most = held > most ? held : most;
    }
    return error_set(err, ERR_FORBIDDEN,
                     "the settings' allow table has no entry for namespace %s, repository %s and "
                     "image %s: %s",
                     ns, repository, image, lacks[most]);
}

const char *config_pull_secret(const struct config *config, const char *ns, const char *repository,
                               const char *image)
{
    for (size_t i = 0; i < config->allow.count; i++) {
        const struct config_allow *entry = &config->allow.items[i];
        if (repository ? entry_holds(config, entry, ns, repository, image) == HELD_ALL
                       : *entry->pull_secret && any_is(&entry->namespaces, ns) &&
                             any_holds(&entry->images, image))
            return entry->pull_secret;
    }
    return "";
}

const struct config_credential *config_credential(const struct config *config, const char *name,
                                                  const char *url)
{
    const struct config_credential *best = NULL;
    size_t longest = 0;
    for (size_t i = 0; i < config->git.credentials.count; i++) {
        const struct config_credential *credential = &config->git.credentials.items[i];
        size_t len = same(credential->name, name) ? prefix_length(credential->url, url) : 0;
        if (len > longest) {
            longest = len;
            best = credential;
        }
    }
    return best;
}

const struct config_status *config_status(const struct config *config, const char *url)
{
    const struct config_status *best = NULL;
    size_t longest = 0;
    for (size_t i = 0; i < config->statuses.count; i++) {
        size_t len = prefix_length(config->statuses.items[i].url, url);
        if (len > longest) {
            longest = len;
            best = &config->statuses.items[i];
        }
    }
    return best;
}

bool config_serves_contexts(const struct config *config)
{
    return config->context.listen.host || config->context.listen.unix_path;
}

const struct config_registry *config_registry(const struct config *config, const char *host)
{
    for (size_t i = 0; i < config->registries.count; i++)
        if (same(config->registries.items[i].host, host))
            return &config->registries.items[i];
    return NULL;
}
