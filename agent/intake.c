#include "agent/intake.h"

#include "agent/base/buffer.h"
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
#define REFUSED_LOG_MS      1000 // a flood of refused requests is one line so often

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

// One verified request on its way through the store.
struct passage {
    struct intake *intake;
    struct server_request *req;
    struct delivery delivery;
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
    static const enum webhook_header where[] = {HEADER_GITHUB_DELIVERY, HEADER_IDEMPOTENCY_KEY,
                                                HEADER_WEBHOOK_ID};
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

static void remember_refused(struct intake *intake, const struct webhook_provider *provider,
                             struct server_request *req, int status, const char *reason)
{
    struct webhook_headers headers = {0};
    server_headers(req, add_header, &headers);
    const char *claimed = claimed_delivery(&headers);
    struct refused_request refused = {.time = wall_now(), .count = 1, .status = status};
    refused.since = refused.time;
    text_copy(refused.peer, sizeof refused.peer, server_peer(req));
    text_copy(refused.forge, sizeof refused.forge, provider->name);
    printable_copy(refused.delivery, sizeof refused.delivery, claimed, strlen(claimed));
    printable_copy(refused.reason, sizeof refused.reason, reason, strlen(reason));

    metric_count_status(METRIC_WEBHOOKS_REFUSED, provider->name, status);
    pthread_mutex_lock(&intake->lock);
    intake->refused++;
    put_first(intake, refused);
    uint64_t count = count_for_log(intake);
    pthread_mutex_unlock(&intake->lock);
    if (count)
        log_refused(&refused, count);
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

static void decide(const struct intake *intake, const struct webhook_event *event,
                   struct delivery *delivery)
{
    const struct intake_options *options = &intake->options;
    if (event->kind != EVENT_PUSH_BRANCH) {
        end_at_once(delivery, "ignored",
                    event->ignored_because ? event->ignored_because : endings[event->kind]);
    } else if (!options->follows(options->user, event->repository, event->branch)) {
        end_at_once(delivery, "no-match", "No service follows this branch of this repository.");
        delivery->failed = true; // once one does, sending it again works
    } else {
        delivery->pending = true;
        text_copy(delivery->reason, sizeof delivery->reason, "accepted");
    }
}

static void fill_delivery(struct delivery *delivery, const struct webhook_provider *provider,
                          const struct webhook_event *event)
{
    delivery->received = wall_now();
    text_copy(delivery->forge, sizeof delivery->forge, provider->name);
    text_copy(delivery->id, sizeof delivery->id, event->delivery);
    text_copy(delivery->event, sizeof delivery->event, event->name);
    text_copy(delivery->repository, sizeof delivery->repository, event->repository);
    text_copy(delivery->ref, sizeof delivery->ref, event->ref);
    text_copy(delivery->branch, sizeof delivery->branch,
              event->kind == EVENT_PUSH_BRANCH ? event->branch : "");
    text_copy(delivery->commit, sizeof delivery->commit, event->after);
    printable_copy(delivery->pusher, sizeof delivery->pusher, event->pusher,
                   strlen(event->pusher)); // may be a byte too long, and is not to be cut in one
    if (!hex_decode(event->body_sha256, strlen(event->body_sha256), delivery->body_sha256,
                    sizeof delivery->body_sha256))
        abort();
}

// --- answers, on the store's writer thread ---

static const char NOT_STORED[] = "The delivery could not be stored.";

static void answer(struct server_request *req, const struct delivery *delivery,
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
    json_t *json = json_pack("{s:s, s:s}", "delivery", delivery->id, "reason", reason);
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

static void stored(void *user, enum store_outcome outcome, int64_t seq)
{
    (void)seq;
    struct passage *passage = user;
    const struct intake_options *options = &passage->intake->options;
    const struct delivery *delivery = &passage->delivery;
    if (outcome == STORE_FAILED)
        remember_refused(passage->intake, webhook_provider_at(server_path(passage->req)),
                         passage->req, 503, NOT_STORED);
    else
        note_stored(delivery, outcome == STORE_REPEATED ? "repeated" : delivery->reason);
    if (delivery->pending && (outcome == STORE_ADDED || outcome == STORE_REOPENED))
        options->wake(options->user, delivery->repository, delivery->branch);
    answer(passage->req, delivery, outcome);
    forget_passage(passage);
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
    struct webhook_event event;
    struct error err = {0};
    if (!understand(intake, provider, req, &event, &err)) {
        turn_down(intake, provider, req, &err);
        return;
    }
    struct passage *passage = xalloc(sizeof *passage);
    passage->intake = intake;
    passage->req = req;
    fill_delivery(&passage->delivery, provider, &event);
    decide(intake, &event, &passage->delivery);
    pthread_mutex_lock(&intake->lock);
    intake->outstanding++;
    pthread_mutex_unlock(&intake->lock);
    server_suspend(req);
    store_delivery_add(intake->options.store, &passage->delivery, stored, passage);
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
