#include "agent/intake.h"

#include "agent/base/buffer.h"
#include "agent/base/crashpoint.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/printable.h"
#include "agent/base/text.h"
#include "agent/metrics.h"
#include "webhooks/provider.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define RETRY_AFTER_SECONDS "5"
#define DELIVERY_ID_KEPT    "100" // of the sender's id where more is added to it
#define REFUSED_LOG_MS      1000  // a flood of refused requests is one line so often

struct intake {
    struct intake_options options;

    pthread_mutex_t lock;         // guards what follows
    pthread_cond_t all_told;      // `outstanding` is 0
    size_t outstanding;           // deliveries that the store has still to tell about
    struct refused_request *ring; // of INTAKE_REFUSED_MAX, newest first; those not used come last
    size_t ring_count;
    uint64_t refused; // in all
    struct mono_time next_log;
    uint64_t not_logged;
};

// One row that a request makes: a push of several refs makes one for each.
struct hint {
    struct passage *passage;
    struct delivery delivery;
    enum store_outcome outcome; // once it is told
};

// One verified request on its way through the store.
struct passage {
    struct intake *intake;
    struct server_request *req;
    char peer[INTAKE_PEER_SIZE];
    size_t waiting; // hints that the store has still to tell about; under the intake's lock
    size_t count;
    struct hint hints[];
};

struct intake *intake_create(const struct intake_options *options)
{
    struct intake *intake = xalloc(sizeof *intake);
    intake->options = *options;
    intake->ring = xalloc(INTAKE_REFUSED_MAX * sizeof *intake->ring);
    pthread_mutex_init(&intake->lock, NULL);
    pthread_cond_init(&intake->all_told, NULL);
    return intake;
}

void intake_destroy(struct intake *intake)
{
    if (!intake)
        return;
    pthread_mutex_lock(&intake->lock);
    while (intake->outstanding)
        pthread_cond_wait(&intake->all_told, &intake->lock);
    pthread_mutex_unlock(&intake->lock);
    pthread_cond_destroy(&intake->all_told);
    pthread_mutex_destroy(&intake->lock);
    free(intake->ring);
    free(intake);
}

// --- requests that are turned down ---

static void add_header(void *user, const char *name, const char *value)
{
    webhook_headers_add(user, name, value);
}

static const char *claimed_delivery(const struct webhook_headers *headers)
{
    static const enum webhook_header where[] = {HEADER_GITEA_DELIVERY,  HEADER_FORGEJO_DELIVERY,
                                                HEADER_GOGS_DELIVERY,   HEADER_GITHUB_DELIVERY,
                                                HEADER_IDEMPOTENCY_KEY, HEADER_WEBHOOK_ID,
                                                HEADER_REQUEST_UUID,    HEADER_REQUEST_ID};
    for (size_t i = 0; i < sizeof where / sizeof *where; i++)
        if (headers->values[where[i]])
            return headers->values[where[i]];
    return "";
}

// How many were refused since the last line, this one included; 0: no line now. Under the lock.
static uint64_t count_for_log(struct intake *intake)
{
    intake->not_logged++;
    if (!mono_past(intake->next_log))
        return 0;
    intake->next_log = mono_after(REFUSED_LOG_MS);
    uint64_t count = intake->not_logged;
    intake->not_logged = 0;
    return count;
}

static void log_refused(const struct refused_request *refused, uint64_t count)
{
    char status[16], counted[32];
    snprintf(status, sizeof status, "%d", refused->status);
    snprintf(counted, sizeof counted, "%llu", (unsigned long long)count);
    log_line(LOG_WARNING, "webhook refused", "forge", refused->forge, "peer", refused->peer,
             "delivery", *refused->delivery ? refused->delivery : NULL, "status", status, "reason",
             refused->reason, "count", counted, NULL);
}

static bool is_such(const struct refused_request *a, const struct refused_request *b)
{
    return a->status == b->status && strcmp(a->peer, b->peer) == 0 &&
           strcmp(a->forge, b->forge) == 0 && strcmp(a->reason, b->reason) == 0;
}

