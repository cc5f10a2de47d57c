// Bitbucket Cloud's and Data Center's requests: the signature, and every ref of a push.
#include "agent/base/buffer.h"
#include "agent/base/file.h"
#include "tests/unit/webhooks/request.h"
#include "webhooks/signature.h"

#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define SECRET   "a secret of some length"
#define JSON     "Content-Type: application/json; charset=utf-8"
#define CLOUD    "X-Event-Key: repo:push"
#define SERVER   "X-Event-Key: repo:refs_changed"
#define UUID     "X-Request-UUID: 2bf6ba14-6e7a-4c4a-ba5a-d4fd0f7ff3a3"
#define BODY     "Hello, World!"
#define VECTOR   "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
#define SHA_A    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ZEROS    "0000000000000000000000000000000000000000"
#define MESSAGES TEST_CORPORA "/webhooks/bitbucket/"

static struct webhook_secrets secrets;

static int add_secrets(void **state)
{
    (void)state;
    struct error err;
    return !webhook_secrets_add(&secrets, SECRET_BITBUCKET, SECRET, &err) ||
           !webhook_secrets_add(&secrets, SECRET_BITBUCKET, "It's a Secret to Everybody", &err) ||
           !webhook_secrets_add(&secrets, SECRET_HMAC, "GitHub's alone", &err);
}

static int finish_secrets(void **state)
{
    (void)state;
    webhook_secrets_finish(&secrets);
    return 0;
}

static void must_refuse(const struct webhook_headers *headers, const char *says)
{
    request_must_be_refused(&webhook_bitbucket, headers, BODY, &secrets, SECRET, says);
}

// The event of one of the corpus's messages; the caller finishes it.
static struct webhook_event decoded(const char *event, const char *file)
{
    char path[sizeof MESSAGES + 64];
    struct test_headers h;
    struct error err = {0};
    CLEANUP(buffer_finish) struct buffer body = {0};
    snprintf(path, sizeof path, MESSAGES "%s", file);
    if (!file_read(path, 1 << 20, &body, &err))
        fail_msg("%s", err.text);
    return request_decoded(&webhook_bitbucket, TEST_HEADERS(&h, JSON, event, UUID),
                           buffer_text(&body));
}

static void check_change(const struct webhook_change *change, enum webhook_event_kind kind,
                         const char *ref, const char *before, const char *after)
{
    assert_int_equal(change->kind, kind);
    assert_string_equal(change->ref, ref);
    assert_string_equal(change->before, before);
    assert_string_equal(change->after, after);
}

static void verifies_the_signature(void **state)
{
    (void)state;
    struct test_headers h;
    TEST_HEADERS(&h, JSON, CLOUD, "X-Hub-Signature: sha256=" VECTOR);
    assert_true(webhook_bitbucket.detect(&h.headers));
    assert_true(
        webhook_bitbucket.verify(&h.headers, BODY, strlen(BODY), &secrets, REQUEST_NOW, NULL));
    assert_false(
        webhook_bitbucket.verify(&h.headers, BODY, strlen(BODY) - 1, &secrets, REQUEST_NOW, NULL));
    const struct webhook_secrets none = {0};
    assert_false(
        webhook_bitbucket.verify(&h.headers, BODY, strlen(BODY), &none, REQUEST_NOW, NULL));
}

