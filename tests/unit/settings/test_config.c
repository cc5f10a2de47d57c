#include "agent/base/crypto.h"
#include "agent/base/file.h"
#include "agent/base/text.h"
#include "agent/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64];
static char *settings_path;

static void put_file(const char *name, const char *text)
{
    CLEANUP(free_ptr) char *path = xasprintf("%s/%s", directory, name);
    struct error err;
    if (!file_write(path, 0600, text, strlen(text), &err))
        fail_msg("%s", err.text);
}

static int make(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test_config.XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    settings_path = xasprintf("%s/cronwright.yaml", directory);
    put_file("token", "0123456789abcdef-token\n");
    put_file("other", "0123456789abcdef-other\n");
    put_file("short", "short\n");
    put_file("empty", "\n");
    put_file("secret", "It's a Secret\r\n");
    put_file("signing", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    put_file("signing-bad", "whsec_not base64\n");
    CLEANUP(free_ptr) char *long_text = xasprintf("%0*d", (int)CONFIG_SSH_KEY_MAX + 1, 7);
    put_file("long-key", long_text);
    put_file("revoked", "a.example ssh-ed25519 AAAA\n@revoked a.example ssh-ed25519 AAAA\n");
    return 0;
}

static int clean(void **state)
{
    (void)state;
    struct error err;
    free(settings_path);
    return directory_remove(directory, &err) ? 0 : -1;
}

static bool load(const char *yaml, struct config *config, struct config_errors *errors)
{
    put_file("cronwright.yaml", yaml);
    return config_load(settings_path, config, errors);
}

// What config_errors_print() prints, under the name "f"; the caller frees.
static char *printed(const struct config_errors *errors)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    config_errors_print(errors, "f", out);
    fclose(out);
    return text;
}

static void assert_loads(const char *yaml, struct config *config)
{
    struct config_errors errors;
    if (!load(yaml, config, &errors)) {
        CLEANUP(free_ptr) char *text = printed(&errors);
        config_errors_finish(&errors);
        fail_msg("%s", text);
    }
    assert_int_equal(errors.count, 0);
}

// Messages name files with their full path. (Inlined, gcc 12 takes `at` for a dangling pointer.)
__attribute__((noinline)) static void shorten_paths(char *text)
{
    size_t len = strlen(directory) + 1;
    char *at = strstr(text, directory);
    while (at) {
        memmove(at, at + len, strlen(at + len) + 1);
        at = strstr(text, directory);
    }
}

// Every setting but the helper (which is not installed here) at its default, and `yaml`.
static void assert_refuses(const char *yaml, const char *text)
{
    struct config config = {.state_directory = settings_path};
    struct config_errors errors;
    if (load(yaml, &config, &errors))
        fail_msg("no error in: %s", yaml);
    assert_ptr_equal(config.state_directory, settings_path); // untouched
    CLEANUP(free_ptr) char *got = printed(&errors);
    config_errors_finish(&errors);
    shorten_paths(got);
    assert_string_equal(got, text);
}

#define HELPER "git: {helper: /bin/true}\n"

static void test_defaults(void **state)
{
    (void)state;
    struct config config;
    assert_loads(HELPER, &config);
    assert_string_equal(config.webhooks.listen.host, "0.0.0.0");
    assert_int_equal(config.webhooks.listen.port, 8080);
    assert_null(config.webhooks.listen.unix_path);
    assert_int_equal(config.webhooks.max_body, 25 << 20);
    assert_int_equal(config.webhooks.request_timeout_ms, 30000);
    assert_int_equal(config.webhooks.max_connections, 256);
    assert_int_equal(config.webhooks.max_connections_per_address, 128);
    assert_int_equal(config.webhooks.max_bytes_in_flight, 100 << 20);
    assert_int_equal(config.webhooks.github_secrets.count, 0);
    assert_string_equal(config.admin.listen.host, "127.0.0.1");
    assert_int_equal(config.admin.listen.port, 8081);
    assert_int_equal(config.admin.tokens.count, 0);
    assert_int_equal(config.admin.session_timeout_ms, 12 * 3600 * 1000);
    assert_string_equal(config.metrics.listen.host, "127.0.0.1");
    assert_int_equal(config.metrics.listen.port, 8082);
    assert_string_equal(config.state_directory, "/var/lib/cronwright");
    assert_int_equal(config.log.level, LOG_INFO);
    assert_int_equal(config.log.format, LOG_TEXT);
    assert_string_equal(config.kubernetes.kubeconfig, "");
    assert_int_equal(config.kubernetes.namespaces.count, 0);
    assert_string_equal(config.git.ca_file, "");
    assert_int_equal(config.git.timeout_ms, 300000);
    assert_int_equal(config.git.max_repository_bytes, (int64_t)2 << 30);
    assert_string_equal(config.builds.namespace, "cronwright-builds");
    assert_string_equal(config.builds.kaniko_image, "ghcr.io/osscontainertools/kaniko:v1.28.3");
    assert_string_equal(config.builds.push_secret, "");
    assert_int_equal(json_object_size(config.builds.node_selector), 0);
    assert_true(json_is_array(config.builds.tolerations));
    assert_string_equal(json_text_at(config.builds.resources, "limits", "memory", NULL), "4Gi");
    assert_int_equal(config.builds.timeout_ms, 3600000);
    assert_int_equal(config.builds.ttl_ms, 600000);
    assert_false(config.builds.cache);
    assert_int_equal(config.builds.max_context_bytes, 1 << 30);
    assert_false(config_serves_contexts(&config));
    assert_int_equal(config.git.max_total_bytes, (int64_t)20 << 30);
    assert_int_equal(config.git.max_objects, 10000000);
    assert_int_equal(config.git.max_file_bytes, 1 << 30);
    assert_int_equal(config.git.max_tree_depth, 128);
    assert_int_equal(config.sweep.interval_ms, 300000);
    assert_int_equal(config.retention.deliveries, 10000);
    config_finish(&config);
    config_finish(&config); // twice is fine
}

