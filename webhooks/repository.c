#include "webhooks/repository.h"

#include "agent/base/crypto.h"
#include "agent/base/text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PORT_MAX 65535

static const struct scheme {
    const char *name;
    int default_port;
    bool port_matters;
} schemes[] = {
    {"https", 443, true}, {"http", 80, true},     {"ssh", 22, false},
    {"git", 9418, true},  {"git+ssh", 22, false}, {"ssh+git", 22, false},
};

// Forges that ignore the case of paths, and the names under which they take SSH on port 443.
static const struct {
    const char *host;
    const char *ssh_host;
} folding[] = {
    {"github.com", "ssh.github.com"},
    {"gitlab.com", "altssh.gitlab.com"},
    {"bitbucket.org", "altssh.bitbucket.org"},
};

// A URL cut into its parts; nothing is copied.
struct parts {
    const struct scheme *scheme; // NULL: "host:path" or "host/path"
    const char *host;
    size_t host_len;
    const char *port; // NULL: none
    size_t port_len;
    const char *path;
    size_t path_len;
};

static bool fail(struct error *err, const char *why)
{
    return error_set(err, ERR_INVALID, "not a repository URL: %s", why);
}

static bool is_digits(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return len > 0;
}

static bool find_scheme(const char *url, size_t len, const struct scheme **out)
{
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (strlen(schemes[i].name) == len && strncasecmp(schemes[i].name, url, len) == 0) {
            *out = &schemes[i];
            return true;
        }
    }
    return false;
}

// "[user@]host[:port]", of which the user is dropped.
static bool split_authority(const char *text, size_t len, struct parts *out, struct error *err)
{
    const char *at = memrchr(text, '@', len);
    const char *host = at ? at + 1 : text;
    const char *end = text + len;
    const char *host_end = end;
    if (host < end && *host == '[') {
        host_end = memchr(host, ']', (size_t)(end - host));
        if (!host_end)
            return fail(err, "its IPv6 address has no \"]\"");
        host_end++;
    } else {
        const char *colon = memchr(host, ':', (size_t)(end - host));
        host_end = colon ? colon : end;
    }
    if (host_end < end && *host_end != ':')
        return fail(err, "there is something between host and port");
    out->host = host;
    out->host_len = (size_t)(host_end - host);
    if (host_end + 1 < end) {
        out->port = host_end + 1;
        out->port_len = (size_t)(end - out->port);
    }
    return true;
}

// Without a scheme, "host:path" is scp's form, unless what follows the colon can only be a port, as
// in an identity: "host:8080/path" without a user.
static bool is_scp(const char *url, const char *slash, const char *colon)
{
    if (!colon || (slash && slash < colon))
        return false;
    return !slash || memchr(url, '@', (size_t)(colon - url)) ||
           !is_digits(colon + 1, (size_t)(slash - colon - 1));
}

static const char *host_colon(const char *url)
{
    const char *bracket = strchr(url, '[');
    const char *after = bracket ? strchr(bracket, ']') : NULL;
    const char *slash = strchr(url, '/');
    return strchr(after && (!slash || after < slash) ? after : url, ':');
}

static bool split(const char *url, struct parts *out, struct error *err)
{
    const char *authority = url;
    const char *mark = strstr(url, "://");
    if (mark) {
        if (!find_scheme(url, (size_t)(mark - url), &out->scheme))
            return fail(err, "its scheme is none of http, https, ssh and git");
        authority = mark + strlen("://");
    }
    const char *end = strchr(authority, '/');
    if (!mark) {
        const char *colon = host_colon(url);
        if (is_scp(url, end, colon))
            end = colon;
    }
    if (!end)
        return fail(err, "it has no path");
    out->path = end + 1;
    out->path_len = strlen(out->path);
    return split_authority(authority, (size_t)(end - authority), out, err);
}

// ASCII only, whatever the locale.
static void to_lower(char *text)
{
    for (; *text; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text | 0x20);
}

