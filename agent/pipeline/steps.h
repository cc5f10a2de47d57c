// What the steps of a reconcile share; nothing outside this folder includes it.
#ifndef CRONWRIGHT_PIPELINE_STEPS_H
#define CRONWRIGHT_PIPELINE_STEPS_H

#include "agent/base/threads.h"
#include "agent/pipeline/pipeline.h"
#include "agent/pipeline/places.h"
#include "agent/pipeline/tries.h"
#include "agent/pipeline/waits.h"
#include "build/kaniko.h"
#include "build/recipe.h"
#include "deploy/kube/watch.h"
#include "webhooks/repository.h"

#include <pthread.h>
#include <stdatomic.h>

#define BUILD_ATTEMPTS_MAX 3 // of one commit when nobody asks again
#define HEAD_TRIES         5 // then a head that cannot be told ends the deliveries that wait for it
#define RECHECK_MS         30000 // a Job is looked at this often even when no watch speaks
#define HEAD_AGAIN_MS      5000  // when what was told of a head turns out to be doubtful at once
#define SPOOL_FAILURES_MAX 16    // of contexts packed again, kept until the pod asks for them
#define SPOOL_PACKED_MAX   256 // archives that are known to be whole; of others nothing is believed
#define GROUPS_MAX         64  // different recipes on one branch

// In the place of a branch's head: it was pushed to, but the remote could not be asked. Whatever
// the head is when it can be told again, it has moved.
#define HEAD_MISSED "missed"

#define IDENTITY_SIZE 96

struct pipeline {
    struct pipeline_parts parts;
    char identity[IDENTITY_SIZE]; // this agent, as others see it: see identity.c
    struct work_queue *queue;
    struct kube_watch *jobs;
    struct kube_watch *pods;
    _Atomic int64_t settings_changed; // wall time in ms of the start, or of the last reload
    pthread_mutex_t places_lock; // held while the builds under way are counted and one is added
    struct places *places;       // under that lock
    struct tries *tries;         // of sources
    struct tries *limited;       // of steps that are not tried for ever, each for itself
    struct waits waits;
    struct sweep *sweep;
    struct probes *probes;
    _Atomic int64_t swept; // the last sweep, in monotonic ms; 0: none yet
    atomic_bool started;
    char *context_directory;
    char *log_directory; // of builds: a directory each, a file for each pod
    char *mirror_directory;
    char *ssh_directory; // the known hosts, as the Git child wants them
    struct spool {
        pthread_mutex_t lock; // guards what follows
        pthread_cond_t packed;
        struct spool_failure {
            char job[STORE_NAME_SIZE];
            struct error why;
        } failures[SPOOL_FAILURES_MAX];
        size_t failure_count;
        struct spool_packed { // what a child packed, oldest first
            char job[STORE_NAME_SIZE];
            char sha256[SHA256_HEX_SIZE];
            int64_t bytes;
        } archives[SPOOL_PACKED_MAX];
        size_t archive_count;
    } spool;
    struct others {           // the build Jobs in the cluster: see others.c
        pthread_mutex_t lock; // guards what follows
        json_t *by_key;       // key → Job's name → what it builds
        json_t *keys;         // Job's name → key
    } others;
    struct live {             // what services had live when heads were asked for: see live.c
        pthread_mutex_t lock; // guards what follows
        json_t *sights;
        json_t *denied; // image → until when the registry is not asked for it, in monotonic ms
    } live;
    struct housekeeping {
        pthread_t thread;
        bool runs;
        pthread_mutex_t lock; // guards what follows
        pthread_cond_t news;
        unsigned asked;       // enum chores
        atomic_bool stopping; // read without it too
    } housekeeping;
    _Atomic int64_t mirror_bytes, build_log_bytes, context_bytes; // as they were last walked
};

// How a step ended.
enum step {
    STEP_NEXT, // done: go on
    STEP_WAIT, // something is under way that will wake the key; see work.again_ms
    STEP_FAIL, // over for this head: work.reason and work.err say why
    STEP_TRY,  // work.err may pass: again after a back-off
};

