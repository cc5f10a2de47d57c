// The state directory, and the store in it.
#include "agent/doctor/look.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define MIB         ((uint64_t)1 << 20)
#define FREE_LEAST  (64 * MIB)   // below it the next build may fill the disk
#define FREE_SHARE  20           // a twentieth left is little
#define FREE_PLENTY (2048 * MIB) // that much is enough, whatever its share
#define FILES_LEAST 1000         // that can still be made
#define PENDING_OLD ((int64_t)2 * 3600 * 1000)

static void look_at_health(struct look *look)
{
    struct store_figures figures;
    struct error err;
    if (!store_healthy(look->doctor->store, &err)) {
        look_problem(look, "look at the disk; with the agent stopped: cronwright doctor --repair",
                     "the store cannot be written: %s", err.text);
        return;
    }
    if (!store_figures(look->doctor->store, &figures, &err)) {
        look_problem(look, "with the agent stopped: cronwright doctor --repair",
                     "the store cannot be read: %s", err.text);
        return;
    }
    int64_t age = figures.pending ? wall_now().ms - figures.oldest.ms : 0;
    if (figures.pending >= look->config->webhooks.max_pending)
        look_problem(look, "cronwright deliveries says what they wait for; see webhooks.maxPending",
                     "%" PRId64 " deliveries are unfinished: further ones are refused",
                     figures.pending);
    else if (age > PENDING_OLD)
        look_warning(look, "cronwright deliveries says what they wait for",
                     "%" PRId64 " deliveries are unfinished, one for %" PRId64 " h",
                     figures.pending, age / 3600000);
    else
        look_good(look, "healthy");
}

// Of the database with its log; what cannot be looked at counts nothing.
static uint64_t size_of_store(const char *directory)
{
    uint64_t bytes = 0;
    DIR *files = opendir(directory);
    for (struct dirent *entry; files && (entry = readdir(files));) {
        struct stat about;
        CLEANUP(free_ptr) char *path = xasprintf("%s/%s", directory, entry->d_name);
        if (strncmp(entry->d_name, "cronwright.db", strlen("cronwright.db")) == 0 &&
            stat(path, &about) == 0)
            bytes += (uint64_t)about.st_size;
    }
    if (files)
        closedir(files);
    return bytes;
}

static void look_at_disk(struct look *look)
{
    static const char advice[] = "make room, or lower logs.maxTotalBytes, git.maxTotalBytes and "
                                 "context.maxSpoolBytes";
    const char *directory = look->config->state_directory;
    struct statvfs disk;
    if (statvfs(directory, &disk) != 0) {
        look_problem(look, "see stateDirectory", "%s: %s", directory, strerror(errno));
        return;
    }
    uint64_t unit = disk.f_frsize, left = disk.f_bavail * unit, all = disk.f_blocks * unit;
    if (left < FREE_LEAST)
        look_problem(look, advice, "%" PRIu64 " MiB are left on the disk of %s", left / MIB,
                     directory);
    else if (left < all / FREE_SHARE && left < FREE_PLENTY)
        look_warning(look, advice, "%" PRIu64 " of %" PRIu64 " MiB are left on the disk of %s",
                     left / MIB, all / MIB, directory);
    else if (disk.f_files > 0 && disk.f_favail < FILES_LEAST)
        look_problem(look, advice, "only %" PRIu64 " files more fit on the disk of %s",
                     (uint64_t)disk.f_favail, directory);
    else
        look_good(look, "%.1f MiB, %" PRIu64 " MiB left on the disk",
                  (double)size_of_store(directory) / (double)MIB, left / MIB);
}

static void look_at_permissions(struct look *look)
{
    const char *directory = look->config->state_directory;
    struct stat about;
    CLEANUP(free_ptr) char *fix = xasprintf("chmod o= %s", directory);
    if (stat(directory, &about) == 0 && (about.st_mode & S_IRWXO))
        look_warning(look, fix, "every user of this machine can look into %s", directory);
}

const struct check store_checks[] = {
    {"health", look_at_health},
    {"disk", look_at_disk},
    {"permissions", look_at_permissions},
    {0},
};
