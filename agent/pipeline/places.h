// Which of the builds that wait may start: so many at once in all, and so many of one repository.
//
// They start in the order they came, but one whose repository has no room is gone past, and so is
// one that has not asked for a while: its branch cannot be looked at now (its remote is silent,
// say), and the others must not wait for that. A newer push takes over the turn of the waiting
// build that it replaces, so that a branch that never rests has its turn, too. Kept in memory: a
// build asks again and again while it waits. Not thread-safe: the caller has a lock.
#ifndef CRONWRIGHT_PIPELINE_PLACES_H
#define CRONWRIGHT_PIPELINE_PLACES_H

#include "agent/base/clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLACES_PATIENCE_MS 15000  // after that without asking it is gone past
#define PLACES_FORGET_MS   600000 // and after that it is forgotten: it is as if it had just come

struct places;

struct places *places_create(void);
void places_destroy(struct places *places); // NULL is fine

// Who waits: a recipe's hash stands for one image of one branch. `turn` is its build's id.
struct place_request {
    const char *recipe;
    const char *repository;
    const char *branch;
    int64_t turn;
};

// The repositories of the builds that are under way, one item for each; and how many may be.
struct places_taken {
    const char *const *repositories;
    size_t count;
    int64_t max;
    int64_t max_per_repository; // 0: as many as in all
};

struct place_answer {
    bool may_start;
    bool repository_full;
    size_t ahead; // that start before it
};

// Notes that it waits, without asking: those that waited before a restart keep their turns.
void places_note(struct places *places, const struct place_request *request, struct mono_time now);
// Notes that it waits, and says whether it may start; if so it waits no more.
struct place_answer places_ask(struct places *places, const struct place_request *request,
                               const struct places_taken *taken, struct mono_time now);
// It waits no more.
void places_leave(struct places *places, const char *recipe);

// The first that may start now; false when none may. Texts are valid until the next call.
bool places_first(const struct places *places, const struct places_taken *taken,
                  struct mono_time now, struct place_request *out);

#endif
