// The table of metrics, counting from many threads, and Prometheus' text.
#include "agent/metrics_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct buffer text;

static const char *written(void)
{
    struct error err = {0};
    buffer_finish(&text);
    if (!metrics_write(&text, &err))
        fail_msg("%s", err.text);
    return buffer_text(&text);
}

// Of the line that begins so; 0: there is none.
static uint64_t value(const char *series)
{
    CLEANUP(free_ptr) char *start = xasprintf("\n%s ", series);
    const char *line = strstr(written(), start);
    return line ? strtoull(line + strlen(start), NULL, 10) : 0;
}

static int forget(void **state)
{
    (void)state;
    buffer_finish(&text);
    return 0;
}

static size_t values(const struct metric_label *label)
{
    return label->name ? label->size : 1;
}

static void test_each_row_has_room(void **state)
{
    (void)state;
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        const struct metric_row *row = &metric_rows[i];
        size_t width = 1;
        if (!row->name)
            fail_msg("metric %zu has no row", i);
        for (size_t k = 0; row->type == METRIC_HISTOGRAM && row->buckets[k]; k++)
            width = k + 3;
        assert_int_equal(row->cell_count,
                         values(&row->labels[0]) * values(&row->labels[1]) * width);
        assert_true(row->type == METRIC_COUNTER || (!row->labels[0].open && !row->labels[1].open));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(row->name, metric_rows[j].name);
    }
}

static void test_what_is_known_is_shown_before(void **state)
{
    (void)state;
    const char *all = written();
    assert_non_null(strstr(all, "# TYPE cronwright_deliveries_total counter\n"));
    assert_non_null(
        strstr(all, "\ncronwright_deliveries_total{forge=\"github\",reason=\"accepted\"} 0\n"));
    assert_non_null(
        strstr(all, "\ncronwright_webhooks_refused_total{forge=\"bitbucket\",status=\"401\"} 0\n"));
    assert_non_null(strstr(all, "\ncronwright_store_changes_total 0\n"));
    assert_non_null(strstr(all, "\ncronwright_patches_total{result=\"failed\"} 0\n"));
    assert_null(strstr(all, "forge=\"gitlab\",reason=\"other\""));
}

static void test_counting(void **state)
{
    (void)state;
    metric_count(METRIC_BUILDS, "failed", "build-failed");
    metric_add(METRIC_BUILDS, "failed", "met-for-the-first-time", 41);
    metric_count(METRIC_BUILDS, "failed", "met-for-the-first-time");
    metric_count_status(METRIC_KUBE_REQUESTS, "watch", 410);
    metric_count_status(METRIC_KUBE_REQUESTS, "proxy", 0);
    metric_set(METRIC_SWEEP_AGE, NULL, NULL, 1.25);
    const char *all = written();
    assert_non_null(strstr(all, "{result=\"failed\",reason=\"build-failed\"} 1\n"));
    assert_non_null(strstr(all, "{result=\"failed\",reason=\"met-for-the-first-time\"} 42\n"));
    assert_non_null(strstr(all, "{verb=\"watch\",code=\"410\"} 1\n"));
    assert_non_null(strstr(all, "{verb=\"other\",code=\"none\"} 1\n"));
    assert_non_null(strstr(all, "\ncronwright_sweep_age_seconds 1.25\n"));
}

static void test_words_are_bounded(void **state)
{
    (void)state;
    char word[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(word, sizeof word, "reason-%d", i);
        metric_count(METRIC_DELIVERIES, "github", word);
    }
    metric_count(METRIC_DELIVERIES, "a \"quoted\"\nname", "accepted");
    const char *all = written();
    size_t shown = 0;
    for (const char *at = all; (at = strstr(at, "reason=\"reason-")); at++)
        shown++;
    assert_in_range(shown, 1, METRIC_WORDS_MAX - 1);
    assert_non_null(strstr(all, "{forge=\"other\",reason=\"accepted\"} 1\n"));
    assert_null(strstr(all, "quoted"));
    assert_int_equal(value("cronwright_deliveries_total{forge=\"github\",reason=\"other\"}"),
                     1000 - shown);
}

static void test_histogram(void **state)
{
    (void)state;
    metric_observe(METRIC_BUILD_STEP, "fetch", 100000);  // on a bound: in its bucket
    metric_observe(METRIC_BUILD_STEP, "fetch", 1500000); //
    metric_observe(METRIC_BUILD_STEP, "fetch", INT64_C(7200000000));
    metric_observe(METRIC_BUILD_STEP, "fetch", -1000); // not known
    const char *all = written();
    const char *const lines[] = {"_bucket{step=\"fetch\",le=\"0.1\"} 1\n",
                                 "_bucket{step=\"fetch\",le=\"1\"} 1\n",
                                 "_bucket{step=\"fetch\",le=\"2\"} 2\n",
                                 "_bucket{step=\"fetch\",le=\"1200\"} 2\n",
                                 "_bucket{step=\"fetch\",le=\"+Inf\"} 3\n",
                                 "_sum{step=\"fetch\"} 7201.6\n",
                                 "_count{step=\"fetch\"} 3\n",
                                 "_count{step=\"patch\"} 0\n",
                                 "_commit_duration_seconds_bucket{le=\"0.0005\"} 0\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (!strstr(all, lines[i]))
            fail_msg("no %s", lines[i]);
}

enum { THREADS = 4, ROUNDS = 20000 };

static void *count_often(void *arg)
{
    (void)arg;
    char word[16];
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(word, sizeof word, "%d", 500 + i % 8);
        metric_count(METRIC_HTTP_REQUESTS, "context", word);
    }
    return NULL;
}

static void test_threads_lose_nothing(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_often, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    uint64_t sum = 0;
    for (int i = 0; i < 8; i++) {
        char series[96];
        snprintf(series, sizeof series,
                 "cronwright_http_requests_total{listener=\"context\",status=\"%d\"}", 500 + i);
        sum += value(series);
    }
    assert_int_equal(sum, THREADS * ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_row_has_room),
        cmocka_unit_test(test_what_is_known_is_shown_before),
        cmocka_unit_test(test_counting),
        cmocka_unit_test(test_words_are_bounded),
        cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_threads_lose_nothing),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, forget);
}
