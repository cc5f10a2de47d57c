#include "agent/base/file.h"
#include "deploy/kube/kubeconfig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/cronwright-kubeconfig-XXXXXX";

static void put(const char *name, const char *text)
{
    struct error err;
    CLEANUP(free_ptr) char *path = xasprintf("%s/%s", directory, name);
    if (!file_write(path, 0700, text, strlen(text), &err))
        fail_msg("%s", err.text);
}

// A kubeconfig of one context with this cluster and this user, in YAML's flow style.
static void put_config(const char *about, const char *user)
{
    CLEANUP(free_ptr)
    char *text = xasprintf("clusters:\n- {name: c, cluster: %s}\n"
                           "users:\n- {name: u, user: %s}\n"
                           "contexts:\n- {name: x, context: {cluster: c, user: u, namespace: n}}\n"
                           "- {name: bare, context: {cluster: c}}\n"
                           "current-context: x\n",
                           about, user);
    put("config", text);
}

static struct kube_access *open_config(const char *about, const char *user, struct error *err)
{
    struct kube_access *access = NULL;
    CLEANUP(free_ptr) char *path = xasprintf("%s/config", directory);
    put_config(about, user);
    return kube_access_from_file(path, NULL, &access, err) ? access : NULL;
}

static struct kube_access *must_open(const char *about, const char *user)
{
    struct error err;
    struct kube_access *access = open_config(about, user, &err);
    if (!access)
        fail_msg("%s", err.text);
    return access;
}

static const struct kube_identity *identity_of(struct kube_access *access)
{
    struct error err;
    const struct kube_identity *identity = NULL;
    if (!kube_access_identity(access, mono_after(10000), &identity, &err))
        fail_msg("%s", err.text);
    return identity;
}

static void assert_authorization(struct kube_access *access, const char *wanted)
{
    CLEANUP(kube_identity_ptr) const struct kube_identity *identity = identity_of(access);
    if (wanted)
        assert_string_equal(identity->authorization, wanted);
    else
        assert_null(identity->authorization);
}

#define CLUSTER "{server: 'https://h:6443'}"

// --- what is read ---

static void all_of_a_cluster_and_a_user(void **state)
{
    (void)state;
    put("ca.pem", "the CA");
    put("key.pem", "the key");
    struct kube_access *access =
        must_open("{server: 'https://[fd00::1]:6443//', certificate-authority: ca.pem, "
                  "tls-server-name: api.example, proxy-url: 'http://proxy:3128'}",
                  "{client-certificate-data: dGhlIGNlcnQ=, client-certificate: nowhere.pem, "
                  "client-key: key.pem, username: ana, password: 'p w'}");
    CLEANUP(kube_identity_ptr) const struct kube_identity *identity = identity_of(access);
    CLEANUP(free_ptr) char *ca = xasprintf("%s/ca.pem", directory);
    assert_string_equal(kube_access_server(access), "https://[fd00::1]:6443");
    assert_string_equal(identity->trust.ca_file, ca);
    assert_string_equal(identity->trust.server_name, "api.example");
    assert_string_equal(identity->trust.proxy, "http://proxy:3128");
    assert_string_equal(identity->trust.cert_pem, "the cert"); // data goes before a path
    assert_string_equal(identity->trust.key_pem, "the key");
    assert_string_equal(identity->trust.username, "ana");
    assert_string_equal(identity->trust.password, "p w");
    assert_false(identity->trust.insecure_skip_verify);
    assert_null(identity->authorization);
    kube_identity_release(identity);
    identity = NULL;
    kube_access_destroy(access);
}

static void token_file_goes_before_token(void **state)
{
    (void)state;
    put("token", "from-file\n");
    struct kube_access *access = must_open(CLUSTER, "{token: literal, tokenFile: token}");
    assert_authorization(access, "Authorization: Bearer from-file");
    kube_access_destroy(access);
    access = must_open(CLUSTER, "{token: literal}");
    assert_authorization(access, "Authorization: Bearer literal");
    kube_access_destroy(access);
}

static void refused_token_is_read_again(void **state)
{
    (void)state;
    put("token", "old");
    struct kube_access *access = must_open(CLUSTER, "{tokenFile: token}");
    put("token", "new");
    assert_authorization(access, "Authorization: Bearer old"); // not older than a minute
    kube_access_rejected(access, 7);                           // of some other generation
    assert_authorization(access, "Authorization: Bearer old");
    kube_access_rejected(access, 1);
    assert_authorization(access, "Authorization: Bearer new");
    CLEANUP(free_ptr) char *path = xasprintf("%s/token", directory);
    unlink(path);
    kube_access_rejected(access, 2);
    assert_authorization(access, "Authorization: Bearer new"); // the last good one
    kube_access_destroy(access);
}

