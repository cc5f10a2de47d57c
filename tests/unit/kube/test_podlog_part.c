// Parts of logs, in plain and in compressed files.
#include "agent/base/gzip.h"
#include "deploy/kube/podlog.h"
#include "tests/unit/scratch.h"

#include <sys/stat.h>

static struct podlog_hub *hub;
static char *path;

static int make(void **state)
{
    (void)state;
    hub = podlog_hub_create(NULL, NULL);
    bool made = scratch_make();
    path = xasprintf("%s/log", workspace);
    return made ? 0 : -1;
}

static int clean(void **state)
{
    (void)state;
    podlog_hub_destroy(hub);
    free(path);
    return scratch_remove() ? 0 : -1;
}

#define LINE(second, text) "2026-11-24T08:00:" second ".500000000Z " text "\n"
static const char log_text[] = LINE("10", "one") LINE("11", "") LINE("13", "three")
    LINE("12", "four is late") LINE("14", "five") "= complete\n";

// What a reader is given from there on.
static void assert_rest(const struct podlog_place *place, bool timestamps, const char *wanted)
{
    struct podlog_reader *reader;
    struct podlog_end end;
    struct error err;
    char got[1000] = "";
    size_t len = 0;
    assert_true(podlog_reader_open(hub, path, place->offset, timestamps, &reader, &err));
    for (size_t some = 1; some > 0; len += some)
        assert_true(podlog_read(reader, mono_now(), got + len, 7, &some, &end, &err));
    podlog_reader_close(reader);
    assert_string_equal(got, wanted);
    assert_int_equal(end.state, PODLOG_COMPLETE);
}

