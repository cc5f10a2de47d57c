#include "agent/store/db.h"

#include <inttypes.h>
#include <stdio.h>

#define FIELD(kind, name) DB_FIELD(DB_KIND_##kind, delivery, name)
static const struct db_field fields[] = {
    FIELD(TEXT, forge),        FIELD(TEXT, id),         FIELD(TIME, received),
    FIELD(TEXT, event),        FIELD(TEXT, repository), FIELD(TEXT, ref),
    FIELD(TEXT, branch),       FIELD(TEXT, commit),     FIELD(TEXT, pusher),
    FIELD(BYTES, body_sha256), FIELD(BOOL, pending),    FIELD(BOOL, failed),
    FIELD(TEXT, reason),       FIELD(TEXT, detail),     FIELD(INT64, build),
    FIELD(TIME, finished),     FIELD(TEXT, service),
};
#define FIELD_COUNT 17
static const struct db_record record = {fields, FIELD_COUNT};
_Static_assert(sizeof fields / sizeof *fields == FIELD_COUNT, "fields and columns");

// In the order of `fields`.
#define COLUMNS                                                                                    \
    "forge, id, received, event, repository, ref, branch, object, pusher, body_sha256, pending, "  \
    "failed, reason, detail, build, finished, service"

// --- adding ---

struct addition {
    struct delivery delivery;
    store_delivery_done done;
    void *user;
    enum store_outcome outcome;
    int64_t seq;
};

// The earlier row with the same id, and whether another try is allowed.
struct earlier {
    int64_t seq;
    struct wall_time received;
    bool failed;
};

static bool insert_row(struct db *db, const struct delivery *delivery, bool repeated,
                       struct error *err)
{
    static const char sql[] = "INSERT INTO deliveries (" COLUMNS ", repeated) VALUES "
                              "(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17, ?18) "
                              "ON CONFLICT DO NOTHING";
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_record(statement, 1, &record, delivery);
    db_bind_int(statement, FIELD_COUNT + 1, repeated);
    return db_run(statement, err);
}

static bool find_earlier(struct db *db, const struct delivery *delivery, struct earlier *out,
                         struct error *err)
{
    static const char sql[] = "SELECT seq, received, failed FROM deliveries "
                              "WHERE id = ?1 AND forge = ?2 AND repeated = 0";
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_text(statement, 1, delivery->id);
    db_bind_text(statement, 2, delivery->forge);
    if (!db_one(statement, err))
        return error_wrap(err, "earlier delivery %s", delivery->id);
    *out =
        (struct earlier){db_int(statement, 0), {db_int(statement, 1)}, db_int(statement, 2) != 0};
    return true;
}

// The row gets a new seq: a worker that is just ending the older deliveries must not end this one.
static bool replace_row(struct db *db, const struct delivery *delivery, int64_t old_seq,
                        int64_t *new_seq, struct error *err)
{
    static const char sql[] =
        "UPDATE deliveries SET seq = (SELECT max(seq) + 1 FROM deliveries), (" COLUMNS ") = "
        "(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17) WHERE seq = ?18 RETURNING "
        "seq";
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_record(statement, 1, &record, delivery);
    db_bind_int(statement, FIELD_COUNT + 1, old_seq);
    if (!db_one(statement, err))
        return false;
    *new_seq = db_int(statement, 0);
    return true;
}

static bool insert_repeat(struct db *db, const struct delivery *delivery,
                          struct wall_time first_received, struct error *err)
{
    struct delivery repeat = *delivery;
    char when[RFC3339_SIZE];
    wall_format(first_received, false, when);
    repeat.pending = repeat.failed = false;
    repeat.finished = repeat.received;
    snprintf(repeat.reason, sizeof repeat.reason, "repeated");
    snprintf(repeat.detail, sizeof repeat.detail, "Same id as the delivery received at %s.", when);
    return insert_row(db, &repeat, true, err);
}

