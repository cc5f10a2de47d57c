#include "tests/unit/webhooks/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define TOKEN   "a token of some length"
#define SIGNING "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define PROJECT "\"project\":{\"git_http_url\":\"https://gitlab.com/Acme/Report.git\"}"
#define SHA_A   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B   "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define SHA_C   "cccccccccccccccccccccccccccccccccccccccc"
#define ZEROS   "0000000000000000000000000000000000000000"
#define PUSH_OF(kind, ref, after, checkout)                                                        \
    "{\"object_kind\":\"" kind "\",\"ref\":\"" ref "\",\"before\":\"" SHA_A                        \
    "\",\"after\":\"" after "\",\"checkout_sha\":" checkout "," PROJECT "}"
#define PUSH PUSH_OF("push", "refs/heads/main", SHA_B, "\"" SHA_B "\"")

#define JSON   "Content-Type: application/json"
#define EVENT  "X-Gitlab-Event: Push Hook"
#define SYSTEM "X-Gitlab-Event: System Hook"
#define KEY    "Idempotency-Key: f5e5f430-f57b-4e6e-9fac-d9128cd7232f"

static void add(struct webhook_secrets *secrets, enum webhook_secret_sort sort, const char *text)
{
    struct error err;
    if (!webhook_secrets_add(secrets, sort, text, &err))
        fail_msg("%s", err.text);
}

static void must_refuse(const struct webhook_headers *headers, const char *body,
                        const struct webhook_secrets *secrets, const char *says)
{
    request_must_be_refused(&webhook_gitlab, headers, body, secrets, TOKEN, says);
}

static bool decode(const struct webhook_headers *headers, const char *body,
                   struct webhook_event *out, struct error *err)
{
    return webhook_gitlab.decode(headers, body, strlen(body), out, err);
}

static struct webhook_event must_decode(const struct webhook_headers *headers, const char *body)
{
    return request_decoded(&webhook_gitlab, headers, body);
}

// --- verify ---
static void takes_the_token(void **state)
{
    (void)state;
    CLEANUP(webhook_secrets_finish) struct webhook_secrets secrets = {0};
    struct test_headers h;
    add(&secrets, SECRET_TOKEN, "the one before");
    add(&secrets, SECRET_TOKEN, TOKEN);
    TEST_HEADERS(&h, JSON, EVENT, "X-Gitlab-Token: " TOKEN);
    assert_true(webhook_gitlab.verify(&h.headers, PUSH, strlen(PUSH), &secrets, REQUEST_NOW, NULL));
    must_refuse(TEST_HEADERS(&h, JSON, EVENT), PUSH, &secrets, "no X-Gitlab-Token header");
    must_refuse(TEST_HEADERS(&h, JSON, EVENT, "X-Gitlab-Token: "), PUSH, &secrets,
                "no X-Gitlab-Token header");
    must_refuse(TEST_HEADERS(&h, JSON, EVENT, "X-Gitlab-Token: wrong"), PUSH, &secrets,
                "matches no configured token");
    must_refuse(TEST_HEADERS(&h, JSON, EVENT, "X-Gitlab-Token: A TOKEN OF SOME LENGTH"), PUSH,
                &secrets, "matches no configured token");
    must_refuse(TEST_HEADERS(&h, JSON, EVENT, "X-Gitlab-Token: " TOKEN, "X-Gitlab-Token: " TOKEN),
                PUSH, &secrets, "X-Gitlab-Token is there twice");
}

// While hooks are moved to signing, an operator may let the token alone be enough; a signature that
// is there must hold all the same.
static void takes_a_token_beside_signing_when_told_so(void **state)
{
    (void)state;
    CLEANUP(webhook_secrets_finish) struct webhook_secrets secrets = {0};
    struct test_headers h;
    add(&secrets, SECRET_TOKEN, TOKEN);
    add(&secrets, SECRET_SIGNING, SIGNING);
    TEST_HEADERS(&h, JSON, EVENT, "X-Gitlab-Token: " TOKEN);
    assert_false(
        webhook_gitlab.verify(&h.headers, PUSH, strlen(PUSH), &secrets, REQUEST_NOW, NULL));
    secrets.accept_unsigned = true;
    assert_true(webhook_gitlab.verify(&h.headers, PUSH, strlen(PUSH), &secrets, REQUEST_NOW, NULL));
    TEST_HEADERS(&h, JSON, EVENT, "X-Gitlab-Token: wrong");
    assert_false(
        webhook_gitlab.verify(&h.headers, PUSH, strlen(PUSH), &secrets, REQUEST_NOW, NULL));
    TEST_HEADERS(&h, JSON, EVENT, "X-Gitlab-Token: " TOKEN, "webhook-id: a",
                 "webhook-timestamp: 1795510000", "webhook-signature: v1,AAAA");
    assert_false(
        webhook_gitlab.verify(&h.headers, PUSH, strlen(PUSH), &secrets, REQUEST_NOW, NULL));
}

