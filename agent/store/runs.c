#include "agent/store/runs.h"
#include "agent/store/db.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FIELD(kind, name) DB_FIELD(DB_KIND_##kind, run_record, name)
static const struct db_field fields[] = {
    FIELD(TEXT, uid),      FIELD(TEXT, namespace),     FIELD(TEXT, service),
    FIELD(TEXT, name),     FIELD(TEXT, kind),          FIELD(TEXT, requested_by),
    FIELD(TEXT, commit),   FIELD(TEXT, image),         FIELD(TEXT, state),
    FIELD(TEXT, reason),   FIELD(INT, exit_code),      FIELD(INT, max_attempts),
    FIELD(TIME, created),  FIELD(TIME, scheduled_for), FIELD(TIME, started),
    FIELD(TIME, finished), FIELD(TEXT, log),           FIELD(INT64, log_bytes),
    FIELD(BOOL, open),
};
#define FIELD_COUNT 19
static const struct db_record record_fields = {fields, FIELD_COUNT};
_Static_assert(sizeof fields / sizeof *fields == FIELD_COUNT, "fields and columns");

// In the order of `fields`.
#define COLUMNS                                                                                    \
    "uid, namespace, service, name, kind, requested_by, object, image, state, reason, exit_code, " \
    "max_attempts, created, scheduled_for, started, finished, log, log_bytes, open"
#define VALUES                                                                                     \
    "?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19"

void run_record_finish(struct run_record *record)
{
    free(record->attempts);
    record->attempts = NULL;
}

// Of one service: its namespace and name are the first parameters.
static struct statement *prepare_of(struct db *db, const char *sql, const char *namespace,
                                    const char *service, struct error *err)
{
    struct statement *statement = db_prepare(db, sql, err);
    if (statement) {
        db_bind_text(statement, 1, namespace);
        db_bind_text(statement, 2, service);
    }
    return statement;
}

// --- one row ---

struct put {
    const struct run_record *record;
    bool ended;
};

static bool find_ended(struct db *db, struct put *put, struct error *err)
{
    static const char sql[] = "SELECT 1 FROM runs WHERE uid = ?1 AND finished > 0";
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_text(statement, 1, put->record->uid);
    enum db_step step = db_step(statement, err);
    put->ended = put->record->finished.ms > 0 && step == DB_DONE;
    return step != DB_FAILED;
}

static bool apply_put(struct db *db, void *data, struct error *err)
{
    static const char sql[] =
        "INSERT INTO runs (" COLUMNS ", attempts) VALUES (" VALUES ", ?20) ON CONFLICT (uid) "
        "DO UPDATE SET (" COLUMNS ", attempts) = (" VALUES ", ?20)";
    struct put *put = data;
    const struct run_record *record = put->record;
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement || !find_ended(db, put, err))
        return false;
    db_bind_record(statement, 1, &record_fields, record);
    db_bind_text(statement, FIELD_COUNT + 1, record->attempts ? record->attempts : "[]");
    return db_run(statement, err);
}

bool store_run_put(struct store *store, const struct run_record *record, bool *ended,
                   struct error *err)
{
    struct put put = {.record = record};
    if (!store_change(store, apply_put, &put, err))
        return error_wrap(err, "put run %s/%s", record->namespace, record->name);
    if (ended)
        *ended = put.ended;
    return true;
}

static void read_run(const struct statement *statement, struct run_record *out)
{
    *out = (struct run_record){.id = db_int(statement, 0)};
    db_read_record(statement, 1, &record_fields, out);
    out->attempts = db_text_copy(statement, 1 + FIELD_COUNT);
}

#define SELECT_RUN "SELECT id, " COLUMNS ", attempts FROM runs "

bool store_run_get(struct store *store, const char *uid, struct run_record *out, struct error *err)
{
    static const char sql[] = SELECT_RUN "WHERE uid = ?1";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_text(statement, 1, uid);
    if (!db_one(statement, err))
        return error_wrap(err, "run %s", uid);
    read_run(statement, out);
    return true;
}

bool store_run_service(struct store *store, int64_t id, char namespace[static STORE_NAME_SIZE],
                       char service[static STORE_NAME_SIZE], struct error *err)
{
    static const char sql[] = "SELECT namespace, service FROM runs WHERE id = ?1";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_int(statement, 1, id);
    if (!db_one(statement, err))
        return error_wrap(err, "run %" PRId64, id);
    db_text(statement, 0, namespace, STORE_NAME_SIZE);
    db_text(statement, 1, service, STORE_NAME_SIZE);
    return true;
}

