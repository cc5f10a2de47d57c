#include "build/git/hostkey.h"

#include "agent/base/crypto.h"
#include "agent/base/file.h"
#include "build/git/protocol.h"

#include <git2.h>
#include <libssh2.h>
#include <string.h>

#define SSH_PORT 22

struct known {
    LIBSSH2_SESSION *session; // what libssh2 keeps a list with; never connected
    LIBSSH2_KNOWNHOSTS *hosts;
};

static void known_finish(struct known *known)
{
    if (known->hosts)
        libssh2_knownhost_free(known->hosts);
    if (known->session)
        libssh2_session_free(known->session);
}

static bool known_read(struct known *known, const char *text, struct fault *fault)
{
    known->session = libssh2_session_init();
    known->hosts = known->session ? libssh2_knownhost_init(known->session) : NULL;
    if (!known->hosts)
        return fault_set(fault, GIT_ERROR_WORD_IO, "libssh2 does not start");
    int line = 1;
    for (size_t len; *text; text += len + (text[len] == '\n'), line++) {
        len = strcspn(text, "\n");
        // libssh2 looks at what follows the line.
        CLEANUP(free_ptr) char *alone = xstrndup(text, len);
        size_t end = strcspn(alone, "\r");
        alone[end] = '\0';
        if (libssh2_knownhost_readline(known->hosts, alone, end, LIBSSH2_KNOWNHOST_FILE_OPENSSH) !=
            0)
            return fault_set(fault, GIT_ERROR_WORD_HOST_KEY,
                             "the known hosts file: line %d cannot be understood", line);
    }
    return true;
}

// "SHA256:<base64>", as ssh prints it.
static char *fingerprint(const void *key, size_t len)
{
    uint8_t digest[SHA256_SIZE];
    sha256(key, len, digest);
    CLEANUP(free_ptr) char *encoded = base64_encode(digest, sizeof digest);
    return xasprintf("SHA256:%.*s", (int)strcspn(encoded, "="), encoded);
}

// As ssh does: by the name alone only where there is none with the port. (libssh2, told the port,
// would take the key of either.)
static int find(const struct known *known, const char *host, int port, const char *name,
                const void *key, size_t len)
{
    const int kinds = LIBSSH2_KNOWNHOST_TYPE_PLAIN | LIBSSH2_KNOWNHOST_KEYENC_RAW;
    int found = libssh2_knownhost_checkp(known->hosts, name, -1, key, len, kinds, NULL);
    return found == LIBSSH2_KNOWNHOST_CHECK_NOTFOUND && port != SSH_PORT
               ? libssh2_knownhost_checkp(known->hosts, host, -1, key, len, kinds, NULL)
               : found;
}

bool hostkey_check(const char *known_hosts, const char *host, int port, const void *key, size_t len,
                   struct fault *fault)
{
    CLEANUP(known_finish) struct known known = {0};
    if (!known_read(&known, known_hosts, fault))
        return false;
    CLEANUP(free_ptr)
    char *name = port == SSH_PORT ? xstrdup(host) : xasprintf("[%s]:%d", host, port);
    int found = find(&known, host, port, name, key, len);
    if (found == LIBSSH2_KNOWNHOST_CHECK_MATCH)
        return true;
    CLEANUP(free_ptr) char *print = fingerprint(key, len);
    if (found == LIBSSH2_KNOWNHOST_CHECK_MISMATCH)
        return fault_set(fault, GIT_ERROR_WORD_HOST_KEY,
                         "%s has the host key %s, and the known hosts file has another for it: "
                         "either it was changed, or this is not that server",
                         name, print);
    return fault_set(fault, GIT_ERROR_WORD_HOST_KEY,
                     "%s has the host key %s, and is not in the known hosts file", name, print);
}

bool hostkey_prefer(const char *known_hosts, const char *directory, struct fault *fault)
{
    struct error err;
    uint8_t digest[SHA256_SIZE];
    char hex[SHA256_HEX_SIZE];
    sha256(known_hosts, strlen(known_hosts), digest);
    hex_encode(digest, sizeof digest, hex);
    CLEANUP(free_ptr) char *home = xasprintf("%s/%s", directory, hex);
    CLEANUP(free_ptr) char *ssh = xasprintf("%s/.ssh", home);
    CLEANUP(free_ptr) char *file = xasprintf("%s/known_hosts", ssh);
    CLEANUP(buffer_finish) struct buffer there = {0};
    bool same = file_read(file, GIT_KNOWN_HOSTS_MAX, &there, &err) &&
                strcmp(buffer_text(&there), known_hosts) == 0;
    if (!same && !(directory_make(ssh, &err) &&
                   file_write(file, 0600, known_hosts, strlen(known_hosts), &err)))
        return fault_from(fault, GIT_ERROR_WORD_IO, &err);
    // Where libgit2 looks for it: 1.5 asks the environment each time, 1.7 and later but once.
    int failed = setenv("HOME", home, 1);
#if LIBGIT2_VER_MAJOR > 1 || (LIBGIT2_VER_MAJOR == 1 && LIBGIT2_VER_MINOR >= 7)
    failed |= git_libgit2_opts(GIT_OPT_SET_HOMEDIR, home);
#endif
    return failed == 0 ||
           fault_set(fault, GIT_ERROR_WORD_IO, "libgit2 refuses a home: %s", fault_libgit2_text());
}
