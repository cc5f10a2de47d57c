#include "agent/store/check.h"

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/store/db.h"
#include "agent/store/statuses.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PROBLEMS_MAX "20" // that are looked for; the first is told
#define SALVAGED     ".salvaged"
#define STEP_MAX     ((int64_t)1 << 24) // rows that are gone past at once, at the most

struct mending {
    char *path; // of the database
    store_mend_told told;
    void *user;
    bool whole;
};

PRINTF_LIKE(3, 4)
static void tell(const struct mending *mending, enum mend mend, const char *fmt, ...)
{
    va_list arguments;
    char text[ERROR_TEXT_MAX];
    va_start(arguments, fmt);
    vsnprintf(text, sizeof text, fmt, arguments);
    va_end(arguments);
    mending->told(mending->user, mend, text);
}

// --- what SQLite itself finds ---

struct integrity {
    bool good;
    bool indexes_alone;           // what is wrong can be made again from the tables
    char problem[ERROR_TEXT_MAX]; // the first
};

static bool check_integrity(struct db *db, struct integrity *out, struct error *err)
{
    *out = (struct integrity){.indexes_alone = true};
    CLEANUP(db_discard)
    struct statement *statement =
        db_prepare_once(db, "PRAGMA integrity_check(" PROBLEMS_MAX ")", err);
    enum db_step step = DB_FAILED;
    while (statement && (step = db_step(statement, err)) == DB_ROW) {
        char text[ERROR_TEXT_MAX];
        db_text(statement, 0, text, sizeof text);
        out->good = strcmp(text, "ok") == 0;
        out->indexes_alone &= strstr(text, "index") != NULL;
        if (!*out->problem)
            snprintf(out->problem, sizeof out->problem, "%s", text);
    }
    if (step == DB_DONE)
        return true;
    if (!db_is_damaged(db))
        return false;
    out->good = out->indexes_alone = false;
    snprintf(out->problem, sizeof out->problem, "%s", err->text);
    return true;
}

static bool make_indexes(struct mending *mending, struct db *db, struct integrity *integrity)
{
    struct error err;
    char problem[ERROR_TEXT_MAX];
    snprintf(problem, sizeof problem, "%s", integrity->problem);
    if (!integrity->indexes_alone || !db_execute(db, "REINDEX", &err) ||
        !check_integrity(db, integrity, &err) || !integrity->good)
        return false;
    tell(mending, MEND_MENDED, "its indexes were made anew: %s", problem);
    return true;
}

// --- saving what can be read ---

struct saved {
    int64_t rows;
    bool all;
    struct error unwritten; // the copy has no room, say: then there is to be none
};

// Columns that the present schema of that version has, in its order.
static char *columns_of(struct db *into, const char *table, struct error *err)
{
    CLEANUP(free_ptr) char *sql = xasprintf("SELECT * FROM %s LIMIT 0", table);
    CLEANUP(db_discard) struct statement *statement = db_prepare_once(into, sql, err);
    char *columns = NULL;
    for (int i = 0; statement && i < db_columns(statement); i++) {
        CLEANUP(free_ptr) char *before = columns;
        columns = xasprintf("%s%s%s", before ? before : "", before ? ", " : "",
                            db_column_name(statement, i));
    }
    return columns;
}

static char *places_for(const char *columns)
{
    char *places = xstrdup("?");
    for (const char *at = columns; (at = strchr(at, ',')); at++) {
        CLEANUP(free_ptr) char *before = places;
        places = xasprintf("%s, ?", before);
    }
    return places;
}

// False when the copy cannot be written. A row that its rules do not take is lost alone.
static bool save_row(struct db *into, struct statement *insert, const struct statement *row,
                     int values, struct saved *saved)
{
    CLEANUP(db_reset) struct statement *once = insert;
    struct error err;
    db_bind_row(insert, row, values);
    if (db_run(insert, &err))
        saved->rows += db_changes(into);
    else if (err.code == ERR_CONFLICT)
        saved->all = false;
    else
        saved->unwritten = err;
    return saved->unwritten.code == ERR_NONE;
}

