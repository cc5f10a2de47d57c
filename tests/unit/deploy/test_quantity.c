// Quantities, as Kubernetes takes them.
#include "deploy/quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void amounts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double amount;
    } good[] = {
        {"0", 0},      {"1", 1},      {"+1", 1},        {"1.", 1},
        {".5", 0.5},   {"1.5", 1.5},  {"100m", 0.1},    {"1k", 1e3},
        {"1M", 1e6},   {"1G", 1e9},   {"1T", 1e12},     {"1P", 1e15},
        {"1E", 1e18},  {"1Ki", 1024}, {"1Mi", 1 << 20}, {"2Gi", 2.0 * (1 << 30)},
        {"1e3", 1000}, {"1E3", 1000}, {"12e-1", 1.2},   {"1e+2", 100},
        {"5n", 5e-9},  {"5u", 5e-6},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        double amount;
        struct error err;
        if (!quantity_read(good[i].text, &amount, &err))
            fail_msg("%s", err.text);
        double off = amount > good[i].amount ? amount - good[i].amount : good[i].amount - amount;
        assert_true(off <= good[i].amount * 1e-12);
    }
}

static void what_is_none(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *says;
    } bad[] = {
        {"", "no quantity"},
        {"m", "no quantity"},
        {".", "no quantity"},
        {"-1", "less than nothing"},
        {"-100Mi", "less than nothing"},
        {"100mb", "did you mean 100M or 100Mi?"},
        {"100MB", "did you mean 100M or 100Mi?"},
        {"1.5gib", "did you mean 1.5G or 1.5Gi?"},
        {"10K", "did you mean 10k or 10Ki?"},
        {"10mi", "did you mean 10M or 10Mi?"},
        {"10B", "did you mean 10?"},
        {"1 Gi", "a number, and"},
        {"1e", "did you mean 1E or 1Ei?"},
        {"1e999", "a number, and"},
        {"0x10", "a number, and"},
        {"10%", "a number, and"},
        {"11111111111111111111111111111111111111111111111111111111111111111", "too long"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        double amount;
        struct error err;
        assert_false(quantity_read(bad[i].text, &amount, &err));
        if (err.code != ERR_INVALID || !strstr(err.text, bad[i].says))
            fail_msg("%s: %s", bad[i].text, err.text);
    }
}

static void the_same(void **state)
{
    (void)state;
    assert_true(quantity_same("1000m", "1"));
    assert_true(quantity_same("1024Mi", "1Gi"));
    assert_true(quantity_same("0.5Gi", "512Mi"));
    assert_true(quantity_same("0", "0Mi"));
    assert_false(quantity_same("1G", "1Gi"));
    assert_false(quantity_same("1000m", "x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(amounts),
        cmocka_unit_test(what_is_none),
        cmocka_unit_test(the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
