// What the settings of Git must fit together in, and which proxy a repository needs.
#include "agent/base/text.h"
#include "agent/config_read.h"

#include <string.h>
#include <strings.h>

static bool is_given(const struct config_secret *secret)
{
    return secret->path && *secret->path; // NULL: could not be read, and that was told
}

static void fail(struct config_load *load, size_t item, const char *key, const char *why)
{
    CLEANUP(free_ptr) char *pointer = xasprintf("/git/credentials/%zu/%s", item, key);
    config_fail(load, pointer, "%s", why);
}

// libssh2 would take the marks of such lines for names of hosts.
static void check_known_hosts(struct config_load *load, size_t item, const char *text)
{
    for (; text; text = strchr(text, '\n')) {
        text += strspn(text, "\r\n \t");
        if (*text == '@') {
            fail(load, item, "knownHostsFile",
                 "has a line that begins with @ (@cert-authority, @revoked), which is not "
                 "understood");
            return;
        }
    }
}

static void check_size(struct config_load *load, size_t item, const char *key,
                       const struct config_secret *secret, size_t max)
{
    CLEANUP(free_ptr) char *why = xasprintf("longer than %zu bytes", max);
    if (secret->text && strlen(secret->text) > max)
        fail(load, item, key, why);
}

static void check_ssh(struct config_load *load, size_t item, const struct config_credential *entry)
{
    if (is_given(&entry->password) || is_given(&entry->token) ||
        (entry->username && *entry->username))
        fail(load, item, "url", "one of SSH has its user in it, and neither password nor token");
    if (!is_given(&entry->ssh_key))
        fail(load, item, "sshKeyFile", "is required with a URL of SSH");
    check_size(load, item, "sshKeyFile", &entry->ssh_key, CONFIG_SSH_KEY_MAX);
    check_size(load, item, "knownHostsFile", &entry->known_hosts, CONFIG_KNOWN_HOSTS_MAX);
    if (!is_given(&entry->known_hosts))
        fail(load, item, "knownHostsFile",
             "is required with a URL of SSH: host keys are always checked");
    else
        check_known_hosts(load, item, entry->known_hosts.text);
}

static void check_web(struct config_load *load, size_t item, const struct config_credential *entry)
{
    bool password = is_given(&entry->password), token = is_given(&entry->token);
    if (password && token)
        fail(load, item, "tokenFile", "comes instead of passwordFile, not with it");
    if (!password && !token)
        fail(load, item, "passwordFile", "is required, or a tokenFile");
    if (password && entry->username && *entry->username == '\0')
        fail(load, item, "username", "is required with a passwordFile");
    if (is_given(&entry->ssh_key) || is_given(&entry->ssh_passphrase) ||
        is_given(&entry->known_hosts))
        fail(load, item, "sshKeyFile", "is for URLs such as ssh://git@git.example/acme");
}

void config_check_git(struct config_load *load, const struct config *config)
{
    for (size_t i = 0; i < config->git.credentials.count; i++) {
        const struct config_credential *entry = &config->git.credentials.items[i];
        if (!entry->url)
            continue; // that was told
        bool web = text_starts(entry->url, "https://") || text_starts(entry->url, "http://");
        (web ? check_web : check_ssh)(load, i, entry);
    }
    bool username = config->git.proxy_username && *config->git.proxy_username;
    bool password = is_given(&config->git.proxy_password);
    bool proxy = config->git.proxy && *config->git.proxy;
    if (username != password)
        config_fail(load, "/git/proxyUsername", "comes together with git.proxyPasswordFile");
    if (!proxy && (username || config->git.no_proxy.count > 0))
        config_fail(load, "/git/proxy", "is required with the other settings of a proxy");
}

// The host of an https URL, without brackets.
static bool host_of(const char *url, const char **host, size_t *len)
{
    if (!text_starts(url, "https://"))
        return false;
    *host = url + strlen("https://");
    bool six = **host == '[';
    *host += six;
    *len = strcspn(*host, six ? "]" : ":/");
    return true;
}

// "host", or ".domain" for all below it, or "*".
static bool is_excepted(const char *exception, const char *host, size_t len)
{
    size_t own = strlen(exception);
    if (strcmp(exception, "*") == 0)
        return true;
    if (*exception == '.')
        return len > own && strncasecmp(host + len - own, exception, own) == 0;
    return len == own && strncasecmp(host, exception, own) == 0;
}

const char *config_git_proxy(const struct config *config, const char *url)
{
    const char *host;
    size_t len;
    if (!*config->git.proxy || !host_of(url, &host, &len))
        return NULL;
    for (size_t i = 0; i < config->git.no_proxy.count; i++)
        if (is_excepted(config->git.no_proxy.items[i], host, len))
            return NULL;
    return config->git.proxy;
}
