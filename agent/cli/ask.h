// Asking a person before something is done.
#ifndef CRONWRIGHT_CLI_ASK_H
#define CRONWRIGHT_CLI_ASK_H

#include "agent/cli/screen.h"

// Whether there is somebody to ask: standard input and error are terminals.
bool ask_is_possible(void);

enum reply {
    REPLY_NO, // also the end of input
    REPLY_YES,
    REPLY_INTERRUPTED,
};

// Puts a question that is answered by y or n; an empty line means `otherwise`. `interrupts` is of
// interrupts_hold().
enum reply ask(struct screen *screen, int interrupts, enum reply otherwise, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

#endif
