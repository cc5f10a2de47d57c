// Whatever stands in a CronJob, a Job or a pod, it is read within bounds, and what is read makes
// sense.
//
// Input: {"cronjob": …, "job": …, "pods": […]}.
#include "deploy/runs.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_run(const struct run *run)
{
    for (size_t i = 0; i < run->attempt_count; i++) {
        const struct run_attempt *attempt = &run->attempts[i];
        bool failed = attempt->state == RUN_FAILED;
        if (failed != (*attempt->reason != '\0') && (failed || attempt->state == RUN_SUCCEEDED))
            abort(); // a failure has a reason, a success none
        if (i > 0 && attempt->created.ms < run->attempts[i - 1].created.ms)
            abort();
    }
    if (run->state == RUN_SUCCEEDED && *run->reason)
        abort();
}

static void assert_same_attempts(const struct run *a, const struct run *b)
{
    CLEANUP(json_ptr) json_t *one = run_attempts_json(a);
    CLEANUP(json_ptr) json_t *two = run_attempts_json(b);
    if (!json_equal(one, two))
        abort();
}

// What is kept of the objects gives the same run, and what is kept of the run too.
static void check_archive(const json_t *input, const struct service *service, const struct run *run)
{
    CLEANUP(json_ptr) json_t *job = run_keep(json_object_get(input, "job"));
    CLEANUP(json_ptr) json_t *pods = run_keep(json_object_get(input, "pods"));
    CLEANUP(run_ptr) struct run *again = NULL;
    if (!run_from_json(job, pods, service, &again, NULL) || again->state != run->state ||
        strcmp(again->reason, run->reason) != 0)
        abort();
    assert_same_attempts(again, run);
    if (run->attempt_count > RUN_ATTEMPTS_KEPT)
        return;
    CLEANUP(json_ptr) json_t *attempts = run_attempts_json(run);
    CLEANUP(run_ptr) struct run *restored = run_restore(run, attempts);
    assert_same_attempts(restored, run);
    run_merge(again, restored);
}

static void check_service(const struct service *service)
{
    char destination[1024];
    if (!*service->container && !*service->problem)
        abort(); // without a container there is something to say
    if (*service->destination &&
        (!image_repository(service->destination, destination, sizeof destination) ||
         strcmp(destination, service->destination) != 0))
        abort(); // it has neither tag nor digest
    if (*service->container && *service->places == '\0')
        abort(); // a patch must know where it stands
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(json_ptr) json_t *input = NULL;
    CLEANUP(service_ptr) const struct service *service = NULL;
    CLEANUP(run_ptr) struct run *run = NULL;
    if (!kube_json_read((const char *)data, size, &input, NULL) ||
        !service_from_json(json_at(input, "cronjob", NULL), &service, NULL))
        return 0;
    check_service(service);
    if (run_from_json(json_at(input, "job", NULL), json_at(input, "pods", NULL), service, &run,
                      NULL)) {
        check_run(run);
        check_archive(input, service, run);
    }
    // As what the store gives back, whatever stands there.
    CLEANUP(run_ptr)
    struct run *odd = run_restore(&(struct run){.namespace_ = "n",
                                                .name = "j",
                                                .uid = "u",
                                                .service = "s",
                                                .requested_by = "",
                                                .reason = "",
                                                .image = "",
                                                .commit = ""},
                                  json_at(input, "pods", NULL));
    if (run)
        run_merge(run, odd);
    return 0;
}
