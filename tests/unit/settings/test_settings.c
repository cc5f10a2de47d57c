// Settings that are reloaded while they are read.
#include "agent/settings.h"
#include "tests/unit/scratch.h"

#include <pthread.h>
#include <stdatomic.h>

#define FIXED                                                                                      \
    "webhooks: {listen: '127.0.0.1:1', github: {secretFiles: [secret]}}\n"                         \
    "git: {helper: /bin/true}\n"

#define NINE                                                                                       \
    "secret, secret, secret, secret, secret, secret, secret, secret, secret" // one too many

static char *path;
static struct settings *settings;

static void put(const char *name, const char *text)
{
    CLEANUP(free_ptr) char *file = xasprintf("%s/%s", workspace, name);
    assert_true(file_write(file, 0600, text, strlen(text), NULL));
}

static int set_up(void **state)
{
    (void)state;
    assert_true(scratch_make());
    path = xasprintf("%s/cronwright.yaml", workspace);
    put("secret", "first\n");
    put("cronwright.yaml", FIXED "stateDirectory: one\n");
    struct config_errors errors;
    assert_true(settings_load(path, &settings, &errors));
    config_errors_finish(&errors);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    settings_destroy(settings);
    free(path);
    return scratch_remove() ? 0 : -1;
}

static void note_kept(void *user, const char *key)
{
    struct buffer *kept = user;
    assert_true(buffer_printf(kept, NULL, "%s ", key));
}

static bool reload(struct buffer *kept, struct config_errors *errors)
{
    buffer_clear(kept);
    return settings_reload(settings, note_kept, kept, errors);
}

static void test_what_is_held_stays(void **state)
{
    (void)state;
    CLEANUP(settings_drop_ptr) const struct config *before = settings_hold(settings);
    CLEANUP(buffer_finish) struct buffer kept = {0};
    CLEANUP(config_errors_finish) struct config_errors errors = {0};
    put("secret", "second\n");
    put("cronwright.yaml", FIXED "stateDirectory: one\nsweep: {interval: 1h}\n");
    assert_true(reload(&kept, &errors));
    assert_string_equal(buffer_text(&kept), "");
    CLEANUP(settings_drop_ptr) const struct config *after = settings_hold(settings);
    assert_string_equal(before->webhooks.github_secrets.items[0].text, "first");
    assert_string_equal(after->webhooks.github_secrets.items[0].text, "second");
    assert_int_equal(before->sweep.interval_ms, 300000);
    assert_int_equal(after->sweep.interval_ms, 3600000);
    const struct webhook_secrets *old = settings_webhook_secrets(before),
                                 *fresh = settings_webhook_secrets(after);
    assert_memory_equal(old->list[SECRET_HMAC][0].bytes, "first", 5);
    assert_memory_equal(fresh->list[SECRET_HMAC][0].bytes, "second", 6);
}

static void test_what_needs_a_restart_is_told_and_stays(void **state)
{
    (void)state;
    CLEANUP(buffer_finish) struct buffer kept = {0};
    CLEANUP(config_errors_finish) struct config_errors errors = {0};
    put("cronwright.yaml", "webhooks: {listen: 'unix:/run/x', maxConnections: 7}\n"
                           "admin: {listen: '127.0.0.1:9'}\n"
                           "metrics: {listen: ''}\n"
                           "kubernetes: {namespaces: [reports, sales], context: other}\n"
                           "builds: {namespace: elsewhere, maxConcurrent: 9}\n"
                           "git: {helper: /bin/true, maxConcurrent: 9}\n"
                           "stateDirectory: other\n");
    for (int i = 0; i < 2; i++) { // they are no less changed the second time
        assert_true(reload(&kept, &errors));
        assert_string_equal(
            buffer_text(&kept),
            "stateDirectory webhooks.listen webhooks.maxConnections admin.listen "
            "metrics.listen kubernetes.context kubernetes.namespaces git.maxConcurrent "
            "builds.namespace ");
        CLEANUP(settings_drop_ptr) const struct config *config = settings_hold(settings);
        CLEANUP(free_ptr) char *one = xasprintf("%s/one", workspace);
        assert_string_equal(config->state_directory, one);
        assert_string_equal(config->webhooks.listen.host, "127.0.0.1");
        assert_null(config->webhooks.listen.unix_path);
        assert_int_equal(config->webhooks.max_connections, 256);
        assert_string_equal(config->metrics.listen.host, "127.0.0.1");
        assert_int_equal(config->kubernetes.namespaces.count, 0);
        assert_string_equal(config->builds.namespace, "cronwright-builds");
        assert_int_equal(config->builds.max_concurrent, 9); // this does not
        assert_int_equal(config->webhooks.github_secrets.count, 0);
    }
}

