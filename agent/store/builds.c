#include "agent/store/db.h"

#include <inttypes.h>

static const char *const state_words[] = {
    [BUILD_WAITING] = "waiting",       [BUILD_FETCHING] = "fetching", [BUILD_RUNNING] = "running",
    [BUILD_PUSHED] = "pushed",         [BUILD_DONE] = "done",         [BUILD_FAILED] = "failed",
    [BUILD_SUPERSEDED] = "superseded", [BUILD_FILTERED] = "filtered", [BUILD_STATE_COUNT] = NULL,
};

#define FIELD(kind, name) DB_FIELD(DB_KIND_##kind, build, name)
static const struct db_field fields[] = {
    FIELD(TEXT, repository),
    FIELD(TEXT, branch),
    FIELD(TEXT, commit),
    FIELD(TEXT, recipe),
    FIELD(INT, attempt),
    FIELD(TEXT, job),
    FIELD(TEXT, image),
    FIELD(TEXT, digest),
    {DB_KIND_WORD, offsetof(struct build, state), sizeof(enum build_state), state_words},
    FIELD(TEXT, reason),
    FIELD(TEXT, detail),
    FIELD(TEXT, subject),
    FIELD(TEXT, author),
    FIELD(TIME, created),
    FIELD(TIME, started),
    FIELD(TIME, finished),
    FIELD(INT64, fetch_ms),
    FIELD(INT64, context_ms),
    FIELD(INT64, kaniko_ms),
    FIELD(INT64, patch_ms),
    FIELD(INT, patched),
    FIELD(TEXT, credential),
};
#define FIELD_COUNT 22
static const struct db_record record = {fields, FIELD_COUNT};
_Static_assert(sizeof fields / sizeof *fields == FIELD_COUNT, "fields and columns");

// In the order of `fields`.
#define COLUMNS                                                                                    \
    "repository, branch, object, recipe, attempt, job, image, digest, state, reason, detail, "     \
    "subject, author, created, started, finished, fetch_ms, context_ms, kaniko_ms, patch_ms, "     \
    "patched, credential"
#define VALUES "(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22)"

const char *build_state_word(enum build_state state)
{
    return state_words[state];
}

static bool apply_insert(struct db *db, void *data, struct error *err)
{
    static const char sql[] = "INSERT INTO builds (" COLUMNS ") VALUES " VALUES;
    struct build *build = data;
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_record(statement, 1, &record, build);
    if (!db_run(statement, err))
        return false;
    build->id = db_last_id(db);
    return true;
}

static bool apply_replace(struct db *db, void *data, struct error *err)
{
    static const char sql[] = "UPDATE builds SET (" COLUMNS ") = " VALUES " WHERE id = ?23";
    const struct build *build = data;
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_record(statement, 1, &record, build);
    db_bind_int(statement, FIELD_COUNT + 1, build->id);
    if (!db_run(statement, err))
        return false;
    return db_changes(db) || error_set(err, ERR_NOT_FOUND, "not found");
}

bool store_build_put(struct store *store, struct build *build, struct error *err)
{
    struct build copy = *build;
    if (!store_change(store, build->id ? apply_replace : apply_insert, &copy, err))
        return error_wrap(err, "put build b-%" PRId64 " of %s", build->id, build->commit);
    build->id = copy.id;
    return true;
}

static void read_build(const struct statement *statement, struct build *out)
{
    out->id = db_int(statement, 0);
    db_read_record(statement, 1, &record, out);
}

bool store_build_get(struct store *store, int64_t id, struct build *out, struct error *err)
{
    static const char sql[] = "SELECT id, " COLUMNS " FROM builds WHERE id = ?1";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_int(statement, 1, id);
    if (!db_one(statement, err))
        return error_wrap(err, "build b-%" PRId64, id);
    read_build(statement, out);
    return true;
}

bool store_build_find(struct store *store, const char *commit, const char *recipe,
                      struct build *out, struct error *err)
{
    static const char sql[] = "SELECT id, " COLUMNS " FROM builds "
                              "WHERE object = ?1 AND recipe = ?2 ORDER BY attempt DESC LIMIT 1";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_text(statement, 1, commit);
    db_bind_text(statement, 2, recipe);
    if (!db_one(statement, err))
        return error_wrap(err, "build of %s", commit);
    read_build(statement, out);
    return true;
}

