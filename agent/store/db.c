#include "agent/store/db.h"

#include "agent/base/crashpoint.h"
#include "agent/base/file.h"
#include "agent/base/text.h"
#include "agent/base/threads.h"
#include "agent/store/check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define GROUP_MAX       1024  // changes in one commit
#define STATEMENTS_MAX  128   // per connection
#define BUSY_TIMEOUT_MS 5000  // waiting for the other connection to recover the WAL
#define PROBE_MS        1000  // a store that could not be written is tried again this often
#define WAL_PART        65536 // bytes of it that are written again at once
#define STOP_STEPS      10000 // of SQLite's machine, between looks whether to stop

// A checkpoint every 250 pages by the writer itself: one made beside a busy writer never catches
// up, and the WAL grows without bound.
static const char writer_settings[] = "PRAGMA synchronous = FULL;"
                                      "PRAGMA wal_autocheckpoint = 250;"
                                      "PRAGMA journal_size_limit = 4194304;"
                                      "PRAGMA foreign_keys = ON;";

// migrations[n] leads from version n to n + 1.
static const char *const migrations[] = {
    store_schema,      store_images,   store_runs,    store_filters,
    store_credentials, store_statuses, store_commits,
};
#define SCHEMA_VERSION ((int64_t)(sizeof migrations / sizeof *migrations))

struct db {
    sqlite3 *sqlite;
    bool distrusted;       // the writer's: see renew_wal()
    pthread_mutex_t *lock; // held by the user of the reading connection; NULL for the writer's
    struct db_pending pending;
    struct {
        const char *sql;
        sqlite3_stmt *prepared;
    } statements[STATEMENTS_MAX];
};

struct change {
    struct change *next;
    store_apply apply;
    void *data;
    void (*done)(void *data, bool committed); // NULL: somebody waits for `finished`
    bool ok;
    bool finished;
    struct error err;
};

struct row {
    enum store_table table;
    int64_t id;
};

// Rows of the transaction that is open: as many as it touches, which are at most the deliveries
// that may be pending.
struct rows {
    struct row *items;
    size_t count, room;
};

struct store {
    int directory;    // with the lock
    struct db writer; // the writer thread's
    struct db reader;
    pthread_mutex_t reader_lock;
    struct rows changed;                                               // the writer thread's
    void (*on_change)(void *user, enum store_table table, int64_t id); // NULL: nobody wants to know
    void *on_change_user;

    pthread_mutex_t lock;    // guards what follows; never held together with reader_lock
    pthread_cond_t work;     // there is a change, or `closing`
    pthread_cond_t finished; // a group was finished
    struct change *first, **last;
    size_t waiting_later; // changes in the queue that nobody waits for
    bool closing;
    struct error health;                           // of the last commit
    void (*on_commit)(int64_t us, size_t changes); // NULL: nobody wants to know
    struct mono_time busy_since; // the writer has a group since then; 0: it waits for one

    pthread_t thread;
    bool thread_runs;
};

// --- statements ---

static bool sqlite_error(sqlite3 *sqlite, struct error *err)
{
    int code = sqlite3_errcode(sqlite);
    return error_set(err, code == SQLITE_CONSTRAINT ? ERR_CONFLICT : ERR_IO, "%s (SQLite %d)",
                     sqlite3_errmsg(sqlite), sqlite3_extended_errcode(sqlite));
}

static sqlite3_stmt *stmt_of(const struct statement *statement)
{
    return (sqlite3_stmt *)(uintptr_t)statement;
}

struct statement *db_prepare(struct db *db, const char *sql, struct error *err)
{
    size_t i = 0;
    while (i < STATEMENTS_MAX && db->statements[i].sql && db->statements[i].sql != sql)
        i++;
    if (i == STATEMENTS_MAX)
        abort();
    if (!db->statements[i].sql) {
        if (sqlite3_prepare_v3(db->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT,
                               &db->statements[i].prepared, NULL) != SQLITE_OK) {
            sqlite_error(db->sqlite, err);
            return NULL;
        }
        db->statements[i].sql = sql;
    }
    return (struct statement *)db->statements[i].prepared;
}

