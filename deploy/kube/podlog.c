#include "agent/base/file.h"
#include "agent/base/printable.h"
#include "agent/base/text.h"
#include "deploy/kube/podlog_file.h"
#include "deploy/kube/podlog_lines.h"
#include "deploy/kube/request.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DELAY_MIN_MS   500  // before the pod is looked at again, doubled up to
#define WAITING_MAX_MS 2000 // while its container has not started, or
#define FAILING_MAX_MS 30000
#define GIVE_UP_MS     60000 // of refusals after the container's end
#define TRAILER_ROOM   ((uint64_t)1024)
#define REFUSAL_MAX    ((size_t)64 << 10)
#define LINE_CUT       " [line cut]"
// The kubelet's word on a container that its runtime has no more, instead of the log.
#define UNREADABLE     "unable to retrieve container logs"

// Follows one log: asks for the pod, then for the log, and again, until the pod has ended and a log
// that was asked for after that has been read well. All but `file` belongs to the loop's thread.
struct follower {
    struct podlog_hub *hub;
    struct follower *next;
    struct podlog_file *file;
    char *path;
    int fd;
    char *namespace_, *pod, *uid, *container;
    uint64_t max_bytes;

    struct kube_call *call;
    struct http_stream *stream;
    uint64_t generation; // of the stream's credentials
    int status;
    struct podlog_resume resume;
    struct buffer line; // so far; or the body of a refusal
    bool line_overlong; // its rest is dropped
    struct buffer batch;
    bool first_line;
    char complaint[PODLOG_WHY_MAX]; // of the kubelet, within the log; "" when none

    bool ended;     // the container had, before the log was asked for
    bool restarted; // the container was, at some time
    bool gap;       // lines went that we never saw
    bool whole;     // what was told is in the file to its end, and nothing was seen to follow
    bool full;
    struct error broken; // why we gave up the stream; ERR_NONE: we did not
    int64_t delay_ms;
    struct mono_time failing; // since; 0: not
};

struct podlog_hub {
    struct kube_client *client;
    struct http_loop *loop;
    pthread_mutex_t mutex; // guards what follows; a file's mutex may be taken within
    pthread_cond_t changed;
    struct follower *followers;
    size_t count;
    bool closing;
    void (*ended)(void *user, const char *path); // or NULL
    void *ended_user;
};

static void look_at_pod(void *user);

// --- the shared file ---

static struct podlog_file *file_create(uint64_t size)
{
    struct podlog_file *file = xalloc(sizeof *file);
    pthread_mutex_init(&file->mutex, NULL);
    condition_init(&file->grown);
    file->references = 1;
    file->size = size;
    return file;
}

void podlog_file_release(struct podlog_file *file)
{
    if (!file || atomic_fetch_sub(&file->references, 1) > 1)
        return;
    pthread_cond_destroy(&file->grown);
    pthread_mutex_destroy(&file->mutex);
    free(file);
}

static uint64_t file_size(struct podlog_file *file)
{
    pthread_mutex_lock(&file->mutex);
    uint64_t size = file->size;
    pthread_mutex_unlock(&file->mutex);
    return size;
}

static void file_grew(struct podlog_file *file, size_t bytes)
{
    pthread_mutex_lock(&file->mutex);
    file->size += bytes;
    pthread_cond_broadcast(&file->grown);
    pthread_mutex_unlock(&file->mutex);
}

// --- the end of a follower ---

static struct follower **find(struct podlog_hub *hub, const char *path)
{
    struct follower **at = &hub->followers;
    while (*at && strcmp((*at)->path, path) != 0)
        at = &(*at)->next;
    return at;
}

static void follower_free(struct follower *follower)
{
    close_fd(&follower->fd);
    podlog_file_release(follower->file);
    podlog_resume_finish(&follower->resume);
    buffer_finish(&follower->line);
    buffer_finish(&follower->batch);
    free(follower->path);
    free(follower->namespace_);
    free(follower->pod);
    free(follower->uid);
    free(follower->container);
    free(follower);
}

// Takes it out of the hub; nothing of it runs any more.
static void follower_leave(struct follower *follower)
{
    struct podlog_hub *hub = follower->hub;
    pthread_mutex_lock(&hub->mutex);
    struct follower **at = find(hub, follower->path);
    *at = follower->next;
    hub->count--;
    http_loop_forget(hub->loop, follower);
    pthread_cond_broadcast(&hub->changed);
    pthread_mutex_unlock(&hub->mutex);
    follower_free(follower);
}