// Rows beyond `*after`, up to the first that cannot be read; true when there are no more, or no
// more can be saved. The last column is the rowid, which `*after` becomes; NULL: the table has
// none.
static bool save_rows(struct db *from, struct db *into, const char *select, const char *insert,
                      int64_t *after, struct saved *saved)
{
    struct error err;
    CLEANUP(db_discard) struct statement *rows = db_prepare_once(from, select, &err);
    CLEANUP(db_discard) struct statement *row = db_prepare_once(into, insert, &err);
    enum db_step step = DB_FAILED;
    if (rows && after)
        db_bind_int(rows, 1, *after);
    while (rows && row && (step = db_step(rows, &err)) == DB_ROW) {
        int values = db_columns(rows) - (after != NULL);
        if (!save_row(into, row, rows, values, saved))
            return true;
        if (after)
            *after = db_int(rows, values);
    }
    return step == DB_DONE;
}

// Goes past what cannot be read in steps that double.
static void save_around(struct db *from, struct db *into, const char *select, const char *insert,
                        struct saved *saved)
{
    int64_t after = 0, step = 1;
    for (int64_t before = 0; !save_rows(from, into, select, insert, &after, saved);) {
        saved->all = false;
        step = after > before ? 1 : 2 * step;
        if (step > STEP_MAX)
            return;
        before = after += step;
    }
}

static bool has_rowid(struct db *db, const char *table)
{
    struct error err;
    CLEANUP(free_ptr) char *sql = xasprintf("SELECT rowid FROM %s", table);
    CLEANUP(db_discard) struct statement *statement = db_prepare_once(db, sql, &err);
    return statement != NULL;
}

static bool save_table(struct db *from, struct db *into, const char *table, struct saved *saved,
                       struct error *err)
{
    CLEANUP(free_ptr) char *columns = columns_of(into, table, err);
    if (!columns)
        return false;
    CLEANUP(free_ptr) char *places = places_for(columns);
    CLEANUP(free_ptr)
    char *insert = xasprintf("INSERT OR IGNORE INTO %s (%s) VALUES (%s)", table, columns, places);
    CLEANUP(free_ptr) char *all = xasprintf("SELECT %s FROM %s", columns, table);
    CLEANUP(free_ptr)
    char *beyond =
        xasprintf("SELECT %s, rowid FROM %s WHERE rowid > ?1 ORDER BY rowid", columns, table);
    *saved = (struct saved){.all = true};
    if (has_rowid(into, table))
        save_around(from, into, beyond, insert, saved);
    else
        saved->all = save_rows(from, into, all, insert, NULL, saved) && saved->all;
    return saved->unwritten.code == ERR_NONE ||
           error_set(err, saved->unwritten.code, "%s", saved->unwritten.text);
}

struct tables {
    char names[16][64];
    size_t count;
};

static bool list_tables(struct db *db, struct tables *out, struct error *err)
{
    *out = (struct tables){0};
    CLEANUP(db_discard)
    struct statement *statement =
        db_prepare_once(db,
                        "SELECT name FROM sqlite_schema WHERE type = 'table' "
                        "AND name NOT LIKE 'sqlite_%' ORDER BY rowid",
                        err);
    enum db_step step = DB_FAILED;
    while (statement && (step = db_step(statement, err)) == DB_ROW) {
        if (out->count == sizeof out->names / sizeof *out->names)
            return error_set(err, ERR_INTERNAL, "more tables than were thought of");
        db_text(statement, 0, out->names[out->count++], sizeof *out->names);
    }
    return step == DB_DONE;
}

static bool save_tables(struct mending *mending, struct db *from, struct db *into,
                        struct error *err)
{
    struct tables tables;
    if (!list_tables(into, &tables, err) || !db_execute(into, "BEGIN IMMEDIATE", err))
        return false;
    for (size_t i = 0; i < tables.count; i++) {
        struct saved saved;
        if (!save_table(from, into, tables.names[i], &saved, err))
            return false;
        mending->whole &= saved.all;
        tell(mending, saved.all ? MEND_MENDED : MEND_LOST,
             saved.all ? "%s: all %" PRId64 " rows were saved"
                       : "%s: %" PRId64 " rows were saved, others may be lost",
             tables.names[i], saved.rows);
    }
    return db_execute(into, "COMMIT", err);
}

