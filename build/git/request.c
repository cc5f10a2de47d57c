#include "build/git/request.h"

#include "agent/base/json.h"
#include "agent/base/text.h"

#include <git2.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define FILE_PATH_MAX 4000

static bool invalid(struct fault *fault, const char *field, const char *why)
{
    return fault_set(fault, GIT_ERROR_WORD_INVALID, "request: \"%s\": %s", field, why);
}

// --- kinds of fields ---

static bool is_proxy(const char *url)
{
    struct git_url parsed;
    return git_url_parse(url, &parsed, NULL) && parsed.kind == GIT_URL_HTTP;
}

static bool is_absolute(const char *path)
{
    return path[0] == '/' && strlen(path) <= FILE_PATH_MAX && !strstr(path, "/../") &&
           !text_ends(path, "/..");
}

// "a/b": the one spelling of a path in a tree, which leaves no doubt what it names.
static bool is_tree_path(const char *path)
{
    if (strlen(path) > GIT_PATH_MAX)
        return false;
    for (const char *part = path;;) {
        size_t len = strcspn(part, "/");
        if (len == 0 || (len == 1 && part[0] == '.') || (len == 2 && memcmp(part, "..", 2) == 0) ||
            (len == 4 && strncasecmp(part, ".git", 4) == 0))
            return false;
        if (!part[len])
            return true;
        part += len + 1;
    }
}

static bool is_credential(const char *text)
{
    return *text && strlen(text) <= GIT_CREDENTIAL_MAX && !strpbrk(text, "\r\n");
}

static bool is_ssh_key(const char *text)
{
    return *text && strlen(text) <= GIT_SSH_KEY_MAX;
}

static bool is_known_hosts(const char *text)
{
    return *text && strlen(text) <= GIT_KNOWN_HOSTS_MAX;
}

static bool is_commit(const char *text)
{
    return strlen(text) == GIT_OID_HEXSZ && strspn(text, "0123456789abcdef") == GIT_OID_HEXSZ;
}

static bool is_pattern(const char *text)
{
    if (!*text || *text == '/' || strlen(text) > GIT_PATTERN_MAX || strchr(text, '\\'))
        return false;
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f || (at[0] == '/' && at[1] == '/'))
            return false;
    return true;
}

static bool is_directory_path(const char *path)
{
    return strcmp(path, ".") == 0 || is_tree_path(path);
}

static bool is_branch(const char *name)
{
    char reference[GIT_REFERENCE_SIZE];
    int valid = 0;
    if (!*name || strlen(name) > GIT_BRANCH_MAX || name[0] == '-' || strcmp(name, "HEAD") == 0)
        return false;
    snprintf(reference, sizeof reference, "refs/heads/%s", name);
    return git_reference_name_is_valid(&valid, reference) == 0 && valid;
}

// The name of a setting.
static bool is_word(const char *text)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.";
    return *text && strlen(text) <= 64 && text[strspn(text, set)] == '\0';
}

// --- the table ---

static const struct {
    const char *name;
    size_t offset;
    bool (*check)(const char *text);
    unsigned for_operations; // required by
    const char *must;
} texts[] = {
#define FOR(operation) (1U << GIT_OPERATION_##operation)
#define TEXT(member)   #member, offsetof(struct git_request, member)
    {TEXT(url), NULL, FOR(HEAD) | FOR(CONTEXT), "a text"}, // checked last, by what is allowed
    {TEXT(branch), is_branch, FOR(HEAD) | FOR(CONTEXT), "a branch's short name"},
    {TEXT(username), is_credential, 0, "one line"},
    {TEXT(password), is_credential, 0, "one line"},
    {TEXT(ca_file), is_absolute, 0, "an absolute path"},
    {TEXT(proxy), is_proxy, 0, "an http URL"},
    {TEXT(proxy_username), is_credential, 0, "one line"},
    {TEXT(proxy_password), is_credential, 0, "one line"},
    {TEXT(ssh_key), is_ssh_key, 0, "the text of a key's file"},
    {TEXT(ssh_passphrase), is_credential, 0, "one line"},
    {TEXT(known_hosts), is_known_hosts, 0, "the text of a known_hosts file"},
    {TEXT(ssh_directory), is_absolute, 0, "an absolute path"},
    {TEXT(commit), is_commit, FOR(CONTEXT), "40 lower-case hex digits"},
    {TEXT(mirror), is_absolute, FOR(CONTEXT) | FOR(VERIFY), "an absolute path"},
    {TEXT(subdirectory), is_directory_path, FOR(CONTEXT), "a plain path in the repository"},
    {TEXT(dockerfile), is_tree_path, FOR(CONTEXT), "a plain path in the repository"},
    {TEXT(output), is_absolute, FOR(CONTEXT), "an absolute path"},
    {TEXT(max_bytes_setting), is_word, 0, "a word of at most 64 characters"},
#undef TEXT
};

