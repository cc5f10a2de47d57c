#include "agent/base/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ANY ((size_t)1 << 20)

static void assert_reads(const char *yaml, const char *json)
{
    struct yaml_document document;
    struct error err;
    if (!yaml_read(yaml, strlen(yaml), ANY, &document, &err))
        fail_msg("%s: %s", yaml, err.text);
    CLEANUP(free_ptr) char *text = json_write(document.root);
    assert_string_equal(text, json);
    yaml_finish(&document);
}

static void assert_refuses(const char *yaml, size_t len, const char *why)
{
    struct yaml_document document = {0};
    struct error err = {0};
    if (yaml_read(yaml, len, ANY, &document, &err))
        fail_msg("read: %s", yaml);
    assert_int_equal(err.code, ERR_INVALID);
    if (!strstr(err.text, why))
        fail_msg("%s: %s, not %s", yaml, err.text, why);
    assert_null(document.root);
}

static void test_structures(void **state)
{
    (void)state;
    assert_reads("a: 1\nb:\n  - x\n  - {c: d}\n", "{\"a\":1,\"b\":[\"x\",{\"c\":\"d\"}]}");
    assert_reads("", "null");
    assert_reads("# nothing\n", "null");
    assert_reads("---\n", "null");
    assert_reads("--- text\n...\n", "\"text\"");
    assert_reads("[]", "[]");
    assert_reads("z: 1\na: 2\n", "{\"z\":1,\"a\":2}"); // the order is kept
    assert_reads("a: |\n  x\n  y\n", "{\"a\":\"x\\ny\\n\"}");
    assert_reads("? a\n: 1\n", "{\"a\":1}");
    assert_reads("\"1\": 1\n", "{\"1\":1}");
}

