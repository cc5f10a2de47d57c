#include "build/image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void references_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text, *registry, *path, *tag, *digest;
    } cases[] = {
        {"busybox", "docker.io", "library/busybox", "", ""},
        {"acme/report", "docker.io", "acme/report", "", ""},
        {"index.docker.io/acme/report:1", "docker.io", "acme/report", "1", ""},
        {"docker.io/busybox", "docker.io", "library/busybox", "", ""},
        {"registry.example/a", "registry.example", "a", "", ""},
        {"Registry.Example:5000/a/b-c/d__e.f:V1.2_x-y", "registry.example:5000", "a/b-c/d__e.f",
         "V1.2_x-y", ""},
        {"localhost/a", "localhost", "a", "", ""},
        {"localhost:1/a@" DIGEST, "localhost:1", "a", "", DIGEST},
        {"10.0.0.1:25000/x:t@" DIGEST, "10.0.0.1:25000", "x", "t", DIGEST},
        {"[2001:db8::1]:5000/x", "[2001:db8::1]:5000", "x", "", ""},
        {"a-b.example/x---y", "a-b.example", "x---y", "", ""},
        {"report:1", "docker.io", "library/report", "1", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct image_reference image;
        struct error err;
        if (!image_parse(cases[i].text, &image, &err))
            fail_msg("%s", err.text);
        assert_string_equal(image.registry, cases[i].registry);
        assert_string_equal(image.path, cases[i].path);
        assert_string_equal(image.tag, cases[i].tag);
        assert_string_equal(image.digest, cases[i].digest);
    }
}

static void malformed_references_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "/a",
        "a/",
        "a//b",
        "Acme/report",
        "registry.example/Acme",
        "registry.example/",
        "registry.example:/a",
        "registry.example:0/a",
        "registry.example:65536/a",
        "registry.example:x/a",
        "-registry.example/a",
        "registry-.example/a",
        "registry..example/a",
        "registry.example./a.",
        "https://registry.example/a",
        "a b",
        "a\n",
        "a:",
        "a:-x",
        "a:.x",
        "a:b:c",
        "a:t/x",
        "a@sha256:12",
        ("a@" DIGEST "0"),
        "a@sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
        "a@md5:0123456789abcdef0123456789abcdef",
        "@" DIGEST,
        "a___b",
        "a..b",
        "a-",
        "_a",
        "a/.b",
        "a/../b",
        "[::1/a",
        "[]/a.b",
        "user@registry.example/a",
        "\xc3\xa4",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct image_reference image;
        struct error err = {0};
        if (image_parse(texts[i], &image, &err))
            fail_msg("taken: %s", texts[i]);
        assert_int_equal(err.code, ERR_INVALID);
        assert_non_null(strstr(err.text, "image"));
    }
}

static void lengths_have_bounds(void **state)
{
    (void)state;
    struct image_reference image;
    char text[1024] = "registry.example/";
    size_t prefix = strlen(text);
    memset(text + prefix, 'a', IMAGE_REPOSITORY_MAX - prefix);
    assert_true(image_parse(text, &image, NULL));
    assert_int_equal(strlen(image.registry) + 1 + strlen(image.path), IMAGE_REPOSITORY_MAX);
    strcat(text, "a");
    assert_false(image_parse(text, &image, NULL));

    // "docker.io/library/" is not written, but counts.
    memset(text, 0, sizeof text);
    memset(text, 'a', IMAGE_REPOSITORY_MAX - strlen("docker.io/library/"));
    assert_true(image_parse(text, &image, NULL));
    strcat(text, "a");
    assert_false(image_parse(text, &image, NULL));

    memset(text, 0, sizeof text);
    strcpy(text, "a:");
    memset(text + 2, 't', IMAGE_TAG_MAX);
    assert_true(image_parse(text, &image, NULL));
    strcat(text, "t");
    assert_false(image_parse(text, &image, NULL));
    memset(text, 'a', sizeof text - 1);
    assert_false(image_parse(text, &image, NULL));
}

static void a_destination_has_no_tag(void **state)
{
    (void)state;
    struct error err;
    assert_true(image_check_destination("registry.example:5000/acme/report", &err));
    assert_false(image_check_destination("registry.example:5000/acme/report:1", &err));
    assert_non_null(strstr(err.text, "no tag"));
    assert_false(image_check_destination("registry.example/acme/report@" DIGEST, &err));
}

static void digests(void **state)
{
    (void)state;
    assert_true(image_digest_is_valid(DIGEST));
    assert_false(image_digest_is_valid(""));
    assert_false(image_digest_is_valid("sha256:"));
    assert_false(image_digest_is_valid(DIGEST "\n"));
    assert_false(image_digest_is_valid(" " DIGEST));
    assert_false(image_digest_is_valid(&DIGEST[7]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_are_taken_apart),
        cmocka_unit_test(malformed_references_are_refused),
        cmocka_unit_test(lengths_have_bounds),
        cmocka_unit_test(a_destination_has_no_tag),
        cmocka_unit_test(digests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
