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

// --- what no single setting shows ---

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0; // NULL: could not be read, and that was told
}

static void check_tokens(struct config_load *load, const struct config *config)
{
    const struct config_token *tokens = config->admin.tokens.items;
    for (size_t i = 0; i < config->admin.tokens.count; i++) {
        CLEANUP(free_ptr) char *name = xasprintf("/admin/tokens/%zu/name", i);
        CLEANUP(free_ptr) char *file = xasprintf("/admin/tokens/%zu/tokenFile", i);
        const char *token = tokens[i].token.text;
        if (token && strlen(token) < CONFIG_TOKEN_MIN)
            config_fail(load, file, "%s: shorter than %d bytes", tokens[i].token.path,
                        CONFIG_TOKEN_MIN);
        for (size_t j = 0; j < i; j++) {
            if (same(tokens[i].name, tokens[j].name))
                config_fail(load, name, "\"%s\" is there twice", tokens[i].name);
            if (same(token, tokens[j].token.text))
                config_fail(load, file, "the same token as that of \"%s\"",
                            tokens[j].name ? tokens[j].name : "?");
        }
    }
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
        for (size_t j = 0; j < i; j++)
            if (same(config->git.credentials.items[i].url, config->git.credentials.items[j].url))
                config_fail(load, url, "is there twice");
    }
}

static void check_listeners(struct config_load *load, const struct config *config)
{
    const struct config_address *a = &config->webhooks.listen, *b = &config->admin.listen;
    if (same(a->unix_path, b->unix_path) ||
        (same(a->host, b->host) && a->port == b->port && a->port != 0))
        config_fail(load, "/admin/listen", "the same as webhooks.listen");
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
    check_tokens(&load, &config);
    check_signing_tokens(&load, &config);
    check_twice(&load, &config);
    check_listeners(&load, &config);
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

// How many bytes of `name` a prefix covers, 0 when it does not hold.
static size_t prefix_length(const char *prefix, const char *name)
{
    size_t len = bare_length(prefix), whole = bare_length(name);
    if (is_ambiguous(name) || len > whole || strncmp(prefix, name, len) != 0)
        return 0;
    return len == whole || name[len] == '/' ? len : 0;
}

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

bool config_allows(const struct config *config, const char *ns, const char *repository,
                   const char *image)
{
    for (size_t i = 0; i < config->allow.count; i++) {
        const struct config_allow *entry = &config->allow.items[i];
        if (any_is(&entry->namespaces, ns) && any_holds(&entry->repositories, repository) &&
            any_holds(&entry->images, image))
            return true;
    }
    return false;
}

const struct config_credential *config_credential(const struct config *config, const char *url)
{
    const struct config_credential *best = NULL;
    size_t longest = 0;
    for (size_t i = 0; i < config->git.credentials.count; i++) {
        size_t len = prefix_length(config->git.credentials.items[i].url, url);
        if (len > longest) {
            longest = len;
            best = &config->git.credentials.items[i];
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