static bool count_pending(struct db *db, struct error *err)
{
    static const char sql[] = "SELECT count(*) FROM deliveries WHERE pending = 1";
    struct db_pending *pending = db_pending(db);
    if (pending->known)
        return true;
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement || !db_one(statement, err))
        return false;
    pending->count = db_int(statement, 0);
    pending->known = true;
    return true;
}

static bool has_room(struct db *db, struct error *err)
{
    const struct db_pending *pending = db_pending(db);
    if (!count_pending(db, err))
        return false;
    return pending->most == 0 || pending->count < pending->most ||
           error_set(err, ERR_TOO_LARGE, "%" PRId64 " deliveries have not come to an end",
                     pending->count);
}

static bool apply_addition(struct db *db, void *data, struct error *err)
{
    struct addition *addition = data;
    const struct delivery *delivery = &addition->delivery;
    if (delivery->pending && !has_room(db, err))
        return false;
    if (!insert_row(db, delivery, false, err))
        return false;
    if (db_changes(db)) {
        addition->outcome = STORE_ADDED;
        addition->seq = db_last_id(db);
        db_pending(db)->count += delivery->pending;
        return true;
    }
    struct earlier earlier = {0};
    if (!find_earlier(db, delivery, &earlier, err))
        return false;
    if (earlier.failed) {
        addition->outcome = delivery->pending ? STORE_REOPENED : STORE_ADDED;
        if (!replace_row(db, delivery, earlier.seq, &addition->seq, err))
            return false;
        db_pending(db)->count += delivery->pending;
        return true;
    }
    addition->outcome = STORE_REPEATED;
    if (!insert_repeat(db, delivery, earlier.received, err))
        return false;
    addition->seq = db_last_id(db);
    return true;
}

static void finish_addition(void *data, bool committed)
{
    CLEANUP(free_ptr) struct addition *addition = data;
    if (committed)
        addition->done(addition->user, addition->outcome, addition->seq);
    else
        addition->done(addition->user, STORE_FAILED, 0);
}

void store_delivery_add(struct store *store, const struct delivery *delivery,
                        store_delivery_done done, void *user)
{
    struct addition *addition = xalloc(sizeof *addition);
    addition->delivery = *delivery;
    addition->done = done;
    addition->user = user;
    if (!store_change_later(store, apply_addition, finish_addition, addition))
        finish_addition(addition, false);
}

bool store_delivery_put(struct store *store, const struct delivery *delivery, struct error *err)
{
    struct addition addition = {.delivery = *delivery};
    return store_change(store, apply_addition, &addition, err) ||
           error_wrap(err, "put delivery %s", delivery->id);
}

// --- finishing ---

struct ending {
    const char *repository, *others, *branch, *reason, *detail;
    int64_t upto, build;
    bool failed;
    struct deliveries_ended ended;
};

static bool apply_ending(struct db *db, void *data, struct error *err)
{
    static const char sql[] =
        "UPDATE deliveries SET pending = 0, failed = ?1, reason = ?2, detail = ?3, build = ?4, "
        "finished = ?5 WHERE pending = 1 AND repository = ?6 AND branch = ?7 AND seq <= ?8 "
        "AND instr(?9, char(10) || repository || char(10)) = 0 RETURNING id";
    struct ending *ending = data;
    struct deliveries_ended *ended = &ending->ended;
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_int(statement, 1, ending->failed);
    db_bind_text(statement, 2, ending->reason);
    db_bind_text(statement, 3, ending->detail);
    db_bind_int(statement, 4, ending->build);
    db_bind_int(statement, 5, wall_now().ms);
    db_bind_text(statement, 6, ending->repository);
    db_bind_text(statement, 7, ending->branch);
    db_bind_int(statement, 8, ending->upto);
    db_bind_text(statement, 9, ending->others ? ending->others : "");
    enum db_step step;
    for (; (step = db_step(statement, err)) == DB_ROW; ended->count++)
        if (ended->count < STORE_ENDED_MAX)
            db_text(statement, 0, ended->ids[ended->count], STORE_DELIVERY_ID_SIZE);
    if (step == DB_DONE)
        db_pending(db)->count -= (int64_t)ended->count;
    return step == DB_DONE;
}