static uint64_t lines_of(const char *text)
{
    uint64_t lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

// Of the file that is there.
static void assert_part(int64_t tail, const char *since, bool timestamps, const char *wanted)
{
    struct podlog_part part = {.tail = tail};
    struct podlog_place place;
    struct error err;
    if (since)
        assert_true(wall_parse(since, &part.since));
    assert_true(podlog_locate(hub, path, &part, timestamps, &place, &err));
    assert_rest(&place, timestamps, wanted);
    assert_int_equal(place.line, place.lines + 1 - lines_of(wanted));
}

static void assert_line(int64_t line, uint64_t is, bool timestamps, const char *wanted)
{
    struct podlog_part part = {.line = line, .tail = -1};
    struct podlog_place place;
    assert_true(podlog_locate(hub, path, &part, timestamps, &place, NULL));
    assert_rest(&place, timestamps, wanted);
    assert_int_equal(place.line, is);
    assert_int_equal(place.lines, 5);
}

static void assert_lines(void)
{
    assert_line(1, 1, false, "one\n\nthree\nfour is late\nfive\n");
    assert_line(2, 2, false, "\nthree\nfour is late\nfive\n");
    assert_line(5, 5, true, LINE("14", "five"));
    assert_line(6, 6, false, "");
    assert_line(INT64_MAX, 6, false, ""); // the end, and which line that is
}

// --- searching ---

struct hits {
    char text[1000];
};

static void note_hit(void *user, uint64_t line, const char *bytes, size_t len, size_t at)
{
    struct hits *hits = user;
    size_t before = strlen(hits->text);
    snprintf(hits->text + before, sizeof hits->text - before, "%d.%zu:%.*s|", (int)line, at,
             (int)len, bytes);
}

static void assert_hits(struct podlog_search search, const char *wanted, bool more, uint64_t lines)
{
    struct hits hits = {""};
    struct podlog_searched searched;
    struct error err;
    search.limit = search.limit ? search.limit : 100;
    search.deadline = search.deadline.ms ? search.deadline : mono_after(60000);
    search.found = note_hit;
    search.user = &hits;
    if (!podlog_find(hub, path, &search, &searched, &err))
        fail_msg("%s", err.text);
    assert_string_equal(hits.text, wanted);
    assert_int_equal(searched.more, more);
    assert_int_equal(searched.lines, lines);
}

static void assert_searches(void)
{
    assert_hits((struct podlog_search){.text = "e"},
                "1.2:one|3.3:three|4.11:four is late|5.3:five|", false, 5); // once for each line
    assert_hits((struct podlog_search){.text = "f"}, "4.0:four is late|5.0:five|", false, 5);
    assert_hits((struct podlog_search){.text = "E"}, "", false, 5);
    assert_hits((struct podlog_search){.text = "IS", .ignore_case = true}, "4.5:four is late|",
                false, 5);
    assert_hits((struct podlog_search){.text = "e", .limit = 2}, "1.2:one|3.3:three|", true, 5);
    assert_hits((struct podlog_search){.text = "e", .line = 4, .limit = 2},
                "4.11:four is late|5.3:five|", false, 5);
    assert_hits((struct podlog_search){.text = "08:00"}, "", false, 5); // times are no text
    assert_hits((struct podlog_search){.text = "complete"}, "", false, 5);
    assert_hits((struct podlog_search){.text = "e", .deadline = {1}}, "", true, 0);
}

static void assert_parts(void)
{
    static const char all[] = "one\n\nthree\nfour is late\nfive\n";
    assert_part(-1, NULL, false, all);
    assert_part(5, NULL, false, all);
    assert_part(1000000, NULL, false, all);
    assert_part(2, NULL, false, "four is late\nfive\n");
    assert_part(-1, "1969-01-01T00:00:00Z", false, all);
    assert_part(-1, "9999-12-31T23:59:59Z", false, "");
    assert_part(4, NULL, false, "\nthree\nfour is late\nfive\n");
    assert_part(1, NULL, true, LINE("14", "five"));
    assert_part(0, NULL, false, "");
    assert_part(-1, "2026-11-24T08:00:00Z", false, all);
    assert_part(-1, "2026-11-24T08:00:11.500Z", false, "\nthree\nfour is late\nfive\n");
    assert_part(-1, "2026-11-24T09:00:12+01:00", false, "three\nfour is late\nfive\n");
    assert_part(-1, "2026-11-24T08:00:14.501Z", false, "");
    assert_part(1, "2026-11-24T08:00:12Z", false, "five\n");
    assert_part(9, "2026-11-24T08:00:14Z", true, LINE("14", "five"));
    assert_lines();
    assert_searches();
}

static void parts_are_found(void **state)
{
    (void)state;
    struct error err;
    assert_true(file_write(path, 0600, log_text, sizeof log_text - 1, &err));
    assert_parts();
}

static void compressed_file_is_read_the_same(void **state)
{
    (void)state;
    uint64_t size;
    struct podlog_end end;
    struct error err;
    struct stat found;
    CLEANUP(free_ptr) char *compressed = podlog_compressed(path);
    assert_true(file_write(path, 0600, log_text, sizeof log_text - 1, &err));
    assert_true(gzip_file(path, compressed, &size, &err));
    assert_parts(); // both are there: it was just being compressed
    assert_int_equal(unlink(path), 0);
    assert_parts();
    assert_true(podlog_look(hub, path, &end, &err));
    assert_int_equal(end.state, PODLOG_COMPLETE);
    assert_true(podlog_ended(path, &end, &err));
    assert_int_equal(end.state, PODLOG_COMPLETE);
    struct podlog_source source = {.namespace_ = "n", .pod = "p", .container = "c", .path = path};
    assert_true(podlog_follow(hub, &source, &err)); // it is not begun anew
    assert_int_not_equal(stat(path, &found), 0);
    struct podlog_reader *reader;
    assert_false(podlog_reader_open(hub, path, 1000, false, &reader, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

static void damaged_file_is_lost(void **state)
{
    (void)state;
    struct podlog_end end;
    struct error err;
    sh("rm -f log; { for i in $(seq 5000); do echo 2026-11-24T08:00:10Z $RANDOM $i; done; } | gzip "
       "| "
       "head -c 9000 > log.gz");
    assert_true(podlog_look(hub, path, &end, &err));
    assert_int_equal(end.state, PODLOG_LOST);
    assert_string_equal(end.why, "the log file is damaged");
}

static void damaged_line_has_no_text(void **state)
{
    (void)state;
    static const char text[] =
        LINE("10", "one") "2026-11-24T08:00:11Z\n" LINE("12", "three") "= complete\n";
    struct error err;
    sh("rm -f log.gz");
    assert_true(file_write(path, 0600, text, sizeof text - 1, &err));
    assert_part(-1, NULL, false, "one\n\nthree\n");
    assert_part(2, NULL, false, "\nthree\n");
    assert_part(1, NULL, false, "three\n");
}

// Lines that come in several pieces, and all of a text that is as long as may be.
static void long_lines_are_searched(void **state)
{
    (void)state;
    sh("rm -f log.gz; { for i in $(seq 40); do printf '2026-11-24T08:00:10Z '; "
       "head -c $((i * 5000)) /dev/zero | tr '\\0' $((i %% 10)); echo end; done; "
       "echo '= complete'; } > log");
    struct podlog_searched searched;
    struct hits hits = {""};
    struct error err;
    struct podlog_search search = {.text = "8end",
                                   .limit = 3,
                                   .deadline = mono_after(60000),
                                   .found = note_hit,
                                   .user = &hits};
    assert_true(podlog_find(hub, path, &search, &searched, &err));
    assert_true(searched.more); // 8, 18, 28 and 38
    assert_int_equal(searched.lines, 40);
    assert_memory_equal(hits.text, "8.39999:888", 11);
    char text[PODLOG_SEARCH_TEXT_MAX + 2];
    memset(text, '7', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    search.text = text;
    assert_false(podlog_find(hub, path, &search, &searched, &err));
    assert_int_equal(err.code, ERR_INVALID);
    search.text = text + 1;
    search.limit = 4;
    assert_true(podlog_find(hub, path, &search, &searched, &err));
    assert_false(searched.more);
}

static void absent_file_is_told(void **state)
{
    (void)state;
    struct podlog_part part = {.tail = 1};
    struct podlog_end end;
    struct error err;
    struct podlog_place place;
    assert_false(podlog_locate(hub, "/nonexistent/log", &part, false, &place, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_false(podlog_ended("/nonexistent/log", &end, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_found),
        cmocka_unit_test(compressed_file_is_read_the_same),
        cmocka_unit_test(damaged_file_is_lost),
        cmocka_unit_test(damaged_line_has_no_text),
        cmocka_unit_test(long_lines_are_searched),
        cmocka_unit_test(absent_file_is_told),
    };
    return cmocka_run_group_tests(tests, make, clean);
}
