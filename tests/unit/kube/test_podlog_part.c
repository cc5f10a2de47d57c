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

// Of the file that is there.
static void assert_part(int64_t tail, const char *since, bool timestamps, const char *wanted)
{
    struct podlog_part part = {.tail = tail};
    struct podlog_reader *reader;
    struct podlog_end end;
    struct error err;
    uint64_t offset;
    char got[1000] = "";
    size_t len = 0;
    if (since)
        assert_true(wall_parse(since, &part.since));
    assert_true(podlog_locate(hub, path, &part, timestamps, &offset, &err));
    assert_true(podlog_reader_open(hub, path, offset, timestamps, &reader, &err));
    for (size_t some = 1; some > 0; len += some)
        assert_true(podlog_read(reader, mono_now(), got + len, 7, &some, &end, &err));
    podlog_reader_close(reader);
    assert_string_equal(got, wanted);
    assert_int_equal(end.state, PODLOG_COMPLETE);
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

static void absent_file_is_told(void **state)
{
    (void)state;
    struct podlog_part part = {.tail = 1};
    struct podlog_end end;
    struct error err;
    uint64_t offset;
    assert_false(podlog_locate(hub, "/nonexistent/log", &part, false, &offset, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_false(podlog_ended("/nonexistent/log", &end, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_found),      cmocka_unit_test(compressed_file_is_read_the_same),
        cmocka_unit_test(damaged_file_is_lost), cmocka_unit_test(damaged_line_has_no_text),
        cmocka_unit_test(absent_file_is_told),
    };
    return cmocka_run_group_tests(tests, make, clean);
}
