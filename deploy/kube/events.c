#include "deploy/kube/events.h"

#include <stdio.h>
#include <string.h>

// An event that is told again carries its last time in one of these, by who tells it.
static int64_t time_of(const json_t *event)
{
    const char *texts[] = {json_text_at(event, "series", "lastObservedTime", NULL),
                           json_text_at(event, "lastTimestamp", NULL),
                           json_text_at(event, "eventTime", NULL),
                           json_text_at(event, "metadata", "creationTimestamp", NULL)};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct wall_time time;
        if (texts[i] && wall_parse(texts[i], &time))
            return time.ms / 1000;
    }
    return 0;
}

static bool is_warning(const json_t *event)
{
    const char *type = json_text_at(event, "type", NULL);
    return type && strcmp(type, "Warning") == 0;
}

// What says that it came about, not how it fares.
static bool is_birth(const json_t *event)
{
    const char *reason = json_text_at(event, "reason", NULL);
    return reason && (strcmp(reason, "Scheduled") == 0 || strcmp(reason, "SuccessfulCreate") == 0);
}

const json_t *kube_newest_event(const json_t *events)
{
    const json_t *newest = NULL;
    size_t i;
    json_t *event;
    json_array_foreach(events, i, event)
    {
        if (is_birth(event))
            continue;
        int64_t later = newest ? time_of(event) - time_of(newest) : 1;
        if (later > 0 || (later == 0 && is_warning(newest)))
            newest = event;
    }
    return newest;
}

bool kube_event_about(struct kube_client *client, const char *namespace_, const char *uid,
                      json_t **out, struct error *err)
{
    char selector[128];
    snprintf(selector, sizeof selector, "involvedObject.uid=%s", uid);
    struct kube_request request = {.resource = &KUBE_EVENTS,
                                   .namespace_ = namespace_,
                                   .query = {{"fieldSelector", selector}, {"limit", "100"}}};
    CLEANUP(kube_reply_finish) struct kube_reply reply = {0};
    if (!kube_request(client, &request, &reply, err))
        return error_wrap(err, "events in %s", namespace_);
    const json_t *newest = kube_newest_event(json_at(reply.body, "items", NULL));
    *out = newest ? json_deep_copy(newest) : NULL;
    return true;
}
