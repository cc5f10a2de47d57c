#include "agent/base/gzip.h"
#include "agent/base/text.h"
#include "tests/unit/scratch.h"

static int make(void **state)
{
    (void)state;
    return scratch_make() ? 0 : -1;
}

static int clean(void **state)
{
    (void)state;
    return scratch_remove() ? 0 : -1;
}

static char *in_workspace(const char *name)
{
    return xasprintf("%s/%s", workspace, name);
}

static void assert_holds(const char *path, const char *wanted, size_t len)
{
    struct gzip_reader *reader;
    struct error err;
    CLEANUP(buffer_finish) struct buffer got = {0};
    char chunk[1000];
    assert_true(gzip_open(path, &reader, &err));
    for (size_t part = 1; part > 0;) {
        assert_true(gzip_read(reader, chunk, sizeof chunk, &part, &err));
        assert_true(buffer_append(&got, chunk, part, &err));
    }
    gzip_close(reader);
    assert_int_equal(got.len, len);
    if (len > 0)
        assert_memory_equal(got.data, wanted, len);
}

static void file_is_compressed_whole(void **state)
{
    (void)state;
    CLEANUP(free_ptr) char *from = in_workspace("log");
    CLEANUP(free_ptr) char *to = in_workspace("log.gz");
    CLEANUP(free_ptr) char *text = xalloc(300000);
    uint64_t size;
    struct error err;
    memset(text, 'x', 300000);
    for (size_t len = 0; len <= 300000; len += 100000) {
        assert_true(file_write(from, 0600, text, len, &err));
        assert_true(gzip_file(from, to, &size, &err));
        assert_in_range(size, 1, 2000);
        assert_holds(to, text, len);
    }
    sh("gunzip -c log.gz | cmp - log; test ! -e log.gz.new; test $(stat -c %%a log.gz) = 600");
}

static void bytes_are_compressed_whole(void **state)
{
    (void)state;
    CLEANUP(free_ptr) char *path = in_workspace("bytes.gz");
    CLEANUP(free_ptr) char *bytes = xalloc(300000);
    struct error err;
    for (size_t i = 0; i < 150000; i++) // half of it cannot be made smaller
        bytes[i] = (char)(text_hash(i, "bytes") >> 32);
    for (size_t len = 0; len <= 300000; len += 100000) {
        CLEANUP(buffer_finish) struct buffer compressed = {0};
        CLEANUP(buffer_finish) struct buffer again = {0};
        assert_true(gzip_bytes(bytes, len, &compressed, &err));
        assert_true(gzip_bytes(bytes, len, &again, &err));
        assert_int_equal(compressed.len, again.len);
        assert_memory_equal(compressed.data, again.data, again.len);
        assert_true(file_write(path, 0600, compressed.data, compressed.len, &err));
        assert_holds(path, bytes, len);
    }
}

static void what_no_longer_fits_is_told(void **state)
{
    (void)state;
    CLEANUP(buffer_finish) struct buffer small = {.cap = 10};
    struct error err;
    assert_false(gzip_bytes("some bytes", 10, &small, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
}

static void what_was_there_stays_after_a_failure(void **state)
{
    (void)state;
    CLEANUP(free_ptr) char *absent = in_workspace("absent");
    CLEANUP(free_ptr) char *to = in_workspace("log.gz");
    uint64_t size;
    struct error err;
    sh("echo old | gzip > log.gz; : > log.gz.new; ln -sf /dev/full full");
    assert_false(gzip_file(absent, to, &size, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_holds(to, "old\n", 4);
    sh("ln -sf /dev/full log.gz.new; echo new > log");
    CLEANUP(free_ptr) char *log = in_workspace("log");
    assert_false(gzip_file(log, to, &size, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_holds(to, "old\n", 4);
}

static void damage_is_told(void **state)
{
    (void)state;
    CLEANUP(free_ptr) char *cut = in_workspace("cut.gz");
    CLEANUP(free_ptr) char *bent = in_workspace("bent.gz");
    CLEANUP(free_ptr) char *plain = in_workspace("plain.gz");
    CLEANUP(free_ptr) char *absent = in_workspace("absent.gz");
    struct gzip_reader *reader;
    struct error err;
    char chunk[1 << 16];
    size_t len = 1;
    sh("seq 100000 | gzip | head -c 60000 > cut.gz; echo text > plain.gz; "
       "{ seq 1000 | gzip | head -c 900; head -c 1100 /dev/zero; } > bent.gz");
    const char *const damaged[] = {cut, bent};
    for (size_t i = 0; i < 2; i++) {
        bool ok = true;
        assert_true(gzip_open(damaged[i], &reader, &err));
        for (len = 1; ok && len > 0;)
            ok = gzip_read(reader, chunk, sizeof chunk, &len, &err);
        assert_false(ok);
        assert_int_equal(err.code, ERR_INVALID);
        gzip_close(reader);
    }
    assert_false(gzip_open(plain, &reader, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_false(gzip_open(absent, &reader, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_is_compressed_whole),
        cmocka_unit_test(bytes_are_compressed_whole),
        cmocka_unit_test(what_no_longer_fits_is_told),
        cmocka_unit_test(what_was_there_stays_after_a_failure),
        cmocka_unit_test(damage_is_told),
    };
    return cmocka_run_group_tests(tests, make, clean);
}
