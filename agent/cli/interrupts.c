#include "agent/cli/interrupts.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

int interrupts_hold(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    int interrupts = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (interrupts < 0)
        abort(); // one descriptor in a small program
    return interrupts;
}

int interrupts_came(int interrupts)
{
    struct signalfd_siginfo info;
    int first = 0;
    while (read(interrupts, &info, sizeof(info)) == sizeof(info))
        first = first ? first : (int)info.ssi_signo;
    return first;
}
