#include "agent/ending.h"

#include "agent/base/buffer.h"
#include "agent/base/log.h"
#include "agent/base/threads.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOG_SECONDS 2 // for the last line

struct ending {
    pthread_t thread;
    int signal_fd;
    int news_fd; // written when one of these has changed
    atomic_bool drained;
    atomic_bool began;
    atomic_bool over;
};

// Who reads the log may be what hangs.
static void end_now(const char *why, int status)
{
    alarm(LOG_SECONDS);
    log_line(LOG_WARNING, why, NULL);
    _exit(status);
}

// Until there is news, a signal (`*signal`; none is looked for with -1), or the deadline passed.
static void wait_for(struct ending *ending, bool *signal, struct mono_time deadline)
{
    struct pollfd fds[] = {{.fd = ending->news_fd, .events = POLLIN},
                           {.fd = *signal ? -1 : ending->signal_fd, .events = POLLIN}};
    int64_t left = mono_left(deadline);
    if (poll(fds, 2, left > INT32_MAX ? -1 : (int)left) < 0 && errno != EINTR)
        abort();
    uint64_t news;
    if (fds[0].revents && read(ending->news_fd, &news, sizeof news) < 0 && errno != EAGAIN)
        abort();
    *signal |= (fds[1].revents & POLLIN) != 0;
}

static void *look_on(void *user)
{
    struct ending *ending = user;
    struct mono_time deadline = {INT64_MAX};
    bool ends = false;
    while (!ending->over) {
        ends |= ending->began;
        if (ends && !ending->drained && !ending->began)
            end_now("asked to end before the start was over: ends at once", 0);
        if (ends && deadline.ms == INT64_MAX)
            deadline = mono_after(ENDING_MS);
        if (mono_past(deadline))
            end_now("the stop takes too long: ends without what is still under way", 1);
        wait_for(ending, &ends, deadline);
    }
    return NULL;
}

static void tell(struct ending *ending, atomic_bool *what)
{
    uint64_t one = 1;
    *what = true;
    if (write(ending->news_fd, &one, sizeof one) != sizeof one)
        abort();
}

struct ending *ending_watch(int signal_fd)
{
    struct ending *ending = xalloc(sizeof *ending);
    ending->signal_fd = signal_fd;
    ending->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (ending->news_fd < 0)
        abort();
    thread_start(&ending->thread, "ending", look_on, ending);
    return ending;
}

void ending_is_drained(struct ending *ending)
{
    tell(ending, &ending->drained);
}

void ending_began(struct ending *ending)
{
    if (ending)
        tell(ending, &ending->began);
}

void ending_destroy(struct ending *ending)
{
    if (!ending)
        return;
    tell(ending, &ending->over);
    pthread_join(ending->thread, NULL);
    close(ending->news_fd);
    free(ending);
}
