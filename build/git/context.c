#include "build/git/context.h"

#include "agent/base/buffer.h"
#include "agent/base/printable.h"
#include "build/git/dockerfile.h"
#include "build/git/ignore.h"

#include <string.h>
#include <strings.h>

#define IGNORE_FILE ".dockerignore"

static void free_tree(git_tree **tree)
{
    git_tree_free(*tree);
}

static void free_commit(git_commit **commit)
{
    git_commit_free(*commit);
}

static void free_entry(git_tree_entry **entry)
{
    git_tree_entry_free(*entry);
}

static void free_object(git_odb_object **object)
{
    git_odb_object_free(*object);
}

static void free_odb(git_odb **odb)
{
    git_odb_free(*odb);
}

static void free_blob(git_blob **blob)
{
    git_blob_free(*blob);
}

static void free_archive(struct archive_file **archive)
{
    archive_discard(*archive);
}

struct walk {
    git_repository *repository;
    git_odb *odb;
    struct answers *answers;
    struct archive_file *archive;
    const struct ignore *ignore; // NULL: nothing is left out
    const struct git_request *request;
    const char *commit; // for texts
    int64_t entries;
    int64_t files;
    int64_t ignored;
    int64_t unpacked;
    size_t len;                      // of `path`
    char path[CONTEXT_PATH_MAX + 1]; // of the present entry, from the context's root
};

static bool archive_fault(struct fault *fault, const struct error *err)
{
    return fault_from(fault, GIT_ERROR_WORD_IO, err);
}

// --- one entry ---

static bool check_name(const struct walk *walk, const char *name, struct fault *fault)
{
    if (*name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
        strcasecmp(name, ".git") != 0 && !strchr(name, '/'))
        return true;
    return fault_set(fault, GIT_ERROR_WORD_INVALID,
                     "commit %s has an entry named \"%s\" in its tree, below \"%s\"", walk->commit,
                     name, walk->path);
}

static bool enter(struct walk *walk, const char *name, struct fault *fault)
{
    size_t len = strlen(name);
    if (!check_name(walk, name, fault))
        return false;
    if (++walk->entries > CONTEXT_ENTRIES_MAX)
        return fault_set(fault, GIT_ERROR_WORD_CONTEXT_SIZE,
                         "the context at commit %s has more than %d entries", walk->commit,
                         CONTEXT_ENTRIES_MAX);
    if (walk->len + len + 1 > CONTEXT_PATH_MAX)
        return fault_set(fault, GIT_ERROR_WORD_INVALID,
                         "commit %s has a path of more than %d bytes", walk->commit,
                         CONTEXT_PATH_MAX);
    if (walk->len)
        walk->path[walk->len++] = '/';
    memcpy(walk->path + walk->len, name, len + 1);
    walk->len += len;
    return true;
}

static void leave(struct walk *walk, size_t len)
{
    walk->len = len;
    walk->path[len] = '\0';
}

// The size is known before anything is unpacked.
static bool read_blob(struct walk *walk, const git_oid *id, git_odb_object **out,
                      struct fault *fault)
{
    size_t size;
    git_object_t type;
    if (git_odb_read_header(&size, &type, walk->odb, id) != 0)
        return fault_mirror(fault, "%s at commit %s", walk->path, walk->commit);
    walk->unpacked += (int64_t)size;
    if (type != GIT_OBJECT_BLOB)
        return fault_set(fault, GIT_ERROR_WORD_INVALID, "%s at commit %s is no file", walk->path,
                         walk->commit);
    if (size > (uint64_t)walk->request->max_file_bytes)
        return fault_set(fault, GIT_ERROR_WORD_CONTEXT_SIZE,
                         "%s at commit %s has %zu bytes, and one file may have %lld "
                         "(git.maxFileBytes)",
                         walk->path, walk->commit, size, (long long)walk->request->max_file_bytes);
    if (walk->unpacked > CONTEXT_UNPACKED_MAX)
        return fault_set(fault, GIT_ERROR_WORD_CONTEXT_SIZE,
                         "the context at commit %s has more than %lld bytes unpacked", walk->commit,
                         (long long)CONTEXT_UNPACKED_MAX);
    if (git_odb_read(out, walk->odb, id) != 0)
        return fault_mirror(fault, "%s at commit %s", walk->path, walk->commit);
    return true;
}

static bool add_file(struct walk *walk, const git_oid *id, bool executable, struct fault *fault)
{
    CLEANUP(free_object) git_odb_object *object = NULL;
    struct error err;
    if (!read_blob(walk, id, &object, fault))
        return false;
    const char *bytes = git_odb_object_data(object);
    size_t len = git_odb_object_size(object);
    if (is_lfs_pointer(bytes, len))
        answer_note(walk->answers, "lfs", walk->path,
                    "a Git LFS pointer; the content it stands for is not fetched");
    walk->files++;
    return archive_add_file(walk->archive, walk->path, executable, bytes, len, &err) ||
           archive_fault(fault, &err);
}