// The place of one that `refused` adds to or pushes out; otherwise that after the last one.
static size_t place_for(const struct intake *intake, const struct refused_request *refused)
{
    size_t of_peer = 0, oldest_of_peer = 0;
    for (size_t i = 0; i < intake->ring_count; i++) {
        if (is_such(&intake->ring[i], refused))
            return i;
        if (strcmp(intake->ring[i].peer, refused->peer) == 0) {
            of_peer++;
            oldest_of_peer = i;
        }
    }
    if (of_peer == INTAKE_REFUSED_PER_PEER)
        return oldest_of_peer;
    return intake->ring_count < INTAKE_REFUSED_MAX ? intake->ring_count : INTAKE_REFUSED_MAX - 1;
}

// Under the lock.
static void put_first(struct intake *intake, struct refused_request refused)
{
    size_t place = place_for(intake, &refused);
    if (place == intake->ring_count)
        intake->ring_count++;
    const struct refused_request *before = &intake->ring[place];
    if (is_such(before, &refused)) {
        refused.since = before->since;
        refused.count += before->count;
    }
    memmove(intake->ring + 1, intake->ring, place * sizeof *intake->ring);
    intake->ring[0] = refused;
}

struct refusal {
    const char *forge, *peer, *delivery, *reason;
    int status;
};

// Any thread.
static void remember(struct intake *intake, const struct refusal *refusal)
{
    struct refused_request refused = {.time = wall_now(), .count = 1, .status = refusal->status};
    refused.since = refused.time;
    text_copy(refused.peer, sizeof refused.peer, refusal->peer);
    text_copy(refused.forge, sizeof refused.forge, refusal->forge);
    printable_copy(refused.delivery, sizeof refused.delivery, refusal->delivery,
                   strlen(refusal->delivery));
    printable_copy(refused.reason, sizeof refused.reason, refusal->reason, strlen(refusal->reason));

    metric_count_status(METRIC_WEBHOOKS_REFUSED, refusal->forge, refusal->status);
    pthread_mutex_lock(&intake->lock);
    intake->refused++;
    put_first(intake, refused);
    uint64_t count = count_for_log(intake);
    pthread_mutex_unlock(&intake->lock);
    if (count)
        log_refused(&refused, count);
}

// On the listener's thread.
static void remember_refused(struct intake *intake, const struct webhook_provider *provider,
                             const struct server_request *req, int status, const char *reason)
{
    struct webhook_headers headers = {0};
    server_headers(req, add_header, &headers);
    remember(intake, &(struct refusal){.forge = provider->name,
                                       .peer = server_peer(req),
                                       .delivery = claimed_delivery(&headers),
                                       .reason = reason,
                                       .status = status});
}

static const struct webhook_provider *provider_by_headers(const struct webhook_headers *headers)
{
    for (size_t i = 0; webhook_providers[i]; i++)
        if (webhook_providers[i]->detect(headers))
            return webhook_providers[i];
    return NULL;
}

// Scanners ask for other paths all day, but a forge does so when its hook has a wrong URL.
void intake_refused(struct server_request *req, int status, const char *detail, void *user)
{
    const struct webhook_provider *provider = webhook_provider_at(server_path(req));
    if (!provider) {
        struct webhook_headers headers = {0};
        server_headers(req, add_header, &headers);
        provider = provider_by_headers(&headers);
    }
    if (provider)
        remember_refused(user, provider, req, status, detail);
}

uint64_t intake_refused_list(struct intake *intake, struct refused_request *out, size_t room,
                             size_t *count)
{
    pthread_mutex_lock(&intake->lock);
    uint64_t all = intake->refused;
    *count = intake->ring_count < room ? intake->ring_count : room;
    memcpy(out, intake->ring, *count * sizeof *out);
    pthread_mutex_unlock(&intake->lock);
    return all;
}

