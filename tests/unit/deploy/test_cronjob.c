// CronJobs as people write them → services.
#include "deploy/cronjob.h"
#include "deploy/service_owner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

// Takes `metadata` and `containers` as JSON with ' for ".
static const struct service *service_of(const char *metadata, const char *spec, const char *pod)
{
    CLEANUP(free_ptr)
    char *text = xasprintf("{'metadata':{'namespace':'n','name':'r','uid':'u-1',"
                           "'resourceVersion':'7','creationTimestamp':'2026-11-24T08:01:10Z'%s},"
                           "'spec':{'schedule':'0 3 * * *'%s,'jobTemplate':{'spec':{'template':"
                           "{'spec':{%s}}}}},"
                           "'status':{'active':[{},{}],'lastScheduleTime':'2026-11-24T03:00:00Z'}}",
                           metadata, spec, pod);
    for (char *c = text; *c; c++)
        if (*c == '\'')
            *c = '"';
    CLEANUP(json_ptr) json_t *json = NULL;
    struct error err;
    const struct service *service = NULL;
    if (!json_read(text, strlen(text), 65536, &json, &err) ||
        !service_from_json(json, &service, &err))
        fail_msg("%s: %s", err.text, text);
    return service;
}

#define ONE             "'containers':[{'name':'main','image':'h:5000/a/b:1.4@sha256:00'}]"
#define TWO             "'containers':[{'name':'side','image':'s'},{'name':'main','image':'h/m:1'}]"
#define SOURCE          "'cronwright.io/repository':'https://g/a/b','cronwright.io/branch':'main'"
#define ANNOTATED(text) ",'annotations':{" text "}"

static void defaults(void **state)
{
    (void)state;
    CLEANUP(service_ptr) const struct service *service = service_of("", "", ONE);
    assert_string_equal(service->namespace_, "n");
    assert_string_equal(service->name, "r");
    assert_string_equal(service->uid, "u-1");
    assert_string_equal(service->resource_version, "7");
    assert_string_equal(service->project, "");
    assert_string_equal(service->repository, "");
    assert_string_equal(service->dockerfile, "Dockerfile");
    assert_string_equal(service->context, ".");
    assert_string_equal(service->build_args, "");
    assert_string_equal(service->container, "main");
    assert_string_equal(service->image, "h:5000/a/b:1.4@sha256:00");
    assert_string_equal(service->destination, "h:5000/a/b");
    assert_string_equal(service->commit, "");
    assert_string_equal(service->owner, "");
    assert_string_equal(service->problem, "");
    assert_int_equal(service->state, SERVICE_STARTED);
    assert_int_equal(service->active, 2);
    assert_int_equal(service->last_schedule.ms, 1795489200000);
    assert_int_equal(service->last_success.ms, 0);
    assert_int_equal(service->patched_at.ms, 0);
    assert_false(service->has_annotations);
}

static void everything_said(void **state)
{
    (void)state;
    CLEANUP(service_ptr)
    const struct service *service = service_of(
        ANNOTATED(SOURCE ",'cronwright.io/dockerfile':'docker/Dockerfile',"
                         "'cronwright.io/context':'src','cronwright.io/target':'prod',"
                         "'cronwright.io/build-args':'{}','cronwright.io/image':'r.example/x:1',"
                         "'cronwright.io/container':'main','cronwright.io/commit':'c0ffee',"
                         "'cronwright.io/build':'b-51','cronwright.io/patched-image':'h/m:1',"
                         "'cronwright.io/patched-at':'2026-11-24T08:01:10Z'"),
        ",'timeZone':'Europe/Berlin','concurrencyPolicy':'Forbid'",
        TWO ",'imagePullSecrets':[{'name':'p1'},{'name':'p2'}]");
    assert_string_equal(service->repository, "https://g/a/b");
    assert_string_equal(service->branch, "main");
    assert_string_equal(service->dockerfile, "docker/Dockerfile");
    assert_string_equal(service->context, "src");
    assert_string_equal(service->target, "prod");
    assert_string_equal(service->build_args, "");
    assert_string_equal(service->destination, "r.example/x");
    assert_string_equal(service->containers, "main");
    assert_string_equal(service->places,
                        "[{\"list\":\"containers\",\"index\":\"1\",\"name\":\"main\","
                        "\"image\":\"h/m:1\"}]");
    assert_string_equal(service->image, "h/m:1");
    assert_string_equal(service->pull_secrets, "p1,p2");
    assert_string_equal(service->commit, "c0ffee");
    assert_string_equal(service->build, "b-51");
    assert_int_equal(service->patched_at.ms, 1795507270000);
    assert_string_equal(service->time_zone, "Europe/Berlin");
    assert_string_equal(service->concurrency, "Forbid");
    assert_true(service->has_annotations);
    assert_string_equal(service->problem, "");
}

