// Which times a service was due and was not run, and why, as far as that is known. Pure.
#ifndef CRONWRIGHT_RUNS_MISSED_H
#define CRONWRIGHT_RUNS_MISSED_H

#include "agent/store/runs.h"

#define MISSED_DAYS_MAX 92    // further back nothing is looked for
#define MISSED_LATE_MS  15000 // the controller looks every ten seconds

struct past_run { // by its schedule
    char name[STORE_NAME_SIZE];
    struct wall_time due;
    struct wall_time created;
    struct wall_time finished; // unset: going on
};
// When that was due, of a run without the annotation: the controller ends names with the minute.
struct wall_time missed_due_of(const char *run_name);
// `scheduled` unset: by the name.
void missed_past_run(const char *name, struct wall_time scheduled, struct wall_time created,
                     struct wall_time finished, struct past_run *out);

struct watched_span {
    struct wall_time from, until;
};

struct missed_history {
    struct wall_time now;
    struct wall_time from, until;              // what is looked at
    struct past_run *runs;                     // in any order
    size_t run_count;                          //
    const struct service_state_record *states; // oldest first
    size_t state_count;                        //
    const struct watched_span *watched;        // when an agent was there
    size_t watched_count;                      //
    const char *concurrency;
    int64_t starting_deadline; // seconds; -1: none
};

struct missed_run {
    struct wall_time due;
    char reason[STORE_NAME_SIZE + 32]; // "stopped", "forbidden by …", "starting deadline missed",
                                       // "agent or controller away", "unknown"
    struct wall_time since;            // when it was stopped; else unset
};

// The newest `limit`, newest first, into `out`; returns how many. Sorts `history->runs`. What the
// service was before its first known state is not known, so nothing is said of that time; nor of
// schedules of "@every", whose times depend on when they began.
size_t missed_runs(const struct missed_history *history, struct missed_run out[], size_t limit);

#endif
