// The agent's durable memory: one SQLite database in the state directory.
//
// One thread owns the only write connection (WAL, synchronous=FULL): changes go through its queue
// and are committed in groups; a caller is told after its group is on disk. A failed group is
// rolled back whole and every caller in it is told so; nothing is committed after it before the WAL
// has been begun anew. Reads use a second connection under a mutex, with bounded pages. Any thread
// may call any function, except from within a completion callback.
#ifndef CRONWRIGHT_STORE_STORE_H
#define CRONWRIGHT_STORE_STORE_H

#include "agent/base/clock.h"
#include "agent/base/crypto.h"
#include "agent/base/error.h"

#include <stdint.h>

#define STORE_REPOSITORY_SIZE  513 // identity: host + path, with NUL; webhooks/repository.h
#define STORE_BRANCH_SIZE      256
#define STORE_COMMIT_SIZE      65 // 40 or 64 hex digits, with NUL
#define STORE_DELIVERY_ID_SIZE 129
#define STORE_REASON_SIZE      32
#define STORE_DETAIL_SIZE      512
#define STORE_IMAGE_SIZE       513
#define STORE_NAME_SIZE        64 // a DNS label, with NUL
#define STORE_PERSON_SIZE      128
#define STORE_SUBJECT_SIZE     256
#define STORE_UID_SIZE         40 // a Kubernetes uid, with NUL
#define STORE_CREDENTIAL_SIZE  65 // of its name, with NUL
#define STORE_PAGE_MAX         500

struct store;

// Opens or makes `directory`/cronwright.db and starts the writer. ERR_IO with path and reason;
// ERR_CONFLICT when another agent holds the directory (flock).
bool store_open(const char *directory, struct store **out, struct error *err) MUST_CHECK;
// Commits what is queued, ends the writer, closes. NULL is fine.
void store_close(struct store *store);
// Whether the last commit succeeded; the reason otherwise, and then the store is tried again each
// second, whether there are changes or not. For /readyz.
bool store_healthy(struct store *store, struct error *err);
// How long the writer has been at one group of changes and at telling of them; 0: it waits for one.
int64_t store_busy_ms(struct store *store);

// What waits, for whoever watches over the agent.
struct store_figures {
    int64_t queued;          // changes that nobody waits for, not on disk yet
    int64_t pending;         // deliveries that are not final
    struct wall_time oldest; // when the first of those was received
    int64_t builds_waiting, builds_under_way;
};
bool store_figures(struct store *store, struct store_figures *out, struct error *err) MUST_CHECK;
// From now on tells how long each group of changes took to be written, on the writer's thread, and
// how many there were. Call it before the first change.
void store_on_commit(struct store *store, void (*told)(int64_t us, size_t changes));
// From now on tells, on the writer's thread, of rows that were added or changed, as often as they
// were: once they are on disk, and before who changed them is told so. `told` must be quick, and
// not call the store. Call it before the first change.
enum store_table { STORE_DELIVERIES, STORE_BUILDS, STORE_RUNS };
void store_on_change(struct store *store,
                     void (*told)(void *user, enum store_table table, int64_t id), void *user);

// --- deliveries: received webhook requests that were verified ---

struct delivery {
    int64_t seq; // order of arrival; given by the store
    char forge[16];
    char id[STORE_DELIVERY_ID_SIZE]; // the sender's
    struct wall_time received;
    char event[32]; // "push", "ping", …: the sender's word
    char repository[STORE_REPOSITORY_SIZE];
    char ref[STORE_BRANCH_SIZE + 16];
    char branch[STORE_BRANCH_SIZE]; // "" unless a branch was pushed
    char commit[STORE_COMMIT_SIZE]; // what the payload claims; only a hint
    char pusher[STORE_PERSON_SIZE];
    uint8_t body_sha256[SHA256_SIZE];
    bool pending;                      // a worker has still to decide
    bool failed;                       // final, but a redelivery of the same id may try again
    char reason[STORE_REASON_SIZE];    // "accepted" while pending, then one of the reasons
    char detail[STORE_DETAIL_SIZE];    // one sentence
    int64_t build;                     // the build it led to; 0: none
    struct wall_time finished;         // when the reason became final
    char service[2 * STORE_NAME_SIZE]; // "namespace/name" of the one it was asked for; "": of the
                                       // branch
};

