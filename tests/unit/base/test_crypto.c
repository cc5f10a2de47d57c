// Vectors: FIPS 180-4 examples, RFC 4231, RFC 4648, and the forges' documentation.
#include "agent/base/buffer.h"
#include "agent/base/crypto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_hex(const uint8_t hash[static SHA256_SIZE], const char *hex)
{
    char text[SHA256_HEX_SIZE];
    hex_encode(hash, SHA256_SIZE, text);
    assert_string_equal(text, hex);
}

static void test_sha256(void **state)
{
    (void)state;
    static const struct {
        const char *text, *hex;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t hash[SHA256_SIZE];
        sha256(cases[i].text, strlen(cases[i].text), hash);
        assert_hex(hash, cases[i].hex);
        struct sha256_stream *stream = sha256_begin(); // the same in pieces
        for (const char *at = cases[i].text; *at; at++)
            sha256_add(stream, at, 1);
        sha256_end(stream, hash);
        assert_hex(hash, cases[i].hex);
    }
}

static void test_hmac(void **state)
{
    (void)state;
    uint8_t hash[SHA256_SIZE];
    hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, hash);
    assert_hex(hash, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    char key[131]; // longer than a block
    memset(key, 0xaa, sizeof key);
    hmac_sha256(key, sizeof key, "Test Using Larger Than Block-Size Key - Hash Key First", 54,
                hash);
    assert_hex(hash, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    hmac_sha256("", 0, "", 0, hash);
    assert_hex(hash, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    // GitHub's
    hmac_sha256("It's a Secret to Everybody", 26, "Hello, World!", 13, hash);
    assert_hex(hash, "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
}

static void test_hmac_of_pieces(void **state)
{
    (void)state;
    // Standard Webhooks'
    uint8_t key[64], hash[SHA256_SIZE];
    size_t len;
    assert_true(base64_decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 32, key, sizeof key, &len));
    static const struct bytes pieces[] = {
        {"msg_p5jXN8AQM9LWM0D4loKWxJek", 28}, {".", 1},  {"1614265330", 10}, {".", 1},
        {"{\"test\": 2432232314}", 20},       {NULL, 0},
    };
    hmac_sha256_pieces(key, len, pieces, sizeof pieces / sizeof pieces[0], hash);
    CLEANUP(free_ptr) char *text = base64_encode(hash, sizeof hash);
    assert_string_equal(text, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

static void test_comparison(void **state)
{
    (void)state;
    assert_true(equal_in_constant_time("abc", "abc", 3));
    assert_false(equal_in_constant_time("abc", "abd", 3));
    assert_false(equal_in_constant_time("xbc", "abc", 3));
    assert_true(equal_in_constant_time("abc", "abd", 2));
    assert_true(equal_in_constant_time("a", "b", 0));
}

static void test_hex(void **state)
{
    (void)state;
    uint8_t bytes[3] = {1, 2, 3};
    assert_true(hex_decode("00fFa9", 6, bytes, 3));
    assert_memory_equal(bytes, "\x00\xff\xa9", 3);
    assert_true(hex_decode("", 0, bytes, 0));
    static const char *const wrong[] = {"00ffa",        "00ffa99", "00ffag", "00ff 9", "0x00ff",
                                        "00ff\xc3\xa9", "",        "+0ff00", "00ffa:"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(hex_decode(wrong[i], strlen(wrong[i]), bytes, 3));
    char text[7];
    hex_encode("\x00\xff\xa9", 3, text);
    assert_string_equal(text, "00ffa9");
    hex_encode("", 0, text);
    assert_string_equal(text, "");
}

static void test_base64(void **state)
{
    (void)state;
    static const struct {
        const char *text, *base64;
    } cases[] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xfb\xff\xbf", "+/+/"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t len = strlen(cases[i].text), got = 99;
        CLEANUP(free_ptr) char *encoded = base64_encode(cases[i].text, len);
        assert_string_equal(encoded, cases[i].base64);
        uint8_t bytes[8];
        assert_true(base64_decode(encoded, strlen(encoded), bytes, len, &got)); // just fits
        assert_int_equal(got, len);
        assert_memory_equal(bytes, cases[i].text, len);
        if (len > 0)
            assert_false(base64_decode(encoded, strlen(encoded), bytes, len - 1, &got));
    }
}

static void test_base64_refuses(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "Zg",       "Zg=",        "Z===",     "====",     "=",     "Zm9v====",
        "Zg==Zg==", "Zm9v\n",     " Zm9v",    "Zm9v    ", "Zm9-",  "Zm9_",
        "Zm=v",     "Zm9vYg==\n", "Zm9vY===", "\nZm9",    "Zm\tv", "Zg======",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[16];
        size_t len = 99;
        if (base64_decode(cases[i], strlen(cases[i]), bytes, sizeof bytes, &len))
            fail_msg("%s", cases[i]);
        assert_int_equal(len, 99);
    }
    uint8_t bytes[16];
    size_t len;
    assert_false(base64_decode("Zm9v\0AAA", 8, bytes, sizeof bytes, &len));
    // Bits that no encoder sets: two texts for the same bytes.
    assert_false(base64_decode("Zh==", 4, bytes, sizeof bytes, &len));
    assert_false(base64_decode("Zm9=", 4, bytes, sizeof bytes, &len));
}

static void test_random(void **state)
{
    (void)state;
    uint8_t a[16] = {0}, b[16] = {0};
    random_bytes(a, sizeof a);
    random_bytes(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
}

static void test_certificates(void **state)
{
    (void)state;
    static const struct {
        const char *host, *other;
    } hosts[] = {{"cronwright.example", "cronwright.example.org"},
                 {"10.1.2.3", "10.1.2.4"},
                 {"fd00::1", "fd00::2"}};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        char *certificate = NULL, *key = NULL;
        struct error err;
        assert_true(certificate_make(hosts[i].host, 40, &certificate, &key, &err));
        assert_non_null(strstr(certificate, "BEGIN CERTIFICATE"));
        assert_non_null(strstr(key, "BEGIN PRIVATE KEY"));
        assert_true(certificate_serves(certificate, hosts[i].host, 39));
        assert_false(certificate_serves(certificate, hosts[i].host, 41));
        assert_false(certificate_serves(certificate, hosts[i].other, 1));
        assert_false(certificate_serves(key, hosts[i].host, 1));
        free(certificate);
        secret_free(key);
    }
    char *certificate, *key;
    struct error err;
    assert_false(certificate_make("", 40, &certificate, &key, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_hmac_of_pieces),
        cmocka_unit_test(test_comparison),
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_base64_refuses),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_certificates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