// The log is at its end: says so to the file, then to its readers.
static void finish(struct follower *follower, enum podlog_state state, const char *why)
{
    struct podlog_file *file = follower->file;
    CLEANUP(free_ptr) char *trailer = podlog_trailer(state, why);
    bool written = fd_write(follower->fd, trailer, strlen(trailer));
    if (!written)
        (void)!ftruncate(follower->fd, (off_t)file_size(file)); // whole lines only
    pthread_mutex_lock(&file->mutex);
    if (written)
        file->size += strlen(trailer);
    file->end.state = state;
    printable_copy(file->end.why, sizeof file->end.why, why, strlen(why));
    pthread_cond_broadcast(&file->grown);
    pthread_mutex_unlock(&file->mutex);
    struct podlog_hub *hub = follower->hub;
    pthread_mutex_lock(&hub->mutex);
    // Else it would be followed again at once, and so on while the disk is full.
    if (written && hub->ended)
        hub->ended(hub->ended_user, follower->path);
    pthread_mutex_unlock(&hub->mutex);
    follower_leave(follower);
}

// The hub goes, and the file stays as it is, to be followed on; or the file was removed.
static void abandon(struct follower *follower)
{
    struct podlog_file *file = follower->file;
    pthread_mutex_lock(&file->mutex);
    file->cancelled = true;
    pthread_cond_broadcast(&file->grown);
    pthread_mutex_unlock(&file->mutex);
    follower_leave(follower);
}

// False when its file was removed: then a log that cannot be had is not asked for any longer.
static bool is_kept(const struct follower *follower)
{
    struct stat status;
    return fstat(follower->fd, &status) != 0 || status.st_nlink > 0;
}

// True when there is to be no next step.
static bool over(struct follower *follower)
{
    pthread_mutex_lock(&follower->hub->mutex);
    bool closing = follower->hub->closing;
    pthread_mutex_unlock(&follower->hub->mutex);
    bool ends = closing || !is_kept(follower);
    if (ends)
        abandon(follower);
    return ends;
}

static void look_again(struct follower *follower, int64_t delay_max_ms)
{
    if (follower->delay_ms > delay_max_ms)
        follower->delay_ms = delay_max_ms;
    http_loop_after(follower->hub->loop, follower->delay_ms, look_at_pod, follower);
    follower->delay_ms *= 2;
}

// To the end of what there was to read.
static void finish_read(struct follower *follower)
{
    if (follower->gap)
        finish(follower, PODLOG_LOST, "some lines were rotated away before they could be read");
    else
        finish(follower, PODLOG_COMPLETE, "");
}

static void failed(struct follower *follower, int status, const struct error *err)
{
    if (follower->failing.ms == 0)
        follower->failing = mono_now();
    bool refused =
        status != 0 && follower->ended && mono_now().ms - follower->failing.ms > GIVE_UP_MS;
    if (refused && follower->whole)
        finish_read(follower);
    else if (err->code == ERR_FORBIDDEN || refused)
        finish(follower, PODLOG_LOST, err->text);
    else
        look_again(follower, FAILING_MAX_MS);
}

// --- lines ---

// A whole line, without its newline.
static bool take_line(struct follower *follower, const char *line, size_t len)
{
    int64_t stamp;
    size_t prefix;
    bool first = follower->first_line;
    follower->first_line = false;
    if (!podlog_stamp(line, len, &stamp, &prefix)) {
        // The first may be the rest of a line that began before `since`; any other is the kubelet's
        // own word on what went wrong.
        if (!first || follower->resume.count == 0)
            printable_copy(follower->complaint, sizeof follower->complaint, line, len);
        return true;
    }
    follower->delay_ms = DELAY_MIN_MS;
    follower->failing.ms = 0;
    if (podlog_resume_has(&follower->resume, stamp))
        return true;
    uint64_t size = file_size(follower->file) + follower->batch.len + len + sizeof LINE_CUT;
    if (size > follower->max_bytes - TRAILER_ROOM) {
        follower->full = true;
        return false;
    }
    follower->whole = false; // until the read that gave this comes to its end
    return buffer_append(&follower->batch, line, len, &follower->broken) &&
           buffer_printf(&follower->batch, &follower->broken, "%s\n",
                         follower->line_overlong ? LINE_CUT : "");
}

static bool end_line(struct follower *follower)
{
    bool ok = take_line(follower, buffer_text(&follower->line), follower->line.len);
    buffer_clear(&follower->line);
    follower->line_overlong = false;
    return ok;
}

