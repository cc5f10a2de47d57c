// What the recorder keeps of Jobs and pods.
#include "agent/runs/jobs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct jobs *jobs;
static const struct service *service;

static int make(void **state)
{
    (void)state;
    static const char text[] =
        "{\"metadata\":{\"namespace\":\"n\",\"name\":\"nightly\",\"uid\":\"c-1\"},\"spec\":{"
        "\"jobTemplate\":{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"main\","
        "\"image\":\"h/m:2\"}]}}}}}}";
    CLEANUP(json_ptr) json_t *json = json_loads(text, 0, NULL);
    assert_true(service_from_json(json, &service, NULL));
    jobs = jobs_create();
    return 0;
}

static int clean(void **state)
{
    (void)state;
    jobs_destroy(jobs);
    service_drop(service);
    return 0;
}

static json_t *job(const char *uid)
{
    return json_pack("{s:{s:s, s:s, s:s}, s:{s:i}}", "metadata", "namespace", "n", "name", "j",
                     "uid", uid, "spec", "backoffLimit", 2);
}

static json_t *pod(const char *uid, const char *of)
{
    return json_pack("{s:{s:s, s:s, s:s, s:{s:s}}}", "metadata", "namespace", "n", "name", uid,
                     "uid", uid, "labels", KUBE_LABEL_CONTROLLER_UID, of);
}

static void assert_standing(const char *uid, enum job_standing standing, bool known, size_t pods,
                            bool gone)
{
    CLEANUP(job_view_finish) struct job_view view = {0};
    jobs_look(jobs, uid, &view);
    assert_int_equal(view.standing, standing);
    assert_int_equal(view.job != NULL, known);
    assert_int_equal(json_array_size(view.pods), pods);
    assert_int_equal(view.gone, gone);
}

static void job_goes_its_way(void **state)
{
    (void)state;
    char uid[64];
    CLEANUP(json_ptr) json_t *one = job("one");
    CLEANUP(json_ptr) json_t *first = pod("p", "one");
    assert_standing("one", JOB_ABSENT, false, 0, false);
    assert_true(jobs_put(jobs, one, service));
    assert_true(jobs_put_pod(jobs, first, false, uid));
    assert_string_equal(uid, "one");
    assert_true(jobs_put_pod(jobs, first, true, uid));
    assert_standing("one", JOB_OPEN, true, 1, false);
    CLEANUP(job_view_finish) struct job_view view = {0};
    jobs_look(jobs, "one", &view);
    assert_true(json_is_true(json_at(view.pods, "0", "deleted", NULL)));
    jobs_settle(jobs, "one", false);
    assert_standing("one", JOB_SETTLED, false, 0, false);
    assert_false(jobs_put(jobs, one, service)); // told again after a broken connection
    assert_false(jobs_put_pod(jobs, first, false, uid));
    assert_false(jobs_drop(jobs, one));
    assert_standing("one", JOB_ABSENT, false, 0, false);
}

static void deleted_job_is_kept_until_it_is_recorded(void **state)
{
    (void)state;
    CLEANUP(json_ptr) json_t *two = job("two");
    CLEANUP(json_ptr) json_t *name = json_pack("{s:{s:s}}", "metadata", "uid", "two");
    assert_true(jobs_put(jobs, two, service));
    assert_true(jobs_drop(jobs, name));
    assert_standing("two", JOB_OPEN, true, 0, true);
    assert_int_equal(jobs_over(jobs, "two").ms, jobs_over(jobs, "two").ms);
    jobs_settle(jobs, "two", false);
    assert_standing("two", JOB_ABSENT, false, 0, false);
}

static void pod_may_come_before_its_job(void **state)
{
    (void)state;
    char uid[64];
    CLEANUP(json_ptr) json_t *three = job("three");
    CLEANUP(json_ptr) json_t *early = pod("e", "three");
    CLEANUP(json_ptr) json_t *orphan = pod("o", "nobody");
    assert_true(jobs_put_pod(jobs, early, false, uid));
    assert_standing("three", JOB_OPEN, false, 1, false);
    assert_true(jobs_put(jobs, three, service));
    assert_standing("three", JOB_OPEN, true, 1, false);
    assert_true(jobs_put_pod(jobs, orphan, false, uid));
    assert_false(jobs_put_pod(jobs, orphan, true, uid));
    assert_standing("nobody", JOB_ABSENT, false, 0, false);
    jobs_settle(jobs, "three", true);
}

static void run_outlives_its_service(void **state)
{
    (void)state;
    CLEANUP(json_ptr) json_t *nine = job("nine");
    assert_true(jobs_put(jobs, nine, service));
    json_object_set_new(json_object_get(nine, "spec"), "backoffLimit", json_integer(7));
    assert_true(jobs_put(jobs, nine, NULL));
    CLEANUP(job_view_finish) struct job_view view = {0};
    jobs_look(jobs, "nine", &view);
    assert_int_equal(json_integer_value(json_at(view.job, "spec", "backoffLimit", NULL)), 7);
    assert_ptr_equal(view.service, service);
    assert_true(jobs_drop(jobs, nine));
    assert_standing("nine", JOB_OPEN, true, 0, true);
    jobs_settle(jobs, "nine", true);
}

