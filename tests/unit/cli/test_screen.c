#include "agent/cli/screen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void marks(void **state)
{
    (void)state;
    static const struct {
        enum mark mark;
        const char *text;
        const char *symbols;
        const char *words;
    } cases[] = {
        {MARK_OK, "", "✔", "ok"},
        {MARK_OK, "1 service", "✔ 1 service", "ok: 1 service"},
        {MARK_FAILED, "exit 3", "✗ exit 3", "failed: exit 3"},
        {MARK_FAILED, "failed after 2 attempts", "✗ failed after 2 attempts",
         "failed after 2 attempts"},
        {MARK_RUNNING, "", "● running", "running"},
        {MARK_RUNNING, "running 20s", "● running 20s", "running 20s"},
        {MARK_WAITING, "waiting 6s", "◎ waiting 6s", "waiting 6s"},
        {MARK_START, "forced run", "► forced run", "forced run"},
        {MARK_WARNING, "careful", "⚠ careful", "warning: careful"},
        {MARK_SKIPPED, "superseded", "– superseded", "superseded"},
        {MARK_SKIPPED, "", "–", "-"},
        {MARK_NONE, "plain", "plain", "plain"},
    };
    const struct screen utf8 = {.utf8 = true};
    const struct screen ascii = {.utf8 = false};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CLEANUP(free_ptr) char *symbols = mark_text(&utf8, cases[i].mark, cases[i].text);
        CLEANUP(free_ptr) char *words = mark_text(&ascii, cases[i].mark, cases[i].text);
        assert_string_equal(symbols, cases[i].symbols);
        assert_string_equal(words, cases[i].words);
    }
}

static void looks_at_the_locale(void **state)
{
    (void)state;
    struct screen screen;
    (void)setenv("LC_ALL", "C.UTF-8", 1);
    screen_init(&screen);
    assert_true(screen.utf8);
    assert_string_equal(screen_arrow(&screen), "→");
    (void)setenv("LC_ALL", "C", 1);
    screen_init(&screen);
    assert_false(screen.utf8);
    assert_string_equal(screen_arrow(&screen), "->");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks),
        cmocka_unit_test(looks_at_the_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
