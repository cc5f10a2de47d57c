// GLib reads the zones' files. What it read is taken over into a table: its own look-ups go through
// all changes of a century, and a schedule asks many times.
#include "agent/base/zone.h"
#include "agent/base/file.h"
#include "agent/base/text.h"

#include <glib.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define DIRECTORY      "/usr/share/zoneinfo"
#define FILE_MAX       ((size_t)256 << 10)
#define LIST_FILE      DIRECTORY "/tzdata.zi"
#define LIST_MAX       ((size_t)1 << 20)
#define NAMES_MAX      4000
#define COMPONENT_MAX  14 // bytes between slashes: Kubernetes takes no more
#define DAY            86400
#define KEPT_MAX       64 // zones: making one takes a millisecond, and a list asks for thousands
#define TABLE_BEGIN    (ZONE_BEGIN - 400 * (int64_t)DAY)
#define TABLE_END      (ZONE_END + 400 * (int64_t)DAY)
#define YEAR_ZERO_DAYS 719468 // from 0000-03-01 to 1970-01-01
#define ERA_DAYS       146097 // in 400 years

struct zone {
    bool kept;    // for the next who opens it; else of whoever opened it
    size_t count; // >= 1
    struct zone_span spans[];
};

// --- names ---

// As Kubernetes takes them: nothing that could lead elsewhere.
static bool is_name(const char *name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-";
    if (strlen(name) > ZONE_NAME_MAX)
        return false;
    for (const char *at = name;; at++) {
        size_t len = strspn(at, allowed);
        if (len == 0 || len > COMPONENT_MAX || *at == '-' || (len == 1 && *at == '.') ||
            (len == 2 && text_starts(at, "..")))
            return false;
        at += len;
        if (*at == '\0')
            return true;
        if (*at != '/')
            return false;
    }
}

// What lies there besides, and means another thing on another machine.
static bool is_of_machine(const char *name)
{
    return strcasecmp(name, "local") == 0 || strcmp(name, "localtime") == 0 ||
           strcmp(name, "posixrules") == 0 || text_starts(name, "posix/") ||
           text_starts(name, "right/");
}

// The names in tzdata's list: lines "Z NAME …" for zones and "L ZONE NAME" for further names of
// them. They are cut out of `text`.
static void list_names(char *text, const char *names[static NAMES_MAX + 1])
{
    size_t count = 0;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) != NULL && count < NAMES_MAX;) {
        bool is_link = text_starts(line, "L ");
        if (!is_link && !text_starts(line, "Z "))
            continue;
        char *name = line + 2;
        if (is_link)
            (void)strsep(&name, " ");
        if (name)
            names[count++] = strsep(&name, " ");
    }
    names[count] = NULL;
}

static const char *place_of(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash ? slash + 1 : name;
}

// "Berlin" and "Germany/berlin" mean Europe/Berlin.
static const char *same_place(const char *name, const char *const names[])
{
    while (*names && strcasecmp(place_of(name), place_of(*names)) != 0)
        names++;
    return *names;
}

static bool no_such_zone(const char *name, struct error *err)
{
    CLEANUP(buffer_finish) struct buffer list = {0};
    const char *names[NAMES_MAX + 1] = {NULL};
    // Without the list there is nothing to suggest.
    if (file_read(LIST_FILE, LIST_MAX, &list, NULL) && list.len > 0)
        list_names(list.data, names);
    const char *near = same_place(name, names);
    if (!near)
        near = text_nearest(name, names);
    return error_set(err, ERR_INVALID, "there is no time zone \"%.*s\"%s%s%s", 2 * ZONE_NAME_MAX,
                     name, near ? "; did you mean \"" : ": names are such as Europe/Berlin or UTC",
                     near ? near : "", near ? "\"?" : "");
}

// --- the table ---

