#include "deploy/kube/exec.h"
#include "agent/base/process.h"
#include "deploy/kube/kubeconfig.h"

#include <string.h>
#include <unistd.h>

#define EXEC_TEXTS_MAX 128 // arguments, or variables, of a plugin

struct exec_plugin {
    const char *api_version;
    char *command; // absolute, or without '/'
    json_t *args;  // array of texts
    json_t *env;   // array of {name, value}
    char *hint;    // how to install it; NULL when none is given
    char *info;    // KUBERNETES_EXEC_INFO
};

static const char *const api_versions[] = {
    "client.authentication.k8s.io/v1",
    "client.authentication.k8s.io/v1beta1",
};

static const char *known_version(const char *text)
{
    for (size_t i = 0; text && i < sizeof api_versions / sizeof *api_versions; i++)
        if (strcmp(text, api_versions[i]) == 0)
            return api_versions[i];
    return NULL;
}

// The plugin's own settings for this cluster.
static const json_t *extension_config(const json_t *cluster)
{
    const json_t *extensions = json_at(cluster, "extensions", NULL);
    size_t i;
    json_t *extension;
    json_array_foreach(extensions, i, extension)
    {
        const char *name = json_text_at(extension, "name", NULL);
        if (name && strcmp(name, "client.authentication.k8s.io/exec") == 0)
            return json_at(extension, "extension", NULL);
    }
    return NULL;
}

static char *exec_info(const struct exec_plugin *plugin, const json_t *cluster)
{
    static const char *const told[] = {
        "server",    "tls-server-name",    "insecure-skip-tls-verify", "certificate-authority-data",
        "proxy-url", "disable-compression"};
    CLEANUP(json_ptr)
    json_t *info = json_pack("{s:s, s:s, s:{s:b}}", "apiVersion", plugin->api_version, "kind",
                             "ExecCredential", "spec", "interactive", 0);
    if (cluster) {
        json_t *about = json_object();
        for (size_t i = 0; i < sizeof told / sizeof *told; i++)
            if (json_object_get(cluster, told[i]))
                json_object_set(about, told[i], json_object_get(cluster, told[i]));
        const json_t *config = extension_config(cluster);
        if (config)
            json_object_set_new(about, "config", json_deep_copy(config));
        json_object_set_new(json_object_get(info, "spec"), "cluster", about);
    }
    return json_write(info);
}

static bool check_texts(const json_t *list, const char *key, const char *const members[],
                        struct error *err)
{
    if (!list || json_is_null(list))
        return true;
    if (!json_is_array(list) || json_array_size(list) > EXEC_TEXTS_MAX)
        return error_set(err, ERR_INVALID, "%s: not a list of at most %d", key, EXEC_TEXTS_MAX);
    size_t i;
    json_t *item;
    json_array_foreach(
        list, i,
        item) for (size_t m = 0; members[m];
                   m++) if (!json_is_string(*members[m]
                                                ? json_object_get(item, members[m])
                                                : item)) return error_set(err, ERR_INVALID,
                                                                          "%s[%zu]%s%s: not a text",
                                                                          key, i,
                                                                          *members[m] ? "." : "",
                                                                          members[m]);
    return true;
}

static bool check(const json_t *exec, struct error *err)
{
    const char *version = json_text_at(exec, "apiVersion", NULL);
    if (!json_text_at(exec, "command", NULL) || !*json_text_at(exec, "command", NULL))
        return error_set(err, ERR_INVALID, "command: missing");
    if (!known_version(version))
        return error_set(err, ERR_UNSUPPORTED, "apiVersion: \"%s\" instead of \"%s\"",
                         version ? version : "", api_versions[0]);
    const char *mode = json_text_at(exec, "interactiveMode", NULL);
    if (mode && strcmp(mode, "Always") == 0)
        return error_set(err, ERR_UNSUPPORTED,
                         "interactiveMode: the plugin wants a terminal, and there is none");
    return check_texts(json_at(exec, "args", NULL), "args", (const char *const[]){"", NULL}, err) &&
           check_texts(json_at(exec, "env", NULL), "env",
                       (const char *const[]){"name", "value", NULL}, err);
}

bool exec_plugin_create(const json_t *exec, const json_t *cluster, const char *directory,
                        struct exec_plugin **out, struct error *err)
{
    if (!check(exec, err))
        return false;
    struct exec_plugin *plugin = xalloc(sizeof *plugin);
    const char *command = json_text_at(exec, "command", NULL);
    const char *hint = json_text_at(exec, "installHint", NULL);
    bool told = json_is_true(json_at(exec, "provideClusterInfo", NULL));
    plugin->api_version = known_version(json_text_at(exec, "apiVersion", NULL));
    plugin->command = *command != '/' && strchr(command, '/')
                          ? xasprintf("%s/%s", directory, command)
                          : xstrdup(command);
    plugin->args = json_deep_copy(json_at(exec, "args", NULL));
    plugin->env = json_deep_copy(json_at(exec, "env", NULL));
    plugin->hint = hint ? xstrdup(hint) : NULL;
    plugin->info = exec_info(plugin, told ? cluster : NULL);
    *out = plugin;
    return true;
}

