// Logs of real containers, through cut connections and restarts: no line lost, none repeated.
#include "tests/cluster-api/cluster.h"

#include "deploy/kube/podlog.h"

#include <fcntl.h>
#include <sys/stat.h>

#define TEXT_MAX ((size_t)8 << 20)

static void start_pod(const char *name, const char *image, const char *script)
{
    json_decref(cluster_create(
        &KUBE_PODS, cluster.namespace_,
        json_pack("{s:s, s:s, s:{s:s}, s:{s:s, s:i, s:[{s:s, s:s, s:s, s:[s,s,s,s]}]}}",
                  "apiVersion", "v1", "kind", "Pod", "metadata", "name", name, "spec",
                  "restartPolicy", "Never", "terminationGracePeriodSeconds", 1, "containers",
                  "name", "main", "imagePullPolicy", "IfNotPresent", "image", image, "command",
                  "/bin/busybox", "sh", "-c", script)));
}

static void path_of(const char *pod, char out[static 128])
{
    snprintf(out, 128, "%s/%s.log", cluster.directory, pod);
}

static void follow(struct podlog_hub *hub, const char *pod, uint64_t max_bytes)
{
    char path[128];
    path_of(pod, path);
    struct podlog_source source = {.namespace_ = cluster.namespace_,
                                   .pod = pod,
                                   .container = "main",
                                   .path = path,
                                   .max_bytes = max_bytes};
    assert_ok(podlog_follow(hub, &source, &err));
}

static struct podlog_reader *reader_of(struct podlog_hub *hub, const char *pod, uint64_t offset)
{
    char path[128];
    struct podlog_reader *reader = NULL;
    path_of(pod, path);
    assert_ok(podlog_reader_open(hub, path, offset, false, &reader, &err));
    return reader;
}

// Appends what comes until `wanted` bytes are there, or the end.
static struct podlog_end read_until(struct podlog_reader *reader, struct buffer *text,
                                    size_t wanted)
{
    char chunk[4096];
    size_t len;
    struct podlog_end end = {.state = PODLOG_FOLLOWING};
    do {
        assert_ok(podlog_read(reader, mono_after(CLUSTER_TIMEOUT_MS), chunk, sizeof chunk, &len,
                              &end, &err));
        assert_ok(buffer_append(text, chunk, len, &err));
    } while (len > 0 && text->len < wanted);
    return end;
}

// "1\n2\n…", and nothing else.
static void assert_numbers(const struct buffer *text, int count)
{
    const char *at = buffer_text(text);
    for (int i = 1; i <= count; i++) {
        char line[16];
        int len = snprintf(line, sizeof line, "%d\n", i);
        if (strncmp(at, line, (size_t)len) != 0)
            fail_msg("after %d lines: %.40s", i - 1, at);
        at += len;
    }
    assert_string_equal(at, "");
}

// Prints 1 … count, with a pause after each `burst`.
static void start_counting(const char *name, int count, int burst)
{
    char script[256];
    snprintf(script, sizeof script,
             "i=0; while [ $i -lt %d ]; do i=$((i+1)); echo $i; "
             "[ $((i %% %d)) = 0 ] && sleep 0.1; done; exit 0",
             count, burst);
    start_pod(name, cluster.busybox, script);
}

static void delete_pod(const char *name)
{
    assert_ok(kube_delete(cluster.client, &KUBE_PODS, cluster.namespace_, name, NULL,
                          KUBE_BACKGROUND, &err));
}

static void log_is_followed_from_before_its_start(void **state)
{
    (void)state;
    struct podlog_hub *hub = podlog_hub_create(cluster.client, cluster.loop);
    CLEANUP(buffer_finish) struct buffer text = {.cap = TEXT_MAX};
    start_counting("counting", 60, 10);
    follow(hub, "counting", 0);
    CLEANUP(podlog_reader_ptr) struct podlog_reader *reader = reader_of(hub, "counting", 0);
    struct podlog_end end = read_until(reader, &text, TEXT_MAX);
    assert_int_equal(end.state, PODLOG_COMPLETE);
    assert_string_equal(end.why, "");
    assert_numbers(&text, 60);
    // All is in the file now, without the cluster; and following it again does nothing.
    delete_pod("counting");
    follow(hub, "counting", 0);
    CLEANUP(podlog_reader_ptr) struct podlog_reader *later = reader_of(hub, "counting", 4);
    CLEANUP(buffer_finish) struct buffer rest = {.cap = TEXT_MAX};
    end = read_until(later, &rest, TEXT_MAX);
    assert_int_equal(end.state, PODLOG_COMPLETE);
    assert_string_equal(rest.data, text.data + 4);
    podlog_hub_destroy(hub);
}

