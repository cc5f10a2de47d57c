#include "deploy/document_forms.h"
#include "agent/base/text.h"
#include "agent/base/zone.h"
#include "deploy/kube/names.h"
#include "deploy/quantity.h"
#include "deploy/schedule.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TAG_MAX       128 // bytes of an image's tag
#define PORT_NAME_MAX 15  // bytes of an IANA service name
#define DIGEST_MIN    32  // hex digits

#define LOWER   "abcdefghijklmnopqrstuvwxyz"
#define UPPER   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS  "0123456789"
#define LETTERS LOWER UPPER

static bool only(const char *text, size_t len, const char *characters)
{
    return strspn(text, characters) >= len;
}

static bool alphanumeric(char c)
{
    return isalnum((unsigned char)c) && (unsigned char)c < 0x80;
}

// --- names ---

static bool is_label(const char *text, int max, struct error *err)
{
    return kube_is_label(text) ||
           error_set(
               err, ERR_INVALID,
               "lower-case letters, digits and \"-\", at most %d, both ends a letter or digit",
               max);
}

bool form_namespace(const char *text, struct error *err)
{
    return is_label(text, KUBE_LABEL_MAX, err);
}

bool form_cronjob_name(const char *text, struct error *err)
{
    size_t len = strlen(text);
    if (len > KUBE_CRONJOB_NAME_MAX)
        return error_set(err, ERR_INVALID,
                         "%zu characters are too many: at most %d, since the names of runs add 11",
                         len, KUBE_CRONJOB_NAME_MAX);
    return is_label(text, KUBE_CRONJOB_NAME_MAX, err);
}

bool form_name(const char *text, struct error *err)
{
    return kube_is_name(text) ||
           error_set(
               err, ERR_INVALID,
               "lower-case letters, digits, \"-\" and \".\", at most %d, both ends a letter or "
               "digit",
               KUBE_NAME_MAX);
}

static bool is_qualified(const char *text, size_t len)
{
    return len > 0 && len <= KUBE_LABEL_MAX && alphanumeric(text[0]) &&
           alphanumeric(text[len - 1]) && only(text, len, LETTERS DIGITS "-_.");
}

bool form_label_value(const char *text, struct error *err)
{
    return *text == '\0' || is_qualified(text, strlen(text)) ||
           error_set(err, ERR_INVALID,
                     "letters, digits, \"-\", \"_\" and \".\", at most %d, both ends a letter or "
                     "digit",
                     KUBE_LABEL_MAX);
}

bool form_label_key(const char *text, struct error *err)
{
    const char *slash = strchr(text, '/');
    const char *name = slash ? slash + 1 : text;
    char prefix[KUBE_NAME_MAX + 1] = "x";
    if (slash && (size_t)(slash - text) < sizeof prefix)
        snprintf(prefix, sizeof prefix, "%.*s", (int)(slash - text), text);
    else if (slash)
        *prefix = '\0';
    return (kube_is_name(prefix) && is_qualified(name, strlen(name))) ||
           error_set(err, ERR_INVALID,
                     "a label's key is \"name\" or \"domain/name\", of letters, digits, \"-\", "
                     "\"_\" and \".\"");
}

bool form_own_label_key(const char *text, struct error *err)
{
    return text_starts(text, CRONWRIGHT_PREFIX)
               ? error_set(err, ERR_INVALID, "labels below " CRONWRIGHT_PREFIX " are cronwright's")
               : form_label_key(text, err);
}

bool form_variable(const char *text, struct error *err)
{
    for (const char *c = text; *c; c++)
        if (*c == '=' || *c < ' ' || *c > '~')
            return error_set(err, ERR_INVALID,
                             "the name of a variable is of printable ASCII characters other than "
                             "\"=\"");
    return true;
}

bool form_build_arg(const char *text, struct error *err)
{
    return (only(text, strlen(text), LETTERS DIGITS "_") && !isdigit((unsigned char)*text) &&
            *text) ||
           error_set(err, ERR_INVALID,
                     "a build argument's name is of letters, digits and \"_\", no digit first");
}

bool form_config_key(const char *text, struct error *err)
{
    size_t len = strlen(text);
    return (len <= KUBE_NAME_MAX && only(text, len, LETTERS DIGITS "-_.") &&
            strcmp(text, ".") != 0 && !text_starts(text, "..")) ||
           error_set(err, ERR_INVALID, "a key is of letters, digits, \"-\", \"_\" and \".\"");
}

bool form_port_name(const char *text, struct error *err)
{
    size_t len = strlen(text);
    bool good = len <= PORT_NAME_MAX && only(text, len, LOWER DIGITS "-") && strpbrk(text, LOWER) &&
                *text != '-' && text[len - 1] != '-' && !strstr(text, "--");
    return good || error_set(err, ERR_INVALID,
                             "the name of a port is of lower-case letters, digits and \"-\", at "
                             "most %d, with a letter",
                             PORT_NAME_MAX);
}