static void assert_authority(struct kube_access *access, const char *wanted)
{
    CLEANUP(kube_identity_ptr) const struct kube_identity *identity = identity_of(access);
    assert_string_equal(identity->trust.ca_pem, wanted);
}

static void refused_credentials_are_looked_up_in_the_file_itself(void **state)
{
    (void)state;
    CLEANUP(free_ptr) char *path = xasprintf("%s/config", directory);
    struct kube_access *access = must_open(CLUSTER, "{token: old}");
    put_config(CLUSTER, "{token: new}");
    assert_authorization(access, "Authorization: Bearer old");
    kube_access_rejected(access, 1);
    assert_authorization(access, "Authorization: Bearer new");
    kube_access_destroy(access);

    access = must_open("{server: 'https://one/', certificate-authority-data: b2xk}", "{token: t}");
    assert_authority(access, "old");
    put_config("{server: 'https://one', certificate-authority-data: bmV3}", "{token: t}");
    kube_access_rejected(access, 1);
    assert_authority(access, "new");
    kube_access_destroy(access);

    // Of another server, or unreadable, it changes nothing.
    static const char *const no_successors[] = {"{server: 'https://one.more'}", "{server: ["};
    for (size_t i = 0; i < sizeof no_successors / sizeof *no_successors; i++) {
        access = must_open("{server: 'https://one'}", "{token: old}");
        put_config(no_successors[i], "{token: new}");
        kube_access_rejected(access, 1);
        assert_authorization(access, "Authorization: Bearer old");
        kube_access_destroy(access);
    }
    unlink(path);
}

static void context_may_be_named(void **state)
{
    (void)state;
    struct error err;
    struct kube_access *access = must_open(CLUSTER, "{token: t}");
    CLEANUP(free_ptr) char *path = xasprintf("%s/config", directory);
    kube_access_destroy(access);
    assert_true(kube_access_from_file(path, "bare", &access, &err));
    assert_authorization(access, NULL);
    kube_access_destroy(access);
}

