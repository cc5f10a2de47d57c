// The registries: does each answer, with the login, and does it still have what is live.
#include "agent/doctor/look.h"

#include "agent/pipeline/registries.h"

#include <string.h>

#define ASK_MS         10000
#define REGISTRIES_MAX 32       // asked; more are counted
#define TAG_NEVER      "doctor" // there need be no such image

static const char *advice_for(const struct error *err)
{
    switch (err->code) {
    case ERR_UNAUTHORIZED:
    case ERR_FORBIDDEN:
        return "look at authFile of that host in registries; is the login still good, and may it "
               "read there?";
    case ERR_PROTOCOL:
        return "caFile of that host in registries must have its authority; plainHttp is for one "
               "without TLS";
    default:
        return "is it up, and reached from here? See proxy of that host in registries";
    }
}

// Of an image that is live: whether it is there, by its digest.
static bool confirm_live(struct look *look, const struct service *service,
                         const struct image_reference *live, struct error *err)
{
    if (registries_confirm(look->config, live, live->digest, look_timeout(look, ASK_MS), err))
        return true;
    if (err->code != ERR_NOT_FOUND)
        return false;
    CLEANUP(free_ptr)
    char *fix = xasprintf("cronwright build %s/%s makes it again; keep what is live from the "
                          "registry's clean-up",
                          service->namespace_, service->name);
    look_warning(look, fix, "the image that %s/%s has is not in %s any more", service->namespace_,
                 service->name, live->registry);
    return true;
}

static void look_at_registry(struct look *look, size_t i, void *user)
{
    const struct service *service = ((struct service_list *)user)->items[i];
    struct image_reference place, live;
    struct error err;
    bool there;
    if (!image_parse(service->destination, &place, &err))
        return;
    bool built = *service->commit && image_parse(service->image, &live, &err) && *live.digest &&
                 strcmp(live.registry, place.registry) == 0;
    bool good = built ? confirm_live(look, service, &live, &err)
                      : registries_reach(look->config, &place, TAG_NEVER,
                                         look_timeout(look, ASK_MS), &there, &err);
    if (good)
        look_good(look, "%s", place.registry);
    else
        look_problem(look, advice_for(&err), "%s", err.text);
}

// One for each registry and first part of a path, since logins may be for that.
static bool is_new_place(json_t *seen, const char *destination)
{
    struct image_reference image;
    struct error err;
    return image_parse(destination, &image, &err) &&
           look_first(seen, "%s %.*s", image.registry, (int)strcspn(image.path, "/"), image.path);
}

static void look_at_registries(struct look *look)
{
    CLEANUP(json_ptr) json_t *seen = json_object();
    struct service_list list = {0};
    size_t kept = 0, more = 0;
    service_cache_list(look->doctor->services, NULL, &list);
    for (size_t i = 0; i < list.count; i++) {
        const struct service *service = list.items[i];
        char credential[STORE_CREDENTIAL_SIZE];
        bool wanted = pipeline_service_credential(look->doctor->pipeline, service, credential) &&
                      is_new_place(seen, service->destination);
        more += wanted && kept == REGISTRIES_MAX;
        if (wanted && kept < REGISTRIES_MAX)
            list.items[kept++] = service;
        else
            service_drop(service);
    }
    list.count = kept;
    look_each(look, list.count, look_at_registry, &list);
    if (more > 0)
        look_skipped(look, NULL, "%zu more places not asked", more);
    service_list_finish(&list);
}

const struct check registry_checks[] = {{"destinations", look_at_registries}, {0}};
