// Wrong bearer tokens: who sends one after the other is answered ever more slowly, so that tokens
// cannot be guessed at the speed of the network. A right token is never held up, so nobody can lock
// others out, and the waiting connections of an address are as few as those it may have.
#ifndef CRONWRIGHT_ADMIN_ATTEMPTS_H
#define CRONWRIGHT_ADMIN_ATTEMPTS_H

#include "agent/base/clock.h"
#include "agent/door.h"

#define ATTEMPTS_FREE      20   // wrong ones of an address at no cost
#define ATTEMPTS_COST_MS   500  // of each further one, and how soon one is free again
#define ATTEMPTS_DELAY_MAX 2000 // ms that one answer waits
#define ATTEMPTS_ADDRESSES 256  // remembered; those that owe least are forgotten first

struct attempts;

struct attempts *attempts_create(void);
void attempts_destroy(struct attempts *attempts); // NULL is fine

// Any thread. A wrong token came at `now` from the address with this door_key(): ms that its answer
// is to wait.
int64_t attempts_wrong(struct attempts *attempts, const uint8_t key[static DOOR_KEY_SIZE],
                       struct mono_time now);
// Any thread. How many there were since this last gave a number, at most one each second of `now`;
// 0: nothing to log.
uint64_t attempts_to_log(struct attempts *attempts, struct mono_time now);

#endif
