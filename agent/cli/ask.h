// Asking a person before something is done, and Ctrl-C where nothing may be left half done.
#ifndef CRONWRIGHT_CLI_ASK_H
#define CRONWRIGHT_CLI_ASK_H

#include "agent/cli/screen.h"

// From now on SIGINT, SIGTERM and SIGHUP do not end the process but wait to be looked at. The file
// descriptor is readable when one came; it stays open as long as the process. Call it once, before
// threads.
int interrupts_hold(void);
// Whether one came since it was last looked at.
bool interrupts_came(int interrupts);

// Whether there is somebody to ask: standard input and error are terminals.
bool ask_is_possible(void);

enum reply {
    REPLY_NO, // also the end of input
    REPLY_YES,
    REPLY_INTERRUPTED,
};

// Puts a question that is answered by y or n; an empty line means `otherwise`.
enum reply ask(struct screen *screen, int interrupts, enum reply otherwise, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

#endif
