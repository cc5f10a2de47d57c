// Starts, drains and stops the daemon. The main thread runs the children and waits for signals.
#include "agent/agent.h"
#include "agent/admin/admin.h"
#include "agent/admin/attempts.h"
#include "agent/admin/changes.h"
#include "agent/admin/sessions.h"
#include "agent/admin/turns.h"
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/systemd.h"
#include "agent/contexts/contexts.h"
#include "agent/ending.h"
#include "agent/intake.h"
#include "agent/measure.h"
#include "agent/metrics.h"
#include "agent/observe.h"
#include "agent/pipeline/pipeline.h"
#include "agent/runs/recorder.h"
#include "deploy/runs.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define DRAIN_MS            20000 // of all listeners; half of ENDING_MS
#define DRAIN_LEAST_MS      5000  // of those that are drained after others
#define TICK_MS             10000 // the main thread looks at its timers at least this often
#define PATIENCE_MS         10000 // with a namespace that cannot be listed, before the others begin
#define ADMIN_CONNECTIONS   192 // a browser has up to six, and one more for each page that is seen
#define ADMIN_PER_ADDRESS   144 // of them; a proxy has one address for all
#define ADMIN_BODY_MAX      ((size_t)1 << 20)
#define ADMIN_IN_FLIGHT_MAX ((size_t)64 << 20)
#define ADMIN_REQUEST_MS    30000
#define ADMIN_ANSWER_MS     60000
#define IDLE_MS             60000
#define METRICS_CONNECTIONS 16
#define METRICS_PER_ADDRESS 8
#define METRICS_BODY_MAX    ((size_t)1 << 10) // nobody sends one
#define METRICS_MS          10000
#define HANGS_MS            30000 // no commit, no step of a webhook and no round of a thread takes so long

static_assert(TURN_WAIT_MS + RUN_REPLACE_TIMEOUT_MS_DEFAULT + KUBE_TIMEOUT_MS_DEFAULT <
                  ADMIN_ANSWER_MS,
              "who waits for a run to be replaced hears how it ended");

// The watch of a namespace's services, or of all. What it has told outlives it.
struct services_watch {
    struct agent *agent;
    char *namespace_; // NULL: all
    struct kube_watch *watch;
    atomic_bool synced; // told all services once
    atomic_bool failed; // since the start
};

struct agent {
    struct settings *settings;
    struct store *store;
    struct kube_client *kube;
    struct http_loop *loop;
    struct service_cache *services;
    struct changes *changes;
    struct services_watch *watches; // one for each namespace, or one for all
    size_t watch_count;
    struct mono_time patience; // until then all watches are waited for
    struct podlog_hub *logs;
    struct children *children;
    struct statuses *statuses;
    struct events *events;
    struct pipeline *pipeline;
    struct recorder *recorder;
    struct intake *intake;
    struct server *webhooks;
    struct observed observed;
    struct measured measured;
    struct admin admin;
    struct server *admin_server;
    struct server *metrics_server; // NULL: it is off
    _Atomic int64_t beat;          // when the main thread went round last, in monotonic ms
    atomic_bool stopping;
    struct context_keys context_keys;
    struct contexts contexts;
    struct server *context_server; // NULL: there is none
    struct ending *ending;
    int signal_fd;       // readable when a signal asks to end
    int reload_fd;       // and when one asks to read the settings again
    int synced_fd;       // written when a watch has synced
    int events_fd;       // epoll over all three
    atomic_bool started; // the pipeline works
};

// --- services ---

static size_t count_synced(struct agent *agent)
{
    size_t count = 0;
    for (size_t i = 0; i < agent->watch_count; i++)
        count += agent->watches[i].synced;
    return count;
}

// Until then nothing can be said to be followed by nobody. Any thread.
static bool all_synced(struct agent *agent)
{
    return count_synced(agent) == agent->watch_count;
}

// A namespace that cannot be listed does not keep the others from working.
static bool enough_synced(struct agent *agent)
{
    if (count_synced(agent) == 0)
        return false;
    for (size_t i = 0; i < agent->watch_count; i++) {
        struct services_watch *watch = &agent->watches[i];
        if (!watch->synced && !(watch->failed && mono_past(agent->patience)))
            return false;
    }
    return true;
}

