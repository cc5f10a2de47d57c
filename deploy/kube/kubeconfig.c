#include "agent/base/crypto.h"
#include "agent/base/file.h"
#include "agent/base/text.h"
#include "agent/base/yaml.h"
#include "deploy/kube/source.h"

#include <string.h>

// One kubeconfig file being read.
struct reader {
    const char *path;
    char *directory; // where relative paths start
    struct yaml_document document;
};

// One of its objects, with the words that lead there for error texts: `user "ci"`.
struct section {
    const struct reader *reader;
    const json_t *object;
    const char *kind;
    const char *name;
};

static void reader_finish(struct reader *reader)
{
    free(reader->directory);
    yaml_finish(&reader->document);
}

static bool wrong(const struct section *section, const char *key, struct error *err)
{
    return error_wrap(err, "%s: %s \"%s\": %s", section->reader->path, section->kind, section->name,
                      key);
}

static bool wrong_is(const struct section *section, const char *key, enum error_code code,
                     const char *reason, struct error *err)
{
    error_set(err, code, "%s", reason);
    return wrong(section, key, err);
}

// An optional text; *out becomes an owned copy, or stays NULL when it is absent, null or "".
static bool get_text(const struct section *section, const char *key, char **out, struct error *err)
{
    const json_t *value = json_object_get(section->object, key);
    if (!value || json_is_null(value))
        return true;
    if (!json_is_string(value))
        return wrong_is(section, key, ERR_INVALID, "not a text (put it in quotes)", err);
    if (json_string_length(value) > 0)
        *out = xstrdup(json_string_value(value));
    return true;
}

static bool get_flag(const struct section *section, const char *key, bool *out, struct error *err)
{
    const json_t *value = json_object_get(section->object, key);
    if (value && !json_is_boolean(value))
        return wrong_is(section, key, ERR_INVALID, "neither true nor false", err);
    *out = json_is_true(value);
    return true;
}

// A path, made absolute by the file's directory.
static bool get_path(const struct section *section, const char *key, char **out, struct error *err)
{
    CLEANUP(free_ptr) char *path = NULL;
    if (!get_text(section, key, &path, err))
        return false;
    if (path)
        *out = *path == '/' ? TAKE(path) : xasprintf("%s/%s", section->reader->directory, path);
    return true;
}

// A secret text under `key`, base64 with possible line breaks.
static bool get_data(const struct section *section, const char *key, char **out, struct error *err)
{
    CLEANUP(secret_ptr) char *text = NULL;
    if (!get_text(section, key, &text, err))
        return false;
    if (!text)
        return true;
    size_t len = 0;
    for (const char *c = text; *c; c++)
        if (!strchr("\r\n\t ", *c))
            text[len++] = *c;
    CLEANUP(secret_ptr) char *bytes = xalloc(len + 1);
    size_t used = 0;
    if (!base64_decode(text, len, (uint8_t *)bytes, len, &used) || used == 0)
        return wrong_is(section, key, ERR_INVALID, "not base64", err);
    bytes[used] = '\0';
    *out = TAKE(bytes);
    return true;
}

// `<key>-data` goes before the path under `<key>`, which is then not even looked at.
static bool get_file_or_data(const struct section *section, const char *key, char **file,
                             char **data, struct error *err)
{
    CLEANUP(free_ptr) char *data_key = xasprintf("%s-data", key);
    if (!get_data(section, data_key, data, err))
        return false;
    return *data || get_path(section, key, file, err);
}

// The object named `name` in one of the file's lists ("clusters": [{name, cluster: {…}}]).
static bool find_section(const struct reader *reader, const char *list, const char *kind,
                         const char *name, struct section *out, struct error *err)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(reader->document.root, list), i, item)
    {
        const char *candidate = json_text_at(item, "name", NULL);
        if (!candidate || strcmp(candidate, name) != 0)
            continue;
        *out = (struct section){reader, json_object_get(item, kind), kind, name};
        // `user: {}` and `user:` are both a user without credentials.
        return !out->object || json_is_object(out->object) || json_is_null(out->object) ||
               wrong_is(out, kind, ERR_INVALID, "not a mapping", err);
    }
    return error_set(err, ERR_INVALID, "%s: %s: there is no %s \"%s\"", reader->path, list, kind,
                     name);
}

static bool read_cluster(const struct section *cluster, struct kube_source *source,
                         struct error *err)
{
    if (!get_text(cluster, "server", &source->server, err) ||
        !get_text(cluster, "tls-server-name", &source->server_name, err) ||
        !get_text(cluster, "proxy-url", &source->proxy, err) ||
        !get_flag(cluster, "insecure-skip-tls-verify", &source->insecure_skip_verify, err) ||
        !get_file_or_data(cluster, "certificate-authority", &source->ca_file, &source->ca_pem, err))
        return false;
    if (!source->server)
        return wrong_is(cluster, "server", ERR_INVALID, "missing", err);
    if (!text_starts(source->server, "https://") && !text_starts(source->server, "http://"))
        return wrong_is(cluster, "server", ERR_INVALID, "neither https:// nor http://", err);
    if (source->insecure_skip_verify && (source->ca_file || source->ca_pem))
        return wrong_is(cluster, "insecure-skip-tls-verify", ERR_INVALID,
                        "true, although a certificate authority is given", err);
    return true;
}

