#include "agent/store/db.h"

#include <inttypes.h>

#define FIELD(kind, name) DB_FIELD(DB_KIND_##kind, patch_record, name)
static const struct db_field fields[] = {
    FIELD(INT64, build),    FIELD(TEXT, namespace), FIELD(TEXT, name),
    FIELD(TEXT, old_image), FIELD(TEXT, new_image), FIELD(TIME, at),
};
static const struct db_record record = {fields, sizeof fields / sizeof *fields};

// In the order of `fields`.
#define COLUMNS "build, namespace, name, old_image, new_image, at"

static bool apply_add(struct db *db, void *data, struct error *err)
{
    static const char sql[] = "INSERT INTO patches (" COLUMNS ") VALUES (?1,?2,?3,?4,?5,?6)";
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_record(statement, 1, &record, data);
    return db_run(statement, err);
}

bool store_patch_add(struct store *store, const struct patch_record *patch, struct error *err)
{
    struct patch_record copy = *patch;
    return store_change(store, apply_add, &copy, err) ||
           error_wrap(err, "add patch of %s/%s by b-%" PRId64, patch->namespace, patch->name,
                      patch->build);
}

bool store_patch_list(struct store *store, int64_t build,
                      bool (*each)(void *user, const struct patch_record *), void *user,
                      struct error *err)
{
    static const char sql[] =
        "SELECT " COLUMNS " FROM patches WHERE build = ?1 ORDER BY id DESC LIMIT ?2";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_int(statement, 1, build);
    db_bind_int(statement, 2, STORE_PAGE_MAX);
    struct patch_record patch;
    enum db_step step;
    while ((step = db_step(statement, err)) == DB_ROW) {
        db_read_record(statement, 0, &record, &patch);
        if (!each(user, &patch))
            return true;
    }
    return step == DB_DONE;
}