static void service_item(void *user, enum kube_event event, const json_t *object)
{
    struct services_watch *watch = user;
    SERVICE_CACHE_EVENTS.item(watch->agent->services, event, object);
}

static void service_synced(void *user)
{
    struct services_watch *watch = user;
    struct agent *agent = watch->agent;
    if (SERVICE_CACHE_EVENTS.synced)
        SERVICE_CACHE_EVENTS.synced(agent->services);
    watch->synced = true;
    recorder_watch(agent->recorder, watch->namespace_);
    malloc_trim(0); // a list's JSON is large and gone
    uint64_t one = 1;
    ssize_t written = write(agent->synced_fd, &one, sizeof one);
    (void)written; // full means readable
}

static void service_failed(void *user, const struct error *err, int64_t retry_ms)
{
    struct services_watch *watch = user;
    watch->failed = true;
    metric_count(METRIC_WATCH_FAILURES, "services", NULL);
    char retry[32];
    snprintf(retry, sizeof retry, "%lldms", (long long)retry_ms);
    log_line(LOG_WARNING, "the watch of services failed", "namespace", watch->namespace_, "error",
             err->text, "retry", retry, NULL);
}

static void service_changed(void *user, const struct service *before, const struct service *after)
{
    struct agent *agent = user;
    pipeline_service_changed(agent->pipeline, before, after);
    recorder_service_changed(agent->recorder, before, after);
    const struct service *named = after ? after : before;
    changes_service(agent->changes, named->namespace_, named->name);
}

static void row_changed(void *user, enum store_table table, int64_t id)
{
    static void (*const tell[])(struct changes * changes, int64_t id) = {
        [STORE_DELIVERIES] = changes_delivery,
        [STORE_BUILDS] = changes_build,
        [STORE_RUNS] = changes_run,
    };
    tell[table](user, id);
}

static bool start_kubernetes(struct agent *agent, struct error *err)
{
    CLEANUP(settings_drop_ptr) const struct config *config = settings_hold(agent->settings);
    struct kube_access *access;
    bool found = *config->kubernetes.kubeconfig
                     ? kube_access_from_file(config->kubernetes.kubeconfig,
                                             config->kubernetes.context, &access, err)
                     : kube_access_in_cluster(NULL, &access, err);
    if (!found)
        return error_wrap(err, "kubernetes");
    agent->kube = kube_client_create(access);
    agent->loop = http_loop_create();
    agent->logs = podlog_hub_create(agent->kube, agent->loop);
    agent->services = service_cache_create(&(struct service_cache_options){
        .identify = pipeline_identify, .changed = service_changed, .user = agent});
    return true;
}

static void watch_services(struct agent *agent, const struct config *config)
{
    static const struct kube_watch_events events = {service_item, service_synced, service_failed};
    const struct config_texts *namespaces = &config->kubernetes.namespaces;
    agent->watch_count = namespaces->count ? namespaces->count : 1;
    agent->watches = xalloc(agent->watch_count * sizeof *agent->watches);
    agent->patience = mono_after(PATIENCE_MS);
    for (size_t i = 0; i < agent->watch_count; i++) {
        struct services_watch *watch = &agent->watches[i];
        watch->agent = agent;
        watch->namespace_ = namespaces->count ? xstrdup(namespaces->items[i]) : NULL;
        watch->watch =
            kube_watch_create(agent->kube, agent->loop,
                              &(struct kube_watch_options){.resource = &KUBE_CRONJOBS,
                                                           .namespace_ = watch->namespace_,
                                                           .label_selector = SELECTOR_MANAGED},
                              &events, watch);
    }
}

// --- listeners ---

static bool follows(void *user, const char *repository, const char *branch)
{
    struct agent *agent = user;
    if (!all_synced(agent))
        return true;
    struct service_list list = {0};
    pipeline_following(agent->pipeline, repository, branch, &list);
    bool any = list.count > 0;
    service_list_finish(&list);
    return any;
}

