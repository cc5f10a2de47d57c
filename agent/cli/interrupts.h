// Ctrl-C and its like where nothing may be left half done.
#ifndef CRONWRIGHT_CLI_INTERRUPTS_H
#define CRONWRIGHT_CLI_INTERRUPTS_H

// From now on, to the end of the process, SIGINT, SIGTERM and SIGHUP do not end it but wait to be
// looked at. The file descriptor, which the caller may close, is readable when one came. Call it
// before there are threads.
int interrupts_hold(void);
// The first that came since it was last looked at; 0: none.
int interrupts_came(int interrupts);

#endif
