// Runs that are kept, restored, and meet what the cluster still has.
#include "deploy/runs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char job_text[] =
    "{\"metadata\":{\"namespace\":\"n\",\"name\":\"j\",\"uid\":\"j-1\",\"creationTimestamp\":"
    "\"2026-11-24T08:00:00Z\",\"managedFields\":[{\"manager\":\"x\"}],\"annotations\":{"
    "\"cronwright.io/run-kind\":\"forced\",\"cronwright.io/requested-by\":\"ana\","
    "\"cronwright.io/commit\":\"a41f09c\",\"other\":\"y\"},\"ownerReferences\":[{\"kind\":"
    "\"CronJob\",\"name\":\"nightly\",\"uid\":\"c-1\",\"controller\":true}]},"
    "\"spec\":{\"backoffLimit\":3,\"template\":{\"spec\":{\"volumes\":[{\"name\":\"v\"}],"
    "\"containers\":[{\"name\":\"main\",\"image\":\"h/m:2\",\"env\":[{\"name\":\"A\",\"value\":"
    "\"secret\"}]}]}}},\"status\":{\"startTime\":\"2026-11-24T08:00:01Z\",\"failed\":1,"
    "\"conditions\":[{\"type\":\"Failed\",\"status\":\"True\",\"reason\":\"BackoffLimitExceeded\","
    "\"message\":\"Job has reached the specified backoff limit\","
    "\"lastTransitionTime\":\"2026-11-24T08:01:00Z\"}]}}";
static const char pod_text[] =
    "{\"metadata\":{\"name\":\"j-abc\",\"uid\":\"p-1\",\"creationTimestamp\":"
    "\"2026-11-24T08:00:01Z\",\"ownerReferences\":[{\"uid\":\"j-1\",\"controller\":true}]},"
    "\"spec\":{\"containers\":[{\"name\":\"main\",\"resources\":{\"limits\":{\"memory\":\"64Mi\"}}}"
    "]},"
    "\"status\":{\"phase\":\"Failed\",\"initContainerStatuses\":[{\"name\":\"first\",\"state\":{"
    "\"terminated\":{\"exitCode\":0,\"startedAt\":\"2026-11-24T08:00:01Z\"}}}],"
    "\"containerStatuses\":[{\"name\":\"main\","
    "\"restartCount\":2,\"state\":{\"terminated\":{\"exitCode\":137,\"reason\":\"OOMKilled\","
    "\"startedAt\":\"2026-11-24T08:00:02Z\",\"finishedAt\":\"2026-11-24T08:00:59Z\"}}},"
    "{\"name\":\"late\",\"state\":{\"waiting\":{\"reason\":\"PodInitializing\"}}}]}}";

static const struct service *a_service(void)
{
    static const char text[] =
        "{\"metadata\":{\"namespace\":\"n\",\"name\":\"nightly\",\"uid\":\"c-1\"},\"spec\":{"
        "\"jobTemplate\":{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"main\","
        "\"image\":\"h/m:2\"}]}}}}}}";
    CLEANUP(json_ptr) json_t *json = json_loads(text, 0, NULL);
    const struct service *service = NULL;
    assert_true(service_from_json(json, &service, NULL));
    return service;
}

// With its pod or without.
static struct run *a_run(bool kept, bool pod)
{
    CLEANUP(service_ptr) const struct service *service = a_service();
    CLEANUP(json_ptr) json_t *job = json_loads(job_text, 0, NULL);
    CLEANUP(json_ptr)
    json_t *pods = pod ? json_pack("[o]", json_loads(pod_text, 0, NULL)) : json_array();
    CLEANUP(json_ptr) json_t *kept_job = run_keep(job);
    CLEANUP(json_ptr) json_t *kept_pods = run_keep(pods);
    struct run *run;
    assert_true(run_from_json(kept ? kept_job : job, kept ? kept_pods : pods, service, &run, NULL));
    return run;
}

