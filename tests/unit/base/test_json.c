#include "agent/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static json_t *parse(const char *text)
{
    json_t *value = NULL;
    struct error err;
    if (!json_read(text, strlen(text), 1000, &value, &err))
        fail_msg("%s: %s", text, err.text);
    return value;
}

static void test_read(void **state)
{
    (void)state;
    static const char *const cases[] = {"{}", "[1,2.5,true,null]", "\"x\"", "5", "{\"a\":\"é\"}"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP(json_ptr) json_t *value = parse(cases[i]);
        CLEANUP(free_ptr) char *text = json_write(value);
        assert_string_equal(text, cases[i]);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
    } cases[] = {
        {"", 0},
        {"{\"a\":1,\"a\":2}", 13},
        {"\"\\u0000\"", 8},
        {"{\"a\\u0000b\":1}", 14},
        {"\"\xff\"", 3},
        {"\"\xed\xa0\x80\"", 5},
        {"[1,]", 4},
        {"{} {}", 5},
        {"{}\0", 3},
        {"nul", 3},
        {"'a'", 3},
        {"[NaN]", 5},
        {"01", 2},
        {"99999999999999999999", 20},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *value = NULL;
        struct error err;
        assert_false(json_read(cases[i].text, cases[i].len, 1000, &value, &err));
        assert_int_equal(err.code, ERR_INVALID);
        assert_non_null(strstr(err.text, "line "));
        assert_null(value);
    }
}

static void test_bounds(void **state)
{
    (void)state;
    json_t *value = NULL;
    struct error err;
    assert_false(json_read("[1]", 3, 2, &value, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
    size_t len = 1000000;
    CLEANUP(free_ptr) char *deep = xalloc(len);
    memset(deep, '[', len);
    assert_false(json_read(deep, len, len, &value, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

static void test_paths(void **state)
{
    (void)state;
    CLEANUP(json_ptr)
    json_t *root = parse("{\"a\":[{\"b\":\"x\"},7],\"n\":5,\"t\":\"text\",\"z\":null}");
    assert_string_equal(json_text_at(root, "a", "0", "b", NULL), "x");
    assert_string_equal(json_text_at(root, "t", NULL), "text");
    assert_null(json_text_at(root, "n", NULL)); // not a text
    assert_null(json_text_at(root, "a", "2", NULL));
    assert_null(json_text_at(root, "a", "x", NULL));
    assert_null(json_text_at(root, "t", "x", NULL));
    assert_null(json_text_at(NULL, "t", NULL));
    assert_ptr_equal(json_at(root, NULL), root);
    assert_true(json_is_null(json_at(root, "z", NULL)));
    assert_int_equal(json_int_or(json_at(root, "a", "1", NULL), -1), 7);
    assert_int_equal(json_int_or(json_at(root, "t", NULL), -1), -1);
    assert_int_equal(json_int_or(NULL, -1), -1);
}

static void test_indexes_are_digits(void **state)
{
    (void)state;
    CLEANUP(json_ptr) json_t *list = parse("[\"first\"]");
    assert_string_equal(json_text_at(list, "0", NULL), "first");
    static const char *const none[] = {"",    " 0", "+0", "-0",
                                       "0x0", "0 ", "-1", "18446744073709551616"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_null(json_at(list, none[i], NULL));
}

static void test_optional_texts(void **state)
{
    (void)state;
    CLEANUP(json_ptr) json_t *text = json_text_or_null("x");
    assert_string_equal(json_string_value(text), "x");
    assert_true(json_is_null(json_text_or_null("")));
    assert_true(json_is_null(json_text_or_null(NULL)));
}

static void test_any_text_is_a_string(void **state)
{
    (void)state;
    static const struct {
        const char *text, *told;
    } texts[] = {{"", ""},
                 {"caf\xc3\xa9\n", "caf\xc3\xa9\n"},
                 {"caf\xc3", "caf?"},
                 {"\xff", "?"},
                 {"\xe2\x82 x", "?? x"}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        CLEANUP(json_ptr) json_t *json = json_text(texts[i].text);
        assert_string_equal(json_string_value(json), texts[i].told);
    }
    CLEANUP(json_ptr) json_t *cut = json_text_or_null("\xc3");
    assert_string_equal(json_string_value(cut), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_indexes_are_digits),
        cmocka_unit_test(test_optional_texts),
        cmocka_unit_test(test_any_text_is_a_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