// Kaniko reads what a link leads to: one that may lead outside is left out.
static bool add_link(struct walk *walk, const git_oid *id, struct fault *fault)
{
    CLEANUP(free_object) git_odb_object *object = NULL;
    struct error err;
    if (!read_blob(walk, id, &object, fault))
        return false;
    size_t len = git_odb_object_size(object);
    if (len == 0 || len > CONTEXT_PATH_MAX || memchr(git_odb_object_data(object), '\0', len))
        return fault_set(fault, GIT_ERROR_WORD_INVALID,
                         "%s at commit %s is a symbolic link without a proper target", walk->path,
                         walk->commit);
    CLEANUP(free_ptr) char *target = xstrndup(git_odb_object_data(object), len);
    if (leads_outside(walk->path, target)) {
        answer_note(walk->answers, "symlink", walk->path,
                    "a symbolic link that leads out of the build context, which is left out");
        return true;
    }
    walk->files++;
    return archive_add_link(walk->archive, walk->path, target, &err) || archive_fault(fault, &err);
}

static bool add_tree(struct walk *walk, const git_oid *id, int depth, struct fault *fault);

static bool add_directory(struct walk *walk, const git_oid *id, int depth, struct fault *fault)
{
    struct error err;
    if (depth >= walk->request->max_tree_depth)
        return fault_set(fault, GIT_ERROR_WORD_INVALID,
                         "commit %s has directories more than %lld deep (git.maxTreeDepth): "
                         "\"%.64s…\"",
                         walk->commit, (long long)walk->request->max_tree_depth, walk->path);
    if (!archive_add_directory(walk->archive, walk->path, &err))
        return archive_fault(fault, &err);
    return add_tree(walk, id, depth + 1, fault);
}

static bool add_entry(struct walk *walk, const git_tree_entry *entry, int depth,
                      struct fault *fault)
{
    const git_oid *id = git_tree_entry_id(entry);
    // Directories stay: what takes a part of one back may name it.
    if (git_tree_entry_filemode(entry) != GIT_FILEMODE_TREE &&
        ignore_matches(walk->ignore, walk->path)) {
        walk->ignored++;
        return true;
    }
    switch (git_tree_entry_filemode(entry)) {
    case GIT_FILEMODE_TREE:
        return add_directory(walk, id, depth, fault);
    case GIT_FILEMODE_BLOB:
        return add_file(walk, id, false, fault);
    case GIT_FILEMODE_BLOB_EXECUTABLE:
        return add_file(walk, id, true, fault);
    case GIT_FILEMODE_LINK:
        return add_link(walk, id, fault);
    case GIT_FILEMODE_COMMIT:
        answer_note(walk->answers, "submodule", walk->path, "a submodule, which is left out");
        return true;
    default:
        return fault_set(fault, GIT_ERROR_WORD_INVALID, "%s at commit %s has an unknown mode",
                         walk->path, walk->commit);
    }
}

static bool add_tree(struct walk *walk, const git_oid *id, int depth, struct fault *fault)
{
    CLEANUP(free_tree) git_tree *tree = NULL;
    size_t len = walk->len;
    if (git_tree_lookup(&tree, walk->repository, id) != 0)
        return fault_mirror(fault, "the directory \"%s\" at commit %s", walk->path, walk->commit);
    for (size_t i = 0; i < git_tree_entrycount(tree); i++) {
        const git_tree_entry *entry = git_tree_entry_byindex(tree, i);
        if (!enter(walk, git_tree_entry_name(entry), fault) ||
            !add_entry(walk, entry, depth, fault))
            return false;
        leave(walk, len);
    }
    return true;
}

// --- what is looked at first ---

// The tree of the directory that is the context.
static bool find_root(git_repository *repository, const git_commit *commit,
                      const struct git_request *request, git_tree **out, struct fault *fault)
{
    CLEANUP(free_tree) git_tree *whole = NULL;
    CLEANUP(free_entry) git_tree_entry *entry = NULL;
    if (git_commit_tree(&whole, commit) != 0)
        return fault_mirror(fault, "the tree of commit %s", request->commit);
    if (strcmp(request->subdirectory, ".") == 0) {
        *out = TAKE(whole);
        return true;
    }
    int code = git_tree_entry_bypath(&entry, whole, request->subdirectory);
    if (code != 0 && code != GIT_ENOTFOUND)
        return fault_mirror(fault, "\"%s\" at commit %s", request->subdirectory, request->commit);
    if (code == GIT_ENOTFOUND || git_tree_entry_filemode(entry) != GIT_FILEMODE_TREE)
        return fault_set(fault, GIT_ERROR_WORD_CONTEXT,
                         "the context \"%s\" is %s at commit %s of branch \"%s\"",
                         request->subdirectory,
                         code                                                    ? "not there"
                         : git_tree_entry_filemode(entry) == GIT_FILEMODE_COMMIT ? "a submodule"
                                                                                 : "no directory",
                         request->commit, request->branch);
    if (git_tree_lookup(out, repository, git_tree_entry_id(entry)) != 0)
        return fault_mirror(fault, "\"%s\" at commit %s", request->subdirectory, request->commit);
    return true;
}

