// The table of a document's fields as JSON Schema.
#include "deploy/document.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

// A keyword of the field at a path of keys, as JSON text.
#define assert_keyword(schema, wanted, ...)                                                        \
    do {                                                                                           \
        const json_t *found_ = json_at(schema, __VA_ARGS__, NULL);                                 \
        char *text_ = found_ ? json_dumps(found_, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;          \
        if (!text_ || strcmp(text_, wanted) != 0)                                                  \
            fail_msg("%s is not %s", text_ ? text_ : "nothing", wanted);                           \
        free(text_);                                                                               \
    } while (0)
#define PROPERTY(name) "properties", name

static void what_is_sent_has_bounds(void **state)
{
    (void)state;
    CLEANUP(json_ptr) json_t *schema = document_schema(DOCUMENT_SCHEMA_WHOLE);
    assert_keyword(schema, "[\"name\",\"namespace\",\"source\",\"schedule\"]", "required");
    assert_keyword(schema, "false", "additionalProperties");
    assert_keyword(schema, "[\"string\"]", PROPERTY("name"), "type");
    assert_keyword(schema, "1", PROPERTY("name"), "minLength");
    assert_keyword(schema, "[\"integer\",\"null\"]", PROPERTY("restarts"), "type");
    assert_keyword(schema, "0", PROPERTY("restarts"), "minimum");
    assert_keyword(schema, "1000", PROPERTY("restarts"), "maximum");
    assert_keyword(schema, "3", PROPERTY("restarts"), "default");
    assert_keyword(schema, "[\"skip\",\"run\",null]", PROPERTY("missed"), "enum");
    assert_keyword(schema, "[\"0 3 * * *\"]", PROPERTY("schedule"), "examples");
    assert_keyword(schema, "[\"name\"]", PROPERTY("env"), "items", "required");
    assert_keyword(schema, "[\"string\",\"number\",\"null\"]", PROPERTY("resources"),
                   PROPERTY("limits"), "additionalProperties", "type");
    assert_keyword(schema, "[\"string\",\"integer\"]", PROPERTY("healthChecks"),
                   PROPERTY("liveness"), PROPERTY("tcp"), PROPERTY("port"), "type");
}

static void a_patch_needs_nothing(void **state)
{
    (void)state;
    CLEANUP(json_ptr) json_t *schema = document_schema(DOCUMENT_SCHEMA_PATCH);
    assert_keyword(schema, "[]", "required");
    assert_keyword(schema, "\"null\"", "additionalProperties", "type");
    assert_keyword(schema, "[\"object\",\"null\"]", PROPERTY("source"), "type");
    assert_keyword(schema, "[]", PROPERTY("source"), PROPERTY("git"), "required");
    assert_keyword(schema, "1000", PROPERTY("restarts"), "maximum");
    // Lists are given anew as a whole.
    assert_keyword(schema, "[\"name\"]", PROPERTY("env"), "items", "required");
    assert_keyword(schema, "false", PROPERTY("env"), "items", "additionalProperties");
}

// CronJobs that others wrote hold what could not be sent.
static void an_answer_has_only_types(void **state)
{
    (void)state;
    CLEANUP(json_ptr) json_t *schema = document_schema(DOCUMENT_SCHEMA_ANSWER);
    assert_keyword(schema, "[]", "required");
    assert_keyword(schema, "[\"integer\"]", PROPERTY("restarts"), "type");
    assert_null(json_at(schema, PROPERTY("restarts"), "maximum", NULL));
    assert_null(json_at(schema, PROPERTY("missed"), "enum", NULL));
    assert_null(json_at(schema, PROPERTY("env"), "maxItems", NULL));
    assert_null(json_at(schema, PROPERTY("podLabels"), "additionalProperties", "maxLength", NULL));
    assert_null(json_at(schema, PROPERTY("status"), NULL));
    assert_keyword(schema, "[\"string\"]", PROPERTY("resources"), PROPERTY("limits"),
                   "additionalProperties", "type");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sent_has_bounds),
        cmocka_unit_test(a_patch_needs_nothing),
        cmocka_unit_test(an_answer_has_only_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
