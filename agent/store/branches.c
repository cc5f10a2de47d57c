#include "agent/store/db.h"

#define FIELD(kind, name) DB_FIELD(DB_KIND_##kind, branch_head, name)
static const struct db_field fields[] = {
    FIELD(TEXT, repository), FIELD(TEXT, branch), FIELD(TEXT, credential),
    FIELD(TEXT, commit),     FIELD(INT64, seq),   FIELD(TIME, checked),
};
static const struct db_record record = {fields, sizeof fields / sizeof *fields};

// In the order of `fields`.
#define COLUMNS "repository, branch, credential, head, seq, checked"

static bool apply_put(struct db *db, void *data, struct error *err)
{
    static const char sql[] = "INSERT INTO branches (" COLUMNS ") VALUES (?1,?2,?3,?4,?5,?6) "
                              "ON CONFLICT DO UPDATE SET head = ?4, seq = ?5, checked = ?6";
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_record(statement, 1, &record, data);
    return db_run(statement, err);
}

bool store_branch_put(struct store *store, const struct branch_head *head, struct error *err)
{
    struct branch_head copy = *head;
    return store_change(store, apply_put, &copy, err) ||
           error_wrap(err, "put branch %s %s", head->repository, head->branch);
}

bool store_branch_get(struct store *store, const char *repository, const char *branch,
                      const char *credential, struct branch_head *out, struct error *err)
{
    static const char sql[] = "SELECT " COLUMNS " FROM branches "
                              "WHERE repository = ?1 AND branch = ?2 AND credential = ?3";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_text(statement, 1, repository);
    db_bind_text(statement, 2, branch);
    db_bind_text(statement, 3, credential);
    if (!db_one(statement, err))
        return error_wrap(err, "branch %s %s", repository, branch);
    db_read_record(statement, 0, &record, out);
    return true;
}