static void build_args_are_sorted(void **state)
{
    (void)state;
    CLEANUP(json_ptr)
    json_t *annotations =
        json_pack("{s:s}", ANNOTATION_BUILD_ARGS, "{ \"B\": \"2\",\n\"A\": \"1 \\\"\" }");
    CLEANUP(json_ptr)
    json_t *json =
        json_pack("{s:{s:s, s:s, s:s, s:O}, s:{s:{}}}", "metadata", "namespace", "n", "name", "r",
                  "uid", "u", "annotations", annotations, "spec", "jobTemplate");
    const struct service *service;
    assert_true(service_from_json(json, &service, NULL));
    assert_string_equal(service->build_args, "{\"A\":\"1 \\\"\",\"B\":\"2\"}");
    service_drop(service);
}

static struct service_paths {
    char paths[256], problem[256];
} paths_of(const char *annotation)
{
    CLEANUP(json_ptr)
    json_t *json = json_pack("{s:{s:s, s:s, s:s, s:{s:s}}, s:{s:{}}}", "metadata", "namespace", "n",
                             "name", "r", "uid", "u", "annotations", ANNOTATION_PATHS, annotation,
                             "spec", "jobTemplate");
    CLEANUP(service_ptr) const struct service *service = NULL;
    struct service_paths out;
    assert_true(service_from_json(json, &service, NULL));
    snprintf(out.paths, sizeof out.paths, "%s", service->paths);
    snprintf(out.problem, sizeof out.problem, "%s", service->problem);
    return out;
}

