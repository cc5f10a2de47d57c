// List and watch: tells of every object of a resource, then of each change, for ever, through lost
// connections and expired versions.
//
// Source: "Efficient detection of changes" in the Kubernetes API concepts.
#ifndef CRONWRIGHT_KUBE_WATCH_H
#define CRONWRIGHT_KUBE_WATCH_H

#include "deploy/kube/client.h"

#define KUBE_WATCH_LINE_MAX    ((size_t)8 << 20) // bytes of one event; etcd holds 1.5 MB an object
#define KUBE_WATCH_IDLE_MS     150000 // silent that long (bookmarks come each minute): anew
#define KUBE_WATCH_BACKOFF_MIN 1000   // ms, doubled up to:
#define KUBE_WATCH_BACKOFF_MAX 30000

enum kube_event { KUBE_ADDED, KUBE_MODIFIED, KUBE_DELETED };

struct kube_watch_options {
    const struct kube_resource *resource;
    const char *namespace_;     // NULL or "": all
    const char *label_selector; // NULL: none
};

// Called on the loop's thread, never two at once; they must not block. Objects are borrowed.
struct kube_watch_events {
    // An object as it is now; for KUBE_DELETED as it last was. After a lost connection what
    // vanished meanwhile comes as KUBE_DELETED too, then with {"metadata": {"namespace", "name",
    // "uid"}} alone; a new object of an old name comes after the old one's KUBE_DELETED. The same
    // state may come twice.
    void (*item)(void *user, enum kube_event event, const json_t *object);
    // All of a list has been told, the first one or a later one; or NULL.
    void (*synced)(void *user);
    // Something failed and will be tried again in `retry_ms`; for a log line; or NULL.
    void (*failed)(void *user, const struct error *err, int64_t retry_ms);
};

struct kube_watch;

// Starts at once. Everything but `client`, `loop`, `events` and `user` is copied; those must live
// longer than the watch.
struct kube_watch *kube_watch_create(struct kube_client *client, struct http_loop *loop,
                                     const struct kube_watch_options *options,
                                     const struct kube_watch_events *events, void *user);
// Waits until no callback runs and none will. Not on the loop's thread, and before the loop's own
// end. NULL is fine.
void kube_watch_destroy(struct kube_watch *watch);

// --- any thread ---
bool kube_watch_synced(struct kube_watch *watch); // a whole list has been told once
bool kube_watch_failing(struct kube_watch *watch, struct error *why); // what it is waiting after

#endif