bool store_build_of_job(struct store *store, const char *job, struct build *out, struct error *err)
{
    static const char sql[] =
        "SELECT id, " COLUMNS " FROM builds WHERE job = ?1 ORDER BY id DESC LIMIT 1";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_text(statement, 1, job);
    if (!db_one(statement, err))
        return error_wrap(err, "build of job %s", job);
    read_build(statement, out);
    return true;
}

static bool find_before(struct store *store, const char *sql, const struct build *build,
                        struct build *out, struct error *err)
{
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_text(statement, 1, build->repository);
    db_bind_text(statement, 2, build->branch);
    db_bind_text(statement, 3, build->recipe);
    db_bind_int(statement, 4, build->id);
    db_bind_text(statement, 5, build->commit);
    if (!db_one(statement, err))
        return error_wrap(err, "build before b-%" PRId64, build->id);
    read_build(statement, out);
    return true;
}

#define BEFORE                                                                                     \
    "SELECT id, " COLUMNS " FROM builds WHERE repository = ?1 AND branch = ?2 AND recipe = ?3 "    \
    "AND id < ?4 AND "

bool store_build_asked_before(struct store *store, const struct build *build, struct build *out,
                              struct error *err)
{
    return find_before(store, BEFORE "object = ?5 ORDER BY id DESC LIMIT 1", build, out, err);
}

bool store_build_turn_before(struct store *store, const struct build *build, struct build *out,
                             struct error *err)
{
    // ?5 is not asked for, but bound.
    static const char sql[] =
        BEFORE "(?5 IS NOT NULL) AND state IN " DB_BUILD_ENDED " AND state != 'filtered' "
               "AND NOT (state = 'superseded' AND started = 0) ORDER BY id DESC LIMIT 1";
    return find_before(store, sql, build, out, err);
}

bool store_build_list(struct store *store, const struct build_filter *filter,
                      bool (*each)(void *user, const struct build *), void *user, struct error *err)
{
    static const char all[] =
        "SELECT id, " COLUMNS " FROM builds WHERE id < ?1 AND (?2 IS NULL OR repository = ?2) "
        "AND (?3 IS NULL OR branch = ?3) ORDER BY id DESC LIMIT ?4";
    static const char of_commit[] =
        "SELECT id, " COLUMNS " FROM builds WHERE id < ?1 AND (?2 IS NULL OR repository = ?2) "
        "AND (?3 IS NULL OR branch = ?3) AND object >= ?5 AND object < ?5 || 'g' "
        "ORDER BY +id DESC LIMIT ?4"; // the +: a commit has few builds
    static const char unfinished[] =
        "SELECT id, " COLUMNS " FROM builds WHERE id < ?1 AND (?2 IS NULL OR repository = ?2) "
        "AND (?3 IS NULL OR branch = ?3) AND state NOT IN " DB_BUILD_ENDED " "
        "ORDER BY id DESC LIMIT ?4";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    bool any = !filter->commit || !*filter->commit;
    CLEANUP(db_reset)
    struct statement *statement = db_prepare(db,
                                             !any                 ? of_commit
                                             : filter->unfinished ? unfinished
                                                                  : all,
                                             err);
    if (!statement)
        return false;
    if (!any)
        db_bind_text(statement, 5, filter->commit);
    db_bind_int(statement, 1, filter->before ? filter->before : INT64_MAX);
    db_bind_text(statement, 2, filter->repository);
    db_bind_text(statement, 3, filter->branch);
    db_bind_int(statement, 4, store_page(filter->limit));
    struct build build;
    enum db_step step;
    while ((step = db_step(statement, err)) == DB_ROW) {
        read_build(statement, &build);
        if (!each(user, &build))
            return true;
    }
    return step == DB_DONE;
}

bool store_builds_under_way(struct store *store, void (*each)(void *user, const char *repository),
                            void *user, struct error *err)
{
    static const char sql[] = "SELECT repository FROM builds WHERE state NOT IN " DB_BUILD_ENDED " "
                              "AND state IN ('fetching', 'running') AND kaniko_ms < 0";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    enum db_step step;
    while ((step = db_step(statement, err)) == DB_ROW) {
        char repository[STORE_REPOSITORY_SIZE];
        db_text(statement, 0, repository, sizeof repository);
        each(user, repository);
    }
    return step == DB_DONE;
}