void exec_plugin_destroy(struct exec_plugin *plugin)
{
    if (!plugin)
        return;
    free(plugin->command);
    json_decref(plugin->args);
    json_decref(plugin->env);
    free(plugin->hint);
    free(plugin->info);
    free(plugin);
}

// The program's absolute path, as a shell would find it; the caller frees. NULL: not found.
static char *find_program(const char *command)
{
    if (*command == '/')
        return access(command, X_OK) == 0 ? xstrdup(command) : NULL;
    const char *path = getenv("PATH");
    while (path && *path) {
        size_t len = strcspn(path, ":");
        if (*path == '/') { // never the working directory
            char *program = xasprintf("%.*s/%s", (int)len, path, command);
            if (access(program, X_OK) == 0)
                return program;
            free(program);
        }
        path += len + (path[len] == ':');
    }
    return NULL;
}

// Our own environment, except where the plugin's variables have the same name.
static const char **environment_of(const struct exec_plugin *plugin, char **owned)
{
    size_t own = 0;
    while (environ[own])
        own++;
    const char **all = xalloc((own + EXEC_TEXTS_MAX + 2) * sizeof *all);
    size_t count = 0, i;
    json_t *variable;
    owned[0] = xasprintf("KUBERNETES_EXEC_INFO=%s", plugin->info);
    json_array_foreach(plugin->env, i, variable) owned[1 + i] = xasprintf(
        "%s=%s", json_text_at(variable, "name", NULL), json_text_at(variable, "value", NULL));
    for (; owned[count]; count++)
        all[count] = owned[count];
    for (i = 0; i < own; i++) {
        size_t name = strcspn(environ[i], "=") + 1;
        bool hidden = false;
        for (size_t o = 0; owned[o] && !hidden; o++)
            hidden = strncmp(owned[o], environ[i], name) == 0;
        if (!hidden)
            all[count++] = environ[i];
    }
    return all;
}

static bool run(const struct exec_plugin *plugin, struct buffer *output, struct error *err)
{
    CLEANUP(free_ptr) char *program = find_program(plugin->command);
    if (!program)
        return error_set(err, ERR_NOT_FOUND, "no such program%s%s", plugin->hint ? "; " : "",
                         plugin->hint ? plugin->hint : "");
    const char *argv[EXEC_TEXTS_MAX + 2] = {program};
    size_t i;
    json_t *argument;
    json_array_foreach(plugin->args, i, argument) argv[1 + i] = json_string_value(argument);
    char *owned[EXEC_TEXTS_MAX + 2] = {NULL};
    CLEANUP(free_ptr) const char **environment = environment_of(plugin, owned);
    bool ok = child_run(argv, environment, NULL, 0, KUBE_EXEC_TIMEOUT_MS, output, err);
    for (i = 0; owned[i]; i++)
        free(owned[i]);
    return ok;
}

static bool decode(const struct exec_plugin *plugin, const json_t *answer,
                   struct exec_credentials *out, struct error *err)
{
    const char *version = json_text_at(answer, "apiVersion", NULL);
    if (!version || strcmp(version, plugin->api_version) != 0)
        return error_set(err, ERR_PROTOCOL, "it answered with apiVersion \"%s\" instead of \"%s\"",
                         version ? version : "", plugin->api_version);
    const json_t *status = json_at(answer, "status", NULL);
    const char *token = json_text_at(status, "token", NULL);
    const char *cert = json_text_at(status, "clientCertificateData", NULL);
    const char *key = json_text_at(status, "clientKeyData", NULL);
    const char *expires = json_text_at(status, "expirationTimestamp", NULL);
    if (!cert != !key || (!token && !cert))
        return error_set(err, ERR_PROTOCOL,
                         "its status has neither a token nor a certificate with its key");
    struct wall_time until = {0};
    if (expires && !wall_parse(expires, &until))
        return error_set(err, ERR_PROTOCOL, "status.expirationTimestamp: not a time");
    *out = (struct exec_credentials){.token = token ? xstrdup(token) : NULL,
                                     .cert_pem = cert ? xstrdup(cert) : NULL,
                                     .key_pem = key ? xstrdup(key) : NULL,
                                     .expires = until};
    return true;
}

bool exec_plugin_run(const struct exec_plugin *plugin, struct exec_credentials *out,
                     struct error *err)
{
    CLEANUP(buffer_wipe) struct buffer output = {.cap = KUBE_EXEC_OUTPUT_MAX};
    CLEANUP(json_ptr) json_t *answer = NULL;
    bool ok = run(plugin, &output, err);
    if (ok && !json_read(buffer_text(&output), output.len, KUBE_EXEC_OUTPUT_MAX, &answer, NULL))
        ok =
            error_set(err, ERR_PROTOCOL, "it did not print JSON"); // no quoting: it may be a secret
    return (ok && decode(plugin, answer, out, err)) ||
           error_wrap(err, "exec plugin %s", plugin->command);
}

void exec_credentials_finish(struct exec_credentials *credentials)
{
    secret_free(credentials->token);
    secret_free(credentials->cert_pem);
    secret_free(credentials->key_pem);
    *credentials = (struct exec_credentials){0};
}