bool store_run_find(struct store *store, const char *namespace, const char *service,
                    const char *name, struct run_record *out, struct error *err)
{
    static const char sql[] = SELECT_RUN "WHERE namespace = ?1 AND service = ?2 AND name = ?3 "
                                         "ORDER BY created DESC, id DESC LIMIT 1";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = prepare_of(db, sql, namespace, service, err);
    if (!statement)
        return false;
    db_bind_text(statement, 3, name);
    if (!db_one(statement, err))
        return error_wrap(err, "run %s/%s", namespace, name);
    read_run(statement, out);
    return true;
}

static bool apply_delete(struct db *db, void *data, struct error *err)
{
    static const char sql[] = "DELETE FROM runs WHERE uid = ?1";
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_text(statement, 1, data);
    return db_run(statement, err);
}

bool store_run_delete(struct store *store, const char *uid, struct error *err)
{
    char copy[STORE_UID_SIZE];
    (void)snprintf(copy, sizeof copy, "%s", uid);
    return store_change(store, apply_delete, copy, err) || error_wrap(err, "delete run %s", uid);
}

// --- lists ---

bool store_run_list(struct store *store, const struct run_filter *filter,
                    bool (*each)(void *user, const struct run_record *), void *user,
                    struct error *err)
{
    static const char sql[] =
        SELECT_RUN "WHERE namespace = ?1 AND service = ?2 AND created < ?3 "
                   "AND (?4 IS NULL OR kind = ?4) AND (?5 IS NULL OR state = ?5) "
                   "ORDER BY created DESC, id DESC LIMIT ?6";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset)
    struct statement *statement = prepare_of(db, sql, filter->namespace, filter->service, err);
    if (!statement)
        return false;
    db_bind_int(statement, 3, filter->before.ms ? filter->before.ms : INT64_MAX);
    db_bind_text(statement, 4, filter->kind);
    db_bind_text(statement, 5, filter->state);
    db_bind_int(statement, 6, store_page(filter->limit));
    enum db_step step;
    while ((step = db_step(statement, err)) == DB_ROW) {
        struct run_record record;
        read_run(statement, &record);
        bool more = each(user, &record);
        run_record_finish(&record);
        if (!more)
            return true;
    }
    return step == DB_DONE;
}

static int by_size(const void *a, const void *b)
{
    int64_t one = *(const int64_t *)a, two = *(const int64_t *)b;
    return one < two ? -1 : one > two;
}

static bool read_usual(struct db *db, const char *namespace, const char *service, int64_t *usual_ms,
                       struct error *err)
{
    static const char sql[] =
        "SELECT finished - started FROM runs WHERE namespace = ?1 AND "
        "service = ?2 AND state = 'succeeded' ORDER BY finished DESC LIMIT ?3";
    CLEANUP(db_reset) struct statement *statement = prepare_of(db, sql, namespace, service, err);
    if (!statement)
        return false;
    db_bind_int(statement, 3, STORE_USUAL_OF);
    int64_t took[STORE_USUAL_OF];
    size_t count = 0;
    enum db_step step;
    while ((step = db_step(statement, err)) == DB_ROW && count < STORE_USUAL_OF)
        took[count++] = db_int(statement, 0);
    qsort(took, count, sizeof *took, by_size);
    *usual_ms = count == 0       ? -1
                : count % 2 == 1 ? took[count / 2]
                                 : (took[count / 2 - 1] + took[count / 2]) / 2;
    return step != DB_FAILED;
}

bool store_run_last(struct store *store, const char *namespace, const char *service,
                    struct run_record *out, int64_t *usual_ms, struct error *err)
{
    static const char sql[] = "SELECT id, " COLUMNS " FROM runs WHERE namespace = ?1 AND "
                              "service = ?2 AND finished > 0 ORDER BY finished DESC LIMIT 1";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = prepare_of(db, sql, namespace, service, err);
    if (!statement)
        return false;
    if (!db_one(statement, err))
        return error_wrap(err, "runs of %s/%s", namespace, service);
    *out = (struct run_record){.id = db_int(statement, 0)};
    db_read_record(statement, 1, &record_fields, out);
    return read_usual(db, namespace, service, usual_ms, err);
}

