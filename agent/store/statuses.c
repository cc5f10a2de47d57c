#include "agent/store/statuses.h"

#include "agent/store/db.h"

#include <string.h>

static const char *const state_words[] = {"pending", "success", "failure", "withdrawn"};
_Static_assert(sizeof state_words / sizeof *state_words == STATUS_STATE_COUNT, "a word each");

const char *status_state_word(enum status_state state)
{
    return state_words[state];
}

#define FIELD(kind, name) DB_FIELD(DB_KIND_##kind, commit_status, name)
static const struct db_field fields[] = {
    FIELD(TEXT, repository),
    FIELD(TEXT, commit),
    FIELD(TEXT, namespace),
    FIELD(TEXT, name),
    FIELD(TEXT, url),
    FIELD(TEXT, branch),
    FIELD(INT64, build),
    {DB_KIND_WORD, offsetof(struct commit_status, state), STATUS_STATE_COUNT, state_words},
    FIELD(TEXT, detail),
    FIELD(BOOL, told),
    FIELD(INT, sent),
    FIELD(INT, tries),
    FIELD(TIME, due),
    FIELD(TEXT, error),
};
static const struct db_record record = {fields, sizeof fields / sizeof *fields};

// In the order of `fields`.
#define COLUMNS                                                                                    \
    "repository, object, namespace, name, url, branch, build, state, detail, told, sent, tries, "  \
    "due, error"

#define THIS_ROW "repository = ?1 AND object = ?2 AND namespace = ?3 AND name = ?4"

static void bind_key(struct statement *statement, const struct commit_status *status)
{
    db_bind_text(statement, 1, status->repository);
    db_bind_text(statement, 2, status->commit);
    db_bind_text(statement, 3, status->namespace);
    db_bind_text(statement, 4, status->name);
}

// --- writing ---

static bool is_there(struct store *store, const struct commit_status *status, bool *there,
                     struct error *err)
{
    static const char sql[] = "SELECT 1 FROM statuses WHERE " THIS_ROW " AND url = ?5 "
                              "AND branch = ?6 AND build = ?7 AND state = ?8 AND detail = ?9";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    bind_key(statement, status);
    db_bind_text(statement, 5, status->url);
    db_bind_text(statement, 6, status->branch);
    db_bind_int(statement, 7, status->build);
    db_bind_text(statement, 8, state_words[status->state]);
    db_bind_text(statement, 9, status->detail);
    enum db_step step = db_step(statement, err);
    *there = step == DB_ROW;
    return step != DB_FAILED;
}

static bool apply_put(struct db *db, void *data, struct error *err)
{
    static const char sql[] =
        "INSERT INTO statuses (" COLUMNS
        ") VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14) "
        "ON CONFLICT DO UPDATE SET url = ?5, branch = ?6, build = ?7, state = ?8, detail = ?9, "
        "told = 0, tries = 0, due = ?13, error = ''";
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_record(statement, 1, &record, data);
    return db_run(statement, err);
}

bool store_status_put(struct store *store, const struct commit_status *status, bool *changed,
                      struct error *err)
{
    struct commit_status fresh = *status;
    bool there;
    if (!is_there(store, status, &there, err))
        return false;
    fresh.told = false;
    fresh.sent = fresh.tries = 0;
    fresh.due = wall_now();
    fresh.error[0] = '\0';
    if (!there && !store_change(store, apply_put, &fresh, err))
        return error_wrap(err, "put status of %s", status->commit);
    *changed = !there;
    return true;
}

#define UNCHANGED "build = ?6 AND state = ?7 AND detail = ?8"

static bool apply_tried(struct db *db, void *data, struct error *err)
{
    static const char sql[] =
        "UPDATE statuses SET sent = ?5, told = iif(" UNCHANGED ", ?9, told), "
        "tries = iif(" UNCHANGED ", ?10, tries), due = iif(" UNCHANGED ", ?11, due), "
        "error = iif(" UNCHANGED ", ?12, error) WHERE " THIS_ROW;
    const struct commit_status *status = data;
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    bind_key(statement, status);
    db_bind_int(statement, 5, status->sent);
    db_bind_int(statement, 6, status->build);
    db_bind_text(statement, 7, state_words[status->state]);
    db_bind_text(statement, 8, status->detail);
    db_bind_int(statement, 9, status->told);
    db_bind_int(statement, 10, status->tries);
    db_bind_int(statement, 11, status->due.ms);
    db_bind_text(statement, 12, status->error);
    return db_run(statement, err);
}

bool store_status_tried(struct store *store, const struct commit_status *status, struct error *err)
{
    struct commit_status copy = *status;
    return store_change(store, apply_tried, &copy, err) ||
           error_wrap(err, "status of %s", status->commit);
}

// --- reading ---

bool store_status_next(struct store *store, int tries_max, struct commit_status *out,
                       struct error *err)
{
    static const char sql[] = "SELECT " COLUMNS " FROM statuses WHERE told = 0 AND tries < ?1 "
                              "ORDER BY due LIMIT 1";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_int(statement, 1, tries_max);
    if (!db_one(statement, err))
        return false;
    db_read_record(statement, 0, &record, out);
    return true;
}

static bool read_all(struct statement *statement,
                     void (*each)(void *user, const struct commit_status *), void *user,
                     struct error *err)
{
    struct commit_status status;
    enum db_step step;
    while ((step = db_step(statement, err)) == DB_ROW) {
        db_read_record(statement, 0, &record, &status);
        each(user, &status);
    }
    return step == DB_DONE;
}

bool store_status_stale(struct store *store, void (*each)(void *user, const struct commit_status *),
                        void *user, struct error *err)
{
    static const char sql[] =
        "SELECT " COLUMNS " FROM statuses WHERE state = 'pending' "
        "AND build IN (SELECT id FROM builds WHERE state IN " DB_BUILD_ENDED ") LIMIT ?1";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_int(statement, 1, STORE_PAGE_MAX);
    return read_all(statement, each, user, err);
}

bool store_status_list(struct store *store, int64_t build,
                       void (*each)(void *user, const struct commit_status *), void *user,
                       struct error *err)
{
    static const char sql[] = "SELECT " COLUMNS " FROM statuses WHERE build = ?1 "
                              "ORDER BY namespace, name LIMIT ?2";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_int(statement, 1, build);
    db_bind_int(statement, 2, STORE_PAGE_MAX);
    return read_all(statement, each, user, err);
}
