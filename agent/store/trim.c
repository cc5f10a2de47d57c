#include "agent/store/db.h"

#include "agent/base/crashpoint.h"

#define TRIM_STEP  500 // rows in one change, so that deliveries never wait long
#define TRIM_STEPS 200 // of one table at a time; the next sweep goes on

// Keeps the newest `keep` rows, whatever their state.
struct trimming {
    const char *sql;
    int64_t keep;
    int64_t deleted;
};

static const char trim_deliveries[] =
    "DELETE FROM deliveries WHERE seq IN (SELECT seq FROM deliveries WHERE pending = 0 AND seq < "
    "(SELECT seq FROM deliveries ORDER BY seq DESC LIMIT 1 OFFSET ?1) ORDER BY seq LIMIT ?2)";
// One that was superseded in its turn stays while a build of its recipe is unfinished: that is not
// superseded too.
static const char trim_builds[] =
    "DELETE FROM builds WHERE id IN (SELECT id FROM builds "
    "WHERE state IN " DB_BUILD_ENDED " AND id < "
    "(SELECT id FROM builds ORDER BY id DESC LIMIT 1 OFFSET ?1) AND id NOT IN "
    "(SELECT max(before.id) FROM builds AS going JOIN builds AS before ON before.repository = "
    "going.repository AND before.branch = going.branch AND before.recipe = going.recipe WHERE "
    "going.state NOT IN " DB_BUILD_ENDED " AND before.state = 'superseded' AND "
    "before.started > 0 GROUP BY going.recipe) "
    "ORDER BY id LIMIT ?2)";

// Those of services that are gone become the oldest.
static const char trim_images[] =
    "DELETE FROM images WHERE id IN (SELECT id FROM images WHERE id < "
    "(SELECT id FROM images ORDER BY id DESC LIMIT 1 OFFSET ?1) ORDER BY id LIMIT ?2)";

static bool apply_trimming(struct db *db, void *data, struct error *err)
{
    struct trimming *trimming = data;
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, trimming->sql, err);
    if (!statement)
        return false;
    db_bind_int(statement, 1, trimming->keep > 1 ? trimming->keep - 1 : 0);
    db_bind_int(statement, 2, TRIM_STEP);
    if (!db_run(statement, err))
        return false;
    trimming->deleted = db_changes(db);
    return true;
}

static bool trim(struct store *store, const char *sql, int64_t keep, struct error *err)
{
    struct trimming trimming = {.sql = sql, .keep = keep};
    for (int step = 0; step < TRIM_STEPS; step++) {
        CRASH_POINT("before-trim");
        if (!store_change(store, apply_trimming, &trimming, err))
            return error_wrap(err, "trim");
        CRASH_POINT("after-trim");
        if (trimming.deleted < TRIM_STEP)
            break;
    }
    return true;
}

bool store_trim(struct store *store, int64_t deliveries, int64_t builds, struct error *err)
{
    return trim(store, trim_deliveries, deliveries, err) && trim(store, trim_builds, builds, err) &&
           trim(store, trim_images, STORE_IMAGES_MAX, err);
}