static void refuses_bad_signatures(void **state)
{
    (void)state;
    struct test_headers h;
    char foreign[TEST_LINE_MAX], signature[HUB_SIGNATURE_SIZE];
    hub_signature_make(&secrets.list[SECRET_HMAC][0], BODY, strlen(BODY), signature);
    snprintf(foreign, sizeof foreign, "X-Hub-Signature: %s", signature);
    const struct {
        const char *line;
        const char *says;
    } cases[] = {
        {"X-Hook-UUID: 1", "no X-Hub-Signature header: has the hook a secret?"},
        {"X-Hub-Signature: ", "no X-Hub-Signature header: has the hook a secret?"},
        {"X-Hub-Signature-256: sha256=" VECTOR, "no X-Hub-Signature header"},
        {"X-Hub-Signature: sha256=", "X-Hub-Signature is not \"sha256=\""},
        {"X-Hub-Signature: sha1=0123456789012345678901234567890123456789",
         "X-Hub-Signature is not \"sha256=\""},
        {"X-Hub-Signature: " VECTOR, "X-Hub-Signature is not \"sha256=\""},
        {foreign, "matches no configured secret"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        must_refuse(TEST_HEADERS(&h, JSON, CLOUD, cases[i].line), cases[i].says);
    must_refuse(TEST_HEADERS(&h, JSON, CLOUD, "X-Hub-Signature: sha256=" VECTOR,
                             "X-Hub-Signature: sha256=" VECTOR),
                "the header X-Hub-Signature is there twice");
    must_refuse(TEST_HEADERS(&h, JSON, "X-Event-Key: diagnostics:ping"),
                "Bitbucket does not sign its connection test");
}

static void cloud_push(void **state)
{
    (void)state;
    CLEANUP(webhook_event_finish)
    struct webhook_event event = decoded(CLOUD, "cloud-push.json");
    check_change(&event.change, EVENT_PUSH_BRANCH, "refs/heads/main", SHA_A, SHA_B);
    assert_string_equal(event.repository, "bitbucket.org/acme/report");
    assert_string_equal(event.other_repository, "");
    assert_string_equal(event.delivery, "2bf6ba14-6e7a-4c4a-ba5a-d4fd0f7ff3a3");
    assert_string_equal(event.name, "repo:push");
    assert_string_equal(event.pusher, "Ada");
    assert_string_equal(event.subject, "Change");
    assert_int_equal(event.more_count, 0);
}

static void cloud_push_of_several(void **state)
{
    (void)state;
    CLEANUP(webhook_event_finish)
    struct webhook_event event = decoded(CLOUD, "cloud-several.json");
    assert_int_equal(event.more_count, 3);
    check_change(&event.change, EVENT_PUSH_BRANCH, "refs/heads/main", SHA_A, SHA_B);
    check_change(&event.more[0], EVENT_PUSH_BRANCH, "refs/heads/feature/x", "",
                 "cccccccccccccccccccccccccccccccccccccccc");
    check_change(&event.more[1], EVENT_DELETE_BRANCH, "refs/heads/old", SHA_A, ZEROS);
    check_change(&event.more[2], EVENT_PUSH_TAG, "refs/tags/v1", "", SHA_B);
}

// What is not built stands first in the payload.
static void is_known_by_a_branch(void **state)
{
    (void)state;
    CLEANUP(webhook_event_finish)
    struct webhook_event event = decoded(CLOUD, "cloud-branch-last.json");
    check_change(&event.change, EVENT_PUSH_BRANCH, "refs/heads/main", SHA_A, SHA_B);
    assert_int_equal(event.more_count, 2);
    check_change(&event.more[0], EVENT_PUSH_TAG, "refs/tags/v1", "", SHA_B);
    check_change(&event.more[1], EVENT_DELETE_BRANCH, "refs/heads/old", SHA_A, ZEROS);
}

static void cloud_oddities(void **state)
{
    (void)state;
    CLEANUP(webhook_event_finish)
    struct webhook_event tag = decoded(CLOUD, "cloud-tag.json");
    check_change(&tag.change, EVENT_PUSH_TAG, "refs/tags/v1", "", SHA_B);
    CLEANUP(webhook_event_finish)
    struct webhook_event bookmark = decoded(CLOUD, "cloud-bookmark.json");
    assert_int_equal(bookmark.change.kind, EVENT_IGNORED);
    CLEANUP(webhook_event_finish)
    struct webhook_event none = decoded(CLOUD, "cloud-none.json");
    assert_int_equal(none.change.kind, EVENT_IGNORED);
    CLEANUP(webhook_event_finish)
    struct webhook_event many = decoded(CLOUD, "cloud-many.json");
    assert_int_equal(many.more_count, EVENT_CHANGES_MAX - 1);
    assert_int_equal(many.left_out, 70 - EVENT_CHANGES_MAX);
    assert_string_equal(many.more[EVENT_CHANGES_MAX - 2].branch, "b63");
}

static void server_push(void **state)
{
    (void)state;
    CLEANUP(webhook_event_finish)
    struct webhook_event event = decoded(SERVER, "server-several.json");
    // Its addresses differ in more than their scheme.
    assert_string_equal(event.repository, "bitbucket.example/scm/acme/report");
    assert_string_equal(event.other_repository, "bitbucket.example/acme/report");
    assert_string_equal(event.pusher, "Ada");
    assert_int_equal(event.more_count, 3);
    check_change(&event.change, EVENT_PUSH_BRANCH, "refs/heads/main", SHA_A, SHA_B);
    check_change(&event.more[0], EVENT_PUSH_BRANCH, "refs/heads/new", "",
                 "cccccccccccccccccccccccccccccccccccccccc");
    check_change(&event.more[1], EVENT_DELETE_BRANCH, "refs/heads/old", SHA_A, ZEROS);
    check_change(&event.more[2], EVENT_PUSH_TAG, "refs/tags/v1", "", SHA_B);
}

static void pings_and_others(void **state)
{
    (void)state;
    CLEANUP(webhook_event_finish)
    struct webhook_event ping = decoded("X-Event-Key: diagnostics:ping", "server-ping.json");
    assert_int_equal(ping.change.kind, EVENT_PING);
    CLEANUP(webhook_event_finish)
    struct webhook_event other = decoded("X-Event-Key: pullrequest:created", "cloud-push.json");
    assert_int_equal(other.change.kind, EVENT_IGNORED);
}

static void data_centers_own_id(void **state)
{
    (void)state;
    struct test_headers h;
    struct webhook_event event = request_decoded(
        &webhook_bitbucket,
        TEST_HEADERS(&h, JSON, "X-Event-Key: diagnostics:ping", "X-Request-Id: r-1"), "{}");
    assert_string_equal(event.delivery, "r-1");
}

static void refuses_malformed(void **state)
{
    (void)state;
#define OF(changes)                                                                                \
    "{\"repository\":{\"links\":{\"html\":{\"href\":\"https://bitbucket.org/acme/report\"}}},"     \
    "\"push\":{\"changes\":" changes "}}"
    static const char *const bodies[] = {
        "",
        "not JSON",
        "{\"push\":{\"changes\":[]}}", // no repository
        OF("{}"),                      // no list
        OF("[{\"new\":{\"type\":\"branch\",\"name\":\"main\"}}]"),
        OF("[{\"new\":{\"type\":\"branch\",\"name\":\"a..b\",\"target\":{\"hash\":\"" SHA_A
           "\"}}}]"),
        OF("[{\"new\":{\"type\":\"branch\",\"name\":7,\"target\":{\"hash\":\"" SHA_A "\"}}}]"),
        OF("[{\"new\":{\"type\":\"branch\",\"name\":\"main\",\"target\":{\"hash\":\"" SHA_A
           "\"}}},{\"new\":{\"type\":\"branch\",\"name\":\"-x\",\"target\":{\"hash\":\"" SHA_A
           "\"}}}]"),
    };
    struct test_headers h;
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct webhook_event event = {0};
        struct error err = {0};
        if (webhook_bitbucket.decode(TEST_HEADERS(&h, JSON, CLOUD, UUID), bodies[i],
                                     strlen(bodies[i]), &event, &err))
            fail_msg("taken: %s", bodies[i]);
        assert_int_equal(err.code, ERR_INVALID);
        assert_null(event.more);
    }
    struct webhook_event event = {0};
    struct error err = {0};
    assert_false(webhook_bitbucket.decode(
        TEST_HEADERS(&h, "Content-Type: application/x-www-form-urlencoded", CLOUD, UUID), "{}", 2,
        &event, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verifies_the_signature),
        cmocka_unit_test(refuses_bad_signatures),
        cmocka_unit_test(cloud_push),
        cmocka_unit_test(cloud_push_of_several),
        cmocka_unit_test(is_known_by_a_branch),
        cmocka_unit_test(cloud_oddities),
        cmocka_unit_test(server_push),
        cmocka_unit_test(pings_and_others),
        cmocka_unit_test(data_centers_own_id),
        cmocka_unit_test(refuses_malformed),
    };
    return cmocka_run_group_tests(tests, add_secrets, finish_secrets);
}