static void refuses_all_without_a_secret(void **state)
{
    (void)state;
    const struct webhook_secrets none = {0};
    struct test_headers h;
    must_refuse(TEST_HEADERS(&h, JSON, EVENT, "X-Gitlab-Token: " TOKEN), PUSH, &none,
                "neither a token nor a signing token");
    must_refuse(TEST_HEADERS(&h, JSON, EVENT), PUSH, &none, "neither a token nor a signing token");
}

static void knows_its_headers(void **state)
{
    (void)state;
    struct test_headers h;
    assert_true(webhook_gitlab.detect(TEST_HEADERS(&h, JSON, EVENT)));
    assert_false(webhook_gitlab.detect(TEST_HEADERS(&h, JSON, "X-GitHub-Event: push")));
}

static void sign(struct signed_request *out)
{
    struct error err;
    const struct sign_request how = {.scheme = SIGN_GITLAB_SIGNING,
                                     .secret = SIGNING,
                                     .repository = "https://gitlab.com/acme/report",
                                     .now = REQUEST_NOW};
    if (!sign_request(&how, out, &err))
        fail_msg("%s", err.text);
}

static const char *line_of(const struct signed_request *request, const char *name)
{
    for (size_t i = 0; request->headers[i]; i++)
        if (strncmp(request->headers[i], name, strlen(name)) == 0)
            return request->headers[i];
    fail_msg("no %s", name);
    return NULL;
}

static void never_falls_back_from_signing(void **state)
{
    (void)state;
    CLEANUP(webhook_secrets_finish) struct webhook_secrets secrets = {0};
    CLEANUP(signed_request_finish) struct signed_request request = {0};
    struct test_headers h;
    add(&secrets, SECRET_SIGNING, SIGNING);
    add(&secrets, SECRET_TOKEN, TOKEN);
    sign(&request);
    const char *body = buffer_text(&request.body);
    const char *id = line_of(&request, "webhook-id");
    const char *timestamp = line_of(&request, "webhook-timestamp");
    const char *signature = line_of(&request, "webhook-signature");
    const char *token = "X-Gitlab-Token: " TOKEN;

    TEST_HEADERS(&h, JSON, EVENT, id, timestamp, signature);
    assert_true(
        webhook_gitlab.verify(&h.headers, body, request.body.len, &secrets, REQUEST_NOW, NULL));
    TEST_HEADERS(&h, JSON, EVENT, token, id, timestamp, signature); // both together
    assert_true(
        webhook_gitlab.verify(&h.headers, body, request.body.len, &secrets, REQUEST_NOW, NULL));
    must_refuse(TEST_HEADERS(&h, JSON, EVENT, token), body, &secrets, "no webhook-signature");
    must_refuse(TEST_HEADERS(&h, JSON, EVENT, token, timestamp, signature), body, &secrets,
                "no webhook-id");
    must_refuse(TEST_HEADERS(&h, JSON, EVENT, token, id, signature), body, &secrets,
                "no webhook-timestamp");
    must_refuse(TEST_HEADERS(&h, JSON, EVENT, token, id, timestamp, "webhook-signature: v1,AAAA"),
                body, &secrets, "no v1 signature matches");
    must_refuse(TEST_HEADERS(&h, JSON, EVENT, token, id, timestamp, signature, signature), body,
                &secrets, "webhook-signature is there twice");
    must_refuse(TEST_HEADERS(&h, JSON, EVENT, token, id, id, timestamp, signature), body, &secrets,
                "webhook-id is there twice");
    must_refuse(TEST_HEADERS(&h, JSON, EVENT, token, id, timestamp, signature), "{}", &secrets,
                "no v1 signature matches");
    must_refuse(TEST_HEADERS(&h, JSON, EVENT, id, "webhook-timestamp: 1614265330", signature), body,
                &secrets, "s in the past");
    must_refuse(TEST_HEADERS(&h, JSON, EVENT, id, "webhook-timestamp: 1895510000", signature), body,
                &secrets, "s in the future");
}