enum store_outcome {
    STORE_FAILED,   // not on disk: answer 503
    STORE_ADDED,    // new
    STORE_REPEATED, // same forge and id, not failed: a row with reason "repeated" was added
    STORE_REOPENED, // the earlier one had failed: it is pending again, with a new seq and time
};

// Queues an insert (`delivery` is copied). `done` runs on the writer's thread after the commit (or
// its failure); it must not block nor call the store. A delivery with `pending` false is final as
// given ("ignored"); if it takes the place of a failed one, that is STORE_ADDED. `seq` is that of
// the row that was written.
// When the queue is full (STORE_QUEUE_MAX) `done` runs at once with STORE_FAILED.
#define STORE_QUEUE_MAX 4096
typedef void (*store_delivery_done)(void *user, enum store_outcome outcome, int64_t seq);
void store_delivery_add(struct store *store, const struct delivery *delivery,
                        store_delivery_done done, void *user);
// The same, but blocks until it is on disk.
bool store_delivery_put(struct store *store, const struct delivery *delivery,
                        struct error *err) MUST_CHECK;

// Which deliveries ended: how many, and the ids of the first of them.
#define STORE_ENDED_MAX 16
struct deliveries_ended {
    size_t count;
    char ids[STORE_ENDED_MAX][STORE_DELIVERY_ID_SIZE];
};

// Ends all pending deliveries of a repository (letter case ignored) and branch with seq ≤ `upto`,
// but those that are spelled exactly as one of `others`: identities that differ in letter case
// only, with a '\n' before, between and after them; NULL: none. `failed` says that a redelivery of
// the same id may try again. Blocks until committed.
bool store_deliveries_finish(struct store *store, const char *repository, const char *others,
                             const char *branch, int64_t upto, const char *reason,
                             const char *detail, bool failed, int64_t build,
                             struct deliveries_ended *ended, struct error *err) MUST_CHECK;

// Says of the newest of those that would end what they wait for; STORE_PAGE_MAX at most. Blocks
// until committed.
bool store_deliveries_explain(struct store *store, const char *repository, const char *others,
                              const char *branch, int64_t upto, const char *detail,
                              struct error *err) MUST_CHECK;

// Makes those of the newest deliveries pending again that came since then and ended for that
// reason, which holds no more ("no-match": their service had not been seen yet). Only the
// STORE_REOPEN_MAX newest of all are looked at.
#define STORE_REOPEN_MAX 1000
bool store_deliveries_reopen(struct store *store, const char *repository, const char *branch,
                             const char *reason, struct wall_time since, int *count,
                             struct error *err) MUST_CHECK;

// The newest pending delivery of a key (repository without regard to letter case); seq 0: none.
struct newest_delivery {
    int64_t seq;
    struct wall_time received;
    char id[STORE_DELIVERY_ID_SIZE];
};
bool store_delivery_newest(struct store *store, const char *repository, const char *branch,
                           struct newest_delivery *out, struct error *err) MUST_CHECK;

// The services for which pending deliveries of a key were asked.
bool store_delivery_asked(struct store *store, const char *repository, const char *branch,
                          void (*each)(void *user, const char *service), void *user,
                          struct error *err) MUST_CHECK;

struct delivery_filter {
    int64_t before;         // only seq < before; 0: from the newest
    const char *repository; // identity; NULL: any
    const char *reason;     // NULL: any
    const char *commit;     // that its commit begins with, in small letters; NULL or "": any
    int limit;              // 1 … STORE_PAGE_MAX
};
// Newest first. `each` must not call the store. Stops when it returns false.
bool store_delivery_list(struct store *store, const struct delivery_filter *filter,
                         bool (*each)(void *user, const struct delivery *), void *user,
                         struct error *err) MUST_CHECK;