// Where what cannot be mended is kept.
static char *aside(const struct mending *mending)
{
    return xasprintf("%s.damaged-%" PRId64, mending->path, wall_now().ms / 1000);
}

// The WAL goes first: SQLite must never find it beside another database. `replacement` NULL: none.
static bool replace_database(struct mending *mending, const char *replacement, struct error *err)
{
    CLEANUP(free_ptr) char *kept = aside(mending);
    CLEANUP(free_ptr) char *wal = xasprintf("%s-wal", mending->path);
    CLEANUP(free_ptr) char *kept_wal = xasprintf("%s-wal", kept);
    CLEANUP(free_ptr) char *index = xasprintf("%s-shm", mending->path);
    unlink(index);
    if ((rename(wal, kept_wal) != 0 && errno != ENOENT) || link(mending->path, kept) != 0)
        return error_errno(err, ERR_IO, errno, "%s", kept);
    tell(mending, MEND_LOST, "the damaged database is kept as %s: remove it when nobody wants it",
         kept);
    if (replacement)
        return file_rename(replacement, mending->path, err);
    return unlink(mending->path) == 0 ? file_sync_parent(kept, err)
                                      : error_errno(err, ERR_IO, errno, "%s", mending->path);
}

static bool salvage_into(struct mending *mending, struct db *from, int64_t version,
                         const char *path, struct error *err)
{
    CLEANUP(db_close) struct db *into = NULL;
    unlink(path); // of one that was interrupted
    return (db_open(path, DB_WRITE, &into, err) && db_upgrade(into, version, err) &&
            save_tables(mending, from, into, err)) ||
           error_wrap(err, "%s", path);
}

static bool salvage(struct mending *mending, int64_t version, const char *problem,
                    struct error *err)
{
    CLEANUP(free_ptr) char *path = xasprintf("%s" SALVAGED, mending->path);
    tell(mending, MEND_LOST, "it is damaged: %s", problem);
    CLEANUP(db_close) struct db *from = NULL;
    if (!db_open(mending->path, DB_READ, &from, err))
        return false;
    db_leave_wal(from);
    db_bear_schema(from);
    mending->whole &= version > 0; // else it does not even say which tables it has
    bool saved = salvage_into(mending, from, version, path, err);
    db_close(&from);
    return saved && replace_database(mending, path, err);
}

// --- what cronwright itself finds ---

// With 'a', 'b', … in the place of %s.
static char *sql_of(const char *sql, const char *(*word)(unsigned), unsigned count)
{
    const char *at = strstr(sql, "%s");
    char *text = at ? xstrndup(sql, (size_t)(at - sql)) : xstrdup(sql);
    for (unsigned i = 0; at && i < count; i++) {
        CLEANUP(free_ptr) char *before = text;
        text = xasprintf("%s%s'%s'", before, i ? ", " : "", word(i));
    }
    CLEANUP(free_ptr) char *before = text;
    return xasprintf("%s%s", before, at ? at + strlen("%s") : "");
}

static const char *build_word(unsigned i)
{
    return build_state_word(i);
}

static const char *status_word(unsigned i)
{
    return status_state_word(i);
}

static const char *image_word(unsigned i)
{
    return image_kind_word(i);
}

