// What the doctor's groups share; nothing outside this folder includes it.
#ifndef CRONWRIGHT_DOCTOR_LOOK_H
#define CRONWRIGHT_DOCTOR_LOOK_H

#include "agent/doctor/doctor.h"

#define LOOK_LISTED_MAX 10 // lines of one kind; further ones are counted

// One look at a group, or at one thing of it. One thread.
struct look {
    const struct doctor *doctor;
    const struct config *config; // held
    struct mono_time deadline;   // of all that is asked
    const char *check;           // whose findings come now
    json_t *checks;              // the findings
};

struct check {
    const char *name;
    void (*look)(struct look *look);
};

struct group {
    const char *name;
    const struct check *checks; // ended by a NULL name
};

// Findings. A text is one sentence without its full stop. `fix` says on one line what to do: a
// command where there is one.
void look_say(struct look *look, const char *state, const char *fix, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
#define LOOK_PROBLEM                 "problem"
#define LOOK_WARNING                 "warning"
#define look_good(look, ...)         look_say(look, "good", NULL, __VA_ARGS__)
#define look_problem(look, fix, ...) look_say(look, LOOK_PROBLEM, fix, __VA_ARGS__)
#define look_warning(look, fix, ...) look_say(look, LOOK_WARNING, fix, __VA_ARGS__)
// Could not be looked at, and need not be.
#define look_skipped(look, fix, ...) look_say(look, "skipped", fix, __VA_ARGS__)

// Looks at `count` things, several at once. Their findings come in order.
void look_each(struct look *look, size_t count,
               void (*one)(struct look *look, size_t i, void *user), void *user);
// What one request may take: `ms`, or what is left of the budget; 1 when nothing is.
int64_t look_timeout(const struct look *look, int64_t ms);

// Whether we may do that there, by the API server's own word; `namespace_` NULL or "": everywhere.
// `resource` may have a subresource: "pods/log".
bool look_may(const struct look *look, const char *namespace_, const char *group,
              const char *resource, const char *verb, bool *may, struct error *err) MUST_CHECK;

// Whether an object exists, as far as we may look: then true, and *there says. False: it could not
// be looked at, which has become a finding.
bool look_for(struct look *look, const struct kube_resource *resource, const char *namespace_,
              const char *name, const char *what, bool *there) MUST_CHECK;

// A set of texts, by which things are looked at once. The caller frees by json_decref().
bool look_first(json_t *seen, const char *fmt, ...) PRINTF_LIKE(2, 3);

extern const struct check settings_checks[], kubernetes_checks[], webhooks_checks[], git_checks[],
    registry_checks[], builds_checks[], store_checks[], sweep_checks[], clock_checks[],
    services_checks[];

#endif
