#include "webhooks/payload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct target {
    char text[8];
    char line[8];
    bool flag;
    char inner[8];
    char element[8];
    char deep[8];
};

#define TEXT(member) offsetof(struct target, member), sizeof((struct target *)0)->member, NULL

enum { OBJECT, LIST, LIST_OBJECT };

static const struct payload_field fields[] = {
    [OBJECT] = {"object", PAYLOAD_ROOT, PAYLOAD_OBJECT, 0, 0, NULL},
    [LIST] = {"list", PAYLOAD_ROOT, PAYLOAD_LIST, 0, 0, NULL},
    [LIST_OBJECT] = {"object", LIST, PAYLOAD_OBJECT, 0, 0, NULL},
    {"text", PAYLOAD_ROOT, PAYLOAD_TEXT, TEXT(text)},
    {"line", PAYLOAD_ROOT, PAYLOAD_LINE, TEXT(line)},
    {"flag", PAYLOAD_ROOT, PAYLOAD_FLAG, offsetof(struct target, flag), 0, NULL},
    {"text", OBJECT, PAYLOAD_TEXT, TEXT(inner)},
    {"text", LIST, PAYLOAD_TEXT, TEXT(element)},
    {"text", LIST_OBJECT, PAYLOAD_TEXT, TEXT(deep)},
};

static bool read_text(const char *json, struct target *out, struct error *shape, struct error *err)
{
    *out = (struct target){0};
    return payload_read(json, strlen(json), fields, COUNT(fields), out, shape, err);
}

static void must_read(const char *json, struct target *out)
{
    struct error shape, err = {0};
    if (!read_text(json, out, &shape, &err))
        fail_msg("%s: %s", json, err.text);
    if (shape.code != ERR_NONE)
        fail_msg("%s: %s", json, shape.text);
}

static void fills_the_table(void **state)
{
    (void)state;
    struct target out;
    must_read(
        " {\"text\":\"abc\", \"other\":[1,{\"text\":\"no\"}], \"flag\":true, \"line\":\"x\","
        "\"object\":{\"text\":\"in\",\"object\":{\"text\":\"no\"}}, \"more\":{\"text\":\"no\"},"
        "\"list\":[{\"text\":\"1\"},{\"text\":\"2\",\"object\":{\"text\":\"d\"}}]}\r\n\t ",
        &out);
    assert_string_equal(out.text, "abc");
    assert_string_equal(out.line, "x");
    assert_true(out.flag);
    assert_string_equal(out.inner, "in");
    assert_string_equal(out.element, "2");
    assert_string_equal(out.deep, "d");
}

static void leaves_absent_and_null_alone(void **state)
{
    (void)state;
    struct target out;
    static const struct target empty;
    static const char *const texts[] = {
        "{}",
        "{\"text\":null,\"line\":null,\"flag\":null,\"object\":null,\"list\":null}",
        "{\"object\":{},\"list\":[]}",
        "{\"list\":[1,\"x\",[{\"text\":\"no\"}],null]}",
        "{\"Text\":\"no\",\"tex\":\"no\",\"texts\":\"no\",\"\":\"no\"}",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        must_read(texts[i], &out);
        assert_memory_equal(&out, &empty, sizeof out);
    }
}

static void last_element_counts_alone(void **state)
{
    (void)state;
    struct target out;
    must_read("{\"list\":[{\"text\":\"1\",\"object\":{\"text\":\"d\"}},{}]}", &out);
    assert_string_equal(out.element, "");
    assert_string_equal(out.deep, "");
}

struct seen {
    char text[8];
    char deep[8];
    char all[64];
};

static void note_element(void *out)
{
    struct seen *seen = out;
    size_t used = strlen(seen->all);
    snprintf(seen->all + used, sizeof seen->all - used, "%s%s;", seen->text, seen->deep);
}

