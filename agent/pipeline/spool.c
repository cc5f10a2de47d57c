// Contexts on disk: one file for each Job, kept while its pod may still ask for it. What is gone
// is packed again, since the same commit gives the same bytes.
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/text.h"
#include "agent/base/threads.h"
#include "agent/pipeline/steps.h"
#include "build/mirror.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX       ".tar.gz"
#define PART_SUFFIX  ".part" // build/git/archive.h
#define NAME_PREFIX  "pack " // of the child that packs again
#define PACK_WAIT_MS 5000    // then the pod is told to ask again

void spool_init(struct pipeline *pipeline)
{
    pthread_mutex_init(&pipeline->spool.lock, NULL);
    condition_init(&pipeline->spool.packed);
}

void spool_finish(struct pipeline *pipeline)
{
    pthread_cond_destroy(&pipeline->spool.packed);
    pthread_mutex_destroy(&pipeline->spool.lock);
}

int64_t spool_context_max(const struct config *config)
{
    int64_t most = config->builds.max_context_bytes;
    int64_t secret = (int64_t)KANIKO_CONTEXT_SECRET_MAX;
    return config_serves_contexts(config) || most < secret ? most : secret;
}

static char *path_of(const struct pipeline *pipeline, const char *job)
{
    return xasprintf("%s/%s" SUFFIX, pipeline->context_directory, job);
}

char *build_context_path(const struct pipeline *pipeline, const struct build *build)
{
    return path_of(pipeline, build->job);
}

// --- what is known to be whole ---

// The lock is held.
static struct spool_packed *find_archive(struct spool *spool, const char *job)
{
    for (size_t i = 0; i < spool->archive_count; i++)
        if (strcmp(spool->archives[i].job, job) == 0)
            return &spool->archives[i];
    return NULL;
}

// The lock is held.
static void drop_archive(struct spool *spool, struct spool_packed *archive)
{
    struct spool_packed *end = spool->archives + spool->archive_count--;
    memmove(archive, archive + 1, (size_t)(end - archive - 1) * sizeof *archive);
}

void spool_note(struct work *work, const struct build *build)
{
    struct spool *spool = &work->pipeline->spool;
    struct spool_packed packed = {.bytes = work->context_bytes};
    text_copy(packed.job, sizeof packed.job, build->job);
    text_copy(packed.sha256, sizeof packed.sha256, work->context_sha256);
    pthread_mutex_lock(&spool->lock);
    struct spool_packed *before = find_archive(spool, build->job);
    if (before)
        drop_archive(spool, before);
    else if (spool->archive_count == SPOOL_PACKED_MAX)
        drop_archive(spool, spool->archives); // it is packed once more, if need be
    spool->archives[spool->archive_count++] = packed;
    pthread_mutex_unlock(&spool->lock);
}

// It may have made room for others meanwhile, and the settings may allow less.
bool spool_has(struct work *work, const struct build *build)
{
    struct spool *spool = &work->pipeline->spool;
    struct spool_packed packed;
    struct stat status;
    pthread_mutex_lock(&spool->lock);
    const struct spool_packed *known = find_archive(spool, build->job);
    if (known)
        packed = *known;
    pthread_mutex_unlock(&spool->lock);
    CLEANUP(free_ptr) char *path = build_context_path(work->pipeline, build);
    if (!known || packed.bytes > spool_context_max(work->config) || lstat(path, &status) != 0 ||
        status.st_size != packed.bytes)
        return false;
    text_copy(work->context_sha256, sizeof work->context_sha256, packed.sha256);
    work->context_bytes = packed.bytes;
    return true;
}

void spool_forget(struct pipeline *pipeline, const struct build *build)
{
    struct spool *spool = &pipeline->spool;
    CLEANUP(free_ptr) char *path = build_context_path(pipeline, build);
    unlink(path); // if it is still there
    pthread_mutex_lock(&spool->lock);
    struct spool_packed *known = find_archive(spool, build->job);
    if (known)
        drop_archive(spool, known);
    pthread_mutex_unlock(&spool->lock);
}

// --- bounds ---

struct spooled {
    char *name;
    int64_t bytes;
    int64_t written_ms;
};

struct spooled_list {
    struct spooled *items;
    size_t count;
};

static void spooled_finish(struct spooled_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].name);
    free(list->items);
}

static int older_first(const void *a, const void *b)
{
    const struct spooled *one = a, *other = b;
    return (one->written_ms > other->written_ms) - (one->written_ms < other->written_ms);
}

