// GET /v1/doctor: everything that may be wrong, looked at now.
#include "agent/doctor/doctor.h"
#include "agent/admin/admin.h"

#include <pthread.h>

static pthread_mutex_t busy = PTHREAD_MUTEX_INITIALIZER; // one at a time: it asks many others

// It speaks of all namespaces together.
static void get_doctor(struct server_request *req, void *user)
{
    const struct admin *admin = user;
    const struct doctor doctor = {.settings = admin->settings,
                                  .store = admin->store,
                                  .kube = admin->kube,
                                  .services = admin->services,
                                  .intake = admin->intake,
                                  .pipeline = admin->pipeline,
                                  .recorder = admin->recorder,
                                  .context_keys = admin->context_keys,
                                  .webhooks_address = admin->webhooks_address,
                                  .observed = admin->observed};
    if (!admin_may(admin, req, ROLE_ADMIN, "*"))
        return;
    if (pthread_mutex_trylock(&busy) != 0) {
        server_add_header(req, "Retry-After", "5");
        server_refuse(req, 503, "unavailable", "somebody else is having everything looked at");
        return;
    }
    json_t *findings = doctor_examine(&doctor);
    pthread_mutex_unlock(&busy);
    server_answer_json(req, 200, findings);
}

const struct server_route admin_doctor_routes[] = {{"GET", "/v1/doctor", get_doctor, 0}, {0}};
