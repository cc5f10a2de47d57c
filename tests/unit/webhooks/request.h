// A request as a test writes it: header lines and a body.
#ifndef CRONWRIGHT_TESTS_WEBHOOKS_REQUEST_H
#define CRONWRIGHT_TESTS_WEBHOOKS_REQUEST_H

#include "webhooks/provider.h"
#include "webhooks/sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

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

// Refused as unauthorized, with a text that holds `says` and never the secret.
static inline void request_must_be_refused(const struct webhook_provider *provider,
                                           const struct webhook_headers *headers, const char *body,
                                           const struct webhook_secrets *secrets,
                                           const char *secret, const char *says)
{
    struct error err = {0};
    if (provider->verify(headers, body, strlen(body), secrets, REQUEST_NOW, &err))
        fail_msg("taken, instead of: %s", says);
    assert_int_equal(err.code, ERR_UNAUTHORIZED);
    if (!strstr(err.text, says))
        fail_msg("\"%s\" instead of: %s", err.text, says);
    assert_null(strstr(err.text, secret));
}

static inline struct webhook_event request_decoded(const struct webhook_provider *provider,
                                                   const struct webhook_headers *headers,
                                                   const char *body)
{
    struct error err = {0};
    struct webhook_event event = {0};
    if (!provider->decode(headers, body, strlen(body), &event, &err))
        fail_msg("%s: %s", body, err.text);
    return event;
}

#endif