#define SERVES                                                                                     \
    FIXED "stateDirectory: one\ncontext: {listen: '127.0.0.1:5', address: 'https://h:5', "         \
          "image: h/cronwright}\n"

// What serves contexts stays whole: Jobs are never told of an image that is none.
static void test_context_listener_stays_whole(void **state)
{
    (void)state;
    CLEANUP(buffer_finish) struct buffer kept = {0};
    CLEANUP(config_errors_finish) struct config_errors errors = {0};
    struct settings *serving;
    put("cronwright.yaml", SERVES);
    assert_true(settings_load(path, &serving, &errors));
    put("cronwright.yaml", FIXED "stateDirectory: one\nmetrics: {listen: ''}\n");
    assert_true(settings_reload(serving, note_kept, &kept, &errors));
    assert_string_equal(buffer_text(&kept),
                        "metrics.listen context.listen context.address context.image ");
    const struct config *config = settings_hold(serving);
    assert_true(config_serves_contexts(config));
    assert_string_equal(config->context.address, "https://h:5");
    assert_string_equal(config->context.image, "h/cronwright");
    assert_int_equal(config->metrics.listen.port, 8082);
    settings_drop(config);
    settings_destroy(serving);
}

static void test_a_file_with_errors_changes_nothing(void **state)
{
    (void)state;
    CLEANUP(settings_drop_ptr) const struct config *before = settings_hold(settings);
    CLEANUP(buffer_finish) struct buffer kept = {0};
    static const char *const files[] = {
        FIXED "sweep: {interval: 1h}\nzzz: 1\n",
        "a: b: c\n",
        "webhooks: {github: {secretFiles: [" NINE "]}}\ngit: {helper: /bin/true}\n",
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct config_errors errors = {0};
        put("cronwright.yaml", files[i]);
        assert_false(reload(&kept, &errors));
        assert_int_equal(errors.count, 1);
        config_errors_finish(&errors);
        CLEANUP(settings_drop_ptr) const struct config *after = settings_hold(settings);
        assert_ptr_equal(before, after);
    }
}

// --- a reader never sees half a file ---

static atomic_bool enough;

static void *read_on(void *failed)
{
    while (!enough) {
        CLEANUP(settings_drop_ptr) const struct config *config = settings_hold(settings);
        const struct webhook_secret *secret =
            &settings_webhook_secrets(config)->list[SECRET_HMAC][0];
        bool first = config->sweep.interval_ms == 60000;
        bool whole = first ? config->allow.count == 1 && secret->len == 1
                           : config->allow.count == 2 && secret->len == 2;
        if (!whole)
            atomic_fetch_add((atomic_int *)failed, 1);
    }
    return NULL;
}

#define ENTRY "- {namespaces: [a], repositories: ['*'], images: ['*']}\n"

static void test_readers_see_one_file_or_the_other(void **state)
{
    (void)state;
    enum { READERS = 4, ROUNDS = 100 };
    static const char *const files[] = {
        "webhooks: {github: {secretFiles: [a]}}\ngit: {helper: /bin/true}\n"
        "sweep: {interval: 1m}\nallow:\n" ENTRY,
        "webhooks: {github: {secretFiles: [b]}}\ngit: {helper: /bin/true}\n"
        "sweep: {interval: 2m}\nallow:\n" ENTRY ENTRY,
    };
    CLEANUP(buffer_finish) struct buffer kept = {0};
    CLEANUP(config_errors_finish) struct config_errors errors = {0};
    pthread_t readers[READERS];
    atomic_int failed = 0;
    put("a", "1\n");
    put("b", "22\n");
    put("cronwright.yaml", files[1]);
    assert_true(reload(&kept, &errors));
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_on, &failed), 0);
    for (int i = 0; i < ROUNDS; i++) {
        put("cronwright.yaml", files[i % 2]);
        assert_true(reload(&kept, &errors));
    }
    enough = true;
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    assert_int_equal(failed, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_held_stays),
        TEST(test_what_needs_a_restart_is_told_and_stays),
        TEST(test_context_listener_stays_whole),
        TEST(test_a_file_with_errors_changes_nothing),
        TEST(test_readers_see_one_file_or_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
