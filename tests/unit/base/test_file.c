#include "agent/base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64];

static char *in_directory(const char *name)
{
    return xasprintf("%s/%s", directory, name);
}

static int make(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test_file.XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int clean(void **state)
{
    (void)state;
    struct error err;
    return directory_remove(directory, &err) ? 0 : -1;
}

static void write_file(const char *path, const void *bytes, size_t len)
{
    struct error err;
    if (!file_write(path, 0600, bytes, len, &err))
        fail_msg("%s", err.text);
}

static void test_write_and_read(void **state)
{
    (void)state;
    CLEANUP(free_ptr) char *path = in_directory("a");
    write_file(path, "first", 5);
    write_file(path, "second\0!", 8);
    struct buffer found = {0};
    struct error err;
    assert_true(file_read(path, 8, &found, &err));
    assert_int_equal(found.len, 8);
    assert_memory_equal(found.data, "second\0!", 8);
    buffer_finish(&found);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    // nothing is left beside it
    int entries = 0;
    DIR *listing = opendir(directory);
    while (readdir(listing))
        entries++;
    closedir(listing);
    assert_int_equal(entries, 3); // ".", "..", "a"
}

static void test_read_bounds(void **state)
{
    (void)state;
    CLEANUP(free_ptr) char *path = in_directory("a");
    CLEANUP(free_ptr) char *missing = in_directory("missing");
    CLEANUP(free_ptr) char *large = xalloc(100000);
    write_file(path, large, 100000);
    struct buffer found = {0};
    struct error err;
    assert_false(file_read(path, 99999, &found, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
    assert_non_null(strstr(err.text, path));
    assert_null(found.data);
    assert_true(file_read(path, 100000, &found, &err));
    assert_int_equal(found.len, 100000);
    buffer_finish(&found);
    assert_false(file_read(missing, 1, &found, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_false(file_read(directory, 1, &found, &err));
    assert_int_equal(err.code, ERR_IO);
    write_file(path, "", 0);
    assert_true(file_read(path, 1, &found, &err));
    assert_string_equal(buffer_text(&found), "");
    buffer_finish(&found);
}

static void test_write_fails_whole(void **state)
{
    (void)state;
    CLEANUP(free_ptr) char *path = in_directory("no/such/directory");
    struct error err;
    assert_false(file_write(path, 0600, "x", 1, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_false(file_write(directory, 0600, "x", 1, &err)); // a directory is in the way
    assert_int_equal(err.code, ERR_IO);
}

static void test_secrets(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *secret; // NULL: refused
    } cases[] = {
        {"s3cret", 6, "s3cret"},
        {"s3cret\n", 7, "s3cret"},
        {"s3cret\r\n", 8, "s3cret"},
        {"s3cret\n\n", 8, "s3cret\n"},
        {" s ", 3, " s "},
        {"", 0, NULL},
        {"\n", 1, NULL},
        {"\r\n", 2, NULL},
        {"a\0b", 3, NULL},
    };
    CLEANUP(free_ptr) char *path = in_directory("secret");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_file(path, cases[i].bytes, cases[i].len);
        char *secret = NULL;
        struct error err;
        assert_int_equal(secret_file_read(path, &secret, &err), cases[i].secret != NULL);
        if (cases[i].secret) {
            assert_string_equal(secret, cases[i].secret);
        } else {
            assert_int_equal(err.code, ERR_INVALID);
            assert_null(secret);
        }
        secret_free(secret);
    }
}

static void test_secret_cap(void **state)
{
    (void)state;
    CLEANUP(free_ptr) char *path = in_directory("secret");
    CLEANUP(free_ptr) char *bytes = xalloc(SECRET_FILE_MAX + 1);
    memset(bytes, 'x', SECRET_FILE_MAX + 1);
    char *secret = NULL;
    struct error err;
    write_file(path, bytes, SECRET_FILE_MAX + 1);
    assert_false(secret_file_read(path, &secret, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
    write_file(path, bytes, SECRET_FILE_MAX);
    assert_true(secret_file_read(path, &secret, &err));
    assert_int_equal(strlen(secret), SECRET_FILE_MAX);
    secret_free(secret);
}

static void test_directories(void **state)
{
    (void)state;
    CLEANUP(free_ptr) char *deep = in_directory("a/b//c/");
    struct error err;
    assert_true(directory_make(deep, &err));
    assert_true(directory_make(deep, &err));
    struct stat status;
    assert_int_equal(stat(deep, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    assert_true(directory_make("/", &err));
    assert_false(directory_make("", &err));
    CLEANUP(free_ptr) char *file = in_directory("a/b/file");
    write_file(file, "x", 1);
    assert_false(directory_make(file, &err));
    CLEANUP(free_ptr) char *below = in_directory("a/b/file/c");
    assert_false(directory_make(below, &err));
}

static void test_removal_follows_no_link(void **state)
{
    (void)state;
    struct error err;
    CLEANUP(free_ptr) char *tree = in_directory("tree/sub");
    CLEANUP(free_ptr) char *other = in_directory("other");
    CLEANUP(free_ptr) char *kept = in_directory("other/kept");
    CLEANUP(free_ptr) char *link = in_directory("tree/sub/link");
    CLEANUP(free_ptr) char *top = in_directory("tree");
    CLEANUP(free_ptr) char *top_link = in_directory("top-link");
    assert_true(directory_make(tree, &err));
    assert_true(directory_make(other, &err));
    write_file(kept, "x", 1);
    assert_int_equal(symlink(other, link), 0);
    assert_true(directory_remove(top, &err));
    assert_int_equal(access(top, F_OK), -1);
    assert_int_equal(access(kept, F_OK), 0);
    assert_true(directory_remove(top, &err)); // gone already
    assert_int_equal(symlink(other, top_link), 0);
    assert_true(directory_remove(top_link, &err)); // the link alone
    assert_int_equal(access(top_link, F_OK), -1);
    assert_int_equal(access(kept, F_OK), 0);
}

// Root may do everything, so that somebody else does it.
static void test_removal_opens_what_is_closed(void **state)
{
    (void)state;
    struct error err;
    CLEANUP(free_ptr) char *top = in_directory("closed");
    assert_true(directory_make(top, &err));
    assert_int_equal(chmod(directory, 0711), 0);
    assert_int_equal(chmod(top, 0777), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(2);
        CLEANUP(free_ptr) char *tree = xasprintf("%s/tree", top);
        CLEANUP(free_ptr) char *sub = xasprintf("%s/sub", tree);
        CLEANUP(free_ptr) char *deep = xasprintf("%s/deep", sub);
        CLEANUP(free_ptr) char *file = xasprintf("%s/file", deep);
        bool made = directory_make(deep, &err) && file_write(file, 0600, "x", 1, &err);
        bool closed = chmod(deep, 0500) == 0 && chmod(sub, 0) == 0 && chmod(tree, 0100) == 0;
        _exit(made && closed && directory_remove(tree, &err) && access(tree, F_OK) != 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(directory_remove(top, &err));
}

static void test_open_file_is_at_its_name(void **state)
{
    (void)state;
    CLEANUP(free_ptr) char *path = in_directory("lock");
    CLEANUP(free_ptr) char *other = in_directory("moved");
    write_file(path, "x", 1);
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd_is_at(fd, path));
    assert_int_equal(rename(path, other), 0);
    assert_false(fd_is_at(fd, path));
    assert_true(fd_is_at(fd, other));
    write_file(path, "x", 1); // another of that name
    assert_false(fd_is_at(fd, path));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(other, path), 0);
    assert_false(fd_is_at(fd, path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_write_and_read, make, clean),
        cmocka_unit_test_setup_teardown(test_read_bounds, make, clean),
        cmocka_unit_test_setup_teardown(test_write_fails_whole, make, clean),
        cmocka_unit_test_setup_teardown(test_secrets, make, clean),
        cmocka_unit_test_setup_teardown(test_secret_cap, make, clean),
        cmocka_unit_test_setup_teardown(test_directories, make, clean),
        cmocka_unit_test_setup_teardown(test_removal_follows_no_link, make, clean),
        cmocka_unit_test_setup_teardown(test_removal_opens_what_is_closed, make, clean),
        cmocka_unit_test_setup_teardown(test_open_file_is_at_its_name, make, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
