// The Git mirrors on disk are a cache: which of them go when there are too many, or nobody wants
// them. A mirror is in use while its lock is held; the child's build/git/bare.c says how.
#include "agent/base/crashpoint.h"
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/pipeline/steps.h"
#include "build/mirror.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_SUFFIX ".lock"
#define WALK_FILES  16
#define BLOCK       512 // what st_blocks counts

struct mirror {
    char name[GIT_MIRROR_NAME_SIZE];
    int64_t bytes;
    int64_t used_ms; // when its lock was last taken
};

struct mirror_list {
    struct mirror *items;
    size_t count;
};

static void mirrors_finish(struct mirror_list *list)
{
    free(list->items);
}

static int64_t walked_bytes; // of one walk: there is one thread for them

static int add_bytes(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)path;
    (void)at;
    if (type == FTW_F || type == FTW_SL)
        walked_bytes += (int64_t)status->st_blocks * BLOCK;
    return 0;
}

static int least_used_first(const void *a, const void *b)
{
    const struct mirror *one = a, *other = b;
    return (one->used_ms > other->used_ms) - (one->used_ms < other->used_ms);
}

// Each is walked once.
static void list_mirrors(struct pipeline *pipeline, struct mirror_list *out)
{
    DIR *directory = opendir(pipeline->mirror_directory);
    for (const struct dirent *entry;
         directory && housekeeping_goes_on(pipeline) && (entry = readdir(directory));) {
        struct mirror mirror = {0};
        struct stat lock;
        if (strspn(entry->d_name, "0123456789abcdef") != GIT_MIRROR_NAME_SIZE - 1 ||
            entry->d_name[GIT_MIRROR_NAME_SIZE - 1] != '\0')
            continue;
        CLEANUP(free_ptr)
        char *path = xasprintf("%s/%s", pipeline->mirror_directory, entry->d_name);
        CLEANUP(free_ptr) char *lock_path = xasprintf("%s" LOCK_SUFFIX, path);
        text_copy(mirror.name, sizeof mirror.name, entry->d_name);
        walked_bytes = 0;
        nftw(path, add_bytes, WALK_FILES, FTW_PHYS | FTW_MOUNT);
        mirror.bytes = walked_bytes;
        if (stat(lock_path, &lock) == 0)
            mirror.used_ms = (int64_t)lock.st_mtim.tv_sec * 1000 + lock.st_mtim.tv_nsec / 1000000;
        out->items = xrealloc(out->items, (out->count + 1) * sizeof *out->items);
        out->items[out->count++] = mirror;
    }
    if (directory)
        closedir(directory);
    if (out->count)
        qsort(out->items, out->count, sizeof *out->items, least_used_first);
}

// False when it is in use, or cannot be removed.
static bool remove_mirror(const struct pipeline *pipeline, const struct mirror *mirror,
                          const char *why)
{
    CLEANUP(free_ptr)
    char *path = xasprintf("%s/%s", pipeline->mirror_directory, mirror->name);
    CLEANUP(free_ptr) char *lock_path = xasprintf("%s" LOCK_SUFFIX, path);
    CLEANUP(close_fd) int lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    // Another worker may have removed it meanwhile, and a child taken a lock that is new.
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) != 0 || !fd_is_at(lock, lock_path))
        return false;
    struct error err;
    char bytes[32];
    snprintf(bytes, sizeof bytes, "%" PRId64, mirror->bytes);
    CRASH_POINT("before-mirror-removed");
    bool removed = directory_remove(path, &err);
    CRASH_POINT("after-mirror-removed");
    log_line(removed ? LOG_INFO : LOG_WARNING, "removes a mirror", "mirror", mirror->name, "why",
             why, "bytes", bytes, "error", removed ? NULL : err.text, NULL);
    if (removed)
        unlink(lock_path); // who waits for it sees that it is gone
    return removed;
}

// The names of the mirrors that services want.
static json_t *wanted_mirrors(struct pipeline *pipeline, const struct config *config)
{
    json_t *wanted = json_object();
    struct service_list list = {0};
    service_cache_list(pipeline->parts.services, NULL, &list);
    for (size_t i = 0; i < list.count; i++) {
        const struct service *service = list.items[i];
        char name[GIT_MIRROR_NAME_SIZE];
        struct config_grant grant;
        struct error why;
        if (!config_allows(config, service->namespace_, service->repository, service->destination,
                           &grant, &why))
            continue;
        git_mirror_name(service->repository, grant.credential, name);
        json_object_set_new(wanted, name, json_true());
    }
    service_list_finish(&list);
    return wanted;
}

// Removes those that were not used for longest; what was removed has no bytes any more.
static void trim_list(struct pipeline *pipeline, const struct config *config,
                      struct mirror_list *list)
{
    int64_t total = 0, count = 0;
    for (size_t i = 0; i < list->count; i++)
        total += list->items[i].bytes;
    for (size_t i = 0; i < list->count && total > config->git.max_total_bytes; i++)
        if (list->items[i].bytes > 0 &&
            remove_mirror(pipeline, &list->items[i], "git.maxTotalBytes")) {
            total -= list->items[i].bytes;
            list->items[i].bytes = 0;
        }
    for (size_t i = 0; i < list->count; i++)
        count += list->items[i].bytes > 0;
    pipeline->mirror_bytes = total;
    pipeline->mirror_count = count;
}

static void remove_unwanted(struct pipeline *pipeline, const struct config *config,
                            struct mirror_list *list)
{
    CLEANUP(json_ptr) json_t *wanted = wanted_mirrors(pipeline, config);
    for (size_t i = 0; i < list->count; i++)
        if (!json_object_get(wanted, list->items[i].name) &&
            remove_mirror(pipeline, &list->items[i], "no service follows the repository"))
            list->items[i].bytes = 0;
}

void mirrors_trim(struct pipeline *pipeline)
{
    CLEANUP(settings_drop_ptr)
    const struct config *config = settings_hold(pipeline->parts.settings);
    CLEANUP(mirrors_finish) struct mirror_list list = {0};
    list_mirrors(pipeline, &list);
    trim_list(pipeline, config, &list);
}

void mirrors_sweep(struct pipeline *pipeline)
{
    CLEANUP(settings_drop_ptr)
    const struct config *config = settings_hold(pipeline->parts.settings);
    CLEANUP(mirrors_finish) struct mirror_list list = {0};
    list_mirrors(pipeline, &list);
    if (pipeline->parts.services_known(pipeline->parts.user))
        remove_unwanted(pipeline, config, &list);
    trim_list(pipeline, config, &list);
}