bool form_capability(const char *text, struct error *err)
{
    return (only(text, strlen(text), UPPER DIGITS "_") && !text_starts(text, "CAP_")) ||
           error_set(err, ERR_INVALID,
                     "a capability is written in upper case without \"CAP_\", such as NET_ADMIN, "
                     "or ALL");
}

// --- images ---

// A path component: lower-case letters and digits, with separators '.', '_', '__' or '-' between.
static bool is_component(const char *text, size_t len)
{
    return len > 0 && only(text, len, LOWER DIGITS "._-") && !strchr("._-", text[0]) &&
           !strchr("._-", text[len - 1]);
}

// The first component is a host if it could not be anything else.
static size_t host_length(const char *text, size_t len)
{
    const char *slash = memchr(text, '/', len);
    size_t first = slash ? (size_t)(slash - text) : 0;
    bool host = first && (memchr(text, '.', first) || memchr(text, ':', first) ||
                          (first == strlen("localhost") && memcmp(text, "localhost", first) == 0));
    return host ? first + 1 : 0;
}

static bool check_repository_part(const char *text, size_t len, struct error *err)
{
    size_t at = host_length(text, len);
    if (at && (!only(text, at - 1, LETTERS DIGITS ".-:[]") || !alphanumeric(text[at - 2])))
        if (text[at - 2] != ']')
            return error_set(err, ERR_INVALID, "\"%.*s\" is no host", (int)at - 1, text);
    for (size_t i = at; i < len; i++) {
        if (isupper((unsigned char)text[i])) {
            char lower[ERROR_TEXT_MAX];
            snprintf(lower, sizeof lower, "%s", text);
            for (size_t k = at; k < len && k < sizeof lower; k++)
                lower[k] = (char)tolower((unsigned char)lower[k]);
            return error_set(err, ERR_INVALID,
                             "an image's name is in lower case; did you mean \"%.500s\"?", lower);
        }
    }
    while (at <= len) {
        const char *slash = memchr(text + at, '/', len - at);
        size_t end = slash ? (size_t)(slash - text) : len;
        if (!is_component(text + at, end - at))
            return error_set(err, ERR_INVALID,
                             "\"%.*s\" cannot be part of an image's name: lower-case letters and "
                             "digits, with \".\", \"_\" or \"-\" between",
                             (int)(end - at), text + at);
        at = end + 1;
    }
    return true;
}

static bool check_digest(const char *digest, struct error *err)
{
    const char *colon = strchr(digest, ':');
    return (colon && colon > digest &&
            only(digest, (size_t)(colon - digest), LETTERS DIGITS "+._-") &&
            strlen(colon + 1) >= DIGEST_MIN &&
            only(colon + 1, strlen(colon + 1), "abcdef" DIGITS)) ||
           error_set(err, ERR_INVALID, "\"@%.80s\" is no digest, such as @sha256:…", digest);
}

bool form_image(const char *text, struct error *err)
{
    if (text[strcspn(text, " \t\r\n")])
        return error_set(err, ERR_INVALID, "there is a space in it");
    size_t len = strcspn(text, "@");
    if (text[len] == '@' && !check_digest(text + len + 1, err))
        return false;
    const char *slash = memrchr(text, '/', len);
    const char *last = slash ? slash + 1 : text;
    const char *colon = memchr(last, ':', len - (size_t)(last - text));
    if (colon) {
        size_t tag = len - (size_t)(colon + 1 - text);
        if (tag == 0 || tag > TAG_MAX || !only(colon + 1, tag, LETTERS DIGITS "_.-") ||
            strchr(".-", colon[1]))
            return error_set(err, ERR_INVALID, "\"%.*s\" is no tag of an image", (int)tag + 1,
                             colon);
        len = (size_t)(colon - text);
    }
    return check_repository_part(text, len, err);
}

bool form_destination(const char *text, struct error *err)
{
    if (!form_image(text, err))
        return false;
    const char *slash = strrchr(text, '/');
    return !strpbrk(slash ? slash : text, ":@") ||
           error_set(err, ERR_INVALID,
                     "without a tag or digest: each build is pushed with a tag of its own");
}

// --- Git ---

// "ssh://user@host/path" or "user@host:path"; the host of either, NULL when it is neither.
static const char *ssh_host(const char *text)
{
    const char *user = text_starts(text, "ssh://") ? text + strlen("ssh://") : text;
    size_t len = strcspn(user, "@:/");
    return len > 0 && user[len] == '@' ? user + len + 1 : NULL;
}

