#include "agent/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool match_path(const char *pattern, const char *path, struct route_match *match)
{
    match->param_count = 0;
    while (*pattern && *path) {
        if (*pattern == '{') {
            if (match->param_count == ROUTE_PARAMS_MAX)
                abort(); // a table's mistake
            struct route_param *param = &match->params[match->param_count];
            *param = (struct route_param){.name = pattern + 1,
                                          .name_len = strcspn(pattern + 1, "}"),
                                          .value = path,
                                          .value_len = strcspn(path, "/")};
            if (!param->value_len)
                return false;
            match->param_count++;
            pattern += param->name_len + 2;
            path += param->value_len;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return !*pattern && !*path;
}

static bool method_fits(const char *wanted, const char *method)
{
    return strcmp(wanted, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(wanted, "GET") == 0);
}

static void allow_method(struct route_match *match, const char *method)
{
    size_t len = strlen(match->allow);
    if (!strstr(match->allow, method))
        snprintf(match->allow + len, sizeof match->allow - len, "%s%s", len ? ", " : "", method);
}

static void allow_route(struct route_match *match, const struct server_route *route)
{
    allow_method(match, route->method);
    if (strcmp(route->method, "GET") == 0)
        allow_method(match, "HEAD");
}

void route_find(const struct server_route *const *tables, const char *path, const char *method,
                struct route_match *out)
{
    out->route = NULL;
    out->allow[0] = '\0';
    for (const struct server_route *const *table = tables; *table; table++) {
        for (const struct server_route *route = *table; route->path; route++) {
            if (!match_path(route->path, path, out))
                continue;
            if (method_fits(route->method, method)) {
                out->route = route;
                return;
            }
            allow_route(out, route);
        }
    }
    out->param_count = 0;
    if (*out->allow)
        allow_method(out, "OPTIONS");
}
