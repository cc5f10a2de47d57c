// Against the vectors that GitHub and Standard Webhooks publish.
#include "webhooks/signature.h"

#include "agent/base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define HUB_SECRET    "It's a Secret to Everybody"
#define HUB_BODY      "Hello, World!"
#define HUB_SIGNATURE "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

#define STANDARD_SECRET    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define STANDARD_ID        "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define STANDARD_TIME      "1614265330"
#define STANDARD_BODY      "{\"test\": 2432232314}"
#define STANDARD_SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

static const struct wall_time standard_now = {.ms = INT64_C(1614265330000)};

static void add(struct webhook_secrets *secrets, enum webhook_secret_sort sort, const char *text)
{
    struct error err;
    if (!webhook_secrets_add(secrets, sort, text, &err))
        fail_msg("%s", err.text);
}

// --- GitHub ---
static bool hub(const char *given, const char *body, const struct webhook_secrets *secrets,
                struct error *err)
{
    static const struct hub_header header = {"X-Hub-Signature-256", SECRET_HMAC};
    return hub_signature_verify(&header, given, body, strlen(body), secrets, err);
}

static void hub_vector(void **state)
{
    (void)state;
    CLEANUP(webhook_secrets_finish) struct webhook_secrets secrets = {0};
    char made[HUB_SIGNATURE_SIZE];
    add(&secrets, SECRET_HMAC, HUB_SECRET);
    hub_signature_make(&secrets.list[SECRET_HMAC][0], HUB_BODY, strlen(HUB_BODY), made);
    assert_string_equal(made, HUB_SIGNATURE);
    assert_true(hub(HUB_SIGNATURE, HUB_BODY, &secrets, NULL));
}

static void hub_tries_every_secret(void **state)
{
    (void)state;
    for (int place = 0; place < SECRETS_MAX; place++) {
        CLEANUP(webhook_secrets_finish) struct webhook_secrets secrets = {0};
        for (int i = 0; i < SECRETS_MAX; i++)
            add(&secrets, SECRET_HMAC, i == place ? HUB_SECRET : "another");
        assert_true(hub(HUB_SIGNATURE, HUB_BODY, &secrets, NULL));
    }
}

static void hub_refuses_all_else(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "sha256=",
        "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e1",
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e177",
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e18",
        "sha256=757107EA0EB2509FC211221CCE984B8A37570B6D7586C22C46F4379C8B043E17",
        "SHA256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        "sha1=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17aa",
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e1 ",
        " sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17, sha256=00",
        "sha256=0000000000000000000000000000000000000000000000000000000000000000",
    };
    CLEANUP(webhook_secrets_finish) struct webhook_secrets secrets = {0};
    add(&secrets, SECRET_HMAC, HUB_SECRET);
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct error err = {0};
        if (hub(bad[i], HUB_BODY, &secrets, &err))
            fail_msg("taken: %s", bad[i]);
        assert_int_equal(err.code, ERR_UNAUTHORIZED);
        assert_null(strstr(err.text, "757107ea"));
    }
    assert_false(hub(HUB_SIGNATURE, "Hello, World", &secrets, NULL));
    assert_false(hub(HUB_SIGNATURE, HUB_BODY "\n", &secrets, NULL));
    assert_false(hub(HUB_SIGNATURE, "", &secrets, NULL));
}

// --- tokens ---
static void tokens(void **state)
{
    (void)state;
    CLEANUP(webhook_secrets_finish) struct webhook_secrets secrets = {0};
    add(&secrets, SECRET_TOKEN, "first token");
    add(&secrets, SECRET_TOKEN, "Second");
    assert_true(token_verify("first token", &secrets, NULL));
    assert_true(token_verify("Second", &secrets, NULL));
    static const char *const bad[] = {"", "first", "first token ", "second", "First token", "x"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct error err = {0};
        if (token_verify(bad[i], &secrets, &err))
            fail_msg("taken: %s", bad[i]);
        assert_int_equal(err.code, ERR_UNAUTHORIZED);
        assert_null(strstr(err.text, "Second"));
    }
}