// Appends to a zone that is being made the span that GLib has for a moment.
static void add_span(struct zone **zone, GTimeZone *source, int64_t from, int interval)
{
    struct zone *grown = *zone;
    struct zone_span span = {
        .from = from, .until = INT64_MAX, .offset = g_time_zone_get_offset(source, interval)};
    (void)text_copy(span.abbreviation, sizeof(span.abbreviation),
                    g_time_zone_get_abbreviation(source, interval));
    if (grown->count > 0)
        grown->spans[grown->count - 1].until = from;
    grown = xrealloc(grown, sizeof(*grown) + (grown->count + 1) * sizeof(span));
    grown->spans[grown->count++] = span;
    *zone = grown;
}

// Finds the changes in (from, until], given GLib's intervals at both ends, by halving.
static void add_changes(struct zone **zone, GTimeZone *source, int64_t from, int at_from,
                        int64_t until, int at_until)
{
    if (at_from == at_until)
        return;
    if (until - from == 1) {
        add_span(zone, source, until, at_until);
        return;
    }
    int64_t half = from + (until - from) / 2;
    int at_half = g_time_zone_find_interval(source, G_TIME_TYPE_UNIVERSAL, half);
    add_changes(zone, source, from, at_from, half, at_half);
    add_changes(zone, source, half, at_half, until, at_until);
}

static struct zone *zone_from(GTimeZone *source)
{
    struct zone *zone = xalloc(sizeof(*zone));
    int first = g_time_zone_find_interval(source, G_TIME_TYPE_UNIVERSAL, TABLE_BEGIN);
    int last = g_time_zone_find_interval(source, G_TIME_TYPE_UNIVERSAL, TABLE_END);
    add_span(&zone, source, INT64_MIN, first);
    add_changes(&zone, source, TABLE_BEGIN, first, TABLE_END, last);
    return zone;
}

static struct zone *zone_utc(void)
{
    struct zone *zone = xalloc(sizeof(*zone) + sizeof(zone->spans[0]));
    zone->count = 1;
    zone->spans[0] =
        (struct zone_span){.from = INT64_MIN, .until = INT64_MAX, .abbreviation = "UTC"};
    return zone;
}

static bool read_zone(const char *name, struct zone **out, struct error *err)
{
    if (!is_name(name) || is_of_machine(name))
        return no_such_zone(name, err);
    if (access(DIRECTORY, X_OK) != 0)
        return error_set(err, ERR_IO, "time zones are not installed: %s (package tzdata)",
                         DIRECTORY);
    // GLib is given the path: the name alone would follow TZDIR. It does not bear other files.
    CLEANUP(free_ptr) char *path = xasprintf("%s/%s", DIRECTORY, name);
    CLEANUP(buffer_finish) struct buffer file = {0};
    if (!file_read(path, FILE_MAX, &file, NULL) || !text_starts(buffer_text(&file), "TZif"))
        return no_such_zone(name, err);
    GTimeZone *source = g_time_zone_new_identifier(path);
    if (!source)
        return error_set(err, ERR_IO, "%s: cannot be read", path);
    *out = zone_from(source);
    g_time_zone_unref(source);
    return true;
}

static struct {
    pthread_mutex_t lock;
    struct {
        char name[ZONE_NAME_MAX + 1];
        struct zone *zone;
    } items[KEPT_MAX];
    size_t count;
} kept = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct zone *find_kept(const char *name)
{
    struct zone *found = NULL;
    pthread_mutex_lock(&kept.lock);
    for (size_t i = 0; !found && i < kept.count; i++) {
        if (strcmp(kept.items[i].name, name) == 0)
            found = kept.items[i].zone;
    }
    pthread_mutex_unlock(&kept.lock);
    return found;
}

// While there is room, and of two that opened it at once one.
static void keep(const char *name, struct zone *zone)
{
    pthread_mutex_lock(&kept.lock);
    bool known = false;
    for (size_t i = 0; !known && i < kept.count; i++)
        known = strcmp(kept.items[i].name, name) == 0;
    if (!known && kept.count < KEPT_MAX) {
        zone->kept = true;
        (void)text_copy(kept.items[kept.count].name, sizeof(kept.items[0].name), name);
        kept.items[kept.count++].zone = zone;
    }
    pthread_mutex_unlock(&kept.lock);
}

