#include "agent/base/text.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_copy(void **state)
{
    (void)state;
    char out[4] = "zzz";
    assert_true(text_copy(out, sizeof out, "abc"));
    assert_string_equal(out, "abc");
    assert_false(text_copy(out, sizeof out, "abcd"));
    assert_string_equal(out, "abc");
    assert_true(text_copy(out, sizeof out, ""));
    assert_string_equal(out, "");
    assert_false(text_copy(out, 1, "a"));
    assert_string_equal(out, "");
    assert_false(text_copy(out, 0, ""));
}

// Never half of a character, wherever the border falls.
static void test_copy_cuts_between_characters(void **state)
{
    (void)state;
    // Characters of 1, 2, 3, 4 and 1 bytes.
    static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";
    static const size_t kept[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11};
    for (size_t room = 1; room <= sizeof text; room++) {
        char out[sizeof text];
        assert_int_equal(text_copy(out, room, text), room == sizeof text);
        assert_int_equal(strlen(out), kept[room - 1]);
        assert_memory_equal(out, text, kept[room - 1]);
        assert_int_equal(text_cut(text, room - 1), kept[room - 1]);
    }
    assert_int_equal(text_cut("\xff\xff", 1), 0); // no character
}

static void test_ends(void **state)
{
    (void)state;
    assert_true(text_starts("refs/heads/main", "refs/heads/"));
    assert_false(text_starts("refs", "refs/heads/"));
    assert_true(text_starts("a", ""));
    assert_true(text_ends("report.git", ".git"));
    assert_true(text_ends(".git", ".git"));
    assert_false(text_ends("git", ".git"));
    assert_false(text_ends("report.git/", ".git"));
    assert_true(text_ends("a", ""));
}

static void test_hash(void **state)
{
    (void)state;
    assert_true(text_hash(1, "reports") == text_hash(1, "reports"));
    assert_true(text_hash(1, "reports") != text_hash(2, "reports"));
    assert_true(text_hash(1, "reports") != text_hash(1, "report"));
    // The published value for "a", folded.
    uint64_t plain = UINT64_C(0xaf63dc4c8601ec8c);
    assert_true(text_hash(0, "a") == (plain ^ plain >> 32));
}

static void test_numbers(void **state)
{
    (void)state;
    int64_t value = -1;
    assert_true(text_to_int("0", 0, 10, &value));
    assert_int_equal(value, 0);
    assert_true(text_to_int("007", 0, 10, &value));
    assert_int_equal(value, 7);
    assert_true(text_to_int("9223372036854775807", 0, INT64_MAX, &value));
    assert_true(value == INT64_MAX);
    value = 5;
    static const char *const wrong[] = {"",
                                        "-1",
                                        "+1",
                                        " 1",
                                        "1 ",
                                        "0x1",
                                        "1.0",
                                        "1e1",
                                        "a",
                                        "11",
                                        "9223372036854775808",
                                        "99999999999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(text_to_int(wrong[i], 0, 10, &value));
    assert_false(text_to_int("1", 2, 10, &value));
    assert_int_equal(value, 5);
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const keys[] = {"timeZone", "schedule", "namespace", "context", "url", NULL};
    static const struct {
        const char *word, *nearest;
    } cases[] = {
        {"timezone", "timeZone"},
        {"timeZone", "timeZone"},
        {"tmieZone", "timeZone"},
        {"timeZon", "timeZone"},
        {"shedule", "schedule"},
        {"namespaces", "namespace"},
        {"contxet", "context"},
        {"urls", "url"},
        {"rul", "url"},
        {"ur", NULL},
        {"x", NULL},
        {"", NULL},
        {"something", NULL},
        {"ctx", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *nearest = text_nearest(cases[i].word, keys);
        if (!cases[i].nearest)
            assert_null(nearest);
        else
            assert_string_equal(nearest, cases[i].nearest);
    }
    static const char *const none[] = {NULL};
    assert_null(text_nearest("a", none));
    char word[1000];
    memset(word, 'a', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    const char *const large[] = {word, NULL};
    assert_null(text_nearest(word, large));
    assert_null(text_nearest("aaaaaa", large));
    word[127] = '\0'; // the longest that is compared
    assert_ptr_equal(text_nearest(word, large), word);
}

static void test_utf8(void **state)
{
    (void)state;
    static const char *const good[] = {
        "",
        "a",
        "\x7f",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "plain text of some words, é",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(text_is_utf8(good[i], strlen(good[i])));
    assert_true(text_is_utf8("a\0b", 3));
    static const char *const bad[] = {
        "\x80",             // continues nothing
        "\xc0\x80",         // overlong NUL
        "\xc1\xbf",         // overlong
        "\xe0\x9f\xbf",     // overlong
        "\xf0\x8f\xbf\xbf", // overlong
        "\xed\xa0\x80",     // surrogate
        "\xed\xbf\xbf",     // surrogate
        "\xf4\x90\x80\x80", // beyond U+10FFFF
        "\xf8\x88\x80\x80\x80",
        "\xff",
        "\xc2",         // cut off
        "\xe2\x82",     // cut off
        "\xf0\x9f\x98", // cut off
        "\xc2z",
        "twelve bytes\xc2",
        "\xe2\x82\xe2\x82\xac",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(text_is_utf8(bad[i], strlen(bad[i])));
    // At every place of a longer text, whatever the step.
    for (size_t at = 0; at < 40; at++) {
        char text[41] = "0123456789012345678901234567890123456789";
        text[at] = '\xff';
        assert_false(text_is_utf8(text, 40));
        assert_true(text_is_utf8(text, at));
    }
}

static void test_width(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t width;
    } cases[] = {
        {"", 0},
        {"abc", 3},
        {"é", 1},
        {"e\xcc\x81", 1}, // combining
        {"日本", 4},
        {"✔", 1},
        {"\x1b[31m", 4},
        {"a\tb\n", 2},
        {"\xff\xfe", 2},
        {"►", 1},
        {"\xe2\x80\x8b", 0}, // zero width space
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (text_width(cases[i].text) != cases[i].width)
            fail_msg("%s: %zu", cases[i].text, text_width(cases[i].text));
    // The locale is left as it was.
    assert_string_equal(setlocale(LC_CTYPE, NULL), "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy), cmocka_unit_test(test_copy_cuts_between_characters),
        cmocka_unit_test(test_ends), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_hash), cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_utf8), cmocka_unit_test(test_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
