// Gitea's and Forgejo's own headers: the signature's forms, and what is signed.
#include "tests/unit/webhooks/request.h"
#include "webhooks/signature.h"

#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define SECRET "a secret of some length"
#define SHA_A  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B  "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define PUSH                                                                                       \
    "{\"ref\":\"refs/heads/main\",\"before\":\"" SHA_A "\",\"after\":\"" SHA_B                     \
    "\",\"repository\":{\"clone_url\":\"https://git.example:3000/acme/report.git\"},"              \
    "\"pusher\":{\"login\":\"ada\"}}"
// The same inside a form.
#define FORM_PUSH                                                                                  \
    "payload=%7B%22ref%22%3A%22refs%2Fheads%2Fmain%22%2C%22before%22%3A%22" SHA_A                  \
    "%22%2C%22after%22%3A%22" SHA_B                                                                \
    "%22%2C%22repository%22%3A%7B%22clone_url%22%3A%22https%3A%2F%2Fgit.example%3A3000%2Facme%"    \
    "2Freport.git%22%7D%2C%22pusher%22%3A%7B%22login%22%3A%22ada%22%7D%7D"

#define JSON          "Content-Type: application/json"
#define FORM          "Content-Type: application/x-www-form-urlencoded"
#define EVENT         "X-Gitea-Event: push"
#define DELIVERY      "X-Gitea-Delivery: 29a1f6e5-0b16-4ff8-92f0-6f06ec8d0c01"
// Of the vector below.
#define VECTOR_BODY   "Hello, World!"
#define VECTOR_SECRET "It's a Secret to Everybody"
#define VECTOR        "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

static struct webhook_secrets secrets;

static int add_secrets(void **state)
{
    (void)state;
    struct error err;
    return !webhook_secrets_add(&secrets, SECRET_GITEA, "the one before", &err) ||
           !webhook_secrets_add(&secrets, SECRET_GITEA, SECRET, &err) ||
           !webhook_secrets_add(&secrets, SECRET_GITEA, VECTOR_SECRET, &err) ||
           !webhook_secrets_add(&secrets, SECRET_HMAC, "GitHub's alone", &err);
}

static int finish_secrets(void **state)
{
    (void)state;
    webhook_secrets_finish(&secrets);
    return 0;
}

// "<header>: <digits>" over the text, by a secret.
static const char *line_of(char out[static TEST_LINE_MAX], const char *header,
                           enum webhook_secret_sort sort, size_t which, const char *text)
{
    char signature[HUB_SIGNATURE_SIZE];
    hub_signature_make(&secrets.list[sort][which], text, strlen(text), signature);
    bool bare = strcmp(header, "X-Hub-Signature-256") != 0;
    snprintf(out, TEST_LINE_MAX, "%s: %s", header, signature + (bare ? strlen(HUB_PREFIX) : 0));
    return out;
}

static bool verify(const struct webhook_headers *headers, const char *body, struct error *err)
{
    return webhook_gitea.verify(headers, body, strlen(body), &secrets, REQUEST_NOW, err);
}

static void must_refuse(const struct webhook_headers *headers, const char *says)
{
    request_must_be_refused(&webhook_gitea, headers, PUSH, &secrets, SECRET, says);
}

static void knows_its_headers(void **state)
{
    (void)state;
    struct test_headers h;
    static const char *const events[] = {EVENT, "X-Forgejo-Event: push", "X-Gogs-Event: push"};
    for (size_t i = 0; i < COUNT(events); i++)
        assert_true(
            webhook_gitea.detect(TEST_HEADERS(&h, JSON, events[i], "X-GitHub-Event: push")));
    assert_false(webhook_gitea.detect(TEST_HEADERS(&h, JSON, "X-GitHub-Event: push")));
    assert_ptr_equal(webhook_providers[0], &webhook_gitea); // before GitHub's, which it looks like
}

static void takes_each_signature(void **state)
{
    (void)state;
    static const char *const names[] = {"X-Gitea-Signature", "X-Forgejo-Signature",
                                        "X-Gogs-Signature", "X-Hub-Signature-256"};
    struct test_headers h;
    struct error err = {0};
    char line[TEST_LINE_MAX];
    for (size_t i = 0; i < COUNT(names); i++)
        if (!verify(TEST_HEADERS(&h, JSON, EVENT, line_of(line, names[i], SECRET_GITEA, 1, PUSH)),
                    PUSH, &err))
            fail_msg("%s: %s", names[i], err.text);
}

static void vector(void **state)
{
    (void)state;
    struct test_headers h;
    assert_true(
        verify(TEST_HEADERS(&h, JSON, EVENT, "X-Gitea-Signature: " VECTOR), VECTOR_BODY, NULL));
    assert_true(verify(TEST_HEADERS(&h, JSON, EVENT, "X-Gitea-Signature: " VECTOR,
                                    "X-Hub-Signature-256: sha256=" VECTOR),
                       VECTOR_BODY, NULL));
    assert_false(
        verify(TEST_HEADERS(&h, JSON, EVENT, "X-Gitea-Signature: " VECTOR), VECTOR_BODY " ", NULL));
}

static void every_signature_must_hold(void **state)
{
    (void)state;
    struct test_headers h;
    char right[TEST_LINE_MAX], wrong[TEST_LINE_MAX];
    line_of(right, "X-Gitea-Signature", SECRET_GITEA, 1, PUSH);
    line_of(wrong, "X-Hub-Signature-256", SECRET_GITEA, 0, PUSH);
    must_refuse(TEST_HEADERS(&h, JSON, EVENT, right, wrong), "matches no configured secret");
    must_refuse(TEST_HEADERS(&h, JSON, EVENT, right, "X-Hub-Signature-256: sha256="),
                "X-Hub-Signature-256 is empty");
}

