#include "build/git/changes.h"

#include "agent/base/json.h"

#include <fnmatch.h>
#include <string.h>

#define PART_MAX 4096 // bytes of a part of a path that is compared

static void free_tree(git_tree **tree)
{
    git_tree_free(*tree);
}

static void free_commit(git_commit **commit)
{
    git_commit_free(*commit);
}

static void free_diff(git_diff **diff)
{
    git_diff_free(*diff);
}

// --- patterns ---

// Names too long for us match: then too much is built, not too little.
static bool part_matches(const char *pattern, size_t pattern_len, const char *part, size_t part_len)
{
    char glob[GIT_PATTERN_MAX + 1], name[PART_MAX + 1];
    if (pattern_len > GIT_PATTERN_MAX || part_len > PART_MAX)
        return true;
    memcpy(glob, pattern, pattern_len);
    glob[pattern_len] = '\0';
    memcpy(name, part, part_len);
    name[part_len] = '\0';
    return fnmatch(glob, name, 0) == 0;
}

// Part by part; when it does not go on, the last "**" takes one part more. Earlier ones need not be
// tried again: whatever they could leave over, the last can take.
static bool parts_match(const char *pattern, const char *path)
{
    const char *retry = NULL, *from = NULL; // what follows the last "**", and where that was tried
    for (;;) {
        size_t len = strcspn(pattern, "/"), part = strcspn(path, "/");
        bool any = len == 2 && memcmp(pattern, "**", 2) == 0;
        if (len == 0 || (any && !pattern[len])) // "/" at the end, or "**"
            return true;
        if (any) {
            retry = pattern += len + 1;
            from = path;
            continue;
        }
        bool same = part_matches(pattern, len, path, part);
        if (same && !pattern[len] && !path[part])
            return true;
        if (same && pattern[len] && path[part]) {
            pattern += len + 1;
            path += part + 1;
            continue;
        }
        from = retry ? strchr(from, '/') : NULL;
        if (!from)
            return false;
        path = ++from;
        pattern = retry;
    }
}

bool changes_match(const char *pattern, const char *path)
{
    size_t len = strlen(pattern);
    if (strpbrk(pattern, "*?["))
        return parts_match(pattern, path);
    if (len > 0 && pattern[len - 1] == '/')
        len--;
    return strncmp(pattern, path, len) == 0 && (path[len] == '/' || (!path[len] && !pattern[len]));
}

// --- trees ---

struct search {
    const json_t *paths;
    bool found;
};

static bool matches_any(const json_t *paths, const char *path)
{
    size_t i;
    json_t *pattern;
    json_array_foreach(json_unconst(paths), i,
                       pattern) if (changes_match(json_string_value(pattern), path)) return true;
    return false;
}

// Nothing is kept of what differs; the first match ends it.
static int on_difference(const git_diff *so_far, const git_diff_delta *delta, const char *pathspec,
                         void *user)
{
    (void)so_far;
    (void)pathspec;
    struct search *search = user;
    search->found = matches_any(search->paths, delta->new_file.path);
    return search->found ? GIT_EUSER : 1;
}

static bool commit_tree(const struct bare *bare, const git_oid *id, git_tree **out,
                        struct fault *fault)
{
    CLEANUP(free_commit) git_commit *commit = NULL;
    char hex[GIT_COMMIT_SIZE];
    if (git_commit_lookup(&commit, bare->repository, id) == 0 && git_commit_tree(out, commit) == 0)
        return true;
    return fault_mirror(fault, "the tree of commit %s", git_oid_tostr(hex, sizeof hex, id));
}

static bool compare(const struct bare *bare, git_tree *before, git_tree *after,
                    const struct git_request *request, bool *changed, struct fault *fault)
{
    CLEANUP(free_diff) git_diff *diff = NULL;
    struct search search = {.paths = request->paths};
    git_diff_options options;
    if (git_diff_options_init(&options, GIT_DIFF_OPTIONS_VERSION) != 0)
        return fault_set(fault, GIT_ERROR_WORD_IO, "libgit2: %s", fault_libgit2_text());
    options.flags = GIT_DIFF_SKIP_BINARY_CHECK | GIT_DIFF_INCLUDE_TYPECHANGE;
    options.notify_cb = on_difference;
    options.payload = &search;
    int code = git_diff_tree_to_tree(&diff, bare->repository, before, after, &options);
    if (code != 0 && !search.found)
        return fault_mirror(fault, "the difference to commit %s", request->commit);
    *changed = search.found;
    return true;
}

bool changes_any(const struct bare *bare, const git_oid *commit, const struct git_request *request,
                 bool *changed, struct fault *fault)
{
    CLEANUP(free_tree) git_tree *after = NULL;
    if (!commit_tree(bare, commit, &after, fault))
        return false;
    bool any = false;
    for (size_t i = 0; i < json_array_size(request->since) && !any; i++) {
        CLEANUP(free_tree) git_tree *before = NULL;
        git_oid id;
        const char *since = json_string_value(json_array_get(request->since, i));
        any = git_oid_fromstr(&id, since) != 0 || !bare_has(bare, &id);
        if (!any && (!commit_tree(bare, &id, &before, fault) ||
                     !compare(bare, before, after, request, &any, fault)))
            return false;
    }
    *changed = any;
    return true;
}
