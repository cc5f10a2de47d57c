// Who is one too many: counting by address, whatever the addresses are.
#include "agent/door.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

static enum door_verdict enter(struct door *door, struct visitor *visitor, const char *text)
{
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    const struct sockaddr_un local = {.sun_family = AF_UNIX};
    const void *address = &local;
    if (inet_pton(AF_INET, text, &four.sin_addr) == 1)
        address = &four;
    else if (inet_pton(AF_INET6, text, &six.sin6_addr) == 1)
        address = &six;
    return door_enter(door, visitor, address);
}

static void test_addresses_that_count_as_one(void **state)
{
    (void)state;
    static const struct {
        const char *first, *second;
        enum door_verdict verdict;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1", DOOR_CROWDED},
        {"192.0.2.1", "192.0.2.2", DOOR_OPEN},
        {"192.0.2.1", "::ffff:192.0.2.1", DOOR_CROWDED}, // of a socket that takes both
        {"2001:db8::1", "2001:db8::1", DOOR_CROWDED},
        {"2001:db8::1", "2001:db8:0:0:ffff:1:2:3", DOOR_CROWDED}, // the same /64
        {"2001:db8::1", "2001:db8:0:1::1", DOOR_OPEN},
        {"::1", "127.0.0.1", DOOR_OPEN},
        {"unix", "unix", DOOR_OPEN},
        {"unix", "::1", DOOR_OPEN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct door *door = door_create(10, 1);
        struct visitor first, second;
        assert_int_equal(enter(door, &first, cases[i].first), DOOR_OPEN);
        assert_int_equal(enter(door, &second, cases[i].second), cases[i].verdict);
        door_leave(door, &first);
        door_leave(door, &second);
        door_destroy(door);
    }
}

static void test_places_become_free(void **state)
{
    (void)state;
    struct door *door = door_create(3, 2);
    struct visitor a, b, c, d, e;
    assert_int_equal(enter(door, &a, "192.0.2.1"), DOOR_OPEN);
    assert_int_equal(enter(door, &b, "192.0.2.1"), DOOR_OPEN);
    assert_int_equal(enter(door, &c, "192.0.2.1"), DOOR_CROWDED);
    assert_int_equal(enter(door, &d, "192.0.2.2"), DOOR_OPEN);
    assert_int_equal(enter(door, &e, "192.0.2.3"), DOOR_FULL);
    door_leave(door, &c); // these two had none
    door_leave(door, &e);
    assert_int_equal(enter(door, &e, "192.0.2.3"), DOOR_FULL);
    door_leave(door, &b);
    assert_int_equal(enter(door, &c, "192.0.2.1"), DOOR_OPEN);
    assert_int_equal(enter(door, &b, "192.0.2.1"), DOOR_FULL);
    door_leave(door, &a);
    assert_int_equal(enter(door, &a, "192.0.2.1"), DOOR_OPEN);
    door_leave(door, &a);
    door_leave(door, &c);
    door_leave(door, &d);
    door_destroy(door);
}

static void test_without_a_limit_of_its_own_an_address_may_have_all(void **state)
{
    (void)state;
    struct door *door = door_create(100, 0);
    struct visitor visitors[101];
    for (size_t i = 0; i < 101; i++)
        assert_int_equal(enter(door, &visitors[i], "192.0.2.1"), i < 100 ? DOOR_OPEN : DOOR_FULL);
    for (size_t i = 0; i < 101; i++)
        door_leave(door, &visitors[i]);
    door_destroy(door);
}

static void test_many_addresses(void **state)
{
    (void)state;
    struct door *door = door_create(10000, 3);
    static struct visitor visitors[3][3000]; // more than there are buckets
    for (size_t round = 0; round < 3; round++)
        for (size_t i = 0; i < 3000; i++) {
            char text[32];
            snprintf(text, sizeof text, "10.0.%zu.%zu", i / 250, i % 250);
            assert_int_equal(enter(door, &visitors[round][i], text), DOOR_OPEN);
        }
    struct visitor extra;
    assert_int_equal(enter(door, &extra, "10.0.7.7"), DOOR_CROWDED);
    for (size_t i = 0; i < 3000; i++)
        door_leave(door, &visitors[1][i]);
    assert_int_equal(enter(door, &extra, "10.0.7.7"), DOOR_OPEN);
    door_leave(door, &extra);
    for (size_t i = 0; i < 3000; i++) {
        door_leave(door, &visitors[0][i]);
        door_leave(door, &visitors[2][i]);
    }
    door_destroy(door);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_that_count_as_one),
        cmocka_unit_test(test_places_become_free),
        cmocka_unit_test(test_without_a_limit_of_its_own_an_address_may_have_all),
        cmocka_unit_test(test_many_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
