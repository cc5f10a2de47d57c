// Within the library: CronJobs and Jobs as the API gives them.
#ifndef CRONWRIGHT_DEPLOY_CRONJOB_JSON_H
#define CRONWRIGHT_DEPLOY_CRONJOB_JSON_H

#include "deploy/cronjob.h"

// A managed CronJob as it is now, whole (unless `json` is NULL) and as a service. Errors as
// cronjob_get(), without its context.
bool cronjob_fetch(struct kube_client *client, const char *namespace_, const char *name,
                   json_t **json, const struct service **service, struct error *err) MUST_CHECK;

#define CONTAINERS_MAX      16                // that get one image
#define CONTAINER_NAMES_MAX ((size_t)4 << 10) // bytes of JSON
#define IMAGE_NAME_MAX      1024

// The containers whose image is the service's; borrowed from the CronJob. The first is the one
// whose image and name the service shows.
struct container_choice {
    struct container_place {
        const char *list; // "containers" or "initContainers"
        size_t index;
        const json_t *container;
    } items[CONTAINERS_MAX];
    size_t count;
};

// Those that the annotation names; else those with an image of the destination, or which got one
// before; else the only one, or one of several with the same image. And with each choice those that
// share the first one's image. ERR_INVALID says what is wrong; *out is empty then.
bool cronjob_choose(const json_t *cronjob, struct container_choice *out,
                    struct error *why) MUST_CHECK;

// [{"list", "index", "name", "image"}, …], all texts. The caller owns it.
json_t *container_choice_json(const struct container_choice *choice)
    __attribute__((returns_nonnull));
// "main,prepare"; the caller frees.
char *container_choice_names(const struct container_choice *choice)
    __attribute__((returns_nonnull));
// Whether some have another image than the first.
bool container_choice_lags(const struct container_choice *choice);
// Whether somebody changed the image of one that we patched.
bool container_choice_changed(const struct container_choice *choice, const json_t *cronjob);

// The container that is the service's, as service.container is; NULL when it cannot be told.
// Borrowed.
const json_t *cronjob_container(const json_t *cronjob);

// A time as Kubernetes writes it; unset when it is absent or none.
struct wall_time json_time(const json_t *value);

#endif
