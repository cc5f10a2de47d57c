// Finds the route of a request's path and method in const tables.
#ifndef CRONWRIGHT_ROUTES_H
#define CRONWRIGHT_ROUTES_H

#include "agent/server.h"

#define ROUTE_PARAMS_MAX 8
#define ROUTE_ALLOW_MAX  128

// A {name} of the route's path, and the segment that stands for it: still percent-encoded, within
// the path that was looked up.
struct route_param {
    const char *name;
    size_t name_len;
    const char *value;
    size_t value_len; // > 0
};

struct route_match {
    const struct server_route *route; // NULL: none fits
    struct route_param params[ROUTE_PARAMS_MAX];
    size_t param_count;
    char allow[ROUTE_ALLOW_MAX]; // without a route: the methods for this path, as in the Allow
                                 // header; "" when there is nothing at this path
};

// The first route that fits. A route for GET serves HEAD too.
void route_find(const struct server_route *const *tables, const char *path, const char *method,
                struct route_match *out);

#endif
