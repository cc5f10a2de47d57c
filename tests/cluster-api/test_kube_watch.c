// List and watch of a real API server, with connections that are cut.
#include "tests/cluster-api/cluster.h"

#include "deploy/kube/patch.h"
#include "deploy/kube/watch.h"

static const struct kube_resource CONFIG_MAPS = {"/api/v1", "configmaps"};

// What a watch told: name → value of data.colour, as of now.
static struct {
    pthread_mutex_t mutex; // guards the rest
    json_t *now;
    int added;
    int modified;
    int deleted;
    int synced;
    int failed;
} told = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void item(void *user, enum kube_event event, const json_t *object)
{
    (void)user;
    const char *name = json_text_at(object, "metadata", "name", NULL);
    pthread_mutex_lock(&told.mutex);
    assert_string_equal(json_text_at(object, "metadata", "namespace", NULL), cluster.namespace_);
    assert_non_null(json_text_at(object, "metadata", "uid", NULL));
    if (event == KUBE_DELETED)
        json_object_del(told.now, name);
    else
        json_object_set_new(told.now, name,
                            json_string(json_text_at(object, "data", "colour", NULL)));
    told.added += event == KUBE_ADDED;
    told.modified += event == KUBE_MODIFIED;
    told.deleted += event == KUBE_DELETED;
    pthread_mutex_unlock(&told.mutex);
}

static void synced(void *user)
{
    (void)user;
    pthread_mutex_lock(&told.mutex);
    told.synced++;
    pthread_mutex_unlock(&told.mutex);
}

static void failed(void *user, const struct error *err, int64_t retry_ms)
{
    (void)user;
    assert_true(err->code != ERR_NONE && *err->text && retry_ms >= 0);
    pthread_mutex_lock(&told.mutex);
    told.failed++;
    pthread_mutex_unlock(&told.mutex);
}

static const struct kube_watch_events events = {item, synced, failed};

// The colour told of an object: "" when there is none. Valid until the next call.
static const char *colour(const char *name)
{
    static char copy[32];
    pthread_mutex_lock(&told.mutex);
    const char *text = json_text_at(told.now, name, NULL);
    snprintf(copy, sizeof copy, "%s", text ? text : "");
    pthread_mutex_unlock(&told.mutex);
    return copy;
}

static bool is(const char *text, const char *wanted)
{
    return strcmp(text, wanted) == 0;
}

static size_t present(void)
{
    pthread_mutex_lock(&told.mutex);
    size_t count = json_object_size(told.now);
    pthread_mutex_unlock(&told.mutex);
    return count;
}

static int count_of(const int *counter)
{
    pthread_mutex_lock(&told.mutex);
    int count = *counter;
    pthread_mutex_unlock(&told.mutex);
    return count;
}

static void create(const char *name, const char *set, const char *shade)
{
    json_decref(cluster_create(&CONFIG_MAPS, cluster.namespace_,
                               json_pack("{s:s, s:s, s:{s:s, s:{s:s}}, s:{s:s}}", "apiVersion",
                                         "v1", "kind", "ConfigMap", "metadata", "name", name,
                                         "labels", "set", set, "data", "colour", shade)));
}

static void change(const char *name, const char *const at[], const char *value)
{
    CLEANUP(json_ptr) json_t *patch = patch_create();
    patch_replace(patch, at, value);
    struct kube_request request = {.method = "PATCH",
                                   .resource = &CONFIG_MAPS,
                                   .namespace_ = cluster.namespace_,
                                   .name = name,
                                   .content_type = KUBE_JSON_PATCH,
                                   .body = patch};
    assert_ok(kube_request(cluster.client, &request, NULL, &err));
}

static void destroy(const char *name)
{
    assert_ok(kube_delete(cluster.client, &CONFIG_MAPS, cluster.namespace_, name, NULL,
                          KUBE_BACKGROUND, &err));
}

static struct kube_watch *start(const char *selector)
{
    struct kube_watch_options options = {
        .resource = &CONFIG_MAPS, .namespace_ = cluster.namespace_, .label_selector = selector};
    told.now = json_object();
    told.added = told.modified = told.deleted = told.synced = told.failed = 0;
    struct kube_watch *watch =
        kube_watch_create(cluster.client, cluster.loop, &options, &events, NULL);
    await(kube_watch_synced(watch));
    return watch;
}

static void stop(struct kube_watch *watch)
{
    kube_watch_destroy(watch);
    json_decref(told.now);
}

static void changes_arrive(void **state)
{
    (void)state;
    create("before", "changes", "red");
    struct kube_watch *watch = start("set=changes");
    assert_string_equal(colour("before"), "red");
    assert_int_equal(count_of(&told.added), 1);
    create("after", "changes", "green");
    create("other", "something-else", "black");
    await(is(colour("after"), "green"));
    change("before", PATCH_AT("data", "colour"), "blue");
    await(is(colour("before"), "blue"));
    // Whatever loses the label is gone for those who select by it.
    change("before", PATCH_AT("metadata", "labels", "set"), "elsewhere");
    await(is(colour("before"), ""));
    destroy("after");
    await(present() == 0);
    assert_int_equal(count_of(&told.added), 2);
    assert_int_equal(count_of(&told.modified), 1);
    assert_int_equal(count_of(&told.deleted), 2);
    assert_int_equal(count_of(&told.synced), 1);
    assert_false(kube_watch_failing(watch, NULL));
    stop(watch);
}

static void cut_connection_loses_nothing(void **state)
{
    (void)state;
    create("kept", "cut", "red");
    struct kube_watch *watch = start("set=cut");
    change("kept", PATCH_AT("data", "colour"), "orange");
    await(is(colour("kept"), "orange")); // the watch is open, not only the list had
    for (int round = 1; round <= 3; round++) {
        char shade[16];
        snprintf(shade, sizeof shade, "shade-%d", round);
        assert_true(relay_cut() > 0);
        change("kept", PATCH_AT("data", "colour"), shade);
        await(is(colour("kept"), shade));
        assert_int_equal(count_of(&told.failed), round);
    }
    assert_int_equal(count_of(&told.synced), 1); // it went on from where it was
    assert_int_equal(count_of(&told.added), 1);
    assert_int_equal(count_of(&told.modified), 4);
    stop(watch);
}

static void long_list_is_told_whole(void **state)
{
    (void)state;
    for (int i = 0; i < 215; i++) {
        char name[32];
        snprintf(name, sizeof name, "many-%d", i);
        create(name, "many", "red");
    }
    struct kube_watch *watch = start("set=many");
    assert_int_equal(present(), 215);
    assert_int_equal(count_of(&told.added), 215);
    create("one-more", "many", "green");
    await(present() == 216);
    stop(watch);
}

static void nothing(void *user, enum kube_event event, const json_t *object)
{
    (void)user, (void)event, (void)object;
}

static void destroyed_at_any_moment(void **state)
{
    (void)state;
    static const struct kube_watch_events deaf = {.item = nothing};
    struct kube_watch_options options = {.resource = &CONFIG_MAPS};
    for (int i = 0; i < 20; i++) {
        struct kube_watch *watch =
            kube_watch_create(cluster.client, cluster.loop, &options, &deaf, NULL);
        nanosleep(&(struct timespec){.tv_nsec = i * 500000},
                  NULL); // any: there is nothing to await
        kube_watch_destroy(watch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_arrive),
        cmocka_unit_test(cut_connection_loses_nothing),
        cmocka_unit_test(long_list_is_told_whole),
        cmocka_unit_test(destroyed_at_any_moment),
    };
    return cluster_run(tests);
}
