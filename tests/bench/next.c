// How many next times of a schedule are computed in a second. Arguments: EXPRESSION ZONE FROM
// SECONDS, as tests/schedule/reference takes them after "bench".
#include "deploy/schedule_answer.h"

#include <stdio.h>

// Times from FROM on, again and again: within the years whose clock changes are known.
#define BATCH 40

// One batch; false when the schedule does not go on.
static bool walk(const struct schedule *schedule, const struct zone *zone, int64_t from)
{
    for (int i = 0; i < BATCH; i++) {
        if (!schedule_next(schedule, zone, from, &from))
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct schedule schedule;
    CLEANUP(zone_ptr) struct zone *zone = NULL;
    int64_t from;
    struct error err = {.text = "usage: bench-next EXPRESSION ZONE FROM SECONDS"};
    if (argc != 5 || !schedule_parse(argv[1], &schedule, NULL, &err) ||
        !zone_open(argv[2], &zone, &err) || !schedule_read_from(argv[3], &from, &err)) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    double seconds = strtod(argv[4], NULL);
    struct mono_time begin = mono_now();
    struct mono_time end = mono_after((int64_t)(seconds * 1000));
    double count = 0;
    while (!mono_past(end)) {
        if (!walk(&schedule, zone, from))
            return 1;
        count += BATCH;
    }
    (void)printf("%.0f\n", count * 1000 / (double)(mono_now().ms - begin.ms));
    return 0;
}
