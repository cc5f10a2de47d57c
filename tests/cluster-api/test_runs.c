// Forced runs in a real cluster: made as kubectl makes them, once for each key, and told in words.
#include "tests/cluster-api/cluster.h"

#include "agent/base/process.h"
#include "deploy/runs.h"

#define THREADS 24

static void create_cronjob(const char *name, const char *script, json_t *pod_more)
{
    json_t *object = json_pack(
        "{s:s, s:s, s:{s:s, s:{s:s}, s:{s:s, s:s, s:s, s:s}}, s:{s:s, s:b}}", "apiVersion",
        "batch/v1", "kind", "CronJob", "metadata", "name", name, "labels", LABEL_MANAGED, "true",
        "annotations", ANNOTATION_REPOSITORY, "https://git.example/acme/report", ANNOTATION_BRANCH,
        "main", ANNOTATION_COMMIT, "a41f09c", ANNOTATION_PATCHED_IMAGE, cluster.busybox, "spec",
        "schedule", "0 0 1 1 *", "suspend", 1);
    json_t *pod = json_pack("{s:s, s:i, s:[{s:s, s:s, s:s, s:[s,s,s,s]}]}", "restartPolicy",
                            "Never", "terminationGracePeriodSeconds", 1, "containers", "name",
                            "main", "imagePullPolicy", "IfNotPresent", "image", cluster.busybox,
                            "command", "/bin/busybox", "sh", "-c", script);
    json_object_update_missing(pod_more, pod);
    json_object_set_new(json_object_get(object, "spec"), "jobTemplate",
                        json_pack("{s:{s:{s:s}, s:{s:s}}, s:{s:i, s:{s:{s:{s:s}}, s:o}}}",
                                  "metadata", "labels", "team", "sales", "annotations", "note",
                                  "kept", "spec", "backoffLimit", 0, "template", "metadata",
                                  "labels", "pod", "yes", "spec", pod_more));
    json_decref(pod);
    json_decref(cluster_create(&KUBE_CRONJOBS, cluster.namespace_, object));
}

static struct run *force(const char *cronjob, const struct run_request *request)
{
    struct run_created created;
    struct run_request forced = *request;
    forced.kind = RUN_FORCED;
    assert_ok(run_create(cluster.client, cluster.namespace_, cronjob, &forced, &created, &err));
    json_decref(created.warnings);
    return created.run;
}

static const struct service *service_of(const char *name)
{
    const struct service *service = NULL;
    assert_ok(cronjob_get(cluster.client, cluster.namespace_, name, &service, &err));
    return service;
}

static json_t *job_json(const char *name)
{
    struct kube_request request = {
        .resource = &KUBE_JOBS, .namespace_ = cluster.namespace_, .name = name};
    struct kube_reply reply;
    assert_ok(kube_request(cluster.client, &request, &reply, &err));
    return reply.body;
}

// Asks for the run until it is in this state.
static struct run *await_state(const struct service *service, const char *name,
                               enum run_state state)
{
    struct run *run = NULL;
    await((run_free(run), run = NULL, run_get(cluster.client, service, name, &run, NULL)) &&
          run->state == state);
    return run;
}

// --- as kubectl does ---

static json_t *kubectl_job(const char *kubectl, const char *cronjob)
{
    const char *const argv[] = {kubectl,
                                "--kubeconfig",
                                getenv("KUBECONFIG"),
                                "-n",
                                cluster.namespace_,
                                "create",
                                "job",
                                "by-kubectl",
                                xasprintf("--from=cronjob/%s", cronjob),
                                "-o",
                                "json",
                                NULL};
    const char *const environment[] = {"HOME=/tmp", NULL};
    struct buffer output = {0};
    json_t *job = NULL;
    assert_ok(child_run(argv, environment, NULL, 0, CLUSTER_TIMEOUT_MS, &output, &err));
    assert_ok(kube_json_read(output.data, output.len, &job, &err));
    buffer_finish(&output);
    free((void *)(uintptr_t)argv[8]);
    return job;
}

// Removes what differs between any two Jobs.
static void strip_own(json_t *job)
{
    static const char *const own[] = {"batch.kubernetes.io/controller-uid",
                                      "batch.kubernetes.io/job-name", "controller-uid", "job-name"};
    json_t *spec = json_object_get(job, "spec");
    json_t *labels =
        json_object_get(json_object_get(json_object_get(spec, "template"), "metadata"), "labels");
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        json_object_del(labels, own[i]);
        json_object_del(json_object_get(json_object_get(job, "metadata"), "labels"), own[i]);
    }
    json_object_del(spec, "selector");
}

