// The sweep: when was each branch asked for its head.
#include "agent/doctor/look.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LATE_TIMES 3 // intervals: then something holds it up

static void age_text(int64_t ms, char *out, size_t room)
{
    if (ms < 120000)
        snprintf(out, room, "%" PRId64 "s", ms / 1000);
    else if (ms < 7200000)
        snprintf(out, room, "%" PRId64 "min", ms / 60000);
    else
        snprintf(out, room, "%" PRId64 "h", ms / 3600000);
}

static void look_at_age(struct look *look)
{
    char key[PIPELINE_KEY_SIZE], age[32], oldest[32];
    int64_t swept = pipeline_sweep_age_ms(look->doctor->pipeline);
    int64_t checked = pipeline_oldest_check(look->doctor->pipeline, key, sizeof key);
    int64_t late = LATE_TIMES * look->config->sweep.interval_ms + look->config->git.timeout_ms;
    age_text(swept, age, sizeof age);
    age_text(checked, oldest, sizeof oldest);
    if (swept > late)
        look_problem(look, "see the agent's log; a new start helps", "the last sweep was %s ago",
                     age);
    else if (checked > late)
        look_warning(look, "see the group git: a remote that hangs holds up the others",
                     "%s was asked for its head %s ago", key, oldest);
    else if (*key)
        look_good(look, "last sweep %s ago, oldest check %s ago", age, oldest);
    else
        look_good(look, "last sweep %s ago", age);
}

const struct check sweep_checks[] = {{"age", look_at_age}, {0}};
