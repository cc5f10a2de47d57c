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
#define FILES_MAX  16
#define MODE_ALL   07777
#define TEXT_SIZE  512
#define DATABASE   "cronwright.db"
#define WAL_SUFFIX "-wal"
#define SHM_SUFFIX "-shm" // made anew from the WAL

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

// A page that differs from what is durable.
struct page {
    uint8_t *durable; // its bytes there
    bool dirty;       // false: an fsync of it has failed
};

struct file {
    dev_t device;
    ino_t inode;
    int fd; // to write what is durable
    struct page *pages;
    size_t count;
    off_t durable_size;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // guards the files
static struct file files[FILES_MAX];
static size_t file_count;
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

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("DISK_CONTROL"), *below = getenv("DISK_DIRECTORY");
    if (!path || !below)
        return;
    snprintf(directory, sizeof directory, "%s/", below);
    int fd = REAL(open)(path, O_RDWR | O_CLOEXEC);
    void *map = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd < 0 || map == MAP_FAILED)
        abort();
    close(fd);
    control = map;
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
static struct file *file_of(int fd, const char *path)
{
    struct stat status;
    if (!strstr(path, "/" DATABASE) || ends_in(path, SHM_SUFFIX) || fstat(fd, &status) != 0)
        return NULL;
    for (size_t i = 0; i < file_count; i++)
        if (files[i].device == status.st_dev && files[i].inode == status.st_ino)
            return &files[i];
    if (file_count == FILES_MAX)
        abort();
    struct file *file = &files[file_count++];
    *file = (struct file){.device = status.st_dev,
                          .inode = status.st_ino,
                          .fd = REAL(open)(path, O_RDWR | O_CLOEXEC),
                          .durable_size = status.st_size};
    return file;
}

static void touch_page(struct file *file, size_t number)
{
    if (number >= file->count) {
        file->pages = realloc(file->pages, (number + 1) * sizeof *file->pages);
        if (!file->pages)
            abort();
        memset(file->pages + file->count, 0, (number + 1 - file->count) * sizeof *file->pages);
        file->count = number + 1;
    }
    struct page *page = &file->pages[number];
    page->dirty = true;
    if (page->durable)
        return;
    page->durable = calloc(1, PAGE);
    ssize_t got = pread(file->fd, page->durable, PAGE, (off_t)number * PAGE);
    if (!page->durable || got < 0)
        abort();
}

static void touch(int fd, const char *path, off_t offset, size_t len)
{
    struct file *file = len ? file_of(fd, path) : NULL;
    size_t last = (size_t)offset + len - 1;
    for (size_t page = (size_t)offset / PAGE; file && page <= last / PAGE; page++)
        touch_page(file, page);
}

static void forget_page(struct page *page)
{
    free(page->durable);
    *page = (struct page){0};
}

static void note_sync(int fd, const char *path, bool good)
{
    struct stat status;
    struct file *file = file_of(fd, path);
    for (size_t i = 0; file && i < file->count; i++) {
        if (good && file->pages[i].dirty)
            forget_page(&file->pages[i]);
        file->pages[i].dirty = false;
    }
    if (file && good && fstat(fd, &status) == 0)
        file->durable_size = status.st_size;
}

static void note_size(int fd, const char *path, off_t size)
{
    struct file *file = file_of(fd, path);
    if (!file || size > file->durable_size)
        return;
    file->durable_size = size;
    for (size_t i = (size_t)(size + PAGE - 1) / PAGE; i < file->count; i++)
        forget_page(&file->pages[i]);
}

static void cut_power(void)
{
    for (size_t i = 0; i < file_count; i++) {
        for (size_t page = 0; page < files[i].count; page++)
            if (files[i].pages[page].durable)
                REAL(pwrite)(files[i].fd, files[i].pages[page].durable, PAGE, (off_t)page * PAGE);
        REAL(ftruncate)(files[i].fd, files[i].durable_size);
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
    if (is_named_ours(path) && fails(FAULT_READ_ONLY))
        return (int)refuse(EROFS);
    return REAL(unlink)(path);
}
