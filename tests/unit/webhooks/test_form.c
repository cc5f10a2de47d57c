#include "webhooks/form.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void finds_and_decodes(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *value;
    } cases[] = {
        {"payload=abc", "abc"},
        {"payload=", ""},
        {"a=1&payload=x+y&b=2", "x y"},
        {"payload=%7B%22a%22%3a1%7d", "{\"a\":1}"},
        {"payload=a=b", "a=b"},
        {"&&payload=%2B%26&", "+&"},
        {"payloads=no&payload=caf%C3%A9&xpayload=no", "caf\xc3\xa9"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error err = {0};
        CLEANUP(buffer_finish) struct buffer out = {0};
        if (!form_field(cases[i].body, strlen(cases[i].body), "payload", &out, &err))
            fail_msg("%s: %s", cases[i].body, err.text);
        assert_string_equal(buffer_text(&out), cases[i].value);
    }
}

static void refuses_bad_forms(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "payload",
        "payloads=x",
        "a=1&b=2",
        "payload=1&payload=1",
        "payload=%4",
        "payload=%",
        "payload=%g0",
        "payload=a%00b",
        "Payload=x",
        "pay%6Coad=x",
        "{\"ref\":1}",
    };
    assert_false(form_field(NULL, 0, "payload", &(struct buffer){0}, NULL));
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct error err = {0};
        CLEANUP(buffer_finish) struct buffer out = {0};
        if (form_field(bad[i], strlen(bad[i]), "payload", &out, &err))
            fail_msg("taken: %s", bad[i]);
        assert_int_equal(err.code, ERR_INVALID);
        assert_int_equal(out.len, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_and_decodes),
        cmocka_unit_test(refuses_bad_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