static void tells_of_each_element(void **state)
{
    (void)state;
    enum { ELEMENTS, INNER };
    static const struct payload_field table[] = {
        [ELEMENTS] = {"list", PAYLOAD_ROOT, PAYLOAD_LIST, 0, 0, note_element},
        [INNER] = {"object", ELEMENTS, PAYLOAD_OBJECT, 0, 0, NULL},
        {"text", ELEMENTS, PAYLOAD_TEXT, offsetof(struct seen, text), 8, NULL},
        {"text", INNER, PAYLOAD_TEXT, offsetof(struct seen, deep), 8, NULL},
    };
    static const char json[] = "{\"list\":[{\"object\":{\"text\":\"d\"},\"text\":\"1\"},7,[{}],"
                               "{\"other\":[{}],\"text\":\"2\"},{}]}";
    struct seen seen = {0};
    struct error shape, err;
    assert_true(payload_read(json, strlen(json), table, COUNT(table), &seen, &shape, &err));
    assert_string_equal(seen.all, "1d;2;;");
}

static void decodes_escapes(void **state)
{
    (void)state;
    struct target out;
    must_read("{\"te\\u0078t\":\"\\\"\\\\\\/\\u00e9\",\"object\":{\"text\":\"\\ud83d\\uDE00\"}}",
              &out);
    assert_string_equal(out.text, "\"\\/\xc3\xa9");
    assert_string_equal(out.inner, "\xf0\x9f\x98\x80");
    must_read("{\"text\":\"\\\\u0000\"}", &out); // a backslash, not a NUL
    assert_string_equal(out.text, "\\u0000");
}

static void cuts_lines(void **state)
{
    (void)state;
    struct target out;
    must_read("{\"line\":\"ab\\nc\"}", &out);
    assert_string_equal(out.line, "ab");
    must_read("{\"line\":\"a\\u001b[b\"}", &out);
    assert_string_equal(out.line, "a [b");
    must_read("{\"line\":\"more than fits\"}", &out);
    assert_true(strlen(out.line) < sizeof out.line);
    assert_memory_equal(out.line, "more", 4);
}

static void tells_a_wrong_shape(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *says;
    } cases[] = {
        {"{\"text\":5}", "\"text\" is not a string"},
        {"{\"text\":true}", "\"text\" is not a string"},
        {"{\"text\":{\"text\":\"x\"}}", "\"text\" is not a string"},
        {"{\"text\":[\"x\"]}", "\"text\" is not a string"},
        {"{\"text\":\"12345678\"}", "\"text\" is too long"},
        {"{\"line\":1.5}", "\"line\" is not a string"},
        {"{\"flag\":\"true\"}", "\"flag\" is neither true nor false"},
        {"{\"flag\":1}", "\"flag\" is neither true nor false"},
        {"{\"object\":\"x\"}", "\"object\" is not an object"},
        {"{\"object\":[{\"text\":\"x\"}]}", "\"object\" is not an object"},
        {"{\"list\":{\"text\":\"x\"}}", "\"list\" is not a list"},
        {"{\"text\":1,\"flag\":1}", "\"text\" is not a string"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct target out;
        static const struct target empty;
        struct error shape, err = {0};
        if (!read_text(cases[i].json, &out, &shape, &err))
            fail_msg("%s: %s", cases[i].json, err.text);
        assert_int_equal(shape.code, ERR_INVALID);
        if (!strstr(shape.text, cases[i].says))
            fail_msg("%s: %s", cases[i].json, shape.text);
        assert_memory_equal(&out, &empty, sizeof out);
    }
}

