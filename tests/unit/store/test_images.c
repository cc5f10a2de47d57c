// The images that services have had.
#include "tests/unit/store/fresh_store.h"

#include <pthread.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t told = PTHREAD_COND_INITIALIZER;
static int answers; // guarded by the mutex

static void on_stored(void *user, bool stored)
{
    (void)user;
    assert_true(stored);
    pthread_mutex_lock(&mutex);
    answers++;
    pthread_cond_signal(&told);
    pthread_mutex_unlock(&mutex);
}

static struct image_record make(const char *uid, const char *image, enum image_kind kind)
{
    struct image_record record = {.kind = kind, .at = {1000}};
    snprintf(record.uid, sizeof record.uid, "%s", uid);
    snprintf(record.image, sizeof record.image, "%s", image);
    return record;
}

static void add(const struct image_record *record, int64_t keep)
{
    pthread_mutex_lock(&mutex);
    int wanted = answers + 1;
    pthread_mutex_unlock(&mutex);
    store_image_add(store, record, keep, on_stored, NULL);
    pthread_mutex_lock(&mutex);
    while (answers < wanted)
        pthread_cond_wait(&told, &mutex);
    pthread_mutex_unlock(&mutex);
}

struct found {
    struct image_record items[16];
    size_t count;
};

static bool keep_found(void *user, const struct image_record *image)
{
    struct found *found = user;
    found->items[found->count++] = *image;
    return true;
}

static struct found list(const char *uid)
{
    struct found found = {0};
    assert_true(store_image_list(store, uid, 16, keep_found, &found, NULL));
    return found;
}

static void test_images_are_listed_newest_first(void **state)
{
    (void)state;
    struct image_record one = make("u", "one", IMAGE_GIVEN), two = make("u", "two", IMAGE_ROLLBACK);
    snprintf(two.by, sizeof two.by, "ana");
    snprintf(two.commit, sizeof two.commit, "c2");
    snprintf(two.build, sizeof two.build, "b-7");
    add(&one, 50);
    add(&two, 50);
    store_close(store);
    assert_true(store_open(directory, &store, NULL));
    struct found found = list("u");
    assert_int_equal(found.count, 2);
    assert_string_equal(found.items[0].image, "two");
    assert_string_equal(found.items[0].by, "ana");
    assert_string_equal(found.items[0].commit, "c2");
    assert_string_equal(found.items[0].build, "b-7");
    assert_int_equal(found.items[0].kind, IMAGE_ROLLBACK);
    assert_int_equal(found.items[1].kind, IMAGE_GIVEN);
    assert_int_equal(found.items[1].at.ms, 1000);
    assert_int_equal(list("another").count, 0);
}

static void test_the_newest_one_is_not_added_again(void **state)
{
    (void)state;
    struct image_record one = make("u", "one", IMAGE_BUILT), two = make("u", "two", IMAGE_BUILT);
    add(&one, 50);
    add(&one, 50);
    add(&two, 50);
    add(&one, 50); // live once more
    assert_int_equal(list("u").count, 3);
}

static void test_only_the_first_one_is_given(void **state)
{
    (void)state;
    struct image_record one = make("u", "one", IMAGE_GIVEN), two = make("u", "two", IMAGE_GIVEN);
    add(&one, 50);
    add(&two, 50);
    struct found found = list("u");
    assert_int_equal(found.items[0].kind, IMAGE_HAND);
    assert_int_equal(found.items[0].at.ms, 0); // nobody looked
    assert_int_equal(found.items[1].kind, IMAGE_GIVEN);
}

static void test_the_oldest_are_forgotten(void **state)
{
    (void)state;
    struct image_record other = make("v", "other", IMAGE_BUILT);
    add(&other, 3);
    for (int i = 0; i < 6; i++) {
        char name[16];
        snprintf(name, sizeof name, "i%d", i);
        struct image_record image = make("u", name, IMAGE_BUILT);
        add(&image, 3);
    }
    struct found found = list("u");
    assert_int_equal(found.count, 3);
    assert_string_equal(found.items[0].image, "i5");
    assert_string_equal(found.items[2].image, "i3");
    assert_int_equal(list("v").count, 1);
}

static void test_commits_are_told_by_build_or_image(void **state)
{
    (void)state;
    struct build build = {.state = BUILD_DONE, .attempt = 1};
    snprintf(build.commit, sizeof build.commit, "c1");
    snprintf(build.subject, sizeof build.subject, "Add VAT column");
    snprintf(build.author, sizeof build.author, "Ana");
    assert_true(store_build_put(store, &build, NULL));
    struct image_record image = make("u", "one", IMAGE_BUILT),
                        other = make("u", "two", IMAGE_BUILT);
    snprintf(image.commit, sizeof image.commit, "c1");
    snprintf(image.build, sizeof image.build, "b-%d", (int)build.id);
    add(&image, 50);
    assert_string_equal(list("u").items[0].subject, "Add VAT column");
    assert_string_equal(list("u").items[0].author, "Ana");
    // Of another agent's build with that number nothing is known.
    snprintf(other.commit, sizeof other.commit, "c2");
    snprintf(other.build, sizeof other.build, "b-%d", (int)build.id);
    add(&other, 50);
    assert_string_equal(list("u").items[0].subject, "");
    // The build was forgotten; the image is known from before.
    struct build newer = {.state = BUILD_DONE, .attempt = 1};
    assert_true(store_build_put(store, &newer, NULL));
    assert_true(store_trim(store, &(struct store_bounds){1, 1, 100}, NULL));
    image.kind = IMAGE_ROLLBACK;
    add(&image, 50);
    assert_string_equal(list("u").items[0].subject, "Add VAT column");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_images_are_listed_newest_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_newest_one_is_not_added_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_only_the_first_one_is_given, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_oldest_are_forgotten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_commits_are_told_by_build_or_image, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