static void pod_is_believed_in_its_namespace_alone(void **state)
{
    (void)state;
    char uid[64];
    CLEANUP(json_ptr) json_t *ten = job("ten");
    CLEANUP(json_ptr) json_t *forged = pod("f", "ten");
    json_object_set_new(json_object_get(forged, "metadata"), "namespace", json_string("other"));
    assert_true(jobs_put_pod(jobs, forged, false, uid)); // of a Job that is not told yet
    assert_true(jobs_put(jobs, ten, service));
    assert_standing("ten", JOB_OPEN, true, 0, false);
    assert_false(jobs_put_pod(jobs, forged, false, uid));
    assert_standing("ten", JOB_OPEN, true, 0, false);
    jobs_settle(jobs, "ten", true);
}

static void list_of_pods_is_older_than_the_watch(void **state)
{
    (void)state;
    char uid[64];
    CLEANUP(json_ptr) json_t *eleven = job("eleven");
    CLEANUP(json_ptr) json_t *listed = pod("l", "eleven");
    CLEANUP(json_ptr) json_t *other = pod("m", "eleven");
    assert_false(jobs_adopt_pod(jobs, listed, uid)); // its Job may be gone for good
    assert_standing("eleven", JOB_ABSENT, false, 0, false);
    assert_true(jobs_put(jobs, eleven, service));
    assert_true(jobs_put_pod(jobs, listed, true, uid));
    assert_false(jobs_adopt_pod(jobs, listed, uid)); // it is gone
    assert_true(jobs_adopt_pod(jobs, other, uid));
    CLEANUP(job_view_finish) struct job_view view = {0};
    jobs_look(jobs, "eleven", &view);
    assert_int_equal(json_array_size(view.pods), 2);
    assert_true(json_is_true(json_at(view.pods, "0", "deleted", NULL)));
    assert_null(json_at(view.pods, "1", "deleted", NULL));
    jobs_settle(jobs, "eleven", true);
}

static void jobs_of_others_take_no_room(void **state)
{
    (void)state;
    char uid[64];
    CLEANUP(json_ptr) json_t *four = job("four");
    CLEANUP(json_ptr) json_t *theirs = pod("t", "four");
    assert_true(jobs_put_pod(jobs, theirs, false, uid));
    assert_false(jobs_put(jobs, four, NULL));
    assert_standing("four", JOB_FOREIGN, false, 0, false);
    assert_false(jobs_put_pod(jobs, theirs, false, uid));
    assert_true(jobs_adopt(jobs, four, service)); // its CronJob became a service
    assert_false(jobs_adopt(jobs, four, service));
    assert_standing("four", JOB_OPEN, true, 0, false);
    jobs_settle_service(jobs, "n", "nightly");
    assert_standing("four", JOB_SETTLED, false, 0, false);
}

static void old_job_is_a_name(void **state)
{
    (void)state;
    char uid[64];
    CLEANUP(json_ptr) json_t *five = job("five");
    CLEANUP(json_ptr) json_t *own = pod("f", "five");
    json_object_set_new(five, "status",
                        json_pack("{s:[{s:s, s:s, s:s}]}", "conditions", "type", "Complete",
                                  "status", "True", "lastTransitionTime", "2026-01-01T00:00:00Z"));
    assert_true(jobs_put(jobs, five, service));
    assert_false(jobs_put_pod(jobs, own, false, uid));
    assert_standing("five", JOB_OPEN, false, 0, false);
    CLEANUP(job_view_finish) struct job_view view = {0};
    jobs_look(jobs, "five", &view);
    assert_string_equal(view.old, "j");
    jobs_settle(jobs, "five", false);
    assert_standing("five", JOB_SETTLED, false, 0, false);
    CLEANUP(json_ptr) json_t *six = json_deep_copy(five);
    json_object_set_new(json_object_get(six, "metadata"), "uid", json_string("six"));
    assert_true(jobs_put(jobs, six, service));
    assert_true(jobs_drop(jobs, six)); // it may be stored as one that is going on
    assert_standing("six", JOB_ABSENT, false, 0, false);
}

static void count(void *user, const char *uid)
{
    (void)uid;
    ++*(int *)user;
}

static void many_are_found(void **state)
{
    (void)state;
    char uid[32];
    for (int i = 0; i < 5000; i++) {
        snprintf(uid, sizeof uid, "many-%d", i);
        CLEANUP(json_ptr) json_t *one = job(uid);
        assert_true(jobs_put(jobs, one, service));
    }
    int open = 0;
    jobs_each_open(jobs, "n", count, &open);
    assert_int_equal(open, 5000);
    jobs_each_open(jobs, "other", count, &open);
    assert_int_equal(open, 5000);
    for (int i = 0; i < 5000; i++) {
        snprintf(uid, sizeof uid, "many-%d", i);
        assert_standing(uid, JOB_OPEN, true, 0, false);
        jobs_settle(jobs, uid, true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(job_goes_its_way),
        cmocka_unit_test(deleted_job_is_kept_until_it_is_recorded),
        cmocka_unit_test(pod_may_come_before_its_job),
        cmocka_unit_test(run_outlives_its_service),
        cmocka_unit_test(pod_is_believed_in_its_namespace_alone),
        cmocka_unit_test(list_of_pods_is_older_than_the_watch),
        cmocka_unit_test(jobs_of_others_take_no_room),
        cmocka_unit_test(old_job_is_a_name),
        cmocka_unit_test(many_are_found),
    };
    return cmocka_run_group_tests(tests, make, clean);
}
