// .dockerignore: what is left out for certain, and what is kept in doubt.
#include "agent/base/error.h"
#include "build/git/ignore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *text;
    const char *path;
    bool left_out;
} cases[] = {
    {"", "a", false},
    {"a", "a", true},
    {"a", "b/a", false},
    {"a", "a/b/c", true},
    {"/a", "a", true},
    {"./a/", "a/b", true},
    {" a \r\n", "a", true},
    {"\xef\xbb\xbf"
     "a",
     "a", true},
    {"#a\nb", "#a", false},
    {"#a\nb", "b", true},
    {"*.o", "x.o", true},
    {"*.o", "a/x.o", false},
    {"*/*.o", "a/x.o", true},
    {"*", "a/b", true},
    {"**/x", "x", true},
    {"**/x", "a/b/x", true},
    {"a/**", "a/b/c", true},
    {"a/**", "a", false},
    {"a/**/z", "a/z", true},
    {"a/**/z", "a/b/c/z", true},
    {"?.c", "x.c", true},
    {"?.c", "xx.c", false},
    // Of a pattern with "**" only a parent of as many parts counts, as Kaniko's matcher has it.
    {"**/x", "a/b/x/y", false},
    {"**/x", "a/x/y", true},
    // The last one decides.
    {"a\n!a/keep", "a/keep", false},
    {"a\n!a/keep", "a/lose", true},
    {"!a/keep\na", "a/keep", true},
    {"a\n!a/keep\na/keep/not", "a/keep/not", true},
    {"*\n!src", "src/deep/x", false},
    {"*\n!**/x", "a/b/x/y", false},
    {"! a\na", "a", true},
    // Not understood: kept.
    {"[ab]", "a", false},
    {"a\\*", "a*", false},
    {"a+", "a+", false},
    {"a**", "ab", false},
    {"../a", "a", false},
    {"a\n[xy]", "a", true},
    {"a\n![xy]", "a", false},
    {"a\n!", "a", false},
    {"\xc3\xa4", "\xc3\xa4", false},
    // Kaniko reads these whatever the patterns say.
    {"*", "docker/Dockerfile", false},
    {"*", ".dockerignore", false},
    {"*", "docker/Dockerfile.dockerignore", false},
};

static void patterns_decide(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ignore *ignore =
            ignore_read(cases[i].text, strlen(cases[i].text), "docker/Dockerfile");
        if (ignore_matches(ignore, cases[i].path) != cases[i].left_out)
            fail_msg("\"%s\" and %s", cases[i].text, cases[i].path);
        ignore_free(ignore);
    }
}

static void too_much_leaves_out_nothing(void **state)
{
    (void)state;
    static char text[IGNORE_FILE_MAX + 1];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % 2 ? '\n' : 'a';
    struct ignore *ignore = ignore_read(text, 2 * IGNORE_PATTERNS_MAX, "Dockerfile");
    assert_true(ignore_matches(ignore, "a"));
    ignore_free(ignore);
    assert_null(ignore_read(text, 2 * IGNORE_PATTERNS_MAX + 2, "Dockerfile"));
    memset(text, '\n', sizeof text);
    assert_null(ignore_read(text, sizeof text, "Dockerfile"));
    assert_null(ignore_read("a\0b", 3, "Dockerfile"));
    assert_false(ignore_matches(NULL, "a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_decide),
        cmocka_unit_test(too_much_leaves_out_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