static void wake(void *user, const char *repository, const char *branch)
{
    struct agent *agent = user;
    pipeline_wake(agent->pipeline, repository, branch);
}

// What hangs is helped by a new start alone, for which watchdogs and liveness probes are there.
static bool threads_go_on(struct agent *agent, struct error *err)
{
    int64_t writing = store_busy_ms(agent->store), answering = server_busy_ms(agent->webhooks);
    if (writing > HANGS_MS)
        return error_set(err, ERR_UNAVAILABLE, "the store has been writing for %lld s",
                         (long long)writing / 1000);
    if (answering > HANGS_MS)
        return error_set(err, ERR_UNAVAILABLE, "one step of a webhook takes for %lld s",
                         (long long)answering / 1000);
    return true;
}

static bool alive(void *user, struct error *err)
{
    struct agent *agent = user;
    int64_t silent = mono_now().ms - agent->beat;
    if (silent > HANGS_MS && !agent->stopping)
        return error_set(err, ERR_UNAVAILABLE, "the main thread has not gone round for %lld s",
                         (long long)silent / 1000);
    return threads_go_on(agent, err);
}

static bool ready(void *user, struct error *err)
{
    struct agent *agent = user;
    if (agent->stopping)
        return error_set(err, ERR_UNAVAILABLE, "the agent is being stopped");
    if (!store_healthy(agent->store, err))
        return error_wrap(err, "store");
    for (size_t i = 0; i < agent->watch_count; i++) {
        if (kube_watch_failing(agent->watches[i].watch, err))
            return error_wrap(err, "kubernetes");
        if (!agent->watches[i].synced)
            return error_set(err, ERR_UNAVAILABLE, "kubernetes: services are being listed");
    }
    if (!agent->started)
        return error_set(err, ERR_UNAVAILABLE, "the workers have not begun yet");
    return pipeline_watching(agent->pipeline, err) || error_wrap(err, "kubernetes: builds");
}

static void measure_agent(void *user)
{
    struct agent *agent = user;
    size_t failing = 0;
    for (size_t i = 0; i < agent->watch_count; i++)
        failing += kube_watch_failing(agent->watches[i].watch, NULL);
    metric_set(METRIC_WATCHES_FAILING, "services", NULL, (double)failing);
    bool watching = !agent->started || pipeline_watching(agent->pipeline, NULL);
    metric_set(METRIC_WATCHES_FAILING, "builds", NULL, !watching);
    metric_set(METRIC_WATCHES_FAILING, "runs", NULL,
               (double)recorder_watches_failing(agent->recorder));
    measure(&agent->measured);
}

static void count_answer(const char *verb, int status)
{
    metric_count_status(METRIC_KUBE_REQUESTS, verb, status);
}

static void count_commit(int64_t us, size_t changes)
{
    metric_observe(METRIC_STORE_COMMIT, NULL, us);
    metric_add(METRIC_STORE_CHANGES, NULL, NULL, changes);
}

// Everything in it stays until the listeners that show it, the first to be stopped, have stopped.
static void prepare_observed(struct agent *agent)
{
    agent->observed =
        (struct observed){.alive = alive, .ready = ready, .measure = measure_agent, .user = agent};
    agent->measured.store = agent->store;
    agent->measured.pipeline = agent->pipeline;
    agent->measured.recorder = agent->recorder;
    agent->measured.children = agent->children;
    agent->measured.services = agent->services;
    agent->measured.started = recorder_since(agent->recorder);
}

static void set_address(struct server_options *options, const struct config_address *address)
{
    options->unix_path = address->unix_path;
    options->host = address->host;
    options->port = address->port;
}

