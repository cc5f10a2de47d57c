#include "agent/base/json.h"
#include "tests/unit/webhooks/request.h"
#include "webhooks/signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define SECRET     "a secret of some length"
#define REPOSITORY "\"repository\":{\"clone_url\":\"https://github.com/acme/report.git\"}"
#define SHA_A      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B      "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ZEROS      "0000000000000000000000000000000000000000"
#define PUSH_OF(ref)                                                                               \
    "{\"ref\":\"" ref "\",\"before\":\"" SHA_A "\",\"after\":\"" SHA_B "\"," REPOSITORY "}"
#define PUSH PUSH_OF("refs/heads/main")

#define JSON     "Content-Type: application/json"
#define FORM     "Content-Type: application/x-www-form-urlencoded"
#define EVENT    "X-GitHub-Event: push"
#define DELIVERY "X-GitHub-Delivery: 72d3162e-cc78-11e3-81ab-4c9367dc0958"

static struct webhook_secrets secrets;

static int add_secrets(void **state)
{
    (void)state;
    struct error err;
    return !webhook_secrets_add(&secrets, SECRET_HMAC, "the one before", &err) ||
           !webhook_secrets_add(&secrets, SECRET_HMAC, SECRET, &err);
}

static int finish_secrets(void **state)
{
    (void)state;
    webhook_secrets_finish(&secrets);
    return 0;
}

// "X-Hub-Signature-256: …" over the body, by the second secret.
static const char *signature_of(const char *body)
{
    static char line[sizeof "X-Hub-Signature-256: " + HUB_SIGNATURE_SIZE];
    char signature[HUB_SIGNATURE_SIZE];
    hub_signature_make(&secrets.list[SECRET_HMAC][1], body, strlen(body), signature);
    snprintf(line, sizeof line, "X-Hub-Signature-256: %s", signature);
    return line;
}

static bool verify(const struct webhook_headers *headers, const char *body, struct error *err)
{
    return webhook_github.verify(headers, body, strlen(body), &secrets, REQUEST_NOW, err);
}

static void must_refuse(const struct webhook_headers *headers, const char *body, const char *says)
{
    request_must_be_refused(&webhook_github, headers, body, &secrets, SECRET, says);
}

static bool decode(const struct webhook_headers *headers, const char *body,
                   struct webhook_event *out, struct error *err)
{
    return webhook_github.decode(headers, body, strlen(body), out, err);
}

static struct webhook_event must_decode(const struct webhook_headers *headers, const char *body)
{
    return request_decoded(&webhook_github, headers, body);
}

// --- verify ---
static void takes_a_signed_body(void **state)
{
    (void)state;
    struct test_headers h;
    assert_true(verify(TEST_HEADERS(&h, JSON, EVENT, signature_of(PUSH)), PUSH, NULL));
    // The body is not looked at.
    assert_true(verify(TEST_HEADERS(&h, JSON, EVENT, signature_of("\xff{")), "\xff{", NULL));
    assert_true(verify(TEST_HEADERS(&h, JSON, EVENT, signature_of("")), "", NULL));
    // Header names have no case.
    assert_true(verify(
        TEST_HEADERS(&h, "x-github-event: push",
                     strcat((char[128]){"x-hub-SIGNATURE-256"}, strchr(signature_of(PUSH), ':'))),
        PUSH, NULL));
}

static void refuses_bad_signatures(void **state)
{
    (void)state;
    struct test_headers h;
    must_refuse(TEST_HEADERS(&h, JSON, EVENT), PUSH, "no X-Hub-Signature-256 header");
    must_refuse(TEST_HEADERS(&h, JSON, EVENT, "X-Hub-Signature-256: "), PUSH,
                "no X-Hub-Signature-256 header");
    must_refuse(TEST_HEADERS(&h, JSON, EVENT, "X-Hub-Signature: sha1=" SHA_A), PUSH,
                "only a SHA-1 signature");
    must_refuse(TEST_HEADERS(&h, JSON, EVENT, signature_of(PUSH), signature_of(PUSH)), PUSH,
                "X-Hub-Signature-256 is there twice");
    must_refuse(TEST_HEADERS(&h, JSON, EVENT, "X-Hub-Signature-256: sha256=abc"), PUSH,
                "64 lower-case hex digits");
    must_refuse(TEST_HEADERS(&h, JSON, EVENT, signature_of(PUSH " ")), PUSH,
                "matches no configured secret");
}

