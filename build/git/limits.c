#include "build/git/limits.h"

#include "build/git/bare.h"

#include <fcntl.h>
#include <git2.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__SANITIZE_THREAD__)
#define THREADS_WATCHED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#elif __has_feature(thread_sanitizer)
#define THREADS_WATCHED 1
#endif
#endif

#if defined(SANITIZED) || defined(THREADS_WATCHED)
#define SHADOWED 1 // the shadow is larger than any sensible limit of address space
#else
#define SHADOWED 0
#endif

#define ADDRESS_SPACE_MAX ((rlim_t)4 << 30)
#define FILE_SIZE_MAX     ((rlim_t)16 << 30)
#define CPU_SECONDS_MAX   ((rlim_t)GIT_SECONDS_MAX)
#define OPEN_FILES_MAX    ((rlim_t)256)

#define WINDOW_SIZE       ((size_t)32 << 20) // of a pack, mapped at once
#define WINDOWS_MAX       ((size_t)512 << 20)
#define CACHE_MAX         ((ssize_t)64 << 20)
#define PACK_OBJECTS_MAX  ((size_t)GIT_OBJECTS_MAX)
#define DISK_FULL_BYTES   ((uint64_t)1 << 20) // fewer free ones: that is why
#define SERVER_TIMEOUT_MS 60000
#define MIRROR_PATH_MAX   4000

#ifdef SANITIZED
// libgit2 1.5 loses what PCRE2 gave it for each look into its configuration.
void __lsan_disable(void);
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libpcre2\n";
}

const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
    return "print_suppressions=0";
}
#endif

// Both libssh2 1.10 and libgit2 1.5 lose some memory of each SSH connection.
static void expect_leaks(const struct git_request *request)
{
#ifdef SANITIZED
    if (request->ssh_key)
        __lsan_disable();
#else
    (void)request;
#endif
}

// The agent alone holds the other end of our standard output. If it ended before we asked to end
// with it, nobody else would ever end us.
static bool answers_are_read(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};
    return poll(&out, 1, 0) < 0 || !(out.revents & POLLERR);
}

void limits_set_process(void)
{
    static const struct {
        int resource;
        rlim_t most;
    } limits[] = {
#if !SHADOWED
        {RLIMIT_AS, ADDRESS_SPACE_MAX},
#endif
        {RLIMIT_FSIZE, FILE_SIZE_MAX},
        {RLIMIT_CPU, CPU_SECONDS_MAX},
        {RLIMIT_NOFILE, OPEN_FILES_MAX},
        {RLIMIT_CORE, 0},
    };
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct rlimit now;
        if (getrlimit((__rlimit_resource_t)limits[i].resource, &now) != 0)
            continue;
        if (now.rlim_max == RLIM_INFINITY || now.rlim_max > limits[i].most)
            now.rlim_max = limits[i].most;
        now.rlim_cur = now.rlim_max;
        (void)setrlimit((__rlimit_resource_t)limits[i].resource, &now);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!answers_are_read())
        _exit(1);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0);
    umask(077);
    signal(SIGPIPE, SIG_IGN); // a broken connection or a reader that is gone shows as EPIPE
    signal(SIGXFSZ, SIG_IGN); // and a file that grows too large as EFBIG
}

void limits_set_listing(bool listing)
{
    struct rlimit now;
    if (SHADOWED || getrlimit(RLIMIT_DATA, &now) != 0)
        return;
    now.rlim_cur = listing && now.rlim_max > (rlim_t)LIMITS_REFS_BYTES ? (rlim_t)LIMITS_REFS_BYTES
                                                                       : now.rlim_max;
    (void)setrlimit(RLIMIT_DATA, &now);
}

bool limits_set_libgit2(struct fault *fault)
{
    if (git_libgit2_init() < 0)
        return fault_set(fault, GIT_ERROR_WORD_IO, "libgit2 does not start: %s",
                         fault_libgit2_text());
    // A url.insteadOf in someone's configuration would lead elsewhere.
    static const git_config_level_t levels[] = {GIT_CONFIG_LEVEL_PROGRAMDATA,
                                                GIT_CONFIG_LEVEL_SYSTEM, GIT_CONFIG_LEVEL_XDG,
                                                GIT_CONFIG_LEVEL_GLOBAL};
    int failed = 0;
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
        failed |= git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, levels[i], "");
    failed |= git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 1);
    failed |= git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 1);
    failed |= git_libgit2_opts(GIT_OPT_SET_MWINDOW_SIZE, WINDOW_SIZE);
    failed |= git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, WINDOWS_MAX);
    failed |= git_libgit2_opts(GIT_OPT_SET_CACHE_MAX_SIZE, CACHE_MAX);
    failed |= git_libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECTS, PACK_OBJECTS_MAX);
    failed |= git_libgit2_opts(GIT_OPT_SET_USER_AGENT, "cronwright " CRONWRIGHT_VERSION);