static bool start_webhooks(struct agent *agent, const struct config *config, struct error *err)
{
    static const struct server_route *const tables[] = {intake_routes, NULL};
    struct server_options options = {
        .name = "webhooks",
        .model = SERVER_EVENTS,
        .fd = systemd_listener("webhooks"),
        .tables = tables,
        .refused = intake_refused,
        .user = agent->intake,
        .body_max = (size_t)config->webhooks.max_body,
        .in_flight_max = (size_t)config->webhooks.max_bytes_in_flight,
        .connections_max = (unsigned)config->webhooks.max_connections,
        .per_address_max = (unsigned)config->webhooks.max_connections_per_address,
        .request_ms = config->webhooks.request_timeout_ms,
        .answer_ms = config->webhooks.request_timeout_ms,
        .idle_ms = IDLE_MS,
    };
    set_address(&options, &config->webhooks.listen);
    if (!server_start(&options, &agent->webhooks, err))
        return false;
    measure_server(&agent->measured, options.name, agent->webhooks);
    return true;
}

static bool start_admin(struct agent *agent, const struct config *config, struct error *err)
{
    agent->admin = (struct admin){
        .settings = agent->settings,
        .store = agent->store,
        .kube = agent->kube,
        .services = agent->services,
        .logs = agent->logs,
        .intake = agent->intake,
        .events = agent->events,
        .pipeline = agent->pipeline,
        .recorder = agent->recorder,
        .attempts = attempts_create(),
        .sessions = sessions_create(),
        .changes = agent->changes,
        .context_keys = config_serves_contexts(config) ? &agent->context_keys : NULL,
        .webhooks_address = server_address(agent->webhooks),
        .observed = &agent->observed,
    };
    struct server_options options = {
        .name = "admin",
        .model = SERVER_THREADS,
        .fd = systemd_listener("admin"),
        .tables = admin_tables,
        .admit = admin_admit,
        .user = &agent->admin,
        .body_max = ADMIN_BODY_MAX,
        .in_flight_max = ADMIN_IN_FLIGHT_MAX,
        .connections_max = ADMIN_CONNECTIONS,
        .per_address_max = ADMIN_PER_ADDRESS,
        .request_ms = ADMIN_REQUEST_MS,
        .answer_ms = ADMIN_ANSWER_MS,
        .idle_ms = IDLE_MS,
    };
    set_address(&options, &config->admin.listen);
    if (!server_start(&options, &agent->admin_server, err))
        return false;
    measure_server(&agent->measured, options.name, agent->admin_server);
    return true;
}

// It answers while the others are drained.
static bool start_metrics(struct agent *agent, const struct config *config, struct error *err)
{
    const struct config_address *listen = &config->metrics.listen;
    static const struct server_route *const tables[] = {observe_routes, NULL};
    struct server_options options = {
        .name = "metrics",
        .model = SERVER_THREADS,
        .fd = systemd_listener("metrics"),
        .tables = tables,
        .user = &agent->observed,
        .body_max = METRICS_BODY_MAX,
        .in_flight_max = METRICS_CONNECTIONS * METRICS_BODY_MAX,
        .connections_max = METRICS_CONNECTIONS,
        .per_address_max = METRICS_PER_ADDRESS,
        .request_ms = METRICS_MS,
        .answer_ms = METRICS_MS,
        .idle_ms = IDLE_MS,
    };
    set_address(&options, listen);
    if (options.fd < 0 && !listen->host && !listen->unix_path)
        return true;
    if (!server_start(&options, &agent->metrics_server, err))
        return false;
    measure_server(&agent->measured, options.name, agent->metrics_server);
    return true;
}

static bool start_contexts(struct agent *agent, const struct config *config, struct error *err)
{
    if (!config_serves_contexts(config))
        return true;
    agent->contexts = (struct contexts){.settings = agent->settings,
                                        .keys = &agent->context_keys,
                                        .kube = agent->kube,
                                        .pipeline = agent->pipeline};
    if (!contexts_listen(&agent->contexts, &agent->context_server, err))
        return false;
    measure_server(&agent->measured, "context", agent->context_server);
    log_line(LOG_INFO, "serves build contexts", "address", server_address(agent->context_server),
             "as", config->context.address, NULL);
    return true;
}

// --- life ---

static bool services_known(void *user)
{
    return all_synced(user);
}

static void log_setup_by(const struct config *config)
{
    log_setup(config->log.level, config->log.format);
}