// Rows of uid, namespace, service, name, what it waits for, finished.
static bool mention(struct statement *statement, store_run_mentioned each, void *user,
                    struct error *err)
{
    enum db_step step;
    while ((step = db_step(statement, err)) == DB_ROW) {
        char uid[STORE_UID_SIZE], namespace[STORE_NAME_SIZE], service[STORE_NAME_SIZE];
        char name[STORE_NAME_SIZE];
        char waiting[STORE_DETAIL_SIZE];
        db_text(statement, 0, uid, sizeof uid);
        db_text(statement, 1, namespace, sizeof namespace);
        db_text(statement, 2, service, sizeof service);
        db_text(statement, 3, name, sizeof name);
        db_text(statement, 4, waiting, sizeof waiting);
        struct run_mention run = {uid, namespace, service, name, waiting, db_int(statement, 5) > 0};
        if (!each(user, &run))
            return true;
    }
    return step == DB_DONE;
}

#define SELECT_MENTION                                                                             \
    "SELECT uid, namespace, service, name, iif(state = 'pending', reason, ''), finished FROM "     \
    "runs "

bool store_runs_open(struct store *store, const char *namespace, const char *service,
                     store_run_mentioned each, void *user, struct error *err)
{
    static const char sql[] =
        SELECT_MENTION "WHERE open = 1 AND (?1 IS NULL OR namespace = ?1) "
                       "AND (?2 IS NULL OR service = ?2) ORDER BY created DESC";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = prepare_of(db, sql, namespace, service, err);
    if (!statement)
        return false;
    return mention(statement, each, user, err);
}

// --- retention ---

static bool too_many(struct db *db, const char *namespace, const char *service, int64_t keep,
                     store_run_mentioned each, void *user, struct error *err)
{
    static const char sql[] =
        SELECT_MENTION "WHERE namespace = ?1 AND service = ?2 AND open = 0 AND created < "
                       "(SELECT created FROM runs WHERE namespace = ?1 AND service = ?2 "
                       "ORDER BY created DESC LIMIT 1 OFFSET ?3) ORDER BY created LIMIT ?4";
    CLEANUP(db_reset) struct statement *statement = prepare_of(db, sql, namespace, service, err);
    if (!statement)
        return false;
    db_bind_int(statement, 3, keep > 1 ? keep - 1 : 0);
    db_bind_int(statement, 4, STORE_PAGE_MAX);
    return mention(statement, each, user, err);
}

static bool too_old(struct db *db, struct wall_time before, store_run_mentioned each, void *user,
                    struct error *err)
{
    static const char sql[] =
        SELECT_MENTION "WHERE open = 0 AND finished < ?1 ORDER BY finished LIMIT ?2";
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_int(statement, 1, before.ms);
    db_bind_int(statement, 2, STORE_PAGE_MAX);
    return mention(statement, each, user, err);
}

bool store_runs_expired(struct store *store, const char *namespace, const char *service,
                        int64_t keep, struct wall_time before, store_run_mentioned each, void *user,
                        struct error *err)
{
    static const char crowded[] =
        "SELECT namespace, service FROM runs GROUP BY namespace, service HAVING COUNT(*) > ?1";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    if (namespace)
        return too_many(db, namespace, service, keep, each, user, err);
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, crowded, err);
    if (!statement || !too_old(db, before, each, user, err))
        return false;
    db_bind_int(statement, 1, keep);
    enum db_step step;
    while ((step = db_step(statement, err)) == DB_ROW) {
        char of[STORE_NAME_SIZE], name[STORE_NAME_SIZE];
        db_text(statement, 0, of, sizeof of);
        db_text(statement, 1, name, sizeof name);
        if (!too_many(db, of, name, keep, each, user, err))
            return false;
    }
    return step == DB_DONE;
}

bool store_runs_of(struct store *store, const char *namespace, const char *service,
                   store_run_mentioned each, void *user, struct error *err)
{
    static const char sql[] = SELECT_MENTION "WHERE namespace = ?1 AND service = ?2 LIMIT ?3";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = prepare_of(db, sql, namespace, service, err);
    if (!statement)
        return false;
    db_bind_int(statement, 3, STORE_PAGE_MAX);
    return mention(statement, each, user, err);
}

bool store_run_log_bytes(struct store *store, int64_t *out, struct error *err)
{
    static const char sql[] = "SELECT TOTAL(log_bytes) FROM runs WHERE log_bytes > 0";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement || !db_one(statement, err))
        return false;
    *out = db_int(statement, 0);
    return true;
}

bool store_run_oldest_log(struct store *store, struct run_record *out, struct error *err)
{
    static const char sql[] =
        SELECT_RUN "WHERE log_bytes > 0 AND finished > 0 AND open = 0 ORDER BY finished LIMIT 1";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement || !db_one(statement, err))
        return false;
    read_run(statement, out);
    return true;
}

