// The objects that a watch has told of.
#include "deploy/kube/known.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MANY 5000

static void name_of(int number, char out[static 32])
{
    snprintf(out, 32, "n/object-%d", number);
}

static void objects_come_and_go(void **state)
{
    (void)state;
    struct known *known = known_create();
    char name[32], uid[32];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < MANY; i++) {
            name_of(i, name);
            snprintf(uid, sizeof uid, "%d-%d", i, i % 2 ? round : 0);
            known_put(known, name, uid);
        }
    assert_int_equal(known_count(known), MANY);
    for (int i = 0; i < MANY; i++) {
        name_of(i, name);
        assert_string_equal(strchr(known_uid(known, name), '-'), i % 2 ? "-1" : "-0");
        known_drop(known, name);
        assert_null(known_uid(known, name));
        known_drop(known, name);
    }
    assert_int_equal(known_count(known), 0);
    known_destroy(known);
}

static void note(void *user, const char *name, const char *uid)
{
    snprintf(user, 64, "%s %s", name, uid);
}

static void what_a_list_has_not_is_gone(void **state)
{
    (void)state;
    struct known *known = known_create();
    char gone[64] = "";
    known_put(known, "n/a", "1");
    known_put(known, "n/b", "2");
    known_begin_list(known);
    known_put(known, "n/a", "1");
    known_begin_list(known); // anew: that does not count any more
    known_put(known, "n/b", "2");
    known_put(known, "n/c", "3");
    known_end_list(known, note, gone);
    assert_string_equal(gone, "n/a 1");
    assert_int_equal(known_count(known), 2);
    *gone = '\0';
    known_end_list(known, note, gone);
    assert_string_equal(gone, "");
    known_destroy(known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_come_and_go),
        cmocka_unit_test(what_a_list_has_not_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
