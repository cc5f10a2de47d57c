// Within the library: Jobs and their pods as the API gives them.
#ifndef CRONWRIGHT_DEPLOY_RUNS_JSON_H
#define CRONWRIGHT_DEPLOY_RUNS_JSON_H

#include "deploy/runs.h"

// Of the object's controller; NULL when it has none. Borrowed.
const char *controller_uid(const json_t *object);
// The object's controller is the one with this uid.
bool job_is_controlled_by(const json_t *object, const char *uid);

// The Job has come to its end, well or not.
bool job_is_finished(const json_t *job);

// The status object of a Job's or pod's condition of this type if it is True, else NULL.
const json_t *json_condition(const json_t *object, const char *type);

#endif