static void cut_connections_lose_and_repeat_nothing(void **state)
{
    (void)state;
    enum { LINES = 6000 };
    struct podlog_hub *hub = podlog_hub_create(cluster.client, cluster.loop);
    CLEANUP(buffer_finish) struct buffer text = {.cap = TEXT_MAX};
    start_counting("cut", LINES, 100); // about 6 s
    follow(hub, "cut", 0);
    CLEANUP(podlog_reader_ptr) struct podlog_reader *reader = reader_of(hub, "cut", 0);
    struct podlog_end end = {.state = PODLOG_FOLLOWING};
    int cuts = 0;
    for (size_t seen = 1; end.state == PODLOG_FOLLOWING; seen = text.len + 4000) {
        end = read_until(reader, &text, seen);
        cuts += relay_cut() > 0 && end.state == PODLOG_FOLLOWING;
    }
    assert_int_equal(end.state, PODLOG_COMPLETE);
    assert_numbers(&text, LINES);
    assert_true(cuts >= 3);
    podlog_hub_destroy(hub);
    delete_pod("cut");
}

static void restarted_agent_goes_on(void **state)
{
    (void)state;
    enum { LINES = 4000 };
    char path[128];
    CLEANUP(buffer_finish) struct buffer text = {.cap = TEXT_MAX};
    start_counting("restart", LINES, 100);
    path_of("restart", path);
    for (size_t seen = 1; seen < 12000; seen += 4000) {
        struct podlog_hub *hub = podlog_hub_create(cluster.client, cluster.loop);
        CLEANUP(buffer_finish) struct buffer part = {.cap = TEXT_MAX};
        follow(hub, "restart", 0);
        CLEANUP(podlog_reader_ptr) struct podlog_reader *reader = reader_of(hub, "restart", 0);
        assert_int_equal(read_until(reader, &part, seen).state, PODLOG_FOLLOWING);
        podlog_hub_destroy(hub);
        // As a crash leaves it: the start of a line at the end.
        int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
        assert_int_equal(write(fd, "2026-11-24T08", 13), 13);
        close(fd);
    }
    struct podlog_hub *hub = podlog_hub_create(cluster.client, cluster.loop);
    follow(hub, "restart", 0);
    CLEANUP(podlog_reader_ptr) struct podlog_reader *reader = reader_of(hub, "restart", 0);
    assert_int_equal(read_until(reader, &text, TEXT_MAX).state, PODLOG_COMPLETE);
    assert_numbers(&text, LINES);
    podlog_hub_destroy(hub);
    delete_pod("restart");
}

static void odd_lines_come_through(void **state)
{
    (void)state;
    enum { LONG = 100000, OVERLONG = 400000 };
    struct podlog_hub *hub = podlog_hub_create(cluster.client, cluster.loop);
    CLEANUP(buffer_finish) struct buffer text = {.cap = TEXT_MAX};
    char script[300];
    // An empty line, one in pieces for the container runtime, one beyond the cap, one without
    // newline.
    snprintf(script, sizeof script,
             "echo; echo '= complete'; "
             "head -c %d /dev/zero | tr '\\0' a; echo; "
             "head -c %d /dev/zero | tr '\\0' b; echo; "
             "printf 'no newline'",
             LONG, OVERLONG);
    start_pod("odd", cluster.busybox, script);
    follow(hub, "odd", 0);
    CLEANUP(podlog_reader_ptr) struct podlog_reader *reader = reader_of(hub, "odd", 0);
    assert_int_equal(read_until(reader, &text, TEXT_MAX).state, PODLOG_COMPLETE);
    const char *at = text.data;
    assert_true(strncmp(at, "\n= complete\n", 12) == 0);
    at += 12;
    assert_int_equal(strspn(at, "a"), LONG);
    at += LONG + 1;
    size_t kept = strspn(at, "b");
    assert_true(kept > PODLOG_LINE_MAX - 100 && kept < PODLOG_LINE_MAX);
    at += kept;
    assert_string_equal(at, " [line cut]\nno newline\n");
    podlog_hub_destroy(hub);
    delete_pod("odd");
}

static void long_log_is_truncated(void **state)
{
    (void)state;
    struct podlog_hub *hub = podlog_hub_create(cluster.client, cluster.loop);
    CLEANUP(buffer_finish) struct buffer text = {.cap = TEXT_MAX};
    struct stat stat_;
    char path[128];
    start_counting("long", 2000, 2000);
    follow(hub, "long", 20000);
    CLEANUP(podlog_reader_ptr) struct podlog_reader *reader = reader_of(hub, "long", 0);
    struct podlog_end end = read_until(reader, &text, TEXT_MAX);
    assert_int_equal(end.state, PODLOG_TRUNCATED);
    assert_true(*end.why);
    assert_true(strncmp(text.data, "1\n2\n3\n", 6) == 0);
    assert_true(text.data[text.len - 1] == '\n');
    path_of("long", path);
    assert_int_equal(stat(path, &stat_), 0);
    assert_true(stat_.st_size > 15000 && stat_.st_size <= 20000);
    podlog_hub_destroy(hub);
    delete_pod("long");
}