static void refuses_reserialised_json(void **state)
{
    (void)state;
    struct test_headers h;
    static const char pretty[] = "{\n  \"ref\": \"refs/heads/main\"\n}";
    static const char compact[] = "{\"ref\":\"refs/heads/main\"}";
    assert_true(verify(TEST_HEADERS(&h, JSON, EVENT, signature_of(pretty)), pretty, NULL));
    must_refuse(TEST_HEADERS(&h, JSON, EVENT, signature_of(compact)), pretty,
                "matches no configured secret");
}

static void refuses_all_without_a_secret(void **state)
{
    (void)state;
    struct test_headers h;
    struct error err = {0};
    const struct webhook_secrets none = {0};
    TEST_HEADERS(&h, JSON, EVENT, signature_of(PUSH));
    assert_false(webhook_github.verify(&h.headers, PUSH, strlen(PUSH), &none, REQUEST_NOW, &err));
    assert_int_equal(err.code, ERR_UNAUTHORIZED);
    assert_non_null(strstr(err.text, "no secret is configured"));
}

static void knows_its_headers(void **state)
{
    (void)state;
    struct test_headers h;
    assert_true(webhook_github.detect(TEST_HEADERS(&h, JSON, EVENT)));
    assert_false(webhook_github.detect(TEST_HEADERS(&h, JSON, "X-Gitlab-Event: Push Hook")));
}

static void gitea_signs_inside_the_form(void **state)
{
    (void)state;
    struct test_headers h;
    static const char form[] = "payload=%7B%22a%22%3A1%7D";
    static const char json[] = "{\"a\":1}";
    assert_true(verify(TEST_HEADERS(&h, FORM, EVENT, signature_of(form)), form, NULL));
    must_refuse(TEST_HEADERS(&h, FORM, EVENT, signature_of(json)), form, "matches no");
    static const char *const marks[] = {"X-Gitea-Event: push", "X-Forgejo-Event: push"};
    for (size_t i = 0; i < COUNT(marks); i++) {
        assert_true(
            verify(TEST_HEADERS(&h, FORM, EVENT, marks[i], signature_of(json)), form, NULL));
        must_refuse(TEST_HEADERS(&h, FORM, EVENT, marks[i], signature_of(form)), form,
                    "matches no");
        assert_true(
            verify(TEST_HEADERS(&h, JSON, EVENT, marks[i], signature_of(json)), json, NULL));
        struct error err = {0};
        assert_false(
            verify(TEST_HEADERS(&h, FORM, EVENT, marks[i], signature_of(json)), json, &err));
        assert_int_equal(err.code, ERR_INVALID);
    }
}