static void turn_down(struct intake *intake, const struct webhook_provider *provider,
                      struct server_request *req, const struct error *err)
{
    int status = err->code == ERR_UNSUPPORTED ? 415 : error_http_status(err->code);
    remember_refused(intake, provider, req, status, err->text);
    server_refuse(req, status, error_word(err->code), "%s", err->text);
}

// --- from event to delivery ---

// How each kind of event ends when no worker has to look at it.
static const char *const endings[EVENT_KIND_COUNT] = {
    [EVENT_PING] = "A ping: the hook works.",
    [EVENT_PUSH_TAG] = "A tag was pushed; images are built from branches.",
    [EVENT_DELETE_BRANCH] = "The branch was deleted.",
    [EVENT_DELETE_TAG] = "A tag was deleted; images are built from branches.",
};

static void end_at_once(struct delivery *delivery, const char *reason, const char *detail)
{
    delivery->pending = false;
    delivery->finished = delivery->received;
    text_copy(delivery->reason, sizeof delivery->reason, reason);
    text_copy(delivery->detail, sizeof delivery->detail, detail);
}

// What a request says of one ref, for services that have the repository by one of its addresses.
struct news {
    const struct webhook_provider *provider;
    const struct webhook_event *event;
    const struct webhook_change *change;
    const char *repository;
    bool followed;
};

static void decide(const struct news *news, struct delivery *delivery)
{
    const struct webhook_change *change = news->change;
    if (change->kind != EVENT_PUSH_BRANCH && text_starts(delivery->id, INTAKE_PROBE_ID)) {
        end_at_once(delivery, "ignored",
                    "From cronwright doctor, to see whether deliveries arrive.");
        delivery->failed = true; // the next one takes its place
    } else if (change->kind != EVENT_PUSH_BRANCH) {
        end_at_once(delivery, "ignored",
                    change->ignored_because ? change->ignored_because : endings[change->kind]);
    } else if (!news->followed) {
        end_at_once(delivery, "no-match", "No service follows this branch of this repository.");
        delivery->failed = true; // once one does, sending it again works
    } else {
        delivery->pending = true;
        text_copy(delivery->reason, sizeof delivery->reason, "accepted");
    }
}

static void fill_delivery(struct delivery *delivery, const struct news *news)
{
    const struct webhook_event *event = news->event;
    const struct webhook_change *change = news->change;
    delivery->received = wall_now();
    text_copy(delivery->forge, sizeof delivery->forge, news->provider->name);
    text_copy(delivery->id, sizeof delivery->id, event->delivery);
    text_copy(delivery->event, sizeof delivery->event, event->name);
    text_copy(delivery->repository, sizeof delivery->repository, news->repository);
    text_copy(delivery->ref, sizeof delivery->ref, change->ref);
    text_copy(delivery->branch, sizeof delivery->branch,
              change->kind == EVENT_PUSH_BRANCH ? change->branch : "");
    text_copy(delivery->commit, sizeof delivery->commit, change->after);
    printable_copy(delivery->pusher, sizeof delivery->pusher, event->pusher,
                   strlen(event->pusher)); // may be a byte too long, and is not to be cut in one
    if (!hex_decode(event->body_sha256, strlen(event->body_sha256), delivery->body_sha256,
                    sizeof delivery->body_sha256))
        abort();
}

static void add_hint(struct passage *passage, const struct news *news, size_t change, bool other)
{
    struct hint *hint = &passage->hints[passage->count++];
    struct delivery *delivery = &hint->delivery;
    hint->passage = passage;
    fill_delivery(delivery, news);
    decide(news, delivery);
    // An id for each row, the same in a repeated request, so that each finds its earlier one.
    if (change > 0)
        snprintf(delivery->id, sizeof delivery->id, "%." DELIVERY_ID_KEPT "s:%zu",
                 news->event->delivery, change + 1);
    if (other)
        text_copy(delivery->id + strlen(delivery->id), sizeof delivery->id - strlen(delivery->id),
                  ":other");
}

