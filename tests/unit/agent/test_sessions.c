// Sign-ins: how long they last, and who goes when there are many.
#include "agent/admin/sessions.h"
#include "agent/base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define HOUR INT64_C(3600000)

static struct config_token ana = {.digest = {1}, .role = ROLE_ADMIN};
static struct config_token ben = {.digest = {2}, .role = ROLE_VIEWER};
static struct sessions *sessions;

static int set_up(void **state)
{
    (void)state;
    sessions = sessions_create();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sessions_destroy(sessions);
    return 0;
}

static struct mono_time at(int64_t ms)
{
    return (struct mono_time){1000000 + ms};
}

static void begin(const struct config_token *token, uint8_t digest[static SHA256_SIZE])
{
    char key[SESSION_KEY_SIZE];
    sessions_begin(sessions, token, HOUR, at(0), key);
    assert_int_equal(strlen(key), SESSION_KEY_SIZE - 1);
    session_digest(key, digest);
}

static bool lasts(const uint8_t digest[static SHA256_SIZE], int64_t timeout_ms, int64_t now)
{
    struct session session;
    return sessions_find(sessions, digest, timeout_ms, at(now), &session);
}

static void test_a_session_is_of_its_token(void **state)
{
    (void)state;
    uint8_t one[SHA256_SIZE], other[SHA256_SIZE], none[SHA256_SIZE];
    struct session session;
    begin(&ana, one);
    begin(&ben, other);
    session_digest("", none);
    assert_true(sessions_find(sessions, one, HOUR, at(1), &session));
    assert_memory_equal(session.token, ana.digest, SHA256_SIZE);
    assert_int_equal(session.role, ROLE_ADMIN);
    assert_true(sessions_find(sessions, other, HOUR, at(1), &session));
    assert_memory_equal(session.token, ben.digest, SHA256_SIZE);
    assert_false(lasts(none, HOUR, 1));
    memset(none, 0, sizeof none);
    assert_false(lasts(none, HOUR, 1)); // what is free is found by nobody
}

static void test_it_ends_in_time(void **state)
{
    (void)state;
    uint8_t one[SHA256_SIZE], other[SHA256_SIZE];
    begin(&ana, one);
    begin(&ana, other);
    assert_true(lasts(one, HOUR, HOUR - 1));
    assert_false(lasts(one, 2 * HOUR, HOUR)); // no later than was said
    assert_true(lasts(other, HOUR, HOUR / 2));
    assert_false(lasts(other, HOUR / 2, HOUR / 2)); // sooner, if the settings say so now
    assert_false(lasts(other, HOUR, 0));            // for good
}

static void test_it_ends_by_sign_out(void **state)
{
    (void)state;
    uint8_t one[SHA256_SIZE], other[SHA256_SIZE];
    begin(&ana, one);
    begin(&ana, other);
    assert_true(sessions_end(sessions, one));
    assert_false(sessions_end(sessions, one));
    assert_false(lasts(one, HOUR, 1));
    assert_true(lasts(other, HOUR, 1));
}

static void test_it_ends_with_its_token(void **state)
{
    (void)state;
    struct config_token tokens[] = {ana, ben};
    struct config config = {.admin.tokens = {tokens, 2}};
    uint8_t of_ana[SHA256_SIZE], of_ben[SHA256_SIZE];
    begin(&ana, of_ana);
    begin(&ben, of_ben);
    assert_int_equal(sessions_end_revoked(sessions, &config), 0);
    tokens[1].role = ROLE_RUNNER;
    assert_int_equal(sessions_end_revoked(sessions, &config), 1);
    assert_true(lasts(of_ana, HOUR, 1));
    assert_false(lasts(of_ben, HOUR, 1));
    config.admin.tokens.count = 0;
    assert_int_equal(sessions_end_revoked(sessions, &config), 1);
    assert_false(lasts(of_ana, HOUR, 1));
}

// Who signs in over and over ends his own sessions.
static void test_a_token_has_no_more_than_its_share(void **state)
{
    (void)state;
    uint8_t digests[SESSIONS_PER_TOKEN][SHA256_SIZE], of_ben[SHA256_SIZE], fresh[SHA256_SIZE];
    begin(&ben, of_ben);
    for (size_t i = 0; i < SESSIONS_PER_TOKEN; i++)
        begin(&ana, digests[i]);
    assert_true(lasts(digests[0], HOUR, 1)); // used, so that the second is the first to go
    begin(&ana, fresh);
    assert_true(lasts(of_ben, HOUR, 1));
    assert_true(lasts(digests[0], HOUR, 1));
    assert_false(lasts(digests[1], HOUR, 1));
    assert_true(lasts(digests[2], HOUR, 1));
    assert_true(lasts(fresh, HOUR, 1));
}

static void test_there_is_a_most(void **state)
{
    (void)state;
    uint8_t first[SHA256_SIZE], second[SHA256_SIZE], last[SHA256_SIZE] = {0};
    begin(&ana, first);
    begin(&ben, second);
    assert_true(lasts(first, HOUR, 1));
    for (uint8_t i = 0; i < SESSIONS_MAX - 1; i++) { // by many tokens
        struct config_token other = {.digest = {3, i}};
        begin(&other, last);
    }
    assert_true(lasts(first, HOUR, 1));
    assert_false(lasts(second, HOUR, 1));
    assert_true(lasts(last, HOUR, 1));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_session_is_of_its_token),
        TEST(test_it_ends_in_time),
        TEST(test_it_ends_by_sign_out),
        TEST(test_it_ends_with_its_token),
        TEST(test_a_token_has_no_more_than_its_share),
        TEST(test_there_is_a_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
