// The services: which are not built, or not as their owners may think.
#include "agent/doctor/look.h"

#include "deploy/cronjob.h"

#include <string.h>

// What one service may have wrong. What helps is "cronwright <command> namespace/name<also>".
struct trouble {
    const char *what; // of several: "12 more are pinned"
    const char *state;
    const char *command, *also;
    bool (*holds)(const struct look *look, const struct service *service, struct error *why);
};

static bool is_wrong(const struct look *look, const struct service *service, struct error *why)
{
    if (*service->problem)
        return !error_set(why, ERR_INVALID, "%s", service->problem);
    return pipeline_service_problem(look->doctor->pipeline, service, why);
}

static bool is_pinned(const struct look *look, const struct service *service, struct error *why)
{
    (void)look;
    return *service->repository && pipeline_service_pinned(service) &&
           !error_set(why, ERR_CONFLICT, "pinned: pushes do not change its image");
}

static bool is_never_built(const struct look *look, const struct service *service,
                           struct error *why)
{
    struct error unused;
    return *service->repository && !*service->commit && !is_wrong(look, service, &unused) &&
           !is_pinned(look, service, &unused) &&
           !error_set(why, ERR_NOT_FOUND, "never built: it waits for a push");
}

static bool has_no_zone(const struct look *look, const struct service *service, struct error *why)
{
    (void)look;
    return *service->time_zone == '\0' &&
           !error_set(why, ERR_INVALID, "no time zone: it runs by the cluster's, usually UTC");
}

static const struct trouble troubles[] = {
    {"cannot be built", LOOK_PROBLEM, "show", "; allow is in the settings", is_wrong},
    {"are pinned", LOOK_WARNING, "resume", "", is_pinned},
    {"were never built", LOOK_WARNING, "build", "", is_never_built},
    {"have no time zone", LOOK_WARNING, "edit", ", and set timeZone", has_no_zone},
};

static void look_for_trouble(struct look *look, const struct trouble *trouble,
                             const struct service_list *list)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct service *service = list->items[i];
        struct error why;
        if (!trouble->holds(look, service, &why) || count++ >= LOOK_LISTED_MAX)
            continue;
        CLEANUP(free_ptr) char *name = xasprintf("%s/%s", service->namespace_, service->name);
        CLEANUP(free_ptr)
        char *fix = xasprintf("cronwright %s %s%s", trouble->command, name, trouble->also);
        look_say(look, trouble->state, fix, "%s: %s", name, why.text);
    }
    if (count > LOOK_LISTED_MAX)
        look_say(look, trouble->state, "cronwright services", "%zu more %s",
                 count - LOOK_LISTED_MAX, trouble->what);
}

static void look_at_services(struct look *look)
{
    struct service_list list = {0};
    service_cache_list(look->doctor->services, NULL, &list);
    for (size_t i = 0; i < sizeof troubles / sizeof *troubles; i++)
        look_for_trouble(look, &troubles[i], &list);
    look_good(look, "%zu service%s", list.count, list.count == 1 ? "" : "s");
    service_list_finish(&list);
}

const struct check services_checks[] = {{"services", look_at_services}, {0}};
