// Who else writes a CronJob: a tool that keeps it in step with a source of its own (Helm, Argo CD,
// Flux) puts back what cronwright changes. Told by its labels, its annotations, or by the managers
// that Kubernetes notes for each field.
#ifndef CRONWRIGHT_DEPLOY_SERVICE_OWNER_H
#define CRONWRIGHT_DEPLOY_SERVICE_OWNER_H

#include "deploy/cronjob.h"

#define OWNER_MAX 512 // bytes of an owner's words, with NUL

// "Helm release web", "Argo CD application shop", "Flux Kustomization apps"; without a name when
// only the manager tells. False: nobody.
bool cronjob_owner(const json_t *cronjob, char *out, size_t room);

// Whether it is such a tool that wrote the image of the service's container last: it undid what we
// wrote, which is no wish of a person. `service` is read out of this CronJob as far as its
// container.
bool cronjob_image_by_owner(const json_t *cronjob, const struct service *service);

// What will fight with cronwright over this service, and how to stop it; NULL when nobody owns it.
// The caller frees.
char *service_owner_warning(const struct service *service);

#endif