bool store_deliveries_finish(struct store *store, const char *repository, const char *others,
                             const char *branch, int64_t upto, const char *reason,
                             const char *detail, bool failed, int64_t build,
                             struct deliveries_ended *ended, struct error *err)
{
    struct ending ending = {repository, others, branch, reason, detail ? detail : "",
                            upto,       build,  failed, {0}};
    if (!store_change(store, apply_ending, &ending, err))
        return error_wrap(err, "finish deliveries of %s %s", repository, branch);
    *ended = ending.ended;
    return true;
}

static bool apply_explaining(struct db *db, void *data, struct error *err)
{
    static const char sql[] =
        "UPDATE deliveries SET detail = ?1 WHERE detail <> ?1 AND seq IN "
        "(SELECT seq FROM deliveries WHERE pending = 1 AND repository = ?2 AND branch = ?3 "
        "AND seq <= ?4 AND instr(?5, char(10) || repository || char(10)) = 0 ORDER BY seq DESC "
        "LIMIT ?6)";
    const struct ending *ending = data;
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_text(statement, 1, ending->detail);
    db_bind_text(statement, 2, ending->repository);
    db_bind_text(statement, 3, ending->branch);
    db_bind_int(statement, 4, ending->upto);
    db_bind_text(statement, 5, ending->others ? ending->others : "");
    db_bind_int(statement, 6, STORE_PAGE_MAX);
    return db_run(statement, err);
}

bool store_deliveries_explain(struct store *store, const char *repository, const char *others,
                              const char *branch, int64_t upto, const char *detail,
                              struct error *err)
{
    struct ending waiting = {.repository = repository,
                             .others = others,
                             .branch = branch,
                             .upto = upto,
                             .detail = detail};
    return store_change(store, apply_explaining, &waiting, err) ||
           error_wrap(err, "explain deliveries of %s %s", repository, branch);
}

struct reopening {
    const char *repository, *branch, *reason;
    struct wall_time since;
    int count;
};

static bool apply_reopening(struct db *db, void *data, struct error *err)
{
    static const char sql[] =
        "UPDATE deliveries SET pending = 1, failed = 0, reason = 'accepted', detail = '', "
        "finished = 0 WHERE seq > (SELECT MAX(seq) FROM deliveries) - ?1 AND pending = 0 "
        "AND repeated = 0 AND reason = ?5 AND repository = ?2 AND branch = ?3 "
        "AND received >= ?4";
    struct reopening *reopening = data;
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_int(statement, 1, STORE_REOPEN_MAX);
    db_bind_text(statement, 2, reopening->repository);
    db_bind_text(statement, 3, reopening->branch);
    db_bind_int(statement, 4, reopening->since.ms);
    db_bind_text(statement, 5, reopening->reason);
    if (!db_run(statement, err))
        return false;
    reopening->count = (int)db_changes(db);
    db_pending(db)->count += reopening->count;
    return true;
}

bool store_deliveries_reopen(struct store *store, const char *repository, const char *branch,
                             const char *reason, struct wall_time since, int *count,
                             struct error *err)
{
    struct reopening reopening = {repository, branch, reason, since, 0};
    if (!store_change(store, apply_reopening, &reopening, err))
        return error_wrap(err, "reopen deliveries of %s %s", repository, branch);
    *count = reopening.count;
    return true;
}

// --- reading ---