// %s: the words that are known, unless there are none.
static const struct {
    const char *sql;
    const char *(*word)(unsigned);
    unsigned words;
    const char *what;
} mends[] = {
    {"DELETE FROM patches WHERE build NOT IN (SELECT id FROM builds)", NULL, 0,
     "patches of builds that are gone were removed"},
    {"DELETE FROM statuses WHERE build NOT IN (SELECT id FROM builds)", NULL, 0,
     "commit statuses of builds that are gone were removed"},
    {"UPDATE builds SET state = 'superseded', reason = 'superseded', detail = 'its state was none "
     "that is known: mended by doctor --repair' WHERE state NOT IN (%s)",
     build_word, BUILD_STATE_COUNT,
     "builds were in a state that nobody knows: their commits are built again where they are "
     "wanted"},
    {"DELETE FROM statuses WHERE state NOT IN (%s)", status_word, STATUS_STATE_COUNT,
     "commit statuses that nobody knows were removed: they are told again"},
    {"UPDATE images SET kind = 'given' WHERE kind NOT IN (%s)", image_word, IMAGE_KIND_COUNT,
     "images had a kind that nobody knows"},
    {"UPDATE deliveries SET pending = pending <> 0, failed = failed <> 0, repeated = repeated <> 0 "
     "WHERE pending NOT IN (0, 1) OR failed NOT IN (0, 1) OR repeated NOT IN (0, 1)",
     NULL, 0, "deliveries were neither pending nor ended"},
};

static bool mend_rows(struct mending *mending, struct db *db, struct error *err)
{
    for (size_t i = 0; i < sizeof mends / sizeof *mends; i++) {
        CLEANUP(free_ptr) char *sql = sql_of(mends[i].sql, mends[i].word, mends[i].words);
        CLEANUP(db_discard) struct statement *statement = db_prepare_once(db, sql, err);
        if (!statement || !db_run(statement, err))
            return error_wrap(err, "mend rows");
        if (db_changes(db) > 0)
            tell(mending, MEND_MENDED, "%" PRId64 " %s", db_changes(db), mends[i].what);
    }
    return true;
}

static bool upgrade(struct mending *mending, struct db *db, struct error *err)
{
    int64_t version;
    if (!db_version(db, &version, err))
        return false;
    if (version == db_newest_version())
        return true;
    if (!db_upgrade(db, db_newest_version(), err))
        return false;
    if (version > 0)
        tell(mending, MEND_MENDED, "upgraded from schema %" PRId64 " to %" PRId64, version,
             db_newest_version());
    return true;
}

// --- all of it ---

static bool set_all_aside(struct mending *mending, const char *problem, struct error *err)
{
    mending->whole = false;
    tell(mending, MEND_LOST, "nothing of it can be read: %s", problem);
    tell(mending, MEND_LOST,
         "the agent begins with an empty one: it looks at every branch, and "
         "builds what services lag behind");
    return replace_database(mending, NULL, err);
}

// `*again`: another database stands in its place now.
static bool mend_database(struct mending *mending, bool *again, struct error *err)
{
    CLEANUP(db_close) struct db *db = NULL;
    struct integrity integrity;
    int64_t version;
    if (!db_open(mending->path, DB_WRITE, &db, err))
        return false;
    if (!db_version(db, &version, err)) {
        if (!db_is_damaged(db))
            return false;
        db_leave_wal(db);
        db_close(&db);
        struct error why = *err;
        return set_all_aside(mending, why.text, err);
    }
    if (!check_integrity(db, &integrity, err))
        return false;
    if (!integrity.good && !make_indexes(mending, db, &integrity)) {
        db_leave_wal(db);
        db_close(&db);
        *again = true;
        return salvage(mending, version, integrity.problem, err);
    }
    return upgrade(mending, db, err) && mend_rows(mending, db, err);
}

bool store_mend(const char *directory, store_mend_told told, void *user, bool *whole,
                struct error *err)
{
    CLEANUP(free_ptr) char *path = xasprintf("%s/" DATABASE_NAME, directory);
    struct mending mending = {.path = path, .told = told, .user = user, .whole = true};
    bool again = false;
    *whole = true;
    if (access(path, F_OK) != 0) {
        tell(&mending, MEND_GOOD, "there is no database yet: the agent makes it");
        return true;
    }
    if (!mend_database(&mending, &again, err) ||
        (again && !mend_database(&mending, &(bool){false}, err)))
        return error_wrap(err, "%s", path);
    *whole = mending.whole;
    return true;
}
