// How a registry says what login it wants, and where docker keeps logins.
#include "agent/base/crypto.h"
#include "agent/base/json.h"
#include "agent/base/text.h"
#include "build/registry.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#define CONFIG_MAX ((size_t)1 << 20)
#define LOGIN_MAX  ((size_t)16 << 10)

// --- WWW-Authenticate ---

static bool is_token_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static const char *skip_spaces(const char *at)
{
    return at + strspn(at, " \t");
}

// Takes a token; false when there is none or it does not fit.
static bool take_token(const char **at, char *out, size_t room)
{
    size_t len = 0;
    while (is_token_char((*at)[len]))
        len++;
    if (len == 0 || len >= room)
        return false;
    memcpy(out, *at, len);
    out[len] = '\0';
    *at += len;
    return true;
}

// Takes a quoted string with its escapes, or a token.
static bool take_value(const char **at, char *out, size_t room)
{
    if (**at != '"')
        return take_token(at, out, room);
    size_t len = 0;
    for (++*at; **at != '"'; ++*at) {
        if (**at == '\\')
            ++*at;
        if ((unsigned char)**at < ' ' || **at == 0x7f || len + 1 >= room)
            return false;
        out[len++] = **at;
    }
    out[len] = '\0';
    ++*at;
    return true;
}

// To the next comma outside of quotes: for schemes that are not ours, whose rest may be no
// parameter.
static void skip_item(const char **at)
{
    bool quoted = false;
    for (; **at && (quoted || **at != ','); ++*at) {
        if (quoted && **at == '\\' && (*at)[1])
            ++*at;
        else if (**at == '"')
            quoted = !quoted;
    }
}

enum scheme { SCHEME_NONE, SCHEME_OTHER, SCHEME_BASIC, SCHEME_BEARER };

struct found {
    enum scheme scheme; // the one whose parameters are being read
    bool basic;
    struct registry_challenge bearer;
};

static const struct {
    const char *name;
    size_t offset;
    size_t room;
} parameters[] = {
#define PARAMETER(member)                                                                          \
#member, offsetof(struct registry_challenge, member),                                          \
        sizeof((struct registry_challenge *)0)->member
    {PARAMETER(realm)},
    {PARAMETER(service)},
    {PARAMETER(scope)},
#undef PARAMETER
};

static bool take_parameter(const char **at, const char *name, struct found *found)
{
    char other[REGISTRY_CHALLENGE_MAX];
    for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++)
        if (found->scheme == SCHEME_BEARER && strcasecmp(name, parameters[i].name) == 0)
            return take_value(at, (char *)&found->bearer + parameters[i].offset,
                              parameters[i].room);
    return take_value(at, other, sizeof other);
}

static enum scheme scheme_of(const char *name)
{
    return strcasecmp(name, "Bearer") == 0  ? SCHEME_BEARER
           : strcasecmp(name, "Basic") == 0 ? SCHEME_BASIC
                                            : SCHEME_OTHER;
}

// One item of the list: a parameter of the present scheme, or the next scheme with its first one.
static bool take_item(const char **at, struct found *found)
{
    char name[64];
    if (!take_token(at, name, sizeof name))
        return false;
    const char *next = skip_spaces(*at);
    if (*next != '=' && (*at == next && **at && **at != ','))
        return false;
    if (*next != '=') {
        found->scheme = scheme_of(name);
        found->basic |= found->scheme == SCHEME_BASIC;
        if (found->scheme == SCHEME_BEARER)
            found->bearer = (struct registry_challenge){.bearer = true};
        *at = next;
        if (!*next || *next == ',')
            return true;
        if (found->scheme == SCHEME_OTHER) {
            skip_item(at);
            return true;
        }
        if (!take_token(at, name, sizeof name))
            return false;
        next = skip_spaces(*at);
    }
    if (found->scheme == SCHEME_NONE || *next != '=')
        return false;
    *at = skip_spaces(next + 1);
    if (found->scheme == SCHEME_OTHER) {
        skip_item(at);
        return true;
    }
    return take_parameter(at, name, found);
}

