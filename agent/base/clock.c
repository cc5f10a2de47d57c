#include "agent/base/clock.h"

#include <ctype.h>
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

void wall_format(struct wall_time time, bool millis, char out[static RFC3339_SIZE])
{
    out[0] = '\0';
    if (time.ms == 0)
        return;
    int64_t fraction = ((time.ms % 1000) + 1000) % 1000;
    time_t seconds = (time_t)((time.ms - fraction) / 1000);
    struct tm tm;
    if (!gmtime_r(&seconds, &tm))
        return;
    size_t used = strftime(out, RFC3339_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + used, RFC3339_SIZE - used, millis ? ".%03dZ" : "Z", (int)fraction);
}

// Reads "Z" or "+hh:mm" and gives seconds east of UTC.
static bool parse_offset(const char *text, int *out)
{
    if ((text[0] == 'Z' || text[0] == 'z') && text[1] == '\0') {
        *out = 0;
        return true;
    }
    int hours, minutes, used = 0;
    if ((text[0] != '+' && text[0] != '-') || !isdigit((unsigned char)text[1]) ||
        sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 || used != 5 ||
        text[6] != '\0' || hours > 23 || minutes < 0 || minutes > 59)
        return false;
    *out = (hours * 3600 + minutes * 60) * (text[0] == '-' ? -1 : 1);
    return true;
}

static int days_in(int month, int year)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 1 && leap ? 29 : days[month];
}

static bool valid_fields(const struct tm *tm)
{
    return tm->tm_year >= 0 && tm->tm_mon >= 0 && tm->tm_mon <= 11 && tm->tm_mday >= 1 &&
           tm->tm_mday <= days_in(tm->tm_mon, tm->tm_year + 1900) && tm->tm_hour >= 0 &&
           tm->tm_hour <= 23 && tm->tm_min >= 0 && tm->tm_min <= 59 && tm->tm_sec >= 0 &&
           tm->tm_sec <= 60;
}

bool wall_parse(const char *text, struct wall_time *out)
{
    struct tm tm = {0};
    int used = 0;
    if (!isdigit((unsigned char)text[0]) ||
        sscanf(text, "%4d-%2d-%2d%*[Tt]%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) != 6 ||
        used != 19)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    if (!valid_fields(&tm))
        return false;
    const char *rest = text + used;
    int64_t fraction = 0;
    if (*rest == '.') {
        int digits = 0;
        for (rest++; isdigit((unsigned char)*rest) && digits < 9; rest++, digits++)
            if (digits < 3)
                fraction = fraction * 10 + (*rest - '0');
        if (digits == 0)
            return false;
        for (; digits < 3; digits++)
            fraction *= 10;
    }
    int offset;
    if (!parse_offset(rest, &offset))
        return false;
    out->ms = ((int64_t)timegm(&tm) - offset) * 1000 + fraction;
    return true;
}
