// token: makes a bearer token for the admin API, of which the agent's settings get the hash alone.

#include "agent/base/crypto.h"
#include "agent/base/file.h"
#include "agent/base/yaml.h"
#include "agent/cli/output.h"
#include "agent/config_table.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define TOKEN_BYTES     32 // of chance
#define TOKEN_TEXT_SIZE (2 * TOKEN_BYTES + 1)

#define DEFAULT_NAME       "new"
#define DEFAULT_NAMESPACES "*"

// As the settings take it.
static bool check(const char *key, const char *option, const char *text, struct error *err)
{
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct config_setting *setting = &config_settings[i];
        if (strcmp(setting->key, key) == 0 && !setting->form->matches(text))
            return error_set(err, ERR_INVALID, "--%s must be %s", option, setting->form->wants);
    }
    return true;
}

// "a,b". The caller owns *out.
static bool read_namespaces(const char *text, json_t **out, struct error *err)
{
    CLEANUP(json_ptr) json_t *list = json_array();
    while (text) {
        size_t len = strcspn(text, ",");
        CLEANUP(free_ptr) char *name = xstrndup(text, len);
        if (!check("admin.tokens[].namespaces", "namespaces", name, err))
            return false;
        json_array_append_new(list, json_string(name));
        text = text[len] ? text + len + 1 : NULL;
    }
    *out = TAKE(list);
    return true;
}

// The item of admin.tokens; the caller owns *out.
static bool make_entry(const struct call *call, const char *hash, json_t **out, struct error *err)
{
    const char *name = call_has(call, OPTION_NAME) ? call->text[OPTION_NAME] : DEFAULT_NAME;
    const char *role =
        call_has(call, OPTION_ROLE) ? call->text[OPTION_ROLE] : config_role_words[ROLE_VIEWER];
    const char *namespaces =
        call_has(call, OPTION_NAMESPACES) ? call->text[OPTION_NAMESPACES] : DEFAULT_NAMESPACES;
    CLEANUP(json_ptr) json_t *list = NULL;
    if (!check("admin.tokens[].name", "name", name, err) ||
        !read_namespaces(namespaces, &list, err))
        return false;
    *out = json_pack("{s:s, s:s, s:s, s:O}", "name", name, "hash", hash, "role", role, "namespaces",
                     list);
    return true;
}

// A file that is there stays: somebody's token may be in it.
static bool write_token(const char *path, const char *token, struct error *err)
{
    CLEANUP(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(err, ERR_IO, errno, "%s", path);
    if (fd_write(fd, token, strlen(token)) && fd_write(fd, "\n", 1) && fsync(fd) == 0)
        return true;
    error_errno(err, ERR_IO, errno, "%s", path);
    unlink(path);
    return false;
}

// All of it is YAML: it may be appended to a file.
static void print_entry(const json_t *entry)
{
    CLEANUP(json_ptr) json_t *list = json_pack("[O]", entry);
    CLEANUP(free_ptr) char *text = yaml_write(list);
    (void)fprintf(stderr,
                  "# for admin.tokens in the agent's settings, which it reads again on SIGHUP\n%s",
                  text);
}

// The token is told this once, and only on standard output.
static void print_token(struct session *session, const char *token, const json_t *entry)
{
    static const struct naming token_naming = {NULL, {"file", NULL}};
    const char *file = session->call->text[OPTION_OUT];
    if (output_is_data(session)) {
        CLEANUP(json_ptr)
        json_t *json =
            json_pack("{s:s, s:O}", file ? "file" : "token", file ? file : token, "entry", entry);
        (void)output_print(session, json, &token_naming);
        return;
    }
    if (!file)
        (void)printf("%s\n", token);
    print_entry(entry);
}

int command_token(struct session *session)
{
    const struct call *call = session->call;
    const char *file = call->text[OPTION_OUT];
    uint8_t chance[TOKEN_BYTES], digest[SHA256_SIZE];
    char token[TOKEN_TEXT_SIZE], hash[sizeof TOKEN_HASH_PREFIX + SHA256_HEX_SIZE];
    struct error err;
    CLEANUP(json_ptr) json_t *entry = NULL;
    if (output_of(session) == OUTPUT_NAME && !file) {
        error_set(&err, ERR_INVALID, "-o name goes with --out FILE: the token would be lost");
        return session_fail(session, &err);
    }
    random_bytes(chance, sizeof chance);
    hex_encode(chance, sizeof chance, token);
    sha256(token, strlen(token), digest);
    memcpy(hash, TOKEN_HASH_PREFIX, strlen(TOKEN_HASH_PREFIX));
    hex_encode(digest, sizeof digest, hash + strlen(TOKEN_HASH_PREFIX));
    bool made = make_entry(call, hash, &entry, &err) && (!file || write_token(file, token, &err));
    if (made)
        print_token(session, token, entry);
    explicit_bzero(chance, sizeof chance);
    explicit_bzero(token, sizeof token);
    return made ? STATUS_OK : session_fail(session, &err);
}