static const struct {
    const char *name;
    size_t offset;
    int64_t max;
    unsigned for_operations; // required by
} numbers[] = {
    {"seconds", offsetof(struct git_request, seconds), GIT_SECONDS_MAX,
     FOR(HEAD) | FOR(CONTEXT) | FOR(VERIFY)},
    {"max_bytes", offsetof(struct git_request, max_bytes), INT64_MAX, FOR(CONTEXT)},
    {"max_repository_bytes", offsetof(struct git_request, max_repository_bytes), INT64_MAX,
     FOR(CONTEXT)},
    {"max_objects", offsetof(struct git_request, max_objects), GIT_OBJECTS_MAX, FOR(CONTEXT)},
    {"max_file_bytes", offsetof(struct git_request, max_file_bytes), GIT_FILE_MAX, FOR(CONTEXT)},
    {"max_tree_depth", offsetof(struct git_request, max_tree_depth), GIT_TREE_DEPTH_MAX,
     FOR(CONTEXT)},
};

static const struct {
    const char *name;
    size_t offset;
    bool (*check)(const char *text);
    size_t max;
    const char *must;
} lists[] = {
    {"since", offsetof(struct git_request, since), is_commit, GIT_SINCE_MAX, "a list of commits"},
    {"paths", offsetof(struct git_request, paths), is_pattern, GIT_PATTERNS_MAX,
     "a list of patterns of paths"},
};

static bool read_texts(struct git_request *request, struct fault *fault)
{
    unsigned operation = 1U << request->operation;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const json_t *value = json_object_get(request->root, texts[i].name);
        const char *text = json_string_value(value);
        if (!value && !(texts[i].for_operations & operation))
            continue;
        if (!text || (texts[i].check && !texts[i].check(text)))
            return invalid(fault, texts[i].name, texts[i].must);
        *(const char **)(void *)((char *)request + texts[i].offset) = text;
    }
    return true;
}

static bool read_numbers(struct git_request *request, struct fault *fault)
{
    unsigned operation = 1U << request->operation;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        const json_t *value = json_object_get(request->root, numbers[i].name);
        if (!value && !(numbers[i].for_operations & operation))
            continue;
        json_int_t number = json_int_or(value, 0);
        if (number < 1 || number > numbers[i].max)
            return invalid(fault, numbers[i].name, "a number within its bounds");
        *(int64_t *)(void *)((char *)request + numbers[i].offset) = number;
    }
    return true;
}

static bool read_lists(struct git_request *request, struct fault *fault)
{
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        const json_t *list = json_object_get(request->root, lists[i].name);
        size_t count = json_array_size(list);
        bool good =
            request->operation == GIT_OPERATION_CONTEXT && count > 0 && count <= lists[i].max;
        for (size_t k = 0; good && k < count; k++) {
            const char *text = json_string_value(json_array_get(list, k));
            good = text && lists[i].check(text);
        }
        if (list && !good)
            return invalid(fault, lists[i].name, lists[i].must);
        *(const json_t **)(void *)((char *)request + lists[i].offset) = list;
    }
    return !request->since == !request->paths ||
           invalid(fault, "since", "comes together with \"paths\"");
}