static void test_everything(void **state)
{
    (void)state;
    struct config config;
    assert_loads("stateDirectory: state\n"
                 "webhooks:\n"
                 "  listen: unix:/run/cronwright/webhooks\n"
                 "  maxBody: 1000000\n"
                 "  requestTimeout: 1500ms\n"
                 "  github: {secretFiles: [secret, token]}\n"
                 "  gitlab: {tokenFiles: [token], signingTokenFiles: [signing]}\n"
                 "admin:\n"
                 "  listen: '[::1]:0'\n"
                 "  tokens:\n"
                 "  - {name: ana, tokenFile: token, role: admin, namespaces: ['*']}\n"
                 "  - name: ci@example\n"
                 "    tokenFile: ./other\n"
                 "    role: viewer\n"
                 "    namespaces: [reports, sales]\n"
                 "metrics: {listen: ''}\n"
                 "log: {level: debug, format: json}\n"
                 "kubernetes:\n"
                 "  kubeconfig: secret\n"
                 "  context: test\n"
                 "  namespaces: [reports]\n"
                 "git:\n"
                 "  helper: /bin/true\n"
                 "  caFile: secret\n"
                 "  credentials:\n"
                 "  - {url: 'https://git.example/acme', username: u, passwordFile: secret}\n"
                 "registries:\n"
                 "- {host: 'registry.example:5000', plainHttp: true, authFile: secret}\n"
                 "builds:\n"
                 "  nodeSelector: {kubernetes.io/arch: amd64}\n"
                 "  tolerations: [{key: a, operator: Exists}]\n"
                 "  resources: {requests: {cpu: 1, memory: 1Gi}}\n"
                 "  extraArgs: [--single-snapshot, --verbosity=debug]\n"
                 "  cache: true\n"
                 "  ttl: 1d\n"
                 "allow:\n"
                 "- {namespaces: [a], repositories: ['*'], images: [registry.example/a]}\n",
                 &config);
    CLEANUP(free_ptr) char *state_path = xasprintf("%s/state", directory);
    assert_string_equal(config.state_directory, state_path);
    assert_string_equal(config.webhooks.listen.unix_path, "/run/cronwright/webhooks");
    assert_null(config.webhooks.listen.host);
    assert_int_equal(config.webhooks.max_body, 1000000);
    assert_int_equal(config.webhooks.request_timeout_ms, 1500);
    assert_int_equal(config.webhooks.github_secrets.count, 2);
    assert_string_equal(config.webhooks.github_secrets.items[0].text, "It's a Secret");
    assert_int_equal(config.webhooks.gitlab_signing_tokens.count, 1);
    assert_string_equal(config.admin.listen.host, "::1");
    assert_int_equal(config.admin.tokens.count, 2);
    assert_string_equal(config.admin.tokens.items[1].name, "ci@example");
    assert_null(config.admin.tokens.items[1].file.text); // its hash is kept alone
    uint8_t digest[SHA256_SIZE];
    sha256("0123456789abcdef-other", strlen("0123456789abcdef-other"), digest);
    assert_memory_equal(config.admin.tokens.items[1].digest, digest, sizeof digest);
    assert_int_equal(config.admin.tokens.items[0].role, ROLE_ADMIN);
    assert_null(config.metrics.listen.host);
    assert_null(config.metrics.listen.unix_path);
    assert_int_equal(config.admin.tokens.items[1].role, ROLE_VIEWER);
    assert_string_equal(config.admin.tokens.items[1].namespaces.items[1], "sales");
    assert_int_equal(config.log.level, LOG_DEBUG);
    assert_int_equal(config.log.format, LOG_JSON);
    assert_string_equal(config.kubernetes.namespaces.items[0], "reports");
    assert_string_equal(config.git.credentials.items[0].password.text, "It's a Secret");
    assert_true(config.registries.items[0].plain_http);
    assert_string_equal(config.registries.items[0].ca_file, "");
    assert_string_equal(config.registries.items[0].auth.text, "It's a Secret");
    assert_string_equal(json_text_at(config.builds.resources, "requests", "cpu", NULL), "1");
    assert_string_equal(json_text_at(config.builds.tolerations, "0", "key", NULL), "a");
    assert_int_equal(config.builds.extra_args.count, 2);
    assert_int_equal(config.builds.ttl_ms, 86400000);
    assert_string_equal(config.allow.items[0].images.items[0], "registry.example/a");
    config_finish(&config);
}

static void test_all_namespaces(void **state)
{
    (void)state;
    struct config config;
    assert_loads(HELPER "kubernetes: {namespaces: [reports, '*', sales]}\n", &config);
    assert_int_equal(config.kubernetes.namespaces.count, 0);
    config_finish(&config);
}

static void test_empty_groups(void **state)
{
    (void)state;
    struct config config;
    assert_loads(HELPER "webhooks:\n  github:\nadmin:\n  tokens:\nlog: {level: ~}\n", &config);
    assert_int_equal(config.log.level, LOG_INFO);
    config_finish(&config);
}

static void test_unknown_keys(void **state)
{
    (void)state;
    assert_refuses(HELPER "webhook: {}\n", "f:2:1  unknown key \"webhook\"; did you mean "
                                           "\"webhooks\"?\n");
    assert_refuses(HELPER "kubernetes:\n  contxt: a\n",
                   "f:3:3  kubernetes: unknown key \"contxt\"; did you mean \"context\"?\n");
    assert_refuses(HELPER "webhooks:\n  maxbody: 1MiB\n",
                   "f:3:3  webhooks: unknown key \"maxbody\"; did you mean \"maxBody\"?\n");
    // one that belongs elsewhere
    assert_refuses(HELPER "kanikoImage: a\n", "f:2:1  unknown key \"kanikoImage\"; did you mean "
                                              "\"builds.kanikoImage\"?\n");
    assert_refuses(HELPER "zzz: a\n", "f:2:1  unknown key \"zzz\"\n");
    // a path is not a key
    assert_refuses(HELPER "log.level: info\n", "f:2:1  unknown key \"log.level\"\n");
    assert_refuses(HELPER "\"tokens[]\": info\n", "f:2:1  unknown key \"tokens[]\"; did you mean "
                                                  "\"admin.tokens\"?\n");
    assert_refuses(HELPER "\"a~/\\u001b[2J\": info\n", "f:2:1  unknown key \"a~/ [2J\"\n");
    assert_refuses(HELPER "allow:\n- {namespaces: [a], repositories: ['*'], images: ['*'], x: 1}\n",
                   "f:3:57  allow[0]: unknown key \"x\"\n");
    assert_refuses(HELPER "builds: {resources: {request: {}}}\n",
                   "f:2:22  builds.resources: unknown key \"request\"; did you mean "
                   "\"requests\"?\n");
}

