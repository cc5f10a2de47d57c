#include "build/recipe.h"

#include "agent/base/buffer.h"
#include "agent/base/text.h"
#include "build/image.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define FIELD_MAX  1024
#define IMAGE_HALF (SHA256_SIZE) // digits of a hash that stand for the paths: its first half

static const char *or_default(const char *text, const char *otherwise)
{
    return text && *text ? text : otherwise;
}

static bool has_control(const char *text)
{
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return true;
    return false;
}

static bool part_is(const char *part, size_t len, const char *word)
{
    return len == strlen(word) && strncasecmp(part, word, len) == 0;
}

bool recipe_path(const char *path, const char *what, char out[static RECIPE_PATH_MAX + 1],
                 struct error *err)
{
    if (strlen(path) > RECIPE_PATH_MAX)
        return error_set(err, ERR_INVALID, "%s: a path of more than %d bytes", what,
                         RECIPE_PATH_MAX);
    if (has_control(path) || strchr(path, '\\') || !text_is_utf8(path, strlen(path)))
        return error_set(err, ERR_INVALID,
                         "%s: a path without control characters and backslashes, in UTF-8", what);
    char plain[RECIPE_PATH_MAX + 1];
    size_t used = 0;
    for (const char *part = path; *part;) {
        size_t len = strcspn(part, "/");
        if (part_is(part, len, "..") || part_is(part, len, ".git"))
            return error_set(err, ERR_INVALID, "%s \"%s\": \"%.*s\" is not allowed in it", what,
                             path, (int)len, part);
        if (len && !part_is(part, len, ".")) {
            if (used)
                plain[used++] = '/';
            memcpy(plain + used, part, len);
            used += len;
        }
        part += len + (part[len] == '/');
    }
    plain[used] = '\0';
    text_copy(out, RECIPE_PATH_MAX + 1, used ? plain : ".");
    return true;
}

static bool check_text(const char *text, const char *what, size_t max, struct error *err)
{
    if (!text || !*text)
        return error_set(err, ERR_INVALID, "%s: missing", what);
    if (strlen(text) > max)
        return error_set(err, ERR_INVALID, "%s: more than %zu bytes", what, max);
    if (has_control(text) || !text_is_utf8(text, strlen(text)))
        return error_set(err, ERR_INVALID, "%s: not UTF-8 without control characters", what);
    return true;
}

static bool check_paths(const struct recipe *recipe, struct error *err)
{
    char plain[RECIPE_PATH_MAX + 1];
    if (!recipe_path(or_default(recipe->context, "."), "context", plain, err))
        return false;
    const char *dockerfile = or_default(recipe->dockerfile, "Dockerfile");
    if (!recipe_path(dockerfile, "dockerfile", plain, err))
        return false;
    if (strcmp(plain, ".") == 0 || text_ends(dockerfile, "/"))
        return error_set(err, ERR_INVALID, "dockerfile \"%s\": a directory, not a file",
                         dockerfile);
    return true;
}

