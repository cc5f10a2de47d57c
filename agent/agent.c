// Starts, drains and stops the daemon. The main thread runs the children and waits for signals.
#include "agent/agent.h"
#include "agent/admin/admin.h"
#include "agent/admin/attempts.h"
#include "agent/admin/turns.h"
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/systemd.h"
#include "agent/intake.h"
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

#define CONFIG_PATH_DEFAULT "/etc/cronwright/cronwright.yaml"
#define DRAIN_MS            20000 // of all listeners; systemd's TimeoutStopSec= is longer
#define DRAIN_LEAST_MS      5000  // of those that are drained after others
#define HANGS_MS            30000 // no commit and no step of a webhook takes so long
#define TICK_MS             10000 // the main thread looks at its timers at least this often
#define PATIENCE_MS         10000 // with a namespace that cannot be listed, before the others begin
#define ADMIN_CONNECTIONS   64
#define ADMIN_PER_ADDRESS   48 // of them
#define ADMIN_BODY_MAX      ((size_t)1 << 20)
#define ADMIN_REQUEST_MS    30000
#define ADMIN_ANSWER_MS     60000
#define IDLE_MS             60000

static_assert(TURN_WAIT_MS + RUN_REPLACE_TIMEOUT_MS_DEFAULT + KUBE_TIMEOUT_MS_DEFAULT <
                  ADMIN_ANSWER_MS,
              "who waits for a run to be replaced hears how it ended");

// The watch of a namespace's services, or of all. What it has told outlives it.
struct services_watch {
    struct agent *agent;
    const char *namespace_; // NULL: all
    struct kube_watch *watch;
    atomic_bool synced; // told all services once
    atomic_bool failed; // since the start
};

struct agent {
    struct config config;
    struct store *store;
    struct kube_client *kube;
    struct http_loop *loop;
    struct service_cache *services;
    struct services_watch *watches; // one for each namespace, or one for all
    size_t watch_count;
    struct mono_time patience; // until then all watches are waited for
    struct podlog_hub *logs;
    struct children *children;
    struct pipeline *pipeline;
    struct recorder *recorder;
    struct intake *intake;
    struct server *webhooks;
    struct admin admin;
    struct server *admin_server;
    int signal_fd;
    int synced_fd; // written when a watch has synced
    int events_fd; // epoll over both
    bool started;  // the pipeline works
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
}