// The newest row with that sender's id that is not a repeat. ERR_NOT_FOUND.
bool store_delivery_get(struct store *store, const char *id, struct delivery *out,
                        struct error *err) MUST_CHECK;
// Every distinct (repository, branch) with pending deliveries: work left over from before a
// restart.
bool store_pending_keys(struct store *store,
                        bool (*each)(void *user, const char *repository, const char *branch),
                        void *user, struct error *err) MUST_CHECK;

// --- branches: what is known of a branch's head ---

struct branch_head {
    char repository[STORE_REPOSITORY_SIZE];
    char branch[STORE_BRANCH_SIZE];
    char credential[STORE_CREDENTIAL_SIZE]; // it was asked for with, by name; "": without a name
    char commit[STORE_COMMIT_SIZE];         // "" when never seen or the branch is missing
    int64_t seq;                            // newest delivery known when the remote was asked
    struct wall_time checked;               // when it was asked
};

bool store_branch_put(struct store *store, const struct branch_head *head,
                      struct error *err) MUST_CHECK;
// False with ERR_NOT_FOUND when never asked.
bool store_branch_get(struct store *store, const char *repository, const char *branch,
                      const char *credential, struct branch_head *out,
                      struct error *err) MUST_CHECK;

// --- builds ---

enum build_state {  // stored by name
    BUILD_WAITING,  // decided, nothing started
    BUILD_FETCHING, // the Git child runs
    BUILD_RUNNING,  // the Kaniko Job exists
    BUILD_PUSHED,   // digest known and confirmed; services may have still to be patched
    BUILD_DONE,     // every service that wanted it has it
    BUILD_FAILED,
    BUILD_SUPERSEDED,
    BUILD_FILTERED, // nothing that matters to its services differs from what they have
    BUILD_STATE_COUNT,
};
const char *build_state_word(enum build_state state); // "waiting", "fetching", "running", …

struct build {
    int64_t id; // shown as b-<id>; 0 before the first put
    char repository[STORE_REPOSITORY_SIZE];
    char branch[STORE_BRANCH_SIZE];
    char commit[STORE_COMMIT_SIZE];
    char recipe[SHA256_HEX_SIZE]; // hash of how it is built; build/recipe.h
    int attempt;                  // from 1
    char job[STORE_NAME_SIZE];    // Kaniko Job, in the builds namespace
    char image[STORE_IMAGE_SIZE]; // repository and tag it is pushed as
    char digest[72];              // "sha256:…", "" until confirmed
    enum build_state state;
    char reason[STORE_REASON_SIZE]; // of the end: "deployed", "build-failed", …
    char detail[STORE_DETAIL_SIZE];
    char subject[STORE_SUBJECT_SIZE]; // of the commit
    char author[STORE_PERSON_SIZE];
    struct wall_time created, started, finished;
    int64_t fetch_ms, context_ms, kaniko_ms, patch_ms; // -1: not known
    int patched;                                       // services patched
    char credential[STORE_CREDENTIAL_SIZE]; // it is fetched with, by name; "": without a name
};

// Inserts when id is 0 (and sets it), else replaces. Blocks until committed.
// ERR_CONFLICT when (commit, recipe, attempt) exists under another id.
bool store_build_put(struct store *store, struct build *build, struct error *err) MUST_CHECK;
bool store_build_get(struct store *store, int64_t id, struct build *out,
                     struct error *err) MUST_CHECK;
// The newest attempt for a commit and recipe. ERR_NOT_FOUND.
bool store_build_find(struct store *store, const char *commit, const char *recipe,
                      struct build *out, struct error *err) MUST_CHECK;

// The one of this Job; a Job's name is used once. ERR_NOT_FOUND.
bool store_build_of_job(struct store *store, const char *job, struct build *out,
                        struct error *err) MUST_CHECK;

