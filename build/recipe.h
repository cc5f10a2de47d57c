// How an image is built, the hash that says whether two ways are the same, and the names derived
// from it. All pure.
#ifndef CRONWRIGHT_BUILD_RECIPE_H
#define CRONWRIGHT_BUILD_RECIPE_H

#include "agent/base/crypto.h"
#include "agent/base/error.h"

#define RECIPE_PATH_MAX      1024 // bytes of a Dockerfile or context path
#define RECIPE_ARGS_MAX      64
#define RECIPE_ARG_NAME_MAX  128
#define RECIPE_ARG_VALUE_MAX 4096
#define RECIPE_TARGET_MAX    128
#define RECIPE_BRANCH_MAX    250
#define RECIPE_ATTEMPT_MAX   9999

struct build_arg {
    const char *name;
    const char *value;
};

// Texts are borrowed. NULL and "" mean the same everywhere: not set.
//
// The branch belongs to the recipe although it changes no byte of the image: so each Job has one
// branch that owns it, and cancelling a superseded build never takes another branch's with it.
// What only says how the work is done (Kaniko's image, cache, resources) is in struct
// kaniko_settings and not in the hash: changing it must not rebuild every service.
struct recipe {
    const char *repository;       // identity: "host/path"
    const char *branch;           // short name
    const char *dockerfile;       // relative to the context; not set: "Dockerfile"
    const char *context;          // directory in the repository; not set: "."
    const char *target;           // stage; not set: the last
    const struct build_arg *args; // in any order; names differ
    size_t args_count;            //
    const char *image;            // destination, without tag
    const char *platform;         // "linux/arm64"; not set: the build node's
    const char *paths;            // which changes matter: any text that is the same for the same
    const char *credential;       // name of the Git credential that it is fetched with
    const char *push_secret;      // that it is pushed with; not set: the one of all
};

// Checks every field but the last three; ERR_INVALID names the field. Paths are relative, without
// "..",
// ".git", control characters or backslashes; a Dockerfile must be a file inside the context.
bool recipe_check(const struct recipe *recipe, struct error *err) MUST_CHECK;

// Brings a path to the one spelling: "./a//b/" → "a/b", "" and "/" → ".". `out` holds
// RECIPE_PATH_MAX + 1 bytes. ERR_INVALID as in recipe_check(); `what` names the path in the text.
bool recipe_path(const char *path, const char *what, char out[static RECIPE_PATH_MAX + 1],
                 struct error *err) MUST_CHECK;

// SHA-256, lower-case hex, of "cronwright recipe 1\n" followed by one netstring pair
// "<length of name>:<name><length of value>:<value>\n" for each field that is set, in the order of
// the struct, defaults filled in, paths in their one spelling, args as "arg.<name>" with the value
// "=<value>", sorted by name.
// The last three change no byte of the image, but what is built of two recipes at a commit may
// differ by them, and must not be shared by those who have different credentials: with one of them
// set they are the last fields, "paths", "credential" and "pushSecret", and the second half of the
// digits is that of the hash without them.
// The recipe must have passed recipe_check().
void recipe_hash(const struct recipe *recipe, char out[static SHA256_HEX_SIZE]);

// Whether two hashes are of recipes that make the same image: they differ in the last three fields
// at most.
bool recipe_same_image(const char *hash, const char *other);

#define BUILD_JOB_SIZE 64 // a DNS label, with NUL
#define BUILD_TAG_SIZE 64

struct build_name {
    char job[BUILD_JOB_SIZE]; // "cw-<16 hex digits of commit and recipe>-<attempt>": Job and Secret
    char tag[BUILD_TAG_SIZE]; // "<12 of commit>-<6 of recipe>-<attempt>": registries forbid moving
                              // tags, so each attempt pushes one of its own
};

// `commit` is 40 or 64 lower-case hex digits, `recipe` is recipe_hash()'s, attempt 1 …
// RECIPE_ATTEMPT_MAX. Everything else is ERR_INVALID.
bool build_name(const char *commit, const char *recipe, int attempt, struct build_name *out,
                struct error *err) MUST_CHECK;
// The attempt in a Job's name or a tag of that form; 0 for any other text.
int build_name_attempt(const char *name);

#endif