// --- what services were ---

#define STATE_FIELD(kind, name) DB_FIELD(DB_KIND_##kind, service_state_record, name)
static const struct db_field state_fields[] = {
    STATE_FIELD(TEXT, namespace), STATE_FIELD(TEXT, service),  STATE_FIELD(TIME, at),
    STATE_FIELD(TEXT, state),     STATE_FIELD(TEXT, schedule), STATE_FIELD(TEXT, time_zone),
};
static const struct db_record state_record = {state_fields,
                                              sizeof state_fields / sizeof *state_fields};
#define STATE_COLUMNS "namespace, service, at, state, schedule, time_zone"

// Before one is added.
static bool drop_old_states(struct db *db, const struct service_state_record *record,
                            struct error *err)
{
    static const char sql[] =
        "DELETE FROM service_states WHERE namespace = ?1 AND service = ?2 AND at < "
        "(SELECT at FROM service_states WHERE namespace = ?1 AND service = ?2 "
        "ORDER BY at DESC LIMIT 1 OFFSET ?3)";
    CLEANUP(db_reset)
    struct statement *statement = prepare_of(db, sql, record->namespace, record->service, err);
    if (!statement)
        return false;
    db_bind_int(statement, 3, STORE_SERVICE_STATES - 2);
    return db_run(statement, err);
}

static bool apply_state(struct db *db, void *data, struct error *err)
{
    static const char sql[] =
        "INSERT INTO service_states (" STATE_COLUMNS ") SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE "
        "(?4, ?5, ?6) IS NOT (SELECT state, schedule, time_zone FROM service_states "
        "WHERE namespace = ?1 AND service = ?2 ORDER BY at DESC LIMIT 1) "
        "AND (?5 <> '' OR EXISTS "
        "(SELECT 1 FROM service_states WHERE namespace = ?1 AND service = ?2)) "
        "ON CONFLICT DO UPDATE SET (state, schedule, time_zone) = (?4, ?5, ?6)";
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement || !drop_old_states(db, data, err))
        return false;
    db_bind_record(statement, 1, &state_record, data);
    return db_run(statement, err);
}

// Whether the newest row says the same, which is usual: then nothing is to be written.
static bool is_known(struct store *store, const struct service_state_record *record)
{
    static const char sql[] = "SELECT " STATE_COLUMNS " FROM service_states WHERE namespace = ?1 "
                              "AND service = ?2 ORDER BY at DESC LIMIT 1";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset)
    struct statement *statement = prepare_of(db, sql, record->namespace, record->service, NULL);
    if (!statement)
        return false;
    if (!db_one(statement, NULL))
        return false;
    struct service_state_record newest = {0};
    db_read_record(statement, 0, &state_record, &newest);
    return strcmp(newest.state, record->state) == 0 &&
           strcmp(newest.schedule, record->schedule) == 0 &&
           strcmp(newest.time_zone, record->time_zone) == 0;
}

bool store_service_state_add(struct store *store, const struct service_state_record *record,
                             struct error *err)
{
    struct service_state_record copy = *record;
    return is_known(store, record) || store_change(store, apply_state, &copy, err) ||
           error_wrap(err, "state of %s/%s", record->namespace, record->service);
}

bool store_service_state_list(struct store *store, const char *namespace, const char *service,
                              bool (*each)(void *user, const struct service_state_record *),
                              void *user, struct error *err)
{
    static const char sql[] = "SELECT " STATE_COLUMNS " FROM service_states WHERE namespace = ?1 "
                              "AND service = ?2 ORDER BY at";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = prepare_of(db, sql, namespace, service, err);
    if (!statement)
        return false;
    struct service_state_record record;
    enum db_step step;
    while ((step = db_step(statement, err)) == DB_ROW) {
        db_read_record(statement, 0, &state_record, &record);
        if (!each(user, &record))
            return true;
    }
    return step == DB_DONE;
}

bool store_service_state_present(struct store *store, const char *namespace,
                                 bool (*each)(void *user, const char *namespace,
                                              const char *service),
                                 void *user, struct error *err)
{
    static const char sql[] =
        "SELECT namespace, service FROM service_states AS state WHERE schedule <> '' "
        "AND (?1 IS NULL OR namespace = ?1) AND NOT EXISTS "
        "(SELECT 1 FROM service_states AS later WHERE later.namespace = state.namespace "
        "AND later.service = state.service AND later.at > state.at)";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_text(statement, 1, namespace);
    enum db_step step;
    while ((step = db_step(statement, err)) == DB_ROW) {
        char of[STORE_NAME_SIZE], service[STORE_NAME_SIZE];
        db_text(statement, 0, of, sizeof of);
        db_text(statement, 1, service, sizeof service);
        if (!each(user, of, service))
            return true;
    }
    return step == DB_DONE;
}

