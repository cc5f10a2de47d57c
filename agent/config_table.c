#include "agent/config_table.h"
#include "agent/base/text.h"

#include <ctype.h>
#include <string.h>

#define SECONDS(n) ((int64_t)(n)*1000)
#define MINUTES(n) (SECONDS(n) * 60)
#define HOURS(n)   (MINUTES(n) * 60)
#define KIB(n)     ((int64_t)(n) << 10)
#define MIB(n)     ((int64_t)(n) << 20)
#define GIB(n)     ((int64_t)(n) << 30)

// --- forms ---

static bool only(const char *text, const char *set)
{
    return text[strspn(text, set)] == '\0';
}

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGIT "0123456789"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

static bool is_everything(const char *text)
{
    return strcmp(text, "*") == 0;
}

// RFC 1123 label.
static bool is_label(const char *text)
{
    size_t len = strlen(text);
    return len >= 1 && len <= 63 && only(text, LOWER DIGIT "-") && text[0] != '-' &&
           text[len - 1] != '-';
}

static bool is_label_or_all(const char *text)
{
    return is_label(text) || is_everything(text);
}

// RFC 1123 subdomain, as the names of Secrets.
static bool is_subdomain(const char *text)
{
    size_t len = strlen(text);
    return len >= 1 && len <= 253 && only(text, LOWER DIGIT "-.") &&
           isalnum((unsigned char)text[0]) && isalnum((unsigned char)text[len - 1]);
}

static bool is_graphic(const char *text)
{
    for (; *text; text++)
        if (!isgraph((unsigned char)*text))
            return false;
    return true;
}

// "ssh://user@host…" or "user@host:…".
static bool is_ssh_prefix(const char *text)
{
    bool scheme = text_starts(text, "ssh://");
    const char *user = scheme ? text + strlen("ssh://") : text;
    const char *at = strchr(user, '@');
    const char *colon = at ? strchr(at, ':') : NULL;
    return at && strcspn(user, ":/") > (size_t)(at - user) && isalnum((unsigned char)user[0]) &&
           (isalnum((unsigned char)at[1]) || at[1] == '[') && !strchr(at + 1, '@') &&
           (scheme || (colon && strcspn(at, "/") > (size_t)(colon - at)));
}

static bool is_url_prefix(const char *text)
{
    size_t scheme = text_starts(text, "https://") ? 8 : text_starts(text, "http://") ? 7 : 0;
    bool web = scheme && isalnum((unsigned char)text[scheme]) && !strchr(text, '@');
    return (web || is_ssh_prefix(text)) && is_graphic(text) && !strpbrk(text, "?#*\\");
}

static bool is_web_address(const char *text)
{
    return text_starts(text, "http") && is_url_prefix(text);
}

static bool is_url_prefix_or_all(const char *text)
{
    return is_url_prefix(text) || is_everything(text);
}

static bool is_image_prefix_or_all(const char *text)
{
    return is_everything(text) ||
           (isalnum((unsigned char)text[0]) && only(text, LOWER UPPER DIGIT ".-_:/"));
}

static bool is_image(const char *text)
{
    return isalnum((unsigned char)text[0]) && only(text, LOWER UPPER DIGIT ".-_:/@");
}

static bool is_mirror(const char *text)
{
    size_t len = strlen(text);
    return !is_everything(text) && is_image_prefix_or_all(text) && !strstr(text, "//") &&
           text[len - 1] != '/';
}

static bool is_registry_host(const char *text)
{
    return (isalnum((unsigned char)text[0]) || text[0] == '[') &&
           only(text, LOWER UPPER DIGIT ".-:[]");
}

static bool is_proxy(const char *text)
{
    return text_starts(text, "http://") && isalnum((unsigned char)text[7]) && is_graphic(text) &&
           !strpbrk(text + 7, "@?#*\\/");
}

// A host, all below a domain, or all.
static bool is_proxy_exception(const char *text)
{
    return is_everything(text) || (only(text, LOWER UPPER DIGIT ".-:") && *text);
}

static bool is_https_origin(const char *text)
{
    size_t scheme = text_starts(text, "https://") ? strlen("https://") : 0;
    return scheme && text[scheme] && only(text + scheme, LOWER UPPER DIGIT ".-:[]");
}

static bool is_platform(const char *text)
{
    const char *slash = strchr(text, '/');
    return slash && slash != text && slash[1] && slash[1] != '/' && only(text, LOWER DIGIT "/.");
}

static bool is_option(const char *text)
{
    return text_starts(text, "--") && isalpha((unsigned char)text[2]);
}

static bool is_person(const char *text)
{
    return isalnum((unsigned char)text[0]) && only(text, LOWER UPPER DIGIT "._@-");
}

