// The bound of a stop: whatever hangs on the way, the process is gone when it has passed. Nothing
// is lost by that, since what was acknowledged is on disk and every step may be cut off anywhere;
// it is only less polite than to let each part finish.
//
// A thread of its own looks on. Until the listeners are about to listen a signal ends the process
// at once: nobody was promised anything yet, and an upgrade of the store may take long.
#ifndef CRONWRIGHT_ENDING_H
#define CRONWRIGHT_ENDING_H

#define ENDING_MS 40000 // TimeoutStopSec= and terminationGracePeriodSeconds are longer

struct ending;

// `signal_fd` is readable while a signal that asks to end is pending: it is looked at, not read.
struct ending *ending_watch(int signal_fd);
// From now on a signal is left to the main thread, which has so long to end.
void ending_is_drained(struct ending *ending);
// The stop has begun; its time may run already.
void ending_began(struct ending *ending);
// Everything has ended. NULL is fine.
void ending_destroy(struct ending *ending);

#endif