// Of signals, ended by 0: they are read from the descriptor only. -1 on failure.
static int take_over(const int signals[])
{
    sigset_t set;
    sigemptyset(&set);
    for (; *signals; signals++)
        sigaddset(&set, *signals);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static bool await(const struct agent *agent, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    return fd >= 0 && epoll_ctl(agent->events_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool open_events(struct agent *agent, struct error *err)
{
    // Blocked before any thread starts, so that only the main thread hears of them.
    static const int ends[] = {SIGTERM, SIGINT, 0}, reloads[] = {SIGHUP, 0};
    agent->signal_fd = take_over(ends);
    agent->reload_fd = take_over(reloads);
    signal(SIGPIPE, SIG_IGN);
    agent->synced_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    agent->events_fd = epoll_create1(EPOLL_CLOEXEC);
    if (agent->events_fd < 0 || !await(agent, agent->signal_fd) ||
        !await(agent, agent->reload_fd) || !await(agent, agent->synced_fd))
        return error_errno(err, ERR_IO, errno, "event descriptors");
    agent->ending = ending_watch(agent->signal_fd);
    return true;
}

// Connections, watches, followers and children each need descriptors; the usual soft limit of 1024
// is there for programs that use select(2).
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_line(LOG_WARNING, "the limit of open files cannot be raised", "error", strerror(errno),
                 NULL);
}

// A host leaves a place to other hosts, and a repository one to others on its host.
static struct children_bounds children_bounds(const struct config *config)
{
    int most = (int)config->git.max_concurrent;
    int per_host = (int)config->git.max_concurrent_per_host;
    if (per_host == 0)
        per_host = most > 1 ? most - 1 : 1;
    return (struct children_bounds){.most = most,
                                    .most_per_host = per_host,
                                    .most_per_repository = per_host > 1 ? per_host - 1 : 1};
}

static bool start_parts(struct agent *agent, const struct config *config, struct error *err)
{
    bool contexts = config_serves_contexts(config);
    if (contexts && !context_keys_load(config, &agent->context_keys, err))
        return false;
    agent->children = children_create(children_bounds(config));
    agent->events = events_create(agent->kube);
    agent->statuses = statuses_create(agent->settings, agent->store);
    struct pipeline_parts parts = {.settings = agent->settings,
                                   .store = agent->store,
                                   .kube = agent->kube,
                                   .loop = agent->loop,
                                   .services = agent->services,
                                   .logs = agent->logs,
                                   .children = agent->children,
                                   .statuses = agent->statuses,
                                   .context_keys = contexts ? &agent->context_keys : NULL,
                                   .events = agent->events,
                                   .services_known = services_known,
                                   .user = agent};
    struct recorder_parts recorder_parts = {.settings = agent->settings,
                                            .store = agent->store,
                                            .kube = agent->kube,
                                            .loop = agent->loop,
                                            .services = agent->services,
                                            .logs = agent->logs};
    if (!pipeline_create(&parts, &agent->pipeline, err) ||
        !recorder_create(&recorder_parts, &agent->recorder, err))
        return false;
    agent->intake = intake_create(&(struct intake_options){.settings = agent->settings,
                                                           .store = agent->store,
                                                           .follows = follows,
                                                           .wake = wake,
                                                           .user = agent});
    watch_services(agent, config);
    return true;
}

static bool start_listeners(struct agent *agent, const struct config *config, struct error *err)
{
    agent->beat = mono_now().ms;
    ending_is_drained(agent->ending);
    prepare_observed(agent);
    if (!start_webhooks(agent, config, err) || !start_admin(agent, config, err) ||
        !start_contexts(agent, config, err) || !start_metrics(agent, config, err))
        return false;
    log_line(LOG_INFO, "listening", "metrics",
             agent->metrics_server ? server_address(agent->metrics_server) : NULL, "webhooks",
             server_address(agent->webhooks), "admin", server_address(agent->admin_server), NULL);
    return true;
}

static bool start(struct agent *agent, struct error *err)
{
    CLEANUP(settings_drop_ptr) const struct config *config = settings_hold(agent->settings);
    log_setup_by(config);
    raise_descriptor_limit();
    agent->changes = changes_create();
    if (!open_events(agent, err) || !directory_make(config->state_directory, err) ||
        !store_open(config->state_directory, &agent->store, err) || !start_kubernetes(agent, err))
        return false;
    store_on_commit(agent->store, count_commit);
    store_on_change(agent->store, row_changed, agent->changes);
    store_bound_pending(agent->store, config->webhooks.max_pending);
    kube_client_on_answer(agent->kube, count_answer);
    return start_parts(agent, config, err) && start_listeners(agent, config, err);
}

// Webhooks first: nobody sends them again.
static void drain(struct agent *agent)
{
    struct server *const servers[] = {agent->webhooks, agent->admin_server};
    struct mono_time deadline = mono_after(DRAIN_MS);
    for (size_t i = 0; i < sizeof servers / sizeof *servers; i++) {
        int64_t left = mono_left(deadline);
        if (servers[i])
            server_drain(servers[i], left > DRAIN_LEAST_MS ? left : DRAIN_LEAST_MS);
    }
}

// In the order that leaves nobody with something that is gone. After a start that failed half-way
// the rest is NULL. Once the listeners are drained nobody waits for an answer from elsewhere.
static void stop(struct agent *agent)
{
    agent->stopping = true;
    ending_began(agent->ending);
    changes_end(agent->changes); // pages connect again, and hear from the successor
    drain(agent);
    http_stop();
    measure_no_servers(&agent->measured);
    server_stop(agent->metrics_server);
    server_stop(agent->admin_server);
    server_stop(agent->context_server); // pods ask again
    server_stop(agent->webhooks);       // whose connections the other two tell
    attempts_destroy(agent->admin.attempts);
    sessions_destroy(agent->admin.sessions);
    intake_destroy(agent->intake);
    for (size_t i = 0; i < agent->watch_count; i++)
        kube_watch_destroy(agent->watches[i].watch);
    recorder_destroy(agent->recorder);
    pipeline_destroy(agent->pipeline);
    statuses_destroy(agent->statuses);
    for (size_t i = 0; i < agent->watch_count; i++)
        free(agent->watches[i].namespace_);
    free(agent->watches);
    podlog_hub_destroy(agent->logs);
    http_loop_destroy(agent->loop);
    service_cache_destroy(agent->services);
    events_destroy(agent->events);
    kube_client_destroy(agent->kube);
    children_destroy(agent->children);
    context_keys_finish(&agent->context_keys);
    store_close(agent->store);
    changes_destroy(agent->changes);
    close_fd(&agent->events_fd);
    close_fd(&agent->synced_fd);
    ending_destroy(agent->ending);
    close_fd(&agent->reload_fd);
    close_fd(&agent->signal_fd);
}

// --- reload ---

static void log_kept(void *user, const char *key)
{
    (void)user;
    log_line(LOG_WARNING, "a setting has changed that needs a restart", "setting", key, NULL);
}

static void log_errors(const struct config_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++) {
        char place[32];
        snprintf(place, sizeof place, "%d:%d", errors->items[i].line, errors->items[i].column);
        log_line(LOG_ERROR, "an error in the settings", "place",
                 errors->items[i].line ? place : NULL, "error", errors->items[i].text, NULL);
    }
}

static void end_revoked_sessions(struct agent *agent, const struct config *config)
{
    char count[32];
    size_t ended = sessions_end_revoked(agent->admin.sessions, config);
    snprintf(count, sizeof count, "%zu", ended);
    if (ended)
        log_line(LOG_INFO, "sessions ended with their tokens", "count", count, NULL);
}

// What is under way goes on with the settings it has; what comes next has the new ones.
static void reload(struct agent *agent)
{
    CLEANUP(config_errors_finish) struct config_errors errors = {0};
    systemd_reloading();
    if (settings_reload(agent->settings, log_kept, agent, &errors)) {
        CLEANUP(settings_drop_ptr) const struct config *config = settings_hold(agent->settings);
        log_setup_by(config);
        end_revoked_sessions(agent, config);
        changes_all_services(agent->changes); // other problems may be in their rows
        if (agent->started)
            pipeline_settings_changed(agent->pipeline);
        log_line(LOG_INFO, "settings reloaded", NULL);
    } else {
        log_errors(&errors);
        log_line(LOG_ERROR, "settings not reloaded: those that were in force stay", NULL);
    }
    systemd_ready();
}

// Does what signals ask for. The one that asks to end; 0: none.
static uint32_t take_signals(struct agent *agent)
{
    struct signalfd_siginfo info;
    while (read(agent->reload_fd, &info, sizeof info) == sizeof info)
        reload(agent);
    return read(agent->signal_fd, &info, sizeof info) == sizeof info ? info.ssi_signo : 0;
}

static int64_t sweep_interval_ms(struct agent *agent)
{
    CLEANUP(settings_drop_ptr) const struct config *config = settings_hold(agent->settings);
    return config->sweep.interval_ms;
}

// --- running ---

static void start_pipeline(struct agent *agent)
{
    pipeline_start(agent->pipeline);
    agent->started = true;
    char count[32];
    snprintf(count, sizeof count, "%zu", service_cache_count(agent->services));
    log_line(LOG_INFO, "ready", "services", count, NULL);
    systemd_status("ready");
}

static void run(struct agent *agent)
{
    struct error why;
    int64_t watchdog = systemd_watchdog_ms();
    int64_t tick = watchdog && watchdog < TICK_MS ? watchdog : TICK_MS;
    struct mono_time swept = mono_now();
    for (;;) {
        int64_t rest = sweep_interval_ms(agent) - (mono_now().ms - swept.ms);
        if (!agent->started || rest > tick)
            rest = tick;
        children_run(agent->children, agent->events_fd, mono_after(rest > 0 ? rest : 0));
        agent->beat = mono_now().ms;
        uint64_t times;
        ssize_t got = read(agent->synced_fd, &times, sizeof times); // readable no more
        (void)got;
        if (!agent->started && enough_synced(agent)) {
            swept = mono_now();
            start_pipeline(agent); // sweeps
        }
        if (agent->started && mono_now().ms - swept.ms >= sweep_interval_ms(agent)) {
            swept = mono_now();
            pipeline_sweep(agent->pipeline);
        }
        recorder_tick(agent->recorder);
        if (threads_go_on(agent, &why))
            systemd_watchdog();
        uint32_t ending = take_signals(agent);
        if (ending) {
            log_line(LOG_INFO, "stopping", "signal", strsignal((int)ending), NULL);
            systemd_stopping();
            return;
        }
    }
}

static int serve(struct settings *settings)
{
    struct agent agent = {.settings = settings,
                          .measured.lock = PTHREAD_MUTEX_INITIALIZER,
                          .signal_fd = -1,
                          .reload_fd = -1,
                          .synced_fd = -1,
                          .events_fd = -1};
    struct error err = {0};
    http_setup();
    bool started = start(&agent, &err);
    if (started) {
        systemd_ready();
        run(&agent);
    } else {
        log_line(LOG_ERROR, "cannot start", "error", err.text, NULL);
    }
    stop(&agent);
    return started ? 0 : 1;
}

// The command line's table has checked the arguments and answered --help.
int agent_main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"check", no_argument, NULL, 'k'}, {0}};
    const char *path = CONFIG_PATH_DEFAULT;
    bool check = false;
    for (int option; (option = getopt_long(argc, argv, "c:", options, NULL)) != -1;) {
        if (option == 'c')
            path = optarg;
        else if (option == 'k')
            check = true;
        else
            return 2;
    }
    struct settings *settings;
    struct config_errors errors = {0};
    if (!settings_load(path, &settings, &errors)) {
        config_errors_print(&errors, path, stderr);
        config_errors_finish(&errors);
        return 1;
    }
    config_errors_finish(&errors);
    int status = 0;
    if (check)
        printf("%s: settings are good\n", path);
    else
        status = serve(settings);
    settings_destroy(settings);
    return status;
}