static void in_cluster(void **state)
{
    (void)state;
    struct error err;
    struct kube_access *access;
    unsetenv("KUBERNETES_SERVICE_HOST");
    assert_false(kube_access_in_cluster(directory, &access, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    put("ca.crt", "the CA");
    put("token", "t\n");
    setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
    setenv("KUBERNETES_SERVICE_PORT", "443", 1);
    assert_true(kube_access_in_cluster(directory, &access, &err));
    assert_string_equal(kube_access_server(access), "https://[fd00::1]:443");
    assert_authorization(access, "Authorization: Bearer t");
    kube_access_destroy(access);
    setenv("KUBERNETES_SERVICE_PORT", "x", 1);
    assert_false(kube_access_in_cluster(directory, &access, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

// --- what is wrong ---

static void errors_name_file_and_key(void **state)
{
    (void)state;
    static const struct {
        const char *about, *user, *text;
        enum error_code code;
    } cases[] = {
        {"{}", "{}", "config: cluster \"c\": server: missing", ERR_INVALID},
        {"{server: h}", "{}", "server: neither https:// nor http://", ERR_INVALID},
        {"{server: 7}", "{}", "server: not a text", ERR_INVALID},
        {"{server: 'https://h', certificate-authority-data: '%%'}", "{}",
         "cluster \"c\": certificate-authority-data: not base64", ERR_INVALID},
        {"{server: 'https://h', certificate-authority: none.pem}", "{}", "none.pem", ERR_NOT_FOUND},
        {"{server: 'https://h', insecure-skip-tls-verify: 1}", "{}",
         "insecure-skip-tls-verify: neither true nor false", ERR_INVALID},
        {"{server: 'https://h', certificate-authority-data: YQ==, insecure-skip-tls-verify: true}",
         "{}", "although a certificate authority is given", ERR_INVALID},
        {CLUSTER, "{client-certificate-data: YQ==}", "user \"u\": client-key: missing",
         ERR_INVALID},
        {CLUSTER, "{tokenFile: nothing}", "user \"u\": ", ERR_NOT_FOUND},
        {CLUSTER, "{token: 12345}", "user \"u\": token: not a text (put it in quotes)",
         ERR_INVALID},
        {CLUSTER, "{token: 'a b'}", "token: holds a space", ERR_INVALID},
        {CLUSTER, "{as: root}", "user \"u\": as: not supported", ERR_UNSUPPORTED},
        {CLUSTER, "{auth-provider: {name: gcp}}", "auth-provider: not supported", ERR_UNSUPPORTED},
        {CLUSTER, "{exec: {apiVersion: client.authentication.k8s.io/v1}}",
         "user \"u\": exec: command: missing", ERR_INVALID},
        {CLUSTER, "{exec: {command: x, apiVersion: client.authentication.k8s.io/v1alpha1}}",
         "exec: apiVersion", ERR_UNSUPPORTED},
        {CLUSTER, "[]", "user \"u\": user: not a mapping", ERR_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err = {.code = ERR_NONE};
        assert_null(open_config(cases[i].about, cases[i].user, &err));
        if (err.code != cases[i].code || !strstr(err.text, cases[i].text) ||
            !strstr(err.text, "/config: "))
            fail_msg("case %zu: %s: %s", i, error_word(err.code), err.text);
    }
}

static void missing_parts_are_named(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"{}", NULL, "current-context: missing"},
        {"current-context: x\n", NULL, "contexts: there is no context \"x\""},
        {"contexts: [{name: x, context: {}}]\n", "x", "context \"x\": cluster: missing"},
        {"contexts: [{name: x, context: {cluster: c}}]\n", "x",
         "clusters: there is no cluster \"c\""},
        {"clusters: [{name: c, cluster: {server: 'https://h'}}]\n"
         "contexts: [{name: x, context: {cluster: c, user: u}}]\n",
         "x", "users: there is no user \"u\""},
        {"[]", NULL, "not a kubeconfig file"},
        {"a: [\n", NULL, "config: 2:"},
    };
    CLEANUP(free_ptr) char *path = xasprintf("%s/config", directory);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kube_access *access;
        struct error err = {.code = ERR_NONE};
        put("config", cases[i][0]);
        assert_false(kube_access_from_file(path, cases[i][1], &access, &err));
        if (err.code != ERR_INVALID || !strstr(err.text, cases[i][2]))
            fail_msg("case %zu: %s", i, err.text);
    }
    struct kube_access *access;
    struct error err;
    assert_false(kube_access_from_file("/nonexistent/config", NULL, &access, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nonexistent/config"));
}

// --- exec plugins ---

#define PLUGIN(more)                                                                               \
    "{exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin" more "}}"

// A plugin that counts its runs in a file and prints this status, in which N is the count.
static void put_plugin(const char *status)
{
    CLEANUP(free_ptr)
    char *text = xasprintf(
        "#!/bin/sh\ncd %s\necho >>runs\nN=$(wc -l <runs)\n"
        "printf '%%s' \"$KUBERNETES_EXEC_INFO\" >info\nprintf '%%s,' \"$EXTRA\" \"$@\" >given\n"
        "cat <<END\n{\"apiVersion\": \"client.authentication.k8s.io/v1\", "
        "\"kind\": \"ExecCredential\", \"status\": %s}\nEND\n",
        directory, status);
    put("plugin", text);
    CLEANUP(free_ptr) char *runs = xasprintf("%s/runs", directory);
    unlink(runs);
}

static void assert_file(const char *name, const char *wanted)
{
    struct buffer text = {0};
    CLEANUP(free_ptr) char *path = xasprintf("%s/%s", directory, name);
    assert_true(file_read(path, 4096, &text, NULL));
    assert_string_equal(buffer_text(&text), wanted);
    buffer_finish(&text);
}

static void plugin_is_run_once_until_refused(void **state)
{
    (void)state;
    put_plugin("{\"token\": \"t-$N\"}");
    struct kube_access *access =
        must_open(CLUSTER, PLUGIN(", args: [a, 'b c'], env: [{name: EXTRA, value: more}], "
                                  "provideClusterInfo: true"));
    assert_authorization(access, "Authorization: Bearer t-1");
    assert_authorization(access, "Authorization: Bearer t-1");
    assert_file("given", "more,a,b c,");
    assert_file("info", "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":"
                        "\"ExecCredential\",\"spec\":{\"interactive\":false,\"cluster\":"
                        "{\"server\":\"https://h:6443\"}}}");
    kube_access_rejected(access, 1); // within the pause: it waits for it
    assert_authorization(access, "Authorization: Bearer t-2");
    kube_access_destroy(access);
}

static void plugin_is_run_again_before_the_expiry(void **state)
{
    (void)state;
    put_plugin("{\"token\": \"t-$N\", "
               "\"expirationTimestamp\": \"$(date -u -d '+7 seconds' +%FT%TZ)\"}");
    struct kube_access *access = must_open(CLUSTER, PLUGIN(""));
    assert_authorization(access, "Authorization: Bearer t-1");
    struct mono_time deadline = mono_after(20000);
    bool renewed = false;
    while (!renewed && !mono_past(deadline)) {
        CLEANUP(kube_identity_ptr) const struct kube_identity *identity = NULL;
        renewed = kube_access_identity(access, deadline, &identity, NULL) &&
                  strcmp(identity->authorization, "Authorization: Bearer t-2") == 0 &&
                  identity->generation == 2;
        usleep(20000);
    }
    assert_true(renewed);
    kube_access_destroy(access);
}

static void plugin_may_give_a_certificate(void **state)
{
    (void)state;
    put_plugin("{\"clientCertificateData\": \"CERT\", \"clientKeyData\": \"KEY\"}");
    struct kube_access *access = must_open(CLUSTER, PLUGIN(""));
    CLEANUP(kube_identity_ptr) const struct kube_identity *identity = identity_of(access);
    assert_string_equal(identity->trust.cert_pem, "CERT");
    assert_string_equal(identity->trust.key_pem, "KEY");
    assert_null(identity->authorization);
    kube_identity_release(identity);
    identity = NULL;
    kube_access_destroy(access);
}

static void assert_plugin_error(const char *user, enum error_code code, const char *text)
{
    struct error err = {.code = ERR_NONE};
    const struct kube_identity *identity;
    struct kube_access *access = must_open(CLUSTER, user);
    assert_false(kube_access_identity(access, mono_after(10000), &identity, &err));
    if (err.code != code || !strstr(err.text, text) || strstr(err.text, "hush"))
        fail_msg("%s: %s", error_word(err.code), err.text);
    kube_access_destroy(access);
}

static void failing_plugin_is_told(void **state)
{
    (void)state;
    assert_plugin_error("{exec: {apiVersion: client.authentication.k8s.io/v1, command: "
                        "no-such-plugin, installHint: install it}}",
                        ERR_NOT_FOUND, "exec plugin no-such-plugin: no such program; install it");
    put("plugin", "#!/bin/sh\necho nothing works >&2\nexit 3\n");
    assert_plugin_error(PLUGIN(""), ERR_UNAVAILABLE, "nothing works");
    put("plugin", "#!/bin/sh\necho hush-hush\n"); // what it prints is not told
    assert_plugin_error(PLUGIN(""), ERR_PROTOCOL, "did not print JSON");
    put_plugin("{}");
    assert_plugin_error(PLUGIN(""), ERR_PROTOCOL, "neither a token nor a certificate");
    put_plugin("{\"token\": \"a b\"}");
    assert_plugin_error(PLUGIN(""), ERR_INVALID, "token: holds a space");
    put("plugin", "#!/bin/sh\necho '{\"apiVersion\": \"v1\"}'\n");
    assert_plugin_error(PLUGIN(""), ERR_PROTOCOL, "apiVersion \"v1\"");
}

static void streams_do_not_wait_for_a_plugin(void **state)
{
    (void)state;
    struct error err;
    const struct kube_identity *identity;
    put("plugin", "#!/bin/sh\nexec sleep 2\n");
    struct kube_access *access = must_open(CLUSTER, PLUGIN(""));
    struct mono_time start = mono_now();
    assert_false(kube_access_identity(access, mono_now(), &identity, &err));
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_true(mono_now().ms - start.ms < 1000);
    kube_access_destroy(access);
}

// --- life ---

static int setup(void **state)
{
    (void)state;
    return mkdtemp(directory) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return directory_remove(directory, NULL) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_a_cluster_and_a_user),
        cmocka_unit_test(token_file_goes_before_token),
        cmocka_unit_test(refused_token_is_read_again),
        cmocka_unit_test(refused_credentials_are_looked_up_in_the_file_itself),
        cmocka_unit_test(context_may_be_named),
        cmocka_unit_test(in_cluster),
        cmocka_unit_test(errors_name_file_and_key),
        cmocka_unit_test(missing_parts_are_named),
        cmocka_unit_test(plugin_is_run_once_until_refused),
        cmocka_unit_test(plugin_is_run_again_before_the_expiry),
        cmocka_unit_test(plugin_may_give_a_certificate),
        cmocka_unit_test(failing_plugin_is_told),
        cmocka_unit_test(streams_do_not_wait_for_a_plugin),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
