// Within the library: Jobs and their pods as the API gives them.
#ifndef CRONWRIGHT_DEPLOY_RUNS_JSON_H
#define CRONWRIGHT_DEPLOY_RUNS_JSON_H

#include "deploy/runs.h"
#include "deploy/text_fields.h"

// Texts of the records, for text_fields_init() and its like.
extern const struct text_fields run_texts, attempt_texts, log_texts;

// Adds the log of a container, as one that is being followed.
struct run_log *run_attempt_add_log(struct run_attempt *attempt, const char *container);
// For qsort(): the oldest first.
int run_attempt_order(const void *a, const void *b);

// Of the object's controller; NULL when it has none. Borrowed.
const char *controller_uid(const json_t *object);
// The object's controller is the one with this uid.
bool job_is_controlled_by(const json_t *object, const char *uid);

// The Job has come to its end, well or not.
bool job_is_finished(const json_t *job);

// The status object of a Job's or pod's condition of this type if it is True, else NULL.
const json_t *json_condition(const json_t *object, const char *type);

#endif