static bool is_known(const char *key)
{
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (strcmp(key, texts[i].name) == 0)
            return true;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strcmp(key, numbers[i].name) == 0)
            return true;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (strcmp(key, lists[i].name) == 0)
            return true;
    return strcmp(key, "op") == 0;
}

static bool read_operation(struct git_request *request, struct fault *fault)
{
    const char *op = json_text_at(request->root, "op", NULL);
    const char *key;
    json_t *value;
    json_object_foreach(request->root, key, value) if (!is_known(key)) return invalid(fault, key,
                                                                                      "unknown");
    if (op && strcmp(op, "head") == 0)
        request->operation = GIT_OPERATION_HEAD;
    else if (op && strcmp(op, "context") == 0)
        request->operation = GIT_OPERATION_CONTEXT;
    else if (op && strcmp(op, "verify") == 0)
        request->operation = GIT_OPERATION_VERIFY;
    else
        return invalid(fault, "op", "\"head\", \"context\" or \"verify\"");
    return true;
}

static bool is_local_url(const char *url)
{
    return url[0] == '/' || text_starts(url, "file:///");
}

// Each kind of URL with what belongs to it, and nothing else.
static bool check_login(const struct git_request *request, struct fault *fault)
{
    bool ssh = request->remote.kind == GIT_URL_SSH;
    if (!request->username != !request->password)
        return invalid(fault, "username", "comes together with \"password\"");
    if (!request->proxy_username != !request->proxy_password ||
        (request->proxy_username && !request->proxy))
        return invalid(fault, "proxy_username", "comes with \"proxy_password\" and \"proxy\"");
    if (ssh && request->username)
        return invalid(fault, "username", "is none of SSH, whose user is in the URL");
    if (ssh != (request->known_hosts != NULL) || ssh != (request->ssh_directory != NULL))
        return invalid(fault, "known_hosts", "comes with \"ssh_directory\" and a URL of SSH");
    if (ssh != (request->ssh_key != NULL) || (request->ssh_passphrase && !ssh))
        return invalid(fault, "ssh_key", "comes with a URL of SSH");
    return true;
}

static bool check_whole(struct git_request *request, bool allow_local, struct fault *fault)
{
    struct error err;
    if (request->operation == GIT_OPERATION_VERIFY) { // of no remote
        snprintf(request->host, sizeof request->host, "the mirror");
        return true;
    }
    bool local = allow_local && is_local_url(request->url);
    if (!local && !git_url_parse(request->url, &request->remote, &err))
        return invalid(fault, "url", err.text);
    if (!check_login(request, fault))
        return false;
    const char *host = strstr(request->url, "://");
    host = host ? host + strlen("://") : request->url;
    if (local)
        snprintf(request->host, sizeof request->host, "this machine");
    else if (request->remote.kind == GIT_URL_SSH)
        snprintf(request->host, sizeof request->host, "%s", request->remote.host);
    else
        snprintf(request->host, sizeof request->host, "%.*s", (int)strcspn(host, "/"), host);
    snprintf(request->reference, sizeof request->reference, "refs/heads/%s", request->branch);
    return true;
}

bool git_request_read(const char *bytes, size_t len, bool allow_local, struct git_request *out,
                      struct fault *fault)
{
    struct error err;
    struct git_request request = {0};
    if (!json_read(bytes, len, GIT_REQUEST_MAX, &request.root, &err))
        return fault_set(fault, GIT_ERROR_WORD_INVALID, "request: %s", err.text);
    if (json_is_object(request.root) && read_operation(&request, fault) &&
        read_texts(&request, fault) && read_numbers(&request, fault) &&
        read_lists(&request, fault) && check_whole(&request, allow_local, fault)) {
        *out = request;
        return true;
    }
    if (!json_is_object(request.root))
        fault_set(fault, GIT_ERROR_WORD_INVALID, "request: not a JSON object");
    git_request_finish(&request);
    return false;
}

void git_request_finish(struct git_request *request)
{
    json_decref(request->root);
    request->root = NULL;
}