static void test_wrong_values(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *error; // after "f:2:"
    } cases[] = {
        {"log: 5\n", "6  log: must be a group of settings"},
        {"log: {level: 5}\n", "14  log.level: must be one of error, warning, info, debug"},
        {"log: {level: warn}\n", "14  log.level: must be one of error, warning, info, debug"},
        {"log: {level: warnin}\n", "14  log.level: must be one of error, warning, info, debug; "
                                   "did you mean \"warning\"?"},
        {"builds: {cache: yes}\n", "17  builds.cache: must be true or false"},
        {"builds: {maxConcurrent: 0}\n", "25  builds.maxConcurrent: must be from 1 to 1000"},
        {"builds: {maxConcurrent: 1001}\n", "25  builds.maxConcurrent: must be from 1 to 1000"},
        {"builds: {maxConcurrent: 1.5}\n", "25  builds.maxConcurrent: must be a whole number"},
        {"builds: {maxConcurrent: '4'}\n", "25  builds.maxConcurrent: must be a whole number"},
        {"sweep: {interval: 10}\n", "19  sweep.interval: must be a duration such as 10s, 5m or 1h"},
        {"sweep: {interval: -5s}\n",
         "19  sweep.interval: must be a duration such as 10s, 5m or 1h"},
        {"sweep: {interval: 1h30m}\n",
         "19  sweep.interval: must be a duration such as 10s, 5m or 1h"},
        {"sweep: {interval: 5 m}\n",
         "19  sweep.interval: must be a duration such as 10s, 5m or 1h"},
        {"sweep: {interval: m}\n", "19  sweep.interval: must be a duration such as 10s, 5m or 1h"},
        {"sweep: {interval: 9999999999999999d}\n",
         "19  sweep.interval: must be a duration such as 10s, 5m or 1h"},
        {"sweep: {interval: 0s}\n", "19  sweep.interval: must be from 1s to 1d"},
        {"sweep: {interval: 2d}\n", "19  sweep.interval: must be from 1s to 1d"},
        {"builds: {maxContextBytes: 17GiB}\n",
         "27  builds.maxContextBytes: must be from 1KiB to 16GiB"},
        {"builds: {maxContextBytes: 1MB}\n",
         "27  builds.maxContextBytes: must be a size such as 900KiB or 25MiB"},
        {"admin: {listen: 8081}\n", "17  admin.listen: must be a text: put it in quotes"},
        {"admin: {listen: ':8081'}\n",
         "17  admin.listen: must be host:port, [address]:port or unix:/path"},
        {"admin: {listen: 'a:b:1'}\n",
         "17  admin.listen: must be host:port, [address]:port or unix:/path"},
        {"admin: {listen: 'a:65536'}\n",
         "17  admin.listen: must be host:port, [address]:port or unix:/path"},
        {"admin: {listen: ''}\n",
         "17  admin.listen: must be host:port, [address]:port or unix:/path"},
        {"metrics: {listen: '127.0.0.1:8081'}\n", "19  metrics.listen: the same as admin.listen"},
        {"admin: {listen: 'unix:rel'}\n",
         "17  admin.listen: must have a full path of at most 107 bytes after unix:"},
        {"webhooks: {maxBytesInFlight: 24MiB}\n",
         "30  webhooks.maxBytesInFlight: less than webhooks.maxBody"},
        {"webhooks: {maxBody: 100MiB, maxBytesInFlight: 99MiB}\n",
         "47  webhooks.maxBytesInFlight: less than webhooks.maxBody"},
        {"webhooks: {maxConnectionsPerAddress: -1}\n",
         "38  webhooks.maxConnectionsPerAddress: must be from 0 to 10000"},
        {"admin: {listen: '0.0.0.0:8080'}\n", "17  admin.listen: the same as webhooks.listen"},
        {"context: {listen: '0.0.0.0:8080', address: 'https://h:1', image: x/y}\n",
         "19  context.listen: the same as webhooks.listen"},
        {"context: {listen: '0.0.0.0:8443', image: x/y}\n",
         "10  context.address: is needed with context.listen"},
        {"context: {listen: '0.0.0.0:8443', address: 'https://h:1'}\n",
         "10  context.image: is needed with context.listen"},
        {"context: {listen: 'unix:/run/c', address: 'https://h:1', image: x/y}\n",
         "19  context.listen: must be host:port: pods cannot reach a socket file"},
        {"context: {listen: '0.0.0.0:8080', address: 'https://h:1', image: x/y}\n",
         "19  context.listen: the same as webhooks.listen"},
        {"context: {address: 'http://h:1'}\n",
         "20  context.address: must be an address such as https://cronwright.example:8443"},
        {"context: {address: 'https://h:1/path'}\n",
         "20  context.address: must be an address such as https://cronwright.example:8443"},
        {"admin: {tokens: {}}\n", "17  admin.tokens: must be a list"},
        {"admin: {tokens: [5]}\n", "18  admin.tokens[0]: must be a group of settings"},
        {"builds: {namespace: Upper}\n",
         "21  builds.namespace: must be a name of lower-case letters, digits and -"},
        {"builds: {namespace: ''}\n",
         "21  builds.namespace: must be a name of lower-case letters, digits and -"},
        {"builds: {kanikoImage: 'a b'}\n",
         "23  builds.kanikoImage: must be an image such as registry.example/tool:1.0"},
        {"builds: {platform: amd64}\n",
         "20  builds.platform: must be a platform such as linux/amd64"},
        {"builds: {extraArgs: [--cache-ttl=1h, --destination=registry.example/mine]}\n",
         "38  builds.extraArgs[1]: --destination is not to be given: images go where the "
         "service's annotation and the allow table say"},
        {"builds: {extraArgs: [--no-push]}\n",
         "22  builds.extraArgs[0]: --no-push is not to be given: an image that is not pushed "
         "cannot be run"},
        {"builds: {registryMirrors: [\"https://mirror.example\"]}\n",
         "28  builds.registryMirrors[0]: must be a host such as mirror.example:5000, with a path "
         "if need be"},
        {"builds: {registryMaps: {quay.io: \"*\"}}\n",
         "24  builds.registryMaps: \"quay.io\" must be a host such as mirror.example:5000, with a "
         "path if need be"},
        {"builds: {affinity: [x]}\n", "20  builds.affinity: must be an object"},
        {"builds: {extraArgs: [-x]}\n",
         "22  builds.extraArgs[0]: must be an option such as --single-snapshot"},
        {"builds: {nodeSelector: [a]}\n", "24  builds.nodeSelector: must be a map of texts"},
        {"builds: {nodeSelector: {a: true}}\n", "24  builds.nodeSelector: \"a\" must be a text"},
        {"builds: {tolerations: [a]}\n", "23  builds.tolerations: must be a list of objects"},
        {"builds: {resources: []}\n", "21  builds.resources: must have requests and limits"},
        {"builds: {resources: {limits: 5}}\n",
         "30  builds.resources.limits: must be a map of texts"},
        {"kubernetes: {context: \"a\\tb\"}\n", "23  kubernetes.context: has a control character"},
        {"kubernetes: {namespaces: [a/b]}\n",
         "27  kubernetes.namespaces[0]: must be a namespace's name, or \"*\""},
        {"kubernetes: {kubeconfig: missing}\n",
         "26  kubernetes.kubeconfig: missing: No such file or directory"},
        {"kubernetes: {kubeconfig: .}\n", "26  kubernetes.kubeconfig: .: not a file"},
        {"stateDirectory: ''\n", "17  stateDirectory: must not be empty"},
        {"webhooks: {github: {secretFiles: secret}}\n",
         "34  webhooks.github.secretFiles: must be a list"},
        {"webhooks: {github: {secretFiles: ['']}}\n",
         "35  webhooks.github.secretFiles[0]: must not be empty"},
        {"webhooks: {github: {secretFiles: [empty]}}\n",
         "35  webhooks.github.secretFiles[0]: empty: empty"},
        {"webhooks: {github: {secretFiles: [missing]}}\n",
         "35  webhooks.github.secretFiles[0]: missing: No such file or directory"},
        {"webhooks: {gitlab: {signingTokenFiles: [secret]}}\n",
         "41  webhooks.gitlab.signingTokenFiles[0]: secret: not whsec_ and base64"},
        {"webhooks: {gitlab: {signingTokenFiles: [signing-bad]}}\n",
         "41  webhooks.gitlab.signingTokenFiles[0]: signing-bad: not whsec_ and base64"},
        {"allow: [{namespaces: [], repositories: ['*'], images: ['*']}]\n",
         "22  allow[0].namespaces: must not be empty"},
        {"allow: [{namespaces: [a], repositories: [git.example], images: ['*']}]\n",
         "42  allow[0].repositories[0]: must be a prefix such as https://git.example/acme or "
         "ssh://git@git.example/acme, or \"*\""},
        {"allow: [{namespaces: [a], repositories: ['https://u@git.example'], images: ['*']}]\n",
         "42  allow[0].repositories[0]: must be a prefix such as https://git.example/acme or "
         "ssh://git@git.example/acme, or \"*\""},
        {"allow: [{namespaces: [a], repositories: ['*'], images: ['a*']}]\n",
         "57  allow[0].images[0]: must be a prefix such as registry.example/acme, or \"*\""},
        {"registries: [{host: a}, {host: b}, {host: a}]\n",
         "43  registries[2].host: is there twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP(free_ptr) char *yaml = xasprintf("%s%s", HELPER, cases[i].yaml);
        CLEANUP(free_ptr) char *error = xasprintf("f:2:%s\n", cases[i].error);
        assert_refuses(yaml, error);
    }
}