// --- decode ---
static void decodes_a_push(void **state)
{
    (void)state;
    struct test_headers h;
    struct webhook_event event = must_decode(
        TEST_HEADERS(&h, JSON, EVENT, KEY),
        "{\"object_kind\":\"push\",\"event_name\":\"push\",\"before\":\"" SHA_A "\",\"after\":"
        "\"" SHA_B "\",\"ref\":\"refs/heads/main\",\"checkout_sha\":\"" SHA_B "\",\"message\":null,"
        "\"user_name\":\"Ada L\",\"project_id\":15,\"project\":{\"id\":15,\"web_url\":"
        "\"https://git.example.com:8443/Acme/Report\",\"git_ssh_url\":"
        "\"git@git.example.com:Acme/Report.git\",\"git_http_url\":"
        "\"https://git.example.com:8443/Acme/Report.git\"},\"commits\":["
        "{\"id\":\"" SHA_C "\",\"message\":\"first\",\"author\":{\"name\":\"Bob\"}},"
        "{\"id\":\"" SHA_B "\",\"message\":\"second\\nmore\",\"author\":{\"name\":\"Ada\"}}],"
        "\"total_commits_count\":2,\"repository\":{\"git_http_url\":\"https://evil.example/x\"}}");
    assert_int_equal(event.change.kind, EVENT_PUSH_BRANCH);
    assert_string_equal(event.delivery, "f5e5f430-f57b-4e6e-9fac-d9128cd7232f");
    assert_string_equal(event.name, "Push Hook");
    assert_string_equal(event.repository, "git.example.com:8443/Acme/Report");
    assert_string_equal(event.change.ref, "refs/heads/main");
    assert_string_equal(event.change.branch, "main");
    assert_string_equal(event.change.before, SHA_A);
    assert_string_equal(event.change.after, SHA_B);
    assert_string_equal(event.pusher, "Ada L");
    assert_string_equal(event.subject, "second");
    assert_string_equal(event.author, "Ada");
}

static void a_commit_that_is_not_the_head_is_not_shown(void **state)
{
    (void)state;
    struct test_headers h;
    struct webhook_event event =
        must_decode(TEST_HEADERS(&h, JSON, EVENT, KEY),
                    "{\"object_kind\":\"push\",\"after\":\"" SHA_B "\",\"ref\":\"refs/heads/main\","
                    "\"commits\":[{\"id\":\"" SHA_C "\",\"message\":\"x\"}]," PROJECT "}");
    assert_string_equal(event.subject, "");
}

static void tells_the_kinds_apart(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum webhook_event_kind kind;
        const char *after;
    } cases[] = {
        {PUSH, EVENT_PUSH_BRANCH, SHA_B},
        {PUSH_OF("push", "refs/heads/old", ZEROS, "null"), EVENT_DELETE_BRANCH, ZEROS},
        {PUSH_OF("tag_push", "refs/tags/v1", SHA_B, "\"" SHA_C "\""), EVENT_PUSH_TAG, SHA_C},
        {PUSH_OF("tag_push", "refs/tags/v1", SHA_B, "null"), EVENT_PUSH_TAG, SHA_B},
        {PUSH_OF("tag_push", "refs/tags/v1", ZEROS, "null"), EVENT_DELETE_TAG, ZEROS},
        {PUSH_OF("push", "refs/keep-around/x", SHA_B, "null"), EVENT_IGNORED, SHA_B},
        {"{\"event_name\":\"push\",\"ref\":\"refs/heads/main\",\"after\":\"" SHA_B "\"," PROJECT
         "}",
         EVENT_PUSH_BRANCH, SHA_B},
        {"{\"event_name\":\"tag_push\",\"ref\":\"refs/tags/v1\",\"after\":\"" SHA_B "\"," PROJECT
         "}",
         EVENT_PUSH_TAG, SHA_B},
        {"{\"event_name\":\"repository_update\",\"refs\":[\"refs/heads/main\"]," PROJECT "}",
         EVENT_IGNORED, ""},
        {"{\"event_name\":\"user_create\",\"name\":\"x\",\"ref\":3}", EVENT_IGNORED, ""},
        {"{\"object_kind\":\"issue\",\"project\":[]}", EVENT_IGNORED, ""},
    };
    static const char *const headers[] = {EVENT, SYSTEM, "X-Gitlab-Event: Tag Push Hook"};
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t j = 0; j < COUNT(headers); j++) {
            struct test_headers h;
            struct webhook_event event =
                must_decode(TEST_HEADERS(&h, JSON, headers[j], KEY), cases[i].body);
            assert_int_equal(event.change.kind, cases[i].kind);
            assert_string_equal(event.change.after, cases[i].after);
            assert_int_equal(event.change.ignored_because != NULL,
                             event.change.kind == EVENT_IGNORED);
        }
    }
}

