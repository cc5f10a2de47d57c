#include "agent/cli/ask.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define REPLY_MAX 64

int interrupts_hold(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    int interrupts = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (interrupts < 0)
        abort(); // one descriptor in a small program
    return interrupts;
}

bool interrupts_came(int interrupts)
{
    struct signalfd_siginfo info;
    bool came = false;
    while (read(interrupts, &info, sizeof(info)) == sizeof(info))
        came = true;
    return came;
}

bool ask_is_possible(void)
{
    return isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1;
}

// A line of the terminal, which gives whole ones.
static enum reply read_reply(int interrupts, enum reply otherwise)
{
    struct pollfd fds[] = {{.fd = interrupts, .events = POLLIN},
                           {.fd = STDIN_FILENO, .events = POLLIN}};
    char line[REPLY_MAX];
    while (poll(fds, 2, -1) < 0)
        ;
    if (interrupts_came(interrupts))
        return REPLY_INTERRUPTED;
    ssize_t got = read(STDIN_FILENO, line, sizeof(line));
    if (got <= 0) {
        (void)fputc('\n', stderr); // nobody typed one
        return REPLY_NO;
    }
    if (line[0] == '\n')
        return otherwise;
    return line[0] == 'y' || line[0] == 'Y' ? REPLY_YES : REPLY_NO;
}

enum reply ask(struct screen *screen, int interrupts, enum reply otherwise, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    CLEANUP(free_ptr) char *question = NULL;
    if (vasprintf(&question, fmt, args) < 0)
        abort();
    va_end(args);
    CLEANUP(free_ptr) char *clean = text_clean(question);
    screen_unwait(screen);
    (void)fflush(stdout);
    (void)fprintf(stderr, "%s %s ", clean, otherwise == REPLY_YES ? "[Y/n]" : "[y/N]");
    enum reply reply = read_reply(interrupts, otherwise);
    if (reply == REPLY_INTERRUPTED)
        (void)fputc('\n', stderr);
    return reply;
}