static void made_as_kubectl_makes_it(void **state)
{
    (void)state;
    const char *kubectl = getenv("KUBECTL");
    if (!kubectl) {
        fprintf(stderr, "SKIPPED: KUBECTL is not set\n");
        skip();
    }
    create_cronjob("same", "true", json_object());
    CLEANUP(json_ptr) json_t *theirs = kubectl_job(kubectl, "same");
    CLEANUP(run_ptr)
    struct run *run = force("same", &(struct run_request){
                                        .if_active = RUN_ALLOW,
                                        .requested_by = "ana",
                                    });
    CLEANUP(json_ptr) json_t *ours = job_json(run->name);
    strip_own(theirs);
    strip_own(ours);
    assert_true(json_equal(json_object_get(theirs, "spec"), json_object_get(ours, "spec")));
    json_t *their_meta = json_object_get(theirs, "metadata");
    json_t *our_meta = json_object_get(ours, "metadata");
    static const char *const same[] = {"labels", "ownerReferences"};
    for (size_t i = 0; i < 2; i++)
        assert_true(
            json_equal(json_object_get(their_meta, same[i]), json_object_get(our_meta, same[i])));
    json_t *annotations = json_object_get(our_meta, "annotations");
    assert_string_equal(json_text_at(annotations, ANNOTATION_RUN_KIND, NULL), "forced");
    assert_string_equal(json_text_at(annotations, ANNOTATION_REQUESTED_BY, NULL), "ana");
    assert_string_equal(json_text_at(annotations, ANNOTATION_COMMIT, NULL), "a41f09c");
    json_object_del(annotations, ANNOTATION_RUN_KIND);
    json_object_del(annotations, ANNOTATION_REQUESTED_BY);
    json_object_del(annotations, ANNOTATION_COMMIT);
    assert_true(json_equal(annotations, json_object_get(their_meta, "annotations")));
}

static void cronjob_is_not_touched(void **state)
{
    (void)state;
    create_cronjob("untouched", "true", json_object());
    CLEANUP(service_ptr) const struct service *before = service_of("untouched");
    run_free(force("untouched", &(struct run_request){0}));
    struct kube_request request = {
        .resource = &KUBE_CRONJOBS, .namespace_ = cluster.namespace_, .name = "untouched"};
    struct kube_reply reply;
    assert_ok(kube_request(cluster.client, &request, &reply, &err));
    size_t i;
    json_t *entry; // only its controller may have written its status
    json_array_foreach(json_at(reply.body, "metadata", "managedFields", NULL), i, entry)
        assert_true(json_at(entry, "subresource", NULL) || i == 0);
    assert_int_equal(json_integer_value(json_at(reply.body, "metadata", "generation", NULL)), 1);
    kube_reply_finish(&reply);
}

// --- names and keys ---

