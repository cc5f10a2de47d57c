// From a hint to a patched CronJob: one reconcile function per repository and branch.
//
// It compares what is wanted (the branch's head, in every service that follows it) with what is,
// and does the next step. It may be killed between any two instructions and run again: no step
// depends on remembering that an event happened.
#ifndef CRONWRIGHT_PIPELINE_PIPELINE_H
#define CRONWRIGHT_PIPELINE_PIPELINE_H

#include "agent/base/http.h"
#include "agent/children.h"
#include "agent/contexts/keys.h"
#include "agent/events.h"
#include "agent/queue.h"
#include "agent/settings.h"
#include "agent/statuses.h"
#include "agent/store/store.h"
#include "deploy/kube/podlog.h"
#include "deploy/runs.h"
#include "deploy/services.h"

struct pipeline;

// Everything is borrowed and outlives the pipeline.
struct pipeline_parts {
    struct settings *settings;
    struct store *store;
    struct kube_client *kube;
    struct http_loop *loop;
    struct service_cache *services;
    struct podlog_hub *logs;
    struct children *children;
    struct statuses *statuses;
    const struct context_keys *context_keys; // NULL: there is no context listener
    struct events *events;
    // Whether all services are known: until then nobody can be said to follow a branch.
    bool (*services_known)(void *user);
    void *user;
};

// Makes its directories under the state directory. Watches and workers start with
// pipeline_start(), once the services are known.
bool pipeline_create(const struct pipeline_parts *parts, struct pipeline **out,
                     struct error *err) MUST_CHECK;
void pipeline_start(struct pipeline *pipeline);
// Whether what becomes of builds is watched, once it was started; otherwise why not. Any thread.
bool pipeline_watching(const struct pipeline *pipeline, struct error *err);
// Waits for running reconciles; unfinished work goes on with the next start. NULL is fine.
void pipeline_destroy(struct pipeline *pipeline);

// For struct service_cache_options: the identity by which services are found, in lower case, since
// a hint's letter case need not be the annotation's.
bool pipeline_identify(const char *url, char *out, size_t room);

// A branch may have moved: identity of the repository (in any letter case) and branch. Any thread.
void pipeline_wake(struct pipeline *pipeline, const char *repository, const char *branch);
// The services with this repository, in any letter case, and branch.
void pipeline_following(struct pipeline *pipeline, const char *repository, const char *branch,
                        struct service_list *out);
// A service came (`before` NULL), changed or went (`after` NULL). Never blocks.
void pipeline_service_changed(struct pipeline *pipeline, const struct service *before,
                              const struct service *after);
// The settings are others now: asks for every branch that is followed, at once. A push that was
// refused and would be allowed now is taken up again.
void pipeline_settings_changed(struct pipeline *pipeline);
void pipeline_queue(struct pipeline *pipeline, struct work_queue_figures *out);
// Since the last sweep; 0 before the first.
int64_t pipeline_sweep_age_ms(const struct pipeline *pipeline);
// Of all branches that are followed, how long ago the head was asked for that was asked longest
// ago, whatever the answer, in ms; `key` becomes "repository branch", "" when there is none.
int64_t pipeline_oldest_check(const struct pipeline *pipeline, char *key, size_t room);
#define PIPELINE_KEY_SIZE (STORE_REPOSITORY_SIZE + STORE_BRANCH_SIZE)
// What its directories took on disk at the last sweep, and how many sources fail now.
struct pipeline_figures {
    int64_t mirror_bytes, build_log_bytes, context_bytes;
    size_t failing;
};
void pipeline_figures(struct pipeline *pipeline, struct pipeline_figures *out);
// Takes up unfinished work at once, and has every branch that is followed asked for its head, each
// once however many services follow it, spread over a tenth of sweep.interval at most.
void pipeline_sweep(struct pipeline *pipeline);

// File of a build's Kaniko log (see podlog.h), of its newest pod; NULL when there is none yet. The
// caller frees.
char *pipeline_build_log(const struct pipeline *pipeline, int64_t build);
// Appends the end of that log, 64 KiB at most: as far as it is there, or comes within `wait_ms`.
void pipeline_build_log_end(const struct pipeline *pipeline, int64_t build, int64_t wait_ms,
                            struct buffer *out);

