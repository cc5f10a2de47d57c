// The daemon's settings: one YAML file, one table (config.c) that gives each setting its type,
// default, bounds and help. config_doc.c prints the example file and the manual from that table.
//
// After config_load() the struct is read-only and may be read by any thread. Durations are kept in
// milliseconds, sizes in bytes. No text is NULL unless said so: an optional text that is not set is
// "". Relative paths were resolved from the settings file's directory.
#ifndef CRONWRIGHT_CONFIG_H
#define CRONWRIGHT_CONFIG_H

#include "agent/base/json.h"
#include "agent/base/log.h"

#include <stdint.h>
#include <stdio.h>

#define CONFIG_FILE_MAX   ((size_t)1 << 20)
#define CONFIG_LIST_MAX   256  // items of any list
#define CONFIG_TEXT_MAX   4096 // bytes of any text
#define CONFIG_TOKEN_MIN  16   // bytes of an admin token
#define CONFIG_ERRORS_MAX 100

// Where to listen.
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

struct config_token {
    char *name; // unique
    struct config_secret token;
    enum config_role role;
    struct config_texts namespaces; // "*": all
};

struct config_credential {
    char *url; // prefix: config_credential()
    char *username;
    struct config_secret password;
};

struct config_registry {
    char *host; // "registry.example" or "registry.example:5000"
    bool plain_http;
    char *ca_file;             // "": the system's
    struct config_secret auth; // a docker config.json
};

struct config_allow {
    struct config_texts namespaces;   // exact, or "*"
    struct config_texts repositories; // URL prefixes, or "*"
    struct config_texts images;       // image prefixes, or "*"
};

struct config {
    struct {
        struct config_address listen;
        struct config_secrets github_secrets;
        struct config_secrets gitlab_tokens;
        struct config_secrets gitlab_signing_tokens; // each is "whsec_" and base64
        bool gitlab_accept_unsigned; // a token alone will do although there are signing tokens
        int64_t max_body;
        int64_t max_connections;
        int64_t request_timeout_ms;
    } webhooks;
    struct {
        struct config_address listen;
        struct {
            struct config_token *items;
            size_t count;
        } tokens;
    } admin;
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
        int64_t timeout_ms;
        int64_t max_concurrent;
        int64_t max_repository_bytes;
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
        bool insecure;
    } builds;
    struct {
        int64_t interval_ms;
    } sweep;
    struct {
        struct config_allow *items;
        size_t count;
    } allow;
    struct {
        int64_t max_bytes;
        int64_t max_total_bytes;
    } logs;
    struct {
        int64_t deliveries;
        int64_t builds;
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

// Whether a service in `ns` may build `repository` (the clone URL of its annotation) into `image`
// (without a tag): one entry of `allow` must hold for all three. Deny by default. A prefix is
// compared byte by byte, scheme included, and ends at a border of path components:
// "registry.example/acme" holds for "registry.example/acme/report", not for
// "registry.example/acme2". A ".git" or "/" at the end does not count. A name that a server could
// read as another one ("..",
// "//", "%2e", "?") is allowed by "*" alone.
bool config_allows(const struct config *config, const char *ns, const char *repository,
                   const char *image);

// The credential with the longest prefix of a clone URL, by the same rule; NULL: none.
const struct config_credential *config_credential(const struct config *config, const char *url);
// The entry for a registry's host[:port]; NULL: none.
const struct config_registry *config_registry(const struct config *config, const char *host);

// From the same table (config_doc.c):
void config_doc_example(FILE *out); // deploy/cronwright.example.yaml
void config_doc_help(FILE *out);    // a list of keys, defaults and help, for --help
void config_doc_man(FILE *out);     // cronwright.yaml(5) in roff

#endif