// A row for each address of the repository by which some service follows the branch; one if none.
static void add_hints(struct passage *passage, struct news *news, size_t change)
{
    const struct intake_options *options = &passage->intake->options;
    const struct webhook_event *event = news->event;
    const char *const names[] = {event->repository, event->other_repository};
    size_t before = passage->count;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        news->repository = names[i];
        news->followed = news->change->kind == EVENT_PUSH_BRANCH && *names[i] &&
                         options->follows(options->user, names[i], news->change->branch);
        if (news->followed)
            add_hint(passage, news, change, passage->count > before);
    }
    news->repository = event->repository;
    if (passage->count == before)
        add_hint(passage, news, change, false);
}

// --- answers, on the store's writer thread ---

static const char NOT_STORED[] = "The delivery could not be stored.";

// `id` is the sender's, `delivery` the row whose end is told.
static void answer(struct server_request *req, const char *id, const struct delivery *delivery,
                   enum store_outcome outcome)
{
    if (outcome == STORE_FAILED) {
        server_add_header(req, "Retry-After", RETRY_AFTER_SECONDS);
        server_refuse(req, 503, "not-stored", "%s", NOT_STORED);
        return;
    }
    const char *reason = delivery->reason, *detail = delivery->detail;
    if (outcome == STORE_REPEATED) {
        reason = "repeated";
        detail = "A delivery with this id was received before.";
    } else if (outcome == STORE_REOPENED) {
        detail = "The delivery had failed before and is tried again.";
    }
    json_t *json = json_pack("{s:s, s:s}", "delivery", id, "reason", reason);
    if (*detail)
        json_object_set_new(json, "detail", json_string(detail));
    server_answer_json(req, 202, json);
}

static void forget_passage(struct passage *passage)
{
    struct intake *intake = passage->intake;
    free(passage);
    pthread_mutex_lock(&intake->lock);
    if (--intake->outstanding == 0)
        pthread_cond_broadcast(&intake->all_told);
    pthread_mutex_unlock(&intake->lock);
}

static void note_stored(const struct delivery *delivery, const char *reason)
{
    metric_count(METRIC_DELIVERIES, delivery->forge, reason);
    log_line(LOG_DEBUG, "delivery stored", "delivery", delivery->id, "repository",
             delivery->repository, "branch", *delivery->branch ? delivery->branch : NULL, "reason",
             reason, NULL);
}

// All rows are on disk, or one of them is not: then the sender may send the request again, and
// those that are will be known as repeats.
static void all_stored(struct passage *passage)
{
    const struct hint *shown = &passage->hints[0];
    for (size_t i = 0; i < passage->count; i++) {
        const struct hint *hint = &passage->hints[i];
        if (hint->outcome == STORE_FAILED || (!shown->delivery.pending && hint->delivery.pending))
            shown = hint;
        if (hint->outcome == STORE_FAILED)
            break;
    }
    if (shown->outcome == STORE_FAILED)
        // Not by the request: when the server stops, its connection may be gone by now.
        remember(passage->intake, &(struct refusal){.forge = shown->delivery.forge,
                                                    .peer = passage->peer,
                                                    .delivery = passage->hints[0].delivery.id,
                                                    .reason = NOT_STORED,
                                                    .status = 503});
    CRASH_POINT("before-answer");
    answer(passage->req, passage->hints[0].delivery.id, &shown->delivery, shown->outcome);
    CRASH_POINT("after-answer");
    forget_passage(passage);
}

// On the store's writer thread, or on the listener's when the store's queue is full.
static void stored(void *user, enum store_outcome outcome, int64_t seq)
{
    (void)seq;
    struct hint *hint = user;
    struct passage *passage = hint->passage;
    struct intake *intake = passage->intake;
    const struct delivery *delivery = &hint->delivery;
    hint->outcome = outcome;
    if (outcome != STORE_FAILED)
        note_stored(delivery, outcome == STORE_REPEATED ? "repeated" : delivery->reason);
    if (delivery->pending && (outcome == STORE_ADDED || outcome == STORE_REOPENED))
        intake->options.wake(intake->options.user, delivery->repository, delivery->branch);
    pthread_mutex_lock(&intake->lock);
    bool last = --passage->waiting == 0;
    pthread_mutex_unlock(&intake->lock);
    CRASH_POINT("after-delivery-woken");
    if (last)
        all_stored(passage);
}