static bool is_token_hash(const char *text)
{
    size_t len = strlen(TOKEN_HASH_PREFIX);
    return text_starts(text, TOKEN_HASH_PREFIX) && strlen(text + len) == SHA256_HEX_SIZE - 1 &&
           only(text + len, "abcdef" DIGIT);
}

#define FORM(name, ...) static const struct config_form name = {__VA_ARGS__}

FORM(a_label, is_label, "a name of lower-case letters, digits and -");
FORM(a_subdomain, is_subdomain, "a name of lower-case letters, digits, - and .");
FORM(a_namespace, is_label_or_all, "a namespace's name, or \"*\"");
FORM(a_url, is_url_prefix,
     "a prefix such as https://git.example/acme or ssh://git@git.example/acme");
FORM(a_repository, is_url_prefix_or_all,
     "a prefix such as https://git.example/acme or ssh://git@git.example/acme, or \"*\"");
FORM(a_proxy, is_proxy, "a proxy such as http://proxy.example:3128");
FORM(a_proxy_exception, is_proxy_exception, "a host, a .domain, or \"*\"");
FORM(a_web_address, is_web_address, "an address such as https://git.example");
FORM(an_image, is_image, "an image such as registry.example/tool:1.0");
FORM(an_image_prefix, is_image_prefix_or_all, "a prefix such as registry.example/acme, or \"*\"");
FORM(a_mirror, is_mirror, "a host such as mirror.example:5000, with a path if need be");
FORM(a_registry, is_registry_host, "a host such as registry.example:5000");
FORM(an_https_origin, is_https_origin, "an address such as https://cronwright.example:8443");
FORM(a_platform, is_platform, "a platform such as linux/amd64");
FORM(an_option, is_option, "an option such as --single-snapshot");
FORM(a_person, is_person, "a name of letters, digits, and . _ @ -");
FORM(a_token_hash, is_token_hash, "sha256: and 64 hex digits, as cronwright token prints it");

static const char *const log_levels[] = {"error", "warning", "info", "debug", NULL};
static const char *const log_formats[] = {"text", "json", NULL};
static const char *const forges[] = {"github", "gitlab", "gitea", NULL};
const char *const config_role_words[] = {
    [ROLE_VIEWER] = "viewer", [ROLE_RUNNER] = "runner", [ROLE_ADMIN] = "admin", NULL};

// --- the table ---

#define AT(member)       .offset = offsetof(struct config, member)
#define IN(item, member) .offset = offsetof(struct item, member)