// --- Standard Webhooks ---
static bool standard(const char *id, const char *timestamp, const char *signature,
                     const char *secret, struct wall_time now, struct error *err)
{
    CLEANUP(webhook_secrets_finish) struct webhook_secrets secrets = {0};
    add(&secrets, SECRET_SIGNING, "whsec_b25lIHRoYXQgbWF0Y2hlcyBub3RoaW5n");
    add(&secrets, SECRET_SIGNING, secret);
    const struct standard_headers given = {id, timestamp, signature};
    return standard_signature_verify(&given, STANDARD_BODY, strlen(STANDARD_BODY), &secrets, now,
                                     err);
}

static void standard_vector(void **state)
{
    (void)state;
    CLEANUP(webhook_secrets_finish) struct webhook_secrets secrets = {0};
    char made[STANDARD_SIGNATURE_SIZE];
    add(&secrets, SECRET_SIGNING, STANDARD_SECRET);
    standard_signature_make(&secrets.list[SECRET_SIGNING][0], STANDARD_ID, STANDARD_TIME,
                            STANDARD_BODY, strlen(STANDARD_BODY), made);
    assert_string_equal(made, STANDARD_SIGNATURE);
    assert_true(standard(STANDARD_ID, STANDARD_TIME, STANDARD_SIGNATURE, STANDARD_SECRET,
                         standard_now, NULL));
}

static void standard_takes_one_of_a_list(void **state)
{
    (void)state;
#define OTHER "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    static const char *const lists[] = {
        STANDARD_SIGNATURE " " OTHER,   OTHER " " STANDARD_SIGNATURE,
        OTHER "  " STANDARD_SIGNATURE,  " " STANDARD_SIGNATURE " ",
        "v1a,abcd " STANDARD_SIGNATURE, "v2,xyz " OTHER " " STANDARD_SIGNATURE,
        "nonsense " STANDARD_SIGNATURE, STANDARD_SIGNATURE " " STANDARD_SIGNATURE,
    };
    for (size_t i = 0; i < COUNT(lists); i++)
        if (!standard(STANDARD_ID, STANDARD_TIME, lists[i], STANDARD_SECRET, standard_now, NULL))
            fail_msg("refused: %s", lists[i]);
}