// Services of one recipe: they share a build.
struct group {
    struct recipe recipe;
    struct build_arg args[RECIPE_ARGS_MAX];
    json_t *args_json; // owns the texts of args
    char hash[SHA256_HEX_SIZE];
    const struct service **services; // borrowed from work.services
    size_t count;
    bool asked; // a person waits for a build of one of them: no path filter stands against it
    bool held;  // its newer builds wait, since an older one is still being written to services
};

// What is fetched with one credential. Sources share nothing but the deliveries: each asks for the
// head, fetches and builds for itself, so that nobody gets to see what another's login shows.
struct source {
    const char *credential; // by name; "": those without a name. Borrowed from the settings
    const char *url;        // to clone from: the first service's
    struct branch_head head;
    size_t first, count; // its groups
};

// One reconcile of one key.
struct work {
    struct pipeline *pipeline;
    const struct config *config; // held
    const char *key;
    char repository[STORE_REPOSITORY_SIZE];
    char branch[STORE_BRANCH_SIZE];

    struct service_list services; // all that follow the branch
    char *others; // repositories that differ in letter case only: see store_deliveries_finish()
    struct source sources[GROUPS_MAX];
    size_t source_count; // 0: there is no usable service
    struct group all_groups[GROUPS_MAX];
    size_t all_count;
    char refused_reason[STORE_REASON_SIZE]; // why a service was left out: the last one's
    char refused[STORE_DETAIL_SIZE];

    int64_t newest;                        // seq of the newest pending delivery; 0: none
    struct wall_time received;             // when that came
    char delivery[STORE_DELIVERY_ID_SIZE]; // and its sender's id

    // Of the source that is being looked at: see work_select().
    struct source *source;
    const char *credential;
    const char *url;
    struct branch_head head;
    struct group *groups; // of all_groups
    char *tries_key;      // in pipeline.tries
    size_t group_count;

    bool others_job;                      // the build's Job was made by another agent
    bool progressed;                      // a step of the source came to its end in this pass
    bool further;                         // one of any source did
    bool tried;                           // the source's failure of this pass is noted
    bool tried_any;                       // some source's is
    struct tried last_try;                // of the source
    struct mono_time not_before;          // its next try: else that of a step would not count
    bool waiting;                         // for something that will wake the key
    int64_t again_ms;                     // look again after that long at most; 0: when woken
    char context_sha256[SHA256_HEX_SIZE]; // of the archive that step_context() left
    int64_t context_bytes;                //
    char reason[STORE_REASON_SIZE];
    struct error err;
};

// --- work.c: what is wanted ---
#define KEY_SIZE PIPELINE_KEY_SIZE
void key_write(const char *repository, const char *branch, char out[static KEY_SIZE]);
bool key_read(const char *key, char repository[static STORE_REPOSITORY_SIZE],
              char branch[static STORE_BRANCH_SIZE]);
// Reads services and deliveries. The caller finishes it, also after false.
bool work_load(struct work *work, struct error *err) MUST_CHECK;
void work_finish(struct work *work);
// Turns to a source; what was learned of the head is kept with the one before.
void work_select(struct work *work, size_t source);
// Whether a recipe is that of another source's group.
bool work_is_elsewhere(const struct work *work, const char *recipe_hash);
// Drafts that wait for their first image want the head at once. When the youngest of the group (of
// all the source's: NULL) was made; 0: there is none.
struct wall_time work_first_wanted(const struct work *work, const struct group *group);
// The source's group with that recipe; NULL when no service has it any more.
struct group *work_group(struct work *work, const char *recipe_hash);
// An event on each service of the group.
void group_tell(const struct work *work, const struct group *group, enum told what, const char *fmt,
                ...) PRINTF_LIKE(4, 5);
// Whether what a service has live was built in another way than its group wants now, apart from
// paths. Only told when that is known.
bool work_recipe_changed(const struct work *work, const struct group *group,
                         const struct service *service);
// Notes a look again after at most `ms`.
void work_again(struct work *work, int64_t ms);
// STEP_TRY for what may pass: an outage must not lose a push, so that is tried for as long as it
// takes, and the build says why. Everything else is STEP_FAIL with `reason`.
enum step work_failed(struct work *work, const char *reason);
// For the few steps that are not: one more failure in a row of what goes by that name, whatever
// else of the source fails. Whether it is fewer than `most`, so that it is tried again.
bool work_may_try(struct work *work, const char *step, int most);
// It went well: its failures are past.
void work_went(struct work *work, const char *step);
// A child's end wakes its key: the name is "<what> <key>".
void work_wake_child(void *pipeline, const char *name);

