// What sign_request() makes is what the providers take.
#include "agent/base/json.h"
#include "tests/unit/webhooks/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define AFTER        "0123456789abcdef0123456789abcdef01234567"

static const struct {
    const struct webhook_provider *provider;
    enum webhook_secret_sort sort;
    const char *secret;
} schemes[SIGN_SCHEME_COUNT] = {
    [SIGN_GITHUB_JSON] = {&webhook_github, SECRET_HMAC, "It's a Secret to Everybody"},
    [SIGN_GITHUB_FORM] = {&webhook_github, SECRET_HMAC, "It's a Secret to Everybody"},
    [SIGN_GITLAB_TOKEN] = {&webhook_gitlab, SECRET_TOKEN, "a token"},
    [SIGN_GITLAB_SIGNING] = {&webhook_gitlab, SECRET_SIGNING,
                             "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
    [SIGN_GITEA_JSON] = {&webhook_gitea, SECRET_GITEA, "Gitea's"},
    [SIGN_GITEA_FORM] = {&webhook_gitea, SECRET_GITEA, "Gitea's"},
    [SIGN_BITBUCKET_CLOUD] = {&webhook_bitbucket, SECRET_BITBUCKET, "Bitbucket's"},
    [SIGN_BITBUCKET_SERVER] = {&webhook_bitbucket, SECRET_BITBUCKET, "Bitbucket's"},
};

static struct sign_request request_for(int scheme, enum sign_event event)
{
    return (struct sign_request){.scheme = (enum sign_scheme)scheme,
                                 .event = event,
                                 .secret = schemes[scheme].secret,
                                 .repository = "http://git.example.com:3000/Acme/Report.git",
                                 .now = REQUEST_NOW};
}

static void must_sign(const struct sign_request *how, struct signed_request *out)
{
    struct error err;
    if (!sign_request(how, out, &err))
        fail_msg("%s", err.text);
}

static struct webhook_event round_trip(const struct sign_request *how)
{
    CLEANUP(signed_request_finish) struct signed_request request = {0};
    CLEANUP(webhook_secrets_finish) struct webhook_secrets secrets = {0};
    const struct webhook_provider *provider = schemes[how->scheme].provider;
    struct test_headers h;
    struct error err = {0};
    struct webhook_event event = {0};
    must_sign(how, &request);
    test_headers_of(&h, &request);
    assert_string_equal(request.path, provider->path);
    assert_ptr_equal(webhook_provider_at(request.path), provider);
    assert_true(provider->detect(&h.headers));
    assert_true(webhook_secrets_add(&secrets, schemes[how->scheme].sort, how->secret, &err));
    if (!provider->verify(&h.headers, request.body.data, request.body.len, &secrets, how->now,
                          &err) ||
        !provider->decode(&h.headers, request.body.data, request.body.len, &event, &err))
        fail_msg("%s %s: %s", sign_scheme_words[how->scheme], sign_event_words[how->event],
                 err.text);
    return event;
}

static void every_scheme_round_trips(void **state)
{
    (void)state;
    static const struct {
        enum sign_event event;
        const char *ref;
        enum webhook_event_kind kind;
        const char *full_ref;
        const char *branch;
    } cases[] = {
        {SIGN_PUSH, NULL, EVENT_PUSH_BRANCH, "refs/heads/main", "main"},
        {SIGN_PUSH, "feature/x", EVENT_PUSH_BRANCH, "refs/heads/feature/x", "feature/x"},
        {SIGN_PUSH, "refs/heads/main", EVENT_PUSH_BRANCH, "refs/heads/main", "main"},
        {SIGN_TAG, NULL, EVENT_PUSH_TAG, "refs/tags/v1", ""},
        {SIGN_TAG, "v2.0", EVENT_PUSH_TAG, "refs/tags/v2.0", ""},
        {SIGN_DELETE, "old", EVENT_DELETE_BRANCH, "refs/heads/old", "old"},
        {SIGN_DELETE, "refs/tags/v1", EVENT_DELETE_TAG, "refs/tags/v1", ""},
    };
    for (int scheme = 0; scheme < SIGN_SCHEME_COUNT; scheme++) {
        for (size_t i = 0; i < COUNT(cases); i++) {
            struct sign_request how = request_for(scheme, cases[i].event);
            how.ref = cases[i].ref;
            how.after = AFTER;
            how.delivery = "delivery-1";
            struct webhook_event event = round_trip(&how);
            assert_int_equal(event.change.kind, cases[i].kind);
            assert_string_equal(event.repository, "git.example.com:3000/Acme/Report");
            assert_string_equal(event.change.ref, cases[i].full_ref);
            assert_string_equal(event.change.branch, cases[i].branch);
            assert_string_equal(event.delivery, "delivery-1");
            if (cases[i].event != SIGN_DELETE)
                assert_string_equal(event.change.after, AFTER);
        }
    }
}

static void pings_where_there_are_pings(void **state)
{
    (void)state;
    for (int scheme = 0; scheme < SIGN_SCHEME_COUNT; scheme++) {
        struct sign_request how = request_for(scheme, SIGN_PING);
        if (schemes[scheme].provider == &webhook_github || scheme == SIGN_BITBUCKET_SERVER) {
            assert_int_equal(round_trip(&how).change.kind, EVENT_PING);
            continue;
        }
        struct signed_request request = {0};
        struct error err = {0};
        assert_false(sign_request(&how, &request, &err));
        assert_int_equal(err.code, ERR_UNSUPPORTED);
    }
}

static void ids_are_made_up(void **state)
{
    (void)state;
    const struct sign_request how = request_for(SIGN_GITHUB_JSON, SIGN_PUSH);
    struct webhook_event one = round_trip(&how);
    struct webhook_event two = round_trip(&how);
    assert_int_equal(strlen(one.delivery), 36);
    assert_string_not_equal(one.delivery, two.delivery);
    assert_string_not_equal(one.change.after, two.change.after);
    assert_int_equal(strlen(one.change.after), 40);
}

static void bodies_have_the_size_asked_for(void **state)
{
    (void)state;
    static const size_t sizes[] = {6900, 100000, SIGN_BODY_MAX};
    static const int json_schemes[] = {SIGN_GITHUB_JSON, SIGN_GITLAB_SIGNING};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        for (size_t j = 0; j < COUNT(json_schemes); j++) {
            CLEANUP(signed_request_finish) struct signed_request request = {0};
            struct sign_request how = request_for(json_schemes[j], SIGN_PUSH);
            how.body_size = sizes[i];
            must_sign(&how, &request);
            assert_in_range(request.body.len, sizes[i] - 100, sizes[i]);
            round_trip(&how);
        }
    }
}

