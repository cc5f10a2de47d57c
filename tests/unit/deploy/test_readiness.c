// What a pod needs to be there.
#include "deploy/readiness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

// Takes the pod's spec as JSON with ' for "; compares with "kind name, kind name".
static void assert_references(const char *spec, const char *wanted)
{
    CLEANUP(free_ptr) char *text = xasprintf("{'spec':{%s}}", spec);
    for (char *c = text; *c; c++)
        if (*c == '\'')
            *c = '"';
    CLEANUP(json_ptr) json_t *template = json_loads(text, 0, NULL);
    assert_non_null(template);
    CLEANUP(json_ptr) json_t *references = readiness_references(template);
    CLEANUP(buffer_finish) struct buffer said = {0};
    for (size_t i = 0; i < json_array_size(references); i++) {
        const json_t *one = json_array_get(references, i);
        assert_true(buffer_printf(&said, NULL, "%s%s %s", i ? ", " : "",
                                  json_text_at(one, "kind", NULL),
                                  json_text_at(one, "name", NULL)));
    }
    assert_string_equal(buffer_text(&said), wanted);
}

static void nothing_is_needed(void **state)
{
    (void)state;
    assert_references("'containers':[{'name':'a'}]", "");
    assert_references("", "");
}

static void each_place_is_looked_at(void **state)
{
    (void)state;
    assert_references("'containers':[{'env':[{'name':'A','value':'b'},"
                      "{'valueFrom':{'secretKeyRef':{'name':'s1','key':'k'}}},"
                      "{'valueFrom':{'configMapKeyRef':{'name':'c1','key':'k'}}}],"
                      "'envFrom':[{'secretRef':{'name':'s2'}},{'configMapRef':{'name':'c2'}}]}]",
                      "Secret s1, ConfigMap c1, Secret s2, ConfigMap c2");
    assert_references("'initContainers':[{'envFrom':[{'secretRef':{'name':'s'}}]}]", "Secret s");
    assert_references("'volumes':[{'secret':{'secretName':'s'}},{'configMap':{'name':'c'}},"
                      "{'persistentVolumeClaim':{'claimName':'p'}},{'emptyDir':{}},"
                      "{'projected':{'sources':[{'secret':{'name':'ps'}},"
                      "{'configMap':{'name':'pc'}}]}}]",
                      "Secret s, ConfigMap c, PersistentVolumeClaim p, Secret ps, ConfigMap pc");
    assert_references("'imagePullSecrets':[{'name':'login'}],'serviceAccountName':'robot'",
                      "pull secret login, service account robot");
}

static void optional_and_repeated_ones_are_left_out(void **state)
{
    (void)state;
    assert_references("'containers':[{'envFrom':[{'secretRef':{'name':'s','optional':true}},"
                      "{'configMapRef':{'name':'c'}},{'configMapRef':{'name':'c'}}]}],"
                      "'volumes':[{'configMap':{'name':'c','optional':false}},"
                      "{'secret':{'secretName':'v','optional':true}}]",
                      "ConfigMap c");
}

static void there_is_a_bound(void **state)
{
    (void)state;
    CLEANUP(json_ptr) json_t *from = json_array();
    for (int i = 0; i < READINESS_REFERENCES_MAX + 10; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%d", i);
        json_array_append_new(from, json_pack("{s:{s:s}}", "secretRef", "name", name));
    }
    CLEANUP(json_ptr)
    json_t *template = json_pack("{s:{s:[{s:O}]}}", "spec", "containers", "envFrom", from);
    CLEANUP(json_ptr) json_t *references = readiness_references(template);
    assert_int_equal(json_array_size(references), READINESS_REFERENCES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_needed),
        cmocka_unit_test(each_place_is_looked_at),
        cmocka_unit_test(optional_and_repeated_ones_are_left_out),
        cmocka_unit_test(there_is_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