// --- git.c: what the Git child is asked ---
enum head_news {
    HEAD_KNOWN,  // nothing to ask
    HEAD_FRESH,  // just answered, not stored yet
    HEAD_PAUSED, // to be asked again in a moment: good for what is under way, not for new builds
};
// Looks whether the head must be asked for, and asks. STEP_NEXT: work.head is as known now.
enum step step_head(struct work *work, enum head_news *news);
bool head_is_missed(const struct work *work);
// Takes back what was asked with a credential.
void head_cancel(struct work *work, const char *credential);
// What is known of the head is not to be relied on: it is asked for again soon.
bool head_again(struct work *work) MUST_CHECK;
// The same, at once unless that was done just now, and what is being asked already does not count.
bool head_anew(struct work *work) MUST_CHECK;
// Has the build context packed: STEP_NEXT when the archive is at build_context_path(), or when the
// paths of the group have not changed, and the build has ended as filtered.
enum step step_context(struct work *work, struct group *group, struct build *build);
void context_cancel(struct work *work, const struct build *build);
// How the work's url and branch are reached with its credential. Borrows. False: work.reason and
// work.err say why.
struct git_remote_branch;
bool git_remote(struct work *work, struct git_remote_branch *out) MUST_CHECK;
// What a child is asked: to pack a group's context at a commit into `output`. `since` and `paths`
// as in struct git_context_request. False: work.err, and work.reason when that is final.
bool context_request(struct work *work, const struct group *group, const char *commit,
                     const char *output, const json_t *since, const json_t *paths,
                     struct buffer *input) MUST_CHECK;
// The child's answer, when it has one. The caller finishes *answers, which is initialised.
struct git_answers;
enum child_state git_take(struct pipeline *pipeline, const char *name, int64_t *tag,
                          struct git_answers *answers);
// As in struct child_request; the pipeline is the user of `wake`.
struct git_errand {
    const struct buffer *input;
    void (*wake)(void *pipeline, const char *name);
    int64_t tag, defer_ms;
};
// Has a child run for a name and the key's repository.
void git_ask(struct work *work, const char *name, const struct git_errand *errand);

// --- job.c, patch.c: the other steps of a build. Each stores the build's next state. ---
enum step step_job(struct work *work, struct group *group, struct build *build);
enum step step_patch(struct work *work, struct group *group, struct build *build);

// The reason of a build that waits for its next attempt, since a registry or a network failed the
// one before; and how long that is yet. Its `started` says since when.
#define BUILD_RESTS "retrying"
int64_t job_rest_ms(const struct work *work, const struct build *build);
// Reads the finished child's archive and makes Job and Secret of it.
enum step job_create(struct work *work, struct group *group, struct build *build);
// Whether a build has a Job already although it does not say so: we died before it was stored.
bool job_was_made(struct work *work, const struct build *build, bool *made) MUST_CHECK;
// A build's Job as the API server has it, for the caller to release; NULL: there is none. False:
// work.err.
bool job_find(struct work *work, const struct build *build, json_t **out) MUST_CHECK;
char *build_log_directory(const struct pipeline *pipeline, int64_t build);
// Names of the next attempt.
bool build_next_attempt(struct build *build, const struct recipe *recipe,
                        struct error *err) MUST_CHECK;
// What an unfinished build waits for, or meets: "" for nothing. Stored when it is news.
bool build_explain(struct work *work, struct build *build, const char *reason,
                   const char *detail) MUST_CHECK;
// "b-51", as people see it.
#define BUILD_ID_SIZE PIPELINE_BUILD_SIZE
void build_id(int64_t build, char out[static BUILD_ID_SIZE]);
// Ends a build and stores it.
bool build_end(struct work *work, struct build *build, enum build_state state, const char *reason,
               const char *detail, struct error *err) MUST_CHECK;

