#include "build/image.h"

#include "agent/base/text.h"

#include <stdio.h>
#include <string.h>

#define DOCKER_HUB     "docker.io"
#define DIGEST_PREFIX  "sha256:"
#define DIGEST_HEX     64
#define PORT_MAX       65535
#define HOST_LABEL_MAX 63

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_alphanumeric(char c)
{
    return is_digit(c) || is_lower(c) || (c >= 'A' && c <= 'Z');
}

bool image_digest_is_valid(const char *text)
{
    if (!text_starts(text, DIGEST_PREFIX))
        return false;
    const char *hex = text + strlen(DIGEST_PREFIX);
    return strlen(hex) == DIGEST_HEX && strspn(hex, "0123456789abcdef") == DIGEST_HEX;
}

// [A-Za-z0-9_][A-Za-z0-9_.-]*
static bool tag_is_valid(const char *tag)
{
    for (const char *at = tag; *at; at++)
        if (!is_alphanumeric(*at) && *at != '_' && (at == tag || (*at != '.' && *at != '-')))
            return false;
    return *tag;
}

// Labels of letters, digits and inner hyphens joined by dots.
static bool host_name_is_valid(const char *host, size_t len)
{
    size_t label = 0;
    for (size_t i = 0; i < len; i++) {
        bool edge = label == 0 || i + 1 == len || host[i + 1] == '.';
        if (host[i] == '.') {
            if (label == 0)
                return false;
            label = 0;
        } else if (is_alphanumeric(host[i]) || (host[i] == '-' && !edge)) {
            if (++label > HOST_LABEL_MAX)
                return false;
        } else {
            return false;
        }
    }
    return label > 0;
}

static bool host_is_valid(const char *host, size_t len)
{
    size_t name = len;
    if (len && host[0] == '[') { // IPv6
        const char *end = memchr(host, ']', len);
        if (!end || end == host + 1)
            return false;
        name = (size_t)(end - host) + 1;
        if (strspn(host + 1, "0123456789abcdefABCDEF:.") != name - 2)
            return false;
    } else {
        const char *colon = memchr(host, ':', len);
        if (colon)
            name = (size_t)(colon - host);
        if (!host_name_is_valid(host, name))
            return false;
    }
    if (name == len)
        return true;
    char port[8];
    size_t port_len = len - name - 1;
    if (host[name] != ':' || port_len == 0 || port_len >= sizeof port)
        return false;
    memcpy(port, host + name + 1, port_len);
    port[port_len] = '\0';
    int64_t number;
    return text_to_int(port, 1, PORT_MAX, &number);
}

// Runs of lower-case letters and digits, joined by ".", "_", "__" or any number of "-".
static bool path_part_is_valid(const char *part, size_t len)
{
    size_t at = 0;
    for (;;) {
        size_t run = at;
        while (at < len && (is_lower(part[at]) || is_digit(part[at])))
            at++;
        if (at == run)
            return false;
        if (at == len)
            return true;
        size_t joint = at;
        char kind = part[at];
        while (at < len && part[at] == kind)
            at++;
        size_t most = kind == '.' ? 1 : kind == '_' ? 2 : kind == '-' ? len : 0;
        if (at - joint > most)
            return false;
    }
}

static bool path_is_valid(const char *path)
{
    for (const char *part = path;; part++) {
        size_t len = strcspn(part, "/");
        if (!path_part_is_valid(part, len))
            return false;
        part += len;
        if (!*part)
            return true;
    }
}

// As docker does it: the first part is a host when it has a dot or a port, or is "localhost".
static size_t host_length(const char *name)
{
    size_t len = strcspn(name, "/");
    if (!name[len])
        return 0;
    bool is_host = memchr(name, '.', len) || memchr(name, ':', len) ||
                   (len == strlen("localhost") && memcmp(name, "localhost", len) == 0);
    return is_host ? len : 0;
}

static bool is_docker_hub(const char *host)
{
    static const char *const names[] = {DOCKER_HUB, "index.docker.io", "registry-1.docker.io"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(host, names[i]) == 0)
            return true;
    return false;
}

static bool split_name(const char *name, struct image_reference *out, struct error *err)
{
    size_t host = host_length(name);
    const char *path = host ? name + host + 1 : name;
    if (host && !host_is_valid(name, host))
        return error_set(err, ERR_INVALID, "image \"%s\": \"%.*s\" is no host[:port]", name,
                         (int)host, name);
    if (!path_is_valid(path))
        return error_set(err, ERR_INVALID,
                         "image \"%s\": the path must be lower-case letters and digits, joined by "
                         "\"/\", \".\", \"_\" or \"-\"",
                         name);
    for (size_t i = 0; i < host; i++)
        out->registry[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] - 'A' + 'a' : name[i]);
    const char *parent = "";
    if (!host || is_docker_hub(out->registry)) {
        text_copy(out->registry, sizeof out->registry, DOCKER_HUB);
        parent = strchr(path, '/') ? "" : "library/";
    }
    size_t room = IMAGE_REPOSITORY_MAX - strlen(out->registry); // for path, after a slash
    return (size_t)snprintf(out->path, room, "%s%s", parent, path) < room ||
           error_set(err, ERR_INVALID, "image: a name of more than %d bytes", IMAGE_REPOSITORY_MAX);
}

bool image_parse(const char *text, struct image_reference *out, struct error *err)
{
    struct image_reference parsed = {0};
    char name[IMAGE_REFERENCE_MAX + 1];
    if (!text_copy(name, sizeof name, text))
        return error_set(err, ERR_INVALID, "image: more than %d bytes", IMAGE_REFERENCE_MAX);
    if (!*name)
        return error_set(err, ERR_INVALID, "image: empty");
    for (const char *at = name; *at; at++)
        if (*at <= ' ' || *at > '~')
            return error_set(err, ERR_INVALID, "image: a character that no image name has");
    if (strstr(name, "://"))
        return error_set(err, ERR_INVALID, "image \"%s\": a name has no scheme", name);
    char *digest = strchr(name, '@');
    if (digest) {
        *digest++ = '\0';
        if (!image_digest_is_valid(digest))
            return error_set(err, ERR_INVALID,
                             "image \"%s\": a digest is \"sha256:\" and 64 lower-case hex digits",
                             name);
        text_copy(parsed.digest, sizeof parsed.digest, digest);
    }
    char *slash = strrchr(name, '/');
    char *tag = strchr(slash ? slash : name, ':');
    if (tag) {
        *tag++ = '\0';
        if (!tag_is_valid(tag) || !text_copy(parsed.tag, sizeof parsed.tag, tag))
            return error_set(err, ERR_INVALID,
                             "image \"%s\": a tag is at most %d letters, digits, \"_\", \".\" and "
                             "\"-\"",
                             name, IMAGE_TAG_MAX);
    }
    if (strlen(name) > IMAGE_REPOSITORY_MAX)
        return error_set(err, ERR_INVALID, "image: a name of more than %d bytes",
                         IMAGE_REPOSITORY_MAX);
    if (!split_name(name, &parsed, err))
        return false;
    *out = parsed;
    return true;
}

bool image_check_destination(const char *text, struct error *err)
{
    struct image_reference parsed;
    if (!image_parse(text, &parsed, err))
        return false;
    if (parsed.tag[0] || parsed.digest[0])
        return error_set(err, ERR_INVALID,
                         "image \"%s\": a destination has no tag and no digest; each build gets a "
                         "tag of its own",
                         text);
    return true;
}