static void test_git_bounds(void **state)
{
    (void)state;
    assert_refuses("git: {helper: /bin/true, maxTotalBytes: 1GiB}\n",
                   "f:1:41  git.maxTotalBytes: less than maxRepositoryBytes\n");
    assert_refuses("git: {helper: /bin/true, maxTreeDepth: 257}\n",
                   "f:1:40  git.maxTreeDepth: must be from 1 to 256\n");
}

static void test_tokens(void **state)
{
    (void)state;
    assert_refuses(HELPER "admin:\n"
                          "  tokens:\n"
                          "  - {name: ana, tokenFile: token, role: admin, namespaces: ['*']}\n"
                          "  - {name: ana, tokenFile: short, role: viewr, namespaces: []}\n"
                          "  - {name: ben, tokenFile: token, role: viewer, namespaces: [a]}\n"
                          "  - {name: ' '}\n",
                   "f:5:12  admin.tokens[1].name: \"ana\" is there twice\n"
                   "f:5:28  admin.tokens[1].tokenFile: short: shorter than 16 bytes\n"
                   "f:5:41  admin.tokens[1].role: must be one of viewer, runner, admin; did you "
                   "mean \"viewer\"?\n"
                   "f:5:60  admin.tokens[1].namespaces: must not be empty\n"
                   "f:6:28  admin.tokens[2].tokenFile: the same token as that of \"ana\"\n"
                   "f:7:5  admin.tokens[3].role: is required\n"
                   "f:7:5  admin.tokens[3].namespaces: is required\n"
                   "f:7:5  admin.tokens[3].tokenFile: hash or tokenFile is required\n"
                   "f:7:12  admin.tokens[3].name: must be a name of letters, digits, and . _ @ "
                   "-\n");
}

static void test_all_errors_at_once(void **state)
{
    (void)state;
    assert_refuses("sweep: {interval: 1}\nzzz: 1\nlog: {level: 5, zzz: 1}\n"
                   "git: {helper: missing}\n",
                   "f:1:19  sweep.interval: must be a duration such as 10s, 5m or 1h\n"
                   "f:2:1  unknown key \"zzz\"\n"
                   "f:3:14  log.level: must be one of error, warning, info, debug\n"
                   "f:3:17  log: unknown key \"zzz\"\n"
                   "f:4:15  git.helper: missing: No such file or directory\n");
    CLEANUP(buffer_finish) struct buffer many = {0};
    struct error err;
    for (int i = 0; i < 2 * CONFIG_ERRORS_MAX; i++)
        assert_true(buffer_printf(&many, &err, "zzz%d: 1\n", i));
    struct config config;
    struct config_errors errors;
    assert_false(load(many.data, &config, &errors));
    assert_int_equal(errors.count, CONFIG_ERRORS_MAX);
    config_errors_finish(&errors);
}

