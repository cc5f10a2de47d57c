#include "agent/cli/session.h"

#include "agent/base/text.h"
#include "agent/cli/times.h"

#include <stdarg.h>
#include <string.h>

#define SECONDS_MAX 1e10 // three centuries

bool name_check(const char *what, const char *name, struct error *err)
{
    size_t len = strlen(name);
    bool ok = len > 0 && len < NAME_SIZE &&
              strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") == len &&
              strchr("-.", name[0]) == NULL && strchr("-.", name[len - 1]) == NULL;
    return ok || error_set(err, ERR_INVALID,
                           "\"%s\" is no name of a %s: those have lower-case letters, digits, '-' "
                           "and '.'",
                           name, what);
}

bool service_parse(const char *operand, const char *given, struct service_name *out,
                   struct error *err)
{
    const char *slash = strchr(operand, '/');
    if (slash == NULL && given == NULL)
        return error_set(err, ERR_INVALID,
                         "\"%s\" is no service: give namespace/name, or -n NAMESPACE", operand);
    struct service_name service = {0};
    const char *name = slash ? slash + 1 : operand;
    CLEANUP(free_ptr)
    char *namespace = slash ? xstrndup(operand, (size_t)(slash - operand)) : xstrdup(given);
    if (!name_check("namespace", namespace, err) || !name_check("service", name, err))
        return false;
    if (given != NULL && strcmp(given, namespace) != 0)
        return error_set(err, ERR_INVALID, "\"%s\" is not in the namespace \"%s\" of -n", operand,
                         given);
    (void)text_copy(service.namespace, sizeof(service.namespace), namespace);
    (void)text_copy(service.name, sizeof(service.name), name);
    *out = service;
    return true;
}

bool session_service(const struct session *session, struct service_name *out, struct error *err)
{
    return service_parse(session->call->operands[0], session->call->text[OPTION_NAMESPACE], out,
                         err);
}

char *service_path(const struct service_name *service, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    CLEANUP(free_ptr) char *rest = xvasprintf(fmt, args);
    va_end(args);
    return xasprintf("/v1/services/%s/%s%s", service->namespace, service->name, rest);
}

// The service of a list that is most like the one that was asked for: of its namespace, else of its
// name in another. The caller frees; NULL when there is none.
static char *similar_service(const json_t *list, const struct service_name *service)
{
    size_t count = json_array_size(list), kept = 0;
    CLEANUP(free_ptr) const char **names = xalloc((count + 1) * sizeof(*names));
    const char *elsewhere = NULL;
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, i);
        const char *name = field(item, "name"), *namespace = field(item, "namespace");
        if (strcmp(namespace, service->namespace) == 0)
            names[kept++] = name;
        else if (strcmp(name, service->name) == 0)
            elsewhere = namespace;
    }
    const char *near = text_nearest(service->name, names);
    if (near != NULL)
        return xasprintf("%s/%s", service->namespace, near);
    return elsewhere ? xasprintf("%s/%s", elsewhere, service->name) : NULL;
}