// The one of its commit and recipe that was asked for before it. ERR_NOT_FOUND.
bool store_build_asked_before(struct store *store, const struct build *build, struct build *out,
                              struct error *err) MUST_CHECK;
// The newest one of its recipe that had its turn before `build`: what was superseded while it
// waited, or filtered, does not count. ERR_NOT_FOUND.
bool store_build_turn_before(struct store *store, const struct build *build, struct build *out,
                             struct error *err) MUST_CHECK;

struct build_filter {
    int64_t before; // only id < before; 0: from the newest
    const char *repository;
    const char *branch;
    const char *commit; // that its commit begins with, in small letters; NULL or "": any
    bool unfinished;    // only those that have not ended; not with a commit
    int limit;
};
bool store_build_list(struct store *store, const struct build_filter *filter,
                      bool (*each)(void *user, const struct build *), void *user,
                      struct error *err) MUST_CHECK;

// The repositories of those that are being fetched or run, unless it is known how long Kaniko took:
// one call for each build. `each` must not call the store.
bool store_builds_under_way(struct store *store, void (*each)(void *user, const char *repository),
                            void *user, struct error *err) MUST_CHECK;

// --- patches: which service got which image from which build ---

struct patch_record {
    int64_t build;
    char namespace[STORE_NAME_SIZE];
    char name[STORE_NAME_SIZE];
    char old_image[STORE_IMAGE_SIZE];
    char new_image[STORE_IMAGE_SIZE];
    struct wall_time at;
};
bool store_patch_add(struct store *store, const struct patch_record *patch,
                     struct error *err) MUST_CHECK;
bool store_patch_list(struct store *store, int64_t build,
                      bool (*each)(void *user, const struct patch_record *), void *user,
                      struct error *err) MUST_CHECK;

// --- images: what each service has had ---

#define STORE_IMAGES_MAX 200000 // rows of all services together

enum image_kind {   // stored by name
    IMAGE_BUILT,    // patched by the pipeline
    IMAGE_ROLLBACK, // somebody went back to it
    IMAGE_HAND,     // somebody changed it in the cluster
    IMAGE_GIVEN,    // it came with the CronJob
    IMAGE_KIND_COUNT,
};
const char *image_kind_word(enum image_kind kind); // "built", …

struct image_record {
    char uid[STORE_UID_SIZE]; // of the service's CronJob
    char image[STORE_IMAGE_SIZE + 72];
    char commit[STORE_COMMIT_SIZE];
    char subject[STORE_SUBJECT_SIZE]; // filled in by store_image_add() where the build is known
    char author[STORE_PERSON_SIZE];   //
    char build[32];                   // "b-51"; it may be known no more
    struct wall_time at;
    char by[STORE_PERSON_SIZE]; // a person; "" when none is known
    enum image_kind kind;
    char credential[STORE_CREDENTIAL_SIZE]; // that the build must have been fetched with to be told
};                                          // of; not kept

// Queues it (copied), and forgets all but the service's newest `keep`. The image that is newest
// already is not added again. `done` is as that of store_delivery_add().
typedef void store_image_done(void *user, bool stored);
void store_image_add(struct store *store, const struct image_record *image, int64_t keep,
                     store_image_done *done, void *user);
// A service's, newest first. `each` must not call the store. Stops when it returns false.
bool store_image_list(struct store *store, const char *uid, int limit,
                      bool (*each)(void *user, const struct image_record *), void *user,
                      struct error *err) MUST_CHECK;

// --- bounds ---

// Deletes the oldest finished rows beyond these counts; unfinished work is never dropped, nor the
// newest delivery, nor the head of a branch with unfinished work. Patches go with their build.
struct store_bounds {
    int64_t deliveries, builds, branches;
};
bool store_trim(struct store *store, const struct store_bounds *bounds,
                struct error *err) MUST_CHECK;

// From now on no more than so many deliveries are pending: further ones fail (ERR_TOO_LARGE). Call
// it before the first change.
void store_bound_pending(struct store *store, int64_t most);

#endif