static void test_documents(void **state)
{
    (void)state;
    assert_refuses("a: b: c\n", "f:1:5  mapping values are not allowed in this context\n");
    assert_refuses(HELPER HELPER, "f:2:1  key that is there twice\n");
    assert_refuses("[]\n", "f:1:1  must be a group of settings\n");
    struct config config;
    struct config_errors errors;
    assert_false(config_load("/nonexistent/c.yaml", &config, &errors));
    CLEANUP(free_ptr) char *text = printed(&errors);
    assert_string_equal(text, "f  No such file or directory\n");
    config_errors_finish(&errors);
}

static void test_paths_of_systemd_credentials(void **state)
{
    (void)state;
    static const char yaml[] =
        "webhooks: {github: {secretFiles: ['${CREDENTIALS_DIRECTORY}/secret']}}\n"
        "git: {helper: /bin/true, caFile: '${CREDENTIALS_DIRECTORY}/token'}\n";
    CLEANUP(free_ptr) char *here = realpath(directory, NULL);
    setenv("CREDENTIALS_DIRECTORY", here, 1);
    struct config config;
    assert_loads(yaml, &config);
    CLEANUP(free_ptr) char *secret = xasprintf("%s/secret", here);
    CLEANUP(free_ptr) char *token = xasprintf("%s/token", here);
    assert_string_equal(config.webhooks.github_secrets.items[0].path, secret);
    assert_non_null(config.webhooks.github_secrets.items[0].text);
    assert_string_equal(config.git.ca_file, token);
    config_finish(&config);
    setenv("CREDENTIALS_DIRECTORY", "/nonexistent", 1);
    assert_refuses(yaml, "f:1:35  webhooks.github.secretFiles[0]: /nonexistent/secret: "
                         "No such file or directory\n"
                         "f:2:34  git.caFile: /nonexistent/token: No such file or directory\n");
    unsetenv("CREDENTIALS_DIRECTORY");
    static const char why[] =
        "CREDENTIALS_DIRECTORY is not set: systemd sets it for a unit with LoadCredential=";
    CLEANUP(free_ptr)
    char *both =
        xasprintf("f:1:35  webhooks.github.secretFiles[0]: %s\nf:2:34  git.caFile: %s\n", why, why);
    assert_refuses(yaml, both);
}

// Nothing that is in the file by mistake may reach a log.
static void test_values_are_not_told(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "admin: {listen: s3cret}\n",
        "log: {level: s3cret}\n",
        "builds: {timeout: s3cret, nodeSelector: s3cret, extraArgs: [s3cret]}\n",
        "git: {credentials: [{url: 'https://u:s3cret@git.example/'}]}\n",
        "webhooks: s3cret\n",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config config;
        struct config_errors errors;
        assert_false(load(cases[i], &config, &errors));
        CLEANUP(free_ptr) char *text = printed(&errors);
        assert_null(strstr(text, "s3cret"));
        config_errors_finish(&errors);
    }
}

static void test_lists_are_bounded(void **state)
{
    (void)state;
    CLEANUP(buffer_finish) struct buffer yaml = {0};
    struct error err;
    assert_true(buffer_printf(&yaml, &err, HELPER "kubernetes:\n  namespaces:\n"));
    for (int i = 0; i <= CONFIG_LIST_MAX; i++)
        assert_true(buffer_printf(&yaml, &err, "  - a\n"));
    assert_refuses(yaml.data, "f:4:3  kubernetes.namespaces: more than 256 items\n");
}

// --- lookups ---

static bool allows(const struct config *config, const char *ns, const char *repository,
                   const char *image)
{
    struct config_grant grant;
    return config_allows(config, ns, repository, image, &grant, NULL);
}

