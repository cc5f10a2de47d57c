// Refusals as an API server 1.34 words them (recorded), and as others do.
#include "deploy/kube/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void assert_refusal(int status, const char *body, enum error_code code,
                           enum kube_reason reason, const char *text)
{
    struct error err;
    enum kube_reason got;
    kube_refusal(status, body, strlen(body), &got, &err);
    assert_int_equal(err.code, code);
    assert_int_equal(got, reason);
    assert_string_equal(err.text, text);
}

static void statuses_are_told_apart(void **state)
{
    (void)state;
    assert_refusal(409,
                   "{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"AlreadyExists\","
                   "\"message\":\"jobs.batch \\\"x\\\" already exists\",\"code\":409}",
                   ERR_CONFLICT, KUBE_REASON_ALREADY_EXISTS,
                   "409 AlreadyExists: jobs.batch \"x\" already exists");
    assert_refusal(409, "{\"reason\":\"Conflict\",\"message\":\"the object has been modified\"}",
                   ERR_CONFLICT, KUBE_REASON_CONFLICT,
                   "409 Conflict: the object has been modified");
    assert_refusal(410, "{\"reason\":\"Expired\",\"message\":\"too old resource version\"}",
                   ERR_CONFLICT, KUBE_REASON_EXPIRED, "410 Expired: too old resource version");
    assert_refusal(404, "{\"reason\":\"NotFound\",\"message\":\"m\"}", ERR_NOT_FOUND,
                   KUBE_REASON_OTHER, "404 NotFound: m");
    assert_refusal(403, "{\"reason\":\"Forbidden\",\"message\":\"m\"}", ERR_FORBIDDEN,
                   KUBE_REASON_OTHER, "403 Forbidden: m");
    assert_refusal(
        403,
        "{\"reason\":\"Forbidden\",\"message\":\"jobs.batch is forbidden: User \\\"u\\\" "
        "cannot create resource \\\"jobs\\\" in API group \\\"batch\\\" in the namespace "
        "\\\"n\\\"\"}",
        ERR_FORBIDDEN, KUBE_REASON_NO_RIGHT,
        "403 Forbidden: jobs.batch is forbidden: User \"u\" cannot create resource "
        "\"jobs\" in API group \"batch\" in the namespace \"n\"");
    assert_refusal(
        403,
        "{\"reason\":\"Forbidden\",\"message\":\"jobs.batch \\\"x\\\" is forbidden: exceeded "
        "quota: q, requested: count/jobs.batch=1, used: count/jobs.batch=0, limited: "
        "count/jobs.batch=0\"}",
        ERR_FORBIDDEN, KUBE_REASON_QUOTA,
        "403 Forbidden: jobs.batch \"x\" is forbidden: exceeded quota: q, requested: "
        "count/jobs.batch=1, used: count/jobs.batch=0, limited: count/jobs.batch=0");
    assert_refusal(
        403,
        "{\"reason\":\"Forbidden\",\"message\":\"jobs.batch \\\"x\\\" is forbidden: unable to "
        "create new content in namespace n because it is being terminated\"}",
        ERR_FORBIDDEN, KUBE_REASON_TERMINATING,
        "403 Forbidden: jobs.batch \"x\" is forbidden: unable to create new content in "
        "namespace n because it is being terminated");
    assert_refusal(401, "{\"reason\":\"Unauthorized\",\"message\":\"m\"}", ERR_UNAUTHORIZED,
                   KUBE_REASON_OTHER, "401 Unauthorized: m");
}

static void failed_test_is_not_an_invalid_object(void **state)
{
    (void)state;
    assert_refusal(422,
                   "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"
                   "\"status\":\"Failure\",\"message\":\"the server rejected our request due to an "
                   "error in our request\",\"reason\":\"Invalid\",\"details\":{},\"code\":422}",
                   ERR_CONFLICT, KUBE_REASON_TEST_FAILED,
                   "422: the patch does not fit what is there now");
    assert_refusal(422,
                   "{\"message\":\"ConfigMap \\\"x\\\" is invalid\",\"reason\":\"Invalid\","
                   "\"details\":{\"name\":\"x\",\"kind\":\"ConfigMap\",\"causes\":[{\"reason\":"
                   "\"FieldValueInvalid\",\"message\":\"m\",\"field\":\"data\"}]},\"code\":422}",
                   ERR_INVALID, KUBE_REASON_INVALID, "422 Invalid: ConfigMap \"x\" is invalid");
}

static void others_may_answer_too(void **state)
{
    (void)state;
    assert_refusal(502, "<html>\r\nBad Gateway\x1b[31m</html>", ERR_UNAVAILABLE, KUBE_REASON_OTHER,
                   "502: <html>  Bad Gateway [31m</html>");
    assert_refusal(503, "", ERR_UNAVAILABLE, KUBE_REASON_OTHER, "503: no reason given");
    assert_refusal(429, "{\"reason\":7}", ERR_UNAVAILABLE, KUBE_REASON_OTHER,
                   "429: no reason given");
    assert_refusal(404, "default backend - 404", ERR_UNAVAILABLE, KUBE_REASON_OTHER,
                   "404: default backend - 404");
    assert_refusal(302, "[]", ERR_PROTOCOL, KUBE_REASON_OTHER, "302: no reason given");
    char long_text[2000];
    struct error err;
    enum kube_reason reason;
    memset(long_text, 'x', sizeof long_text);
    kube_refusal(500, long_text, sizeof long_text, &reason, &err);
    assert_true(strlen(err.text) < 600);
}

static void odd_objects_are_borne(void **state)
{
    (void)state;
    static const char odd[] = "{\"a\":\"b\\u0000c\",\"d\":1,\"d\":2}";
    CLEANUP(json_ptr) json_t *value = NULL;
    struct error err;
    assert_true(kube_json_read(odd, strlen(odd), &value, &err));
    assert_string_equal(json_text_at(value, "a", NULL), "b");
    assert_int_equal(json_integer_value(json_at(value, "d", NULL)), 2);
    CLEANUP(free_ptr) char *again = json_write(json_at(value, "a", NULL));
    assert_string_equal(again, "\"b\\u0000c\""); // what is copied stays whole
    json_t *none;
    assert_false(kube_json_read("{\"a\":", 5, &none, &err));
    assert_int_equal(err.code, ERR_PROTOCOL);
}

static void warnings_are_unquoted(void **state)
{
    (void)state;
    struct buffer headers = {0};
    assert_true(buffer_printf(&headers, NULL,
                              "Content-Type: application/json\r\n"
                              "Warning: 299 - \"policy/v1beta1 is \\\"old\\\"\"\r\n"
                              "X-Warning: 299 - \"not one\"\r\n"
                              "warning: 299 - \"second\"\r\n"
                              "Warning: 299 - unquoted\r\n"));
    CLEANUP(json_ptr) json_t *warnings = kube_warnings(&headers);
    assert_int_equal(json_array_size(warnings), 2);
    assert_string_equal(json_text_at(warnings, "0", NULL), "policy/v1beta1 is \"old\"");
    assert_string_equal(json_text_at(warnings, "1", NULL), "second");
    buffer_clear(&headers);
    assert_null(kube_warnings(&headers));
    buffer_finish(&headers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses_are_told_apart),
        cmocka_unit_test(failed_test_is_not_an_invalid_object),
        cmocka_unit_test(others_may_answer_too),
        cmocka_unit_test(odd_objects_are_borne),
        cmocka_unit_test(warnings_are_unquoted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
