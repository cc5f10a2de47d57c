#include "build/git/url.h"

#include "agent/base/text.h"

#include <stdint.h>
#include <string.h>

#define PORT_MAX 65535

static const struct scheme {
    const char *prefix;
    enum git_url_kind kind;
    int port;
} schemes[] = {
    {"https://", GIT_URL_HTTPS, 443},
    {"http://", GIT_URL_HTTP, 80},
    {"ssh://", GIT_URL_SSH, 22},
};

static bool fail(struct error *err, const char *why)
{
    return error_set(err, ERR_INVALID, "not a URL to fetch from: %s", why);
}

static bool is_plain(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text <= ' ' || *text == 0x7f || strchr("?#\\", *text))
            return false;
    return true;
}

// A name as servers have it: it ends up in texts and, by libgit2, in look-ups.
static bool take_host(const char *text, size_t len, struct git_url *out, struct error *err)
{
    bool brackets = len > 2 && text[0] == '[' && text[len - 1] == ']';
    const char *allowed =
        brackets ? "0123456789abcdef:." : "0123456789abcdefghijklmnopqrstuvwxyz-._";
    if (brackets) {
        text++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof out->host)
        return fail(err, "it has no host, or an overlong one");
    for (size_t i = 0; i < len; i++)
        out->host[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] | 0x20) : text[i];
    out->host[len] = '\0';
    if (strspn(out->host, allowed) != len || out->host[0] == '-' || out->host[0] == '.')
        return fail(err, "its host is not a name or an address");
    return true;
}

static bool take_user(const char *text, size_t len, struct git_url *out, struct error *err)
{
    static const char allowed[] =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._";
    if (len == 0 || len >= sizeof out->user)
        return fail(err, "it has no user, or an overlong one");
    memcpy(out->user, text, len);
    out->user[len] = '\0';
    if (strspn(out->user, allowed) != len || out->user[0] == '-')
        return fail(err, strchr(out->user, ':') ? "it has a password" : "its user is no name");
    return true;
}

static bool take_port(const char *text, size_t len, struct git_url *out, struct error *err)
{
    char digits[sizeof "65535"] = "";
    int64_t port;
    if (len < sizeof digits)
        memcpy(digits, text, len);
    if (!text_to_int(digits, 1, PORT_MAX, &port))
        return fail(err, "its port is not a number from 1 to 65535");
    out->port = (int)port;
    return true;
}

// "[user@]host[:port]".
static bool take_authority(const char *text, size_t len, struct git_url *out, struct error *err)
{
    const char *end = text + len;
    const char *at = memrchr(text, '@', len);
    if (!at != (out->kind != GIT_URL_SSH))
        return fail(err,
                    at ? "it has a user" : "with SSH it needs a user, as in ssh://git@host/path");
    if (at && !take_user(text, (size_t)(at - text), out, err))
        return false;
    const char *host = at ? at + 1 : text;
    const char *bracket = memchr(host, ']', (size_t)(end - host));
    const char *from = bracket ? bracket : host;
    const char *colon = memchr(from, ':', (size_t)(end - from));
    if (colon && !take_port(colon + 1, (size_t)(end - colon - 1), out, err))
        return false;
    return take_host(host, (size_t)((colon ? colon : end) - host), out, err);
}

// "user@host:path"
static bool take_scp(const char *url, struct git_url *out, struct error *err)
{
    const char *at = strchr(url, '@');
    const char *colon = at ? strchr(at, ':') : NULL;
    size_t first = strcspn(url, "/");
    if (!colon || (size_t)(colon - url) > first || !colon[1])
        return fail(err, "it is none of https://, http://, ssh:// and user@host:path");
    out->kind = GIT_URL_SSH;
    out->port = 22;
    return take_user(url, (size_t)(at - url), out, err) &&
           take_host(at + 1, (size_t)(colon - at - 1), out, err);
}

static bool parse(const char *url, struct git_url *out, struct error *err)
{
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (!text_starts(url, schemes[i].prefix))
            continue;
        const char *authority = url + strlen(schemes[i].prefix);
        size_t len = strcspn(authority, "/");
        out->kind = schemes[i].kind;
        out->port = schemes[i].port;
        if (out->kind == GIT_URL_SSH && strlen(authority) < len + 2)
            return fail(err, "it has no path");
        return take_authority(authority, len, out, err);
    }
    return take_scp(url, out, err);
}

bool git_url_parse(const char *url, struct git_url *out, struct error *err)
{
    struct git_url parsed = {0};
    if (strlen(url) > GIT_URL_MAX)
        return fail(err, "it is too long");
    if (!is_plain(url))
        return fail(err, "it has a space, a control character or one of ? # \\");
    if (!parse(url, &parsed, err))
        return false;
    // The server's shell reads the path of SSH, which libgit2 decodes and puts between quotes.
    if (parsed.kind == GIT_URL_SSH && strpbrk(url, "'\"`$;&|<>()*!%"))
        return fail(err, "it has a percent sign or a character that a shell would read");
    *out = parsed;
    return true;
}
