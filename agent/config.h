// The daemon's settings: one YAML file, one table (config.c) that gives each setting its type,
// default, bounds and help. config_doc.c prints the example file and the manual from that table.
//
// After config_load() the struct is read-only and may be read by any thread. Durations are kept in
// milliseconds, sizes in bytes. No text is NULL unless said so: an optional text that is not set is
// "". Relative paths were resolved from the settings file's directory, and those that start with
// "${CREDENTIALS_DIRECTORY}/" from what systemd has set that variable to.
#ifndef CRONWRIGHT_CONFIG_H
#define CRONWRIGHT_CONFIG_H

#include "agent/base/crypto.h"
#include "agent/base/json.h"
#include "agent/base/log.h"

#include <stdint.h>
#include <stdio.h>

#define CONFIG_FILE_MAX   ((size_t)1 << 20)
#define CONFIG_LIST_MAX   256  // items of any list
#define CONFIG_TEXT_MAX   4096 // bytes of any text
#define CONFIG_TOKEN_MIN  16   // bytes of an admin token in a file
#define CONFIG_ERRORS_MAX 100

#define CONFIG_SSH_KEY_MAX     ((size_t)16 << 10) // bytes of a private SSH key's file
#define CONFIG_KNOWN_HOSTS_MAX ((size_t)24 << 10) // bytes of a known_hosts file

#define TOKEN_HASH_PREFIX "sha256:"

// Where to listen; nowhere when neither of the texts is there.
struct config_address {
    char *unix_path; // NULL for TCP
    char *host;      // name or number, IPv6 without brackets; NULL for a UNIX socket
    uint16_t port;   // 0: the system chooses one
};

// A file that holds a secret, and what it held when the settings were loaded.
struct config_secret {
    char *path; // "" when not set
    char *text; // without the trailing newline; NULL when not set
};

struct config_texts {
    char **items;
    size_t count;
};

struct config_secrets {
    struct config_secret *items;
    size_t count;
};

enum config_role { ROLE_VIEWER, ROLE_RUNNER, ROLE_ADMIN }; // each may do what the former may
extern const char *const config_role_words[];              // by role, ended by NULL

struct config_token {
    char *name;                  // unique
    char *hash;                  // "sha256:<hex>"; "" with a file
    struct config_secret file;   // of the token, whose text is forgotten once it is hashed
    uint8_t digest[SHA256_SIZE]; // of the token
    enum config_role role;
    struct config_texts namespaces; // "*": all
};

struct config_credential {
    char *name;     // unique: only entries of `allow` that name it use it; "": all that name none
    char *url;      // prefix: config_credential()
    char *username; // "": not given
    struct config_secret password;
    struct config_secret token;
    struct config_secret ssh_key;        // with SSH, as the following
    struct config_secret ssh_passphrase; //
    struct config_secret known_hosts;    // no secret, but read the same way
    char *ca_file;                       // "": git.caFile
};

struct config_registry {
    char *host; // "registry.example" or "registry.example:5000"
    bool plain_http;
    char *ca_file;             // "": the system's
    char *proxy;               // "": none
    struct config_secret auth; // a docker config.json
};

enum config_forge { FORGE_GITHUB, FORGE_GITLAB, FORGE_GITEA };

struct config_status {
    char *url; // prefix of clone URLs: config_status()
    enum config_forge forge;
    char *api; // "": as follows from the URL
    struct config_secret token;
};

struct config_allow {
    struct config_texts namespaces;   // exact, or "*"
    struct config_texts repositories; // URL prefixes, or "*"
    struct config_texts images;       // image prefixes, or "*"
    char *git_credential;             // name of one; "": those without a name
    char *push_secret;                // in builds.namespace; "": builds.pushSecret
    char *pull_secret;                // in the service's namespace; "": none
};

