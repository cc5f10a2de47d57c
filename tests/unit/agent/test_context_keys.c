// The context listener's certificate and tokens.
#include "agent/contexts/keys.h"
#include "tests/unit/scratch.h"

#include <sys/stat.h>

#define JOB "cw-0123456789abcdef-1"

static struct config config_for(const char *address)
{
    return (struct config){.state_directory = workspace,
                           .context.address = (char *)(uintptr_t)address};
}

static struct context_keys load(const char *address)
{
    struct config config = config_for(address);
    struct context_keys keys = {0};
    struct error err;
    if (!context_keys_load(&config, &keys, &err))
        fail_msg("%s", err.text);
    return keys;
}

static void made_once_for_a_host(void **state)
{
    (void)state;
    struct context_keys first = load("https://10.0.0.1:8443");
    assert_true(certificate_serves(first.certificate, "10.0.0.1", 1000));
    struct context_keys again = load("https://10.0.0.1:9999");
    assert_string_equal(again.certificate, first.certificate);
    assert_string_equal(again.key, first.key);
    char path[sizeof workspace + 16];
    struct stat status;
    snprintf(path, sizeof path, "%s/context.key", workspace);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    context_keys_finish(&again);

    struct context_keys other = load("https://[fd00::7]:8443");
    assert_true(certificate_serves(other.certificate, "fd00::7", 1000));
    assert_string_not_equal(other.key, first.key);
    context_keys_finish(&other);
    context_keys_finish(&first);

    // Half of them is none.
    struct error err;
    assert_true(file_write(path, 0600, "", 0, &err));
    other = load("https://name.example:8443");
    assert_true(certificate_serves(other.certificate, "name.example", 1000));
    context_keys_finish(&other);
}

static void those_of_the_settings_go_first(void **state)
{
    (void)state;
    char certificate[] = "a certificate", key[] = "a key";
    struct config config = config_for("https://10.0.0.1:8443");
    config.context.certificate.text = certificate;
    config.context.key.text = key;
    struct context_keys keys;
    struct error err;
    assert_true(context_keys_load(&config, &keys, &err));
    assert_string_equal(keys.certificate, certificate);
    assert_string_equal(keys.key, key);
    context_keys_finish(&keys);
}

static void a_token_is_good_for_one_job(void **state)
{
    (void)state;
    char one[] = "one key", two[] = "another key";
    struct context_keys keys = {.key = one}, others = {.key = two};
    json_t *job = json_pack("{s:{s:s, s:s, s:s}}", "metadata", "name", JOB, "namespace", "builds",
                            "uid", "11111111-2222-3333-4444-555555555555");
    char token[CONTEXT_TOKEN_SIZE], again[CONTEXT_TOKEN_SIZE], uid[CONTEXT_UID_SIZE];
    struct error err;
    assert_true(context_token(&keys, job, token, &err));
    assert_true(context_token(&keys, job, again, &err));
    assert_string_equal(again, token); // any agent that has the key
    assert_true(context_token_check(&keys, "builds", JOB, token, uid));
    assert_string_equal(uid, "11111111-2222-3333-4444-555555555555");

    assert_false(context_token_check(&others, "builds", JOB, token, uid));
    assert_false(context_token_check(&keys, "other", JOB, token, uid));
    assert_false(context_token_check(&keys, "builds", "cw-0123456789abcdef-2", token, uid));
    token[0] = '2'; // another uid
    assert_false(context_token_check(&keys, "builds", JOB, token, uid));
    token[0] = '1';
    token[strlen(token) - 1] ^= 1;
    assert_false(context_token_check(&keys, "builds", JOB, token, uid));
    token[strlen(token) - 1] = '\0';
    assert_false(context_token_check(&keys, "builds", JOB, token, uid));
    static const char *const none[] = {"", ".", "x", "11111111-2222-3333-4444-555555555555",
                                       "11111111-2222-3333-4444-555555555555."};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_false(context_token_check(&keys, "builds", JOB, none[i], uid));
    json_object_del(json_object_get(job, "metadata"), "uid");
    assert_false(context_token(&keys, job, token, &err));
    assert_int_equal(err.code, ERR_PROTOCOL);
    json_decref(job);
}

int main(void)
{
    if (!scratch_make())
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_once_for_a_host),
        cmocka_unit_test(those_of_the_settings_go_first),
        cmocka_unit_test(a_token_is_good_for_one_job),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return scratch_remove() ? failed : 1;
}
