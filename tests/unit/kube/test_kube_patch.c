#include "deploy/kube/patch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void assert_patch(const json_t *patch, const char *wanted)
{
    CLEANUP(free_ptr) char *text = json_dumps(patch, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, wanted);
}

static void pointers_are_escaped(void **state)
{
    (void)state;
    CLEANUP(free_ptr) char *plain = patch_pointer(PATCH_AT("metadata", "uid"));
    assert_string_equal(plain, "/metadata/uid");
    CLEANUP(free_ptr) char *slash = patch_pointer(PATCH_AT("a", "cronwright.io/commit"));
    assert_string_equal(slash, "/a/cronwright.io~1commit");
    CLEANUP(free_ptr) char *both = patch_pointer(PATCH_AT("~1/~"));
    assert_string_equal(both, "/~01~1~0");
    CLEANUP(free_ptr) char *empty = patch_pointer(PATCH_AT(""));
    assert_string_equal(empty, "/");
}

static void operations_keep_their_order(void **state)
{
    (void)state;
    CLEANUP(json_ptr) json_t *patch = patch_create();
    patch_test(patch, PATCH_AT("a"), "1");
    patch_replace(patch, PATCH_AT("a"), "2\"\n");
    patch_add(patch, PATCH_AT("b"), "3");
    assert_patch(patch, "[{\"op\":\"test\",\"path\":\"/a\",\"value\":\"1\"},"
                        "{\"op\":\"replace\",\"path\":\"/a\",\"value\":\"2\\\"\\n\"},"
                        "{\"op\":\"add\",\"path\":\"/b\",\"value\":\"3\"}]");
}

static void absent_annotations_are_made_behind_a_test(void **state)
{
    (void)state;
    const struct annotation annotations[] = {{"x/y", "1"}, {NULL, NULL}};
    CLEANUP(json_ptr) json_t *present = patch_create();
    patch_annotate(present, true, annotations);
    assert_patch(present,
                 "[{\"op\":\"add\",\"path\":\"/metadata/annotations/x~1y\",\"value\":\"1\"}]");
    CLEANUP(json_ptr) json_t *absent = patch_create();
    patch_annotate(absent, false, annotations);
    assert_patch(absent,
                 "[{\"op\":\"test\",\"path\":\"/metadata/annotations\",\"value\":null},"
                 "{\"op\":\"add\",\"path\":\"/metadata/annotations\",\"value\":{}},"
                 "{\"op\":\"add\",\"path\":\"/metadata/annotations/x~1y\",\"value\":\"1\"}]");
}

static void other_values_and_removal(void **state)
{
    (void)state;
    const struct annotation labels[] = {{"a", "b"}, {0}};
    CLEANUP(json_ptr) json_t *patch = patch_create();
    patch_test_value(patch, PATCH_AT("spec", "suspend"), json_true());
    patch_add_value(patch, PATCH_AT("spec", "suspend"), json_false());
    patch_remove(patch, PATCH_AT("x"));
    patch_label(patch, true, labels);
    assert_patch(patch, "[{\"op\":\"test\",\"path\":\"/spec/suspend\",\"value\":true},"
                        "{\"op\":\"add\",\"path\":\"/spec/suspend\",\"value\":false},"
                        "{\"op\":\"remove\",\"path\":\"/x\"},"
                        "{\"op\":\"add\",\"path\":\"/metadata/labels/a\",\"value\":\"b\"}]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pointers_are_escaped),
        cmocka_unit_test(operations_keep_their_order),
        cmocka_unit_test(other_values_and_removal),
        cmocka_unit_test(absent_annotations_are_made_behind_a_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