static void many_readers_share_one_follower(void **state)
{
    (void)state;
    enum { READERS = 20, LINES = 500 };
    struct podlog_hub *hub = podlog_hub_create(cluster.client, cluster.loop);
    struct podlog_reader *readers[READERS];
    struct buffer texts[READERS] = {{0}};
    start_counting("shared", LINES, 100);
    for (int i = 0; i < READERS; i++) {
        follow(hub, "shared", 0);
        readers[i] = reader_of(hub, "shared", 0);
    }
    // The last one is read first: none of them holds up another.
    for (int i = READERS; i-- > 0;) {
        assert_int_equal(read_until(readers[i], &texts[i], TEXT_MAX).state, PODLOG_COMPLETE);
        assert_numbers(&texts[i], LINES);
        podlog_reader_close(readers[i]);
        buffer_finish(&texts[i]);
    }
    podlog_hub_destroy(hub);
    delete_pod("shared");
}

static void deleted_pod_that_never_started_is_lost(void **state)
{
    (void)state;
    struct podlog_hub *hub = podlog_hub_create(cluster.client, cluster.loop);
    CLEANUP(free_ptr) char *missing = xasprintf("%s-missing", cluster.busybox);
    char byte;
    size_t len;
    struct podlog_end end;
    start_pod("missing", missing, "true");
    follow(hub, "missing", 0);
    CLEANUP(podlog_reader_ptr) struct podlog_reader *reader = reader_of(hub, "missing", 0);
    assert_fails(podlog_read(reader, mono_after(300), &byte, 1, &len, &end, &err), ERR_TIMEOUT);
    delete_pod("missing");
    assert_ok(podlog_read(reader, mono_after(CLUSTER_TIMEOUT_MS), &byte, 1, &len, &end, &err));
    assert_int_equal(len, 0);
    assert_int_equal(end.state, PODLOG_LOST);
    assert_true(*end.why);
    podlog_hub_destroy(hub);
}

static void killed_pod_keeps_its_last_lines(void **state)
{
    (void)state;
    struct podlog_hub *hub = podlog_hub_create(cluster.client, cluster.loop);
    CLEANUP(buffer_finish) struct buffer text = {.cap = TEXT_MAX};
    start_pod("killed", cluster.busybox,
              "trap 'echo last words; exit 1' TERM; echo ready; while :; do sleep 0.1; done");
    follow(hub, "killed", 0);
    CLEANUP(podlog_reader_ptr) struct podlog_reader *reader = reader_of(hub, "killed", 0);
    read_until(reader, &text, strlen("ready\n"));
    assert_string_equal(text.data, "ready\n");
    delete_pod("killed");
    assert_int_equal(read_until(reader, &text, TEXT_MAX).state, PODLOG_COMPLETE);
    assert_string_equal(text.data, "ready\nlast words\n");
    podlog_hub_destroy(hub);
}

static void *read_cancelled(void *user)
{
    char byte;
    size_t len;
    struct podlog_end end;
    struct error err = {.code = ERR_NONE};
    if (podlog_read(user, mono_after(CLUSTER_TIMEOUT_MS), &byte, 1, &len, &end, &err))
        return NULL;
    return (void *)(uintptr_t)err.code;
}

static void readers_are_woken_by_the_end(void **state)
{
    (void)state;
    pthread_t thread;
    void *code;
    start_pod("silent", cluster.busybox, "sleep 100");
    struct podlog_hub *hub = podlog_hub_create(cluster.client, cluster.loop);
    follow(hub, "silent", 0);
    struct podlog_reader *reader = reader_of(hub, "silent", 0);
    pthread_create(&thread, NULL, read_cancelled, reader);
    podlog_hub_destroy(hub);
    pthread_join(thread, &code);
    assert_int_equal((uintptr_t)code, ERR_CANCELLED);
    podlog_reader_close(reader);
    delete_pod("silent");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_is_followed_from_before_its_start),
        cmocka_unit_test(cut_connections_lose_and_repeat_nothing),
        cmocka_unit_test(restarted_agent_goes_on),
        cmocka_unit_test(odd_lines_come_through),
        cmocka_unit_test(long_log_is_truncated),
        cmocka_unit_test(many_readers_share_one_follower),
        cmocka_unit_test(deleted_pod_that_never_started_is_lost),
        cmocka_unit_test(killed_pod_keeps_its_last_lines),
        cmocka_unit_test(readers_are_woken_by_the_end),
    };
    return cluster_run(tests);
}