// --- cancel.c ---
// Whether a build that had its turn may be taken back for a newer one: not when the one before was.
// Of one that is `running` it is on record in the cluster then. False: work.err.
bool cancel_may(struct work *work, const struct group *group, const struct build *build,
                bool running, bool *may) MUST_CHECK;
// Ends a build's Job and its pods; one that is gone is fine. `why` is for people. STEP_FAIL: the
// agent may not, which is logged. STEP_TRY: work.err.
enum step cancel_job(struct work *work, const struct build *build, const char *why) MUST_CHECK;

// --- others.c: the build Jobs in the cluster, whichever agent made them ---
void others_init(struct others *others);
void others_finish(struct others *others);
// What the watch told of a Job; `gone`: it was deleted. False when it is no build's, or else its
// key. The watch's thread.
bool others_note(struct others *others, const json_t *job, bool gone, char key[static KEY_SIZE]);
// The newest attempt that there is a Job of; 0: none.
int others_attempt(struct others *others, const char *key, const char *commit, const char *recipe);
// Whether there is one for the source that this agent knows nothing of, and has not asked for the
// head since: the branch may have moved.
bool others_are_unheard(struct work *work);
void others_heard(struct work *work);    // the head is asked for now
void others_not_told(struct work *work); // and was not told: it is to be asked for again
// Ends the key's Jobs of this agent's whose builds were superseded before their Jobs were there:
// the API server may do what a dead agent asked for after the next one has looked. What fails is
// tried again.
void others_end_strays(struct work *work);

// --- live.c: what the services have live, by whichever agent ---
void live_init(struct live *live);
void live_finish(struct live *live);
void live_forget(struct live *live, const struct service *service);
// Which attempt's image of the head, built as the group wants, some service of it has; 0: none has.
int live_attempt(const struct work *work, const struct group *group);
// Whether this is what the service has, in this or another attempt.
bool live_is_build(const struct service *service, const struct build *build);
// Takes such an image for the build, which has been pushed then; not stored yet. False: work.err.
bool live_take(struct work *work, const struct group *group, struct build *build,
               bool *taken) MUST_CHECK;
// The head of the source is asked for now; and was answered. False: work.err.
void live_asked(struct work *work);
bool live_answered(struct work *work) MUST_CHECK;
// A patch of ours was written; `service` as it is then.
void live_written(struct work *work, const struct service *service, const struct build *build);
// How often that was of this commit since the head was another.
int live_times_written(struct work *work, const struct service *service, const struct build *build);
enum live_order {
    LIVE_OLDER,   // than the head that is known, and than builds of ids greater than *before
    LIVE_ASKED,   // an answer that is on its way will tell
    LIVE_UNKNOWN, // the head must be asked for
};
enum live_order live_order(struct work *work, const struct service *service, int64_t *before);

// --- identity.c ---
bool identity_read(struct pipeline *pipeline, const char *state_directory,
                   struct error *err) MUST_CHECK;
bool identity_is_own(const struct pipeline *pipeline, const char *identity);

// --- turns.c: how many builds run at once ---
// STEP_NEXT: the build is under way now. STEP_WAIT: it says what it waits for.
enum step turn_take(struct work *work, struct build *build);
// The build's Job is there, made by another agent: it is under way whatever the bounds.
enum step turn_join(struct work *work, struct build *build);
// The build is tried again after a while, and until then another may have its place. It comes back
// to the turn it had. `asked`: for its Job, which may have been made although nobody said so. When
// that cannot be stored it keeps the place.
void turn_give_back(struct work *work, struct build *build, bool asked);
// Nothing of this recipe waits any more.
void turn_drop(struct pipeline *pipeline, const char *recipe);
// A place may have become free: the one whose turn it is asks for it.
void turn_wake(struct pipeline *pipeline);
// Those that waited when the agent ended keep their turns.
void turn_restore(struct pipeline *pipeline);

