// The description of the admin API beside the tables that it describes.
#include "agent/admin/admit.h"
#include "agent/admin/openapi.h"
#include "deploy/document.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static json_t *whole;

static int read_all(void **state)
{
    (void)state;
    whole = admin_openapi();
    return 0;
}

static int forget_all(void **state)
{
    (void)state;
    json_decref(whole);
    return 0;
}

static const json_t *operation(const char *path, const char *method)
{
    char word[16];
    size_t i = 0;
    for (; method[i]; i++)
        word[i] = (char)tolower((unsigned char)method[i]);
    word[i] = '\0';
    return json_at(whole, "paths", path, word, NULL);
}

static const struct server_route *route(const char *path, const char *word)
{
    for (const struct server_route *const *table = admin_tables; *table; table++)
        for (const struct server_route *each = *table; each->path; each++)
            if (strcmp(each->path, path) == 0 && strcasecmp(each->method, word) == 0)
                return each;
    return NULL;
}

static void test_every_route_is_described(void **state)
{
    (void)state;
    for (const struct server_route *const *table = admin_tables; *table; table++) {
        for (const struct server_route *each = *table; each->path; each++) {
            const json_t *described = operation(each->path, each->method);
            if (!described)
                fail_msg("%s %s is not described", each->method, each->path);
            // The open ones say so, and no others but that which takes a token in its body.
            bool open = each->flags & SERVER_OPEN;
            assert_int_equal(json_at(described, "security", NULL) != NULL,
                             open || each->handle == admin_sign_in);
            assert_int_equal(json_at(described, "responses", "401", NULL) == NULL, open);
        }
    }
}

static void test_everything_described_is_a_route(void **state)
{
    (void)state;
    const char *path, *word;
    json_t *item, *described;
    size_t count = 0;
    json_object_foreach(json_unconst(json_at(whole, "paths", NULL)), path, item)
    {
        json_object_foreach(item, word, described)
        {
            if (strcmp(word, "parameters") == 0)
                continue;
            count++;
            if (!route(path, word))
                fail_msg("%s %s is no route", word, path);
        }
    }
    assert_true(count > 20);
}

// The names in the path are its parameters.
static void test_the_paths_parameters_are_described(void **state)
{
    (void)state;
    const char *path;
    json_t *item;
    json_object_foreach(json_unconst(json_at(whole, "paths", NULL)), path, item)
    {
        size_t named = 0, described = json_array_size(json_object_get(item, "parameters"));
        for (const char *at = strchr(path, '{'); at; at = strchr(at + 1, '{'))
            named++;
        if (named != described)
            fail_msg("%s: %zu parameters of %zu", path, described, named);
    }
}

// "#/components/schemas/Run"
static const json_t *resolved(const char *reference)
{
    CLEANUP(free_ptr) char *words = xstrdup(reference);
    const json_t *at = whole;
    char *rest, *word = strtok_r(words, "/", &rest);
    assert_string_equal(word, "#");
    while (at && (word = strtok_r(NULL, "/", &rest)))
        at = json_object_get(at, word);
    return at;
}

static size_t check_references(const json_t *value)
{
    size_t count = 0, i;
    const char *key;
    json_t *item;
    json_object_foreach(json_unconst(value), key, item)
    {
        if (strcmp(key, "$ref") == 0 && json_is_string(item)) {
            count++;
            if (!resolved(json_string_value(item)))
                fail_msg("%s is not there", json_string_value(item));
        }
        count += check_references(item);
    }
    json_array_foreach(value, i, item)
    {
        count += check_references(item);
    }
    return count;
}

static void test_references_lead_somewhere(void **state)
{
    (void)state;
    assert_true(check_references(whole) > 100);
}

static void test_the_version_is_the_programs(void **state)
{
    (void)state;
    assert_string_equal(json_text_at(whole, "info", "version", NULL), CRONWRIGHT_VERSION);
}

// What is answered of a service is its document, and more.
static void test_a_service_has_all_keys_of_its_document(void **state)
{
    (void)state;
    const json_t *service = json_at(whole, "components", "schemas", "Service", "properties", NULL);
    const json_t *given = json_at(whole, "components", "schemas", "Document", "properties", NULL);
    const char *key;
    json_t *schema;
    assert_non_null(json_object_get(service, "status"));
    json_object_foreach(json_unconst(given), key, schema)
    {
        assert_non_null(json_object_get(service, key));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_route_is_described),
        cmocka_unit_test(test_everything_described_is_a_route),
        cmocka_unit_test(test_the_paths_parameters_are_described),
        cmocka_unit_test(test_references_lead_somewhere),
        cmocka_unit_test(test_the_version_is_the_programs),
        cmocka_unit_test(test_a_service_has_all_keys_of_its_document),
    };
    return cmocka_run_group_tests(tests, read_all, forget_all);
}
