#include "agent/cli/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct screen symbols = {.utf8 = true};
static const struct screen words = {.utf8 = false};
static const struct screen coloured = {.utf8 = true, .colour_out = true};

static void assert_prints(struct table *table, bool headers, const char *expected)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    table_print(table, headers, out);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, expected);
    free(text);
}

static void pads_by_display_width(void **state)
{
    (void)state;
    static const char *const headers[] = {"NAME", "N"};
    struct table table = {.screen = &symbols, .headers = headers, .columns = 2};
    table_cell(&table, "zażółć");
    table_cell(&table, "1");
    table_cell(&table, "日本語");
    table_cell(&table, "2");
    table_cell(&table, "a\xcc\x88"); // with a combining mark
    table_cell(&table, "3");
    assert_prints(&table, true, "NAME    N\nzażółć  1\n日本語  2\na\xcc\x88       3\n");
    table_finish(&table);
}

static void no_line_ends_in_a_space(void **state)
{
    (void)state;
    static const char *const headers[] = {"A", "LONG HEADER", "C"};
    struct table table = {.screen = &symbols, .headers = headers, .columns = 3};
    table_cell(&table, "x");
    table_cell(&table, "%s", "");
    table_cell(&table, "%s", "");
    table_cell(&table, "x");
    table_cell(&table, "%s", "");
    table_cell(&table, "z");
    assert_prints(&table, true, "A  LONG HEADER  C\nx\nx               z\n");
    assert_prints(&table, false, "x\nx    z\n");
    table_finish(&table);
}

static void a_header_may_span_columns(void **state)
{
    (void)state;
    static const char *const headers[] = {"A", "LAST RESULT", NULL, "B"};
    struct table table = {.screen = &symbols, .headers = headers, .columns = 4};
    table_cell(&table, "1");
    table_cell(&table, "2");
    table_cell(&table, "3");
    table_cell(&table, "4");
    assert_prints(&table, true, "A  LAST RESULT  B\n1  2  3         4\n");
    table_finish(&table);
}

static void the_rest_of_a_row_widens_nothing(void **state)
{
    (void)state;
    static const char *const headers[] = {"A", "B", "C"};
    struct table table = {.screen = &words, .headers = headers, .columns = 3};
    table_cell(&table, "1");
    table_rest(&table, MARK_FAILED, "a long story");
    table_cell(&table, "2");
    table_mark(&table, MARK_OK, "%s", "");
    table_cell(&table, "c");
    assert_prints(&table, true, "A  B   C\n1  failed: a long story\n2  ok  c\n");
    table_finish(&table);
}

static void colours_take_no_room(void **state)
{
    (void)state;
    static const char *const headers[] = {"A", "B"};
    struct table table = {.screen = &coloured, .headers = headers, .columns = 2};
    table_mark(&table, MARK_FAILED, "exit 3");
    table_cell(&table, "b");
    table_cell(&table, "plain");
    table_cell(&table, "b");
    assert_prints(&table, true,
                  "\033[1mA         B\033[0m\n\033[31m✗ exit 3\033[0m  b\nplain     b\n");
    table_finish(&table);
}

static void foreign_text_cannot_play_tricks(void **state)
{
    (void)state;
    static const char *const headers[] = {"A", "B"};
    struct table table = {.screen = &symbols, .headers = headers, .columns = 2};
    table_cell(&table, "a\033[2Jb\r\nc");
    table_mark(&table, MARK_OK, "%s",
               "\xc2\x9b"
               "1m\u202e");
    assert_prints(&table, false, "a [2Jb  c  ✔  1m \n");
    table_finish(&table);
}

static void many_rows(void **state)
{
    (void)state;
    static const char *const headers[] = {"A"};
    struct table table = {.screen = &symbols, .headers = headers, .columns = 1};
    for (int i = 0; i < 1000; i++)
        table_cell(&table, "%d", i);
    assert_int_equal(table.count, 1000);
    assert_string_equal(table.cells[999].text, "999");
    table_finish(&table);
    assert_int_equal(table.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pads_by_display_width),
        cmocka_unit_test(no_line_ends_in_a_space),
        cmocka_unit_test(a_header_may_span_columns),
        cmocka_unit_test(the_rest_of_a_row_widens_nothing),
        cmocka_unit_test(colours_take_no_room),
        cmocka_unit_test(foreign_text_cannot_play_tricks),
        cmocka_unit_test(many_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