static void refuses_bad_signatures(void **state)
{
    (void)state;
    struct test_headers h;
    char right[TEST_LINE_MAX], foreign[TEST_LINE_MAX];
    line_of(right, "X-Gitea-Signature", SECRET_GITEA, 1, PUSH);
    line_of(foreign, "X-Gitea-Signature", SECRET_HMAC, 0, PUSH);
    const struct {
        const char *line;
        const char *says;
    } cases[] = {
        {"X-Gitea-Event-Type: push", "no X-Gitea-Signature header: has the hook a secret?"},
        {"X-Gitea-Signature: ", "X-Gitea-Signature is empty: has the hook a secret?"},
        {"X-Hub-Signature-256: sha256=", "X-Hub-Signature-256 is empty: has the hook a secret?"},
        {"X-Hub-Signature: sha1=0123456789012345678901234567890123456789",
         "no X-Gitea-Signature header"},
        {"X-Gitea-Signature: abc", "X-Gitea-Signature is not 64 lower-case hex digits"},
        {"X-Gitea-Signature: sha256=" VECTOR, "X-Gitea-Signature is not 64 lower-case hex digits"},
        {"X-Gitea-Signature: 757107EA0EB2509FC211221CCE984B8A37570B6D7586C22C46F4379C8B043E17",
         "is not 64 lower-case hex digits"},
        {"X-Hub-Signature-256: " VECTOR, "X-Hub-Signature-256 is not sha256= and 64"},
        {"X-Gitea-Signature: " VECTOR, "matches no configured secret"},
        {foreign, "matches no configured secret"}, // GitHub's secret is not Gitea's
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        must_refuse(TEST_HEADERS(&h, JSON, EVENT, cases[i].line), cases[i].says);
    must_refuse(TEST_HEADERS(&h, JSON, EVENT, right, right),
                "the header X-Gitea-Signature is there twice");
}

static void without_secrets_all_is_refused(void **state)
{
    (void)state;
    struct test_headers h;
    struct error err = {0};
    const struct webhook_secrets none = {0};
    TEST_HEADERS(&h, JSON, EVENT, "X-Gitea-Signature: " VECTOR);
    assert_false(webhook_gitea.verify(&h.headers, PUSH, strlen(PUSH), &none, REQUEST_NOW, &err));
    assert_int_equal(err.code, ERR_UNAUTHORIZED);
}

static void signs_inside_the_form(void **state)
{
    (void)state;
    struct test_headers h;
    struct error err = {0};
    char inside[TEST_LINE_MAX], outside[TEST_LINE_MAX];
    line_of(inside, "X-Gitea-Signature", SECRET_GITEA, 1, PUSH);
    line_of(outside, "X-Gitea-Signature", SECRET_GITEA, 1, FORM_PUSH);
    assert_true(verify(TEST_HEADERS(&h, FORM, EVENT, inside), FORM_PUSH, NULL));
    assert_false(verify(TEST_HEADERS(&h, FORM, EVENT, outside), FORM_PUSH, &err));
    assert_int_equal(err.code, ERR_UNAUTHORIZED);
    assert_false(verify(TEST_HEADERS(&h, FORM, EVENT, inside), "other=1", &err));
    assert_int_equal(err.code, ERR_INVALID);
    struct webhook_event event =
        request_decoded(&webhook_gitea, TEST_HEADERS(&h, FORM, EVENT, DELIVERY), FORM_PUSH);
    assert_string_equal(event.change.branch, "main");
}

static void decodes_under_every_name(void **state)
{
    (void)state;
    struct test_headers h;
    static const char *const names[] = {"Gitea", "Forgejo", "Gogs"};
    for (size_t i = 0; i < COUNT(names); i++) {
        char event_line[TEST_LINE_MAX], delivery_line[TEST_LINE_MAX];
        snprintf(event_line, sizeof event_line, "X-%s-Event: push", names[i]);
        snprintf(delivery_line, sizeof delivery_line, "X-%s-Delivery: id-%zu", names[i], i);
        struct webhook_event event = request_decoded(
            &webhook_gitea, TEST_HEADERS(&h, JSON, event_line, delivery_line), PUSH);
        assert_int_equal(event.change.kind, EVENT_PUSH_BRANCH);
        assert_string_equal(event.repository, "git.example:3000/acme/report");
        assert_string_equal(event.change.after, SHA_B);
        assert_string_equal(event.pusher, "ada");
        assert_memory_equal(event.delivery, "id-", 3);
        assert_int_equal(event.more_count, 0);
    }
}

static void ignores_other_events(void **state)
{
    (void)state;
    struct test_headers h;
    struct webhook_event event = request_decoded(
        &webhook_gitea, TEST_HEADERS(&h, JSON, "X-Gitea-Event: issues", DELIVERY), PUSH);
    assert_int_equal(event.change.kind, EVENT_IGNORED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_its_headers),
        cmocka_unit_test(takes_each_signature),
        cmocka_unit_test(vector),
        cmocka_unit_test(every_signature_must_hold),
        cmocka_unit_test(refuses_bad_signatures),
        cmocka_unit_test(without_secrets_all_is_refused),
        cmocka_unit_test(signs_inside_the_form),
        cmocka_unit_test(decodes_under_every_name),
        cmocka_unit_test(ignores_other_events),
    };
    return cmocka_run_group_tests(tests, add_secrets, finish_secrets);
}