const struct config_setting config_settings[] = {
    {"stateDirectory", CONFIG_PATH, AT(state_directory), .restart = true,
     .standard = "/var/lib/cronwright", .min = 1,
     .help = "Where the database, the Git mirrors and the logs are kept. Made if missing."},

    {"webhooks", CONFIG_GROUP,
     .help = "What the forges call. A forge without a secret is refused."},
    {"webhooks.listen", CONFIG_ADDRESS, AT(webhooks.listen), .restart = true,
     .standard = "0.0.0.0:8080",
     .help = "Where webhooks arrive: host:port or unix:/path. A socket from systemd goes first."},
    {"webhooks.maxBody", CONFIG_SIZE, AT(webhooks.max_body), .restart = true, .standard = "25MiB",
     .min = KIB(1), .max = MIB(100),
     .help = "Largest request body. The forges send at most 25 MB."},
    {"webhooks.maxConnections", CONFIG_INT, AT(webhooks.max_connections), .restart = true,
     .standard = "256", .min = 1, .max = 10000,
     .help = "Connections at once; further ones are answered with 503."},
    {"webhooks.maxConnectionsPerAddress", CONFIG_INT, AT(webhooks.max_connections_per_address),
     .restart = true, .standard = "128", .min = 0, .max = 10000,
     .help = "Connections at once from one address, an IPv6 /64 being one; 0 for no limit of its "
             "own. Behind a proxy all come from the proxy's."},
    {"webhooks.maxBytesInFlight", CONFIG_SIZE, AT(webhooks.max_bytes_in_flight), .restart = true,
     .standard = "100MiB", .min = KIB(1), .max = GIB(10),
     .help = "Bytes of all bodies together that are arriving or being looked at; at least maxBody. "
             "What is beyond is answered with 503."},
    {"webhooks.maxPending", CONFIG_INT, AT(webhooks.max_pending), .restart = true,
     .standard = "100000", .min = 1, .max = 10000000,
     .help =
         "Deliveries that have not come to an end; further ones are answered with 503, and what "
         "they would have told is found by the sweep."},
    {"webhooks.requestTimeout", CONFIG_DURATION, AT(webhooks.request_timeout_ms), .restart = true,
     .standard = "30s", .min = SECONDS(1), .max = MINUTES(10),
     .help = "How long a request may take to arrive, in all."},
    {"webhooks.github.secretFiles", CONFIG_SECRETS, AT(webhooks.github_secrets), .standard = "[]",
     .help = "Secrets of GitHub webhooks, a file each. Any of them is good, so that one can be "
             "replaced.",
     .example = "[/etc/cronwright/github.secret]"},
    {"webhooks.gitlab.tokenFiles", CONFIG_SECRETS, AT(webhooks.gitlab_tokens), .standard = "[]",
     .help = "Secret tokens of GitLab webhooks (X-Gitlab-Token), a file each.",
     .example = "[/etc/cronwright/gitlab.token]"},
    {"webhooks.gitlab.signingTokenFiles", CONFIG_SECRETS, AT(webhooks.gitlab_signing_tokens),
     .standard = "[]",
     .help = "Signing tokens of GitLab webhooks (whsec_...), a file each. With one, every request "
             "must be signed, unless acceptUnsigned is set.",
     .example = "[/etc/cronwright/gitlab.signing-token]"},
    {"webhooks.gitlab.acceptUnsigned", CONFIG_BOOL, AT(webhooks.gitlab_accept_unsigned),
     .standard = "false",
     .help = "Take requests with a secret token and no signature although signing tokens are set: "
             "while hooks are moved from the one to the other."},

    {"webhooks.gitea.secretFiles", CONFIG_SECRETS, AT(webhooks.gitea_secrets), .standard = "[]",
     .help = "Secrets of webhooks of Gitea and Forgejo, a file each.",
     .example = "[/etc/cronwright/gitea.secret]"},
    {"webhooks.bitbucket.secretFiles", CONFIG_SECRETS, AT(webhooks.bitbucket_secrets),
     .standard = "[]",
     .help = "Secrets of webhooks of Bitbucket Cloud and Bitbucket Data Center, a file each.",
     .example = "[/etc/cronwright/bitbucket.secret]"},

    {"admin", CONFIG_GROUP, .help = "The admin API, which the command line uses."},
    {"admin.listen", CONFIG_ADDRESS, AT(admin.listen), .restart = true,
     .standard = "127.0.0.1:8081", .help = "Where it listens: host:port or unix:/path."},
    {"admin.publicUrl", CONFIG_TEXT, AT(admin.public_url), .standard = "\"\"",
     .form = &a_web_address, .help = "Where people reach it: commit statuses link to its pages.",
     .example = "https://cronwright.example"},
    {"admin.sessionTimeout", CONFIG_DURATION, AT(admin.session_timeout_ms), .standard = "12h",
     .min = MINUTES(1), .max = HOURS(720),
     .help = "How long a browser stays signed in to the page. A restart ends it too, and that the "
             "token leaves the settings or gets another role."},
    {"admin.tokens", CONFIG_LIST, AT(admin.tokens), .standard = "[]",
     .item_size = sizeof(struct config_token), .help = "Who may use it."},
    {"admin.tokens[].name", CONFIG_TEXT, IN(config_token, name), .max = 64, .form = &a_person,
     .help = "Shown in logs and beside what was done.", .example = "ana"},
    {"admin.tokens[].hash", CONFIG_TEXT, IN(config_token, hash), .standard = "\"\"",
     .form = &a_token_hash,
     .help = "The SHA-256 of the bearer token, as cronwright token prints it: for tokens of full "
             "randomness only, since a guessable one is found from its hash.",
     .example = "sha256:5c8cd56d1083bd91da061c8bd31ecbae15173fc3e75b05df8cc22d81a390d103"},
    {"admin.tokens[].tokenFile", CONFIG_SECRET, IN(config_token, file), .standard = "\"\"",
     .help = "In place of hash: the file with the bearer token, 16 characters or more. It is kept "
             "in memory as its hash alone.",
     .example = "/etc/cronwright/ana.token"},
    {"admin.tokens[].role", CONFIG_CHOICE, IN(config_token, role), .words = config_role_words,
     .help = "A viewer looks, a runner also starts runs, an admin changes things.",
     .example = "runner"},
    {"admin.tokens[].namespaces", CONFIG_TEXTS, IN(config_token, namespaces), .min = 1,
     .form = &a_namespace, .help = "Namespaces the token is good for; \"*\" is all.",
     .example = "[reports, sales]"},

    {"metrics", CONFIG_GROUP,
     .help = "What the agent shows of itself, without a token: /metrics for Prometheus, /healthz, "
             "/readyz."},
    {"metrics.listen", CONFIG_ADDRESS, AT(metrics.listen), .restart = true,
     .standard = "127.0.0.1:8082", .may_be_off = true,
     .help = "Where it listens: host:port or unix:/path; \"\" is nowhere."},

    {"log", CONFIG_GROUP, .help = "Log lines go to standard error."},
    {"log.level", CONFIG_CHOICE, AT(log.level), .standard = "info", .words = log_levels,
     .help = "The least important lines that are written."},
    {"log.format", CONFIG_CHOICE, AT(log.format), .standard = "text", .words = log_formats,
     .help = "Lines of key=value, or of JSON."},

    {"kubernetes", CONFIG_GROUP, .help = "The cluster whose CronJobs are served."},
    {"kubernetes.kubeconfig", CONFIG_FILE, AT(kubernetes.kubeconfig), .restart = true,
     .standard = "\"\"",
     .help = "Without it, the service account of the Pod that cronwright runs in.",
     .example = "/etc/cronwright/kubeconfig"},
    {"kubernetes.context", CONFIG_TEXT, AT(kubernetes.context), .restart = true, .standard = "\"\"",
     .help = "A context of the kubeconfig; without it, the current one.", .example = "production"},
    {"kubernetes.namespaces", CONFIG_TEXTS, AT(kubernetes.namespaces), .restart = true,
     .standard = "[]", .form = &a_namespace,
     .help = "Namespaces that are watched; none, or \"*\", is all.", .example = "[reports, sales]"},

    {"git", CONFIG_GROUP, .help = "How repositories are fetched."},
    {"git.helper", CONFIG_PROGRAM, AT(git.helper), .standard = "\"\"",
     .help = "The program cronwright-git; without it, the installed one.",
     .example = "/usr/libexec/cronwright-git"},
    {"git.caFile", CONFIG_FILE, AT(git.ca_file), .standard = "\"\"",
     .help = "Certificates to trust (PEM) instead of the system's.",
     .example = "/etc/cronwright/git-ca.pem"},
    {"git.proxy", CONFIG_TEXT, AT(git.proxy), .standard = "\"\"", .form = &a_proxy,
     .help = "An HTTP proxy that repositories with https:// are fetched through. Only this setting "
             "counts: neither the environment nor Git's configuration is looked at.",
     .example = "http://proxy.example:3128"},
    {"git.proxyUsername", CONFIG_TEXT, AT(git.proxy_username), .standard = "\"\"", .max = 256,
     .help = "Who to log in as at the proxy.", .example = "cronwright"},
    {"git.proxyPasswordFile", CONFIG_SECRET, AT(git.proxy_password), .standard = "\"\"",
     .help = "The file with that password.", .example = "/etc/cronwright/proxy.password"},
    {"git.noProxy", CONFIG_TEXTS, AT(git.no_proxy), .standard = "[]", .form = &a_proxy_exception,
     .help = "Hosts that are fetched from without the proxy; \".example\" is all below a domain.",
     .example = "[git.internal.example, .local]"},
    {"git.timeout", CONFIG_DURATION, AT(git.timeout_ms), .standard = "5m", .min = SECONDS(1),
     .max = HOURS(1), .help = "How long one fetch may take."},
    {"git.maxConcurrent", CONFIG_INT, AT(git.max_concurrent), .restart = true, .standard = "4",
     .min = 1, .max = 64, .help = "Fetches at once."},
    {"git.maxConcurrentPerHost", CONFIG_INT, AT(git.max_concurrent_per_host), .restart = true,
     .standard = "0", .min = 0, .max = 64,
     .help = "Fetches at once from one host; from one repository, one fewer than that. Further "
             "ones wait and keep no place from others, so that a host that is silent holds up its "
             "own alone. 0: one fewer than maxConcurrent."},
    {"git.maxRepositoryBytes", CONFIG_SIZE, AT(git.max_repository_bytes), .standard = "2GiB",
     .min = MIB(1), .max = GIB(1024), .help = "Largest mirror of a repository."},
    {"git.maxTotalBytes", CONFIG_SIZE, AT(git.max_total_bytes), .standard = "20GiB", .min = MIB(1),
     .max = GIB(65536),
     .help = "Of all mirrors: beyond it, those go that were not used for longest, and are made "
             "again when they are needed. One that is in use stays. At least maxRepositoryBytes."},
    {"git.maxObjects", CONFIG_INT, AT(git.max_objects), .standard = "10000000", .min = 100,
     .max = 100000000, .help = "Objects that one fetch may bring."},
    {"git.maxFileBytes", CONFIG_SIZE, AT(git.max_file_bytes), .standard = "1GiB", .min = KIB(1),
     .max = GIB(2), .help = "Largest file in a build context: each is held in memory."},
    {"git.maxTreeDepth", CONFIG_INT, AT(git.max_tree_depth), .standard = "128", .min = 1,
     .max = 256, .help = "How deep the directories of a build context may be."},
    {"git.credentials", CONFIG_LIST, AT(git.credentials), .standard = "[]",
     .item_size = sizeof(struct config_credential),
     .help = "Who to log in as. An entry of allow that names none uses those without a name, of "
             "which the longest prefix of a repository's URL decides."},
    {"git.credentials[].name", CONFIG_TEXT, IN(config_credential, name), .standard = "\"\"",
     .max = 64, .form = &a_person,
     .help = "Reserves it for those entries of allow that have this name as gitCredential: what is "
             "fetched with it is kept apart, and nobody else gets to see it. Without a name it is "
             "for everyone whom allow lets build such a repository.",
     .example = "acme"},
    {"git.credentials[].url", CONFIG_TEXT, IN(config_credential, url), .form = &a_url,
     .help =
         "Prefix of clone URLs; it ends where a part of the path ends. With http:// or https:// "
         "belongs a passwordFile or a tokenFile, with ssh:// an sshKeyFile; user@host:path is "
         "as good as ssh://user@host/path.",
     .example = "https://git.example/acme"},
    {"git.credentials[].username", CONFIG_TEXT, IN(config_credential, username), .standard = "\"\"",
     .max = 256,
     .help = "The user's name, for a passwordFile. With a tokenFile it may be left out: \"oauth2\" "
             "is then sent, which GitHub, GitLab, Gitea and Forgejo take with any token for a "
             "person or a project.",
     .example = "cronwright"},
    {"git.credentials[].passwordFile", CONFIG_SECRET, IN(config_credential, password),
     .standard = "\"\"", .help = "The file with the password.",
     .example = "/etc/cronwright/git.password"},
    {"git.credentials[].tokenFile", CONFIG_SECRET, IN(config_credential, token), .standard = "\"\"",
     .help = "The file with an access token, instead of a password."},
    {"git.credentials[].caFile", CONFIG_FILE, IN(config_credential, ca_file), .standard = "\"\"",
     .help = "Certificates to trust (PEM) below this URL, instead of those of git.caFile."},
    {"git.credentials[].sshKeyFile", CONFIG_SECRET, IN(config_credential, ssh_key),
     .standard = "\"\"",
     .help = "The file with the private SSH key; ED25519 or ECDSA, since with an older libssh2 "
             "servers no longer take RSA."},
    {"git.credentials[].sshPassphraseFile", CONFIG_SECRET, IN(config_credential, ssh_passphrase),
     .standard = "\"\"", .help = "The file with the key's passphrase, if it has one."},
    {"git.credentials[].knownHostsFile", CONFIG_SECRET, IN(config_credential, known_hosts),
     .standard = "\"\"",
     .help = "The host keys of SSH servers, as in ~/.ssh/known_hosts. A host that is not in it, or "
             "has another key, is not talked to."},

    {"registries", CONFIG_LIST, AT(registries), .standard = "[]",
     .item_size = sizeof(struct config_registry),
     .help = "How cronwright itself asks registries whether an image is there. Those not listed "
             "are asked by HTTPS, without a login."},
    {"registries[].host", CONFIG_TEXT, IN(config_registry, host), .min = 1, .max = 255,
     .form = &a_registry, .help = "As in image names.", .example = "registry.example:5000"},
    {"registries[].plainHttp", CONFIG_BOOL, IN(config_registry, plain_http), .standard = "false",
     .help = "Speak HTTP instead of HTTPS; builds do too."},
    {"registries[].caFile", CONFIG_FILE, IN(config_registry, ca_file), .standard = "\"\"",
     .help = "Certificates to trust (PEM) instead of the system's; builds trust them too.",
     .example = "/etc/cronwright/registry-ca.pem"},
    {"registries[].proxy", CONFIG_TEXT, IN(config_registry, proxy), .standard = "\"\"",
     .form = &a_proxy,
     .help = "An HTTP proxy that cronwright asks this registry through. For builds: builds.proxy."},
    {"registries[].authFile", CONFIG_SECRET, IN(config_registry, auth), .standard = "\"\"",
     .help = "A Docker config.json with the login: a user and password or an identity token, for "
             "the host or for a path below it.",
     .example = "/etc/cronwright/registry.json"},

    {"builds", CONFIG_GROUP, .help = "The Kaniko Jobs."},
    {"builds.namespace", CONFIG_TEXT, AT(builds.namespace), .restart = true,
     .standard = "cronwright-builds", .form = &a_label,
     .help = "The namespace they run in; better not one of the services'."},
    {"builds.kanikoImage", CONFIG_TEXT, AT(builds.kaniko_image),
     .standard = "ghcr.io/osscontainertools/kaniko:v1.28.3", .max = 512, .form = &an_image,
     .help = "Kaniko's executor."},
    {"builds.serviceAccount", CONFIG_TEXT, AT(builds.service_account), .standard = "\"\"",
     .form = &a_subdomain,
     .help = "Without it, the namespace's default. Its token is never mounted.",
     .example = "builder"},
    {"builds.pushSecret", CONFIG_TEXT, AT(builds.push_secret), .standard = "\"\"",
     .form = &a_subdomain,
     .help = "A Secret of type kubernetes.io/dockerconfigjson in that namespace: the login for "
             "pushing.",
     .example = "push"},
    {"builds.nodeSelector", CONFIG_TEXT_MAP, AT(builds.node_selector), .standard = "{}",
     .help = "As in a Pod.", .example = "{kubernetes.io/arch: amd64}"},
    {"builds.tolerations", CONFIG_OBJECTS, AT(builds.tolerations), .standard = "[]",
     .help = "As in a Pod.", .example = "[{key: builds, operator: Exists}]"},
    {"builds.affinity", CONFIG_OBJECT, AT(builds.affinity), .standard = "{}",
     .help = "As in a Pod.",
     .example = "{podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: []}}"},
    {"builds.priorityClass", CONFIG_TEXT, AT(builds.priority_class), .standard = "\"\"",
     .form = &a_subdomain,
     .help = "The PriorityClass of their pods; without it, the cluster's default.",
     .example = "low"},
    {"builds.labels", CONFIG_TEXT_MAP, AT(builds.labels), .standard = "{}",
     .help = "Labels of their pods, beside cronwright's own.", .example = "{team: platform}"},
    {"builds.annotations", CONFIG_TEXT_MAP, AT(builds.annotations), .standard = "{}",
     .help = "Annotations of their pods, beside cronwright's own.",
     .example = "{sidecar.istio.io/inject: \"false\"}"},
    {"builds.resources", CONFIG_RESOURCES, AT(builds.resources),
     .standard = "{requests: {cpu: 250m, memory: 512Mi, ephemeral-storage: 1Gi}, "
                 "limits: {memory: 4Gi, ephemeral-storage: 20Gi}}",
     .help = "As in a container. Builds end by running out of memory more than by anything else."},
    {"builds.platform", CONFIG_TEXT, AT(builds.platform), .standard = "\"\"", .max = 64,
     .form = &a_platform, .help = "Without it, the platform of the node.",
     .example = "linux/amd64"},
    {"builds.timeout", CONFIG_DURATION, AT(builds.timeout_ms), .standard = "1h", .min = MINUTES(1),
     .max = HOURS(24), .help = "How long one build may take."},
    {"builds.ttl", CONFIG_DURATION, AT(builds.ttl_ms), .standard = "10m", .min = SECONDS(10),
     .max = HOURS(24 * 7), .help = "How long a finished Job stays in the cluster."},
    {"builds.maxConcurrent", CONFIG_INT, AT(builds.max_concurrent), .standard = "4", .min = 1,
     .max = 1000, .help = "Builds at once. The others wait, and start in the order they came."},
    {"builds.maxConcurrentPerRepository", CONFIG_INT, AT(builds.max_concurrent_per_repository),
     .standard = "0", .min = 0, .max = 1000,
     .help = "Builds of one repository at once, all branches together; those of other repositories "
             "go past the ones that wait for this. 0: only maxConcurrent counts."},
    {"builds.cache", CONFIG_BOOL, AT(builds.cache), .standard = "false",
     .help = "Keep layers in a registry for the next build."},
    {"builds.cacheRepository", CONFIG_TEXT, AT(builds.cache_repository), .standard = "\"\"",
     .max = 512, .form = &an_image, .help = "Without it, <image>/cache.",
     .example = "registry.example/cache"},
    {"builds.registryMirrors", CONFIG_TEXTS, AT(builds.registry_mirrors), .standard = "[]",
     .form = &a_mirror,
     .help = "Where Kaniko looks for base images of Docker Hub first, in this order.",
     .example = "[mirror.example]"},
    {"builds.registryMaps", CONFIG_TEXT_MAP, AT(builds.registry_maps), .standard = "{}",
     .form = &a_mirror,
     .help = "Mirrors of other registries: where Kaniko looks for their base images first.",
     .example = "{quay.io: mirror.example/quay}"},
    {"builds.maxContextBytes", CONFIG_SIZE, AT(builds.max_context_bytes), .standard = "1GiB",
     .min = KIB(1), .max = GIB(16),
     .help = "Largest context, compressed. Up to 900KiB it travels in a Secret; larger ones need "
             "context.listen."},
    {"builds.extraArgs", CONFIG_TEXTS, AT(builds.extra_args), .standard = "[]", .form = &an_option,
     .help = "More options for Kaniko.", .example = "[--single-snapshot]"},
    {"builds.proxy", CONFIG_TEXT, AT(builds.proxy), .standard = "\"\"", .form = &a_proxy,
     .help = "An HTTP proxy that Kaniko reaches registries through. What a Dockerfile runs is not "
             "told of it: that is a matter of build arguments.",
     .example = "http://proxy.example:3128"},
    {"builds.noProxy", CONFIG_TEXTS, AT(builds.no_proxy), .standard = "[]",
     .form = &a_proxy_exception, .help = "Hosts, and .domains, that Kaniko reaches without it.",
     .example = "[registry.internal.example]"},
    {"builds.insecure", CONFIG_BOOL, AT(builds.insecure), .standard = "false",
     .help = "Let Kaniko use plain HTTP and unknown certificates everywhere. For trying out."},

    {"context", CONFIG_GROUP,
     .help = "Build contexts that are too large for a Secret: pods get them from here, by HTTPS, "
             "each with a token that is good for its own build and as long as that runs."},
    {"context.listen", CONFIG_ADDRESS, AT(context.listen), .restart = true, .may_be_off = true,
     .standard = "\"\"", .help = "Where pods ask: host:port. Without it, larger contexts fail.",
     .example = "0.0.0.0:8443"},
    {"context.address", CONFIG_TEXT, AT(context.address), .restart = true, .standard = "\"\"",
     .form = &an_https_origin, .help = "What pods call it. Needed with context.listen.",
     .example = "https://cronwright.cronwright.svc:8443"},
    {"context.certificateFile", CONFIG_SECRET, AT(context.certificate), .restart = true,
     .standard = "\"\"",
     .help = "Its certificate (PEM), for the host of context.address; pods trust this one and no "
             "other. Without it one is made and kept in the state directory. Several agents behind "
             "one address need the same certificate and key.",
     .example = "/etc/cronwright/context.pem"},
    {"context.keyFile", CONFIG_SECRET, AT(context.key), .restart = true, .standard = "\"\"",
     .help = "The certificate's private key (PEM). Tokens are made from it.",
     .example = "/etc/cronwright/context.key"},
    {"context.image", CONFIG_TEXT, AT(context.image), .restart = true, .standard = "\"\"",
     .max = 512, .form = &an_image,
     .help = "cronwright's own image, which fetches the context in the pod. Needed with "
             "context.listen.",
     .example = "registry.example/cronwright:0.1.0"},
    {"context.maxConnections", CONFIG_INT, AT(context.max_connections), .restart = true,
     .standard = "32", .min = 1, .max = 1000,
     .help = "Contexts that are sent at once; further pods wait."},
    {"context.maxSpoolBytes", CONFIG_SIZE, AT(context.max_spool_bytes), .standard = "10GiB",
     .min = MIB(1), .max = GIB(65536),
     .help = "Of all contexts that are kept while their builds run, apart from those that are "
             "being packed: the oldest go, and are packed again when a pod asks for them."},

    {"sweep", CONFIG_GROUP, .help = "What no webhook told is found by looking."},
    {"sweep.interval", CONFIG_DURATION, AT(sweep.interval_ms), .standard = "5m", .min = SECONDS(1),
     .max = HOURS(24),
     .help = "How often every branch is asked for its head, once however many services "
             "follow it. The branches' turns are spread over a tenth of it at "
             "most; one that a push has just had asked is left out."},

    {"allow", CONFIG_LIST, AT(allow), .standard = "[]", .item_size = sizeof(struct config_allow),
     .help = "Which namespaces may build what into which images. The first entry that holds for "
             "all three decides; without one, nothing is built."},
    {"allow[].namespaces", CONFIG_TEXTS, IN(config_allow, namespaces), .min = 1,
     .form = &a_namespace, .help = "Namespaces of CronJobs; \"*\" is all.", .example = "[reports]"},
    {"allow[].repositories", CONFIG_TEXTS, IN(config_allow, repositories), .min = 1,
     .form = &a_repository,
     .help = "Prefixes of clone URLs, ending where a part of the path ends; \"*\" is all.",
     .example = "[https://git.example/acme]"},
    {"allow[].images", CONFIG_TEXTS, IN(config_allow, images), .min = 1, .form = &an_image_prefix,
     .help = "Prefixes of images, by the same rule; \"*\" is all.",
     .example = "[registry.example/acme]"},
    {"allow[].gitCredential", CONFIG_TEXT, IN(config_allow, git_credential), .standard = "\"\"",
     .form = &a_person,
     .help = "The name of one of git.credentials: the entry then holds only for repositories below "
             "its url, and they are fetched with it. Without, those that have no name are used.",
     .example = "acme"},
    {"allow[].pushSecret", CONFIG_TEXT, IN(config_allow, push_secret), .standard = "\"\"",
     .form = &a_subdomain,
     .help = "A Secret in builds.namespace to push with, in place of builds.pushSecret. Namespaces "
             "with different ones do not share builds.",
     .example = "push-acme"},
    {"allow[].pullSecret", CONFIG_TEXT, IN(config_allow, pull_secret), .standard = "\"\"",
     .form = &a_subdomain,
     .help = "A Secret in the service's namespace to pull the image with: a service that is "
             "created gets it when its document names none. Those that are there stay as they are.",
     .example = "pull-acme"},

    {"statuses", CONFIG_LIST, AT(statuses), .standard = "[]",
     .item_size = sizeof(struct config_status),
     .help =
         "Where it is told what became of a commit, beside the commit in the forge. The longest "
         "prefix of a repository's URL decides. git.caFile is trusted here too."},
    {"statuses[].url", CONFIG_TEXT, IN(config_status, url), .form = &a_url,
     .help = "Prefix of clone URLs; it ends where a part of the path ends.",
     .example = "https://git.example/acme"},
    {"statuses[].forge", CONFIG_CHOICE, IN(config_status, forge), .words = forges,
     .help = "Which API it speaks; Forgejo speaks Gitea's.", .example = "gitea"},
    {"statuses[].api", CONFIG_TEXT, IN(config_status, api), .standard = "\"\"",
     .form = &a_web_address,
     .help = "Where the API is. Without it: https://api.github.com for github.com, else /api/v3 "
             "(GitHub), /api/v4 (GitLab) or /api/v1 (Gitea) on the URL's host.",
     .example = "https://git.example/api/v1"},
    {"statuses[].tokenFile", CONFIG_SECRET, IN(config_status, token),
     .help = "The file with an access token that may write commit statuses.",
     .example = "/etc/cronwright/statuses.token"},

    {"logs", CONFIG_GROUP, .help = "The logs of runs and builds, kept under the state directory."},
    {"logs.maxBytes", CONFIG_SIZE, AT(logs.max_bytes), .standard = "64MiB", .min = KIB(64),
     .max = GIB(16),
     .help = "Of one container's log with the time of each line; the rest is not kept, and that is "
             "said."},
    {"logs.maxTotalBytes", CONFIG_SIZE, AT(logs.max_total_bytes), .standard = "10GiB",
     .min = KIB(64), .max = GIB(65536),
     .help = "Of all logs of runs, compressed: then those of the runs that ended first go."},
    {"logs.maxBuildBytes", CONFIG_SIZE, AT(logs.max_build_bytes), .standard = "10GiB",
     .min = KIB(64), .max = GIB(65536),
     .help = "Of all logs of builds: then those of the oldest builds that have ended go."},

    {"retention", CONFIG_GROUP,
     .help = "What is remembered; work not yet done is never forgotten."},
    {"retention.deliveries", CONFIG_INT, AT(retention.deliveries), .standard = "10000", .min = 100,
     .max = 10000000, .help = "Deliveries."},
    {"retention.builds", CONFIG_INT, AT(retention.builds), .standard = "1000", .min = 10,
     .max = 1000000, .help = "Builds, with their logs."},
    {"retention.branches", CONFIG_INT, AT(retention.branches), .standard = "100000", .min = 100,
     .max = 10000000,
     .help =
         "Branches whose last head is known, a repository's under each Git credential; those go "
         "that were not asked for longest. More than are followed."},
    {"retention.images", CONFIG_INT, AT(retention.images), .standard = "50", .min = 2, .max = 500,
     .help = "Images of each service, to roll back to."},
    {"retention.runs", CONFIG_INT, AT(retention.runs), .standard = "200", .min = 1, .max = 100000,
     .help = "Runs of each service, with their logs. How many Jobs Kubernetes keeps is the "
             "CronJob's own matter."},
    {"retention.runDays", CONFIG_INT, AT(retention.run_days), .standard = "90", .min = 1,
     .max = 36500, .help = "Days after its end that a run is remembered."},
};

const size_t config_setting_count = sizeof config_settings / sizeof config_settings[0];

const struct config_unit *config_units(enum config_type type)
{
    static const struct config_unit durations[] = {{"d", HOURS(24)},  {"h", HOURS(1)},
                                                   {"m", MINUTES(1)}, {"s", SECONDS(1)},
                                                   {"ms", 1},         {NULL, 0}};
    static const struct config_unit sizes[] = {{"TiB", GIB(1024)}, {"GiB", GIB(1)}, {"MiB", MIB(1)},
                                               {"KiB", KIB(1)},    {"B", 1},        {NULL, 0}};
    static const struct config_unit numbers[] = {{"", 1}, {NULL, 0}};
    return type == CONFIG_DURATION ? durations : type == CONFIG_SIZE ? sizes : numbers;
}

void config_amount(enum config_type type, int64_t value, char out[static CONFIG_AMOUNT_SIZE])
{
    const struct config_unit *unit = config_units(type);
    while (unit->factor > 1 && (value < unit->factor || value % unit->factor != 0))
        unit++;
    snprintf(out, CONFIG_AMOUNT_SIZE, "%lld%s", (long long)(value / unit->factor), unit->name);
}