static bool take_part(struct follower *follower, const char *bytes, size_t len)
{
    size_t room = PODLOG_LINE_MAX - follower->line.len;
    if (len > room)
        follower->line_overlong = true;
    return buffer_append(&follower->line, bytes, len < room ? len : room, &follower->broken);
}

// Puts what was gathered into the file.
static bool write_batch(struct follower *follower)
{
    size_t len = follower->batch.len;
    if (len == 0)
        return true;
    bool ok = fd_write(follower->fd, follower->batch.data, len) ||
              error_errno(&follower->broken, ERR_IO, errno, "write the log file");
    buffer_clear(&follower->batch);
    if (ok)
        file_grew(follower->file, len);
    else if (ftruncate(follower->fd, (off_t)file_size(follower->file)) != 0) // whole lines only
        return false;
    return ok;
}

// --- the log's stream ---

static void log_head(void *user, int status, const struct buffer *headers)
{
    (void)headers;
    struct follower *follower = user;
    follower->status = status;
}

static bool log_data(void *user, const void *data, size_t len)
{
    struct follower *follower = user;
    const char *bytes = data;
    if (follower->status != 200)
        return follower->line.len + len > REFUSAL_MAX ||
               buffer_append(&follower->line, bytes, len, &follower->broken);
    bool ok = true;
    for (const char *end; ok && (end = memchr(bytes, '\n', len));) {
        size_t part = (size_t)(end - bytes);
        ok = take_part(follower, bytes, part) && end_line(follower);
        bytes = end + 1;
        len -= part + 1;
    }
    ok = ok && take_part(follower, bytes, len);
    return write_batch(follower) && ok;
}

// Why the stream ended; false: not well.
static bool judge_log(struct follower *follower, const struct error *err, struct error *failure)
{
    enum kube_reason reason;
    if (follower->broken.code != ERR_NONE)
        *failure = follower->broken;
    else if (err)
        *failure = *err;
    else if (follower->status != 200)
        kube_refusal(follower->status, buffer_text(&follower->line), follower->line.len, &reason,
                     failure);
    else if (*follower->complaint)
        error_set(failure, ERR_UNAVAILABLE, "%s", follower->complaint);
    else if (text_starts(buffer_text(&follower->line), UNREADABLE))
        error_set(failure, ERR_UNAVAILABLE, UNREADABLE);
    else
        return true;
    return false;
}

// A line that the stream ended within. What has no time is a word of the kubelet's, which ends in
// no newline: when the container goes while its log, read to its end, is followed.
static bool has_unended_line(const struct follower *follower, bool torn)
{
    int64_t stamp;
    size_t prefix;
    const struct buffer *line = &follower->line;
    return follower->status == 200 && line->len > 0 &&
           (torn || podlog_stamp(buffer_text(line), line->len, &stamp, &prefix));
}

static void log_done(void *user, int status, const struct error *err)
{
    struct follower *follower = user;
    struct error failure;
    follower->stream = NULL;
    if (!err || err->code != ERR_CANCELLED)
        kube_tell_answer(follower->hub->client, "get", status);
    if (status == 401)
        kube_access_rejected(kube_client_access(follower->hub->client), follower->generation);
    bool well = judge_log(follower, err, &failure);
    bool unended = has_unended_line(follower, err != NULL);
    // A last line without a newline is whole when nothing can follow.
    if (well && unended && follower->ended) {
        well = end_line(follower) && write_batch(follower);
        unended = !well;
    }
    if (well || unended)
        follower->whole = !unended;
    if (well)
        follower->failing.ms = 0;
    buffer_finish(&follower->line);
    follower->line_overlong = false;
    if (follower->resume.gap && !follower->restarted)
        follower->gap = true;
    podlog_resume_finish(&follower->resume);
    if (over(follower))
        return;
    if (follower->full)
        finish(follower, PODLOG_TRUNCATED, "the log is longer than is kept");
    else if (follower->broken.code == ERR_IO)
        finish(follower, PODLOG_LOST, follower->broken.text);
    else if (well && follower->ended)
        finish_read(follower);
    else if (well || status == 400)
        look_again(follower, WAITING_MAX_MS); // its status lags behind, or it has not started
    else
        failed(follower, status, &failure);
}