void db_reset(struct statement **statement)
{
    if (!*statement)
        return;
    sqlite3_reset(stmt_of(*statement)); // repeats the error of the last step
    sqlite3_clear_bindings(stmt_of(*statement));
}

// Binding fails for want of memory, or by a bug.
static void check_bound(int code)
{
    if (code != SQLITE_OK)
        abort();
}

void db_bind_int(struct statement *statement, int parameter, int64_t value)
{
    check_bound(sqlite3_bind_int64(stmt_of(statement), parameter, value));
}

void db_bind_text(struct statement *statement, int parameter, const char *value)
{
    check_bound(sqlite3_bind_text(stmt_of(statement), parameter, value, -1, SQLITE_STATIC));
}

enum db_step db_step(struct statement *statement, struct error *err)
{
    switch (sqlite3_step(stmt_of(statement))) {
    case SQLITE_ROW:
        return DB_ROW;
    case SQLITE_DONE:
        return DB_DONE;
    default:
        sqlite_error(sqlite3_db_handle(stmt_of(statement)), err);
        return DB_FAILED;
    }
}

bool db_one(struct statement *statement, struct error *err)
{
    switch (db_step(statement, err)) {
    case DB_ROW:
        return true;
    case DB_DONE:
        return error_set(err, ERR_NOT_FOUND, "not found");
    default:
        return false;
    }
}

bool db_run(struct statement *statement, struct error *err)
{
    return db_step(statement, err) != DB_FAILED;
}

int64_t db_int(const struct statement *statement, int column)
{
    return sqlite3_column_int64(stmt_of(statement), column);
}

void db_text(const struct statement *statement, int column, char *out, size_t room)
{
    const char *text = (const char *)sqlite3_column_text(stmt_of(statement), column);
    text_copy(out, room, text ? text : "");
}

char *db_text_copy(const struct statement *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(stmt_of(statement), column);
    return xstrdup(text ? text : "");
}

int64_t db_changes(struct db *db)
{
    return sqlite3_changes64(db->sqlite);
}

int64_t db_last_id(struct db *db)
{
    return sqlite3_last_insert_rowid(db->sqlite);
}

struct db_pending *db_pending(struct db *db)
{
    return &db->pending;
}

// --- records ---

static void bind_field(struct statement *statement, int parameter, const struct db_field *field,
                       const char *at)
{
    switch (field->kind) {
    case DB_KIND_INT:
        db_bind_int(statement, parameter, *(const int *)(const void *)at);
        break;
    case DB_KIND_INT64:
        db_bind_int(statement, parameter, *(const int64_t *)(const void *)at);
        break;
    case DB_KIND_BOOL:
        db_bind_int(statement, parameter, *(const bool *)at);
        break;
    case DB_KIND_TIME:
        db_bind_int(statement, parameter, ((const struct wall_time *)(const void *)at)->ms);
        break;
    case DB_KIND_TEXT:
        db_bind_text(statement, parameter, at);
        break;
    case DB_KIND_BYTES:
        check_bound(
            sqlite3_bind_blob(stmt_of(statement), parameter, at, (int)field->size, SQLITE_STATIC));
        break;
    case DB_KIND_WORD:
        db_bind_text(statement, parameter, field->words[*(const unsigned *)(const void *)at]);
        break;
    }
}

static void read_bytes(const struct statement *statement, int column, void *out, size_t size)
{
    const void *bytes = sqlite3_column_blob(stmt_of(statement), column);
    size_t len = (size_t)sqlite3_column_bytes(stmt_of(statement), column);
    memset(out, 0, size);
    if (len)
        memcpy(out, bytes, len < size ? len : size);
}

static unsigned read_word(const struct statement *statement, int column,
                          const struct db_field *field)
{
    const char *text = (const char *)sqlite3_column_text(stmt_of(statement), column);
    for (unsigned i = 0; text && field->words[i]; i++)
        if (strcmp(text, field->words[i]) == 0)
            return i;
    return 0;
}

