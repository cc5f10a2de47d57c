// Asking for a head while somebody waits for the answer.
#include "agent/base/text.h"
#include "agent/base/threads.h"
#include "agent/pipeline/steps.h"
#include "build/mirror.h"

#include <inttypes.h>
#include <stdio.h>

#define NAME_SIZE 64

struct probes {
    pthread_mutex_t lock;
    pthread_cond_t ended; // one of them
    int64_t count;        // asked so far: each child has a name of its own
};

struct probes *probes_create(void)
{
    struct probes *probes = xalloc(sizeof *probes);
    pthread_mutex_init(&probes->lock, NULL);
    condition_init(&probes->ended);
    return probes;
}

void probes_destroy(struct probes *probes)
{
    if (!probes)
        return;
    pthread_cond_destroy(&probes->ended);
    pthread_mutex_destroy(&probes->lock);
    free(probes);
}

static void wake(void *user, const char *name)
{
    (void)name;
    struct probes *probes = ((struct pipeline *)user)->probes;
    pthread_mutex_lock(&probes->lock);
    pthread_cond_broadcast(&probes->ended);
    pthread_mutex_unlock(&probes->lock);
}

static void new_name(struct probes *probes, char out[static NAME_SIZE])
{
    pthread_mutex_lock(&probes->lock);
    snprintf(out, NAME_SIZE, "probe %" PRId64, ++probes->count);
    pthread_mutex_unlock(&probes->lock);
}

// False: it has not ended by then.
static bool await(struct pipeline *pipeline, const char *name, struct mono_time deadline,
                  struct git_answers *answers)
{
    struct probes *probes = pipeline->probes;
    int64_t tag;
    pthread_mutex_lock(&probes->lock);
    enum child_state state = git_take(pipeline, name, &tag, answers);
    while (state == CHILD_BUSY && !mono_past(deadline)) {
        condition_wait(&probes->ended, &probes->lock, deadline);
        state = git_take(pipeline, name, &tag, answers);
    }
    pthread_mutex_unlock(&probes->lock);
    if (state == CHILD_BUSY)
        children_cancel(pipeline->parts.children, name);
    return state == CHILD_ENDED;
}

static bool ask(struct work *work, struct mono_time deadline, struct git_answers *answers)
{
    struct git_remote_branch remote;
    CLEANUP(buffer_wipe) struct buffer input = {0};
    char name[NAME_SIZE];
    if (!git_remote(work, &remote) || !git_request_head(&remote, &input, &work->err))
        return false;
    new_name(work->pipeline->probes, name);
    git_ask(work, name, &(struct git_errand){.input = &input, .wake = wake});
    if (!await(work->pipeline, name, deadline, answers))
        return error_set(&work->err, ERR_TIMEOUT, "no answer in time");
    text_copy(work->reason, sizeof work->reason, answers->reason);
    work->err = answers->error;
    return answers->state == GIT_DONE;
}

bool pipeline_ask_head(struct pipeline *pipeline, const struct service *service,
                       struct mono_time deadline, char reason[static PIPELINE_REASON_SIZE],
                       struct error *err)
{
    char credential[STORE_CREDENTIAL_SIZE];
    reason[0] = '\0';
    if (!pipeline_service_credential(pipeline, service, credential))
        return error_set(err, ERR_FORBIDDEN, "the settings do not allow it to be built");
    CLEANUP(settings_drop_ptr)
    const struct config *config = settings_hold(pipeline->parts.settings);
    CLEANUP(free_ptr) struct work *work = xalloc(sizeof *work);
    work->pipeline = pipeline;
    work->config = config;
    work->credential = credential;
    work->url = service->repository;
    if (!repository_identify(service->repository, work->repository, err))
        return false;
    text_copy(work->branch, sizeof work->branch, service->branch);
    struct git_answers answers;
    git_answers_init(&answers);
    bool told = ask(work, deadline, &answers);
    git_answers_finish(&answers);
    text_copy(reason, PIPELINE_REASON_SIZE, work->reason);
    return told || error_set(err, work->err.code, "%s", work->err.text);
}