static void refuses_what_is_not_json(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "null",
        "5",
        "00",
        "1000000000000000000000",
        "\"x\"",
        "[]",
        "[{}]",
        "{",
        "{\"text\":\"a\"",
        "{\"text\":\"a",
        "{\"text\"}",
        "{text:1}",
        "{'text':1}",
        "{\"a\":1,}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":+1}",
        "{\"a\":0x1}",
        "{\"a\":NaN}",
        "{\"a\":tru}",
        "{\"a\":1}}",
        "{} {}",
        "{}x",
        "{}\"",
        "{}\"unfinished",
        "{}-",
        "{}t",
        "{} // comment",
        "{/* comment */}",
        "{\"a\":\"\t\"}",
        "{\v}",
        "{}\f",
        "\xef\xbb\xbf{}",
        // text
        "{\"a\":\"\xff\"}",
        "{\"a\":\"\xc0\xaf\"}",
        "{\"a\":\"\xed\xa0\x80\"}",
        "{\"\xff\":1}",
        "{}\xff",
        "{\"a\":\"\\u0000\"}",
        "{\"\\u0000\":1}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\ud800x\"}",
        "{\"a\":\"\\ud800\\u0041\"}",
        "{\"a\":\"\\udc00\"}",
        "{\"a\":\"\\ud800\\ud800\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\\x41\"}",
        // numbers
        "{\"a\":9223372036854775808}",
        "{\"a\":-9223372036854775809}",
        "{\"a\":1e999}",
        "{\"a\":-1e999}",
        // keys
        "{\"text\":\"a\",\"text\":\"a\"}",
        "{\"text\":\"a\",\"t\\u0065xt\":\"b\"}",
        "{\"text\":null,\"text\":\"b\"}",
        "{\"object\":{},\"object\":{}}",
        "{\"object\":{\"text\":\"a\",\"text\":\"a\"}}",
        "{\"list\":[{\"text\":\"a\",\"text\":\"a\"}]}",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct target out;
        struct error shape, err = {0};
        if (read_text(bad[i], &out, &shape, &err))
            fail_msg("taken: %s", bad[i]);
        assert_int_equal(err.code, ERR_INVALID);
    }
    struct error shape;
    struct target out = {0};
    assert_false(payload_read("{\"a\":\"\0\"}", 9, fields, COUNT(fields), &out, &shape, NULL));
    assert_false(payload_read("{\"a\":1\0}", 8, fields, COUNT(fields), &out, &shape, NULL));
}

static void takes_what_is_json(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{\"a\":9223372036854775807,\"b\":-9223372036854775808}",
        "{\"a\":1e308,\"b\":1e-999,\"c\":-0,\"d\":0.5E+3}",
        "{\"a\":1,\"a\":2}", // not looked at
        "{\"\":\"\x7f\xf4\x8f\xbf\xbf\"}",
        "{\"list\":[{\"text\":\"a\"},{\"text\":\"b\"}]}",
        "\n\t {}\r\n",
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        struct target out;
        must_read(good[i], &out);
    }
}

static void bounds_the_nesting(void **state)
{
    (void)state;
    char json[2 * PAYLOAD_DEPTH_MAX + 16];
    for (int more = 0; more < 2; more++) {
        size_t arrays = (size_t)(PAYLOAD_DEPTH_MAX - 1 + more);
        size_t used = (size_t)sprintf(json, "{\"a\":");
        memset(json + used, '[', arrays);
        memset(json + used + arrays, ']', arrays);
        strcpy(json + used + 2 * arrays, "}");
        struct target out;
        struct error shape, err = {0};
        assert_int_equal(read_text(json, &out, &shape, &err), more == 0);
        if (more)
            assert_non_null(strstr(err.text, "nested too deeply"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_the_table),           cmocka_unit_test(leaves_absent_and_null_alone),
        cmocka_unit_test(last_element_counts_alone), cmocka_unit_test(tells_of_each_element),
        cmocka_unit_test(decodes_escapes),           cmocka_unit_test(cuts_lines),
        cmocka_unit_test(tells_a_wrong_shape),       cmocka_unit_test(refuses_what_is_not_json),
        cmocka_unit_test(takes_what_is_json),        cmocka_unit_test(bounds_the_nesting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
