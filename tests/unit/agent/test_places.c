// Whose turn it is among builds that wait.
#include "agent/pipeline/places.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct mono_time now = {1000000};

static struct mono_time later(int64_t ms)
{
    return (struct mono_time){now.ms + ms};
}

static struct place_answer ask(struct places *places, const char *recipe, const char *repository,
                               int64_t turn, const struct places_taken *taken,
                               struct mono_time when)
{
    struct place_request request = {recipe, repository, "main", turn};
    return places_ask(places, &request, taken, when);
}

static void assert_first(const struct places *places, const struct places_taken *taken,
                         const char *recipe)
{
    struct place_request first;
    assert_int_equal(places_first(places, taken, now, &first), recipe != NULL);
    if (recipe)
        assert_string_equal(first.recipe, recipe);
}

static void they_start_in_the_order_they_came(void **state)
{
    (void)state;
    static const char *const running[] = {"x", "x"};
    struct places_taken full = {running, 2, 2, 0}, room = {running, 1, 2, 0};
    struct places *places = places_create();
    assert_true(ask(places, "a", "r", 1, &room, now).may_start);
    assert_first(places, &room, NULL); // it has left
    assert_false(ask(places, "c", "r", 3, &full, now).may_start);
    assert_false(ask(places, "b", "r", 2, &full, now).may_start);
    struct place_answer answer = ask(places, "d", "s", 4, &full, now);
    assert_false(answer.may_start);
    assert_int_equal(answer.ahead, 2);
    assert_first(places, &full, NULL);
    assert_first(places, &room, "b");
    assert_false(ask(places, "c", "r", 3, &room, now).may_start);
    assert_true(ask(places, "b", "r", 2, &room, now).may_start);
    assert_true(ask(places, "c", "r", 3, &room, now).may_start);
    assert_first(places, &room, "d");
    places_leave(places, "d");
    places_leave(places, "d");
    assert_first(places, &room, NULL);
    places_destroy(places);
}

static void a_busy_repository_is_gone_past(void **state)
{
    (void)state;
    static const char *const running[] = {"busy", "busy"};
    struct places_taken taken = {running, 2, 4, 2};
    struct places *places = places_create();
    struct place_answer answer = ask(places, "a", "busy", 1, &taken, now);
    assert_false(answer.may_start);
    assert_true(answer.repository_full);
    assert_false(ask(places, "b", "busy", 2, &taken, now).may_start);
    assert_true(ask(places, "c", "other", 3, &taken, now).may_start);
    // The one place of the repository is the first one's.
    taken.count = 1;
    answer = ask(places, "b", "busy", 2, &taken, now);
    assert_false(answer.may_start);
    assert_true(answer.repository_full);
    assert_first(places, &taken, "a");
    assert_true(ask(places, "a", "busy", 1, &taken, now).may_start);
    places_destroy(places);
}

static void a_newer_push_takes_the_turn_over(void **state)
{
    (void)state;
    static const char *const running[] = {"x"};
    struct places_taken full = {running, 1, 1, 0}, room = {running, 0, 1, 0};
    struct places *places = places_create();
    assert_false(ask(places, "restless", "r", 1, &full, now).may_start);
    assert_false(ask(places, "patient", "r", 2, &full, now).may_start);
    assert_false(ask(places, "restless", "r", 3, &full, now).may_start);
    assert_false(ask(places, "patient", "r", 2, &room, now).may_start);
    assert_true(ask(places, "restless", "r", 3, &room, now).may_start);
    places_destroy(places);
}

static void one_that_does_not_ask_holds_nobody_up(void **state)
{
    (void)state;
    struct places_taken full = {NULL, 0, 0, 0}, room = {NULL, 0, 1, 0};
    struct places *places = places_create();
    struct place_request silent = {"silent", "r", "main", 1};
    places_note(places, &silent, now); // as after a restart
    assert_false(ask(places, "a", "r", 2, &room, now).may_start);
    assert_false(ask(places, "a", "r", 2, &room, later(PLACES_PATIENCE_MS)).may_start);
    assert_true(ask(places, "a", "r", 2, &room, later(PLACES_PATIENCE_MS + 1)).may_start);
    // It keeps its turn for when it asks again, but not for ever.
    assert_false(ask(places, "b", "r", 3, &full, later(PLACES_FORGET_MS)).may_start);
    assert_false(ask(places, "silent", "r", 9, &full, later(PLACES_FORGET_MS)).may_start);
    assert_false(ask(places, "b", "r", 3, &room, later(PLACES_FORGET_MS)).may_start);
    assert_int_equal(ask(places, "b", "r", 3, &full, later(3 * PLACES_FORGET_MS)).ahead, 0);
    places_destroy(places);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_start_in_the_order_they_came),
        cmocka_unit_test(a_busy_repository_is_gone_past),
        cmocka_unit_test(a_newer_push_takes_the_turn_over),
        cmocka_unit_test(one_that_does_not_ask_holds_nobody_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