static void assert_same(const struct run *a, const struct run *b)
{
    CLEANUP(json_ptr) json_t *one = run_attempts_json(a);
    CLEANUP(json_ptr) json_t *two = run_attempts_json(b);
    assert_true(json_equal(one, two));
    assert_string_equal(a->namespace_, b->namespace_);
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->uid, b->uid);
    assert_string_equal(a->requested_by, b->requested_by);
    assert_string_equal(a->commit, b->commit);
    assert_string_equal(a->image, b->image);
    assert_string_equal(a->reason, b->reason);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->backoff_limit, b->backoff_limit);
    assert_int_equal(a->created.ms, b->created.ms);
    assert_int_equal(a->started.ms, b->started.ms);
    assert_int_equal(a->finished.ms, b->finished.ms);
}

static void what_is_kept_is_enough(void **state)
{
    (void)state;
    CLEANUP(run_ptr) struct run *whole = a_run(false, true);
    CLEANUP(run_ptr) struct run *kept = a_run(true, true);
    assert_same(whole, kept);
    assert_string_equal(kept->reason, "out of memory (64Mi)");
    CLEANUP(json_ptr) json_t *job = json_loads(job_text, 0, NULL);
    CLEANUP(json_ptr) json_t *less = run_keep(job);
    CLEANUP(free_ptr) char *text = json_write(less);
    assert_null(strstr(text, "secret"));
    assert_null(strstr(text, "managedFields"));
    assert_null(strstr(text, "volumes"));
}

static void containers_that_started_have_logs(void **state)
{
    (void)state;
    CLEANUP(run_ptr) struct run *run = a_run(true, true);
    assert_int_equal(run->attempt_count, 1);
    assert_int_equal(run->attempts[0].log_count, 2);
    assert_string_equal(run->attempts[0].logs[0].container, "first");
    assert_string_equal(run->attempts[0].logs[1].container, "main");
    assert_int_equal(run->attempts[0].logs[1].state, PODLOG_FOLLOWING);
}

static void run_is_restored(void **state)
{
    (void)state;
    CLEANUP(run_ptr) struct run *run = a_run(true, true);
    CLEANUP(json_ptr) json_t *attempts = run_attempts_json(run);
    CLEANUP(run_ptr) struct run *again = run_restore(run, attempts);
    assert_same(run, again);
    CLEANUP(json_ptr)
    json_t *odd = json_loads("[1, {}, {\"state\":\"x\",\"logs\":[2,{\"container\":1}]}]", 0, NULL);
    CLEANUP(run_ptr) struct run *other = run_restore(run, odd);
    assert_int_equal(other->attempt_count, 2);
    assert_int_equal(other->attempts[0].state, RUN_UNKNOWN);
    assert_int_equal(other->attempts[1].log_count, 0);
}

static void gone_attempts_come_back(void **state)
{
    (void)state;
    CLEANUP(run_ptr) struct run *before = a_run(true, true);
    CLEANUP(run_ptr) struct run *now = a_run(true, false);
    before->attempts[0].logs[1].state = PODLOG_TRUNCATED;
    before->attempts[0].logs[1].bytes = 9;
    assert_string_equal(now->reason,
                        "BackoffLimitExceeded: Job has reached the specified backoff limit");
    run_merge(now, before);
    assert_same(now, before);
    assert_int_equal(now->attempts[0].logs[1].state, PODLOG_TRUNCATED);
    run_merge(now, before); // and only once
    assert_same(now, before);
}

static void gone_attempt_has_ended(void **state)
{
    (void)state;
    CLEANUP(run_ptr) struct run *before = a_run(true, true);
    CLEANUP(run_ptr) struct run *now = a_run(true, false);
    before->attempts[0].state = RUN_RUNNING;
    run_merge(now, before);
    assert_int_equal(now->attempts[0].state, RUN_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_is_enough),
        cmocka_unit_test(containers_that_started_have_logs),
        cmocka_unit_test(run_is_restored),
        cmocka_unit_test(gone_attempts_come_back),
        cmocka_unit_test(gone_attempt_has_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
