// Runs for pictures of many of them: a few columns, of many services at once.
#include "agent/store/db.h"
#include "agent/store/runs.h"

#define FIELD(kind, name) DB_FIELD(DB_KIND_##kind, run_mark, name)
static const struct db_field fields[] = {
    FIELD(TEXT, name),          FIELD(TEXT, kind),    FIELD(TEXT, state),    FIELD(TIME, created),
    FIELD(TIME, scheduled_for), FIELD(TIME, started), FIELD(TIME, finished),
};
static const struct db_record mark_fields = {fields, sizeof fields / sizeof *fields};

// In the order of `fields`.
#define COLUMNS "name, kind, state, created, scheduled_for, started, finished"

// `sql`: of a service; the limit and (only when it is asked for) the time are its last parameters.
static bool list_marks(struct store *store, const char *sql, const char *namespace,
                       const char *service, const struct wall_time *since, size_t limit,
                       struct run_mark out[], size_t *count, struct error *err)
{
    enum db_step step = DB_DONE;
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_text(statement, 1, namespace);
    db_bind_text(statement, 2, service);
    db_bind_int(statement, 3, (int64_t)limit);
    if (since)
        db_bind_int(statement, 4, since->ms);
    *count = 0;
    while (*count < limit && (step = db_step(statement, err)) == DB_ROW)
        db_read_record(statement, 0, &mark_fields, &out[(*count)++]);
    return step != DB_FAILED;
}

bool store_run_marks(struct store *store, const char *namespace, const char *service, size_t limit,
                     struct run_mark out[], size_t *count, struct error *err)
{
    static const char sql[] = "SELECT " COLUMNS " FROM runs WHERE namespace = ?1 AND service = ?2 "
                              "ORDER BY created DESC, id DESC LIMIT ?3";
    return list_marks(store, sql, namespace, service, NULL, limit, out, count, err);
}

bool store_run_marks_since(struct store *store, const char *namespace, const char *service,
                           struct wall_time since, size_t limit, struct run_mark out[],
                           size_t *count, struct error *err)
{
    // Two parts, each with an index of its own: what is not over is open.
    static const char sql[] =
        "SELECT " COLUMNS " FROM runs INDEXED BY runs_finished WHERE namespace = ?1 "
        "AND service = ?2 AND finished > 0 AND finished >= ?4 UNION ALL "
        "SELECT " COLUMNS " FROM runs INDEXED BY runs_open WHERE namespace = ?1 AND service = ?2 "
        "AND open = 1 AND finished = 0 ORDER BY created DESC LIMIT ?3";
    return list_marks(store, sql, namespace, service, &since, limit, out, count, err);
}
