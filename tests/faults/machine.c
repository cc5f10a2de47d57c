// Preloaded into an agent that is tested: what the machine does to it, as a file says at any
// moment. MACHINE_FILE names it: two 64-bit numbers of this machine's byte order,
//
//     how many milliseconds the clock is set forward (back, if negative), and
//     whether there can be no more processes.
//
// What asks by time(2) sees no other clock: libraries judge certificates by that, and those of a
// cluster that was just made are younger than a clock that is set back by hours.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct machine {
    atomic_int_least64_t shift_ms;
    atomic_int_least64_t full;
};

static struct machine *machine;
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_posix_spawn)(pid_t *, const char *, const posix_spawn_file_actions_t *,
                               const posix_spawnattr_t *, char *const[], char *const[]);

static void find(const char *name, void *pointer)
{
    *(void **)pointer = dlsym(RTLD_NEXT, name);
    if (!*(void **)pointer)
        abort();
}

static void prepare(void)
{
    find("clock_gettime", (void *)&real_clock_gettime);
    find("posix_spawn", (void *)&real_posix_spawn);
    const char *path = getenv("MACHINE_FILE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *machine, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        abort();
    machine = mapped;
    close(fd);
}

static void prepare_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare);
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    prepare_once();
    int result = real_clock_gettime(id, now);
    if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        int64_t shift = machine->shift_ms;
        int64_t ns = now->tv_nsec + shift % 1000 * 1000000;
        now->tv_sec += shift / 1000 + (ns >= 1000000000) - (ns < 0);
        now->tv_nsec = (ns + 1000000000) % 1000000000;
    }
    return result;
}

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attributes, char *const arguments[],
                char *const environment[])
{
    prepare_once();
    return machine->full ? EAGAIN
                         : real_posix_spawn(pid, path, actions, attributes, arguments, environment);
}
