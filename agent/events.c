#include "agent/events.h"
#include "agent/base/crypto.h"
#include "agent/base/log.h"
#include "agent/base/printable.h"
#include "agent/base/text.h"
#include "agent/base/threads.h"
#include "agent/metrics.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COMPONENT       "cronwright"
#define TELL_TIMEOUT_MS 5000
#define NAME_SIZE       (253 + 1)
#define UID_SIZE        64
#define HOST_SIZE       128
#define CHANCE_SIZE     8     // bytes of an event's name that come from chance
#define FAILED_LOG_MS   60000 // that events cannot be told is one line so often

// As `kubectl describe` shows them.
static const struct {
    const char *reason, *type;
} kinds[TOLD_COUNT] = {
    [TOLD_BUILD_STARTED] = {"BuildStarted", "Normal"},
    [TOLD_BUILD_SUCCEEDED] = {"BuildSucceeded", "Normal"},
    [TOLD_BUILD_FAILED] = {"BuildFailed", "Warning"},
    [TOLD_IMAGE_PATCHED] = {"ImagePatched", "Normal"},
    [TOLD_IMAGE_PINNED] = {"ImagePinned", "Normal"},
    [TOLD_NOT_ALLOWED] = {"NotAllowed", "Warning"},
    [TOLD_MISCONFIGURED] = {"Misconfigured", "Warning"},
    [TOLD_RUN_FORCED] = {"RunForced", "Normal"},
};

struct event {
    const struct service *service; // held
    enum told what;
    struct wall_time at;
    char message[EVENTS_MESSAGE_SIZE];
};

// One that was told: found by service, kind and message.
struct recent {
    char uid[UID_SIZE]; // of the service; "": none
    enum told what;
    uint8_t message[SHA256_SIZE];
    char name[NAME_SIZE]; // of the Event
    struct mono_time last;
    int count;
};

// How many more a service may have.
struct allowance {
    char uid[UID_SIZE];
    int left;
    struct mono_time refilled;
};

struct events {
    struct kube_client *kube;
    char host[HOST_SIZE];
    pthread_t thread;

    pthread_mutex_t lock; // guards what follows
    pthread_cond_t changed;
    struct event *queue[EVENTS_QUEUE_MAX]; // a ring
    size_t first, count;
    bool closing;

    // The thread's own:
    struct recent recent[EVENTS_RECENT_MAX];
    struct allowance allowances[EVENTS_RECENT_MAX];
    struct mono_time next_log;
};

static void event_free(struct event *event)
{
    service_drop(event->service);
    free(event);
}

// --- what is told ---

static json_t *time_json(struct wall_time time)
{
    char text[RFC3339_SIZE];
    wall_format(time, false, text);
    return json_string(text);
}

static json_t *event_json(const struct events *events, const struct event *event, const char *name)
{
    const struct service *service = event->service;
    return json_pack(
        "{s:s, s:s, s:{s:s, s:s}, s:{s:s, s:s, s:s, s:s, s:s}, s:s, s:s, s:s, s:i, s:o, s:o, "
        "s:{s:s, s:s}, s:s, s:s}",
        "apiVersion", "v1", "kind", "Event",                                           //
        "metadata", "name", name, "namespace", service->namespace_,                    //
        "involvedObject", "apiVersion", "batch/v1", "kind", "CronJob",                 //
        "namespace", service->namespace_, "name", service->name,                       //
        "uid", service->uid,                                                           //
        "reason", kinds[event->what].reason, "message", event->message,                //
        "type", kinds[event->what].type, "count", 1,                                   //
        "firstTimestamp", time_json(event->at), "lastTimestamp", time_json(event->at), //
        "source", "component", COMPONENT, "host", events->host,                        //
        "reportingComponent", COMPONENT, "reportingInstance", events->host);
}

static bool create_event(struct events *events, const struct event *event, const char *name,
                         struct error *err)
{
    CLEANUP(json_ptr) json_t *body = event_json(events, event, name);
    return kube_request(events->kube,
                        &(struct kube_request){.method = "POST",
                                               .resource = &KUBE_EVENTS,
                                               .namespace_ = event->service->namespace_,
                                               .body = body,
                                               .timeout_ms = TELL_TIMEOUT_MS},
                        NULL, err);
}

static bool add_to_event(struct events *events, const struct event *event, struct recent *recent,
                         struct error *err)
{
    CLEANUP(json_ptr)
    json_t *body =
        json_pack("{s:i, s:o}", "count", recent->count + 1, "lastTimestamp", time_json(event->at));
    return kube_request(events->kube,
                        &(struct kube_request){.method = "PATCH",
                                               .resource = &KUBE_EVENTS,
                                               .namespace_ = event->service->namespace_,
                                               .name = recent->name,
                                               .content_type = KUBE_MERGE_PATCH,
                                               .body = body,
                                               .timeout_ms = TELL_TIMEOUT_MS},
                        NULL, err);
}

// --- bounds ---

// The one that was told before, else the one longest not told, for something new.
static struct recent *find_recent(struct events *events, const struct event *event, bool *known)
{
    struct recent *oldest = &events->recent[0];
    uint8_t message[SHA256_SIZE];
    sha256(event->message, strlen(event->message), message);
    for (size_t i = 0; i < EVENTS_RECENT_MAX; i++) {
        struct recent *each = &events->recent[i];
        *known = each->what == event->what && strcmp(each->uid, event->service->uid) == 0 &&
                 memcmp(each->message, message, sizeof message) == 0;
        if (*known)
            return each;
        if (each->last.ms < oldest->last.ms)
            oldest = each;
    }
    *oldest = (struct recent){.what = event->what};
    memcpy(oldest->message, message, sizeof message);
    return oldest;
}