bool registry_challenge_parse(const char *value, struct registry_challenge *out, struct error *err)
{
    struct found found = {0};
    if (strlen(value) > REGISTRY_CHALLENGE_MAX)
        return error_set(err, ERR_PROTOCOL, "an overlong WWW-Authenticate");
    for (const char *at = value;;) {
        at += strspn(at, " \t,");
        if (!*at)
            break;
        if (!take_item(&at, &found))
            return error_set(err, ERR_PROTOCOL, "a malformed WWW-Authenticate");
        at = skip_spaces(at);
        if (*at && *at != ',')
            return error_set(err, ERR_PROTOCOL, "a malformed WWW-Authenticate");
    }
    if (found.bearer.bearer && found.bearer.realm[0])
        *out = found.bearer;
    else if (found.basic)
        *out = (struct registry_challenge){.bearer = false};
    else
        return error_set(err, ERR_PROTOCOL, "it wants a login of a kind that is not known here");
    return true;
}

// --- docker's config.json ---

// How well a key fits: 0 not at all, 1 the host alone ("host", "https://host", "https://host/v1/"),
// more for each byte of a path that the image's begins with.
static size_t fit(const char *key, const char *host, const char *path)
{
    static const char *const whole[] = {"", "/", "/v1", "/v1/", "/v2", "/v2/"};
    const char *scheme = strstr(key, "://");
    key = scheme ? scheme + strlen("://") : key;
    size_t len = strcspn(key, "/");
    const char *below = key + len;
    if (len != strlen(host) || strncasecmp(key, host, len) != 0)
        return 0;
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++)
        if (strcmp(below, whole[i]) == 0)
            return 1;
    size_t wanted = strlen(++below);
    bool begins = strncmp(path, below, wanted) == 0 && (!path[wanted] || path[wanted] == '/');
    return begins ? 1 + wanted : 0;
}

static const json_t *find_entry(const json_t *config, const char *registry, const char *path)
{
    static const char *const hub[] = {"docker.io", "index.docker.io", "registry-1.docker.io", NULL};
    const char *own[] = {registry, NULL};
    const char *const *names = strcmp(registry, hub[0]) == 0 ? hub : own;
    const json_t *best = NULL;
    size_t best_fit = 0;
    for (; *names; names++) {
        const char *key;
        json_t *entry;
        json_object_foreach(json_object_get(config, "auths"), key, entry)
        {
            size_t present = fit(key, *names, path);
            if (present > best_fit) {
                best = entry;
                best_fit = present;
            }
        }
    }
    return best;
}

static bool decode_login(const char *encoded, struct registry_login *out, struct error *err)
{
    char plain[LOGIN_MAX + 1];
    size_t len;
    bool decoded = base64_decode(encoded, strlen(encoded), (uint8_t *)plain, LOGIN_MAX, &len);
    char *colon = decoded ? memchr(plain, ':', len) : NULL;
    bool good = colon && !memchr(plain, '\0', len);
    if (good) {
        out->username = xstrndup(plain, (size_t)(colon - plain));
        out->password = xstrndup(colon + 1, len - (size_t)(colon + 1 - plain));
    }
    explicit_bzero(plain, sizeof plain);
    return good || error_set(err, ERR_INVALID, "the login is not base64 of user:password");
}

bool registry_login_find(const char *config, const char *registry, const char *path,
                         struct registry_login *out, struct error *err)
{
    CLEANUP(json_ptr) json_t *root = NULL;
    struct error why;
    *out = (struct registry_login){0};
    if (!json_read(config, strlen(config), CONFIG_MAX, &root, &why) ||
        !json_is_object(json_object_get(root, "auths")))
        // The parser's text could quote the secret.
        return error_set(err, ERR_INVALID,
                         "the login file is no docker config.json with \"auths\"");
    const json_t *entry = find_entry(root, registry, path);
    const char *name = json_text_at(entry, "username", NULL);
    const char *word = json_text_at(entry, "password", NULL);
    const char *encoded = json_text_at(entry, "auth", NULL);
    const char *token = json_text_at(entry, "identitytoken", NULL);
    if (token && *token) // it goes before the rest, which may be a stand-in
        out->identity_token = xstrdup(token);
    else if (encoded && *encoded)
        return decode_login(encoded, out, err);
    else if (name && word) {
        out->username = xstrdup(name);
        out->password = xstrdup(word);
    }
    return true;
}

void registry_login_finish(struct registry_login *login)
{
    secret_free(login->username);
    secret_free(login->password);
    secret_free(login->identity_token);
    *login = (struct registry_login){0};
}