#if LIBGIT2_VER_MAJOR > 1 || (LIBGIT2_VER_MAJOR == 1 && LIBGIT2_VER_MINOR >= 7)
    failed |= git_libgit2_opts(GIT_OPT_SET_SERVER_CONNECT_TIMEOUT, SERVER_TIMEOUT_MS);
    failed |= git_libgit2_opts(GIT_OPT_SET_SERVER_TIMEOUT, SERVER_TIMEOUT_MS);
#endif
    if (failed)
        return fault_set(fault, GIT_ERROR_WORD_IO, "libgit2 refuses an option: %s",
                         fault_libgit2_text());
    return true;
}

// What the signal handler writes: made beforehand, since a handler may do little.
static struct {
    int fd;
    size_t len;
    char line[GIT_URL_MAX + 128];
} last_words;

static void on_deadline(int signal)
{
    (void)signal;
    if (write(last_words.fd, last_words.line, last_words.len) < 0)
        _exit(2);
    _exit(1);
}

bool limits_set_request(const struct git_request *request, int fd, struct fault *fault)
{
    json_t *line =
        json_pack("{s:s, s:s, s:o}", "event", "error", "code", GIT_ERROR_WORD_TIMEOUT, "text",
                  json_sprintf("%s did not answer within %lld s (git.timeout)", request->host,
                               (long long)request->seconds));
    last_words.fd = fd;
    last_words.len = json_dumpb(line, last_words.line, sizeof last_words.line - 1, JSON_COMPACT);
    json_decref(line);
    if (last_words.len == 0 || last_words.len >= sizeof last_words.line)
        return fault_set(fault, GIT_ERROR_WORD_INVALID, "request: \"url\": an odd host name");
    last_words.line[last_words.len++] = '\n';
    signal(SIGALRM, on_deadline);
    alarm((unsigned)request->seconds);
    expect_leaks(request);
    if (request->ca_file &&
        git_libgit2_opts(GIT_OPT_SET_SSL_CERT_LOCATIONS, request->ca_file, NULL) < 0)
        return fault_set(fault, GIT_ERROR_WORD_TLS, "the CA file %s cannot be used: %s",
                         request->ca_file, fault_libgit2_text());
    return true;
}

// Made beforehand too.
static struct {
    char path[MIRROR_PATH_MAX + 1];
    char mark[MIRROR_PATH_MAX + sizeof "/" BARE_DAMAGED];
    struct {
        size_t len;
        char line[MIRROR_PATH_MAX + 256];
    } full, damaged;
} mirror;

static bool disk_is_full(const char *path)
{
    struct statfs status;
    return statfs(path, &status) == 0 &&
           (uint64_t)status.f_bavail * (uint64_t)status.f_bsize < DISK_FULL_BYTES;
}

static void on_crash(int signal)
{
    (void)signal;
    bool full = disk_is_full(mirror.path);
    if (!full)
        close(open(mirror.mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    ssize_t wrote = full ? write(last_words.fd, mirror.full.line, mirror.full.len)
                         : write(last_words.fd, mirror.damaged.line, mirror.damaged.len);
    _exit(wrote < 0 ? 2 : 1);
}

static size_t make_line(char *out, size_t room, const char *text, const char *path)
{
    json_t *line = json_pack("{s:s, s:s, s:o}", "event", "error", "code", GIT_ERROR_WORD_IO, "text",
                             json_sprintf("%s: %s", text, path));
    size_t len = json_dumpb(line, out, room - 1, JSON_COMPACT);
    json_decref(line);
    if (len == 0 || len >= room)
        return 0;
    out[len] = '\n';
    return len + 1;
}

void limits_watch_mirror(const char *path)
{
    snprintf(mirror.path, sizeof mirror.path, "%s", path);
    *strrchr(mirror.path, '/') = '\0'; // the directory of all: it is there
    snprintf(mirror.mark, sizeof mirror.mark, "%s/" BARE_DAMAGED, path);
    mirror.full.len = make_line(mirror.full.line, sizeof mirror.full.line,
                                "the disk is full while a repository is fetched", mirror.path);
    mirror.damaged.len = make_line(mirror.damaged.line, sizeof mirror.damaged.line,
                                   "the mirror is damaged and will be made anew", path);
    signal(SIGBUS, on_crash);
#ifndef SANITIZED // which tells more
    signal(SIGSEGV, on_crash);
#endif
}