static void list_spooled(const struct pipeline *pipeline, const char *suffix,
                         struct spooled_list *out)
{
    DIR *directory = opendir(pipeline->context_directory);
    for (const struct dirent *entry; directory && (entry = readdir(directory));) {
        struct stat status;
        if (!text_ends(entry->d_name, suffix) ||
            fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        out->items = xrealloc(out->items, (out->count + 1) * sizeof *out->items);
        out->items[out->count++] = (struct spooled){
            .name = xstrdup(entry->d_name),
            .bytes = status.st_size,
            .written_ms = (int64_t)status.st_mtim.tv_sec * 1000 + status.st_mtim.tv_nsec / 1000000};
    }
    if (directory)
        closedir(directory);
    if (out->count)
        qsort(out->items, out->count, sizeof *out->items, older_first);
}

static void remove_spooled(const struct pipeline *pipeline, const struct spooled *file)
{
    CLEANUP(free_ptr) char *path = xasprintf("%s/%s", pipeline->context_directory, file->name);
    unlink(path);
}

// One that is being sent goes on being sent: only its name is gone.
void spool_trim(const struct pipeline *pipeline, const char *keep)
{
    CLEANUP(settings_drop_ptr)
    const struct config *config = settings_hold(pipeline->parts.settings);
    CLEANUP(spooled_finish) struct spooled_list list = {0};
    list_spooled(pipeline, SUFFIX, &list);
    int64_t total = 0;
    for (size_t i = 0; i < list.count; i++)
        total += list.items[i].bytes;
    for (size_t i = 0; i < list.count; i++) {
        if (total <= config->context.max_spool_bytes)
            return;
        if (text_ends(keep, list.items[i].name))
            continue;
        remove_spooled(pipeline, &list.items[i]);
        total -= list.items[i].bytes;
    }
}

static bool note_job(void *user, const struct build *build)
{
    json_object_set_new(user, build->job, json_true());
    return true;
}

// What stays takes so many bytes.
static int64_t remove_older(const struct pipeline *pipeline, const char *suffix, const json_t *own,
                            int64_t ms)
{
    int64_t bytes = 0;
    CLEANUP(spooled_finish) struct spooled_list list = {0};
    list_spooled(pipeline, suffix, &list);
    for (size_t i = 0; i < list.count; i++) {
        const struct spooled *file = &list.items[i];
        size_t len = strlen(file->name) - strlen(suffix);
        CLEANUP(free_ptr) char *job = xstrndup(file->name, len);
        if (!json_object_get(own, job) && wall_now().ms - file->written_ms > ms)
            remove_spooled(pipeline, file);
        else
            bytes += file->bytes;
    }
    return bytes;
}

// What was packed for another agent's Job is needed for as long as a Job may run.
void spool_sweep(struct pipeline *pipeline)
{
    CLEANUP(settings_drop_ptr)
    const struct config *config = settings_hold(pipeline->parts.settings);
    CLEANUP(json_ptr) json_t *own = json_object();
    struct build_filter filter = {.unfinished = true, .limit = STORE_PAGE_MAX};
    struct error err;
    if (!store_build_list(pipeline->parts.store, &filter, note_job, own, &err))
        return;
    pipeline->context_bytes =
        remove_older(pipeline, SUFFIX, own, config->builds.timeout_ms) +
        remove_older(pipeline, SUFFIX PART_SUFFIX, own, 2 * config->git.timeout_ms);
}

// --- packing again ---

// The lock is held. The oldest makes room.
static void add_failure(struct spool *spool, const char *job, const struct error *why)
{
    if (spool->failure_count == SPOOL_FAILURES_MAX) {
        memmove(spool->failures, spool->failures + 1,
                (SPOOL_FAILURES_MAX - 1) * sizeof spool->failures[0]);
        spool->failure_count--;
    }
    struct spool_failure *failure = &spool->failures[spool->failure_count++];
    text_copy(failure->job, sizeof failure->job, job);
    failure->why = *why;
}

// The lock is held. Whether it failed since it was last asked for.
static bool take_failure(struct spool *spool, const char *job, struct error *err)
{
    for (size_t i = 0; i < spool->failure_count; i++)
        if (strcmp(spool->failures[i].job, job) == 0) {
            *err = spool->failures[i].why;
            spool->failures[i] = spool->failures[--spool->failure_count];
            return true;
        }
    return false;
}

// Main thread.
static void note_packed(void *user, const char *name)
{
    struct pipeline *pipeline = user;
    const char *job = name + strlen(NAME_PREFIX);
    struct git_answers answers;
    int64_t tag;
    git_answers_init(&answers);
    bool ended = git_take(pipeline, name, &tag, &answers) == CHILD_ENDED;
    bool failed = ended && answers.state != GIT_DONE;
    CLEANUP(free_ptr) char *path = path_of(pipeline, job);
    spool_trim(pipeline, path); // also when nobody has waited so long for it
    log_line(failed ? LOG_WARNING : LOG_INFO, "a build context was packed again", "job", job,
             "error", failed ? answers.error.text : NULL, NULL);
    if (failed && strcmp(answers.reason, GIT_ERROR_WORD_SUPERSEDED) == 0)
        answers.error.code = ERR_NOT_FOUND; // the branch was rewritten: it will not come back
    pthread_mutex_lock(&pipeline->spool.lock);
    if (failed)
        add_failure(&pipeline->spool, job, &answers.error);
    pthread_cond_broadcast(&pipeline->spool.packed);
    pthread_mutex_unlock(&pipeline->spool.lock);
    git_answers_finish(&answers);
}

static void work_ptr(struct work **work)
{
    if (*work)
        work_finish(*work);
    free(*work);
}

// A recipe is that of one source.
static const struct group *select_group(struct work *work, const char *recipe)
{
    const struct group *group = NULL;
    for (size_t i = 0; i < work->source_count && !group; i++) {
        work_select(work, i);
        group = work_group(work, recipe);
    }
    return group;
}

// As the service of the Job's recipe says it is packed: one that no service has is nobody's.
static bool pack_again(struct pipeline *pipeline, const json_t *job, const char *name,
                       const char *path, struct error *err)
{
    const json_t *marks = json_at(job, "metadata", "annotations", NULL);
    const char *repository = json_text_at(marks, KANIKO_ANNOTATION_REPO, NULL);
    const char *branch = json_text_at(marks, KANIKO_ANNOTATION_BRANCH, NULL);
    const char *commit = json_text_at(marks, KANIKO_ANNOTATION_COMMIT, NULL);
    const char *recipe = json_text_at(marks, KANIKO_ANNOTATION_RECIPE, NULL);
    if (!repository || !branch || !commit || !recipe)
        return error_set(err, ERR_NOT_FOUND, "the Job is no build's");
    if (!pipeline->parts.services_known(pipeline->parts.user))
        return error_set(err, ERR_UNAVAILABLE, "the services are being listed");
    char key[KEY_SIZE];
    key_write(repository, branch, key);
    CLEANUP(work_ptr) struct work *work = xalloc(sizeof *work);
    work->pipeline = pipeline;
    work->key = key;
    if (!work_load(work, err))
        return false;
    const struct group *group = select_group(work, recipe);
    CLEANUP(buffer_wipe) struct buffer input = {0};
    if (!group)
        return error_set(err, ERR_NOT_FOUND, "no service wants this build any more");
    if (!context_request(work, group, commit, path, NULL, NULL, &input)) {
        *err = work->err;
        return false;
    }
    CLEANUP(free_ptr) char *child = xasprintf(NAME_PREFIX "%s", name);
    git_ask(work, child, &(struct git_errand){.input = &input, .wake = note_packed});
    return true;
}

static bool open_file(const char *path, int *fd, uint64_t *len)
{
    CLEANUP(close_fd) int opened = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat status;
    if (opened < 0 || fstat(opened, &status) != 0)
        return false;
    *fd = opened;
    *len = (uint64_t)status.st_size;
    opened = -1;
    return true;
}

// Until a child has packed it, it failed, or the deadline passed.
static bool await_packed(struct spool *spool, const char *job, const char *path, int *fd,
                         uint64_t *len, struct error *err)
{
    struct mono_time deadline = mono_after(PACK_WAIT_MS);
    bool failed = false, opened = false, waiting = true;
    pthread_mutex_lock(&spool->lock);
    while (waiting && !(failed = take_failure(spool, job, err)) &&
           !(opened = open_file(path, fd, len)))
        waiting = condition_wait(&spool->packed, &spool->lock, deadline);
    pthread_mutex_unlock(&spool->lock);
    return opened ||
           (!failed && error_set(err, ERR_UNAVAILABLE, "the context is being packed again"));
}

bool pipeline_context_open(struct pipeline *pipeline, const json_t *job, int *fd, uint64_t *len,
                           struct error *err)
{
    struct spool *spool = &pipeline->spool;
    const char *name = json_text_at(job, "metadata", "name", NULL);
    CLEANUP(free_ptr) char *path = path_of(pipeline, name);
    if (open_file(path, fd, len))
        return true;
    pthread_mutex_lock(&spool->lock);
    bool failed = take_failure(spool, name, err); // since somebody asked last
    pthread_mutex_unlock(&spool->lock);
    return !failed && pack_again(pipeline, job, name, path, err) &&
           await_packed(spool, name, path, fd, len, err);
}
