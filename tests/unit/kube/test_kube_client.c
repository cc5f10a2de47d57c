// The client against answers that a real API server cannot be made to give.
#include "agent/base/threads.h"
#include "tests/unit/kube/scripted.h"

#include <stdatomic.h>

#define TOO_MANY ANSWER("429 Too Many Requests", "Retry-After: 1")
#define TOO_LONG ANSWER("429 Too Many Requests", "Retry-After: 60")
#define ITEMS(version, token, ...)                                                                 \
    OK "{\"metadata\":{\"resourceVersion\":\"" version "\",\"continue\":\"" token                  \
       "\"},\"items\":[" __VA_ARGS__ "]}"
#define NAMED(name) "{\"metadata\":{\"name\":\"" name "\"}}"
#define EXPIRED                                                                                    \
    ANSWER("410 Gone", "X-A: b")                                                                   \
    "{\"kind\":\"Status\",\"reason\":\"Expired\",\"message\":\"too old\",\"code\":410}"

static const struct kube_request PODS = {.resource = &KUBE_PODS, .namespace_ = "n"};

static void busy_server_is_asked_again(void **state)
{
    (void)state;
    static const struct step script[] = {STEP("GET /api/v1/namespaces/n/pods HTTP", TOO_MANY),
                                         STEP("GET /api/v1/namespaces/n/pods HTTP", OK "{}")};
    struct kube_client *client = scripted_client("{token: t}");
    struct kube_reply reply;
    struct error err;
    play(script, 2);
    struct mono_time start = mono_now();
    assert_true(kube_request(client, &PODS, &reply, &err));
    assert_true(mono_now().ms - start.ms >= 1000);
    assert_non_null(strstr(scripted.requests[1], "\r\nAuthorization: Bearer t\r\n"));
    kube_reply_finish(&reply);
    // It is not waited for beyond the timeout.
    static const struct step hurry[] = {STEP("GET /api/v1/namespaces/n/pods HTTP", TOO_LONG)};
    struct kube_request hurried = PODS;
    hurried.timeout_ms = 20000;
    play(hurry, 1);
    start = mono_now();
    assert_false(kube_request(client, &hurried, &reply, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_int_equal(reply.status, 429);
    assert_int_equal(reply.retry_after_ms, 60000);
    assert_true(mono_now().ms - start.ms < 20000);
    kube_client_destroy(client);
}

static void refused_credentials_are_renewed_once(void **state)
{
    (void)state;
    static const struct step script[] = {STEP(NULL, ANSWER("401 Unauthorized", "X-A: b")),
                                         STEP(NULL, ANSWER("401 Unauthorized", "X-A: b"))};
    static const struct step then[] = {STEP(NULL, ANSWER("401 Unauthorized", "X-A: b")),
                                       STEP(NULL, OK "{}")};
    CLEANUP(free_ptr) char *path = xasprintf("%s/token", scripted.directory);
    struct kube_reply reply;
    struct error err;
    assert_true(file_write(path, 0600, "one", 3, NULL));
    struct kube_client *client = scripted_client("{tokenFile: token}");
    play(script, 2);
    assert_false(kube_request(client, &PODS, &reply, &err)); // there is no other token
    assert_int_equal(err.code, ERR_UNAUTHORIZED);
    assert_int_equal(played(), 1);
    kube_client_destroy(client);

    client = scripted_client("{tokenFile: token}");
    assert_true(file_write(path, 0600, "two", 3, NULL));
    play(then, 2);
    assert_true(kube_request(client, &PODS, &reply, &err));
    assert_non_null(strstr(scripted.requests[0], "Bearer one\r\n"));
    assert_non_null(strstr(scripted.requests[1], "Bearer two\r\n"));
    kube_reply_finish(&reply);
    kube_client_destroy(client);
}

static void torn_and_foreign_answers_are_errors(void **state)
{
    (void)state;
    static const struct {
        struct step step;
        enum error_code code;
    } cases[] = {
        {STEP(NULL, OK "{\"items\":["), ERR_PROTOCOL},
        {STEP(NULL, OK "<html>hello</html>"), ERR_PROTOCOL},
        {STEP(NULL, OK), ERR_PROTOCOL},
        {STEP(NULL, OK "null"), ERR_PROTOCOL},
        {STEP(NULL, ANSWER("404 Not Found", "X-A: b") "no such page"), ERR_UNAVAILABLE},
        {STEP(NULL, ANSWER("200 OK", "Content-Length: 100") "{}"), ERR_UNAVAILABLE},
        {STEP(NULL, ANSWER("302 Found", "Location: http://127.0.0.1:1/")), ERR_PROTOCOL},
        {STEP(NULL, ANSWER("503 Service Unavailable", "X-A: b")), ERR_UNAVAILABLE},
        {STEP(NULL, ANSWER("504 Gateway Timeout", "X-A: b")), ERR_TIMEOUT},
    };
    struct kube_client *client = scripted_client("{}");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err;
        struct kube_reply reply;
        play(&cases[i].step, 1);
        assert_false(kube_request(client, &PODS, &reply, &err));
        if (err.code != cases[i].code)
            fail_msg("case %zu: %s: %s", i, error_word(err.code), err.text);
    }
    kube_client_destroy(client);
}

// --- lists ---

struct seen {
    int passes;
    char names[64]; // of this pass
};

static void begin(void *user)
{
    struct seen *seen = user;
    seen->passes++;
    seen->names[0] = '\0';
}

static bool item(void *user, const json_t *object)
{
    struct seen *seen = user;
    strcat(seen->names, json_text_at(object, "metadata", "name", NULL));
    return true;
}

static const struct kube_list_events events = {begin, item};

static void expired_page_starts_the_list_anew(void **state)
{
    (void)state;
    static const struct step script[] = {
        STEP("/pods?labelSelector=a%3Db&limit=100 HTTP", ITEMS("7", "t/1", NAMED("a"))),
        STEP("&limit=100&continue=t%2F1 HTTP", EXPIRED),
        STEP("&limit=100 HTTP", ITEMS("9", "t2", NAMED("b"))),
        STEP("&continue=t2 HTTP", ITEMS("9", "", NAMED("c"))),
    };
    struct kube_client *client = scripted_client("{}");
    struct kube_request request = PODS;
    struct seen seen = {0};
    struct error err;
    request.query[0] = (struct kube_query){"labelSelector", "a=b"};
    play(script, 4);
    if (!kube_list(client, &request, &events, &seen, &err))
        fail_msg("%s", err.text);
    assert_int_equal(seen.passes, 2);
    assert_string_equal(seen.names, "bc");
    kube_client_destroy(client);
}

static void endless_expiry_ends(void **state)
{
    (void)state;
    static const struct step script[] = {STEP(NULL, EXPIRED), STEP(NULL, EXPIRED),
                                         STEP(NULL, EXPIRED), STEP(NULL, EXPIRED),
                                         STEP(NULL, EXPIRED)};
    struct kube_client *client = scripted_client("{}");
    struct seen seen = {0};
    struct error err;
    play(script, 5);
    assert_false(kube_list(client, &PODS, &events, &seen, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.text, "list pods: 410"));
    assert_int_equal(played(), 4);
    kube_client_destroy(client);
}

static void huge_page_is_asked_for_in_parts(void **state)
{
    (void)state;
    static const struct step script[] = {
        {.path = "limit=100 HTTP", .answer = OK, .filler = KUBE_ANSWER_MAX + 1},
        STEP("limit=25 HTTP", ITEMS("1", "", NAMED("a"))),
    };
    struct kube_client *client = scripted_client("{}");
    struct seen seen = {0};
    struct error err;
    play(script, 2);
    if (!kube_list(client, &PODS, &events, &seen, &err))
        fail_msg("%s", err.text);
    assert_string_equal(seen.names, "a");
    kube_client_destroy(client);
}

static atomic_int refused; // as the client has seen

static void see_refusal(const char *verb, int status)
{
    (void)verb;
    refused += status == 429;
}

static void *stop_when_refused(void *user)
{
    await(refused == 1);
    http_stop();
    return user;
}

// For good: the last of these tests.
static void stop_ends_a_wait_that_the_server_asked_for(void **state)
{
    (void)state;
    static const struct step script[] = {
        STEP(NULL, ANSWER("429 Too Many Requests", "Retry-After: 3600"))};
    struct kube_client *client = scripted_client("{}");
    struct kube_request patient = PODS;
    struct kube_reply reply;
    struct error err;
    pthread_t stopper;
    patient.timeout_ms = 7200000;
    kube_client_on_answer(client, see_refusal);
    play(script, 1);
    thread_start(&stopper, "stopper", stop_when_refused, NULL);
    assert_false(kube_request(client, &patient, &reply, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "being stopped"));
    pthread_join(stopper, NULL);
    kube_client_destroy(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(busy_server_is_asked_again),
        cmocka_unit_test(refused_credentials_are_renewed_once),
        cmocka_unit_test(torn_and_foreign_answers_are_errors),
        cmocka_unit_test(expired_page_starts_the_list_anew),
        cmocka_unit_test(endless_expiry_ends),
        cmocka_unit_test(huge_page_is_asked_for_in_parts),
        cmocka_unit_test(stop_ends_a_wait_that_the_server_asked_for),
    };
    return cmocka_run_group_tests(tests, scripted_setup, scripted_teardown);
}
