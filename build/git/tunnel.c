#include "build/git/tunnel.h"

#include "agent/base/buffer.h"
#include "agent/base/crypto.h"
#include "agent/base/file.h"
#include "agent/base/text.h"

#include <errno.h>
#include <git2.h>
#include <git2/sys/stream.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#if __has_include(<git2/sys/errors.h>) // since 1.7, git_error_set_str() is declared there
#include <git2/sys/errors.h>
#endif

#define ANSWER_MAX  ((size_t)16 << 10) // bytes of a proxy's answer, up to its empty line
#define STATUS_GOOD 200

struct tunnel {
    git_stream stream; // first: libgit2 hands it back
    int fd;
    char *host;
    char *port;
};

// libgit2 makes streams without saying for whom.
static struct {
    const struct git_request *request;
    struct git_url proxy;
    struct fault *told;
} place;

static int __attribute__((format(printf, 1, 2))) fail(const char *fmt, ...)
{
    char why[sizeof place.told->text];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    fault_set(place.told, GIT_ERROR_WORD_PROXY, "the proxy %s %s", place.request->proxy, why);
    git_error_set_str(GIT_ERROR_NET, place.told->text);
    return -1;
}

// --- the proxy ---

static int connect_any(const struct addrinfo *list)
{
    for (; list; list = list->ai_next) {
        int fd = socket(list->ai_family, list->ai_socktype | SOCK_CLOEXEC, list->ai_protocol);
        if (fd >= 0 && connect(fd, list->ai_addr, list->ai_addrlen) == 0)
            return fd;
        int why = errno;
        if (fd >= 0)
            close(fd);
        errno = why;
    }
    return -1;
}

static int reach_proxy(void)
{
    char port[sizeof "65535"];
    struct addrinfo *list = NULL;
    snprintf(port, sizeof port, "%d", place.proxy.port);
    int unknown =
        getaddrinfo(place.proxy.host, port, &(struct addrinfo){.ai_socktype = SOCK_STREAM}, &list);
    if (unknown != 0)
        return fail("is not known: %s", gai_strerror(unknown));
    int fd = connect_any(list);
    freeaddrinfo(list);
    return fd >= 0 ? fd : fail("cannot be reached: %s", strerrordesc_np(errno));
}

static bool ask(const struct tunnel *tunnel)
{
    CLEANUP(buffer_wipe) struct buffer asked = {0};
    bool six = strchr(tunnel->host, ':') != NULL;
    CLEANUP(free_ptr)
    char *target = xasprintf(six ? "[%s]:%s" : "%s:%s", tunnel->host, tunnel->port);
    bool made = buffer_printf(&asked, NULL, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", target, target);
    if (place.request->proxy_username) {
        CLEANUP(secret_ptr)
        char *login =
            xasprintf("%s:%s", place.request->proxy_username, place.request->proxy_password);
        CLEANUP(secret_ptr) char *encoded = base64_encode(login, strlen(login));
        made = made && buffer_printf(&asked, NULL, "Proxy-Authorization: Basic %s\r\n", encoded);
    }
    return made && buffer_printf(&asked, NULL, "\r\n") &&
           fd_write(tunnel->fd, asked.data, asked.len);
}

// Up to the empty line and not a byte further: what follows is the server's.
static bool hear(int fd, struct buffer *answer)
{
    char byte;
    while (recv(fd, &byte, 1, 0) == 1)
        if (!buffer_append(answer, &byte, 1, NULL))
            return false;
        else if (text_ends(buffer_text(answer), "\r\n\r\n"))
            return true;
    return false;
}

static int judge(const char *answer)
{
    int status = 0;
    if (sscanf(answer, "HTTP/1.%*1[01] %3d", &status) != 1)
        return fail("does not answer as a proxy does");
    if (status == STATUS_GOOD)
        return 0;
    if (status == 407 || status == 401) // tinyproxy refuses by 401
        return fail(place.request->proxy_username ? "refuses the login that is configured for it"
                                                  : "needs a login");
    return fail("answers %d when asked for %s", status, place.request->host);
}

// --- libgit2's stream ---

static int on_connect(git_stream *stream)
{
    struct tunnel *tunnel = (struct tunnel *)(void *)stream;
    CLEANUP(buffer_finish) struct buffer answer = {.cap = ANSWER_MAX};
    tunnel->fd = reach_proxy();
    if (tunnel->fd < 0)
        return -1;
    if (!ask(tunnel) || !hear(tunnel->fd, &answer))
        return fail("does not answer");
    return judge(buffer_text(&answer));
}

static ssize_t on_read(git_stream *stream, void *bytes, size_t len)
{
    ssize_t got = recv(((struct tunnel *)(void *)stream)->fd, bytes, len, 0);
    if (got < 0)
        git_error_set_str(GIT_ERROR_NET, "the connection through the proxy broke");
    return got;
}

static ssize_t on_write(git_stream *stream, const char *bytes, size_t len, int flags)
{
    (void)flags;
    ssize_t sent = send(((struct tunnel *)(void *)stream)->fd, bytes, len, MSG_NOSIGNAL);
    if (sent < 0)
        git_error_set_str(GIT_ERROR_NET, "the connection through the proxy broke");
    return sent;
}

static int on_close(git_stream *stream)
{
    struct tunnel *tunnel = (struct tunnel *)(void *)stream;
    if (tunnel->fd >= 0)
        close(tunnel->fd);
    tunnel->fd = -1;
    return 0;
}

static void on_free(git_stream *stream)
{
    struct tunnel *tunnel = (struct tunnel *)(void *)stream;
    on_close(stream);
    free(tunnel->host);
    free(tunnel->port);
    free(tunnel);
}

static int on_init(git_stream **out, const char *host, const char *port)
{
    struct tunnel *tunnel = xalloc(sizeof *tunnel);
    tunnel->stream = (git_stream){.version = GIT_STREAM_VERSION,
                                  .connect = on_connect,
                                  .read = on_read,
                                  .write = on_write,
                                  .close = on_close,
                                  .free = on_free};
    tunnel->fd = -1;
    tunnel->host = xstrdup(host);
    tunnel->port = xstrdup(port);
    *out = &tunnel->stream;
    return 0;
}

bool tunnel_begin(const struct git_request *request, struct fault *told, struct fault *fault)
{
    git_stream_registration registration = {.version = GIT_STREAM_VERSION, .init = on_init};
    struct error err;
    if (!git_url_parse(request->proxy, &place.proxy, &err))
        return fault_from(fault, GIT_ERROR_WORD_INVALID, &err);
    place.request = request;
    place.told = told;
    return git_stream_register(GIT_STREAM_STANDARD, &registration) == 0 ||
           fault_set(fault, GIT_ERROR_WORD_IO, "libgit2 refuses a stream: %s",
                     fault_libgit2_text());
}

void tunnel_end(void)
{
    if (place.request)
        git_stream_register(GIT_STREAM_STANDARD, NULL);
    place.request = NULL;
}
