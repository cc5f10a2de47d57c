// All services of the watched namespaces, in memory: small projections, kept by kube_watch, found
// by name or by repository and branch at a cost that does not grow with their number.
#ifndef CRONWRIGHT_DEPLOY_SERVICES_H
#define CRONWRIGHT_DEPLOY_SERVICES_H

#include "deploy/cronjob.h"
#include "deploy/kube/watch.h"

struct service_cache; // any number of threads

#define SERVICE_IDENTITY_MAX 1024 // bytes of a repository's identity with NUL

struct service_cache_options {
    // A repository's URL as written → its identity, the same for all ways to write it. False: it is
    // no repository URL. Called with the cache's lock held.
    bool (*identify)(const char *url, char *out, size_t room);
    // What changed: `before` NULL for a new one, `after` NULL for one that is gone (or lost the
    // label). On the watch's thread, without locks held; may be NULL. Borrowed: service_hold()
    // keeps them.
    void (*changed)(void *user, const struct service *before, const struct service *after);
    void *user;
};

struct service_cache *service_cache_create(const struct service_cache_options *options);
void service_cache_destroy(struct service_cache *cache); // after its watches; NULL is fine

// For kube_watch_create(…, &SERVICE_CACHE_EVENTS, cache), over KUBE_CRONJOBS and SELECTOR_MANAGED:
// one watch, or one for each namespace.
extern const struct kube_watch_events SERVICE_CACHE_EVENTS;

// References to services as they are at one moment, in order of namespace and name.
struct service_list {
    const struct service **items;
    size_t count;
};
void service_list_finish(struct service_list *list);

// Of one namespace, or of all (NULL or "").
void service_cache_list(struct service_cache *cache, const char *namespace_,
                        struct service_list *out);
// Those with this repository identity and branch.
void service_cache_find(struct service_cache *cache, const char *identity, const char *branch,
                        struct service_list *out);
// NULL when there is none; else the caller drops it.
const struct service *service_cache_get(struct service_cache *cache, const char *namespace_,
                                        const char *name);
size_t service_cache_count(struct service_cache *cache);

#endif
