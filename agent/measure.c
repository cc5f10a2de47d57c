#include "agent/measure.h"
#include "agent/base/log.h"
#include "agent/metrics.h"

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MS_PER_S 1e3

static double seconds(int64_t ms)
{
    return (double)ms / MS_PER_S;
}

static void measure_queue(const char *name, const struct work_queue_figures *figures)
{
    metric_set(METRIC_QUEUE_DEPTH, name, "ready", (double)figures->ready);
    metric_set(METRIC_QUEUE_DEPTH, name, "delayed", (double)figures->delayed);
    metric_set(METRIC_QUEUE_DEPTH, name, "running", (double)figures->running);
    metric_set(METRIC_QUEUE_OLDEST, name, NULL, seconds(figures->oldest_ms));
}

static void measure_store(struct store *store)
{
    struct store_figures figures;
    struct error err;
    if (!store_figures(store, &figures, &err)) {
        log_line(LOG_WARNING, "the store cannot be measured", "error", err.text, NULL);
        return;
    }
    int64_t age = figures.pending ? wall_now().ms - figures.oldest.ms : 0;
    metric_set(METRIC_DELIVERIES_PENDING, NULL, NULL, (double)figures.pending);
    metric_set(METRIC_DELIVERIES_OLDEST, NULL, NULL, seconds(age > 0 ? age : 0));
    metric_set(METRIC_BUILDS_OPEN, "waiting", NULL, (double)figures.builds_waiting);
    metric_set(METRIC_BUILDS_OPEN, "under-way", NULL, (double)figures.builds_under_way);
    metric_set(METRIC_STORE_QUEUE, NULL, NULL, (double)figures.queued);
}

static int64_t count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int64_t count = -3; // itself, and the two dots
    while (directory && readdir(directory))
        count++;
    if (directory)
        closedir(directory);
    return count > 0 ? count : 0;
}

static int64_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long long pages = 0;
    if (!file)
        return 0;
    if (fscanf(file, "%*d %lld", &pages) != 1)
        pages = 0;
    (void)fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static double heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return (double)(info.uordblks + info.hblkhd);
}

static void measure_process(struct wall_time started)
{
    struct timespec used = {0};
    struct rlimit limit = {0};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    getrlimit(RLIMIT_NOFILE, &limit);
    metric_set(METRIC_PROCESS_CPU, NULL, NULL, (double)used.tv_sec + (double)used.tv_nsec / 1e9);
    metric_set(METRIC_PROCESS_RESIDENT, NULL, NULL, (double)resident_bytes());
    metric_set(METRIC_HEAP, NULL, NULL, heap_bytes());
    metric_set(METRIC_PROCESS_FDS, NULL, NULL, (double)count_descriptors());
    metric_set(METRIC_PROCESS_FDS_MAX, NULL, NULL, (double)limit.rlim_cur);
    metric_set(METRIC_PROCESS_START, NULL, NULL, seconds(started.ms));
    metric_set(METRIC_BUILD_INFO, CRONWRIGHT_VERSION, NULL, 1);
}

void measure_server(struct measured *measured, const char *listener, struct server *server)
{
    pthread_mutex_lock(&measured->lock);
    if (measured->server_count == MEASURED_SERVERS_MAX)
        abort();
    measured->servers[measured->server_count].listener = listener;
    measured->servers[measured->server_count++].server = server;
    pthread_mutex_unlock(&measured->lock);
}

void measure_no_servers(struct measured *measured)
{
    pthread_mutex_lock(&measured->lock);
    measured->server_count = 0;
    pthread_mutex_unlock(&measured->lock);
}

static void measure_servers(struct measured *measured)
{
    pthread_mutex_lock(&measured->lock);
    for (size_t i = 0; i < measured->server_count; i++)
        metric_set(METRIC_HTTP_CONNECTIONS, measured->servers[i].listener, NULL,
                   (double)server_connections(measured->servers[i].server));
    pthread_mutex_unlock(&measured->lock);
}

void measure(struct measured *measured)
{
    struct work_queue_figures figures;
    pipeline_queue(measured->pipeline, &figures);
    measure_queue("pipeline", &figures);
    recorder_queue(measured->recorder, &figures);
    measure_queue("recorder", &figures);
    measure_store(measured->store);
    measure_servers(measured);
    size_t running, waiting;
    children_count(measured->children, &running, &waiting);
    metric_set(METRIC_CHILDREN, "running", NULL, (double)running);
    metric_set(METRIC_CHILDREN, "waiting", NULL, (double)waiting);
    metric_set(METRIC_SWEEP_AGE, NULL, NULL, seconds(pipeline_sweep_age_ms(measured->pipeline)));
    char oldest[PIPELINE_KEY_SIZE];
    metric_set(METRIC_OLDEST_CHECK, NULL, NULL,
               seconds(pipeline_oldest_check(measured->pipeline, oldest, sizeof oldest)));
    metric_set(METRIC_SERVICES, NULL, NULL, (double)service_cache_count(measured->services));
    metric_set(METRIC_RUN_LOG_BYTES, NULL, NULL, (double)recorder_log_bytes(measured->recorder));
    measure_process(measured->started);
}
