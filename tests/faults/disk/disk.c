// A disk that fails when it is told to, for a program that is started with this in LD_PRELOAD: its
// calls for files below DISK_DIRECTORY come by here. What is to fail stands in the file
// DISK_CONTROL, which the test writes while the program runs: see struct control.
//
// It also remembers what of the database would not be on a real disk yet, page by page, as Linux'
// page cache does: a write makes a page dirty, an fsync makes what is dirty durable, and after an
// fsync that failed the pages count as clean, so that no later one writes them. FAULT_CUT brings
// the files back to what is durable and kills the program: the power was cut. Not modelled: names
// of files, and their being cut shorter, are durable at once, and what mmap() writes is not looked
// at.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE       4096
#define PAGES_MAX  16384
#define MODE_ALL   07777
#define TEXT_SIZE  512
#define WAL_SUFFIX "-wal"

// In the order of FAULTS in disk.py.
enum fault {
    FAULT_NONE,
    FAULT_FULL,      // nothing that takes room: ENOSPC
    FAULT_SYNC,      // fsync and fdatasync: EIO
    FAULT_SHORT,     // of each write, only a part is written
    FAULT_TORN,      // of the next write to the WAL, only a part is written: killed amid it
    FAULT_READ_ONLY, // nothing is written: EROFS
    FAULT_CUT,       // the power is cut at the next call
};

struct control {
    volatile uint32_t fault;
    volatile uint32_t times; // that something has failed by it
};

enum page_state {
    PAGE_DURABLE,
    PAGE_DIRTY,
    PAGE_LOST, // an fsync of it has failed
};

// One of the database's files as it is on the disk, where that differs from what is read. Kept in a
// sparse file, since neither the disk nor the page cache dies with a process.
struct file {
    bool known;
    off_t durable_size;
    uint8_t state[PAGES_MAX];
    uint8_t durable[PAGES_MAX][PAGE]; // of those that are not PAGE_DURABLE
};

static const char *const names[] = {"cronwright.db", "cronwright.db-wal"};
#define FILE_COUNT (sizeof names / sizeof *names)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // guards the files
static struct file *files[FILE_COUNT];
static struct control *control;
static char directory[TEXT_SIZE];

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        abort();
    return found;
}

static void *map_file(const char *path, size_t size)
{
    int fd = REAL(open)(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || REAL(ftruncate)(fd, (off_t)size) != 0)
        abort();
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        abort();
    close(fd);
    return map;
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("DISK_CONTROL"), *below = getenv("DISK_DIRECTORY");
    if (!path || !below)
        return;
    snprintf(directory, sizeof directory, "%s/", below);
    for (size_t i = 0; i < FILE_COUNT; i++) {
        char at[TEXT_SIZE];
        snprintf(at, sizeof at, "%s.%s", path, names[i]);
        files[i] = map_file(at, sizeof *files[i]);
    }
    control = map_file(path, sizeof *control);
}

static bool path_of(int fd, char out[static TEXT_SIZE])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, out, TEXT_SIZE - 1);
    if (len < 0)
        return false;
    out[len] = '\0';
    return strncmp(out, directory, strlen(directory)) == 0;
}

static bool is_ours(int fd, char path[static TEXT_SIZE])
{
    return control && path_of(fd, path);
}

static bool is_named_ours(const char *path)
{
    return control && strncmp(path, directory, strlen(directory)) == 0;
}

static bool has(enum fault fault)
{
    return control->fault == (uint32_t)fault;
}

