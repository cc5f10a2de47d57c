#include "build/git/bare.h"

#include "agent/base/buffer.h"
#include "agent/base/file.h"
#include "agent/base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define WALK_FILES 16 // open directories of a walk

static bool io_fault(struct fault *fault, const char *what, const char *path)
{
    struct error err;
    error_errno(&err, ERR_IO, errno, "%s %s", what, path);
    return fault_from(fault, GIT_ERROR_WORD_IO, &err);
}

static bool wait_for_lock(int lock, const char *path, struct answers *answers, struct fault *fault)
{
    if (flock(lock, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (errno != EWOULDBLOCK)
        return io_fault(fault, "lock", path);
    answer_line(answers, json_pack("{s:s}", "event", "waiting"));
    while (flock(lock, LOCK_EX) != 0)
        if (errno != EINTR)
            return io_fault(fault, "lock", path);
    return true;
}

// Whatever else is in the place of the lock nobody can have locked.
static int open_lock(const char *path)
{
    struct error err;
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock >= 0 || (errno != EISDIR && errno != ELOOP))
        return lock;
    int why = errno;
    if (why == EISDIR ? directory_remove(path, &err) : unlink(path) == 0)
        return open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    errno = why;
    return -1;
}

// The agent removes the locks of mirrors that it removes: one that was waited for may be gone. Its
// time says when the mirror was used last.
static bool take_lock(struct bare *bare, struct answers *answers, struct fault *fault)
{
    CLEANUP(free_ptr) char *path = xasprintf("%s.lock", bare->path);
    do {
        close_fd(&bare->lock);
        bare->lock = open_lock(path);
        if (bare->lock < 0)
            return io_fault(fault, "open", path);
        if (!wait_for_lock(bare->lock, path, answers, fault))
            return false;
    } while (!fd_is_at(bare->lock, path));
    return futimens(bare->lock, NULL) == 0 || io_fault(fault, "touch", path);
}

// A run that was killed leaves locks, which stop every later fetch, and half a pack.
static int remove_leftover(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status;
    const char *name = path + at->base;
    if (type != FTW_D && type != FTW_DNR &&
        (text_ends(name, ".lock") || text_starts(name, "pack_git2_") || text_starts(name, "tmp_")))
        unlink(path);
    return 0;
}

struct usage {
    int packs;
    int64_t bytes;
};

static bool measure(const char *path, struct usage *out)
{
    CLEANUP(free_ptr) char *packs = xasprintf("%s/objects/pack", path);
    *out = (struct usage){0};
    DIR *directory = opendir(packs);
    if (!directory)
        return false;
    for (const struct dirent *entry; (entry = readdir(directory));) {
        struct stat status;
        if (fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(status.st_mode))
            continue;
        out->packs += text_ends(entry->d_name, ".pack");
        out->bytes += status.st_size;
    }
    closedir(directory);
    return true;
}

static bool make(struct bare *bare, struct fault *fault)
{
    git_repository_init_options options;
    git_repository_init_options_init(&options, GIT_REPOSITORY_INIT_OPTIONS_VERSION);
    bare->fresh = true;
    options.flags = GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_MKPATH;
    options.mode = GIT_REPOSITORY_INIT_SHARED_UMASK;
    if (git_repository_init_ext(&bare->repository, bare->path, &options) == 0)
        return true;
    fault_mirror(fault, "make the mirror %s", bare->path);
    fault->damaged = false;
    return false;
}

static bool remove_all(const char *path, struct fault *fault)
{
    struct stat status;
    struct error err;
    if (lstat(path, &status) != 0)
        return errno == ENOENT || io_fault(fault, "look at", path);
    if (!S_ISDIR(status.st_mode))
        return unlink(path) == 0 || io_fault(fault, "remove", path);
    return directory_remove(path, &err) || fault_from(fault, GIT_ERROR_WORD_IO, &err);
}

bool bare_remake(struct bare *bare, const char *why, struct answers *answers, struct fault *fault)
{
    answer_line(answers, json_pack("{s:s, s:s}", "event", "remake", "text", why));
    git_repository_free(bare->repository);
    bare->repository = NULL;
    return remove_all(bare->path, fault) && make(bare, fault);
}

static bool open_or_make(struct bare *bare, int64_t max_bytes, struct answers *answers,
                         struct fault *fault)
{
    struct stat status;
    if (lstat(bare->path, &status) != 0 && errno == ENOENT)
        return make(bare, fault);
    nftw(bare->path, remove_leftover, WALK_FILES, FTW_PHYS | FTW_MOUNT);
    struct usage usage;
    if (!measure(bare->path, &usage))
        return bare_remake(bare, "it is damaged: no packs directory", answers, fault);
    if (usage.packs >= BARE_PACKS_MAX)
        return bare_remake(bare, "it has many packs", answers, fault);
    if (usage.bytes > max_bytes)
        return bare_remake(bare, "it is over its size", answers, fault);
    CLEANUP(free_ptr) char *damaged = xasprintf("%s/" BARE_DAMAGED, bare->path);
    if (access(damaged, F_OK) == 0)
        return bare_remake(bare, "it is damaged: the last use of it crashed", answers, fault);
    if (git_repository_open_ext(&bare->repository, bare->path,
                                GIT_REPOSITORY_OPEN_NO_SEARCH | GIT_REPOSITORY_OPEN_NO_DOTGIT,
                                NULL) != 0 ||
        !git_repository_is_bare(bare->repository))
        return bare_remake(bare, "it is damaged: it does not open", answers, fault);
    return true;
}

bool bare_open(const char *path, int64_t max_bytes, struct answers *answers, struct bare *out,
               struct fault *fault)
{
    struct bare bare = {.path = path, .lock = -1};
    if (!take_lock(&bare, answers, fault) || !open_or_make(&bare, max_bytes, answers, fault)) {
        bare_close(&bare);
        return false;
    }
    *out = bare;
    return true;
}

bool bare_has(const struct bare *bare, const git_oid *commit)
{
    git_commit *found = NULL;
    bool there = git_commit_lookup(&found, bare->repository, commit) == 0;
    git_commit_free(found);
    return there;
}

struct walk {
    git_odb *objects;
    size_t count;
};

// libgit2 compares what it reads with its name.
static int read_object(const git_oid *id, void *user)
{
    struct walk *walk = user;
    git_odb_object *object = NULL;
    int failed = git_odb_read(&object, walk->objects, id);
    git_odb_object_free(object);
    walk->count++;
    return failed;
}

bool bare_verify(const char *path, struct answers *answers, struct bare *out, size_t *objects,
                 struct fault *fault)
{
    struct walk walk = {0};
    *out = (struct bare){.path = path, .lock = -1};
    if (!take_lock(out, answers, fault))
        return false;
    if (git_repository_open_ext(&out->repository, path,
                                GIT_REPOSITORY_OPEN_NO_SEARCH | GIT_REPOSITORY_OPEN_NO_DOTGIT,
                                NULL) != 0 ||
        git_repository_odb(&walk.objects, out->repository) != 0)
        return fault_mirror(fault, "open the mirror");
    int failed = git_odb_foreach(walk.objects, read_object, &walk);
    if (failed)
        fault_mirror(fault, "object %zu of the mirror", walk.count);
    git_odb_free(walk.objects);
    *objects = walk.count;
    return !failed;
}

void bare_close(struct bare *bare)
{
    git_repository_free(bare->repository);
    bare->repository = NULL;
    close_fd(&bare->lock);
}
