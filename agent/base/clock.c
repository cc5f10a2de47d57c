#include "agent/base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t clock_ms(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct wall_time wall_now(void)
{
    return (struct wall_time){clock_ms(CLOCK_REALTIME)};
}

int64_t mono_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

struct mono_time mono_now(void)
{
    return (struct mono_time){clock_ms(CLOCK_MONOTONIC)};
}

struct mono_time mono_after(int64_t ms)
{
    return (struct mono_time){mono_now().ms + ms};
}

int64_t mono_left(struct mono_time deadline)
{
    if (deadline.ms == INT64_MAX)
        return INT64_MAX;
    int64_t left = deadline.ms - mono_now().ms;
    return left > 0 ? left : 0;
}

bool mono_past(struct mono_time deadline)
{
    return mono_left(deadline) == 0;
}

void mono_sleep(int64_t ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

void wall_format(struct wall_time time, bool millis, char out[static RFC3339_SIZE])
{
    out[0] = '\0';
    if (time.ms == 0)
        return;
    int64_t fraction = ((time.ms % 1000) + 1000) % 1000;
    time_t seconds = (time_t)(time.ms / 1000 - (time.ms % 1000 < 0)); // rounded down
    struct tm tm;
    if (!gmtime_r(&seconds, &tm))
        return;
    size_t used = strftime(out, RFC3339_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + used, RFC3339_SIZE - used, millis ? ".%03dZ" : "Z", (int)fraction);
}

// Exactly `count` digits. (scanf() would take signs and spaces too.)
static bool read_digits(const char **at, int count, int *out)
{
    int value = 0;
    for (; count > 0; count--, ++*at) {
        if (!isdigit((unsigned char)**at))
            return false;
        value = value * 10 + (**at - '0');
    }
    *out = value;
    return true;
}

// One of the characters of `set`.
static bool read_one_of(const char **at, const char *set)
{
    return **at != '\0' && strchr(set, *(*at)++) != NULL;
}

// Up to nine digits, of which three count.
static bool read_fraction(const char **at, int64_t *ms)
{
    int count = 0;
    *ms = 0;
    for (; isdigit((unsigned char)**at) && count < 9; count++, ++*at)
        if (count < 3)
            *ms = *ms * 10 + (**at - '0');
    for (int missing = count; missing < 3; missing++)
        *ms *= 10;
    return count > 0;
}

// "Z" or "+hh:mm", to the end; gives seconds east of UTC.
static bool read_offset(const char *at, int *out)
{
    if ((at[0] == 'Z' || at[0] == 'z') && at[1] == '\0') {
        *out = 0;
        return true;
    }
    int sign = *at == '-' ? -1 : 1;
    int hours, minutes;
    if (!read_one_of(&at, "+-") || !read_digits(&at, 2, &hours) || !read_one_of(&at, ":") ||
        !read_digits(&at, 2, &minutes) || *at != '\0' || hours > 23 || minutes > 59)
        return false;
    *out = sign * (hours * 3600 + minutes * 60);
    return true;
}

static int days_in(int month, int year)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 1 && leap ? 29 : days[month];
}

static bool are_valid(const struct tm *tm)
{
    return tm->tm_year >= 0 && tm->tm_mon >= 0 && tm->tm_mon <= 11 && tm->tm_mday >= 1 &&
           tm->tm_mday <= days_in(tm->tm_mon, tm->tm_year + 1900) && tm->tm_hour <= 23 &&
           tm->tm_min <= 59 && tm->tm_sec <= 60;
}

bool wall_parse(const char *text, struct wall_time *out)
{
    const char *at = text;
    struct tm tm = {0};
    if (!read_digits(&at, 4, &tm.tm_year) || !read_one_of(&at, "-") ||
        !read_digits(&at, 2, &tm.tm_mon) || !read_one_of(&at, "-") ||
        !read_digits(&at, 2, &tm.tm_mday) || !read_one_of(&at, "Tt") ||
        !read_digits(&at, 2, &tm.tm_hour) || !read_one_of(&at, ":") ||
        !read_digits(&at, 2, &tm.tm_min) || !read_one_of(&at, ":") ||
        !read_digits(&at, 2, &tm.tm_sec))
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    int64_t fraction = 0;
    int offset;
    if (!are_valid(&tm))
        return false;
    if (*at == '.') {
        at++;
        if (!read_fraction(&at, &fraction))
            return false;
    }
    if (!read_offset(at, &offset))
        return false;
    out->ms = ((int64_t)timegm(&tm) - offset) * 1000 + fraction;
    return true;
}