static bool start_kubernetes(struct agent *agent, struct error *err)
{
    const struct config *config = &agent->config;
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

static void watch_services(struct agent *agent)
{
    static const struct kube_watch_events events = {service_item, service_synced, service_failed};
    const struct config_texts *namespaces = &agent->config.kubernetes.namespaces;
    agent->watch_count = namespaces->count ? namespaces->count : 1;
    agent->watches = xalloc(agent->watch_count * sizeof *agent->watches);
    agent->patience = mono_after(PATIENCE_MS);
    for (size_t i = 0; i < agent->watch_count; i++) {
        struct services_watch *watch = &agent->watches[i];
        watch->agent = agent;
        watch->namespace_ = namespaces->count ? namespaces->items[i] : NULL;
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

static bool ready(void *user, struct error *err)
{
    struct agent *agent = user;
    if (!store_healthy(agent->store, err))
        return error_wrap(err, "store");
    for (size_t i = 0; i < agent->watch_count; i++) {
        if (kube_watch_failing(agent->watches[i].watch, err))
            return error_wrap(err, "kubernetes");
        if (!agent->watches[i].synced)
            return error_set(err, ERR_UNAVAILABLE, "kubernetes: services are being listed");
    }
    return true;
}

static void set_address(struct server_options *options, const struct config_address *address)
{
    options->unix_path = address->unix_path;
    options->host = address->host;
    options->port = address->port;
}

static bool start_webhooks(struct agent *agent, struct error *err)
{
    const struct config *config = &agent->config;
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
    return server_start(&options, &agent->webhooks, err);
}

static bool start_admin(struct agent *agent, struct error *err)
{
    agent->admin = (struct admin){
        .config = &agent->config,
        .store = agent->store,
        .kube = agent->kube,
        .services = agent->services,
        .logs = agent->logs,
        .intake = agent->intake,
        .pipeline = agent->pipeline,
        .recorder = agent->recorder,
        .attempts = attempts_create(),
        .webhooks_address = server_address(agent->webhooks),
        .ready = ready,
        .ready_user = agent,
    };
    struct server_options options = {
        .name = "admin",
        .model = SERVER_THREADS,
        .fd = systemd_listener("admin"),
        .tables = admin_tables,
        .admit = admin_admit,
        .user = &agent->admin,
        .body_max = ADMIN_BODY_MAX,
        .in_flight_max = ADMIN_CONNECTIONS * ADMIN_BODY_MAX,
        .connections_max = ADMIN_CONNECTIONS,
        .per_address_max = ADMIN_PER_ADDRESS,
        .request_ms = ADMIN_REQUEST_MS,
        .answer_ms = ADMIN_ANSWER_MS,
        .idle_ms = IDLE_MS,
    };
    set_address(&options, &agent->config.admin.listen);
    return server_start(&options, &agent->admin_server, err);
}

// --- life ---

static bool services_known(void *user)
{
    return all_synced(user);
}

static bool open_events(struct agent *agent, struct error *err)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    // Blocked before any thread starts, so that only the main thread hears of them.
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    agent->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    agent->synced_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    agent->events_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    if (agent->signal_fd < 0 || agent->synced_fd < 0 || agent->events_fd < 0 ||
        epoll_ctl(agent->events_fd, EPOLL_CTL_ADD, agent->signal_fd, &event) != 0 ||
        epoll_ctl(agent->events_fd, EPOLL_CTL_ADD, agent->synced_fd, &event) != 0)
        return error_errno(err, ERR_IO, errno, "event descriptors");
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

static bool start(struct agent *agent, struct error *err)
{
    const struct config *config = &agent->config;
    raise_descriptor_limit();
    if (!open_events(agent, err) || !directory_make(config->state_directory, err) ||
        !store_open(config->state_directory, &agent->store, err) || !start_kubernetes(agent, err))
        return false;
    agent->children = children_create((int)config->git.max_concurrent);
    struct pipeline_parts parts = {.config = config,
                                   .store = agent->store,
                                   .kube = agent->kube,
                                   .loop = agent->loop,
                                   .services = agent->services,
                                   .logs = agent->logs,
                                   .children = agent->children,
                                   .services_known = services_known,
                                   .user = agent};
    struct recorder_parts recorder_parts = {.config = config,
                                            .store = agent->store,
                                            .kube = agent->kube,
                                            .loop = agent->loop,
                                            .services = agent->services,
                                            .logs = agent->logs};
    if (!pipeline_create(&parts, &agent->pipeline, err) ||
        !recorder_create(&recorder_parts, &agent->recorder, err) ||
        !intake_create(&(struct intake_options){.config = config,
                                                .store = agent->store,
                                                .follows = follows,
                                                .wake = wake,
                                                .user = agent},
                       &agent->intake, err))
        return false;
    watch_services(agent);
    if (!start_webhooks(agent, err) || !start_admin(agent, err))
        return false;
    log_line(LOG_INFO, "listening", "webhooks", server_address(agent->webhooks), "admin",
             server_address(agent->admin_server), NULL);
    return true;
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
// the rest is NULL.
static void stop(struct agent *agent)
{
    drain(agent);
    server_stop(agent->webhooks);
    server_stop(agent->admin_server);
    attempts_destroy(agent->admin.attempts);
    intake_destroy(agent->intake);
    for (size_t i = 0; i < agent->watch_count; i++)
        kube_watch_destroy(agent->watches[i].watch);
    recorder_destroy(agent->recorder);
    pipeline_destroy(agent->pipeline);
    free(agent->watches);
    podlog_hub_destroy(agent->logs);
    http_loop_destroy(agent->loop);
    service_cache_destroy(agent->services);
    kube_client_destroy(agent->kube);
    children_destroy(agent->children);
    store_close(agent->store);
    close_fd(&agent->events_fd);
    close_fd(&agent->synced_fd);
    close_fd(&agent->signal_fd);
}

// The signal that asks to end; 0: none.
static uint32_t ending_signal(struct agent *agent)
{
    struct signalfd_siginfo info;
    return read(agent->signal_fd, &info, sizeof info) == sizeof info ? info.ssi_signo : 0;
}

static void start_pipeline(struct agent *agent)
{
    pipeline_start(agent->pipeline);
    agent->started = true;
    char count[32];
    snprintf(count, sizeof count, "%zu", service_cache_count(agent->services));
    log_line(LOG_INFO, "ready", "services", count, NULL);
    systemd_status("ready");
}

// What hangs is helped by a new start alone, for which systemd's watchdog is there.
static bool goes_on(struct agent *agent)
{
    return store_busy_ms(agent->store) < HANGS_MS && server_busy_ms(agent->webhooks) < HANGS_MS;
}

static void run(struct agent *agent)
{
    int64_t watchdog = systemd_watchdog_ms();
    int64_t tick = watchdog && watchdog < TICK_MS ? watchdog : TICK_MS;
    struct mono_time sweep = mono_after(agent->config.sweep.interval_ms);
    for (;;) {
        children_run(agent->children, agent->events_fd, mono_after(tick));
        uint64_t times;
        ssize_t got = read(agent->synced_fd, &times, sizeof times); // readable no more
        (void)got;
        if (!agent->started && enough_synced(agent))
            start_pipeline(agent);
        if (agent->started && mono_past(sweep)) {
            pipeline_sweep(agent->pipeline);
            sweep = mono_after(agent->config.sweep.interval_ms);
        }
        recorder_tick(agent->recorder);
        if (goes_on(agent))
            systemd_watchdog();
        uint32_t ending = ending_signal(agent);
        if (ending) {
            log_line(LOG_INFO, "stopping", "signal", strsignal((int)ending), NULL);
            systemd_stopping();
            return;
        }
    }
}

static int serve(struct config *config)
{
    struct agent agent = {.config = *config, .signal_fd = -1, .synced_fd = -1, .events_fd = -1};
    struct error err = {0};
    log_setup(config->log.level, config->log.format);
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
    struct config config = {0};
    struct config_errors errors = {0};
    if (!config_load(path, &config, &errors)) {
        config_errors_print(&errors, path, stderr);
        config_errors_finish(&errors);
        return 1;
    }
    config_errors_finish(&errors);
    int status = 0;
    if (check)
        printf("%s: settings are good\n", path);
    else
        status = serve(&config);
    config_finish(&config);
    return status;
}
