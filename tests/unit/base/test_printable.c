#include "agent/base/printable.h"
#include "agent/base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_copy(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t room;
        const char *out;
    } cases[] = {
        {"", 4, ""},
        {"abc", 4, "abc"},
        {"abcd", 4, "…"},
        {"abcdefgh", 8, "abcd…"},
        {"abcdefg", 8, "abcdefg"},
        {"éééé", 8, "éé…"},
        {"日本語", 9, "日…"},
        {"a\r\nb\tc\x7f"
         "d",
         20, "a  b c d"},
        {"\x1b[31mred", 20, " [31mred"},
        {"\xc2\x9b"
         "31m",
         20, " 31m"}, // C1: CSI
        {"a\xe2\x80\xae"
         "b",
         20, "a b"}, // right-to-left override
        {"a\xe2\x80\xa8"
         "b",
         20, "a b"}, // line separator
        {"\xff\xc0\x80\xed\xa0\x80", 20, "??????"},
        {"\xe2\x82", 20, "??"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[32];
        memset(out, 'z', sizeof out);
        printable_copy(out, cases[i].room, cases[i].in, strlen(cases[i].in));
        assert_string_equal(out, cases[i].out);
        assert_int_equal(out[cases[i].room], 'z');
    }
}

static void test_always_text_within_bounds(void **state)
{
    (void)state;
    char in[24];
    uint32_t seed = 1;
    for (int round = 0; round < 20000; round++) {
        for (size_t i = 0; i < sizeof in; i++) {
            seed = seed * 1664525 + 1013904223;
            in[i] = (char)(seed >> 24);
        }
        char out[32];
        size_t room = 4 + (size_t)round % 24;
        memset(out, 'z', sizeof out);
        printable_copy(out, room, in, (size_t)round % (sizeof in + 1));
        size_t len = strnlen(out, sizeof out);
        assert_true(len < room);
        assert_true(text_is_utf8(out, len));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_always_text_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
