// Within the library: what a kubeconfig file or a service account says, before anything is asked of
// the cluster. kubeconfig.c reads it, access.c turns it into identities.
#ifndef CRONWRIGHT_KUBE_SOURCE_H
#define CRONWRIGHT_KUBE_SOURCE_H

#include "deploy/kube/exec.h"
#include "deploy/kube/kubeconfig.h"

// Texts are owned, and NULL when not given. Of a file and its data at most one is set.
struct kube_source {
    char *kubeconfig; // the file it is from, to be read again; with its context
    char *context;    // NULL: the file's current one
    char *origin;     // for error texts: `/etc/kube/config: user "ci"`
    char *server;     // without a final '/'
    char *ca_file;
    char *ca_pem;
    char *server_name;
    char *proxy;
    bool insecure_skip_verify;
    char *cert_file;
    char *cert_pem;
    char *key_file;
    char *key_pem; // secret
    char *token_file;
    char *token; // secret
    char *username;
    char *password; // secret
    struct exec_plugin *exec;
};

void kube_source_finish(struct kube_source *source);

// From a kubeconfig file. The caller finishes *source, also on failure.
bool kube_source_read(const char *path, const char *context, struct kube_source *source,
                      struct error *err) MUST_CHECK;

// Takes what `source` holds, also on failure. The files it names are read once here, so that what
// is missing is told at start.
bool kube_access_create(struct kube_source *source, struct kube_access **out,
                        struct error *err) MUST_CHECK;

#endif
