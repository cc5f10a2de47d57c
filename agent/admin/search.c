#include "agent/admin/search.h"
#include "agent/admin/logs.h"

#include <stdatomic.h>
#include <string.h>

#define MATCHES_MAX  1000
#define SEARCH_MS    10000 // what was found by then
#define SEARCHES_MAX 4     // at once: each keeps a processor busy
#define TEXT_MAX     256   // characters of what is looked for
#define SHOWN_MAX    1000  // bytes of a line
#define SHOWN_BEFORE 200   // of them before the text, when a line is cut

static atomic_int going_on;

static bool inside_character(char byte)
{
    return ((unsigned char)byte & 0xC0) == 0x80;
}

// The part of a long line that has the text, cut between characters.
static json_t *shown(const char *bytes, size_t len, size_t at)
{
    size_t from = len > SHOWN_MAX && at > SHOWN_BEFORE ? at - SHOWN_BEFORE : 0;
    size_t to = len - from > SHOWN_MAX ? from + SHOWN_MAX : len;
    while (from > 0 && from < at && inside_character(bytes[from]))
        from++;
    while (to < len && to > from && inside_character(bytes[to]))
        to--;
    CLEANUP(buffer_finish) struct buffer text = {0};
    if (!buffer_printf(&text, NULL, "%s", from ? "…" : "") ||
        !buffer_append(&text, bytes + from, to - from, NULL) ||
        !buffer_printf(&text, NULL, "%s", to < len ? "…" : ""))
        return NULL;
    for (char *nul = text.data; (nul = memchr(nul, '\0', (size_t)(text.data + text.len - nul)));)
        *nul = ' ';
    return json_text(text.data);
}

static void add_match(void *user, uint64_t line, const char *bytes, size_t len, size_t at)
{
    admin_append(user,
                 json_pack("{s:I, s:o}", "line", (json_int_t)line, "text", shown(bytes, len, at)));
}

static size_t characters(const char *text)
{
    size_t count = 0;
    for (; *text; text++)
        count += !inside_character(*text);
    return count;
}

static bool read_search(struct server_request *req, struct podlog_search *out)
{
    static const char *const others[] = {"follow", "timestamps", "tail",
                                         "since",  "offset",     "count"};
    int64_t line, limit;
    out->text = server_query(req, "search");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (server_query(req, others[i])) {
            server_refuse(req, 400, "invalid", "search does not go with %s", others[i]);
            return false;
        }
    if (!admin_query_bool(req, "ignoreCase", &out->ignore_case) ||
        !admin_query_int(req, "line", 1, INT64_MAX, 1, &line) ||
        !admin_query_int(req, "limit", 1, MATCHES_MAX, MATCHES_MAX, &limit))
        return false;
    out->line = (uint64_t)line;
    out->limit = (size_t)limit;
    if (*out->text && characters(out->text) <= TEXT_MAX &&
        strlen(out->text) <= PODLOG_SEARCH_TEXT_MAX)
        return true;
    server_refuse(req, 400, "invalid", "search must have 1 to %d characters", TEXT_MAX);
    return false;
}

static void search(struct server_request *req, const struct admin *admin, const char *path,
                   struct podlog_search *wanted)
{
    CLEANUP(json_ptr) json_t *matches = json_array();
    struct podlog_searched searched;
    struct error err;
    wanted->deadline = mono_after(SEARCH_MS);
    wanted->found = add_match;
    wanted->user = matches;
    if (podlog_find(admin->logs, path, wanted, &searched, &err))
        server_answer_json(req, 200,
                           json_pack("{s:O, s:I, s:b}", "matches", matches, "lines",
                                     (json_int_t)searched.lines, "more", searched.more));
    else
        admin_refuse_log(req, &err);
}

void admin_answer_search(struct server_request *req, const struct admin *admin, const char *path)
{
    struct podlog_search wanted = {0};
    if (!read_search(req, &wanted))
        return;
    if (atomic_fetch_add(&going_on, 1) < SEARCHES_MAX) {
        search(req, admin, path, &wanted);
    } else {
        server_add_header(req, "Retry-After", "5");
        server_refuse(req, 503, "unavailable", "%d logs are being searched already", SEARCHES_MAX);
    }
    atomic_fetch_sub(&going_on, 1);
}