static struct {
    const struct run_request *request;
    char names[THREADS][RUN_NAME_SIZE];
    int made;
    pthread_mutex_t mutex; // guards `made`
} race = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void *request_in_thread(void *user)
{
    size_t index = (size_t)(uintptr_t)user;
    struct run_created created;
    // Some come while another is between its look for active runs and its own run.
    nanosleep(&(struct timespec){.tv_nsec = (long)index * 500000}, NULL);
    struct error err = {.code = ERR_NONE};
    if (!run_create(cluster.client, cluster.namespace_, "keyed", race.request, &created, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return NULL;
    }
    snprintf(race.names[index], RUN_NAME_SIZE, "%s", created.run->name);
    pthread_mutex_lock(&race.mutex);
    race.made += !created.existed;
    pthread_mutex_unlock(&race.mutex);
    run_free(created.run);
    json_decref(created.warnings);
    return NULL;
}

static void one_key_makes_one_job(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    const struct run_request request = {
        .kind = RUN_FORCED, .idempotency_key = "deploy 7f3", .requested_by = "ana"};
    create_cronjob("keyed", "sleep 100", json_object());
    race.request = &request;
    for (size_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, request_in_thread, (void *)i);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(race.made, 1);
    assert_true(*race.names[0]);
    for (size_t i = 1; i < THREADS; i++)
        assert_string_equal(race.names[i], race.names[0]);
    CLEANUP(service_ptr) const struct service *service = service_of("keyed");
    CLEANUP(run_list_finish) struct run_list runs = {0};
    assert_ok(run_list(cluster.client, service, 0, &runs, &err));
    assert_int_equal(runs.count, 1);
    // Another key is another run, and this one is active.
    struct run_request other = request;
    struct run_created created;
    other.idempotency_key = "deploy 7f4";
    assert_fails(run_create(cluster.client, cluster.namespace_, "keyed", &other, &created, &err),
                 ERR_CONFLICT);
    assert_ok(run_cancel(cluster.client, service, runs.items[0]->name, KUBE_BACKGROUND, &err));
}

static void longest_name_fits(void **state)
{
    (void)state;
    static const char name[] = "a2345678901234567890123456789012345678901234567890-x";
    assert_int_equal(strlen(name), KUBE_CRONJOB_NAME_MAX);
    create_cronjob(name, "true", json_object());
    CLEANUP(run_ptr) struct run *run = force(name, &(struct run_request){0});
    assert_true(strlen(run->name) <= KUBE_LABEL_MAX);
    CLEANUP(service_ptr) const struct service *service = service_of(name);
    CLEANUP(run_ptr) struct run *done = await_state(service, run->name, RUN_SUCCEEDED);
    assert_string_equal(done->service, name);
}

// --- active runs ---

static void active_run_is_refused_allowed_or_replaced(void **state)
{
    (void)state;
    struct run_created created;
    create_cronjob("busy", "sleep 100", json_object());
    CLEANUP(service_ptr) const struct service *service = service_of("busy");
    CLEANUP(run_ptr) struct run *first = force("busy", &(struct run_request){0});
    run_free(await_state(service, first->name, RUN_RUNNING));
    struct error refused;
    assert_false(run_create(cluster.client, cluster.namespace_, "busy", &(struct run_request){0},
                            &created, &refused));
    assert_int_equal(refused.code, ERR_CONFLICT);
    assert_non_null(strstr(refused.text, first->name));

    CLEANUP(run_ptr)
    struct run *beside = force("busy", &(struct run_request){.if_active = RUN_ALLOW});
    run_free(await_state(service, beside->name, RUN_RUNNING)); // its pod is there to be cancelled
    CLEANUP(run_list_finish) struct run_list both = {0};
    assert_ok(run_list(cluster.client, service, 0, &both, &err));
    assert_int_equal(both.count, 2);

    CLEANUP(run_ptr)
    struct run *last = force("busy", &(struct run_request){.if_active = RUN_REPLACE});
    CLEANUP(run_list_finish) struct run_list left = {0};
    assert_ok(run_list(cluster.client, service, 0, &left, &err));
    assert_int_equal(left.count, 1);
    assert_string_equal(left.items[0]->name, last->name);
    CLEANUP(free_ptr)
    char *selector = xasprintf(KUBE_LABEL_JOB_NAME " in (%s,%s)", first->name, beside->name);
    struct kube_request request = {.resource = &KUBE_PODS,
                                   .namespace_ = cluster.namespace_,
                                   .query = {{"labelSelector", selector}}};
    struct kube_reply reply;
    assert_ok(kube_request(cluster.client, &request, &reply, &err));
    assert_int_equal(json_array_size(json_at(reply.body, "items", NULL)), 0);
    kube_reply_finish(&reply);

    assert_ok(run_cancel(cluster.client, service, last->name, KUBE_FOREGROUND, &err));
    struct run *gone = NULL;
    await(!run_get(cluster.client, service, last->name, &gone, NULL) || (run_free(gone), false));
}

static void unbuilt_draft_is_not_run(void **state)
{
    (void)state;
    struct run_created created;
    const char *image = cluster.busybox;
    cluster.busybox = "registry.example/acme/report:" TAG_NOT_BUILT;
    create_cronjob("draft", "true", json_object());
    cluster.busybox = image;
    assert_fails(run_create(cluster.client, cluster.namespace_, "draft", &(struct run_request){0},
                            &created, &err),
                 ERR_CONFLICT);
}

static void run_of_another_is_not_found(void **state)
{
    (void)state;
    create_cronjob("mine", "true", json_object());
    create_cronjob("yours", "true", json_object());
    CLEANUP(service_ptr) const struct service *yours = service_of("yours");
    CLEANUP(run_ptr) struct run *mine = force("mine", &(struct run_request){0});
    struct run *run;
    assert_fails(run_get(cluster.client, yours, mine->name, &run, &err), ERR_NOT_FOUND);
    assert_fails(run_cancel(cluster.client, yours, mine->name, KUBE_BACKGROUND, &err),
                 ERR_NOT_FOUND);
    CLEANUP(run_list_finish) struct run_list none = {0};
    assert_ok(run_list(cluster.client, yours, 0, &none, &err));
    assert_int_equal(none.count, 0);
}

// --- how it went ---

static void forced_run_tells_how_it_went(void **state)
{
    (void)state;
    create_cronjob("fails", "exit 3", json_object());
    CLEANUP(service_ptr) const struct service *service = service_of("fails");
    CLEANUP(run_ptr)
    struct run *made = force("fails", &(struct run_request){.requested_by = "ana"});
    CLEANUP(run_ptr) struct run *run = await_state(service, made->name, RUN_FAILED);
    assert_int_equal(run->kind, RUN_FORCED);
    assert_string_equal(run->requested_by, "ana");
    assert_string_equal(run->reason, "exit 3");
    assert_string_equal(run->image, cluster.busybox);
    assert_string_equal(run->commit, "a41f09c");
    assert_int_equal(run->backoff_limit, 0);
    assert_true(run->started.ms >= run->created.ms && run->finished.ms >= run->started.ms);
    assert_int_equal(run->attempt_count, 1);
    assert_int_equal(run->attempts[0].exit_code, 3);
    assert_int_equal(run->attempts[0].state, RUN_FAILED);
    assert_true(run->attempts[0].finished.ms >= run->attempts[0].started.ms);
}

// Forces a run and gives its reason once it is the one wanted.
static void expect_reason(const char *name, json_t *pod_more, const char *script,
                          enum run_state state, const char *wanted)
{
    create_cronjob(name, script, pod_more);
    CLEANUP(service_ptr) const struct service *service = service_of(name);
    CLEANUP(run_ptr) struct run *made = force(name, &(struct run_request){0});
    struct run *run = NULL;
    struct mono_time deadline = mono_after(CLUSTER_TIMEOUT_MS);
    do {
        run_free(run);
        run = NULL;
        assert_ok(run_get(cluster.client, service, made->name, &run, &err));
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    } while ((run->state != state || strncmp(run->reason, wanted, strlen(wanted)) != 0) &&
             !mono_past(deadline));
    if (mono_past(deadline))
        fail_msg("%s: %s: \"%s\" instead of \"%s\"", name, run_state_word(run->state), run->reason,
                 wanted);
    run_free(run);
    assert_ok(run_cancel(cluster.client, service, made->name, KUBE_BACKGROUND, &err));
}

static void unschedulable_is_told(void **state)
{
    (void)state;
    expect_reason("homeless", json_pack("{s:{s:s}}", "nodeSelector", "no-such", "node"), "true",
                  RUN_PENDING, "unschedulable: ");
}

static void missing_image_is_told(void **state)
{
    (void)state;
    const char *image = cluster.busybox;
    CLEANUP(free_ptr) char *missing = xasprintf("%s-missing", image);
    cluster.busybox = missing;
    expect_reason("imageless", json_object(), "true", RUN_PENDING, "image cannot be pulled: ");
    cluster.busybox = image;
}

static void failing_init_container_is_told(void **state)
{
    (void)state;
    expect_reason("unprepared",
                  json_pack("{s:[{s:s, s:s, s:[s,s,s,s]}]}", "initContainers", "name", "prepare",
                            "image", cluster.busybox, "command", "/bin/busybox", "sh", "-c",
                            "exit 5"),
                  "true", RUN_FAILED, "container prepare: exit 5");
}

static void out_of_memory_is_told(void **state)
{
    (void)state;
    json_t *pod = json_pack("{s:[{s:s, s:s, s:[s,s,s,s], s:{s:{s:s}}}]}", "containers", "name",
                            "main", "image", cluster.busybox, "command", "/bin/busybox", "sh", "-c",
                            "exec /bin/busybox dd if=/dev/zero of=/dev/null bs=500M count=2",
                            "resources", "limits", "memory", "32Mi");
    expect_reason("hungry", pod, "", RUN_FAILED, "out of memory (32Mi)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_as_kubectl_makes_it),
        cmocka_unit_test(cronjob_is_not_touched),
        cmocka_unit_test(one_key_makes_one_job),
        cmocka_unit_test(longest_name_fits),
        cmocka_unit_test(active_run_is_refused_allowed_or_replaced),
        cmocka_unit_test(unbuilt_draft_is_not_run),
        cmocka_unit_test(run_of_another_is_not_found),
        cmocka_unit_test(forced_run_tells_how_it_went),
        cmocka_unit_test(unschedulable_is_told),
        cmocka_unit_test(missing_image_is_told),
        cmocka_unit_test(failing_init_container_is_told),
        cmocka_unit_test(out_of_memory_is_told),
    };
    return cluster_run(tests);
}
