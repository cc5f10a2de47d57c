#include "agent/cli/ask.h"

#include "agent/cli/interrupts.h"

#include <poll.h>
#include <unistd.h>

#define REPLY_MAX 64

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
    CLEANUP(free_ptr) char *question = text_clean_printf(fmt, args);
    va_end(args);
    screen_unwait(screen);
    (void)fflush(stdout);
    (void)fprintf(stderr, "%s %s ", question, otherwise == REPLY_YES ? "[Y/n]" : "[y/N]");
    enum reply reply = read_reply(interrupts, otherwise);
    if (reply == REPLY_INTERRUPTED)
        (void)fputc('\n', stderr);
    return reply;
}