static void read_field(const struct statement *statement, int column, const struct db_field *field,
                       char *at)
{
    switch (field->kind) {
    case DB_KIND_INT:
        *(int *)(void *)at = (int)db_int(statement, column);
        break;
    case DB_KIND_INT64:
        *(int64_t *)(void *)at = db_int(statement, column);
        break;
    case DB_KIND_BOOL:
        *(bool *)at = db_int(statement, column) != 0;
        break;
    case DB_KIND_TIME:
        ((struct wall_time *)(void *)at)->ms = db_int(statement, column);
        break;
    case DB_KIND_TEXT:
        db_text(statement, column, at, field->size);
        break;
    case DB_KIND_BYTES:
        read_bytes(statement, column, at, field->size);
        break;
    case DB_KIND_WORD:
        *(unsigned *)(void *)at = read_word(statement, column, field);
        break;
    }
}

void db_bind_record(struct statement *statement, int first_parameter,
                    const struct db_record *record, const void *from)
{
    for (int i = 0; i < record->count; i++)
        bind_field(statement, first_parameter + i, &record->fields[i],
                   (const char *)from + record->fields[i].offset);
}

void db_read_record(const struct statement *statement, int first_column,
                    const struct db_record *record, void *into)
{
    for (int i = 0; i < record->count; i++)
        read_field(statement, first_column + i, &record->fields[i],
                   (char *)into + record->fields[i].offset);
}

// --- the writer ---

bool db_execute(struct db *db, const char *sql, struct error *err)
{
    if (sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL) == SQLITE_OK)
        return true;
    return sqlite_error(db->sqlite, err);
}

static bool run_constant(struct db *db, const char *sql, struct error *err)
{
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    return statement && db_run(statement, err);
}

// Whether an error ended the transaction by itself: then nothing of the group is left.
static bool transaction_lost(struct db *db, struct error *err)
{
    if (!sqlite3_get_autocommit(db->sqlite))
        return false;
    error_set(err, ERR_IO, "the transaction was rolled back");
    return true;
}

// Each byte once more, so that the next fsync is for all of them; who reads beside that sees no
// difference. Nobody may write meanwhile.
static bool write_again(int fd, struct error *err)
{
    CLEANUP(free_ptr) char *bytes = xalloc(WAL_PART);
    ssize_t len;
    for (off_t at = 0; (len = pread(fd, bytes, WAL_PART, at)) > 0;) {
        ssize_t written = pwrite(fd, bytes, (size_t)len, at);
        if (written <= 0)
            return error_errno(err, ERR_IO, written < 0 ? errno : ENOSPC, "write");
        at += written;
    }
    return (len == 0 && fsync(fd) == 0) || error_errno(err, ERR_IO, errno, "sync");
}

static bool rewrite_wal(struct db *db, struct error *err)
{
    static const char begin[] = "BEGIN IMMEDIATE", end[] = "ROLLBACK";
    CLEANUP(close_fd)
    int fd =
        open(sqlite3_filename_wal(sqlite3_db_filename(db->sqlite, "main")), O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, ERR_IO, errno, "open");
    if (!run_constant(db, begin, err))
        return false;
    bool again = write_again(fd, err);
    return run_constant(db, end, again ? err : NULL) && again;
}