static void free_ignore(struct ignore **ignore)
{
    ignore_free(*ignore);
}

// The one beside the Dockerfile, which is for it alone, else the context's. *out is NULL when there
// is none, or it is no plain file.
static bool read_ignore(git_repository *repository, const git_tree *root,
                        const struct git_request *request, struct ignore **out, struct fault *fault)
{
    CLEANUP(free_entry) git_tree_entry *entry = NULL;
    CLEANUP(free_blob) git_blob *blob = NULL;
    CLEANUP(free_ptr) char *own = xasprintf("%s" IGNORE_FILE, request->dockerfile);
    int code = git_tree_entry_bypath(&entry, root, own);
    if (code == GIT_ENOTFOUND)
        code = git_tree_entry_bypath(&entry, root, IGNORE_FILE);
    if (code == GIT_ENOTFOUND)
        return true;
    if (code != 0)
        return fault_mirror(fault, IGNORE_FILE " at commit %s", request->commit);
    if (git_tree_entry_filemode(entry) != GIT_FILEMODE_BLOB &&
        git_tree_entry_filemode(entry) != GIT_FILEMODE_BLOB_EXECUTABLE)
        return true;
    if (git_blob_lookup(&blob, repository, git_tree_entry_id(entry)) != 0)
        return fault_mirror(fault, IGNORE_FILE " at commit %s", request->commit);
    *out =
        ignore_read(git_blob_rawcontent(blob), (size_t)git_blob_rawsize(blob), request->dockerfile);
    return true;
}

static void describe(git_commit *commit, struct commit_words *out)
{
    const char *summary = git_commit_summary(commit);
    const git_signature *author = git_commit_author(commit);
    const char *name = author && author->name ? author->name : "";
    summary = summary ? summary : "";
    printable_copy(out->subject, sizeof out->subject, summary, strlen(summary));
    printable_copy(out->author, sizeof out->author, name, strlen(name));
}

bool commit_describe(git_repository *repository, const git_oid *commit_id, struct commit_words *out,
                     struct fault *fault)
{
    CLEANUP(free_commit) git_commit *commit = NULL;
    if (git_commit_lookup(&commit, repository, commit_id) != 0)
        return fault_mirror(fault, "the commit that was fetched");
    describe(commit, out);
    return true;
}

bool context_write(git_repository *repository, const git_oid *commit_id,
                   const struct git_request *request, struct answers *answers, struct context *out,
                   struct fault *fault)
{
    CLEANUP(free_commit) git_commit *commit = NULL;
    CLEANUP(free_tree) git_tree *root = NULL;
    CLEANUP(free_odb) git_odb *odb = NULL;
    CLEANUP(free_archive) struct archive_file *archive = NULL;
    struct context context = {0};
    struct error err;
    if (git_commit_lookup(&commit, repository, commit_id) != 0)
        return fault_mirror(fault, "commit %s", request->commit);
    CLEANUP(free_ignore) struct ignore *ignore = NULL;
    if (!find_root(repository, commit, request, &root, fault) ||
        !dockerfile_check(repository, commit, root, request, fault) ||
        !read_ignore(repository, root, request, &ignore, fault))
        return false;
    if (git_repository_odb(&odb, repository) != 0)
        return fault_mirror(fault, "the mirror's objects");
    if (!archive_create(request->output, request->max_bytes, &archive, &err))
        return archive_fault(fault, &err);
    CLEANUP(free_ptr) struct walk *walk = xalloc(sizeof *walk);
    *walk = (struct walk){.repository = repository,
                          .odb = odb,
                          .answers = answers,
                          .archive = archive,
                          .ignore = ignore,
                          .request = request,
                          .commit = request->commit};
    if (!add_tree(walk, git_tree_id(root), 0, fault))
        return false;
    if (!archive_commit(TAKE(archive), &context.archive, &err)) {
        if (err.code != ERR_TOO_LARGE)
            return archive_fault(fault, &err);
        const char *setting = request->max_bytes_setting;
        return fault_set(fault, GIT_ERROR_WORD_CONTEXT_SIZE,
                         "the build context at commit %s is %s%s%s%s", request->commit, err.text,
                         setting ? " (" : "", setting ? setting : "", setting ? ")" : "");
    }
    answer_notes_end(answers);
    context.files = walk->files;
    context.ignored = walk->ignored;
    git_oid_cpy(&context.tree, git_tree_id(root));
    describe(commit, &context.words);
    *out = context;
    return true;
}
