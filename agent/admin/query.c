// Query parameters that are words or times.
#include "agent/admin/admin.h"

#include <ctype.h>
#include <string.h>

#define AGO_NUMBER_MAX 1000000
#define AGO_TEXT_MAX   64
#define COMMIT_LEAST   7
#define COMMIT_MOST    40

bool admin_query_word(struct server_request *req, const char *name, const char *const words[],
                      const char **out)
{
    CLEANUP(buffer_finish) struct buffer list = {0};
    *out = server_query(req, name);
    for (size_t i = 0; words[i] && *out; i++) {
        if (strcmp(words[i], *out) == 0)
            return true;
        if (!buffer_printf(&list, NULL, "%s%s", i ? ", " : "", words[i]))
            break;
    }
    if (*out)
        server_refuse(req, 400, "invalid", "%s must be one of: %s", name, buffer_text(&list));
    return *out == NULL;
}

bool admin_query_commit(struct server_request *req, const char *name, size_t room, char *out)
{
    const char *text = server_query(req, name);
    size_t len = text ? strlen(text) : 0;
    out[0] = '\0';
    if (!text)
        return true;
    if (len < COMMIT_LEAST || len > COMMIT_MOST || len >= room ||
        strspn(text, "0123456789abcdefABCDEF") != len) {
        server_refuse(req, 400, "invalid",
                      "%s must be a commit's id or its beginning: %d to %d hex digits", name,
                      COMMIT_LEAST, COMMIT_MOST);
        return false;
    }
    for (size_t i = 0; i <= len; i++)
        out[i] = (char)tolower((unsigned char)text[i]);
    return true;
}

// "1h30m": numbers with their units, the larger first or not. False: it is none.
static bool read_ago(const char *text, int64_t *ms)
{
    static const struct {
        char letter;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    *ms = 0;
    do {
        int64_t number = 0;
        size_t digits = strspn(text, "0123456789");
        for (size_t i = 0; i < digits && number <= AGO_NUMBER_MAX; i++)
            number = 10 * number + (text[i] - '0');
        size_t unit = 0;
        while (unit < sizeof units / sizeof *units && units[unit].letter != text[digits])
            unit++;
        if (digits == 0 || number > AGO_NUMBER_MAX || unit == sizeof units / sizeof *units)
            return false;
        *ms += number * units[unit].ms;
        text += digits + 1;
    } while (*text);
    return true;
}

bool admin_query_since(struct server_request *req, const char *name, struct wall_time *out)
{
    const char *text = server_query(req, name);
    int64_t ago;
    *out = (struct wall_time){0};
    if (!text || wall_parse(text, out))
        return true;
    if (strlen(text) <= AGO_TEXT_MAX && read_ago(text, &ago)) {
        out->ms = wall_now().ms - ago > 0 ? wall_now().ms - ago : 1;
        return true;
    }
    server_refuse(req, 400, "invalid",
                  "%s must be a time (2026-11-24T08:00:00Z) or how long ago (10m, 1h30m)", name);
    return false;
}