// After an fsync that failed, what was written before reads well and yet may never come to the
// disk: the kernel tells of that once, and the next fsync succeeds. SQLite rolls the transaction
// back, but after a restart its recovery would take such frames for good; what is committed behind
// them would go with them when the power fails. So, after each failure, and at the start, since the
// agent before may have died of one, all that counts is written into the database, which is synced,
// and the WAL begins anew; or, while somebody reads from it (a backup, or sqlite3), it is written
// once more as it is. Nothing is committed before that has succeeded.
static bool renew_wal(struct db *db, struct error *err)
{
    if (!db->distrusted)
        return true;
    sqlite3_busy_timeout(db->sqlite, 0);
    int code = sqlite3_wal_checkpoint_v2(db->sqlite, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_timeout(db->sqlite, BUSY_TIMEOUT_MS);
    if (code != SQLITE_OK && code != SQLITE_BUSY)
        return sqlite_error(db->sqlite, err);
    if (code == SQLITE_BUSY && !rewrite_wal(db, err))
        return false;
    CRASH_POINT("after-wal-renewed");
    db->distrusted = false;
    return true;
}

// Writes what is there already, so that there is something to commit.
static bool write_probe(struct db *db, struct error *err)
{
    CLEANUP(free_ptr) char *sql = xasprintf("PRAGMA user_version = %" PRId64, SCHEMA_VERSION);
    return db_execute(db, sql, err);
}

// Without changes, it sees whether the store can be written.
static bool commit_group(struct db *db, struct change *group, struct error *err)
{
    static const char begin[] = "BEGIN IMMEDIATE", commit[] = "COMMIT";
    if (!renew_wal(db, err))
        return error_wrap(err, "renew the write-ahead log");
    if (!run_constant(db, begin, err))
        return error_wrap(err, "begin");
    for (struct change *change = group; change; change = change->next) {
        change->ok = change->apply(db, change->data, &change->err);
        if (!change->ok && transaction_lost(db, err))
            return error_wrap(err, "%s", change->err.text);
    }
    CRASH_POINT("before-commit");
    if ((group || write_probe(db, err)) && run_constant(db, commit, err)) {
        CRASH_POINT("after-commit");
        return true;
    }
    if (!sqlite3_get_autocommit(db->sqlite))
        sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL,
                     NULL); // the commit's error is the one to tell
    return error_wrap(err, "commit");
}

// Waits for changes and takes what is there: NULL when it is time to see whether a store that could
// not be written can be. False when the store closes and nothing is left.
static bool take_group(struct store *store, struct change **out)
{
    pthread_mutex_lock(&store->lock);
    store->busy_since = (struct mono_time){0};
    bool ill = store->health.code != ERR_NONE;
    struct mono_time until = ill ? mono_after(PROBE_MS) : (struct mono_time){INT64_MAX};
    while (!store->first && !store->closing && condition_wait(&store->work, &store->lock, until)) {
    }
    struct change *group = store->first;
    bool go_on = group || !store->closing;
    struct change **end = &store->first;
    for (int taken = 0; *end && taken < GROUP_MAX; taken++) {
        if ((*end)->done)
            store->waiting_later--;
        end = &(*end)->next;
    }
    store->first = *end;
    *end = NULL;
    if (!store->first)
        store->last = &store->first;
    if (go_on)
        store->busy_since = mono_now();
    pthread_mutex_unlock(&store->lock);
    *out = group;
    return go_on;
}

// Tells the callers. A change that somebody waits for is gone once they see `finished`.
static void finish_group(struct store *store, struct change *group, const struct error *failure)
{
    pthread_mutex_lock(&store->lock);
    store->health = failure ? *failure : (struct error){0};
    pthread_mutex_unlock(&store->lock);

    for (struct change *change = group, *next; change; change = next) {
        next = change->next;
        if (failure) {
            change->ok = false;
            change->err = *failure;
        }
        if (change->done) {
            change->done(change->data, change->ok);
            free(change);
            continue;
        }
        pthread_mutex_lock(&store->lock);
        change->finished = true;
        pthread_cond_broadcast(&store->finished);
        pthread_mutex_unlock(&store->lock);
    }
}