static void paths_are_sorted_and_checked(void **state)
{
    (void)state;
    assert_string_equal(paths_of(" [ \"report/**\", \"*.sql\",\n\"report/**\" ]").paths,
                        "[\"*.sql\",\"report/**\"]");
    assert_string_equal(paths_of("[]").paths, "");
    assert_string_equal(paths_of("").paths, "");
    static const char *const wrong[] = {
        "report/**",        "{}",
        "\"report/**\"",    "[7]",
        "[\"\"]",           "[\"/report\"]",
        "[\"a//b\"]",       "[\"./report/**\"]",
        "[\"report/./x\"]", "[\"../x\"]",
        "[\"a\\\\b\"]",     "[\".git/config\"]",
        "[\"a\\u0001\"]",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct service_paths got = paths_of(wrong[i]);
        if (*got.paths || !strstr(got.problem, ANNOTATION_PATHS ": "))
            fail_msg("%s: \"%s\", \"%s\"", wrong[i], got.paths, got.problem);
    }
    static const char *const good[] = {"[\"report/\"]", "[\"**\"]", "[\"a b/[x]?\"]"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_string_equal(paths_of(good[i]).paths, good[i]);
    char *many = xasprintf("[\"x0\"");
    for (int i = 1; i <= SERVICE_PATHS_MAX; i++) {
        char *before = many;
        many = xasprintf("%s,\"x%d\"", before, i);
        free(before);
    }
    char *too_many = xasprintf("%s]", many);
    assert_non_null(strstr(paths_of(too_many).problem, "at most"));
    free(too_many);
    free(many);
    char *longer = xasprintf("[\"%0*d\"]", SERVICE_PATH_MAX + 1, 0);
    assert_non_null(strstr(paths_of(longer).problem, "bytes"));
    free(longer);
}

static void problems_are_sentences(void **state)
{
    (void)state;
    static const struct {
        const char *metadata, *pod, *problem;
    } cases[] = {
        {"", TWO,
         "it has 2 containers: annotation cronwright.io/container must name the one that is "
         "built: side, main"},
        {ANNOTATED("'cronwright.io/container':'absent'"), TWO,
         "annotation cronwright.io/container: there is no container \"absent\"; there are: side, "
         "main"},
        {ANNOTATED("'cronwright.io/container':'absent'"), ONE,
         "annotation cronwright.io/container: there is no container \"absent\"; there are: main"},
        {ANNOTATED("'cronwright.io/repository':'https://g/a/b'"), ONE,
         "annotation cronwright.io/branch is missing"},
        {ANNOTATED(SOURCE ",'cronwright.io/build-args':'A=1'"), ONE,
         "annotation cronwright.io/build-args is not a JSON object of texts"},
        {ANNOTATED(SOURCE ",'cronwright.io/image':':1'"), ONE,
         "annotation cronwright.io/image is not an image's name"},
        {"", "'containers':[]",
         "it has 0 containers: annotation cronwright.io/container must name the one that is "
         "built: none"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEANUP(service_ptr)
        const struct service *service = service_of(cases[i].metadata, "", cases[i].pod);
        assert_string_equal(service->problem, cases[i].problem);
    }
    CLEANUP(service_ptr) const struct service *undecided = service_of("", "", TWO);
    assert_string_equal(undecided->container, "");
    assert_string_equal(undecided->image, "");
}

static void states(void **state)
{
    (void)state;
#define DRAFT ANNOTATED("'cronwright.io/state':'draft'")
    static const struct {
        const char *metadata, *spec;
        enum service_state state;
    } cases[] = {
        {"", "", SERVICE_STARTED},
        {"", ",'suspend':false", SERVICE_STARTED},
        {"", ",'suspend':true", SERVICE_STOPPED},
        {DRAFT, ",'suspend':true", SERVICE_DRAFT},
        {DRAFT, "", SERVICE_STARTED}, // somebody resumed it by hand
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEANUP(service_ptr)
        const struct service *service = service_of(cases[i].metadata, cases[i].spec, ONE);
        assert_int_equal(service->state, cases[i].state);
    }
}

static void owners(void **state)
{
    (void)state;
    static const struct {
        const char *metadata, *owner;
    } cases[] = {
        {ANNOTATED("'meta.helm.sh/release-name':'reports'"), "Helm release reports"},
        {ANNOTATED("'argocd.argoproj.io/tracking-id':'app1:batch/CronJob:n/r'"),
         "Argo CD application app1"},
        {",'labels':{'argocd.argoproj.io/instance':'app2'}", "Argo CD application app2"},
        {",'labels':{'kustomize.toolkit.fluxcd.io/name':'site'}", "Flux Kustomization site"},
        {",'labels':{'helm.toolkit.fluxcd.io/name':'rel'},'annotations':"
         "{'meta.helm.sh/release-name':'rel'}",
         "Flux HelmRelease rel"},
        {",'labels':{'app.kubernetes.io/instance':'x'}", ""},
        {",'labels':{'app.kubernetes.io/managed-by':'Helm','app.kubernetes.io/instance':'x'}",
         "Helm release x"},
        {",'labels':{'app.kubernetes.io/managed-by':'kustomize'}", ""},
        {",'managedFields':[{'manager':'kubectl'},{'manager':'argocd-controller'}],"
         "'labels':{'app.kubernetes.io/instance':'shop'}",
         "Argo CD application shop"},
        {",'managedFields':[{'manager':'kustomize-controller'}]", "Flux Kustomization"},
        {",'managedFields':[{'manager':'kubectl'}]", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEANUP(service_ptr)
        const struct service *service = service_of(cases[i].metadata, "", ONE);
        assert_string_equal(service->owner, cases[i].owner);
    }
}

static void image_of_an_owner(void **state)
{
    (void)state;
#define FIELDS(manager, container)                                                                 \
    ",'managedFields':[{'manager':'" manager "','fieldsV1':{'f:spec':{'f:jobTemplate':{'f:spec':"  \
    "{'f:template':{'f:spec':{'f:containers':{'k:{\\'name\\':\\'" container                        \
    "\\'}':{'f:image':{}}}}}}}}}}]"
    static const struct {
        const char *metadata;
        bool by_owner;
    } cases[] = {{FIELDS("helm", "main"), true},
                 {FIELDS("kubectl-set", "main"), false},
                 {FIELDS("helm", "side"), false},
                 {",'managedFields':[{'manager':'helm'}]", false},
                 {"", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEANUP(service_ptr)
        const struct service *service = service_of(cases[i].metadata, "", ONE);
        assert_int_equal(service->image_by_owner, cases[i].by_owner);
    }
}

// The names of all that get the image, the first one first; or what is wrong.
static void containers_that_get_the_image(void **state)
{
    (void)state;
#define ALIKE   "{'name':'a','image':'i:1'},{'name':'b','image':'i:1'}"
#define SAID(x) ANNOTATED("'cronwright.io/container':'" x "'")
#define DEST    "'cronwright.io/image':'r.example/x'"
#define MIXED                                                                                      \
    "'initContainers':[{'name':'x','image':'r.example/x:1'}],'containers':[{'name':'a','image':"   \
    "'postgres:16'},{'name':'b','image':'r.example/x@sha256:1'},{'name':'c','image':'y'}]"
    static const struct {
        const char *metadata, *pod, *containers;
        bool init, lags, replaced;
        const char *problem;
    } cases[] = {
        // The only one, or all of one image.
        {"", "'containers':[{'name':'a','image':'i:1'}]", "", false, false, false, ""},
        {"", "'containers':[" ALIKE "]", "a,b", false, false, false, ""},
        {"", "'containers':[" ALIKE ",{'name':'c','image':'i:2'}]", "", false, false, false,
         "it has 3 containers: annotation cronwright.io/container must name the one that is built: "
         "a, b, c"},
        {"", "'initContainers':[{'name':'x','image':'o'}],'containers':[{'name':'a','image':'i'}]",
         "a", false, false, false, ""},
        // By the annotation.
        {SAID("b"),
         "'initContainers':[{'name':'x','image':'o'},{'name':'y','image':'i:1'}],"
         "'containers':[" ALIKE ",{'name':'c','image':'i:2'}]",
         "b,a,y", false, false, false, ""},
        {SAID("x"),
         "'initContainers':[{'name':'x','image':'o'}],'containers':[{'name':'a','image':'i'}]", "x",
         true, false, false, ""},
        {SAID("c, x ,c"), MIXED, "c,x", false, true, false, ""},
        {SAID("[\\\"c\\\",\\\"x\\\"]"), MIXED, "c,x", false, true, false, ""},
        {SAID("c,q"), MIXED, "", false, false, false,
         "annotation cronwright.io/container: there is no container \"q\"; there are: a, b, c, and "
         "before them x"},
        {SAID("[\\\"c\\\",7]"), MIXED, "", false, false, false,
         "annotation cronwright.io/container: not a JSON array of names"},
        {SAID(" , "), MIXED, "", false, false, false,
         "annotation cronwright.io/container names 1 to 16 containers"},
        // By the destination, or because they got the image before.
        {ANNOTATED(DEST), MIXED, "b,x", false, true, false, ""},
        {ANNOTATED("'cronwright.io/image':'r.example/z'"), MIXED, "", false, false, false,
         "it has 3 containers: annotation cronwright.io/container must name the one that is built: "
         "a, b, c, and before them x"},
        {ANNOTATED(DEST ",'cronwright.io/patched-containers':'b,x',"
                        "'cronwright.io/patched-image':'r.example/x@sha256:1'"),
         MIXED, "b,x", false, true, true, ""},
        {ANNOTATED(DEST ",'cronwright.io/patched-containers':'b',"
                        "'cronwright.io/patched-image':'r.example/x@sha256:1'"),
         MIXED, "b,x", false, true, false, ""},
        {ANNOTATED(DEST ",'cronwright.io/patched-containers':'a,gone',"
                        "'cronwright.io/patched-image':'r.example/x@sha256:1'"),
         MIXED, "a,b,x", false, true, true, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEANUP(service_ptr)
        const struct service *service = service_of(cases[i].metadata, "", cases[i].pod);
        assert_string_equal(service->problem, cases[i].problem);
        assert_string_equal(service->containers, cases[i].containers);
        assert_int_equal(service->init_container, cases[i].init);
        assert_int_equal(service->lags, cases[i].lags);
        assert_int_equal(service->replaced, cases[i].replaced);
        assert_int_equal(*service->container == '\0', *cases[i].problem != '\0');
    }
}

static void warnings_of_owners(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {ANNOTATED("'meta.helm.sh/release-name':'web'"), "helm upgrade"},
        {",'labels':{'argocd.argoproj.io/instance':'web'}", "ignoreDifferences"},
        {",'labels':{'kustomize.toolkit.fluxcd.io/name':'web'}", "IfNotPresent"},
        {",'labels':{'helm.toolkit.fluxcd.io/name':'web'}", "driftDetection"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEANUP(service_ptr) const struct service *service = service_of(cases[i][0], "", ONE);
        CLEANUP(free_ptr) char *warning = service_owner_warning(service);
        assert_non_null(warning);
        assert_ptr_equal(strstr(warning, service->owner), warning);
        assert_non_null(strstr(warning, cases[i][1]));
    }
    CLEANUP(service_ptr) const struct service *free_one = service_of("", "", ONE);
    assert_null(service_owner_warning(free_one));
}

static void image_names(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"nginx", "nginx"},
        {"nginx:1", "nginx"},
        {"h:5000/a/b", "h:5000/a/b"},
        {"h:5000/a/b:1", "h:5000/a/b"},
        {"h/b@sha256:00", "h/b"},
        {"h:5000/b:1@sha256:00", "h:5000/b"},
        {"", NULL},
        {":1", NULL},
        {"@sha256:00", NULL},
        {"h/", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[64];
        assert_int_equal(image_repository(cases[i][0], out, sizeof out), cases[i][1] != NULL);
        if (cases[i][1])
            assert_string_equal(out, cases[i][1]);
    }
    char small[4];
    assert_true(image_repository("abc:1", small, sizeof small));
    assert_false(image_repository("abcd:1", small, sizeof small));
}

static void reserved_tag_says_not_built(void **state)
{
    (void)state;
    static const struct {
        const char *pod;
        bool not_built;
    } cases[] = {
        {"'containers':[{'name':'m','image':'h:5000/a/b:cronwright-not-built'}]", true},
        {"'containers':[{'name':'m','image':'h/cronwright-not-built'}]", false},
        {"'containers':[{'name':'m','image':'h/b:x-cronwright-not-built'}]", false},
        {ONE, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEANUP(service_ptr) const struct service *service = service_of("", "", cases[i].pod);
        assert_int_equal(service_not_built(service), cases[i].not_built);
    }
}

static void other_objects_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "{}", "[]", "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"u\"}}",
        "{\"metadata\":{\"name\":1},\"spec\":{\"jobTemplate\":{}}}"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEANUP(json_ptr) json_t *json = json_loads(cases[i], 0, NULL);
        const struct service *service;
        struct error err;
        assert_false(service_from_json(json, &service, &err));
        assert_int_equal(err.code, ERR_PROTOCOL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(everything_said),
        cmocka_unit_test(build_args_are_sorted),
        cmocka_unit_test(paths_are_sorted_and_checked),
        cmocka_unit_test(problems_are_sentences),
        cmocka_unit_test(states),
        cmocka_unit_test(owners),
        cmocka_unit_test(image_of_an_owner),
        cmocka_unit_test(warnings_of_owners),
        cmocka_unit_test(containers_that_get_the_image),
        cmocka_unit_test(image_names),
        cmocka_unit_test(reserved_tag_says_not_built),
        cmocka_unit_test(other_objects_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
