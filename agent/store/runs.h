// The history of runs in the store (see store.h): one row for each Job, what services were when,
// and when an agent was there to see.
#ifndef CRONWRIGHT_STORE_RUNS_H
#define CRONWRIGHT_STORE_RUNS_H

#include "agent/store/store.h"

#define STORE_SCHEDULE_SIZE  257
#define STORE_ZONE_SIZE      64
#define STORE_USUAL_OF       20   // succeeded runs whose median is the usual duration
#define STORE_SERVICE_STATES 1000 // kept of one service
#define STORE_WATCHES_MAX    1000 // kept

struct run_record {
    int64_t id; // given by the store
    char uid[STORE_UID_SIZE];
    char namespace[STORE_NAME_SIZE];
    char service[STORE_NAME_SIZE];
    char name[STORE_NAME_SIZE];
    char kind[12];
    char requested_by[2 * STORE_PERSON_SIZE];
    char commit[STORE_COMMIT_SIZE];
    char image[STORE_IMAGE_SIZE];
    char state[12];
    char reason[STORE_DETAIL_SIZE];
    int exit_code; // -1: none
    int max_attempts;
    struct wall_time created, scheduled_for, started;
    struct wall_time finished; // unset: it is not over
    char log[12];              // "complete", "truncated", "lost", "following", "none"
    int64_t log_bytes;         // on disk
    bool open;                 // something of it may still change
    char *attempts;            // JSON; owned
};
void run_record_finish(struct run_record *record);

// Inserts, or replaces the one of this uid. Blocks until committed. *ended (may be NULL): it is
// over now and was not before; of several threads that say so, one alone is told.
bool store_run_put(struct store *store, const struct run_record *record, bool *ended,
                   struct error *err) MUST_CHECK;
// ERR_NOT_FOUND. The caller finishes *out.
bool store_run_get(struct store *store, const char *uid, struct run_record *out,
                   struct error *err) MUST_CHECK;
// The newest of that name. ERR_NOT_FOUND. The caller finishes *out.
bool store_run_find(struct store *store, const char *namespace, const char *service,
                    const char *name, struct run_record *out, struct error *err) MUST_CHECK;
// The namespace and service of a row. ERR_NOT_FOUND.
bool store_run_service(struct store *store, int64_t id, char namespace[static STORE_NAME_SIZE],
                       char service[static STORE_NAME_SIZE], struct error *err) MUST_CHECK;
bool store_run_delete(struct store *store, const char *uid, struct error *err) MUST_CHECK;

struct run_filter {
    const char *namespace;
    const char *service;
    struct wall_time before; // created before; unset: from the newest
    const char *kind;        // NULL: any
    const char *state;       // NULL: any
    int limit;               // 1 … STORE_PAGE_MAX
};
// Newest first. `each` must not call the store. Stops when it returns false.
bool store_run_list(struct store *store, const struct run_filter *filter,
                    bool (*each)(void *user, const struct run_record *), void *user,
                    struct error *err) MUST_CHECK;

// A service's last finished run, without its attempts, and the usual duration of its runs: the
// median of the last STORE_USUAL_OF that succeeded, -1 when there are none. ERR_NOT_FOUND when it
// has no finished run.
bool store_run_last(struct store *store, const char *namespace, const char *service,
                    struct run_record *out, int64_t *usual_ms, struct error *err) MUST_CHECK;

// A run as a mark in a picture.
struct run_mark {
    char name[STORE_NAME_SIZE];
    char kind[12];
    char state[12];
    struct wall_time created, scheduled_for, started;
    struct wall_time finished; // unset: it is not over
};
// A service's newest `limit`, newest first, into `out`.
bool store_run_marks(struct store *store, const char *namespace, const char *service, size_t limit,
                     struct run_mark out[], size_t *count, struct error *err) MUST_CHECK;
// Likewise of those that are not over or ended at `since` or later.
bool store_run_marks_since(struct store *store, const char *namespace, const char *service,
                           struct wall_time since, size_t limit, struct run_mark out[],
                           size_t *count, struct error *err) MUST_CHECK;

// Names of runs that are not over, and of all that are open; of one service, of one namespace, or
// (NULL) of all.
struct run_mention {
    const char *uid, *namespace, *service, *name;
    const char *waiting; // why it has not begun, "" when it has
    bool over;
};
typedef bool (*store_run_mentioned)(void *user, const struct run_mention *run);
bool store_runs_open(struct store *store, const char *namespace, const char *service,
                     store_run_mentioned each, void *user, struct error *err) MUST_CHECK;

// --- retention ---

// Runs that may go, at most STORE_PAGE_MAX at a time: beyond the newest `keep` of their service, or
// that ended before `before`. `namespace` NULL: of all services. None that is open.
bool store_runs_expired(struct store *store, const char *namespace, const char *service,
                        int64_t keep, struct wall_time before, store_run_mentioned each, void *user,
                        struct error *err) MUST_CHECK;
// All runs of a service, at most STORE_PAGE_MAX at a time.
bool store_runs_of(struct store *store, const char *namespace, const char *service,
                   store_run_mentioned each, void *user, struct error *err) MUST_CHECK;
// Bytes of all logs on disk.
bool store_run_log_bytes(struct store *store, int64_t *out, struct error *err) MUST_CHECK;
// The finished run that ended first of those with logs. ERR_NOT_FOUND.
bool store_run_oldest_log(struct store *store, struct run_record *out,
                          struct error *err) MUST_CHECK;

// --- why there was no run ---

struct service_state_record {
    char namespace[STORE_NAME_SIZE];
    char service[STORE_NAME_SIZE];
    struct wall_time at;                // from when on
    char state[12];                     // "draft", "started", "stopped"
    char schedule[STORE_SCHEDULE_SIZE]; // "": the service is gone
    char time_zone[STORE_ZONE_SIZE];
};
// Adds a row if it says something new; that a service is gone, only of one that is known. Keeps the
// newest STORE_SERVICE_STATES of the service.
bool store_service_state_add(struct store *store, const struct service_state_record *record,
                             struct error *err) MUST_CHECK;
// Oldest first.
bool store_service_state_list(struct store *store, const char *namespace, const char *service,
                              bool (*each)(void *user, const struct service_state_record *),
                              void *user, struct error *err) MUST_CHECK;
// The services, of one namespace or (NULL) of all, that are not known to be gone.
bool store_service_state_present(struct store *store, const char *namespace,
                                 bool (*each)(void *user, const char *namespace,
                                              const char *service),
                                 void *user, struct error *err) MUST_CHECK;
// Forgets the services that went before then.
bool store_service_states_expire(struct store *store, struct wall_time before,
                                 struct error *err) MUST_CHECK;
bool store_service_state_delete(struct store *store, const char *namespace, const char *service,
                                struct error *err) MUST_CHECK;

// An agent that began at `started` is there at `seen`. Keeps the newest STORE_WATCHES_MAX.
bool store_watch_seen(struct store *store, struct wall_time started, struct wall_time seen,
                      struct error *err) MUST_CHECK;
// Those seen since then, oldest first.
bool store_watch_list(struct store *store, struct wall_time since,
                      bool (*each)(void *user, struct wall_time started, struct wall_time seen),
                      void *user, struct error *err) MUST_CHECK;

// The commit that an image was built from, as a patch of that service had it. ERR_NOT_FOUND.
bool store_patch_commit(struct store *store, const char *namespace, const char *service,
                        const char *image, char out[static STORE_COMMIT_SIZE],
                        struct error *err) MUST_CHECK;

#endif