// What a build's source has that people should know of, lines of text: submodules and links that
// were left out, Git LFS pointers. NULL when there is none. The caller frees.
char *pipeline_build_notes(const struct pipeline *pipeline, int64_t build);

// Opens the context of a build's live Job (as the API server has it), of whichever agent, packing
// it again when it is not there. ERR_UNAVAILABLE: that takes longer than a moment, ask again.
// Blocks, any thread.
bool pipeline_context_open(struct pipeline *pipeline, const json_t *job, int *fd, uint64_t *len,
                           struct error *err) MUST_CHECK;

// Why a service is not built, for people: what its annotations lack, or that the settings' allow
// table does not have it. False: it can be built.
bool pipeline_service_problem(const struct pipeline *pipeline, const struct service *service,
                              struct error *err);
// Whether it can be built; if so, with whose Git credential, by name: "" for those without one.
bool pipeline_service_credential(const struct pipeline *pipeline, const struct service *service,
                                 char out[static STORE_CREDENTIAL_SIZE]);
// Whether somebody rolled it back, or changed the image after our last patch: then it is left
// alone.
bool pipeline_service_pinned(const struct service *service);
// Whether it has another image than we wrote last, whoever changed it.
bool pipeline_service_replaced(const struct service *service);

// The newest build that was made for it, whatever became of that. ERR_NOT_FOUND, also when it
// cannot be built.
bool pipeline_service_build(const struct pipeline *pipeline, const struct service *service,
                            struct build *out, struct error *err) MUST_CHECK;
// The build that the image which was patched last is of, whichever agent did that, as far as this
// agent knows it. False: it does not.
bool pipeline_service_live(const struct pipeline *pipeline, const struct service *service,
                           struct build *out);
// Its number as this agent counts, "b-12"; "" when another agent built it and this one has none.
#define PIPELINE_BUILD_SIZE 32
void pipeline_service_live_id(const struct pipeline *pipeline, const struct service *service,
                              char out[static PIPELINE_BUILD_SIZE]);
// Fills in which build an image of the service's history is of, where another agent wrote the image
// and this one knows the build.
void pipeline_image_build(const struct pipeline *pipeline, const struct service *service,
                          struct image_record *image);
// This agent, as others see it. Valid as long as the pipeline.
const char *pipeline_identity(const struct pipeline *pipeline);
// Whether its remote was asked for the branch's head and did not tell one: there is no such branch
// or repository, or it cannot be reached.
bool pipeline_head_untold(const struct pipeline *pipeline, const struct service *service);
// Asks the remote of a service, which can be built, for its branch's head, and only that: nothing
// is remembered. Blocks until the deadline at most. Errors as the Git child has them; `reason` is
// its word, "branch-missing", or "".
#define PIPELINE_REASON_SIZE STORE_REASON_SIZE
bool pipeline_ask_head(struct pipeline *pipeline, const struct service *service,
                       struct mono_time deadline, char reason[static PIPELINE_REASON_SIZE],
                       struct error *err) MUST_CHECK;
// Makes the first run that is due by `known`, once for all agents, and takes its mark away; the one
// that was made meanwhile is found. out->run stays NULL when none is due any more. Errors and `out`
// as run_create(). Blocks.
bool pipeline_first_run(struct pipeline *pipeline, const struct service *known,
                        struct run_created *out, struct error *err) MUST_CHECK;
// The image that it has, as a row of its history. `replaced`: it had another one before.
void pipeline_service_image(const struct pipeline *pipeline, const struct service *service,
                            bool replaced, struct image_record *out);
// Asks the registry whether it has that image by its digest. ERR_NOT_FOUND: it has not;
// ERR_UNSUPPORTED: the reference has no digest; and as registry_confirm(). Blocks.
bool pipeline_confirm_image(const struct pipeline *pipeline, const char *reference,
                            struct error *err) MUST_CHECK;

#endif