// Keys that would change who we are, or how, if they were left out.
static bool refuse_unsupported(const struct section *user, struct error *err)
{
    static const char *const keys[] = {"as", "as-uid", "as-groups", "as-user-extra",
                                       "auth-provider"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (json_object_get(user->object, keys[i]))
            return wrong_is(user, keys[i], ERR_UNSUPPORTED, "not supported by cronwright", err);
    return true;
}

static bool read_user(const struct section *user, const struct section *cluster,
                      struct kube_source *source, struct error *err)
{
    if (!refuse_unsupported(user, err) ||
        !get_file_or_data(user, "client-certificate", &source->cert_file, &source->cert_pem, err) ||
        !get_file_or_data(user, "client-key", &source->key_file, &source->key_pem, err) ||
        !get_path(user, "tokenFile", &source->token_file, err) ||
        !get_text(user, "token", &source->token, err) ||
        !get_text(user, "username", &source->username, err) ||
        !get_text(user, "password", &source->password, err))
        return false;
    bool cert = source->cert_file || source->cert_pem;
    bool key = source->key_file || source->key_pem;
    if (cert != key)
        return wrong_is(user, cert ? "client-key" : "client-certificate", ERR_INVALID,
                        "missing, although the other of the two is there", err);
    const json_t *exec = json_object_get(user->object, "exec");
    if (!exec || json_is_null(exec))
        return true;
    return exec_plugin_create(exec, cluster->object, user->reader->directory, &source->exec, err) ||
           wrong(user, "exec", err);
}

static bool read_context(const struct reader *reader, const char *name, struct kube_source *source,
                         struct error *err)
{
    struct section context, cluster, user;
    if (!name || !*name)
        name = json_text_at(reader->document.root, "current-context", NULL);
    if (!name || !*name)
        return error_set(err, ERR_INVALID, "%s: current-context: missing", reader->path);
    CLEANUP(free_ptr) char *cluster_name = NULL;
    CLEANUP(free_ptr) char *user_name = NULL;
    if (!find_section(reader, "contexts", "context", name, &context, err) ||
        !get_text(&context, "cluster", &cluster_name, err) ||
        !get_text(&context, "user", &user_name, err))
        return false;
    if (!cluster_name)
        return wrong_is(&context, "cluster", ERR_INVALID, "missing", err);
    if (!find_section(reader, "clusters", "cluster", cluster_name, &cluster, err) ||
        !read_cluster(&cluster, source, err))
        return false;
    source->origin = xasprintf("%s: user \"%s\"", reader->path, user_name ? user_name : "");
    return !user_name || (find_section(reader, "users", "user", user_name, &user, err) &&
                          read_user(&user, &cluster, source, err));
}

static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return xstrdup(".");
    return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

bool kube_source_read(const char *path, const char *context, struct kube_source *source,
                      struct error *err)
{
    CLEANUP(buffer_wipe) struct buffer text = {.cap = KUBECONFIG_MAX};
    CLEANUP(reader_finish) struct reader reader = {.path = path, .directory = directory_of(path)};
    if (!file_read(path, KUBECONFIG_MAX, &text, err))
        return false;
    if (!yaml_read(buffer_text(&text), text.len, KUBECONFIG_MAX, &reader.document, err))
        return error_wrap(err, "%s", path);
    if (!json_is_object(reader.document.root))
        return error_set(err, ERR_INVALID, "%s: not a kubeconfig file", path);
    source->kubeconfig = xstrdup(path);
    source->context = context ? xstrdup(context) : NULL;
    return read_context(&reader, context, source, err);
}

bool kube_access_from_file(const char *path, const char *context, struct kube_access **out,
                           struct error *err)
{
    CLEANUP(kube_source_finish) struct kube_source source = {0};
    return kube_source_read(path, context, &source, err) && kube_access_create(&source, out, err);
}

// "https://10.0.0.1:443", "https://[fd00::1]:443".
static bool in_cluster_server(char **out, struct error *err)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST");
    const char *port = getenv("KUBERNETES_SERVICE_PORT");
    int64_t number;
    if (!host || !*host || !port || !*port)
        return error_set(err, ERR_NOT_FOUND,
                         "not in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are "
                         "not set");
    if (!text_to_int(port, 1, 65535, &number))
        return error_set(err, ERR_INVALID, "KUBERNETES_SERVICE_PORT: \"%s\" is no port", port);
    bool bare_ipv6 = strchr(host, ':') && *host != '[';
    *out = xasprintf(bare_ipv6 ? "https://[%s]:%s" : "https://%s:%s", host, port);
    return true;
}

bool kube_access_in_cluster(const char *directory, struct kube_access **out, struct error *err)
{
    if (!directory)
        directory = KUBE_SERVICE_ACCOUNT_DIR;
    CLEANUP(kube_source_finish) struct kube_source source = {0};
    if (!in_cluster_server(&source.server, err))
        return false;
    source.origin = xasprintf("service account in %s", directory);
    source.ca_file = xasprintf("%s/ca.crt", directory);
    source.token_file = xasprintf("%s/token", directory);
    return kube_access_create(&source, out, err);
}

void kube_source_finish(struct kube_source *source)
{
    free(source->kubeconfig);
    free(source->context);
    free(source->origin);
    free(source->server);
    free(source->ca_file);
    free(source->ca_pem);
    free(source->server_name);
    free(source->proxy);
    free(source->cert_file);
    free(source->cert_pem);
    free(source->key_file);
    secret_free(source->key_pem);
    free(source->token_file);
    secret_free(source->token);
    free(source->username);
    secret_free(source->password);
    exec_plugin_destroy(source->exec);
    *source = (struct kube_source){0};
}