// SQLite's, for each row of each table.
static void note_row(void *user, int operation, const char *database, const char *table,
                     sqlite3_int64 id)
{
    static const char *const tables[] = {
        [STORE_DELIVERIES] = "deliveries", [STORE_BUILDS] = "builds", [STORE_RUNS] = "runs"};
    (void)database;
    struct rows *rows = user;
    size_t i = 0;
    while (i < sizeof tables / sizeof *tables && strcmp(tables[i], table) != 0)
        i++;
    if (i == sizeof tables / sizeof *tables || operation == SQLITE_DELETE)
        return;
    if (rows->count == rows->room) {
        rows->room = rows->room ? 2 * rows->room : 64;
        rows->items = xrealloc(rows->items, rows->room * sizeof *rows->items);
    }
    rows->items[rows->count++] = (struct row){(enum store_table)i, id};
}

static void tell_rows(struct store *store, bool committed)
{
    for (size_t i = 0; committed && i < store->changed.count; i++)
        store->on_change(store->on_change_user, store->changed.items[i].table,
                         store->changed.items[i].id);
    store->changed.count = 0;
}

static size_t count_changes(const struct change *group)
{
    size_t count = 0;
    for (; group; group = group->next)
        count++;
    return count;
}

static void *write_groups(void *arg)
{
    struct store *store = arg;
    struct change *group;
    while (take_group(store, &group)) {
        struct error err;
        int64_t began = mono_us();
        bool ok = commit_group(&store->writer, group, &err);
        store->writer.distrusted |= !ok;
        store->writer.pending.known &= ok;
        if (ok && group && store->on_commit)
            store->on_commit(mono_us() - began, count_changes(group));
        tell_rows(store, ok);
        finish_group(store, group, ok ? NULL : &err);
    }
    return NULL;
}

int64_t store_busy_ms(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    struct mono_time since = store->busy_since;
    pthread_mutex_unlock(&store->lock);
    int64_t now = mono_now().ms;
    return since.ms && since.ms < now ? now - since.ms : 0;
}

static void enqueue(struct store *store, struct change *change)
{
    change->next = NULL;
    *store->last = change;
    store->last = &change->next;
    pthread_cond_signal(&store->work);
}

bool store_change(struct store *store, store_apply apply, void *data, struct error *err)
{
    struct change change = {.apply = apply, .data = data};
    pthread_mutex_lock(&store->lock);
    enqueue(store, &change);
    while (!change.finished)
        pthread_cond_wait(&store->finished, &store->lock);
    pthread_mutex_unlock(&store->lock);
    if (!change.ok && err)
        *err = change.err;
    return change.ok;
}

bool store_change_later(struct store *store, store_apply apply,
                        void (*done)(void *data, bool committed), void *data)
{
    struct change *change = xalloc(sizeof *change);
    *change = (struct change){.apply = apply, .data = data, .done = done};
    pthread_mutex_lock(&store->lock);
    bool room = store->waiting_later < STORE_QUEUE_MAX;
    if (room) {
        store->waiting_later++;
        enqueue(store, change);
    }
    pthread_mutex_unlock(&store->lock);
    if (!room)
        free(change);
    return room;
}

bool store_healthy(struct store *store, struct error *err)
{
    pthread_mutex_lock(&store->lock);
    struct error health = store->health;
    pthread_mutex_unlock(&store->lock);
    if (health.code != ERR_NONE && err)
        *err = health;
    return health.code == ERR_NONE;
}

void store_on_commit(struct store *store, void (*told)(int64_t us, size_t changes))
{
    store->on_commit = told; // before the first change wakes the writer
}

void store_on_change(struct store *store,
                     void (*told)(void *user, enum store_table table, int64_t id), void *user)
{
    store->on_change = told; // before the first change wakes the writer
    store->on_change_user = user;
    sqlite3_update_hook(store->writer.sqlite, note_row, &store->changed);
}

void store_bound_pending(struct store *store, int64_t most)
{
    store->writer.pending.most = most; // before the first change wakes the writer
}

int64_t store_queued(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    size_t waiting = store->waiting_later;
    pthread_mutex_unlock(&store->lock);
    return (int64_t)waiting;
}

// --- reads ---

struct db *store_reader(struct store *store)
{
    pthread_mutex_lock(&store->reader_lock);
    return &store->reader;
}

void store_reader_release(struct db **db)
{
    pthread_mutex_unlock((*db)->lock);
}