static void test_allow(void **state)
{
    (void)state;
    struct config config;
    assert_loads(HELPER "allow:\n"
                        "- namespaces: [reports]\n"
                        "  repositories: ['https://git.example/acme']\n"
                        "  images: [registry.example/acme]\n"
                        "- namespaces: ['*']\n"
                        "  repositories: ['https://git.example/open/tool.git']\n"
                        "  images: ['registry.example:5000/open/', other.example]\n"
                        "- {namespaces: [free], repositories: ['*'], images: ['*']}\n",
                 &config);
    static const struct {
        bool allowed;
        const char *ns, *repository, *image;
    } cases[] = {
        {true, "reports", "https://git.example/acme/report", "registry.example/acme/report"},
        {true, "reports", "https://git.example/acme/a/b.git", "registry.example/acme/a/b"},
        {true, "reports", "https://git.example/acme", "registry.example/acme"},
        {true, "reports", "https://git.example/acme/report/", "registry.example/acme/report"},
        {false, "sales", "https://git.example/acme/report", "registry.example/acme/report"},
        {false, "reports2", "https://git.example/acme/report", "registry.example/acme/report"},
        {false, "*", "https://git.example/acme/report", "registry.example/acme/report"},
        {false, "", "https://git.example/acme/report", "registry.example/acme/report"},
        // borders
        {false, "reports", "https://git.example/acme2/report", "registry.example/acme/report"},
        {false, "reports", "https://git.example/acme/report", "registry.example/acme2"},
        {false, "reports", "https://git.example/acm", "registry.example/acme/report"},
        {false, "reports", "https://git.example", "registry.example/acme/report"},
        {false, "reports", "https://git.example.evil/acme/r", "registry.example/acme/report"},
        // other ways to write another name
        {false, "reports", "https://git.example/acme/../evil", "registry.example/acme/report"},
        {false, "reports", "https://git.example/acme/..", "registry.example/acme/report"},
        {false, "reports", "https://git.example/acme/./r", "registry.example/acme/report"},
        {false, "reports", "https://git.example/acme//r", "registry.example/acme/report"},
        {false, "reports", "https://git.example/acme/%2e%2e/r", "registry.example/acme/report"},
        {false, "reports", "https://git.example/acme/r?x", "registry.example/acme/report"},
        {false, "reports", "https://git.example/acme\\..\\r", "registry.example/acme/report"},
        {false, "reports", "https://u@git.example/acme/r", "registry.example/acme/report"},
        {false, "reports", "http://git.example/acme/r", "registry.example/acme/report"},
        {false, "reports", "git.example/acme/r", "registry.example/acme/report"},
        {false, "reports", "", "registry.example/acme/report"},
        {false, "reports", "https://git.example/acme/r", "registry.example/acme/../evil"},
        {false, "reports", "https://git.example/acme/r", ""},
        // ".git" and "/" at the end of a prefix
        {true, "any", "https://git.example/open/tool", "registry.example:5000/open/tool"},
        {true, "any", "https://git.example/open/tool.git", "other.example/tool"},
        {false, "any", "https://git.example/open/tool2", "other.example/tool"},
        {false, "any", "https://git.example/open/tool", "other.example:5000/tool"},
        {false, "any", "https://git.example/open/tool", "registry.example/open/tool"},
        // no mixing of entries
        {false, "reports", "https://git.example/acme/r", "other.example/tool"},
        {true, "free", "ssh://anywhere/x", "docker.example/y"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (allows(&config, cases[i].ns, cases[i].repository, cases[i].image) != cases[i].allowed)
            fail_msg("%s %s %s", cases[i].ns, cases[i].repository, cases[i].image);
    config_finish(&config);
    assert_loads(HELPER, &config);
    assert_false(allows(&config, "a", "https://git.example/a", "registry.example/a"));
    config_finish(&config);
}

#define NAMED                                                                                      \
    "git:\n"                                                                                       \
    "  helper: /bin/true\n"                                                                        \
    "  credentials:\n"                                                                             \
    "  - {url: 'https://git.example', username: all, passwordFile: secret}\n"                      \
    "  - {name: a, url: 'https://git.example/acme', username: a, passwordFile: secret}\n"          \
    "  - {name: b, url: 'https://git.example/acme', username: b, passwordFile: secret}\n"

// The first entry that holds decides, and a credential holds for what is below its url.
static void test_grants(void **state)
{
    (void)state;
    struct config config;
    assert_loads(NAMED "allow:\n"
                       "- namespaces: [a]\n"
                       "  repositories: ['*']\n"
                       "  images: [registry.example/a]\n"
                       "  gitCredential: a\n"
                       "  pushSecret: push-a\n"
                       "  pullSecret: pull-a\n"
                       "- {namespaces: [a, c], repositories: ['*'], images: [registry.example]}\n"
                       "- namespaces: [b]\n"
                       "  repositories: ['https://git.example/acme/report']\n"
                       "  images: [registry.example/b]\n"
                       "  gitCredential: b\n",
                 &config);
    static const struct {
        const char *ns, *repository, *image;
        const char *credential, *push_secret, *pull_secret; // NULL: not allowed
    } cases[] = {
        {"a", "https://git.example/acme/report", "registry.example/a/x", "a", "push-a", "pull-a"},
        {"a", "https://git.example/acme/report", "registry.example/x", "", "", ""},
        {"a", "https://git.example/other", "registry.example/a/x", "", "", ""},
        {"a", "https://git.example/acme/../other", "registry.example/a/x", "", "", ""},
        {"b", "https://git.example/acme/report", "registry.example/b/x", "b", "", ""},
        {"b", "https://git.example/acme/report", "registry.example/a/x", NULL, NULL, ""},
        {"b", "https://git.example/acme/other", "registry.example/b/x", NULL, NULL, ""},
        {"c", "https://git.example/acme/report", "registry.example/a/x", "", "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config_grant grant = {0};
        struct error err;
        bool allowed =
            config_allows(&config, cases[i].ns, cases[i].repository, cases[i].image, &grant, &err);
        assert_int_equal(allowed, cases[i].credential != NULL);
        if (allowed) {
            assert_string_equal(grant.credential, cases[i].credential);
            assert_string_equal(grant.push_secret, cases[i].push_secret);
        } else {
            assert_int_equal(err.code, ERR_FORBIDDEN);
        }
        assert_string_equal(
            config_pull_secret(&config, cases[i].ns, cases[i].repository, cases[i].image),
            cases[i].pull_secret);
    }
    // of an image that is not built
    assert_string_equal(config_pull_secret(&config, "a", NULL, "registry.example/a/x"), "pull-a");
    assert_string_equal(config_pull_secret(&config, "c", NULL, "registry.example/a/x"), "");
    config_finish(&config);
}

static void test_what_an_entry_lacks(void **state)
{
    (void)state;
    struct config config;
    assert_loads(NAMED "allow:\n"
                       "- namespaces: [a]\n"
                       "  repositories: ['https://git.example']\n"
                       "  images: [registry.example/a]\n"
                       "  gitCredential: a\n",
                 &config);
    static const struct {
        const char *ns, *repository, *image, *end;
    } cases[] = {
        {"b", "https://git.example/acme/x", "registry.example/a/x", "is for that namespace"},
        {"a", "https://git2.example/acme/x", "registry.example/a/x", "are for other repositories"},
        {"a", "https://git.example/other", "registry.example/a/x", "gitCredential for other URLs"},
        {"a", "https://git.example/acme/x", "registry.example/b", "is for other images"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config_grant grant;
        struct error err;
        assert_false(
            config_allows(&config, cases[i].ns, cases[i].repository, cases[i].image, &grant, &err));
        assert_true(text_ends(err.text, cases[i].end));
    }
    config_finish(&config);
}

static void test_credentials_of_entries(void **state)
{
    (void)state;
#define ALLOW "allow: [{namespaces: [a], images: ['*'], repositories: ['%s'], gitCredential: %s}]\n"
    static const struct {
        const char *repository, *credential, *error;
    } cases[] = {
        {"*", "c", "none of git.credentials has the name \"c\""},
        {"*", "aaa", "none of git.credentials has the name \"aaa\""},
        {"https://git.example/acme2", "a",
         "none of the entry's repositories is below its url, https://git.example/acme"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP(free_ptr)
        char *yaml = xasprintf(NAMED ALLOW, cases[i].repository, cases[i].credential);
        struct config config;
        struct config_errors errors;
        assert_false(load(yaml, &config, &errors));
        assert_int_equal(errors.count, 1);
        assert_int_equal(errors.items[0].line, 7);
        assert_true(text_starts(errors.items[0].text, "allow[0].gitCredential: "));
        assert_non_null(strstr(errors.items[0].text, cases[i].error));
        config_errors_finish(&errors);
    }
#undef ALLOW
    assert_refuses(NAMED "  - {name: a, url: 'https://x.example', username: a, passwordFile: "
                         "secret}\n",
                   "f:7:12  git.credentials[3].name: \"a\" is there twice\n");
}

static void test_token_hashes(void **state)
{
    (void)state;
#define HASH "sha256:cd3fff74b7b0e04c48e1e44c7cb7e8a8a8e9d2ee50e5df4d1a1ac5a8a2b36c0b"
    struct config config;
    assert_loads(HELPER "admin: {tokens: [{name: ana, hash: '" HASH
                        "', role: admin, namespaces: ['*']}]}\n",
                 &config);
    assert_int_equal(config.admin.tokens.items[0].digest[0], 0xcd);
    assert_int_equal(config.admin.tokens.items[0].digest[31], 0x0b);
    config_finish(&config);
    assert_refuses(HELPER "admin:\n"
                          "  tokens:\n"
                          "  - {name: a, hash: '" HASH "', role: admin, namespaces: ['*']}\n"
                          "  - {name: b, hash: '" HASH "', role: admin, namespaces: ['*']}\n"
                          "  - {name: c, hash: 'sha256:0', role: admin, namespaces: ['*']}\n"
                          "  - {name: d, hash: '" HASH
                          "', tokenFile: token, role: admin, namespaces: ['*']}\n",
                   "f:5:21  admin.tokens[1].hash: the same token as that of \"a\"\n"
                   "f:6:21  admin.tokens[2].hash: must be sha256: and 64 hex digits, as cronwright "
                   "token prints it\n"
                   "f:7:21  admin.tokens[3].hash: there is a tokenFile too: give one of the two\n");
#undef HASH
}

static void test_credentials(void **state)
{
    (void)state;
    struct config config;
    assert_loads("git:\n"
                 "  helper: /bin/true\n"
                 "  credentials:\n"
                 "  - {url: 'https://git.example', username: all, passwordFile: secret}\n"
                 "  - {url: 'https://git.example/acme', username: acme, passwordFile: secret}\n"
                 "  - {url: 'https://git.example/acme/x', username: x, passwordFile: secret}\n"
                 "  - {url: 'https://token.example', tokenFile: secret}\n"
                 "  - {url: 'git@git.example:acme', sshKeyFile: secret, knownHostsFile: secret}\n"
                 "registries:\n"
                 "- host: registry.example\n"
                 "- {host: 'registry.example:5000', plainHttp: true}\n",
                 &config);
    static const struct {
        const char *url, *username; // NULL: none
    } cases[] = {
        {"https://git.example/acme/report", "acme"},
        {"https://git.example/acme/x.git", "x"},
        {"https://git.example/acme2/report", "all"},
        {"https://git.example/", "all"},
        {"https://git.example.evil/acme", NULL},
        {"http://git.example/acme", NULL},
        {"https://git.example:444/acme", NULL},
        {"https://git.example/a/../acme", NULL},
        {"https://token.example/a", ""},
        {"ssh://git@git.example/acme/report", ""},
        {"git@git.example:acme/report.git", ""},
        {"git@git.example:/acme", ""},
        {"ssh://ana@git.example/acme/report", NULL},
        {"ssh://git@git.example/acme2", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct config_credential *found = config_credential(&config, "", cases[i].url);
        assert_int_equal(found != NULL, cases[i].username != NULL);
        if (found)
            assert_string_equal(found->username, cases[i].username);
    }
    assert_false(config_registry(&config, "registry.example")->plain_http);
    assert_true(config_registry(&config, "registry.example:5000")->plain_http);
    assert_null(config_registry(&config, "example"));
    config_finish(&config);
}

static void test_git_proxy(void **state)
{
    (void)state;
    struct config config;
    assert_loads("git:\n"
                 "  helper: /bin/true\n"
                 "  proxy: http://proxy.example:3128\n"
                 "  noProxy: [git.example, .Internal, '10.0.0.1', '::1']\n",
                 &config);
    static const struct {
        const char *url;
        bool proxy;
    } cases[] = {
        {"https://github.com/acme/report", true}, {"http://github.com/acme/report", false},
        {"ssh://git@github.com/acme", false},     {"git@github.com:acme", false},
        {"https://git.example/acme", false},      {"https://GIT.example:8443/acme", false},
        {"https://sub.git.example/acme", true},   {"https://git.example.evil/acme", true},
        {"https://a.b.internal/acme", false},     {"https://internal/acme", true},
        {"https://10.0.0.1/acme", false},         {"https://10.0.0.10/acme", true},
        {"https://[::1]:8443/acme", false},       {"https://[::2]/acme", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if ((config_git_proxy(&config, cases[i].url) != NULL) != cases[i].proxy)
            fail_msg("%s", cases[i].url);
    config_finish(&config);
    assert_loads("git: {helper: /bin/true, proxy: 'http://proxy.example', noProxy: ['*']}\n",
                 &config);
    assert_null(config_git_proxy(&config, "https://github.com/acme"));
    config_finish(&config);
}

// What only shows when several settings of git are seen together.
static void test_git_together(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *error; // after the helper; after the place
    } cases[] = {
        {"credentials: [{url: 'https://a.example', username: u}]",
         "git.credentials[0].passwordFile: is required, or a tokenFile"},
        {"credentials: [{url: 'https://a.example', passwordFile: secret}]",
         "git.credentials[0].username: is required with a passwordFile"},
        {"credentials: [{url: 'https://a.example', tokenFile: secret, sshKeyFile: "
         "secret}]",
         "git.credentials[0].sshKeyFile: is for URLs such as ssh://git@git.example/acme"},
        {"credentials: [{url: 'https://a.example', username: u, passwordFile: secret, "
         "tokenFile: signing-bad}]",
         "git.credentials[0].tokenFile: comes instead of passwordFile, not with it"},
        {"credentials: [{url: 'ssh://git@a.example', sshKeyFile: secret}]",
         "git.credentials[0].knownHostsFile: is required with a URL of SSH: host keys are "
         "always checked"},
        {"credentials: [{url: 'git@a.example:acme', knownHostsFile: secret}]",
         "git.credentials[0].sshKeyFile: is required with a URL of SSH"},
        {"credentials: [{url: 'git@a.example:', sshKeyFile: secret, "
         "knownHostsFile: revoked}]",
         "git.credentials[0].knownHostsFile: has a line that begins with @ (@cert-authority, "
         "@revoked), which is not understood"},
        {"credentials: [{url: 'git@a.example:', tokenFile: secret, sshKeyFile: secret, "
         "knownHostsFile: secret}]",
         "git.credentials[0].url: one of SSH has its user in it, and neither password nor "
         "token"},
        {"credentials: [{url: 'git@a.example:', sshKeyFile: long-key, knownHostsFile: secret}]",
         "git.credentials[0].sshKeyFile: longer than 16384 bytes"},
        {"credentials: [{url: 'git@a.example', tokenFile: secret}]",
         "git.credentials[0].url: must be a prefix such as https://git.example/acme or "
         "ssh://git@git.example/acme"},
        {"proxy: 'https://proxy.example'",
         "git.proxy: must be a proxy such as http://proxy.example:3128"},
        {"proxy: 'http://u:s3cret@proxy.example'",
         "git.proxy: must be a proxy such as http://proxy.example:3128"},
        {"proxy: 'http://proxy.example', proxyUsername: u",
         "git.proxyUsername: comes together with git.proxyPasswordFile"},
        {"noProxy: [a.example]", "git.proxy: is required with the other settings of a proxy"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP(free_ptr)
        char *yaml = xasprintf("git: {helper: /bin/true, %s}\n", cases[i].yaml);
        struct config config;
        struct config_errors errors;
        if (load(yaml, &config, &errors))
            fail_msg("no error in: %s", yaml);
        assert_int_equal(errors.count, 1);
        assert_string_equal(errors.items[0].text, cases[i].error);
        assert_int_equal(errors.items[0].line, 1);
        config_errors_finish(&errors);
    }
}

static void test_statuses(void **state)
{
    (void)state;
    struct config config;
    assert_loads("git: {helper: /bin/true}\n"
                 "statuses:\n"
                 "- {url: 'https://git.example', forge: gitea, tokenFile: secret}\n"
                 "- {url: 'https://git.example/acme', forge: gitlab, tokenFile: secret,"
                 " api: 'https://api.example/v4'}\n",
                 &config);
    const struct config_status *found = config_status(&config, "https://git.example/acme/x.git");
    assert_int_equal(found->forge, FORGE_GITLAB);
    assert_string_equal(found->api, "https://api.example/v4");
    assert_non_null(found->token.text);
    found = config_status(&config, "https://git.example/acme2/x.git");
    assert_int_equal(found->forge, FORGE_GITEA);
    assert_string_equal(found->api, "");
    assert_null(config_status(&config, "https://git.example.evil/acme/x.git"));
    config_finish(&config);
}

// --- documents from the table ---

static char *written(void (*write)(FILE *out))
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    write(out);
    fclose(out);
    return text;
}

static void test_example_file(void **state)
{
    (void)state;
    CLEANUP(buffer_finish) struct buffer file = {0};
    struct error err;
    int top = (int)(strlen(TEST_DATA) - strlen("/tests/unit/settings/data"));
    CLEANUP(free_ptr)
    char *path = xasprintf("%.*s/deploy/cronwright.example.yaml", top, TEST_DATA);
    if (!file_read(path, CONFIG_FILE_MAX, &file, &err))
        fail_msg("%s", err.text);
    CLEANUP(free_ptr) char *text = written(config_doc_example);
    assert_string_equal(buffer_text(&file),
                        text); // else print it anew: manual cronwright.example.yaml
    // As it is, it says nothing but the defaults; only the helper is not installed here.
    struct config config;
    struct config_errors errors;
    assert_false(load(text, &config, &errors) && "the helper is installed");
    assert_int_equal(errors.count, 1);
    assert_non_null(strstr(errors.items[0].text, "git.helper: "));
    config_errors_finish(&errors);
}

// With every line in force nothing is wrong but that the files are not there.
static void test_example_values(void **state)
{
    (void)state;
    CLEANUP(free_ptr) char *text = written(config_doc_example);
    for (char *line = text; line; line = strchr(line, '\n')) {
        line += strspn(line, "\n");
        char *hash = line + strspn(line, " ");
        if (hash[0] == '#' && (hash[1] != ' ' || hash[2] == ' ') && hash[1] != '\n')
            memmove(hash, hash + 1, strlen(hash));
    }
    struct config config;
    struct config_errors errors;
    assert_false(load(text, &config, &errors));
    for (size_t i = 0; i < errors.count; i++)
        if (!strstr(errors.items[i].text, ": No such file or directory"))
            fail_msg("%d: %s", errors.items[i].line, errors.items[i].text);
    assert_int_equal(errors.count, 16); // as many as there are files
    config_errors_finish(&errors);
}

static void test_help_and_manual(void **state)
{
    (void)state;
    CLEANUP(free_ptr) char *help = written(config_doc_help);
    assert_non_null(
        strstr(help, "  sweep.interval = 5m  1s to 1d\n"
                     "      How often every branch is asked for its head, once however many "));
    assert_non_null(strstr(help, "  admin.tokens[].role  required; viewer, runner, admin\n"));
    CLEANUP(free_ptr) char *manual = written(config_doc_man);
    assert_true(strncmp(manual, ".TH CRONWRIGHT.YAML 5 ", 22) == 0);
    assert_non_null(
        strstr(manual, ".TP\n.B sweep.interval\nHow often every branch is asked for its head"));
    assert_non_null(strstr(manual, "\nDefault: 5m; 1s to 1d.\n"));
    assert_non_null(strstr(manual, "cronwright\\-builds"));
    for (const char *line = manual; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        assert_true(*line != '\''); // would be a request
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_all_namespaces),
        cmocka_unit_test(test_empty_groups),
        cmocka_unit_test(test_unknown_keys),
        cmocka_unit_test(test_wrong_values),
        cmocka_unit_test(test_git_bounds),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_all_errors_at_once),
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_paths_of_systemd_credentials),
        cmocka_unit_test(test_values_are_not_told),
        cmocka_unit_test(test_lists_are_bounded),
        cmocka_unit_test(test_allow),
        cmocka_unit_test(test_grants),
        cmocka_unit_test(test_what_an_entry_lacks),
        cmocka_unit_test(test_credentials_of_entries),
        cmocka_unit_test(test_token_hashes),
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_git_proxy),
        cmocka_unit_test(test_git_together),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_example_file),
        cmocka_unit_test(test_example_values),
        cmocka_unit_test(test_help_and_manual),
    };
    return cmocka_run_group_tests(tests, make, clean);
}
