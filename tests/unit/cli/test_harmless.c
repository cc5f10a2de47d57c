#include "agent/cli/harmless.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

// However the bytes are cut into pieces.
static void assert_becomes(const char *text, const char *wanted)
{
    size_t len = strlen(text);
    for (size_t piece = 1; piece <= len; piece++) {
        struct harmless state = {0};
        CLEANUP(buffer_finish) struct buffer out = {0};
        for (size_t at = 0; at < len; at += piece)
            assert_true(harmless_append(&state, text + at, len - at < piece ? len - at : piece,
                                        &out, NULL));
        assert_true(harmless_end(&state, &out, NULL));
        assert_string_equal(buffer_text(&out), wanted);
    }
}

static void text_stays(void **state)
{
    (void)state;
    assert_becomes("plain, größe ж 雪 \xf0\x9f\x98\x80\tand\nmore",
                   "plain, größe ж 雪 \xf0\x9f\x98\x80\tand\nmore");
}

static void colours_are_left_out(void **state)
{
    (void)state;
    assert_becomes("\033[31mred\033[0m \033[1;38:2:1:2:3mx\033[m", "red x");
    assert_becomes("\033[31", "^[[31");
    assert_becomes("\033[3111111111111111111111111111111111111111111m",
                   "^[[3111111111111111111111111111111111111111111m");
}

static void other_sequences_are_shown(void **state)
{
    (void)state;
    assert_becomes("\033[2J\033]0;title\a\033Pq\033\\", "^[[2J^[]0;title^G^[Pq^[\\");
    assert_becomes("a\bb\x7f", "a^Hb?");
    assert_becomes("end\033", "end^[");
    assert_becomes("\033\033[31mx", "^[x");
}

static void lines_end_as_usual(void **state)
{
    (void)state;
    assert_becomes("one\r\ntwo\r\r\nthree\rover\r", "one\ntwo^M\nthree^Mover^M");
}

static void what_is_not_ascii_is_marked(void **state)
{
    (void)state;
    assert_becomes("\xc2\x9b"
                   "2J",
                   "?2J");
    assert_becomes("\xff\xfe x \xe2\x80\xae y \xe2\x80", "?? x ? y ??");
    assert_becomes("\xc0\xaf \xed\xa0\x80", "?? ???");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_stays),
        cmocka_unit_test(colours_are_left_out),
        cmocka_unit_test(other_sequences_are_shown),
        cmocka_unit_test(lines_end_as_usual),
        cmocka_unit_test(what_is_not_ascii_is_marked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
