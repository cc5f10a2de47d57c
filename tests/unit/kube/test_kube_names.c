#include "deploy/kube/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void labels(void **state)
{
    (void)state;
    char long_one[KUBE_LABEL_MAX + 2];
    memset(long_one, 'a', sizeof long_one);
    long_one[KUBE_LABEL_MAX + 1] = '\0';
    assert_true(kube_is_label("reports"));
    assert_true(kube_is_label("7-a"));
    assert_true(kube_is_label(long_one + 1));
    assert_false(kube_is_label(long_one));
    static const char *const wrong[] = {"",    "-a",  "a-",   "A", "a.b", "a/b",
                                        "a_b", "a b", "a\nb", "ä", "..",  "%2e"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(kube_is_label(wrong[i]));
}

static void names(void **state)
{
    (void)state;
    char long_one[KUBE_NAME_MAX + 2];
    memset(long_one, 'a', sizeof long_one);
    long_one[KUBE_NAME_MAX + 1] = '\0';
    assert_true(kube_is_name("nightly-report"));
    assert_true(kube_is_name("a.b-c.d"));
    assert_true(kube_is_name(long_one + 1));
    assert_false(kube_is_name(long_one));
    static const char *const wrong[] = {"",     ".",   "..",   "a..b", ".a",    "a.",
                                        "a.-b", "a/b", "../x", "A",    "a%2fb", "a?b"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(kube_is_name(wrong[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
