// Inside the store: a thin layer over SQLite (db.c is the only file that includes its header) and
// the writer thread. The other files of the store hold SQL and const tables of columns.
#ifndef CRONWRIGHT_STORE_DB_H
#define CRONWRIGHT_STORE_DB_H

#include "agent/base/buffer.h"
#include "agent/base/clock.h"
#include "agent/store/store.h"

#include <stdatomic.h>

struct db;        // a connection; one thread at a time
struct statement; // a prepared statement of a connection

// The text of <name>.sql, each a version of the schema: see `migrations` in db.c.
extern const char store_schema[];
extern const char store_images[];
extern const char store_runs[];
extern const char store_filters[];
extern const char store_credentials[];
extern const char store_statuses[];
extern const char store_commits[];

// States of builds that have come to their end, in the words of the index builds_unfinished.
#define DB_BUILD_ENDED "('done', 'failed', 'superseded', 'filtered')"

// --- statements ---

// Prepared once per connection, found again by the address of `sql`: pass constants.
struct statement *db_prepare(struct db *db, const char *sql, struct error *err) MUST_CHECK;
void db_reset(struct statement **statement); // for CLEANUP; NULL is fine

// Parameters count from 1. Texts are borrowed until the reset; NULL binds SQL's NULL.
void db_bind_int(struct statement *statement, int parameter, int64_t value);
void db_bind_text(struct statement *statement, int parameter, const char *value);

enum db_step { DB_FAILED, DB_ROW, DB_DONE };
// ERR_CONFLICT for a broken constraint, ERR_IO for the rest.
enum db_step db_step(struct statement *statement, struct error *err) MUST_CHECK;
// The first row; ERR_NOT_FOUND when there is none.
bool db_one(struct statement *statement, struct error *err) MUST_CHECK;
// For statements without rows.
bool db_run(struct statement *statement, struct error *err) MUST_CHECK;
int64_t db_int(const struct statement *statement, int column); // columns count from 0
void db_text(const struct statement *statement, int column, char *out, size_t room);
char *db_text_copy(const struct statement *statement, int column)
    __attribute__((returns_nonnull)); // the caller frees
int64_t db_changes(struct db *db);
int64_t db_last_id(struct db *db);

// Of a writing connection: how many deliveries are pending, as far as that is known. It is not
// after a change that was rolled back.
struct db_pending {
    bool known;
    int64_t count;
    int64_t most; // there may be; 0: no bound
};
struct db_pending *db_pending(struct db *db);

// --- records: how a struct's fields lie in parameters and columns, in order ---

enum db_kind {
    DB_KIND_INT,   // int
    DB_KIND_INT64, // int64_t
    DB_KIND_BOOL,  // bool
    DB_KIND_TIME,  // struct wall_time
    DB_KIND_TEXT,  // char[size]
    DB_KIND_BYTES, // uint8_t[size]
    DB_KIND_WORD,  // an enum, stored as one of `size` words
};

struct db_field {
    enum db_kind kind;
    size_t offset;
    size_t size;
    const char *const *words;
};

#define DB_FIELD(kind, type, name)                                                                 \
    {                                                                                              \
        kind, offsetof(struct type, name), sizeof(((struct type *)0)->name), NULL                  \
    }

struct db_record {
    const struct db_field *fields;
    int count;
};

void db_bind_record(struct statement *statement, int first_parameter,
                    const struct db_record *record, const void *from);
void db_read_record(const struct statement *statement, int first_column,
                    const struct db_record *record, void *into);

// --- a file without a store ---

#define DATABASE_NAME "cronwright.db" // in the state directory

enum db_mode { DB_READ, DB_WRITE }; // the latter makes it when it is missing, with mode 0600
bool db_open(const char *path, enum db_mode mode, struct db **out, struct error *err) MUST_CHECK;
void db_close(struct db **db); // for CLEANUP; NULL is fine
// What is in the WAL stays there when it is closed.
void db_leave_wal(struct db *db);
// Tables are read though the schema is damaged: those that it tells of before the first damage.
void db_bear_schema(struct db *db);
// Whether what failed last did since the file is no database, or a damaged one.
bool db_is_damaged(struct db *db);
// Whatever runs on it ends soon after that was set.
void db_stop_when(struct db *db, const atomic_bool *stop);
bool db_execute(struct db *db, const char *sql, struct error *err) MUST_CHECK;
// ERR_UNSUPPORTED: newer than this program.
bool db_version(struct db *db, int64_t *version, struct error *err) MUST_CHECK;
int64_t db_newest_version(void);
// From the version it has up to that one, in one transaction.
bool db_upgrade(struct db *db, int64_t version, struct error *err) MUST_CHECK;

// As db_prepare(), but for texts that are made, and used once.
struct statement *db_prepare_once(struct db *db, const char *sql, struct error *err) MUST_CHECK;
void db_discard(struct statement **statement); // for CLEANUP; NULL is fine
int db_columns(const struct statement *statement);
const char *db_column_name(const struct statement *statement, int column);
// The row's first values become the parameters.
void db_bind_row(struct statement *into, const struct statement *row, int count);

// --- changes: on the writer's thread, in a transaction with others ---

// Of what it does at most one statement may fail halfway: there is no savepoint around it. A
// failure here fails this change alone; a failing commit fails the whole group.
typedef bool (*store_apply)(struct db *db, void *data, struct error *err);

// Waits for the commit.
bool store_change(struct store *store, store_apply apply, void *data, struct error *err) MUST_CHECK;
// Returns at once; `done` runs on the writer's thread after the commit or the failure. False when
// STORE_QUEUE_MAX such changes wait: then `done` is not called.
bool store_change_later(struct store *store, store_apply apply,
                        void (*done)(void *data, bool committed), void *data) MUST_CHECK;

// Changes of store_change_later() that wait.
int64_t store_queued(struct store *store);

// --- reads ---

// Locks and gives the reading connection: CLEANUP(store_reader_release) struct db *db = ….
struct db *store_reader(struct store *store);
void store_reader_release(struct db **db);

// A list's limit within its bounds.
static inline int store_page(int limit)
{
    return limit < 1 ? 1 : limit > STORE_PAGE_MAX ? STORE_PAGE_MAX : limit;
}

#endif
