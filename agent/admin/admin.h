// The admin API: one file per resource, each exporting a const route table. Handlers run on the
// admin server's threads and may ask the store, and Kubernetes under a deadline.
#ifndef CRONWRIGHT_ADMIN_ADMIN_H
#define CRONWRIGHT_ADMIN_ADMIN_H

#include "agent/observe.h"
#include "agent/server.h"
#include "agent/settings.h"
#include "agent/store/store.h"

struct attempts;
struct changes;
struct context_keys;
struct events;
struct intake;
struct kube_client;
struct pipeline;
struct podlog_hub;
struct recorder;
struct service;
struct service_cache;
struct sessions;

// What handlers work with; everything is borrowed and outlives the server.
struct admin {
    struct settings *settings;
    struct store *store;
    struct kube_client *kube;
    struct service_cache *services;
    struct podlog_hub *logs;
    struct intake *intake;
    struct events *events;
    struct pipeline *pipeline;
    struct recorder *recorder;
    struct attempts *attempts;
    struct sessions *sessions;
    struct changes *changes;
    const struct context_keys *context_keys; // NULL: there is no context listener
    const char *webhooks_address;            // as listened on
    const struct observed *observed;
};

extern const struct server_route admin_service_routes[];
extern const struct server_route admin_document_routes[];
extern const struct server_route admin_removal_routes[];
extern const struct server_route admin_state_routes[];
extern const struct server_route admin_image_routes[];
extern const struct server_route admin_adopt_routes[];
extern const struct server_route admin_run_routes[];
extern const struct server_route admin_build_routes[];
extern const struct server_route admin_delivery_routes[];
extern const struct server_route admin_schedule_routes[];
extern const struct server_route admin_timeline_routes[];
extern const struct server_route admin_manifest_routes[];
extern const struct server_route admin_health_routes[];
extern const struct server_route admin_doctor_routes[];
extern const struct server_route admin_openapi_routes[];
extern const struct server_route admin_page_routes[];
extern const struct server_route admin_session_routes[];
extern const struct server_route admin_update_routes[];

// All of the above, ended by NULL.
extern const struct server_route *const admin_tables[];

// --- admit.c ---

// For server_options.admit: checks the bearer token, or the session's cookie, by the settings as
// they are then. `user` is the struct admin.
bool admin_admit(struct server_request *req, void *user);
// The token that the request came with, or that its session stands for: never NULL in an admitted
// request but for that which signs in. Lives as long as that.
const struct config_token *admin_token(const struct admin *admin, struct server_request *req);

// --- auth.c ---

// Whether the token's role is at least `role` and the namespace is one of its own; otherwise
// answers 403 and returns false.
bool admin_may(const struct admin *admin, struct server_request *req, enum config_role role,
               const char *namespace);
// Whether the token may see a namespace, without answering: for filtering lists.
bool admin_sees(const struct config_token *token, const char *namespace);
// Whether a service in one of the token's namespaces follows that branch ("": any branch), and may
// by the settings. Builds and deliveries have no namespace: their services' owners may see them. A
// build is seen by those alone whose services are fetched with the same credential, by name; NULL:
// with any.
bool admin_sees_branch(const struct admin *admin, const struct config_token *token,
                       const char *repository, const char *branch, const char *credential);
// A detail names services. Makes it null in a build's or delivery's JSON, or in a list of them,
// unless the token sees all services that are concerned. Not while the store is being read.
void admin_hide_detail(const struct admin *admin, const struct config_token *token, json_t *row);
void admin_hide_details(const struct admin *admin, const struct config_token *token, json_t *list);

// --- read.c: reading requests and writing common values ---

// A query parameter as a number within bounds; answers 400 and returns false when it is not.
bool admin_query_int(struct server_request *req, const char *name, int64_t min, int64_t max,
                     int64_t otherwise, int64_t *out);
// The body as a JSON object, an empty one when there is none; answers 400 and returns false when it
// is something else. The caller owns *out.
bool admin_read_object(struct server_request *req, json_t **out);
// For what takes no body: nothing, or an empty object.
bool admin_no_body(struct server_request *req);
// Answers 400 with `errors`, an array of {"pointer", "detail"}, which is borrowed.
void admin_refuse_errors(struct server_request *req, json_t *errors, const char *what);

// A query parameter "true" or "false"; likewise.
bool admin_query_bool(struct server_request *req, const char *name, bool *out);

// Appends to a list. A row that could not be made is logged, never dropped in silence.
void admin_append(json_t *list, json_t *row);
json_t *admin_time(struct wall_time time); // RFC 3339, or null when unset
json_t *admin_seconds(int64_t ms);         // seconds, or null when < 0
json_t *admin_build_id(int64_t id);        // "b-51", or null for 0
// "b-51" or "51"; false when it is neither.
bool admin_build_number(const char *text, int64_t *id);

// --- query.c ---

// A query parameter that is one of `words` (ended by NULL), or absent (NULL); likewise.
bool admin_query_word(struct server_request *req, const char *name, const char *const words[],
                      const char **out);
// A query parameter that is a commit's id or its beginning, 7 to 40 hex digits, in small letters
// into `room` bytes; "" when absent; likewise.
bool admin_query_commit(struct server_request *req, const char *name, size_t room, char *out);
// A query parameter that is a time or how long ago ("10m", "1h30m"); unset when absent; likewise.
bool admin_query_since(struct server_request *req, const char *name, struct wall_time *out);

// --- builds.c, deliveries.c ---
json_t *admin_build_json(const struct build *build);
// The row that the list has of it for the token; NULL when it is not there, or not for that.
json_t *admin_build_row(const struct admin *admin, const struct config_token *token, int64_t id);
json_t *admin_delivery_row(const struct admin *admin, const struct config_token *token,
                           int64_t seq);
// The build that a service's annotation names ("b-51"), when it is of that commit and was fetched
// with the credential that the service has now: anybody may write an annotation, and another agent
// too.
bool admin_build_of(const struct admin *admin, const struct service *service, const char *build,
                    const char *commit, struct build *out);

#endif
