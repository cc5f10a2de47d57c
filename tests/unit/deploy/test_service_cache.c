#include "deploy/services.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

// As if "x:" were one of many ways to write a URL.
static bool identify(const char *url, char *out, size_t room)
{
    if (strncmp(url, "bad", 3) == 0)
        return false;
    return snprintf(out, room, "%s", strncmp(url, "x:", 2) == 0 ? url + 2 : url) < (int)room;
}

static char story[1000];

static void changed(void *user, const struct service *before, const struct service *after)
{
    assert_string_equal(user, "user");
    size_t len = strlen(story);
    snprintf(story + len, sizeof story - len, "%s→%s ", before ? before->resource_version : "",
             after ? after->resource_version : "");
}

static struct service_cache *create(void)
{
    static char user[] = "user";
    story[0] = '\0';
    return service_cache_create(
        &(struct service_cache_options){.identify = identify, .changed = changed, .user = user});
}

static json_t *cronjob(const char *namespace_, const char *name, const char *repository,
                       const char *branch, const char *version)
{
    return json_pack("{s:{s:s, s:s, s:s, s:s, s:{s:s, s:s}}, s:{s:{}}}", "metadata", "namespace",
                     namespace_, "name", name, "uid", name, "resourceVersion", version,
                     "annotations", ANNOTATION_REPOSITORY, repository, ANNOTATION_BRANCH, branch,
                     "spec", "jobTemplate");
}

static void tell(struct service_cache *cache, enum kube_event event, json_t *object)
{
    SERVICE_CACHE_EVENTS.item(cache, event, object);
    json_decref(object);
}

// The names found, joined.
static const char *found(struct service_cache *cache, const char *identity, const char *branch)
{
    static char names[200];
    struct service_list list;
    names[0] = '\0';
    service_cache_find(cache, identity, branch, &list);
    for (size_t i = 0; i < list.count; i++)
        strcat(strcat(names, list.items[i]->name), " ");
    service_list_finish(&list);
    return names;
}

static void services_are_found_by_repository_and_branch(void **state)
{
    (void)state;
    struct service_cache *cache = create();
    tell(cache, KUBE_ADDED, cronjob("n", "b", "x:repo", "main", "1"));
    tell(cache, KUBE_ADDED, cronjob("n", "a", "repo", "main", "2"));
    tell(cache, KUBE_ADDED, cronjob("m", "c", "repo", "other", "3"));
    tell(cache, KUBE_ADDED, cronjob("m", "d", "bad url", "main", "4"));
    tell(cache, KUBE_ADDED, cronjob("m", "e", "", "", "5"));
    assert_string_equal(found(cache, "repo", "main"), "a b ");
    assert_string_equal(found(cache, "repo", "other"), "c ");
    assert_string_equal(found(cache, "x:repo", "main"), "");
    assert_string_equal(found(cache, "bad url", "main"), "");
    assert_string_equal(found(cache, "", ""), "");
    assert_int_equal(service_cache_count(cache), 5);
    service_cache_destroy(cache);
}

static void changes_move_services(void **state)
{
    (void)state;
    struct service_cache *cache = create();
    tell(cache, KUBE_ADDED, cronjob("n", "a", "repo", "main", "1"));
    const struct service *kept = service_cache_get(cache, "n", "a");
    tell(cache, KUBE_MODIFIED, cronjob("n", "a", "repo", "next", "2"));
    assert_string_equal(found(cache, "repo", "main"), "");
    assert_string_equal(found(cache, "repo", "next"), "a ");
    tell(cache, KUBE_MODIFIED, cronjob("n", "a", "repo", "next", "2")); // nothing new
    tell(cache, KUBE_DELETED,
         json_pack("{s:{s:s, s:s}}", "metadata", "namespace", "n", "name", "a"));
    tell(cache, KUBE_DELETED,
         json_pack("{s:{s:s, s:s}}", "metadata", "namespace", "n", "name", "a"));
    tell(cache, KUBE_ADDED, json_pack("{s:s}", "kind", "nonsense"));
    assert_string_equal(found(cache, "repo", "next"), "");
    assert_string_equal(story, "→1 1→2 2→ ");
    assert_null(service_cache_get(cache, "n", "a"));
    assert_string_equal(kept->branch, "main"); // what one holds does not change
    service_drop(kept);
    service_cache_destroy(cache);
}

static void lists_are_in_order(void **state)
{
    (void)state;
    struct service_cache *cache = create();
    struct service_list list;
    tell(cache, KUBE_ADDED, cronjob("n", "b", "r", "m", "1"));
    tell(cache, KUBE_ADDED, cronjob("m", "z", "r", "m", "1"));
    tell(cache, KUBE_ADDED, cronjob("n", "a", "r", "m", "1"));
    service_cache_list(cache, NULL, &list);
    assert_int_equal(list.count, 3);
    assert_string_equal(list.items[0]->name, "z");
    assert_string_equal(list.items[1]->name, "a");
    assert_string_equal(list.items[2]->name, "b");
    service_list_finish(&list);
    service_cache_list(cache, "m", &list);
    assert_int_equal(list.count, 1);
    service_list_finish(&list);
    service_cache_list(cache, "absent", &list);
    assert_int_equal(list.count, 0);
    service_list_finish(&list);
    service_cache_destroy(cache);
}

static void many_services_are_kept_apart(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    struct service_cache *cache = create();
    char name[32], repository[32];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < COUNT; i++) {
            snprintf(name, sizeof name, "s-%d", i);
            snprintf(repository, sizeof repository, "repo-%d-%d", i, round);
            tell(cache, KUBE_MODIFIED, cronjob("n", name, repository, "main", "1"));
        }
    assert_int_equal(service_cache_count(cache), COUNT);
    for (int i = 0; i < COUNT; i++) {
        char wanted[40];
        snprintf(wanted, sizeof wanted, "s-%d ", i);
        snprintf(repository, sizeof repository, "repo-%d-1", i);
        assert_string_equal(found(cache, repository, "main"), wanted);
        snprintf(repository, sizeof repository, "repo-%d-0", i);
        assert_string_equal(found(cache, repository, "main"), "");
        snprintf(name, sizeof name, "s-%d", i);
        if (i % 2)
            tell(cache, KUBE_DELETED,
                 json_pack("{s:{s:s, s:s}}", "metadata", "namespace", "n", "name", name));
    }
    assert_int_equal(service_cache_count(cache), COUNT / 2);
    service_cache_destroy(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(services_are_found_by_repository_and_branch),
        cmocka_unit_test(changes_move_services),
        cmocka_unit_test(lists_are_in_order),
        cmocka_unit_test(many_services_are_kept_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