bool service_not_found(const struct session *session, const struct service_name *service,
                       struct error *err)
{
    CLEANUP(json_ptr) json_t *answer = NULL;
    if (!client_get(&session->client, "/v1/services", &answer, NULL))
        answer = NULL;
    const json_t *list = json_at(answer, "services", NULL);
    CLEANUP(free_ptr) char *near = similar_service(list, service);
    CLEANUP(free_ptr) char *wanted = xasprintf("%s/%s", service->namespace, service->name);
    if (near == NULL || strcmp(near, wanted) != 0) // else it is something of it that is not there
        (void)error_set(err, ERR_NOT_FOUND,
                        "there is no service %s%s%s%s\nSee: cronwright services", wanted,
                        near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    return false;
}

bool service_run(const struct session *session, const struct service_name *service,
                 const char *name, json_t **out, struct error *err)
{
    CLEANUP(free_ptr) char *path = service_path(service, "/runs/%s", name);
    if (!name_check("run", name, err))
        return false;
    if (client_get(&session->client, path, out, err))
        return true;
    if (err->code != ERR_NOT_FOUND)
        return false;
    (void)error_set(err, ERR_NOT_FOUND, "%s/%s has no run %s\nSee: cronwright runs %s/%s",
                    service->namespace, service->name, name, service->namespace, service->name);
    return service_not_found(session, service, err);
}

char *service_zone(const struct session *session, const struct service_name *service)
{
    CLEANUP(json_ptr) json_t *document = NULL;
    CLEANUP(free_ptr) char *path = service_path(service, "%s", "");
    bool known = client_get(&session->client, path, &document, NULL);
    return xstrdup(known ? field(document, "timeZone") : "");
}

bool service_runs(const struct session *session, const struct service_name *service, int64_t limit,
                  const char *more, json_t **answer, const json_t **runs, struct error *err)
{
    CLEANUP(free_ptr) char *path = service_path(service, "/runs?limit=%d%s", (int)limit, more);
    CLEANUP(json_ptr) json_t *json = NULL;
    if (!client_get(&session->client, path, &json, err))
        return err->code == ERR_NOT_FOUND ? service_not_found(session, service, err) : false;
    const json_t *list = json_at(json, "runs", NULL);
    if (!json_is_array(list))
        return error_set(err, ERR_PROTOCOL, "%s answered without runs", session->client.url);
    *runs = list;
    *answer = TAKE(json);
    return true;
}

int session_fail(struct session *session, const struct error *err)
{
    if (err->code == ERR_INVALID)
        return usage_fail(&session->screen, session->call->command->name, err);
    screen_error(&session->screen, err);
    return error_exit_status(err->code);
}

int usage_fail(struct screen *screen, const char *command, const struct error *err)
{
    struct error explained;
    bool named = command[0] != '\0';
    (void)error_set(&explained, err->code, "%s%s%s\nSee: cronwright %s%s--help", command,
                    named ? ": " : "", err->text, command, named ? " " : "");
    screen_error(screen, &explained);
    return STATUS_USAGE;
}

char *session_query(const struct session *session, const struct query_option options[],
                    size_t count)
{
    struct buffer query = {0};
    for (size_t i = 0; i < count; i++) {
        const char *value = session->call->text[options[i].option];
        if (value == NULL)
            continue;
        CLEANUP(free_ptr) char *escaped = http_escape(value);
        if (!buffer_printf(&query, NULL, "%c%s=%s", query.len == 0 ? '?' : '&', options[i].name,
                           escaped))
            abort(); // options are far smaller than the buffer's cap
    }
    return query.data ? query.data : xstrdup("");
}

const char *field(const json_t *object, const char *name)
{
    const char *text = json_text_at(object, name, NULL);
    return text ? text : "";
}

const char *field_or_dash(const json_t *object, const char *name)
{
    const char *text = field(object, name);
    return text[0] != '\0' ? text : "-";
}

bool field_is(const json_t *object, const char *name, const char *value)
{
    return strcmp(field(object, name), value) == 0;
}

const char *field_state(const json_t *service)
{
    return json_is_true(json_at(service, "starting", NULL)) ? "starting"
                                                            : field_or_dash(service, "state");
}

struct wall_time field_time(const json_t *object, const char *name)
{
    struct wall_time time = {0};
    const char *text = field(object, name);
    if (text[0] == '\0' || !wall_parse(text, &time))
        time = (struct wall_time){0};
    return time;
}

json_int_t field_int(const json_t *object, const char *name, json_int_t otherwise)
{
    return json_int_or(json_at(object, name, NULL), otherwise);
}

bool field_duration(const json_t *object, const char *name, char out[static TIME_TEXT_SIZE])
{
    const json_t *value = json_at(object, name, NULL);
    double seconds = json_number_value(value);
    bool known = json_is_number(value) && seconds >= 0 && seconds <= SECONDS_MAX;
    (void)text_copy(out, TIME_TEXT_SIZE, "-");
    if (known)
        duration_text((int64_t)(seconds * 1000), out);
    return known;
}

void commit_short(const char *commit, char out[static COMMIT_SIZE])
{
    (void)text_copy(out, COMMIT_SIZE, commit[0] != '\0' ? commit : "-");
}

char *repository_short(const char *repository)
{
    const char *scheme = strstr(repository, "://");
    const char *slash = strchr(scheme ? scheme + 3 : repository, '/');
    const char *path = slash && slash[1] != '\0' ? slash + 1 : repository;
    size_t cut = text_ends(path, ".git") ? strlen(".git") : 0;
    return xstrndup(path, strlen(path) - cut);
}

void print_fields(const struct session *session, const json_t *object, const char *const names[])
{
    for (; *names != NULL; names++) {
        CLEANUP(free_ptr) char *value = text_clean(field_or_dash(object, *names));
        struct wall_time time = field_time(object, *names);
        char ago[TIME_TEXT_SIZE];
        ago_text(time, session->now, ago);
        (void)printf("%-10s  %s%s%s\n", *names, value, time.ms ? ", " : "", time.ms ? ago : "");
    }
}
