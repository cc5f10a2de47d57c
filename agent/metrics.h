// Figures of what the agent does, for Prometheus: one table of all metrics (metrics_table.c), kept
// in relaxed atomics, so that counting costs a handful of instructions.
//
// No metric names a namespace, service or repository: how many series there are depends on the
// program alone.
#ifndef CRONWRIGHT_METRICS_H
#define CRONWRIGHT_METRICS_H

#include "agent/base/buffer.h"

#include <stdint.h>
#include <stdio.h>

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_TEXT_MAX     ((size_t)1 << 20)

enum metric {
    METRIC_DELIVERIES,          // forge, reason
    METRIC_DELIVERIES_FINISHED, // reason
    METRIC_DELIVERIES_PENDING,
    METRIC_DELIVERIES_OLDEST,
    METRIC_WEBHOOKS_REFUSED, // forge, status
    METRIC_HTTP_REQUESTS,    // listener, status
    METRIC_HTTP_CONNECTIONS, // listener
    METRIC_QUEUE_DEPTH,      // queue, state
    METRIC_QUEUE_OLDEST,     // queue
    METRIC_SWEEP_AGE,
    METRIC_SWEEPS,
    METRIC_OLDEST_CHECK,
    METRIC_BUILDS,         // result, reason
    METRIC_BUILDS_OPEN,    // state
    METRIC_BUILD_DURATION, // result
    METRIC_BUILD_STEP,     // step
    METRIC_PATCHES,        // result
    METRIC_SERVICES,
    METRIC_RUNS,             // kind, result
    METRIC_RUN_LOG_BYTES,    //
    METRIC_CHILDREN,         // state
    METRIC_KUBE_REQUESTS,    // verb, code
    METRIC_WATCH_FAILURES,   // watch
    METRIC_WATCHES_FAILING,  // watch
    METRIC_KUBE_EVENTS,      // result
    METRIC_STORE_COMMIT,     //
    METRIC_STORE_CHANGES,    //
    METRIC_STORE_QUEUE,      //
    METRIC_BUILD_INFO,       // version
    METRIC_PROCESS_CPU,      //
    METRIC_PROCESS_RESIDENT,
    METRIC_HEAP, //
    METRIC_PROCESS_FDS,      //
    METRIC_PROCESS_FDS_MAX,  //
    METRIC_PROCESS_START,    //
    METRIC_COUNT,
};

// Label values come in the order above; NULL for those that the metric does not have. A value that
// is no word ("out-of-memory", "404"), or one more than its label holds, counts as "other".

// Adds one to a counter. Any thread; blocks only where a word is met for the first time.
void metric_count(enum metric metric, const char *one, const char *two);
void metric_add(enum metric metric, const char *one, const char *two, uint64_t more);
// The same with an HTTP status as the second label's value; 0: there was no answer ("none").
void metric_count_status(enum metric metric, const char *one, int status);
// Puts a duration into a histogram; a negative one is not known, and not put.
void metric_observe(enum metric metric, const char *one, int64_t us);
// Sets a gauge, or a counter that somebody else keeps.
void metric_set(enum metric metric, const char *one, const char *two, double value);

// All of them in Prometheus' text format. ERR_TOO_LARGE beyond METRICS_TEXT_MAX.
bool metrics_write(struct buffer *out, struct error *err) MUST_CHECK;
// cronwright-metrics(7) in roff.
void metrics_doc_man(FILE *out);

#endif
