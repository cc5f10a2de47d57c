// Host keys against the text of a known_hosts file, made by ssh-keygen.
#include "tests/unit/gitchild/workspace.h"

#include "build/git/hostkey.h"
#include "build/git/protocol.h"

#include "agent/base/crypto.h"

#define KEY_1 "AAAAC3NzaC1lZDI1NTE5AAAAIGSBYnzkT3ny9W/BGUr/stsyuXky1Dx743oqv5aqkZog"
#define KEY_2 "AAAAC3NzaC1lZDI1NTE5AAAAIPLMXnVkGNkw1U1lZ/KzCKy/W4vK0SgcRIAfHjsJ2BIw"

static const char KNOWN[] = "# comment\r\n"
                            "\n"
                            "git.example,10.0.0.1 ssh-ed25519 " KEY_1 " ana@laptop\r\n"
                            "[git.example]:2222 ssh-ed25519 " KEY_2 "\n"
                            "last.example ssh-ed25519 " KEY_2;

static bool check(const char *known, const char *host, int port, const char *key,
                  struct fault *fault)
{
    uint8_t bytes[128];
    size_t len;
    assert_true(base64_decode(key, strlen(key), bytes, sizeof bytes, &len));
    return hostkey_check(known, host, port, bytes, len, fault);
}

static void known_keys_are_found(void **state)
{
    (void)state;
    struct fault fault;
    assert_true(check(KNOWN, "git.example", 22, KEY_1, &fault));
    assert_true(check(KNOWN, "10.0.0.1", 22, KEY_1, &fault));
    assert_true(check(KNOWN, "git.example", 2222, KEY_2, &fault));
    assert_true(check(KNOWN, "last.example", 22, KEY_2, &fault));
    assert_true(check(KNOWN, "last.example", 2222, KEY_2, &fault)); // none is there with the port
}

// As ssh-keygen -H leaves them.
static void hashed_names_are_found(void **state)
{
    (void)state;
    static const char hashed[] =
        "|1|iT3xXn7ybF57q0phXNiVLQkbQfk=|Txtk2vNJMctgkgJ7VQpa9xYeZx8= ssh-ed25519 " KEY_1 "\n"
        "|1|d2jTwdJzBJ+4bSIyvBn89OcIejc=|ZqriNMbgfIJZBssi0OZVGALZ3VQ= ssh-ed25519 " KEY_2 "\n";
    struct fault fault;
    assert_true(check(hashed, "git.example", 22, KEY_1, &fault));
    assert_true(check(hashed, "git.example", 2222, KEY_2, &fault));
    assert_false(check(hashed, "git.example", 2222, KEY_1, &fault));
    assert_false(check(hashed, "other.example", 22, KEY_1, &fault));
}

static void assert_refused(const char *host, int port, const char *key, const char *says)
{
    struct fault fault;
    assert_false(check(KNOWN, host, port, key, &fault));
    assert_string_equal(fault.word, GIT_ERROR_WORD_HOST_KEY);
    if (!strstr(fault.text, says) || !strstr(fault.text, " SHA256:") || strchr(fault.text, '='))
        fail_msg("%s", fault.text);
}

static void other_keys_are_refused(void **state)
{
    (void)state;
    assert_refused("git.example", 22, KEY_2, "git.example has the host key");
    assert_refused("git.example", 22, KEY_2, "has another for it");
    assert_refused("git.example", 2222, KEY_1, "[git.example]:2222 has");
    assert_refused("other.example", 22, KEY_1, "is not in the known hosts file");
    assert_refused("example", 22, KEY_1, "is not in the known hosts file");
}

static void broken_lines_are_told(void **state)
{
    (void)state;
    struct fault fault;
    assert_false(check("a.example ssh-ed25519 " KEY_1 "\nalone\n", "a.example", 22, KEY_1, &fault));
    assert_string_equal(fault.word, GIT_ERROR_WORD_HOST_KEY);
    assert_non_null(strstr(fault.text, "line 2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_keys_are_found),
        cmocka_unit_test(hashed_names_are_found),
        cmocka_unit_test(other_keys_are_refused),
        cmocka_unit_test(broken_lines_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
