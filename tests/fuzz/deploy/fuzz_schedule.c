// Whatever a schedule is, it is read within bounds, ends, and makes sense.
//
// Input: the first two bytes choose zone and start, the rest is the expression.
#include "deploy/schedule_answer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"UTC",          "Europe/Berlin", "Australia/Lord_Howe",
                                    "Pacific/Apia", "Africa/Cairo",  "America/Havana"};
#define NAMES (sizeof(names) / sizeof(names[0]))

// Opened once: that takes longer than all else.
static const struct zone *zone_of(uint8_t byte)
{
    static struct zone *zones[NAMES];
    size_t i = byte % NAMES;
    if (!zones[i] && !zone_open(names[i], &zones[i], NULL))
        abort();
    return zones[i];
}

static void check_times(const struct schedule *schedule, const struct zone *zone, int64_t from)
{
    int64_t at = from;
    for (int i = 0; i < 3; i++) {
        int64_t before = at;
        bool found = schedule_next(schedule, zone, before, &at);
        if (found && at <= before)
            abort();
        if (found && !schedule_fires(schedule))
            abort();
        if (!found)
            return;
    }
}

static void check_answer(const char *expression, const struct zone *zone, int64_t from)
{
    struct schedule_question question = {
        .expression = expression, .time_zone = "", .from = from, .count = 2};
    struct error none = {.text = ""};
    json_t *answer = NULL;
    bool right = schedule_answer(&question, zone, &none, &answer);
    if (right ? !json_is_object(answer) : json_array_size(answer) != 1)
        abort();
    json_decref(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const struct zone *zone = zone_of(data[0]);
    int64_t from = ZONE_END / 256 * data[1];
    CLEANUP(free_ptr) char *expression = xstrndup((const char *)data + 2, size - 2);
    struct schedule schedule;
    struct schedule_fault fault;
    if (schedule_parse(expression, &schedule, &fault, NULL))
        check_times(&schedule, zone, from);
    else if (fault.offset + fault.len > strlen(expression))
        abort();
    check_answer(expression, zone, from);
    return 0;
}
