#include "agent/doctor/doctor.h"

#include "agent/base/threads.h"
#include "agent/doctor/look.h"

#include <string.h>

// What depends on others comes after them: the first line that is wrong is the one to mend.
static const struct group groups[] = {
    {"settings", settings_checks}, {"kubernetes", kubernetes_checks}, {"webhooks", webhooks_checks},
    {"git", git_checks},           {"registry", registry_checks},     {"builds", builds_checks},
    {"store", store_checks},       {"sweep", sweep_checks},           {"clock", clock_checks},
    {"services", services_checks},
};
#define GROUP_COUNT (sizeof groups / sizeof *groups)

struct visit {
    const struct group *group;
    struct look look;
    pthread_t thread;
    bool threaded;
};

static void *look_at_group(void *user)
{
    struct visit *visit = user;
    for (const struct check *check = visit->group->checks; check->name; check++) {
        visit->look.check = check->name;
        check->look(&visit->look);
    }
    return NULL;
}

static json_int_t count_of(const json_t *checks, const char *state)
{
    json_int_t count = 0;
    for (size_t i = 0; i < json_array_size(checks); i++)
        count += strcmp(json_text_at(json_array_get(checks, i), "state", NULL), state) == 0;
    return count;
}

json_t *doctor_examine(const struct doctor *doctor)
{
    struct mono_time began = mono_now();
    CLEANUP(settings_drop_ptr) const struct config *config = settings_hold(doctor->settings);
    struct visit visits[GROUP_COUNT];
    for (size_t i = 0; i < GROUP_COUNT; i++) {
        visits[i] = (struct visit){.group = &groups[i],
                                   .look = {.doctor = doctor,
                                            .config = config,
                                            .deadline = mono_after(DOCTOR_BUDGET_MS),
                                            .checks = json_array()}};
        visits[i].threaded = thread_try(&visits[i].thread, "doctor", look_at_group, &visits[i]);
    }
    json_t *list = json_array();
    json_int_t problems = 0, warnings = 0;
    for (size_t i = 0; i < GROUP_COUNT; i++) {
        if (visits[i].threaded)
            pthread_join(visits[i].thread, NULL);
        else
            look_at_group(&visits[i]);
        json_t *checks = visits[i].look.checks;
        problems += count_of(checks, "problem");
        warnings += count_of(checks, "warning");
        json_array_append_new(list,
                              json_pack("{s:s, s:o}", "group", groups[i].name, "checks", checks));
    }
    char now[RFC3339_SIZE];
    wall_format(wall_now(), false, now);
    return json_pack("{s:o, s:I, s:I, s:f, s:s, s:s}", "groups", list, "problems", problems,
                     "warnings", warnings, "seconds", (double)(mono_now().ms - began.ms) / 1000,
                     "version", CRONWRIGHT_VERSION, "time", now);
}