// --- spool.c: contexts on disk, a file for each Job ---
void spool_init(struct pipeline *pipeline);
void spool_finish(struct pipeline *pipeline);
// Largest archive that can be brought to a pod.
int64_t spool_context_max(const struct config *config);
char *build_context_path(const struct pipeline *pipeline, const struct build *build);
// Of a Job that has ended, or is about to have another name.
void spool_forget(struct pipeline *pipeline, const struct build *build);
// A build's context was packed whole: work.context_sha256 and work.context_bytes.
void spool_note(struct work *work, const struct build *build);
// Whether it was, and is there still: what was noted is in the work then.
bool spool_has(struct work *work, const struct build *build);
// Removes the oldest beyond the settings' bound; `keep` (a path) stays.
void spool_trim(const struct pipeline *pipeline, const char *keep);
// Removes what no Job can need any more.
void spool_sweep(struct pipeline *pipeline);

// --- sweep.c: when each branch is asked for its head though nobody pushed. Any thread ---
struct sweep *sweep_create(void);
void sweep_destroy(struct sweep *sweep); // NULL is fine
// A round begins, over the keys that `followed` has as its members. Their turns are spread over a
// tenth of the interval at most, so that no remote is asked for all of them at once.
void sweep_begin(struct sweep *sweep, json_t *followed, int64_t interval_ms);
// How long after the round's beginning a key's turn is: the same in each round of that length.
int64_t sweep_turn_ms(struct sweep *sweep, const char *key);
// How long that is yet; 0: it has come, or there was no round.
int64_t sweep_wait_ms(struct sweep *sweep, const char *key);
// Whether the key's turn in this round has come, and the head was asked for neither since nor
// shortly before; in the first round, not since that began: nobody knows what was pushed before. A
// head that was never asked for is always due.
bool sweep_is_due(struct sweep *sweep, const char *key, struct wall_time checked);
// When the key's head was asked for, whatever the answer; unset: nobody follows it.
void sweep_note(struct sweep *sweep, const char *key, struct wall_time checked);

// --- probe.c: heads that somebody waits for ---
struct probes *probes_create(void);
void probes_destroy(struct probes *probes); // NULL is fine

// --- housekeeping.c: what takes long and nobody waits for, on a thread of its own ---
enum chores {
    CHORE_NONE = 0,
    CHORE_SWEEP = 1 << 0,   // looks for what is left over, and for what is beyond its bounds
    CHORE_MIRRORS = 1 << 1, // trims the mirrors alone
    CHORE_START = 1 << 2,   // goes on with what was unfinished when the agent last ended
};
void housekeeping_init(struct housekeeping *housekeeping);
void housekeeping_start(struct pipeline *pipeline);
// Returns at once; asked twice, it is done once. Any thread.
void housekeeping_ask(struct pipeline *pipeline, enum chores chore);
// False when what is being done is to be left as it is: the agent is being stopped.
bool housekeeping_goes_on(struct pipeline *pipeline);
// Waits for what is being done; what is asked from then on is not.
void housekeeping_stop(struct housekeeping *housekeeping);
void housekeeping_finish(struct housekeeping *housekeeping); // when nobody asks any more

// --- mirrors.c: the Git mirrors on disk; on the thread of housekeeping.c ---
// None that is in use is removed.
// Removes those that were not used for longest beyond the settings' bound.
void mirrors_trim(struct pipeline *pipeline);
// Removes those of repositories that no service has, when all services are known, and trims.
void mirrors_sweep(struct pipeline *pipeline);

// --- notes.c ---
bool build_notes_put(const struct pipeline *pipeline, int64_t build, const char *lines,
                     struct error *err) MUST_CHECK;

// --- reconcile.c ---
struct reconciled {
    enum work_result result;
    int64_t again_ms; // look again after that long; 0: when woken
};
struct reconciled reconcile(struct pipeline *pipeline, const char *key);

// --- service.c: the reconciler of one service; its key is "namespace/name" ---
// Adds its key, if there is something to do.
void service_wake(struct pipeline *pipeline, const struct service *service);
struct reconciled reconcile_service(struct pipeline *pipeline, const char *key);
// Says on a service's CronJob why it is not built.
void service_tell_problem(struct pipeline *pipeline, const struct service *service,
                          const struct error *problem);
// Says on a service's CronJob that it cannot be built, when that is new. Never blocks.
void service_note_problem(struct pipeline *pipeline, const struct service *before,
                          const struct service *after);
// A changed image goes into the service's history. Never blocks.
void service_note_images(struct pipeline *pipeline, const struct service *before,
                         const struct service *after);

#endif