// A service that is not among those of late has its whole allowance.
static struct allowance *find_allowance(struct events *events, const char *uid)
{
    struct allowance *oldest = &events->allowances[0];
    for (size_t i = 0; i < EVENTS_RECENT_MAX; i++) {
        struct allowance *each = &events->allowances[i];
        if (strcmp(each->uid, uid) == 0)
            return each;
        if (each->refilled.ms < oldest->refilled.ms)
            oldest = each;
    }
    *oldest = (struct allowance){.left = EVENTS_AT_ONCE, .refilled = mono_now()};
    text_copy(oldest->uid, sizeof oldest->uid, uid);
    return oldest;
}

static bool may_tell(struct events *events, const char *uid)
{
    struct allowance *allowance = find_allowance(events, uid);
    int64_t more = (mono_now().ms - allowance->refilled.ms) / EVENTS_REFILL_MS;
    int64_t left = allowance->left + more;
    allowance->left = left < EVENTS_AT_ONCE ? (int)left : EVENTS_AT_ONCE;
    allowance->refilled.ms += more * EVENTS_REFILL_MS;
    if (allowance->left == 0)
        return false;
    allowance->left--;
    return true;
}

// --- the thread ---

static void note_failure(struct events *events, const struct event *event, const struct error *err)
{
    metric_count(METRIC_KUBE_EVENTS, "failed", NULL);
    if (!mono_past(events->next_log))
        return;
    events->next_log = mono_after(FAILED_LOG_MS);
    log_line(LOG_WARNING, "an event cannot be told", "namespace", event->service->namespace_,
             "service", event->service->name, "event", kinds[event->what].reason, "error",
             err->text, NULL);
}

static bool tell_new(struct events *events, const struct event *event, struct recent *recent,
                     struct error *err)
{
    uint8_t chance[CHANCE_SIZE];
    char suffix[2 * CHANCE_SIZE + 1];
    random_bytes(chance, sizeof chance);
    hex_encode(chance, sizeof chance, suffix);
    snprintf(recent->name, sizeof recent->name, "%s.%s", event->service->name, suffix);
    if (!create_event(events, event, recent->name, err))
        return false;
    text_copy(recent->uid, sizeof recent->uid, event->service->uid);
    recent->last = mono_now();
    recent->count = 1;
    metric_count(METRIC_KUBE_EVENTS, "sent", NULL);
    return true;
}

static void tell(struct events *events, const struct event *event)
{
    struct error err;
    bool known;
    struct recent *recent = find_recent(events, event, &known);
    if (known && mono_now().ms - recent->last.ms < EVENTS_QUIET_MS)
        return;
    if (!may_tell(events, event->service->uid)) {
        metric_count(METRIC_KUBE_EVENTS, "dropped", NULL);
        return;
    }
    if (known && add_to_event(events, event, recent, &err)) {
        recent->last = mono_now();
        recent->count++;
        metric_count(METRIC_KUBE_EVENTS, "merged", NULL);
        return;
    }
    // Kubernetes forgets events after an hour.
    if ((!known || err.code == ERR_NOT_FOUND) && tell_new(events, event, recent, &err))
        return;
    note_failure(events, event, &err);
}

// NULL when it is to end.
static struct event *take(struct events *events)
{
    struct event *event = NULL;
    pthread_mutex_lock(&events->lock);
    while (!events->closing && events->count == 0)
        pthread_cond_wait(&events->changed, &events->lock);
    if (!events->closing) {
        event = events->queue[events->first];
        events->first = (events->first + 1) % EVENTS_QUEUE_MAX;
        events->count--;
    }
    pthread_mutex_unlock(&events->lock);
    return event;
}

static void *tell_all(void *arg)
{
    struct events *events = arg;
    for (struct event *event; (event = take(events)); event_free(event))
        tell(events, event);
    return NULL;
}

// --- from others ---

struct events *events_create(struct kube_client *kube)
{
    struct events *events = xalloc(sizeof *events);
    events->kube = kube;
    if (gethostname(events->host, sizeof events->host - 1) != 0)
        text_copy(events->host, sizeof events->host, "unknown");
    pthread_mutex_init(&events->lock, NULL);
    pthread_cond_init(&events->changed, NULL);
    thread_start(&events->thread, "events", tell_all, events);
    return events;
}

void events_destroy(struct events *events)
{
    if (!events)
        return;
    pthread_mutex_lock(&events->lock);
    events->closing = true;
    pthread_cond_signal(&events->changed);
    pthread_mutex_unlock(&events->lock);
    pthread_join(events->thread, NULL);
    for (; events->count > 0; events->count--, events->first++)
        event_free(events->queue[events->first % EVENTS_QUEUE_MAX]);
    pthread_cond_destroy(&events->changed);
    pthread_mutex_destroy(&events->lock);
    free(events);
}

void events_tell(struct events *events, const struct service *service, enum told what,
                 const char *fmt, ...)
{
    struct event *event = xalloc(sizeof *event);
    CLEANUP(free_ptr) char *text = NULL;
    va_list args;
    va_start(args, fmt);
    int len = vasprintf(&text, fmt, args);
    va_end(args);
    if (len < 0)
        abort();
    *event = (struct event){.service = service_hold(service), .what = what, .at = wall_now()};
    printable_copy(event->message, sizeof event->message, text, (size_t)len);
    pthread_mutex_lock(&events->lock);
    bool room = events->count < EVENTS_QUEUE_MAX && !events->closing;
    if (room) {
        events->queue[(events->first + events->count++) % EVENTS_QUEUE_MAX] = event;
        pthread_cond_signal(&events->changed);
    }
    pthread_mutex_unlock(&events->lock);
    if (room)
        return;
    event_free(event);
    metric_count(METRIC_KUBE_EVENTS, "dropped", NULL);
}
