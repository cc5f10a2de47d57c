// Who looks whether a run of a service is active, and then starts one, takes a turn: of two
// requests at once only one may find none. So does who looks whether a service is there, and then
// makes or removes it. Between agents nothing does that but the name of the Job or CronJob.
#ifndef CRONWRIGHT_ADMIN_TURNS_H
#define CRONWRIGHT_ADMIN_TURNS_H

#include "agent/base/error.h"

#include <stdint.h>

#define TURN_WAIT_MS 3000 // for those who have it; a run is usually made in less than one second

struct turn {
    const char *service; // NULL: not taken
    struct turn *next;
};

// Takes the turn for a service ("namespace/name", borrowed until its end). Any thread. ERR_CONFLICT
// when another request has it for longer than `wait_ms`.
bool turn_begin(struct turn *turn, const char *service, int64_t wait_ms,
                struct error *err) MUST_CHECK;
void turn_end(struct turn *turn); // one that was not taken is fine

#endif
