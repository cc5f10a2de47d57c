// Between the table of metrics and what counts and writes them.
#ifndef CRONWRIGHT_METRICS_TABLE_H
#define CRONWRIGHT_METRICS_TABLE_H

#include "agent/metrics.h"

#include <pthread.h>
#include <stdatomic.h>

#define METRIC_LABELS_MAX 2
#define METRIC_WORDS_MAX  48 // different values of one open label, "other" among them

enum metric_type {
    METRIC_COUNTER,   // counted here
    METRIC_TOTAL,     // a counter that is set to what somebody else counts
    METRIC_GAUGE,     //
    METRIC_HISTOGRAM, // of durations
};

// Words met so far, in that order; they stay for good.
struct metric_words {
    pthread_mutex_t lock; // held to add one
    _Atomic(const char *) items[METRIC_WORDS_MAX];
};

// Either `words`, all there are, or `open`, which learns them.
struct metric_label {
    const char *name;         // NULL: no such label
    const char *const *words; // ended by NULL
    struct metric_words *open;
    size_t size; // values it can have
};

struct metric_row {
    const char *name;
    enum metric_type type;
    const char *help; // one sentence, without its full stop
    struct metric_label labels[METRIC_LABELS_MAX];
    // Pairs of values of open labels that are shown before they happen, so that the first time is a
    // change too; ended by one of NULL.
    const char *const (*known)[METRIC_LABELS_MAX];
    const int64_t *buckets; // upper bounds in microseconds, rising, ended by 0
    // For each pair of values: one; of a histogram one for each bucket, one beyond, and the sum.
    atomic_uint_least64_t *cells;
    size_t cell_count;
};

extern const struct metric_row metric_rows[METRIC_COUNT];

#endif