// --- decode ---
static void decodes_a_push(void **state)
{
    (void)state;
    struct test_headers h;
    static const char body[] =
        "{\"ref\":\"refs/heads/feature/x\",\"before\":\"" SHA_A "\",\"after\":\"" SHA_B "\","
        "\"created\":false,\"deleted\":false,\"base_ref\":null,\"repository\":{\"id\":1,"
        "\"owner\":{\"name\":\"acme\",\"clone_url\":\"https://evil.example/x\"},"
        "\"html_url\":\"https://github.com/acme/other\","
        "\"ssh_url\":\"git@github.com:acme/another.git\","
        "\"clone_url\":\"https://github.com/Acme/Report.git\"},"
        "\"pusher\":{\"name\":\"ada\",\"email\":\"ada@example.com\"},"
        "\"commits\":[{\"message\":\"no\"}],"
        "\"head_commit\":{\"message\":\"Fix it\\n\\nLong.\",\"author\":{\"name\":\"Ada L\"}}}";
    struct webhook_event event = must_decode(TEST_HEADERS(&h, JSON, EVENT, DELIVERY), body);
    assert_int_equal(event.change.kind, EVENT_PUSH_BRANCH);
    assert_null(event.change.ignored_because);
    assert_string_equal(event.delivery, "72d3162e-cc78-11e3-81ab-4c9367dc0958");
    assert_string_equal(event.name, "push");
    assert_string_equal(event.repository, "github.com/acme/report");
    assert_string_equal(event.change.ref, "refs/heads/feature/x");
    assert_string_equal(event.change.branch, "feature/x");
    assert_string_equal(event.change.before, SHA_A);
    assert_string_equal(event.change.after, SHA_B);
    assert_string_equal(event.pusher, "ada");
    assert_string_equal(event.subject, "Fix it");
    assert_string_equal(event.author, "Ada L");
    uint8_t hash[SHA256_SIZE];
    char hex[SHA256_HEX_SIZE];
    sha256(body, strlen(body), hash);
    hex_encode(hash, sizeof hash, hex);
    assert_string_equal(event.body_sha256, hex);
}

