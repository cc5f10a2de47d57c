// What a client command works with, and the commands themselves.
#ifndef CRONWRIGHT_CLI_SESSION_H
#define CRONWRIGHT_CLI_SESSION_H

#include "agent/base/clock.h"
#include "agent/cli/client.h"
#include "agent/cli/screen.h"
#include "agent/cli/times.h"

#define NAME_SIZE 254 // of a Kubernetes name, with NUL

struct session {
    const struct call *call;
    struct screen screen;
    struct client client; // open only for commands of GROUP_AGENT
    struct wall_time now; // when the command began: all relative times in one table agree
};

struct service_name {
    char namespace[NAME_SIZE];
    char name[NAME_SIZE];
};

// "namespace/name", or a name in the namespace `given`, which may be NULL. ERR_INVALID.
bool service_parse(const char *operand, const char *given, struct service_name *out,
                   struct error *err) MUST_CHECK;
// The first operand, "namespace/name" or a name with -n. ERR_INVALID.
bool session_service(const struct session *session, struct service_name *out,
                     struct error *err) MUST_CHECK;
// "/v1/services/{namespace}/{name}" and what `fmt` adds; the caller frees.
char *service_path(const struct service_name *service, const char *fmt, ...) PRINTF_LIKE(2, 3)
    __attribute__((returns_nonnull));
// Lower-case letters, digits, '-' and '.', as Kubernetes names are; else ERR_INVALID naming `what`.
bool name_check(const char *what, const char *name, struct error *err) MUST_CHECK;

// When a service was not found: names the nearest one there is; err stays as it is if the service
// is there. Always returns false.
bool service_not_found(const struct session *session, const struct service_name *service,
                       struct error *err);

// The zone that its times are in; "" when it has none or cannot be asked. The caller frees.
char *service_zone(const struct session *session, const struct service_name *service)
    __attribute__((returns_nonnull));

// A run of a service. The caller owns *out.
bool service_run(const struct session *session, const struct service_name *service,
                 const char *name, json_t **out, struct error *err) MUST_CHECK;

// The newest `limit` runs, the newest first; `more` is "" or "&state=failed" and the like. The
// caller owns *answer, which *runs is part of.
bool service_runs(const struct session *session, const struct service_name *service, int64_t limit,
                  const char *more, json_t **answer, const json_t **runs,
                  struct error *err) MUST_CHECK;

// Prints the error; the exit status that goes with it. ERR_INVALID is taken for a wrong command
// line.
int session_fail(struct session *session, const struct error *err);
// What is wrong with a command line, and where it is explained. `command` is "" when there is none.
int usage_fail(struct screen *screen, const char *command, const struct error *err);

// "?a=b&c=d" from the options that were given, each percent-encoded; the caller frees.
struct query_option {
    enum option_id option;
    const char *name;
};
char *session_query(const struct session *session, const struct query_option options[],
                    size_t count) __attribute__((returns_nonnull));

// --- values of the API's JSON ---
const char *field(const json_t *object, const char *name); // "" unless a non-empty text
const char *field_or_dash(const json_t *object, const char *name);
bool field_is(const json_t *object, const char *name, const char *value);
// "started", …, or "starting": of a draft that starts when its image is built. "-" when unknown.
const char *field_state(const json_t *service);
struct wall_time field_time(const json_t *object, const char *name); // unset unless a time
json_int_t field_int(const json_t *object, const char *name, json_int_t otherwise);
// Seconds as "4m12s"; false and "-" unless a sensible number.
bool field_duration(const json_t *object, const char *name, char out[static TIME_TEXT_SIZE]);
#define COMMIT_SHOWN 7
#define COMMIT_SIZE  (COMMIT_SHOWN + 1)
void commit_short(const char *commit, char out[static COMMIT_SIZE]); // "-" when unknown
// The path within its forge: "acme/report" of "github.com/acme/report" or of a URL. The caller
// frees.
char *repository_short(const char *repository) __attribute__((returns_nonnull));

// The fields of an object, ended by NULL, a line each on stdout; times also as how long ago.
void print_fields(const struct session *session, const json_t *object, const char *const names[]);

// --- the commands ---
int command_services(struct session *session);
int command_show(struct session *session);
int command_create(struct session *session);
int command_edit(struct session *session);
int command_adopt(struct session *session);
int command_copy(struct session *session);
int command_start(struct session *session);
int command_stop(struct session *session);
int command_delete(struct session *session);
int command_build(struct session *session);
int command_rollback(struct session *session);
int command_resume(struct session *session);
int command_images(struct session *session);
int command_completion(struct session *session);
int command_run(struct session *session);
int command_runs(struct session *session);
int command_logs(struct session *session);
int command_cancel(struct session *session);
int command_deliveries(struct session *session);
int command_builds(struct session *session);
int command_schedule(struct session *session);
int command_doctor(struct session *session);
int command_sign(struct session *session);
int command_token(struct session *session);

#endif
