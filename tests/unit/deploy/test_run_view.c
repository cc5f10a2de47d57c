// Jobs and pods as a cluster gives them → runs, attempts and reasons in words.
#include "deploy/runs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

// JSON with ' for ".
static json_t *json_of(const char *format, ...) PRINTF_LIKE(1, 2);
static json_t *json_of(const char *format, ...)
{
    char text[4000];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *c = text; *c; c++)
        if (*c == '\'')
            *c = '"';
    json_error_t at;
    json_t *json = json_loads(text, 0, &at);
    if (!json)
        fail_msg("%s: %s", at.text, text);
    return json;
}

static const struct service *a_service(void)
{
    CLEANUP(json_ptr)
    json_t *json =
        json_of("{'metadata':{'namespace':'n','name':'nightly','uid':'c-1','annotations':{"
                "'cronwright.io/commit':'a41f09c','cronwright.io/patched-image':'h/m:2'}},"
                "'spec':{'jobTemplate':{'spec':{'template':{'spec':{'containers':["
                "{'name':'main','image':'h/m:2'}]}}}}}}");
    const struct service *service = NULL;
    assert_true(service_from_json(json, &service, NULL));
    return service;
}

// A run of a Job with these annotations, spec members and status, and with these pods.
static struct run *run_of(const char *annotations, const char *image, const char *status,
                          const char *pods)
{
    CLEANUP(service_ptr) const struct service *service = a_service();
    CLEANUP(json_ptr)
    json_t *job = json_of("{'metadata':{'namespace':'n','name':'j','uid':'j-1',"
                          "'creationTimestamp':'2026-11-24T08:00:00Z','annotations':{%s}},"
                          "'spec':{'backoffLimit':3,'template':{'spec':{'containers':["
                          "{'name':'side','image':'s'},{'name':'main','image':'%s'}]}}},"
                          "'status':{%s}}",
                          annotations, image, status);
    CLEANUP(json_ptr) json_t *list = json_of("[%s]", pods);
    struct run *run = NULL;
    struct error err;
    if (!run_from_json(job, list, service, &run, &err))
        fail_msg("%s", err.text);
    return run;
}

#define OWNED "'ownerReferences':[{'controller':true,'uid':'j-1'}]"
#define POD(name, second, ...)                                                                     \
    "{'metadata':{'name':'" name "','uid':'u-" name                                                \
    "','creationTimestamp':'2026-11-24T08:00:" second "Z'," OWNED "},"                             \
    "'spec':{'containers':[{'name':'main','resources':{'limits':{'memory':'256Mi'}}}],"            \
    "'initContainers':[{'name':'init'}]},'status':{" __VA_ARGS__ "}}"
#define MAIN(...)              "'containerStatuses':[{'name':'main'," __VA_ARGS__ "}]"
#define TERMINATED(code, more) MAIN("'state':{'terminated':{'exitCode':" code more "}}")
#define TIMES                  ",'startedAt':'2026-11-24T08:00:10Z','finishedAt':'2026-11-24T08:00:20Z'"
#define COMPLETE                                                                                   \
    "'conditions':[{'type':'SuccessCriteriaMet','status':'True'},{'type':'Complete','status':"     \
    "'True'}],'startTime':'2026-11-24T08:00:01Z','completionTime':'2026-11-24T08:00:30Z'"
#define FAILED(reason, message)                                                                    \
    "'conditions':[{'type':'Failed','status':'True','reason':'" reason "','message':'" message     \
    "','lastTransitionTime':'2026-11-24T08:01:00Z'}]"