static void knows_a_delivery_by_its_key(void **state)
{
    (void)state;
    static const struct {
        const char *lines[4];
        const char *delivery;
    } cases[] = {
        {{KEY}, "f5e5f430-f57b-4e6e-9fac-d9128cd7232f"},
        {{"webhook-id: id-1"}, "id-1"},
        {{"webhook-id: id-1", "webhook-signature: v1,x"}, "id-1"},
        // What is signed goes before what is not.
        {{KEY, "webhook-id: id-1", "webhook-signature: v1,x"}, "id-1"},
        {{KEY, "webhook-id: id-1"}, "f5e5f430-f57b-4e6e-9fac-d9128cd7232f"},
        {{KEY, "webhook-signature: v1,x"}, "f5e5f430-f57b-4e6e-9fac-d9128cd7232f"},
        {{"X-Gitlab-Webhook-UUID: not-this"}, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct test_headers h;
        const char *lines[7] = {JSON, EVENT};
        memcpy(lines + 2, cases[i].lines, sizeof cases[i].lines);
        struct webhook_event event = must_decode(test_headers_read(&h, lines), PUSH);
        char from_body[DELIVERY_ID_MAX + 1];
        snprintf(from_body, sizeof from_body, "body-%s", event.body_sha256);
        assert_string_equal(event.delivery, cases[i].delivery ? cases[i].delivery : from_body);
    }
}

static void refuses_bad_requests(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *says;
    } bodies[] = {
        {"", "empty"},
        {"x", "not JSON"},
        {"{}", "neither object_kind nor event_name"},
        {"{\"object_kind\":5}", "neither object_kind nor event_name"},
        {"{\"object_kind\":\"push\"}", "repository"},
        {"{\"object_kind\":\"push\",\"project\":{}}", "repository"},
        {"{\"object_kind\":\"push\"," PROJECT "}", "\"ref\""},
        {"{\"object_kind\":\"push\",\"ref\":[]," PROJECT "}", "\"ref\" is not a string"},
        {"{\"object_kind\":\"push\",\"ref\":\"refs/heads/main\"," PROJECT "}", "\"after\""},
        {"{\"object_kind\":\"push\",\"object_kind\":\"push\"}", "twice"},
        {PUSH_OF("push", "refs/heads/a..b", SHA_B, "null"), "\"ref\""},
        {PUSH_OF("push", "refs/heads/main", "b", "null"), "\"after\""},
        {PUSH_OF("tag_push", "refs/tags/v1", SHA_B, "\"x\""), "\"after\""},
    };
    struct test_headers h;
    struct webhook_event event;
    struct error err = {0};
    for (size_t i = 0; i < COUNT(bodies); i++) {
        if (decode(TEST_HEADERS(&h, JSON, EVENT, KEY), bodies[i].body, &event, &err))
            fail_msg("taken: %s", bodies[i].body);
        assert_int_equal(err.code, ERR_INVALID);
        if (!strstr(err.text, bodies[i].says))
            fail_msg("%s: %s", bodies[i].body, err.text);
    }
    const struct webhook_headers *const headers[] = {
        TEST_HEADERS(&(struct test_headers){0}, JSON, KEY),
        TEST_HEADERS(&(struct test_headers){0}, JSON, EVENT, EVENT, KEY),
        TEST_HEADERS(&(struct test_headers){0}, JSON, EVENT, KEY, KEY),
        TEST_HEADERS(&(struct test_headers){0}, JSON, EVENT, "Idempotency-Key: a b"),
    };
    for (size_t i = 0; i < COUNT(headers); i++) {
        assert_false(decode(headers[i], PUSH, &event, &err));
        assert_int_equal(err.code, ERR_INVALID);
    }
    TEST_HEADERS(&h, "Content-Type: application/x-www-form-urlencoded", EVENT, KEY);
    assert_false(decode(&h.headers, PUSH, &event, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_token),
        cmocka_unit_test(takes_a_token_beside_signing_when_told_so),
        cmocka_unit_test(refuses_all_without_a_secret),
        cmocka_unit_test(knows_its_headers),
        cmocka_unit_test(never_falls_back_from_signing),
        cmocka_unit_test(decodes_a_push),
        cmocka_unit_test(a_commit_that_is_not_the_head_is_not_shown),
        cmocka_unit_test(tells_the_kinds_apart),
        cmocka_unit_test(knows_a_delivery_by_its_key),
        cmocka_unit_test(refuses_bad_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