static void read_log(struct follower *follower)
{
    static const struct http_stream_events events = {log_head, log_data, log_done};
    char since[RFC3339_SIZE];
    struct error err = {.code = ERR_NONE};
    if (!podlog_resume_read(follower->fd, file_size(follower->file), &follower->resume, &err)) {
        finish(follower, PODLOG_LOST, err.text);
        return;
    }
    struct kube_request request = {.resource = &KUBE_PODS,
                                   .namespace_ = follower->namespace_,
                                   .name = follower->pod,
                                   .subresource = "log",
                                   .query = {{"container", follower->container},
                                             {"timestamps", "true"},
                                             {"follow", follower->ended ? "false" : "true"}}};
    wall_format(follower->resume.since, false, since);
    if (*since)
        request.query[3] = (struct kube_query){"sinceTime", since};
    follower->status = 0;
    follower->first_line = true;
    follower->complaint[0] = '\0';
    follower->broken.code = ERR_NONE;
    if (!kube_stream_start(follower->hub->client, follower->hub->loop, &request, 0, &events,
                           follower, &follower->stream, &follower->generation, &err)) {
        podlog_resume_finish(&follower->resume);
        failed(follower, 0, &err);
    }
}

// --- the pod ---

static const json_t *container_status(const json_t *pod, const char *name, bool *initial)
{
    static const char *const lists[] = {"containerStatuses", "initContainerStatuses"};
    for (size_t l = 0; l < 2; l++) {
        size_t i;
        json_t *status;
        json_array_foreach(json_at(pod, "status", lists[l], NULL), i, status)
        {
            const char *candidate = json_text_at(status, "name", NULL);
            *initial = l == 1;
            if (candidate && strcmp(candidate, name) == 0)
                return status;
        }
    }
    return NULL;
}

static bool is(const char *text, const char *word)
{
    return text && strcmp(text, word) == 0;
}

// What the pod says of the container: whether it ever started, and whether it has ended for good.
static void read_pod(struct follower *follower, const json_t *pod, bool *started, bool *pod_over)
{
    bool initial = false;
    const json_t *status = container_status(pod, follower->container, &initial);
    const json_t *terminated = json_at(status, "state", "terminated", NULL);
    const char *phase = json_text_at(pod, "status", "phase", NULL);
    const char *policy = json_text_at(pod, "spec", "restartPolicy", NULL);
    bool good = terminated && json_int_or(json_at(terminated, "exitCode", NULL), 1) == 0;
    *pod_over = is(phase, "Succeeded") || is(phase, "Failed");
    *started = terminated || json_at(status, "state", "running", NULL) ||
               json_at(status, "lastState", "terminated", NULL);
    follower->ended = *pod_over || (terminated && is(policy, "Never")) ||
                      (good && (initial || is(policy, "OnFailure")));
    if (json_int_or(json_at(status, "restartCount", NULL), 0) > 0)
        follower->restarted = true;
    if (!follower->ended || follower->restarted)
        follower->whole = false; // more may have come since it was read
}

static void pod_gone(struct follower *follower)
{
    // What a deadline or a cancellation ends is deleted at once; the kubelet closes the log before.
    if (follower->whole)
        finish_read(follower);
    else
        finish(follower, PODLOG_LOST, "the pod was deleted before its log was read to the end");
}

static void pod_done(void *user, struct kube_reply *reply, const struct error *err)
{
    struct follower *follower = user;
    follower->call = NULL;
    if (over(follower))
        return;
    const char *uid = json_text_at(reply->body, "metadata", "uid", NULL);
    if (reply->status == 404 || (uid && *follower->uid && strcmp(uid, follower->uid) != 0)) {
        pod_gone(follower);
        return;
    }
    if (err) {
        failed(follower, reply->status, err);
        return;
    }
    bool started, pod_over;
    read_pod(follower, reply->body, &started, &pod_over);
    if (started)
        read_log(follower);
    else if (pod_over)
        finish(follower, PODLOG_COMPLETE, "the container never started");
    else
        look_again(follower, WAITING_MAX_MS);
}

static void look_at_pod(void *user)
{
    struct follower *follower = user;
    struct error err;
    struct kube_request request = {
        .resource = &KUBE_PODS, .namespace_ = follower->namespace_, .name = follower->pod};
    if (over(follower))
        return;
    if (!kube_call_start(follower->hub->client, follower->hub->loop, &request, pod_done, follower,
                         &follower->call, &err))
        failed(follower, 0, &err);
}

// --- the hub ---

struct podlog_hub *podlog_hub_create(struct kube_client *client, struct http_loop *loop)
{
    struct podlog_hub *hub = xalloc(sizeof *hub);
    hub->client = client;
    hub->loop = loop;
    pthread_mutex_init(&hub->mutex, NULL);
    pthread_cond_init(&hub->changed, NULL);
    return hub;
}