static void test_plain_scalars(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *json;
    } cases[] = {
        {"~", "null"},
        {"null", "null"},
        {"NULL", "null"},
        {"true", "true"},
        {"True", "true"},
        {"FALSE", "false"},
        {"yes", "\"yes\""},
        {"on", "\"on\""},
        {"tRue", "\"tRue\""},
        {"0", "0"},
        {"-17", "-17"},
        {"+5", "5"},
        {"0123", "123"},
        {"0o17", "15"},
        {"0xFf", "255"},
        {"-0x1", "\"-0x1\""},
        {"0o8", "\"0o8\""},
        {"1_000", "\"1_000\""},
        {"12:30", "\"12:30\""},
        {"1.5", "1.5"},
        {"-.5", "-0.5"},
        {"1.", "1.0"},
        {"2e3", "2000.0"},
        {"1.5E-1", "0.14999999999999999"},
        {".", "\".\""},
        {"1e", "\"1e\""},
        {"e1", "\"e1\""},
        {"1.2.3", "\"1.2.3\""},
        {"-", "[null]"},
        {"+", "\"+\""},
        {"2026-11-24", "\"2026-11-24\""},
        {"9223372036854775807", "9223372036854775807"},
        {"'1'", "\"1\""},
        {"\"true\"", "\"true\""},
        {"!!str 1", "\"1\""},
        {"!!int 1", "1"},
        {"!!int '1'", "1"},
        {"! 1", "\"1\""},
        {"!!map {}", "{}"},
        {"!!seq []", "[]"},
        {"<<", "\"<<\""},
        {"é", "\"é\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_reads(cases[i].yaml, cases[i].json);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *why;
    } cases[] = {
        {"a: &x 1\n", "1:4 anchors"},
        {"&x a: 1\n", "1:1 anchors"},
        {"a: &x [1]\n", "1:4 anchors"},
        {"a: *x\n", "1:4 aliases"},
        {"a: 1\nb: 2\na: 3\n", "3:1 key that is there twice"},
        {"a: 1\n---\nb: 1\n", "2:1 a second document"},
        {"1: a\n", "1:1 key that is not a text"},
        {"true: a\n", "1:1 key that is not a text"},
        {"~: a\n", "1:1 key that is not a text"},
        {"? [a]\n: 1\n", "1:3 key that is not a text"},
        {"a: !foreign b\n", "1:4 tag"},
        {"a: !!binary aGk=\n", "1:4 tag"},
        {"a: !!int b\n", "1:4 tag"},
        {"a: !!seq {}\n", "1:4 tag"},
        {"a: !x [1]\n", "1:4 tag"},
        {"a: .inf\n", "1:4 number that is not finite"},
        {"a: .NaN\n", "1:4 number that is not finite"},
        {"a: 1e999\n", "1:4 number out of range"},
        {"a: 9223372036854775808\n", "1:4 number out of range"},
        {"a: \"x\\0y\"\n", "1:4 NUL"},
        {"\"x\\0y\": a\n", "1:1 NUL"},
        {"a: b: c\n", "1:5 "},
        {"a:\n\t- b\n", "2:1 "},
        {"a: [1, 2\n", "2:1 "},
        {"a: 'x\n", "2:1 "},
        {"%YAML 3.0\n--- a\n", "1:1 "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_refuses(cases[i].yaml, strlen(cases[i].yaml), cases[i].why);
    assert_refuses("a: b\0c\n", 7, "control characters");
    assert_refuses("a: \xff\n", 5, "UTF-8");
    assert_refuses("a: \xed\xa0\x80\n", 7, "Unicode");
}

static void test_bounds(void **state)
{
    (void)state;
    struct yaml_document document;
    struct error err;
    assert_false(yaml_read("abc", 3, 2, &document, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);

    char deep[2 * (YAML_DEPTH_MAX + 1) + 1] = "";
    for (int depth = 1; depth <= YAML_DEPTH_MAX + 1; depth++) {
        memset(deep, '[', (size_t)depth);
        memset(deep + depth, ']', (size_t)depth);
        deep[2 * depth] = '\0';
        bool ok = yaml_read(deep, strlen(deep), ANY, &document, &err);
        assert_int_equal(ok, depth <= YAML_DEPTH_MAX);
        if (ok)
            yaml_finish(&document);
    }
    assert_non_null(strstr(err.text, "nested too deep"));

    CLEANUP(buffer_finish) struct buffer many = {0};
    for (int i = 0; i < YAML_NODES_MAX; i++)
        assert_true(buffer_append(&many, "- a\n", 4, &err));
    assert_refuses(many.data, many.len, "too many values"); // these and the list itself
    many.len -= 4;
    assert_true(yaml_read(many.data, many.len, ANY, &document, &err));
    assert_int_equal(json_array_size(document.root), YAML_NODES_MAX - 1);
    yaml_finish(&document);
}

// A text of 2 MB whose paths would take 1.6 GB.
static void test_long_paths(void **state)
{
    (void)state;
    CLEANUP(buffer_finish) struct buffer text = {0};
    struct error err;
    char key[901] = "";
    memset(key, 'k', 900);
    for (int depth = 0; depth < 60; depth++)
        assert_true(buffer_printf(&text, &err, "%*s%s:\n", depth, "", key));
    for (int i = 0; i < 30000; i++)
        assert_true(buffer_printf(&text, &err, "%*s- a\n", 60, ""));
    struct yaml_document document;
    assert_false(yaml_read(text.data, text.len, text.len, &document, &err));
    assert_non_null(strstr(err.text, "too many values"));
}

static void assert_place(const struct yaml_document *document, const char *pointer, bool of_key,
                         int line, int column)
{
    struct yaml_place place = yaml_place(document, pointer, of_key);
    assert_int_equal(place.line, line);
    assert_int_equal(place.column, column);
}

static void test_places(void **state)
{
    (void)state;
    static const char text[] = "# note\n"
                               "a:\n"
                               "  b/c~d:   value\n"
                               "list:\n"
                               "- one\n"
                               "-   x: 1\n"
                               "    y: {z: 2}\n";
    struct yaml_document document;
    struct error err;
    assert_true(yaml_read(text, sizeof text - 1, ANY, &document, &err));
    assert_place(&document, "", false, 2, 1);
    assert_place(&document, "", true, 0, 0);
    assert_place(&document, "/a", true, 2, 1);
    assert_place(&document, "/a", false, 3, 3);
    assert_place(&document, "/a/b~1c~0d", true, 3, 3);
    assert_place(&document, "/a/b~1c~0d", false, 3, 12);
    assert_place(&document, "/list/0", false, 5, 3);
    assert_place(&document, "/list/1/x", true, 6, 5);
    assert_place(&document, "/list/1/y/z", false, 7, 12);
    assert_place(&document, "/list/2", false, 0, 0);
    yaml_finish(&document);
    yaml_finish(&document); // twice is fine
}

static void assert_writes(const char *json, const char *yaml)
{
    json_error_t at;
    CLEANUP(json_ptr) json_t *value = json_loads(json, JSON_DECODE_ANY, &at);
    assert_non_null(value);
    CLEANUP(free_ptr) char *text = yaml_write(value);
    assert_string_equal(text, yaml);
    struct yaml_document document;
    struct error err;
    if (!yaml_read(text, strlen(text), ANY, &document, &err))
        fail_msg("%s: %s", text, err.text);
    assert_true(json_equal(document.root, value));
    yaml_finish(&document);
}

static void test_writing(void **state)
{
    (void)state;
    assert_writes("{\"z\": 1, \"a\": [true, null, \"x\"]}", "z: 1\na:\n- true\n- null\n- x\n");
    assert_writes("{\"schedule\": \"0 3 * * *\"}", "schedule: \"0 3 * * *\"\n");
    assert_writes("{\"image\": \"registry.example:5000/a/b\"}",
                  "image: registry.example:5000/a/b\n");
    assert_writes("[\"yes\", \"No\", \"1.5\", \"\", \"~\", \"true\", \"12:30\", \"-x\", \".inf\"]",
                  "- \"yes\"\n- \"No\"\n- \"1.5\"\n- \"\"\n- \"~\"\n- \"true\"\n- \"12:30\"\n"
                  "- \"-x\"\n- \".inf\"\n");
    assert_writes("{\"a\": \"x\\ny\\n\"}", "a: |\n  x\n  y\n");
    assert_writes("{}", "{}\n");
    assert_writes("{\"a\": [], \"b\": {}}", "a: []\nb: {}\n");
    assert_writes("{\"yes\": 1, \"1\": 2}", "\"yes\": 1\n\"1\": 2\n");
    assert_writes("1.5", "1.5\n");
    assert_writes("\"é\"", "é\n");
    assert_writes("\"a: b #c\"", "'a: b #c'\n");
    // no line is folded
    assert_writes("\"a long text of more than eighty columns, which must not be folded into several"
                  " lines at all\"",
                  "a long text of more than eighty columns, which must not be folded into several"
                  " lines at all\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_structures), cmocka_unit_test(test_plain_scalars),
        cmocka_unit_test(test_refusals),   cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_long_paths), cmocka_unit_test(test_places),
        cmocka_unit_test(test_writing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