static void decodes_a_form(void **state)
{
    (void)state;
    struct test_headers h;
    CLEANUP(signed_request_finish) struct signed_request request = {0};
    struct error err;
    assert_true(sign_request(&(struct sign_request){.scheme = SIGN_GITHUB_FORM,
                                                    .secret = SECRET,
                                                    .repository = "git@github.com:acme/report",
                                                    .now = REQUEST_NOW},
                             &request, &err));
    struct webhook_event event =
        must_decode(test_headers_of(&h, &request), buffer_text(&request.body));
    assert_int_equal(event.change.kind, EVENT_PUSH_BRANCH);
    assert_string_equal(event.repository, "github.com/acme/report");

    TEST_HEADERS(&h, FORM, EVENT, DELIVERY);
    assert_false(decode(&h.headers, "payloads=x", &event, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_false(decode(&h.headers, PUSH, &event, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_false(decode(&h.headers, "payload=%7B", &event, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

static void tells_the_kinds_apart(void **state)
{
    (void)state;
#define PUSH_FULL(ref, before, after, more)                                                        \
    "{\"ref\":\"" ref "\",\"before\":\"" before "\",\"after\":\"" after "\"" more "," REPOSITORY "}"
    static const struct {
        const char *body;
        enum webhook_event_kind kind;
        const char *branch;
        const char *after;
    } cases[] = {
        {PUSH, EVENT_PUSH_BRANCH, "main", SHA_B},
        {PUSH_FULL("refs/heads/new", ZEROS, SHA_B, ""), EVENT_PUSH_BRANCH, "new", SHA_B},
        {PUSH_FULL("refs/tags/v1", ZEROS, SHA_B, ""), EVENT_PUSH_TAG, "", SHA_B},
        {PUSH_FULL("refs/heads/old", SHA_A, ZEROS, ",\"deleted\":true"), EVENT_DELETE_BRANCH, "old",
         ZEROS},
        {PUSH_FULL("refs/heads/old", SHA_A, ZEROS, ""), EVENT_DELETE_BRANCH, "old", ZEROS},
        {PUSH_FULL("refs/tags/v1", SHA_A, ZEROS, ",\"deleted\":true"), EVENT_DELETE_TAG, "", ZEROS},
        {PUSH_FULL("refs/notes/commits", SHA_A, SHA_B, ""), EVENT_IGNORED, "", SHA_B},
        {PUSH_FULL("refs/heads/sha256", ZEROS, SHA_B "bbbbbbbbbbbbbbbbbbbbbbbb", ""),
         EVENT_PUSH_BRANCH, "sha256", SHA_B "bbbbbbbbbbbbbbbbbbbbbbbb"},
        {"{\"ref\":\"refs/heads/main\",\"after\":\"" SHA_B "\"," REPOSITORY "}", EVENT_PUSH_BRANCH,
         "main", SHA_B},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct test_headers h;
        struct webhook_event event =
            must_decode(TEST_HEADERS(&h, JSON, EVENT, DELIVERY), cases[i].body);
        assert_int_equal(event.change.kind, cases[i].kind);
        assert_string_equal(event.change.branch, cases[i].branch);
        assert_string_equal(event.change.after, cases[i].after);
        assert_int_equal(event.change.ignored_because != NULL, event.change.kind == EVENT_IGNORED);
    }
}

static void takes_pings_and_ignores_the_rest(void **state)
{
    (void)state;
    struct test_headers h;
    struct webhook_event event =
        must_decode(TEST_HEADERS(&h, JSON, "X-GitHub-Event: ping", DELIVERY),
                    "{\"zen\":\"z\",\"hook_id\":1," REPOSITORY "}");
    assert_int_equal(event.change.kind, EVENT_PING);
    assert_string_equal(event.repository, "github.com/acme/report");
    event = must_decode(TEST_HEADERS(&h, JSON, "X-GitHub-Event: ping", DELIVERY),
                        "{\"zen\":\"z\",\"organization\":{}}");
    assert_int_equal(event.change.kind, EVENT_PING);
    assert_string_equal(event.repository, "");
    // Fields that mean something else there are no errors.
    event = must_decode(TEST_HEADERS(&h, JSON, "X-GitHub-Event: issues", DELIVERY),
                        "{\"ref\":5,\"before\":{},\"repository\":{\"clone_url\":\"nonsense\"}}");
    assert_int_equal(event.change.kind, EVENT_IGNORED);
    assert_string_equal(event.name, "issues");
    assert_non_null(event.change.ignored_because);
    struct error err = {0};
    assert_false(decode(&h.headers, "{\"ref\":", &event, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

static void looks_for_the_repository(void **state)
{
    (void)state;
    static const struct {
        const char *repository;
        const char *identity;
    } cases[] = {
        {"{\"ssh_url\":\"git@git.example.com:a/b.git\"}", "git.example.com/a/b"},
        {"{\"clone_url\":\"\",\"html_url\":\"http://git.example.com:3000/a/b\"}",
         "git.example.com:3000/a/b"},
        {"{\"clone_url\":\"nonsense\",\"html_url\":null,\"ssh_url\":\"git@x:a\"}", "x/a"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct test_headers h;
        char body[512];
        snprintf(body, sizeof body,
                 "{\"ref\":\"refs/heads/main\",\"after\":\"" SHA_B "\",\"repository\":%s}",
                 cases[i].repository);
        struct webhook_event event = must_decode(TEST_HEADERS(&h, JSON, EVENT, DELIVERY), body);
        assert_string_equal(event.repository, cases[i].identity);
    }
}

static void takes_giteas_pusher(void **state)
{
    (void)state;
    struct test_headers h;
    struct webhook_event event =
        must_decode(TEST_HEADERS(&h, JSON, EVENT, "X-Gitea-Event: push", DELIVERY),
                    "{\"ref\":\"refs/heads/main\",\"after\":\"" SHA_B "\",\"pusher\":{\"id\":1,"
                    "\"login\":\"ada\",\"full_name\":\"\"}," REPOSITORY "}");
    assert_string_equal(event.pusher, "ada");
}

static void refuses_bad_payloads(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *says;
    } cases[] = {
        {"", "empty"},
        {"hello", "not JSON"},
        {"[]", "not a JSON object"},
        {"{}", "repository"},
        {"{\"ref\":\"refs/heads/main\",\"after\":\"" SHA_B "\"}", "repository"},
        {"{\"ref\":\"refs/heads/main\",\"after\":\"" SHA_B "\",\"repository\":\"x\"}",
         "repository"},
        {"{\"ref\":\"refs/heads/main\",\"after\":\"" SHA_B
         "\",\"repository\":{\"clone_url\":\"file:///etc/passwd\"}}",
         "repository"},
        {"{\"after\":\"" SHA_B "\"," REPOSITORY "}", "\"ref\""},
        {"{\"ref\":7,\"after\":\"" SHA_B "\"," REPOSITORY "}", "\"ref\" is not a string"},
        {"{\"ref\":\"refs/heads/main\"," REPOSITORY "}", "\"after\""},
        {"{\"ref\":\"refs/heads/main\",\"after\":null," REPOSITORY "}", "\"after\""},
        {"{\"ref\":\"refs/heads/main\",\"after\":\"main\"," REPOSITORY "}", "\"after\""},
        {"{\"ref\":\"refs/heads/main\",\"after\":\"g" SHA_B "\"," REPOSITORY "}", "\"after\""},
        {"{\"ref\":\"refs/heads/main\",\"before\":\"x\",\"after\":\"" SHA_B "\"," REPOSITORY "}",
         "\"before\""},
        {"{\"ref\":\"refs/heads/main\",\"after\":\"" SHA_B "\",\"deleted\":\"yes\"," REPOSITORY "}",
         "\"deleted\""},
        {"{\"ref\":\"refs/heads/a\",\"ref\":\"refs/heads/b\",\"after\":\"" SHA_B "\"," REPOSITORY
         "}",
         "\"ref\" twice"},
        {PUSH_OF("main"), "\"ref\""},
        {PUSH_OF("refs/heads/../../etc"), "\"ref\""},
        {PUSH_OF("refs/heads/a..b"), "\"ref\""},
        {PUSH_OF("refs/heads/a\\u0001"), "control character"},
        {PUSH_OF("refs/heads/a\\u0000b"), "NUL"},
        {PUSH_OF("refs/heads/$(touch /tmp/x)"), "\"ref\""},
        {PUSH_OF("refs/heads/-x"), "\"ref\""},
        {PUSH_OF("refs/heads/HEAD"), "\"ref\""},
        {PUSH_OF("refs/heads/\xff"), "UTF-8"},
        {PUSH "x", "follows"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct test_headers h;
        struct error err = {0};
        struct webhook_event event = {.change.kind = EVENT_KIND_COUNT};
        TEST_HEADERS(&h, JSON, EVENT, DELIVERY);
        if (decode(&h.headers, cases[i].body, &event, &err))
            fail_msg("taken: %s", cases[i].body);
        assert_int_equal(err.code, ERR_INVALID);
        assert_int_equal(event.change.kind, EVENT_KIND_COUNT);
        if (!strstr(err.text, cases[i].says))
            fail_msg("%s: %s", cases[i].body, err.text);
    }
}

static void checks_the_headers(void **state)
{
    (void)state;
    struct test_headers h;
    static const char *const taken[] = {
        "Content-Type: application/json; charset=utf-8",
        "Content-Type: Application/JSON",
        "Content-Type: application/json;charset=UTF-8",
    };
    static const char *const unsupported[] = {
        "Content-Type: text/plain",        "Content-Type: ",
        "Content-Type: application/jsonx", "Content-Type: application/xml",
        "Accept: application/json",
    };
    struct webhook_event event;
    struct error err = {0};
    for (size_t i = 0; i < COUNT(taken); i++)
        must_decode(TEST_HEADERS(&h, taken[i], EVENT, DELIVERY), PUSH);
    for (size_t i = 0; i < COUNT(unsupported); i++) {
        assert_false(decode(TEST_HEADERS(&h, unsupported[i], EVENT, DELIVERY), PUSH, &event, &err));
        assert_int_equal(err.code, ERR_UNSUPPORTED);
    }
    const struct webhook_headers *const bad[] = {
        TEST_HEADERS(&(struct test_headers){0}, JSON, JSON, EVENT, DELIVERY),
        TEST_HEADERS(&(struct test_headers){0}, JSON, EVENT, EVENT, DELIVERY),
        TEST_HEADERS(&(struct test_headers){0}, JSON, EVENT, DELIVERY, DELIVERY),
        TEST_HEADERS(&(struct test_headers){0}, JSON, DELIVERY),
        TEST_HEADERS(&(struct test_headers){0}, JSON, "X-GitHub-Event: ", DELIVERY),
        TEST_HEADERS(&(struct test_headers){0}, JSON, "X-GitHub-Event: pu\tsh", DELIVERY),
        TEST_HEADERS(&(struct test_headers){0}, JSON, EVENT, "X-GitHub-Delivery: a b"),
        TEST_HEADERS(&(struct test_headers){0}, JSON, EVENT, "X-GitHub-Delivery: ../x"),
        TEST_HEADERS(&(struct test_headers){0}, JSON, EVENT, "X-GitHub-Delivery: a/b"),
        TEST_HEADERS(&(struct test_headers){0}, JSON, EVENT, "X-GitHub-Delivery: caf\xc3\xa9"),
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (decode(bad[i], PUSH, &event, &err))
            fail_msg("taken: number %zu", i);
        assert_int_equal(err.code, ERR_INVALID);
    }
}

static void an_empty_body_may_be_null(void **state)
{
    (void)state;
    struct test_headers h;
    struct webhook_event event;
    struct error err = {0};
    TEST_HEADERS(&h, JSON, EVENT, signature_of(""));
    assert_true(webhook_github.verify(&h.headers, NULL, 0, &secrets, REQUEST_NOW, NULL));
    assert_false(webhook_github.decode(&h.headers, NULL, 0, &event, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

static void bounds_the_delivery_id(void **state)
{
    (void)state;
    struct test_headers h;
    struct webhook_event event;
    struct error err = {0};
    char line[sizeof "X-GitHub-Delivery: " + DELIVERY_ID_MAX + 1] = "X-GitHub-Delivery: ";
    memset(line + strlen(line), 'a', DELIVERY_ID_MAX);
    event = must_decode(TEST_HEADERS(&h, JSON, EVENT, line), PUSH);
    assert_int_equal(strlen(event.delivery), DELIVERY_ID_MAX);
    strcat(line, "a");
    assert_false(decode(TEST_HEADERS(&h, JSON, EVENT, line), PUSH, &event, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

static void makes_a_missing_delivery_id(void **state)
{
    (void)state;
    struct test_headers h;
    struct webhook_event event = must_decode(TEST_HEADERS(&h, JSON, EVENT), PUSH);
    char expected[DELIVERY_ID_MAX + 1];
    snprintf(expected, sizeof expected, "body-%s", event.body_sha256);
    assert_string_equal(event.delivery, expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_signed_body),
        cmocka_unit_test(refuses_bad_signatures),
        cmocka_unit_test(refuses_reserialised_json),
        cmocka_unit_test(refuses_all_without_a_secret),
        cmocka_unit_test(knows_its_headers),
        cmocka_unit_test(gitea_signs_inside_the_form),
        cmocka_unit_test(decodes_a_push),
        cmocka_unit_test(decodes_a_form),
        cmocka_unit_test(tells_the_kinds_apart),
        cmocka_unit_test(takes_pings_and_ignores_the_rest),
        cmocka_unit_test(looks_for_the_repository),
        cmocka_unit_test(takes_giteas_pusher),
        cmocka_unit_test(refuses_bad_payloads),
        cmocka_unit_test(checks_the_headers),
        cmocka_unit_test(an_empty_body_may_be_null),
        cmocka_unit_test(bounds_the_delivery_id),
        cmocka_unit_test(makes_a_missing_delivery_id),
    };
    return cmocka_run_group_tests(tests, add_secrets, finish_secrets);
}