// --- opening and closing ---

bool store_hold(const char *directory, int *out, struct error *err)
{
    CLEANUP(close_fd) int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, ERR_IO, errno, "open");
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return error_set(err, ERR_CONFLICT, "another agent uses this directory");
        return error_errno(err, ERR_IO, errno, "lock");
    }
    *out = fd;
    fd = -1;
    return true;
}

static bool connect_db(struct db *db, const char *path, int flags, struct error *err)
{
    int code = sqlite3_open_v2(path, &db->sqlite, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK) {
        sqlite3_busy_timeout(db->sqlite, BUSY_TIMEOUT_MS);
        return true;
    }
    if (!db->sqlite)
        return error_set(err, ERR_IO, "%s", sqlite3_errstr(code));
    return sqlite_error(db->sqlite, err);
}

static void disconnect_db(struct db *db)
{
    for (size_t i = 0; i < STATEMENTS_MAX; i++)
        sqlite3_finalize(db->statements[i].prepared);
    sqlite3_close(db->sqlite);
}

static bool schema_version(struct db *db, int64_t *version, struct error *err)
{
    static const char sql[] = "PRAGMA user_version";
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement || !db_one(statement, err))
        return false;
    *version = db_int(statement, 0);
    return true;
}

void db_leave_wal(struct db *db)
{
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
}

void db_bear_schema(struct db *db)
{
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_WRITABLE_SCHEMA, 1, NULL);
}

// What a newer version wrote is left as it is, to the byte.
bool db_version(struct db *db, int64_t *out, struct error *err)
{
    int64_t version;
    if (!schema_version(db, &version, err))
        return false;
    if (version >= 0 && version <= SCHEMA_VERSION) {
        *out = version;
        return true;
    }
    db_leave_wal(db);
    return error_set(err, ERR_UNSUPPORTED,
                     "made by a newer cronwright (schema %" PRId64 ", this one knows %" PRId64
                     "): start that version, or this one with a backup from before its upgrade",
                     version, SCHEMA_VERSION);
}

int64_t db_newest_version(void)
{
    return SCHEMA_VERSION;
}

// Who is killed on the way leaves the old one.
bool db_upgrade(struct db *db, int64_t upto, struct error *err)
{
    int64_t version;
    if (!schema_version(db, &version, err))
        return false;
    if (version >= upto)
        return true;
    if (!db_execute(db, "BEGIN IMMEDIATE", err))
        return error_wrap(err, "upgrade");
    for (; version < upto; version++)
        if (!db_execute(db, migrations[version], err))
            return error_wrap(err, "upgrade to schema %" PRId64, version + 1);
    CLEANUP(free_ptr) char *done = xasprintf("PRAGMA user_version = %" PRId64 "; COMMIT", upto);
    CRASH_POINT("before-migration");
    if (!db_execute(db, done, err))
        return error_wrap(err, "upgrade");
    CRASH_POINT("after-migration");
    return true;
}

// SQLite would make it readable for all; its other files take this one's mode. Closed again before
// SQLite opens it, since closing any descriptor of a file gives up the process's locks on it.
static bool make_private(const char *path, struct error *err)
{
    CLEANUP(close_fd) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return fd >= 0 || error_errno(err, ERR_IO, errno, "open");
}

static bool use_wal(struct db *db, struct error *err)
{
    static const char sql[] = "PRAGMA journal_mode = WAL";
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement || !db_one(statement, err))
        return false;
    char mode[16];
    db_text(statement, 0, mode, sizeof mode);
    return strcmp(mode, "wal") == 0 ||
           error_set(err, ERR_IO, "this file system allows no write-ahead log (mode %s)", mode);
}

static bool open_database(struct store *store, const char *path, struct error *err)
{
    struct db *writer = &store->writer;
    int64_t version;
    return make_private(path, err) && connect_db(writer, path, SQLITE_OPEN_READWRITE, err) &&
           db_version(writer, &version, err) && use_wal(writer, err) &&
           db_execute(writer, writer_settings, err) && db_upgrade(writer, SCHEMA_VERSION, err) &&
           connect_db(&store->reader, path, SQLITE_OPEN_READONLY, err);
}

