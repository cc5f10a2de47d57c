// A request as a test writes it: header lines and a body.
#ifndef CRONWRIGHT_TESTS_WEBHOOKS_REQUEST_H
#define CRONWRIGHT_TESTS_WEBHOOKS_REQUEST_H

#include "webhooks/provider.h"
#include "webhooks/sign.h"

#include <string.h>

#define REQUEST_NOW   ((struct wall_time){.ms = INT64_C(1795510000000)})
#define TEST_LINE_MAX 512

// Where header names and values are cut apart; webhook_headers borrows from here.
struct test_headers {
    char lines[SIGN_HEADERS_MAX + 1][TEST_LINE_MAX];
    struct webhook_headers headers;
};

static inline const struct webhook_headers *test_headers_read(struct test_headers *out,
                                                              const char *const *lines)
{
    *out = (struct test_headers){0};
    for (size_t i = 0; lines[i]; i++) {
        strcpy(out->lines[i], lines[i]);
        char *colon = strchr(out->lines[i], ':');
        *colon = '\0';
        webhook_headers_add(&out->headers, out->lines[i], colon + 2);
    }
    return &out->headers;
}

// Header lines straight from a signed request.
static inline const struct webhook_headers *test_headers_of(struct test_headers *out,
                                                            const struct signed_request *request)
{
    return test_headers_read(out, (const char *const *)(const void *)request->headers);
}

#define TEST_HEADERS(out, ...) test_headers_read(out, (const char *const[]){__VA_ARGS__, NULL})

#endif
