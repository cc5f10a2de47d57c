#include "agent/store/db.h"

bool store_figures(struct store *store, struct store_figures *out, struct error *err)
{
    static const char pending[] =
        "SELECT count(*), ifnull(min(received), 0) FROM deliveries WHERE pending = 1";
    static const char unfinished[] =
        "SELECT ifnull(sum(state = 'waiting'), 0), ifnull(sum(state IN ('fetching', 'running')), 0)"
        " FROM builds WHERE state NOT IN " DB_BUILD_ENDED;
    struct store_figures figures = {.queued = store_queued(store)};
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *deliveries = db_prepare(db, pending, err);
    CLEANUP(db_reset) struct statement *builds = db_prepare(db, unfinished, err);
    if (!deliveries || !builds || !db_one(deliveries, err) || !db_one(builds, err))
        return error_wrap(err, "figures");
    figures.pending = db_int(deliveries, 0);
    figures.oldest.ms = db_int(deliveries, 1);
    figures.builds_waiting = db_int(builds, 0);
    figures.builds_under_way = db_int(builds, 1);
    *out = figures;
    return true;
}