// --- a file without a store ---

bool db_open(const char *path, enum db_mode mode, struct db **out, struct error *err)
{
    struct db *db = xalloc(sizeof *db);
    bool write = mode == DB_WRITE;
    if ((write && !make_private(path, err)) ||
        !connect_db(db, path, write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY, err)) {
        db_close(&db);
        return false;
    }
    *out = db;
    return true;
}

void db_close(struct db **db)
{
    if (*db)
        disconnect_db(*db);
    free(*db);
    *db = NULL;
}

bool db_is_damaged(struct db *db)
{
    int code = sqlite3_errcode(db->sqlite);
    return code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
}

static int is_to_stop(void *stop)
{
    return *(const atomic_bool *)stop;
}

void db_stop_when(struct db *db, const atomic_bool *stop)
{
    sqlite3_progress_handler(db->sqlite, STOP_STEPS, is_to_stop, (void *)(uintptr_t)stop);
}

struct statement *db_prepare_once(struct db *db, const char *sql, struct error *err)
{
    sqlite3_stmt *prepared = NULL;
    if (sqlite3_prepare_v2(db->sqlite, sql, -1, &prepared, NULL) != SQLITE_OK) {
        sqlite_error(db->sqlite, err);
        return NULL;
    }
    return (struct statement *)prepared;
}

void db_discard(struct statement **statement)
{
    if (*statement)
        sqlite3_finalize(stmt_of(*statement));
}

int db_columns(const struct statement *statement)
{
    return sqlite3_column_count(stmt_of(statement));
}

const char *db_column_name(const struct statement *statement, int column)
{
    return sqlite3_column_name(stmt_of(statement), column);
}

void db_bind_row(struct statement *into, const struct statement *row, int count)
{
    for (int i = 0; i < count; i++)
        check_bound(
            sqlite3_bind_value(stmt_of(into), i + 1, sqlite3_column_value(stmt_of(row), i)));
}

static bool start(struct store *store, const char *directory, struct error *err)
{
    if (!directory_make(directory, err))
        return false;
    if (!store_hold(directory, &store->directory, err))
        return error_wrap(err, "%s", directory);
    CLEANUP(free_ptr) char *path = xasprintf("%s/" DATABASE_NAME, directory);
    if (!open_database(store, path, err))
        return error_wrap(err, "%s", path);
    int code = pthread_create(&store->thread, NULL, write_groups, store);
    if (code)
        return error_errno(err, ERR_IO, code, "start the writer");
    store->thread_runs = true;
    return true;
}

bool store_open(const char *directory, struct store **out, struct error *err)
{
    struct store *store = xalloc(sizeof *store);
    store->directory = -1;
    store->writer.distrusted = true;
    store->last = &store->first;
    store->reader.lock = &store->reader_lock;
    pthread_mutex_init(&store->lock, NULL);
    pthread_mutex_init(&store->reader_lock, NULL);
    condition_init(&store->work);
    pthread_cond_init(&store->finished, NULL);
    if (!start(store, directory, err)) {
        store_close(store);
        return error_wrap(err, "open store");
    }
    *out = store;
    return true;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    if (store->thread_runs) {
        pthread_mutex_lock(&store->lock);
        store->closing = true;
        pthread_cond_signal(&store->work);
        pthread_mutex_unlock(&store->lock);
        pthread_join(store->thread, NULL);
    }
    disconnect_db(&store->reader);
    disconnect_db(&store->writer); // the last one: folds the WAL into the database
    free(store->changed.items);
    close_fd(&store->directory);
    pthread_cond_destroy(&store->finished);
    pthread_cond_destroy(&store->work);
    pthread_mutex_destroy(&store->reader_lock);
    pthread_mutex_destroy(&store->lock);
    free(store);
}
