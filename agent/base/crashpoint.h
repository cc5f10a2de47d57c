// Places at which a test lets the agent die, to see that what comes after a restart is right
// whatever had been done. There are none in a program that is installed: only a build with
// -DCRONWRIGHT_CRASH_POINTS=ON has them, and there they do nothing unless the environment says so.
#ifndef CRONWRIGHT_CRASHPOINT_H
#define CRONWRIGHT_CRASHPOINT_H

#ifdef CRONWRIGHT_CRASH_POINTS
// Kills the process by SIGKILL when CRONWRIGHT_CRASH_AT is "name", or "name:3" for the third time
// that it comes by. Any thread.
void crash_point(const char *name);
// The names stand at their places alone; each is there once: tests/layout looks.
#define CRASH_POINT(name) crash_point(name)
#else
#define CRASH_POINT(name) ((void)0)
#endif

#endif
