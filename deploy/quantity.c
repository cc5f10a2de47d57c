#include "deploy/quantity.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX 64 // bytes

static const struct {
    const char *suffix;
    double factor;
} units[] = {
    {"", 1},        {"n", 1e-9},    {"u", 1e-6},    {"m", 1e-3},    {"k", 1e3},     {"M", 1e6},
    {"G", 1e9},     {"T", 1e12},    {"P", 1e15},    {"E", 1e18},    {"Ki", 0x1p10}, {"Mi", 0x1p20},
    {"Gi", 0x1p30}, {"Ti", 0x1p40}, {"Pi", 0x1p50}, {"Ei", 0x1p60},
};
static const size_t unit_count = sizeof units / sizeof *units;

static bool factor_of(const char *suffix, double *out)
{
    for (size_t i = 0; i < unit_count; i++) {
        if (strcmp(units[i].suffix, suffix) == 0) {
            *out = units[i].factor;
            return true;
        }
    }
    if (*suffix != 'e' && *suffix != 'E')
        return false;
    char *end;
    long exponent = strtol(suffix + 1, &end, 10);
    if (!(isdigit((unsigned char)suffix[1]) || (suffix[1] && isdigit((unsigned char)suffix[2]))) ||
        *end != '\0' || exponent < -18 || exponent > 18)
        return false;
    *out = 1;
    for (long i = 0; i < labs(exponent); i++)
        *out *= exponent < 0 ? 0.1 : 10;
    return true;
}

// "mb", "GB", "mib": people write bytes, or the wrong letter case.
static bool refuse_suffix(const char *text, size_t number, struct error *err)
{
    const char *suffix = text + number;
    char letter = (char)toupper((unsigned char)*suffix);
    const char *rest = suffix + (*suffix != '\0');
    rest += *rest == 'i' || *rest == 'I';
    rest += *rest == 'b' || *rest == 'B';
    if (letter && strchr("KMGTPE", letter) && *rest == '\0')
        return error_set(err, ERR_INVALID, "\"%s\" is no quantity: did you mean %.*s%c or %.*s%ci?",
                         text, (int)number, text, letter == 'K' ? 'k' : letter, (int)number, text,
                         letter);
    if (letter == 'B' && suffix[1] == '\0')
        return error_set(err, ERR_INVALID, "\"%s\" is no quantity: did you mean %.*s?", text,
                         (int)number, text);
    return error_set(err, ERR_INVALID,
                     "\"%s\" is no quantity: a number, and m, k, M, G, Ki, Mi or Gi at most", text);
}

bool quantity_read(const char *text, double *out, struct error *err)
{
    size_t sign = *text == '-' || *text == '+';
    size_t whole = strspn(text + sign, "0123456789");
    size_t number = sign + whole;
    size_t digits = whole;
    if (text[number] == '.') {
        size_t fraction = strspn(text + number + 1, "0123456789");
        number += 1 + fraction;
        digits += fraction;
    }
    double factor;
    if (strnlen(text, TEXT_MAX) == TEXT_MAX)
        return error_set(err, ERR_INVALID, "it is too long for a quantity");
    if (digits == 0)
        return error_set(err, ERR_INVALID, "\"%s\" is no quantity, such as 100m or 64Mi", text);
    if (!factor_of(text + number, &factor))
        return refuse_suffix(text, number, err);
    char plain[TEXT_MAX];
    snprintf(plain, sizeof plain, "%.*s", (int)number, text);
    double value = strtod(plain, NULL) * factor;
    if (value < 0)
        return error_set(err, ERR_INVALID, "\"%s\" is less than nothing", text);
    *out = value;
    return true;
}

bool quantity_same(const char *a, const char *b)
{
    double one, two;
    return quantity_read(a, &one, NULL) && quantity_read(b, &two, NULL) &&
           (one > two ? one - two : two - one) <= 1e-12 * (one > two ? one : two);
}