// Lower-case; a name, or an address in brackets.
static bool put_host(const struct parts *parts, char *out, size_t *used, struct error *err)
{
    static const char name_chars[] = "abcdefghijklmnopqrstuvwxyz0123456789-._";
    static const char address_chars[] = "abcdef0123456789:.[]";
    if (parts->host_len == 0)
        return fail(err, "it has no host");
    memcpy(out, parts->host, parts->host_len);
    out[parts->host_len] = '\0';
    to_lower(out);
    const char *allowed = out[0] == '[' ? address_chars : name_chars;
    if (strspn(out, allowed) != parts->host_len || out[0] == '.' || out[0] == '-' ||
        out[parts->host_len - 1] == '.')
        return fail(err, "its host is not a name or an address");
    for (size_t i = 0; i < sizeof folding / sizeof folding[0]; i++)
        if (strcmp(out, folding[i].ssh_host) == 0)
            text_copy(out, REPOSITORY_MAX + 1, folding[i].host);
    *used = strlen(out);
    return true;
}

static bool put_port(const struct parts *parts, char *out, size_t *used, struct error *err)
{
    if (!parts->port)
        return true;
    char text[sizeof "65535"] = "";
    int64_t port;
    if (parts->port_len >= sizeof text)
        return fail(err, "its port is not a number from 1 to 65535");
    memcpy(text, parts->port, parts->port_len);
    if (!text_to_int(text, 1, PORT_MAX, &port))
        return fail(err, "its port is not a number from 1 to 65535");
    if (parts->scheme && (!parts->scheme->port_matters || port == parts->scheme->default_port))
        return true;
    *used += (size_t)snprintf(out + *used, REPOSITORY_MAX + 1 - *used, ":%d", (int)port);
    return true;
}

// Percent-decodes where the form of the URL encodes, and refuses what no path may hold.
static bool decode_path(const struct parts *parts, char out[static REPOSITORY_MAX + 1],
                        struct error *err)
{
    size_t used = 0;
    for (size_t i = 0; i < parts->path_len; i++) {
        char c = parts->path[i];
        if (c == '%' && parts->scheme) {
            if (i + 2 >= parts->path_len ||
                !hex_decode(parts->path + i + 1, 2, (uint8_t *)&c, sizeof c))
                return fail(err, "a percent sign is not followed by two hex digits");
            if (c == '/')
                return fail(err, "it holds an encoded slash");
            i += 2;
        }
        if ((unsigned char)c < 0x20 || c == 0x7f)
            return fail(err, "it holds a control character");
        if (strchr("%?#\\", c))
            return fail(err, "its path holds one of % ? # \\");
        out[used++] = c;
    }
    out[used] = '\0';
    return text_is_utf8(out, used) || fail(err, "its path is not UTF-8");
}

static bool folds_case(const char *host)
{
    for (size_t i = 0; i < sizeof folding / sizeof folding[0]; i++)
        if (strcmp(host, folding[i].host) == 0)
            return true;
    return false;
}

// Cuts slashes and ".git" off the end; but a segment that is ".git" alone is a directory's name.
static void trim_path(char *path)
{
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] == '/')
        path[--len] = '\0';
    while (text_ends(path, ".git") && !text_ends(path, "/.git") && len > strlen(".git"))
        path[len -= strlen(".git")] = '\0';
}

static bool put_path(const struct parts *parts, bool fold, char *out, size_t *used,
                     struct error *err)
{
    char path[REPOSITORY_MAX + 1];
    if (!decode_path(parts, path, err))
        return false;
    if (fold)
        to_lower(path);
    trim_path(path);
    size_t end = *used;
    char *rest = path;
    for (const char *segment; (segment = strsep(&rest, "/"));) {
        if (strcmp(segment, ".") == 0 || strcmp(segment, "..") == 0)
            return fail(err, "its path holds \".\" or \"..\"");
        if (*segment)
            end += (size_t)snprintf(out + end, REPOSITORY_MAX + 1 - end, "/%s", segment);
    }
    if (end == *used)
        return fail(err, "it has no path");
    *used = end;
    return true;
}

bool repository_identify(const char *url, char out[static REPOSITORY_MAX + 1], struct error *err)
{
    // Each step writes at most what it read, and a slash for a colon or a slash that it read.
    char identity[REPOSITORY_MAX + 1];
    struct parts parts = {0};
    size_t used = 0;
    if (strlen(url) > REPOSITORY_MAX)
        return fail(err, "it is too long");
    if (!split(url, &parts, err) || !put_host(&parts, identity, &used, err))
        return false;
    bool fold = folds_case(identity);
    if (!put_port(&parts, identity, &used, err) || !put_path(&parts, fold, identity, &used, err))
        return false;
    memcpy(out, identity, used + 1);
    return true;
}

bool repository_same(const char *a, const char *b)
{
    return strcasecmp(a, b) == 0;
}