static void standard_refuses_all_else(void **state)
{
    (void)state;
    static const struct {
        const char *id, *timestamp, *signature;
    } bad[] = {
        {NULL, STANDARD_TIME, STANDARD_SIGNATURE},
        {"", STANDARD_TIME, STANDARD_SIGNATURE},
        {STANDARD_ID, NULL, STANDARD_SIGNATURE},
        {STANDARD_ID, "", STANDARD_SIGNATURE},
        {STANDARD_ID, STANDARD_TIME, NULL},
        {STANDARD_ID, STANDARD_TIME, ""},
        {"msg_other", STANDARD_TIME, STANDARD_SIGNATURE},
        {STANDARD_ID, "1614265331", STANDARD_SIGNATURE},
        {STANDARD_ID, "01614265330", STANDARD_SIGNATURE},
        {STANDARD_ID, "1614265330.0", STANDARD_SIGNATURE},
        {STANDARD_ID, "-1614265330", STANDARD_SIGNATURE},
        {STANDARD_ID, "now", STANDARD_SIGNATURE},
        {STANDARD_ID, "99999999999999999999", STANDARD_SIGNATURE},
        {STANDARD_ID, STANDARD_TIME, "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
        {STANDARD_ID, STANDARD_TIME, "V1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
        {STANDARD_ID, STANDARD_TIME, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE"},
        {STANDARD_ID, STANDARD_TIME, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OF="},
        {STANDARD_ID, STANDARD_TIME, "v1,G0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
        {STANDARD_ID, STANDARD_TIME, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
        {STANDARD_ID, STANDARD_TIME, "v1,"},
        {STANDARD_ID, STANDARD_TIME, "v1, g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct error err = {0};
        if (standard(bad[i].id, bad[i].timestamp, bad[i].signature, STANDARD_SECRET, standard_now,
                     &err))
            fail_msg("taken: number %zu", i);
        assert_int_equal(err.code, ERR_UNAUTHORIZED);
        assert_null(strstr(err.text, "g0hM9SsE"));
    }
    // The key is the decoded bytes of the right secret.
    assert_false(standard(STANDARD_ID, STANDARD_TIME, STANDARD_SIGNATURE,
                          "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx", standard_now, NULL));
}

static void standard_bounds_the_list(void **state)
{
    (void)state;
    char list[(STANDARD_SIGNATURES_MAX + 1) * STANDARD_SIGNATURE_SIZE + 1] = "";
    for (int i = 0; i < STANDARD_SIGNATURES_MAX; i++)
        strcat(list, STANDARD_SIGNATURE " ");
    assert_true(standard(STANDARD_ID, STANDARD_TIME, list, STANDARD_SECRET, standard_now, NULL));
    strcat(list, STANDARD_SIGNATURE);
    assert_false(standard(STANDARD_ID, STANDARD_TIME, list, STANDARD_SECRET, standard_now, NULL));
}

static void standard_window(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds;
        bool taken;
        const char *says;
    } cases[] = {
        {0, true, NULL},
        {STANDARD_WINDOW_S, true, NULL},
        {-STANDARD_WINDOW_S, true, NULL},
        {STANDARD_WINDOW_S + 1, false, "301 s in the past"},
        {-STANDARD_WINDOW_S - 1, false, "301 s in the future"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error err = {0};
        struct wall_time now = {standard_now.ms + cases[i].seconds * 1000};
        bool taken =
            standard(STANDARD_ID, STANDARD_TIME, STANDARD_SIGNATURE, STANDARD_SECRET, now, &err);
        assert_int_equal(taken, cases[i].taken);
        if (!taken)
            assert_non_null(strstr(err.text, cases[i].says));
    }
}

// --- secrets ---
static void refuses_bad_secrets(void **state)
{
    (void)state;
    char too_long[SECRET_BYTES_MAX + 2];
    memset(too_long, 'a', sizeof too_long);
    too_long[sizeof too_long - 1] = '\0';
    const struct {
        enum webhook_secret_sort sort;
        const char *text;
    } bad[] = {
        {SECRET_HMAC, ""},
        {SECRET_HMAC, too_long},
        {SECRET_TOKEN, ""},
        {SECRET_SIGNING, ""},
        {SECRET_SIGNING, "whsec_"},
        {SECRET_SIGNING, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
        {SECRET_SIGNING, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS"},
        {SECRET_SIGNING, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa_-"},
        {SECRET_SIGNING, "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
    };
    CLEANUP(webhook_secrets_finish) struct webhook_secrets secrets = {0};
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct error err = {0};
        if (webhook_secrets_add(&secrets, bad[i].sort, bad[i].text, &err))
            fail_msg("taken: %s", bad[i].text);
        assert_int_equal(err.code, ERR_INVALID);
        assert_null(strstr(err.text, "MfKQ9"));
        assert_int_equal(secrets.count[bad[i].sort], 0);
    }
}

static void bounds_the_secrets(void **state)
{
    (void)state;
    CLEANUP(webhook_secrets_finish) struct webhook_secrets secrets = {0};
    struct error err = {0};
    for (int i = 0; i < SECRETS_MAX; i++)
        add(&secrets, SECRET_TOKEN, "token");
    assert_false(webhook_secrets_add(&secrets, SECRET_TOKEN, "token", &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hub_vector),
        cmocka_unit_test(hub_tries_every_secret),
        cmocka_unit_test(hub_refuses_all_else),
        cmocka_unit_test(tokens),
        cmocka_unit_test(standard_vector),
        cmocka_unit_test(standard_takes_one_of_a_list),
        cmocka_unit_test(standard_refuses_all_else),
        cmocka_unit_test(standard_bounds_the_list),
        cmocka_unit_test(standard_window),
        cmocka_unit_test(refuses_bad_secrets),
        cmocka_unit_test(bounds_the_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