// --- requests, on the listener's thread ---

// A hook with the wrong path in its URL: its signature would be called wrong otherwise.
static bool check_forge(const struct webhook_provider *provider,
                        const struct webhook_headers *headers, struct error *err)
{
    if (provider->detect(headers))
        return true;
    const struct webhook_provider *right = provider_by_headers(headers);
    return !right || error_set(err, ERR_INVALID, "This is a webhook for %s.", right->path);
}

static bool understand(const struct intake *intake, const struct webhook_provider *provider,
                       const struct server_request *req, struct webhook_event *event,
                       struct error *err)
{
    struct webhook_headers headers = {0};
    server_headers(req, add_header, &headers);
    size_t len;
    const char *body = server_body(req, &len);
    CLEANUP(settings_drop_ptr)
    const struct config *config = settings_hold(intake->options.settings);
    return check_forge(provider, &headers, err) &&
           provider->verify(&headers, body, len, settings_webhook_secrets(config), wall_now(),
                            err) &&
           provider->decode(&headers, body, len, event, err);
}

static struct passage *make_passage(struct intake *intake, const struct webhook_provider *provider,
                                    struct server_request *req, const struct webhook_event *event)
{
    size_t addresses = *event->other_repository ? 2 : 1;
    size_t room = addresses * (1 + event->more_count);
    struct passage *passage = xalloc(sizeof *passage + room * sizeof *passage->hints);
    passage->intake = intake;
    passage->req = req;
    text_copy(passage->peer, sizeof passage->peer, server_peer(req));
    for (size_t i = 0; i <= event->more_count; i++) {
        struct news news = {.provider = provider,
                            .event = event,
                            .change = i == 0 ? &event->change : &event->more[i - 1]};
        add_hints(passage, &news, i);
    }
    passage->waiting = passage->count;
    if (event->left_out > 0) {
        char count[32];
        snprintf(count, sizeof count, "%zu", event->left_out);
        log_line(LOG_WARNING, "refs of one push are left to the next sweep", "delivery",
                 event->delivery, "repository", event->repository, "count", count, NULL);
    }
    return passage;
}

static void store(struct passage *passage)
{
    struct intake *intake = passage->intake;
    size_t count = passage->count; // the passage is gone when the last one is told
    pthread_mutex_lock(&intake->lock);
    intake->outstanding++;
    pthread_mutex_unlock(&intake->lock);
    server_suspend(passage->req);
    CRASH_POINT("before-delivery-queued");
    for (size_t i = 0; i < count; i++)
        store_delivery_add(intake->options.store, &passage->hints[i].delivery, stored,
                           &passage->hints[i]);
}

static void receive(struct server_request *req, void *user)
{
    struct intake *intake = user;
    const struct webhook_provider *provider = webhook_provider_at(server_path(req));
    if (!provider) {
        static const char NO_FORGE[] = "There is no such forge.";
        intake_refused(req, 404, NO_FORGE, user);
        server_refuse(req, 404, "not-found", NO_FORGE);
        return;
    }
    CLEANUP(webhook_event_finish) struct webhook_event event = {0};
    struct error err = {0};
    if (!understand(intake, provider, req, &event, &err)) {
        turn_down(intake, provider, req, &err);
        return;
    }
    store(make_passage(intake, provider, req, &event));
}

static void get_health(struct server_request *req, void *user)
{
    (void)user;
    server_answer_json(req, 200, json_pack("{s:s}", "status", "ok"));
}

// Served while draining too: nobody sends a webhook twice, so what has arrived is still stored.
const struct server_route intake_routes[] = {
    {"POST", "/webhooks/{forge}", receive, SERVER_WHILE_DRAINING},
    {"GET", "/healthz", get_health, SERVER_OPEN | SERVER_WHILE_DRAINING},
    {0},
};