static void kinds(void **state)
{
    (void)state;
    static const struct {
        const char *annotations;
        enum run_kind kind;
        const char *by;
    } cases[] = {
        {"'batch.kubernetes.io/cronjob-scheduled-timestamp':'2026-11-24T08:00:00Z'", RUN_SCHEDULED,
         ""},
        {"'cronjob.kubernetes.io/instantiate':'manual'", RUN_FORCED, ""},
        {"'cronjob.kubernetes.io/instantiate':'manual','cronwright.io/run-kind':'forced',"
         "'cronwright.io/requested-by':'ana'",
         RUN_FORCED, "ana"},
        {"'cronjob.kubernetes.io/instantiate':'manual','cronwright.io/run-kind':'first'", RUN_FIRST,
         ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEANUP(run_ptr) struct run *run = run_of(cases[i].annotations, "h/m:2", "", "");
        assert_int_equal(run->kind, cases[i].kind);
        assert_string_equal(run->requested_by, cases[i].by);
        assert_int_equal(run->scheduled_for.ms, i == 0 ? 1795507200000 : 0);
    }
}

static void commit_is_told_when_it_is_known(void **state)
{
    (void)state;
    CLEANUP(run_ptr) struct run *same = run_of("", "h/m:2", "", "");
    assert_string_equal(same->commit, "a41f09c");
    assert_string_equal(same->image, "h/m:2");
    CLEANUP(run_ptr) struct run *older = run_of("", "h/m:1", "", "");
    assert_string_equal(older->commit, "");
    CLEANUP(run_ptr)
    struct run *noted = run_of("'cronwright.io/commit':'c81d5aa'", "h/m:1", "", "");
    assert_string_equal(noted->commit, "c81d5aa");
}

static void attempts_are_in_order(void **state)
{
    (void)state;
    CLEANUP(run_ptr)
    struct run *run = run_of(
        "", "h/m:2", COMPLETE,
        POD("b", "05", TERMINATED("0", TIMES)) "," POD(
            "a", "01",
            TERMINATED(
                "3", TIMES)) ","
                             "{'metadata':{'name':'foreign','ownerReferences':[{'controller':true,"
                             "'uid':'j-0'}]}}");
    assert_int_equal(run->state, RUN_SUCCEEDED);
    assert_string_equal(run->reason, "");
    assert_int_equal(run->started.ms, 1795507201000);
    assert_int_equal(run->finished.ms, 1795507230000);
    assert_int_equal(run->backoff_limit, 3);
    assert_int_equal(run->attempt_count, 2);
    assert_string_equal(run->attempts[0].pod, "a");
    assert_string_equal(run->attempts[0].container, "main");
    assert_int_equal(run->attempts[0].state, RUN_FAILED);
    assert_int_equal(run->attempts[0].exit_code, 3);
    assert_string_equal(run->attempts[0].reason, "exit 3");
    assert_int_equal(run->attempts[0].started.ms, 1795507210000);
    assert_int_equal(run->attempts[0].finished.ms, 1795507220000);
    assert_int_equal(run->attempts[1].state, RUN_SUCCEEDED);
    assert_int_equal(run->attempts[1].exit_code, 0);
}

static void reasons(void **state)
{
    (void)state;
#define TOO_OFTEN FAILED("BackoffLimitExceeded", "Job has reached the specified backoff limit")
    static const struct {
        const char *status, *pods;
        enum run_state state;
        const char *reason;
    } cases[] = {
        {"", "", RUN_PENDING, "it has no pod yet"},
        {"", POD("a", "01", "'phase':'Pending'"), RUN_PENDING, "waits for a node"},
        {"",
         POD("a", "01",
             "'phase':'Pending','conditions':[{'type':'PodScheduled','status':'False',"
             "'reason':'Unschedulable','message':'0/1 nodes are available'}]"),
         RUN_PENDING, "unschedulable: 0/1 nodes are available"},
        {"", POD("a", "01", MAIN("'state':{'waiting':{'reason':'ContainerCreating'}}")),
         RUN_PENDING, "container is being created"},
        {"",
         POD("a", "01",
             MAIN("'state':{'waiting':{'reason':'ErrImagePull','message':'not\\nfound'}}")),
         RUN_PENDING, "image cannot be pulled: not found"},
        {"", POD("a", "01", MAIN("'state':{'waiting':{'reason':'NewWord','message':'m'}}")),
         RUN_PENDING, "NewWord: m"},
        {"", POD("a", "01", MAIN("'state':{'running':{'startedAt':'2026-11-24T08:00:10Z'}}")),
         RUN_RUNNING, ""},
        {"", POD("a", "01", TERMINATED("3", "")), RUN_PENDING, "waits to try again after exit 3"},
        {TOO_OFTEN, POD("a", "01", TERMINATED("3", "")), RUN_FAILED, "exit 3"},
        {TOO_OFTEN, POD("a", "01", TERMINATED("137", ",'reason':'OOMKilled'")), RUN_FAILED,
         "out of memory (256Mi)"},
        {TOO_OFTEN,
         POD("a", "01", TERMINATED("128", ",'reason':'StartError','message':'no such file'")),
         RUN_FAILED, "container cannot be started: no such file"},
        {TOO_OFTEN,
         POD("a", "01",
             "'phase':'Failed','reason':'Evicted','message':'low on memory'," TERMINATED("137",
                                                                                         "")),
         RUN_FAILED, "evicted: low on memory"},
        {TOO_OFTEN,
         POD("a", "01",
             "'phase':'Failed','initContainerStatuses':[{'name':'init','state':{"
             "'terminated':{'exitCode':4}}}]," MAIN("'state':{'waiting':{}}")),
         RUN_FAILED, "container init: exit 4"},
        {TOO_OFTEN,
         POD("a", "01",
             "'phase':'Failed','conditions':[{'type':'DisruptionTarget','status':'True',"
             "'reason':'PreemptionByScheduler','message':'preempted'}]"),
         RUN_FAILED, "disrupted: preempted"},
        {TOO_OFTEN, "", RUN_FAILED,
         "BackoffLimitExceeded: Job has reached the specified backoff limit"},
        {FAILED("DeadlineExceeded", "Job was active longer than specified deadline"), "",
         RUN_FAILED, "deadline exceeded"},
        {FAILED("PodFailurePolicy", "exit code 42"), "", RUN_FAILED,
         "pod failure policy: exit code 42"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEANUP(run_ptr) struct run *run = run_of("", "h/m:2", cases[i].status, cases[i].pods);
        if (run->state != cases[i].state || strcmp(run->reason, cases[i].reason) != 0)
            fail_msg("case %zu: %s \"%s\"", i, run_state_word(run->state), run->reason);
    }
}

// The metadata goes on behind the annotations.
#define DELETED(time) "},'deletionTimestamp':'2026-11-24T" time "Z','labels':{"

static void pods_that_go_with_their_job_are_no_failure(void **state)
{
    (void)state;
    static const char status[] = FAILED("BackoffLimitExceeded", "Job has reached its limit");
    static const char pod[] = POD("a", "01", TERMINATED("137", ""));
    CLEANUP(run_ptr) struct run *cancelled = run_of(DELETED("08:00:30"), "h/m:2", status, pod);
    assert_int_equal(cancelled->state, RUN_FAILED);
    assert_string_equal(cancelled->reason, RUN_REASON_CANCELLED);
    CLEANUP(run_ptr) struct run *at_once = run_of(DELETED("08:01:00"), "h/m:2", status, pod);
    assert_string_equal(at_once->reason, RUN_REASON_CANCELLED);
    // It had failed when it was deleted, though not all of its pods had ended.
    static const char decided[] =
        "'conditions':[{'type':'FailureTarget','status':'True','lastTransitionTime':"
        "'2026-11-24T08:00:20Z','reason':'DeadlineExceeded'},{'type':'Failed','status':'True',"
        "'reason':'DeadlineExceeded','lastTransitionTime':'2026-11-24T08:01:00Z'}]";
    CLEANUP(run_ptr) struct run *late = run_of(DELETED("08:00:30"), "h/m:2", decided, pod);
    assert_string_equal(late->reason, "deadline exceeded");
    CLEANUP(run_ptr) struct run *tidied = run_of(DELETED("08:30:00"), "h/m:2", status, pod);
    assert_string_equal(tidied->reason, "exit 137");
}

static void other_objects_are_refused(void **state)
{
    (void)state;
    CLEANUP(service_ptr) const struct service *service = a_service();
    CLEANUP(json_ptr) json_t *json = json_of("{'metadata':{'name':'x','uid':'u'},'spec':{}}");
    struct run *run;
    struct error err;
    assert_false(run_from_json(json, NULL, service, &run, &err));
    assert_int_equal(err.code, ERR_PROTOCOL);
}

static void names(void **state)
{
    (void)state;
    char one[RUN_NAME_SIZE], two[RUN_NAME_SIZE];
    run_name("nightly", "c-1", "key", one);
    run_name("nightly", "c-1", "key", two);
    assert_string_equal(one, two);
    assert_int_equal(strlen(one), strlen("nightly-f-") + 8);
    assert_true(strncmp(one, "nightly-f-", 10) == 0);
    assert_true(kube_is_name(one));
    run_name("nightly", "c-1", "other key", two);
    assert_string_not_equal(one, two);
    run_name("nightly", "c-2", "key", two);
    assert_string_not_equal(one, two);
    run_name("nightly", "c-1", NULL, one);
    run_name("nightly", "c-1", "", two);
    assert_string_not_equal(one, two); // by chance
    static const char longest[] = "a2345678901234567890123456789012345678901234567890-x";
    run_name(longest, "c-1", "key", one);
    assert_int_equal(strlen(one), KUBE_LABEL_MAX);
    assert_true(strncmp(one, longest, KUBE_CRONJOB_NAME_MAX) == 0);
}

static void if_active_words(void **state)
{
    (void)state;
    enum run_if_active value;
    assert_true(run_if_active_parse("refuse", &value) && value == RUN_REFUSE);
    assert_true(run_if_active_parse("allow", &value) && value == RUN_ALLOW);
    assert_true(run_if_active_parse("replace", &value) && value == RUN_REPLACE);
    assert_false(run_if_active_parse("", &value));
    assert_false(run_if_active_parse("Allow", &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds),
        cmocka_unit_test(commit_is_told_when_it_is_known),
        cmocka_unit_test(attempts_are_in_order),
        cmocka_unit_test(reasons),
        cmocka_unit_test(pods_that_go_with_their_job_are_no_failure),
        cmocka_unit_test(other_objects_are_refused),
        cmocka_unit_test(names),
        cmocka_unit_test(if_active_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