bool zone_open(const char *name, struct zone **out, struct error *err)
{
    if (*name == '\0' || strcmp(name, "UTC") == 0) {
        *out = zone_utc();
        return true;
    }
    *out = find_kept(name);
    if (*out)
        return true;
    if (!read_zone(name, out, err))
        return false;
    keep(name, *out);
    return true;
}

void zone_close(struct zone *zone)
{
    if (zone && !zone->kept)
        free(zone);
}

const struct zone_span *zone_span_at(const struct zone *zone, int64_t unix_seconds)
{
    size_t low = 0;
    size_t high = zone->count;
    while (high - low > 1) {
        size_t half = (low + high) / 2;
        if (zone->spans[half].from <= unix_seconds)
            low = half;
        else
            high = half;
    }
    return &zone->spans[low];
}

// --- the calendar: years are counted from March, so that the leap day ends a year ---

static int64_t floor_div(int64_t value, int64_t by)
{
    return value / by - (value % by < 0);
}

// Of the first day of a month in 1 … 12.
static int64_t days_before(int64_t year, int month)
{
    int64_t march_year = year - (month <= 2);
    int since_march = (month + 9) % 12;
    return 365 * march_year + floor_div(march_year, 4) - floor_div(march_year, 100) +
           floor_div(march_year, 400) + (153 * since_march + 2) / 5 - YEAR_ZERO_DAYS;
}

struct zone_date zone_date(int64_t days)
{
    int64_t since = days + YEAR_ZERO_DAYS;
    int64_t era = floor_div(since, ERA_DAYS);
    int day_of_era = (int)(since - era * ERA_DAYS);
    int year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / (ERA_DAYS - 1)) / 365;
    int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int since_march = (5 * day_of_year + 2) / 153;
    int month = (since_march + 2) % 12 + 1;
    return (struct zone_date){
        .year = (int)(era * 400) + year_of_era + (month <= 2),
        .month = month,
        .day = day_of_year - (153 * since_march + 2) / 5 + 1,
        .weekday = (int)(days + 4 - 7 * floor_div(days + 4, 7)), // 1970 began on a Thursday
    };
}

int zone_month_days(int year, int month)
{
    int following = month % 12 + 1;
    return (int)(days_before(year + (month == 12), following) - days_before(year, month));
}

void zone_clock(const struct zone *zone, int64_t unix_seconds, struct zone_clock *out)
{
    const struct zone_span *span = zone_span_at(zone, unix_seconds);
    int64_t shown = unix_seconds + span->offset;
    int64_t days = floor_div(shown, DAY);
    int rest = (int)(shown - days * DAY);
    struct zone_date date = zone_date(days);
    *out = (struct zone_clock){
        .year = date.year,
        .month = date.month,
        .day = date.day,
        .hour = rest / 3600,
        .minute = rest / 60 % 60,
        .second = rest % 60,
        .weekday = date.weekday,
        .offset = span->offset,
    };
    (void)text_copy(out->abbreviation, sizeof(out->abbreviation), span->abbreviation);
}

int64_t zone_moment(const struct zone *zone, int year, int month, int day, int hour, int minute,
                    int second)
{
    int64_t years = floor_div((int64_t)month - 1, 12);
    int month_of_year = (int)(month - 1 - 12 * years) + 1;
    int64_t days = days_before(year + years, month_of_year) + day - 1;
    int64_t as_utc = days * DAY + (int64_t)hour * 3600 + (int64_t)minute * 60 + second;
    int offset = zone_span_at(zone, as_utc)->offset;
    if (offset != 0)
        offset = zone_span_at(zone, as_utc - offset)->offset;
    return as_utc - offset;
}
