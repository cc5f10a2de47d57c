#include "agent/base/yaml.h"
#include "agent/cli/fields.h"
#include "deploy/document_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *printed(void (*print)(FILE *out))
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    print(out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void the_example_is_a_valid_document(void **state)
{
    (void)state;
    struct error err = {0};
    struct yaml_document yaml;
    CLEANUP(free_ptr) char *text = printed(fields_example);
    assert_true(yaml_read(text, strlen(text), 1 << 20, &yaml, &err));
    CLEANUP(json_ptr) json_t *faults = json_array();
    CLEANUP(json_ptr) json_t *normal = document_normal(yaml.root, faults);
    CLEANUP(free_ptr) char *wrong = json_write(faults);
    assert_string_equal(wrong, "[]");
    assert_non_null(json_at(normal, "source", "git", "repository", NULL));
    yaml_finish(&yaml);
}

static void each_setting_is_in_the_example_and_the_manual(void **state)
{
    (void)state;
    CLEANUP(free_ptr) char *example = printed(fields_example);
    CLEANUP(free_ptr) char *manual = printed(fields_man);
    for (size_t i = 0; i < document_field_count; i++) {
        const char *path = document_fields[i].path;
        const char *dot = strrchr(path, '.');
        CLEANUP(free_ptr) char *key = xasprintf("%s:", dot && !strchr(path, '[') ? dot + 1 : path);
        CLEANUP(free_ptr) char *row = xasprintf(".B %s\n", path);
        assert_non_null(strstr(example, key));
        assert_non_null(strstr(manual, row));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_is_a_valid_document),
        cmocka_unit_test(each_setting_is_in_the_example_and_the_manual),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
