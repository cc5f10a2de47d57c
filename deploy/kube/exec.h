// Exec plugins of a kubeconfig: a program that prints credentials.
//
// Source: client.authentication.k8s.io/v1 (v1beta1 has the same fields).
#ifndef CRONWRIGHT_KUBE_EXEC_H
#define CRONWRIGHT_KUBE_EXEC_H

#include "agent/base/clock.h"
#include "agent/base/json.h"

struct exec_plugin;

struct exec_credentials {
    char *token;              // NULL: none
    char *cert_pem;           // NULL: none; then key_pem is set too
    char *key_pem;            //
    struct wall_time expires; // unset: not before the server refuses them
};

// From a user's "exec" object and the cluster it is for (told to the plugin if it asks). A command
// with a '/' starts at `directory`; one without is looked up in PATH when it runs.
bool exec_plugin_create(const json_t *exec, const json_t *cluster, const char *directory,
                        struct exec_plugin **out, struct error *err) MUST_CHECK;
void exec_plugin_destroy(struct exec_plugin *plugin); // NULL is fine

// Runs it, for at most KUBE_EXEC_TIMEOUT_MS; the calling thread waits.
bool exec_plugin_run(const struct exec_plugin *plugin, struct exec_credentials *out,
                     struct error *err) MUST_CHECK;
void exec_credentials_finish(struct exec_credentials *credentials); // wipes

#endif
