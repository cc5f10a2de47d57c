// How to reach a cluster and who we are there: from a kubeconfig file, or from inside a pod.
//
// Source of the format: the clientcmd/api/v1 and client.authentication.k8s.io/v1 reference.
#ifndef CRONWRIGHT_KUBE_KUBECONFIG_H
#define CRONWRIGHT_KUBE_KUBECONFIG_H

#include "agent/base/http.h"

#include <stdint.h>

#define KUBECONFIG_MAX           ((size_t)4 << 20) // bytes of a kubeconfig file
#define KUBE_TOKEN_REREAD_MS     60000             // files are read again after this long
#define KUBE_EXEC_TIMEOUT_MS     30000             // for an exec plugin's answer
#define KUBE_EXEC_OUTPUT_MAX     ((size_t)1 << 20) // bytes of it
#define KUBE_REJECTED_PAUSE_MS   5000              // least time between two renewals after 401
#define KUBE_SERVICE_ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

struct kube_access; // thread-safe

// What one request needs, as it was at one moment. Immutable; shared by reference.
struct kube_identity {
    uint64_t generation;       // grows with each renewal; 1 is the first
    struct http_trust trust;   // CA, client certificate, TLS name, proxy, basic auth
    const char *authorization; // a whole header line with the bearer token, or NULL; secret
};

// Reads the file's context (`context` NULL or "": its current-context) with everything it refers
// to: certificate data goes before a path, a token file before a token, relative paths start at the
// file's directory. Errors (ERR_INVALID, ERR_IO) name file and key:
//     /etc/kube/config: users[2] "ci": client-key: No such file or directory
// An exec plugin is not run yet. Without one the file is read again now and then, and after a 401,
// for other credentials and another certificate authority; another server is not followed.
bool kube_access_from_file(const char *path, const char *context, struct kube_access **out,
                           struct error *err) MUST_CHECK;

// From the environment (KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT) and the service account
// mounted at `directory` (NULL: KUBE_SERVICE_ACCOUNT_DIR): ca.crt, token, namespace.
// ERR_NOT_FOUND when this is not a pod.
bool kube_access_in_cluster(const char *directory, struct kube_access **out,
                            struct error *err) MUST_CHECK;

// Ends the exec plugin's thread (waiting for a run of it), wipes secrets. All identities have been
// released before. NULL is fine.
void kube_access_destroy(struct kube_access *access);

const char *kube_access_server(const struct kube_access *access); // URL without a final '/'

// The present identity. Files older than KUBE_TOKEN_REREAD_MS are read again here (one that cannot
// be read now keeps the last credentials). With an exec plugin, which runs on a thread of its
// own ahead of the expiry, this waits until there are credentials: ERR_TIMEOUT at the deadline, or
// the plugin's own error. A deadline that is past never waits. The caller releases *out.
bool kube_access_identity(struct kube_access *access, struct mono_time deadline,
                          const struct kube_identity **out, struct error *err) MUST_CHECK;
void kube_identity_release(const struct kube_identity *identity); // NULL is fine

// The server answered 401 to an identity of this generation: the next kube_access_identity() gives
// newer credentials if there can be any (re-read file, plugin run again), and the same otherwise.
void kube_access_rejected(struct kube_access *access, uint64_t generation);

static inline void kube_identity_ptr(const struct kube_identity **identity)
{
    kube_identity_release(*identity);
}

#endif