bool form_repository(const char *text, struct error *err)
{
    const char *host = text_starts(text, "https://")  ? text + strlen("https://")
                       : text_starts(text, "http://") ? text + strlen("http://")
                                                      : NULL;
    bool scp = !strstr(text, "://");
    if (host && memchr(host, '@', strcspn(host, "/")))
        return error_set(err, ERR_INVALID,
                         "no user in the URL: credentials are a matter of the agent's settings");
    if (!host)
        host = ssh_host(text);
    if (!host)
        return error_set(err, ERR_INVALID,
                         "the URL of a repository starts with https:// or http://, or is one of "
                         "SSH with a user and no password: ssh://git@host/path, git@host:path");
    size_t len = strcspn(host, scp ? ":" : "/");
    bool good = len > 0 && host[len] && host[len + 1] && !memchr(host, '@', len);
    for (const char *c = text; *c; c++)
        good = good && (unsigned char)*c > ' ' && *c != 0x7f;
    return good ||
           error_set(err, ERR_INVALID, "a repository's URL such as https://github.com/acme/report");
}

bool form_branch(const char *text, struct error *err)
{
    size_t len = strlen(text);
    bool good = *text != '/' && *text != '-' && *text != '.' && text[len - 1] != '/' &&
                text[len - 1] != '.' && !text_ends(text, ".lock") && !strpbrk(text, " ~^:?*[\\") &&
                !strstr(text, "..") && !strstr(text, "//") && !strstr(text, "@{") &&
                !strstr(text, "/.");
    for (const char *c = text; *c; c++)
        good = good && (unsigned char)*c > ' ' && *c != 0x7f;
    return good || error_set(err, ERR_INVALID, "Git takes no branch of that name");
}

bool form_file_path(const char *text, struct error *err)
{
    if (*text == '/')
        return error_set(err, ERR_INVALID, "a path in the repository does not start with \"/\"");
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f || *c == '\\')
            return error_set(err, ERR_INVALID,
                             "a path in the repository has no \"\\\" or control characters");
    for (const char *at = text; at; at = strchr(at, '/') ? strchr(at, '/') + 1 : NULL) {
        size_t len = strcspn(at, "/");
        if ((len == 2 && memcmp(at, "..", 2) == 0) || (len == 4 && memcmp(at, ".git", 4) == 0))
            return error_set(err, ERR_INVALID, "a path in the repository has no \"%.*s\"", (int)len,
                             at);
    }
    return true;
}

// Parts that no file of a repository has would make a pattern that never matches.
bool form_path_pattern(const char *text, struct error *err)
{
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, "/");
        if (*text != '/' && (len == 0 || (len == 1 && *at == '.')))
            return error_set(err, ERR_INVALID, "a pattern of paths has no \"%s\": leave it out",
                             len ? "./" : "//");
        at += len + (at[len] == '/');
    }
    return form_file_path(text, err);
}

// --- paths ---

bool form_absolute_path(const char *text, struct error *err)
{
    return *text == '/' || error_set(err, ERR_INVALID, "a path in the container starts with \"/\"");
}

bool form_mount_path(const char *text, struct error *err)
{
    return strchr(text, ':') ? error_set(err, ERR_INVALID, "there may be no \":\" in it")
                             : form_absolute_path(text, err);
}

bool form_sub_path(const char *text, struct error *err)
{
    bool up = strcmp(text, "..") == 0 || text_starts(text, "../") || text_ends(text, "/..") ||
              strstr(text, "/../");
    return (*text != '/' && !up) ||
           error_set(err, ERR_INVALID, "a path within the volume: no \"/\" first and no \"..\"");
}

bool form_http_path(const char *text, struct error *err)
{
    return *text == '/' || error_set(err, ERR_INVALID, "it starts with \"/\"");
}

// --- schedule ---

bool form_zone(const char *text, struct error *err)
{
    struct zone *zone = NULL;
    if (!zone_open(text, &zone, err))
        return false;
    zone_close(zone);
    return true;
}

// Whether it ever fires does not depend on the zone, but for days that a zone skipped: there is
// none in the years to come.
bool form_schedule(const char *text, struct error *err)
{
    struct schedule schedule;
    struct zone *zone = NULL;
    int64_t next;
    if (!schedule_parse(text, &schedule, NULL, err) || !zone_open("UTC", &zone, err))
        return false;
    bool fires = schedule_next(&schedule, zone, (int64_t)time(NULL), &next);
    zone_close(zone);
    return fires ||
           error_set(err, ERR_INVALID, "it never fires: there is no such day within %d years",
                     SCHEDULE_YEARS_MAX);
}

// --- resources ---

bool form_quantity(const char *text, struct error *err)
{
    double amount;
    return quantity_read(text, &amount, err);
}

bool form_resource(const char *text, struct error *err)
{
    static const char *const known[] = {"cpu", "memory", "ephemeral-storage", NULL};
    for (size_t i = 0; known[i]; i++)
        if (strcmp(text, known[i]) == 0)
            return true;
    if (strchr(text, '/') || text_starts(text, "hugepages-"))
        return form_label_key(text, err);
    const char *near = text_nearest(text, known);
    return error_set(err, ERR_INVALID, "there is no resource \"%.63s\"%s%s%s", text,
                     near ? "; did you mean \""
                          : ": cpu, memory, ephemeral-storage, or one with a domain",
                     near ? near : "", near ? "\"?" : "");
}
