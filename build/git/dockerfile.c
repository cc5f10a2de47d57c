#include "build/git/dockerfile.h"

#include "agent/base/buffer.h"

#include <stdio.h>
#include <string.h>

#define LFS_POINTER     "version https://git-lfs.github.com/spec/"
#define LFS_POINTER_MAX 1024
#define LINKS_MAX       8 // of one after the other

static void free_entry(git_tree_entry **entry)
{
    git_tree_entry_free(*entry);
}

static void free_tree(git_tree **tree)
{
    git_tree_free(*tree);
}

static void free_blob(git_blob **blob)
{
    git_blob_free(*blob);
}

bool is_lfs_pointer(const char *bytes, size_t len)
{
    return len < LFS_POINTER_MAX && len >= strlen(LFS_POINTER) &&
           memcmp(bytes, LFS_POINTER, strlen(LFS_POINTER)) == 0;
}

bool leads_outside(const char *path, const char *target)
{
    int depth = 0;
    bool named = false;
    for (const char *at = path; (at = strchr(at, '/')); at++)
        depth++;
    if (target[0] == '/')
        return true;
    for (const char *part = target; *part;) {
        size_t len = strcspn(part, "/");
        bool up = len == 2 && part[0] == '.' && part[1] == '.';
        bool name = len && !up && !(len == 1 && part[0] == '.');
        if (up && (named || --depth < 0))
            return true;
        named |= name;
        part += len + (part[len] == '/');
    }
    return false;
}

// "a/b/link" and "../c" → "a/c". The target does not lead outside.
static char *follow(const char *path, const char *target)
{
    CLEANUP(free_ptr) char *base = xstrdup(path);
    char *slash = strrchr(base, '/');
    *(slash ? slash : base) = '\0';
    for (size_t len; *target; target += len + (target[len] == '/')) {
        len = strcspn(target, "/");
        bool up = len == 2 && target[0] == '.' && target[1] == '.';
        if (!up && !(len == 1 && target[0] == '.') && len)
            break;
        slash = up ? strrchr(base, '/') : NULL;
        if (up)
            *(slash ? slash : base) = '\0';
    }
    return *base ? xasprintf("%s/%s", base, target) : xstrdup(target);
}

// --- what is wrong with it ---

struct check {
    git_repository *repository;
    const git_commit *commit;
    const git_tree *root;
    const struct git_request *request;
};

static bool refuse(const struct check *check, struct fault *fault, const char *what)
{
    return fault_set(fault, GIT_ERROR_WORD_DOCKERFILE, "\"%s\" is %s at commit %s of branch \"%s\"",
                     check->request->dockerfile, what, check->request->commit,
                     check->request->branch);
}

static bool is_blob(const git_tree *tree, const char *path)
{
    CLEANUP(free_entry) git_tree_entry *entry = NULL;
    return git_tree_entry_bypath(&entry, tree, path) == 0 &&
           git_tree_entry_type(entry) == GIT_OBJECT_BLOB;
}

// The part of a path that is a submodule; NULL when none is. The caller frees.
static char *submodule_of(const git_tree *tree, const char *path)
{
    for (const char *end = strchr(path, '/'); end; end = strchr(end + 1, '/')) {
        CLEANUP(free_entry) git_tree_entry *entry = NULL;
        CLEANUP(free_ptr) char *part = xstrndup(path, (size_t)(end - path));
        if (git_tree_entry_bypath(&entry, tree, part) == 0 &&
            git_tree_entry_filemode(entry) == GIT_FILEMODE_COMMIT)
            return TAKE(part);
    }
    return NULL;
}

static bool is_missing(const struct check *check, const char *path, struct fault *fault)
{
    const struct git_request *request = check->request;
    CLEANUP(free_tree) git_tree *whole = NULL;
    CLEANUP(free_ptr) char *submodule = submodule_of(check->root, path);
    if (submodule) {
        CLEANUP(free_ptr)
        char *what = xasprintf("in the submodule \"%s\", which is left out", submodule);
        return refuse(check, fault, what);
    }
    bool whole_repository = strcmp(request->subdirectory, ".") == 0;
    bool above = !whole_repository && git_commit_tree(&whole, check->commit) == 0 &&
                 is_blob(whole, request->dockerfile);
    CLEANUP(free_ptr)
    char *where =
        whole_repository ? xstrdup("") : xasprintf(" in the context \"%s\"", request->subdirectory);
    return fault_set(fault, GIT_ERROR_WORD_DOCKERFILE,
                     "\"%s\" is not there%s at commit %s of branch \"%s\"%s", request->dockerfile,
                     where, request->commit, request->branch,
                     above ? "; its path is relative to the context, not to the repository" : "");
}

// *next is where a link leads; NULL: it is no link, and fine.
static bool look(const struct check *check, const char *path, char **next, struct fault *fault)
{
    CLEANUP(free_entry) git_tree_entry *entry = NULL;
    CLEANUP(free_blob) git_blob *blob = NULL;
    int code = git_tree_entry_bypath(&entry, check->root, path);
    if (code == GIT_ENOTFOUND)
        return is_missing(check, path, fault);
    if (code != 0)
        return fault_mirror(fault, "%s at commit %s", path, check->request->commit);
    if (git_tree_entry_filemode(entry) == GIT_FILEMODE_COMMIT)
        return refuse(check, fault, "a submodule");
    if (git_tree_entry_type(entry) != GIT_OBJECT_BLOB)
        return refuse(check, fault, "no file");
    if (git_blob_lookup(&blob, check->repository, git_tree_entry_id(entry)) != 0)
        return fault_mirror(fault, "%s at commit %s", path, check->request->commit);
    const char *bytes = git_blob_rawcontent(blob);
    size_t len = (size_t)git_blob_rawsize(blob);
    if (is_lfs_pointer(bytes, len))
        return refuse(check, fault, "a Git LFS pointer, whose content is not fetched");
    if (git_tree_entry_filemode(entry) != GIT_FILEMODE_LINK)
        return true;
    CLEANUP(free_ptr) char *target = xstrndup(bytes, len < GIT_PATH_MAX ? len : GIT_PATH_MAX);
    if (leads_outside(path, target))
        return refuse(check, fault, "a symbolic link that leads out of the build context");
    *next = follow(path, target);
    return true;
}

bool dockerfile_check(git_repository *repository, const git_commit *commit, const git_tree *root,
                      const struct git_request *request, struct fault *fault)
{
    struct check check = {repository, commit, root, request};
    CLEANUP(free_ptr) char *path = xstrdup(request->dockerfile);
    for (int links = 0; links <= LINKS_MAX; links++) {
        char *next = NULL;
        if (!look(&check, path, &next, fault))
            return false;
        if (!next)
            return true;
        free(path);
        path = next;
    }
    return refuse(&check, fault, "a symbolic link that leads to itself");
}
