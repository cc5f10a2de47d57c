// The description of the admin API.
#ifndef CRONWRIGHT_ADMIN_OPENAPI_H
#define CRONWRIGHT_ADMIN_OPENAPI_H

#include "agent/base/json.h"

// openapi.yaml.
extern const char admin_openapi_yaml[];

// The whole of it, with what the program puts in; what is served. Never NULL.
json_t *admin_openapi(void) __attribute__((returns_nonnull));

#endif