// Ends what a follower is doing; its next step sees that the hub goes.
static void interrupt(void *user)
{
    struct follower *follower = user;
    if (follower->call)
        kube_call_cancel(follower->call);
    else if (follower->stream)
        http_stream_cancel(follower->stream);
    else
        over(follower); // it was between two steps
}

void podlog_hub_destroy(struct podlog_hub *hub)
{
    if (!hub)
        return;
    pthread_mutex_lock(&hub->mutex);
    hub->closing = true;
    for (struct follower *follower = hub->followers; follower; follower = follower->next)
        http_loop_after(hub->loop, 0, interrupt, follower);
    while (hub->followers)
        pthread_cond_wait(&hub->changed, &hub->mutex);
    pthread_mutex_unlock(&hub->mutex);
    pthread_cond_destroy(&hub->changed);
    pthread_mutex_destroy(&hub->mutex);
    free(hub);
}

void podlog_hub_on_end(struct podlog_hub *hub, void (*ended)(void *user, const char *path),
                       void *user)
{
    pthread_mutex_lock(&hub->mutex);
    hub->ended = ended;
    hub->ended_user = user;
    pthread_mutex_unlock(&hub->mutex);
}

struct podlog_file *podlog_hub_find(struct podlog_hub *hub, const char *path)
{
    pthread_mutex_lock(&hub->mutex);
    struct follower *follower = *find(hub, path);
    struct podlog_file *file = follower ? follower->file : NULL;
    if (file)
        atomic_fetch_add(&file->references, 1);
    pthread_mutex_unlock(&hub->mutex);
    return file;
}

// Opens the file at the end of its last whole line. *end tells whether there is anything to follow.
static bool open_file(const char *path, int *out, uint64_t *size, struct podlog_end *end,
                      struct error *err)
{
    CLEANUP(close_fd)
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_errno(err, ERR_IO, errno, "%s", path);
    if (!podlog_file_end(fd, size, end, err))
        return error_wrap(err, "%s", path);
    if (end->state != PODLOG_COMPLETE && end->state != PODLOG_TRUNCATED &&
        ftruncate(fd, (off_t)*size) != 0)
        return error_errno(err, ERR_IO, errno, "%s", path);
    *out = fd;
    fd = -1;
    return true;
}

static bool is_compressed(const char *path)
{
    CLEANUP(free_ptr) char *compressed = podlog_compressed(path);
    return access(path, F_OK) != 0 && access(compressed, F_OK) == 0;
}

static bool add_follower(struct podlog_hub *hub, const struct podlog_source *source,
                         struct error *err)
{
    CLEANUP(close_fd) int fd = -1;
    uint64_t size;
    struct podlog_end end;
    if (hub->count >= PODLOG_FOLLOWERS_MAX)
        return error_set(err, ERR_UNAVAILABLE, "%d logs are being followed: no more at once",
                         PODLOG_FOLLOWERS_MAX);
    if (is_compressed(source->path))
        return true;
    if (!open_file(source->path, &fd, &size, &end, err))
        return false;
    if (end.state == PODLOG_COMPLETE || end.state == PODLOG_TRUNCATED)
        return true;
    struct follower *follower = xalloc(sizeof *follower);
    follower->hub = hub;
    follower->file = file_create(size);
    follower->path = xstrdup(source->path);
    follower->fd = fd;
    fd = -1;
    follower->namespace_ = xstrdup(source->namespace_);
    follower->pod = xstrdup(source->pod);
    follower->uid = xstrdup(source->uid ? source->uid : "");
    follower->container = xstrdup(source->container);
    follower->max_bytes = source->max_bytes ? source->max_bytes : PODLOG_FILE_MAX_DEFAULT;
    if (follower->max_bytes < TRAILER_ROOM)
        follower->max_bytes = TRAILER_ROOM;
    follower->delay_ms = DELAY_MIN_MS;
    follower->next = hub->followers;
    hub->followers = follower;
    hub->count++;
    http_loop_after(hub->loop, 0, look_at_pod, follower);
    return true;
}

bool podlog_follow(struct podlog_hub *hub, const struct podlog_source *source, struct error *err)
{
    pthread_mutex_lock(&hub->mutex);
    bool ok = *find(hub, source->path) || add_follower(hub, source, err);
    pthread_mutex_unlock(&hub->mutex);
    return ok;
}