struct config {
    struct {
        struct config_address listen;
        struct config_secrets github_secrets;
        struct config_secrets gitlab_tokens;
        struct config_secrets gitlab_signing_tokens; // each is "whsec_" and base64
        struct config_secrets gitea_secrets;         // Forgejo's too
        struct config_secrets bitbucket_secrets;     // Cloud's and Data Center's
        bool gitlab_accept_unsigned; // a token alone will do although there are signing tokens
        int64_t max_body;
        int64_t max_connections;
        int64_t max_connections_per_address; // 0: any number
        int64_t max_bytes_in_flight;         // ≥ max_body
        int64_t max_pending;
        int64_t request_timeout_ms;
    } webhooks;
    struct {
        struct config_address listen;
        struct {
            struct config_token *items;
            size_t count;
        } tokens;
        char *public_url; // "": not known
        int64_t session_timeout_ms;
    } admin;
    struct {
        struct config_address listen; // no host and no path: off
    } metrics;
    char *state_directory;
    struct {
        enum log_level level;
        enum log_format format;
    } log;
    struct {
        char *kubeconfig;               // "": in-cluster
        char *context;                  // "": the kubeconfig's current one
        struct config_texts namespaces; // those watched; none: all
    } kubernetes;
    struct {
        char *helper; // never ""
        char *ca_file;
        char *proxy; // "": none
        char *proxy_username;
        struct config_secret proxy_password;
        struct config_texts no_proxy; // hosts, ".domain", or "*"
        int64_t timeout_ms;
        int64_t max_concurrent;
        int64_t max_concurrent_per_host; // 0: one fewer than in all
        int64_t max_repository_bytes;
        int64_t max_total_bytes; // of all mirrors
        int64_t max_objects;     // of one fetch
        int64_t max_file_bytes;
        int64_t max_tree_depth;
        struct {
            struct config_credential *items;
            size_t count;
        } credentials;
    } git;
    struct {
        struct config_registry *items;
        size_t count;
    } registries;
    struct {
        char *namespace;
        char *kaniko_image;
        char *service_account; // "": the namespace's default
        char *push_secret;     // "": none
        json_t *node_selector; // object of texts, as in a Pod's spec
        json_t *tolerations;   // list of objects, as in a Pod's spec
        json_t *affinity;      // object, as in a Pod's spec
        char *priority_class;  // "": the cluster's default
        json_t *labels;        // objects of texts: of the Jobs' pods, beside ours
        json_t *annotations;   //
        json_t *resources;     // {"requests": {…}, "limits": {…}} of texts, as in a container's
        char *platform;        // "linux/amd64"; "": the node's
        int64_t timeout_ms;
        int64_t ttl_ms; // whole seconds: ttlSecondsAfterFinished
        int64_t max_concurrent;
        int64_t max_concurrent_per_repository; // 0: no bound of its own
        bool cache;
        char *cache_repository;               // "": beside the image
        struct config_texts registry_mirrors; // "host[:port][/path]", for Docker Hub
        json_t *registry_maps;                // registry → "host[:port][/path]", texts
        int64_t max_context_bytes;
        struct config_texts extra_args;
        char *proxy;                  // "": none
        struct config_texts no_proxy; // as in NO_PROXY
        bool insecure;
    } builds;
    struct {
        struct config_address listen; // nowhere: contexts travel in Secrets alone
        char *address;                // "https://host:port": where pods find it
        struct config_secret certificate;
        struct config_secret key;
        char *image;
        int64_t max_connections;
        int64_t max_spool_bytes;
    } context;
    struct {
        int64_t interval_ms;
    } sweep;
    struct {
        struct config_allow *items;
        size_t count;
    } allow;
    struct {
        struct config_status *items;
        size_t count;
    } statuses;
    struct {
        int64_t max_bytes;
        int64_t max_total_bytes;
        int64_t max_build_bytes; // of those of builds together
    } logs;
    struct {
        int64_t deliveries;
        int64_t builds;
        int64_t branches;
        int64_t images;
        int64_t runs; // of each service
        int64_t run_days;
    } retention;
};

// What is wrong with a settings file, ordered by place.
struct config_errors {
    struct config_error {
        int line;   // from 1; 0: not a matter of one line
        int column; // from 1
        char *text; // 'unknown key "timezone"; did you mean "timeZone"?'; never holds a secret
    } * items;
    size_t count;
};

// Reads, checks and fills *out, secrets included. On failure *errors says everything that is wrong
// at once (at most CONFIG_ERRORS_MAX) and *out is untouched. The caller finishes both.
bool config_load(const char *path, struct config *out, struct config_errors *errors) MUST_CHECK;
void config_finish(struct config *config); // wipes the secrets

// "cronwright.yaml:9:3  unknown key …", a line each, with the file's name as given in `path`.
void config_errors_print(const struct config_errors *errors, const char *path, FILE *out);
void config_errors_finish(struct config_errors *errors);

// What an entry of `allow` gives; the texts are those of the entry.
struct config_grant {
    const char *credential;  // whose Git credential, by name; "": those without a name
    const char *push_secret; // "": builds.pushSecret
};

// Whether a service in `ns` may build `repository` (the clone URL of its annotation) into `image`
// (without a tag), and how: the first entry of `allow` that holds for all three decides, and one
// with a gitCredential holds only for repositories below that credential's url. Deny by default:
// ERR_FORBIDDEN says what the table lacks. A prefix is compared byte by byte, scheme included, and
// ends at a border of path components: "registry.example/acme" holds for
// "registry.example/acme/report", not for "registry.example/acme2". A ".git" or "/" at the end does
// not count. A name that a server could read as another one ("..", "//", "%2e", "?") is allowed by
// "*" alone. "git@host:path" is compared as "ssh://git@host/path".
bool config_allows(const struct config *config, const char *ns, const char *repository,
                   const char *image, struct config_grant *out, struct error *err) MUST_CHECK;

// The Secret to pull an image with (without tag and digest) in a namespace: that of the entry that
// decides about the repository; with NULL for it, since the image is not built here, that of the
// first entry that has one and holds for namespace and image. "": none.
const char *config_pull_secret(const struct config *config, const char *ns, const char *repository,
                               const char *image);

// What to log in with for a clone URL, as a grant says: the credential of that name, if its prefix
// holds; for "", of those without a name the one with the longest prefix. NULL: none. One of a URL
// of SSH has an SSH key and known hosts, any other a password or a token.
const struct config_credential *config_credential(const struct config *config, const char *name,
                                                  const char *url);
// The proxy for a clone URL; NULL: none. Used for https alone.
const char *config_git_proxy(const struct config *config, const char *url);
// The entry for commit statuses with the longest prefix of a clone URL, likewise; NULL: none.
const struct config_status *config_status(const struct config *config, const char *url);
// Whether there is a context listener.
bool config_serves_contexts(const struct config *config);
// The entry for a registry's host[:port]; NULL: none.
const struct config_registry *config_registry(const struct config *config, const char *host);

// Tells of every file that the settings name and that holds a secret, with the setting's key
// ("git.credentials[].tokenFile"); not of one that is not set.
void config_secret_files(const struct config *config,
                         void (*each)(void *user, const char *key, const char *path), void *user);

// From the same table (config_doc.c):
void config_doc_example(FILE *out); // deploy/cronwright.example.yaml
void config_doc_help(FILE *out);    // a list of keys, defaults and help, for --help
void config_doc_man(FILE *out);     // cronwright.yaml(5) in roff

#endif
