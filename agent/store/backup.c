#include "agent/store/check.h"

#include "agent/base/file.h"
#include "agent/store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool copy_into(const char *database, const char *file, const atomic_bool *stop,
                      struct error *err)
{
    CLEANUP(db_close) struct db *db = NULL;
    if (!db_open(database, DB_READ, &db, err))
        return error_wrap(err, "%s", database);
    db_stop_when(db, stop);
    CLEANUP(db_discard) struct statement *statement = db_prepare_once(db, "VACUUM INTO ?1", err);
    if (!statement)
        return error_wrap(err, "%s", database);
    db_bind_text(statement, 1, file);
    if (db_run(statement, err))
        return true;
    return *stop ? error_set(err, ERR_CANCELLED, "interrupted") : error_wrap(err, "%s", database);
}

// What cannot be read back is no backup.
static bool check_copy(const char *file, struct error *err)
{
    char said[64];
    CLEANUP(db_close) struct db *db = NULL;
    if (!db_open(file, DB_READ, &db, err))
        return error_wrap(err, "%s", file);
    CLEANUP(db_discard)
    struct statement *statement = db_prepare_once(db, "PRAGMA quick_check(1)", err);
    if (!statement || !db_one(statement, err))
        return error_wrap(err, "%s", file);
    db_text(statement, 0, said, sizeof said);
    return strcmp(said, "ok") == 0 || error_set(err, ERR_IO, "%s: damaged: %s", file, said);
}

// Its name appears when all of it is on disk.
static bool give_name(int fd, const char *beside, const char *file, int64_t *bytes,
                      struct error *err)
{
    struct stat status;
    if (fsync(fd) != 0 || fstat(fd, &status) != 0)
        return error_errno(err, ERR_IO, errno, "%s", file);
    if (link(beside, file) != 0)
        return errno == EEXIST ? error_set(err, ERR_CONFLICT, "%s is there already", file)
                               : error_errno(err, ERR_IO, errno, "%s", file);
    *bytes = status.st_size;
    return file_sync_parent(file, err);
}

bool store_backup(const char *directory, const char *file, const atomic_bool *stop, int64_t *bytes,
                  struct error *err)
{
    CLEANUP(free_ptr) char *database = xasprintf("%s/" DATABASE_NAME, directory);
    if (access(file, F_OK) == 0)
        return error_set(err, ERR_CONFLICT, "%s is there already", file);
    CLEANUP(free_ptr) char *beside = xasprintf("%s.XXXXXX", file);
    CLEANUP(close_fd) int fd = mkostemp(beside, O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, ERR_IO, errno, "%s", file);
    bool made = copy_into(database, beside, stop, err) && check_copy(beside, err) &&
                give_name(fd, beside, file, bytes, err);
    unlink(beside);
    return made;
}
