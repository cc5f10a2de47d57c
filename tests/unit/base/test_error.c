#include "agent/base/error.h"
#include "agent/base/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_layers(void **state)
{
    (void)state;
    struct error err;
    assert_false(error_set(&err, ERR_CONFLICT, "%d %s", 409, "Conflict"));
    assert_false(error_wrap(&err, "patch cronjob %s/%s", "reports", "nightly"));
    assert_string_equal(err.text, "patch cronjob reports/nightly: 409 Conflict");
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_false(error_errno(&err, ERR_IO, ENOENT, "%s", "/etc/x"));
    assert_string_equal(err.text, "/etc/x: No such file or directory");
    assert_int_equal(err.code, ERR_IO);
}

static void test_no_error_wanted(void **state)
{
    (void)state;
    assert_false(error_set(NULL, ERR_IO, "x"));
    assert_false(error_errno(NULL, ERR_IO, EPERM, "x"));
    assert_false(error_wrap(NULL, "x"));
}

static void test_long_texts_are_cut(void **state)
{
    (void)state;
    char text[2 * ERROR_TEXT_MAX];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    // Every length around the border, for the outer and for the inner text.
    for (size_t len = ERROR_TEXT_MAX - 6; len < ERROR_TEXT_MAX + 3; len++) {
        struct error err;
        error_set(&err, ERR_IO, "%.*s", (int)len, text);
        size_t kept = len < ERROR_TEXT_MAX ? len : ERROR_TEXT_MAX - 1;
        assert_int_equal(strlen(err.text), kept);
        error_wrap(&err, "ab");
        assert_true(strncmp(err.text, "ab: x", 5) == 0);
        assert_int_equal(strlen(err.text),
                         kept + 4 < ERROR_TEXT_MAX ? kept + 4 : ERROR_TEXT_MAX - 1);
        error_set(&err, ERR_IO, "inner");
        error_wrap(&err, "%.*s", (int)len, text);
        assert_in_range(strlen(err.text), ERROR_TEXT_MAX - 6, ERROR_TEXT_MAX - 1);
        error_errno(&err, ERR_IO, ENOENT, "%.*s", (int)len, text);
        assert_in_range(strlen(err.text), ERROR_TEXT_MAX - 6, ERROR_TEXT_MAX - 1);
    }
}

// Such a text would be no JSON string.
static void test_no_character_is_torn(void **state)
{
    (void)state;
    char text[2 * ERROR_TEXT_MAX] = "";
    for (size_t at = 0; at + 4 < sizeof text; at += 3)
        strcpy(text + at, "\xe2\x82\xac");
    for (size_t shift = 0; shift < 3; shift++) {
        struct error err;
        error_set(&err, ERR_IO, "%s%s", &"xx"[shift], text);
        assert_true(text_is_utf8(err.text, strlen(err.text)));
        assert_in_range(strlen(err.text), ERROR_TEXT_MAX - 3, ERROR_TEXT_MAX - 1);
        error_wrap(&err, "%s", "outer");
        assert_true(text_is_utf8(err.text, strlen(err.text)));
        error_wrap(&err, "%s%s", &"xx"[shift], text);
        assert_true(text_is_utf8(err.text, strlen(err.text)));
        error_errno(&err, ERR_IO, ENOENT, "%s%s", &"xx"[shift], text);
        assert_true(text_is_utf8(err.text, strlen(err.text)));
    }
}

static void test_every_code_is_described(void **state)
{
    (void)state;
    for (int code = ERR_NONE; code < ERR_CODE_COUNT; code++) {
        assert_non_null(error_word((enum error_code)code));
        assert_in_range(error_http_status((enum error_code)code), 200, 504);
        assert_in_range(error_exit_status((enum error_code)code), 0, 2);
        for (int other = 0; other < code; other++)
            assert_string_not_equal(error_word((enum error_code)code),
                                    error_word((enum error_code)other));
    }
    assert_int_equal(error_http_status(ERR_TOO_LARGE), 413);
    assert_int_equal(error_exit_status(ERR_INVALID), 2);
    assert_true(error_is_transient(ERR_TIMEOUT));
    assert_false(error_is_transient(ERR_FORBIDDEN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_no_error_wanted),
        cmocka_unit_test(test_long_texts_are_cut),
        cmocka_unit_test(test_no_character_is_torn),
        cmocka_unit_test(test_every_code_is_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