static bool arg_name_is_valid(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    static const char all[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    size_t len = strlen(name);
    return len > 0 && len <= RECIPE_ARG_NAME_MAX && strchr(letters, name[0]) &&
           strspn(name, all) == len;
}

static bool check_args(const struct recipe *recipe, struct error *err)
{
    if (recipe->args_count > RECIPE_ARGS_MAX)
        return error_set(err, ERR_INVALID, "buildArgs: more than %d", RECIPE_ARGS_MAX);
    for (size_t i = 0; i < recipe->args_count; i++) {
        const struct build_arg *arg = &recipe->args[i];
        if (!arg->name || !arg_name_is_valid(arg->name))
            return error_set(err, ERR_INVALID,
                             "buildArgs: a name is letters, digits and \"_\", no digit first, at "
                             "most %d bytes",
                             RECIPE_ARG_NAME_MAX);
        const char *value = or_default(arg->value, "");
        if (strlen(value) > RECIPE_ARG_VALUE_MAX || !text_is_utf8(value, strlen(value)))
            return error_set(err, ERR_INVALID, "buildArgs.%s: not UTF-8 of at most %d bytes",
                             arg->name, RECIPE_ARG_VALUE_MAX);
        for (size_t k = 0; k < i; k++)
            if (strcmp(recipe->args[k].name, arg->name) == 0)
                return error_set(err, ERR_INVALID, "buildArgs.%s: given twice", arg->name);
    }
    return true;
}

// "os/architecture[/variant]"
static bool platform_is_valid(const char *platform)
{
    size_t len = strlen(platform), slashes = 0;
    for (size_t i = 0; i < len; i++)
        if (platform[i] == '/') {
            slashes++;
            if (i == 0 || platform[i - 1] == '/' || i + 1 == len)
                return false;
        }
    return len <= 64 && slashes >= 1 && slashes <= 2 &&
           strspn(platform, "abcdefghijklmnopqrstuvwxyz0123456789_-/") == len;
}

bool recipe_check(const struct recipe *recipe, struct error *err)
{
    if (!check_text(recipe->repository, "repository", FIELD_MAX, err) ||
        !check_text(recipe->branch, "branch", RECIPE_BRANCH_MAX, err) ||
        !check_paths(recipe, err) || !check_args(recipe, err))
        return false;
    if (recipe->target && *recipe->target &&
        !check_text(recipe->target, "target", RECIPE_TARGET_MAX, err))
        return false;
    if (!image_check_destination(or_default(recipe->image, ""), err))
        return false;
    if (recipe->platform && *recipe->platform && !platform_is_valid(recipe->platform))
        return error_set(err, ERR_INVALID, "platform: as \"linux/amd64\" or \"linux/arm/v7\"");
    return true;
}

static void add_field(struct sha256_stream *hash, const char *name, const char *value)
{
    if (!value || !*value)
        return;
    CLEANUP(free_ptr)
    char *text = xasprintf("%zu:%s%zu:%s\n", strlen(name), name, strlen(value), value);
    sha256_add(hash, text, strlen(text));
}

static void add_path(struct sha256_stream *hash, const char *name, const char *path)
{
    char plain[RECIPE_PATH_MAX + 1];
    add_field(hash, name, recipe_path(path, name, plain, NULL) ? plain : path);
}

static int compare_args(const void *a, const void *b)
{
    const struct build_arg *const *one = a, *const *other = b;
    return strcmp((*one)->name, (*other)->name);
}

static void add_args(struct sha256_stream *hash, const struct recipe *recipe)
{
    const struct build_arg *sorted[RECIPE_ARGS_MAX];
    size_t count = recipe->args_count < RECIPE_ARGS_MAX ? recipe->args_count : RECIPE_ARGS_MAX;
    for (size_t i = 0; i < count; i++)
        sorted[i] = &recipe->args[i];
    qsort(sorted, count, sizeof sorted[0], compare_args);
    for (size_t i = 0; i < count; i++) {
        char name[RECIPE_ARG_NAME_MAX + sizeof "arg."];
        snprintf(name, sizeof name, "arg.%s", sorted[i]->name);
        // An empty argument is not the same as none: it overrides the Dockerfile's default.
        CLEANUP(free_ptr) char *value = xasprintf("=%s", or_default(sorted[i]->value, ""));
        add_field(hash, name, value);
    }
}

static bool is_set(const char *text)
{
    return text && *text;
}

// `whole`: with what changes no byte of the image, too.
static void hash_fields(const struct recipe *recipe, bool whole, char out[static SHA256_HEX_SIZE])
{
    static const char version[] = "cronwright recipe 1\n";
    struct sha256_stream *hash = sha256_begin();
    sha256_add(hash, version, strlen(version));
    add_field(hash, "repository", recipe->repository);
    add_field(hash, "branch", recipe->branch);
    add_path(hash, "dockerfile", or_default(recipe->dockerfile, "Dockerfile"));
    add_path(hash, "context", or_default(recipe->context, "."));
    add_field(hash, "target", recipe->target);
    add_args(hash, recipe);
    add_field(hash, "image", recipe->image);
    add_field(hash, "platform", recipe->platform);
    if (whole) {
        add_field(hash, "paths", recipe->paths);
        add_field(hash, "credential", recipe->credential);
        add_field(hash, "pushSecret", recipe->push_secret);
    }
    uint8_t digest[SHA256_SIZE];
    sha256_end(hash, digest);
    hex_encode(digest, sizeof digest, out);
}

void recipe_hash(const struct recipe *recipe, char out[static SHA256_HEX_SIZE])
{
    hash_fields(recipe, false, out);
    if (!is_set(recipe->paths) && !is_set(recipe->credential) && !is_set(recipe->push_secret))
        return;
    char whole[SHA256_HEX_SIZE];
    hash_fields(recipe, true, whole);
    memcpy(out, whole, IMAGE_HALF);
}

bool recipe_same_image(const char *hash, const char *other)
{
    return strlen(hash) == SHA256_HEX_SIZE - 1 && strlen(other) == SHA256_HEX_SIZE - 1 &&
           strcmp(hash + IMAGE_HALF, other + IMAGE_HALF) == 0;
}

static bool is_lower_hex(const char *text, size_t len)
{
    return strlen(text) == len && strspn(text, "0123456789abcdef") == len;
}

bool build_name(const char *commit, const char *recipe, int attempt, struct build_name *out,
                struct error *err)
{
    if (!is_lower_hex(commit, 40) && !is_lower_hex(commit, 64))
        return error_set(err, ERR_INVALID, "commit: not a full object id in lower-case hex");
    if (!is_lower_hex(recipe, SHA256_HEX_SIZE - 1))
        return error_set(err, ERR_INVALID, "recipe: not a SHA-256 in lower-case hex");
    if (attempt < 1 || attempt > RECIPE_ATTEMPT_MAX)
        return error_set(err, ERR_INVALID, "attempt: not within 1 and %d", RECIPE_ATTEMPT_MAX);
    CLEANUP(free_ptr) char *inputs = xasprintf("cronwright build 1\n%s\n%s\n", commit, recipe);
    uint8_t digest[SHA256_SIZE];
    sha256(inputs, strlen(inputs), digest);
    char hex[SHA256_HEX_SIZE];
    hex_encode(digest, sizeof digest, hex);
    snprintf(out->job, sizeof out->job, "cw-%.16s-%d", hex, attempt);
    snprintf(out->tag, sizeof out->tag, "%.12s-%.6s-%d", commit, recipe, attempt);
    return true;
}

int build_name_attempt(const char *name)
{
    const char *dash = strrchr(name, '-');
    int64_t attempt;
    return dash && text_to_int(dash + 1, 1, RECIPE_ATTEMPT_MAX, &attempt) ? (int)attempt : 0;
}