static bool apply_states_expire(struct db *db, void *data, struct error *err)
{
    static const char sql[] =
        "DELETE FROM service_states WHERE (namespace, service) IN "
        "(SELECT namespace, service FROM service_states AS state WHERE schedule = '' AND at < ?1 "
        "AND NOT EXISTS (SELECT 1 FROM service_states AS later WHERE "
        "later.namespace = state.namespace AND later.service = state.service "
        "AND later.at > state.at))";
    const struct wall_time *before = data;
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_int(statement, 1, before->ms);
    return db_run(statement, err);
}

bool store_service_states_expire(struct store *store, struct wall_time before, struct error *err)
{
    return store_change(store, apply_states_expire, &before, err) ||
           error_wrap(err, "forget services that went");
}

static bool apply_state_delete(struct db *db, void *data, struct error *err)
{
    static const char sql[] = "DELETE FROM service_states WHERE namespace = ?1 AND service = ?2";
    const struct service_state_record *record = data;
    CLEANUP(db_reset)
    struct statement *statement = prepare_of(db, sql, record->namespace, record->service, err);
    if (!statement)
        return false;
    return db_run(statement, err);
}

bool store_service_state_delete(struct store *store, const char *namespace, const char *service,
                                struct error *err)
{
    struct service_state_record record = {0};
    (void)snprintf(record.namespace, sizeof record.namespace, "%s", namespace);
    (void)snprintf(record.service, sizeof record.service, "%s", service);
    return store_change(store, apply_state_delete, &record, err);
}

// --- when somebody watched ---

struct watch_record {
    struct wall_time started, seen;
};

static bool apply_watch(struct db *db, void *data, struct error *err)
{
    static const char put[] = "INSERT INTO watches (started, seen) VALUES (?1, ?2) "
                              "ON CONFLICT (started) DO UPDATE SET seen = ?2";
    static const char drop[] =
        "DELETE FROM watches WHERE started < "
        "(SELECT started FROM watches ORDER BY started DESC LIMIT 1 OFFSET ?1)";
    const struct watch_record *watch = data;
    CLEANUP(db_reset) struct statement *dropping = db_prepare(db, drop, err);
    CLEANUP(db_reset) struct statement *putting = db_prepare(db, put, err);
    if (!dropping || !putting)
        return false;
    db_bind_int(dropping, 1, STORE_WATCHES_MAX - 2);
    db_bind_int(putting, 1, watch->started.ms);
    db_bind_int(putting, 2, watch->seen.ms);
    return db_run(dropping, err) && db_run(putting, err);
}

bool store_watch_seen(struct store *store, struct wall_time started, struct wall_time seen,
                      struct error *err)
{
    struct watch_record watch = {started, seen};
    return store_change(store, apply_watch, &watch, err);
}

bool store_watch_list(struct store *store, struct wall_time since,
                      bool (*each)(void *user, struct wall_time started, struct wall_time seen),
                      void *user, struct error *err)
{
    static const char sql[] = "SELECT started, seen FROM watches WHERE seen >= ?1 ORDER BY started";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_int(statement, 1, since.ms);
    enum db_step step;
    while ((step = db_step(statement, err)) == DB_ROW)
        if (!each(user, (struct wall_time){db_int(statement, 0)},
                  (struct wall_time){db_int(statement, 1)}))
            return true;
    return step == DB_DONE;
}

bool store_patch_commit(struct store *store, const char *namespace, const char *service,
                        const char *image, char out[static STORE_COMMIT_SIZE], struct error *err)
{
    static const char sql[] =
        "SELECT builds.object FROM patches JOIN builds ON builds.id = patches.build "
        "WHERE patches.namespace = ?1 AND patches.name = ?2 AND patches.new_image = ?3 "
        "ORDER BY patches.id DESC LIMIT 1";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = prepare_of(db, sql, namespace, service, err);
    if (!statement)
        return false;
    db_bind_text(statement, 3, image);
    if (!db_one(statement, err))
        return false;
    db_text(statement, 0, out, STORE_COMMIT_SIZE);
    return true;
}