static void payloads_are_real_json(void **state)
{
    (void)state;
    for (int scheme = 0; scheme < SIGN_SCHEME_COUNT; scheme++) {
        CLEANUP(signed_request_finish) struct signed_request request = {0};
        const struct sign_request how = request_for(scheme, SIGN_PUSH);
        must_sign(&how, &request);
        if (scheme == SIGN_GITHUB_FORM || scheme == SIGN_GITEA_FORM) {
            assert_memory_equal(request.body.data, "payload=%7B", 11);
            continue;
        }
        CLEANUP(json_ptr) json_t *json = NULL;
        assert_true(json_read(request.body.data, request.body.len, request.body.len, &json, NULL));
        if (schemes[scheme].provider == &webhook_bitbucket)
            assert_non_null(json_object_get(json, "repository"));
        else
            assert_string_equal(json_text_at(json, "ref", NULL), "refs/heads/main");
    }
}

static void never_puts_credentials_into_a_payload(void **state)
{
    (void)state;
    for (int scheme = 0; scheme < SIGN_SCHEME_COUNT; scheme++) {
        CLEANUP(signed_request_finish) struct signed_request request = {0};
        struct sign_request how = request_for(scheme, SIGN_PUSH);
        how.repository = "https://ada:hunter2@git.example.com/acme/report";
        must_sign(&how, &request);
        assert_null(strstr(request.body.data, "hunter2"));
        assert_null(strstr(request.body.data, how.secret));
    }
}

static void signs_nothing_without_a_secret(void **state)
{
    (void)state;
    for (int scheme = 0; scheme < SIGN_SCHEME_COUNT; scheme++) {
        CLEANUP(signed_request_finish) struct signed_request request = {0};
        struct sign_request how = request_for(scheme, SIGN_PUSH);
        struct test_headers h;
        how.secret = NULL;
        must_sign(&how, &request);
        test_headers_of(&h, &request);
        assert_null(h.headers.values[HEADER_HUB_SIGNATURE]);
        assert_null(h.headers.values[HEADER_GITLAB_TOKEN]);
        assert_null(h.headers.values[HEADER_WEBHOOK_SIGNATURE]);
        const char *digits = h.headers.values[HEADER_GITEA_SIGNATURE];
        const char *hub = h.headers.values[HEADER_HUB_SIGNATURE_256];
        if (schemes[scheme].provider == &webhook_gitea) { // the headers are there all the same
            assert_string_equal(digits, "");
            assert_string_equal(hub, "sha256=");
        } else {
            assert_null(digits);
            assert_null(hub);
        }
    }
}

static void refuses_bad_requests(void **state)
{
    (void)state;
    struct sign_request bad[6];
    for (size_t i = 0; i < COUNT(bad); i++)
        bad[i] = request_for(SIGN_GITLAB_SIGNING, SIGN_PUSH);
    bad[0].repository = "/srv/git/report";
    bad[1].ref = "a..b";
    bad[2].after = "abc";
    bad[3].secret = "no prefix";
    bad[4].after = "0123456789ABCDEF0123456789abcdef01234567";
    char long_id[DELIVERY_ID_MAX + 2];
    memset(long_id, 'a', sizeof long_id);
    long_id[sizeof long_id - 1] = '\0';
    bad[5].delivery = long_id;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct signed_request request = {0};
        struct error err = {0};
        if (sign_request(&bad[i], &request, &err))
            fail_msg("taken: number %zu", i);
        assert_int_equal(err.code, ERR_INVALID);
        assert_null(request.headers[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scheme_round_trips),
        cmocka_unit_test(pings_where_there_are_pings),
        cmocka_unit_test(ids_are_made_up),
        cmocka_unit_test(bodies_have_the_size_asked_for),
        cmocka_unit_test(payloads_are_real_json),
        cmocka_unit_test(never_puts_credentials_into_a_payload),
        cmocka_unit_test(signs_nothing_without_a_secret),
        cmocka_unit_test(refuses_bad_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