// Of one that is on: counts it.
static bool fails(enum fault fault)
{
    if (!has(fault))
        return false;
    __atomic_add_fetch(&control->times, 1, __ATOMIC_RELAXED);
    return true;
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static bool ends_in(const char *path, const char *suffix)
{
    size_t len = strlen(path), end = strlen(suffix);
    return len > end && strcmp(path + len - end, suffix) == 0;
}

// --- what is durable of the database; under the lock ---

// NULL: it is not of the database.
static struct file *file_of(const char *path)
{
    for (size_t i = 0; i < FILE_COUNT; i++)
        if (strcmp(path + strlen(directory), names[i]) == 0)
            return files[i];
    return NULL;
}

static void note_known(struct file *file, int fd)
{
    struct stat status;
    if (file->known || fstat(fd, &status) != 0)
        return;
    file->known = true;
    file->durable_size = status.st_size;
}

static void touch(int fd, const char *path, off_t offset, size_t len)
{
    struct file *file = len ? file_of(path) : NULL;
    if (!file)
        return;
    note_known(file, fd);
    size_t last = ((size_t)offset + len - 1) / PAGE;
    if (last >= PAGES_MAX)
        abort();
    for (size_t page = (size_t)offset / PAGE; page <= last; page++) {
        if (file->state[page] == PAGE_DURABLE) {
            memset(file->durable[page], 0, PAGE);
            if (pread(fd, file->durable[page], PAGE, (off_t)page * PAGE) < 0)
                abort();
        }
        file->state[page] = PAGE_DIRTY;
    }
}

static void note_sync(int fd, const char *path, bool good)
{
    struct stat status;
    struct file *file = file_of(path);
    for (size_t page = 0; file && page < PAGES_MAX; page++)
        if (file->state[page] == PAGE_DIRTY)
            file->state[page] = good ? PAGE_DURABLE : PAGE_LOST;
    if (file && good && fstat(fd, &status) == 0)
        file->durable_size = status.st_size;
}

static void note_size(int fd, const char *path, off_t size)
{
    struct file *file = file_of(path);
    if (!file)
        return;
    note_known(file, fd);
    if (size > file->durable_size)
        return;
    file->durable_size = size;
    memset(file->state + (size + PAGE - 1) / PAGE, PAGE_DURABLE,
           (size_t)(PAGES_MAX - (size + PAGE - 1) / PAGE));
}

static void forget(struct file *file)
{
    file->known = false;
    memset(file->state, PAGE_DURABLE, PAGES_MAX);
}

static void restore(const struct file *file, const char *name)
{
    char path[TEXT_SIZE * 2];
    snprintf(path, sizeof path, "%s%s", directory, name);
    int fd = file->known ? REAL(open)(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    for (size_t page = 0; page < PAGES_MAX; page++)
        if (file->state[page] != PAGE_DURABLE &&
            REAL(pwrite)(fd, file->durable[page], PAGE, (off_t)page * PAGE) != PAGE)
            abort();
    if (REAL(ftruncate)(fd, file->durable_size) != 0)
        abort();
}

static void cut_power(void)
{
    for (size_t i = 0; i < FILE_COUNT; i++) {
        restore(files[i], names[i]);
        memset(files[i]->state, PAGE_DURABLE, PAGES_MAX);
    }
    die();
}

// --- writing ---

static ssize_t write_at(int fd, const void *bytes, size_t len, off_t offset)
{
    return REAL(pwrite)(fd, bytes, len, offset);
}

static ssize_t write_here(int fd, const void *bytes, size_t len, off_t offset)
{
    (void)offset;
    return REAL(write)(fd, bytes, len);
}

static ssize_t refuse(int code)
{
    errno = code;
    return -1;
}

static ssize_t written(int fd, const void *bytes, size_t len, off_t offset,
                       ssize_t (*out)(int, const void *, size_t, off_t))
{
    char path[TEXT_SIZE];
    if (!is_ours(fd, path))
        return out(fd, bytes, len, offset);
    if (fails(FAULT_FULL))
        return refuse(ENOSPC);
    if (fails(FAULT_READ_ONLY))
        return refuse(EROFS);
    if (len > 1 && fails(FAULT_SHORT))
        len -= len / 2;
    pthread_mutex_lock(&lock);
    if (fails(FAULT_CUT))
        cut_power();
    touch(fd, path, offset, len);
    if (ends_in(path, WAL_SUFFIX) && len > 1 && fails(FAULT_TORN)) {
        out(fd, bytes, len / 2, offset);
        die();
    }
    ssize_t done = out(fd, bytes, len, offset);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    return written(fd, bytes, len, offset, write_at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t offset)
{
    return written(fd, bytes, len, offset, write_at);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    off_t offset = control ? lseek(fd, 0, SEEK_CUR) : 0;
    return written(fd, bytes, len, offset < 0 ? 0 : offset, write_here);
}

// --- what is durable, and sizes ---

static int synced(int fd, int (*out)(int))
{
    char path[TEXT_SIZE];
    if (!is_ours(fd, path))
        return out(fd);
    pthread_mutex_lock(&lock);
    if (fails(FAULT_CUT))
        cut_power();
    bool good = !fails(FAULT_SYNC);
    int result = good ? out(fd) : (int)refuse(EIO);
    note_sync(fd, path, good && result == 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int fsync(int fd)
{
    return synced(fd, REAL(fsync));
}

int fdatasync(int fd)
{
    return synced(fd, REAL(fdatasync));
}

int ftruncate(int fd, off_t size)
{
    char path[TEXT_SIZE];
    struct stat status;
    if (!is_ours(fd, path))
        return REAL(ftruncate)(fd, size);
    if (fails(FAULT_READ_ONLY))
        return (int)refuse(EROFS);
    if (fstat(fd, &status) == 0 && size > status.st_size && fails(FAULT_FULL))
        return (int)refuse(ENOSPC);
    pthread_mutex_lock(&lock);
    note_size(fd, path, size);
    int result = REAL(ftruncate)(fd, size);
    pthread_mutex_unlock(&lock);
    return result;
}

int ftruncate64(int fd, off64_t size)
{
    return ftruncate(fd, size);
}

int posix_fallocate(int fd, off_t offset, off_t len)
{
    char path[TEXT_SIZE];
    if (is_ours(fd, path) && fails(FAULT_FULL))
        return ENOSPC;
    return REAL(posix_fallocate)(fd, offset, len);
}

int posix_fallocate64(int fd, off64_t offset, off64_t len)
{
    return posix_fallocate(fd, offset, len);
}

// --- names ---

static int refused_name(const char *path)
{
    if (!is_named_ours(path))
        return 0;
    return fails(FAULT_READ_ONLY) ? EROFS : fails(FAULT_FULL) ? ENOSPC : 0;
}

static int open_as(const char *path, int flags, mode_t mode)
{
    bool fresh = (flags & O_CREAT) && access(path, F_OK) != 0;
    bool writes = (flags & O_ACCMODE) != O_RDONLY;
    int code = 0;
    if (fresh)
        code = refused_name(path);
    else if (writes && is_named_ours(path) && fails(FAULT_READ_ONLY))
        code = EROFS;
    return code ? (int)refuse(code) : REAL(open)(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) & MODE_ALL : 0;
    va_end(args);
    return open_as(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) & MODE_ALL : 0;
    va_end(args);
    return open_as(path, flags, mode);
}

int mkdir(const char *path, mode_t mode)
{
    int code = refused_name(path);
    return code ? (int)refuse(code) : REAL(mkdir)(path, mode);
}

int unlink(const char *path)
{
    if (!is_named_ours(path))
        return REAL(unlink)(path);
    if (fails(FAULT_READ_ONLY))
        return (int)refuse(EROFS);
    struct file *file = file_of(path);
    pthread_mutex_lock(&lock);
    if (file)
        forget(file);
    int result = REAL(unlink)(path);
    pthread_mutex_unlock(&lock);
    return result;
}