bool store_delivery_newest(struct store *store, const char *repository, const char *branch,
                           struct newest_delivery *out, struct error *err)
{
    static const char sql[] = "SELECT seq, received, id FROM deliveries "
                              "WHERE pending = 1 AND repository = ?1 AND branch = ?2 "
                              "ORDER BY seq DESC LIMIT 1";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_text(statement, 1, repository);
    db_bind_text(statement, 2, branch);
    enum db_step step = db_step(statement, err);
    if (step == DB_FAILED)
        return false;
    *out = (struct newest_delivery){0};
    if (step == DB_ROW) {
        out->seq = db_int(statement, 0);
        out->received.ms = db_int(statement, 1);
        db_text(statement, 2, out->id, sizeof out->id);
    }
    return true;
}

bool store_delivery_asked(struct store *store, const char *repository, const char *branch,
                          void (*each)(void *user, const char *service), void *user,
                          struct error *err)
{
    static const char sql[] =
        "SELECT DISTINCT service FROM deliveries "
        "WHERE pending = 1 AND repository = ?1 AND branch = ?2 AND service <> ''";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_text(statement, 1, repository);
    db_bind_text(statement, 2, branch);
    enum db_step step;
    while ((step = db_step(statement, err)) == DB_ROW) {
        char service[2 * STORE_NAME_SIZE];
        db_text(statement, 0, service, sizeof service);
        each(user, service);
    }
    return step == DB_DONE;
}

static void read_delivery(const struct statement *statement, struct delivery *out)
{
    out->seq = db_int(statement, 0);
    db_read_record(statement, 1, &record, out);
}

bool store_delivery_list(struct store *store, const struct delivery_filter *filter,
                         bool (*each)(void *user, const struct delivery *), void *user,
                         struct error *err)
{
#define LISTED "(?2 IS NULL OR repository = ?2) AND (?3 IS NULL OR reason = ?3) "
    static const char all[] = "SELECT seq, " COLUMNS " FROM deliveries WHERE seq < ?1 "
                              "AND " LISTED "ORDER BY seq DESC LIMIT ?4";
    static const char of_commit[] =
        "SELECT seq, " COLUMNS " FROM deliveries INDEXED BY deliveries_commit WHERE seq < ?1 "
        "AND " LISTED "AND object >= ?5 AND object < ?5 || 'g' ORDER BY seq DESC LIMIT ?4";
#undef LISTED
    bool any = !filter->commit || !*filter->commit;
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, any ? all : of_commit, err);
    if (!statement)
        return false;
    if (!any)
        db_bind_text(statement, 5, filter->commit);
    db_bind_int(statement, 1, filter->before ? filter->before : INT64_MAX);
    db_bind_text(statement, 2, filter->repository);
    db_bind_text(statement, 3, filter->reason);
    db_bind_int(statement, 4, store_page(filter->limit));
    struct delivery delivery;
    enum db_step step;
    while ((step = db_step(statement, err)) == DB_ROW) {
        read_delivery(statement, &delivery);
        if (!each(user, &delivery))
            return true;
    }
    return step == DB_DONE;
}

bool store_delivery_get(struct store *store, const char *id, struct delivery *out,
                        struct error *err)
{
    static const char sql[] = "SELECT seq, " COLUMNS " FROM deliveries "
                              "WHERE id = ?1 AND repeated = 0 ORDER BY seq DESC LIMIT 1";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_text(statement, 1, id);
    if (!db_one(statement, err))
        return error_wrap(err, "delivery %s", id);
    read_delivery(statement, out);
    return true;
}

bool store_pending_keys(struct store *store,
                        bool (*each)(void *user, const char *repository, const char *branch),
                        void *user, struct error *err)
{
    static const char sql[] =
        "SELECT DISTINCT repository, branch FROM deliveries WHERE pending = 1";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    enum db_step step;
    while ((step = db_step(statement, err)) == DB_ROW) {
        char repository[STORE_REPOSITORY_SIZE], branch[STORE_BRANCH_SIZE];
        db_text(statement, 0, repository, sizeof repository);
        db_text(statement, 1, branch, sizeof branch);
        if (!each(user, repository, branch))
            return true;
    }
    return step == DB_DONE;
}
