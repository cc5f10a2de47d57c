#include "agent/listener.h"

#include "agent/base/buffer.h"
#include "agent/base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096 // the kernel cuts it to net.core.somaxconn

static int make_socket(int family)
{
    return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static void set_flag(int fd, int level, int name, int value)
{
    (void)setsockopt(fd, level, name, &value, sizeof value); // without it we listen all the same
}

static char *format_address(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        return xstrdup("unknown");
    if (address.ss_family == AF_UNIX) {
        const struct sockaddr_un *local = (const struct sockaddr_un *)&address;
        return xasprintf("unix:%.*s", (int)sizeof local->sun_path, local->sun_path);
    }
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getnameinfo((struct sockaddr *)&address, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return xstrdup("unknown");
    return xasprintf(address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

static bool use_handed_over(int fd, struct listener *out, struct error *err)
{
    int listening = 0;
    socklen_t len = sizeof listening;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) != 0 || !listening)
        return error_set(err, ERR_INVALID, "descriptor %d is not a listening socket", fd);
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        return error_errno(err, ERR_IO, errno, "descriptor %d", fd);
    *out = (struct listener){.fd = fd, .handed_over = true, .address = format_address(fd)};
    return true;
}

// Whether an earlier run left this socket file behind.
static bool nobody_listens(const struct sockaddr_un *address)
{
    CLEANUP(close_fd) int fd = make_socket(AF_UNIX);
    return fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 &&
           errno == ECONNREFUSED;
}

static bool listen_unix(const char *path, struct listener *out, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!text_copy(address.sun_path, sizeof address.sun_path, path))
        return error_set(err, ERR_INVALID, "unix:%s: longer than %zu bytes", path,
                         sizeof address.sun_path - 1);
    if (nobody_listens(&address))
        unlink(path);
    CLEANUP(close_fd) int fd = make_socket(AF_UNIX);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, BACKLOG) != 0)
        return error_errno(err, errno == EADDRINUSE ? ERR_CONFLICT : ERR_IO, errno, "unix:%s",
                           path);
    *out = (struct listener){.fd = fd, .address = format_address(fd), .made_path = xstrdup(path)};
    fd = -1;
    return true;
}

static bool listen_at(const struct addrinfo *info, struct listener *out)
{
    CLEANUP(close_fd) int fd = make_socket(info->ai_family);
    if (fd < 0)
        return false;
    set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1); // connections of the last run may linger
    if (info->ai_family == AF_INET6)
        set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0); // "::" takes IPv4 too
    if (bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0)
        return false;
    *out = (struct listener){.fd = fd, .address = format_address(fd)};
    fd = -1;
    return true;
}

static bool listen_tcp(const char *host, uint16_t port, struct listener *out, struct error *err)
{
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    const char *shown = host && *host ? host : "*";
    struct addrinfo *list;
    int code = getaddrinfo(host && *host ? host : NULL, service, &hints, &list);
    if (code)
        return error_set(err, ERR_INVALID, "%s: %s", shown, gai_strerror(code));
    bool listens = false;
    for (const struct addrinfo *info = list; info && !listens; info = info->ai_next)
        listens = listen_at(info, out);
    int errnum = errno;
    freeaddrinfo(list);
    if (listens)
        return true;
    return error_errno(err, errnum == EADDRINUSE ? ERR_CONFLICT : ERR_IO, errnum, "%s port %s",
                       shown, service);
}

bool listener_open(int fd, const char *unix_path, const char *host, uint16_t port,
                   struct listener *out, struct error *err)
{
    bool ok = fd >= 0     ? use_handed_over(fd, out, err)
              : unix_path ? listen_unix(unix_path, out, err)
                          : listen_tcp(host, port, out, err);
    return ok || error_wrap(err, "listen");
}

void listener_finish(struct listener *listener)
{
    close_fd(&listener->fd);
    if (listener->made_path)
        unlink(listener->made_path);
    free(listener->made_path);
    free(listener->address);
    listener->made_path = listener->address = NULL;
}
